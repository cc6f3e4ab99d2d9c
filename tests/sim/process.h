/* tests/sim/process.h -- ringfenced and ringfence-agent as processes of the world. */
#ifndef RF_SIM_PROCESS_H
#define RF_SIM_PROCESS_H

#include "tests/sim/judge.h"
#include "tests/sim/world.h"

void process_begin(void);
const char *node_region(uint8_t node);
/* Of an agent that is up, as its keeper says. */
void proc_incarnation(uint8_t node, struct incarnation *ret);
/* Of the group, that the agent there has on its disk and acts on; 0: none. */
uint64_t proc_epoch(uint8_t node, const char *group);
void proc_restart_in(uint8_t node, uint64_t ms);
/* Of a controller that ctl_daemon() has. */
struct raftnode *ctl_raft(uint8_t node);
/* The host is gone: nobody says so to its peers. */
void proc_lose_power(uint8_t node);

#endif
