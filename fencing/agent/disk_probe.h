/* fencing/agent/disk_probe.h -- can state_dir be written, before anything hangs on it?
 *
 * Each step is marked on disk before it is begun (I6), so an agent with a full, unwritable
 * or hanging state_dir can begin none. That must be known before a switchover has fenced
 * the other side, not when the first order comes: a small file is written and synced now
 * and then. A disk may also never answer, so the write has a thread of its own and a
 * deadline in the loop; nobody ever waits for that thread.
 *
 * Owner:   disk_probe_open() to disk_probe_close(); then the loop runs dry. A write that
 *          hangs is left alone with what it needs, and frees it when it ends.
 * Threads: the loop's.
 * Errors:  ERR_NOMEM ERR_IO to open; of a probe: those of durable_write(), and ERR_TIMEOUT
 *          where the disk does not answer.
 */
#ifndef RF_AGENT_DISK_PROBE_H
#define RF_AGENT_DISK_PROBE_H

#include "fencing/agent/durable.h"

struct disk_probe;
struct uv_loop_s;

/* A busy disk may need a second or two for a sync. */
enum { DISK_PROBE_DEADLINE_MS = 3000 };

/* After each probe; NULL: it could be written. ERR_TIMEOUT comes once, while the write is
 * still under way; how that ends is said when it does. */
typedef void disk_probe_says(void *owner, const struct err *why);

struct disk_probe_parts {
    struct uv_loop_s *loop;
    const struct durable_dir *dir; /* copied */
    uint32_t deadline_ms;
    disk_probe_says *says;
    void *owner;
};

/* The first probe begins at once. */
MUST_USE int disk_probe_open(struct disk_probe **ret, const struct disk_probe_parts *parts,
                             struct err *err);
void disk_probe_close(struct disk_probe *p); /* NULL is fine */

#endif
