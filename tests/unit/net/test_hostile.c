#include <string.h>
#include <unistd.h>

#include "tests/unit/net/raw.h"

static const struct stream_options impatient = {.handshake_ms = 150};

/* Whatever talks to the port without being a peer is told about once and never opens. */
static void garbage_is_rejected(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
    } table[] =
        {
            {"plain HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
            {"zeros", "\0\0\0\0\0\0\0\0\0\0\0\0", 12},
            {"our frames, in clear", "\0\0\0\4RF\1\0", 8},
            {"SSLv2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01", 12},
            {"a TLS record of 64 KiB", "\x16\x03\x01\xff\xff\x01\x00\xff\xfb\x03\x03\x00",
             12},
            {"a TLS alert", "\x15\x03\x03\x00\x02\x02\x28", 7},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct bench b;
        int fd;

        bench_open(&b, &impatient);
        fd = raw_connect(&b);
        raw_send(fd, row->bytes, row->len);
        raw_until_ended(&b, fd);
        close(fd);
        bench_until(&b, &b.n_rejected, 1);
        print_message("%s: %s\n", row->name, b.rejected.text);
        assert_int_equal(strncmp(b.rejected.text, "127.0.0.1:", 10), 0);
        assert_int_equal(b.n_rejected, 1);
        assert_int_equal(b.n_accepted, 0);
        bench_close(&b);
    }
}

/* Who does not finish its handshake in time is not waited for. */
static void slow_handshake_is_ended(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    bench_open(&b, &impatient);
    fd = raw_connect(&b);
    raw_send(fd, "\x16\x03\x01\x00\xc8\x01", 6); /* the beginning of a ClientHello */
    raw_until_ended(&b, fd);
    bench_until(&b, &b.n_rejected, 1);
    assert_int_equal(b.rejected.code, ERR_TIMEOUT);
    close(fd);
    bench_close(&b);
}

/* TLS alone opens nothing: a peer that never greets is ended, too. */
static void silence_after_tls_is_ended(void **state)
{
    struct bench b;
    struct raw_tls t;

    (void)state;
    bench_open(&b, &impatient);
    assert_true(raw_tls_open(&t, &b, "controller-west", TLS1_3_VERSION));
    bench_until(&b, &b.n_rejected, 1);
    assert_int_equal(b.rejected.code, ERR_TIMEOUT);
    assert_int_equal(b.n_accepted, 0);
    raw_tls_close(&t);
    bench_close(&b);
}

/* Sixty-four half-open connections do not keep a real peer out. */
static void crowd_does_not_lock_us_out(void **state)
{
    enum { CROWD = 2 * LISTENER_PENDING_MAX };
    struct bench b;
    struct side west = {0};
    int fds[CROWD];

    (void)state;
    bench_open(&b, NULL);
    for (unsigned i = 0; i < CROWD; i++) {
        fds[i] = raw_connect(&b);
        bench_turn(&b);
    }
    bench_connect(&b, &west);
    bench_until(&b, &b.n_rejected, CROWD - LISTENER_PENDING_MAX + 1);
    assert_int_equal(b.rejected.code, ERR_FULL);
    for (unsigned i = 0; i < CROWD; i++)
        close(fds[i]);
    side_free(&west);
    bench_close(&b);
}

static void craft_all(const struct bench *b)
{
    raw_craft(b->dir, "expired", "URI:ringfence://prod/controller/west", -60);
    raw_craft(b->dir, "test", "URI:ringfence://test/controller/west", 600);
    raw_craft(b->dir, "operator", "URI:ringfence://prod/operator/west", 600);
    raw_craft(b->dir, "nameless", NULL, 600);
    raw_craft(b->dir, "dns", "DNS:west", 600);
    raw_craft(b->dir, "two",
              "URI:ringfence://prod/agent/a,URI:ringfence://prod/controller/west", 600);
}

/* A certificate that does not name one node of this cluster opens nothing, whoever
 * signed it. */
static void wrong_certificates_are_rejected(void **state)
{
    static const struct {
        const char *stem;
        int version, code;
        const char *says;
    } table[] =
        {
            {"expired", TLS1_3_VERSION, ERR_PEER, "expired (it needs a current one"},
            {"test", TLS1_3_VERSION, ERR_PEER,
             "of cluster test, this is cluster prod: it needs a"},
            {"operator", TLS1_3_VERSION, ERR_PEER, "is not ringfence://"},
            {"nameless", TLS1_3_VERSION, ERR_PEER, "no SAN URI"},
            {"dns", TLS1_3_VERSION, ERR_PEER, "no SAN URI"},
            {"two", TLS1_3_VERSION, ERR_PEER, "more than one"},
            {NULL, TLS1_3_VERSION, ERR_PEER, "showed no certificate"},
            {"controller-west", TLS1_2_VERSION, ERR_BADMSG, "TLS 1.3"},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct bench b;
        struct raw_tls t;

        bench_open(&b, NULL);
        craft_all(&b);
        (void)raw_tls_open(&t, &b, row->stem, row->version);
        raw_until_ended(&b, t.fd);
        raw_tls_close(&t);
        bench_until(&b, &b.n_rejected, 1);
        print_message("%s\n", b.rejected.text);
        assert_int_equal(b.rejected.code, row->code);
        assert_non_null(strstr(b.rejected.text, row->says));
        assert_int_equal(b.n_accepted, 0);
        bench_close(&b);
    }
}

