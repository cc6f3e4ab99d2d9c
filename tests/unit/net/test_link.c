#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/net/bench.h"

struct watch {
    unsigned ups, downs, frames;
    struct err why;
    struct link *link;
    bool close_on_up, close_on_down;
};

static void on_up(void *owner)
{
    struct watch *w = owner;

    w->ups++;
    if (w->close_on_up)
        link_close(TAKE(w->link));
}

static void on_down(void *owner, const struct err *why)
{
    struct watch *w = owner;

    w->downs++;
    w->why = *why;
    if (w->close_on_down)
        link_close(TAKE(w->link));
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    struct watch *w = owner;

    (void)data;
    (void)len;
    w->frames++;
}

static const struct link_events events = {on_up, on_down, on_frame};

static void open_link(struct bench *b, struct watch *w, const char *peer)
{
    struct identity id = bench_id(IDENTITY_CONTROLLER, peer);
    const struct link_spec spec = {.peer = &id,
                                   .at = &b->at,
                                   .events = &events,
                                   .owner = w,
                                   .names = b->names,
                                   .backoff_min_ms = 5,
                                   .backoff_max_ms = 40};
    struct err err = {0};

    if (link_open(&w->link, &b->loop, b->west, &spec, &err) != 0)
        fail_msg("%s", err.text);
}

/* A link comes up and carries frames both ways. */
static void comes_up_and_carries(void **state)
{
    struct bench b;
    struct watch w = {0};
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    b.echo = true;
    open_link(&b, &w, "east");
    assert_int_equal(link_send(w.link, "x", 1, &err), ERR_CLOSED); /* not up yet */
    bench_until(&b, &w.ups, 1);
    assert_true(link_is_up(w.link));
    assert_int_equal(link_last_error(w.link)->code, 0);
    assert_int_equal(link_send(w.link, "x", 1, &err), 0);
    bench_until(&b, &w.frames, 1);
    link_close(w.link);
    bench_close(&b);
}

/* A name is looked up like any other host, by the real resolver (test_link_names.c has
 * others). */
static void dials_a_name(void **state)
{
    struct bench b;
    struct watch w = {0};
    struct address numeric;

    (void)state;
    bench_open(&b, NULL);
    numeric = b.at;
    strcpy(b.at.host, "localhost");
    open_link(&b, &w, "east");
    b.at = numeric;
    bench_until(&b, &w.ups, 1);
    link_close(w.link);
    bench_close(&b);
}

/* Closing during a look-up leaves nothing behind (ASan and uv_loop_close() look). */
static void close_during_lookup(void **state)
{
    struct bench b;
    struct watch w = {0};

    (void)state;
    bench_open(&b, NULL);
    strcpy(b.at.host, "no-such-host.invalid");
    open_link(&b, &w, "east");
    bench_turn(&b);
    link_close(w.link);
    bench_close(&b);
    assert_int_equal(w.ups + w.downs, 0);
}

/* The listener goes and returns: down once, up again, by itself. */
static void reconnects_when_the_listener_returns(void **state)
{
    struct bench b;
    struct watch w = {0};
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    open_link(&b, &w, "east");
    bench_until(&b, &w.ups, 1);
    bench_until(&b, &b.n_accepted, 1);
    listener_close(TAKE(b.listener));
    side_free(&b.accepted[0]);
    bench_until(&b, &w.downs, 1);
    assert_int_equal(w.why.code, ERR_CLOSED);
    assert_false(link_is_up(w.link));
    assert_int_equal(link_send(w.link, "x", 1, &err), ERR_CLOSED);
    while (link_last_error(w.link)->code != ERR_IO) /* a try that found nobody */
        uv_run(&b.loop, UV_RUN_ONCE);
    bench_listen(&b, NULL); /* at the same port */
    bench_until(&b, &w.ups, 2);
    assert_int_equal(w.downs, 1);
    link_close(w.link);
    bench_close(&b);
}

