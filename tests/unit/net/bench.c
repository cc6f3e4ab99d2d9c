#include "tests/unit/net/bench.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void on_open(void *owner, const struct identity *peer)
{
    struct side *side = owner;

    (void)peer;
    side->opened++;
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    struct side *side = owner;
    struct err err;

    side->frames++;
    if (!side->deaf)
        assert_int_equal(buf_append(&side->got, data, len, &err), 0);
    if (side->echo)
        assert_int_equal(stream_send(side->stream, data, len, &err), 0);
}

static void on_close(void *owner, const struct err *why)
{
    struct side *side = owner;

    side->closed++;
    side->why = *why;
    side->stream = NULL;
}

static const struct stream_events side_events = {on_open, on_frame, on_close};

static int on_peer(void *owner, const struct identity *peer, struct err *why)
{
    const struct bench *b = owner;

    if (b->verdict == 0)
        return 0;
    return err_set(why, b->verdict, "no %s %s here", identity_role_name(peer->role),
                   peer->name);
}

static void on_accept(void *owner, struct stream *s, const struct identity *peer)
{
    struct bench *b = owner;
    struct side *side;

    (void)peer;
    assert_true(b->n_accepted < BENCH_ACCEPT_MAX);
    side = &b->accepted[b->n_accepted++];
    side->stream = s;
    side->opened = 1;
    side->echo = b->echo;
    stream_adopt(s, &side_events, side);
}

static void on_reject(void *owner, const struct err *why)
{
    struct bench *b = owner;

    b->n_rejected++;
    b->rejected = *why;
}

static const struct listener_events listener_events = {on_peer, on_accept, on_reject};

static void on_alarm(uv_timer_t *alarm)
{
    struct bench *b = alarm->data;

    b->late = true;
}

void bench_until(struct bench *b, const unsigned *counter, unsigned target)
{
    b->late = false;
    uv_update_time(&b->loop);
    uv_timer_start(&b->alarm, on_alarm, BENCH_WAIT_MS, 0);
    while (*counter < target && !b->late)
        uv_run(&b->loop, UV_RUN_ONCE);
    uv_timer_stop(&b->alarm);
    if (b->late)
        fail_msg("waited for %u, came to %u; last rejection: %s", target, *counter,
                 b->rejected.text);
}

void bench_turn(struct bench *b) { uv_run(&b->loop, UV_RUN_NOWAIT); }

struct identity bench_id(enum identity_role role, const char *name)
{
    struct identity id;
    struct err err;

    assert_int_equal(identity_make(&id, role, "prod", name, &err), 0);
    return id;
}

static struct tls *open_tls(const char *dir, const char *stem, const struct identity *self,
                            const char *crl)
{
    char ca[BENCH_PATH + 80], cert[BENCH_PATH + 80], key[BENCH_PATH + 80],
        list[BENCH_PATH + 80];
    const struct tls_files files = {ca, cert, key, crl != NULL ? list : NULL};
    struct tls *tls = NULL;
    struct err err = {0};

    snprintf(ca, sizeof ca, "%s/ca.crt", dir);
    snprintf(cert, sizeof cert, "%s/%s.crt", dir, stem);
    snprintf(key, sizeof key, "%s/%s.key", dir, stem);
    snprintf(list, sizeof list, "%s/%s", dir, crl != NULL ? crl : "");
    if (tls_new(&tls, &files, self, &err) != 0)
        fail_msg("%s", err.text);
    return tls;
}

struct tls *bench_tls(const char *dir, const char *stem, const struct identity *self)
{
    return open_tls(dir, stem, self, NULL);
}

struct tls *bench_tls_with(const char *dir, const char *name, const char *crl)
{
    struct identity self = bench_id(IDENTITY_CONTROLLER, name);
    char stem[80];

    snprintf(stem, sizeof stem, "controller-%s", name);
    return open_tls(dir, stem, &self, crl);
}

static struct tls *issue(struct bench *b, enum identity_role role, const char *name)
{
    struct identity id = bench_id(role, name);
    char stem[80];
    struct err err = {0};

    if (pki_issue(b->dir, role, name, 10, &err) != 0)
        fail_msg("%s", err.text);
    snprintf(stem, sizeof stem, "%s-%s", identity_role_name(role), name);
    return bench_tls(b->dir, stem, &id);
}

void bench_make_dir(char dir[BENCH_PATH])
{
    const char *tmp = getenv("TMPDIR");

    snprintf(dir, BENCH_PATH, "%s/rf-net-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void bench_remove_dir(const char *dir)
{
    assert_int_equal(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void bench_listen(struct bench *b, const struct stream_options *options)
{
    const struct listener_spec spec = {&b->at, options, &listener_events, b};
    struct err err = {0};

    if (listener_open(&b->listener, &b->loop, b->east, &spec, &err) != 0)
        fail_msg("%s", err.text);
    b->at.port = listener_port(b->listener);
    assert_true(b->at.port > 0);
}

void bench_listen_as(struct bench *b, struct tls *tls)
{
    listener_close(b->listener);
    tls_free(b->east);
    b->east = tls;
    b->at.port = 0;
    bench_listen(b, NULL);
}

void bench_open(struct bench *b, const struct stream_options *options)
{
    struct err err = {0};

    *b = (struct bench){.at = {.host = "127.0.0.1"}};
    bench_make_dir(b->dir);
    if (pki_init(b->dir, "prod", 100, &err) != 0)
        fail_msg("%s", err.text);
    b->east = issue(b, IDENTITY_CONTROLLER, "east");
    b->west = issue(b, IDENTITY_CONTROLLER, "west");
    b->agent = issue(b, IDENTITY_AGENT, "pg-east");
    assert_int_equal(uv_loop_init(&b->loop), 0);
    uv_timer_init(&b->loop, &b->alarm);
    b->alarm.data = b;
    if (names_open(&b->names, &b->loop, NULL, &err) != 0)
        fail_msg("%s", err.text);
    bench_listen(b, options);
}

void side_free(struct side *side)
{
    stream_close(side->stream);
    side->stream = NULL;
    buf_free(&side->got);
}

void bench_close(struct bench *b)
{
    for (unsigned i = 0; i < b->n_accepted; i++)
        side_free(&b->accepted[i]);
    listener_close(b->listener);
    names_close(b->names);
    uv_close((uv_handle_t *)&b->alarm, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    tls_free(b->east);
    tls_free(b->west);
    tls_free(b->agent);
    bench_remove_dir(b->dir);
}

void bench_dial(struct bench *b, struct side *side, struct tls *tls,
                const struct identity *expected)
{
    struct sockaddr_storage sa;
    const struct stream_dial_to to = {&sa, expected, NULL};
    struct err err;

    assert_int_equal(address_numeric(&sa, &b->at, &err), 0);
    assert_int_equal(stream_dial(&side->stream, &b->loop, tls, &to, &err), 0);
    stream_adopt(side->stream, &side_events, side);
}

void bench_connect(struct bench *b, struct side *side)
{
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    unsigned before = b->n_accepted;

    bench_dial(b, side, b->west, &east);
    bench_until(b, &side->opened, side->opened + 1);
    bench_until(b, &b->n_accepted, before + 1);
}
