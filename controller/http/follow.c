/* Answers that go on: the status at each change, the audit trail as it grows; and for no
 * longer than whoever opened them may look. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/buf.h"
#include "controller/base/log.h"
#include "controller/base/problem.h"
#include "controller/http/api_private.h"
#include "controller/http/authorize.h"
#include "controller/http/logview.h"

/* A page of the log may be more than the stream lets wait: it is handed on in parts, as the
 * client reads. */
enum { SLOW_MS = 30000, ALIVE_MS = 10000 };
enum { EACH_MS = 1000, LOG_DEFAULT = 100, PART = HTTPD_STREAM_BUF_MAX / 2 };

static const char NDJSON[] = "application/x-ndjson";

struct follower {
    struct follower *next;
    struct api *a;
    struct http_stream *s; /* NULL: gone, freed when it is no longer busy */
    bool of_log, endless, newest, busy;
    bool events, from_now; /* of the log, as Server-Sent Events; what comes from now on */
    char group[NAME_SIZE];
    uint64_t after_seq;
    unsigned left;  /* rows still to be sent, unless endless */
    struct buf out; /* lines of the log that the stream has not taken yet */
    bool last_page; /* `out` is the end of it */
    struct mono last;
    struct mono moved;    /* it has taken what was written, or was written to */
    bool again;           /* news came while it was busy */
    struct caller caller; /* without its secrets: what still_may() asks about */
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

    f->moved = mono_now();
    if (!f->busy)
        pump(f);
}

/* "id: SEQ", "data: LINE" and an empty line are one event; who comes back says the id of
 * the last one that he has. */
static int add_row(struct follower *f, const struct audit_row *row,
                   const struct api_facts *facts, struct err *err)
{
    AUTO(auto_free) char *line = NULL;
    char id[40];
    int n;

    f->after_seq = row->seq;
    if (f->from_now)
        return 0;
    line = logview_line(row, facts);
    if (line == NULL)
        return ERR_NOMEM;
    if (!f->events)
        return add_line(&f->out, line, strlen(line), err);
    n = snprintf(id, sizeof id, "id: %" PRIu64 "\ndata: ", row->seq);
    if (buf_append(&f->out, id, (size_t)n, err) != 0 ||
        add_line(&f->out, line, strlen(line), err) != 0)
        return err->code;
    return buf_append(&f->out, "\n", 1, err);
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
    for (size_t i = 0; i < n && status == 0; i++)
        status = add_row(f, &rows[i], &facts, &err);
    if (status != 0) {
        /* I9: a trail that lacks rows must not look whole. on_gone() drops it. */
        log_warn("the log is not told to its end: %s",
                 err.code != 0 ? err.text : "the store does not answer");
        buf_free(&f->out);
        http_stream_break(f->s);
        return;
    }
    f->newest = f->from_now = false;
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

static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    char *after;
    uint64_t n = strtoull(text, &after, 10);

    if (text[0] < '0' || text[0] > '9' || *after != '\0' || n > max)
        return false;
    *ret = n;
    return true;
}

