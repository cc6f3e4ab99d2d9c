/* A real agent with a real gate, and a controller that says what the test wants. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/agent/wire_text.h"
#include "providers/postgres/process.h"
#include "tests/real/agent/act.h"
#include "tests/real/gate/lab.h"

/* ---- what is waited for ----------------------------------------------------------------
 */

static bool has_proven(const struct stage *s) { return s->proofs > seen; }
static bool has_result(const struct stage *s) { return s->results > seen; }

static bool gate_is(const struct stage *s, const char *mode)
{
    return stage_report(s) != NULL && strcmp(stage_report(s)->gate_mode, mode) == 0;
}

static bool is_replication(const struct stage *s) { return gate_is(s, "replication"); }
static bool is_unmanaged(const struct stage *s) { return gate_is(s, "unmanaged"); }
static bool is_closed(const struct stage *s) { return gate_is(s, "closed"); }

static bool holds_a_lease(const struct stage *s)
{
    return stage_report(s) != NULL && stage_report(s)->lease_margin_ms > 0;
}

static bool lease_is_over(const struct stage *s)
{
    return stage_report(s) != NULL && stage_report(s)->lease_margin_ms <= 0;
}

/* ---- the tests -------------------------------------------------------------------------
 */

/* Enrolled, told to be primary: gate installed and tried, epoch on disk, then renewals; a
 * server that is not there keeps the gate closed whatever is granted. */
static void a_primary_renews_and_stays_closed_without_a_server(void **state)
{
    const Rf__AgentHello *h;

    (void)state;
    start();
    h = stage.hello->agent_hello;
    assert_string_equal(h->cluster, "demo");
    assert_string_equal(h->region, "east");
    assert_int_equal(h->n_epochs, 0);
    assert_int_equal(h->http_port, stage.http);
    assign(RF__ROLE__ROLE_PRIMARY, 1);
    stage.open = true;
    stage_until(&stage, has_renewed, "renewals");
    assert_int_equal(stage.renew->renew->items[0]->epoch, 1);
    stage_until(&stage, holds_a_lease, "a lease");
    assert_true(stage_report(&stage)->gate_proven);
    assert_false(gate_is(&stage, "open"));
    assert_int_equal(stage_get(&stage, "/primary"), 503);
    assert_int_equal(stage_get(&stage, "/health"), 200);
    assert_int_equal(stage_get(&stage, "/metrics"), 200);
    assert_int_equal(stage_get(&stage, "/api/v1/doctor"),
                     404); /* on the Unix socket only */
    assert_int_equal(stage_get(&stage, "/replica"), 503);
}

/* Whoever takes its socket for a controller's is told so, and where that one is. */
static void what_is_a_controllers_is_sent_there(void **state)
{
    char answer[2000];

    (void)state;
    start();
    assert_int_equal(stage_ask_socket(&stage, "/api/v1/version", answer, sizeof answer),
                     200);
    assert_int_equal(stage_ask_socket(&stage, "/api/v1/status", answer, sizeof answer),
                     404);
    assert_non_null(strstr(answer, "\"code\":\"wrong-socket\""));
    assert_non_null(strstr(answer, "this is the socket of ringfence-agent pg-east"));
    assert_non_null(strstr(answer, "/run/ringfence/ringfenced.sock"));
    assert_int_equal(stage_ask_socket(&stage, "/nothing", answer, sizeof answer), 404);
    assert_non_null(strstr(answer, "this is ringfence-agent; GET /primary"));
}

/* No grant, no lease; and what was granted ends by itself when no answer comes. */
static void a_lease_ends_with_its_grants(void **state)
{
    (void)state;
    start();
    stage.grant = false;
    assign(RF__ROLE__ROLE_PRIMARY, 1);
    stage_until(&stage, has_renewed, "renewals");
    assert_false(holds_a_lease(&stage));
    stage.grant = true;
    stage_until(&stage, holds_a_lease, "a lease");
    stage.grant = false;
    stage_until(&stage, lease_is_over, "the lease's end");
}

/* Assignments for another life, or of a lower epoch, change nothing. */
static void stale_and_foreign_assignments_are_dropped(void **state)
{
    struct incarnation other;
    struct stage_assignment a;

    (void)state;
    start();
    memset(&other, 9, sizeof other);
    stage_assignment(&stage, &a, RF__ROLE__ROLE_PRIMARY, 7);
    stage_assign(&stage, &a, &other);
    assign(RF__ROLE__ROLE_STANDBY, 3);
    stage_until(&stage, is_replication, "the standby's gate");
    assign(RF__ROLE__ROLE_PRIMARY, 2);
    seen = stage.reports;
    stage_until(&stage, has_reported, "reports");
    assert_int_equal(stage_report(&stage)->epoch, 3);
    assert_int_equal(stage.renews, 0);
}

