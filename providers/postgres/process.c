#include "providers/postgres/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/postgres/files.h"

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* The process works in the instance's data directory. */
static bool works_in(const struct pg *pg, pid_t pid)
{
    char path[64];
    struct stat cwd, data;

    snprintf(path, sizeof path, "/proc/%d/cwd", pid);
    return stat(path, &cwd) == 0 && stat(pg->spec->data, &data) == 0 &&
           cwd.st_dev == data.st_dev && cwd.st_ino == data.st_ino;
}

static bool is_postgres(pid_t pid)
{
    char path[64], exe[512];
    const char *base;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    n = readlink(path, exe, sizeof exe - 1);
    if (n <= 0)
        return false;
    exe[n] = '\0'; /* "... (deleted)" after an upgrade of the package */
    base = strrchr(exe, '/');
    base = base != NULL ? base + 1 : exe;
    return strncmp(base, "postgres", 8) == 0 && (base[8] == '\0' || base[8] == ' ');
}

/* State (field 3), parent (4) and start (22, in ticks since boot) of /proc/PID/stat. */
static bool read_stat(pid_t pid, pid_t *ret_parent, uint64_t *ret_start_ms)
{
    char path[64];
    AUTO(auto_free) char *text = NULL;
    uint64_t ticks = 0, parent = 0, skipped;
    const char *at;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (pg_file_read(path, 4096, &text, NULL) != 0)
        return false;
    at = strrchr(text, ')'); /* the name before it may hold anything */
    if (at == NULL || strlen(at) < 4 || at[2] == 'Z' || at[2] == 'X')
        return false;
    at += 3;
    if (!pg_number_next(&at, &parent))
        return false;
    for (int field = 5; field < 22; field++) {
        at += strspn(at, " -"); /* some are negative */
        if (!pg_number_next(&at, &skipped))
            return false;
    }
    if (!pg_number_next(&at, &ticks))
        return false;
    *ret_parent = (pid_t)parent;
    *ret_start_ms = ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    return true;
}

void pg_postmaster_find(const struct pg *pg, struct pg_postmaster *ret)
{
    AUTO(auto_free) char *path = pg_path(pg, "postmaster.pid");
    AUTO(auto_free) char *text = NULL;
    struct pg_postmaster pm = {0};
    pid_t parent = 0;

    *ret = (struct pg_postmaster){0};
    if (path == NULL || pg_file_read(path, 4096, &text, NULL) != 0 ||
        pg_pidfile_parse(text, &pm.file, NULL) != 0)
        return;
    pm.pid = pm.file.pid;
    if (!read_stat(pm.pid, &parent, &pm.start_ms) || !works_in(pg, pm.pid) ||
        !is_postgres(pm.pid))
        return;
    /* A pid that was reused by a child of some other postmaster on this directory. */
    if (parent > 1 && is_postgres(parent) && works_in(pg, parent))
        return;
    *ret = pm;
}

void pg_socket_of(const struct pg *pg, char *dir, size_t dir_size, char *port,
                  size_t port_size)
{
    struct pg_postmaster pm;

    pg_postmaster_find(pg, &pm);
    if (pm.pid != 0 && pm.file.socket_dir[0] == '/' && pm.file.port != 0) {
        snprintf(dir, dir_size, "%s", pm.file.socket_dir);
        snprintf(port, port_size, "%" PRIu32, pm.file.port);
        return;
    }
    snprintf(dir, dir_size, "%s", pg->spec->socket_dir);
    snprintf(port, port_size, "%" PRIu32, pg->spec->port);
}

int pg_postmaster_signal(const struct pg *pg, const struct pg_postmaster *pm, int signal,
                         struct err *err)
{
    AUTO(auto_close) int fd = (int)syscall(SYS_pidfd_open, pm->pid, 0);
    struct pg_postmaster now;

    if (fd < 0)
        return err_set(err, ERR_NOTFOUND, "postmaster %d is gone", pm->pid);
    /* Verified after the pidfd was opened: it cannot be another process by now. */
    pg_postmaster_find(pg, &now);
    if (now.pid != pm->pid || now.start_ms != pm->start_ms)
        return err_set(err, ERR_NOTFOUND, "postmaster %d is gone", pm->pid);
    if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) != 0 && errno != ESRCH)
        return err_errno(err, errno, "signal %d to postmaster %d", signal, pm->pid);
    return 0;
}

/* 0 for a directory that is no process. */
static pid_t pid_of(const char *name)
{
    uint64_t pid = 0;

    return pg_number_next(&name, &pid) && *name == '\0' ? (pid_t)pid : 0;
}

