/* What controllers hand each other about people, and to whom they may not (I10); what the
 * leader writes of the refusals that others tell it of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/daemon/peers_private.h"
#include "controller/http/api.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/daemon/node_of_one.h"

static struct node_of_one one;
static struct daemon d;
static struct peers p;
static char dir[TREE_PATH];

/* The node leads as `east`; the settings say that this process is another one, with no
 * link to it. */
static int begin(void **state)
{
    (void)state;
    tree_make(dir, "/tmp");
    one_begin(&one, dir);
    one_lead(&one);
    d = (struct daemon){.node = one.node, .settings = {.self = 1, .count = 2}};
    d.settings.controllers[0] = (struct settings_controller){.id = 1, .name = "east"};
    d.settings.controllers[1] = (struct settings_controller){.id = 2, .name = "west"};
    p = (struct peers){.d = &d, .refused = REFUSED_BOUNDS};
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_free(&p.bytes);
    one_end(&one);
    return tree_remove(dir);
}

static void announce(uint32_t format_max)
{
    struct entry e = {.kind = ENTRY_CONTROLLER,
                      .controller = {.id = 1,
                                     .name = "east",
                                     .region = "east",
                                     .version = "0.1.0",
                                     .format_min = 1,
                                     .format_max = format_max,
                                     .election_ms = 30,
                                     .heartbeat_ms = 10}};

    one_apply(&one, &e);
}

static void on_reply(void *owner, unsigned status, const uint8_t *body, size_t len)
{
    (void)owner;
    (void)status;
    (void)body;
    (void)len;
    fail(); /* nothing was sent */
}

static int ask(const struct caller *who, struct err *err)
{
    const struct api_request request = {
        .method = "GET", .path = "/api/v1/users", .caller = who};

    return peers_api(&p, &request, on_reply, NULL, err);
}

/* A version that knows no callers drops the whole stream over one: it is asked what root
 * asks by the socket, which goes without saying, and nothing else. */
static void callers_go_to_those_who_know_them(void **state)
{
    static const struct caller root = {.kind = CALLER_SOCKET, .name = "root"};
    static const struct caller others[] = {
        {.kind = CALLER_ANONYMOUS},
        {.kind = CALLER_CERTIFICATE, .name = "alice"},
        {.kind = CALLER_SOCKET, .name = "uid-1000"},
        {.kind = CALLER_SOCKET, .name = "root", .bearer = "rf_x"},
        {.kind = CALLER_SOCKET, .name = "root", .totp = "123456"},
    };
    struct err err = {0};

    (void)state;
    /* 0: not on record; 1: of before; 2, 3: it knows. No link: ERR_NOTLEADER says that it
     * would have been sent. */
    for (uint32_t format = 0; format <= 3; format++) {
        if (format > 0)
            announce(format);
        assert_int_equal(ask(&root, &err), ERR_NOTLEADER);
        for (unsigned i = 0; i < ARRAY_LEN(others); i++)
            assert_int_equal(ask(&others[i], &err),
                             format < 2 ? ERR_UNSUPPORTED : ERR_NOTLEADER);
        assert_int_equal(ask(NULL, &err), format < 2 ? ERR_UNSUPPORTED : ERR_NOTLEADER);
        assert_non_null(strstr(err.text, format < 2 ? "upgrade it" : "cannot be reached"));
        assert_int_equal(peers_knows_people(&p, 0), format >= 2);
        assert_int_equal(peers_knows_refused(&p, 0), format >= 3);
    }
}

static const Rf__Refused good = {
    .base = PROTOBUF_C_MESSAGE_INIT(&rf__refused__descriptor),
    .kind = ACTOR_TOKEN,
    .name = (char *)"olga",
    .from = (char *)"10.0.0.9:5",
    .factor = FACTOR_TOTP,
    .roles = ROLE_OPERATOR,
    .group = (char *)"orders",
    .text = (char *)"refused (wrong-role): detach: because",
};

/* The entries that it became. */
static unsigned taken(const Rf__Refused *r, unsigned times)
{
    unsigned before = one.applied;

    for (unsigned i = 0; i < times; i++)
        peer_refused_take(&p, r);
    /* A word of our own behind it: what was to be applied is. */
    announce(2);
    return one.applied - before - 1;
}

static void what_no_controller_would_say_is_dropped(void **state)
{
    static char name[] = "a-name-of-more-than-23-characters", text[80];
    Rf__Refused bad[] = {good, good, good, good, good, good, good};

    (void)state;
    announce(2);
    memset(text, 'x', sizeof text - 1);
    bad[0].kind = ACTOR_NONE; /* no person */
    bad[1].kind = ACTOR_ANONYMOUS + 1;
    bad[2].factor = FACTOR_RECOVERY + 1;
    bad[3].roles = ROLES_ALL + 1;
    bad[4].name = name;
    bad[5].from = text;
    bad[6].group = name;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(taken(&bad[i], 1), 0);
    assert_int_equal(taken(&good, 1), 1);
}

/* Neither a mad controller nor a flood at one fills the log: the leader counts again, and
 * those whom nobody knows for themselves, and root's. What is not written is counted. */
static void the_leader_bounds_what_it_is_told(void **state)
{
    Rf__Refused unknown = good, root = good;
    unsigned n;

    (void)state;
    announce(2);
    unknown.kind = ACTOR_ANONYMOUS;
    root.kind = ACTOR_SOCKET;
    assert_int_equal(taken(&unknown, 100), REFUSED_UNKNOWN_BURST);
    assert_int_equal(node_left_out(one.node), 100 - REFUSED_UNKNOWN_BURST);
    n = taken(&root, 100);
    assert_in_range(n, REFUSED_BURST, REFUSED_BURST + 2);
    assert_int_equal(node_left_out(one.node), 200 - REFUSED_UNKNOWN_BURST - n);
    assert_in_range(taken(&good, 100), REFUSED_BURST, REFUSED_BURST + 2);
    assert_int_equal(taken(&unknown, 100), 0);
}

/* And so does who tells it, before anything is sent. */
static void who_tells_the_leader_is_bounded(void **state)
{
    const struct actor olga = {.name = "olga", .kind = ACTOR_TOKEN, .from = "10.0.0.9:5"};

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        peers_tell_refused(&p, &olga, "orders", "refused (wrong-role): detach: because");
    assert_int_equal(p.refused.known.used, REFUSED_BURST);
    assert_int_equal(p.refused.unknown.used, 0);
    /* Those within the bounds had no leader to go to. */
    assert_int_equal(peers_refused_untold(&p), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(callers_go_to_those_who_know_them, begin, end),
        cmocka_unit_test_setup_teardown(what_no_controller_would_say_is_dropped, begin,
                                        end),
        cmocka_unit_test_setup_teardown(the_leader_bounds_what_it_is_told, begin, end),
        cmocka_unit_test_setup_teardown(who_tells_the_leader_is_bounded, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