/* The wrong node at the right address is never up, and the reason is kept. */
static void wrong_node_is_never_up(void **state)
{
    struct bench b;
    struct watch w = {0};

    (void)state;
    bench_open(&b, NULL);
    open_link(&b, &w, "witness");
    bench_until(&b, &b.n_rejected, 2); /* it goes on trying */
    assert_int_equal(w.ups, 0);
    assert_int_equal(w.downs, 0);
    assert_int_equal(link_last_error(w.link)->code, ERR_PEER);
    assert_non_null(strstr(link_last_error(w.link)->text, "expected controller witness"));
    assert_non_null(strstr(link_last_error(w.link)->text, ": correct the address"));
    link_close(w.link);
    bench_close(&b);
}

/* An owner may close its link from inside each callback. */
static void closing_inside_a_callback(void **state)
{
    struct bench b;
    struct watch up = {.close_on_up = true}, down = {.close_on_down = true};

    (void)state;
    bench_open(&b, NULL);
    open_link(&b, &up, "east");
    open_link(&b, &down, "east");
    bench_until(&b, &up.ups, 1);
    bench_until(&b, &down.ups, 1);
    bench_until(&b, &b.n_accepted, 2);
    assert_null(up.link);
    side_free(&b.accepted[0]);
    side_free(&b.accepted[1]);
    bench_until(&b, &down.downs, 1);
    assert_null(down.link);
    bench_close(&b);
}

static unsigned lines(FILE *log, const char *words)
{
    char line[512];
    unsigned n = 0;

    rewind(log);
    while (fgets(line, sizeof line, log) != NULL)
        n += strstr(line, words) != NULL;
    return n;
}

/* A peer that lets us in and throws us out again (it refuses us by name) is told of once,
 * not at each try; one that keeps us is news. */
static void being_thrown_out_is_logged_once(void **state)
{
    enum { TRIES = 4 };
    struct bench b;
    struct watch w = {0};
    FILE *log = tmpfile();
    int before = dup(STDERR_FILENO);

    (void)state;
    assert_non_null(log);
    assert_true(before >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
    bench_open(&b, NULL);
    open_link(&b, &w, "east");
    for (unsigned i = 0; i < TRIES; i++) {
        bench_until(&b, &w.ups, i + 1);
        bench_until(&b, &b.n_accepted, i + 1);
        side_free(&b.accepted[i]);
        bench_until(&b, &w.downs, i + 1);
    }
    assert_int_equal(lines(log, "is up"), 1);
    assert_int_equal(lines(log, "is down"), 1);
    bench_until(&b, &w.ups, TRIES + 1);
    while (lines(log, "is up") == 1) /* it lasts */
        uv_run(&b.loop, UV_RUN_ONCE);
    bench_until(&b, &b.n_accepted, TRIES + 1);
    side_free(&b.accepted[TRIES]);
    bench_until(&b, &w.downs, TRIES + 1);
    assert_int_equal(lines(log, "is up"), 2);
    assert_int_equal(lines(log, "is down"), 2);
    link_close(w.link);
    bench_close(&b);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    fclose(log);
}

/* What cannot work is said at once. */
static void impossible_links_are_refused(void **state)
{
    struct bench b;
    struct identity id = bench_id(IDENTITY_CONTROLLER, "east");
    struct address no_port = {.host = "127.0.0.1"}, name = {"localhost", 7400};
    struct link_spec spec = {.peer = &id, .at = &no_port, .events = &events};
    struct link *l = NULL;
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    assert_int_equal(link_open(&l, &b.loop, b.west, &spec, &err), ERR_INVAL);
    spec.at = &name; /* and nobody who could look it up */
    assert_int_equal(link_open(&l, &b.loop, b.west, &spec, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "'localhost' is not a numeric address"));
    spec.at = &b.at;
    spec.backoff_min_ms = 50;
    spec.backoff_max_ms = 40;
    assert_int_equal(link_open(&l, &b.loop, b.west, &spec, &err), ERR_INVAL);
    assert_null(l);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_up_and_carries),
        cmocka_unit_test(dials_a_name),
        cmocka_unit_test(close_during_lookup),
        cmocka_unit_test(reconnects_when_the_listener_returns),
        cmocka_unit_test(wrong_node_is_never_up),
        cmocka_unit_test(closing_inside_a_callback),
        cmocka_unit_test(being_thrown_out_is_logged_once),
        cmocka_unit_test(impossible_links_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
