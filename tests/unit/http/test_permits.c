/* Who may do what: each request by each role, tokens, second factors; and what is proposed,
 * in which order, when somebody may. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/http/authorize.h"
#include "controller/http/refusals.h"
#include "controller/people/factor.h"
#include "controller/people/token.h"
#include "tests/unit/http/served.h"

static char token[TOKEN_TEXT_SIZE];
static struct factor_made made;

static struct user *add(const char *name, uint8_t roles, const char *group)
{
    struct user *u = &b.state.users[b.state.user_count++];

    memset(u, 0, sizeof *u);
    snprintf(u->name, NAME_SIZE, "%s", name);
    u->roles = roles;
    if (group != NULL)
        snprintf(u->groups[u->group_count++], NAME_SIZE, "%s", group);
    return u;
}

static void give_token(struct user *u)
{
    struct err err;

    assert_int_equal(token_make(u->name, token, u->tokens[0].hash, &err), 0);
    u->tokens[0].id = 5;
    u->token_count = 1;
}

static void give_factor(struct user *u)
{
    static const char hex[] =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    struct err err;

    assert_int_equal(key_parse(&b.key, hex, &err), 0);
    assert_int_equal(factor_make(&b.key, "lab", u->name, &made, &err), 0);
    memcpy(u->seed, made.entry.seed, sizeof u->seed);
    memcpy(u->recovery, made.entry.recovery, sizeof u->recovery);
    u->recovery_count = RECOVERY_MAX;
}

/* As `oathtool` says it at this moment. */
static void code_now(char code[TOTP_DIGITS + 1])
{
    char command[FACTOR_URI_SIZE + 64], line[32] = "";
    const char *secret = strstr(made.uri, "secret=") + strlen("secret=");
    FILE *out;

    snprintf(command, sizeof command, "oathtool --totp -b %.*s", (int)strcspn(secret, "&"),
             secret);
    out = popen(command, "r");
    assert_non_null(out);
    assert_non_null(fgets(line, sizeof line, out));
    assert_int_equal(pclose(out), 0);
    snprintf(code, TOTP_DIGITS + 1, "%.6s", line);
}

/* ---- the table --------------------------------------------------------------------------
 */

static struct authorize_verdict judge(enum route_kind kind, const char *user,
                                      const char *group)
{
    struct route r = {.kind = kind};
    struct caller c = {.kind = CALLER_CERTIFICATE, .from = "10.0.0.9:5"};
    struct authorize_ask ask = {&c, &r, &b.state, group, 1000, NULL};
    struct authorize_verdict v;

    snprintf(c.name, sizeof c.name, "%s", user);
    authorize(&ask, &v);
    return v;
}

/* A row for each request; no request that changes something is a viewer's; what changes who
 * is active takes a code. */
static void every_request_has_a_row(void **state)
{
    static const enum route_kind moves[] = {
        ROUTE_SWITCHOVER, ROUTE_FAILOVER,    ROUTE_ATTACH,      ROUTE_DETACH,
        ROUTE_REMOVE,     ROUTE_ACKNOWLEDGE, ROUTE_REPLACE,     ROUTE_USER_SET,
        ROUTE_USER_TOKEN, ROUTE_USER_TOTP,   ROUTE_USER_UNLOCK, ROUTE_ATTEST,
        ROUTE_PROPOSE,    ROUTE_APPROVE};

    (void)state;
    for (int kind = 0; kind < ROUTE_COUNT; kind++) {
        const struct permission *p = permission_of((enum route_kind)kind);
        bool looks = strcmp(route_method((enum route_kind)kind), "GET") == 0;

        assert_int_equal(p->kind, kind);
        assert_true(p->role != 0);
        assert_true(looks || (p->role & ROLE_VIEWER) == 0);
        assert_true(!looks || !p->factor);
    }
    for (unsigned i = 0; i < ARRAY_LEN(moves); i++)
        assert_true(permission_of(moves[i])->factor);
}

