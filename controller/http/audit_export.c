/* The audit trail as a signed bundle (controller/audit/bundle.h), and the keys that it is
 * checked with. The trail is read twice, a page at a time: the first time to see which
 * entries are meant, since the header names them, the second time to tell them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/log.h"
#include "controller/base/problem.h"
#include "controller/http/audit_private.h"

enum { PART = HTTPD_STREAM_BUF_MAX / 2, EXPORTS_MAX = 4 };

/* An entry is meant from here on: by the log's index, or by wall time. */
struct bound {
    bool given, is_time;
    uint64_t at;
};

struct audit_export {
    struct audit_export *next;
    struct api *a;
    struct http_request *req; /* until the stream begins */
    struct http_stream *s;    /* NULL: not begun, or gone */
    bool busy;                /* somebody owes us a call, or has us in hand */
    struct bound from, to;
    struct bundle_header header;
    uint64_t cursor; /* the last entry that was read */
    struct bundle_writer told;
    struct gather *gather;
    bool last_page, done_reading;
};

static void ask_page(struct audit_export *x);

static void drop(struct audit_export *x)
{
    struct audit_export **at = &x->a->exports;

    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    bundle_writer_close(&x->told);
    free(x);
}

static void refuse(struct audit_export *x, unsigned status, const char *code,
                   const char *text)
{
    char body[PROBLEM_SIZE];

    http_reply(TAKE(x->req), status, PROBLEM_TYPE, body,
               problem_write(body, status, code, text));
    drop(x);
}

/* I9: a bundle that lacks entries must not look whole. */
static void break_off(struct audit_export *x, const char *why)
{
    log_warn("an export of the audit trail is broken off: %s", why);
    if (x->s != NULL)
        http_stream_break(x->s); /* on_gone() drops it, unless it is busy */
    else
        drop(x);
}

static void on_gone(void *owner)
{
    struct audit_export *x = owner;

    x->s = NULL;
    if (!x->busy)
        drop(x);
}

/* ---- telling --------------------------------------------------------------------------
 */

static int tell_end(struct audit_export *x, const struct gather *g, struct err *err)
{
    const struct audit_key *key = x->a->backend->audit_key(x->a->backend->owner);

    if (key == NULL)
        return err_set(err, ERR_NOTFOUND, "this controller has no audit key any more");
    return bundle_writer_end(&x->told, g->lines, g->count, x->header.exporter, key, err);
}

/* Nobody is told off for what he was not given the time to read. */
static void pump(struct audit_export *x)
{
    size_t n = x->told.out.len < PART ? x->told.out.len : PART;
    struct err err = {0};

    if (x->s != NULL && n > 0 && http_stream_waiting(x->s) == 0) {
        x->busy = true; /* or a client that is gone would free it under our feet */
        if (http_stream_write(x->s, x->told.out.data, n, &err) != 0)
            log_debug("an export of the audit trail: %s", err.text);
        x->busy = false;
        buf_consume(&x->told.out, n);
    }
    if (x->s == NULL) {
        drop(x);
    } else if (x->last_page && x->told.out.len == 0) {
        http_stream_end(TAKE(x->s));
        drop(x);
    } else if (x->told.out.len == 0 && http_stream_waiting(x->s) == 0) {
        ask_page(x);
    }
}

static void on_drained(void *owner)
{
    struct audit_export *x = owner;

    if (!x->busy)
        pump(x);
}

static void on_heads(void *owner, const struct gather *g)
{
    struct audit_export *x = owner;
    struct err err = {0};

    x->gather = NULL;
    x->busy = false;
    x->last_page = true;
    if (x->s == NULL)
        drop(x);
    else if (tell_end(x, g, &err) != 0)
        break_off(x, err.text);
    else
        pump(x);
}

static void ask_heads(struct audit_export *x)
{
    struct gather *g = gather_begin(x->a, x->header.to_seq, on_heads, x);

    if (g == NULL) {
        break_off(x, "out of memory");
        return;
    }
    x->busy = true;
    x->gather = g;
    gather_wait(g);
}

static void tell_page(struct audit_export *x, const struct audit_row *rows, size_t n)
{
    struct bundle_line line = {.kind = BUNDLE_ROW};
    struct err err = {0};

    for (size_t i = 0; i < n && rows[i].seq <= x->header.to_seq; i++) {
        line.row = rows[i];
        if (rows[i].seq != x->cursor + 1) {
            break_off(x, "entries were removed meanwhile");
            return;
        }
        if (bundle_writer_line(&x->told, &line, &err) != 0) {
            break_off(x, err.text);
            return;
        }
        x->cursor = rows[i].seq;
    }
    if (n == 0) {
        break_off(x, "the trail ends before it should");
        return;
    }
    pump(x);
}

