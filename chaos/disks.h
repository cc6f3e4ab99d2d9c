/* chaos/disks.h -- disks that are full, read-only, broken, or hang.
 *
 * A laboratory that asks for them has file systems of its own: ext4 in files, on loop
 * devices, mounted where the files of each kind are. So that a disk can fail without a
 * device mapper: the kernel's own orders to ext4 do it. Broken is EXT4_IOC_SHUTDOWN
 * (every call fails with EIO until it is mounted anew), hanging is FIFREEZE (whoever
 * writes waits in the kernel, and cannot even be killed).
 *
 * Owner:   the janitor: disks_let_go() before the processes are ended, disks_remove()
 *          after it, by the laboratory's directory alone.
 * Threads: the main one.
 * Errors:  disk_make() is die(); faults say why they could not be done (malloc'ed), or
 *          return NULL.
 */
#ifndef RF_CHAOS_DISKS_H
#define RF_CHAOS_DISKS_H

#include "chaos/ground.h"

/* What is on one: the server's data (with all else of the region that has no disk of its
 * own), the controller's log, the agent's state, tails that were kept. */
enum disk { DISK_SERVER, DISK_CONTROLLER, DISK_AGENT, DISK_TAILS, DISK_COUNT };

/* Its name in steps; where it is mounted, malloc'ed. */
const char *disk_name(enum disk d);
char *disk_path(const struct ground *g, enum site s, enum disk d);

/* Why this machine cannot have them, or NULL. */
const char *disks_missing(void);
/* Over a directory that is there. */
void disk_make(const struct ground *g, enum site s, enum disk d);

/* What is on the server's by now has been there for long, whoever has not synced it. */
void disk_settle(const struct ground *g, enum site s);

char *disk_fill(const struct ground *g, enum site s, enum disk d);
char *disk_clear(const struct ground *g, enum site s, enum disk d); /* of what filled it */
char *disk_freeze(const struct ground *g, enum site s, enum disk d, bool frozen);
char *disk_break(const struct ground *g, enum site s, enum disk d);
/* Nobody may have a file open on it; with the server's, on none of the region. */
char *disk_replace(const struct ground *g, enum site s, enum disk d);

void disks_let_go(const char *dir);
void disks_remove(const char *dir);

#endif
