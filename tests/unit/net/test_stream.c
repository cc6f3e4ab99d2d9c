#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/net/bench.h"

static void dial_as(struct bench *b, struct side *side, struct tls *tls, const char *whom)
{
    struct identity expected = bench_id(IDENTITY_CONTROLLER, whom);

    bench_dial(b, side, tls, &expected);
}

/* Both sides prove who they are, and learn who the other is. */
static void both_sides_open(void **state)
{
    struct bench b;
    struct side west = {0};
    struct identity east_id, west_id;

    (void)state;
    bench_open(&b, NULL);
    bench_connect(&b, &west);
    east_id = bench_id(IDENTITY_CONTROLLER, "east");
    west_id = bench_id(IDENTITY_CONTROLLER, "west");
    assert_true(identity_equals(stream_peer(west.stream), &east_id));
    assert_true(identity_equals(stream_peer(b.accepted[0].stream), &west_id));
    side_free(&west);
    bench_until(&b, &b.accepted[0].closed, 1);
    assert_int_equal(b.accepted[0].why.code, ERR_CLOSED);
    bench_close(&b);
}

/* Frames of every size around the edges of a record arrive whole and in order. */
static void frames_of_all_sizes_return(void **state)
{
    static const size_t sizes[] = {1,     2,     3,     16379,   16380,           16381,
                                   16384, 16385, 65536, 1 << 20, STREAM_FRAME_MAX};
    struct bench b;
    struct side west = {0};
    uint8_t *data = malloc(STREAM_FRAME_MAX);
    struct err err;

    (void)state;
    for (size_t i = 0; i < STREAM_FRAME_MAX; i++)
        data[i] = (uint8_t)(i * 31 + i / 251);
    bench_open(&b, NULL);
    b.echo = true;
    bench_connect(&b, &west);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(stream_send(west.stream, data, sizes[i], &err), 0);
        bench_until(&b, &west.frames, (unsigned)i + 1);
        assert_int_equal(west.got.len, sizes[i]);
        assert_memory_equal(west.got.data, data, sizes[i]);
        west.got.len = 0;
    }
    side_free(&west);
    bench_close(&b);
    free(data);
}

/* Ten thousand frames go there and back, each once and in order. */
static void ten_thousand_frames_return(void **state)
{
    enum { N = 10000, WINDOW = 64 };
    struct bench b;
    struct side west = {0};
    struct err err;
    uint32_t sent = 0;

    (void)state;
    bench_open(&b, NULL);
    b.echo = true;
    bench_connect(&b, &west);
    while (west.frames < N) {
        while (sent < N && sent - west.frames < WINDOW) {
            assert_int_equal(stream_send(west.stream, &sent, sizeof sent, &err), 0);
            sent++;
        }
        bench_until(&b, &west.frames, west.frames + 1);
    }
    assert_int_equal(west.frames, N);
    assert_int_equal(west.got.len, N * sizeof sent);
    for (uint32_t i = 0; i < N; i++)
        assert_memory_equal(west.got.data + i * sizeof i, &i, sizeof i);
    side_free(&west);
    bench_close(&b);
}

/* A small frame is on its way when stream_send() returns. */
static void small_frame_leaves_at_once(void **state)
{
    struct bench b;
    struct side west = {0};
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    bench_connect(&b, &west);
    assert_int_equal(stream_send(west.stream, "hello", 5, &err), 0);
    assert_int_equal(stream_queued(west.stream), 0);
    bench_until(&b, &b.accepted[0].frames, 1);
    side_free(&west);
    bench_close(&b);
}

/* A peer that does not read fills its own queue and nothing else; once it reads, all that
 * was accepted arrives. */
static void deaf_peer_fills_its_queue(void **state)
{
    enum { FRAME = 64 << 10 };
    struct bench b;
    struct side west = {0};
    uint8_t *frame = calloc(1, FRAME);
    struct err err;
    unsigned sent = 0;
    int status;

    (void)state;
    bench_open(&b, NULL);
    bench_connect(&b, &west);
    b.accepted[0].deaf = true;
    while ((status = stream_send(west.stream, frame, FRAME, &err)) == 0) {
        sent++;
        assert_true(stream_queued(west.stream) <= STREAM_SEND_QUEUE_MAX + 2 * FRAME);
    }
    assert_int_equal(status, ERR_FULL);
    assert_true(stream_queued(west.stream) > STREAM_SEND_QUEUE_MAX - FRAME);
    bench_until(&b, &b.accepted[0].frames, sent);
    assert_int_equal(stream_queued(west.stream), 0);
    assert_int_equal(stream_send(west.stream, frame, FRAME, &err), 0);
    bench_until(&b, &b.accepted[0].frames, sent + 1);
    side_free(&west);
    bench_close(&b);
    free(frame);
}

/* What cannot be a frame is refused at the sender, and the stream goes on. */
static void impossible_frames_are_refused(void **state)
{
    struct bench b;
    struct side west = {0};
    uint8_t *data = calloc(1, STREAM_FRAME_MAX + 1);
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    dial_as(&b, &west, b.west, "east");
    assert_int_equal(stream_send(west.stream, data, 1, &err), ERR_CLOSED); /* not yet */
    bench_until(&b, &west.opened, 1);
    bench_until(&b, &b.n_accepted, 1);
    assert_int_equal(stream_send(west.stream, data, 0, &err), ERR_INVAL);
    assert_int_equal(stream_send(west.stream, data, STREAM_FRAME_MAX + 1, &err), ERR_INVAL);
    assert_int_equal(stream_send(west.stream, data, 1, &err), 0);
    bench_until(&b, &b.accepted[0].frames, 1);
    side_free(&west);
    bench_close(&b);
    free(data);
}

