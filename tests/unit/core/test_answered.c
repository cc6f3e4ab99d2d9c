/* controller/core/answered.h: a request that comes twice changes something once. */
#include <stdio.h>
#include <string.h>

#include "controller/core/answered.h"
#include "controller/core/people.h"
#include "tests/unit/core/world.h"

static struct world w; /* megabytes */

static const uint64_t hour_ms = UINT64_C(3600) * 1000;

static struct request_key key_of(uint8_t id, uint8_t request)
{
    struct request_key k;

    memset(k.id, id, sizeof k.id);
    memset(k.request, request, sizeof k.request);
    return k;
}

static struct entry keyed(enum entry_kind kind, uint8_t id, uint8_t request)
{
    struct entry e = entry_of(kind);

    e.key = key_of(id, request);
    e.wall_ms = hour_ms;
    return e;
}

static const struct answered *row_of(uint8_t id)
{
    const struct request_key k = key_of(id, 1);

    return answered_find(&w.s, &k, hour_ms);
}

/* Whoever proposes it, and on whatever: the second one of a key is refused and changes
 * nothing but `applied`; another request under it is told so. */
static void the_second_one_changes_nothing(void **state)
{
    static struct state before;
    struct entry e, other;
    uint64_t first;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    e = keyed(ENTRY_PAUSE, 1, 1);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    first = w.s.applied;
    assert_int_equal(row_of(1)->index, first);
    assert_int_equal(row_of(1)->kind, ENTRY_PAUSE);
    assert_int_equal(row_of(1)->flags, 0);
    assert_string_equal(row_of(1)->group, "orders");
    other = entry_of(ENTRY_RESUME); /* of somebody else, in between */
    assert_int_equal(world_apply(&w, &other), ACCEPTED);
    before = w.s;
    assert_int_equal(world_apply(&w, &e), REFUSE_ANSWERED);
    before.applied = w.s.applied;
    assert_memory_equal(&before, &w.s, sizeof before);
    assert_false(world_group(&w)->paused);
    other = keyed(ENTRY_PAUSE, 1, 2);
    assert_int_equal(world_apply(&w, &other), REFUSE_KEY);
    assert_false(world_group(&w)->paused);
    other = keyed(ENTRY_PAUSE, 2, 1); /* the same words under a key of its own */
    assert_int_equal(world_apply(&w, &other), ACCEPTED);
    assert_true(world_group(&w)->paused);
    assert_int_equal(w.s.answered_count, 2);
    assert_null(state_invariant_broken(&w.s));
}

/* Also where what it was about is gone by then. */
static void a_group_that_is_gone_is_no_excuse(void **state)
{
    struct entry e;

    (void)state;
    world_init(&w);
    world_declare(&w, SYNC_REQUIRED);
    e = entry_of(ENTRY_DETACH);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    e = keyed(ENTRY_REMOVE, 1, 1);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_apply(&w, &e), REFUSE_ANSWERED);
}

/* What was refused was not done: asked again it is judged anew. */
static void what_was_refused_is_not_remembered(void **state)
{
    struct entry e, paused;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    e = keyed(ENTRY_ATTACH, 1, 1);
    assert_int_equal(world_apply(&w, &e), REFUSE_PHASE);
    assert_int_equal(w.s.answered_count, 0);
    paused = keyed(ENTRY_PAUSE, 1, 2);
    assert_int_equal(world_apply(&w, &paused), ACCEPTED);
}

/* An entry without a key leaves no row, as before there were keys. */
static void without_a_key_nothing_is_remembered(void **state)
{
    struct entry e = entry_of(ENTRY_PAUSE);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(w.s.answered_count, 0);
}

/* What the answer said, and is not to be seen any more. */
static void it_is_known_how_it_was(void **state)
{
    struct entry e;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    e = keyed(ENTRY_RESUME, 1, 1);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(row_of(1)->flags, ANSWERED_AS_IT_WAS);
    e = keyed(ENTRY_USER_SET, 2, 1);
    e.group[0] = '\0';
    snprintf(e.user_set.name, NAME_SIZE, "anna");
    e.user_set.roles = ROLE_OPERATOR;
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(row_of(2)->flags, 0);
    e = keyed(ENTRY_USER_TOKEN, 3, 1);
    e.group[0] = '\0';
    snprintf(e.user_token.name, NAME_SIZE, "anna");
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(row_of(3)->flags, ANSWERED_SECRET);
    assert_int_equal(world_apply(&w, &e), REFUSE_ANSWERED);
    assert_int_equal(state_user(&w.s, "anna")->token_count, 1);
}

