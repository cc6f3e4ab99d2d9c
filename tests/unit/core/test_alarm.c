/* A proof that did not hold is an alarm, and counts no more (I2). */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

/* Fenced, west a candidate, and a fencer said that east is off. */
static void powered_off(void)
{
    struct policy *p;
    struct incarnation subject = life(EAST, 1);

    world_steady(&w, SYNC_REQUIRED);
    p = &world_group(&w)->policy;
    p->fence = FENCE_AGENT | FENCE_POWER;
    p->fence_turn_count = 2;
    p->fence_turns[0] = (struct fence_turn){.level = FENCE_AGENT};
    p->fence_turns[1] = (struct fence_turn){.level = FENCE_POWER};
    snprintf(world_group(&w)->instances[EAST].power, NAME_SIZE, "ipmi-east");
    assert_int_equal(world_fence(&w), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    observe_power_off(&w.o, 0, EAST, world_group(&w)->fence_index, &subject);
    assert_string_equal(world_step(&w), "proof-by-power");
}

static void east_speaks(const char *gate)
{
    world_report(&w, EAST, SERVER_PRIMARY);
    snprintf(world_seen(&w)->instances[EAST].seen.gate_mode, 16, "%s", gate);
}

/* The host that was said to be off answers, in the same boot: nobody is activated on that
 * proof any more, the same level is not believed again, and another one is. */
static void a_host_that_is_not_off_is_an_alarm(void **state)
{
    struct incarnation subject = life(EAST, 1);

    (void)state;
    powered_off();
    world_pass_ms(&w, 10);
    east_speaks("closed");
    assert_string_equal(world_step(&w), "proof-contradicted");
    assert_int_equal(world_activate(&w, WEST), REFUSE_UNPROVEN);
    observe_power_off(&w.o, 0, EAST, world_group(&w)->fence_index, &subject);
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(world_prove(&w, EAST, PROOF_POWER, 1), REFUSE_UNPROVEN);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
}

/* What it said before the proof was applied is no contradiction, nor is what a host that
 * was started anew says. */
static void what_was_said_before_is_none(void **state)
{
    (void)state;
    powered_off();
    world_seen(&w)->instances[EAST].proven = w.now;
    east_speaks("open");
    assert_string_equal(world_decide(&w), "activate-behind-proofs");
    world_pass_ms(&w, 10);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    east_speaks("closed");
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_decide(&w), "activate-behind-proofs");
}

/* An open gate behind any proof of a fence, also after the other side was activated: it is
 * on record once, shown until it is acknowledged, and nothing is undone. */
static void an_open_gate_behind_a_proof_is_an_alarm(void **state)
{
    static const enum proof_kind kinds[] = {PROOF_AGENT, PROOF_LEASE_EXPIRY}, *kind;
    static struct explanation why;
    struct entry ack = entry_of(ENTRY_ACKNOWLEDGE);
    char text[VERDICT_SIZE];

    (void)state;
    snprintf(ack.acknowledge.reason, TEXT_SIZE, "the gate had been flushed by hand");
    EACH (kind, kinds) {
        world_steady(&w, SYNC_REQUIRED);
        assert_int_equal(world_apply(&w, &ack), REFUSE_PHASE);
        assert_int_equal(world_fence(&w), ACCEPTED);
        assert_int_equal(world_prove(&w, EAST, *kind, 1), ACCEPTED);
        assert_int_equal(world_activate(&w, WEST), ACCEPTED);
        world_pass_ms(&w, 10);
        east_speaks("closed");
        assert_string_not_equal(world_decide(&w), "proof-contradicted");
        assert_false(group_alarm(world_group(&w), text, sizeof text));
        world_pass_ms(&w, 10);
        east_speaks("open");
        assert_string_equal(world_step(&w), "proof-contradicted");
        assert_string_not_equal(world_decide(&w), "proof-contradicted");
        assert_int_equal(world_group(&w)->epoch, 2);
        assert_true(group_alarm(world_group(&w), text, sizeof text));
        assert_non_null(strstr(text, "pg-east"));
        assert_non_null(strstr(text, proof_kind_name(*kind)));
        explain(&w.s, &w.o, 0, w.now, &why);
        assert_memory_equal(why.verdict, "ALARM: ", 7);
        assert_int_equal(world_apply(&w, &ack), ACCEPTED);
        assert_false(group_alarm(world_group(&w), text, sizeof text));
        assert_string_not_equal(world_decide(&w), "proof-contradicted");
    }
}

/* Whoever proposes it: only the proof in force, of a fence, and once. */
static void only_the_proof_in_force_can_be_wrong(void **state)
{
    struct entry e = entry_of(ENTRY_FALSE_PROOF);

    (void)state;
    powered_off();
    e.false_proof.kind = PROOF_POWER;
    e.false_proof.proof = world_group(&w)->instances[EAST].proof.proven;
    snprintf(e.false_proof.agent, NAME_SIZE, "pg-nowhere");
    assert_int_equal(world_apply(&w, &e), REFUSE_UNKNOWN_INSTANCE);
    snprintf(e.false_proof.agent, NAME_SIZE, "pg-east");
    e.false_proof.kind = PROOF_AGENT;
    assert_int_equal(world_apply(&w, &e), REFUSE_STALE_EPOCH);
    e.false_proof.kind = PROOF_POWER;
    e.false_proof.proof--;
    assert_int_equal(world_apply(&w, &e), REFUSE_STALE_EPOCH);
    e.false_proof.proof++;
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_apply(&w, &e), REFUSE_STALE_EPOCH);
    snprintf(e.false_proof.agent, NAME_SIZE, "pg-west");
    e.false_proof.kind = PROOF_INSTALLED;
    e.false_proof.proof = world_group(&w)->instances[WEST].proof.proven;
    assert_int_equal(world_apply(&w, &e), REFUSE_STALE_EPOCH);
}

