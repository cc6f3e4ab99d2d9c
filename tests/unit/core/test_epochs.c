/* What agents tell of epochs when they enrol (I1, I12): believed within bounds, and a
 * refused enrolment has changed nothing (I10). */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;
static struct state before;

/* A new life of `agent`, which tells of `count` epochs. */
static struct entry hello(uint8_t agent, uint8_t number, uint8_t count)
{
    struct entry e = entry_of(ENTRY_ENROL);

    e.group[0] = '\0';
    e.enrol.agent = w.s.agents[agent];
    e.enrol.agent.former = e.enrol.agent.incarnation;
    e.enrol.agent.incarnation = life(agent, number);
    e.enrol.agent.lives = 0;
    e.enrol.agent.enrolled_index = 0;
    e.enrol.epoch_count = count;
    return e;
}

static void tell(struct entry *e, unsigned at, const char *group, uint64_t epoch)
{
    (void)snprintf(e->enrol.epochs[at].name, NAME_SIZE, "%s", group);
    e->enrol.epochs[at].epoch = epoch;
}

static void assert_unchanged(void)
{
    before.applied = w.s.applied;
    assert_memory_equal(&before, &w.s, sizeof before);
}

/* An epoch that nothing can have reached would make the next one wrap around to 0, which
 * stops every leader at its first activation. */
static void an_impossible_epoch_is_refused(void **state)
{
    struct entry e;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    before = w.s;
    e = hello(EAST, 2, 1);
    tell(&e, 0, "orders", UINT64_MAX);
    assert_int_equal(world_apply(&w, &e), REFUSE_INVALID);
    assert_non_null(strstr(w.result.text, "orders"));
    assert_unchanged();
    tell(&e, 0, "unheard-of", UINT64_MAX);
    assert_int_equal(world_apply(&w, &e), REFUSE_INVALID);
    assert_unchanged();

    tell(&e, 0, "orders", EPOCH_TOLD_MAX);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    assert_true(world_group(&w)->epoch == EPOCH_TOLD_MAX + 1);
    /* Its agents remember that one by now, and are not shut out for it. */
    e = hello(EAST, 3, 1);
    tell(&e, 0, "orders", EPOCH_TOLD_MAX + 1);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

/* An agent has no say about a group that does not name it; it is enrolled all the same. */
static void a_strangers_word_changes_no_epoch(void **state)
{
    struct entry e = entry_of(ENTRY_ENROL);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_enrol(&w, 2, 1), ACCEPTED);
    e = hello(2, 2, 1);
    tell(&e, 0, "orders", 1000);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_group(&w)->epoch_floor, 0);
    e = hello(WEST, 2, 1);
    tell(&e, 0, "orders", 1000);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_group(&w)->epoch_floor, 1000);
}

/* Tombstones are never given back, so agents cannot use up the room that removals need; the
 * hello that would is refused as a whole. */
static void invented_groups_leave_room_for_removals(void **state)
{
    struct entry detach = entry_of(ENTRY_DETACH), remove = entry_of(ENTRY_REMOVE), e;
    char name[NAME_SIZE];
    uint8_t number = 2;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    for (unsigned made = 0; made < TOMBSTONE_MAX; made += 8, number++) {
        e = hello(WEST, number, 9);
        for (unsigned k = 0; k < 8; k++) {
            (void)snprintf(name, sizeof name, "made-up-%u", made + k);
            tell(&e, k, name, 5);
        }
        tell(&e, 8, "orders", 7 + made);
        before = w.s;
        if (world_apply(&w, &e) == ACCEPTED)
            continue;
        assert_int_equal(w.result.refusal, REFUSE_FULL);
        assert_unchanged();
        break;
    }
    assert_int_equal(w.s.tombstone_count, TOMBSTONE_TOLD_MAX);
    /* What is known already is heard. */
    e = hello(WEST, number, 1);
    tell(&e, 0, "made-up-3", 9);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(w.s.tombstones[3].epoch, 9);
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_apply(&w, &remove), ACCEPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_impossible_epoch_is_refused),
        cmocka_unit_test(a_strangers_word_changes_no_epoch),
        cmocka_unit_test(invented_groups_leave_room_for_removals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
