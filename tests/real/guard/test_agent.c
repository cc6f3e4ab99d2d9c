/* A real agent, its guard, a real gate and a real PostgreSQL: the agent is killed or
 * frozen, the gate taken away, the guard killed. Who may write, until when, and who is
 * still there.
 *
 * The server is adopted as a running primary, by a scripted controller that renews. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"
#include "fencing/agent/wire_text.h"
#include "fencing/gate/bpf_find.h"
#include "fencing/gate/cgroup.h"
#include "fencing/guard/guard_page.h"
#include "fencing/guard/proc.h"
#include "tests/real/agent/stage.h"
#include "tests/real/gate/lab.h"
#include "tests/real/provider/cluster.h"

enum { PAST_MS = 700, RENEWALS_MS = 3000 };

static struct stage stage;
static struct world *world;
static pid_t agent;
static struct guard_page *page;
static char more[1024];

/* ---- what is known ---------------------------------------------------------------------
 */

static const struct guard_order *order(void) { return &page->slots[0].order; }

static unsigned processes(void)
{
    const struct guard_process *p = &order()->process;
    unsigned count = 0;

    assert_true(p->dir_ino != 0);
    guard_sweep(&p, 1, false, &count);
    return count;
}

static bool server_is_gone(const struct stage *s)
{
    (void)s;
    return processes() == 0;
}

static bool is_armed(const struct stage *s)
{
    char path[96];

    if (page == NULL) {
        struct stat st;
        int fd;

        snprintf(path, sizeof path, "%s/guard-pg-east.page", s->dir);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0 || st.st_size != sizeof *page)
            return close(fd), false;
        page = mmap(NULL, sizeof *page, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        assert_true(page != MAP_FAILED);
    }
    return order()->armed != 0 && order()->open_until_ns != 0 && page->guard.pid != 0;
}

static unsigned seen;
static bool has_greeted(const struct stage *s) { return s->hellos > seen; }

static struct boot until;
static bool time_has_come(const struct stage *s)
{
    (void)s;
    return boot_now().ns >= until.ns;
}

static void let_pass(uint32_t ms)
{
    until.ns = boot_now().ns + (uint64_t)ms * NS_PER_MS;
    stage_until(&stage, time_has_come, "time");
}

static bool is_ruled(const struct stage *s)
{
    char command[128];

    snprintf(command, sizeof command,
             "nft get element inet ringfence_gate_pg-east managed '{ %u }' >/dev/null 2>&1",
             s->gated);
    return system(command) == 0;
}

/* The deadline that nobody will move on. */
static struct boot deadline(void)
{
    return (struct boot){__atomic_load_n(&order()->lease_until_ns, __ATOMIC_ACQUIRE)};
}

/* ---- the play --------------------------------------------------------------------------
 */

static void start_agent(void)
{
    struct stage_assignment a;

    seen = stage.hellos;
    agent = stage_agent(&stage, NULL);
    stage_until(&stage, has_greeted, "hello");
    stage_assignment(&stage, &a, RF__ROLE__ROLE_PRIMARY, 1);
    a.a.adopt = true;
    stage_assign(&stage, &a, NULL);
}

static void make_table(void)
{
    PGconn *c = client(&world->east);

    assert_non_null(c);
    assert_true(client_run(c, "create table guarded (n int)"));
    PQfinish(c);
}

static void begin_with(const char *guard, const char *driver)
{
    struct node *n = &world->east;

    snprintf(more, sizeof more,
             "guard: %s\npostgres: {bin_dir: %s, socket_dir: %s, tail_dir: %s}\n", guard,
             world->bin, n->socket, world->tail);
    stage.more = more;
    stage.driver = driver;
    stage.data = n->data;
    stage.gated = (uint16_t)n->spec.port;
    lead(n);
    make_table();
    start_agent();
    stage_until(&stage, is_armed, "a guard that knows the server and its deadline");
    assert_true(processes() > 3);
    assert_non_null(strstr(order()->process.cgroup, "/ringfence-world-"));
}

