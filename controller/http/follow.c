/* Answers that go on: the status at each change, the audit trail as it grows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/buf.h"
#include "controller/base/log.h"
#include "controller/http/api_private.h"
#include "controller/http/logview.h"

/* A page of the log may be more than the stream lets wait: it is handed on in parts, as the
 * client reads. */
enum { EACH_MS = 1000, LOG_DEFAULT = 100, PART = HTTPD_STREAM_BUF_MAX / 2 };

struct follower {
    struct follower *next;
    struct api *a;
    struct http_stream *s; /* NULL: gone, freed when it is no longer busy */
    bool of_log, endless, newest, busy;
    char group[NAME_SIZE];
    uint64_t after_seq;
    unsigned left;  /* rows still to be sent, unless endless */
    struct buf out; /* lines of the log that the stream has not taken yet */
    bool last_page; /* `out` is the end of it */
    struct mono last;
    bool again;           /* news came while it was busy */
    struct caller caller; /* without its secrets */
};

static void drop(struct follower *f)
{
    struct follower **at = &f->a->followers;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    buf_free(&f->out);
    free(f);
}

static void on_gone(void *owner)
{
    struct follower *f = owner;

    f->s = NULL;
    if (!f->busy)
        drop(f);
}

static void end(struct follower *f)
{
    if (f->s != NULL)
        http_stream_end(f->s);
    f->s = NULL;
    if (!f->busy)
        drop(f);
}

static int add_line(struct buf *to, const void *line, size_t len, struct err *err)
{
    if (buf_append(to, line, len, err) != 0 || buf_append(to, "\n", 1, err) != 0)
        return err->code;
    return 0;
}

/* A client that does not read is told off by httpd, and on_gone tells us. */
static void write_out(struct follower *f, const void *data, size_t len)
{
    struct err err = {0};

    if (f->s != NULL && http_stream_write(f->s, data, len, &err) != 0)
        log_debug("a follower of the API: %s", err.text);
}

/* ---- the log ---------------------------------------------------------------------------
 */

static void ask_log(struct follower *f);

/* Nobody is told off for what he was not given the time to read. */
static void pump(struct follower *f)
{
    size_t n = f->out.len < PART ? f->out.len : PART;

    if (n > 0 && http_stream_waiting(f->s) == 0) {
        f->busy = true; /* or a client that is gone would free it under our feet */
        write_out(f, f->out.data, n);
        f->busy = false;
        buf_consume(&f->out, n);
    }
    if (f->s == NULL)
        drop(f);
    else if (f->last_page && f->out.len == 0)
        end(f);
    else if (f->again)
        ask_log(f);
}

static void on_drained(void *owner)
{
    struct follower *f = owner;

    if (!f->busy)
        pump(f);
}

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    struct follower *f = owner;
    struct api_facts facts;
    struct err err = {0};

    f->busy = false;
    if (f->a->closing || f->s == NULL) {
        drop(f);
        return;
    }
    api_facts(f->a, &facts);
    for (size_t i = 0; i < n && status == 0; i++) {
        char *line = logview_line(&rows[i], &facts);

        f->after_seq = rows[i].seq;
        status = line != NULL ? add_line(&f->out, line, strlen(line), &err) : ERR_NOMEM;
        free(line);
    }
    if (status != 0) {
        /* I9: a trail that lacks rows must not look whole. on_gone() drops it. */
        log_warn("the log is not told to its end: %s",
                 err.code != 0 ? err.text : "the store does not answer");
        buf_free(&f->out);
        http_stream_break(f->s);
        return;
    }
    f->newest = false;
    f->left = n < f->left ? f->left - (unsigned)n : 0;
    f->last_page = !f->endless;
    f->again = f->again || n == STORE_AUDIT_PAGE_MAX;
    pump(f);
}

/* One page at a time: the next one when this one has been taken. */
static void ask_log(struct follower *f)
{
    struct audit_query q = {.group = f->group[0] != '\0' ? f->group : NULL,
                            .after_seq = f->after_seq,
                            .limit =
                                f->endless && !f->newest ? STORE_AUDIT_PAGE_MAX : f->left,
                            .newest = f->newest};
    struct err err;

    if (f->busy || f->out.len > 0 || http_stream_waiting(f->s) > 0) {
        f->again = true; /* by pump() */
        return;
    }
    f->again = false;
    f->busy = true;
    f->last = mono_now();
    if (f->a->backend->query_log(f->a->backend->owner, &q, on_rows, f, &err) != 0) {
        f->busy = false;
        end(f);
    }
}

static bool number(const struct http_request *req, const char *name, uint64_t max,
                   uint64_t *ret)
{
    const char *text = http_query(req, name);
    char *after;
    uint64_t n;

    if (text == NULL)
        return true;
    n = strtoull(text, &after, 10);
    if (text[0] < '0' || text[0] > '9' || *after != '\0' || n > max)
        return false;
    *ret = n;
    return true;
}

