/* The doctor's own looks, with what it asks around for played here: an answer comes once,
 * whatever a peer's port does, and nothing of a request is used after its end. */
#include "tests/unit/agent/cmocka_env.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"
#include "controller/httpd/httpd.h"
#include "fencing/agent/agent_check.h"
#include "fencing/agent/doctor.h"

enum { QUEUED = 4, PEERS_MAX = 4 };

struct http_request {
    unsigned answers;
    char text[8192];
};

static Rf__PeerInstance peer[PEERS_MAX];
static Rf__PeerInstance *peers[PEERS_MAX];
static Rf__Assignment assignment;

/* ---- what the doctor asks ---------------------------------------------------------- */

void http_reply(struct http_request *req, unsigned status, const char *type,
                const void *body, size_t len)
{
    (void)type;
    assert_int_equal(status, 200);
    req->answers++;
    snprintf(req->text, sizeof req->text, "%.*s", (int)len, (const char *)body);
}

bool steps_view(struct steps *st, uint8_t slot, struct steps_view *ret)
{
    (void)st;
    *ret =
        (struct steps_view){.group = "orders", .assigned = true, .assignment = &assignment};
    return slot == 0;
}

bool steps_ask_checks(struct steps *st, uint8_t slot, steps_checks *on_checks, void *owner)
{
    (void)st;
    (void)slot;
    (void)on_checks;
    (void)owner;
    return false;
}

void steps_forget_checks(struct steps *st, const void *owner)
{
    (void)st;
    (void)owner;
}

void board_view(struct board *b, uint8_t slot, struct keeper_view *ret)
{
    (void)b;
    (void)slot;
    *ret = (struct keeper_view){.managed = true, .tried = true};
}

static struct guard_health guard;

void board_health(struct board *b, struct board_health *ret)
{
    (void)b;
    *ret = (struct board_health){.clock_same = true, .enrolled = true, .guard = guard};
}

void agent_check_server(const struct agent_settings *s, bool starting, struct findings *f)
{
    (void)s;
    (void)starting;
    (void)f;
}

void agent_check_trust(const struct agent_settings *s, struct findings *f)
{
    (void)s;
    (void)f;
}

/* ---- ports -------------------------------------------------------------------------- */

/* A queue that nobody empties: the kernel drops what else wants to connect. */
struct silent {
    int listener, queued[QUEUED];
    uint16_t port;
};

static void make_silent(struct silent *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 0), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &len), 0);
    s->port = ntohs(at.sin_port);
    for (unsigned i = 0; i < QUEUED; i++) {
        s->queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(s->queued[i], (struct sockaddr *)&at, sizeof at);
    }
}

static void close_silent(struct silent *s)
{
    for (unsigned i = 0; i < QUEUED; i++)
        close(s->queued[i]);
    close(s->listener);
}

static void add_peer(const char *address, uint16_t port)
{
    Rf__PeerInstance *p = &peer[assignment.n_peers];
    static char names[PEERS_MAX][8], addresses[PEERS_MAX][32];

    rf__peer_instance__init(p);
    snprintf(names[assignment.n_peers], sizeof names[0], "pg-%zu", assignment.n_peers);
    snprintf(addresses[assignment.n_peers], sizeof addresses[0], "%s", address);
    p->instance = names[assignment.n_peers];
    p->address = addresses[assignment.n_peers];
    p->port = port;
    peers[assignment.n_peers++] = p;
    assignment.peers = peers;
}

/* ---- the rig ------------------------------------------------------------------------ */

struct rig {
    uv_loop_t loop;
    struct agent_settings settings;
    struct doctors *doctors;
    struct http_request req;
    struct silent silent;
    char dir[32];
};

