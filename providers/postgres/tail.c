#include "providers/postgres/tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "providers/postgres/files.h"

enum { WAL_PAGE = 8192, TAIL_SPARE_BYTES = 1 << 20 };

static const char PARTIAL[] = ".partial";

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* How many bytes of the segment are wanted; 0: none of it. */
static uint64_t wanted_bytes(const struct pg_tail *t, const char *name)
{
    uint32_t timeline;
    uint64_t first, end;

    if (!pg_segment_parse(name, t->segment_bytes, &timeline, &first) ||
        timeline < t->fork_timeline || timeline > t->timeline || first >= t->to ||
        first + t->segment_bytes <= t->from)
        return 0;
    end = t->to - first;
    end = (end + WAL_PAGE - 1) / WAL_PAGE * WAL_PAGE;
    return end < t->segment_bytes ? end : t->segment_bytes;
}

/* Calls for each file that belongs to the tail: segments, and all histories. */
static int each_file(const struct pg *pg, const struct pg_tail *t, const char *to,
                     int (*act)(const struct pg_tail *t, const char *from, const char *to,
                                uint64_t bytes, void *owner, struct err *err),
                     void *owner, struct err *err)
{
    AUTO(auto_free) char *wal = pg_path(pg, "pg_wal");
    AUTO(close_dir) DIR *dir = wal != NULL ? opendir(wal) : NULL;
    struct dirent *entry;

    if (dir == NULL)
        return err_errno(err, errno, "open %s", wal != NULL ? wal : "pg_wal");
    while ((entry = readdir(dir)) != NULL) {
        AUTO(auto_free) char *source = NULL;
        AUTO(auto_free) char *target = NULL;
        const char *dot = strchr(entry->d_name, '.');
        bool history = dot != NULL && strcmp(dot, ".history") == 0;
        uint64_t bytes = history ? WAL_PAGE : wanted_bytes(t, entry->d_name);

        if (bytes == 0)
            continue;
        if (asprintf(&source, "%s/%s", wal, entry->d_name) < 0 ||
            asprintf(&target, "%s/%s", to, entry->d_name) < 0)
            return err_set(err, ERR_NOMEM, "path");
        if (act(t, source, target, bytes, owner, err) != 0)
            return err->code;
    }
    return 0;
}

static int count_file(const struct pg_tail *t, const char *from, const char *to,
                      uint64_t bytes, void *owner, struct err *err)
{
    uint64_t *sum = owner;

    (void)t, (void)from, (void)to, (void)err;
    *sum += bytes;
    return 0;
}

static int fail_write(struct err *err, int errno_value, const char *path)
{
    if (errno_value == ENOSPC || errno_value == EDQUOT)
        return err_set(err, ERR_FULL, "no room for %s", path);
    return err_errno(err, errno_value, "write %s", path);
}

static int copy_file(const struct pg_tail *t, const char *from, const char *to,
                     uint64_t bytes, void *owner, struct err *err)
{
    AUTO(auto_close) int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    AUTO(auto_close)
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    char chunk[65536];
    struct stat st;

    (void)t, (void)owner;
    if (in < 0 || fstat(in, &st) != 0)
        return err_errno(err, errno, "read %s", from);
    if (out < 0)
        return fail_write(err, errno, to);
    while (bytes > 0) {
        ssize_t n = read(in, chunk, bytes < sizeof chunk ? (size_t)bytes : sizeof chunk);

        if (n < 0)
            return err_errno(err, errno, "read %s", from);
        if (n == 0)
            break;
        errno = 0;
        if (write(out, chunk, (size_t)n) != n)
            return fail_write(err, errno != 0 ? errno : ENOSPC, to);
        bytes -= (uint64_t)n;
    }
    if (ftruncate(out, st.st_size) != 0 || fsync(out) != 0)
        return fail_write(err, errno, to);
    return 0;
}

/* A flat directory of ours. */
static void remove_tree(const char *path)
{
    AUTO(close_dir) DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    (void)rmdir(path);
}

/* What a crash in the middle of an earlier attempt has left takes up room. */
static void remove_partial(const struct pg *pg, const char *prefix)
{
    AUTO(close_dir) DIR *dir = opendir(pg->spec->tail_dir);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        AUTO(auto_free) char *path = NULL;

        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || len < sizeof PARTIAL ||
            strcmp(entry->d_name + len - (sizeof PARTIAL - 1), PARTIAL) != 0)
            continue;
        if (asprintf(&path, "%s/%s", pg->spec->tail_dir, entry->d_name) >= 0)
            remove_tree(path);
    }
}

