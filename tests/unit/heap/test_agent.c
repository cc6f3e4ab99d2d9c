/* The agent's parts: every allocation of ours fails once in the opening of each. The gate's
 * kernel half is not there (real.gate.heap opens that); what stands in for it installs
 * nothing and has no ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/net/pki.h"
#include "controller/net/tls.h"
#include "fencing/agent/bell.h"
#include "fencing/agent/disk_probe.h"
#include "fencing/agent/doctor.h"
#include "fencing/agent/endpoints.h"
#include "fencing/agent/guard_link.h"
#include "fencing/agent/helper.h"
#include "fencing/agent/keeper.h"
#include "fencing/agent/syncer.h"
#include "fencing/gate/clockcheck.h"
#include "fencing/gate/gate_internal.h"
#include "providers/postgres/pg.h"
#include "providers/provider.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/heap/each.h"
#include "tests/unit/heap/heap.h"

enum { PROBE_MS = 5000 };

static struct {
    uv_loop_t loop;
    char dir[TREE_PATH], state_dir[TREE_PATH + 16];
    struct agent_settings settings;
    struct tls *tls;
    struct agent_state state;
    struct agent_contents contents;
    struct board *board;
    bool no_libpq;
} t;

/* ---- what stands in -------------------------------------------------------------------
 */

int __wrap_gate_bpf_open(struct gate *gate, struct err *err);
int __real_clockcheck_open(struct clockcheck **ret_check, bool kernel, struct err *err);
int __wrap_clockcheck_open(struct clockcheck **ret_check, bool kernel, struct err *err);
PGconn *__real_PQconnectStart(const char *conninfo);
PGconn *__wrap_PQconnectStart(const char *conninfo);
PGconn *__real_PQconnectStartParams(const char *const *keys, const char *const *values,
                                    int expand);
PGconn *__wrap_PQconnectStartParams(const char *const *keys, const char *const *values,
                                    int expand);

static void free_nothing(struct gate *gate) { (void)gate; }

static const struct gate_ops no_kernel = {.free = free_nothing};

int __wrap_gate_bpf_open(struct gate *gate, struct err *err)
{
    (void)err;
    gate->ops = &no_kernel;
    gate->can = (struct gate_capabilities){.driver = GATE_BPF};
    return 0;
}

int __wrap_clockcheck_open(struct clockcheck **ret_check, bool kernel, struct err *err)
{
    (void)kernel;
    return __real_clockcheck_open(ret_check, false, err);
}

/* libpq's own memory ends. */
PGconn *__wrap_PQconnectStart(const char *conninfo)
{
    return t.no_libpq ? NULL : __real_PQconnectStart(conninfo);
}

PGconn *__wrap_PQconnectStartParams(const char *const *keys, const char *const *values,
                                    int expand)
{
    return t.no_libpq ? NULL : __real_PQconnectStartParams(keys, values, expand);
}

static void run_dry(void) { uv_run(&t.loop, UV_RUN_DEFAULT); }

/* ---- the main thread's parts ----------------------------------------------------------
 */

static int try_board(struct err *err)
{
    struct board *b = NULL;
    int status = board_new(&b, err);

    board_free(b);
    return status;
}

static void on_rung(void *owner) { (void)owner; }

static int try_bell(struct err *err)
{
    struct bell *b = NULL;
    int status = bell_open(&b, &t.loop, on_rung, NULL, err);

    bell_close(b);
    return status;
}

static void on_probed(void *owner, const struct err *why)
{
    (void)owner;
    (void)why;
}

static int try_disk_probe(struct err *err)
{
    const struct disk_probe_parts parts = {
        .loop = &t.loop, .dir = &t.state.dir, .deadline_ms = PROBE_MS, .says = on_probed};
    struct disk_probe *p = NULL;
    int status = disk_probe_open(&p, &parts, err);

    disk_probe_close(p);
    return status;
}

static void on_synced(void *owner, const struct err *why, uint32_t took_us)
{
    (void)owner;
    (void)why;
    (void)took_us;
}

static int try_syncer(struct err *err)
{
    const struct syncer_parts parts = {
        .loop = &t.loop, .state = &t.state, .on_done = on_synced};
    struct syncer *s = NULL;
    int status = syncer_open(&s, &parts, err);

    syncer_close(s);
    return status;
}

