/* fencing/gate/cgroup.h -- the cgroup v2 directory a gate stands over.
 *
 * Owner:   cgroup_close() what cgroup_find() filled in.
 * Threads: any.
 * Errors:  ERR_INVAL not a cgroup v2 directory; ERR_UNSUPPORTED no cgroup v2 here, and none
 *          was named.
 */
#ifndef RF_FENCING_CGROUP_H
#define RF_FENCING_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct cgroup {
    char mount[PATH_MAX]; /* where cgroup v2 is; "/sys/fs/cgroup" on ordinary hosts */
    char path[PATH_MAX];  /* the directory, below it */
    uint64_t id;
    int fd;
};

/* `name`: "auto" or NULL for the root, a full path, or one below the mount, with or without
 * a leading '/' ("/region-east", as in /proc/PID/cgroup). */
MUST_USE int cgroup_find(struct cgroup *ret_cgroup, const char *name, struct err *err);
void cgroup_close(struct cgroup *cgroup);

/* Call `visit` for every cgroup above and below, not for itself. `visit` returns 0 to go
 * on; what else it returns ends the walk and is returned. A cgroup that vanishes meanwhile
 * is skipped: its sockets are gone with it, or moved to one that is seen. */
typedef int cgroup_visit(void *arg, int cgroup_fd, const char *path, struct err *err);
MUST_USE int cgroup_walk(const struct cgroup *cgroup, cgroup_visit *visit, void *arg,
                         struct err *err);

#endif
