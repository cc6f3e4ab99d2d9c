/* The port for people: who they are, what goes through, and who has to go. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "controller/net/door.h"
#include "controller/net/tls_report.h"
#include "tests/unit/net/craft.h"

enum { HOUR = 3600, GUESTS = 64, BIG = 3 << 20 };

struct hall {
    struct bench b;
    struct tls *tls;
    struct door *door;
    unsigned guests, rejected, turned_away;
    enum tls_refusal reason;
    struct door_guest last;
    struct err why;
    int fds[GUESTS];
};

static void on_guest(void *owner, int fd, const struct door_guest *guest)
{
    struct hall *h = owner;

    assert_true(h->guests < GUESTS);
    h->fds[h->guests++] = fd;
    h->last = *guest;
}

static void on_reject(void *owner, const struct err *why)
{
    struct hall *h = owner;

    h->rejected++;
    h->why = *why;
}

static void on_turned_away(void *owner, const struct door_guest *guest,
                           enum tls_refusal why)
{
    struct hall *h = owner;

    h->turned_away++;
    h->reason = why;
    h->last = *guest;
}

static const struct door_events events = {on_guest, on_reject, on_turned_away};

static void craft_all(const char *dir)
{
    const struct craft all[] = {
        {"alice", "ca", "URI:ringfence://prod/user/alice", -HOUR, HOUR, false, NULL},
        {"expired", "ca", "URI:ringfence://prod/user/alice", -HOUR, -60, false, NULL},
        {"tomorrow", "ca", "URI:ringfence://prod/user/alice", HOUR, 2 * HOUR, false, NULL},
        {"revoked", "ca", "URI:ringfence://prod/user/alice", -HOUR, HOUR, false, NULL},
        {"stranger", NULL, NULL, -HOUR, HOUR, true, NULL},
        {"of-stranger", "stranger", "URI:ringfence://prod/user/alice", -HOUR, HOUR, false,
         "stranger"},
        {"test", "ca", "URI:ringfence://test/user/alice", -HOUR, HOUR, false, NULL},
        {"operator", "ca", "URI:ringfence://prod/operator/alice", -HOUR, HOUR, false, NULL},
        {"nameless", "ca", NULL, -HOUR, HOUR, false, NULL},
    };
    const struct craft_list list = {"crl.pem", "ca", -60, HOUR, "revoked"};
    const struct craft *c;

    EACH (c, all)
        craft_cert(dir, c);
    craft_write(dir, "crl.pem", "");
    craft_crl(dir, &list);
}

static void open_hall(struct hall *h, const struct door_limits *limits)
{
    const struct door_limits usual = DOOR_LIMITS;
    const struct address at = {.host = "127.0.0.1"};
    const struct door_spec spec = {
        .at = &at, .limits = limits != NULL ? limits : &usual, .events = &events, h};
    struct err err = {0};

    memset(h, 0, sizeof *h);
    bench_open(&h->b, NULL);
    craft_all(h->b.dir);
    h->tls = bench_tls_with(h->b.dir, "east", "crl.pem");
    if (door_open(&h->door, &h->b.loop, h->tls, &spec, &err) != 0)
        fail_msg("%s", err.text);
    h->b.at.port = door_port(h->door);
}

static void close_hall(struct hall *h)
{
    for (unsigned i = 0; i < h->guests; i++)
        if (h->fds[i] >= 0)
            close(h->fds[i]);
    door_close(h->door);
    tls_free(h->tls);
    bench_close(&h->b);
}

static void end_fd(struct hall *h, unsigned i)
{
    close(h->fds[i]);
    h->fds[i] = -1;
}

/* Until the client has read so many bytes, or an end (want 0), which is told. */
static int read_tls(struct hall *h, struct raw_tls *t, size_t want, char *ret, size_t size)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
    size_t got = 0;
    char part[4096];
    int n, why;

    for (;;) {
        ERR_clear_error();
        n = SSL_read(t->ssl, part, sizeof part);
        why = SSL_get_error(t->ssl, n);
        if (n > 0 && got < size)
            memcpy(ret + got, part, got + (size_t)n > size ? size - got : (size_t)n);
        got += n > 0 ? (size_t)n : 0;
        if (want != 0 && got >= want)
            return (int)got;
        if (n <= 0 && why != SSL_ERROR_WANT_READ)
            return -why;
        assert_true(uv_hrtime() < until);
        bench_turn(&h->b);
    }
}

