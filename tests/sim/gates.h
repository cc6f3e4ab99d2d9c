/* tests/sim/gates.h -- the kernel's gates: fencing/gate/gate.h, as it promises to be.
 *
 * A host's gate outlives the agent's process and ends with the host's boot. Deadlines are
 * compared with the host's own clock, for every packet.
 */
#ifndef RF_SIM_GATES_H
#define RF_SIM_GATES_H

#include "fencing/gate/gate.h"
#include "tests/sim/world.h"

struct cell { /* one port */
    bool managed;
    struct gate_state st;
    uint8_t peers; /* hosts by bit: whose packets pass in `replication` */
};

struct host_gate {
    bool installed;
    uint64_t installations;
    struct cell cells[WORLD_GROUPS_MAX];
};

extern struct host_gate gates[HOSTS_MAX];
extern unsigned gate_refuses; /* permille of writes that the kernel refuses */

bool gate_is_open(uint8_t host, uint8_t group);
bool gate_lets_peers(uint8_t host, uint8_t group, uint8_t peer);
void gates_begin(void);
void gate_reboot(uint8_t host);

#endif
