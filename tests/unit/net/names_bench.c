#include "tests/unit/net/names_bench.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/log.h"

static const struct address east = {"east.test", 7400};

char logged[16384];

void __wrap_log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Names log from their loop only. */
void __wrap_log_at(enum log_level level, const char *fmt, ...)
{
    size_t n = strlen(logged);
    va_list args;

    (void)level;
    va_start(args, fmt);
    n += (size_t)vsnprintf(logged + n, sizeof logged - n, fmt, args);
    va_end(args);
    assert_true(n + 1 < sizeof logged);
    logged[n] = '\n';
    logged[n + 1] = 0;
}

static void on_answer(void *owner, const struct names_answer *answer, const struct err *why)
{
    struct asker *a = owner;
    struct err err;

    assert_true((answer == NULL) != (why == NULL));
    a->told++;
    uv_stop(&a->w->loop); /* a turn that began with a timer waits for the next one else */
    a->got = answer != NULL ? *answer : (struct names_answer){0};
    a->why = why != NULL ? *why : (struct err){0};
    if (a->forgets != NULL)
        names_forget(&a->forgets->wait);
    if (a->asks_again) {
        a->asks_again = false;
        a->status = names_find(a->w->names, &east, &a->wait, &a->got, &err);
    }
}

int ask(struct world *w, struct asker *a, const char *host, struct err *err)
{
    struct address at = {.port = 7400};

    snprintf(at.host, sizeof at.host, "%s", host);
    a->w = w;
    a->wait.on_answer = on_answer;
    a->wait.owner = a;
    return names_find(w->names, &at, &a->wait, &a->got, err);
}

void open_names(struct world *w, bool with_file)
{
    struct err err = {0};

    if (names_open(&w->names, &w->loop, with_file ? w->file : NULL, &err) != 0)
        fail_msg("%s", err.text);
}

void begin(struct world *w, bool with_file)
{
    *w = (struct world){0};
    logged[0] = 0;
    resolver_begin();
    bench_make_dir(w->dir);
    snprintf(w->file, sizeof w->file, "%s/names", w->dir);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->alarm);
    w->alarm.data = w;
    open_names(w, with_file);
}

void close_names(struct world *w)
{
    names_close(TAKE(w->names));
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* The loop ends while lookups hang, and nothing is left of it. */
void end(struct world *w)
{
    close_names(w);
    uv_close((uv_handle_t *)&w->alarm, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    resolver_end();
    bench_remove_dir(w->dir);
}

static void on_late(uv_timer_t *alarm)
{
    struct world *w = alarm->data;

    w->late = true;
}

void until_told(struct world *w, const struct asker *a, unsigned times)
{
    uv_update_time(&w->loop);
    uv_timer_start(&w->alarm, on_late, BENCH_WAIT_MS, 0);
    while (a->told < times && !w->late)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->alarm);
    if (w->late)
        fail_msg("told %u times, not %u; logged: %s", a->told, times, logged);
}

unsigned lines(const char *words)
{
    unsigned n = 0;

    for (const char *at = logged; (at = strstr(at, words)) != NULL && *at != 0; at++)
        n++;
    return n;
}

void until_logged(struct world *w, const char *words, unsigned times)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;

    while (lines(words) < times) {
        assert_true(uv_hrtime() < until);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
}

uint32_t v4(const struct names_answer *a, unsigned i)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&a->of[i];

    assert_int_equal(in->sin_family, AF_INET);
    assert_int_equal(ntohs(in->sin_port), 7400);
    return ntohl(in->sin_addr.s_addr);
}

/* It is looked up, and known. */
void know(struct world *w, const char *host, const char *addresses)
{
    struct asker a = {0};
    struct err err;

    resolver_says(addresses);
    assert_int_equal(ask(w, &a, host, &err), ERR_BUSY);
    until_told(w, &a, 1);
    assert_int_equal(a.why.code, 0);
}