static const struct comer {
    const char *stem;
    int version;
    enum door_proof proof;
    const char *says, *alert; /* alert: it does not come in */
    enum tls_refusal told;    /* of one of our CA's; TLS_REFUSAL_MAX: nobody is */
} comers[] = {
    {NULL, TLS1_3_VERSION, DOOR_NOBODY, "", NULL, TLS_REFUSAL_MAX},
    {"alice", TLS1_3_VERSION, DOOR_USER, "", NULL, TLS_REFUSAL_MAX},
    {"controller-west", TLS1_3_VERSION, DOOR_REFUSED,
     "is of controller west, and people ask", NULL, TLS_REFUSAL_MAX},
    {"agent-pg-east", TLS1_3_VERSION, DOOR_REFUSED, "is of agent pg-east", NULL,
     TLS_REFUSAL_MAX},
    {"test", TLS1_3_VERSION, DOOR_REFUSED,
     "of user alice of cluster test, and this is cluster prod", NULL, TLS_REFUSAL_MAX},
    {"operator", TLS1_3_VERSION, DOOR_REFUSED, "is not ringfence://", NULL,
     TLS_REFUSAL_MAX},
    {"nameless", TLS1_3_VERSION, DOOR_REFUSED, "no SAN URI", NULL, TLS_REFUSAL_MAX},
    {"expired", TLS1_3_VERSION, 0, "certificate has expired", "certificate expired",
     TLS_REFUSED_EXPIRED},
    {"tomorrow", TLS1_3_VERSION, 0, "not yet valid", "bad certificate",
     TLS_REFUSED_NOT_YET_VALID},
    {"revoked", TLS1_3_VERSION, 0, "certificate revoked", "certificate revoked",
     TLS_REFUSED_REVOKED},
    {"of-stranger", TLS1_3_VERSION, 0, "self-signed", "unknown ca", TLS_REFUSAL_MAX},
    {"alice", TLS1_2_VERSION, 0, "does not offer TLS 1.3", "protocol version",
     TLS_REFUSAL_MAX},
};

/* Whoever comes: known, unknown, let in to be told why not, or gone with an alert. */
static void a_door_knows_who_comes(void **state)
{
    const struct comer *row;

    (void)state;
    EACH (row, comers) {
        struct raw_tls t;
        struct hall h;
        char alert[128] = "";
        bool open;

        open_hall(&h, NULL);
        open = raw_tls_open(&t, &h.b, row->stem, row->version);
        if (row->alert == NULL) {
            assert_true(open);
            raw_tls_send(&t, "hello", 5);
            bench_until(&h.b, &h.guests, 1);
            print_message("%s: %s\n", row->stem != NULL ? row->stem : "-", h.last.why);
            assert_int_equal(h.last.proof, row->proof);
            assert_non_null(strstr(h.last.why, row->says));
            assert_string_equal(h.last.user, row->proof == DOOR_USER ? "alice" : "");
            assert_non_null(strstr(h.last.from, "127.0.0.1:"));
            assert_int_equal(h.rejected, 0);
        } else {
            if (open)
                assert_true(read_tls(&h, &t, 0, NULL, 0) < 0);
            snprintf(alert, sizeof alert, "%s", ERR_reason_error_string(ERR_peek_error()));
            bench_until(&h.b, &h.rejected, 1);
            print_message("%s: %s\n    %s\n", row->stem, h.why.text, alert);
            assert_non_null(strstr(h.why.text, row->says));
            assert_non_null(strstr(alert, row->alert));
            assert_int_equal(h.guests, 0);
        }
        assert_int_equal(h.turned_away, row->told != TLS_REFUSAL_MAX);
        if (row->told != TLS_REFUSAL_MAX) {
            assert_int_equal(h.reason, row->told);
            assert_int_equal(h.last.proof, DOOR_REFUSED); /* not: a user's */
            assert_non_null(strstr(h.last.why, row->says));
            assert_non_null(strstr(h.last.why, "user alice of cluster prod"));
        }
        raw_tls_close(&t);
        close_hall(&h);
    }
}

/* More than any buffer between holds goes through whole, both ways, and what the server
 * says before it closes arrives, with an end in good order. */