/* A node that finds another one than it expects says so, and neither side opens. */
static void other_node_is_refused_by_the_dialer(void **state)
{
    struct bench b;
    struct side west = {0};

    (void)state;
    bench_open(&b, NULL);
    dial_as(&b, &west, b.west, "witness");
    bench_until(&b, &west.closed, 1);
    assert_int_equal(west.why.code, ERR_PEER);
    assert_non_null(strstr(west.why.text, "expected controller witness at 127.0.0.1:"));
    assert_non_null(strstr(west.why.text, "found controller east"));
    bench_until(&b, &b.n_rejected, 1);
    assert_int_equal(b.rejected.code, ERR_PEER);
    assert_int_equal(west.opened, 0);
    assert_int_equal(b.n_accepted, 0);
    bench_close(&b);
}

/* A listener's no reaches the dialer with its reason. */
static void refusal_carries_its_reason(void **state)
{
    struct bench b;
    struct side agent = {0};

    (void)state;
    bench_open(&b, NULL);
    b.verdict = ERR_REFUSED;
    dial_as(&b, &agent, b.agent, "east");
    bench_until(&b, &agent.closed, 1);
    assert_int_equal(agent.why.code, ERR_PEER);
    assert_non_null(strstr(agent.why.text, "controller east refused us: no agent pg-east"));
    bench_until(&b, &b.n_rejected, 1);
    assert_int_equal(b.rejected.code, ERR_REFUSED);
    assert_int_equal(agent.opened, 0);
    bench_close(&b);
}

/* Nobody listens: told once, by the loop, with the address. */
static void nobody_there(void **state)
{
    struct bench b;
    struct side west = {0};

    (void)state;
    bench_open(&b, NULL);
    listener_close(b.listener);
    b.listener = NULL;
    bench_turn(&b);
    dial_as(&b, &west, b.west, "east");
    assert_int_equal(west.closed, 0);
    bench_until(&b, &west.closed, 1);
    assert_int_equal(west.why.code, ERR_IO);
    assert_non_null(strstr(west.why.text, "connect: connection refused"));
    bench_close(&b);
}

/* A peer may have eight connections; a ninth costs it the oldest. */
static void ninth_connection_replaces_the_first(void **state)
{
    struct bench b;
    struct side west[LISTENER_PER_PEER_MAX + 1] = {0};

    (void)state;
    bench_open(&b, NULL);
    for (unsigned i = 0; i <= LISTENER_PER_PEER_MAX; i++)
        bench_connect(&b, &west[i]);
    bench_until(&b, &b.accepted[0].closed, 1);
    assert_int_equal(b.accepted[0].why.code, ERR_CONFLICT);
    bench_until(&b, &west[0].closed, 1);
    for (unsigned i = 1; i <= LISTENER_PER_PEER_MAX; i++) {
        assert_int_equal(west[i].closed, 0);
        side_free(&west[i]);
    }
    bench_close(&b);
}

/* The port in use is named, and how to find out by whom. */
static void port_in_use(void **state)
{
    static const struct listener_events none = {0};
    struct bench b;
    struct listener *second = NULL;
    struct listener_spec spec;
    char port[16];
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    spec = (struct listener_spec){&b.at, NULL, &none, NULL};
    assert_int_equal(listener_open(&second, &b.loop, b.west, &spec, &err), ERR_BUSY);
    assert_null(second);
    snprintf(port, sizeof port, ":%u:", b.at.port);
    assert_non_null(strstr(err.text, port));
    assert_non_null(strstr(err.text, "ss -ltnp"));
    bench_close(&b);
}

/* An address that is not ours is not a mystery either. */
static void foreign_address(void **state)
{
    static const struct listener_events none = {0};
    struct address at = {.host = "203.0.113.7", .port = 0};
    const struct listener_spec spec = {&at, NULL, &none, NULL};
    struct bench b;
    struct listener *l = NULL;
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    assert_int_equal(listener_open(&l, &b.loop, b.west, &spec, &err), ERR_NOTFOUND);
    snprintf(at.host, sizeof at.host, "localhost");
    assert_int_equal(listener_open(&l, &b.loop, b.west, &spec, &err), ERR_INVAL);
    assert_null(l);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_open),
        cmocka_unit_test(frames_of_all_sizes_return),
        cmocka_unit_test(ten_thousand_frames_return),
        cmocka_unit_test(small_frame_leaves_at_once),
        cmocka_unit_test(deaf_peer_fills_its_queue),
        cmocka_unit_test(impossible_frames_are_refused),
        cmocka_unit_test(other_node_is_refused_by_the_dialer),
        cmocka_unit_test(refusal_carries_its_reason),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(ninth_connection_replaces_the_first),
        cmocka_unit_test(port_in_use),
        cmocka_unit_test(foreign_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
