/* controller/daemon/agents_private.h -- what agents.c, agent_sessions.c and agent_orders.c
 * share; nobody else includes it. */
#ifndef RF_DAEMON_AGENTS_PRIVATE_H
#define RF_DAEMON_AGENTS_PRIVATE_H

#include <uv.h>

#include "controller/base/buf.h"
#include "controller/base/time.h"
#include "controller/core/observe.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/messages.h"
#include "controller/daemon/relay.h"

enum {
    KNOWN_MAX = AGENT_MAX + 16, /* names; further ones are refused */
    SUPERSEDED_MAX = 64,
    REFUSED_LINGER_MS = 300, /* a refused stream stays so long, to be read */
    ASK_AGAIN_MS = 1000,     /* a life that is not on record yet is asked again */
    ASK_LOST_MS = 5000,      /* so long without an answer: memory for one was missing */
    TWIN_SPEAKS_MS = 300,    /* what comes later than this was not under way already */
};

/* One of an agent's pings, and when we answered it. */
/* One stream of an agent. */
struct session {
    struct agents *a;
    struct session *next;
    struct stream *s;
    char name[NAME_SIZE];
    bool greeted;
    struct incarnation incarnation;
    struct buf hello; /* the frame, to be passed on to a new leader */
    struct mono heard;
    uint64_t asked_seq; /* of our last ping */
    struct mono asked;
    bool owes_hello; /* its hello is passed on when it answers that one */
    struct mono refused_at;
    struct mono welcomed; /* for the first time: it reports nothing before that */
    struct relay_answered answers[RELAY_ANSWERS]; /* by seq */
};

/* What this process knows of one agent, whoever it is connected to. Not logged. */
struct known {
    char name[NAME_SIZE];
    struct incarnation enrolled; /* as of the log; none: not enrolled */
    struct mono enrolled_at;     /* this process applied, or restored, that */
    bool has_hello;
    struct entry_enrol hello;             /* the newest one that was not refused */
    struct mono heard;                    /* any frame of hello's incarnation */
    struct mono route_at[CONTROLLER_MAX]; /* heard through that controller */
    uint64_t report_seq;
    struct incarnation report_of;
    bool enrolling;
    /* A life that has said hello while another one was heard just before: a restart, or a
     * twin. It is one when the other speaks again. */
    bool waiting;
    uint8_t waiting_routes;
    struct entry_enrol waiting_hello;
    struct mono waiting_since;
    /* The last refusal that was logged, so that each life's is logged once. */
    struct incarnation refused;
    char refused_why[64];
    bool dirty; /* assignments are to be pushed */
    struct mono pushed;
};

/* The last order that left for an instance. */
struct pace {
    uint64_t order; /* step id or fence index */
    struct mono sent;
};

struct agents {
    struct daemon *d;
    uv_timer_t tick;
    struct session *sessions; /* newest first */
    unsigned known_count;
    struct known known[KNOWN_MAX];
    unsigned superseded_next;
    struct incarnation superseded[SUPERSEDED_MAX];
    struct pace paces[GROUP_MAX][INSTANCE_MAX];
    struct pace fences[GROUP_MAX][INSTANCE_MAX];
    struct messages messages;
    struct buf bytes;
};

uint8_t agents_self_route(const struct agents *a);
/* NULL when the table is full. */
struct known *agents_know(struct agents *a, const char *name);

/* agents.c: this controller leads; `f` came through controller `route`, and was said at
 * `said` or later (relay.h); not set: nobody knows when. */
void agents_handle(struct agents *a, const char *name, uint8_t route, const Rf__Frame *f,
                   struct mono said);
/* Any controller: a report of an enrolled incarnation becomes an observation. */
void agents_observe(struct agents *a, const char *name, const Rf__AgentReport *report,
                    struct mono said);
bool agents_is_superseded(const struct agents *a, const struct incarnation *i);

/* agent_sessions.c */
void sessions_close(struct agents *a);
void sessions_tick(struct agents *a, struct mono now);
/* Sends to every stream of that name; with `incarnation`, of that life only. False: none.
 */
bool sessions_send(struct agents *a, const char *name,
                   const struct incarnation *incarnation, const uint8_t *data, size_t len);
/* Tells the stream of that life and lets go of it. False: none. */
bool sessions_refuse(struct agents *a, const char *name,
                     const struct incarnation *incarnation, const char *why, bool final);

/* agent_orders.c: to the incarnation on record, by the best way there is. */
void agents_send(struct agents *a, const char *name, const Rf__Frame *frame);

#endif
