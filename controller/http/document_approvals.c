/* `approvals` of a group's document: who has to agree to a move, at which times. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/units.h"
#include "controller/core/actor.h"
#include "controller/http/document.h"
#include "controller/http/document_private.h"
#include "controller/http/reader.h"

enum { DAYS = 7, HOUR_MIN = 60, TEXT_MAX = 40, FOUND_MAX = 24 };

static const char day_names[DAYS][4] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

static int day_of(const char *text)
{
    for (int i = 0; i < DAYS; i++)
        if (strncmp(text, day_names[i], 3) == 0)
            return i;
    return -1;
}

/* "mon-fri", "mon,wed,sat-sun"; a range may go over the end of the week. 0: it is not so.
 */
static uint8_t days_of(const char *text)
{
    uint8_t days = 0;

    for (;;) {
        int from = day_of(text), to = from;

        if (from < 0)
            return 0;
        text += 3;
        if (*text == '-') {
            to = day_of(text + 1);
            if (to < 0)
                return 0;
            text += 4;
        }
        for (int d = from;; d = (d + 1) % DAYS) {
            days = (uint8_t)(days | 1u << d);
            if (d == to)
                break;
        }
        if (*text == '\0')
            return days;
        if (*text++ != ',')
            return 0;
    }
}

/* "09:00"; 24:00 is the end of a day. NULL: it is not so. */
static const char *minute_of(const char *text, uint16_t *ret)
{
    unsigned hour, minute;

    if (strspn(text, "0123456789") != 2 || text[2] != ':' ||
        strspn(text + 3, "0123456789") != 2)
        return NULL;
    hour = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
    minute = (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0');
    if (minute >= HOUR_MIN || hour * HOUR_MIN + minute > DAY_MIN)
        return NULL;
    *ret = (uint16_t)(hour * HOUR_MIN + minute);
    return text + 5;
}

static bool hours_of(const char *text, struct approval_window *w)
{
    const char *at = minute_of(text, &w->from_min);

    if (at == NULL || *at != '-' || w->from_min == DAY_MIN)
        return false;
    at = minute_of(at + 1, &w->to_min);
    return at != NULL && *at == '\0';
}

/* "utc", "+01:00", "-05:30". No names: summer time would be another file's business. */
static bool zone_of(const char *text, struct approval_window *w)
{
    const char *end;
    uint16_t east = 0;

    w->zone = ZONE_ZERO;
    if (strcmp(text, "utc") == 0)
        return true;
    if (text[0] != '+' && text[0] != '-')
        return false;
    end = minute_of(text + 1, &east);
    w->zone = (uint16_t)(text[0] == '+' ? ZONE_ZERO + east : ZONE_ZERO - east);
    return end != NULL && *end == '\0' && east < DAY_MIN;
}

static int refuse(const char *path, const char *key, const char *found, const char *wanted,
                  struct err *err)
{
    return err_set(err, ERR_INVAL, "%s.%s: \"%.*s\": %s is expected", path, key, FOUND_MAX,
                   found, wanted);
}

/* False: it is not given, or with an error. */
static bool text_of(const json_t *v, const char *path, const char *key, char *text,
                    struct err *err)
{
    char at[READER_PATH_SIZE];

    reader_path_key(at, path, key);
    return json_object_get(v, key) != NULL &&
           reader_text(json_object_get(v, key), at, text, TEXT_MAX, err) == 0;
}

static int read_times(const json_t *v, const char *path, struct approval_window *w,
                      struct err *err)
{
    char text[TEXT_MAX];

    w->zone = ZONE_ZERO;
    w->expires_ms = APPROVAL_EXPIRES_MS;
    if (text_of(v, path, "days", text, err) && (w->days = days_of(text)) == 0)
        return refuse(path, "days", text, "\"mon-fri\" or \"sat,sun\"", err);
    if (err->code == 0 && text_of(v, path, "hours", text, err) && !hours_of(text, w))
        return refuse(path, "hours", text, "\"09:00-18:00\"", err);
    /* Hours without days are those of each day. */
    if (w->days == 0 && w->from_min != w->to_min)
        w->days = 0x7f;
    if (err->code == 0 && text_of(v, path, "timezone", text, err) && !zone_of(text, w))
        return refuse(path, "timezone", text, "\"utc\" or an offset as \"+01:00\"", err);
    if (err->code == 0 && text_of(v, path, "expires", text, err) &&
        units_parse_duration(text, &w->expires_ms, err) != 0)
        return err_wrap(err, "%s.expires", path);
    return err->code;
}

static uint8_t role_at(const json_t *list, size_t i, const char *path, struct err *err)
{
    const char *name = json_string_value(json_array_get(list, i));
    uint8_t role = name != NULL ? role_of(name) : 0;

    if (role == 0)
        (void)err_set(err, ERR_INVAL,
                      "%s[%zu]: \"%.*s\": operator, approver or admin is expected", path, i,
                      FOUND_MAX, name != NULL ? name : "something else");
    return role;
}

static int read_roles(const json_t *v, const char *path, struct approval_window *w,
                      struct err *err)
{
    const json_t *need = json_object_get(v, "need"), *inform = json_object_get(v, "inform");
    char at[READER_PATH_SIZE];
    size_t n;

    reader_path_key(at, path, "need");
    if (reader_list(need, at, 1, NEED_MAX, &n, err) != 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        w->need[i].role = role_at(need, i, at, err);
        if (w->need[i].role == 0)
            return err->code;
    }
    w->need_count = (uint8_t)n;
    if (inform == NULL)
        return 0;
    reader_path_key(at, path, "inform");
    if (reader_list(inform, at, 0, NEED_MAX, &n, err) != 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        uint8_t role = role_at(inform, i, at, err);

        if (role == 0)
            return err->code;
        w->inform = (uint8_t)(w->inform | role);
    }
    return 0;
}

int document_read_approvals(const json_t *list, struct policy *p, struct err *err)
{
    static const char *const keys[] = {"days",    "hours",  "timezone", "need",
                                       "expires", "inform", NULL};
    const char *problem;
    size_t n;

    err->code = 0;
    if (list == NULL)
        return 0;
    if (reader_list(list, "approvals", 0, WINDOW_MAX, &n, err) != 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        char path[READER_PATH_SIZE];

        reader_path_index(path, "approvals", i);
        if (reader_object(v, path, keys, err) != 0 ||
            read_times(v, path, &p->windows[i], err) != 0 ||
            read_roles(v, path, &p->windows[i], err) != 0)
            return err->code;
    }
    p->window_count = (uint8_t)n;
    problem = approval_windows_problem(p);
    return problem != NULL ? err_set(err, ERR_INVAL, "approvals: %s", problem) : 0;
}

/* ---- and back --------------------------------------------------------------------------
 */

static void write_days(uint8_t days, char text[TEXT_MAX])
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned d = 0; d < DAYS; d++) {
        unsigned last = d;

        if ((days & 1u << d) == 0)
            continue;
        while (last + 1 < DAYS && (days & 1u << (last + 1)) != 0)
            last++;
        used += (size_t)snprintf(text + used, TEXT_MAX - used, "%s%s%s%s",
                                 used > 0 ? "," : "", day_names[d], last > d ? "-" : "",
                                 last > d ? day_names[last] : "");
        d = last;
    }
}

