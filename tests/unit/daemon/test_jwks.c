/* The provider's keys from a real HTTPS server: down at the start, rotated, garbage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>
#include <uv.h>

#include "controller/daemon/jwks.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/outbound/servers.h"

#define NOW_MS UINT64_C(1795000000000)

static uv_loop_t loop;
static char dir[64];
static struct server server;
static struct jwt_config config = {
    .issuer = "https://id.example", .audience = "ringfence", .claim = "preferred_username"};
static struct jwt *jwt;
static struct jwks *jwks;
static struct api_keys facts;
static uv_timer_t turn; /* so that waiting sees its end */

static void on_turn(uv_timer_t *timer) { (void)timer; }

static bool is_known(void) { return facts.known; }
static bool has_failed(void) { return facts.problem[0] != '\0'; }
static bool is_well(void) { return facts.known && facts.problem[0] == '\0'; }

/* Twenty seconds are for a host that is busy. */
static void wait_for(bool (*what)(void))
{
    const uint64_t until = uv_hrtime() + 20000000000ull;

    do {
        uv_run(&loop, UV_RUN_ONCE);
        jwks_facts(jwks, &facts);
    } while (!what() && uv_hrtime() < until);
    print_message("%u keys, %u fetches: %s\n", facts.count, (unsigned)facts.fetches,
                  facts.problem);
    assert_true(what());
}

static const char *judge(const char *name)
{
    struct jwt_owner owner;
    char text[4096], file[64];
    const char *why = "good";

    snprintf(file, sizeof file, "%s.jwt", name);
    snprintf(text, sizeof text, "%s", server_wrote(dir, file));
    return jwt_user(jwt, text, NOW_MS, &owner, &why) ? "good" : why;
}

static void serve(const char *file)
{
    char text[1 << 15];

    snprintf(text, sizeof text, "%s", server_wrote(dir, file));
    server_write(dir, "keys", text);
}

static void begin(const char *ca, uint32_t refresh_ms, uint32_t again_ms)
{
    const struct jwks_times times = {refresh_ms, again_ms, 100};
    struct err err = {0};

    snprintf(config.keys, sizeof config.keys, "https://127.0.0.1:%u/keys", server.port);
    snprintf(config.ca, sizeof config.ca, "%s", ca);
    assert_int_equal(jwt_open(&jwt, &config, &err), 0);
    assert_int_equal(jwks_open(&jwks, &loop, jwt, &config, &times, &err), 0);
    jwks_facts(jwks, &facts);
    assert_true(facts.fetched && !facts.known);
}

static int start(void **state)
{
    char command[200];

    (void)state;
    snprintf(dir, sizeof dir, "/tmp/rf-jwks-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command, "python3 %s %s", MAKE_JWT, dir);
    assert_int_equal(system(command), 0);
    uv_loop_init(&loop);
    uv_timer_init(&loop, &turn);
    uv_timer_start(&turn, on_turn, 20, 20);
    uv_unref((uv_handle_t *)&turn);
    server = server_start("webs", dir, 0);
    serve("jwks.json");
    return 0;
}

static int end_each(void **state)
{
    (void)state;
    jwks_close(jwks);
    jwt_close(jwt);
    jwks = NULL;
    jwt = NULL;
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    server_stop(&server);
    uv_close((uv_handle_t *)&turn, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    tree_remove(dir);
    return 0;
}

static const char *ca_file(void)
{
    static char path[80];

    snprintf(path, sizeof path, "%s/ca.pem", dir);
    return path;
}

static bool knows_the_new_one(void) { return strcmp(judge("unknown-kid"), "good") == 0; }

/* Nobody is let in before the first set; then it is fetched without a restart. */
static void a_server_that_is_down_is_waited_for(void **state)
{
    const uint16_t port = server.port;

    (void)state;
    server_stop(&server);
    begin(ca_file(), 600000, 600000);
    assert_non_null(strstr(judge("rs256"), "could not be fetched yet"));
    wait_for(has_failed);
    assert_false(facts.known);
    assert_non_null(strstr(judge("rs256"), "could not be fetched yet"));
    server = server_start("webs", dir, port);
    wait_for(is_known);
    assert_int_equal(facts.count, 2);
    assert_string_equal(judge("rs256"), "good");
    assert_string_equal(judge("es256"), "good");
    assert_non_null(strstr(judge("wrong-key"), "signature"));
    assert_non_null(strstr(judge("none"), "not signed"));
}

/* A new key is asked for when a token of it comes, and the old one is good no more. However
 * often they come, the provider is asked once. */
static void rotation_is_seen(void **state)
{
    (void)state;
    begin(ca_file(), 600000, 300);
    wait_for(is_well);
    assert_non_null(strstr(judge("unknown-kid"), "fetched anew"));
    serve("rotated.json");
    for (unsigned i = 0; i < 1000; i++)
        jwks_want(jwks);
    jwks_facts(jwks, &facts);
    assert_true(facts.fetches <= 2);
    while (facts.fetches < 2) { /* `again` is over */
        uv_run(&loop, UV_RUN_NOWAIT);
        jwks_want(jwks);
        jwks_facts(jwks, &facts);
    }
    wait_for(knows_the_new_one);
    assert_non_null(strstr(judge("rs256"), "fetched anew"));
    serve("jwks.json");
}

/* By itself, too. */
static void keys_are_fetched_again(void **state)
{
    (void)state;
    begin(ca_file(), 200, 600000);
    wait_for(is_well);
    serve("rotated.json");
    wait_for(knows_the_new_one);
    serve("jwks.json");
}

/* What is no good set leaves the last one in force, says what it is, and lets nobody in. */
static void garbage_changes_nothing(void **state)
{
    static const char *const table[][2] = {
        {"<html>sign in</html>", "no JWKS"},
        {"", "no JWKS"},
        {"{\"keys\":[]}", "no key in it"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "no key in it"},
    };
    static char large[JWT_KEYS_BYTES + 100];

    (void)state;
    begin(ca_file(), 150, 600000);
    wait_for(is_well);
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        server_write(dir, "keys", table[i][0]);
        wait_for(has_failed);
        assert_non_null(strstr(facts.problem, table[i][1]));
        assert_int_equal(facts.count, 2);
        assert_string_equal(judge("rs256"), "good");
        assert_non_null(strstr(judge("unknown-kid"), "fetched anew"));
        serve("jwks.json");
        wait_for(is_well);
    }
    memset(large, ' ', sizeof large - 1);
    server_write(dir, "keys", large);
    wait_for(has_failed);
    assert_non_null(strstr(facts.problem, "longer than 65536 bytes"));
    serve("jwks.json");
    wait_for(is_well);
    server_write(dir, "keys.status", "503");
    wait_for(has_failed);
    assert_non_null(strstr(facts.problem, "503, and not 200"));
    server_write(dir, "keys.status", "200");
    wait_for(is_well);
}

/* Whoever answers in the provider's place has no certificate for it. */
static void a_server_that_is_not_trusted_is_not_believed(void **state)
{
    (void)state;
    begin("", 600000, 600000);
    wait_for(has_failed);
    assert_non_null(strstr(facts.problem, "certificate"));
    assert_false(facts.known);
    assert_non_null(strstr(judge("rs256"), "could not be fetched yet"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_server_that_is_down_is_waited_for, end_each),
        cmocka_unit_test_teardown(rotation_is_seen, end_each),
        cmocka_unit_test_teardown(keys_are_fetched_again, end_each),
        cmocka_unit_test_teardown(garbage_changes_nothing, end_each),
        cmocka_unit_test_teardown(a_server_that_is_not_trusted_is_not_believed, end_each),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
