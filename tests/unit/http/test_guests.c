/* Who comes over the network: what each may, what it is told, and what the trail and the
 * leader hear of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/http/authorize.h"
#include "controller/http/rates.h"
#include "tests/unit/http/served.h"

static const struct door_guest nobody = {
    .proof = DOOR_NOBODY, .from = "10.0.0.9:51234", .source = 9};
static const struct door_guest alice = {
    .proof = DOOR_USER, .user = "alice", .from = "10.0.0.8:51234", .source = 8};
static const struct door_guest bob = {
    .proof = DOOR_USER, .user = "bob", .from = "10.0.0.5:51234", .source = 5};
static const struct door_guest east = {.proof = DOOR_REFUSED,
                                       .why = "the certificate is of controller east",
                                       .from = "10.0.0.7:51234",
                                       .source = 7};
static const struct door_guest longname = {.proof = DOOR_USER,
                                           .user = "a-name-of-more-than-23-characters",
                                           .from = "10.0.0.6:51234",
                                           .source = 6};

static void add_alice(void)
{
    snprintf(b.state.users[0].name, NAME_SIZE, "alice");
    b.state.users[0].roles = ROLE_VIEWER;
    b.state.user_count = 1;
}

static int come(const struct door_guest *g)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    api_admit(b.served, ends[0], g);
    return ends[1];
}

/* One request; the status. Whether the connection ends behind it: call.whole. */
static long say(int fd, const char *request)
{
    const uint64_t until = uv_hrtime() + 10000000000ull;
    ssize_t n;

    memset(&call, 0, sizeof call);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    for (;;) {
        const char *body = strstr(call.text, "\r\n\r\n");
        const char *length = strstr(call.text, "Content-Length: ");

        if (body != NULL && length != NULL && strlen(body + 4) >= (size_t)atol(length + 16))
            break;
        n = recv(fd, call.text + call.len, sizeof call.text - 1 - call.len, MSG_DONTWAIT);
        call.len += n > 0 ? (size_t)n : 0;
        assert_true(n != 0);
        assert_true(uv_hrtime() < until);
        uv_run(&b.loop, UV_RUN_NOWAIT);
    }
    call.whole = strstr(call.text, "Connection: close") != NULL;
    return atol(call.text + 9);
}

#define GET(path, more) "GET " path " HTTP/1.1\r\nHost: h\r\n" more "\r\n"
#define POST(path, more)                                                                   \
    "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n" more "\r\n{}"

/* The table of what is refused to whom, and how. */
static void guests_are_told_apart(void **state)
{
    static const struct {
        const struct door_guest *guest;
        const char *request;
        long status;
        const char *code;
        bool ends;
    } table[] = {
        {&nobody, GET("/api/v1/status", ""), 401, "not-authenticated", true},
        {&nobody, GET("/api/v1/version", ""), 401, "not-authenticated", true},
        {&nobody, GET("/api/v1/nothing", ""), 401, "not-authenticated", true},
        {&nobody, POST("/api/v1/groups/orders/pause", ""), 401, "not-authenticated", true},
        {&nobody, GET("/api/v1/status", "Authorization: Bearer abc\r\n"), 401,
         "shows a user's certificate or token", false},
        {&nobody, GET("/api/v1/log", "Authorization: Bearer abc\r\n"), 401,
         "shows a user's certificate or token", false},
        {&nobody, GET("/api/v1/status?follow=1", "Authorization: Bearer abc\r\n"), 401,
         "shows a user's certificate or token", false},
        {&nobody, GET("/api/v1/status", "Authorization: Basic YTpi\r\n"), 400,
         "bad-request", true},
        {&east, GET("/api/v1/status", ""), 403, "is of controller east", true},
        {&longname, GET("/api/v1/status", ""), 403, "wrong-certificate", true},
        {&alice, GET("/api/v1/status", ""), 200, "\"leader\":\"east\"", false},
        {&alice, GET("/api/v1/groups/orders", ""), 200, "\"group\":\"orders\"", false},
        {&alice, GET("/api/v1/groups/orders/why", ""), 200, "verdict", false},
        {&alice, GET("/api/v1/nothing", ""), 404, "not-found", false},
        {&alice, POST("/api/v1/status", ""), 405, "method-not-allowed", false},
        {&alice,
         GET("/api/v1/status", "X-Ringfence-TOTP: 01234567890123456789012345678901\r\n"),
         400, "X-Ringfence-TOTP", true},
        {&alice, POST("/api/v1/groups/orders/pause", ""), 403, "wrong-role", false},
        {&alice, POST("/api/v1/groups/orders/switchover", ""), 403, "wrong-role", false},
        {&alice, POST("/api/v1/groups/orders/failover", ""), 403, "wrong-role", false},
        {&alice, POST("/api/v1/groups?dry=1", ""), 400, "bad-request", false},
        {&alice, POST("/api/v1/groups", ""), 403, "wrong-role", false},
        {&bob, GET("/api/v1/status", ""), 403, "no such user", false},
        {&alice, GET("/api/v1/users", ""), 403, "wrong-role", false},
        {&alice, POST("/api/v1/users", ""), 403, "wrong-role", false},
        {&alice, POST("/api/v1/runs/5/abort", ""), 403, "wrong-role", false},
        {&alice, POST("/api/v1/controllers/west/replace", ""), 403, "wrong-role", false},
    };

    (void)state;
    add_alice();
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct door_guest guest = *table[i].guest;
        int fd;

        guest.source = 100 + i; /* none of them is too fast */
        fd = come(&guest);
        print_message("%.50s\n", table[i].request);
        assert_int_equal(say(fd, table[i].request), table[i].status);
        assert_true(says(table[i].code));
        assert_int_equal(call.whole, table[i].ends);
        close(fd);
    }
    assert_int_equal(b.proposals, 0);
    assert_false(b.failover_wanted);
}

