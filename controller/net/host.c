#include "controller/net/host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_STATE = 0x0a, INODES_MAX = 16, PROC_PATH = 300 };

static void drop_file(FILE **f)
{
    if (*f != NULL)
        (void)fclose(*f);
}

static void drop_dir(DIR **d)
{
    if (*d != NULL)
        (void)closedir(*d);
}

/* ---- processes ------------------------------------------------------------------------
 */

/* Calls `visit` for each descriptor of a process until it says true. */
static bool each_fd(int pid, bool (*visit)(const char *path, const void *arg),
                    const void *arg)
{
    char path[PROC_PATH];
    AUTO(drop_dir) DIR *dir = NULL;
    const struct dirent *e;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    dir = opendir(path);
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%.20s", pid, e->d_name);
        if (visit(path, arg))
            return true;
    }
    return false;
}

static bool is_same_file(const char *path, const void *arg)
{
    const struct stat *wanted = arg;
    struct stat st;

    return stat(path, &st) == 0 && st.st_dev == wanted->st_dev &&
           st.st_ino == wanted->st_ino;
}

bool host_process_has(int pid, const char *path)
{
    struct stat st;

    return pid != 0 && stat(path, &st) == 0 && each_fd(pid, is_same_file, &st);
}

static void name_holder(int pid, struct host_holder *ret)
{
    char path[PROC_PATH];
    AUTO(drop_file) FILE *f = NULL;

    *ret = (struct host_holder){.pid = pid};
    (void)snprintf(path, sizeof path, "/proc/%d/comm", pid);
    f = fopen(path, "re");
    if (f == NULL || fgets(ret->program, sizeof ret->program, f) == NULL)
        ret->program[0] = '\0';
    ret->program[strcspn(ret->program, "\n")] = '\0';
}

/* ---- TCP ------------------------------------------------------------------------------
 */

struct inodes {
    unsigned n;
    unsigned long of[INODES_MAX];
};

/* As /proc/net/tcp writes it: words in the order of the host. */
static void hex_address(const struct sockaddr_storage *sa, char ret[33])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
    uint32_t words[4] = {v4->sin_addr.s_addr};
    unsigned n = 1;

    if (sa->ss_family == AF_INET6) {
        memcpy(words, &v6->sin6_addr, sizeof words);
        n = 4;
    }
    for (unsigned i = 0; i < n; i++)
        (void)snprintf(ret + (size_t)8 * i, 9, "%08X", words[i]);
}

/* "0: 0100007F:1CE8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 INODE ..."
 */
static void take_listener(char *line, const char *own, unsigned port, struct inodes *out)
{
    enum { LOCAL = 1, STATE = 3, INODE = 9 };
    char *words[INODE + 1] = {NULL}, *save = NULL, *word = strtok_r(line, " ", &save);
    char *colon;

    for (unsigned n = 0; n <= INODE && word != NULL; n++) {
        words[n] = word;
        word = strtok_r(NULL, " ", &save);
    }
    colon = words[INODE] != NULL ? strchr(words[LOCAL], ':') : NULL;
    if (colon == NULL || strtoul(words[STATE], NULL, 16) != LISTEN_STATE ||
        strtoul(colon + 1, NULL, 16) != port || out->n == INODES_MAX)
        return;
    *colon = '\0';
    if (strcmp(words[LOCAL], own) == 0 ||
        strspn(words[LOCAL], "0") == strlen(words[LOCAL]) ||
        strspn(own, "0") == strlen(own))
        out->of[out->n++] = strtoul(words[INODE], NULL, 10);
}

static bool is_one_of(const char *path, const void *arg)
{
    const struct inodes *wanted = arg;
    char target[64];
    ssize_t n = readlink(path, target, sizeof target - 1);
    static const char prefix[] = "socket:[";
    unsigned long inode;

    if (n <= 0)
        return false;
    target[n] = '\0';
    if (strncmp(target, prefix, sizeof prefix - 1) != 0)
        return false;
    inode = strtoul(target + sizeof prefix - 1, NULL, 10);
    for (unsigned i = 0; i < wanted->n; i++)
        if (wanted->of[i] == inode)
            return true;
    return false;
}

static void find_listener(const struct sockaddr_storage *sa, struct host_holder *ret)
{
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    /* sin_port and sin6_port are at the same place. */
    unsigned port = ntohs(((const struct sockaddr_in *)sa)->sin_port);
    AUTO(drop_dir) DIR *proc = opendir("/proc");
    const struct dirent *e;
    struct inodes inodes = {0};
    char own[33], line[256];

    hex_address(sa, own);
    for (unsigned i = 0; i < ARRAY_LEN(tables); i++) {
        AUTO(drop_file) FILE *f = fopen(tables[i], "re");

        while (f != NULL && fgets(line, sizeof line, f) != NULL)
            take_listener(line, own, port, &inodes);
    }
    *ret = (struct host_holder){0};
    while (proc != NULL && (e = readdir(proc)) != NULL) {
        int pid =
            isdigit((unsigned char)e->d_name[0]) ? (int)strtol(e->d_name, NULL, 10) : 0;

        if (pid == 0 || !each_fd(pid, is_one_of, &inodes))
            continue;
        name_holder(pid, ret);
        return;
    }
}

int host_try_port(const struct address *at, struct host_holder *ret_holder, struct err *err)
{
    struct sockaddr_storage sa;
    AUTO(auto_close) int fd = -1;
    int one = 1;

    if (address_numeric(&sa, at, err) != 0)
        return err_set(err, ERR_INVAL, "'%s' is not a numeric address, like 10.0.1.2",
                       at->host);
    fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "open a socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&sa,
             sa.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                     : sizeof(struct sockaddr_in6)) == 0)
        return 0;
    switch (errno) {
    case EADDRINUSE:
        find_listener(&sa, ret_holder);
        return err_set(err, ERR_BUSY, "port %u is in use", at->port);
    case EADDRNOTAVAIL:
        return err_set(err, ERR_NOTFOUND, "%s is not an address of this host", at->host);
    case EACCES:
    case EPERM:
        return err_set(err, ERR_REFUSED, "port %u needs more privileges than this user has",
                       at->port);
    default:
        return err_errno(err, errno, "%s port %u", at->host, at->port);
    }
}

/* ---- Unix -----------------------------------------------------------------------------
 */

int host_try_socket(const char *path, struct host_holder *ret_holder, struct err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct ucred who = {0};
    socklen_t len = sizeof who;
    AUTO(auto_close) int fd = -1;
    struct stat st;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "%s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_INVAL, "%s is there and is not a socket", path);
    if (strlen(path) >= sizeof sa.sun_path)
        return err_set(err, ERR_INVAL, "%s is longer than a socket's path may be", path);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, errno, "open a socket");
    if (connect(fd, (const struct sockaddr *)&sa, sizeof sa) != 0 && errno != EAGAIN)
        return errno == ECONNREFUSED ? 0 : err_errno(err, errno, "%s", path);
    *ret_holder = (struct host_holder){0};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid > 0)
        name_holder(who.pid, ret_holder);
    return err_set(err, ERR_BUSY, "somebody answers on %s", path);
}
