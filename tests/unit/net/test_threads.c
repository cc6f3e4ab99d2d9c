/* Two loops in two threads share one TLS context: run it under ThreadSanitizer. */
#include <string.h>

#include "tests/unit/net/bench.h"

enum { FRAMES = 2000 };

struct keeper {
    uv_loop_t loop;
    struct tls *tls;
    struct address at;
    struct link *link;
    unsigned answers, ups, asked;
};

static void ask(struct keeper *k)
{
    struct err err;

    k->asked++;
    assert_int_equal(link_send(k->link, "renew", 5, &err), 0);
}

static void on_up(void *owner)
{
    struct keeper *k = owner;

    k->ups++;
    ask(k);
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    struct keeper *k = owner;

    assert_memory_equal(data, "renew", len);
    if (++k->answers < FRAMES)
        ask(k);
    else
        link_close(TAKE(k->link));
}

static const struct link_events events = {.on_up = on_up, .on_frame = on_frame};

static void run_keeper(void *arg)
{
    struct keeper *k = arg;
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    const struct link_spec spec = {
        .peer = &east, .at = &k->at, .events = &events, .owner = k};
    struct err err;

    uv_loop_init(&k->loop);
    if (link_open(&k->link, &k->loop, k->tls, &spec, &err) == 0)
        uv_run(&k->loop, UV_RUN_DEFAULT);
    uv_loop_close(&k->loop);
}

/* A keeper's thread and the main thread, each with its loop, do not touch each other. */
static void two_loops_share_a_context(void **state)
{
    struct bench b;
    struct keeper keeper = {0};
    struct side west = {0};
    uv_thread_t thread;
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    b.echo = true;
    keeper.tls = b.west; /* the very context that this thread dials with, too */
    keeper.at = b.at;
    assert_int_equal(uv_thread_create(&thread, run_keeper, &keeper), 0);
    bench_until(&b, &b.n_accepted, 1);
    bench_connect(&b, &west);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(stream_send(west.stream, "x", 1, &err), 0);
        bench_until(&b, &west.frames, i + 1);
    }
    bench_until(&b, &b.accepted[0].frames, FRAMES);
    uv_thread_join(&thread);
    assert_int_equal(keeper.answers, FRAMES);
    side_free(&west);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_loops_share_a_context)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
