#include "fencing/gate/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/magic.h>

enum { CGROUP_DEPTH_MAX = 64 };

static bool on_cgroup2(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* "29 23 0:26 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw" */
static int find_mount(char *ret_mount, size_t size, struct err *err)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    int found = 0;

    if (file == NULL)
        return err_errno(err, errno, "/proc/self/mountinfo");
    while (!found && getline(&line, &room, file) > 0) {
        char *rest = strstr(line, " - cgroup2 "), *save = NULL, *word;

        if (rest == NULL)
            continue;
        *rest = '\0';
        word = strtok_r(line, " ", &save);
        for (int i = 0; i < 4 && word != NULL; i++)
            word = strtok_r(NULL, " ", &save);
        found = word != NULL && strlen(word) < size;
        if (found)
            memcpy(ret_mount, word, strlen(word) + 1);
    }
    free(line);
    (void)fclose(file);
    return found ? 0 : err_set(err, ERR_UNSUPPORTED, "cgroup v2 is not mounted here");
}

/* What we were told is on cgroup v2: its mount need not be in our list to be found. */
static void mount_above(struct cgroup *cg)
{
    memcpy(cg->mount, cg->path, sizeof cg->mount);
    for (char *slash; (slash = strrchr(cg->mount, '/')) != NULL && slash != cg->mount;) {
        struct statfs fs;

        *slash = '\0';
        if (statfs(cg->mount, &fs) != 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
            *slash = '/';
            return;
        }
    }
}

static int open_dir(struct cgroup *cg, const char *name, struct err *err)
{
    const char *relative = strcmp(name, "auto") == 0 ? "" : name;
    int length;

    /* A full path first: "/sys/fs/cgroup/east" is never meant as one below the mount. */
    cg->fd = relative[0] == '/' ? open(relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (cg->fd >= 0 && on_cgroup2(cg->fd)) {
        length = snprintf(cg->path, sizeof cg->path, "%s", relative);
        if (cg->mount[0] == '\0' && length > 0 && (size_t)length < sizeof cg->path)
            mount_above(cg);
    } else if (cg->mount[0] == '\0') {
        auto_close(&cg->fd);
        return err_set(err, ERR_INVAL,
                       "gate.cgroup %s: cgroup v2 is not mounted here (is this another "
                       "mount namespace, as `ip netns exec` makes one?)",
                       name);
    } else {
        auto_close(&cg->fd);
        while (relative[0] == '/')
            relative++;
        length = snprintf(cg->path, sizeof cg->path, "%s%s%s", cg->mount,
                          relative[0] == '\0' ? "" : "/", relative);
        cg->fd = open(cg->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (length < 0 || (size_t)length >= sizeof cg->path)
        return err_set(err, ERR_INVAL, "gate.cgroup %s: the path is too long", name);
    /* As it was written: what we made of it is no path that anybody knows. */
    if (cg->fd < 0)
        return err_set(err, ERR_INVAL,
                       "gate.cgroup %s: %s; expected a cgroup v2 directory, as a full path "
                       "or as one below %s, where cgroup v2 is mounted",
                       name, strerror(errno), cg->mount);
    if (!on_cgroup2(cg->fd))
        return err_set(err, ERR_INVAL, "gate.cgroup %s: not on cgroup v2, which is at %s",
                       name, cg->mount);
    for (size_t n = strlen(cg->path); n > 1 && cg->path[n - 1] == '/'; n--)
        cg->path[n - 1] = '\0';
    return 0;
}

int cgroup_find(struct cgroup *ret_cgroup, const char *name, struct err *err)
{
    struct cgroup cg = {.fd = -1};
    struct stat st;
    int r = find_mount(cg.mount, sizeof cg.mount, err);

    /* One that was named is looked for all the same, and is an error where it is not. */
    if (name == NULL)
        name = "auto";
    if (r == 0 || (r == ERR_UNSUPPORTED && strcmp(name, "auto") != 0))
        r = open_dir(&cg, name, err);
    if (r == 0 && fstat(cg.fd, &st) != 0)
        r = err_errno(err, errno, "%s", cg.path);
    if (r != 0) {
        cgroup_close(&cg);
        return r;
    }
    cg.id = st.st_ino; /* what the kernel calls the cgroup's id */
    *ret_cgroup = cg;
    return 0;
}

void cgroup_close(struct cgroup *cgroup)
{
    auto_close(&cgroup->fd);
    cgroup->fd = -1;
}

static int visit_path(const char *path, cgroup_visit *visit, void *arg, struct err *err)
{
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? 0 : visit(arg, fd, path, err);
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static int walk_below(const char *path, unsigned depth, cgroup_visit *visit, void *arg,
                      struct err *err)
{
    AUTO(close_dir) DIR *dir = opendir(path);
    const struct dirent *entry;
    char child[PATH_MAX];

    if (dir == NULL)
        return 0;
    if (depth > CGROUP_DEPTH_MAX)
        return err_set(err, ERR_INVAL, "%s: cgroups nested too deeply", path);
    while ((entry = readdir(dir)) != NULL) {
        int r, length;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        length = snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (length < 0 || (size_t)length >= sizeof child)
            return err_set(err, ERR_INVAL, "%s: path too long", path);
        r = visit_path(child, visit, arg, err);
        if (r == 0)
            r = walk_below(child, depth + 1, visit, arg, err);
        if (r != 0)
            return r;
    }
    return 0;
}

int cgroup_walk(const struct cgroup *cgroup, cgroup_visit *visit, void *arg,
                struct err *err)
{
    char above[PATH_MAX];

    memcpy(above, cgroup->path, sizeof above);
    for (char *slash; (slash = strrchr(above, '/')) != NULL && slash != above;) {
        int r;

        *slash = '\0';
        if (strlen(above) < strlen(cgroup->mount))
            break;
        r = visit_path(above, visit, arg, err);
        if (r != 0)
            return r;
    }
    return walk_below(cgroup->path, 0, visit, arg, err);
}