/* What somebody known was refused is in the trail, with who and from where. */
static void refusals_are_noted(void **state)
{
    int fd = come(&alice);

    (void)state;
    assert_int_equal(say(fd, POST("/api/v1/groups/orders/failover", "")), 403);
    assert_int_equal(b.notes, 1);
    assert_non_null(strstr(b.note, "refused (unknown-user): failover: "));
    assert_string_equal(b.noted.name, "alice");
    assert_int_equal(b.noted.kind, ACTOR_CERTIFICATE);
    assert_string_equal(b.noted.from, "10.0.0.8:51234");
    assert_int_equal(say(fd, POST("/api/v1/groups/orders/failover", "")), 403);
    assert_int_equal(b.notes, 1); /* one a second and address */
    close(fd);
    fd = come(&nobody);
    assert_int_equal(say(fd, POST("/api/v1/groups/orders/failover", "")), 401);
    assert_int_equal(b.notes, 1); /* or anybody could fill the log */
    close(fd);
}

/* The leader is told who it was, and decides. */
static void the_leader_hears_who_asks(void **state)
{
    int fd;

    (void)state;
    add_alice();
    b.leads = false;
    b.leader_id = 2;
    fd = come(&alice);
    assert_int_equal(
        say(fd, POST("/api/v1/groups/orders/pause",
                     "X-Ringfence-TOTP: 123456\r\nauthorization: bearer t0ken\r\n")),
        200);
    assert_int_equal(b.forwards, 1);
    assert_int_equal(b.caller.kind, CALLER_CERTIFICATE);
    assert_string_equal(b.caller.name, "alice");
    assert_string_equal(b.caller.from, "10.0.0.8:51234");
    assert_string_equal(b.caller.bearer, "t0ken");
    assert_string_equal(b.caller.totp, "123456");
    close(fd);
    /* What is known without it is no more anybody's than with it. */
    b.leader_id = 0;
    fd = come(&nobody);
    assert_int_equal(say(fd, GET("/api/v1/status", "Authorization: Bearer abc\r\n")), 401);
    close(fd);
    fd = come(&alice);
    assert_int_equal(say(fd, GET("/api/v1/status?stale=ok", "")), 200);
    assert_true(says("\"stale\":true"));
    close(fd);
}

static void keep(void *owner, unsigned status, const void *body, size_t len)
{
    *(unsigned *)owner = status;
    memcpy(call.text, body, len);
    call.text[len] = '\0';
}

