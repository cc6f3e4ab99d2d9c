#include "controller/daemon/renewals.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"

enum { NO_SLOT = 255 };

/* One lease that was asked for. */
struct wish {
    char group[NAME_SIZE];
    enum lease_kind kind;
    uint64_t epoch;
    uint8_t slot;    /* in the entry; NO_SLOT: not in it, `refusal` is the answer */
    uint8_t refusal; /* enum refusal */
};

/* One frame of one agent. */
struct request {
    char agent[NAME_SIZE];
    uint8_t routes; /* bits: every controller it came through gets the answer (I7) */
    uint64_t seq, sent_boot_ns;
    struct incarnation incarnation;
    uint8_t first, count; /* in wishes */
};

struct batch {
    struct renewals *owner;
    struct batch *next; /* in flight */
    uint8_t request_count, wish_count;
    struct request requests[RENEW_MAX];
    struct wish wishes[RENEW_MAX];
    struct entry entry; /* ENTRY_RENEW */
};

struct renewals {
    struct daemon *d;
    uv_timer_t delay;
    uv_idle_t turn_end;
    unsigned handles;
    struct batch *collecting; /* NULL: nobody has asked */
    struct batch *in_flight;
    unsigned in_flight_count;
    struct apply_result tried;
    struct renewals_stats stats;
};

/* ---- answers ------------------------------------------------------------------------- */

/* I3, I8: what the holder may rely on is what apply() has just put on record. */
static void fill_verdict(const struct state *s, const struct wish *w, bool granted,
                         Rf__RenewVerdict *v)
{
    const struct group *g = state_group_const(s, w->group);

    v->group = (char *)w->group;
    v->epoch = w->epoch;
    v->kind = (Rf__LeaseKind)w->kind;
    v->granted = granted && g != NULL && g->epoch == w->epoch;
    if (!v->granted)
        return;
    v->ttl_ms = g->terms.ttl_ms;
    v->rho_ppm = g->terms.rho_ppm;
    v->open = MUTANT(open_before_opened, g->opened_index != 0, true);
}

static void answer_request(struct renewals *r, const struct batch *b, struct request *q,
                           const uint8_t *verdicts)
{
    Rf__RenewVerdict items[RENEW_MAX], *list[RENEW_MAX];
    Rf__Incarnation incarnation;
    Rf__RenewAck ack = RF__RENEW_ACK__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    for (unsigned i = 0; i < q->count; i++) {
        const struct wish *w = &b->wishes[q->first + i];
        uint8_t refusal = w->slot == NO_SLOT ? w->refusal : verdicts[w->slot];

        rf__renew_verdict__init(&items[i]);
        items[i].instance = q->agent;
        fill_verdict(node_state(r->d->node), w, refusal == ACCEPTED, &items[i]);
        if (!items[i].granted)
            items[i].refusal = (char *)refusal_name((enum refusal)refusal);
        r->stats.granted += items[i].granted ? 1 : 0;
        r->stats.refused += items[i].granted ? 0 : 1;
        list[i] = &items[i];
    }
    ack.seq = q->seq;
    ack.sent_boot_ns = q->sent_boot_ns;
    frame_incarnation_put(&q->incarnation, &incarnation);
    ack.incarnation = &incarnation;
    ack.n_items = q->count;
    ack.items = list;
    frame.body_case = RF__FRAME__BODY_RENEW_ACK;
    frame.renew_ack = &ack;
    agents_send_routes(r->d->agents, q->agent, q->routes, &frame);
}

static void answer(struct renewals *r, struct batch *b, const uint8_t *verdicts)
{
    for (unsigned i = 0; i < b->request_count; i++)
        answer_request(r, b, &b->requests[i], verdicts);
}

/* ---- sending a batch off ------------------------------------------------------------- */

static void unlink_batch(struct renewals *r, struct batch *b)
{
    struct batch **p = &r->in_flight;

    while (*p != b)
        p = &(*p)->next;
    *p = b->next;
    r->in_flight_count--;
}

static void on_turn_end(uv_idle_t *idle);