/* A committed fence_begin is answered by a proof, again when it is repeated, and nothing of
 * that epoch comes back, not even after a kill. */
static void a_fence_is_for_good(void **state)
{
    (void)state;
    start();
    assign(RF__ROLE__ROLE_STANDBY, 3);
    stage_until(&stage, is_replication, "the standby's gate");
    stage_order_fence(&stage, 2, 77); /* stale: refused */
    stage_order_fence(&stage, 3, 77);
    stage_until(&stage, has_proven, "the proof");
    assert_int_equal(stage.proof->fence_proof->epoch, 3);
    assert_int_equal(stage.proof->fence_proof->fence_index, 77);
    assert_false(stage.proof->fence_proof->installed);
    stage_until(&stage, is_closed, "closed");

    stage_kill(&stage, agent, SIGKILL);
    seen = stage.hellos;
    start();
    assert_int_equal(stage.hello->agent_hello->n_epochs, 1);
    assert_int_equal(stage.hello->agent_hello->epochs[0]->fenced, 3);
    assert_int_equal(stage.hello->agent_hello->epochs[0]->highest, 3);
    assign(RF__ROLE__ROLE_STANDBY, 3);
    seen = stage.reports;
    stage_until(&stage, has_reported, "reports");
    assert_true(is_closed(&stage));
    seen = stage.proofs;
    stage_order_fence(&stage, 3, 77);
    stage_until(&stage, has_proven, "the proof once more");
    assign(RF__ROLE__ROLE_STANDBY, 4);
    stage_until(&stage, is_replication, "the next epoch");
}

static void restart_keeps_the_life(int by)
{
    struct incarnation before;
    uint64_t renewal, report;

    start();
    before = stage.life;
    assign(RF__ROLE__ROLE_PRIMARY, 5);
    stage_until(&stage, holds_a_lease, "a lease");
    renewal = stage.renew->renew->seq;
    report = stage.report->agent_report->seq;
    if (by == SIGTERM)
        assert_int_equal((kill(agent, SIGTERM), stage_wait(&stage, agent)), 0);
    else
        stage_kill(&stage, agent, by);
    seen = stage.hellos;
    start();
    assert_true(incarnation_equal(&before, &stage.life));
    assert_int_equal(stage.hello->agent_hello->epochs[0]->highest, 5);
    seen = stage.renews;
    assign(RF__ROLE__ROLE_PRIMARY, 5);
    stage_until(&stage, has_renewed, "renewals by the successor");
    /* Leaders drop what is numbered below what they have heard of this life. */
    assert_true(stage.renew->renew->seq > renewal);
    seen = stage.reports;
    stage_until(&stage, has_reported, "reports by the successor");
    assert_true(stage.report->agent_report->seq > report);
}

/* I12: a successor that finds state and gate is the same life, however the first ended. */
static void a_successor_adopts_after_sigterm(void **state)
{
    (void)state;
    restart_keeps_the_life(SIGTERM);
}

static void a_successor_adopts_after_sigkill(void **state)
{
    (void)state;
    restart_keeps_the_life(SIGKILL);
}

/* Without its state file it is another life, and its gate is closed. */
static void a_lost_state_is_another_life(void **state)
{
    struct incarnation before;
    char path[128];

    (void)state;
    start();
    before = stage.life;
    assign(RF__ROLE__ROLE_STANDBY, 5);
    stage_until(&stage, is_replication, "the standby's gate");
    stage_kill(&stage, agent, SIGKILL);
    snprintf(path, sizeof path, "%s/state/agent.state", stage.dir);
    assert_int_equal(remove(path), 0);
    seen = stage.hellos;
    start();
    assert_false(incarnation_equal(&before, &stage.life));
    assert_true(stage_log_has(&stage, "was open for a life of this agent that is over"));
}

/* Detached: the port is let go, after the disk knows. */
static void detach_lets_the_port_go(void **state)
{
    (void)state;
    start();
    assign(RF__ROLE__ROLE_STANDBY, 2);
    stage_until(&stage, is_replication, "the standby's gate");
    assign(RF__ROLE__ROLE_DETACHED, 3);
    stage_until(&stage, is_unmanaged, "unmanaged");
}

static char left[512]; /* a cgroup */

static bool is_left_no_more(const struct stage *s)
{
    (void)s;
    return access(left, F_OK) != 0;
}

static struct mono began;

static bool a_while_is_over(const struct stage *s)
{
    (void)s;
    return mono_since_ms(began, mono_now()) > 1500;
}