static bool number(const struct http_request *req, const char *name, uint64_t max,
                   uint64_t *ret)
{
    const char *text = http_query(req, name);

    return text == NULL || parse_number(text, max, ret);
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

static struct follower *begin(struct api *a, struct http_request *req,
                              const struct caller *known, const char *type)
{
    struct follower *f = calloc(1, sizeof *f);
    struct asker who;

    if (f == NULL) {
        http_asker(req, &who);
        answer_error(&who, 503, "no-memory", "out of memory");
        return NULL;
    }
    f->a = a;
    f->caller = *known;
    f->next = a->followers;
    a->followers = f;
    f->moved = mono_now();
    f->s = http_stream_begin(req, 200, type, on_gone, f);
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

/* What a browser says when it comes back. False: answered. */
static bool read_last_event(struct http_request *req, struct log_ask *ask)
{
    const char *text = http_header(req, "Last-Event-ID");
    struct asker who;

    if (text == NULL || text[0] == '\0' || parse_number(text, INT64_MAX, &ask->after))
        return true;
    http_asker(req, &who);
    answer_error(&who, 400, "bad-request",
                 "Last-Event-ID: the id of an event is expected, a number");
    return false;
}

/* The answer's head is on its way before anything happens. */
static void begin_events(struct follower *f)
{
    static const char hello[] = ": the audit trail\nretry: 1000\n\n";

    f->events = f->endless = true;
    if (f->newest) {
        f->from_now = true;
        f->left = 1;
    }
    f->busy = true; /* or a client that is gone would free it under our feet */
    write_out(f, hello, sizeof hello - 1);
    f->busy = false;
}

void follow_log(struct api *a, struct http_request *req, const struct caller *known,
                bool events)
{
    struct log_ask ask;
    struct follower *f;

    if (!read_log_ask(a, req, &ask) || (events && !read_last_event(req, &ask)))
        return;
    f = begin(a, req, known, events ? "text/event-stream" : NDJSON);
    if (f == NULL)
        return;
    http_stream_on_drained(f->s, on_drained);
    f->of_log = true;
    f->endless = ask.follow == 1;
    f->newest = ask.after == UINT64_MAX;
    f->after_seq = f->newest ? 0 : ask.after;
    f->left = (unsigned)ask.limit;
    (void)snprintf(f->group, sizeof f->group, "%s", ask.group);
    if (events)
        begin_events(f);
    if (f->s != NULL)
        ask_log(f);
    else
        drop(f);
}

/* ---- the status ------------------------------------------------------------------------
 */

static void on_status(void *owner, unsigned status, const void *body, size_t len)
{
    struct follower *f = owner;
    AUTO(buf_free) struct buf line = {0};
    struct err err = {0};

    /* A stale one says so itself. */
    if (add_line(&line, body, len, &err) == 0)
        write_out(f, line.data, line.len);
    f->busy = false;
    if (f->s == NULL)
        drop(f);
    else if (status == 401 || status == 403)
        end(f); /* the leader knows already what this controller will hear of */
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

void follow_status(struct api *a, struct http_request *req, const struct caller *known)
{
    struct follower *f = begin(a, req, known, NDJSON);

    if (f != NULL)
        tell_status(f, mono_now());
}

/* ---- whoever opened it -----------------------------------------------------------------
 */

/* By this controller's own state, which is not behind the leader's by more than what is on
 * its way; cut off from the others it knows nothing new, and tells nothing new. */
static bool still_may(const struct follower *f, const struct api_facts *facts,
                      struct authorize_verdict *ret)
{
    const struct route r = {.kind = !f->of_log  ? ROUTE_STATUS
                                    : f->events ? ROUTE_EVENTS
                                                : ROUTE_LOG};
    const struct authorize_ask ask = {.caller = &f->caller,
                                      .route = &r,
                                      .state = facts->state,
                                      .group = "",
                                      .wall_ms = wall_now_ms(),
                                      .jwt = facts->jwt};

    authorize(&ask, ret);
    return ret->status == 0;
}

/* Rows of the log are not followed by a sentence, and what is not its end must not look
 * like it; nor is anything left for a client that has stopped reading. */
static void turn_away(struct follower *f, const struct authorize_verdict *v)
{
    static const char event[] = "event: problem\ndata: ";
    char text[sizeof event + PROBLEM_SIZE + 2];
    size_t at = f->events ? sizeof event - 1 : 0;

    log_info("API: a stream of %s from %s ends: %s", f->caller.name, f->caller.from,
             v->text);
    if (f->s != NULL &&
        ((f->of_log && !f->events) || f->out.len > 0 || http_stream_waiting(f->s) > 0)) {
        buf_free(&f->out);
        http_stream_break(f->s);
        return;
    }
    memcpy(text, event, at);
    at += problem_write(text + at, v->status, v->code, v->text);
    text[at] = text[at + 1] = '\n';
    write_out(f, text, at + (f->events ? 2 : 1));
    end(f);
}

/* ---- all of them -----------------------------------------------------------------------
 */

/* Who takes nothing for so long is let go: what waits for it is memory. A stream of events
 * says now and then that it is alive, to whatever stands between. */
static void look_at_log(struct follower *f, struct mono now)
{
    static const char alive[] = ": alive\n\n";
    uint64_t still_ms = mono_since_ms(f->moved, now);

    if (f->busy)
        return;
    if (http_stream_waiting(f->s) > 0) {
        if (still_ms > SLOW_MS)
            http_stream_break(f->s);
        return;
    }
    if (f->events && f->out.len == 0 && still_ms >= ALIVE_MS) {
        f->moved = now;
        f->busy = true;
        write_out(f, alive, sizeof alive - 1);
        f->busy = false;
    }
    if (f->s == NULL)
        drop(f);
    else
        ask_log(f);
}

void followers_look(struct api *a, struct mono now, bool news)
{
    struct authorize_verdict v;
    struct follower *next;
    struct api_facts facts;

    if (a->followers != NULL)
        api_facts(a, &facts);
    for (struct follower *f = a->followers; f != NULL; f = next) {
        next = f->next;
        if (f->s == NULL)
            continue;
        if (!still_may(f, &facts, &v)) {
            turn_away(f, &v);
        } else if (f->of_log) {
            look_at_log(f, now);
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