/* Over a file that is there, so that it is read. */
static int try_state(struct err *err)
{
    struct agent_state s;
    struct agent_contents c;
    int status;

    agent_state_close(&t.state);
    status = agent_state_open(&s, t.state_dir, &c, &t.contents, err);
    agent_state_close(&s);
    heap_hold();
    assert_int_equal(
        agent_state_open(&t.state, t.state_dir, &t.contents, &t.contents, NULL), 0);
    return status;
}

static int try_steps(struct err *err)
{
    const struct steps_parts parts = {.loop = &t.loop,
                                      .settings = &t.settings,
                                      .board = t.board,
                                      .dir = &t.state.dir,
                                      .epochs = &t.contents.epochs};
    struct steps *st = NULL;
    int status = steps_open(&st, &parts, err);

    steps_close(st);
    return status;
}

static void on_reply(void *owner, const Rf__ProviderReply *reply, const struct err *why)
{
    (void)owner;
    (void)reply;
    (void)why;
}

/* Its child is this program again, which ends at once as a worker (main()). */
static int try_helper(struct err *err)
{
    struct helper *h = NULL;
    int status = helper_open(&h, &t.loop, on_reply, NULL, err);

    helper_close(h);
    return status;
}

static struct endpoints_parts endpoints_parts(void)
{
    return (struct endpoints_parts){
        .loop = &t.loop, .settings = &t.settings, .board = t.board};
}

static int try_doctors(struct err *err)
{
    const struct endpoints_parts parts = endpoints_parts();
    struct doctors *d = NULL;
    int status = doctors_new(&d, &parts, err);

    doctors_close(d);
    return status;
}

static int try_endpoints(struct err *err)
{
    const struct endpoints_parts parts = endpoints_parts();
    struct endpoints *e = NULL;
    int status = endpoints_open(&e, &parts, err);

    endpoints_close(e);
    return status;
}

static int try_tls(struct err *err)
{
    char ca[100], cert[100], key[100];
    const struct tls_files files = {ca, cert, key, NULL};
    struct identity self;
    struct tls *tls = NULL;
    int status = identity_make(&self, IDENTITY_AGENT, "demo", "pg-east", err);

    snprintf(ca, sizeof ca, "%s/ca.crt", t.dir);
    snprintf(cert, sizeof cert, "%s/agent-pg-east.crt", t.dir);
    snprintf(key, sizeof key, "%s/agent-pg-east.key", t.dir);
    if (status == 0)
        status = tls_new(&tls, &files, &self, err);
    tls_free(t.tls);
    t.tls = tls;
    return status;
}

/* ---- the keeper's parts ---------------------------------------------------------------
 */

static int try_gate(struct err *err)
{
    const struct gate_config config = {
        .driver = GATE_BPF, .run_dir = t.dir, .agent = "pg-east", .cgroup = NULL};
    struct gate *g = NULL;
    int status = gate_open(&g, &config, err);

    gate_free(g);
    return status;
}

static int try_clockcheck(struct err *err)
{
    struct clockcheck *c = NULL;
    int status = clockcheck_open(&c, false, err);

    clockcheck_close(c);
    return status;
}

/* Its guard is /bin/true, and ends at once. */
static int try_guard(struct err *err)
{
    const struct guard_link_spec spec = {.loop = &t.loop,
                                         .run_dir = t.dir,
                                         .agent = "pg-east",
                                         .watchdog = "",
                                         .program = "/bin/true"};
    struct guard_link *l = NULL;
    int status = guard_link_open(&l, &spec, err);

    guard_link_close(l);
    (void)uv_run(&t.loop, UV_RUN_NOWAIT);
    return status;
}

/* A thread, whose links dial on: it starts as a whole or not at all. */
static int try_keeper(struct err *err)
{
    const struct keeper_parts parts = {.settings = &t.settings,
                                       .tls = t.tls,
                                       .board = t.board,
                                       .state = &t.state,
                                       .contents = &t.contents};
    struct keeper *k = NULL;
    int status = keeper_start(&k, &parts, err);

    heap_hold();
    keeper_stop(k);
    return status;
}

/* ---- the provider's -------------------------------------------------------------------
 */

static Rf__ServerSpec a_server(void)
{
    Rf__ServerSpec spec = RF__SERVER_SPEC__INIT;

    spec.provider = "postgres";
    spec.data = t.dir;
    spec.bin_dir = spec.socket_dir = spec.tail_dir = t.dir;
    spec.superuser = "postgres";
    spec.replication_user = "ringfence";
    spec.port = 5432;
    spec.group = "orders";
    spec.start = "pg_ctl";
    return spec;
}

