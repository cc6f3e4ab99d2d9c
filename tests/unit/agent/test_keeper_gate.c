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
    /* What was seen before this epoch may have been promoted in it, and fenced unseen. */
    keeper_server(
        &w.k, 0,
        &(struct keeper_server){.state = KEEPER_SERVER_STANDBY, .looked = a.index - 1});
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

/* A running primary that is declared to be taken over, and the log has said how far it is.
 */
static struct keeper_assignment adopted(uint64_t epoch)
{
    struct keeper_assignment a = primary(epoch);

    a.role = epoch == 0 ? ROLE_NONE : ROLE_PRIMARY;
    a.adopt = true;
    a.ttl_ms = TTL_MS;
    return a;
}

static void start_adoption(struct world *w)
{
    start(w);
    assign(w, adopted(0));
    serve(w, KEEPER_SERVER_PRIMARY, 0);
    run(w);
}

/* It keeps its clients while the group forms: the gate is tried on spare ports alone. Then
 * it is gated as it is, and only after that a lease is asked for (I3). */
static void adoption_gates_before_it_asks(void **state)
{
    const struct keeper_effect *adopt, *renew;
    struct world w;

    (void)state;
    start_adoption(&w);
    assert_null(find(&w, KEEPER_MANAGE));
    assert_null(find(&w, KEEPER_PROOF));
    assert_int_equal(find(&w, KEEPER_TRY)->port, 0);
    assert_false(w.k.slots[0].managed);
    w.now.ns += 5;
    assign(&w, adopted(1));
    run(&w);
    adopt = find(&w, KEEPER_ADOPT);
    renew = find(&w, KEEPER_RENEW);
    assert_non_null(adopt);
    assert_true(find(&w, KEEPER_SYNC) < adopt); /* I6 */
    assert_true(adopt < renew);
    assert_int_equal(adopt->lease.mode, GATE_OPEN);
    /* Over before the first grant can have been counted out. */
    assert_true(
        adopt->lease.deadline.ns <=
        lease_holder_deadline(renew->renewal.sent, (struct lease_terms){TTL_MS, 1}).ns);
    assert_null(find(&w, KEEPER_MANAGE));
    assert_null(find(&w, KEEPER_ARM));
}

/* What has been open goes on under the lease, before `opened` and after. */
static void an_adopted_port_stays_open(void **state)
{
    struct keeper_assignment a = adopted(1);
    struct keeper_ack ack;
    struct world w;

    (void)state;
    start_adoption(&w);
    assign(&w, a);
    run(&w);
    w.now.ns += NS_PER_MS;
    keeper_tick(&w.k);
    run(&w);
    ack = answer(&w, 1, false);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_int_equal(find(&w, KEEPER_ARM)->lease.mode, GATE_OPEN);
    assert_int_equal(find(&w, KEEPER_ARM)->how, GATE_RENEW);
    serve(&w, KEEPER_SERVER_PRIMARY, 1);
    a.adopt = false;
    a.opened = true;
    a.index++;
    assign(&w, a);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_OPEN);
    assert_null(find(&w, KEEPER_ARM));
}

/* Without an answer it closes by itself, and then it opens as any other: by `opened`. */
static void an_adoption_without_a_lease_is_over(void **state)
{
    struct keeper_ack ack;
    struct world w;

    (void)state;
    start_adoption(&w);
    assign(&w, adopted(1));
    run(&w);
    w.now.ns += (uint64_t)TTL_MS * NS_PER_MS;
    keeper_tick(&w.k);
    run(&w);
    assert_null(find(&w, KEEPER_ADOPT));
    ack = answer(&w, 1, false);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_int_equal(find(&w, KEEPER_ARM)->lease.mode, GATE_REPLICATION);
}

