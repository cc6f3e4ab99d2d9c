/* Exits for instances that come back (I11, I12), and proofs and hellos that come late.
 * Each of these was found by test_core_pair or on the way to it. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

static void agent_comes_back(uint8_t instance, uint8_t number)
{
    assert_int_equal(world_enrol(&w, instance, number), ACCEPTED);
    world_report(&w, instance, SERVER_DOWN);
}

/* Fenced by its word, rebooted, proven anew: it may be active again. */
static void a_host_that_was_proven_anew_may_lead_again(void **state)
{
    (void)state;
    world_steady(&w, SYNC_PREFERRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_INSTALLED, 2), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 2, LEASE_WRITE), ACCEPTED);
}

/* I2: what an agent said of its gate before a detach says nothing after the attach. */
static void a_proof_from_before_the_detach_is_void(void **state)
{
    struct entry detach = entry_of(ENTRY_DETACH), attach = entry_of(ENTRY_ATTACH);
    struct entry late = entry_of(ENTRY_PROOF);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    late.proof = (struct entry_proof){.instance = WEST,
                                      .kind = PROOF_INSTALLED,
                                      .epoch = world_group(&w)->epoch,
                                      .fence_index = world_group(&w)->index,
                                      .prover = life(WEST, 1)};
    attach.attach.active = EAST;
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_apply(&w, &attach), ACCEPTED);
    assert_int_equal(world_apply(&w, &late), REFUSE_STALE_EPOCH);
    assert_int_equal(world_activate(&w, EAST), REFUSE_UNPROVEN);
    late.proof.fence_index = world_group(&w)->index;
    assert_int_equal(world_apply(&w, &late), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
}

/* A group that is declared anew, or hears of a higher epoch while it forms, is in that
 * epoch: agents heed no lower one. */
static void a_forming_group_is_in_the_epoch_that_agents_know(void **state)
{
    struct entry remove = entry_of(ENTRY_REMOVE), detach = entry_of(ENTRY_DETACH);
    struct entry e = entry_of(ENTRY_ENROL);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_apply(&w, &remove), ACCEPTED);
    world_declare(&w, SYNC_REQUIRED);
    assert_int_equal(world_group(&w)->epoch, 1);

    e.enrol.agent = w.s.agents[WEST];
    e.enrol.agent.incarnation = life(WEST, 2);
    e.enrol.agent.former = life(WEST, 1);
    e.enrol.epoch_count = 1;
    snprintf(e.enrol.epochs[0].name, NAME_SIZE, "orders");
    e.enrol.epochs[0].epoch = 7;
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_group(&w)->epoch, 7);
    assert_int_equal(group_next_epoch(world_group(&w)), 8);
}

/* I12: a hello that waited while another life came does not put a dead one on record. */
static void a_late_hello_replaces_nobody(void **state)
{
    struct entry late = entry_of(ENTRY_ENROL);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    late.enrol.agent = w.s.agents[EAST];
    late.enrol.agent.former = life(EAST, 1);
    late.enrol.agent.incarnation = life(EAST, 2);
    assert_int_equal(world_enrol(&w, EAST, 3), ACCEPTED);
    assert_int_equal(world_apply(&w, &late), REFUSE_INCARNATION);
    memset(&late.enrol.agent.former, 0, sizeof late.enrol.agent.former);
    assert_int_equal(world_apply(&w, &late), REFUSE_INCARNATION);
    late.enrol.agent.former = life(EAST, 3);
    assert_int_equal(world_apply(&w, &late), ACCEPTED);
}

/* I11: the host of the active instance rebooted and nobody else can lead. Its old lease is
 * counted out and proven over, then the same instance is activated in the next epoch. */
static void a_reborn_active_is_activated_again(void **state)
{
    static struct explanation why;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    agent_comes_back(EAST, 2);
    world_report(&w, WEST, SERVER_ABSENT);
    assert_string_not_equal(world_decide(&w), "silent-holder");

    world_pass_ms(&w, 1100);
    world_report(&w, EAST, SERVER_DOWN);
    world_report(&w, WEST, SERVER_ABSENT);
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_true(why.would_fail_over);
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-expiry");
    world_pass_ms(&w, world_group(&w)->policy.promote_deadline_ms);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(world_group(&w)->active, EAST);
    assert_int_equal(world_renew(&w, EAST, 2, LEASE_WRITE), ACCEPTED);
}