static void take_gate_away(void)
{
    struct cgroup c = {.fd = -1};
    struct bpf_found_list found = {.n = 0};
    struct err err = {0};

    assert_int_equal(cgroup_find(&c, lab_cgroup(NULL), &err), 0);
    assert_int_equal(bpf_find(&found, c.fd, &err), 0);
    assert_int_equal(found.n, 1);
    assert_int_equal(bpf_take_off(&found.list[0], c.fd, &err), 0);
    bpf_found_close(&found);
    cgroup_close(&c);
}

static unsigned rows;

/* When the last write was acknowledged; writes until one is not, or `bound` is over. */
static struct boot last_written(PGconn *c, struct boot bound)
{
    struct boot last = {0};

    for (rows = 0; last.ns < bound.ns && client_run(c, "insert into guarded values (1)");
         rows++)
        last = boot_now();
    return last;
}

/* Writes go on until the server is gone, and none is acknowledged past the deadline. */
static void nothing_is_written_past_the_deadline(void)
{
    PGconn *c = client(&world->east);
    struct boot end = deadline(), last;

    assert_non_null(c);
    last = last_written(c, (struct boot){end.ns + PAST_MS * (uint64_t)NS_PER_MS});
    PQfinish(c);
    print_message("%u writes, the last one %.0f ms before the deadline\n", rows,
                  ((double)end.ns - (double)last.ns) / NS_PER_MS);
    assert_true(rows > 0);
    assert_true(last.ns <= end.ns);
    stage_until(&stage, server_is_gone, "the server's end");
    assert_true(page->slots[0].result.gone_ns <= end.ns);
}

/* The agent is dead and somebody removes the gate: PostgreSQL serves whoever comes, but is
 * gone, to the last process, when its lease is over. */
static void a_dead_agent_without_a_gate(void **state)
{
    (void)state;
    begin_with("missing", NULL);
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    take_gate_away();
    nothing_is_written_past_the_deadline();
}

/* The same of one that is frozen: it neither renews nor dies. */
static void a_frozen_agent_without_a_gate(void **state)
{
    (void)state;
    begin_with("missing", NULL);
    kill(agent, SIGSTOP);
    take_gate_away();
    nothing_is_written_past_the_deadline();
}

static void flush_ruleset(void)
{
    const char *const flush[] = {"nft", "flush", "ruleset", NULL};

    assert_int_equal(lab_run(flush), 0);
}

/* And with nftables, whose table no living owner protects any more. */
static void a_flushed_ruleset_with_the_agent_dead(void **state)
{
    (void)state;
    begin_with("missing", "nftables");
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    flush_ruleset();
    nothing_is_written_past_the_deadline();
}

/* A server that is adopted serves before the gate rules its port, and the guard knows its
 * deadline by then: where the agent dies in between, the table is whole, and rules nothing.
 */
static void a_table_that_does_not_rule_the_port(void **state)
{
    char element[16];
    const char *const let_go[] = {
        "nft",     "delete", "element", "inet", "ringfence_gate_pg-east",
        "managed", "{",      element,   "}",    NULL};

    (void)state;
    begin_with("missing", "nftables");
    stage_until(&stage, is_ruled, "the port in the table");
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    snprintf(element, sizeof element, "%u", stage.gated);
    assert_int_equal(lab_run(let_go), 0);
    nothing_is_written_past_the_deadline();
}

/* Where the gate closes by itself, an end of a lease costs no restart (I3, TTL rule). */
static void in_place_is_enough(const char *driver)
{
    begin_with("missing", driver);
    if (driver != NULL)
        stage_until(&stage, is_ruled, "the port in the table");
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    let_pass(STAGE_TTL_MS + PAST_MS);
    assert_true(boot_now().ns > deadline().ns);
    assert_int_equal(page->slots[0].result.stops, 0);
    assert_true(processes() > 3);
    /* The gate is removed long after: there is no deadline left to wait for. */
    if (driver != NULL)
        flush_ruleset();
    else
        take_gate_away();
    stage_until(&stage, server_is_gone, "the server's end");
}

static void a_gate_in_place_is_enough(void **state)
{
    (void)state;
    in_place_is_enough(NULL);
}

static void a_table_in_place_is_enough(void **state)
{
    (void)state;
    in_place_is_enough("nftables");
}

static void is_gone_by_its_deadline(int how)
{
    begin_with("expired", NULL);
    kill(agent, how);
    stage_until(&stage, server_is_gone, "the server's end");
    assert_true(boot_now().ns <= deadline().ns);
}

