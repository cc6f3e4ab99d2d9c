/* Frames that nobody should send, from a peer whose certificate is good, and more
 * connections than anybody needs: leases go on, the API answers, memory stays bounded, and
 * the log is not filled. */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/net/listener.h"
#include "controller/net/stream.h"
#include "proto/frame.h"
#include "tests/real/daemon/stage.h"

enum {
    TIMES = 10,       /* each of them */
    HALF_OPEN = 1000, /* TCP connections without a word */
    HALF_FRAMES = 40, /* TLS connections with half a frame, from one peer */
    GROWTH_KIB = 64 << 10,
    LOG_SIZE = 1 << 18,
};

/* ---- a peer that OpenSSL makes by hand -------------------------------------------------
 */

struct rogue {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

static int dial(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

/* Proven, and welcome: what it says next is read as frames. */
static void rogue_open(struct rogue *r, const struct cluster *c, int node)
{
    char path[CLUSTER_PATH], hello[8];

    r->ctx = SSL_CTX_new(TLS_client_method());
    snprintf(path, sizeof path, "%.100s/pki/agent-pg-rogue.crt", c->dir);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(r->ctx, path), 1);
    snprintf(path, sizeof path, "%.100s/pki/agent-pg-rogue.key", c->dir);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(r->ctx, path, SSL_FILETYPE_PEM), 1);
    r->fd = dial(c->ports[node]);
    r->ssl = SSL_new(r->ctx);
    SSL_set_fd(r->ssl, r->fd);
    assert_int_equal(SSL_connect(r->ssl), 1);
    assert_int_equal(SSL_write(r->ssl, "\0\0\0\4RF\1\0", 8), 8);
    assert_int_equal(SSL_read(r->ssl, hello, sizeof hello), sizeof hello);
    assert_memory_equal(hello, "\0\0\0\4RF\1\0", 8);
}

/* True once the other side has let go of it. What it says until then is not looked at. */
static bool rogue_is_ended(struct rogue *r)
{
    char junk[512];
    int n;

    do
        n = SSL_read(r->ssl, junk, sizeof junk);
    while (n > 0);
    return SSL_get_error(r->ssl, n) != SSL_ERROR_WANT_READ;
}

static void rogue_close(struct rogue *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
    close(r->fd);
}

/* ---- what it says ---------------------------------------------------------------------
 */

static void put_length(struct buf *b, uint32_t n)
{
    uint32_t big = htonl(n);

    assert_int_equal(buf_append(b, &big, sizeof big, NULL), 0);
}

static void put_junk(struct buf *b, size_t n)
{
    static const char junk[] = "\xff\x00 not what you think \x7f\x80";

    for (size_t k = 0; k < n; k += sizeof junk)
        assert_int_equal(
            buf_append(b, junk, n - k < sizeof junk ? n - k : sizeof junk, NULL), 0);
}

static void oversized(struct buf *b) { put_length(b, UINT32_MAX), put_junk(b, 100); }

static void just_too_long(struct buf *b)
{
    put_length(b, STREAM_FRAME_MAX + 1);
    put_junk(b, 100000);
}

static void empty(struct buf *b) { put_length(b, 0); }

static void garbage(struct buf *b)
{
    put_length(b, STREAM_FRAME_MAX);
    put_junk(b, STREAM_FRAME_MAX);
}

static void put_ping(struct buf *b, size_t behind)
{
    Rf__Ping ping = RF__PING__INIT;
    Rf__Frame frame = RF__FRAME__INIT;
    struct buf packed = {0};
    struct err err = {0};

    ping.seq = 1;
    frame.body_case = RF__FRAME__BODY_PING;
    frame.ping = &ping;
    if (frame_encode(&frame, &packed, &err) != 0)
        fail_msg("%s", err.text);
    put_length(b, (uint32_t)(packed.len + behind));
    assert_int_equal(buf_append(b, packed.data, packed.len, NULL), 0);
    put_junk(b, behind);
    buf_free(&packed);
}

static void trailing_garbage(struct buf *b) { put_ping(b, 5); }

static const struct {
    const char *name;
    void (*put)(struct buf *b);
} frames[] = {
    {"a length of 0xffffffff", oversized},
    {"just above the limit", just_too_long},
    {"no bytes", empty},
    {"garbage as long as may be", garbage},
    {"garbage behind a frame", trailing_garbage},
};

/* ---- what goes on meanwhile -----------------------------------------------------------
 */

static long resident_kib(int pid)
{
    char path[64], line[128];
    long kib = -1;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    fclose(f);
    assert_true(kib > 0);
    return kib;
}

