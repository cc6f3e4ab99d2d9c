#include "providers/postgres/files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "controller/base/buf.h"
#include "providers/postgres/text.h"

char *pg_path(const struct pg *pg, const char *name)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", pg->spec->data, name) >= 0 ? path : NULL;
}

bool pg_has_file(const struct pg *pg, const char *name)
{
    AUTO(auto_free) char *path = pg_path(pg, name);

    return path != NULL && access(path, F_OK) == 0;
}

int pg_file_read_len(const char *path, size_t limit, char **ret_text, size_t *ret_len,
                     struct err *err)
{
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO(buf_free) struct buf b = {.limit = limit + 1};
    struct err own;

    err = err != NULL ? err : &own;
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    for (;;) {
        ssize_t n;

        if (buf_reserve(&b, 4096 < limit + 1 - b.len ? 4096 : limit + 1 - b.len, err) != 0)
            return err_wrap(err, "read %s", path);
        n = read(fd, b.data + b.len, 4096 < limit + 1 - b.len ? 4096 : limit + 1 - b.len);
        if (n < 0)
            return err_errno(err, errno, "read %s", path);
        if (n == 0)
            break;
        b.len += (size_t)n;
        if (b.len > limit)
            return err_set(err, ERR_FULL, "%s is longer than %zu bytes", path, limit);
    }
    b.data[b.len] = '\0'; /* there is room: nothing was read into the reserved part */
    *ret_len = b.len;
    *ret_text = (char *)TAKE(b.data);
    return 0;
}

int pg_file_read(const char *path, size_t limit, char **ret_text, struct err *err)
{
    size_t len;
    int status = pg_file_read_len(path, limit, ret_text, &len, err);

    return status;
}

int pg_sync_parent(const char *path, struct err *err)
{
    AUTO(auto_free) char *copy = strdup(path);
    AUTO(auto_close) int fd = -1;

    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "path");
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, errno, "sync the directory of %s", path);
    return 0;
}

static int write_new(const struct pg *pg, const char *path, const char *text,
                     struct err *err)
{
    AUTO(auto_close) int fd = -1;
    size_t len = strlen(text);

    (void)unlink(path); /* left by a crash; O_EXCL refuses whatever else is there */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "create %s", path);
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0)
            return err_errno(err, errno, "write %s", path);
        text += n;
        len -= (size_t)n;
    }
    if (fchown(fd, pg->uid, pg->gid) != 0 || fsync(fd) != 0)
        return err_errno(err, errno, "write %s", path);
    return 0;
}

int pg_file_write(const struct pg *pg, const char *path, const char *text, struct err *err)
{
    AUTO(auto_free) char *temp = NULL;

    if (asprintf(&temp, "%s.ringfence-new", path) < 0)
        return err_set(err, ERR_NOMEM, "path");
    if (write_new(pg, temp, text, err) != 0)
        return err->code;
    if (rename(temp, path) != 0)
        return err_errno(err, errno, "replace %s", path);
    return pg_sync_parent(path, err);
}

int pg_file_remove(const char *path, struct err *err)
{
    if (unlink(path) != 0) {
        if (errno == ENOENT)
            return 0;
        return err_errno(err, errno, "remove %s", path);
    }
    return pg_sync_parent(path, err);
}

/* The parents of `path`, for everybody to pass. */
static int make_parents(const char *path, struct err *err)
{
    AUTO(auto_free) char *copy = strdup(path);

    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "path");
    for (char *slash = strchr(copy + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST)
            return err_errno(err, errno, "make directory %s", copy);
        *slash = '/';
    }
    return 0;
}

/* Nothing is in it but what we and a server on our port leave in a socket directory: nobody
 * else lives here, whoever it was given to (a service manager does that to all of a
 * directory that a unit names). */
static bool is_ours_by_content(const struct pg *pg, const char *path)
{
    char socket[32], lock[40];
    const char *known[] = {".", "..", socket, lock, "ringfence.sync"};
    const struct dirent *entry;
    DIR *dir = opendir(path);
    bool ours = dir != NULL;

    snprintf(socket, sizeof socket, ".s.PGSQL.%u", pg->spec->port);
    snprintf(lock, sizeof lock, "%s.lock", socket);
    while (ours && (entry = readdir(dir)) != NULL) {
        ours = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            ours = ours || strcmp(entry->d_name, known[i]) == 0;
    }
    if (dir != NULL)
        closedir(dir);
    return ours;
}

