/* controller/people/jwt.h: JWTs that openssl made; which are good, and why the others are
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/people/jwt.h"

#define NOW_MS UINT64_C(1795000000000)

static char dir[] = "/tmp/rf-jwt.XXXXXX";

static int make(void **state)
{
    char command[200];

    (void)state;
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(command, sizeof command, "python3 %s %s", MAKE_JWT, dir);
    return system(command);
}

static int clean(void **state)
{
    char command[200];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static struct jwt_config config_of(const char *keys)
{
    struct jwt_config c = {.issuer = "https://id.example",
                           .audience = "ringfence",
                           .claim = "preferred_username"};

    snprintf(c.keys, sizeof c.keys, "%s/%s", dir, keys);
    return c;
}

static void read_token(const char *name, char text[4096])
{
    char path[100];
    FILE *f;
    size_t len;

    snprintf(path, sizeof path, "%s/%s.jwt", dir, name);
    f = fopen(path, "re");
    assert_non_null(f);
    len = fread(text, 1, 4095, f);
    text[len] = '\0';
    fclose(f);
}

static void tokens_are_judged(void **state)
{
    static const struct {
        const char *name, *why; /* NULL: it is good */
    } table[] = {
        {"rs256", NULL},
        {"es256", NULL},
        {"no-kid", NULL},
        {"audiences", NULL},
        {"late", NULL},
        {"none", "not signed by RS256 or ES256"},
        {"none-empty", "neither a token nor a JWT"},
        {"hs256", "not signed by RS256 or ES256"},
        {"rs512", "not signed by RS256 or ES256"},
        {"wrong-key", "signature of that JWT is wrong"},
        {"unknown-kid", "key that is not in"},
        {"weak-key", "key that is not in"},
        {"other-kind", "key that is not in"},
        {"tampered", "signature of that JWT is wrong"},
        {"unsigned", "JWT"},
        {"issuer", "another issuer"},
        {"audience", "for somebody else"},
        {"no-audience", "for somebody else"},
        {"expired", "has expired"},
        {"no-expiry", "when it expires"},
        {"text-expiry", "when it expires"},
        {"early", "not good yet"},
        {"nameless", "does not name a user"},
        {"mail", "does not name a user"},
        {"zero", "JWT"},
        {"critical", "critical headers"},
        {"twice", "no claims"},
    };
    struct jwt_config config = config_of("jwks.json");
    struct jwt *j = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(jwt_open(&j, &config, &err), 0);
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        struct jwt_owner owner = {.name = "nobody"};
        char text[4096];
        const char *why = NULL;
        bool good;

        read_token(table[i].name, text);
        good = jwt_user(j, text, NOW_MS, &owner, &why);
        print_message("%s: %s\n", table[i].name, good ? owner.name : why);
        assert_int_equal(good, table[i].why == NULL);
        assert_string_equal(owner.name, good ? "anna" : "nobody");
        assert_true(good == (owner.until_ms > NOW_MS));
        assert_true(good || strstr(why, table[i].why) != NULL);
    }
    jwt_close(j);
}

static void rubbish_is_no_jwt(void **state)
{
    static const char *const table[] = {
        "", ".", "..", "...", "a.b.c", "e30.e30.", "rf_anna_x", "e30.e30.e30.e30.e30"};
    struct jwt_config config = config_of("jwks.json");
    struct jwt_owner owner;
    struct jwt *j = NULL;
    struct err err = {0};
    const char *why;

    (void)state;
    assert_int_equal(jwt_open(&j, &config, &err), 0);
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        assert_false(jwt_user(j, table[i], NOW_MS, &owner, &why));
    jwt_close(j);
}

static void files_without_keys_are_refused(void **state)
{
    static const struct {
        const char *file;
        int code;
    } table[] = {{"weak.json", ERR_INVAL},
                 {"rs256.jwt", ERR_INVAL},
                 {"ec", ERR_INVAL},
                 {"nothing", ERR_NOTFOUND}};
    struct jwt *j = NULL;

    (void)state;
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        struct jwt_config config = config_of(table[i].file);
        struct err err = {0};

        assert_int_equal(jwt_open(&j, &config, &err), table[i].code);
        assert_null(j);
        assert_non_null(strstr(err.text, table[i].file));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_judged),
        cmocka_unit_test(rubbish_is_no_jwt),
        cmocka_unit_test(files_without_keys_are_refused),
    };

    return cmocka_run_group_tests(tests, make, clean);
}
