/* chaos/play.h -- one scenario from warm-up to verdict.
 *
 * A scenario (scenario.h) says what is broken, how it is mended, and what the design says
 * must follow. play_scenario() does the rest for all of them alike.
 *
 * Owner:   the main thread.
 */
#ifndef RF_CHAOS_PLAY_H
#define RF_CHAOS_PLAY_H

#include <libpq-fe.h>

#include "chaos/capture.h"
#include "chaos/client.h"
#include "chaos/cluster.h"
#include "chaos/lease_watch.h"
#include "chaos/recording.h"
#include "chaos/result.h"
#include "chaos/scenario.h"
#include "chaos/view.h"
#include "chaos/workload.h"

enum { GUESTS_MAX = 4, SESSIONS_MAX = 64, STOPPED_MAX = 16 };

struct play {
    struct cluster *cluster;
    struct view *view;
    const struct scenario *scenario;
    atomic_uint_fast64_t *numbers; /* of rows, over all scenarios of one laboratory */
    unsigned *random;              /* state of rand_r() */
    unsigned seed;                 /* as it was given, */
    const char *repeat;            /* and the command line, for the page */
    bool has_workload;             /* it is to have one */
    uint32_t first_key;            /* that the workload may use */

    atomic_uint_fast64_t probe_numbers;
    struct client writer, second, probes[2];
    struct workload workload;
    bool workload_runs; /* it was started */
    struct capture capture;
    struct lease_watch lease;
    struct recording recording;
    struct view_doc before, after; /* after: the effect, before the switchback */
    uint64_t first_number;
    int64_t prelude_ns, prelude_end_ns;                      /* 0: there is none */
    int64_t fault_ns, fault_wall_ns, heal_ns, switchback_ns; /* 0: not come to that */
    int64_t end_ns;    /* the clients were told to stop */
    int64_t run_known; /* what is newer is a new run */
    int64_t log_known; /* seq of the log: what `when` waits for is newer */
    enum site it;    /* whom the last step meant that named somebody; SITE_COUNT: nobody */
    pid_t frozen[2]; /* postmasters that were stopped, EAST and WEST; 0: none */
    struct process guests[GUESTS_MAX]; /* beside the pair (verbs_database.c) */
    PGconn *sessions[SESSIONS_MAX];    /* that take a server's places; NULL: none */
    pid_t stopped[STOPPED_MAX];        /* backends; 0: none */
    uint64_t dropped; /* packets between regions, before a step touched the network; 0: none
                         did */
    struct result result;
};

/* p->cluster, view, scenario, numbers, random and the workload's two are set; p->result is
 * the outcome. */
void play_scenario(struct play *p);

/* `ringfence switchover` to a side, and waits until it is done. False: refused or late. */
bool play_switchover(struct play *p, enum site to);

/* Reads from whoever is active, until that is done. False: not within half a minute. */
typedef bool play_reader(struct play *p, enum site from, void *arg);
bool play_read_at_end(struct play *p, play_reader *read, void *arg);

/* Nothing is going on, both servers run and the standby stands by. */
bool play_is_steady(struct play *p);

/* Waits until `holds(p)`, or the time is over: then false. */
bool play_wait(struct play *p, unsigned within_ms, bool (*holds)(struct play *p));

#endif
