/* What a declaration changes, in words: for the audit trail, so nothing but the state
 * before and the entry may count, and two controllers write the same row of its hash chain.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/auto.h"
#include "controller/base/text.h"
#include "controller/core/entry.h"

/* A list with commas. What finds no room is counted, from the first one on that did not, so
 * that nothing is left out between two others. */
struct words {
    char *text;
    unsigned size, used, left_out;
};

enum { REST_SIZE = sizeof ", and 4294967295 more", WORD_SIZE = 2 * PATH_SIZE + 96 };

static void add(struct words *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add(struct words *w, const char *fmt, ...)
{
    const char *comma = w->used > 0 ? ", " : "";
    char word[WORD_SIZE];
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(word, sizeof word, fmt, args) >= (int)sizeof word)
        text_mark_cut(word, sizeof word);
    va_end(args);
    if (w->left_out > 0 || w->used + strlen(word) + 2 + REST_SIZE > w->size)
        w->left_out++;
    else
        w->used +=
            (unsigned)snprintf(w->text + w->used, w->size - w->used, "%s%s", comma, word);
}

/* ---- policy ----------------------------------------------------------------------------
 */

/* As in the file. */
static const struct {
    const char *key, *unit;
    uint32_t offset, size;
} numbers[] = {
#define NUMBER(key, unit, member)                                                          \
    {                                                                                      \
        key, unit, offsetof(struct policy, member), sizeof(((struct policy *)0)->member)   \
    }
    NUMBER("lease.ttl", " ms", lease.ttl_ms),
    NUMBER("lease.renew", " ms", renew_ms),
    NUMBER("lease.rho", " ppm", lease.rho_ppm),
    NUMBER("decide.local_restarts", "", local_restarts),
    NUMBER("decide.failover_after", " ms", failover_after_ms),
    NUMBER("decide.hung_after", " ms", hung_after_ms),
    NUMBER("decide.shrink_after", " ms", shrink_after_ms),
    NUMBER("decide.promote_deadline", " ms", promote_deadline_ms),
    NUMBER("decide.stop_deadline", " ms", stop_deadline_ms),
    NUMBER("decide.cooldown", " ms", cooldown_ms),
    NUMBER("decide.max_lag", " bytes", max_lag_bytes),
    NUMBER("decide.max_lag_time", " ms", max_lag_ms),
    NUMBER("decide.probe", " ms", probe_ms),
#undef NUMBER
};

static uint64_t number_of(const struct policy *p, unsigned i)
{
    const uint8_t *at = (const uint8_t *)p + numbers[i].offset;
    uint32_t small = 0;
    uint64_t large = 0;

    if (numbers[i].size == sizeof large)
        memcpy(&large, at, sizeof large);
    else
        memcpy(&small, at, sizeof small);
    return numbers[i].size == sizeof large ? large : small;
}

enum { LEASE_NUMBERS = 3, ALL_NUMBERS = ARRAY_LEN(numbers) };

static void add_numbers(struct words *w, const struct policy *a, const struct policy *b,
                        unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        if (number_of(a, i) != number_of(b, i))
            add(w, "%s %" PRIu64 " -> %" PRIu64 "%s", numbers[i].key, number_of(a, i),
                number_of(b, i), numbers[i].unit);
}

static void add_switch(struct words *w, const char *key, bool a, bool b)
{
    if (a != b)
        add(w, "%s %s -> %s", key, a ? "true" : "false", b ? "true" : "false");
}

enum { LIST_SIZE = TAG_MAX * (NAME_SIZE + 1) };

/* "eu us", "none". */
static const char *list_of(const char (*names)[NAME_SIZE], unsigned n, char room[LIST_SIZE])
{
    unsigned used = 0;

    snprintf(room, LIST_SIZE, "none");
    for (unsigned i = 0; i < n && i < TAG_MAX; i++)
        used += (unsigned)snprintf(room + used, LIST_SIZE - used, "%s%s", i > 0 ? " " : "",
                                   names[i]);
    return room;
}

/* "agent lease_expiry", in their order; what is raced behind a "+". */
static const char *fence_of(const struct policy *p, char room[LIST_SIZE])
{
    unsigned used = 0;

    snprintf(room, LIST_SIZE, "none");
    for (unsigned i = 0; i < FENCE_LEVEL_COUNT; i++) {
        const struct fence_turn *t = fence_turn_at(p, i);

        if (t != NULL)
            used += (unsigned)snprintf(room + used, LIST_SIZE - used, "%s%s",
                                       used == 0 ? ""
                                       : t->race ? " + "
                                                 : " ",
                                       fence_level_name((enum fence_level)t->level));
    }
    return room;
}

