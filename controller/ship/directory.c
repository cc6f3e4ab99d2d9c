/* A directory: of this host, or one that it has mounted. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/ship/place_private.h"

enum { PATH_ROOM = SHIP_PATH_SIZE + SHIP_NAME_SIZE + 16 };

int directory_list(const struct ship_place *p, struct ship_ranges *ret, struct err *err)
{
    DIR *dir = opendir(p->directory);
    const struct dirent *entry;
    struct ship_range one;
    int status = 0;

    if (dir == NULL)
        return err_errno(err, errno, "%s", p->directory);
    errno = 0;
    while (status == 0 && (entry = readdir(dir)) != NULL)
        if (ship_read_name(p->cluster, entry->d_name, strlen(entry->d_name), &one))
            status = ship_ranges_add(ret, one, err);
    if (status == 0 && errno != 0)
        status = err_errno(err, errno, "read %s", p->directory);
    (void)closedir(dir);
    return status;
}

static int failed(struct err *err, int error, const char *what, const char *path)
{
    if (error == ENOSPC || error == EDQUOT)
        return err_set(err, ERR_FULL, "%s %s: the disk is full: make room there", what,
                       path);
    return err_errno(err, error, "%s %s", what, path);
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_beside(const char *path, const uint8_t *data, size_t len, struct err *err)
{
    int fd, error;

    /* I9: one that was left may be the second name of a segment that is in its place. */
    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);

    if (fd < 0)
        return failed(err, errno, "make", path);
    error = write_all(fd, data, len);
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    if (close(fd) != 0 && error == 0)
        error = errno;
    return error == 0 ? 0 : failed(err, error, "write", path);
}

static int sync_directory(const char *path, struct err *err)
{
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, errno, "sync %s", path);
    return 0;
}

/* The reserve of the controller's own disk is not for this. */
static int check_spare(const struct ship_place *p, struct err *err)
{
    struct stat st;

    if (p->spare == 0 || stat(p->directory, &st) != 0 || st.st_dev != p->spare)
        return 0;
    return err_set(err, ERR_FULL,
                   "%s lies on the disk of data_dir, which is full: make room there, or "
                   "ship to another one",
                   p->directory);
}

/* I9: under its name it is whole, on the disk, and nobody writes over it: a link refuses a
 * name that is there. */
int directory_put(const struct ship_place *p, const char *name, const uint8_t *data,
                  size_t len, struct err *err)
{
    char beside[PATH_ROOM], path[PATH_ROOM];
    int status = check_spare(p, err);

    if (status != 0)
        return status;
    (void)snprintf(beside, sizeof beside, "%s/.%s.part", p->directory, p->writer);
    (void)snprintf(path, sizeof path, "%s/%s", p->directory, name);
    status = write_beside(beside, data, len, err);
    if (status == 0 && link(beside, path) != 0)
        status = errno == EEXIST ? err_set(err, ERR_CONFLICT, "%s is there already", path)
                                 : failed(err, errno, "put in its place", path);
    (void)unlink(beside);
    return status != 0 ? status : sync_directory(p->directory, err);
}
