#include "tests/unit/methods/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000, STEP_MS = 5, TEXT_MAX = 8192 };

static void set(struct power_pair *pair, const char *key, const char *value)
{
    assert_true(strlen(key) < sizeof pair->key && strlen(value) < sizeof pair->value);
    snprintf(pair->key, sizeof pair->key, "%s", key);
    snprintf(pair->value, sizeof pair->value, "%s", value);
}

void bench_option(struct bench *b, const char *key, const char *value)
{
    set(&b->device.options[b->device.option_count++], key, value);
}

void bench_secret(struct bench *b, const char *key, const char *value)
{
    char path[TREE_PATH + 64];
    int fd;

    snprintf(path, sizeof path, "%s/secret.%s", b->dir, key);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(dprintf(fd, "%s\n", value), (int)strlen(value) + 1);
    close(fd);
    set(&b->device.secrets[b->device.secret_count++], key, path);
}

void bench_open(struct bench *b, const char *mode)
{
    memset(b, 0, sizeof *b);
    tree_make(b->dir, "/tmp");
    assert_int_equal(uv_loop_init(&b->loop), 0);
    snprintf(b->device.name, sizeof b->device.name, "bmc-east");
    snprintf(b->device.agent, sizeof b->device.agent, "%s", TEST_AGENT);
    b->device.deadline_ms = PATIENCE_MS;
    bench_option(b, "mode", mode);
    bench_option(b, "dir", b->dir);
}

void bench_close(struct bench *b)
{
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(tree_remove(b->dir), 0);
}

void bench_done(void *owner, enum power_state state, const struct err *why)
{
    struct bench *b = owner;

    b->answers++;
    b->state = state;
    b->why = why != NULL ? *why : (struct err){0};
}

static void finish(struct bench *b)
{
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(b->answers, 1);
    b->answers = 0;
}

void bench_off(struct bench *b)
{
    struct power_run *r = NULL;
    struct err err = {0};

    if (power_off_start(&r, &b->loop, &b->device, bench_done, b, &err) != 0)
        fail_msg("%s", err.text);
    finish(b);
}

void bench_status(struct bench *b)
{
    struct power_run *r = NULL;
    struct err err = {0};

    if (power_status_start(&r, &b->loop, &b->device, bench_done, b, &err) != 0)
        fail_msg("%s", err.text);
    finish(b);
}

const char *bench_read(const struct bench *b, const char *name)
{
    static char text[TEXT_MAX];
    char path[TREE_PATH + 64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/%s", b->dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    auto_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

void bench_await(struct bench *b, const char *name)
{
    for (int ms = 0; bench_read(b, name)[0] == '\0'; ms += STEP_MS) {
        assert_true(ms < PATIENCE_MS);
        (void)uv_run(&b->loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, STEP_MS);
    }
}

/* A zombie that nobody reaps is dead. */
static bool is_alive(long pid)
{
    char path[64], text[512];
    const char *state;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    auto_close(&fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    state = strrchr(text, ')');
    return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

void bench_expect_dead(const struct bench *b, unsigned count)
{
    char text[TEXT_MAX], *at = text, *next;
    unsigned n = 0;

    snprintf(text, sizeof text, "%s", bench_read(b, "pids"));
    for (long pid; (pid = strtol(at, &next, 10)) > 0; at = next, n++)
        for (int ms = 0; is_alive(pid); ms += STEP_MS) {
            assert_true(ms < PATIENCE_MS);
            (void)poll(NULL, 0, STEP_MS);
        }
    assert_true(n >= count);
}
