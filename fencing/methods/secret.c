#include "fencing/methods/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { URL_SIZE = 3 * SECRET_SIZE, PATH_ROOM = 4096 };

static bool is_ours(uid_t owner) { return owner == 0 || owner == geteuid(); }

static int unreadable(struct err *err, int error, const char *path)
{
    if (error != EACCES)
        return err_errno(err, error, "%s", path);
    return err_set(err, ERR_REFUSED,
                   "%s cannot be read by user %u of group %u: `chgrp %u %s; chmod 0640 "
                   "%s`, and let that group pass the directories above",
                   path, geteuid(), getegid(), getegid(), path, path);
}

static int check_link(const char *path, struct err *err)
{
    char dir[PATH_ROOM];
    struct stat st;
    char *slash;

    if (lstat(path, &st) != 0)
        return unreadable(err, errno, path);
    if (!S_ISLNK(st.st_mode))
        return 0;
    (void)snprintf(dir, sizeof dir, "%s", path);
    slash = strrchr(dir, '/');
    if (slash != NULL)
        slash[slash == dir] = '\0';
    if (stat(dir, &st) != 0)
        return err_errno(err, errno, "%s", dir);
    if (is_ours(st.st_uid) && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return 0;
    return err_set(err, ERR_REFUSED,
                   "%s is a symbolic link, in a directory where others may put one: name "
                   "the file itself",
                   path);
}

static int check_file(const char *path, const struct stat *st, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, ERR_REFUSED, "%s is not a regular file", path);
    if (!is_ours(st->st_uid))
        return err_set(err, ERR_REFUSED,
                       "%s belongs to user %u, who may change it: `chown root %s`", path,
                       st->st_uid, path);
    if ((st->st_mode & S_IRWXO) != 0 || (st->st_mode & (S_IWGRP | S_IXGRP)) != 0)
        return err_set(err, ERR_REFUSED,
                       "%s has mode %04o, so that others than its user may read or change "
                       "it: `chmod 0600 %s`, or 0640 for the group of ringfenced",
                       path, st->st_mode & 07777, path);
    if ((st->st_mode & S_IRGRP) != 0 && st->st_gid != getegid() && st->st_gid != 0)
        return err_set(err, ERR_REFUSED,
                       "%s can be read by group %u, which is not that of ringfenced: "
                       "`chmod 0600 %s`, or `chgrp` it",
                       path, st->st_gid, path);
    return 0;
}

/* One line, without anything that would end it in the middle of what an agent reads. */
static int take_line(const char *path, char *text, size_t len, struct err *err)
{
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len > 0 && text[len - 1] == '\r')
        len--;
    if (len >= SECRET_SIZE)
        return err_set(err, ERR_INVAL, "%s is longer than %d bytes", path, SECRET_SIZE - 1);
    if (len == 0)
        return err_set(err, ERR_INVAL, "%s is empty: a line with the secret is expected",
                       path);
    for (size_t i = 0; i < len; i++)
        if (iscntrl((unsigned char)text[i]))
            return err_set(err, ERR_INVAL,
                           "%s holds more than one line, or a control character: one line "
                           "of text is expected",
                           path);
    text[len] = '\0';
    return 0;
}

int secret_read(const char *path, char ret_secret[SECRET_SIZE], struct err *err)
{
    char text[SECRET_SIZE + 2]; /* one that is too long is seen to be */
    AUTO(auto_close) int fd = -1;
    struct stat st;
    ssize_t n;
    int status = check_link(path, err);

    if (status != 0)
        return status;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0)
        return unreadable(err, errno, path);
    status = check_file(path, &st, err);
    if (status != 0)
        return status;
    n = read(fd, text, sizeof text);
    if (n < 0)
        return err_errno(err, errno, "%s", path);
    status = take_line(path, text, (size_t)n, err);
    if (status == 0)
        memcpy(ret_secret, text, strlen(text) + 1);
    explicit_bzero(text, sizeof text);
    return status;
}

void secret_wipe(char secret[SECRET_SIZE]) { explicit_bzero(secret, SECRET_SIZE); }

/* ---- hiding ---------------------------------------------------------------------------
 */

static void hide(const char *what, char *text, size_t size)
{
    static const char stars[] = "***";
    const size_t len = strlen(what);
    char *at = text;

    while (len > 0 && (at = strstr(at, what)) != NULL) {
        const size_t room = size - (size_t)(at - text);
        const char *rest = at + len;
        size_t rest_len = strlen(rest);

        if (room <= sizeof stars) { /* cut here: shorter, and nothing of it is left */
            *at = '\0';
            return;
        }
        if (rest_len > room - sizeof stars)
            rest_len = room - sizeof stars;
        at[len + rest_len] = '\0';
        memmove(at + sizeof stars - 1, rest, rest_len + 1);
        memcpy(at, stars, sizeof stars - 1);
        at += sizeof stars - 1;
    }
}

static void write_as_in_url(const char *secret, char ret[URL_SIZE])
{
    static const char digits[] = "0123456789ABCDEF";
    char *to = ret;

    for (; *secret != '\0'; secret++) {
        const unsigned char c = (unsigned char)*secret;

        if (isalnum(c) || strchr("_.-~", c) != NULL) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    *to = '\0';
}

void secret_hide(const char *secret, char *text, size_t size)
{
    char url[URL_SIZE];

    write_as_in_url(secret, url);
    hide(secret, text, size);
    if (strcmp(url, secret) != 0)
        hide(url, text, size);
    explicit_bzero(url, sizeof url);
}
