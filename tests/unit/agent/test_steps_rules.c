/* What the step runner may do (I6), when a server is ready or hung or not ours (I9), and
 * which member is let go (I8). */
#include "tests/unit/agent/cmocka_env.h"

#include <string.h>

#include "fencing/agent/steps_rules.h"
#include "fencing/agent/wire_text.h"

static Rf__Assignment assignment(Rf__Role role, uint64_t epoch)
{
    static Rf__PeerInstance peer;
    static Rf__PeerInstance *peers[] = {&peer};
    Rf__Assignment a = RF__ASSIGNMENT__INIT;

    rf__peer_instance__init(&peer);
    peer.instance = (char *)"pg-west";
    peer.standby_name = (char *)"orders_pg-west_3";
    peer.member = true;
    a.role = role;
    a.epoch = epoch;
    a.opened = true;
    a.sync_mode = (char *)"required";
    a.shrink_after_ms = 2000;
    a.hung_after_ms = 10000;
    a.sync_generation = 7;
    a.n_peers = 1;
    a.peers = peers;
    return a;
}

static Rf__Observation primary_seen(uint64_t flush, const char *replica,
                                    uint64_t replica_flush)
{
    static Rf__ReplicaSeen r;
    static Rf__ReplicaSeen *replicas[] = {&r};
    Rf__Observation o = RF__OBSERVATION__INIT;

    rf__replica_seen__init(&r);
    o.server = RF__SERVER_STATE__SERVER_PRIMARY;
    o.postmaster_pid = 100;
    o.postmaster_start_ms = 5;
    o.flush_lsn = flush;
    if (replica != NULL) {
        r.application_name = wire_text(replica);
        r.flush_lsn = replica_flush;
        o.n_replicas = 1;
        o.replicas = replicas;
    }
    return o;
}

static struct mono at(uint64_t ms) { return mono_plus_ms((struct mono){1}, ms); }

/* ---- orders ---------------------------------------------------------------------------
 */

struct order_row {
    const char *name;
    Rf__Role role;
    Rf__StepKind kind;
    uint64_t order_epoch, disk_epoch;
    enum keeper_kind lease;
    uint64_t lease_epoch, fenced;
    bool over, stop_allowed;
    enum order_verdict verdict;
};

#define P RF__ROLE__ROLE_PRIMARY
#define S RF__ROLE__ROLE_STANDBY
#define N RF__ROLE__ROLE_NONE
#define LEAD RF__STEP_KIND__STEP_LEAD
#define FOLLOW RF__STEP_KIND__STEP_FOLLOW
#define CLONE RF__STEP_KIND__STEP_CLONE
#define STOP RF__STEP_KIND__STEP_STOP

static const struct order_row order_rows[] = {
    {"lead under its lease", P, LEAD, 3, 3, KIND_WRITE, 3, 0, false, false, ORDER_RUN},
    {"lead before the lease", P, LEAD, 3, 3, KIND_NONE, 0, 0, false, false, ORDER_WAIT},
    {"lead under an older lease", P, LEAD, 3, 3, KIND_WRITE, 2, 0, false, false,
     ORDER_WAIT},
    {"lead under an expired one", P, LEAD, 3, 3, KIND_WRITE, 3, 0, true, false, ORDER_WAIT},
    {"lead while fenced", P, LEAD, 3, 3, KIND_WRITE, 3, 3, false, false, ORDER_WAIT},
    {"lead under a read lease", P, LEAD, 3, 3, KIND_READ, 3, 0, false, false, ORDER_WAIT},
    {"lead before the disk knows", P, LEAD, 3, 2, KIND_WRITE, 3, 0, false, false,
     ORDER_WAIT},
    {"lead as standby", S, LEAD, 3, 3, KIND_WRITE, 3, 0, false, false, ORDER_REFUSE},
    {"of an older epoch", P, LEAD, 2, 3, KIND_WRITE, 3, 0, false, false, ORDER_DROP},
    {"of an epoch not told yet", P, LEAD, 4, 3, KIND_WRITE, 3, 0, false, false, ORDER_WAIT},
    {"without a role", N, LEAD, 3, 3, KIND_WRITE, 3, 0, false, false, ORDER_WAIT},
    {"follow", S, FOLLOW, 3, 3, KIND_NONE, 0, 0, false, false, ORDER_RUN},
    {"follow with a lease left", S, FOLLOW, 3, 3, KIND_WRITE, 2, 0, false, false,
     ORDER_WAIT},
    {"follow once it is over", S, FOLLOW, 3, 3, KIND_WRITE, 2, 0, true, false, ORDER_RUN},
    {"follow while active", P, FOLLOW, 3, 3, KIND_NONE, 0, 0, false, false, ORDER_REFUSE},
    {"clone while active", P, CLONE, 3, 3, KIND_NONE, 0, 0, true, false, ORDER_REFUSE},
    {"clone with a lease left", S, CLONE, 3, 3, KIND_WRITE, 3, 0, false, false, ORDER_WAIT},
    {"stop, not known to be logged", P, STOP, 3, 3, KIND_WRITE, 3, 0, false, false,
     ORDER_WAIT},
    {"stop, logged", P, STOP, 3, 3, KIND_WRITE, 3, 0, false, true, ORDER_RUN},
    {"none", P, RF__STEP_KIND__STEP_NONE, 3, 3, KIND_WRITE, 3, 0, false, true,
     ORDER_REFUSE},
};

