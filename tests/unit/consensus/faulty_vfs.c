#include "tests/unit/consensus/faulty_vfs.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

/* What a write replaced, until its file is synced. */
struct undo {
    struct undo *older;
    sqlite3_file *real;
    sqlite3_int64 at, size;
    int len; /* bytes that were there */
    unsigned char old[];
};

static struct {
    enum faulty_mode mode;
    unsigned step, steps;
    struct undo *undo;
} f;

static sqlite3_vfs vfs;
static sqlite3_io_methods methods;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct faulty_file *)(void *)file)->real;
}

static void undo_everything(void)
{
    for (struct undo *u = f.undo; u != NULL; u = u->older) {
        if (u->len > 0)
            (void)u->real->pMethods->xWrite(u->real, u->old, u->len, u->at);
        (void)u->real->pMethods->xTruncate(u->real, u->size);
    }
}

static void forget(const sqlite3_file *real)
{
    struct undo **link = &f.undo;

    while (*link != NULL) {
        struct undo *u = *link;

        if (u->real != real) {
            link = &u->older;
            continue;
        }
        *link = u->older;
        free(u);
    }
}

static void remember(sqlite3_file *real, sqlite3_int64 at, int len)
{
    struct undo *u;
    sqlite3_int64 size = 0;

    if (f.mode != FAULTY_POWER)
        return;
    (void)real->pMethods->xFileSize(real, &size);
    if (at >= size)
        len = 0;
    else if (at + len > size)
        len = (int)(size - at);
    u = malloc(sizeof *u + (size_t)len);
    if (u == NULL)
        abort();
    *u = (struct undo){f.undo, real, at, size, len};
    if (len > 0)
        (void)real->pMethods->xRead(real, u->old, len, at);
    f.undo = u;
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
        undo_everything();
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
    remember(real_of(file), at, len);
    return real_of(file)->pMethods->xWrite(real_of(file), data, len, at);
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_int64 was = 0;
    int code = step(true);

    if (code != SQLITE_OK)
        return code;
    (void)real_of(file)->pMethods->xFileSize(real_of(file), &was);
    if (was > size)
        remember(real_of(file), size, (int)(was - size));
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int on_sync(sqlite3_file *file, int flags)
{
    int code = step(false);

    if (code != SQLITE_OK)
        return code;
    code = real_of(file)->pMethods->xSync(real_of(file), flags);
    if (code == SQLITE_OK)
        forget(real_of(file));
    return code;
}

static int on_close(sqlite3_file *file)
{
    forget(real_of(file));
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
    if (code == SQLITE_OK)
        ff->base.pMethods = &methods;
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
}

unsigned faulty_steps(void) { return f.steps; }
