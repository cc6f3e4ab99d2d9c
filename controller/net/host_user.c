/* With whose eyes this process looks. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/net/host.h"

void host_user(char ret_user[HOST_USER_SIZE], char ret_group[HOST_USER_SIZE])
{
    const struct passwd *pw = getpwuid(geteuid());
    const struct group *gr;

    if (pw != NULL)
        (void)snprintf(ret_user, HOST_USER_SIZE, "%s", pw->pw_name);
    else
        (void)snprintf(ret_user, HOST_USER_SIZE, "%u", geteuid());
    gr = getgrgid(getegid());
    if (gr != NULL)
        (void)snprintf(ret_group, HOST_USER_SIZE, "%s", gr->gr_name);
    else
        (void)snprintf(ret_group, HOST_USER_SIZE, "%u", getegid());
}

static int look_as(const struct passwd *pw, struct err *err)
{
    if (pw->pw_uid == geteuid())
        return 0;
    if (geteuid() != 0)
        return err_set(err, ERR_REFUSED,
                       "only root, or user %s, can look with the eyes of %s", pw->pw_name,
                       pw->pw_name);
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setegid(pw->pw_gid) != 0 ||
        seteuid(pw->pw_uid) != 0)
        return err_errno(err, errno, "become user %s", pw->pw_name);
    return 0;
}

int host_look_as(const char *name, struct err *err)
{
    const struct passwd *pw = getpwnam(name);

    if (pw == NULL)
        return err_set(err, ERR_NOTFOUND, "there is no user '%s' on this host", name);
    return look_as(pw, err);
}

int host_look_as_owner(const char *path, const char *usual, struct err *err)
{
    const struct passwd *pw;
    struct stat st;

    if (geteuid() != 0)
        return 0;
    pw = stat(path, &st) == 0 && st.st_uid != 0 ? getpwuid(st.st_uid) : getpwnam(usual);
    return pw != NULL ? look_as(pw, err) : 0;
}

bool host_is_of_another(const char *path, char ret_user[HOST_USER_SIZE])
{
    const struct passwd *pw;
    struct stat st;

    if (geteuid() != 0 || stat(path, &st) != 0 || st.st_uid == 0)
        return false;
    pw = getpwuid(st.st_uid);
    if (pw != NULL)
        (void)snprintf(ret_user, HOST_USER_SIZE, "%s", pw->pw_name);
    else
        (void)snprintf(ret_user, HOST_USER_SIZE, "%u", st.st_uid);
    return true;
}

void host_look_back(void)
{
    /* Cannot fail for what this process is in truth. */
    (void)!seteuid(getuid());
    (void)!setegid(getgid());
}

int host_unreadable(struct err *err, int error, const char *what, const char *path,
                    bool secret)
{
    char user[HOST_USER_SIZE], group[HOST_USER_SIZE];

    if (error != EACCES)
        return err_errno(err, error, "%s %s", what, path);
    host_user(user, group);
    return err_set(err, ERR_REFUSED,
                   "%s %s cannot be read by user %s: `chown root:%s %s; chmod %s %s`, and "
                   "let it pass the directories above",
                   what, path, user, group, path, secret ? "0640" : "0644", path);
}