/* The epoch here is 3; the lease must be of it, unexpired and unfenced, to lead; and there
 * must be none to stop, rewind or clone, but for the logged stop. */
static void orders_are_judged(void **state)
{
    const struct order_row *row;

    (void)state;
    EACH (row, order_rows) {
        Rf__Assignment a = assignment(row->role, 3);
        Rf__StepRequest rq = RF__STEP_REQUEST__INIT;
        struct order_facts f = {.a = &a, .request = &rq, .now = {1000}};
        const char *why;
        enum order_verdict v;

        a.stop_allowed = row->stop_allowed;
        a.index = 50;
        rq.kind = row->kind;
        rq.step = 50;
        rq.epoch = row->order_epoch;
        f.joining_keeps_up = true;
        f.view = (struct keeper_view){.epoch = row->disk_epoch,
                                      .fenced = row->fenced,
                                      .lease_kind = row->lease,
                                      .lease_epoch = row->lease_epoch,
                                      .lease_deadline = {row->over ? 1000 : 1001}};
        v = order_judge(&f, &why);
        if (v != row->verdict)
            fail_msg("%s: %d instead of %d (%s)", row->name, (int)v, (int)row->verdict,
                     why);
    }
}

/* The order to stop has overtaken the assignment that allows it: it is not refused. */
static void a_stop_waits_for_its_permission(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    Rf__StepRequest rq = RF__STEP_REQUEST__INIT;
    struct order_facts f = {.a = &a, .request = &rq, .now = {1000}, .view = {.epoch = 3}};
    const char *why;

    (void)state;
    rq.kind = STOP;
    rq.step = 50;
    rq.epoch = 3;
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT);
    a.stop_allowed = true;
    assert_int_equal(order_judge(&f, &why), ORDER_RUN);
}

/* One at a time; a known result is said again; older ids are of stale leaders. */
static void one_step_at_a_time(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    Rf__StepRequest rq = RF__STEP_REQUEST__INIT;
    struct order_facts f = {.request = &rq, .now = {1000}};
    const char *why;

    (void)state;
    rq.kind = RF__STEP_KIND__STEP_CHECKPOINT;
    rq.step = 50;
    rq.epoch = 3;
    f.view.epoch = 3;
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT); /* no assignment */
    f.a = &a;
    assert_int_equal(order_judge(&f, &why), ORDER_RUN);
    f.last_step = 51;
    assert_int_equal(order_judge(&f, &why), ORDER_DROP);
    f.last_step = 50;
    assert_int_equal(order_judge(&f, &why), ORDER_RUN); /* again, after a restart (I5) */
    f.result = 50;
    assert_int_equal(order_judge(&f, &why), ORDER_REPEAT);
    f.busy = true;
    f.running = 50;
    f.running_epoch = 3;
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT);
    f.running = 49;
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT);
    f.running_epoch = 2;
    assert_int_equal(order_judge(&f, &why), ORDER_CANCEL);
}

/* ---- the server -----------------------------------------------------------------------
 */

static struct step_record led(uint64_t epoch)
{
    return (struct step_record){
        .known = {100, 5}, .ever_known = true, .led_epoch = epoch, .led_position = 1000};
}