/* `guard: expired`: with the gate in place, too, the server is gone by the deadline. */
static void expired_stops_it_behind_a_gate_agent_killed(void **state)
{
    (void)state;
    is_gone_by_its_deadline(SIGKILL);
}

static void expired_stops_it_behind_a_gate_agent_frozen(void **state)
{
    (void)state;
    is_gone_by_its_deadline(SIGSTOP);
}

/* And as long as the lease is renewed, nothing happens. */
static void renewals_keep_it_alive(void **state)
{
    (void)state;
    begin_with("expired", NULL);
    let_pass(RENEWALS_MS);
    assert_int_equal(page->slots[0].result.stops, 0);
    assert_true(processes() > 3);
    assert_true(deadline().ns > boot_now().ns);
}

static uint64_t old_guard;
static bool guard_is_another(const struct stage *s)
{
    (void)s;
    return page->guard.pid != old_guard && guard_life_lives(&page->guard);
}

/* Controllers are told, for `ringfence status`. */
static bool guard_is_told(const struct stage *s)
{
    return s->report != NULL && s->report->agent_report->guard == RF__GUARD_STATE__GUARD_UP;
}

/* A guard that is killed has a successor, which knows the order. */
static void a_killed_guard_is_replaced(void **state)
{
    (void)state;
    begin_with("missing", NULL);
    stage_until(&stage, guard_is_told, "the word that the guard is up");
    old_guard = page->guard.pid;
    kill((pid_t)old_guard, SIGKILL);
    stage_until(&stage, guard_is_another, "another guard");
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    take_gate_away();
    stage_until(&stage, server_is_gone, "the server's end");
    assert_true(boot_now().ns <= deadline().ns);
}

static uint64_t told_before;
static bool deadline_moves_on(const struct stage *s)
{
    (void)s;
    return deadline().ns > told_before;
}

/* An agent that is killed, or ended, and started again finds the guard and goes on telling
 * it; the server lives on, be the successor in time or not: the gate stands. */
static void a_restarted_agent_takes_the_guard_over(void **state)
{
    uint64_t guard;

    (void)state;
    begin_with("missing", NULL);
    guard = page->guard.pid;
    for (int n = 0; n < 2; n++) {
        if (n == 0)
            stage_kill(&stage, agent, SIGKILL);
        else
            assert_int_equal((kill(agent, SIGTERM), stage_wait(&stage, agent)), 0);
        told_before = deadline().ns;
        start_agent();
        stage_until(&stage, deadline_moves_on, "a deadline by the successor");
        until.ns = told_before + (uint64_t)PAST_MS * NS_PER_MS;
        stage_until(&stage, time_has_come, "the last life's deadline to pass");
        assert_int_equal(page->guard.pid, guard);
        assert_int_equal(page->slots[0].result.stops, 0);
        assert_true(processes() > 3);
    }
}

static PGconn *session;
static bool is_connected(const struct stage *s)
{
    (void)s;
    session = client(&world->east);
    return session != NULL;
}

static pid_t busy;
static bool backend_is_alone(const struct stage *s)
{
    (void)s;
    return !guard_life_lives(&order()->process.postmaster);
}

/* PostgreSQL's own end of a server whose postmaster died: a backend that is busy goes on.
 * So the postmaster's end is not taken for the server's. */
static void a_backend_outlives_its_postmaster_but_not_the_deadline(void **state)
{
    char pid[256];

    (void)state;
    begin_with("missing", NULL);
    /* Nobody answers a renewal while it connects: on a busy machine the lease may end. */
    stage_until(&stage, is_connected, "a session");
    client_ask(session, "select pg_backend_pid()", pid);
    busy = (pid_t)strtol(pid, NULL, 10);
    assert_int_equal(PQsendQuery(session, "do $$ begin loop null; end loop; end $$"), 1);
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    take_gate_away();
    kill((pid_t)order()->process.postmaster.pid, SIGKILL);
    stage_until(&stage, backend_is_alone, "the postmaster's end");
    assert_true(guard_proc_start_ms((uint64_t)busy) != 0);
    stage_until(&stage, server_is_gone, "the backend's end");
    assert_true(boot_now().ns <= deadline().ns);
    PQfinish(session);
}