/* ---- which entries --------------------------------------------------------------------
 */

static bool is_from(const struct bound *b, const struct audit_row *r)
{
    return !b->given || (b->is_time ? r->wall_ms : r->index) >= b->at;
}

static bool is_until(const struct bound *b, const struct audit_row *r)
{
    return !b->given || (b->is_time ? r->wall_ms : r->index) <= b->at;
}

static void mark_page(struct audit_export *x, const struct audit_row *rows, size_t n)
{
    struct bundle_header *h = &x->header;

    for (size_t i = 0; i < n; i++) {
        if (h->from_seq == 0 && is_from(&x->from, &rows[i])) {
            h->from_seq = rows[i].seq;
            memcpy(h->base, rows[i].prev_hash, AUDIT_HASH_SIZE);
        }
        if (is_until(&x->to, &rows[i]))
            h->to_seq = rows[i].seq;
    }
    if (n > 0)
        x->cursor = rows[n - 1].seq;
}

static void begin_telling(struct audit_export *x)
{
    struct bundle_line line = {.kind = BUNDLE_HEADER, .header = x->header};
    struct err err = {0};

    if (x->header.from_seq == 0 || x->header.to_seq < x->header.from_seq) {
        refuse(x, 404, "no-entries", "there is no entry of the audit trail in that range");
        return;
    }
    x->s = http_stream_begin(TAKE(x->req), 200, "application/x-ndjson", on_gone, x);
    if (x->s == NULL) {
        drop(x);
        return;
    }
    http_stream_on_drained(x->s, on_drained);
    x->done_reading = true;
    x->cursor = x->header.from_seq - 1;
    if (bundle_writer_line(&x->told, &line, &err) != 0)
        break_off(x, err.text);
    else
        ask_page(x);
}

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    struct audit_export *x = owner;

    x->busy = false;
    if (x->req == NULL && x->s == NULL) {
        drop(x);
    } else if (status != 0 && x->req != NULL) {
        refuse(x, 503, "no-answer", "the store does not answer");
    } else if (status != 0) {
        break_off(x, "the store does not answer");
    } else if (x->done_reading) {
        tell_page(x, rows, n);
    } else {
        mark_page(x, rows, n);
        if (n < STORE_AUDIT_PAGE_MAX)
            begin_telling(x);
        else
            ask_page(x);
    }
}

static void ask_page(struct audit_export *x)
{
    struct audit_query q = {.after_seq = x->cursor, .limit = STORE_AUDIT_PAGE_MAX};
    struct err err = {0};

    if (x->done_reading && x->cursor == x->header.to_seq) {
        ask_heads(x);
        return;
    }
    x->busy = true;
    if (x->a->backend->query_log(x->a->backend->owner, &q, on_rows, x, &err) == 0)
        return;
    x->busy = false;
    if (x->req != NULL)
        refuse(x, 503, "no-answer", "the store does not answer");
    else
        break_off(x, err.text);
}

/* ---- requests -------------------------------------------------------------------------
 */

/* ?from_index=N, or ?from_ms=N. False: neither of both is a number. */
static bool read_bound(const struct http_request *req, const char *which, struct bound *ret)
{
    static const char *const suffix[] = {"index", "ms"};

    for (unsigned i = 0; i < 2; i++) {
        char name[16], *after;
        const char *text;

        (void)snprintf(name, sizeof name, "%s_%s", which, suffix[i]);
        text = http_query(req, name);
        if (text == NULL)
            continue;
        *ret = (struct bound){true, i == 1, strtoull(text, &after, 10)};
        if (text[0] < '0' || text[0] > '9' || *after != '\0' || ret->at > INT64_MAX)
            return false;
    }
    return true;
}

static void say_bound(const struct bound *b, char text[BUNDLE_ASKED_SIZE])
{
    text[0] = '\0';
    if (b->given && b->is_time)
        wall_format(b->at, text);
    else if (b->given)
        (void)snprintf(text, BUNDLE_ASKED_SIZE, "%" PRIu64, b->at);
}