/* A fence, a server that does not run, or a gate that has the port already: closed. */
static void what_cannot_be_adopted_is_closed(void **state)
{
    const struct keeper_fence_order order = {
        .to = me, .group = "orders", .epoch = 1, .fence_index = 11};
    struct keeper_assignment a = adopted(1);
    struct world w;
    struct err err;

    (void)state;
    start_adoption(&w);
    serve(&w, KEEPER_SERVER_DOWN, 0);
    assign(&w, a);
    run(&w);
    assert_non_null(find(&w, KEEPER_MANAGE));
    assert_null(find(&w, KEEPER_ADOPT));

    start_adoption(&w);
    w.disk_fails = true; /* it holds the adoption up */
    assign(&w, a);
    run(&w);
    assert_null(find(&w, KEEPER_ADOPT));
    assert_int_equal(keeper_fence_order(&w.k, &order, &err), 0);
    w.disk_fails = false;
    w.now.ns += (uint64_t)TTL_MS * NS_PER_MS;
    run(&w);
    assert_null(find(&w, KEEPER_ADOPT));
    assert_null(find(&w, KEEPER_RENEW));
    assert_non_null(find(&w, KEEPER_FENCE));
    assert_non_null(find(&w, KEEPER_PROOF));

    start_adoption(&w);
    w.gate_code = ERR_CONFLICT;
    assign(&w, a);
    run(&w);
    assert_non_null(find(&w, KEEPER_ADOPT));
    assert_non_null(find(&w, KEEPER_MANAGE));
    assert_true(w.k.slots[0].managed);
}

/* A restart in the middle: the gate is open, and yet the log has no `opened` (I8). */
static void a_restart_does_not_take_an_adoption_for_opened(void **state)
{
    struct epoch_table disk = {
        .count = 1,
        .of[0] = {.group = "orders", .highest = 1, .port = 5432, .tried = true}};
    struct gate_state open = {
        .epoch = 1, .mode = GATE_OPEN, .deadline = ms(1000500), .opened = true};
    struct world w = {.now = ms(1000000)};
    struct keeper_view v;

    (void)state;
    keeper_core_init(&w.k, &me, &disk);
    keeper_clock(&w.k, true, 0);
    assert_true(
        keeper_gate_found(&w.k, &(struct keeper_found){.port = 5432, .gate = open}));
    assign(&w, adopted(1));
    keeper_view(&w.k, 0, w.now, &v);
    assert_false(v.opened);
    serve(&w, KEEPER_SERVER_PRIMARY, 0);
    run(&w);
    assert_null(find(&w, KEEPER_ADOPT));
    assert_int_equal(w.k.slots[0].gate.mode, GATE_OPEN);
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

/* What nobody who is alive remembers: it is not opened, and the way out is said. */
static void a_left_over_gate_says_how_it_goes(void **state)
{
    (void)state;
    for (int stale = 0; stale < 2; stale++) {
        struct keeper_ack ack;
        struct world w;

        start(&w);
        assign(&w, primary(3));
        serve(&w, KEEPER_SERVER_PRIMARY, 3);
        run(&w);
        w.gate_code = stale ? ERR_STALE : ERR_IO;
        ack = answer(&w, 3, true);
        (void)keeper_ack(&w.k, &ack, w.now);
        run(&w);
        assert_non_null(find(&w, KEEPER_ARM));
        assert_int_equal(strstr(w.k.slots[0].problem, "`ringfence detach orders`, then "
                                                      "`ringfence attach orders`") != NULL,
                         stale);
    }
}

/* I3: a gate that was not there holds no lease: what was asked for before is void, nothing
 * is asked for until real connections have tried it anew, and it is opened as from closed.
 */
static void a_lost_gate_is_no_lease(void **state)
{
    const struct keeper_effect *arm;
    struct keeper_ack ack;
    struct world w;

    (void)state;
    start_open(&w);
    keeper_tick(&w.k);
    run(&w);
    ack = answer(&w, 3, true);
    assert_int_equal(w.k.counts.gates_lost, 0);
    keeper_gate_lost(&w.k, "ingress was taken off");
    assert_int_equal(w.k.counts.gates_lost, 1);
    assert_false(keeper_wants_lease(&w.k, 0));
    assert_non_null(strstr(w.k.slots[0].problem, "ingress was taken off"));
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 0);
    run(&w);
    assert_null(find(&w, KEEPER_ARM));
    assert_non_null(find(&w, KEEPER_TRY));
    assert_int_equal(find(&w, KEEPER_TRY)->port, 5432); /* which is closed */
    assert_int_equal(w.k.slots[0].gate.mode, GATE_CLOSED);
    keeper_tick(&w.k);
    run(&w);
    ack = answer(&w, 3, true);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    arm = find(&w, KEEPER_ARM);
    assert_non_null(arm);
    assert_int_equal(arm->how, GATE_REOPEN);
}

