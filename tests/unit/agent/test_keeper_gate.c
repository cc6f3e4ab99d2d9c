/* What the keeper does to a gate that is no plain primary's, claim by claim. */
#include "tests/unit/agent/cmocka_env.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/keeper_world.h"

/* A standby's gate is at replication for as long as it is a standby; closed when somebody
 * promoted it by hand. */
static void standby_gate(void **state)
{
    static const struct {
        enum keeper_server_state server;
        enum gate_mode mode;
    } table[] = {{KEEPER_SERVER_STANDBY, GATE_REPLICATION},
                 {KEEPER_SERVER_DOWN, GATE_REPLICATION},
                 {KEEPER_SERVER_OTHER, GATE_REPLICATION},
                 {KEEPER_SERVER_UNKNOWN, GATE_CLOSED},
                 {KEEPER_SERVER_PRIMARY, GATE_CLOSED}},
      *row;

    (void)state;
    EACH (row, table) {
        struct keeper_assignment a = primary(3);
        struct world w;

        start(&w);
        a.role = ROLE_STANDBY;
        assign(&w, a);
        serve(&w, row->server, 0);
        run(&w);
        assert_int_equal(w.k.slots[0].gate.mode, row->mode);
        if (row->mode == GATE_REPLICATION)
            assert_int_equal(w.k.slots[0].gate.deadline.ns, GATE_FOREVER.ns);
        assert_null(find(&w, KEEPER_RENEW));
    }
}

/* Promoted by hand under our eyes: the open replication gate is closed. */
static void a_rogue_promotion_closes_the_gate(void **state)
{
    struct keeper_assignment a = primary(3);
    struct world w;

    (void)state;
    start(&w);
    a.role = ROLE_STANDBY;
    assign(&w, a);
    serve(&w, KEEPER_SERVER_STANDBY, 0);
    run(&w);
    serve(&w, KEEPER_SERVER_PRIMARY, 3);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_CLOSED);
}

/* Reading on a standby is a lease with a deadline; it asks only while in recovery. */
static void standby_reads_are_leased(void **state)
{
    struct keeper_assignment a = primary(3);
    struct keeper_ack ack;
    struct world w;

    (void)state;
    start(&w);
    a.role = ROLE_STANDBY;
    a.standby_reads = true;
    assign(&w, a);
    run(&w);
    assert_null(find(&w, KEEPER_RENEW));
    serve(&w, KEEPER_SERVER_STANDBY, 0);
    run(&w);
    assert_int_equal(find(&w, KEEPER_RENEW)->renewal.items[0].kind, KIND_READ);
    ack = answer(&w, 3, false);
    ack.items[0].kind = KIND_READ;
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_OPEN);
    assert_int_equal(w.k.slots[0].gate.deadline.ns, ms(1000000 + TTL_MS).ns);
    w.now = ms(1000000 + TTL_MS);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_REPLICATION);
}

/* I2: the installed proof is of a closed, tried gate, and voids what was asked before. */
static void installed_proof_needs_a_closed_tried_gate(void **state)
{
    struct keeper_assignment a = primary(3);
    struct world w;

    (void)state;
    start(&w);
    a.role = ROLE_STANDBY;
    a.proof_wanted = true;
    assign(&w, a);
    serve(&w, KEEPER_SERVER_STANDBY, 0);
    run(&w);
    assert_true(find(&w, KEEPER_PROOF)->installed);
    assert_true(find(&w, KEEPER_TRY) < find(&w, KEEPER_PROOF));
    assert_null(find(&w, KEEPER_ARM));
    keeper_tick(&w.k); /* until the log has it, it is said again */
    run(&w);
    assert_non_null(find(&w, KEEPER_PROOF));
    a.proof_wanted = false;
    a.index++;
    assign(&w, a);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_REPLICATION);
}

/* A primary that may write never says "installed": a grant may be later in the log. */
static void a_primary_gives_no_installed_proof(void **state)
{
    struct keeper_assignment a = primary(3);
    struct world w;

    (void)state;
    start(&w);
    a.proof_wanted = true;
    assign(&w, a);
    run(&w);
    assert_null(find(&w, KEEPER_PROOF));
    assert_non_null(find(&w, KEEPER_RENEW));
}

