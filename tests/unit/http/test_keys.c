/* controller/http/keys.c: a request that comes twice is answered as the first time, and
 * changes something once. The pretended log applies what it accepts here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/answered.h"
#include "controller/core/formats.h"
#include "controller/people/factor.h"
#include "controller/people/token.h"
#include "tests/unit/http/served.h"

#define KEY "Idempotency-Key: 8e03978e-40d5-43dd-bc93-6894a57f9324"
#define OTHER_KEY "Idempotency-Key: another"

/* All on record remember keys. */
static void begin(void)
{
    struct group *g = &b.state.groups[0];
    struct controller *c = &b.state.controllers[b.state.controller_count++];

    snprintf(c->name, NAME_SIZE, "east");
    c->id = 1;
    c->format_max = FORMAT_KEYS;
    g->activated_index = 28;
    g->opened_index = 29;
    g->sync_known = true;
    g->sync_set = 1;
    b.applies = true;
    served_headers[0] = KEY;
}

static char first[4096];

static void keep_first(void) { snprintf(first, sizeof first, "%.2000s", call.text); }

/* An answer that was lost is told again, though somebody has changed it all since. */
static void the_second_one_gets_the_first_answer(void **state)
{
    (void)state;
    begin();
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    assert_true(says("\"changed\":true"));
    keep_first();
    served_headers[0] = NULL;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/resume", NULL), 200);
    assert_int_equal(b.proposals, 2);
    served_headers[0] = KEY;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    assert_string_equal(call.text, first);
    /* Quotes, as the draft has them, are not part of it. */
    served_headers[0] = "Idempotency-Key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\"";
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    assert_string_equal(call.text, first);
    assert_int_equal(b.proposals, 2);
    assert_false(b.state.groups[0].paused);
}

/* The key is of who asks and of one request: path and body count. */
static void another_request_needs_another_key(void **state)
{
    (void)state;
    begin();
    assert_int_equal(
        ask("POST", "/api/v1/users", "{\"name\":\"anna\",\"roles\":[\"viewer\"]}"), 200);
    assert_int_equal(
        ask("POST", "/api/v1/users", "{\"name\":\"anna\",\"roles\":[\"admin\"]}"), 422);
    assert_true(says("\"code\":\"key-reused\""));
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 422);
    assert_int_equal(ask("DELETE", "/api/v1/users/anna", NULL), 422);
    assert_int_equal(b.proposals, 1);
    assert_int_equal(b.state.users[0].roles, ROLE_VIEWER);
    served_headers[0] = OTHER_KEY;
    assert_int_equal(ask("DELETE", "/api/v1/users/anna", NULL), 200);
    /* It is gone, and told again that it was taken out. */
    assert_int_equal(ask("DELETE", "/api/v1/users/anna", NULL), 200);
    assert_int_equal(b.proposals, 2);
}

/* Of what was refused nothing is remembered. */
static void a_refusal_is_judged_anew(void **state)
{
    (void)state;
    begin();
    assert_int_equal(ask("DELETE", "/api/v1/users/anna", NULL), 409);
    assert_true(says("unknown-user"));
    snprintf(b.state.users[b.state.user_count++].name, NAME_SIZE, "anna");
    assert_int_equal(ask("DELETE", "/api/v1/users/anna", NULL), 200);
    assert_int_equal(b.state.user_count, 0);
}

/* A secret is shown once; it is not made a second time, and it is said what to do. */
static void a_secret_is_shown_once(void **state)
{
    (void)state;
    begin();
    snprintf(b.state.users[b.state.user_count++].name, NAME_SIZE, "anna");
    assert_int_equal(ask("POST", "/api/v1/users/anna/token", NULL), 200);
    assert_true(says("\"token\":\"rf_anna_"));
    assert_int_equal(ask("POST", "/api/v1/users/anna/token", NULL), 409);
    assert_true(says("\"code\":\"secret-shown-once\""));
    assert_true(says("`ringfence user token anna --revoke 1`"));
    assert_null(strstr(call.text, "rf_anna_"));
    assert_int_equal(b.state.users[0].token_count, 1);
    for (size_t i = 0; i + 8 < sizeof b.state; i++)
        assert_int_not_equal(memcmp((const char *)&b.state + i, "rf_anna_", 8), 0);
}

