#include "providers/postgres/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pg_number_next(const char **text, uint64_t *ret_number)
{
    const char *from = *text + strspn(*text, " \t");
    unsigned long long n;
    char *end;

    if (*from < '0' || *from > '9')
        return false;
    errno = 0;
    n = strtoull(from, &end, 10);
    if (errno != 0)
        return false;
    *ret_number = n;
    *text = end;
    return true;
}

/* Up to eight hexadecimal digits; moves `*text` behind them. */
static bool parse_hex32(const char **text, uint32_t *ret)
{
    uint32_t value = 0;
    unsigned digits = 0;

    for (;; digits++, (*text)++) {
        char c = **text;
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            break;
        if (digits == 8)
            return false;
        value = value << 4 | digit;
    }
    *ret = value;
    return digits > 0;
}

static bool parse_lsn_prefix(const char **text, uint64_t *ret)
{
    uint32_t high, low;

    if (!parse_hex32(text, &high) || **text != '/')
        return false;
    (*text)++;
    if (!parse_hex32(text, &low))
        return false;
    *ret = (uint64_t)high << 32 | low;
    return true;
}

bool pg_lsn_parse(const char *text, uint64_t *ret_lsn)
{
    uint64_t lsn;

    if (!parse_lsn_prefix(&text, &lsn) || *text != '\0')
        return false;
    *ret_lsn = lsn;
    return true;
}

void pg_lsn_format(uint64_t lsn, char text[PG_LSN_TEXT])
{
    snprintf(text, PG_LSN_TEXT, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32),
             (uint32_t)lsn);
}

/* The rest of the line that begins with `label`, without leading blanks. */
static bool find_line(const char *text, const char *label, char *value, size_t size)
{
    size_t label_len = strlen(label);

    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *end = strchrnul(line, '\n');

        if ((size_t)(end - line) >= label_len && memcmp(line, label, label_len) == 0) {
            const char *from = line + label_len;
            size_t len;

            while (from < end && *from == ' ')
                from++;
            len = (size_t)(end - from);
            if (len >= size)
                return false;
            memcpy(value, from, len);
            value[len] = '\0';
            return true;
        }
        line = *end == '\n' ? end + 1 : NULL;
    }
    return false;
}

static bool find_number(const char *text, const char *label, uint64_t max, uint64_t *ret)
{
    char value[64], *end;
    unsigned long long n;

    if (!find_line(text, label, value, sizeof value))
        return false;
    errno = 0;
    n = strtoull(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || value[0] == '-' || n > max)
        return false;
    *ret = n;
    return true;
}

static bool find_lsn(const char *text, const char *label, uint64_t *ret)
{
    char value[64];

    return find_line(text, label, value, sizeof value) && pg_lsn_parse(value, ret);
}

int pg_control_parse(const char *text, struct pg_control *ret, struct err *err)
{
    struct pg_control c = {0};
    uint64_t timeline, min_timeline, segment, checksums;
    char hints[16];

    if (!find_number(text, "Database system identifier:", UINT64_MAX, &c.system_id) ||
        !find_line(text, "Database cluster state:", c.state, sizeof c.state) ||
        !find_lsn(text, "Latest checkpoint location:", &c.checkpoint) ||
        !find_lsn(text, "Latest checkpoint's REDO location:", &c.redo) ||
        !find_number(text, "Latest checkpoint's TimeLineID:", UINT32_MAX, &timeline) ||
        !find_lsn(text, "Minimum recovery ending location:", &c.min_recovery) ||
        !find_number(text, "Min recovery ending loc's timeline:", UINT32_MAX,
                     &min_timeline) ||
        !find_number(text, "Bytes per WAL segment:", UINT32_MAX, &segment) ||
        !find_number(text, "Data page checksum version:", UINT32_MAX, &checksums) ||
        !find_line(text, "wal_log_hints setting:", hints, sizeof hints))
        return err_set(err, ERR_BADMSG, "pg_controldata: not understood: %.120s", text);
    if (segment < (1u << 20) || (segment & (segment - 1)) != 0)
        return err_set(err, ERR_BADMSG, "pg_controldata: segments of %" PRIu64 " bytes",
                       segment);

    c.timeline = (uint32_t)timeline;
    c.min_recovery_timeline = (uint32_t)min_timeline;
    c.segment_bytes = (uint32_t)segment;
    c.checksums = checksums != 0;
    c.wal_log_hints = strcmp(hints, "on") == 0;
    *ret = c;
    return 0;
}

