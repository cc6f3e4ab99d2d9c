/* chaos/play.h -- one scenario from warm-up to verdict.
 *
 * A scenario is a row of the table in scenario.c: what is broken, how it is mended, and
 * what the design says must follow. play_scenario() does the rest for all of them alike.
 *
 * Owner:   the main thread.
 */
#ifndef RF_CHAOS_PLAY_H
#define RF_CHAOS_PLAY_H

#include "chaos/capture.h"
#include "chaos/client.h"
#include "chaos/cluster.h"
#include "chaos/lease_watch.h"
#include "chaos/result.h"
#include "chaos/view.h"
#include "chaos/workload.h"

struct play;

enum effect {
    EFFECT_FAILOVER,   /* the other side takes over, once */
    EFFECT_NONE,       /* no failover is due; writes go on */
    EFFECT_SWITCHOVER, /* a planned move */
    EFFECT_ADOPTION,   /* taken over as it runs: a new epoch of the same side */
};

struct scenario {
    const char *name;
    const char *story; /* for people */
    enum effect effect;
    bool standby;       /* the standby is concerned: writes may wait for shrink_after */
    bool waits;         /* and in `strict` they wait until it is mended */
    bool second_writer; /* one more, which stays with the old primary */
    bool switchback;    /* at the end, a planned move back */
    bool unnoticed;     /* clients may not notice it at all */
    bool apart;         /* not among `all` */
    bool detaches;      /* for a while nothing stands between clients and a standby */
    bool workload;      /* with one, unless the options say otherwise */
    bool network;       /* apart, and of the wide-area network */
    bool power;         /* fenced by it: it has a laboratory of its own */
    unsigned rtt_ms;    /* between regions: it has a laboratory of its own, */
    unsigned ttl_ms;    /* and a TTL made for it; 0: the option's */
    void (*prelude)(struct play *p); /* before the fault; NULL: none */
    void (*inject)(struct play *p);
    void (*heal)(struct play *p); /* NULL: nothing to mend */
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;
const struct scenario *scenario_find(const char *name);

struct play {
    struct cluster *cluster;
    struct view *view;
    const struct scenario *scenario;
    atomic_uint_fast64_t *numbers; /* of rows, over all scenarios of one laboratory */
    unsigned *random;              /* state of rand_r() */
    bool has_workload;             /* it is to have one */
    uint32_t first_key;            /* that the workload may use */

    atomic_uint_fast64_t probe_numbers;
    struct client writer, second, probes[2];
    struct workload workload;
    bool workload_runs; /* it was started */
    struct capture capture;
    struct lease_watch lease;
    struct view_doc before, after; /* after: the effect, before the switchback */
    uint64_t first_number;
    int64_t prelude_ns, prelude_end_ns;                      /* 0: there is none */
    int64_t fault_ns, fault_wall_ns, heal_ns, switchback_ns; /* 0: not come to that */
    int64_t end_ns;   /* the clients were told to stop */
    enum site victim; /* whom leader-loss chose */
    pid_t hung;       /* the postmaster that postgres-hung stopped */
    uint64_t dropped; /* packets between east and west, before the network was disturbed */
    struct result result;
};

/* p->cluster, view, scenario, numbers, random and the workload's two are set; p->result is
 * the outcome. */
void play_scenario(struct play *p);

/* `ringfence switchover` to a side, and waits until it is done. False: refused or late. */
bool play_switchover(struct play *p, enum site to);

/* Nothing is going on, both servers run and the standby stands by. */
bool play_is_steady(struct play *p);

/* Waits until `holds(p)`, or the time is over: then false. */
bool play_wait(struct play *p, unsigned within_ms, bool (*holds)(struct play *p));

#endif
