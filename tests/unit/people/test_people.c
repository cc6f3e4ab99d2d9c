/* controller/people: tokens, sealed seeds, codes; the codes are those of `oathtool`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "controller/people/factor.h"
#include "controller/people/token.h"

static const char hex_key[] =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1F\n";
enum { NOW_S = 1795000012 };
#define NOW_MS (NOW_S * UINT64_C(1000))

static struct state s;
static struct secrets_key key;
static struct factor_made made;

static void take(const struct entry_user_totp *e)
{
    struct user *u = &s.users[0];

    memcpy(u->seed, e->seed, sizeof u->seed);
    memcpy(u->recovery, e->recovery, sizeof u->recovery);
    u->recovery_count = e->recovery_count;
}

static int setup(void **state)
{
    struct err err = {0};

    (void)state;
    memset(&s, 0, sizeof s);
    s.user_count = 2;
    snprintf(s.users[0].name, NAME_SIZE, "anna");
    snprintf(s.users[1].name, NAME_SIZE, "ben");
    if (key_parse(&key, hex_key, &err) != 0 ||
        factor_make(&key, "demo", "anna", &made, &err) != 0)
        return 1;
    take(&made.entry);
    return 0;
}

/* The code of `oathtool` for the secret in the URI, `shift` seconds from now. */
static void oathtool(int shift, char code[TOTP_DIGITS + 1])
{
    char command[FACTOR_URI_SIZE + 128], line[32] = "",
                                         *secret = strstr(made.uri, "secret=");
    FILE *out;

    assert_non_null(secret);
    secret += strlen("secret=");
    snprintf(command, sizeof command, "oathtool --totp -b -N @%d %.*s", NOW_S + shift,
             (int)strcspn(secret, "&"), secret);
    out = popen(command, "r");
    assert_non_null(out);
    assert_non_null(fgets(line, sizeof line, out));
    assert_int_equal(pclose(out), 0);
    assert_int_equal(strspn(line, "0123456789"), TOTP_DIGITS);
    snprintf(code, TOTP_DIGITS + 1, "%.6s", line);
}

static enum factor_verdict check(const char *code, struct entry_factor_used *ret)
{
    enum factor_verdict v;
    struct err err = {0};

    assert_int_equal(factor_check(&key, &s.users[0], code, NOW_MS, &v, ret, &err), 0);
    return v;
}

/* Another program's codes are right now, half a minute ago and in half a minute, not
 * beyond; one of a step that was used is told from a wrong one. */
static void codes_are_those_of_oathtool(void **state)
{
    struct entry_factor_used used;
    char code[TOTP_DIGITS + 1];

    (void)state;
    for (int k = -1; k <= 1; k++) {
        oathtool(k * TOTP_STEP_S, code);
        assert_int_equal(check(code, &used), CODE_RIGHT);
        assert_int_equal(used.factor, FACTOR_TOTP);
        assert_string_equal(used.name, "anna");
        assert_int_equal(used.step, NOW_S / TOTP_STEP_S + k);
    }
    oathtool(-3 * TOTP_STEP_S, code);
    assert_int_equal(check(code, &used), CODE_WRONG);
    oathtool(3 * TOTP_STEP_S, code);
    assert_int_equal(check(code, &used), CODE_WRONG);
    oathtool(0, code);
    s.users[0].totp_step = NOW_S / TOTP_STEP_S;
    assert_int_equal(check(code, &used), CODE_USED);
    oathtool(-TOTP_STEP_S, code);
    assert_int_equal(check(code, &used), CODE_USED);
    oathtool(TOTP_STEP_S, code);
    assert_int_equal(check(code, &used), CODE_RIGHT);
    assert_int_equal(check("", &used), CODE_WRONG);
    assert_int_equal(check("12345", &used), CODE_WRONG);
    assert_int_equal(check("1234567", &used), CODE_WRONG);
    assert_int_equal(check("12345x", &used), CODE_WRONG);
}

static void recovery_codes_are_right_until_used(void **state)
{
    struct entry_factor_used used;

    (void)state;
    for (uint8_t i = 0; i < RECOVERY_MAX; i++) {
        assert_int_equal(check(made.recovery[i], &used), CODE_RIGHT);
        assert_int_equal(used.factor, FACTOR_RECOVERY);
        assert_int_equal(used.code, i);
        for (uint8_t k = 0; k < i; k++)
            assert_string_not_equal(made.recovery[i], made.recovery[k]);
    }
    memset(&s.users[0].recovery[3], 0, sizeof s.users[0].recovery[3]);
    assert_int_equal(check(made.recovery[3], &used), CODE_WRONG);
    assert_int_equal(check("aaaa-aaaa-aaaa-aaaa", &used), CODE_WRONG);
}

