/* tests/unit/consensus/sim.h -- a small deterministic cluster over the real driver.
 *
 * Virtual time; a network that loses, doubles, reorders and cuts one way; disks that finish
 * late and lose what was not synced in a crash; snapshots and transfers of leadership.
 * Every message goes through its bytes. While it runs it checks election safety, log
 * matching, leader completeness, the order of application and the hash chain; at the end,
 * after ten quiet seconds, that all nodes are equal and something was done.
 */
#ifndef RF_TEST_CONSENSUS_SIM_H
#define RF_TEST_CONSENSUS_SIM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_config {
    unsigned seed;
    unsigned fault_ms;       /* how long faults go on */
    unsigned snapshot_every; /* applied entries; 0: never */
    unsigned without_filter; /* enum driver_without */
    bool lose_votes;         /* the mutant whose votes are never stored */
    bool ack_early;          /* the mutant that acknowledges before it has stored */
    bool reads;              /* come as often as entries do */
    bool stand_still;        /* processes are stopped, and go on as if nothing were */
    bool read_at_once;       /* the mutant whose leaders answer reads without a barrier */
    bool lose_disks;         /* now and then one node's disk is gone, and it is replaced */
    bool trace;
};

struct sim_result {
    bool ok;
    char why[256];
    uint64_t committed, events, elections, crashes, installs, transfers, replaced, reads,
        state;
};

void sim_run(const struct sim_config *config, struct sim_result *ret);

#endif