bool pg_control_clean(const struct pg_control *c)
{
    return strcmp(c->state, "shut down") == 0 ||
           strcmp(c->state, "shut down in recovery") == 0;
}

bool pg_control_standby(const struct pg_control *c)
{
    return strcmp(c->state, "shut down in recovery") == 0 ||
           strcmp(c->state, "in archive recovery") == 0;
}

static bool parse_history_line(const char *line, uint32_t *timeline, uint64_t *end)
{
    unsigned long id;
    char *after;

    errno = 0;
    id = strtoul(line, &after, 10);
    if (after == line || errno != 0 || id == 0 || id > UINT32_MAX)
        return false;
    line = after + strspn(after, " \t");
    if (line == after || !parse_lsn_prefix(&line, end))
        return false;
    *timeline = (uint32_t)id;
    return true;
}

int pg_history_parse(const char *text, struct pg_history *ret, struct err *err)
{
    struct pg_history h = {0};

    while (*text != '\0') {
        const char *end = strchrnul(text, '\n');
        const char *line = text + strspn(text, " \t\r");

        text = *end == '\n' ? end + 1 : end;
        if (line >= end || *line == '#')
            continue;
        if (h.n == PG_HISTORY_MAX)
            return err_set(err, ERR_BADMSG, "timeline history: more than %d switches",
                           PG_HISTORY_MAX);
        if (!parse_history_line(line, &h.of[h.n].timeline, &h.of[h.n].end))
            return err_set(err, ERR_BADMSG, "timeline history: '%.*s' is not a switch",
                           (int)(end - line < 80 ? end - line : 80), line);
        if (h.n > 0 && h.of[h.n].timeline <= h.of[h.n - 1].timeline)
            return err_set(err, ERR_BADMSG, "timeline history: %" PRIu32 " is out of order",
                           h.of[h.n].timeline);
        h.n++;
    }
    *ret = h;
    return 0;
}

/* Step `i` of the way from timeline 1 to `current`; false behind the last. */
static bool nth_timeline(const struct pg_history *h, uint32_t current, unsigned i,
                         uint32_t *timeline, uint64_t *end)
{
    if (i > h->n)
        return false;
    *timeline = i < h->n ? h->of[i].timeline : current;
    *end = i < h->n ? h->of[i].end : UINT64_MAX;
    return true;
}

bool pg_fork_find(const struct pg_history *a, uint32_t a_timeline,
                  const struct pg_history *b, uint32_t b_timeline, uint64_t *ret_lsn,
                  uint32_t *ret_timeline)
{
    bool found = false;

    for (unsigned i = 0;; i++) {
        uint32_t at, bt;
        uint64_t a_end, b_end;

        if (!nth_timeline(a, a_timeline, i, &at, &a_end) ||
            !nth_timeline(b, b_timeline, i, &bt, &b_end) || at != bt)
            return found;
        *ret_lsn = a_end < b_end ? a_end : b_end;
        *ret_timeline = at;
        found = true;
        /* Two servers may have promoted to the same number at different positions. */
        if (a_end != b_end)
            return true;
    }
}

/* Copies line `index` (from 0); false when there is none or it is too long. */
static bool nth_line(const char *text, unsigned index, char *value, size_t size)
{
    size_t len;

    for (; index > 0; index--) {
        text = strchr(text, '\n');
        if (text == NULL)
            return false;
        text++;
    }
    len = strcspn(text, "\n");
    while (len > 0 && text[len - 1] == ' ')
        len--;
    if (len >= size)
        return false;
    memcpy(value, text, len);
    value[len] = '\0';
    return true;
}

