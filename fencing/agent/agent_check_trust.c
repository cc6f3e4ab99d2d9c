/* Who could have this agent, which is root, do what he likes? */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fencing/agent/agent_check.h"

static void say_untrusted(const char *key, const char *file, const char *part,
                          const struct stat *st, struct findings *f)
{
    const struct passwd *owner = getpwuid(st->st_uid);
    bool foreign = st->st_uid != 0 && st->st_uid != geteuid();
    char who[80];

    if (!foreign)
        (void)snprintf(who, sizeof who, "%s",
                       (st->st_mode & S_IWOTH) != 0 ? "every user" : "its group");
    else if (owner != NULL)
        (void)snprintf(who, sizeof who, "user %s", owner->pw_name);
    else
        (void)snprintf(who, sizeof who, "uid %u", st->st_uid);
    findings_error(f, key,
                   "%s%s%s can write %s, and so have this agent, which is root, do what "
                   "he likes: `%s %s`",
                   key[0] != 0 ? file : "", key[0] != 0 ? ": " : "", who, part,
                   foreign ? "chown root:root" : "chmod go-w", part);
}

/* In a sticky directory (/tmp) nobody replaces what is another's; the owner of what lies
 * in it is looked at next. A directory of group root is root's. */
static bool is_trusted(const struct stat *st)
{
    mode_t others = S_IWOTH | (st->st_gid != 0 ? S_IWGRP : 0);

    if (st->st_uid != 0 && st->st_uid != geteuid())
        return false;
    return (st->st_mode & others) == 0 ||
           (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0);
}

/* The file and each directory above it; what is not there is said by who needs it. */
static bool check_path(const char *key, const char *file, const char *path,
                       struct findings *f)
{
    const size_t len = strlen(path);
    char part[PATH_MAX];

    for (size_t i = 1; i <= len; i++) {
        struct stat st;

        if (i < len && path[i] != '/')
            continue;
        (void)snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (stat(part, &st) != 0 || is_trusted(&st))
            continue;
        say_untrusted(key, file, part, &st, f);
        return false;
    }
    return true;
}

static void check_file(const char *key, const char *path, struct findings *f)
{
    char real[PATH_MAX];

    /* As it is written, and where its links lead to. */
    if (path[0] == '/' && !check_path(key, path, path, f))
        return;
    if (realpath(path, real) != NULL && strcmp(real, path) != 0)
        (void)check_path(key, path, real, f);
}

int agent_check_user(unsigned uid, const char *user, struct err *err)
{
    if (uid == 0)
        return 0;
    return err_set(err, ERR_REFUSED,
                   "this is user %s, and the agent is root: it gates ports, and starts "
                   "PostgreSQL as its own user; run it as root, with --check, too (its "
                   "unit does; the controller is another user's)",
                   user);
}

void agent_check_trust(const struct agent_settings *s, struct findings *f)
{
    check_file("", s->path, f);
    check_file("tls.ca", s->ca, f);
    check_file("tls.cert", s->cert, f);
    check_file("tls.key", s->key, f);
    check_file("tls.crl", s->crl, f);
}