/* The directory, and the socket and lock of a server that may be running. */
static int take_back(const struct pg *pg, const char *path, struct err *err)
{
    AUTO(auto_close) int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char name[40];

    if (dir < 0 || fchown(dir, pg->uid, pg->gid) != 0)
        return err_errno(err, errno, "give %s to %s", path, pg->user);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, ".s.PGSQL.%u%s", pg->spec->port, i == 0 ? "" : ".lock");
        if (fchownat(dir, name, pg->uid, pg->gid, AT_SYMLINK_NOFOLLOW) != 0 &&
            errno != ENOENT)
            return err_errno(err, errno, "give %s/%s to %s", path, name, pg->user);
    }
    return 0;
}

int pg_make_dir(const struct pg *pg, const char *path, struct err *err)
{
    struct stat st;

    if (path[0] != '/')
        return err_set(err, ERR_INVAL, "directory '%s' is no absolute path", path);
    if (make_parents(path, err) != 0)
        return err->code;
    if (mkdir(path, 0700) == 0) {
        if (lchown(path, pg->uid, pg->gid) != 0)
            return err_errno(err, errno, "give %s to %s", path, pg->user);
        return pg_sync_parent(path, err);
    }
    if (errno != EEXIST || lstat(path, &st) != 0)
        return err_errno(err, errno, "make directory %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_CONFLICT, "%s is not a directory", path);
    if ((st.st_mode & (S_ISVTX | S_IWOTH)) != 0)
        return err_set(err, ERR_CONFLICT,
                       "%s has mode %04o, so every user of this host uses it: it is not "
                       "made %s's; name a directory of its own",
                       path, st.st_mode & 07777, pg->user);
    if (st.st_uid != pg->uid && st.st_uid != 0 && !is_ours_by_content(pg, path))
        return err_set(err, ERR_CONFLICT,
                       "%s belongs to uid %u, not to %s: `chown %s %s`, and if that does "
                       "not last, name a directory that no service manager owns",
                       path, st.st_uid, pg->user, pg->user, path);
    if (st.st_uid != pg->uid && take_back(pg, path, err) != 0)
        return err->code;
    if (chmod(path, 0700) != 0)
        return err_errno(err, errno, "chmod 0700 %s", path);
    return 0;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

bool pg_data_absent(const struct pg *pg)
{
    AUTO(close_dir) DIR *dir = opendir(pg->spec->data);
    struct dirent *entry;

    if (dir == NULL)
        return errno == ENOENT;
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "lost+found") != 0)
            return false;
    return true;
}

int pg_free_bytes(const char *path, uint64_t *ret_bytes, struct err *err)
{
    struct statvfs fs;

    if (statvfs(path, &fs) != 0)
        return err_errno(err, errno, "free space of %s", path);
    *ret_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

/* The line sets one of the settings. */
static bool sets_one_of(const char *line, const struct pg_setting *settings, size_t n)
{
    size_t len;

    line += strspn(line, " \t");
    len = strcspn(line, " \t=");
    for (size_t i = 0; i < n; i++)
        if (strlen(settings[i].name) == len &&
            strncasecmp(line, settings[i].name, len) == 0)
            return true;
    return false;
}

static int add_setting(struct buf *b, const struct pg_setting *setting, struct err *err)
{
    AUTO(auto_free) char *quoted = NULL;

    if (setting->value == NULL)
        return 0;
    quoted = pg_quote_conf(setting->value);
    if (quoted == NULL)
        return err_set(err, ERR_NOMEM, "setting");
    if (buf_append(b, setting->name, strlen(setting->name), err) != 0 ||
        buf_append(b, " = ", 3, err) != 0 ||
        buf_append(b, quoted, strlen(quoted), err) != 0 || buf_append(b, "\n", 1, err) != 0)
        return err->code;
    return 0;
}

int pg_conf_set(const struct pg *pg, const struct pg_setting *settings, size_t n,
                struct err *err)
{
    AUTO(auto_free) char *path = pg_path(pg, "postgresql.auto.conf");
    AUTO(auto_free) char *old = NULL;
    AUTO(buf_free) struct buf b = {0};
    int status;

    if (path == NULL)
        return err_set(err, ERR_NOMEM, "path");
    status = pg_file_read(path, 1 << 20, &old, err);
    if (status != 0 && status != ERR_NOTFOUND)
        return status;
    for (const char *line = old; line != NULL && *line != '\0';) {
        const char *end = strchrnul(line, '\n');

        if (!sets_one_of(line, settings, n) &&
            (buf_append(&b, line, (size_t)(end - line), err) != 0 ||
             buf_append(&b, "\n", 1, err) != 0))
            return err->code;
        line = *end == '\n' ? end + 1 : NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (add_setting(&b, &settings[i], err) != 0)
            return err->code;
    if (buf_append(&b, "", 1, err) != 0)
        return err->code;
    return pg_file_write(pg, path, (const char *)b.data, err);
}
