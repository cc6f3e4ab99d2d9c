/* chaos/cgroup.h -- cgroups of the v2 hierarchy: whole regions ended at one instant.
 *
 * Threads: any.
 * Errors:  die(), but for what is gone already.
 */
#ifndef RF_CHAOS_CGROUP_H
#define RF_CHAOS_CGROUP_H

/* Where cgroup v2 is mounted; NULL: nowhere. */
const char *cgroup_mount(void);

/* SIGKILL to every process below `path` at one instant (cgroup.kill), and waits until none
 * is left. */
void cgroup_kill(const char *path);

/* Removes an empty cgroup and those below it. */
void cgroup_remove(const char *path);

#endif
