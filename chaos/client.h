/* chaos/client.h -- a client of the database: one connection, numbered rows, every
 * acknowledgement logged.
 *
 * It uses the connection settings that the README recommends. The hosts are raced: with no
 * connection, and beside a statement that has had no answer for a while, it dials them all
 * and takes the first that is read-write; so what is measured is the service and not a
 * client's patience. A statement without an answer is never repeated: its number counts as
 * unknown, and the next row has the next number.
 *
 * Owner:   the main thread; the history is its own after client_stop().
 * Threads: one of its own, in the client's network. The atomics may be read at any time.
 */
#ifndef RF_CHAOS_CLIENT_H
#define RF_CHAOS_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "chaos/ground.h"
#include "chaos/history.h"

struct client_plan {
    uint8_t client;    /* CLIENT_WRITER + i or CLIENT_PROBE + i */
    unsigned hosts;    /* bit set of sites */
    bool pooled;       /* of east alone: on that host, through its pooler (pooler.h) */
    unsigned pause_ms; /* between two writes; 0: as fast as one connection can */
    atomic_uint_fast64_t *numbers; /* shared by all writers */
};

struct client {
    const struct ground *ground;
    struct client_plan plan;
    struct history history;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint_fast64_t acked;
    atomic_uint sessions; /* that it has had: 1 as long as none was lost */
    atomic_int_fast64_t last_ack_ns;
    atomic_int last_ack_host; /* enum site; -1: none yet */
};

void client_start(struct client *c, const struct ground *g, struct client_plan plan);
void client_stop(struct client *c);

/* Adds an EVENT_ROW for every row from `first` on that `host` has now. False: it could not
 * be asked. */
bool client_read_rows(const struct ground *g, enum site host, uint64_t first,
                      struct history *into);

/* The tables, as SQL, and how the laboratory's clients connect. */
extern const char client_schema[];
extern const char client_settings[];

#endif