static void on_done(void *owner, int status, uint64_t index,
                    const struct apply_result *result)
{
    struct batch *b = owner;
    struct renewals *r = b->owner;

    (void)index;
    unlink_batch(r, b);
    /* Unknown is not refused: the holder asks again and is told by a committed entry. */
    if (status == 0 && !r->d->closing)
        answer(r, b, result->verdicts);
    free(b);
    if (!r->d->closing && r->collecting != NULL)
        (void)uv_idle_start(&r->turn_end, on_turn_end); /* never submit from in here */
}

/* Keep what apply() would grant now; the rest is answered without an entry, so that a
 * fenced holder that goes on asking does not fill the log. */
static void keep_acceptable(struct batch *b, const uint8_t *verdicts)
{
    struct entry_renew *renew = &b->entry.renew;
    uint8_t kept = 0;

    for (unsigned i = 0; i < b->wish_count; i++) {
        struct wish *w = &b->wishes[i];
        uint8_t old = w->slot;

        if (old == NO_SLOT)
            continue;
        if (verdicts[old] != ACCEPTED) {
            w->refusal = verdicts[old];
            w->slot = NO_SLOT;
            continue;
        }
        renew->items[kept] = renew->items[old]; /* kept <= old: wishes are in slot order */
        w->slot = kept++;
    }
    renew->count = kept;
}

static void drop(struct renewals *r, struct batch *b)
{
    r->stats.dropped += b->request_count;
    free(b);
}

static void flush(struct renewals *r)
{
    struct batch *b = r->collecting;
    struct err err = {0};

    r->collecting = NULL;
    (void)uv_timer_stop(&r->delay);
    (void)uv_idle_stop(&r->turn_end);
    if (b == NULL)
        return;
    if (!node_leads(r->d->node) || r->in_flight_count == RENEWALS_IN_FLIGHT_MAX) {
        drop(r, b);
        return;
    }

    if (b->entry.renew.count > 0) {
        node_dry(r->d->node, &b->entry, &r->tried);
        keep_acceptable(b, r->tried.verdicts);
    }
    if (b->entry.renew.count == 0) {
        answer(r, b, r->tried.verdicts); /* no wish has a slot in it */
        free(b);
        return;
    }
    b->next = r->in_flight;
    r->in_flight = b;
    r->in_flight_count++;
    if (node_propose(r->d->node, &b->entry, on_done, b, NULL, &err) != 0) {
        unlink_batch(r, b);
        drop(r, b);
        log_debug("renewals: %s", err.text);
        return;
    }
    if (MUTANT(answered_before_commit, false, true))
        answer(r, b, r->tried.verdicts);
    r->stats.entries++;
}

static void on_turn_end(uv_idle_t *idle) { flush(idle->data); }

static void on_delay(uv_timer_t *timer) { flush(timer->data); }

/* ---- collecting ---------------------------------------------------------------------- */

static struct request *find_request(struct batch *b, const char *agent, uint64_t seq,
                                    const struct incarnation *incarnation)
{
    for (unsigned i = 0; i < b->request_count; i++) {
        struct request *q = &b->requests[i];

        if (q->seq == seq && strcmp(q->agent, agent) == 0 &&
            incarnation_equal(&q->incarnation, incarnation))
            return q;
    }
    return NULL;
}

/* A holder that misses an answer asks through every controller: one entry is enough. */
static bool is_repeated(struct renewals *r, const char *agent, uint8_t route,
                        const Rf__Renew *asked, const struct incarnation *incarnation)
{
    struct request *q = NULL;

    if (r->collecting != NULL)
        q = find_request(r->collecting, agent, asked->seq, incarnation);
    for (struct batch *b = r->in_flight; q == NULL && b != NULL; b = b->next)
        q = find_request(b, agent, asked->seq, incarnation);
    if (q == NULL)
        return false;
    q->routes = (uint8_t)(q->routes | 1u << route);
    return true;
}