/* Seen after the other side was activated: at the next failover the host counts as
 * unproven, until there is another proof of it. */
static void a_false_proof_serves_no_later_move(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), ACCEPTED);
    assert_true(instance_is_proven(&w.s, &world_group(&w)->instances[EAST]));
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    world_pass_ms(&w, 10);
    east_speaks("open");
    assert_string_equal(world_step(&w), "proof-contradicted");
    assert_false(instance_is_proven(&w.s, &world_group(&w)->instances[EAST]));
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, WEST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), REFUSE_UNPROVEN);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
}

/* The agent's word and the expiry of a lease rest on the same gate: where one was false the
 * other is none. A server that is gone needs no gate. */
static void what_rests_on_the_gate_falls_together(void **state)
{
    struct entry e = entry_of(ENTRY_PROOF);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    world_pass_ms(&w, 5000);
    world_report(&w, WEST, SERVER_STANDBY);
    east_speaks("open");
    assert_string_equal(world_step(&w), "proof-contradicted");
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), REFUSE_UNPROVEN);
    e.proof = (struct entry_proof){.instance = EAST,
                                   .kind = PROOF_AGENT,
                                   .epoch = 1,
                                   .fence_index = world_group(&w)->fence_index,
                                   .prover = life(EAST, 1)};
    assert_int_equal(world_apply(&w, &e), REFUSE_UNPROVEN);
    e.proof.stopped = true;
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

/* I11: the host was started anew meanwhile, so its agent's word is none for the life
 * before; whoever has mended the fencer says so, and the host is switched off in truth. */
static void acknowledging_lets_the_same_level_prove_again(void **state)
{
    struct entry ack = entry_of(ENTRY_ACKNOWLEDGE);
    struct incarnation subject = life(EAST, 1);

    (void)state;
    powered_off();
    world_pass_ms(&w, 10);
    east_speaks("closed");
    assert_string_equal(world_step(&w), "proof-contradicted");
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 2), REFUSE_INCARNATION);
    assert_int_equal(world_prove(&w, EAST, PROOF_POWER, 1), REFUSE_UNPROVEN);
    snprintf(ack.acknowledge.reason, TEXT_SIZE, "wired as it should be");
    assert_int_equal(world_apply(&w, &ack), ACCEPTED);
    observe_applied(&w.o, &w.s, &ack, &w.result, w.now);
    assert_int_equal(world_seen(&w)->instances[EAST].fencer.off_fence_index, 0);
    assert_int_equal(world_activate(&w, WEST), REFUSE_UNPROVEN);
    observe_power_off(&w.o, 0, EAST, world_group(&w)->fence_index, &subject);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "proof-by-power");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
}

/* I11: somebody was activated on it, and the old side's agent has been started anew. Its
 * word is none for the life before (I12), and without a fence nothing else proves that one:
 * `why` says who ends that, and how. */
static void a_former_life_that_nothing_proves_is_told(void **state)
{
    static struct explanation why;
    struct entry e = entry_of(ENTRY_DETACH);

    (void)state;
    powered_off();
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
    assert_string_equal(world_step(&w), "lead-under-lease");
    world_outcome(&w, WEST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, WEST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "open-verified");
    world_pass_ms(&w, 10);
    east_speaks("closed");
    assert_string_equal(world_step(&w), "proof-contradicted");
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_null(strstr(why.verdict, "detach"));
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    world_report(&w, EAST, SERVER_DOWN);
    assert_int_equal(world_prove(&w, EAST, PROOF_INSTALLED, 2), REFUSE_INCARNATION);
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_non_null(
        strstr(why.verdict, "`ringfence detach orders` and `ringfence attach orders`"));
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    e = entry_of(ENTRY_ATTACH);
    e.attach.active = WEST;
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    world_pass_ms(&w, 10);
    e = entry_of(ENTRY_PROOF);
    e.proof = (struct entry_proof){.instance = EAST,
                                   .kind = PROOF_INSTALLED,
                                   .fence_index = world_group(&w)->run.id,
                                   .prover = life(EAST, 2)};
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_is_not_off_is_an_alarm),
        cmocka_unit_test(what_was_said_before_is_none),
        cmocka_unit_test(an_open_gate_behind_a_proof_is_an_alarm),
        cmocka_unit_test(only_the_proof_in_force_can_be_wrong),
        cmocka_unit_test(a_false_proof_serves_no_later_move),
        cmocka_unit_test(what_rests_on_the_gate_falls_together),
        cmocka_unit_test(acknowledging_lets_the_same_level_prove_again),
        cmocka_unit_test(a_former_life_that_nothing_proves_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