/* I9: after a start every other member has flushed the end of recovery, or has left. */
/* A failed look must not disown a server that serves under its lease. */
static void only_what_was_seen_changes_the_server(void **state)
{
    static const struct {
        const char *name;
        bool looked;
        int32_t pid;
        Rf__ServerState server;
        bool changed;
    } table[] =
        {
            {"no look", false, 0, RF__SERVER_STATE__SERVER_UNKNOWN, false},
            {"a look that failed", true, 0, RF__SERVER_STATE__SERVER_UNKNOWN, false},
            {"the same", true, 7, RF__SERVER_STATE__SERVER_PRIMARY, false},
            {"another", true, 8, RF__SERVER_STATE__SERVER_PRIMARY, true},
            {"down", true, 0, RF__SERVER_STATE__SERVER_DOWN, true},
            {"its directory is gone", true, 0, RF__SERVER_STATE__SERVER_ABSENT, true},
        },
      *row;

    (void)state;
    EACH (row, table) {
        Rf__Observation seen = RF__OBSERVATION__INIT;
        Rf__StepResult r = RF__STEP_RESULT__INIT;

        seen.server = row->server;
        seen.postmaster_pid = row->pid;
        seen.postmaster_start_ms = row->pid == 7 ? 100 : 0;
        r.seen = row->looked ? &seen : NULL;
        if (step_changed_server(&r, (struct postmaster){7, 100}) != row->changed)
            fail_msg("%s", row->name);
    }
}

static void ready_waits_for_the_members(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    struct step_record r = led(3);
    Rf__Observation o = primary_seen(2000, NULL, 0);

    (void)state;
    assert_false(server_is_ready(&a, &o, &r, true)); /* the member is away */
    o = primary_seen(2000, "orders_pg-west_3", 999);
    assert_false(server_is_ready(&a, &o, &r, true));
    o = primary_seen(2000, "orders_pg-west_2", 1000); /* a name of another epoch */
    assert_false(server_is_ready(&a, &o, &r, true));
    o = primary_seen(2000, "orders_pg-west_3", 1000);
    assert_true(server_is_ready(&a, &o, &r, true));

    o = primary_seen(2000, NULL, 0);
    a.peers[0]->member = false; /* it has left the set */
    assert_true(server_is_ready(&a, &o, &r, true));
    a.peers[0]->member = true;
    a.sync_mode = (char *)"off";
    assert_true(server_is_ready(&a, &o, &r, true));
}

/* The leader is told that it has to be led again: nobody opens it otherwise. */
static void unled_is_a_primary_without_its_step(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    struct step_record r = led(3), earlier = led(2);
    Rf__Observation o = primary_seen(2000, NULL, 0);

    (void)state;
    assert_false(server_is_unled(&a, &o, &r));
    assert_true(server_is_unled(&a, &o, &earlier));
    assert_false(server_is_unled(&a, NULL, &earlier));
    o.server = RF__SERVER_STATE__SERVER_DOWN; /* that is told already */
    assert_false(server_is_unled(&a, &o, &earlier));
    o.server = RF__SERVER_STATE__SERVER_PRIMARY;
    a.role = RF__ROLE__ROLE_STANDBY;
    assert_false(server_is_unled(&a, &o, &earlier));
}

/* After a restart of the agent: what its last life found stands before the first look. */
static void ready_outlives_a_restart(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    struct step_record r = led(3);

    (void)state;
    assert_false(server_is_ready(&a, NULL, &r, true));
    r.ready_epoch = 3;
    assert_true(server_is_ready(&a, NULL, &r, true));
    r.ready_epoch = 2;
    assert_false(server_is_ready(&a, NULL, &r, true));
}

/* Before `opened` the members are candidates of the last epoch, and may be dead. */
static void a_new_epoch_waits_for_nobody(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    struct step_record r = led(3);
    Rf__Observation o = primary_seen(2000, NULL, 0);

    (void)state;
    a.opened = false;
    assert_true(server_is_ready(&a, &o, &r, false));
    assert_false(server_is_ready(&a, &o, &r, true)); /* an answer said `open` meanwhile */
    r.ready_epoch = 3;                               /* found ready once */
    a.opened = true;
    assert_true(server_is_ready(&a, &o, &r, true));
}