/* Processes in the cgroup; "" does not count for one that is not there. */
static unsigned cgroup_processes(const struct pg *pg, int signal)
{
    char dir[512];
    char path[600];
    AUTO(auto_free) char *text = NULL;
    unsigned n = 0;
    char *at, *end;

    if (!pg_cgroup(pg, dir, sizeof dir))
        return 0;
    snprintf(path, sizeof path, "%s/cgroup.procs", dir);
    if (pg_file_read(path, 1 << 20, &text, NULL) != 0)
        return 0;
    for (at = text;; at = end) {
        long pid = strtol(at, &end, 10);
        uint64_t start;
        pid_t parent;

        if (end == at)
            break;
        if (!read_stat((pid_t)pid, &parent, &start))
            continue; /* a zombie acknowledges nothing */
        n++;
        if (signal != 0)
            kill((pid_t)pid, signal);
    }
    return n;
}

unsigned pg_processes(const struct pg *pg, int signal)
{
    AUTO(close_dir) DIR *proc = opendir("/proc");
    unsigned n = 0;
    struct dirent *entry;

    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        pid_t pid = pid_of(entry->d_name);

        if (pid == 0 || !works_in(pg, pid) || !is_postgres(pid))
            continue;
        n++;
        if (signal != 0)
            kill(pid, signal);
    }
    return n + cgroup_processes(pg, signal);
}

/* The lock beside the socket names a pid and the data directory, and PostgreSQL goes by the
 * pid here as well. One that names another directory is another server's. */
static int clear_socket_lock(const struct pg *pg, struct err *err)
{
    AUTO(auto_free) char *text = NULL;
    char path[512];
    struct stat named, data;
    char *dir, *end;

    snprintf(path, sizeof path, "%s/.s.PGSQL.%" PRIu32 ".lock", pg->spec->socket_dir,
             pg->spec->port);
    if (pg_file_read(path, 4096, &text, NULL) != 0)
        return 0;
    dir = strchr(text, '\n');
    end = dir != NULL ? strchr(dir + 1, '\n') : NULL;
    if (end == NULL)
        return 0;
    *end = '\0';
    if (stat(dir + 1, &named) != 0 || stat(pg->spec->data, &data) != 0 ||
        named.st_dev != data.st_dev || named.st_ino != data.st_ino)
        return 0;
    return pg_file_remove(path, err);
}

int pg_pidfile_clear(const struct pg *pg, struct err *err)
{
    AUTO(auto_free) char *path = pg_path(pg, "postmaster.pid");
    struct pg_postmaster pm;

    if (path == NULL)
        return err_set(err, ERR_NOMEM, "path");
    pg_postmaster_find(pg, &pm);
    if (pm.pid != 0 || pg_processes(pg, 0) > 0)
        return err_set(err, ERR_BUSY, "processes of a server are left on %s",
                       pg->spec->data);
    if (pg_file_remove(path, err) != 0)
        return err->code;
    return clear_socket_lock(pg, err);
}

/* Our tools carry the data directory in their environment, whatever they are called. */
static bool is_our_tool(const struct pg *pg, pid_t pid)
{
    AUTO(auto_free) char *text = NULL;
    char path[64], mark[600];
    size_t len, mark_len;
    struct err err;

    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    mark_len = (size_t)snprintf(mark, sizeof mark, PG_TOOL_MARK "=%s", pg->spec->data);
    if (mark_len >= sizeof mark || pg_file_read_len(path, 1 << 20, &text, &len, &err) != 0)
        return false;
    for (size_t at = 0; at < len; at += strlen(text + at) + 1)
        if (strcmp(text + at, mark) == 0)
            return true;
    return false;
}

void pg_end_leftovers(const struct pg *pg)
{
    AUTO(close_dir) DIR *proc = opendir("/proc");
    struct dirent *entry;

    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        pid_t pid = pid_of(entry->d_name);
        AUTO(auto_close) int fd = -1;

        if (pid <= 1 || pid == getpid() || !is_our_tool(pg, pid))
            continue;
        fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd >= 0 && is_our_tool(pg, pid))
            syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    }
}

uint64_t pg_switches(pid_t pid)
{
    static const char label[] = "\nvoluntary_ctxt_switches:";
    AUTO(auto_free) char *text = NULL;
    char path[64];
    const char *at;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (pg_file_read(path, 1 << 16, &text, NULL) != 0)
        return 0;
    at = strstr(text, label);
    return at != NULL ? strtoull(at + sizeof label - 1, NULL, 10) : 0;
}