/* A CA of the same name is not our CA; both sides say so. */
static void other_ca_is_rejected_on_both_sides(void **state)
{
    struct bench b;
    struct side west = {0};
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    struct identity west_id = bench_id(IDENTITY_CONTROLLER, "west");
    char dir[BENCH_PATH];
    struct tls *stranger;
    struct err err;

    (void)state;
    bench_open(&b, NULL);
    bench_make_dir(dir);
    assert_int_equal(pki_init(dir, "prod", 10, &err), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "west", 10, &err), 0);
    stranger = bench_tls(dir, "controller-west", &west_id);
    bench_dial(&b, &west, stranger, &east);
    bench_until(&b, &west.closed, 1);
    bench_until(&b, &b.n_rejected, 1);
    print_message("%s\n%s\n", west.why.text, b.rejected.text);
    assert_int_equal(west.why.code, ERR_PEER);
    assert_int_equal(b.rejected.code, ERR_PEER);
    assert_int_equal(west.opened, 0);
    assert_int_equal(b.n_accepted, 0);
    tls_free(stranger);
    bench_close(&b);
    bench_remove_dir(dir);
}

/* I10: a greeting of a version that we do not know is an error, not a guess. */
static void unknown_version_is_rejected(void **state)
{
    struct bench b;
    struct raw_tls t;

    (void)state;
    bench_open(&b, NULL);
    assert_true(raw_tls_open(&t, &b, "controller-west", TLS1_3_VERSION));
    raw_tls_send(&t, "\0\0\0\5RF\2\0x", 9); /* a version that does not exist */
    bench_until(&b, &b.n_rejected, 1);
    assert_int_equal(b.rejected.code, ERR_UNSUPPORTED);
    raw_tls_close(&t);
    bench_close(&b);
}

static void open_raw_peer(struct bench *b, struct raw_tls *t)
{
    bench_open(b, NULL);
    assert_true(raw_tls_open(t, b, "controller-west", TLS1_3_VERSION));
    raw_tls_welcome(t);
    bench_until(b, &b->n_accepted, 1);
    raw_tls_read(t); /* its greeting: closing over unread bytes would be a reset */
}

/* A proven peer that breaks the framing is closed, told once, and costs no memory. */
static void broken_frames_close_the_stream(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
        int code;
    } table[] =
        {
            {"one byte too long", "\x00\x40\x00\x01", 4, ERR_FULL},
            {"4 GiB", "\xff\xff\xff\xff", 4, ERR_FULL},
            {"empty", "\0\0\0\0", 4, ERR_BADMSG},
            {"good, then empty", "\0\0\0\1a\0\0\0\0", 9, ERR_BADMSG},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct bench b;
        struct raw_tls t;

        print_message("%s\n", row->name);
        open_raw_peer(&b, &t);
        raw_tls_send(&t, row->bytes, row->len);
        bench_until(&b, &b.accepted[0].closed, 1);
        assert_int_equal(b.accepted[0].why.code, row->code);
        raw_tls_close(&t);
        bench_close(&b);
    }
}

/* Frames that come byte by byte, each in a record of its own, arrive like any other. */
static void frames_arrive_byte_by_byte(void **state)
{
    static const char bytes[] = "\0\0\0\5hello\0\0\0\1!\0\0\0\3abc";
    struct bench b;
    struct raw_tls t;

    (void)state;
    open_raw_peer(&b, &t);
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        raw_tls_send(&t, bytes + i, 1);
        bench_turn(&b);
    }
    bench_until(&b, &b.accepted[0].frames, 3);
    assert_int_equal(b.accepted[0].got.len, 9);
    assert_memory_equal(b.accepted[0].got.data, "hello!abc", 9);
    raw_tls_close(&t);
    bench_until(&b, &b.accepted[0].closed, 1);
    assert_int_equal(b.accepted[0].why.code, ERR_CLOSED);
    bench_close(&b);
}

/* Bytes that are not TLS, in the middle of a good stream, end it. */
static void corrupted_record_closes_the_stream(void **state)
{
    struct bench b;
    struct raw_tls t;

    (void)state;
    open_raw_peer(&b, &t);
    raw_send(t.fd, "\x17\x03\x03\x00\x13xxxxxxxxxxxxxxxxxxx", 24);
    bench_until(&b, &b.accepted[0].closed, 1);
    assert_int_equal(b.accepted[0].why.code, ERR_BADMSG);
    raw_tls_close(&t);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_is_rejected),
        cmocka_unit_test(slow_handshake_is_ended),
        cmocka_unit_test(silence_after_tls_is_ended),
        cmocka_unit_test(crowd_does_not_lock_us_out),
        cmocka_unit_test(wrong_certificates_are_rejected),
        cmocka_unit_test(other_ca_is_rejected_on_both_sides),
        cmocka_unit_test(unknown_version_is_rejected),
        cmocka_unit_test(broken_frames_close_the_stream),
        cmocka_unit_test(frames_arrive_byte_by_byte),
        cmocka_unit_test(corrupted_record_closes_the_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
