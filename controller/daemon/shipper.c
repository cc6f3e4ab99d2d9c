#include "controller/daemon/shipper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include <curl/curl.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/ship/errand.h"

enum { LOOK_MS = 1000, AGAIN_MIN_MS = 1000, AGAIN_MAX_MS = 300000, HANDLES = 2 };

struct shipper {
    struct daemon *d;
    struct api *api;
    uv_timer_t tick;
    uv_poll_t bell;
    unsigned handles;
    bool closed;
    struct errands *errands;
    struct ship_place place;
    char target[SHIP_TARGET_SIZE];
    bool waiting; /* for rows, a segment, an errand */

    bool leads;
    bool found; /* since then: `mark` is never too high */
    bool known; /* and of now */
    struct ship_mark mark;
    uint64_t oldest_ms;      /* wall time of the first entry behind it; 0: not known */
    struct ship_range range; /* of the segment that is under way */

    uint64_t failures;
    uint32_t again_ms; /* between tries; 0: it works */
    struct mono failed_at, set_out_at;
    bool out;                    /* an errand is under way */
    char problem[ERR_TEXT_SIZE]; /* "" */
};

/* ---- how it goes ----------------------------------------------------------------------
 */

static void failed(struct shipper *s, const char *why)
{
    s->waiting = s->out = false;
    if (strcmp(s->problem, why) != 0)
        log_error("the audit trail is not shipped to %s: %s", s->target, why);
    (void)snprintf(s->problem, sizeof s->problem, "%s", why);
    s->failures++;
    s->failed_at = mono_now();
    s->again_ms = s->again_ms == 0 ? AGAIN_MIN_MS : 2 * s->again_ms;
    if (s->again_ms > AGAIN_MAX_MS)
        s->again_ms = AGAIN_MAX_MS;
    s->known = false; /* what was under way may have come there all the same */
}

static void worked(struct shipper *s)
{
    s->waiting = s->out = false;
    if (s->problem[0] != '\0')
        log_info("the audit trail is shipped to %s again", s->target);
    s->problem[0] = '\0';
    s->again_ms = 0;
}

/* ---- errands --------------------------------------------------------------------------
 */

/* What has been removed here cannot be shipped any more: no hole that anybody could fill.
 */
static uint64_t floor_of(const struct shipper *s, const struct store_stats *stats)
{
    return stats->audit_pruned > s->mark.upto ? stats->audit_pruned : s->mark.upto;
}

static void set_out(struct shipper *s, struct errand *e, const struct store_stats *stats)
{
    struct stat st;
    struct err err = {0};

    e->place = s->place;
    if (stats->reserve_used && stat(s->d->settings.data_dir, &st) == 0)
        e->place.spare = st.st_dev;
    s->waiting = s->out = true;
    s->set_out_at = mono_now();
    if (errands_begin(s->errands, e, &err) != 0)
        failed(s, err.text);
}

static void find(struct shipper *s, const struct store_stats *stats)
{
    struct errand e = {.kind = ERRAND_FIND, .floor = floor_of(s, stats)};

    set_out(s, &e, stats);
}

static void on_found(struct shipper *s, const struct errand *e)
{
    struct store_stats stats;
    char text[160];

    node_stats(s->d->node, &stats);
    /* Nothing would ever be shipped again, and nobody told. */
    if (e->mark.upto > stats.audit_seq) {
        (void)snprintf(text, sizeof text,
                       "it has entries up to %" PRIu64 ", and this trail ends at %" PRIu64
                       ": it is another cluster's, or a former one's of that name; ship "
                       "elsewhere",
                       e->mark.upto, stats.audit_seq);
        failed(s, text);
        return;
    }
    s->mark = e->mark;
    s->found = s->known = true;
    s->oldest_ms = 0;
    worked(s);
}

/* A name that is taken was shipped by another leader, or by us before an answer was lost.
 */
static void on_put(struct shipper *s)
{
    bool hole = s->mark.hole_end != 0;

    s->mark.upto = s->range.to;
    s->oldest_ms = 0;
    s->known = !hole; /* what comes behind it is there already, up to where? */
    worked(s);
}

static void on_bell(uv_poll_t *bell, int status, int events)
{
    struct shipper *s = bell->data;
    struct errand done;

    (void)status;
    (void)events;
    if (!errands_end(s->errands, &done) || s->closed || s->d->closing)
        return;
    if (done.status != 0 && done.status != ERR_CONFLICT)
        failed(s, done.err.text);
    else if (done.kind == ERRAND_FIND)
        on_found(s, &done);
    else
        on_put(s);
}

/* ---- segments -------------------------------------------------------------------------
 */

static void on_segment(void *owner, const struct api_segment *made, const char *why)
{
    struct shipper *s = owner;
    struct store_stats stats;
    struct errand e = {.kind = ERRAND_PUT};

    if (made == NULL) {
        failed(s, why);
        return;
    }
    e.data = made->data;
    e.len = made->len;
    if (s->closed || s->d->closing || !node_leads(s->d->node)) {
        s->waiting = false;
        free(e.data);
        return;
    }
    s->range = e.range = (struct ship_range){made->from_seq, made->to_seq};
    node_stats(s->d->node, &stats);
    set_out(s, &e, &stats);
}

