/* chaos/wan_switch.h -- inside the process of wan.h: its loop, and what it is told.
 *
 * Both ends are one program, so messages are structs; each is one packet of a
 * SOCK_SEQPACKET pair and is answered by one struct wan_answer. A message of another
 * length, of an unknown kind or with rules that are wrong changes nothing and is refused.
 *
 * Threads: one, and nobody else in the process.
 * Errors:  die(), into the log.
 */
#ifndef RF_CHAOS_WAN_SWITCH_H
#define RF_CHAOS_WAN_SWITCH_H

#include <stdbool.h>

#include "chaos/wan.h"

enum wan_order_kind { WAN_SET, WAN_SET_BASE, WAN_HEAL, WAN_COUNT, WAN_OUTLIVE };

struct wan_order {
    enum wan_order_kind kind;
    unsigned count; /* of the changes */
    struct wan_change changes[WAN_CHANGES_MAX];
};

struct wan_answer {
    bool done;
    struct wan_count count; /* of WAN_COUNT: of the link that changes[0] names */
};

struct wan_switch {
    struct wan_core *core;
    unsigned sites;
    int taps[WAN_SITES_MAX];
    int control;
};

/* Until the control socket is closed, or killed. */
_Noreturn void wan_switch_run(struct wan_switch *s);

#endif