/* Each request by each role, with a second factor that is not shown: 0 is let in, 401 would
 * be with the code, 403 is not. */
static void roles_are_asked_for(void **state)
{
    static const struct {
        enum route_kind kind;
        unsigned viewer, operator, approver, admin, elsewhere;
    } table[] = {
        {ROUTE_STATUS, 0, 0, 0, 0, 0},
        {ROUTE_LOG, 0, 0, 0, 0, 0},
        {ROUTE_AUDIT_EXPORT, 0, 0, 0, 0, 0},
        {ROUTE_AUDIT_KEYS, 0, 0, 0, 0, 0},
        {ROUTE_AUDIT_POINT, 0, 0, 0, 0, 0},
        {ROUTE_AUDIT_ROWS, 0, 0, 0, 0, 0},
        {ROUTE_EVENTS, 0, 0, 0, 0, 0},
        {ROUTE_OPENAPI, 0, 0, 0, 0, 0},
        {ROUTE_WHY, 0, 0, 0, 0, 0},
        {ROUTE_PAUSE, 403, 0, 403, 0, 403},
        {ROUTE_RESUME, 403, 0, 403, 0, 403},
        {ROUTE_RETRY, 403, 0, 403, 0, 403},
        {ROUTE_ABORT, 403, 0, 403, 0, 403},
        {ROUTE_SWITCHOVER, 403, 401, 403, 401, 403},
        {ROUTE_FAILOVER, 403, 401, 403, 401, 403},
        {ROUTE_ACKNOWLEDGE, 403, 401, 403, 401, 403},
        {ROUTE_PROPOSALS, 0, 0, 0, 0, 0},
        {ROUTE_PROPOSE, 403, 401, 403, 401, 403},
        {ROUTE_ATTEST, 403, 401, 403, 401, 403},
        {ROUTE_APPROVE, 403, 401, 401, 401, 403},
        {ROUTE_REJECT, 403, 0, 0, 0, 403},
        {ROUTE_WITHDRAW, 403, 0, 403, 0, 403},
        {ROUTE_DECLARE, 403, 403, 403, 401, 403},
        {ROUTE_REMOVE, 403, 403, 403, 401, 403},
        {ROUTE_DETACH, 403, 403, 403, 401, 403},
        {ROUTE_ATTACH, 403, 403, 403, 401, 403},
        {ROUTE_REPLACE, 403, 403, 403, 401, 403},
        {ROUTE_USERS, 403, 403, 403, 0, 403},
        {ROUTE_USER_SET, 403, 403, 403, 401, 403},
        {ROUTE_USER_TOTP, 403, 403, 403, 401, 403},
        {ROUTE_USER_REVOKE, 403, 403, 403, 0, 403},
    };

    (void)state;
    give_factor(add("vera", ROLE_VIEWER, NULL));
    give_factor(add("olga", ROLE_OPERATOR, NULL));
    give_factor(add("anton", ROLE_APPROVER, NULL));
    give_factor(add("adam", ROLE_ADMIN, NULL));
    give_factor(add("elsa", ROLE_ADMIN, "billing"));
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        print_message("%s\n", route_name(table[i].kind));
        assert_int_equal(judge(table[i].kind, "vera", "orders").status, table[i].viewer);
        assert_int_equal(judge(table[i].kind, "olga", "orders").status, table[i].operator);
        assert_int_equal(judge(table[i].kind, "anton", "orders").status, table[i].approver);
        assert_int_equal(judge(table[i].kind, "adam", "orders").status, table[i].admin);
        assert_int_equal(judge(table[i].kind, "elsa", "orders").status, table[i].elsewhere);
        assert_int_equal(judge(table[i].kind, "nemo", "orders").status, 403);
    }
    assert_int_equal(judge(ROUTE_PAUSE, "elsa", "billing").status, 0);
    assert_int_equal(judge(ROUTE_USERS, "elsa", "billing").status, 403);
}

