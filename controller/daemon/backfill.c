#include "controller/daemon/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <jansson.h>

#include "controller/audit/bundle.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"

enum { LOOK_MS = 1000, PAGE_MAX = 1000, PRUNE_MS = 60000 };

struct backfill {
    struct daemon *d;
    uv_timer_t tick;
    bool busy; /* an answer or the store is waited for */
    bool closed;
    uint8_t asked;    /* position, of the last one */
    uint32_t useless; /* bits by position: those who have nothing that continues ours */
    bool told;
    bool full;    /* said so: the disk */
    bool looking; /* at the newest row */
    struct mono looked;
};

static void ask_next(struct backfill *b);

/* ---- the store ------------------------------------------------------------------------
 */

static void on_filled(void *owner, bool taken)
{
    struct backfill *b = owner;
    struct store_stats stats;

    b->busy = false;
    node_stats(b->d->node, &stats);
    if (taken && stats.audit_gap == 0) {
        log_info("the audit trail is whole again, up to row %" PRIu64, stats.audit_seq);
        b->told = false;
        b->useless = 0;
        return;
    }
    if (!taken) {
        log_warn("the audit trail of controller %s does not continue ours",
                 b->d->settings.controllers[b->asked].name);
        b->useless |= 1u << b->asked;
        return;
    }
    b->useless = 0;
    ask_next(b); /* the next page at once, of the same one */
}

static void fill(struct backfill *b, const struct store_fill *f)
{
    struct err err = {0};

    b->busy = node_fill_audit(b->d->node, f, on_filled, b, &err) == 0;
    if (!b->busy)
        log_debug("the audit trail is not filled: %s", err.text);
}

/* I11: nobody has what is missing; every one of the others has said so. */
static bool is_hopeless(const struct backfill *b)
{
    uint32_t others = (1u << b->d->settings.count) - 1;

    others &= ~(1u << b->d->settings.self);
    return (b->useless & others) == others;
}

/* ---- answers --------------------------------------------------------------------------
 */

static bool read_first(const char *text, size_t len, uint64_t *ret_applied, bool *ret_more)
{
    json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *applied = json_object_get(v, "applied");
    bool good = json_is_integer(applied) && json_integer_value(applied) >= 0 &&
                json_is_boolean(json_object_get(v, "more"));

    if (good) {
        *ret_applied = (uint64_t)json_integer_value(applied);
        *ret_more = json_is_true(json_object_get(v, "more"));
    }
    json_decref(v);
    return good;
}

/* The rows of an answer: malloc(); NULL where it is none. */
static struct audit_row *read_rows(const char *body, size_t len, struct store_fill *f,
                                   uint64_t upto)
{
    struct audit_row *rows = calloc(PAGE_MAX, sizeof *rows);
    const char *end = body + len, *at;
    uint64_t applied = 0;
    bool first = true, more = false;

    *f = (struct store_fill){.rows = rows};
    for (; rows != NULL && (at = memchr(body, '\n', (size_t)(end - body))) != NULL;
         body = at + 1) {
        struct bundle_line line;
        struct err err = {0};
        bool good = f->n < PAGE_MAX;

        if (first)
            good = read_first(body, (size_t)(at - body), &applied, &more);
        else if (good)
            good = bundle_read(&line, body, (size_t)(at - body), &err) == 0 &&
                   line.kind == BUNDLE_ROW;
        if (!good) {
            free(rows);
            return NULL;
        }
        if (!first)
            rows[f->n++] = line.row;
        first = false;
    }
    f->is_all = !more && applied >= upto;
    return rows;
}

static void on_answer(void *owner, unsigned status, const uint8_t *body, size_t len)
{
    struct backfill *b = owner;
    AUTO(auto_free) struct audit_row *rows = NULL;
    struct store_stats stats;
    struct store_fill f;

    b->busy = false;
    if (b->closed || b->d->closing)
        return;
    if (status != 200) { /* it is the other one's turn, at the next look */
        b->asked = (uint8_t)((b->asked + 1) % b->d->settings.count);
        return;
    }
    node_stats(b->d->node, &stats);
    rows = read_rows((const char *)body, len, &f, stats.audit_gap);
    if (rows == NULL) {
        log_warn("controller %s: its answer is no part of an audit trail",
                 b->d->settings.controllers[b->asked].name);
        b->asked = (uint8_t)((b->asked + 1) % b->d->settings.count);
    } else if (f.n > (stats.audit_seq != 0) || f.is_all) {
        fill(b, &f);
    } else { /* it has no more than our own last row: it is behind itself */
        b->asked = (uint8_t)((b->asked + 1) % b->d->settings.count);
    }
}

/* ---- asking ---------------------------------------------------------------------------
 */

/* From our own last row on, which the answer has to show: one that is empty, or begins
 * elsewhere, is of another chain, however much its sender says that it has applied. */