/* ---- fixture ---------------------------------------------------------------------------
 */

static int set_up(void **state)
{
    void *w = NULL;
    int status = world_begin(&w);

    (void)state;
    world = w;
    stage_open(&stage);
    stage.grant = true;
    return status;
}

static int tear_down(void **state)
{
    void *w = world;
    pid_t guard = page != NULL ? (pid_t)page->guard.pid : 0;

    (void)state;
    if (agent != 0)
        stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    if (guard > 0 && guard_life_lives(&page->guard))
        kill(guard, SIGKILL);
    if (page != NULL)
        munmap(page, sizeof *page);
    page = NULL;
    stage_close(&stage);
    return world_end(&w);
}

/* ---- privileges ------------------------------------------------------------------------
 */

/* "CapBnd:" of /proc/PID/status, as a set of bits; all threads of it have the same. */
static uint64_t capabilities(uint64_t pid, const char *which)
{
    char path[96], line[256], of[32];
    uint64_t set = UINT64_MAX;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%" PRIu64 "/status", pid);
    snprintf(of, sizeof of, "%s:\t%%" SCNx64, which);
    f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        (void)sscanf(line, of, &set);
    fclose(f);
    assert_true(set != UINT64_MAX);
    return set;
}

static bool is_worker(uint64_t pid)
{
    char path[96], line[512] = "";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%" PRIu64 "/cmdline", pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    (void)fread(line, 1, sizeof line - 1, f);
    fclose(f);
    return strcmp(line + strlen(line) + 1, "--provider-worker") == 0;
}

/* The agent holds no descriptor of the database, its worker none of the kernel's programs
 * and packets, and the server, whoever takes it over, nothing at all. */
static void each_process_keeps_what_it_needs(void **state)
{
    static const char *const sets[] = {"CapEff", "CapPrm"};
    const uint64_t gate = UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_BPF |
                          UINT64_C(1) << CAP_SYS_ADMIN,
                   priority = UINT64_C(1) << CAP_SYS_NICE | UINT64_C(1) << CAP_IPC_LOCK,
                   kills = UINT64_C(1) << CAP_KILL, looks = UINT64_C(1) << CAP_SYS_PTRACE,
                   user = UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID |
                          UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_FOWNER |
                          UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_DAC_OVERRIDE,
                   all = gate | priority | kills | looks;
    char path[96];
    uint64_t pid, workers = 0;
    FILE *f;

    (void)state;
    begin_with("missing", NULL);
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        assert_int_equal(capabilities((uint64_t)agent, sets[i]), all);
        assert_int_equal(capabilities(page->guard.pid, sets[i]), all);
    }
    assert_int_equal(capabilities(page->guard.pid, "CapBnd"), all);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)agent, (int)agent);
    f = fopen(path, "re");
    assert_non_null(f);
    while (fscanf(f, "%" SCNu64, &pid) == 1) {
        if (!is_worker(pid))
            continue;
        workers++;
        assert_int_equal(capabilities(pid, "CapEff"), user | kills | looks);
        assert_int_equal(capabilities(pid, "CapPrm"), user | kills | looks);
        assert_int_equal(capabilities(pid, "CapBnd"), user | kills | looks);
    }
    fclose(f);
    assert_true(workers > 0);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(each_process_keeps_what_it_needs),
        ON_STAGE(a_dead_agent_without_a_gate),
        ON_STAGE(a_frozen_agent_without_a_gate),
        ON_STAGE(a_flushed_ruleset_with_the_agent_dead),
        ON_STAGE(a_table_that_does_not_rule_the_port),
        ON_STAGE(a_gate_in_place_is_enough),
        ON_STAGE(a_table_in_place_is_enough),
        ON_STAGE(expired_stops_it_behind_a_gate_agent_killed),
        ON_STAGE(expired_stops_it_behind_a_gate_agent_frozen),
        ON_STAGE(renewals_keep_it_alive),
        ON_STAGE(a_killed_guard_is_replaced),
        ON_STAGE(a_restarted_agent_takes_the_guard_over),
        ON_STAGE(a_backend_outlives_its_postmaster_but_not_the_deadline),
    };
    int failed;

    lab_enter("guard");
    failed = cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
    lab_leave();
    return failed;
}
