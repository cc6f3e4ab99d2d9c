#include "tests/unit/consensus/faulty_vfs.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 4, PATH = 128, DURABLE_MAX = 1 << 20, DIRTY_MAX = 4096 };

/* What the disk has of one file, and what was written since. */
struct shadow {
    char path[PATH]; /* "": free */
    long size;
    unsigned char *durable;
    unsigned n_dirty;
    struct {
        long at, len;
    } dirty[DIRTY_MAX];
};

struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
    struct shadow *shadow;
};

static struct {
    enum faulty_mode mode;
    unsigned step, steps;
    bool shadows;
    struct shadow files[FILES];
} f;

static sqlite3_vfs vfs;
static sqlite3_io_methods methods;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct faulty_file *)(void *)file)->real;
}

static struct shadow *shadow_of(sqlite3_file *file)
{
    return ((struct faulty_file *)(void *)file)->shadow;
}

/* Opened again it is still the same file; what lies there at first is on the disk. */
static struct shadow *shadow_open(const char *path, sqlite3_file *real)
{
    struct shadow *s = NULL;
    sqlite3_int64 size = 0;

    for (unsigned i = 0; i < FILES && f.shadows && path != NULL; i++) {
        if (strcmp(f.files[i].path, path) == 0)
            return &f.files[i];
        if (s == NULL && f.files[i].path[0] == '\0')
            s = &f.files[i];
    }
    if (s == NULL)
        return NULL;
    snprintf(s->path, PATH, "%s", path);
    s->durable = calloc(1, DURABLE_MAX);
    (void)real->pMethods->xFileSize(real, &size);
    s->size = (long)size;
    if (s->durable == NULL || s->size > DURABLE_MAX ||
        (s->size > 0 &&
         real->pMethods->xRead(real, s->durable, (int)s->size, 0) != SQLITE_OK))
        abort();
    return s;
}

static void shadow_write(struct shadow *s, long at, long len)
{
    if (s == NULL)
        return;
    if (s->n_dirty == DIRTY_MAX || at + len > DURABLE_MAX)
        abort();
    s->dirty[s->n_dirty].at = at;
    s->dirty[s->n_dirty++].len = len;
}

static void shadow_sync(struct shadow *s, sqlite3_file *real, bool worked)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->n_dirty && worked; i++) {
        long end = s->dirty[i].at + s->dirty[i].len;

        (void)real->pMethods->xRead(real, s->durable + s->dirty[i].at, (int)s->dirty[i].len,
                                    s->dirty[i].at);
        if (end > s->size)
            s->size = end;
    }
    s->n_dirty = 0;
}

static void shadow_truncate(struct shadow *s, long size)
{
    if (s != NULL && size < s->size) {
        memset(s->durable + size, 0, (size_t)(s->size - size));
        s->size = size;
    }
}

void faulty_power_cut(void)
{
    for (unsigned i = 0; i < FILES; i++) {
        struct shadow *s = &f.files[i];
        int fd = s->path[0] != '\0' ? open(s->path, O_RDWR) : -1;

        if (fd < 0)
            continue; /* none, or deleted since */
        if (pwrite(fd, s->durable, (size_t)s->size, 0) != s->size ||
            ftruncate(fd, s->size) != 0)
            abort();
        close(fd);
    }
}

/* SQLITE_OK: go on. */
static int step(bool is_write)
{
    f.steps++;
    if (f.mode == FAULTY_NONE || f.steps < f.step)
        return SQLITE_OK;
    switch (f.mode) {
    case FAULTY_IO:
        return is_write ? SQLITE_IOERR_WRITE : SQLITE_IOERR_FSYNC;
    case FAULTY_FULL:
        return is_write ? SQLITE_FULL : SQLITE_OK;
    case FAULTY_POWER:
        faulty_power_cut();
        kill(getpid(), SIGKILL);
        break;
    case FAULTY_KILL:
        kill(getpid(), SIGKILL);
        break;
    case FAULTY_STALL:
        for (;;)
            pause();
    case FAULTY_NONE:
        break;
    }
    return SQLITE_OK;
}

static int on_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    int code = step(true);

    if (code != SQLITE_OK)
        return code;
    shadow_write(shadow_of(file), (long)at, len);
    return real_of(file)->pMethods->xWrite(real_of(file), data, len, at);
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int code = step(true);

    if (code != SQLITE_OK)
        return code;
    shadow_truncate(shadow_of(file), (long)size);
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int on_sync(sqlite3_file *file, int flags)
{
    int code = step(false);

    if (code == SQLITE_OK)
        code = real_of(file)->pMethods->xSync(real_of(file), flags);
    shadow_sync(shadow_of(file), real_of(file), code == SQLITE_OK);
    return code;
}

static int on_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int on_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
    return real_of(file)->pMethods->xRead(real_of(file), to, len, at);
}

static int on_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int on_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int on_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int on_check_lock(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int on_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int on_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int on_device(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int on_open(sqlite3_vfs *self, sqlite3_filename name, sqlite3_file *file, int flags,
                   int *out)
{
    struct faulty_file *ff = (struct faulty_file *)(void *)file;
    sqlite3_vfs *real = self->pAppData;
    int code;

    ff->real = (sqlite3_file *)(void *)(ff + 1);
    ff->base.pMethods = NULL;
    code = real->xOpen(real, name, ff->real, flags, out);
    if (code != SQLITE_OK)
        return code;
    ff->base.pMethods = &methods;
    ff->shadow = shadow_open(name, ff->real);
    return SQLITE_OK;
}

/* The name may be used again. */
static int on_delete(sqlite3_vfs *self, const char *path, int sync)
{
    sqlite3_vfs *real = self->pAppData;
    int code = real->xDelete(real, path, sync);

    for (unsigned i = 0; i < FILES && code == SQLITE_OK; i++)
        if (strcmp(f.files[i].path, path) == 0) {
            shadow_truncate(&f.files[i], 0);
            f.files[i].n_dirty = 0;
        }
    return code;
}

void faulty_register(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);

    vfs = *real;
    vfs.pNext = NULL;
    vfs.zName = FAULTY_NAME;
    vfs.pAppData = real;
    vfs.szOsFile = (int)sizeof(struct faulty_file) + real->szOsFile;
    vfs.xOpen = on_open;
    vfs.xDelete = on_delete;
    /* Version 1: no shared memory, no mapping; exclusive locking needs neither. */
    methods = (sqlite3_io_methods){.iVersion = 1,
                                   .xClose = on_close,
                                   .xRead = on_read,
                                   .xWrite = on_write,
                                   .xTruncate = on_truncate,
                                   .xSync = on_sync,
                                   .xFileSize = on_size,
                                   .xLock = on_lock,
                                   .xUnlock = on_unlock,
                                   .xCheckReservedLock = on_check_lock,
                                   .xFileControl = on_control,
                                   .xSectorSize = on_sector,
                                   .xDeviceCharacteristics = on_device};
    sqlite3_vfs_register(&vfs, 0);
}

void faulty_set(enum faulty_mode mode, unsigned step_number)
{
    f.mode = mode;
    f.step = step_number;
    f.steps = 0;
    f.shadows = f.shadows || mode != FAULTY_NONE;
}

unsigned faulty_steps(void) { return f.steps; }
