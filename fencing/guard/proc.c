#include "fencing/guard/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fencing/guard/guard_rules.h"

enum { STAT_SIZE = 1024, LINE_SIZE = 1024, DIRENTS_SIZE = 16384, START_FIELD = 22 };

/* The first `size - 1` bytes; false: it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t n = 1;

    if (fd < 0)
        return false;
    while (used < size - 1 && (n = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    (void)close(fd);
    text[used] = '\0';
    return n >= 0;
}

/* Field 22 of /proc/PID/stat, behind a name that may hold anything. A zombie has given back
 * all it had, its sockets too. */
uint64_t guard_proc_start_ms(uint64_t pid)
{
    char path[64], text[STAT_SIZE];
    const char *at;

    (void)snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    if (pid == 0 || !read_text(path, text, sizeof text))
        return 0;
    at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    at += 2; /* the state, field 3 */
    for (int field = 3; field < START_FIELD; field++) {
        at = strchr(at, ' ');
        if (at == NULL)
            return 0;
        at++;
    }
    return strtoull(at, NULL, 10) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

struct guard_life guard_life_of_self(void)
{
    const uint64_t pid = (uint64_t)getpid();

    return (struct guard_life){.pid = pid, .start_ms = guard_proc_start_ms(pid)};
}

bool guard_life_lives(const struct guard_life *life)
{
    return life->pid != 0 && life->start_ms != 0 &&
           guard_proc_start_ms(life->pid) == life->start_ms;
}

/* ---- what a process is told by --------------------------------------------------------
 */

/* Where cgroup v2 is mounted: a line "... - cgroup2 cgroup2 ..." of mountinfo, field 5. */
static bool find_mount(char *path, size_t size)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[LINE_SIZE];
    bool found = false;

    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        char root[256], mount[256];

        found = strstr(line, " - cgroup2 ") != NULL &&
                sscanf(line, "%*d %*d %*s %255s %255s", root, mount) == 2 &&
                strcmp(root, "/") == 0 && (size_t)snprintf(path, size, "%s", mount) < size;
    }
    if (f != NULL)
        (void)fclose(f);
    return found;
}

bool guard_cgroup_of(uint64_t pid, char *path, size_t size)
{
    char file[64], text[STAT_SIZE], mount[256];
    const char *at;

    (void)snprintf(file, sizeof file, "/proc/%llu/cgroup", (unsigned long long)pid);
    if (!read_text(file, text, sizeof text) || !find_mount(mount, sizeof mount))
        return false;
    at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    at = at != NULL ? strchr(at, '/') : NULL;
    if (at == NULL || strncmp(at, "/..", 3) == 0) /* outside of this namespace */
        return false;
    text[(size_t)(at - text) + strcspn(at, "\n")] = '\0';
    return (size_t)snprintf(path, size, "%s%s", mount, strcmp(at, "/") == 0 ? "" : at) <
           size;
}

/* Its cgroup, if it was made for it alone: what is in there may be killed as a whole. */
static void read_own_cgroup(uint64_t pid, char *path, size_t size)
{
    if (!guard_cgroup_of(pid, path, size) || !guard_is_servers_cgroup(path))
        path[0] = '\0';
}

bool guard_process_read(const struct guard_life *postmaster, struct guard_process *ret)
{
    struct guard_process p = {.postmaster = *postmaster};
    struct stat dir, exe;
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%llu/cwd",
                   (unsigned long long)postmaster->pid);
    if (stat(path, &dir) != 0)
        return false;
    (void)snprintf(path, sizeof path, "/proc/%llu/exe",
                   (unsigned long long)postmaster->pid);
    if (stat(path, &exe) != 0)
        return false;
    p.dir_dev = dir.st_dev;
    p.dir_ino = dir.st_ino;
    p.exe_dev = exe.st_dev;
    p.exe_ino = exe.st_ino;
    read_own_cgroup(postmaster->pid, p.cgroup, sizeof p.cgroup);
    if (!guard_life_lives(postmaster)) /* read last: all of it was of this process */
        return false;
    *ret = p;
    return true;
}

/* ---- the end --------------------------------------------------------------------------
 */

static void kill_cgroup(const char *cgroup)
{
    char path[GUARD_PATH_SIZE + 16];
    ssize_t written;
    int fd;

    (void)snprintf(path, sizeof path, "%s/cgroup.kill", cgroup);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* an older kernel, or it is gone: the sweep does it */
    written = write(fd, "1", 1);
    (void)written;
    (void)close(fd);
}

