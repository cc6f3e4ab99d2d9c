#include "providers/postgres/wal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/postgres/child.h"
#include "providers/postgres/files.h"

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

bool pg_segment_parse(const char *name, uint32_t segment_bytes, uint32_t *ret_timeline,
                      uint64_t *ret_lsn)
{
    char timeline[9] = "";
    uint64_t segment;

    if (strlen(name) != PG_SEGMENT_NAME - 1 ||
        strspn(name, "0123456789ABCDEF") != PG_SEGMENT_NAME - 1)
        return false;
    memcpy(timeline, name, 8);
    segment = strtoul(name + 16, NULL, 16);
    if (segment >= (UINT64_C(1) << 32) / segment_bytes)
        return false; /* no server has written it */
    *ret_timeline = (uint32_t)strtoul(timeline, NULL, 16);
    /* The high and the low half of a 64-bit number; the low one counts segments. */
    memcpy(timeline, name + 8, 8);
    *ret_lsn = (uint64_t)strtoul(timeline, NULL, 16) << 32;
    *ret_lsn += segment * segment_bytes;
    return true;
}

static void pg_segment_format(uint32_t timeline, uint64_t lsn, uint32_t segment_bytes,
                              char name[PG_SEGMENT_NAME])
{
    snprintf(name, PG_SEGMENT_NAME, "%08" PRIX32 "%08" PRIX32 "%08" PRIX32, timeline,
             (uint32_t)(lsn >> 32), (uint32_t)lsn / segment_bytes);
}

/* Without its history nothing was ever written on a timeline: a promotion copies the last
 * segment first and writes the history then. pg_rewind leaves such segments behind, too,
 * when it removes the history of what it undid. */
static bool has_history(const struct pg *pg, uint32_t timeline)
{
    char name[32];

    snprintf(name, sizeof name, "pg_wal/%08" PRIX32 ".history", timeline);
    return pg_has_file(pg, name);
}

/* What the files in pg_wal say. A server that was promoted and died before its next
 * checkpoint has segments of a timeline that its control file does not know yet. */
static int list_segments(const struct pg *pg, const struct pg_control *c,
                         uint32_t *ret_timeline, uint64_t *ret_limit, struct err *err)
{
    AUTO(auto_free) char *path = pg_path(pg, "pg_wal");
    AUTO(close_dir) DIR *dir = path != NULL ? opendir(path) : NULL;
    uint32_t newest = c->timeline, timeline;
    struct dirent *entry;
    uint64_t lsn;

    if (dir == NULL)
        return err_errno(err, errno, "open %s", path != NULL ? path : "pg_wal");
    if (c->min_recovery_timeline > newest)
        newest = c->min_recovery_timeline;
    *ret_limit = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (!pg_segment_parse(entry->d_name, c->segment_bytes, &timeline, &lsn) ||
            timeline < newest || (timeline > newest && !has_history(pg, timeline)))
            continue;
        if (timeline > newest || lsn + c->segment_bytes > *ret_limit)
            *ret_limit = lsn + c->segment_bytes;
        newest = timeline;
    }
    *ret_timeline = newest;
    return 0;
}

int pg_history_read(const struct pg *pg, uint32_t timeline, struct pg_history *ret,
                    struct err *err)
{
    AUTO(auto_free) char *path = NULL;
    AUTO(auto_free) char *text = NULL;

    if (timeline == 1) {
        *ret = (struct pg_history){0};
        return 0;
    }
    if (asprintf(&path, "%s/pg_wal/%08" PRIX32 ".history", pg->spec->data, timeline) < 0)
        return err_set(err, ERR_NOMEM, "path");
    if (pg_file_read(path, 1 << 16, &text, err) != 0)
        return err->code;
    return pg_history_parse(text, ret, err);
}

/* Reads records from `from` on; the complaint at the end tells where the next would be.
 * `limit` is where the last file ends: pg_waldump would wait five seconds for another.
 * The files are named: else pg_waldump takes the size of segments from the header of
 * whichever file the directory has first, and one that was made ahead of need has none. */
static int read_to_end(const struct pg *pg, uint32_t segment_bytes, uint32_t timeline,
                       uint64_t from, uint64_t limit, struct mono deadline,
                       uint64_t *ret_end, struct err *err)
{
    AUTO(auto_free) char *wal = pg_path(pg, "pg_wal");
    AUTO(auto_free) char *output = NULL;
    char start[PG_LSN_TEXT], stop[PG_LSN_TEXT], number[16], words[200];
    char first[PG_SEGMENT_NAME], last[PG_SEGMENT_NAME];
    struct pg_tool tool = {
        .program = "pg_waldump",
        .args = {"--quiet", "--path", wal, "--timeline", number, "--start", start, "--end",
                 stop, first, last},
        .unmarked = true,
    };
    int exit_status = 0;
    uint64_t end;

    if (wal == NULL)
        return err_set(err, ERR_NOMEM, "path");
    if (from >= limit) {
        *ret_end = from;
        return 0;
    }
    pg_lsn_format(from, start);
    pg_lsn_format(limit, stop);
    pg_segment_format(timeline, from, segment_bytes, first);
    pg_segment_format(timeline, limit - 1, segment_bytes, last);
    snprintf(number, sizeof number, "%" PRIu32, timeline);
    if (pg_run(pg, &tool, deadline, &output, &exit_status, err) != 0)
        return err->code;
    /* "error in WAL record at X: invalid record length at Y: ...": the last is the end. */
    if (strstr(output, "error in WAL record at") != NULL && pg_waldump_end(output, &end)) {
        *ret_end = end > from ? end : from;
        return 0;
    }
    /* Full to the last byte, as after a switch of segments. */
    if (exit_status == 0) {
        *ret_end = limit;
        return 0;
    }
    /* Nothing at all behind `from`: the log ends there. */
    if (strstr(output, "could not find a valid record after") != NULL) {
        *ret_end = from;
        return 0;
    }
    pg_last_words(output, words, sizeof words);
    return err_set(err, ERR_CORRUPT, "end of the log on timeline %" PRIu32 " from %s: %s",
                   timeline, start, words);
}

bool pg_history_borrow(const struct pg_upstream *up, uint32_t timeline,
                       struct pg_history *ret)
{
    if (up == NULL || up->timeline != timeline)
        return false;
    *ret = up->history;
    return true;
}

int pg_wal_end(const struct pg *pg, const struct pg_control *c,
               const struct pg_upstream *up, struct mono deadline, struct pg_wal_end *ret,
               struct err *err)
{
    struct pg_wal_end end = {0};
    uint64_t from = c->redo, limit = 0;

    int status = list_segments(pg, c, &end.timeline, &limit, err);

    if (status == 0)
        status = pg_history_read(pg, end.timeline, &end.history, err);
    if (status == ERR_NOTFOUND)
        end.unrecorded = !pg_history_borrow(up, end.timeline, &end.history);
    else if (status != 0)
        return status;
    if (strcmp(c->state, "shut down") == 0 && end.timeline == c->timeline) {
        /* The shutdown checkpoint is the last record there is. */
        end.lsn = c->checkpoint + PG_CHECKPOINT_RECORD;
        *ret = end;
        return 0;
    }
    if (end.timeline != c->timeline && end.history.n > 0 &&
        end.history.of[end.history.n - 1].end > from)
        from = end.history.of[end.history.n - 1].end;
    if (read_to_end(pg, c->segment_bytes, end.timeline, from, limit, deadline, &end.lsn,
                    err) != 0)
        return err->code;
    *ret = end;
    return 0;
}
