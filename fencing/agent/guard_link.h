/* fencing/agent/guard_link.h -- the agent's hand on the guard (fencing/guard).
 *
 * Makes or finds the page that both share, adopts the guard that an earlier life started or
 * starts one, and watches it: a guard that dies is replaced at once, one that stands still
 * is ended and replaced. What was ordered stays in the page, so a new guard knows it all.
 *
 * Without a guard the kernel's gate enforces every lease as before; what is lost is the
 * second line, and that is said (log, doctor).
 *
 * Owner:   guard_link_open() to guard_link_close(), which leaves the guard and its orders:
 *          they outlive the agent.
 * Threads: the keeper's.
 * Errors:  of the page. That no guard could be started is no error of a call, but in
 *          guard_link_health() and tried again.
 */
#ifndef RF_AGENT_GUARD_LINK_H
#define RF_AGENT_GUARD_LINK_H

#include <stdbool.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "fencing/guard/guard_page.h"

struct uv_loop_s;
struct guard_link;

struct guard_link_spec {
    struct uv_loop_s *loop;
    const char *run_dir, *agent;
    const char *watchdog; /* "": none */
    const char *program;  /* NULL: `ringfence-guard` beside the agent's own */
};

struct guard_health {
    bool wanted, there;
    int32_t pid;
    uint64_t abilities; /* enum guard_ability, by bits */
    uint64_t stops;     /* servers that it has ended, all groups */
    unsigned starts;    /* by this life: 0 where it was adopted */
    char watchdog[GUARD_PATH_SIZE];
    enum guard_dog dog;
    uint64_t dog_errno, dog_timeout_s;
    char problem[160]; /* "": none */
};

MUST_USE int guard_link_open(struct guard_link **ret_link,
                             const struct guard_link_spec *spec, struct err *err);
void guard_link_close(struct guard_link *l); /* NULL is fine; the loop frees it */

/* The gate it is to look for. Nothing is written when it is the same. */
void guard_link_gate(struct guard_link *l, const struct guard_gate *gate);
/* The order of a group: as it stands in the page (an earlier life's, too), and anew. False:
 * the page is full. */
bool guard_link_read(struct guard_link *l, const char *group, struct guard_order *ret);
bool guard_link_order(struct guard_link *l, const struct guard_order *order);

/* Once in a while: is it alive? */
void guard_link_tick(struct guard_link *l);
void guard_link_health(const struct guard_link *l, struct guard_health *ret);

#endif
