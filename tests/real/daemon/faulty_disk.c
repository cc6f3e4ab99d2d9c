/* A disk that fails on demand, for a real process: loaded before the C library
 * (LD_PRELOAD), it stands between SQLite and the kernel.
 *
 * The file that RF_FAULTY names says what fails now, if it is there, in one line:
 *
 *     sync|write|read|open  EIO|ENOSPC|torn|hang  END-OF-PATH
 *
 * "torn" writes the first half and then fails; "hang" never comes back. A shim of our own
 * and not libfiu or a FUSE file system: it fails one file among others, from one moment to
 * the next and back while the process lives, needs no package, no kernel module and no
 * second daemon whose own end would have to be told from the disk's; and the bytes of a
 * failed sync stay readable, as Linux leaves them.
 *
 * Units:   none.
 * Threads: any.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TEXT = 512 };

struct fault {
    char what[16], how[16], where[128];
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* True: such calls fail now, on the file that *ret names. By the kernel's own calls: those
 * of the C library are ours. */
static bool are_faulty(const char *what, struct fault *ret)
{
    const char *control = getenv("RF_FAULTY");
    char text[TEXT] = "";
    long file = control != NULL
                    ? syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0)
                    : -1;
    long n = file >= 0 ? syscall(SYS_read, file, text, sizeof text - 1) : -1;

    if (file >= 0)
        close((int)file);
    return n > 0 && sscanf(text, "%15s %15s %127s", ret->what, ret->how, ret->where) == 3 &&
           strcmp(ret->what, what) == 0;
}

/* True: this call on this file is to fail, and how. */
static bool is_faulty(const char *what, int fd, struct fault *ret)
{
    char link[64], path[TEXT] = "";

    if (!are_faulty(what, ret))
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && ends_with(path, ret->where);
}

static int fail(const struct fault *f)
{
    while (strcmp(f->how, "hang") == 0)
        pause();
    errno = strcmp(f->how, "ENOSPC") == 0 ? ENOSPC : EIO;
    return -1;
}

static ssize_t put(int fd, const void *data, size_t len, off_t at)
{
    struct fault f;

    if (!is_faulty("write", fd, &f))
        return syscall(SYS_pwrite64, fd, data, len, at);
    if (strcmp(f.how, "torn") == 0)
        (void)syscall(SYS_pwrite64, fd, data, len / 2, at);
    return fail(&f);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return put(fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return put(fd, data, len, at);
}

static ssize_t get(int fd, void *data, size_t len, off_t at)
{
    struct fault f;

    return is_faulty("read", fd, &f) ? fail(&f) : syscall(SYS_pread64, fd, data, len, at);
}

ssize_t pread(int fd, void *data, size_t len, off_t at) { return get(fd, data, len, at); }

ssize_t pread64(int fd, void *data, size_t len, off_t at) { return get(fd, data, len, at); }

static int open_path(const char *path, int flags, va_list rest)
{
    bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    int mode = makes ? va_arg(rest, int) : 0;
    struct fault f;

    if (are_faulty("open", &f) && ends_with(path, f.where))
        return fail(&f);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    int fd;

    va_start(rest, flags);
    fd = open_path(path, flags, rest);
    va_end(rest);
    return fd;
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    int fd;

    va_start(rest, flags);
    fd = open_path(path, flags, rest);
    va_end(rest);
    return fd;
}

int fsync(int fd)
{
    struct fault f;

    return is_faulty("sync", fd, &f) ? fail(&f) : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    struct fault f;

    return is_faulty("sync", fd, &f) ? fail(&f) : (int)syscall(SYS_fdatasync, fd);
}
