/* The controller's parts: every allocation of ours fails once in the opening of each, and
 * in that of the whole daemon. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/cli/table.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/fencers.h"
#include "controller/daemon/frontend.h"
#include "controller/daemon/gateway.h"
#include "controller/daemon/jwks.h"
#include "controller/daemon/notices.h"
#include "controller/daemon/lag.h"
#include "controller/daemon/peers.h"
#include "controller/daemon/prober.h"
#include "controller/daemon/renewals.h"
#include "controller/daemon/runner.h"
#include "controller/http/api.h"
#include "controller/httpd/httpd.h"
#include "controller/net/tls_session.h"
#include "controller/net/tls_watch.h"
#include "controller/outbound/outbound.h"
#include "tests/unit/heap/each.h"
#include "tests/unit/heap/heap.h"
#include "tests/unit/net/bench.h"

static struct {
    struct bench bench;
    struct settings settings;
    struct daemon whole; /* opened and closed by each attempt */
    struct daemon d;     /* open while its parts are opened a second time */
    struct identity east, west;
    unsigned homes;
} t;

static const char *in_dir(char *path, size_t size, const char *name)
{
    assert_true(snprintf(path, size, "%s/%s", t.bench.dir, name) < (int)size);
    return path;
}

static void run_dry(void)
{
    uv_unref((uv_handle_t *)&t.bench.alarm);
    listener_close(TAKE(t.bench.listener));
    names_close(TAKE(t.bench.names));
    while (uv_run(&t.bench.loop, UV_RUN_DEFAULT) != 0)
        ; /* a store's thread that found no memory has stopped the loop */
}

static void turn(void)
{
    for (unsigned i = 0; i < 3; i++)
        bench_turn(&t.bench);
}

/* ---- what stands alone ----------------------------------------------------------------
 */

static int try_table(struct err *err)
{
    static const char *const titles[] = {"NAME", NULL};
    AUTO(table_free) struct table *table = table_new(titles);

    return table != NULL ? 0 : err_set(err, ERR_NOMEM, "table");
}

static int try_tls(struct err *err)
{
    char ca[200], cert[200], key[200];
    const struct tls_files files = {in_dir(ca, sizeof ca, "ca.crt"),
                                    in_dir(cert, sizeof cert, "controller-east.crt"),
                                    in_dir(key, sizeof key, "controller-east.key"), NULL};
    struct tls *tls = NULL;
    int status = tls_new(&tls, &files, &t.east, err);

    tls_free(tls);
    return status;
}

static int try_watch(struct err *err)
{
    struct tls_watch *w = NULL;
    int status = tls_watch_open(&w, &t.bench.loop, t.bench.east, 0, err);

    tls_watch_close(w);
    return status;
}

static int try_listener(struct err *err)
{
    static const struct listener_events events = {NULL, NULL, NULL};
    const struct address at = {.host = "127.0.0.1"};
    const struct listener_spec spec = {.at = &at, .events = &events};
    struct listener *l = NULL;
    int status = listener_open(&l, &t.bench.loop, t.bench.east, &spec, err);

    listener_close(l);
    return status;
}

static int try_link(struct err *err)
{
    static const struct link_events events = {NULL, NULL, NULL};
    const struct address at = {.host = "127.0.0.1", .port = 1};
    const struct link_spec spec = {.peer = &t.west, .at = &at, .events = &events};
    struct link *l = NULL;
    int status = link_open(&l, &t.bench.loop, t.bench.east, &spec, err);

    link_close(l);
    return status;
}

/* With a file of an earlier life. */
static int try_names(struct err *err)
{
    static const char text[] = "ringfence-names 1\nwest.test 1 10.0.0.2\n";
    char path[200];
    struct names *n = NULL;
    int fd = open(in_dir(path, sizeof path, "names"), O_WRONLY | O_CREAT, 0600), status;

    assert_true(fd >= 0 && write(fd, text, sizeof text - 1) == sizeof text - 1);
    close(fd);
    status = names_open(&n, &t.bench.loop, path, err);
    names_close(n);
    return status;
}

static int try_lag(struct err *err)
{
    struct lag *l = NULL;
    int status = lag_open(&l, &t.bench.loop, err);

    lag_close(l);
    return status;
}

static void on_request(void *owner, struct http_request *req)
{
    (void)owner;
    (void)req;
}

