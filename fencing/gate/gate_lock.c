#include "fencing/gate/gate_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controller/base/clock.h"

enum { LOCK_POLL_MS = 5 };

/* Take the lock on an open file, or say who has it. */
static int lock_file(int fd, const char *path, uint32_t wait_ms, struct err *err)
{
    const struct mono started = mono_now();

    for (;;) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        if (fcntl(fd, F_SETLK, &lock) == 0)
            return 0;
        if (errno != EAGAIN && errno != EACCES)
            return err_errno(err, errno, "lock %s", path);
        if (mono_since_ms(started, mono_now()) >= wait_ms) {
            (void)fcntl(fd, F_GETLK, &lock);
            return err_set(err, ERR_BUSY, "%s is held by process %d", path,
                           (int)lock.l_pid);
        }
        (void)poll(NULL, 0, LOCK_POLL_MS);
    }
}

int gate_lock(int *ret_fd, const char *run_dir, const char *name, uint32_t wait_ms,
              struct err *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", run_dir, name), fd, r;

    if (length < 0 || (size_t)length >= sizeof path)
        return err_set(err, ERR_INVAL, "%s: path too long", run_dir);
    if (mkdir(run_dir, 0755) != 0 && errno != EEXIST)
        return err_errno(err, errno, "create %s", run_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    r = lock_file(fd, path, wait_ms, err);
    if (r == 0)
        *ret_fd = fd;
    else
        auto_close(&fd);
    return r;
}
