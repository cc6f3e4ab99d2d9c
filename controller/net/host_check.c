/* The same questions, asked for a key of a configuration file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/net/host.h"

/* Held by the running daemon of this very configuration: nothing is wrong with that, but
 * for one more that is to start. */
static void say_held(const struct host_check *c, const char *key, const char *what,
                     const struct host_holder *by)
{
    bool own = host_process_has(by->pid, c->held);

    if (own && !c->starting)
        return;
    if (own)
        findings_error(c->f, key,
                       "%s is held by %s (pid %d), which already runs with this "
                       "configuration: stop that one first",
                       what, by->program, by->pid);
    else if (by->pid != 0)
        findings_error(c->f, key,
                       "%s is in use by %s (pid %d): stop that one, or configure another",
                       what, by->program, by->pid);
    else if (c->starting || getuid() == 0)
        findings_error(c->f, key,
                       "%s is in use (`ss -lntxp` shows by whom): stop that one, or "
                       "configure another",
                       what);
    else
        findings_warn(c->f, key,
                      "%s is in use by a process that this user may not look at: check "
                      "again as root",
                      what);
}

void host_check_listen(const struct host_check *c, const char *key,
                       const struct address *at)
{
    struct host_holder by = {0};
    struct err err = {0};
    char text[ADDRESS_TEXT_SIZE];

    switch (host_try_port(at, &by, &err)) {
    case 0:
        return;
    case ERR_BUSY:
        address_format(at, text);
        say_held(c, key, text, &by);
        return;
    case ERR_NOTFOUND:
        findings_error(c->f, key, "%s: one of those that `ip addr` shows is expected",
                       err.text);
        return;
    default:
        findings_error(c->f, key, "%s", err.text);
    }
}

/* "/run/a/b.sock" lies in "/run/a". */
static void parent_of(const char *path, char *ret, size_t size)
{
    char *slash;

    (void)snprintf(ret, size, "%s", path);
    slash = strrchr(ret, '/');
    if (slash == ret || slash == NULL)
        (void)snprintf(ret, size, "/");
    else
        *slash = '\0';
}

enum { PATH_ROOM = 4096 };

/* The nearest that is there of a path that is not. */
static int nearest(const char *path, char near[PATH_ROOM], unsigned *ret_missing,
                   struct stat *ret_st)
{
    char up[PATH_ROOM];

    (void)snprintf(near, PATH_ROOM, "%s", path);
    *ret_missing = 0;
    while (stat(near, ret_st) != 0) {
        if (errno != ENOENT)
            return errno;
        parent_of(near, up, sizeof up);
        memcpy(near, up, sizeof up);
        ++*ret_missing;
    }
    return 0;
}

/* What is above it may be somebody else's by right, as /var/lib/ringfence is root's. */
static void say_unwritable(const struct host_check *c, const char *key, const char *dir,
                           const char *wanted, int error)
{
    char user[HOST_USER_SIZE], group[HOST_USER_SIZE];

    host_user(user, group);
    if (error == EACCES && strcmp(dir, wanted) != 0)
        findings_error(
            c->f, key,
            "there is no %s, and %s cannot be written by user %s: `install -d -m "
            "0700 -o %s -g %s %s`, or configure another",
            wanted, dir, user, user, group, wanted);
    else if (error == EACCES)
        findings_error(c->f, key,
                       "%s cannot be written by user %s: `chown %s:%s %s` if it is meant "
                       "for it alone, or configure another",
                       dir, user, user, group, dir);
    else
        findings_error(c->f, key, "%s cannot be written by user %s: %s: configure another",
                       dir, user, strerror(error));
}

enum host_dir host_check_dir(const struct host_check *c, const char *key, const char *path,
                             bool made, bool parents)
{
    char near[PATH_ROOM];
    unsigned missing, may_miss = !made ? 0 : parents ? 1000 : 1;
    struct stat st;
    int status = nearest(path, near, &missing, &st);

    if (status != 0) {
        findings_error(c->f, key, "%s: %s", path, strerror(status));
        return HOST_DIR_WRONG;
    }
    if (!S_ISDIR(st.st_mode)) {
        findings_error(c->f, key,
                       "%s is not a directory: move it away, or configure "
                       "another path",
                       near);
        return HOST_DIR_WRONG;
    }
    if (missing > may_miss && c->starting) {
        findings_error(c->f, key,
                       "there is no %s: make it (`install -d`), as the unit in "
                       "deploy/systemd does",
                       path);
        return HOST_DIR_WRONG;
    }
    if ((missing == 0 || missing <= may_miss) &&
        faccessat(AT_FDCWD, near, W_OK | X_OK, AT_EACCESS) != 0) {
        say_unwritable(c, key, near, path, errno);
        return HOST_DIR_WRONG;
    }
    if (missing > 0 && !c->starting)
        findings_warn(c->f, key, "%s is not there yet: %s", path,
                      missing <= may_miss ? "it is made at the start"
                                          : "it has to be before the start");
    return missing > 0 ? HOST_DIR_TO_BE_MADE : HOST_DIR_IS_THERE;
}

void host_check_socket(const struct host_check *c, const char *key, const char *path,
                       bool made)
{
    struct host_holder by = {0};
    struct err err = {0};
    char dir[PATH_ROOM];

    parent_of(path, dir, sizeof dir);
    if (host_check_dir(c, key, dir, made, false) != HOST_DIR_IS_THERE)
        return;
    switch (host_try_socket(path, &by, &err)) {
    case 0:
        return;
    case ERR_BUSY:
        say_held(c, key, path, &by);
        return;
    case ERR_INVAL:
        findings_error(c->f, key, "%s: move it away, or configure another", err.text);
        return;
    default:
        findings_error(c->f, key, "%s", err.text);
    }
}
