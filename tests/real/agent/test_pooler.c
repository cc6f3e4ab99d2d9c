/* A real pgbouncer beside a real PostgreSQL, a real agent and a real gate, and clients in
 * another network namespace, by IPv4 and IPv6: who is served until when, if the pooler's
 * port is listed and if it is not, and who may come to a standby. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/agent/wire_text.h"
#include "tests/real/agent/stage.h"
#include "tests/real/gate/lab.h"
#include "tests/real/provider/cluster.h"

enum { ANSWER_MS = 800, PAST_MS = 300 };

static struct stage stage;
static struct world *world;
static pid_t agent, pooler, holder; /* the latter holds the clients' namespace */
static int here = -1, there = -1;   /* namespaces */
static uint16_t pooled;             /* the pooler's port */
static uint64_t assigned;           /* index of the last assignment */
static char more[512];

static const char server4[] = "10.99.0.1", server6[] = "fd99::1";

/* ---- clients elsewhere -----------------------------------------------------------------
 */

static int hold_namespace(void)
{
    int ready[2];
    char byte = 0;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    holder = fork();
    if (holder == 0) {
        if (unshare(CLONE_NEWNET) != 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return 0;
}

static int namespace_of(pid_t pid)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int elsewhere(void **state)
{
    (void)state;
    if (world_group_setup(state) != 0 || hold_namespace() != 0)
        return -1;
    here = namespace_of(getpid());
    there = namespace_of(holder);
    return run("ip addr add fd99::1/64 dev near nodad && ip link set far netns %d && "
               "nsenter -t %d -n sh -c 'ip link set lo up && "
               "ip addr add 10.99.0.2/24 dev far && ip addr add 10.99.0.9/24 dev far && "
               "ip addr add fd99::2/64 dev far nodad && "
               "ip addr add fd99::9/64 dev far nodad && ip link set far up'",
               holder, holder);
}

static int home_again(void **state)
{
    kill(holder, SIGKILL);
    (void)waitpid(holder, NULL, 0);
    close(here);
    close(there);
    return world_group_teardown(state);
}

/* 2 is a client, 9 the monitor. */
static void speak_as(unsigned host)
{
    assert_int_equal(run("nsenter -t %d -n sh -c '"
                         "ip route replace 10.99.0.1/32 dev far src 10.99.0.%u && "
                         "ip -6 route replace fd99::1/128 dev far src fd99::%u'",
                         holder, host, host),
                     0);
}

static bool reaches(const char *host, uint16_t port)
{
    int fd;

    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    fd = lab_call(NULL, host, port, LAB_SILENCE_MS);
    assert_int_equal(setns(here, CLONE_NEWNET), 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static PGconn *connect_to(const char *host)
{
    char how[160];
    PGconn *c;

    snprintf(how, sizeof how,
             "host=%s port=%u user=postgres dbname=postgres connect_timeout=2 "
             "sslmode=disable gssencmode=disable",
             host, pooled);
    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    c = PQconnectdb(how);
    assert_int_equal(setns(here, CLONE_NEWNET), 0);
    if (PQstatus(c) != CONNECTION_OK)
        fail_msg("%s: %s", host, PQerrorMessage(c));
    return c;
}

/* Acknowledged within ANSWER_MS; after a silence the session is of no use any more. Also
 * between what ends the statement and what ends the answer there may be a silence. */
static bool does(PGconn *c, const char *sql)
{
    const struct mono began = mono_now();
    struct pollfd waiting = {.fd = PQsocket(c), .events = POLLIN};
    bool ok = PQsendQuery(c, sql) == 1;
    PGresult *r;

    while (ok) {
        if (PQisBusy(c) == 1) {
            if (mono_since_ms(began, mono_now()) >= ANSWER_MS)
                return false;
            (void)poll(&waiting, 1, 10);
            ok = PQconsumeInput(c) == 1;
            continue;
        }
        r = PQgetResult(c);
        if (r == NULL)
            return true;
        ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
        PQclear(r);
    }
    return false;
}

static bool writes(PGconn *c) { return does(c, "insert into gated values (1)"); }

/* ---- the host --------------------------------------------------------------------------
 */

static void as_postgres(const char *command)
{
    assert_int_equal(run("cd / && setpriv --reuid postgres --regid postgres --clear-groups "
                         "%s >/dev/null",
                         command),
                     0);
}

/* Behind every gate. */
static void psql(const char *sql)
{
    char command[300];

    snprintf(command, sizeof command, "psql -X -q -h %s -p %u -c '%s'", world->east.socket,
             world->east.spec.port, sql);
    as_postgres(command);
}

static bool pooler_answers(void *owner)
{
    int fd = lab_call(NULL, "127.0.0.1", pooled, LAB_SILENCE_MS);

    (void)owner;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* As people run it: on the server's host, over its Unix socket, for everybody. */
static void start_pooler(void)
{
    char file[128];
    FILE *f;

    snprintf(file, sizeof file, "%s/pgbouncer.ini", world->dir);
    f = fopen(file, "w");
    assert_non_null(f);
    fprintf(f,
            "[databases]\n* = host=%s port=%u user=postgres dbname=postgres\n"
            "[pgbouncer]\nlisten_addr = *\nlisten_port = %u\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = session\n",
            world->east.socket, world->east.spec.port, pooled);
    fclose(f);
    pooler = fork();
    if (pooler == 0) {
        execlp("setpriv", "setpriv", "--reuid", "postgres", "--regid", "postgres",
               "--clear-groups", "pgbouncer", "-q", file, (char *)NULL);
        _exit(127);
    }
    eventually(pooler_answers, NULL, 5000);
}

static void stop_pooler(void)
{
    if (pooler == 0)
        return;
    kill(pooler, SIGKILL);
    (void)waitpid(pooler, NULL, 0);
    pooler = 0;
}

static int begin(void **state)
{
    const struct node *n;

    if (world_begin(state) != 0)
        return -1;
    world = *state;
    n = &world->east;
    stage_open(&stage);
    snprintf(more, sizeof more,
             "guard: off\npostgres: {bin_dir: %s, socket_dir: %s, tail_dir: %s}\n",
             world->bin, n->socket, world->tail);
    stage.more = more;
    stage.data = n->data;
    pooled = stage.gated; /* free a moment ago */
    stage.gated = (uint16_t)n->spec.port;
    agent = pooler = 0;
    assigned = 0;
    speak_as(2);
    return 0;
}

static int end(void **state)
{
    struct err err;
    struct gate *left = NULL;
    const struct gate_config config = {
        .cgroup = lab_cgroup(NULL), .run_dir = stage.dir, .agent = "pg-east"};

    if (agent != 0)
        stage_kill(&stage, agent, SIGKILL);
    stop_pooler();
    if (gate_open(&left, &config, &err) != 0 || gate_detach(left, &err) != 0)
        print_message("%s\n", err.text);
    stage_close(&stage);
    return world_end(state);
}

static bool has_greeted(const struct stage *s) { return s->hellos > 0; }

static bool gate_is(const struct stage *s, const char *mode)
{
    return stage_report(s) != NULL && strcmp(stage_report(s)->gate_mode, mode) == 0;
}

static bool is_open(const struct stage *s) { return gate_is(s, "open"); }

/* The group's file has come to this. */
static void assign(Rf__Role role, uint64_t epoch, bool listed, bool excepted)
{
    static char monitor4[] = "10.99.0.9", monitor6[] = "fd99::9";
    char *exceptions[] = {monitor4, monitor6};
    Rf__AlsoPort also = RF__ALSO_PORT__INIT, *list[] = {&also};
    struct stage_assignment a;

    stage_assignment(&stage, &a, role, epoch);
    a.a.index = assigned = assigned + 100;
    a.a.adopt = true;
    also.port = pooled;
    a.a.n_also_ports = listed ? 1 : 0;
    a.a.also_ports = list;
    a.a.n_exceptions = excepted ? 2 : 0;
    a.a.exceptions = exceptions;
    stage_assign(&stage, &a, NULL);
}

static void start_agent(const char *driver)
{
    stage.driver = driver;
    agent = stage_agent(&stage, NULL);
    stage_until(&stage, has_greeted, "hello");
}

static void start_primary(const char *driver, bool listed)
{
    lead(&world->east);
    psql("create table gated (n int)");
    start_pooler();
    start_agent(driver);
    assign(RF__ROLE__ROLE_PRIMARY, 1, listed, false);
    stage_until(&stage, is_open, "an open gate");
}

/* Past every answer that was given. */
static struct boot bound(void)
{
    return (struct boot){stage.renew->renew->sent_boot_ns +
                         (uint64_t)STAGE_TTL_MS * NS_PER_MS};
}

/* ---- what is claimed -------------------------------------------------------------------
 */

/* Why it has to be listed: behind the closed gate of the server's own port clients are
 * served on by the pooler. */
static void an_unlisted_pooler_goes_on_serving(void **state)
{
    PGconn *c;

    (void)state;
    start_primary("ebpf", false);
    c = connect_to(server4);
    kill(agent, SIGSTOP);
    while (boot_now().ns < bound().ns + (uint64_t)PAST_MS * NS_PER_MS)
        poll(NULL, 0, 20);
    assert_true(lab_call(NULL, "127.0.0.1", stage.gated, LAB_SILENCE_MS) < 0);
    assert_true(writes(c));
    PQfinish(c);
    assert_true(reaches(server6, pooled));
}

static bool is_gated_too(const struct stage *s)
{
    char line[64];

    snprintf(line, sizeof line, "port %u is gated with port %u", pooled, s->gated);
    return stage_log_has(s, line);
}

static void until_served(const char *server)
{
    const struct mono began = mono_now();

    while (!reaches(server, pooled)) {
        if (mono_since_ms(began, mono_now()) > STAGE_WAIT_MS)
            fail_msg("%s: port %u stays closed", server, pooled);
        (void)uv_run(&stage.loop, UV_RUN_NOWAIT);
    }
}

/* I3: from the moment on that the group lists it, it closes with the server's own, though
 * the agent is frozen. By eBPF that moment costs those who are connected nothing. By
 * nftables it closes the port until the next lease is written (nft_set_also()): there they
 * connect behind it. */
static void is_cut_at_the_deadline(const char *driver)
{
    const bool nft = strcmp(driver, "nftables") == 0;
    struct boot last = {0};
    PGconn *c4, *c6;
    unsigned rows = 0;

    start_primary(driver, nft);
    if (nft) {
        stage_until(&stage, is_gated_too, "a gated pooler");
        until_served(server4);
        until_served(server6);
    }
    c4 = connect_to(server4);
    c6 = connect_to(server6);
    assign(RF__ROLE__ROLE_PRIMARY, 1, true, false);
    for (unsigned after = 0; after < 10; after += is_gated_too(&stage) ? 1 : 0) {
        assert_true(writes(c4) && writes(c6));
        (void)uv_run(&stage.loop, UV_RUN_NOWAIT);
    }
    kill(agent, SIGSTOP);
    /* When it was begun: who is told late that it was acknowledged is not the gate. */
    for (struct boot begun = boot_now(); writes(c4); begun = boot_now(), rows++)
        last = begun;
    print_message("%s: %u writes, the last begun %.1f ms before the bound\n", driver, rows,
                  ((double)bound().ns - (double)last.ns) / NS_PER_MS);
    assert_true(rows > 0);
    assert_true(last.ns <= bound().ns);
    assert_false(writes(c6));
    assert_false(reaches(server4, pooled));
    assert_false(reaches(server6, pooled));
    psql("insert into gated values (2)"); /* the server would have served them */
    PQfinish(c4);
    PQfinish(c6);
}

static void a_listed_pooler_is_cut_at_the_deadline_bpf(void **state)
{
    (void)state;
    is_cut_at_the_deadline("ebpf");
}

static void a_listed_pooler_is_cut_at_the_deadline_nft(void **state)
{
    (void)state;
    is_cut_at_the_deadline("nftables");
}

static bool is_kept(const struct stage *s)
{
    return stage_report(s) != NULL &&
           strstr(stage_report(s)->problem, "is not listed any more") != NULL;
}

static bool is_let_go(const struct stage *s)
{
    char line[64];

    snprintf(line, sizeof line, "port %u is not gated any more", pooled);
    return stage_log_has(s, line);
}

/* A file without it opens nothing as long as the pooler is there. */
static void one_that_left_the_file_is_let_go_when_it_is_gone(void **state)
{
    PGconn *c;

    (void)state;
    start_primary("ebpf", true);
    c = connect_to(server4);
    assign(RF__ROLE__ROLE_PRIMARY, 1, false, false);
    stage_until(&stage, is_kept, "a report that it stays gated");
    assert_true(writes(c));
    PQfinish(c);
    assert_false(is_let_go(&stage));
    stop_pooler();
    stage_until(&stage, is_let_go, "its end");
}

/* Of a standby nothing but being in recovery is needed: it waits for WAL that never comes.
 */
static void start_standby(const char *driver)
{
    const struct node *n = &world->east;
    char command[700];

    assert_int_equal(run("install -d -o postgres -m 0700 %s && "
                         "install -o postgres /dev/null %s/standby.signal",
                         n->socket, n->data),
                     0);
    snprintf(command, sizeof command,
             "%s/pg_ctl -w -D %s -l %s/log -o \"-p %u -k %s -c listen_addresses=%s "
             "-c max_connections=100 -c max_wal_senders=10\" "
             "start",
             world->bin, n->data, n->data, n->spec.port, n->socket, server4);
    as_postgres(command);
    start_pooler();
    start_agent(driver);
    assign(RF__ROLE__ROLE_STANDBY, 3, true, true);
}

static bool are_admitted(const struct stage *s)
{
    return stage_log_has(s, "exceptions are admitted") && gate_is(s, "replication");
}

static bool are_shown_out(const struct stage *s)
{
    return stage_log_has(s, "exceptions are shown out");
}

/* The monitor reads from a standby whose gate is closed for clients, cannot write there,
 * and is shown out before the standby may become a primary. */
static void an_exception_reads_from_a_standby(const char *driver)
{
    const char *const servers[] = {server4, server6};

    start_standby(driver);
    stage_until(&stage, are_admitted, "exceptions at the standby's gate");
    for (size_t i = 0; i < 2; i++) {
        PGconn *c;

        speak_as(9);
        c = connect_to(servers[i]);
        assert_true(does(c, "select 1 / pg_is_in_recovery()::int"));
        assert_false(does(c, "create table mine (n int)"));
        PQfinish(c);
        assert_true(reaches(server4, stage.gated)); /* at the server's own, too */
        speak_as(2);
        assert_false(reaches(servers[i], pooled));
        assert_false(reaches(server4, stage.gated));
    }
    stage.grant = false;
    assign(RF__ROLE__ROLE_PRIMARY, 4, true, true);
    stage_until(&stage, are_shown_out, "nobody admitted to what may be promoted");
    speak_as(9);
    assert_false(reaches(server4, pooled));
    assert_false(reaches(server6, pooled));
}

static void an_exception_reads_from_a_standby_bpf(void **state)
{
    (void)state;
    an_exception_reads_from_a_standby("ebpf");
}

static void an_exception_reads_from_a_standby_nft(void **state)
{
    (void)state;
    an_exception_reads_from_a_standby("nftables");
}

#define PLAYED(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAYED(an_unlisted_pooler_goes_on_serving),
        PLAYED(a_listed_pooler_is_cut_at_the_deadline_bpf),
        PLAYED(a_listed_pooler_is_cut_at_the_deadline_nft),
        PLAYED(one_that_left_the_file_is_let_go_when_it_is_gone),
        PLAYED(an_exception_reads_from_a_standby_bpf),
        PLAYED(an_exception_reads_from_a_standby_nft),
    };
    int failed;

    if (run("command -v pgbouncer >/dev/null") != 0) {
        (void)fprintf(stderr, "needs pgbouncer (deploy/install-deps)\n");
        return LAB_SKIP;
    }
    lab_enter("pooler");
    failed = cmocka_run_group_tests(tests, elsewhere, home_again);
    lab_leave();
    return failed;
}