static int write_manifest(const struct pg *pg, const struct pg_tail *t, const char *dir,
                          struct err *err)
{
    char from[PG_LSN_TEXT], to[PG_LSN_TEXT], wall[WALL_TEXT_SIZE], text[1024];
    AUTO(auto_free) char *path = NULL;

    pg_lsn_format(t->from, from);
    pg_lsn_format(t->to, to);
    wall_format(wall_now_ms(), wall);
    snprintf(text, sizeof text,
             "group: %s\ninstance: %s\ndata: %s\nsystem_id: %" PRIu64 "\ntimeline: %" PRIu32
             "\nfork_timeline: %" PRIu32 "\nfrom: %s\nto: %s\nbytes: %" PRIu64
             "\nkept: %s\n",
             pg->spec->group, pg->spec->instance, pg->spec->data, t->system_id, t->timeline,
             t->fork_timeline, from, to, pg_tail_bytes(t), wall);
    if (asprintf(&path, "%s/manifest", dir) < 0)
        return err_set(err, ERR_NOMEM, "path");
    return pg_file_write(pg, path, text, err);
}

static int check_room(const struct pg *pg, const struct pg_tail *t, uint64_t max_bytes,
                      struct err *err)
{
    uint64_t needed = TAIL_SPARE_BYTES, room;

    if (max_bytes != 0 && pg_tail_bytes(t) > max_bytes)
        return err_set(err, ERR_FULL,
                       "hold: %" PRIu64 " bytes of divergent WAL, limit %" PRIu64
                       "; nothing was rewound. Raise the limit, or move %s away to take a "
                       "new copy",
                       pg_tail_bytes(t), max_bytes, pg->spec->data);
    if (each_file(pg, t, "", count_file, &needed, err) != 0 ||
        pg_free_bytes(pg->spec->tail_dir, &room, err) != 0)
        return err->code;
    if (needed > room)
        return err_set(err, ERR_FULL,
                       "hold: the divergent WAL needs %" PRIu64 " bytes in %s, %" PRIu64
                       " are free; nothing was rewound. Free space there, or move %s away "
                       "to take a new copy",
                       needed, pg->spec->tail_dir, room, pg->spec->data);
    return 0;
}

/* "GROUP-INSTANCE-", safe as a file name. */
static void make_prefix(const struct pg *pg, char *prefix, size_t size)
{
    snprintf(prefix, size, "%.80s-%.80s-", pg->spec->group, pg->spec->instance);
    for (char *c = prefix; *c != '\0'; c++)
        if (*c == '/' || *c == '.')
            *c = '_';
}

static int fill(const struct pg *pg, const struct pg_tail *t, const char *dir,
                struct err *err)
{
    if (each_file(pg, t, dir, copy_file, NULL, err) != 0 ||
        write_manifest(pg, t, dir, err) != 0)
        return err->code;
    return 0;
}

int pg_tail_keep(const struct pg *pg, const struct pg_tail *tail, uint64_t max_bytes,
                 char path[512], struct err *err)
{
    char prefix[200], partial[540], wall[WALL_TEXT_SIZE];

    if (access(pg->spec->tail_dir, F_OK) != 0 &&
        pg_make_dir(pg, pg->spec->tail_dir, err) != 0)
        return err_wrap(err, "keep the divergent WAL");
    make_prefix(pg, prefix, sizeof prefix);
    remove_partial(pg, prefix);
    if (check_room(pg, tail, max_bytes, err) != 0)
        return err->code;
    wall_format(wall_now_ms(), wall);
    if (snprintf(path, 512, "%s/%s%s", pg->spec->tail_dir, prefix, wall) >= 512)
        return err_set(err, ERR_INVAL, "tail directory's path is too long");
    snprintf(partial, sizeof partial, "%s%s", path, PARTIAL);
    if (pg_make_dir(pg, partial, err) != 0)
        return err_wrap(err, "keep the divergent WAL");
    if (fill(pg, tail, partial, err) != 0) {
        remove_tree(partial);
        return err_wrap(err,
                        "hold: the divergent WAL could not be kept, nothing was rewound");
    }
    if (rename(partial, path) != 0)
        return err_errno(err, errno, "rename %s", partial);
    return pg_sync_parent(path, err);
}
