/* Streams end with the right to look; people whom nobody knows keep nobody out. */
#include <stdio.h>
#include <string.h>

#include "controller/people/token.h"
#include "tests/unit/http/served.h"

static char token[TOKEN_TEXT_SIZE], header[160];

static void add_vera(void)
{
    struct user *u = &b.state.users[0];
    struct err err;

    memset(u, 0, sizeof *u);
    snprintf(u->name, NAME_SIZE, "vera");
    u->roles = ROLE_VIEWER;
    assert_int_equal(token_make(u->name, token, u->tokens[0].hash, &err), 0);
    u->tokens[0].id = 5;
    u->token_count = 1;
    b.state.user_count = 1;
    snprintf(header, sizeof header, "Authorization: Bearer %s", token);
}

static void revoke_token(void) { b.state.users[0].token_count = 0; }
static void give_another(void) { b.state.users[0].tokens[0].id = 6; }
static void remove_user(void) { b.state.user_count = 0; }
static void take_roles(void) { b.state.users[0].roles = 0; }
static void expire(void) { b.state.users[0].tokens[0].expires_ms = 1; }

/* With somebody who follows, the API looks each tenth of a second: then it is begun. */
enum { LOOKS = 8 };
static void (*happens)(void);
static uint64_t happened_ns;

static void on_time(uv_timer_t *timer)
{
    if (b.looks < LOOKS)
        return;
    happens();
    happened_ns = uv_hrtime();
    uv_close((uv_handle_t *)timer, NULL);
}

/* Milliseconds from what happened to the end of the stream. */
static uint64_t follow(const char *path, void (*what)(void))
{
    uv_timer_t timer;

    add_vera();
    happens = what;
    b.looks = 0;
    uv_update_time(&b.loop);
    uv_timer_init(&b.loop, &timer);
    uv_timer_start(&timer, on_time, 20, 20);
    assert_int_equal(ask_with(header, "GET", path, 20000), 200);
    return (uv_hrtime() - happened_ns) / 1000000;
}

/* Whatever goes away, whoever leads: within a second and a bit, and nothing is written to
 * the trail by it. */
static void streams_end_with_the_right_to_look(void **state)
{
    static void (*const what[])(void) = {revoke_token, give_another, remove_user,
                                         take_roles, expire};
    static const char *const paths[] = {"/api/v1/status?follow=1", "/api/v1/log?follow=1",
                                        "/api/v1/events"};

    (void)state;
    for (unsigned i = 0; i < 2 * ARRAY_LEN(what) * ARRAY_LEN(paths); i++) {
        const char *path = paths[i % ARRAY_LEN(paths)];
        uint64_t took;

        b.leads = i % 2 == 0;
        took = follow(path, what[i / ARRAY_LEN(paths) / 2]);
        print_message("%s: %u ms\n", path, (unsigned)took);
        assert_true(took < 2500);
        assert_int_equal(b.notes, 0);
        /* Of the log no more is to be had, and it must not look as if there were none. */
        assert_int_equal(call.whole, strstr(path, "log") == NULL);
        if (strstr(path, "status") != NULL)
            assert_true(says("\"code\":\"") && says("}\n"));
        if (strstr(path, "events") != NULL)
            assert_true(says("event: problem\ndata: {") && says("}\n\n"));
    }
}

static void nothing(void) {}

/* Whoever may look goes on. */
static void others_go_on(void **state)
{
    (void)state;
    add_vera();
    happens = nothing;
    assert_int_equal(ask_with(header, "GET", "/api/v1/status?follow=1", 1500), 200);
    assert_false(call.whole);
    assert_null(strstr(call.text, "\"code\""));
}

/* The leader may know of a token that this controller has not heard of: it is asked, in the
 * few places that there are for such. */
static void the_unknown_are_said_to_be_so(void **state)
{
    (void)state;
    add_vera();
    b.leads = false;
    assert_int_equal(ask_with(header, "GET", "/api/v1/groups/orders", 5000), 200);
    assert_false(b.forwarded_unknown);
    assert_int_equal(ask("GET", "/api/v1/groups/orders", NULL), 200); /* the socket */
    assert_false(b.forwarded_unknown);
    revoke_token();
    assert_int_equal(ask_with(header, "GET", "/api/v1/groups/orders", 5000), 200);
    assert_true(b.forwarded_unknown);
    b.no_place = true;
    assert_int_equal(ask_with(header, "GET", "/api/v1/groups/orders", 5000), 503);
    assert_true(says("not-possible-now") && says("nobody's") && says("ask again"));
    b.state.users[0].token_count = 1;
    assert_int_equal(ask_with(header, "GET", "/api/v1/groups/orders", 5000), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(streams_end_with_the_right_to_look),
        SERVED(others_go_on),
        SERVED(the_unknown_are_said_to_be_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
