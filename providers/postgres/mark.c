#include "providers/postgres/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/postgres/files.h"

char *pg_beside(const struct pg *pg, const char *suffix)
{
    size_t len = strlen(pg->spec->data);
    char *path = NULL;

    while (len > 1 && pg->spec->data[len - 1] == '/')
        len--;
    return asprintf(&path, "%.*s%s", (int)len, pg->spec->data, suffix) >= 0 ? path : NULL;
}

#define REWINDING ".rewinding"
#define TAIL_KEPT ".tail-kept"

static int read_mark(const struct pg *pg, const char *suffix, struct pg_mark *ret,
                     struct err *err)
{
    AUTO(auto_free) char *path = pg_beside(pg, suffix);
    AUTO(auto_free) char *text = NULL;
    struct pg_mark mark = {.present = true};
    const char *at;
    int status;

    if (path == NULL)
        return err_set(err, ERR_NOMEM, "path");
    status = pg_file_read(path, 4096, &text, err);
    if (status == ERR_NOTFOUND) {
        *ret = (struct pg_mark){0};
        return 0;
    }
    if (status != 0)
        return status;
    text[strcspn(text, "\n")] = '\0';
    mark.cloning = strncmp(text, "clone ", 6) == 0;
    at = text + (mark.cloning ? 6 : 7);
    if ((!mark.cloning && strncmp(text, "rewind ", 7) != 0) ||
        !pg_number_next(&at, &mark.system_id) || !pg_number_next(&at, &mark.tail_bytes) ||
        *at != ' ' || strlen(at + 1) >= sizeof mark.tail)
        return err_set(err, ERR_CORRUPT,
                       "%s is not understood: if a newer version wrote it, install that; "
                       "if it is damaged, take a new copy (clone) or remove it by hand",
                       path);
    snprintf(mark.tail, sizeof mark.tail, "%s", at + 1);
    *ret = mark;
    return 0;
}

static int write_mark(const struct pg *pg, const char *suffix, const struct pg_mark *mark,
                      struct err *err)
{
    AUTO(auto_free) char *path = pg_beside(pg, suffix);
    char text[640];

    if (path == NULL)
        return err_set(err, ERR_NOMEM, "path");
    snprintf(text, sizeof text, "%s %" PRIu64 " %" PRIu64 " %s\n",
             mark->cloning ? "clone" : "rewind", mark->system_id, mark->tail_bytes,
             mark->tail);
    return pg_file_write(pg, path, text, err);
}

static int remove_mark(const struct pg *pg, const char *suffix, struct err *err)
{
    AUTO(auto_free) char *path = pg_beside(pg, suffix);

    if (path == NULL)
        return err_set(err, ERR_NOMEM, "path");
    return pg_file_remove(path, err);
}

int pg_mark_read(const struct pg *pg, struct pg_mark *ret, struct err *err)
{
    return read_mark(pg, REWINDING, ret, err);
}

int pg_mark_write(const struct pg *pg, const struct pg_mark *mark, struct err *err)
{
    return write_mark(pg, REWINDING, mark, err);
}

int pg_mark_remove(const struct pg *pg, struct err *err)
{
    return remove_mark(pg, REWINDING, err);
}

int pg_tail_note_read(const struct pg *pg, struct pg_mark *ret, struct err *err)
{
    return read_mark(pg, TAIL_KEPT, ret, err);
}

int pg_tail_note_write(const struct pg *pg, const struct pg_mark *mark, struct err *err)
{
    return write_mark(pg, TAIL_KEPT, mark, err);
}

int pg_tail_note_remove(const struct pg *pg, struct err *err)
{
    return remove_mark(pg, TAIL_KEPT, err);
}

static char *record_path(const struct pg *pg)
{
    char *path = NULL;

    return asprintf(&path, "%s/ringfence.sync", pg->spec->socket_dir) >= 0 ? path : NULL;
}

int pg_sync_record_write(const struct pg *pg, const struct pg_postmaster *pm,
                         uint64_t generation, const char *names, struct err *err)
{
    AUTO(auto_free) char *path = record_path(pg);
    AUTO(auto_free) char *text = NULL;

    if (path == NULL || asprintf(&text, "%d %" PRIu64 " %" PRIu64 " %s\n", pm->pid,
                                 pm->start_ms, generation, names) < 0)
        return err_set(err, ERR_NOMEM, "sync record");
    if (pg_make_dir(pg, pg->spec->socket_dir, err) != 0)
        return err->code;
    return pg_file_write(pg, path, text, err);
}

uint64_t pg_sync_record_read(const struct pg *pg, const struct pg_postmaster *pm,
                             const char *names)
{
    AUTO(auto_free) char *path = record_path(pg);
    AUTO(auto_free) char *text = NULL;
    uint64_t pid, start, generation;
    const char *at;

    if (path == NULL || pg_file_read(path, 4096, &text, NULL) != 0)
        return 0;
    at = text;
    text[strcspn(text, "\n")] = '\0';
    if (!pg_number_next(&at, &pid) || !pg_number_next(&at, &start) ||
        !pg_number_next(&at, &generation) || pid != (uint64_t)pm->pid ||
        start != pm->start_ms || *at != ' ' || strcmp(at + 1, names) != 0)
        return 0;
    return generation;
}
