/* fencing/agent/disk_probe.h -- can state_dir be written, before anything hangs on it?
 *
 * Each step is marked on disk before it is begun (I6), so an agent with a full or
 * unwritable state_dir can begin none. That must be known before a switchover has fenced
 * the other side, not when the first order comes: a small file is written and synced now
 * and then, on libuv's pool.
 *
 * Owner:   disk_probe_open() to disk_probe_close(); then the loop runs dry.
 * Threads: the loop's; the write itself on the pool.
 */
#ifndef RF_AGENT_DISK_PROBE_H
#define RF_AGENT_DISK_PROBE_H

#include "fencing/agent/durable.h"

struct disk_probe;
struct uv_loop_s;

/* After each probe; NULL: it could be written. */
typedef void disk_probe_says(void *owner, const struct err *why);

/* `dir` must outlive the loop. The first probe begins at once. */
MUST_USE int disk_probe_open(struct disk_probe **ret, struct uv_loop_s *loop,
                             const struct durable_dir *dir, disk_probe_says *says,
                             void *owner);
void disk_probe_close(struct disk_probe *p); /* NULL is fine */

#endif