static void much_goes_through(void **state)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
    static uint8_t sent[BIG], there[BIG], back[BIG];
    size_t out = 0, in = 0, echoed = 0;
    struct raw_tls t;
    struct hall h;
    ssize_t n;

    (void)state;
    for (size_t i = 0; i < BIG; i++)
        sent[i] = (uint8_t)(i * 31 + i / 257);
    open_hall(&h, NULL);
    assert_true(raw_tls_open(&t, &h.b, "alice", TLS1_3_VERSION));
    SSL_set_mode(t.ssl,
                 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    while (in < BIG) {
        int w = out < BIG ? SSL_write(t.ssl, sent + out, (int)(BIG - out)) : 0;

        out += w > 0 ? (size_t)w : 0;
        ERR_clear_error();
        bench_turn(&h.b);
        if (h.guests == 1 && (n = recv(h.fds[0], there + in, 10000, MSG_DONTWAIT)) > 0)
            in += (size_t)n;
        assert_true(uv_hrtime() < until);
    }
    assert_memory_equal(sent, there, BIG);
    while (echoed < BIG) {
        n = send(h.fds[0], sent + echoed, BIG - echoed, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            echoed += (size_t)n;
        if (echoed == BIG)
            end_fd(&h, 0);
        else if (n < 0) /* all between is full: the client reads on */
            assert_true(read_tls(&h, &t, 1, NULL, 0) > 0);
        for (int i = 0; i < 3; i++)
            bench_turn(&h.b);
        assert_true(uv_hrtime() < until);
    }
    assert_int_equal(read_tls(&h, &t, 0, (char *)back, 0), -SSL_ERROR_ZERO_RETURN);
    raw_tls_close(&t);
    close_hall(&h);
}

/* What it was told last is not overtaken by a reset though it goes on talking. */
static void last_words_arrive(void **state)
{
    struct raw_tls t;
    struct hall h;
    char text[32] = "";

    (void)state;
    open_hall(&h, NULL);
    assert_true(raw_tls_open(&t, &h.b, NULL, TLS1_3_VERSION));
    raw_tls_send(&t, "hello", 5);
    bench_until(&h.b, &h.guests, 1);
    assert_int_equal(send(h.fds[0], "no", 2, MSG_NOSIGNAL), 2);
    end_fd(&h, 0);
    raw_tls_send(&t, "and another thing", 17);
    assert_int_equal(read_tls(&h, &t, 2, text, sizeof text), 2);
    assert_memory_equal(text, "no", 2);
    assert_int_equal(read_tls(&h, &t, 0, NULL, 0), -SSL_ERROR_ZERO_RETURN);
    raw_until_ended(&h.b, t.fd);
    raw_tls_close(&t);
    close_hall(&h);
}

/* Half a handshake, and a handshake without a word, have their time. */
static void silence_ends(void **state)
{
    const struct door_limits limits = {8, 8, 100, 300, 300};
    struct raw_tls t;
    struct hall h;
    int fd;

    (void)state;
    open_hall(&h, &limits);
    fd = raw_connect(&h.b);
    raw_send(fd, "\x16\x03\x01", 3);
    raw_until_ended(&h.b, fd);
    bench_until(&h.b, &h.rejected, 1);
    assert_non_null(strstr(h.why.text, "the handshake was not finished within 300 ms"));
    close(fd);
    assert_true(raw_tls_open(&t, &h.b, "alice", TLS1_3_VERSION));
    raw_until_ended(&h.b, t.fd);
    bench_until(&h.b, &h.rejected, 2);
    assert_non_null(strstr(h.why.text, "nothing was asked within 300 ms"));
    assert_int_equal(door_count(h.door), 0);
    raw_tls_close(&t);
    close_hall(&h);
}

/* Who says nothing gives way, to who comes from the same address, too; who is known and at
 * work stays. */
static void the_silent_give_way(void **state)
{
    const struct door_limits limits = {4, 3, 1000, 5000, 5000};
    struct raw_tls work, late;
    struct hall h;
    int fds[10];

    (void)state;
    open_hall(&h, &limits);
    assert_true(raw_tls_open(&work, &h.b, "alice", TLS1_3_VERSION));
    raw_tls_send(&work, "hello", 5);
    bench_until(&h.b, &h.guests, 1);
    for (unsigned i = 0; i < 10; i++) {
        fds[i] = raw_connect(&h.b);
        bench_turn(&h.b);
    }
    bench_until(&h.b, &h.rejected, 8);
    assert_int_equal(door_count(h.door), 3);
    assert_non_null(strstr(h.why.text, "this one gave way"));
    assert_true(raw_tls_open(&late, &h.b, "alice", TLS1_3_VERSION));
    raw_tls_send(&late, "hello", 5);
    bench_until(&h.b, &h.guests, 2);
    assert_int_equal(send(h.fds[0], "still here", 10, MSG_NOSIGNAL), 10);
    assert_int_equal(read_tls(&h, &work, 10, NULL, 0), 10);
    for (unsigned i = 0; i < 10; i++)
        close(fds[i]);
    raw_tls_close(&work);
    raw_tls_close(&late);
    close_hall(&h);
}

/* Where all are known and at work, it is the newcomer who goes. */
static void who_works_stays(void **state)
{
    const struct door_limits limits = {2, 2, 1000, 5000, 5000};
    struct raw_tls a, c;
    struct hall h;
    int fd;

    (void)state;
    open_hall(&h, &limits);
    assert_true(raw_tls_open(&a, &h.b, "alice", TLS1_3_VERSION));
    raw_tls_send(&a, "hello", 5);
    bench_until(&h.b, &h.guests, 1);
    assert_true(raw_tls_open(&c, &h.b, "alice", TLS1_3_VERSION));
    raw_tls_send(&c, "hello", 5);
    bench_until(&h.b, &h.guests, 2);
    fd = raw_connect(&h.b);
    raw_until_ended(&h.b, fd);
    assert_non_null(strstr(h.why.text, "and all at work"));
    assert_int_equal(door_count(h.door), 2);
    close(fd);
    raw_tls_close(&a);
    raw_tls_close(&c);
    close_hall(&h);
}

/* Twice the rate at once, and then no faster than it. */
static void arrivals_are_counted(void **state)
{
    const struct door_limits limits = {100, 100, 4, 5000, 5000};
    struct hall h;
    int fds[20];

    (void)state;
    open_hall(&h, &limits);
    for (unsigned i = 0; i < 20; i++)
        fds[i] = raw_connect(&h.b);
    bench_until(&h.b, &h.rejected, 11);
    assert_true(door_count(h.door) >= 8);
    assert_non_null(strstr(h.why.text, "more than 4 times a second"));
    for (unsigned i = 0; i < 20; i++)
        close(fds[i]);
    close_hall(&h);
}

/* A list that names its certificate ends what it had open. */
static void the_revoked_go(void **state)
{
    const struct craft_list list = {"crl.pem", "ca", -60, HOUR, "alice"};
    struct raw_tls t;
    struct hall h;
    struct err err = {0};
    bool taken = false;

    (void)state;
    open_hall(&h, NULL);
    assert_true(raw_tls_open(&t, &h.b, "alice", TLS1_3_VERSION));
    raw_tls_send(&t, "hello", 5);
    bench_until(&h.b, &h.guests, 1);
    craft_write(h.b.dir, "crl.pem", "");
    craft_crl(h.b.dir, &list);
    assert_int_equal(tls_refresh(h.tls, true, &taken, &err), 0);
    raw_until_ended(&h.b, t.fd);
    assert_int_equal(door_count(h.door), 0);
    assert_int_equal(h.turned_away, 1);
    assert_int_equal(h.reason, TLS_REFUSED_REVOKED);
    assert_int_equal(h.last.proof, DOOR_USER); /* its key was shown */
    assert_string_equal(h.last.user, "alice");
    raw_tls_close(&t);
    close_hall(&h);
}

/* Garbage before and behind the handshake ends the one who sends it. */
static void garbage_ends(void **state)
{
    struct raw_tls t;
    struct hall h;
    int fd;

    (void)state;
    open_hall(&h, NULL);
    fd = raw_connect(&h.b);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    raw_until_ended(&h.b, fd);
    bench_until(&h.b, &h.rejected, 1);
    print_message("%s\n", h.why.text);
    close(fd);
    assert_true(raw_tls_open(&t, &h.b, "alice", TLS1_3_VERSION));
    raw_tls_send(&t, "hello", 5);
    bench_until(&h.b, &h.guests, 1);
    raw_send(t.fd, "\x17\x03\x03\x00\x1e this is not encrypted at all", 35);
    raw_until_ended(&h.b, t.fd);
    assert_int_equal(door_count(h.door), 0);
    raw_tls_close(&t);
    close_hall(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_door_knows_who_comes), cmocka_unit_test(much_goes_through),
        cmocka_unit_test(last_words_arrive),      cmocka_unit_test(silence_ends),
        cmocka_unit_test(the_silent_give_way),    cmocka_unit_test(who_works_stays),
        cmocka_unit_test(arrivals_are_counted),   cmocka_unit_test(the_revoked_go),
        cmocka_unit_test(garbage_ends),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the daemons do */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
