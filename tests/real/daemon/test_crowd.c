/* Ten thousand connections that say nothing, hundreds that say half of something, and a
 * flood of handshakes, at every controller's port for people: leases are renewed in time
 * all the while, and who asks is answered. RF_CROWD: how many (10000). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "controller/base/clock.h"
#include "tests/real/daemon/people.h"

enum { CROWD = 10000, EACH = 50, HALVES = 150, FLOOD_MS = 5000, PATIENCE_MS = 2000 };

#define ALICE "--cert pki/user-alice.crt --key pki/user-alice.key"

static char text[PEOPLE_TEXT];

/* From one of many addresses: 127.1.0.1, 127.1.0.2, ... */
static int from_address(unsigned n, uint16_t port, int flags)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x7f010001u + n)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS))
        fail_msg("connection %u: %s", n, strerror(errno));
    return fd;
}

/* The slowest answer to somebody who asks, of `n`. */
static uint32_t slowest_answer_ms(struct stage *s, int n)
{
    uint32_t slowest = 0;

    for (int i = 0; i < n; i++) {
        struct mono begun = mono_now();
        uint32_t took;

        people_run(s, text,
                   "curl -sS -k -m 20 " ALICE " https://127.0.0.1:%u/api/v1/status",
                   s->c.apis[i % NODES]);
        people_says(text, "orders");
        took = (uint32_t)mono_since_ms(begun, mono_now());
        slowest = took > slowest ? took : slowest;
    }
    return slowest;
}

static unsigned crowd_size(void)
{
    const char *wanted = getenv("RF_CROWD");
    unsigned n = wanted != NULL ? (unsigned)atoi(wanted) : CROWD;
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < n + 500u) {
        n = (unsigned)limit.rlim_cur - 500;
        print_message("%u connections, as many descriptors as there are\n", n);
    }
    return n;
}

static bool is_open(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* ---- idle -----------------------------------------------------------------------------
 */

static void ten_thousand_idle(void **state)
{
    struct stage *s = *state;
    const unsigned n = crowd_size();
    int *fds = calloc(n, sizeof *fds);
    unsigned open = 0;
    uint64_t before, during;
    uint32_t took;

    took = slowest_answer_ms(s, 6);
    before = s->east.slowest_answer_us;
    s->east.slowest_answer_us = 0;
    print_message("alone: an answer within %u ms, a lease's within %u us\n", took,
                  (unsigned)before);
    for (unsigned i = 0; i < n; i++) {
        fds[i] = from_address(i / EACH, s->c.apis[i % NODES], SOCK_NONBLOCK);
        if (i % 50 == 0)
            cluster_turn_ms(&s->c, 2);
    }
    took = slowest_answer_ms(s, 12);
    cluster_turn_ms(&s->c, 2000);
    for (unsigned i = 0; i < n; i++)
        open += is_open(fds[i]);
    during = s->east.slowest_answer_us;
    print_message("with %u idle connections (%u of them still open): an answer within %u "
                  "ms, a lease's within %u us\n",
                  n, open, took, (unsigned)during);
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
    free(fds);
    assert_true(open > n / 2);
    assert_true(took < PATIENCE_MS);
    assert_true(during < 1000000); /* a third of the lease */
    people_harm_nobody(s);
}

/* ---- half a request --------------------------------------------------------------------
 */

struct half {
    SSL *ssl;
    int fd;
};

static SSL_CTX *client(const struct stage *s, bool known)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char path[CLUSTER_PATH + 40];

    assert_non_null(ctx);
    if (!known)
        return ctx;
    snprintf(path, sizeof path, "%s/pki/user-alice.crt", s->c.dir);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, path), 1);
    snprintf(path, sizeof path, "%s/pki/user-alice.key", s->c.dir);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM), 1);
    return ctx;
}

struct halves {
    uv_work_t work;
    const struct stage *s;
    struct half of[HALVES];
    bool done;
};

static void say_halves(uv_work_t *work)
{
    static const char part[] = "GET /api/v1/status HTTP/1.1\r\nHost: x\r\nX-More: ";
    struct halves *h = work->data;
    SSL_CTX *ctx = client(h->s, true);

    for (unsigned i = 0; i < HALVES; i++) {
        struct half *one = &h->of[i];

        one->fd = from_address(20000 + i / EACH, h->s->c.apis[EAST], 0);
        one->ssl = SSL_new(ctx);
        SSL_set_fd(one->ssl, one->fd);
        if (SSL_connect(one->ssl) == 1)
            (void)SSL_write(one->ssl, part, sizeof part - 1);
    }
    SSL_CTX_free(ctx);
}

