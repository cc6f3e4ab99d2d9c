/* What is shown once is not left in memory: each block that our code lets go of is looked
 * through. The linker sends free() and realloc() of what is linked statically here by this
 * file; libmicrohttpd and jansson let go by functions of ours. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/buf.h"
#include "tests/unit/http/served.h"

void __real_free(void *block);
void *__real_realloc(void *old, size_t size);
void __wrap_free(void *block);
void *__wrap_realloc(void *old, size_t size);

static const char *const secrets[] = {"rf_anna_", "otpauth://", "SEKRET-MARKER"};
static unsigned left_behind, looked_at;

static void look(const void *block)
{
    size_t len = block != NULL ? malloc_usable_size((void *)block) : 0;

    looked_at++;
    for (unsigned i = 0; i < ARRAY_LEN(secrets); i++)
        if (len >= strlen(secrets[i]) &&
            memmem(block, len, secrets[i], strlen(secrets[i])) != NULL)
            left_behind++;
}

void __wrap_free(void *block)
{
    look(block);
    __real_free(block);
}

void *__wrap_realloc(void *old, size_t size)
{
    look(old); /* it may move */
    return __real_realloc(old, size);
}

static void answers_leave_nothing_behind(void **state)
{
    struct user *u = &b.state.users[0];
    struct err err;

    (void)state;
    snprintf(u->name, NAME_SIZE, "anna");
    u->roles = ROLE_OPERATOR;
    b.state.user_count = 1;
    assert_int_equal(key_parse(&b.key,
                               "000102030405060708090a0b0c0d0e0f"
                               "101112131415161718191a1b1c1d1e1f",
                               &err),
                     0);
    looked_at = left_behind = 0;
    assert_int_equal(ask("POST", "/api/v1/users/anna/token", "{}"), 200);
    assert_true(says("\"token\":\"rf_anna_"));
    assert_int_equal(ask("POST", "/api/v1/users/anna/totp", NULL), 200);
    assert_true(says("otpauth://totp/"));
    memset(call.text, 0, sizeof call.text);
    assert_int_equal(ask("GET", "/api/v1/whoami", NULL), 200); /* the last ones are freed */
    assert_true(looked_at > 50);
    assert_int_equal(left_behind, 0);
}

/* It grows, is taken from, and goes; one that is not secret shows that this is seen. */
static void secret_buffers_leave_nothing_behind(void **state)
{
    struct buf plain = {0}, secret = {.secret = true};
    struct err err;

    (void)state;
    left_behind = 0;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(buf_append(&secret, "SEKRET-MARKER", 13, &err), 0);
    assert_int_equal(secret.len, 1300);
    assert_memory_equal(secret.data + 1287, "SEKRET-MARKER", 13);
    buf_consume(&secret, 1287);
    assert_memory_equal(secret.data, "SEKRET-MARKER", 13);
    assert_null(memmem(secret.data + 13, secret.cap - 13, "SEKRET", 6));
    buf_free(&secret);
    assert_true(secret.secret);
    assert_int_equal(left_behind, 0);
    assert_int_equal(buf_append(&plain, "SEKRET-MARKER", 13, &err), 0);
    buf_free(&plain);
    assert_int_equal(left_behind, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(answers_leave_nothing_behind),
        cmocka_unit_test(secret_buffers_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