static void the_text_says_what_is_missing(void **state)
{
    struct authorize_verdict v;

    (void)state;
    add("olga", ROLE_OPERATOR, NULL);
    v = judge(ROUTE_DETACH, "olga", "orders");
    assert_string_equal(v.code, "wrong-role");
    assert_string_equal(v.text,
                        "detach takes the role admin of group orders, and user olga "
                        "is operator there: an admin can give it (`ringfence user "
                        "add`), or ask somebody who has it");
    v = judge(ROUTE_SWITCHOVER, "olga", "orders");
    assert_int_equal(v.status, 403);
    assert_string_equal(v.code, "no-second-factor");
    give_factor(&b.state.users[0]);
    b.state.users[0].locked_until_ms = 1001;
    v = judge(ROUTE_SWITCHOVER, "olga", "orders");
    assert_int_equal(v.status, 403);
    assert_string_equal(v.code, "locked");
    b.state.users[0].locked_until_ms = 1000;
    assert_string_equal(judge(ROUTE_SWITCHOVER, "olga", "orders").code,
                        "second-factor-needed");
    assert_string_equal(judge(ROUTE_PAUSE, "nemo", "orders").code, "unknown-user");
}

/* A stream goes on by what it was opened with, and for no longer. */
static void what_was_opened_by_a_token_ends_with_it(void **state)
{
    struct user *olga = add("olga", ROLE_VIEWER, NULL);
    struct route r = {.kind = ROUTE_STATUS};
    struct caller c = {.kind = CALLER_TOKEN, .name = "olga", .token = 5};
    struct authorize_ask ask = {&c, &r, &b.state, "", 1000, NULL};
    struct authorize_verdict v;

    (void)state;
    give_token(olga);
    authorize(&ask, &v);
    assert_int_equal(v.status, 0);
    olga->tokens[0].expires_ms = 1000;
    authorize(&ask, &v);
    assert_int_equal(v.status, 401);
    olga->tokens[0] = (struct user_token){.id = 6};
    authorize(&ask, &v);
    assert_int_equal(v.status, 401);
    c = (struct caller){.kind = CALLER_JWT, .name = "olga", .until_ms = 1001};
    authorize(&ask, &v);
    assert_int_equal(v.status, 0);
    ask.wall_ms = 1001;
    authorize(&ask, &v);
    assert_int_equal(v.status, 401);
    c.until_ms = 0;
    r.kind = ROUTE_PAUSE; /* for looking only */
    authorize(&ask, &v);
    assert_int_equal(v.status, 401);
}

/* ---- over the socket, with a token: the same door as over the network -------------------
 */

static char header[2][160];

static long ask_as(const char *with, const char *code, const char *path, const char *body)
{
    snprintf(header[0], sizeof header[0], "Authorization: Bearer %s", with);
    snprintf(header[1], sizeof header[1], "X-Ringfence-TOTP: %s", code);
    served_headers[0] = header[0];
    served_headers[1] = code[0] != '\0' ? header[1] : NULL;
    return ask("POST", path, body);
}

static void tokens_open_what_their_user_may(void **state)
{
    struct user *olga = add("olga", ROLE_OPERATOR, NULL);

    (void)state;
    give_token(olga);
    assert_int_equal(ask_as(token, "", "/api/v1/groups/orders/pause", NULL), 200);
    assert_int_equal(b.proposed.kind, ENTRY_PAUSE);
    assert_string_equal(b.proposed.actor.name, "olga");
    assert_int_equal(b.proposed.actor.kind, ACTOR_TOKEN);
    assert_int_equal(b.proposed.actor.factor, FACTOR_NONE);
    assert_int_equal(b.proposed.actor.roles, ROLE_OPERATOR);
    assert_int_equal(ask_as(token, "", "/api/v1/groups/orders/detach", NULL), 403);
    token[strlen(token) - 3] ^= 1;
    assert_int_equal(ask_as(token, "", "/api/v1/groups/orders/pause", NULL), 401);
    assert_true(says("nobody's"));
    assert_int_equal(b.proposals, 1);
    /* A header of alg none, RS256 or whatever else is no token of ours. */
    assert_int_equal(ask_as("eyJhbGciOiJub25lIn0.eyJzdWIiOiJvbGdhIn0.", "",
                            "/api/v1/groups/orders/pause", NULL),
                     401);
    assert_int_equal(b.proposals, 1);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 401);
}

