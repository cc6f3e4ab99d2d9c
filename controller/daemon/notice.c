#include "controller/daemon/notice.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "controller/base/clock.h"
#include "controller/core/actor.h"
#include "controller/core/entry.h"

enum { LINE_MAX_BYTES = 76 };

static const char refused[] = "refused (", glass[] = "BREAK GLASS: ";

enum notice_kind notice_of(const struct state *s, const struct audit_row *row,
                           uint8_t roles)
{
    const struct proposal *p;

    if (strncmp(row->text, refused, sizeof refused - 1) == 0)
        return NOTICE_NONE;
    if (strcmp(row->kind, entry_kind_name(ENTRY_FALSE_PROOF)) == 0)
        return NOTICE_FALSE_PROOF;
    if (strcmp(row->kind, entry_kind_name(ENTRY_PROPOSE)) != 0)
        return NOTICE_NONE;
    p = state_proposal(s, row->index);
    if (p != NULL ? p->break_glass : strncmp(row->text, glass, sizeof glass - 1) == 0)
        return NOTICE_BREAK_GLASS;
    return p != NULL && p->inform != 0 && (roles == 0 || (p->inform & roles) != 0)
               ? NOTICE_INFORM
               : NOTICE_NONE;
}

/* What the web hook, the mail's subject and its last words make of it. */
static const struct {
    const char *event, *subject, *advice;
} says[] = {
    [NOTICE_NONE] = {"", "", ""},
    [NOTICE_INFORM] = {"inform", "for your information",
                       "The group's file says that you are told of it; nothing is expected "
                       "of you."},
    [NOTICE_BREAK_GLASS] = {"break-glass", "BREAK GLASS",
                            "One admin has done without the approvals that the group's "
                            "file asks for."},
    [NOTICE_FALSE_PROOF] = {"false-proof", "ALARM, a proof did not hold",
                            "Both sides may have taken writes since that proof. Stop "
                            "whatever serves on the old side, compare the data, and mend "
                            "what gave the proof; the alarm stands until `ringfence "
                            "acknowledge`."},
};

static json_t *role_names(uint8_t roles)
{
    json_t *list = json_array();

#define X(name, bit, text)                                                                 \
    if ((roles & (name)) != 0)                                                             \
        (void)json_array_append_new(list, json_string(text));
    ROLE_MAP(X)
#undef X
    return list;
}

static json_t *document(const struct notice *n)
{
    json_t *entry = json_loads(n->entry, 0, NULL);
    char id[NAME_SIZE + 24];

    (void)snprintf(id, sizeof id, "%s/%" PRIu64, n->cluster, n->row->index);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "event", says[n->kind].event, "id",
                     id, "cluster", n->cluster, "group", n->row->group, "roles",
                     role_names(n->roles), "entry", entry);
}

int notice_json(const struct notice *n, struct buf *out, struct err *err)
{
    json_t *v = document(n);
    AUTO(auto_free) char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;

    json_decref(v);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "a notice: no memory");
    return buf_append(out, text, strlen(text), err);
}

/* ---- mail -----------------------------------------------------------------------------
 */

PRINTF_LIKE(3, 4)
static int add(struct buf *out, struct err *err, const char *fmt, ...)
{
    char line[SETTINGS_MAIL_SIZE * 2];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    return buf_append(out, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1, err);
}

/* Quoted-printable (RFC 2045): whatever a reason has in it is seven bits wide, and no line
 * is longer than SMTP takes. */
static int add_quoted(struct buf *out, const char *text, struct err *err)
{
    char part[8];
    int column = 0;

    for (const char *c = text; *c != '\0'; c++) {
        int n;

        if (*c == '\n')
            n = snprintf(part, sizeof part, "\r\n");
        else if (*c == '=' || *c < ' ' || *c > '~' || (*c == ' ' && c[1] == '\n'))
            n = snprintf(part, sizeof part, "=%02X", (unsigned char)*c);
        else
            n = snprintf(part, sizeof part, "%c", *c);
        if (*c != '\n' && column + n >= LINE_MAX_BYTES) {
            if (buf_append(out, "=\r\n", 3, err) != 0)
                return err->code;
            column = 0;
        }
        column = *c == '\n' ? 0 : column + n;
        if (buf_append(out, part, (size_t)n, err) != 0)
            return err->code;
    }
    return buf_append(out, "\r\n", 2, err);
}

static int add_date(struct buf *out, uint64_t wall_ms, struct err *err)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t at = (time_t)(wall_ms / 1000);
    struct tm t = {0};

    (void)gmtime_r(&at, &t);
    return add(out, err, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[t.tm_wday],
               t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min,
               t.tm_sec);
}

/* Names of clusters and groups are [a-z0-9-], addresses were checked: no line of the head
 * can be one more than it is. */
static int add_head(const struct notice *n, const struct settings_notify *to,
                    uint64_t wall_ms, struct buf *out, struct err *err)
{
    if (add(out, err, "From: %s\r\n", to->from) != 0)
        return err->code;
    for (unsigned i = 0; i < to->to_count; i++)
        if (add(out, err, "%s%s%s", i == 0 ? "To: " : " ", to->to[i],
                i + 1 < to->to_count ? ",\r\n" : "\r\n") != 0)
            return err->code;
    if (add(out, err, "Subject: [ringfence %s] %s: group %s\r\n", n->cluster,
            says[n->kind].subject, n->row->group) != 0 ||
        add_date(out, wall_ms, err) != 0)
        return err->code;
    return add(out, err,
               "Message-ID: <%s.%" PRIu64 "@ringfence>\r\n"
               "Auto-Submitted: auto-generated\r\n"
               "MIME-Version: 1.0\r\n"
               "Content-Type: text/plain; charset=utf-8\r\n"
               "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
               n->cluster, n->row->index);
}

static const char *member(const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));

    return text != NULL ? text : "";
}

int notice_mail(const struct notice *n, const struct settings_notify *to, uint64_t wall_ms,
                struct buf *out, struct err *err)
{
    json_t *entry = json_loads(n->entry, 0, NULL);
    char body[AUDIT_TEXT_SIZE + 1024];

    (void)snprintf(body, sizeof body,
                   "%s\n\n"
                   "cluster %s, group %s\n"
                   "by      %s\n"
                   "at      %s\n"
                   "entry   %" PRIu64 " of the log\n\n"
                   "%s\n"
                   "`ringfence status` and `ringfence log %s` have the rest.\n",
                   member(entry, "text"), n->cluster, n->row->group, member(entry, "actor"),
                   member(entry, "time"), n->row->index, says[n->kind].advice,
                   n->row->group);
    json_decref(entry);
    if (add_head(n, to, wall_ms, out, err) != 0)
        return err->code;
    return add_quoted(out, body, err);
}
