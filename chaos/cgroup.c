/* chaos/cgroup.c */
#include "chaos/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chaos/base.h"

const char *cgroup_mount(void)
{
    static char mount[96];
    FILE *mounts;
    const struct mntent *m;

    if (mount[0] != 0)
        return mount;
    mounts = setmntent("/proc/self/mounts", "r");
    if (mounts == NULL)
        return NULL;
    while (mount[0] == 0 && (m = getmntent(mounts)) != NULL)
        if (strcmp(m->mnt_type, "cgroup2") == 0)
            snprintf(mount, sizeof mount, "%s", m->mnt_dir);
    endmntent(mounts);
    return mount[0] != 0 ? mount : NULL;
}

static bool is_populated(const char *path)
{
    AUTO(auto_free) char *events_path = text_new("%s/cgroup.events", path);
    AUTO(auto_free) char *events = file_read(events_path);

    return events != NULL && strstr(events, "populated 1") != NULL;
}

void cgroup_kill(const char *path)
{
    enum { LONGEST_EXIT_MS = 10000 };
    AUTO(auto_free) char *kill_path = text_new("%s/cgroup.kill", path);
    int64_t deadline = now_ns() + (int64_t)LONGEST_EXIT_MS * NS_PER_MS;

    file_write(kill_path, 0200, "1");
    while (is_populated(path)) {
        if (now_ns() > deadline)
            die("processes in %s outlive SIGKILL", path);
        wait_ms(1);
    }
}

void cgroup_remove(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        AUTO(auto_free) char *below = text_new("%s/%s", path, entry->d_name);
        cgroup_remove(below);
    }
    if (dir != NULL)
        closedir(dir);
    if (rmdir(path) != 0 && errno != ENOENT)
        fprintf(stderr, "ringfence-lab: remove %s: %s\n", path, strerror(errno));
}