/* Exports do not go by way of the leader, and stop at the same door. */
static void the_trail_is_for_users(void **state)
{
    static const char *const paths[] = {"/api/v1/audit/export", "/api/v1/audit/keys",
                                        "/api/v1/audit/points/7", "/api/v1/audit/rows/1"};

    (void)state;
    give_token(add("vera", ROLE_VIEWER, NULL));
    assert_int_equal(ask_as(token, "", "/api/v1/groups/orders/pause", NULL), 403);
    assert_int_equal(ask("GET", paths[0], NULL), 409); /* let in: there is no key */
    assert_int_equal(ask("GET", paths[3], NULL), 200);
    token[strlen(token) - 3] ^= 1;
    assert_int_equal(ask_as(token, "", "/api/v1/groups/orders/pause", NULL), 401);
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++)
        assert_int_equal(ask("GET", paths[i], NULL), 401);
}

/* The number of an abort may be a proposal's: then its group counts. */
static void an_abort_of_a_proposal_is_of_its_group(void **state)
{
    (void)state;
    b.state.proposal_count = 1;
    b.state.proposals[0] = (struct proposal){.id = 55, .group = "billing"};
    give_token(add("elsa", ROLE_ADMIN, "billing"));
    assert_int_not_equal(ask_as(token, "", "/api/v1/runs/55/abort", NULL), 403);
    assert_int_equal(ask_as(token, "", "/api/v1/runs/56/abort", NULL), 403);
}

/* Its use is committed first, then what was asked for; both say whose they are. */
static void a_right_code_is_used_up_first(void **state)
{
    struct user *adam = add("adam", ROLE_ADMIN, NULL);
    char code[TOTP_DIGITS + 1];

    (void)state;
    give_token(adam);
    give_factor(adam);
    code_now(code);
    assert_int_equal(ask_as(token, "", "/api/v1/groups/orders/detach", NULL), 401);
    assert_true(says("second-factor-needed"));
    assert_int_equal(b.proposals, 0);
    assert_int_equal(ask_as(token, code, "/api/v1/groups/orders/detach", NULL), 200);
    assert_int_equal(b.proposals, 2);
    assert_int_equal(b.before.kind, ENTRY_FACTOR_USED);
    assert_int_equal(b.before.factor_used.factor, FACTOR_TOTP);
    assert_string_equal(b.before.factor_used.name, "adam");
    assert_true(b.before.factor_used.step > 50000000);
    assert_int_equal(b.before.actor.factor, FACTOR_NONE);
    assert_int_equal(b.proposed.kind, ENTRY_DETACH);
    assert_string_equal(b.proposed.group, "orders");
    assert_int_equal(b.proposed.actor.factor, FACTOR_TOTP);
    assert_string_equal(b.proposed.actor.name, "adam");

    assert_int_equal(ask_as(token, made.recovery[2], "/api/v1/groups/orders/detach", NULL),
                     200);
    assert_int_equal(b.before.factor_used.code, 2);
    assert_int_equal(b.proposed.actor.factor, FACTOR_RECOVERY);
}

/* What the log refuses, another controller's acceptance of the same code say, is not done;
 * nor what was not decided. */