void audit_header(const struct api *a, struct bundle_header *ret)
{
    struct api_facts f;

    api_facts(a, &f);
    *ret = (struct bundle_header){.wall_ms = wall_now_ms()};
    (void)snprintf(ret->cluster, AUDIT_NAME_SIZE, "%s", f.cluster);
    (void)snprintf(ret->exporter, AUDIT_NAME_SIZE, "%s", f.name);
    for (unsigned i = 0; i < f.controller_count && i < BUNDLE_CONTROLLERS_MAX; i++) {
        struct bundle_controller *c = &ret->controllers[ret->controller_count++];

        c->id = f.controllers[i].id;
        (void)snprintf(c->name, sizeof c->name, "%s", f.controllers[i].name);
    }
}

static struct audit_export *begin(struct api *a, struct http_request *req)
{
    struct audit_export *x = calloc(1, sizeof *x);
    unsigned others = 0;
    struct err err;

    if (x == NULL || bundle_writer_open(&x->told, &err) != 0) {
        free(x);
        http_reply(req, 503, "application/json", "{}", 2);
        return NULL;
    }
    for (const struct audit_export *o = a->exports; o != NULL; o = o->next)
        others++;
    x->a = a;
    x->req = req;
    x->next = a->exports;
    a->exports = x;
    if (others >= EXPORTS_MAX) {
        refuse(x, 503, "busy", "other exports are under way");
        return NULL;
    }
    audit_header(a, &x->header);
    return x;
}

void audit_export(struct api *a, struct http_request *req)
{
    struct audit_export *x = begin(a, req);

    if (x == NULL)
        return;
    if (!read_bound(req, "from", &x->from) || !read_bound(req, "to", &x->to)) {
        refuse(x, 400, "bad-request",
               "from_index, from_ms, to_index and to_ms are numbers");
        return;
    }
    if (a->backend->audit_key(a->backend->owner) == NULL) {
        refuse(x, 409, "no-audit-key",
               "this controller has no key to sign an export with: `audit.key` of "
               "ringfenced.yaml names it, and `ringfence doctor` says what is wrong with "
               "it");
        return;
    }
    say_bound(&x->from, x->header.from);
    say_bound(&x->to, x->header.to);
    ask_page(x);
}

/* ---- keys -----------------------------------------------------------------------------
 */

static void on_keys(void *owner, const struct gather *g)
{
    struct audit_export *x = owner;
    json_t *keys = json_array(), *absent = json_array();
    char *text;

    x->gather = NULL;
    for (unsigned i = 0; i < g->count; i++) {
        const struct bundle_head *h = &g->lines[i].head;
        char key[AUDIT_PUBLIC_TEXT_SIZE];

        if (g->lines[i].kind == BUNDLE_ABSENT) {
            (void)json_array_append_new(absent, json_pack("{s:s, s:s}", "controller",
                                                          g->lines[i].absent.controller,
                                                          "why", g->lines[i].absent.why));
            continue;
        }
        audit_base64(h->key, AUDIT_PUBLIC_SIZE, key);
        (void)json_array_append_new(keys,
                                    json_pack("{s:s, s:s, s:s}", "cluster", h->cluster,
                                              "controller", h->controller, "ed25519", key));
    }
    keys = json_pack("{s:o, s:o}", "keys", keys, "absent", absent);
    text = json_dumps(keys, JSON_COMPACT);
    json_decref(keys);
    if (text != NULL)
        http_reply(TAKE(x->req), 200, "application/json", text, strlen(text));
    else
        http_reply(TAKE(x->req), 503, "application/json", "{}", 2);
    free(text);
    drop(x);
}

void audit_keys(struct api *a, struct http_request *req)
{
    struct audit_export *x = begin(a, req);

    if (x == NULL)
        return;
    x->gather = gather_begin(a, INT64_MAX, on_keys, x);
    if (x->gather == NULL)
        refuse(x, 503, "no-memory", "out of memory");
    else
        gather_wait(x->gather);
}

void exports_close(struct api *a)
{
    while (a->exports != NULL) {
        struct audit_export *x = a->exports;

        /* The store and the links are closed: nobody calls back but the gather. */
        if (x->gather != NULL)
            gather_abandon(x->gather);
        if (x->s != NULL)
            http_stream_break(TAKE(x->s));
        if (x->req != NULL)
            http_reply(TAKE(x->req), 503, "application/json", "{}", 2);
        x->busy = false;
        drop(x);
    }
}