static void never_ready(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    Rf__Observation o = primary_seen(2000, "orders_pg-west_3", 1000);
    struct step_record r = led(2);

    (void)state;
    assert_false(server_is_ready(&a, &o, &r, true)); /* led for another epoch */
    r = led(3);
    o.postmaster_start_ms = 6;
    assert_false(server_is_ready(&a, &o, &r, true)); /* another postmaster */
    o = primary_seen(2000, "orders_pg-west_3", 1000);
    o.server = RF__SERVER_STATE__SERVER_STANDBY;
    assert_false(server_is_ready(&a, &o, &r, true));
    o.server = RF__SERVER_STATE__SERVER_PRIMARY;
    a.role = S;
    assert_false(server_is_ready(&a, &o, &r, true));
    a.role = P;
    assert_false(server_is_ready(&a, NULL, &r, true));
    assert_true(server_is_ready(&a, &o, &r, true));
}

static void only_its_agent_starts_a_server(void **state)
{
    static const struct {
        const char *name;
        Rf__Role role;
        Rf__ServerState server;
        bool known, ever, adopt, opening;
        enum police verdict;
    } table[] =
        {
            {"ours", P, RF__SERVER_STATE__SERVER_PRIMARY, true, true, false, false,
             POLICE_LET},
            {"started by hand", P, RF__SERVER_STATE__SERVER_PRIMARY, false, true, false,
             false, POLICE_STOP},
            {"by hand, though adopted once", P, RF__SERVER_STATE__SERVER_PRIMARY, false,
             true, true, false, POLICE_STOP},
            {"to be adopted", P, RF__SERVER_STATE__SERVER_PRIMARY, false, false, true,
             false, POLICE_ADOPT},
            {"standby to be adopted", S, RF__SERVER_STATE__SERVER_STANDBY, false, false,
             true, false, POLICE_ADOPT},
            {"being started when we died", P, RF__SERVER_STATE__SERVER_STARTING, false,
             true, false, true, POLICE_ADOPT},
            {"promoted by hand", S, RF__SERVER_STATE__SERVER_PRIMARY, true, true, true,
             false, POLICE_STOP},
            {"standby by hand", S, RF__SERVER_STATE__SERVER_STANDBY, false, true, false,
             false, POLICE_STOP},
            {"forming", N, RF__SERVER_STATE__SERVER_PRIMARY, false, false, false, false,
             POLICE_LET},
            {"forming, to be adopted", N, RF__SERVER_STATE__SERVER_PRIMARY, false, false,
             true, false, POLICE_ADOPT},
            {"forming, adopted, started anew", N, RF__SERVER_STATE__SERVER_STANDBY, false,
             true, true, false, POLICE_ADOPT},
            {"forming, adopted", N, RF__SERVER_STATE__SERVER_PRIMARY, true, true, true,
             false, POLICE_LET},
            {"detached", RF__ROLE__ROLE_DETACHED, RF__SERVER_STATE__SERVER_PRIMARY, false,
             true, false, false, POLICE_LET},
        },
      *row;

    (void)state;
    EACH (row, table) {
        Rf__Assignment a = assignment(row->role, 3);
        Rf__Observation o = primary_seen(1, NULL, 0);
        struct step_record r = {.known = {row->known ? 100 : 99, 5},
                                .ever_known = row->ever};
        const char *why;

        a.adopt = row->adopt;
        o.server = row->server;
        if (police(&a, &o, &r, row->opening, &why) != row->verdict)
            fail_msg("%s", row->name);
    }
}

/* Local clients that pass by the gate are ended by ending the server, once the fence is
 * committed and not before; what is known to be stopped is left alone. */
static void a_fence_stops_an_ungated_server(void **state)
{
    static const struct {
        const char *name;
        bool ungated;
        uint64_t fence_index;
        Rf__Role role;
        bool stopped, wanted;
    } table[] = {{"fenced", true, 9, P, false, true},
                 {"stopped", true, 9, P, true, false},
                 {"not fenced", true, 0, P, false, false},
                 {"gated", false, 9, P, false, false},
                 {"standby", true, 9, S, false, false}},
      *row;

    (void)state;
    EACH (row, table) {
        Rf__Assignment a = assignment(row->role, 3);

        a.ungated_local = row->ungated;
        a.fence_index = row->fence_index;
        if (fence_wants_stop(&a, row->stopped) != row->wanted)
            fail_msg("%s", row->name);
    }
}

/* A look that failed does not change what a living server was; a dead one is not believed
 * to be anything. */