static void make_segment(struct shipper *s)
{
    uint64_t room = SHIP_ROWS_MAX;
    struct err err = {0};

    if (s->mark.hole_end != 0 && s->mark.hole_end - s->mark.upto - 1 < room)
        room = s->mark.hole_end - s->mark.upto - 1;
    s->waiting = true;
    if (api_segment(s->api, s->mark.upto, (unsigned)room, on_segment, s, &err) != 0)
        failed(s, err.text);
}

static void on_oldest(void *owner, const struct audit_row *rows, size_t n, int status)
{
    struct shipper *s = owner;

    s->waiting = false;
    if (status == 0 && n == 1)
        s->oldest_ms = rows[0].wall_ms != 0 ? rows[0].wall_ms : 1;
}

static void ask_oldest(struct shipper *s)
{
    const struct audit_query q = {.after_seq = s->mark.upto, .limit = 1};
    struct err err = {0};

    s->waiting = node_query_audit(s->d->node, &q, on_oldest, s, &err) == 0;
}

static uint64_t age_ms(const struct shipper *s)
{
    uint64_t now = wall_now_ms();

    return s->oldest_ms != 0 && now > s->oldest_ms ? now - s->oldest_ms : 0;
}

static uint64_t behind(const struct shipper *s, const struct store_stats *stats)
{
    return s->found && stats->audit_seq > s->mark.upto ? stats->audit_seq - s->mark.upto
                                                       : 0;
}

/* A trail with a hole is not shipped: its rows have other hashes, until it is whole. */
static void turn(struct shipper *s)
{
    struct store_stats stats;
    uint64_t rows;

    node_stats(s->d->node, &stats);
    if (stats.audit_gap != 0)
        return;
    rows = behind(s, &stats);
    if (!s->known)
        find(s, &stats);
    else if (rows > 0 && s->oldest_ms == 0)
        ask_oldest(s);
    else if (rows >= SHIP_ROWS_MAX || s->mark.hole_end != 0 ||
             (rows > 0 && age_ms(s) >= s->d->settings.ship_every_ms))
        make_segment(s);
}

static void on_tick(uv_timer_t *tick)
{
    struct shipper *s = tick->data;
    bool leads = !s->d->closing && node_leads(s->d->node);

    if (s->waiting || s->d->closing)
        return;
    if (leads != s->leads) {
        s->leads = leads;
        s->found = s->known = false;
        s->mark = (struct ship_mark){0}; /* a segment that was deleted is found missing */
        s->oldest_ms = 0;
        s->again_ms = 0;
        s->problem[0] = '\0';
    }
    if (leads &&
        (s->again_ms == 0 || mono_since_ms(s->failed_at, mono_now()) >= s->again_ms))
        turn(s);
}

void shipper_facts(const struct shipper *s, struct api_ship *ret)
{
    struct store_stats stats;

    *ret = (struct api_ship){.target = NULL};
    if (s == NULL)
        return;
    node_stats(s->d->node, &stats);
    ret->target = s->target;
    ret->leads = s->leads;
    ret->known = s->found;
    ret->upto = s->mark.upto;
    ret->rows = behind(s, &stats);
    ret->age_ms = age_ms(s);
    ret->hangs_ms = s->out ? mono_since_ms(s->set_out_at, mono_now()) : 0;
    ret->failures = s->failures;
    ret->again_ms = s->again_ms;
    ret->problem = s->problem;
}

/* ---- life -----------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle)
{
    struct shipper *s = handle->data;

    if (--s->handles > 0)
        return;
    errands_leave(s->errands); /* the bell is polled no more */
    free(s);
}

void shipper_close(struct shipper *s)
{
    if (s == NULL)
        return;
    s->closed = true;
    uv_close((uv_handle_t *)&s->tick, on_closed);
    uv_close((uv_handle_t *)&s->bell, on_closed);
}

static int open_parts(struct shipper *s, struct err *err)
{
    int status;

    /* Before there are threads that use it. */
    if (s->place.kind == SHIP_S3 && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_NOMEM, "libcurl");
    if (errands_new(&s->errands, err) != 0)
        return err->code;
    status = uv_poll_init(s->d->loop, &s->bell, errands_bell(s->errands));
    if (status == 0)
        return 0;
    errands_leave(s->errands);
    return err_uv(err, status, "shipping");
}

int shipper_open(struct shipper **ret_shipper, struct daemon *d, struct api *api,
                 struct err *err)
{
    struct shipper *s;

    if (d->settings.ship.kind == SHIP_NONE)
        return 0;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_set(err, ERR_NOMEM, "shipping");
    s->d = d;
    s->api = api;
    s->place = d->settings.ship;
    ship_describe(&s->place, s->target);
    if (open_parts(s, err) != 0) {
        free(s);
        return err->code;
    }
    (void)uv_timer_init(d->loop, &s->tick); /* cannot fail */
    s->tick.data = s->bell.data = s;
    s->handles = HANDLES;
    (void)uv_timer_start(&s->tick, on_tick, LOOK_MS, LOOK_MS);
    (void)uv_poll_start(&s->bell, UV_READABLE, on_bell);
    *ret_shipper = s;
    return 0;
}