static void add_deadlines(struct words *w, const struct policy *a, const struct policy *b)
{
    for (unsigned i = 0; i < FENCE_LEVEL_COUNT; i++) {
        enum fence_level level = (enum fence_level)(1u << i);
        uint32_t from = fence_deadline_ms(a, a->lease, level);
        uint32_t to = fence_deadline_ms(b, b->lease, level);

        if (level != FENCE_LEASE_EXPIRY && (a->fence & b->fence & level) && from != to)
            add(w, "fence_deadline.%s %" PRIu32 " ms -> %" PRIu32 " ms",
                fence_level_name(level), from, to);
    }
}

static void add_list(struct words *w, const char *key, const char *a, const char *b)
{
    if (strcmp(a, b) != 0)
        add(w, "%s %s -> %s", key, a, b);
}

/* "approvals mon-fri 09:00: 2 people, else 1" would be the whole file: that they changed,
 * and how many people the last window wants, which is for all other times. */
static void add_windows(struct words *w, const struct policy *a, const struct policy *b)
{
    unsigned n = a->window_count, m = b->window_count;

    if (n != m || memcmp(a->windows, b->windows, n * sizeof a->windows[0]) != 0)
        add(w, "approvals %u -> %u windows, the last one needs %u -> %u", n, m,
            n > 0 ? a->windows[n - 1].need_count : 0,
            m > 0 ? b->windows[m - 1].need_count : 0);
}

static void add_policy(struct words *w, const struct policy *a, const struct policy *b)
{
    char from[LIST_SIZE], to[LIST_SIZE];

    add_numbers(w, a, b, 0, LEASE_NUMBERS);
    add_list(w, "sync", sync_mode_name(a->sync), sync_mode_name(b->sync));
    add_switch(w, "decide.automatic", a->automatic, b->automatic);
    add_numbers(w, a, b, LEASE_NUMBERS, ALL_NUMBERS);
    add_switch(w, "standby_reads", a->standby_reads, b->standby_reads);
    add_switch(w, "ungated_local", a->ungated_local, b->ungated_local);
    add_switch(w, "no_async_writers", a->no_async_writers, b->no_async_writers);
    add_windows(w, a, b);
    add_list(w, "fence", fence_of(a, from), fence_of(b, to));
    add_deadlines(w, a, b);
    add_list(w, "residency",
             list_of((const char(*)[NAME_SIZE])a->residency, a->residency_count, from),
             list_of((const char(*)[NAME_SIZE])b->residency, b->residency_count, to));
}

/* ---- places ----------------------------------------------------------------------------
 */

static void add_regions(struct words *w, const struct group *a, const struct group *b)
{
    char from[LIST_SIZE], to[LIST_SIZE], key[NAME_SIZE + 16];

    for (uint8_t i = 0; i < b->region_count; i++) {
        const struct region *now = &b->regions[i], *before;
        uint8_t k = group_region(a, now->name);

        if (k == NO_INSTANCE) {
            add(w, "region %s added", now->name);
            continue;
        }
        before = &a->regions[k];
        snprintf(key, sizeof key, "tags of %s", now->name);
        add_list(w, key,
                 list_of((const char(*)[NAME_SIZE])before->tags, before->tag_count, from),
                 list_of((const char(*)[NAME_SIZE])now->tags, now->tag_count, to));
    }
    for (uint8_t i = 0; i < a->region_count; i++)
        if (group_region(b, a->regions[i].name) == NO_INSTANCE)
            add(w, "region %s removed", a->regions[i].name);
}

/* "6432 6433", "none". */
static const char *also_of(const struct instance *i, char room[LIST_SIZE])
{
    unsigned used = 0;

    snprintf(room, LIST_SIZE, "none");
    for (unsigned k = 0; k < i->also_count; k++)
        used += (unsigned)snprintf(room + used, LIST_SIZE - used, "%s%u", k > 0 ? " " : "",
                                   i->also[k].port);
    return room;
}

static bool is_excepted(const struct group *g, const struct exception *x)
{
    for (unsigned i = 0; i < g->exception_count; i++)
        if (strcmp(g->exceptions[i].address, x->address) == 0)
            return true;
    return false;
}

