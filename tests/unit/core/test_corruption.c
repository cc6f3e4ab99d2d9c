/* Signs of corruption are kept: nothing is moved by itself from, or to, data that had them,
 * until it is copied anew or an operator has said that it is sound (design section 5). */
#include "tests/unit/core/world.h"

#include <string.h>

static struct world w;

static void steady_with(uint8_t instance, enum sync_mode mode)
{
    world_steady(&w, mode);
    world_seen(&w)->instances[instance].seen.checksum_failures = 3;
    assert_string_equal(world_step(&w), "record-corruption");
    assert_int_equal(world_group(&w)->instances[instance].checksum_failures, 3);
    assert_string_equal(world_step(&w), ""); /* once */
}

static const struct condition *why(const char *name)
{
    static struct explanation all;

    explain(&w.s, &w.o, 0, w.now, &all);
    for (unsigned i = 0; i < all.count; i++)
        if (strcmp(all.list[i].name, name) == 0)
            return &all.list[i];
    fail_msg("no condition %s", name);
    return NULL;
}

static void silence(void)
{
    world_pass_ms(&w, 1200);
    world_report(&w, WEST, SERVER_STANDBY);
}

/* A server that is down counts nothing, and nor does crash recovery. */
static void failures_are_remembered_when_it_is_down(void **state)
{
    (void)state;
    for (int hung = 0; hung < 2; hung++) {
        steady_with(EAST, SYNC_REQUIRED);
        world_group(&w)->policy.local_restarts = 0;
        world_report(&w, EAST, hung ? SERVER_PRIMARY : SERVER_DOWN);
        if (hung)
            world_seen(&w)->instances[EAST].seen.hung = true;
        world_seen(&w)->hung_since = hung ? w.now : (struct mono){0};
        assert_true(why("no-corruption")->blocks);
        assert_non_null(strstr(why("no-corruption")->value, "3 checksum failures"));
        assert_non_null(strstr(why("no-corruption")->remedy, "restore it from a backup"));
        assert_string_equal(world_decide(&w), hung ? "" : "crash-without-target");
        assert_false(group_is_healthy(&w.s, &w.o, 0, w.now));
        world_seen(&w)->failover_wanted = true;
        world_seen(&w)->failover_target = NO_INSTANCE;
        assert_string_equal(world_decide(&w), "operator-failover");
    }
}

/* A new leader has heard no report; the control without damage fails over. */
static void a_new_leader_knows_of_them(void **state)
{
    (void)state;
    for (int damaged = 0; damaged < 2; damaged++) {
        if (damaged)
            steady_with(EAST, SYNC_REQUIRED);
        else
            world_steady(&w, SYNC_REQUIRED);
        observe_leading(&w.o, false, w.now);
        observe_leading(&w.o, true, w.now);
        world_pass_ms(&w, 5000);
        world_report(&w, WEST, SERVER_STANDBY);
        assert_string_equal(world_step(&w), damaged ? "" : "silent-holder");
    }
}

/* A damaged standby is promoted by nobody but an operator. */
static void a_damaged_standby_is_no_target(void **state)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER);
    char ignored[TEXT_SIZE];

    (void)state;
    steady_with(WEST, SYNC_REQUIRED);
    world_pass_ms(&w, 5000);
    silence();
    assert_string_equal(world_decide(&w), "");
    assert_true(why("target-ready")->blocks);
    assert_non_null(strstr(why("candidate-pg-west")->value, "3 checksum failures"));
    assert_non_null(strstr(why("target-ready")->remedy, "copied anew"));
    world_seen(&w)->failover_wanted = true;
    world_seen(&w)->failover_target = NO_INSTANCE;
    assert_string_equal(world_step(&w), "operator-failover");
    assert_string_equal(world_step(&w), "proof-by-expiry");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(world_group(&w)->active, WEST);

    steady_with(WEST, SYNC_REQUIRED);
    assert_true(switchover_may_begin(&w.s, &w.o, 0, WEST, w.now, ignored, sizeof ignored));
    sw.switchover = (struct entry_switchover){.target = WEST, .epoch = 1};
    assert_int_equal(world_apply(&w, &sw), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
}

/* It was found out behind the fence: held, until an operator says so all the same. */
static void behind_the_fence_it_waits_for_an_operator(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_pass_ms(&w, 5000);
    silence();
    assert_string_equal(world_step(&w), "silent-holder");
    world_seen(&w)->instances[WEST].seen.checksum_failures = 2;
    assert_string_equal(world_step(&w), "record-corruption");
    assert_string_equal(world_step(&w), "proof-by-expiry");
    assert_string_equal(world_step(&w), "");
    assert_true(failover_waits_for_word(&w.s, &w.o, 0, w.now));
    world_report(&w, EAST, SERVER_DOWN); /* it is sound, and activated again in the end */
    assert_false(failover_waits_for_word(&w.s, &w.o, 0, w.now));
    world_pass_ms(&w, 10000);
    world_report(&w, WEST, SERVER_STANDBY);
    world_seen(&w)->failover_wanted = true;
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_false(world_seen(&w)->failover_wanted);
}