static void set_up(struct rig *r)
{
    struct endpoints_parts parts = {.loop = &r->loop, .settings = &r->settings};

    memset(r, 0, sizeof *r);
    rf__assignment__init(&assignment);
    snprintf(r->dir, sizeof r->dir, "/tmp/rf-doctor-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->settings.name, sizeof r->settings.name, "pg-west");
    snprintf(r->settings.state_dir, sizeof r->settings.state_dir, "%s", r->dir);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    make_silent(&r->silent);
    assert_int_equal(doctors_new(&r->doctors, &parts, NULL), 0);
}

static void tear_down(struct rig *r)
{
    doctors_close(TAKE(r->doctors));
    assert_int_equal(uv_run(&r->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    close_silent(&r->silent);
    assert_int_equal(rmdir(r->dir), 0);
}

static void run_until_answered(struct rig *r)
{
    struct mono begin = mono_now();

    while (r->req.answers == 0 && mono_since_ms(begin, mono_now()) < 3 * DOCTOR_MS)
        (void)uv_run(&r->loop, UV_RUN_ONCE);
    assert_int_equal(r->req.answers, 1);
}

/* ---- tests -------------------------------------------------------------------------- */

/* An agent died of it: what is given up at the limit has its callback all the same. */
static void a_silent_port_is_given_up_once(void **state)
{
    static struct rig r;

    (void)state;
    set_up(&r);
    add_peer("127.0.0.1", r.silent.port);
    add_peer("127.0.0.1", r.silent.port);
    doctor_ask(r.doctors, &r.req);
    run_until_answered(&r);
    assert_non_null(strstr(r.req.text, "pg-0 is silent at 127.0.0.1:"));
    assert_non_null(strstr(r.req.text, "pg-1 is silent at 127.0.0.1:"));
    tear_down(&r);
    assert_int_equal(r.req.answers, 1);
}

static void the_end_comes_while_a_port_is_tried(void **state)
{
    static struct rig r;

    (void)state;
    set_up(&r);
    add_peer("127.0.0.1", r.silent.port);
    doctor_ask(r.doctors, &r.req);
    tear_down(&r);
    assert_int_equal(r.req.answers, 1);
}

/* An address that cannot even be tried keeps its place until its handle is closed, and is
 * said; the broadcast address is refused by connect() itself. */
static void an_impossible_address_is_said(void **state)
{
    static struct rig r;

    (void)state;
    set_up(&r);
    add_peer("255.255.255.255", 5432);
    add_peer("127.0.0.1", r.silent.port);
    close_silent(&r.silent);
    doctor_ask(r.doctors, &r.req);
    run_until_answered(&r);
    assert_non_null(strstr(r.req.text, "pg-0 does not answer at 255.255.255.255:5432"));
    assert_non_null(strstr(r.req.text, "pg-1 does not answer at 127.0.0.1:"));
    make_silent(&r.silent);
    tear_down(&r);
}

/* What is behind the gate is said before it is needed: whether the guard runs and how well,
 * and what the watchdog can do. */
static void the_second_line_is_looked_at(void **state)
{
    enum { FIT = GUARD_CAN_LOCK | GUARD_CAN_REALTIME };
    static const struct {
        struct guard_health guard;
        const char *level, *text;
    } table[] = {
        {{.wanted = false}, "warn", "there is none (guard: off)"},
        {{.wanted = true, .problem = "no page"}, "fail", "it does not run: no page"},
        {{.wanted = true, .there = true, .pid = 42, .abilities = FIT},
         "ok",
         "it runs (pid 42), with locked memory"},
        {{.wanted = true, .there = true, .abilities = GUARD_CAN_LOCK},
         "warn",
         "without locked memory or real-time priority"},
        {{.wanted = true, .there = true, .dog = GUARD_DOG_READY, .watchdog = "/dev/w"},
         "ok",
         "/dev/w is armed together with the first lease"},
        {{.wanted = true, .there = true, .dog = GUARD_DOG_ARMED, .dog_timeout_s = 3},
         "ok",
         "the host is reset 3 s after"},
        {{.wanted = true, .there = true, .dog = GUARD_DOG_FAILED, .dog_errno = ENOENT},
         "fail",
         "cannot be used: No such file or directory"},
        {{.wanted = true, .there = true, .dog = GUARD_DOG_TOO_SLOW},
         "fail",
         "is not used: the shortest lease here is shorter"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        static struct rig r;
        char level[40];
        const char *at;

        guard = table[i].guard;
        set_up(&r);
        doctor_ask(r.doctors, &r.req);
        run_until_answered(&r);
        at = strstr(r.req.text, table[i].text);
        if (at == NULL)
            fail_msg("'%s' is not in: %s", table[i].text, r.req.text);
        while (at != NULL && *at != '{') /* back to where this finding begins */
            at--;
        snprintf(level, sizeof level, "\"level\":\"%s\"", table[i].level);
        assert_true(at != NULL && strstr(at, level) != NULL &&
                    strstr(at, level) < strchr(at, '}'));
        tear_down(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_port_is_given_up_once),
        cmocka_unit_test(the_end_comes_while_a_port_is_tried),
        cmocka_unit_test(an_impossible_address_is_said),
        cmocka_unit_test(the_second_line_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
