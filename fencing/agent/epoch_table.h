/* fencing/agent/epoch_table.h -- what an agent must not forget about its groups (I3, I6).
 *
 * One record per group that this agent ever served: the highest epoch it has heard of, the
 * highest it has fenced, and the ports it manages. A record is never removed: an epoch that
 * was forgotten could be served again.
 *
 * Pure:    types and small helpers.
 */
#ifndef RF_AGENT_EPOCH_TABLE_H
#define RF_AGENT_EPOCH_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum { AGENT_GROUPS_MAX = 64, AGENT_NAME_SIZE = 24, AGENT_ALSO_MAX = 7 };

/* Ports beside an instance's own; ascending. */
struct also_ports {
    uint8_t count;
    uint16_t of[AGENT_ALSO_MAX];
};

struct epoch_record {
    char group[AGENT_NAME_SIZE];
    uint64_t highest;       /* seen; lower ones are refused */
    uint64_t fenced;        /* 0: none */
    uint16_t port;          /* kept closed from the start of the agent on; 0: not managed */
    struct also_ports also; /* with it */
    bool tried;             /* the gate of this port was tried in this incarnation (I2) */
};

struct epoch_table {
    uint8_t count;
    struct epoch_record of[AGENT_GROUPS_MAX];
};

#endif
