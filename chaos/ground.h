/* chaos/ground.h -- the ground of one laboratory: namespaces, a network, cgroups, faults.
 *
 * Every site has a network namespace `rf-ID-SITE`, an IPC namespace (so that no shared
 * memory of a killed server outlives it) and a cgroup v2 `ringfence-lab-ID/SITE`, the
 * region's top: gate and region loss alike work on it. The sites' networks are joined by a
 * process of `ringfence-lab-ID/wan` (wan.h). ID is the janitor's pid; the lock on
 * `/run/ringfence-lab/ID` says that somebody lives there.
 *
 * Owner:   the janitor removes everything by ID alone, so that a lab whose owner was killed
 *          can be removed by anybody.
 * Threads: ground_enter() by the thread that wants to be there, the others by the main one.
 * Errors:  die().
 */
#ifndef RF_CHAOS_GROUND_H
#define RF_CHAOS_GROUND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "chaos/wan.h"

enum site { EAST, WEST, WITNESS, CLIENT, SITE_COUNT, SITE_REGIONS = CLIENT };
/* The first SITE_REGIONS have controllers, east and west have data. */

struct ground {
    char id[16];
    char dir[64];            /* data, configuration, logs */
    char cgroup[128];        /* the lab's own, holds one per site */
    int network[SITE_COUNT]; /* descriptors of the namespaces */
    int ipc[SITE_COUNT];
    struct wan wan;
    bool own_names; /* programs have dir/resolv.conf, dir/nsswitch.conf as theirs (names.h)
                     */
};

const char *site_name(enum site s);
const char *site_address(enum site s);

/* Says why this machine cannot carry a laboratory, or returns NULL. */
const char *ground_missing(void);

/* Takes the lock of `id`; the descriptor holds it for life. */
int ground_lock(const char *id);
/* The lock of a laboratory whose janitor is gone; -1: there is none, or it is alive. */
int ground_take_over(const char *id);
/* Removes what dead laboratories left. Those that were kept stay until ground_remove(). */
void ground_sweep(void);

/* `seed`: of what the network does by chance. Before any thread is started. */
void ground_make(struct ground *g, const char *id, uint64_t seed);
/* Ends every process of the lab `id` and removes everything that it made. */
void ground_remove(const char *id);
/* --keep: the lab outlives its janitor; its network must be told in its maker's life. */
void ground_keep(const char *id);
void ground_keep_network(const struct ground *g);
bool ground_exists(const char *id);

/* The calling thread is in the site's network from now on. */
void ground_enter(const struct ground *g, enum site s);
/* In a child between fork() and exec: network, IPC and cgroup, and with own_names the files
 * that say how names are looked up. False with errno. */
bool ground_move_in(const struct ground *g, enum site s);

/* Every process of the site, at one instant. */
void ground_kill_site(const struct ground *g, enum site s);

/* Regions are `rtt_ms` apart from now on: every packet from one to another takes half of
 * it. Clients have a way of their own to each of them, without delay: what is measured is
 * the service. */
void ground_spread(const struct ground *g, unsigned rtt_ms);

/* All the rules of one direction (wan_core.h), until ground_heal(). */
void ground_link(const struct ground *g, enum site from, enum site to,
                 const struct wan_link *rules);
/* No packet passes between the two until ground_heal(). */
void ground_cut(const struct ground *g, enum site a, enum site b);
/* Every link is as ground_spread() has it. */
void ground_heal(const struct ground *g);
struct wan_count ground_count(const struct ground *g, enum site from, enum site to);

#endif