static void a_failed_look_changes_nothing(void **state)
{
    Rf__Observation o = RF__OBSERVATION__INIT;

    (void)state;
    o.server = RF__SERVER_STATE__SERVER_UNKNOWN;
    assert_int_equal(server_state(&o, KEEPER_SERVER_PRIMARY, true), KEEPER_SERVER_PRIMARY);
    assert_int_equal(server_state(&o, KEEPER_SERVER_PRIMARY, false), KEEPER_SERVER_UNKNOWN);
    o.server = RF__SERVER_STATE__SERVER_STOPPING;
    assert_int_equal(server_state(&o, KEEPER_SERVER_PRIMARY, true), KEEPER_SERVER_PRIMARY);
    o.server = RF__SERVER_STATE__SERVER_REWINDING;
    assert_int_equal(server_state(&o, KEEPER_SERVER_PRIMARY, true), KEEPER_SERVER_DOWN);
}

/* By the group's own policy, to the millisecond and the byte. */
static void a_replica_keeps_within_max_lag(void **state)
{
    static const struct {
        bool standby, streaming;
        uint64_t age_ms, lag_ms, waiting;
        bool good;
    } table[] = {
        {true, true, 0, 0, 0, true},     {true, true, 4999, 2000, 500, true},
        {true, true, 0, 2001, 0, false}, {true, true, 0, 0, 501, false},
        {true, true, 5000, 0, 0, false}, {true, false, 0, 0, 0, false},
        {false, true, 0, 0, 0, false},
    };
    Rf__Assignment a = assignment(S, 3);

    (void)state;
    a.max_lag_ms = 2000;
    a.max_lag_bytes = 500;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        Rf__Observation seen = RF__OBSERVATION__INIT;

        seen.server = table[i].standby ? RF__SERVER_STATE__SERVER_STANDBY
                                       : RF__SERVER_STATE__SERVER_PRIMARY;
        seen.streaming = table[i].streaming;
        seen.replay_lag_ms = table[i].lag_ms;
        seen.flush_lsn = 1000 + table[i].waiting;
        seen.replay_lsn = 1000;
        if (replica_keeps_up(&a, &seen, table[i].age_ms) != table[i].good)
            fail_msg("row %zu", i);
        seen.replay_lsn = seen.flush_lsn + 1; /* read a moment later */
        if (table[i].waiting == 0 &&
            replica_keeps_up(&a, &seen, table[i].age_ms) != table[i].good)
            fail_msg("row %zu, ahead", i);
    }
}

/* ---- members --------------------------------------------------------------------------
 */

/* Looked at every 500 ms from `from` to `to`; the answer of the last look. */
static uint32_t look(struct shrink_watch *w, const Rf__Assignment *a,
                     const Rf__Observation *o, const uint64_t span[2])
{
    uint32_t out = 0;

    for (uint64_t t = span[0]; t <= span[1]; t += 500)
        out = shrink_look(w, a, o, true, at(t));
    return out;
}

static void a_silent_member_is_let_go_in_time(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    Rf__Observation o = primary_seen(2000, NULL, 0);
    struct shrink_watch w = {0};

    (void)state;
    assert_int_equal(look(&w, &a, &o, (const uint64_t[]){0, 1500}), 0);
    assert_int_equal(look(&w, &a, &o, (const uint64_t[]){2000, 2000}), 1);
    o = primary_seen(2000, "orders_pg-west_3", 2000); /* it is back */
    assert_int_equal(look(&w, &a, &o, (const uint64_t[]){2500, 9000}), 0);
    o = primary_seen(3000, "orders_pg-west_3", 2999); /* connected, and does not flush */
    assert_int_equal(look(&w, &a, &o, (const uint64_t[]){9500, 10500}), 0);
    o = primary_seen(3000, "orders_pg-west_3", 1999);
    assert_int_equal(look(&w, &a, &o, (const uint64_t[]){11000, 13000}), 1);
    a.peers[0]->member = false;
    assert_int_equal(look(&w, &a, &o, (const uint64_t[]){13500, 14000}), 0);
}

