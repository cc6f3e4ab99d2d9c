/* tests/unit/net/bench.h -- a loop, a CA, and two sides that note what happens to them.
 *
 * Owner: bench_open() to bench_close(), which closes what is still open, runs the loop
 *        dry and fails if a handle is left.
 */
#ifndef RF_TEST_NET_BENCH_H
#define RF_TEST_NET_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "controller/base/buf.h"
#include "controller/net/link.h"
#include "controller/net/listener.h"
#include "controller/net/names.h"
#include "controller/net/pki.h"
#include "controller/net/stream.h"

#define EACH(row, table)                                                                   \
    for ((row) = (table); (row) < (table) + sizeof(table) / sizeof *(table); (row)++)

enum { BENCH_PATH = 128, BENCH_ACCEPT_MAX = 32, BENCH_WAIT_MS = 10000 };

/* One end of a stream, and all it was told. */
struct side {
    struct stream *stream;
    unsigned opened, frames, closed;
    struct err why;
    struct buf got;  /* the frames' bytes, one behind the other */
    bool echo, deaf; /* send each frame back; keep no bytes */
};

struct bench {
    uv_loop_t loop;
    uv_timer_t alarm;
    bool late;
    char dir[BENCH_PATH];
    struct tls *east, *west, *agent; /* of one CA and cluster */
    struct listener *listener;       /* east's */
    struct address at;
    struct names *names; /* for links */
    struct side accepted[BENCH_ACCEPT_MAX];
    unsigned n_accepted, n_rejected;
    struct err rejected; /* the last one */
    int verdict;         /* what east says to a peer; 0: welcome */
    bool echo;           /* what is accepted echoes */
};

/* With `options` for the listener (NULL: defaults). */
void bench_open(struct bench *b, const struct stream_options *options);
void bench_close(struct bench *b);
void bench_listen(struct bench *b, const struct stream_options *options);

/* Run the loop until `*counter` reaches `target`; fails the test after BENCH_WAIT_MS. */
void bench_until(struct bench *b, const unsigned *counter, unsigned target);
/* Run what is ready, and no more. */
void bench_turn(struct bench *b);

/* Dial east as `tls`, expecting `expected`. */
void bench_dial(struct bench *b, struct side *side, struct tls *tls,
                const struct identity *expected);
/* The same as west, expecting east, until both sides are open. */
void bench_connect(struct bench *b, struct side *side);
void side_free(struct side *side);

struct identity bench_id(enum identity_role role, const char *name);
/* A context from DIR/STEM.crt and .key under DIR/ca.crt. */
struct tls *bench_tls(const char *dir, const char *stem, const struct identity *self);
/* The same for controller NAME of `prod`, with DIR/`crl`; NULL: without. */
struct tls *bench_tls_with(const char *dir, const char *name, const char *crl);
/* `tls` listens in the place of east, who owns it from then on. */
void bench_listen_as(struct bench *b, struct tls *tls);
void bench_make_dir(char dir[BENCH_PATH]);
void bench_remove_dir(const char *dir);

#endif