static json_t *roles(uint8_t bits)
{
    static const uint8_t all[] = {ROLE_VIEWER, ROLE_OPERATOR, ROLE_APPROVER, ROLE_ADMIN};
    json_t *out = json_array();
    char name[ROLES_TEXT_SIZE];

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if ((bits & all[i]) != 0) {
            roles_text(all[i], name);
            (void)json_array_append_new(out, json_string(name));
        }
    return out;
}

static json_t *window(const struct approval_window *w)
{
    json_t *out = json_object(), *need = json_array();
    char text[TEXT_MAX], name[ROLES_TEXT_SIZE], expires[UNITS_TEXT_SIZE];
    int east = (int)w->zone - ZONE_ZERO;

    if (w->days != 0) {
        write_days(w->days, text);
        (void)json_object_set_new(out, "days", json_string(text));
    }
    if (w->from_min != w->to_min) {
        (void)snprintf(text, sizeof text, "%02u:%02u-%02u:%02u", w->from_min / HOUR_MIN,
                       w->from_min % HOUR_MIN, w->to_min / HOUR_MIN, w->to_min % HOUR_MIN);
        (void)json_object_set_new(out, "hours", json_string(text));
    }
    if (east != 0) {
        (void)snprintf(text, sizeof text, "%c%02d:%02d", east < 0 ? '-' : '+',
                       abs(east) / HOUR_MIN, abs(east) % HOUR_MIN);
        (void)json_object_set_new(out, "timezone", json_string(text));
    }
    for (unsigned i = 0; i < w->need_count; i++) {
        roles_text(w->need[i].role, name);
        (void)json_array_append_new(need, json_string(name));
    }
    (void)json_object_set_new(out, "need", need);
    if (w->inform != 0)
        (void)json_object_set_new(out, "inform", roles(w->inform));
    units_format_duration(w->expires_ms, expires);
    (void)json_object_set_new(out, "expires", json_string(expires));
    return out;
}

json_t *document_approvals(const struct policy *p)
{
    json_t *out = json_array();

    for (unsigned i = 0; i < p->window_count; i++)
        (void)json_array_append_new(out, window(&p->windows[i]));
    return out;
}
