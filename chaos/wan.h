/* chaos/wan.h -- the wide-area network of a laboratory: a process that switches frames.
 *
 * Each site has a TAP device `eth0`; what it sends is read by one process, kept for as long
 * as the link's rules say (wan_core.h) and written to the device of the site that it is
 * for. One thread, woken by frames, a timer and commands; it never looks while nothing
 * happens.
 *
 * It is told what to do over a socketpair, one message and one answer at a time; when a
 * call here returns, it is done. It ends with its maker: by PR_SET_PDEATHSIG, when the
 * socketpair is closed, and with the laboratory's cgroup, so that who removes a dead
 * laboratory by its number ends it as well. After wan_outlive() only the last of these
 * holds.
 *
 * Owner:   the devices are the process's and go with it; `control` is the caller's.
 * Threads: the one that called wan_start(), before any other is started.
 * Errors:  die(), also when the process is gone: a laboratory without its network shows
 *          nothing.
 */
#ifndef RF_CHAOS_WAN_H
#define RF_CHAOS_WAN_H

#include <stdint.h>
#include <sys/types.h>

#include "chaos/wan_core.h"

/* Of the device's queue towards us, in frames: when it is full, the kernel drops. */
enum { WAN_DEVICE_QUEUE = 10000 };

struct wan {
    pid_t pid;
    int control;
};

struct wan_plan {
    unsigned sites;
    int networks[WAN_SITES_MAX]; /* descriptors of their namespaces */
    uint64_t seed;
    const char *cgroup; /* the process moves into it */
    const char *log;    /* what it dies of is appended */
};

struct wan_change {
    uint8_t from, to;
    struct wan_link rules;
};

void wan_start(struct wan *w, const struct wan_plan *plan);

/* All at one instant, until wan_heal(); at most WAN_CHANGES_MAX. */
enum { WAN_CHANGES_MAX = WAN_SITES_MAX * WAN_SITES_MAX };
void wan_set(const struct wan *w, const struct wan_change *changes, unsigned count);
/* The same, and what wan_heal() goes back to. */
void wan_set_base(const struct wan *w, const struct wan_change *changes, unsigned count);
void wan_heal(const struct wan *w);
struct wan_count wan_count(const struct wan *w, unsigned from, unsigned to);
/* The laboratory is kept: the network goes on when its maker ends. */
void wan_outlive(const struct wan *w);

#endif