/* I3: nor is a fence one any more; it is carried out again before it is proven again. */
static void a_lost_gate_is_fenced_again(void **state)
{
    struct keeper_fence_order o = {
        .to = me, .group = "orders", .epoch = 3, .fence_index = 40};
    struct world w;

    (void)state;
    start_open(&w);
    assert_int_equal(keeper_fence_order(&w.k, &o, NULL), 0);
    run(&w);
    assert_non_null(find(&w, KEEPER_FENCE));
    assert_non_null(find(&w, KEEPER_PROOF));
    run(&w);
    assert_null(find(&w, KEEPER_FENCE));
    keeper_gate_lost(&w.k, "table was taken away");
    assert_int_equal(keeper_fence_order(&w.k, &o, NULL), 0);
    run(&w);
    assert_non_null(find(&w, KEEPER_FENCE));
    assert_non_null(find(&w, KEEPER_PROOF));
}

/* Unanswered until any controller has answered the last renewal. */
static void unanswered_renewals_are_known(void **state)
{
    struct keeper_ack ack;
    struct world w;
    uint64_t seq;

    (void)state;
    start(&w);
    assign(&w, primary(3));
    run(&w);
    assert_true(keeper_unanswered(&w.k));
    seq = w.k.seq;
    keeper_ask_again(&w.k); /* an election has ended: not one period later */
    run(&w);
    assert_int_equal(w.k.seq, seq + 1);
    ack = answer(&w, 3, true);
    (void)keeper_ack(&w.k, &ack, w.now);
    assert_false(keeper_unanswered(&w.k));
    keeper_ask_again(&w.k); /* what is answered is not asked again */
    run(&w);
    assert_int_equal(w.k.seq, seq + 1);
}

/* I2: a gate that could not be let go may be gone in part. When the group forms again it is
 * set up and tried anew before it proves anything; it had been tried before. */
static void a_failed_detach_voids_the_trial(void **state)
{
    struct err failed = {.code = ERR_IO, .text = "the kernel refuses"};
    struct keeper_assignment a = primary(3);
    struct keeper_effect e;
    struct world w;

    (void)state;
    start_open(&w);
    a.role = ROLE_DETACHED;
    a.index++;
    assign(&w, a);
    assert_true(keeper_next(&w.k, w.now, &e));
    assert_int_equal(e.kind, KEEPER_UNMANAGE);
    keeper_done(&w.k, &e, &failed, w.now);

    a.role = ROLE_NONE;
    a.index++;
    a.proof_wanted = true;
    assign(&w, a);
    serve(&w, KEEPER_SERVER_DOWN, 0);
    w.now = ms(1000000 + 2 * TTL_MS); /* the lease is over */
    run(&w);
    assert_non_null(find(&w, KEEPER_MANAGE));
    assert_non_null(find(&w, KEEPER_TRY));
    assert_non_null(find(&w, KEEPER_PROOF));
    assert_true(find(&w, KEEPER_MANAGE) < find(&w, KEEPER_PROOF));
    assert_true(find(&w, KEEPER_TRY) < find(&w, KEEPER_PROOF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standby_gate),
        cmocka_unit_test(a_rogue_promotion_closes_the_gate),
        cmocka_unit_test(standby_reads_are_leased),
        cmocka_unit_test(installed_proof_needs_a_closed_tried_gate),
        cmocka_unit_test(a_primary_gives_no_installed_proof),
        cmocka_unit_test(adoption_gates_before_it_asks),
        cmocka_unit_test(an_adopted_port_stays_open),
        cmocka_unit_test(an_adoption_without_a_lease_is_over),
        cmocka_unit_test(what_cannot_be_adopted_is_closed),
        cmocka_unit_test(a_restart_does_not_take_an_adoption_for_opened),
        cmocka_unit_test(detach_unmanages_after_the_disk_knows),
        cmocka_unit_test(demotion_closes_before_the_disk),
        cmocka_unit_test(a_late_write_reopens_only_with_a_fresh_lease),
        cmocka_unit_test(a_refused_write_is_no_closed_gate),
        cmocka_unit_test(a_left_over_gate_says_how_it_goes),
        cmocka_unit_test(a_lost_gate_is_no_lease),
        cmocka_unit_test(a_lost_gate_is_fenced_again),
        cmocka_unit_test(unanswered_renewals_are_known),
        cmocka_unit_test(a_failed_detach_voids_the_trial),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
