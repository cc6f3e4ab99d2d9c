#include "controller/daemon/holds.h"

#include <stdio.h>
#include <string.h>

#include "controller/base/log.h"
#include "controller/base/text.h"
#include "controller/daemon/node.h"

/* FNV-1a of what blocks, by name: values change all the time. Never 0. */
static uint64_t key_of(const struct explanation *why)
{
    uint64_t key = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < why->count; i++)
        for (const char *c = why->list[i].blocks ? why->list[i].name : ""; *c != '\0'; c++)
            key = (key ^ (unsigned char)*c) * 0x100000001b3u;
    if (why->writes_wait)
        key = ~key;
    return key | 1;
}

static struct hold *hold_of(struct holds *h, const struct state *s, uint8_t group)
{
    struct hold *hold = &h->of[group];

    if (strcmp(hold->group, s->groups[group].name) != 0) {
        *hold = (struct hold){0};
        memcpy(hold->group, s->groups[group].name, sizeof hold->group);
    }
    return hold;
}

/* NULL: not told, or so long ago that it is another one. */
static struct hold_told *told_of(struct hold *hold, uint64_t key, struct mono now)
{
    for (unsigned i = 0; i < HOLDS_MAX; i++)
        if (hold->told[i].key == key)
            return mono_since_ms(hold->told[i].seen, now) < HOLDS_OVER_MS ? &hold->told[i]
                                                                          : NULL;
    return NULL;
}

bool holds_tell(struct holds *h, const struct state *s, const struct observations *o,
                uint8_t group, struct mono now, struct entry_refused *what)
{
    const struct group *g = &s->groups[group];
    struct hold *hold = hold_of(h, s, group);
    struct hold_told *told;
    uint64_t key;

    h->why.held = false;
    if (g->phase != PHASE_DETACHED && !group_is_healthy(s, o, group, now))
        explain(s, o, group, now, &h->why);
    if (!h->why.held) {
        hold->key = 0;
        return false;
    }
    key = key_of(&h->why);
    if (hold->key != key) {
        hold->key = key;
        hold->since = now;
        hold->asked = (struct mono){0};
    }
    told = told_of(hold, key, now);
    if (told != NULL)
        told->seen = now;
    if (told != NULL || mono_since_ms(hold->since, now) < HOLDS_TOLD_MS ||
        (mono_is_set(hold->asked) && mono_since_ms(hold->asked, now) < HOLDS_AGAIN_MS))
        return false;
    what->hold = key;
    text_set(what->text, sizeof what->text, "refused (held): %s: %s", phase_name(g->phase),
             h->why.verdict);
    return true;
}

static void remember(struct hold *hold, uint64_t key, struct mono now)
{
    struct hold_told *at = &hold->told[0];

    for (unsigned i = 0; i < HOLDS_MAX; i++) {
        if (hold->told[i].key == key) {
            at = &hold->told[i];
            break;
        }
        if (hold->told[i].seen.ns < at->seen.ns)
            at = &hold->told[i];
    }
    *at = (struct hold_told){key, now};
}

void holds_told(struct holds *h, const struct state *s, const char *group, uint64_t key,
                struct mono now)
{
    for (uint8_t i = 0; i < s->group_count && key != 0; i++)
        if (strcmp(s->groups[i].name, group) == 0)
            remember(hold_of(h, s, i), key, now);
}

void holds_begin(struct holds *h, struct mono now)
{
    for (unsigned i = 0; i < GROUP_MAX; i++) {
        struct hold *hold = &h->of[i];

        hold->key = 0; /* how long it has lasted is counted by who looks */
        for (unsigned k = 0; k < HOLDS_MAX; k++)
            if (hold->told[k].key != 0 &&
                mono_since_ms(hold->told[k].seen, now) < HOLDS_KNOWN_MS)
                hold->told[k].seen = now;
    }
}

bool holds_may(struct holds *h, struct mono now)
{
    h->bucket.burst = HOLDS_BURST;
    h->bucket.each_ms = HOLDS_BURST_MS;
    return bucket_take(&h->bucket, now);
}

static void look_at(struct holds *h, struct node *n, uint8_t group, struct mono now)
{
    const struct state *s = node_state(n);
    const char *name = s->groups[group].name;
    struct entry_refused what;
    struct err err = {0};

    if (!holds_tell(h, s, node_seen(n), group, now, &what) || !holds_may(h, now))
        return;
    if (node_note_held(n, name, &what, &err) == 0)
        h->of[group].asked = now;
    else
        log_debug("what group %s is held by is not logged yet: %s", name, err.text);
}

void holds_look(struct holds *h, struct node *n, struct mono now)
{
    if (!node_leads(n)) {
        h->leading = false;
        return;
    }
    if (!h->leading)
        holds_begin(h, now);
    h->leading = true;
    if (mono_is_set(h->looked) && mono_since_ms(h->looked, now) < HOLDS_EACH_MS)
        return;
    h->looked = now;
    for (uint8_t i = 0; i < node_state(n)->group_count; i++)
        look_at(h, n, i, now);
}