/* A running primary that will be adopted keeps its clients until its epoch begins. */
static void adoption_waits_for_its_epoch(void **state)
{
    struct keeper_assignment a = primary(0);
    struct world w;

    (void)state;
    start(&w);
    a.role = ROLE_NONE;
    a.hands_off = true;
    assign(&w, a);
    serve(&w, KEEPER_SERVER_PRIMARY, 0);
    run(&w);
    assert_null(find(&w, KEEPER_MANAGE));
    assign(&w, primary(1));
    run(&w);
    assert_non_null(find(&w, KEEPER_MANAGE));
    assert_non_null(find(&w, KEEPER_RENEW));
}

/* Detach is committed and on disk before the gate is taken away. */
static void detach_unmanages_after_the_disk_knows(void **state)
{
    struct keeper_assignment a = primary(4);
    struct world w;

    (void)state;
    start_open(&w);
    a.role = ROLE_DETACHED;
    w.disk_fails = true;
    assign(&w, a);
    run(&w);
    assert_null(find(&w, KEEPER_UNMANAGE));
    w.disk_fails = false;
    w.now = ms(1000500);
    run(&w);
    assert_non_null(find(&w, KEEPER_UNMANAGE));
    assert_false(w.k.slots[0].managed);
    keeper_tick(&w.k);
    run(&w);
    assert_null(find(&w, KEEPER_RENEW));
}

/* Demoted by a newer epoch: closed at once, even while the disk is slow. */
static void demotion_closes_before_the_disk(void **state)
{
    struct keeper_assignment a = primary(4);
    struct world w;

    (void)state;
    start_open(&w);
    a.role = ROLE_STANDBY;
    w.disk_fails = true;
    assign(&w, a);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_CLOSED);
}

/* The gate said "too late" to a renewal: a fresh lease re-opens, a passed one does not. */
static void a_late_write_reopens_only_with_a_fresh_lease(void **state)
{
    struct keeper_ack ack;
    struct world w;

    (void)state;
    start_open(&w);
    w.now = ms(1000000 + TTL_MS);
    run(&w);
    assert_int_equal(w.count, 0); /* expired by itself; nothing to write */
    keeper_tick(&w.k);
    run(&w);
    ack = answer(&w, 3, true);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_int_equal(find(&w, KEEPER_ARM)->how, GATE_REOPEN);

    w.gate_code = ERR_CLOSED;
    keeper_tick(&w.k);
    run(&w);
    w.now.ns += NS_PER_MS;
    keeper_tick(&w.k);
    run(&w);
    ack = answer(&w, 3, true);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_int_equal(w.seen[0].how, GATE_RENEW);
    assert_int_equal(w.seen[1].how, GATE_REOPEN);
    assert_int_equal(w.count, 2); /* then it waits before it tries again */
}

/* A write that the kernel refused may have left the gate open: no proof is given over it.
 */
static void a_refused_write_is_no_closed_gate(void **state)
{
    struct keeper_ack ack;
    struct world w;

    (void)state;
    start_open(&w);
    w.gate_code = ERR_IO;
    w.now.ns += NS_PER_MS;
    keeper_tick(&w.k);
    run(&w);
    ack = answer(&w, 3, true);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_non_null(find(&w, KEEPER_ARM));
    assert_int_equal(w.k.slots[0].gate.mode, GATE_OPEN);
}

/* Unanswered until any controller has answered the last renewal. */
static void unanswered_renewals_are_known(void **state)
{
    struct keeper_ack ack;
    struct world w;

    (void)state;
    start(&w);
    assign(&w, primary(3));
    run(&w);
    assert_true(keeper_unanswered(&w.k));
    ack = answer(&w, 3, true);
    (void)keeper_ack(&w.k, &ack, w.now);
    assert_false(keeper_unanswered(&w.k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standby_gate),
        cmocka_unit_test(a_rogue_promotion_closes_the_gate),
        cmocka_unit_test(standby_reads_are_leased),
        cmocka_unit_test(installed_proof_needs_a_closed_tried_gate),
        cmocka_unit_test(a_primary_gives_no_installed_proof),
        cmocka_unit_test(adoption_waits_for_its_epoch),
        cmocka_unit_test(detach_unmanages_after_the_disk_knows),
        cmocka_unit_test(demotion_closes_before_the_disk),
        cmocka_unit_test(a_late_write_reopens_only_with_a_fresh_lease),
        cmocka_unit_test(a_refused_write_is_no_closed_gate),
        cmocka_unit_test(unanswered_renewals_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
