/* chaos/wan_core.c */
#include "chaos/wan_core.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

enum { NS_PER_US = 1000, ETHERNET_HEADER = 14 };

static const int64_t bits_ns = INT64_C(8000000000); /* of a byte at one bit a second */

struct lane {
    struct wan_link base, rules;
    struct wan_count count;
    uint64_t chance;   /* state of its generator */
    int64_t filled_ns; /* the bucket of the rate is full again */
    int64_t last_ns;   /* no later frame is due earlier */
    uint32_t life;
    unsigned under_way;
};

struct wan_core {
    unsigned sites;
    struct lane lanes[WAN_SITES_MAX][WAN_SITES_MAX];
    struct wan_frame **heap; /* the earliest first */
    size_t count, cap;
    struct wan_frame *unused;
    uint64_t turns, stray;
};

/* Draws nothing where nothing can happen: a link's story is that of its own rules. */
static bool happens(uint64_t *state, uint32_t ppm)
{
    return ppm > 0 && draw_below(state, WAN_ALWAYS) < ppm;
}

struct wan_core *wan_core_new(unsigned sites, uint64_t seed)
{
    struct wan_core *c = must_alloc(1, sizeof *c);

    c->sites = sites < WAN_SITES_MAX ? sites : WAN_SITES_MAX;
    for (unsigned from = 0; from < WAN_SITES_MAX; from++)
        for (unsigned to = 0; to < WAN_SITES_MAX; to++)
            c->lanes[from][to].chance = draw(&seed);
    return c;
}

void wan_core_free(struct wan_core *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        free(c->heap[i]);
    while (c->unused != NULL) {
        struct wan_frame *f = c->unused;

        c->unused = f->next;
        free(f);
    }
    free(c->heap);
    free(c);
}

/* Locally administered, and one byte says who. */
void wan_mac(unsigned site, unsigned char ret_mac[WAN_MAC_SIZE])
{
    static const unsigned char ours[] = {0x02, 'r', 'f', 0, 0};

    memcpy(ret_mac, ours, sizeof ours);
    ret_mac[WAN_MAC_SIZE - 1] = (unsigned char)(site + 1);
}

const char *wan_link_wrong(const struct wan_link *rules)
{
    if (rules->delay_us > WAN_DELAY_MAX_US)
        return "a delay of more than a minute";
    if (rules->jitter_us > rules->delay_us)
        return "more jitter than delay";
    if (rules->rate_bps != 0 && rules->rate_bps < WAN_RATE_MIN)
        return "a rate of less than 8000 bits a second";
    if (rules->queue_bytes > WAN_QUEUE_MAX)
        return "a queue of more than 256 MiB";
    if (rules->loss_ppm > WAN_ALWAYS || rules->duplicate_ppm > WAN_ALWAYS ||
        rules->reorder_ppm > WAN_ALWAYS)
        return "a probability of more than one";
    return NULL;
}

static bool is_link(const struct wan_core *c, unsigned from, unsigned to)
{
    return from < c->sites && to < c->sites && from != to;
}

/* What is under way when a link is cut belongs to its former life. */
static void obey(struct lane *l, const struct wan_link *rules)
{
    if (rules->cut && !l->rules.cut) {
        l->life++;
        l->filled_ns = l->last_ns = 0;
    }
    l->rules = *rules;
}

bool wan_core_set(struct wan_core *c, unsigned from, unsigned to,
                  const struct wan_link *rules)
{
    if (!is_link(c, from, to) || wan_link_wrong(rules) != NULL)
        return false;
    obey(&c->lanes[from][to], rules);
    return true;
}

bool wan_core_set_base(struct wan_core *c, unsigned from, unsigned to,
                       const struct wan_link *rules)
{
    if (!wan_core_set(c, from, to, rules))
        return false;
    c->lanes[from][to].base = *rules;
    return true;
}

void wan_core_heal(struct wan_core *c)
{
    for (unsigned from = 0; from < c->sites; from++)
        for (unsigned to = 0; to < c->sites; to++)
            obey(&c->lanes[from][to], &c->lanes[from][to].base);
}

struct wan_frame *wan_core_blank(struct wan_core *c)
{
    struct wan_frame *f = c->unused;

    if (f == NULL)
        return must_alloc(1, sizeof *f);
    c->unused = f->next;
    return f;
}

void wan_core_return(struct wan_core *c, struct wan_frame *f)
{
    f->next = c->unused;
    c->unused = f;
}

/* ---- frames under way: a heap by instant and turn -------------------------------------
 */

static bool is_before(const struct wan_frame *a, const struct wan_frame *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->turn < b->turn;
}