/* It is not activated before that proof: no lease would be granted to it. */
static void a_reborn_target_waits_for_its_own_proof(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    agent_comes_back(EAST, 2);
    world_group(&w)->policy.promote_deadline_ms = 100;
    world_pass_ms(&w, 500);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_decide(&w), "");
    world_pass_ms(&w, 600);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "proof-by-expiry");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
}

/* `opened` would disqualify the candidates: not for a target that is silent by now. */
static void a_silent_target_is_not_opened(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "lead-under-lease");
    world_outcome(&w, WEST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    assert_string_equal(world_decide(&w), "open-verified");
    world_pass_ms(&w, 1100);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "promotion-silent");
    assert_int_equal(world_group(&w)->sync_set, 3);
}

/* A target that died before its first lease has nothing to count out; another candidate
 * does not wait for promote_deadline. */
static void a_target_that_never_renewed_is_left(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    world_pass_ms(&w, 900);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_decide(&w), "");
    world_pass_ms(&w, 200);
    assert_string_equal(world_decide(&w), "promotion-silent");
}

/* I8: until others have joined, the instance that the operator named is all there is. */
static void the_declared_instance_is_the_first_set(void **state)
{
    (void)state;
    world_init(&w);
    world_declare(&w, SYNC_REQUIRED);
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
    assert_int_equal(world_group(&w)->sync_set, 1u << EAST);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), REFUSE_NOT_MEMBER);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
}

/* Its disk is lost: a new one takes its place on record under an id that nobody had, and
 * the old one is no longer believed. */
static void a_controllers_id_is_used_once(void **state)
{
    struct entry replace = entry_of(ENTRY_CONTROLLER_REPLACE);
    struct entry announce = entry_of(ENTRY_CONTROLLER);
    struct entry_controller_replace *r = &replace.controller_replace;
    struct controller old;
    uint64_t highest;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    old = w.s.controllers[0];
    highest = w.s.controller_id_max;
    snprintf(r->name, sizeof r->name, "%s", old.name);
    r->former = old.id;
    for (r->id = 1; r->id <= highest; r->id++)
        assert_int_equal(world_apply(&w, &replace), REFUSE_ID_USED);
    r->former = old.id + 1;
    assert_int_equal(world_apply(&w, &replace), REFUSE_INVALID);
    r->former = old.id;
    assert_int_equal(world_apply(&w, &replace), ACCEPTED);
    assert_int_equal(w.s.controllers[0].id, highest + 1);
    assert_string_equal(w.s.controllers[0].region, old.region);

    announce.controller = old;
    assert_int_equal(world_apply(&w, &announce), REFUSE_NAME_TAKEN);
    announce.controller.id = highest + 1;
    assert_int_equal(world_apply(&w, &announce), ACCEPTED);
    assert_string_equal(w.s.controllers[0].version, old.version);
}

/* A trial is of the state as it is, not of what an earlier trial left in its scratch. */
static void a_trial_knows_the_highest_id(void **state)
{
    static struct state scratch;
    struct entry replace = entry_of(ENTRY_CONTROLLER_REPLACE);
    struct entry_controller_replace *r = &replace.controller_replace;
    struct apply_result result;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    snprintf(r->name, sizeof r->name, "%s", w.s.controllers[0].name);
    r->former = w.s.controllers[0].id;
    r->id = w.s.controller_id_max + 100;
    apply_dry(&w.s, &replace, &scratch, &result);
    assert_int_equal(result.refusal, ACCEPTED);
    r->id--;
    apply_dry(&w.s, &replace, &scratch, &result);
    assert_int_equal(result.refusal, ACCEPTED);
    r->id = w.s.controller_id_max;
    apply_dry(&w.s, &replace, &scratch, &result);
    assert_int_equal(result.refusal, REFUSE_ID_USED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_controllers_id_is_used_once),
        cmocka_unit_test(a_trial_knows_the_highest_id),
        cmocka_unit_test(a_host_that_was_proven_anew_may_lead_again),
        cmocka_unit_test(a_proof_from_before_the_detach_is_void),
        cmocka_unit_test(a_forming_group_is_in_the_epoch_that_agents_know),
        cmocka_unit_test(a_late_hello_replaces_nobody),
        cmocka_unit_test(a_reborn_active_is_activated_again),
        cmocka_unit_test(a_reborn_target_waits_for_its_own_proof),
        cmocka_unit_test(a_silent_target_is_not_opened),
        cmocka_unit_test(a_target_that_never_renewed_is_left),
        cmocka_unit_test(the_declared_instance_is_the_first_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
