/* Every allocation of ours fails once, and OpenSSL's, one in OPENSSL_STRIDE. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "controller/net/door.h"
#include "tests/unit/net/raw.h"

enum { OPENSSL_STRIDE = 13 }; /* of OpenSSL's some thousand, every so-many-th */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static long ours_until, openssl_until; /* allocations until the failing one; 0: never */

static bool is_turn(long *until) { return *until > 0 && --*until == 0; }

void *__wrap_malloc(size_t size)
{
    return is_turn(&ours_until) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_turn(&ours_until) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_turn(&ours_until) ? NULL : __real_realloc(old, size);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_turn(&openssl_until) ? NULL : __real_malloc(size);
}

static void *openssl_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_turn(&openssl_until) ? NULL : __real_realloc(old, size);
}

static void openssl_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

static void on_opened(void *owner, const struct identity *peer)
{
    struct side *side = owner;

    (void)peer;
    side->opened++;
}

static void on_closed(void *owner, const struct err *why)
{
    struct side *side = owner;

    side->closed++;
    side->why = *why;
    side->stream = NULL;
}

static const struct stream_events events = {.on_open = on_opened, .on_close = on_closed};
static const struct stream_options impatient = {.handshake_ms = 1000};

/* Turn the loop until one of the two is not zero. */
static void until_either(struct bench *b, const unsigned *one, const unsigned *other)
{
    const uint64_t end = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;

    while (*one == 0 && *other == 0) {
        assert_true(uv_hrtime() < end);
        uv_run(&b->loop, UV_RUN_NOWAIT);
    }
}

static bool dial(struct bench *b, struct side *side)
{
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    struct sockaddr_storage sa;
    const struct stream_dial_to to = {&sa, &east, &impatient};
    struct err err = {0};

    assert_int_equal(address_numeric(&sa, &b->at, &err), 0);
    if (stream_dial(&side->stream, &b->loop, b->west, &to, &err) == 0) {
        stream_adopt(side->stream, &events, side);
        return true;
    }
    assert_int_equal(err.code, ERR_NOMEM);
    side->closed = 1;
    return false;
}

/* Dial, send one frame, close. True when the frame arrived. Whatever fails in between is
 * told by a status or by on_close: nobody waits for ever. */
static bool one_life(struct bench *b)
{
    struct side side = {0}, *there = &b->accepted[0];
    bool arrived = false, dialed;
    struct err err;

    b->n_rejected = 0;
    dialed = dial(b, &side);
    until_either(b, &side.opened, &side.closed);
    if (side.closed == 0)
        until_either(b, &b->n_accepted, &side.closed);
    there->deaf = true;
    if (side.closed == 0 && stream_send(side.stream, "x", 1, &err) == 0) {
        until_either(b, &there->frames, &there->closed);
        arrived = there->frames == 1;
    }
    stream_close(TAKE(side.stream));
    if (dialed) /* the other side has noticed it in one of two ways */
        until_either(b, &there->closed, &b->n_rejected);
    b->n_rejected = 0;
    *there = (struct side){0};
    b->n_accepted = 0;
    return arrived;
}

/* Each `stride`-th allocation fails in turn. What fails is one stream; the next one lives
 * (a listener that had stopped accepting would be found here). */
static void fail_each(long *until, long stride)
{
    struct bench b;
    long nth = 1;

    bench_open(&b, &impatient);
    assert_true(one_life(&b)); /* what is made once is made now */
    for (;; nth += stride) {
        bool arrived, never_failed;

        *until = nth;
        arrived = one_life(&b);
        never_failed = *until > 0;
        *until = 0;
        if (never_failed) {
            assert_true(arrived);
            break;
        }
        assert_true(one_life(&b));
        assert_true(nth < 100000);
    }
    print_message("%ld allocations\n", nth);
    assert_true(nth > 4);
    bench_close(&b);
}

static void survives_our_own(void **state)
{
    (void)state;
    fail_each(&ours_until, 1);
}

static void survives_those_of_openssl(void **state)
{
    (void)state;
    fail_each(&openssl_until, OPENSSL_STRIDE);
}

