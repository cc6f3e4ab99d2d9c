/* chaos/sweep.c -- removing a laboratory by its number alone, one's own or a dead one's. */
#include "chaos/ground.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chaos/base.h"
#include "chaos/cgroup.h"
#include "chaos/disks.h"
#include "chaos/process.h"

static const char lock_dir[] = "/run/ringfence-lab";

static char *lock_path(const char *id) { return text_new("%s/%s", lock_dir, id); }

static char *kept_path(const char *id) { return text_new("%s/%s.kept", lock_dir, id); }

/* Under another name first: the lock is held before anybody can see it. */
int ground_lock(const char *id)
{
    AUTO(auto_free) char *path = lock_path(id);
    AUTO(auto_free) char *fresh = text_new("%s.new", path);
    int fd;

    make_dir(lock_dir, 0755, 0, 0);
    fd = open(fresh, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || rename(fresh, path) != 0)
        die("%s: %s", path, strerror(errno));
    return fd;
}

int ground_take_over(const char *id)
{
    AUTO(auto_free) char *path = lock_path(id);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return -1;
}

void ground_keep(const char *id)
{
    AUTO(auto_free) char *path = kept_path(id);

    file_write(path, 0600, "");
}

bool ground_exists(const char *id)
{
    AUTO(auto_free) char *path = lock_path(id);

    return strchr(id, '/') == NULL && access(path, F_OK) == 0;
}

/* A network namespace may still be in use by a socket that the kernel is closing; its name
 * goes at once. */
static void remove_networks(const char *id)
{
    AUTO(auto_free) char *prefix = text_new("rf-%s-", id);
    DIR *dir = opendir("/run/netns");
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            run_here(
                (const char *[]){"/usr/sbin/ip", "netns", "delete", entry->d_name, NULL});
    if (dir != NULL)
        closedir(dir);
}

void ground_remove(const char *id)
{
    AUTO(auto_free) char *cgroup = text_new("%s/ringfence-lab-%s", cgroup_mount(), id);
    AUTO(auto_free) char *dir = text_new("/var/tmp/ringfence-lab/%s", id);
    AUTO(auto_free) char *lock = lock_path(id);
    AUTO(auto_free) char *kept = kept_path(id);

    disks_let_go(dir);
    if (access(cgroup, F_OK) == 0) {
        cgroup_kill(cgroup);
        cgroup_remove(cgroup);
    }
    remove_networks(id);
    disks_remove(dir);
    remove_tree(dir);
    /* Empty only when no other laboratory is there. */
    (void)rmdir("/var/tmp/ringfence-lab");
    (void)unlink(kept);
    (void)unlink(lock);
    (void)rmdir(lock_dir);
}

static void sweep_one(const char *id)
{
    AUTO(auto_free) char *kept = kept_path(id);
    AUTO(auto_close) int lock = access(kept, F_OK) == 0 ? -1 : ground_take_over(id);

    if (lock < 0)
        return;
    fprintf(stderr, "ringfence-lab: removing what laboratory %s left\n", id);
    ground_remove(id);
}

void ground_sweep(void)
{
    DIR *dir = opendir(lock_dir);
    const struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        if (strchr(entry->d_name, '.') == NULL)
            sweep_one(entry->d_name);
    }
    closedir(dir);
}