/* What the agent made for a server goes with it, and is nobody's after a detach. */
static void detach_leaves_no_cgroup(void **state)
{
    struct stage_assignment a;
    struct pg pg = {.spec = &a.server};

    (void)state;
    start();
    stage_assignment(&stage, &a, RF__ROLE__ROLE_STANDBY, 2);
    assert_true(pg_cgroup_make(&pg, left, sizeof left)); /* this test's cgroup is its own */
    stage_assign(&stage, &a, NULL);
    stage_until(&stage, is_replication, "the standby's gate");
    began = mono_now();
    stage_until(&stage, a_while_is_over, "a look or two");
    assert_int_equal(access(left, F_OK), 0); /* held */
    assign(RF__ROLE__ROLE_DETACHED, 3);
    stage_until(&stage, is_left_no_more, "the end of the server's cgroup");
}

/* "Installed, closed, tried" is said until the log has it (I2). */
static void the_gate_is_proven_when_the_log_asks(void **state)
{
    struct stage_assignment a;

    (void)state;
    start();
    stage_assignment(&stage, &a, RF__ROLE__ROLE_NONE, 0);
    a.a.proof_wanted = true;
    stage_assign(&stage, &a, NULL);
    stage_until(&stage, has_proven, "the proof");
    assert_true(stage.proof->fence_proof->installed);
    assert_true(stage_report(&stage) == NULL || !is_replication(&stage));
    seen = stage.proofs;
    stage_until(&stage, has_proven, "the proof again");
}

static void order_step(Rf__StepKind kind, uint64_t step, uint64_t epoch)
{
    Rf__StepRequest rq = RF__STEP_REQUEST__INIT;
    Rf__StepOrder m = RF__STEP_ORDER__INIT;
    Rf__Frame f = RF__FRAME__INIT;
    Rf__Incarnation wire;

    frame_incarnation_put(&stage.life, &wire);
    rq.kind = kind;
    rq.step = step;
    rq.epoch = epoch;
    rq.deadline_ms = 5000;
    m.incarnation = &wire;
    m.group = wire_text("orders");
    m.instance = wire_text("pg-east");
    m.request = &rq;
    f.body_case = RF__FRAME__BODY_STEP_ORDER;
    f.step_order = &m;
    stage_send(&stage, &f);
}

/* I6: a stop that no switchover logged, a rewind of the active one: refused; the answer is
 * the same when the order is repeated; an order of another epoch is not even answered. */
static void stale_hands_are_harmless(void **state)
{
    (void)state;
    start();
    assign(RF__ROLE__ROLE_PRIMARY, 3);
    stage_until(&stage, holds_a_lease, "a lease");
    order_step(RF__STEP_KIND__STEP_STOP, 20, 2);
    order_step(RF__STEP_KIND__STEP_STOP, 30, 3); /* the log has no stop that we know of */
    seen = stage.reports;
    stage_until(&stage, has_reported, "reports");
    assert_int_equal(stage.results, 0);
    seen = stage.results;
    order_step(RF__STEP_KIND__STEP_FOLLOW, 31, 3);
    stage_until(&stage, has_result, "a result");
    assert_int_equal(stage.result->step_report->result->step, 31);
    assert_int_equal(stage.result->step_report->result->outcome,
                     RF__STEP_OUTCOME__OUTCOME_FAILED);
    seen = stage.results;
    order_step(RF__STEP_KIND__STEP_FOLLOW, 31, 3);
    stage_until(&stage, has_result, "the result again");
    assert_int_equal(stage.result->step_report->result->step, 31);
}

/* A step that the provider cannot do (there is no data directory) fails with its words, in
 * a process of its own. */
static void a_step_that_fails_says_why(void **state)
{
    (void)state;
    start();
    assign(RF__ROLE__ROLE_PRIMARY, 3);
    stage_until(&stage, holds_a_lease, "a lease");
    order_step(RF__STEP_KIND__STEP_LEAD, 30, 3);
    stage_until(&stage, has_result, "a result");
    assert_int_equal(stage.result->step_report->result->step, 30);
    assert_int_not_equal(stage.result->step_report->result->outcome,
                         RF__STEP_OUTCOME__OUTCOME_DONE);
    assert_true(strlen(stage.result->step_report->result->text) > 10);
    /* Ordered again and again, it is told again and again, but logged once. */
    for (uint64_t step = 31; step < 34; step++) {
        seen = stage.results;
        order_step(RF__STEP_KIND__STEP_LEAD, step, 3);
        stage_until(&stage, has_result, "a result");
        assert_int_equal(stage.result->step_report->result->step, step);
    }
    assert_int_equal(stage_log_count(&stage, "(lead) failed"), 1);
    assert_int_equal(stage_log_count(&stage, "(lead) of epoch 3 begins"), 1);
}

/* Garbage, a frame that only agents may send, half a message: the stream ends, nothing is
 * acted upon, the agent comes back. */