static int try_httpd(struct err *err)
{
    char path[200];
    const struct httpd_listen at = {.socket_path = in_dir(path, sizeof path, "httpd")};
    struct httpd *h = NULL;
    int status = httpd_open(&h, &t.bench.loop, &at, on_request, NULL, err);

    httpd_close(h);
    return status;
}

static int try_adopt(struct err *err)
{
    static const struct httpd_adopts adopts = {40, 1000, 1000};
    const struct httpd_listen at = {.adopts = &adopts};
    struct httpd *h = NULL;
    int ends[2], status = httpd_open(&h, &t.bench.loop, &at, on_request, NULL, err);

    if (status != 0)
        return status;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    status = httpd_adopt(h, ends[0], NULL, err);
    close(ends[1]);
    httpd_close(h);
    /* libmicrohttpd says only that it does not take it: want of room, to us. */
    if (status == ERR_FULL)
        return err_set(err, ERR_NOMEM, "adopt");
    return status;
}

static void on_guest(void *owner, int fd, const struct door_guest *guest)
{
    (void)owner;
    (void)guest;
    close(fd);
}

static void on_no_guest(void *owner, const struct err *why)
{
    (void)owner;
    (void)why;
}

static int try_door(struct err *err)
{
    static const struct door_events events = {on_guest, on_no_guest};
    static const struct door_limits limits = DOOR_LIMITS;
    const struct address at = {.host = "127.0.0.1"};
    const struct door_spec spec = {.at = &at, .limits = &limits, .events = &events};
    struct door *d = NULL;
    int status = door_open(&d, &t.bench.loop, t.bench.east, &spec, err);

    door_close(d);
    return status;
}

static int try_gateway(struct err *err)
{
    static const struct settings_api api = {
        {.host = "127.0.0.1"}, 40, 40, 40, 40, 1000, 1000, 1000};
    const struct gateway_spec spec = {
        .api = &api, .tls = t.bench.east, .on_guest = on_guest};
    struct gateway *g = NULL;
    int status = gateway_open(&g, &t.bench.loop, &spec, err);

    gateway_close(g);
    return status;
}

static int try_api(struct err *err)
{
    static const struct api_backend backend;
    static const struct api_network network = {40, 40, 1000, 1000};
    char path[200];
    const struct api_listen at = {.socket = in_dir(path, sizeof path, "api"),
                                  .metrics_address = "127.0.0.1",
                                  .network = &network};
    struct api *a = NULL;
    int status = api_open(&a, &t.bench.loop, &at, &backend, err);

    api_close(a);
    return status;
}

static int try_outbound(struct err *err)
{
    const struct outbound_ask ask = {.url = "http://127.0.0.1:1/",
                                     .type = "text/plain",
                                     .body = "x",
                                     .len = 1,
                                     .timeout_ms = 1000,
                                     .answer_max = 100};
    struct outbound *o = NULL;
    int status = outbound_start(&o, &t.bench.loop, &ask, NULL, NULL, err);

    outbound_cancel(o);
    return status;
}

static int try_jwks(struct err *err)
{
    static const struct jwt_config config = {.keys = "https://127.0.0.1:1/"};
    static const struct jwks_times times = {1000, 1000, 1000};
    struct jwks *k = NULL;
    int status = jwks_open(&k, &t.bench.loop, NULL, &config, &times, err);

    jwks_close(k);
    return status;
}

static int try_notices(struct err *err)
{
    const struct notices_spec spec = {.loop = &t.bench.loop};
    struct notices *n = NULL;
    int status = notices_open(&n, &spec, err);

    notices_close(n);
    return status;
}

static const struct heap_case alone[] = {
    {"table_new", try_table, false},
    {"tls_new", try_tls, false},
    {"tls_watch_open", try_watch, false},
    {"listener_open", try_listener, false},
    {"link_open", try_link, false},
    {"names_open", try_names, false},
    {"lag_open", try_lag, false},
    {"httpd_open", try_httpd, false},
    {"api_open", try_api, false},
    {"httpd_adopt", try_adopt, true},
    {"door_open", try_door, false},
    {"gateway_open", try_gateway, false},
    {"outbound_start", try_outbound, false},
    {"jwks_open", try_jwks, false},
    {"notices_open", try_notices, false},
};

static void each_part_that_stands_alone(void **state)
{
    (void)state;
    heap_each(alone, ARRAY_LEN(alone), run_dry);
}

