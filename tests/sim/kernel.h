/* tests/sim/kernel.h -- what the processes of one host ask their kernel for: clocks, small
 * files, random bytes, other processes. Beside the modelled gate (gate.c) and the network
 * (net.c), which have the interfaces of the shipped modules.
 *
 * Files:   a host has three (agent.state, steps.state, probe). A write is synced when it
 *          returns 0; one that fails, or in which the process is killed, leaves the old
 *          contents or the new ones, and these are lost with the power, perhaps.
 */
#ifndef RF_SIM_KERNEL_H
#define RF_SIM_KERNEL_H

#include "tests/sim/world.h"

enum { FILES = 3, FAKE_FD = 100000 };

/* How a disk fares; of a host's, or of a controller's. */
enum disk_state { DISK_GOOD, DISK_SLOW, DISK_STALLED, DISK_FAILING, DISK_FULL };

struct machine {
    enum disk_state disk;
    char *files[FILES];  /* NULL: not there */
    char *synced[FILES]; /* as they are after a loss of power */
    uint64_t boots, randoms;
    int64_t wall_offset_ms; /* its wall clock, which may jump */
    int32_t slew_ppm;       /* as adjtimex would show it */
    int32_t next_pid;
    bool waited; /* the write that comes has waited for the disk already */
};

extern struct machine machines[NODES_MAX];

void kernel_begin(void);
void kernel_end(void);
void kernel_forget_files(uint8_t node);
void kernel_lose_power(uint8_t node); /* and what was not synced */
uint64_t disk_takes_ns(enum disk_state d);
/* For keeper_stop(): whoever waits in the thread's loop hears its bells now. */
void bells_ring(struct task *t);

#endif