static void add_wish(struct renewals *r, struct batch *b, const struct request *q,
                     const Rf__RenewItem *item)
{
    const struct state *s = node_state(r->d->node);
    const struct group *g = state_group_const(s, item->group);
    uint8_t i = g != NULL ? group_instance(g, q->agent) : NO_INSTANCE;
    struct wish *w = &b->wishes[b->wish_count++];

    *w = (struct wish){
        .kind = (enum lease_kind)item->kind, .epoch = item->epoch, .slot = NO_SLOT};
    (void)snprintf(w->group, sizeof w->group, "%s", item->group);
    w->refusal = g == NULL ? REFUSE_UNKNOWN_GROUP : REFUSE_UNKNOWN_INSTANCE;
    if (i == NO_INSTANCE || strcmp(item->instance, q->agent) != 0)
        return;
    w->refusal = REFUSE_INVALID;
    if (w->kind != LEASE_WRITE && w->kind != LEASE_READ)
        return;

    node_seen(r->d->node)->groups[g - s->groups].instances[i].renew_asked = mono_now();
    w->slot = b->entry.renew.count++;
    b->entry.renew.items[w->slot] = (struct renew_item){
        .instance = i, .kind = w->kind, .epoch = w->epoch, .incarnation = q->incarnation};
    (void)snprintf(b->entry.renew.items[w->slot].group, NAME_SIZE, "%s", g->name);
}

static struct batch *batch_with_room(struct renewals *r, size_t wishes)
{
    struct batch *b = r->collecting;

    if (b != NULL &&
        (b->request_count == RENEW_MAX || b->wish_count + wishes > RENEW_MAX)) {
        flush(r);
        b = NULL;
    }
    if (b != NULL)
        return b;
    b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->owner = r;
    b->entry.kind = ENTRY_RENEW;
    (void)snprintf(b->entry.rule, sizeof b->entry.rule, "agent");
    r->collecting = b;
    return b;
}

void renewals_add(struct renewals *r, const char *agent, uint8_t route,
                  const Rf__Renew *asked)
{
    struct incarnation incarnation;
    struct batch *b;
    struct request *q;

    if (asked->n_items == 0 || asked->n_items > RENEW_MAX ||
        frame_incarnation_get(asked->incarnation, &incarnation, NULL) != 0 ||
        is_repeated(r, agent, route, asked, &incarnation))
        return;
    b = batch_with_room(r, asked->n_items);
    if (b == NULL)
        return;

    q = &b->requests[b->request_count++];
    *q = (struct request){.routes = (uint8_t)(1u << route),
                          .seq = asked->seq,
                          .sent_boot_ns = asked->sent_boot_ns,
                          .incarnation = incarnation,
                          .first = b->wish_count,
                          .count = (uint8_t)asked->n_items};
    (void)snprintf(q->agent, sizeof q->agent, "%s", agent);
    for (size_t i = 0; i < asked->n_items; i++)
        add_wish(r, b, q, asked->items[i]);

    if (r->in_flight_count == 0)
        (void)uv_idle_start(&r->turn_end, on_turn_end);
    if (!uv_is_active((uv_handle_t *)&r->delay))
        (void)uv_timer_start(&r->delay, on_delay, RENEWALS_DELAY_MS, 0);
}

/* ---- life ---------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct renewals *r = handle->data;

    if (--r->handles == 0)
        free(r);
}

int renewals_open(struct renewals **ret_renewals, struct daemon *d, struct err *err)
{
    struct renewals *r = calloc(1, sizeof *r);

    if (r == NULL)
        return err_set(err, ERR_NOMEM, "renewals");
    r->d = d;
    (void)uv_timer_init(d->loop, &r->delay); /* these two cannot fail */
    (void)uv_idle_init(d->loop, &r->turn_end);
    r->delay.data = r->turn_end.data = r;
    r->handles = 2;
    *ret_renewals = r;
    return 0;
}

void renewals_close(struct renewals *r)
{
    if (r == NULL)
        return;
    ASSERT(r->in_flight == NULL);
    free(r->collecting);
    uv_close((uv_handle_t *)&r->delay, on_handle_closed);
    uv_close((uv_handle_t *)&r->turn_end, on_handle_closed);
}

void renewals_stats(const struct renewals *r, struct renewals_stats *ret_stats)
{
    *ret_stats = r->stats;
}