/* ---- the whole ------------------------------------------------------------------------
 */

/* A first start of one of three; the others' ports answer nobody. */
static int try_daemon(struct err *err)
{
    int status;

    t.homes++;
    snprintf(t.settings.data_dir, sizeof t.settings.data_dir, "%s/data-%u", t.bench.dir,
             t.homes);
    status = daemon_open(&t.whole, &t.bench.loop, &t.settings, START_BOOTSTRAP, err);
    if (status == 0)
        daemon_close(&t.whole);
    return status;
}

static const struct heap_case whole[] = {{"daemon_open", try_daemon, true}};

static void the_whole_controller(void **state)
{
    (void)state;
    heap_each(whole, ARRAY_LEN(whole), run_dry);
}

/* ---- parts of a daemon ----------------------------------------------------------------
 */

static int try_agents(struct err *err)
{
    struct agents *a = NULL;
    int status = agents_open(&a, &t.d, err);

    agents_close(a);
    return status;
}

static int try_peers(struct err *err)
{
    struct peers *p = NULL;
    int status = peers_open(&p, &t.d, err);

    peers_close(p);
    return status;
}

static int try_renewals(struct err *err)
{
    struct renewals *r = NULL;
    int status = renewals_open(&r, &t.d, err);

    renewals_close(r);
    return status;
}

static int try_prober(struct err *err)
{
    struct prober *p = NULL;
    int status = prober_open(&p, &t.d, err);

    prober_close(p);
    return status;
}

static int try_fencers(struct err *err)
{
    struct fencers *f = NULL;
    int status = fencers_open(&f, &t.d, err);

    fencers_close(f);
    return status;
}

static int try_runner(struct err *err)
{
    struct runner *r = NULL;
    int status = runner_open(&r, &t.d, err);

    runner_close(r);
    return status;
}

static int try_frontend(struct err *err)
{
    struct frontend *f = NULL;
    int status = frontend_open(&f, &t.d, err);

    frontend_close(f);
    return status;
}

static const struct heap_case parts[] = {
    {"agents_open", try_agents, false},     {"peers_open", try_peers, false},
    {"renewals_open", try_renewals, false}, {"prober_open", try_prober, false},
    {"fencers_open", try_fencers, false},   {"runner_open", try_runner, false},
    {"frontend_open", try_frontend, false},
};

static void each_part_of_a_running_controller(void **state)
{
    struct err err = {0};

    (void)state;
    snprintf(t.settings.data_dir, sizeof t.settings.data_dir, "%s/data", t.bench.dir);
    if (daemon_open(&t.d, &t.bench.loop, &t.settings, START_BOOTSTRAP, &err) != 0)
        fail_msg("%s", err.text);
    in_dir(t.d.settings.socket, sizeof t.d.settings.socket, "second");
    heap_each(parts, ARRAY_LEN(parts), turn);
    daemon_close(&t.d);
    run_dry();
}

/* ---- */

static int begin(void **state)
{
    static const char *const names[] = {"east", "west", "witness"};

    (void)state;
    bench_open(&t.bench, NULL);
    t.east = bench_id(IDENTITY_CONTROLLER, "east");
    t.west = bench_id(IDENTITY_CONTROLLER, "west");
    t.settings = (struct settings){.cluster = "prod",
                                   .name = "east",
                                   .listen = {.host = "127.0.0.1"},
                                   .election_ms = 30000,
                                   .heartbeat_ms = 1000,
                                   .count = ARRAY_LEN(names)};
    in_dir(t.settings.socket, sizeof t.settings.socket, "socket");
    in_dir(t.settings.ca, sizeof t.settings.ca, "ca.crt");
    in_dir(t.settings.cert, sizeof t.settings.cert, "controller-east.crt");
    in_dir(t.settings.key, sizeof t.settings.key, "controller-east.key");
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        struct settings_controller *c = &t.settings.controllers[i];

        c->id = i + 1;
        snprintf(c->name, sizeof c->name, "%s", names[i]);
        c->at = (struct address){.host = "127.0.0.1", .port = 1};
    }
    heap_spare_libraft();
    return 0;
}

static int end(void **state)
{
    (void)state;
    bench_close(&t.bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_that_stands_alone),
        cmocka_unit_test(the_whole_controller),
        cmocka_unit_test(each_part_of_a_running_controller),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