static void without_the_logs_word_nothing_is_done(void **state)
{
    struct user *adam = add("adam", ROLE_ADMIN, NULL);
    char code[TOTP_DIGITS + 1];

    (void)state;
    give_token(adam);
    give_factor(adam);
    code_now(code);
    b.applied = REFUSE_CODE_USED;
    assert_int_equal(ask_as(token, code, "/api/v1/groups/orders/detach", NULL), 401);
    assert_true(says("code-used"));
    assert_int_equal(b.proposals, 1);
    b.applied = ACCEPTED;
    b.done_status = ERR_UNKNOWN;
    assert_int_equal(ask_as(token, code, "/api/v1/groups/orders/detach", NULL), 503);
    assert_true(says("outcome-unknown"));
    assert_int_equal(b.proposals, 2);
    b.done_status = 0;
    b.propose_code = ERR_NOTLEADER;
    assert_int_equal(ask_as(token, code, "/api/v1/groups/orders/detach", NULL), 503);
    assert_int_equal(b.proposals, 3);
    b.propose_code = 0;
    /* Used, as this state knows: no entry at all. */
    adam->totp_step = UINT32_MAX;
    assert_int_equal(ask_as(token, code, "/api/v1/groups/orders/detach", NULL), 401);
    assert_true(says("code-used"));
    assert_int_equal(b.proposals, 3);
}

static void a_wrong_code_is_counted(void **state)
{
    struct user *adam = add("adam", ROLE_ADMIN, NULL);

    (void)state;
    give_token(adam);
    give_factor(adam);
    assert_int_equal(
        ask_as(token, "aaaa-aaaa-aaaa-aaaa", "/api/v1/groups/orders/detach", NULL), 401);
    assert_true(says("wrong-code"));
    assert_int_equal(b.proposals, 1);
    assert_int_equal(b.proposed.kind, ENTRY_FACTOR_FAILED);
    assert_string_equal(b.proposed.user.name, "adam");
    /* Another controllers' key: nothing is counted against anybody. */
    b.key.bytes[0] ^= 1;
    assert_int_equal(ask_as(token, "123456", "/api/v1/groups/orders/detach", NULL), 503);
    assert_true(says("secrets_key"));
    assert_int_equal(b.proposals, 1);
}

/* ---- users ------------------------------------------------------------------------------
 */

static void users_are_made_at_the_socket(void **state)
{
    struct err err;

    (void)state;
    served_headers[0] = NULL;
    assert_int_equal(ask("POST", "/api/v1/users",
                         "{\"name\":\"anna\",\"roles\":[\"operator\",\"approver\"],"
                         "\"groups\":[\"orders\"]}"),
                     200);
    assert_int_equal(b.proposed.kind, ENTRY_USER_SET);
    assert_int_equal(b.proposed.user_set.roles, ROLE_OPERATOR | ROLE_APPROVER);
    assert_string_equal(b.proposed.user_set.groups[0], "orders");
    assert_int_equal(b.proposed.actor.kind, ACTOR_SOCKET);
    add("anna", ROLE_OPERATOR, NULL);
    assert_int_equal(ask("POST", "/api/v1/users/anna/token", "{\"days\":30}"), 200);
    assert_true(says("\"token\":\"rf_anna_"));
    assert_int_equal(b.proposed.kind, ENTRY_USER_TOKEN);
    assert_true(b.proposed.user_token.expires_ms > 29ull * 86400000);
    assert_int_equal(ask("POST", "/api/v1/users/anna/totp", NULL), 409);
    assert_true(says("secrets_key"));
    assert_int_equal(key_parse(&b.key,
                               "000102030405060708090a0b0c0d0e0f"
                               "101112131415161718191a1b1c1d1e1f",
                               &err),
                     0);
    assert_int_equal(ask("POST", "/api/v1/users/anna/totp", NULL), 200);
    assert_true(says("otpauth://totp/Ringfence%20lab:anna?secret="));
    assert_int_equal(b.proposed.user_totp.recovery_count, RECOVERY_MAX);
    assert_int_equal(ask("GET", "/api/v1/users", NULL), 200);
    assert_true(says("\"name\":\"anna\",\"roles\":[\"operator\"]"));
    assert_false(strstr(call.text, "hash") != NULL);
    assert_int_equal(ask("GET", "/api/v1/whoami", NULL), 200);
    assert_true(says("\"means\":\"socket\""));
}

