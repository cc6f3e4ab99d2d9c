/* The rows of the table do not get in each other's way: what the log has overtaken is not
 * offered, and a proposal that would be refused does not silence the rows behind it. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

/* The next copy of a proof, which comes by another controller or is simply repeated. */
static void proof_arrives(uint8_t instance, uint8_t number, bool installed)
{
    world_seen(&w)->instances[instance].proof = (struct seen_proof){
        .given = true,
        .installed = installed,
        .epoch = world_group(&w)->epoch,
        .fence_index = installed ? world_group(&w)->index : world_group(&w)->fence_index,
        .prover = life(instance, number),
    };
}

/* The standby's host has rebooted and its gate cannot be tried yet; the copy is of its
 * former life. What the holder asks for must be heard, else commits wait for ever. */
static void a_late_proof_of_a_former_life_silences_nobody(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    proof_arrives(WEST, 1, true);
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(world_enrol(&w, WEST, 2), ACCEPTED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_seen(&w)->instances[EAST].seen.shrink = 1u << WEST;
    assert_string_equal(world_step(&w), "shrink-silent-member");
    /* The new life's own proof is heard. */
    proof_arrives(WEST, 2, true);
    assert_string_equal(world_step(&w), "gate-installed");
}

/* A standby that serves readers holds a grant of the epoch, so it is unproven while all is
 * well: a copy of what it proved before must not stand in the way of a failover. */
static void a_late_proof_of_a_reader_silences_nobody(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.standby_reads = true;
    proof_arrives(WEST, 1, true);
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_READ), ACCEPTED);
    assert_string_equal(world_decide(&w), "");
    world_pass_ms(&w, 3000);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-expiry");
}

/* What an agent said of its gate before it was let go is not offered after the attach; a
 * proof given on the newer entry is. */
static void a_proof_from_before_a_detach_is_not_offered(void **state)
{
    struct entry detach = entry_of(ENTRY_DETACH), attach = entry_of(ENTRY_ATTACH);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    proof_arrives(WEST, 1, true);
    attach.attach.active = EAST;
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_apply(&w, &attach), ACCEPTED);
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(w.actions.held_count, 0);
    proof_arrives(WEST, 1, true);
    assert_string_equal(world_step(&w), "gate-installed");
}

/* In fencing: the word of a life that was replaced, before the expiry that counts. */
static void a_former_lifes_word_does_not_hold_up_the_expiry(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    proof_arrives(EAST, 1, false);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(w.actions.held_count, 0);
    world_pass_ms(&w, 1100);
    assert_string_equal(world_step(&w), "proof-by-expiry");
}

/* In general: the rows behind one that would be refused are asked, and it is told why. */
static void a_refused_row_is_passed_over(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    proof_arrives(EAST, 1, false);
    assert_string_equal(world_decide(&w), "proof-by-agent");
    assert_int_equal(w.actions.held_count, 0);
    world_group(&w)->policy.fence = FENCE_LEASE_EXPIRY; /* its word does not count here */
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(w.actions.held_count, 1);
    assert_string_equal(w.actions.held[0].rule, "proof-by-agent");
    assert_int_equal(w.actions.held[0].refusal, REFUSE_INVALID);
    assert_true(w.actions.held[0].text[0] != '\0');
    world_pass_ms(&w, 1100);
    assert_string_equal(world_step(&w), "proof-by-expiry");
}

/* I2, design section 4: local clients pass by the gate of such a group, so neither a closed
 * gate nor an expired lease proves anything about a server that may run. */
static void a_fence_of_an_ungated_group_wants_the_server_stopped(void **state)
{
    struct entry e = entry_of(ENTRY_PROOF);
    static struct explanation why;
    bool named = false;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.ungated_local = true;
    assert_int_equal(world_fence(&w), ACCEPTED);
    proof_arrives(EAST, 1, false);
    world_pass_ms(&w, 1100);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_decide(&w), "");
    explain(&w.s, &w.o, 0, w.now, &why);
    for (unsigned i = 0; i < why.count; i++)
        named = named || strstr(why.list[i].limit, "its server must be stopped") != NULL;
    assert_true(named);

    e.proof = (struct entry_proof){.instance = EAST,
                                   .kind = PROOF_AGENT,
                                   .epoch = 1,
                                   .fence_index = world_group(&w)->fence_index,
                                   .prover = life(EAST, 1)};
    assert_int_equal(world_apply(&w, &e), REFUSE_UNPROVEN);
    assert_int_equal(world_activate(&w, WEST), REFUSE_UNPROVEN);

    proof_arrives(EAST, 1, false);
    world_seen(&w)->instances[EAST].proof.stopped = true;
    assert_string_equal(world_step(&w), "proof-by-agent");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
}