/* What was passed on is judged here again, by who asked and not by who passed it on. */
static void what_was_passed_on_is_judged(void **state)
{
    struct caller c = {.kind = CALLER_CERTIFICATE, .name = "alice", .from = "10.0.0.8:1"};
    struct api_request r = {
        .method = "POST", .path = "/api/v1/groups/orders/pause", .caller = &c};
    unsigned status = 0;

    (void)state;
    add_alice();
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 403);
    assert_int_equal(b.notes, 1);
    r.caller = NULL;
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 401);
    c.kind = CALLER_KIND_MAX;
    r.caller = &c;
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 401);
    assert_int_equal(b.proposals, 0);
}

/* Twenty a second, forty at once; who asks faster is told so and goes; others do not feel
 * it. */
static void a_mad_guest_is_slowed(void **state)
{
    unsigned good = 0;
    int fd = come(&alice), other;

    (void)state;
    add_alice();
    while (say(fd, GET("/api/v1/version", "")) == 200 && good < 100)
        good++;
    print_message("%u answered\n", good);
    assert_true(good >= 40);
    assert_true(good < 60);
    assert_true(says("HTTP/1.1 429"));
    assert_true(says("\"code\":\"too-many-requests\""));
    assert_true(says("Retry-After: 1"));
    assert_true(call.whole);
    other = come(&nobody);
    assert_int_equal(say(other, GET("/api/v1/version", "")), 401);
    close(other);
    close(fd);
}

/* Tokens come back with time, never more than twice the rate; memory is bounded. */
static void rates(void **state)
{
    AUTO(auto_free) struct rates *r = rates_new(5);

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(rates_take(r, 1, 1000));
    assert_false(rates_take(r, 1, 1000));
    assert_true(rates_take(r, 2, 1000));
    assert_false(rates_take(r, 1, 1199));
    assert_true(rates_take(r, 1, 1201));
    assert_false(rates_take(r, 1, 1201));
    for (int i = 0; i < 10; i++)
        assert_true(rates_take(r, 1, 100000));
    assert_false(rates_take(r, 1, 100000));
    for (uint64_t s = 10; s < 100000; s++)
        assert_true(rates_take(r, s, 100000 + s));
}

/* A caller that nobody has filled in may nothing, whatever it asks. */
static void a_zeroed_caller_is_nobody(void **state)
{
    const struct caller c = {0};

    (void)state;
    for (enum route_kind kind = 0; kind < ROUTE_COUNT; kind++) {
        const struct route route = {.kind = kind};
        const struct authorize_ask ask = {
            .caller = &c, .route = &route, .state = &b.state, .group = ""};
        struct authorize_verdict v;

        authorize(&ask, &v);
        assert_int_equal(v.status, 401);
        assert_true(v.text[0] != '\0');
    }
}

static bool gets(int fd, const char *what)
{
    ssize_t n =
        recv(fd, call.text + call.len, sizeof call.text - 1 - call.len, MSG_DONTWAIT);

    call.len += n > 0 ? (size_t)n : 0;
    return strstr(call.text, what) != NULL;
}

/* A certificate is good for as long as it is not revoked; its user may go before it. The
 * chunk of no length is the end of the answer. */
static void a_stream_by_certificate_ends_with_its_user(void **state)
{
    static const char request[] = GET("/api/v1/status?follow=1", "");
    const uint64_t until = uv_hrtime() + 10000000000ull;
    int fd;

    (void)state;
    add_alice();
    memset(&call, 0, sizeof call);
    fd = come(&alice);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while (!gets(fd, "\"leader\":\"east\"")) {
        assert_true(uv_hrtime() < until);
        uv_run(&b.loop, UV_RUN_NOWAIT);
    }
    assert_null(strstr(call.text, "\r\n0\r\n"));
    b.state.user_count = 0;
    while (!gets(fd, "\r\n0\r\n")) {
        assert_true(uv_hrtime() < until);
        uv_run(&b.loop, UV_RUN_NOWAIT);
    }
    assert_true(says("\"code\":\"unknown-user\""));
    assert_int_equal(b.notes, 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(guests_are_told_apart),
        SERVED(refusals_are_noted),
        SERVED(the_leader_hears_who_asks),
        SERVED(what_was_passed_on_is_judged),
        SERVED(a_mad_guest_is_slowed),
        cmocka_unit_test(rates),
        SERVED(a_zeroed_caller_is_nobody),
        SERVED(a_stream_by_certificate_ends_with_its_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