/* Whatever makes our own look doubtful starts the count anew. */
static void doubtful_looks_let_nobody_go(void **state)
{
    enum { NO_LEASE, NOT_OPENED, ERROR, HUNG, GAP, GENERATION, STANDBY, CASES };

    (void)state;
    for (int c = 0; c < CASES; c++) {
        Rf__Assignment a = assignment(P, 3);
        Rf__Observation o = primary_seen(2000, NULL, 0);
        struct shrink_watch w = {0};
        uint32_t out;

        (void)look(&w, &a, &o, (const uint64_t[]){0, 1500});
        a.opened = c != NOT_OPENED;
        o.error = wire_text(c == ERROR ? "no answer in time" : "");
        o.canary =
            c == HUNG ? RF__CANARY_STATE__CANARY_HUNG : RF__CANARY_STATE__CANARY_NONE;
        a.sync_generation += c == GENERATION;
        if (c == STANDBY)
            o.server = RF__SERVER_STATE__SERVER_STANDBY;
        out = shrink_look(&w, &a, &o, c != NO_LEASE, at(c == GAP ? 60000 : 2000));
        if (out != 0)
            fail_msg("case %d", c);
    }
}

/* I8, I9: they lack what was acknowledged without them, also when it hangs by now. */
static void members_that_are_not_waited_for_go_at_once(void **state)
{
    Rf__Assignment a = assignment(P, 3);
    Rf__Observation o = primary_seen(2000, "orders_pg-west_3", 2000);
    (void)state;
    o.weak_commit = o.error = wire_text("synchronous_commit is off");
    o.canary = RF__CANARY_STATE__CANARY_HUNG;
    assert_int_equal(shrink_look(&(struct shrink_watch){0}, &a, &o, false, at(0)), 0);
    assert_int_equal(shrink_look(&(struct shrink_watch){0}, &a, &o, true, at(0)), 1);
}

/* A standby that was let go since it does not flush is not waited for again until it does,
 * whatever the leader has heard of it. */
static void nobody_waits_for_one_who_does_not_keep_up(void **state)
{
    static const char name[] = "orders_pg-west_3";
    Rf__Assignment a = assignment(P, 3);
    Rf__Observation o = primary_seen(2000, name, 2000);
    struct shrink_watch w = {0};
    Rf__StepRequest rq = RF__STEP_REQUEST__INIT;
    struct order_facts f = {.a = &a, .request = &rq, .now = {1000}};
    const char *why;

    (void)state;
    assert_false(standby_keeps_up(&w, name, at(1)));
    (void)look(&w, &a, &o, (const uint64_t[]){0, 1000});
    assert_true(standby_keeps_up(&w, name, at(1500)));
    o = primary_seen(3000, name, 1999); /* the link is cut, and the primary goes on */
    (void)look(&w, &a, &o, (const uint64_t[]){1500, 4000});
    assert_false(standby_keeps_up(&w, name, at(4000)));
    a.sync_generation++; /* it has left the set; what we saw of it still counts */
    a.peers[0]->member = false;
    (void)look(&w, &a, &o, (const uint64_t[]){4500, 5000});
    assert_false(standby_keeps_up(&w, name, at(5000)));
    o = primary_seen(3000, name, 3000);
    (void)look(&w, &a, &o, (const uint64_t[]){5500, 5500});
    assert_true(standby_keeps_up(&w, name, at(5500)));

    rq.kind = RF__STEP_KIND__STEP_JOIN;
    rq.step = 50;
    rq.epoch = 3;
    f.view = (struct keeper_view){
        .epoch = 3, .lease_kind = KIND_WRITE, .lease_epoch = 3, .lease_deadline = {1001}};
    assert_int_equal(order_judge(&f, &why), ORDER_WAIT);
    f.joining_keeps_up = true;
    assert_int_equal(order_judge(&f, &why), ORDER_RUN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_judged),
        cmocka_unit_test(a_stop_waits_for_its_permission),
        cmocka_unit_test(one_step_at_a_time),
        cmocka_unit_test(only_what_was_seen_changes_the_server),
        cmocka_unit_test(ready_waits_for_the_members),
        cmocka_unit_test(unled_is_a_primary_without_its_step),
        cmocka_unit_test(ready_outlives_a_restart),
        cmocka_unit_test(a_new_epoch_waits_for_nobody),
        cmocka_unit_test(never_ready),
        cmocka_unit_test(only_its_agent_starts_a_server),
        cmocka_unit_test(a_fence_stops_an_ungated_server),
        cmocka_unit_test(a_failed_look_changes_nothing),
        cmocka_unit_test(a_replica_keeps_within_max_lag),
        cmocka_unit_test(a_silent_member_is_let_go_in_time),
        cmocka_unit_test(members_that_are_not_waited_for_go_at_once),
        cmocka_unit_test(doubtful_looks_let_nobody_go),
        cmocka_unit_test(nobody_waits_for_one_who_does_not_keep_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