int pg_pidfile_parse(const char *text, struct pg_pidfile *ret, struct err *err)
{
    struct pg_pidfile f = {0};
    const char *first = text;
    char number[16];
    uint64_t pid;

    /* A negative pid is a single-user server's, which is no postmaster. */
    if (!pg_number_next(&first, &pid) || pid <= 1 || pid > INT32_MAX)
        return err_set(err, ERR_BADMSG, "postmaster.pid: no process id");
    f.pid = (int)pid;
    /* The postmaster writes line by line: what is not there yet stays empty. */
    if (nth_line(text, 3, number, sizeof number))
        f.port = (uint32_t)strtoul(number, NULL, 10);
    if (!nth_line(text, 4, f.socket_dir, sizeof f.socket_dir))
        f.socket_dir[0] = '\0';
    if (!nth_line(text, 7, f.status, sizeof f.status))
        f.status[0] = '\0';
    *ret = f;
    return 0;
}

bool pg_waldump_end(const char *text, uint64_t *ret_end)
{
    uint64_t end = 0, lsn;

    for (const char *at = strstr(text, " at "); at != NULL; at = strstr(at + 1, " at ")) {
        const char *from = at + 4;

        if (parse_lsn_prefix(&from, &lsn))
            end = lsn;
    }
    if (end == 0) /* 0/0 is PostgreSQL's word for no position */
        return false;
    *ret_end = end;
    return true;
}

/* 'value' with each `special` character doubled or escaped by `escape_with`. */
static char *quote(const char *value, const char *special, char escape_with)
{
    char *quoted = malloc(2 * strlen(value) + 3), *to = quoted;

    if (quoted == NULL)
        return NULL;
    *to++ = '\'';
    for (; *value != '\0'; value++) {
        if (strchr(special, *value) != NULL) {
            *to = escape_with;
            if (escape_with == '\0')
                *to = *value;
            to++;
        }
        *to++ = *value;
    }
    *to++ = '\'';
    *to = '\0';
    return quoted;
}

char *pg_quote_conninfo(const char *value) { return quote(value, "'\\", '\\'); }

char *pg_quote_conf(const char *value) { return quote(value, "'\\", '\0'); }

void pg_segment_name(uint32_t timeline, uint64_t lsn, uint32_t segment_bytes,
                     char name[PG_SEGMENT_NAME])
{
    uint64_t segment = lsn / segment_bytes, per_id = 0x100000000u / segment_bytes;

    snprintf(name, PG_SEGMENT_NAME, "%08" PRIX32 "%08" PRIX32 "%08" PRIX32, timeline,
             (uint32_t)(segment / per_id), (uint32_t)(segment % per_id));
}

/* The first that occurs in the statement. */
static const struct {
    const char *part, *words;
} asked[] = {
    {"SELECT r, s.system_identifier", "look at the server"},
    {"SELECT application_name, state", "list the standbys"},
    {"pg_promote", "promote the server"},
    {"CHECKPOINT", "make a checkpoint"},
    {"IDENTIFY_SYSTEM", "ask which server it is"},
    {"'canary'", "write a canary record"},
    {"'rewound'", "mark the end of a rewind"},
    {"synchronous_standby_names =", "set whom commits wait for"},
    {"primary_conninfo =", "set whom the standby follows"},
    {"pg_reload_conf", "have the settings read again"},
    {"'synchronous_standby_names'", "ask whom commits wait for"},
    {"current_setting", "read a setting"},
    {"pg_terminate_backend", "end a session"},
    {"greatest(c.timeline_id", "ask for the timeline"},
    {"pg_stat_activity", "look at the sessions"},
    {"pg_stat_wal_receiver", "look at the stream"},
    {"pg_stat_replication", "look at the standbys"},
    {"pg_is_in_recovery", "ask whether the server is in recovery"},
    {"pg_current_wal_flush_lsn", "ask how far the log is written"},
    {"pg_last_wal", "ask how far the log was received"},
    {"timeline", "ask for the timeline"},
    {"system_identifier", "ask for the system identifier"},
};

const char *pg_in_words(const char *sql)
{
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        if (strstr(sql, asked[i].part) != NULL)
            return asked[i].words;
    return "ask the server";
}