static void heap_push(struct wan_core *c, struct wan_frame *f)
{
    size_t i = c->count++;

    c->heap = must_grow(c->heap, &c->cap, c->count, sizeof(struct wan_frame *));
    for (; i > 0 && is_before(f, c->heap[(i - 1) / 2]); i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = f;
}

static struct wan_frame *heap_pop(struct wan_core *c)
{
    struct wan_frame *first = c->heap[0], *last = c->heap[--c->count];
    size_t i = 0;

    for (size_t child = 1; child < c->count; child = 2 * i + 1) {
        if (child + 1 < c->count && is_before(c->heap[child + 1], c->heap[child]))
            child++;
        if (!is_before(c->heap[child], last))
            break;
        c->heap[i] = c->heap[child];
        i = child;
    }
    c->heap[i] = last;
    return first;
}

/* ---- coming in ------------------------------------------------------------------------
 */

/* A token bucket, kept as the instant at which it is full again. False: the queue before it
 * is full. */
static bool pass_rate(struct lane *l, uint16_t size, int64_t now, int64_t *ret_ns)
{
    int64_t rate = (int64_t)l->rules.rate_bps;
    int64_t queue = l->rules.queue_bytes > 0 ? l->rules.queue_bytes : WAN_QUEUE_BYTES;
    int64_t filled, leaves;

    if (rate == 0) {
        *ret_ns = now;
        return true;
    }
    filled = (l->filled_ns > now ? l->filled_ns : now) + size * bits_ns / rate;
    leaves = filled - WAN_BURST_BYTES * bits_ns / rate;
    if (leaves < now)
        leaves = now;
    if (leaves - now > queue * bits_ns / rate)
        return false;
    l->filled_ns = filled;
    *ret_ns = leaves;
    return true;
}

static int64_t delay_ns(struct lane *l)
{
    uint32_t jitter = l->rules.jitter_us;
    int64_t us = l->rules.delay_us;

    if (jitter > 0)
        us += (int64_t)draw_below(&l->chance, 2 * jitter + 1) - jitter;
    return us * NS_PER_US;
}

/* One frame onto its link; it may not get that far. */
static void put(struct wan_core *c, struct lane *l, struct wan_frame *f, int64_t now)
{
    int64_t due;

    if (l->under_way == WAN_UNDER_WAY_MAX || !pass_rate(l, f->size, now, &due)) {
        l->count.overflow++;
        wan_core_return(c, f);
        return;
    }
    due += delay_ns(l);
    if (due < l->last_ns)
        due = l->last_ns;
    l->last_ns = due;
    if (happens(&l->chance, l->rules.reorder_ppm)) {
        l->count.reordered++;
        due += (int64_t)(1 + draw_below(&l->chance, WAN_HOLD_MAX_US)) * NS_PER_US;
    }
    f->due_ns = due;
    f->turn = c->turns++;
    f->life = l->life;
    l->under_way++;
    heap_push(c, f);
}

static struct wan_frame *copy_of(struct wan_core *c, const struct wan_frame *f)
{
    struct wan_frame *copy = wan_core_blank(c);

    copy->size = f->size;
    copy->from = f->from;
    copy->to = f->to;
    memcpy(copy->bytes, f->bytes, f->size);
    return copy;
}

static void send_to(struct wan_core *c, struct wan_frame *f, unsigned to, int64_t now)
{
    struct lane *l = &c->lanes[f->from][to];
    struct wan_frame *again = NULL;

    f->to = (uint8_t)to;
    l->count.sent++;
    if (l->rules.cut) {
        l->count.cut++;
        wan_core_return(c, f);
        return;
    }
    if (happens(&l->chance, l->rules.loss_ppm)) {
        l->count.lost++;
        wan_core_return(c, f);
        return;
    }
    if (happens(&l->chance, l->rules.duplicate_ppm)) {
        l->count.duplicated++;
        again = copy_of(c, f);
    }
    put(c, l, f, now);
    if (again != NULL)
        put(c, l, again, now);
}

/* WAN_SITES_MAX: nobody. */
static unsigned site_of(const struct wan_core *c, const unsigned char *mac)
{
    for (unsigned site = 0; site < c->sites; site++) {
        unsigned char its[WAN_MAC_SIZE];

        wan_mac(site, its);
        if (memcmp(mac, its, sizeof its) == 0)
            return site;
    }
    return WAN_SITES_MAX;
}

void wan_core_send(struct wan_core *c, struct wan_frame *f, unsigned from, int64_t now)
{
    bool fits = f->size >= ETHERNET_HEADER && f->size <= WAN_FRAME_MAX;
    unsigned to = fits ? site_of(c, f->bytes) : WAN_SITES_MAX;

    f->from = (uint8_t)from;
    if (fits && (f->bytes[0] & 1) != 0) {
        for (unsigned other = 0; other < c->sites; other++)
            if (is_link(c, from, other))
                send_to(c, copy_of(c, f), other, now);
        wan_core_return(c, f);
    } else if (is_link(c, from, to)) {
        send_to(c, f, to, now);
    } else {
        c->stray++;
        wan_core_return(c, f);
    }
}

/* ---- going out ------------------------------------------------------------------------
 */

struct wan_frame *wan_core_due(struct wan_core *c, int64_t now)
{
    while (c->count > 0 && c->heap[0]->due_ns <= now) {
        struct wan_frame *f = heap_pop(c);
        struct lane *l = &c->lanes[f->from][f->to];

        l->under_way--;
        if (f->life == l->life) {
            l->count.frames++;
            l->count.bytes += f->size;
            return f;
        }
        l->count.cut++;
        wan_core_return(c, f);
    }
    return NULL;
}

int64_t wan_core_next_ns(const struct wan_core *c)
{
    return c->count > 0 ? c->heap[0]->due_ns : INT64_MAX;
}

struct wan_count wan_core_count(const struct wan_core *c, unsigned from, unsigned to)
{
    return is_link(c, from, to) ? c->lanes[from][to].count : (struct wan_count){0};
}

uint64_t wan_core_stray(const struct wan_core *c) { return c->stray; }