static void on_halves(uv_work_t *work, int status)
{
    struct halves *h = work->data;

    (void)status;
    h->done = true;
}

static bool halves_are_said(void *owner)
{
    const struct halves *h = owner;

    return h->done;
}

/* What came before the end, a goodbye of TLS, is thrown away. */
static bool has_hung_up(int fd)
{
    char junk[512];
    ssize_t n;

    do
        n = recv(fd, junk, sizeof junk, MSG_DONTWAIT);
    while (n > 0);
    return n == 0 || errno != EAGAIN;
}

/* One byte more of each, each time that it is asked whether they are gone. */
static bool halves_are_gone(void *owner)
{
    struct halves *h = owner;
    unsigned open = 0;

    for (unsigned i = 0; i < HALVES; i++) {
        if (has_hung_up(h->of[i].fd))
            continue;
        open++;
        (void)SSL_write(h->of[i].ssl, "x", 1);
    }
    return open == 0;
}

/* They have a certificate, and never come to an end. */
static void half_requests_end(void **state)
{
    struct stage *s = *state;
    static struct halves h;
    uint32_t took;

    h = (struct halves){.s = s};
    h.work.data = &h;
    assert_int_equal(uv_queue_work(&s->c.loop, &h.work, say_halves, on_halves), 0);
    cluster_until(&s->c, halves_are_said, &h, 20000, "the halves");
    took = slowest_answer_ms(s, 3);
    cluster_until(&s->c, halves_are_gone, &h, 10000, "the end of half requests");
    print_message("with %d half requests: an answer within %u ms\n", HALVES, took);
    for (unsigned i = 0; i < HALVES; i++) {
        SSL_free(h.of[i].ssl);
        close(h.of[i].fd);
    }
    assert_true(took < PATIENCE_MS);
    people_harm_nobody(s);
}

/* ---- handshakes ------------------------------------------------------------------------
 */

struct flood {
    const struct stage *s;
    unsigned first;
    atomic_bool *stop;
    unsigned made;
};

/* One after the other, each a handshake and a request of nobody. */
static void *run_flood(void *arg)
{
    static const char ask[] = "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
    struct flood *f = arg;
    SSL_CTX *ctx = client(f->s, false);

    for (unsigned i = 0; !atomic_load(f->stop); i++) {
        int fd = from_address(f->first + i % 100, f->s->c.apis[i % NODES], 0);
        SSL *ssl = SSL_new(ctx);

        SSL_set_fd(ssl, fd);
        if (SSL_connect(ssl) == 1 && SSL_write(ssl, ask, sizeof ask - 1) > 0)
            f->made++;
        SSL_free(ssl);
        close(fd);
    }
    SSL_CTX_free(ctx);
    return NULL;
}

static void a_flood_of_handshakes(void **state)
{
    struct stage *s = *state;
    struct flood floods[2];
    pthread_t threads[2];
    atomic_bool stop = false;
    struct mono begun = mono_now();
    uint32_t took = 0, ms;

    s->east.slowest_answer_us = 0;
    for (unsigned i = 0; i < 2; i++) {
        floods[i] = (struct flood){s, 30000 + 1000 * i, &stop, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, run_flood, &floods[i]), 0);
    }
    while (mono_since_ms(begun, mono_now()) < FLOOD_MS) {
        ms = slowest_answer_ms(s, 1);
        took = ms > took ? ms : took;
    }
    ms = (uint32_t)mono_since_ms(begun, mono_now());
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    print_message(
        "with %u handshakes in %u ms: an answer within %u ms, a lease's within %u "
        "us\n",
        floods[0].made + floods[1].made, ms, took, (unsigned)s->east.slowest_answer_us);
    assert_true(floods[0].made + floods[1].made > 100);
    assert_true(took < 2 * PATIENCE_MS);
    assert_true(s->east.slowest_answer_us < 1000000);
    people_harm_nobody(s);
}

#define EACH_ALONE(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, people_setup, people_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(ten_thousand_idle),
        EACH_ALONE(half_requests_end),
        EACH_ALONE(a_flood_of_handshakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