/* A removed group leaves its log, and a tombstone. */
static bool has_log(const struct api *a, const char *name)
{
    struct api_facts f;

    api_facts(a, &f);
    if (state_group_const(f.state, name) != NULL)
        return true;
    for (unsigned i = 0; i < f.state->tombstone_count; i++)
        if (strcmp(f.state->tombstones[i].name, name) == 0)
            return true;
    return false;
}

static struct follower *begin(struct api *a, struct http_request *req)
{
    struct follower *f = calloc(1, sizeof *f);
    struct asker who;

    if (f == NULL) {
        http_asker(req, &who);
        answer_error(&who, 503, "no-memory", "out of memory");
        return NULL;
    }
    f->a = a;
    f->next = a->followers;
    a->followers = f;
    f->s = http_stream_begin(req, 200, "application/x-ndjson", on_gone, f);
    if (f->s == NULL) {
        drop(f);
        return NULL;
    }
    api_need_tick(a);
    return f;
}

/* The query of a request for the log. */
struct log_ask {
    uint64_t after; /* UINT64_MAX: the newest are asked for */
    uint64_t limit, follow;
    char group[NAME_SIZE]; /* "" for all */
};

/* False: answered. */
static bool read_log_ask(const struct api *a, struct http_request *req, struct log_ask *ret)
{
    const char *group = http_query(req, "group");
    struct asker who;

    http_asker(req, &who);
    *ret = (struct log_ask){.limit = LOG_DEFAULT};
    if (http_query(req, "after") == NULL)
        ret->after = UINT64_MAX;
    if (!number(req, "after", INT64_MAX, &ret->after) ||
        !number(req, "limit", STORE_AUDIT_PAGE_MAX, &ret->limit) ||
        !number(req, "follow", 1, &ret->follow) || ret->limit == 0) {
        answer_error(&who, 400, "bad-request",
                     "after, limit (1 to %d) and follow (0 or 1) are numbers",
                     STORE_AUDIT_PAGE_MAX);
        return false;
    }
    if (group == NULL || group[0] == '\0')
        return true;
    if (!route_name_ok(group)) {
        answer_error(&who, 400, "bad-request", "group is no name of a group");
        return false;
    }
    (void)snprintf(ret->group, sizeof ret->group, "%s", group);
    if (has_log(a, group))
        return true;
    answer_error(&who, 404, refusal_name(REFUSE_UNKNOWN_GROUP),
                 "there is no group %s, and there was none; `ringfence log` without a name "
                 "shows everything, refused requests too",
                 group);
    return false;
}

void follow_log(struct api *a, struct http_request *req)
{
    struct log_ask ask;
    struct follower *f;

    if (!read_log_ask(a, req, &ask))
        return;
    f = begin(a, req);
    if (f == NULL)
        return;
    http_stream_on_drained(f->s, on_drained);
    f->of_log = true;
    f->endless = ask.follow == 1;
    f->newest = ask.after == UINT64_MAX;
    f->after_seq = f->newest ? 0 : ask.after;
    f->left = (unsigned)ask.limit;
    (void)snprintf(f->group, sizeof f->group, "%s", ask.group);
    ask_log(f);
}

/* ---- the status ------------------------------------------------------------------------
 */

static void on_status(void *owner, unsigned status, const void *body, size_t len)
{
    struct follower *f = owner;
    AUTO(buf_free) struct buf line = {0};
    struct err err = {0};

    (void)status; /* a stale one says so itself */
    if (add_line(&line, body, len, &err) == 0)
        write_out(f, line.data, line.len);
    f->busy = false;
    if (f->s == NULL)
        drop(f);
}

static void tell_status(struct follower *f, struct mono now)
{
    struct route r = {.kind = ROUTE_STATUS, .stale_ok = true}; /* each says if it is */
    struct api_request raw = {.caller = &f->caller};
    struct asker who = {.reply = on_status, .owner = f};

    if (f->busy) {
        f->again = true;
        return;
    }
    f->again = false;
    f->busy = true;
    f->last = now;
    api_dispatch(f->a, &r, &raw, &who, false);
}

void follow_status(struct api *a, struct http_request *req, const struct caller *c)
{
    struct follower *f = begin(a, req);

    if (f == NULL)
        return;
    f->caller.kind = c->kind;
    memcpy(f->caller.name, c->name, sizeof c->name);
    memcpy(f->caller.from, c->from, sizeof c->from);
    tell_status(f, mono_now());
}

/* ---- all of them -----------------------------------------------------------------------
 */

void followers_look(struct api *a, struct mono now, bool news)
{
    struct follower *next;

    for (struct follower *f = a->followers; f != NULL; f = next) {
        next = f->next;
        if (f->s == NULL)
            continue;
        if (f->of_log) {
            if (!f->busy)
                ask_log(f);
        } else if (news || f->again || mono_since_ms(f->last, now) >= EACH_MS) {
            tell_status(f, now);
        }
    }
}

void followers_close(struct api *a)
{
    while (a->followers != NULL) {
        struct follower *f = a->followers;

        /* The store and the links are closed: nobody calls back. */
        a->followers = f->next;
        if (f->s != NULL)
            http_stream_end(f->s);
        buf_free(&f->out);
        free(f);
    }
}