static void malformed_keys_are_refused(void **state)
{
    static const char *const bad[] = {
        "Idempotency-Key: two words",
        "Idempotency-Key: \"\"",
        "Idempotency-Key: a\"b",
        "Idempotency-Key: a\\b",
        "Idempotency-Key: \xc3\xa9",
        ("Idempotency-Key: "
         "12345678901234567890123456789012345678901234567890123456789012345")};

    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        served_headers[0] = bad[i];
        assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 400);
        assert_true(says("Idempotency-Key: 1 to 64 printable characters"));
    }
    assert_int_equal(b.proposals, 0);
    served_headers[0] =
        "Idempotency-Key: 1234567890123456789012345678901234567890123456789012345678901234";
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    /* What only looks has no use for one. */
    served_headers[0] = KEY;
    assert_int_equal(ask("GET", "/api/v1/status", NULL), 200);
    assert_int_equal(ask("GET", "/api/v1/status", NULL), 200);
}

/* I10: while somebody on record cannot remember it, a key is refused and not left out. */
static void an_older_cluster_takes_no_keys(void **state)
{
    (void)state;
    begin();
    assert_int_equal(ask("GET", "/api/v1/version", NULL), 200);
    assert_true(says("\"keys\":true"));
    b.state.controllers[0].format_max = FORMAT_PEOPLE;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 409);
    assert_true(says("\"code\":\"format-not-announced\""));
    b.leads = false; /* nor is it handed on to one that would drop the stream over it */
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 409);
    assert_int_equal(b.forwards, 0);
    b.leads = true;
    assert_int_equal(b.proposals, 0);
    assert_int_equal(ask("GET", "/api/v1/version", NULL), 200);
    assert_true(says("\"keys\":false"));
    served_headers[0] = NULL;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
}

/* Who does not lead hands it on, with its key. */
static void it_goes_along_to_the_leader(void **state)
{
    (void)state;
    begin();
    b.leads = false;
    b.leader_id = 2;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    assert_string_equal(b.caller.key, "8e03978e-40d5-43dd-bc93-6894a57f9324");
}

/* ---- one that is still being worked on --------------------------------------------------
 */

static const struct caller root = {.kind = CALLER_SOCKET, .name = "root", .key = "k1"};

struct kept_answer {
    unsigned status;
    char text[1024];
};

static void keep(void *owner, unsigned status, const void *body, size_t len)
{
    struct kept_answer *k = owner;

    assert_int_equal(k->status, 0); /* exactly once */
    k->status = status;
    snprintf(k->text, sizeof k->text, "%.*s", (int)len, (const char *)body);
}

static void serve(const char *path, struct kept_answer *k)
{
    const struct api_request r = {.method = "POST", .path = path, .caller = &root};

    *k = (struct kept_answer){0};
    api_serve(b.served, &r, keep, k);
}