static void what_is_no_user_is_refused(void **state)
{
    static const struct {
        const char *method, *path, *body, *text;
    } table[] = {
        {"POST", "/api/v1/users", "{\"name\":\"anna\"}", "roles"},
        {"POST", "/api/v1/users", "{\"name\":\"anna\",\"roles\":[]}", "roles"},
        {"POST", "/api/v1/users", "{\"name\":\"anna\",\"roles\":[\"root\"]}", "roles[0]"},
        {"POST", "/api/v1/users", "{\"name\":\"An_na\",\"roles\":[\"admin\"]}", "name"},
        {"POST", "/api/v1/users", "{\"roles\":[\"admin\"]}", "name"},
        {"POST", "/api/v1/users",
         "{\"name\":\"anna\",\"roles\":[\"admin\"],\"groups\":[\"a\",\"../b\"]}",
         "groups[1]"},
        {"POST", "/api/v1/users", "{\"name\":\"anna\",\"roles\":[\"admin\"],\"hash\":1}",
         "hash"},
        {"POST", "/api/v1/users/anna/token", "{\"days\":0}", "days"},
        {"POST", "/api/v1/users/anna/token", "{\"days\":\"x\"}", "days"},
        {"POST", "/api/v1/users/anna/revoke", "{\"id\":-1}", "id"},
        {"POST", "/api/v1/users/anna/totp", "{\"seed\":\"AAAA\"}", "seed"},
    };

    (void)state;
    served_headers[0] = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        print_message("%s %s\n", table[i].path, table[i].body);
        assert_int_equal(ask(table[i].method, table[i].path, table[i].body), 400);
        assert_true(says(table[i].text));
    }
    assert_int_equal(b.proposals, 0);
}

/* The same again within a second is counted; another reason, user or address is not the
 * same, another port is. Where there is no room the oldest is forgotten. */
static void refusals_are_told_once_a_second(void **state)
{
    struct refusals *r = refusals_new();
    struct refused_request what = {"10.0.0.9:5000", "anna", "wrong-role"};
    struct mono now = {5000000000};
    uint32_t more = 9;
    char from[32];

    (void)state;
    assert_true(refusals_take(r, &what, now, &more));
    assert_int_equal(more, 0);
    what.from = "10.0.0.9:6000";
    for (unsigned i = 0; i < 7; i++)
        assert_false(refusals_take(r, &what, now, &more));
    what.code = "code-used";
    assert_true(refusals_take(r, &what, now, &more));
    what = (struct refused_request){"10.0.0.9:7000", "ben", "wrong-role"};
    assert_true(refusals_take(r, &what, now, &more));
    what.name = "anna";
    assert_true(refusals_take(r, &what, mono_plus_ms(now, REFUSALS_EACH_MS), &more));
    assert_int_equal(more, 7);
    for (unsigned i = 0; i < 10 * REFUSALS_MAX; i++) {
        snprintf(from, sizeof from, "10.1.0.%u:1", i);
        what.from = from;
        assert_true(refusals_take(r, &what, mono_plus_ms(now, 2000 + i), &more));
        assert_int_equal(more, 0);
    }
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_told_once_a_second),
        SERVED(every_request_has_a_row),
        SERVED(roles_are_asked_for),
        SERVED(the_text_says_what_is_missing),
        SERVED(what_was_opened_by_a_token_ends_with_it),
        SERVED(tokens_open_what_their_user_may),
        SERVED(the_trail_is_for_users),
        SERVED(an_abort_of_a_proposal_is_of_its_group),
        SERVED(a_right_code_is_used_up_first),
        SERVED(without_the_logs_word_nothing_is_done),
        SERVED(a_wrong_code_is_counted),
        SERVED(users_are_made_at_the_socket),
        SERVED(what_is_no_user_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