static void ask(struct backfill *b, uint8_t position, uint64_t seq)
{
    char path[64];
    struct err err = {0};

    (void)snprintf(path, sizeof path, "/api/v1/audit/rows/%" PRIu64, seq != 0 ? seq : 1);
    b->asked = position;
    b->busy = true;
    if (peers_ask(b->d->peers, position, path, on_answer, b, &err) == 0)
        return;
    b->busy = false;
    log_debug("audit rows: %s", err.text);
}

static void ask_next(struct backfill *b)
{
    struct store_stats stats;
    bool again = b->useless == 0 && b->asked != b->d->settings.self;

    node_stats(b->d->node, &stats);
    if (stats.audit_gap == 0)
        return;
    if (is_hopeless(b)) {
        log_error("no other controller has the audit rows that this one lacks: a row of "
                  "kind gap says so, and exports show it");
        fill(b, &(struct store_fill){.nobody_has_it = true});
        return;
    }
    for (uint8_t i = again ? 0 : 1; i < b->d->settings.count; i++) {
        uint8_t position = (uint8_t)((b->asked + i) % b->d->settings.count);

        if (position == b->d->settings.self || (b->useless & 1u << position) != 0)
            continue;
        ask(b, position, stats.audit_seq);
        if (b->busy)
            return;
    }
}

/* A wall clock alone may be wrong by years, and what is removed is gone: the newest row,
 * which another controller may have dated, has to agree that the time has passed. */
static void on_newest(void *owner, const struct audit_row *rows, size_t n, int status)
{
    struct backfill *b = owner;
    uint64_t now = wall_now_ms(), keep = b->d->settings.audit_retention_ms;
    struct err err = {0};

    b->looking = false;
    if (status != 0 || n == 0 || b->d->closing)
        return;
    if (rows[0].wall_ms < now)
        now = rows[0].wall_ms;
    if (now > keep && node_prune_audit(b->d->node, now - keep, &err) != 0)
        log_debug("old audit rows stay: %s", err.text);
}

static void look_at_age(struct backfill *b)
{
    const struct audit_query q = {.limit = 1, .newest = true};
    struct err err = {0};

    if (b->d->settings.audit_retention_ms == 0 || b->looking ||
        mono_since_ms(b->looked, mono_now()) < PRUNE_MS)
        return;
    b->looked = mono_now();
    b->looking = node_query_audit(b->d->node, &q, on_newest, b, &err) == 0;
}

/* Who fills the disk has to be told while it goes on. */
static void look_at_room(struct backfill *b, const struct store_stats *s)
{
    static const uint64_t mib = UINT64_C(1) << 20;

    if (s->reserve_used == b->full)
        return;
    b->full = s->reserve_used;
    if (b->full)
        log_error(
            "%s: ALARM: the disk is full, or too small for its reserve of %" PRIu64
            " MiB, which is in use or was never there: leases and decisions go on "
            "until it is used up, then this controller stops; make room until %" PRIu64
            " MiB are free there",
            b->d->settings.data_dir, s->reserve_bytes / mib, s->reserve_wants / mib);
    else
        log_info("%s: there is room again, and %" PRIu64
                 " MiB of it are kept for when the disk is full",
                 b->d->settings.data_dir, s->reserve_bytes / mib);
}

static void on_tick(uv_timer_t *tick)
{
    struct backfill *b = tick->data;
    struct store_stats stats;

    if (!b->d->closing) {
        node_stats(b->d->node, &stats);
        look_at_room(b, &stats);
        look_at_age(b);
    }
    if (b->busy || b->d->closing)
        return;
    node_stats(b->d->node, &stats);
    if (stats.audit_gap == 0)
        return;
    if (!b->told)
        log_info("the audit trail lacks rows up to entry %" PRIu64
                 " of the log, which came in a snapshot: they are fetched from the others",
                 stats.audit_gap);
    b->told = true;
    ask_next(b);
    /* Who does not answer is not asked again before the other one was. */
    if (!b->busy)
        b->asked = (uint8_t)((b->asked + 1) % b->d->settings.count);
}

/* ---- life -----------------------------------------------------------------------------
 */

int backfill_open(struct backfill **ret_backfill, struct daemon *d, struct err *err)
{
    struct backfill *b = calloc(1, sizeof *b);

    if (b == NULL)
        return err_set(err, ERR_NOMEM, "filling the audit trail");
    b->d = d;
    b->asked = d->settings.self;
    (void)uv_timer_init(d->loop, &b->tick); /* cannot fail */
    b->tick.data = b;
    (void)uv_timer_start(&b->tick, on_tick, LOOK_MS, LOOK_MS);
    *ret_backfill = b;
    return 0;
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void backfill_close(struct backfill *b)
{
    if (b == NULL)
        return;
    b->closed = true;
    uv_close((uv_handle_t *)&b->tick, on_closed);
}