static void what_is_under_way_is_not_begun_again(void **state)
{
    struct kept_answer one, two, other, three;

    (void)state;
    begin();
    serve("/api/v1/groups/orders/pause", &one);
    serve("/api/v1/groups/orders/pause", &two);
    serve("/api/v1/groups/orders/resume", &other);
    assert_int_equal(one.status, 0);
    assert_int_equal(two.status, 409);
    assert_non_null(strstr(two.text, "\"under-way\""));
    assert_int_equal(other.status, 422);
    assert_int_equal(b.proposals, 1);
    while (one.status == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    assert_int_equal(one.status, 200);
    serve("/api/v1/groups/orders/pause", &three);
    assert_int_equal(three.status, 200);
    assert_string_equal(three.text, one.text);
    assert_int_equal(b.proposals, 1);
}

/* Another leader has committed it, and this one learns that only when it is told what came
 * of its own entry: the first answer, all the same. */
static void another_leader_was_first(void **state)
{
    struct kept_answer one, mine;
    struct answered row;

    (void)state;
    begin();
    serve("/api/v1/groups/orders/pause", &one);
    while (one.status == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    row = b.state.answered[0];
    b.state.answered_count = 0; /* as this one knows */
    b.applies = false;
    b.applied = REFUSE_ANSWERED;
    serve("/api/v1/groups/orders/pause", &mine);
    b.state.answered[b.state.answered_count++] = row;
    while (mine.status == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    assert_int_equal(mine.status, 200);
    assert_string_equal(mine.text, one.text);
}

/* ---- with a second factor ---------------------------------------------------------------
 */

static struct factor_made made;

/* An admin with a token and recovery codes; the headers of his request with that one. */
static void be_adam(unsigned code)
{
    static const char hex[] =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    static char text[TOKEN_TEXT_SIZE], bearer[128], totp[64];
    struct user *u = &b.state.users[0];
    struct err err;

    if (b.state.user_count == 0) {
        b.state.user_count = 1;
        snprintf(u->name, NAME_SIZE, "adam");
        u->roles = ROLE_ADMIN;
        assert_int_equal(token_make(u->name, text, u->tokens[0].hash, &err), 0);
        u->tokens[0].id = 5;
        u->token_count = 1;
        assert_int_equal(key_parse(&b.key, hex, &err), 0);
        assert_int_equal(factor_make(&b.key, "lab", u->name, &made, &err), 0);
        memcpy(u->seed, made.entry.seed, sizeof u->seed);
        memcpy(u->recovery, made.entry.recovery, sizeof u->recovery);
        u->recovery_count = RECOVERY_MAX;
    }
    snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", text);
    snprintf(totp, sizeof totp, "X-Ringfence-TOTP: %s", made.recovery[code]);
    served_headers[1] = bearer;
    served_headers[2] = totp;
}

/* At three in the morning: the answer was lost, the code is used up, and the request is
 * answered. */
static void a_lost_answer_locks_nobody_out(void **state)
{
    (void)state;
    begin();
    be_adam(2);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/detach", NULL), 200);
    keep_first();
    assert_int_equal(b.proposals, 2);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/detach", NULL), 200);
    assert_string_equal(call.text, first);
    assert_int_equal(b.proposals, 2);
    assert_int_equal(b.state.users[0].failures, 0);
    served_headers[0] = OTHER_KEY; /* the code is good for nothing else */
    assert_int_equal(ask("POST", "/api/v1/groups/orders/detach", NULL), 401);
    assert_true(says("wrong-code"));
}

/* The leader was lost between the code and the change: the code has counted, for this very
 * request, and for a while; without it, or too late, it does not. */
static void a_code_is_not_lost_with_the_leader(void **state)
{
    (void)state;
    begin();
    be_adam(3);
    b.done_status = ERR_UNKNOWN; /* it is committed all the same */
    assert_int_equal(ask("POST", "/api/v1/groups/orders/detach", NULL), 503);
    assert_true(says("outcome-unknown"));
    b.done_status = 0;
    assert_int_equal(b.state.answered_count, 1);
    assert_int_equal(b.state.answered[0].kind, ENTRY_FACTOR_USED);
    served_headers[2] = NULL;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/detach", NULL), 401);
    assert_true(says("second-factor-needed"));
    be_adam(3);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/attach", NULL), 422);
    b.state.answered[0].wall_ms -= ANSWERED_CODE_MS + 1;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/detach", NULL), 401);
    b.state.answered[0].wall_ms += ANSWERED_CODE_MS + 1;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/detach", NULL), 200);
    assert_int_equal(b.proposed.kind, ENTRY_DETACH);
    assert_int_equal(b.proposed.actor.factor, FACTOR_RECOVERY);
    assert_int_equal(b.state.groups[0].phase, PHASE_DETACHED);
}

/* Another person's key is another key, whatever it says. */
static void a_key_is_of_one_person(void **state)
{
    (void)state;
    begin();
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    be_adam(4);
    served_headers[2] = NULL;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    assert_true(says("\"changed\":false"));
    assert_int_equal(b.proposals, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(the_second_one_gets_the_first_answer),
        SERVED(another_request_needs_another_key),
        SERVED(a_refusal_is_judged_anew),
        SERVED(a_secret_is_shown_once),
        SERVED(malformed_keys_are_refused),
        SERVED(an_older_cluster_takes_no_keys),
        SERVED(it_goes_along_to_the_leader),
        SERVED(what_is_under_way_is_not_begun_again),
        SERVED(another_leader_was_first),
        SERVED(a_lost_answer_locks_nobody_out),
        SERVED(a_code_is_not_lost_with_the_leader),
        SERVED(a_key_is_of_one_person),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