static void add_exceptions(struct words *w, const struct group *a, const struct group *b)
{
    bool same = a->exception_count == b->exception_count, moved = false;

    for (unsigned i = 0; i < b->exception_count; i++) {
        if (!is_excepted(a, &b->exceptions[i]))
            add(w, "exception %s added", b->exceptions[i].address);
        same = same && is_excepted(a, &b->exceptions[i]);
        moved = moved ||
                (same && strcmp(a->exceptions[i].address, b->exceptions[i].address) != 0);
    }
    for (unsigned i = 0; i < a->exception_count; i++)
        if (!is_excepted(b, &a->exceptions[i]))
            add(w, "exception %s removed", a->exceptions[i].address);
    if (same && moved)
        add(w, "order of exceptions");
}

/* Some of it apply() refuses; what was asked is told all the same. */
static void add_moved(struct words *w, const struct group *a, uint8_t k,
                      const struct group *b, uint8_t i)
{
    const struct instance *before = &a->instances[k], *now = &b->instances[i];
    char from[LIST_SIZE], to[LIST_SIZE], key[NAME_SIZE + 16];
    const char *name = now->agent;

    if (strcmp(group_region_name(a, k), group_region_name(b, i)) != 0)
        add(w, "region of %s %s -> %s", name, group_region_name(a, k),
            group_region_name(b, i));
    if (before->port != now->port)
        add(w, "port of %s %u -> %u", name, before->port, now->port);
    snprintf(key, sizeof key, "also_ports of %s", name);
    add_list(w, key, also_of(before, from), also_of(now, to));
    if (strcmp(before->data, now->data) != 0)
        add(w, "data of %s %s -> %s", name, before->data, now->data);
    if (strcmp(before->start, now->start) != 0)
        add(w, "start of %s %s -> %s", name, before->start, now->start);
    if (strcmp(before->power, now->power) != 0)
        add(w, "power of %s %s -> %s", name,
            before->power[0] != '\0' ? before->power : "none",
            now->power[0] != '\0' ? now->power : "none");
}

static void add_instances(struct words *w, const struct group *a, const struct group *b)
{
    for (uint8_t i = 0; i < b->instance_count; i++) {
        uint8_t k = group_instance(a, b->instances[i].agent);

        if (k == NO_INSTANCE)
            add(w, "instance %s added (%s, port %u, %s)", b->instances[i].agent,
                group_region_name(b, i), b->instances[i].port, b->instances[i].data);
        else
            add_moved(w, a, k, b, i);
    }
    for (uint8_t k = 0; k < a->instance_count; k++)
        if (group_instance(b, a->instances[k].agent) == NO_INSTANCE)
            add(w, "instance %s removed", a->instances[k].agent);
}

/* ---- the whole -------------------------------------------------------------------------
 */

static void add_new(struct words *w, const struct group *spec)
{
    for (uint8_t i = 0; i < spec->region_count; i++) {
        bool active = spec->active < spec->instance_count &&
                      spec->instances[spec->active].region == i;

        add(w, "%s%s %s", i == 0 ? "declared: " : "", spec->regions[i].name,
            active ? "active" : "standby");
    }
    add(w, "sync %s", sync_mode_name(spec->policy.sync));
    add(w, "ttl %" PRIu32 " ms", spec->policy.lease.ttl_ms);
    if (spec->adopt)
        add(w, "adopt");
}

static void add_changes(struct words *w, const struct group *a, const struct group *b)
{
    if (a->active < a->instance_count && b->active < b->instance_count &&
        strcmp(a->instances[a->active].agent, b->instances[b->active].agent) != 0)
        add(w, "active %s -> %s", group_region_name(a, a->active),
            group_region_name(b, b->active));
    if (a->phase == PHASE_FORMING)
        add_switch(w, "adopt", a->adopt, a->adopt || b->adopt);
    add_list(w, "component", a->component, b->component);
    add_list(w, "provider", a->provider, b->provider);
    add_policy(w, &a->policy, &b->policy);
    add_regions(w, a, b);
    add_instances(w, a, b);
    add_exceptions(w, a, b);
    if (w->used == 0 && w->left_out == 0)
        add(w, "nothing but the order of regions or instances");
}

void declare_summary(const struct group *before, const struct group *spec, char *text,
                     unsigned size)
{
    struct words w = {.text = text, .size = size};

    text[0] = '\0';
    if (before == NULL)
        add_new(&w, spec);
    else
        add_changes(&w, before, spec);
    if (w.left_out > 0)
        snprintf(text + w.used, size - w.used, "%s%u more", w.used > 0 ? ", and " : "",
                 w.left_out);
}

void declare_settle(const struct group *now, const struct entry_declare *d,
                    struct group *ret_spec)
{
    *ret_spec = d->spec;
    if (now != NULL && d->keep_active)
        ret_spec->active = group_instance(ret_spec, now->instances[now->active].agent);
}