/* It was found out in its promotion, and then its host was started anew. Nobody else may
 * lead, and it may only by a word; without one its rows would not even say so. */
static void in_a_promotion_it_waits_for_an_operator(void **state)
{
    static struct explanation told;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->sync_set = 1u << EAST;
    world_group(&w)->policy.automatic = false;
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    world_report(&w, EAST, SERVER_DOWN);
    world_seen(&w)->instances[EAST].seen.checksum_failures = 2;
    assert_string_equal(world_step(&w), "record-corruption");
    assert_false(failover_waits_for_word(&w.s, &w.o, 0, w.now));

    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    world_pass_ms(&w, 20000);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "");
    assert_true(failover_waits_for_word(&w.s, &w.o, 0, w.now));
    explain(&w.s, &w.o, 0, w.now, &told);
    assert_non_null(strstr(told.verdict, "`ringfence failover orders`"));
    world_seen(&w)->failover_wanted = true;
    world_seen(&w)->failover_target = NO_INSTANCE;
    assert_string_equal(world_step(&w), "promotion-silent");
    assert_true(world_group(&w)->run.requested);
    assert_string_equal(world_step(&w), "proof-by-expiry");
    world_pass_ms(&w, world_group(&w)->policy.promote_deadline_ms);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(world_group(&w)->active, EAST);
    assert_false(world_seen(&w)->failover_wanted);
}

static void end_follow(bool done, bool cloned)
{
    struct entry start = entry_of(ENTRY_STEP_START), end = entry_of(ENTRY_STEP_END);

    start.step_start = (struct entry_step_start){
        .instance = WEST, .kind = STEP_FOLLOW, .epoch = 1, .subject = NO_INSTANCE};
    assert_int_equal(world_apply(&w, &start), ACCEPTED);
    /* What is still reported while it copies is of the data that goes. */
    world_report(&w, WEST, SERVER_STANDBY);
    world_seen(&w)->instances[WEST].seen.checksum_failures = 9;
    end.step_end = (struct entry_step_end){.instance = WEST,
                                           .step = world_group(&w)->instances[WEST].step.id,
                                           .done = done,
                                           .cloned = cloned};
    assert_int_equal(world_apply(&w, &end), ACCEPTED);
    world_pass_ms(&w, 1);
    world_report(&w, WEST, SERVER_STANDBY);
}

/* A rewind leaves most of the data where it was, a failed clone any of it. */
static void only_a_new_copy_or_an_attach_ends_them(void **state)
{
    struct entry detach = entry_of(ENTRY_DETACH), attach = entry_of(ENTRY_ATTACH);
    struct entry again = entry_of(ENTRY_CORRUPTION);

    (void)state;
    steady_with(WEST, SYNC_REQUIRED);
    end_follow(true, false);
    assert_int_equal(world_group(&w)->instances[WEST].checksum_failures, 3);
    end_follow(false, true);
    assert_int_equal(world_group(&w)->instances[WEST].checksum_failures, 3);
    end_follow(true, true);
    assert_int_equal(world_group(&w)->instances[WEST].checksum_failures, 0);
    assert_string_not_equal(world_decide(&w), "record-corruption");

    again.corruption.failures = 1;
    memcpy(again.corruption.agent, "pg-gone", 8);
    assert_int_equal(world_apply(&w, &again), REFUSE_UNKNOWN_INSTANCE);
    memcpy(again.corruption.agent, "pg-west", 8);
    assert_int_equal(world_apply(&w, &again), ACCEPTED);
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_apply(&w, &again), REFUSE_PHASE);
    assert_int_equal(world_group(&w)->instances[WEST].checksum_failures, 1);
    attach.attach.active = EAST;
    assert_int_equal(world_apply(&w, &attach), ACCEPTED);
    assert_int_equal(world_group(&w)->instances[WEST].checksum_failures, 0);
    again.corruption.failures = 0;
    assert_int_equal(world_apply(&w, &again), REFUSE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_remembered_when_it_is_down),
        cmocka_unit_test(a_new_leader_knows_of_them),
        cmocka_unit_test(a_damaged_standby_is_no_target),
        cmocka_unit_test(behind_the_fence_it_waits_for_an_operator),
        cmocka_unit_test(in_a_promotion_it_waits_for_an_operator),
        cmocka_unit_test(only_a_new_copy_or_an_attach_ends_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