static void assert_serves(struct stage *s, int node)
{
    unsigned grants = s->east.grants;
    long status;
    json_t *reply;
    char *text;

    cluster_turn_ms(&s->c, 1000);
    assert_true(s->east.grants > grants);
    assert_int_equal(s->east.gaps, 0);
    assert_true(fake_agent_is_open(&s->east));
    reply = cluster_call(&s->c, node, "GET", "/api/v1/status", NULL, &status);
    assert_int_equal(status, 200);
    json_decref(reply);
    text = cluster_get_tcp(&s->c, s->c.metrics[node], "/metrics", &status);
    assert_int_equal(status, 200);
    free(text);
}

static unsigned log_count(const struct cluster *c, int node, const char *wanted)
{
    static char text[LOG_SIZE];
    unsigned n = 0;

    cluster_log(c, node, text, sizeof text);
    for (const char *at = text; (at = strstr(at, wanted)) != NULL; at++)
        n++;
    return n;
}

/* ---- the claims -----------------------------------------------------------------------
 */

static void bad_frames_of_a_proven_peer_harm_nobody(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    long before;

    cluster_issue_agent(&s->c, "pg-rogue");
    before = resident_kib(s->c.pids[leader]);
    for (unsigned i = 0; i < ARRAY_LEN(frames); i++) {
        struct buf bytes = {0};

        frames[i].put(&bytes);
        for (unsigned n = 0; n < TIMES; n++) {
            struct rogue r;

            rogue_open(&r, &s->c, leader);
            (void)SSL_write(r.ssl, bytes.data, (int)bytes.len); /* may be cut short */
            if (!rogue_is_ended(&r))
                fail_msg("%s: the stream goes on", frames[i].name);
            rogue_close(&r);
            cluster_turn_ms(&s->c, 10);
        }
        buf_free(&bytes);
        assert_serves(s, leader);
    }
    assert_true(resident_kib(s->c.pids[leader]) - before < GROWTH_KIB);
    /* Each reason once, not each try. */
    assert_in_range(log_count(&s->c, leader, "pg-rogue"), 1, 2 * ARRAY_LEN(frames));
}

static void half_frames_and_silence_harm_nobody(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    static struct rogue rogues[HALF_FRAMES];
    long before;

    cluster_issue_agent(&s->c, "pg-rogue");
    before = resident_kib(s->c.pids[leader]);
    for (unsigned i = 0; i < HALF_FRAMES; i++) {
        struct buf bytes = {0};

        rogue_open(&rogues[i], &s->c, leader);
        put_length(&bytes, STREAM_FRAME_MAX);
        put_junk(&bytes, STREAM_FRAME_MAX / 2);
        (void)SSL_write(rogues[i].ssl, bytes.data, (int)bytes.len);
        buf_free(&bytes);
        cluster_turn_ms(&s->c, 10);
    }
    assert_serves(s, leader);
    /* Of one peer so many may be open, each with half a frame. */
    assert_true(resident_kib(s->c.pids[leader]) - before <
                GROWTH_KIB + LISTENER_PER_PEER_MAX * (STREAM_FRAME_MAX >> 10));
    for (unsigned i = 0; i < HALF_FRAMES; i++)
        rogue_close(&rogues[i]);
    assert_serves(s, leader);
}

/* A port's clients that say nothing; where `half` is not "", half a request. */
static void crowd(struct stage *s, uint16_t port, const char *half, int fds[HALF_OPEN])
{
    for (unsigned i = 0; i < HALF_OPEN; i++) {
        fds[i] = dial(port);
        (void)send(fds[i], half, strlen(half), MSG_NOSIGNAL);
        if (i % 50 == 0)
            cluster_turn_ms(&s->c, 5);
    }
}

static void a_thousand_half_open_connections_harm_nobody(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    static int tls[HALF_OPEN], http[HALF_OPEN];
    long before = resident_kib(s->c.pids[leader]);

    crowd(s, s->c.ports[leader], "\x16\x03\x01", tls);
    crowd(s, s->c.metrics[leader], "GET /metrics HTTP/1.1\r\nHo", http);
    assert_serves(s, leader);
    assert_true(resident_kib(s->c.pids[leader]) - before < GROWTH_KIB);
    for (unsigned i = 0; i < HALF_OPEN; i++) {
        close(tls[i]);
        close(http[i]);
    }
    assert_serves(s, leader);
    assert_in_range(log_count(&s->c, leader, "connection refused"), 0, 60);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(bad_frames_of_a_proven_peer_harm_nobody),
        ON_STAGE(half_frames_and_silence_harm_nobody),
        ON_STAGE(a_thousand_half_open_connections_harm_nobody),
    };

    /* What ASan keeps back of freed memory is not the daemon's. */
    (void)setenv("ASAN_OPTIONS", "quarantine_size_mb=8", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