/* True when no allocation of OpenSSL's failed. */
static bool make_context(struct bench *b, long nth)
{
    char ca[BENCH_PATH + 80], cert[BENCH_PATH + 80], key[BENCH_PATH + 80];
    const struct tls_files files = {ca, cert, key, NULL};
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    struct tls *tls = NULL;
    struct err err = {0};
    bool never_failed;
    int status;

    snprintf(ca, sizeof ca, "%s/ca.crt", b->dir);
    snprintf(cert, sizeof cert, "%s/controller-east.crt", b->dir);
    snprintf(key, sizeof key, "%s/controller-east.key", b->dir);
    openssl_until = nth;
    status = tls_new(&tls, &files, &east, &err);
    never_failed = openssl_until > 0;
    openssl_until = 0;
    tls_free(tls);
    if (status != 0) {
        assert_null(tls);
        assert_int_equal(status, err.code);
        assert_string_not_equal(err.text, "");
    }
    assert_true(status == 0 || (nth > 0 && !never_failed));
    return never_failed;
}

/* The context of both daemons: there or not there, whatever OpenSSL had not. */
static void a_context_survives_those_of_openssl(void **state)
{
    struct bench b;
    long nth = 1;

    (void)state;
    bench_open(&b, &impatient);
    for (; !make_context(&b, nth); nth += OPENSSL_STRIDE)
        (void)make_context(&b, 0);
    print_message("%ld allocations\n", nth);
    assert_true(nth > 100);
    bench_close(&b);
}

/* ---- the door for people ---------------------------------------------------------------
 */

struct lobby {
    struct door *door;
    unsigned guests;
    int fd;
};

static void on_guest(void *owner, int fd, const struct door_guest *guest)
{
    struct lobby *l = owner;

    (void)guest;
    l->fd = fd;
    l->guests++;
}

static void on_reject(void *owner, const struct err *why)
{
    (void)owner;
    assert_string_not_equal(why->text, "");
}

static const struct door_events door_events = {on_guest, on_reject, NULL};

/* True when it came in. Whatever fails, it comes in or its connection ends. */
static bool one_guest(struct bench *b, struct lobby *l)
{
    const uint64_t end = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
    struct raw_tls t;
    bool came;

    l->guests = 0;
    if (raw_tls_open(&t, b, "controller-west", TLS1_3_VERSION))
        raw_tls_send(&t, "x", 1);
    while (l->guests == 0 && !raw_is_ended(t.fd)) {
        assert_true(uv_hrtime() < end);
        bench_turn(b);
    }
    came = l->guests > 0;
    if (came)
        close(l->fd);
    raw_tls_close(&t);
    while (door_count(l->door) > 0)
        bench_turn(b);
    return came;
}

/* Each allocation of ours fails in turn, and the next guest comes in. */
static void a_door_survives_our_own(void **state)
{
    static const struct door_limits limits = DOOR_LIMITS;
    const struct address at = {.host = "127.0.0.1"};
    struct bench b;
    struct lobby l = {0};
    const struct door_spec spec = {
        .at = &at, .limits = &limits, .events = &door_events, .owner = &l};
    struct err err = {0};
    bool never_failed = false;
    long nth = 1;

    (void)state;
    bench_open(&b, &impatient);
    assert_int_equal(door_open(&l.door, &b.loop, b.east, &spec, &err), 0);
    b.at.port = door_port(l.door);
    assert_true(one_guest(&b, &l));
    for (; !never_failed; nth++) {
        ours_until = nth;
        (void)one_guest(&b, &l);
        never_failed = ours_until > 0;
        ours_until = 0;
        assert_true(one_guest(&b, &l));
        assert_true(nth < 1000);
    }
    print_message("%ld allocations\n", nth - 2);
    assert_true(nth > 3);
    door_close(l.door);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_our_own),
        cmocka_unit_test(a_door_survives_our_own),
        cmocka_unit_test(survives_those_of_openssl),
        cmocka_unit_test(a_context_survives_those_of_openssl),
    };

    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        return 1;
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemons do */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