/* A process dies when it runs next, and on a busy host it may wait long for that, in the
 * middle of a write to a client. So it runs before all that is ordinary. */
static void end_process(pid_t pid, int fd)
{
    const struct sched_param priority = {.sched_priority = 1};

    (void)sched_setscheduler(pid, SCHED_FIFO, &priority);
    (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

void guard_kill(const struct guard_process *server)
{
    const struct guard_life *pm = &server->postmaster;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pm->pid, 0);

    /* Verified after the pidfd was opened: it cannot be another process by now. */
    if (fd >= 0 && guard_life_lives(pm))
        end_process((pid_t)pm->pid, fd);
    if (fd >= 0)
        (void)close(fd);
    if (guard_is_servers_cgroup(server->cgroup)) /* the agent has looked, too */
        kill_cgroup(server->cgroup);
}

static bool cgroup_is_populated(const char *cgroup)
{
    char path[GUARD_PATH_SIZE + 16], text[256];

    (void)snprintf(path, sizeof path, "%s/cgroup.events", cgroup);
    return read_text(path, text, sizeof text) && strstr(text, "populated 1") != NULL;
}

static bool is_of(const struct guard_process *server, const struct stat *dir,
                  const struct stat *exe)
{
    return server->dir_ino != 0 && dir->st_ino == server->dir_ino &&
           dir->st_dev == server->dir_dev && exe->st_ino == server->exe_ino &&
           exe->st_dev == server->exe_dev;
}

static void kill_pid(uint64_t pid, const struct guard_process *server, int proc)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    struct stat dir, exe;
    char path[64];

    if (fd < 0)
        return;
    (void)snprintf(path, sizeof path, "%llu/cwd", (unsigned long long)pid);
    if (fstatat(proc, path, &dir, 0) == 0) {
        (void)snprintf(path, sizeof path, "%llu/exe", (unsigned long long)pid);
        if (fstatat(proc, path, &exe, 0) == 0 && is_of(server, &dir, &exe))
            end_process((pid_t)pid, fd);
    }
    (void)close(fd);
}

struct sweep {
    const struct guard_process *const *servers;
    size_t n;
    bool kill;
    unsigned *counts;
    int proc;
};

static void sweep_one(const struct sweep *s, const char *name)
{
    struct stat dir, exe;
    char path[64];

    (void)snprintf(path, sizeof path, "%.20s/cwd", name);
    if (fstatat(s->proc, path, &dir, 0) != 0)
        return;
    for (size_t i = 0; i < s->n; i++) {
        const struct guard_process *p = s->servers[i];

        if (dir.st_ino != p->dir_ino || dir.st_dev != p->dir_dev)
            continue;
        (void)snprintf(path, sizeof path, "%.20s/exe", name);
        if (fstatat(s->proc, path, &exe, 0) != 0 || !is_of(p, &dir, &exe))
            continue;
        s->counts[i]++;
        if (s->kill)
            kill_pid(strtoull(name, NULL, 10), p, s->proc);
    }
}

struct dirent64_head {
    uint64_t ino;
    int64_t off;
    unsigned short len;
    unsigned char type;
    char name[];
};

void guard_sweep(const struct guard_process *const *servers, size_t n, bool kill,
                 unsigned *ret_counts)
{
    static _Alignas(8) char room[DIRENTS_SIZE]; /* opendir() would allocate */
    struct sweep s = {servers, n, kill, ret_counts,
                      open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    long got;

    for (size_t i = 0; i < n; i++)
        ret_counts[i] = 0;
    while (s.proc >= 0 && (got = syscall(SYS_getdents64, s.proc, room, sizeof room)) > 0) {
        for (long at = 0; at < got;) {
            const struct dirent64_head *d = (const void *)(room + at);

            if (isdigit((unsigned char)d->name[0]))
                sweep_one(&s, d->name);
            at += d->len;
        }
    }
    if (s.proc >= 0)
        (void)close(s.proc);
    /* What it has started counts, too: a program that it runs may hold its sockets. */
    for (size_t i = 0; i < n; i++)
        if (ret_counts[i] == 0 && servers[i]->cgroup[0] != '\0' &&
            cgroup_is_populated(servers[i]->cgroup))
            ret_counts[i] = 1;
    if (s.proc < 0)
        for (size_t i = 0; i < n; i++)
            ret_counts[i]++; /* nothing can be seen: nothing is known to be gone */
}