static int try_provider(struct err *err)
{
    const struct provider_ops *ops = provider_find("postgres");
    Rf__ServerSpec spec = a_server();
    struct provider *p = NULL;
    int status;

    assert_non_null(ops);
    status = ops->open(&p, &spec, err);
    ops->close(p);
    return status;
}

/* A session allocates nothing of ours; libpq says that it has no memory by giving none. */
static void sessions_say_that_libpq_has_no_memory(void **state)
{
    Rf__ServerSpec spec = a_server();
    struct pg pg = {.spec = &spec, .user = "postgres"};
    struct pg_conn c = {0};
    struct err err = {0};

    (void)state;
    t.no_libpq = true;
    assert_int_equal(pg_conn_open(&pg, &c, "", mono_now(), &err), ERR_NOMEM);
    assert_string_not_equal(err.text, "");
    pg_conn_close(&c);
    err = (struct err){0};
    assert_int_equal(pg_conn_dial(&pg, &c, "host=127.0.0.1", mono_now(), &err), ERR_NOMEM);
    assert_string_not_equal(err.text, "");
    t.no_libpq = false;
    assert_int_not_equal(pg_conn_open(&pg, &c, "", mono_now(), &err), ERR_NOMEM);
    pg_conn_close(&c);
}

/* ---- */

static const struct heap_case cases[] = {
    {"board_new", try_board, false},
    {"bell_open", try_bell, false},
    {"disk_probe_open", try_disk_probe, true},
    {"syncer_open", try_syncer, true},
    {"agent_state_open", try_state, false},
    {"steps_open", try_steps, true},
    {"helper_open", try_helper, false},
    {"doctors_new", try_doctors, false},
    {"endpoints_open", try_endpoints, false},
    {"tls_new", try_tls, false},
    {"clockcheck_open", try_clockcheck, false},
    {"gate_open", try_gate, false},
    {"guard_link_open", try_guard, false},
    {"keeper_start", try_keeper, true},
    {"a provider", try_provider, false},
};

static void each_part(void **state)
{
    (void)state;
    heap_each(cases, ARRAY_LEN(cases), run_dry);
}

static int begin(void **state)
{
    struct err err = {0};
    struct agent_settings *s = &t.settings;
    struct agent_contents self = {.cluster = "demo", .agent = "pg-east"};

    (void)state;
    tree_make(t.dir, "/tmp");
    snprintf(t.state_dir, sizeof t.state_dir, "%s/state", t.dir);
    if (pki_init(t.dir, "demo", 10, &err) != 0 ||
        pki_issue(t.dir, IDENTITY_AGENT, "pg-east", 10, &err) != 0 ||
        agent_state_open(&t.state, t.state_dir, &t.contents, &self, &err) != 0)
        fail_msg("%s", err.text);
    t.contents.epochs.count = 1;
    t.contents.epochs.of[0] = (struct epoch_record){"orders", 4, 3, 0, {0}, false};
    assert_int_equal(agent_state_write(&t.state, &t.contents, NULL), 0);
    assert_int_equal(uv_loop_init(&t.loop), 0);
    assert_int_equal(board_new(&t.board, &err), 0);
    *s = (struct agent_settings){
        .cluster = "demo",
        .name = "pg-east",
        .region = "east",
        .has_http = true,
        .http = {.host = "127.0.0.1"},
        .driver = GATE_BPF,
        .controller_count = 2,
        .controllers = {{"east", {"127.0.0.1", 1}}, {"west", {"127.0.0.1", 1}}}};
    snprintf(s->state_dir, sizeof s->state_dir, "%s", t.state_dir);
    snprintf(s->run_dir, sizeof s->run_dir, "%s", t.dir);
    snprintf(s->socket, sizeof s->socket, "%s/socket", t.dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    board_free(t.board);
    tls_free(t.tls);
    agent_state_close(&t.state);
    assert_int_equal(uv_loop_close(&t.loop), 0);
    return tree_remove(t.dir);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part),
        cmocka_unit_test(sessions_say_that_libpq_has_no_memory),
    };

    if (argc > 1 && strcmp(argv[1], "--provider-worker") == 0)
        return 0;
    return cmocka_run_group_tests(tests, begin, end);
}