/* A code is taken under the key of its request, which then takes the row's place. */
static void a_code_counts_for_its_request(void **state)
{
    struct entry used = keyed(ENTRY_FACTOR_USED, 1, 1), other, e;
    struct user *u;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    u = &w.s.users[w.s.user_count++];
    memset(u, 0, sizeof *u);
    snprintf(u->name, NAME_SIZE, "anna");
    u->roles = ROLE_OPERATOR;
    u->seed[0] = 1;
    used.group[0] = '\0';
    snprintf(used.factor_used.name, NAME_SIZE, "anna");
    used.factor_used.factor = FACTOR_TOTP;
    used.factor_used.step = 100;
    assert_int_equal(world_apply(&w, &used), ACCEPTED);
    assert_true(answered_has_code(row_of(1), hour_ms + ANSWERED_CODE_MS));
    assert_false(answered_has_code(row_of(1), hour_ms + ANSWERED_CODE_MS + 1));
    assert_int_equal(row_of(1)->factor, FACTOR_TOTP);
    other = keyed(ENTRY_PAUSE, 1, 2); /* not for another request */
    assert_int_equal(world_apply(&w, &other), REFUSE_KEY);
    used.factor_used.step = 101; /* another code for the same one */
    assert_int_equal(world_apply(&w, &used), ACCEPTED);
    e = keyed(ENTRY_PAUSE, 1, 1);
    e.actor = (struct actor){.kind = ACTOR_TOKEN, .factor = FACTOR_TOTP};
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(w.s.answered_count, 1);
    assert_int_equal(row_of(1)->kind, ENTRY_PAUSE);
    assert_false(answered_has_code(row_of(1), hour_ms));
    used.factor_used.step = 102; /* it has been done: no code is used up for it */
    assert_int_equal(world_apply(&w, &used), REFUSE_ANSWERED);
    assert_int_equal(u->totp_step, 101);
}

/* The oldest goes first; the order is the log's. */
static void the_window_is_bounded_by_count(void **state)
{
    struct entry e;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    for (unsigned i = 1; i <= ANSWERED_MAX + 2; i++) {
        e = keyed(ENTRY_PAUSE, (uint8_t)i, 1);
        assert_int_equal(world_apply(&w, &e), ACCEPTED);
    }
    assert_int_equal(w.s.answered_count, ANSWERED_MAX);
    assert_null(row_of(1));
    assert_null(row_of(2));
    assert_non_null(row_of(3));
    for (unsigned i = 1; i < w.s.answered_count; i++)
        assert_true(w.s.answered[i - 1].index < w.s.answered[i].index);
    e = keyed(ENTRY_PAUSE, 1, 1);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

/* By the time in the log; a clock that was set back forgets nothing. */
static void the_window_is_bounded_by_time(void **state)
{
    const struct request_key k = key_of(1, 1);
    struct entry e;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    e = keyed(ENTRY_PAUSE, 1, 1);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    e.wall_ms = 0;
    assert_int_equal(world_apply(&w, &e), REFUSE_ANSWERED);
    e.wall_ms = hour_ms + ANSWERED_HOURS * hour_ms;
    assert_int_equal(world_apply(&w, &e), REFUSE_ANSWERED);
    assert_non_null(answered_find(&w.s, &k, e.wall_ms));
    e.wall_ms++;
    assert_null(answered_find(&w.s, &k, e.wall_ms));
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(w.s.answered_count, 1);
    assert_int_equal(w.s.answered[0].index, w.s.applied);
}

/* An operator's failover is decide()'s to propose: under the key that came with the wish.
 */
static void a_wish_keeps_its_key(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    world_seen(&w)->failover_wanted = true;
    world_seen(&w)->failover_target = WEST;
    world_seen(&w)->failover_key = key_of(1, 1);
    assert_string_equal(world_step(&w), "operator-failover");
    assert_int_equal(row_of(1)->kind, ENTRY_FENCE_BEGIN);
    assert_int_equal(row_of(1)->index, world_group(&w)->run.id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_one_changes_nothing),
        cmocka_unit_test(a_group_that_is_gone_is_no_excuse),
        cmocka_unit_test(what_was_refused_is_not_remembered),
        cmocka_unit_test(without_a_key_nothing_is_remembered),
        cmocka_unit_test(it_is_known_how_it_was),
        cmocka_unit_test(a_code_counts_for_its_request),
        cmocka_unit_test(the_window_is_bounded_by_count),
        cmocka_unit_test(the_window_is_bounded_by_time),
        cmocka_unit_test(a_wish_keeps_its_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