static void add_north(bool declared)
{
    struct entry e = entry_of(ENTRY_DECLARE);
    struct group *g = &e.declare.spec;

    *g = *world_group(&w);
    g->region_count = g->instance_count = declared ? 3 : 2;
    if (declared) {
        g->regions[2] = g->regions[WEST];
        g->instances[2] = g->instances[WEST];
        snprintf(g->regions[2].name, NAME_SIZE, "north");
        snprintf(g->instances[2].agent, NAME_SIZE, "pg-north");
        g->instances[2].region = 2;
        g->instances[2].system_id = 0;
    }
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

/* Three instances, of which west has left the set and north has never been in it. */
static void world_of_three(void)
{
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_enrol(&w, 2, 1), ACCEPTED);
    add_north(true);
    assert_int_equal(world_prove(&w, 2, PROOF_INSTALLED, 1), ACCEPTED);
    world_group(&w)->sync_set = 1u << EAST;
    world_group(&w)->sync_generation = w.s.applied;
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    world_report(&w, 2, SERVER_STANDBY);
}

/* The standby that a join step has let in was taken out before the entry. */
static void a_join_of_one_that_is_gone_holds_up_nothing(void **state)
{
    (void)state;
    world_of_three();
    world_report(&w, WEST, SERVER_DOWN);
    world_seen(&w)->instances[WEST].seen.said = (struct mono){1}; /* says nothing now */
    assert_string_equal(world_step(&w), "join-standby");
    assert_int_equal(world_group(&w)->instances[EAST].step.subject, 2);
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    assert_string_equal(world_decide(&w), "join-flushed-member");
    add_north(false);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "join-standby");
    assert_int_equal(w.actions.held_count, 0);
    assert_int_equal(world_group(&w)->instances[EAST].step.subject, WEST);
}

/* A standby that streams but cannot keep up does not keep a healthy one out of the set. */
static void after_a_failed_join_the_next_one_is_tried(void **state)
{
    static const uint8_t turns[] = {WEST, 2, WEST, 2};

    (void)state;
    world_of_three();
    for (unsigned i = 0; i < sizeof turns; i++) {
        assert_string_equal(world_step(&w), "join-standby");
        assert_int_equal(world_group(&w)->instances[EAST].step.subject, turns[i]);
        world_outcome(&w, EAST, false);
        assert_string_equal(world_step(&w), "record-outcome");
        for (unsigned n = 0; n < 100; n++) {
            world_pass_ms(&w, 100);
            assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        }
        for (uint8_t k = EAST; k <= 2; k++)
            world_report(&w, k, k == EAST ? SERVER_PRIMARY : SERVER_STANDBY);
    }
}

/* A server that died behind its LEAD, or whose agent is silent, is not opened; it is led
 * again once the crash has been seen, under the lease that it still has. */
static void a_server_that_died_after_its_lead_is_not_opened(void **state)
{
    (void)state;
    world_init(&w);
    world_declare(&w, SYNC_REQUIRED);
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
    world_group(&w)->policy.lease.ttl_ms = world_group(&w)->terms.ttl_ms = 6000;
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "lead-under-lease");
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, EAST, SERVER_PRIMARY);
    assert_string_equal(world_decide(&w), "open-verified");

    world_pass_ms(&w, 2000); /* no report for so long, the lease is not over */
    assert_string_equal(world_decide(&w), "");
    world_report(&w, EAST, SERVER_DOWN);
    world_seen(&w)->instances[EAST].seen.crashed = true;
    assert_string_equal(world_step(&w), "lead-under-lease");
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, EAST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "open-verified");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_proof_of_a_former_life_silences_nobody),
        cmocka_unit_test(a_late_proof_of_a_reader_silences_nobody),
        cmocka_unit_test(a_proof_from_before_a_detach_is_not_offered),
        cmocka_unit_test(a_former_lifes_word_does_not_hold_up_the_expiry),
        cmocka_unit_test(a_refused_row_is_passed_over),
        cmocka_unit_test(a_fence_of_an_ungated_group_wants_the_server_stopped),
        cmocka_unit_test(a_join_of_one_that_is_gone_holds_up_nothing),
        cmocka_unit_test(after_a_failed_join_the_next_one_is_tried),
        cmocka_unit_test(a_server_that_died_after_its_lead_is_not_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
