/* tests/sim/conn.h -- one connection of the modelled network; shared by net.c, which
 * carries frames, and links.c, which has the interfaces of the shipped modules. */
#ifndef RF_SIM_CONN_H
#define RF_SIM_CONN_H

#include "controller/base/err.h"
#include "tests/sim/world.h"

enum { CONN_TIMEOUT_MS = 3000 }; /* stream.h's user_timeout_ms and handshake_ms */

struct frame;

/* 0: who has dialled, 1: who listens. */
struct side {
    struct task *task;
    uint32_t life;
    bool closed;
    void *owner; /* NULL: nobody reads it (yet) */
    void (*on_frame)(void *owner, const uint8_t *data, size_t len);
    void (*on_close)(void *owner, const struct err *why);
    uint64_t last_at, sent;
    struct frame *held; /* behind a cut */
};

struct conn {
    struct conn *next;
    unsigned refs;
    bool dying;
    struct side side[2];
};

struct conn *conn_new(struct task *from, struct task *to);
void conn_let_go(struct conn *c);
uint8_t conn_node(const struct conn *c, unsigned side);
bool conn_is_alive(const struct conn *c, unsigned side);
int conn_send(struct conn *c, unsigned side, const void *data, size_t len, struct err *err);
void conn_close(struct conn *c, unsigned side, bool silent);

#endif