static void garbage_ends_the_stream_only(void **state)
{
    static const char *const garbage[] = {"\xff\xff\xff\xff garbage", "\x00",
                                          "\xaa\x01\x02\x08"};

    (void)state;
    start();
    assign(RF__ROLE__ROLE_STANDBY, 3);
    stage_until(&stage, is_replication, "the standby's gate");
    for (unsigned i = 0; i < ARRAY_LEN(garbage); i++) {
        seen = stage.hellos;
        stage_send_bytes(&stage, garbage[i], strlen(garbage[i]) + 1);
        stage_until(&stage, has_greeted, "a new hello");
    }
    assert_true(stage_log_has(&stage, "connecting anew"));
    seen = stage.reports;
    stage_until(&stage, has_reported, "reports");
    assert_true(is_replication(&stage));
}

static int dial(int family, const struct sockaddr *sa, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    static const char half[] = "GET /health HTTP/1.1\r\nHo";

    assert_true(fd >= 0);
    (void)!connect(fd, sa, len); /* a Unix socket's backlog may be full for a moment */
    (void)!send(fd, half, sizeof half - 1, MSG_NOSIGNAL);
    return fd;
}

/* Hundreds with half a request on its HTTP address and its socket: load balancers are
 * answered, the socket answers, and the keeper goes on. */
static void who_says_nothing_keeps_nobody_out(void **state)
{
    enum { CROWD = 400 };
    struct sockaddr_in tcp = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(stage.http)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    static int fds[2 * CROWD];

    (void)state;
    snprintf(local.sun_path, sizeof local.sun_path, "%.80s/agent.sock", stage.dir);
    start();
    for (unsigned i = 0; i < CROWD; i++) {
        fds[2 * i] = dial(AF_INET, (struct sockaddr *)&tcp, sizeof tcp);
        fds[2 * i + 1] = dial(AF_UNIX, (struct sockaddr *)&local, sizeof local);
    }
    seen = stage.reports;
    stage_until(&stage, has_reported, "reports");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(stage_get(&stage, "/health"), 200);
    for (unsigned i = 0; i < 2 * CROWD; i++)
        close(fds[i]);
    assert_int_equal(stage_get(&stage, "/health"), 200);
}

/* One directory serves one agent, one cgroup one gate: the second says so and ends. */
static void a_second_agent_ends_with_a_clear_error(void **state)
{
    char other[128];
    pid_t second;

    (void)state;
    start();
    second = stage_agent(&stage, NULL);
    assert_int_equal(stage_wait(&stage, second), 78);
    assert_true(stage_log_has(&stage, "already runs with this configuration"));
    assert_true(stage_log_has(&stage, ": socket: ")); /* FILE:LINE: KEY: */
    snprintf(other, sizeof other, "%s/other", stage.dir);
    /* The socket's path is the same as well; whichever it meets first names the trouble. */
    second = stage_agent(&stage, other);
    assert_int_equal(stage_wait(&stage, second), 78);
    seen = stage.reports;
    assign(RF__ROLE__ROLE_STANDBY, 3);
    stage_until(&stage, is_replication, "the first one goes on");
}

/* A final refusal by everybody ends the agent with its reason. */
static void refused_for_good(void **state)
{
    Rf__Refusal r = RF__REFUSAL__INIT;
    Rf__Frame f = RF__FRAME__INIT;

    (void)state;
    stage.welcome = false;
    start();
    r.reason = wire_text("wrong cluster: correct agent.yaml");
    r.final = true;
    f.body_case = RF__FRAME__BODY_REFUSAL;
    f.refusal = &r;
    stage_send(&stage, &f);
    assert_int_equal(stage_wait(&stage, agent), 1);
    agent = 0;
    assert_true(stage_log_has(&stage, "wrong cluster: correct agent.yaml"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_primary_renews_and_stays_closed_without_a_server),
        ON_STAGE(what_is_a_controllers_is_sent_there),
        ON_STAGE(a_lease_ends_with_its_grants),
        ON_STAGE(stale_and_foreign_assignments_are_dropped),
        ON_STAGE(a_fence_is_for_good),
        ON_STAGE(a_successor_adopts_after_sigterm),
        ON_STAGE(a_successor_adopts_after_sigkill),
        ON_STAGE(a_lost_state_is_another_life),
        ON_STAGE(detach_lets_the_port_go),
        ON_STAGE(detach_leaves_no_cgroup),
        ON_STAGE(the_gate_is_proven_when_the_log_asks),
        ON_STAGE(stale_hands_are_harmless),
        ON_STAGE(a_step_that_fails_says_why),
        ON_STAGE(garbage_ends_the_stream_only),
        ON_STAGE(who_says_nothing_keeps_nobody_out),
        ON_STAGE(a_second_agent_ends_with_a_clear_error),
        ON_STAGE(refused_for_good),
    };
    int failed;

    lab_enter("agent");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    lab_leave();
    return failed;
}
