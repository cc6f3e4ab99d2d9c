/* fencing/agent/agent_state.h -- what an agent must find again after a restart.
 *
 * state_dir/agent.state holds the random part of the incarnation, the boot and gate it
 * belongs to, and the epochs of every group (I3, I6). An exclusive lock on the directory is
 * held for life. The incarnation is kept only if boot and gate are still the same (I12);
 * otherwise a new one begins, epochs and fence marks stay.
 *
 * Limits:  a file of DURABLE_MAX bytes, of this version, with AGENT_GROUPS_MAX groups, one
 *          line each; names shorter than AGENT_NAME_SIZE and AGENT_CLUSTER_SIZE; no line
 *          that this version does not know. More, or a group twice, is ERR_CORRUPT; another
 *          version ERR_UNSUPPORTED.
 * Owner:   agent_state_open() to agent_state_close().
 * Threads: agent_state_write() may run on a pool thread, one at a time; the rest before
 *          the threads start.
 * Errors:  ERR_BUSY another agent uses the directory; ERR_CONFLICT it belongs to another
 *          agent or cluster; ERR_CORRUPT; ERR_FULL no room; ERR_REFUSED; ERR_IO.
 */
#ifndef RF_AGENT_STATE_H
#define RF_AGENT_STATE_H

#include <stdbool.h>

#include "controller/base/err.h"
#include "fencing/agent/durable.h"
#include "fencing/agent/epoch_table.h"
#include "fencing/rules/proof.h"

enum { AGENT_ID_SIZE = 16, AGENT_PATH_SIZE = 256, AGENT_CLUSTER_SIZE = 64 };

struct agent_contents {
    char cluster[AGENT_CLUSTER_SIZE];
    char agent[AGENT_NAME_SIZE];
    struct incarnation incarnation; /* boot id, gate id, random: 16 bytes each */
    struct epoch_table epochs;
};

struct agent_state {
    char path[AGENT_PATH_SIZE];
    struct durable_dir dir;
    int lock;
};

/* Make the directory (0700) if it is missing, lock it, read what is there. A fresh one has
 * no incarnation (all zero). */
MUST_USE int agent_state_open(struct agent_state *s, const char *path,
                              struct agent_contents *ret_contents,
                              const struct agent_contents *self, struct err *err);
void agent_state_close(struct agent_state *s);

/* I12: keep the incarnation if boot and gate are those on record, else begin a new one,
 * whose gate is untried. `adopted`: the gate was found installed. Returns 0 with
 * *ret_kept, ERR_IO when the kernel gives no random bytes. */
MUST_USE int agent_state_begin(struct agent_contents *c, const uint8_t boot[AGENT_ID_SIZE],
                               const uint8_t gate[AGENT_ID_SIZE], bool adopted,
                               bool *ret_kept, struct err *err);

/* Blocks until the disk has it. */
MUST_USE int agent_state_write(const struct agent_state *s, const struct agent_contents *c,
                               struct err *err);

/* /proc/sys/kernel/random/boot_id */
MUST_USE int agent_boot_id(uint8_t ret_id[AGENT_ID_SIZE], struct err *err);

#endif