/* A sealed seed is good for its user under its key only, and not when a bit is another. */
static void seeds_open_where_they_belong(void **state)
{
    uint8_t seed[SEED_SIZE], sealed[SEED_SEALED_SIZE], again[SEED_SIZE];
    struct secrets_key other = key;
    struct err err = {0};

    (void)state;
    memset(seed, 0x5a, sizeof seed);
    assert_int_equal(key_seal(&key, "anna", seed, sealed, &err), 0);
    assert_int_equal(key_unseal(&key, "anna", sealed, again, &err), 0);
    assert_memory_equal(seed, again, sizeof seed);
    assert_int_equal(key_unseal(&key, "ben", sealed, again, &err), ERR_BADMSG);
    other.bytes[31] ^= 1;
    assert_int_equal(key_unseal(&other, "anna", sealed, again, &err), ERR_BADMSG);
    for (unsigned i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 0x10;
        assert_int_equal(key_unseal(&key, "anna", sealed, again, &err), ERR_BADMSG);
        sealed[i] ^= 0x10;
    }
    other.is_set = false;
    assert_int_equal(key_seal(&other, "anna", seed, sealed, &err), ERR_INVAL);
    assert_int_equal(factor_make(&other, "demo", "anna", &made, &err), ERR_INVAL);
}

static void keys_are_64_digits(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        "00010203",
        "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 1",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00",
    };
    struct secrets_key k;
    struct err err = {0};

    (void)state;
    assert_int_equal(key.bytes[31], 0x1f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (key_parse(&k, bad[i], &err) != ERR_INVAL)
            fail_msg("'%s' is taken for a key", bad[i]);
}

static void give(const char *user, uint64_t expires_ms, char text[TOKEN_TEXT_SIZE])
{
    struct user *u = &s.users[strcmp(user, "ben") == 0];
    struct user_token *t = &u->tokens[u->token_count++];
    struct err err = {0};

    t->id = 7u + u->token_count;
    t->expires_ms = expires_ms;
    assert_int_equal(token_make(user, text, t->hash, &err), 0);
}

static void tokens_are_their_users(void **state)
{
    char anna[TOKEN_TEXT_SIZE], ben[TOKEN_TEXT_SIZE], short_lived[TOKEN_TEXT_SIZE],
        bad[128];
    const char *why;
    uint64_t id = 0;

    (void)state;
    give("anna", 0, anna);
    give("anna", NOW_MS, short_lived);
    give("ben", 0, ben);
    assert_int_equal(strlen(anna), strlen("rf_anna_") + 43);
    assert_int_equal(strspn(anna + 8, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_"),
                     43);
    assert_ptr_equal(token_user(&s, anna, NOW_MS, &id, &why), &s.users[0]);
    assert_ptr_equal(token_user(&s, ben, NOW_MS, &id, &why), &s.users[1]);
    assert_ptr_equal(token_user(&s, short_lived, NOW_MS - 1, &id, &why), &s.users[0]);
    assert_int_equal(id, s.users[0].tokens[1].id);
    assert_true(token_lives(&s.users[0], id, NOW_MS - 1));
    assert_false(token_lives(&s.users[0], id, NOW_MS));
    assert_false(token_lives(&s.users[0], 4711, NOW_MS - 1));
    assert_null(token_user(&s, short_lived, NOW_MS, &id, &why));
    assert_non_null(strstr(why, "expired"));

    /* Anna's secret under Ben's name, a name that nobody has, cut, longer, another case. */
    snprintf(bad, sizeof bad, "rf_ben_%s", anna + 8);
    assert_null(token_user(&s, bad, NOW_MS, &id, &why));
    assert_non_null(strstr(why, "nobody's"));
    snprintf(bad, sizeof bad, "rf_cleo_%s", anna + 8);
    assert_null(token_user(&s, bad, NOW_MS, &id, &why));
    snprintf(bad, sizeof bad, "%.*s", (int)strlen(anna) - 1, anna);
    assert_null(token_user(&s, bad, NOW_MS, &id, &why));
    snprintf(bad, sizeof bad, "%sA", anna);
    assert_null(token_user(&s, bad, NOW_MS, &id, &why));
    snprintf(bad, sizeof bad, "%s", anna);
    bad[30] ^= 0x20;
    assert_null(token_user(&s, bad, NOW_MS, &id, &why));
    assert_null(token_user(&s, "", NOW_MS, &id, &why));
    assert_null(token_user(&s, "rf_", NOW_MS, &id, &why));
    s.users[0].token_count = 0;
    assert_null(token_user(&s, anna, NOW_MS, &id, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(codes_are_those_of_oathtool, setup),
        cmocka_unit_test_setup(recovery_codes_are_right_until_used, setup),
        cmocka_unit_test_setup(seeds_open_where_they_belong, setup),
        cmocka_unit_test_setup(keys_are_64_digits, setup),
        cmocka_unit_test_setup(tokens_are_their_users, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
