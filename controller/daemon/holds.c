#include "controller/daemon/holds.h"

#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/daemon/node.h"

/* FNV-1a of what blocks, by name: values change all the time. Never 0. */
static uint64_t key_of(const struct explanation *why)
{
    uint64_t key = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < why->count; i++)
        for (const char *c = why->list[i].blocks ? why->list[i].name : ""; *c != '\0'; c++)
            key = (key ^ (unsigned char)*c) * 0x100000001b3u;
    return key | 1;
}

bool holds_tell(struct holds *h, const struct state *s, const struct observations *o,
                uint8_t group, struct mono now, char text[TEXT_SIZE])
{
    const struct group *g = &s->groups[group];
    struct hold *hold = &h->of[group];
    uint64_t key;

    if (strcmp(hold->group, g->name) != 0) {
        *hold = (struct hold){0};
        memcpy(hold->group, g->name, sizeof hold->group);
    }
    h->why.held = false;
    if (g->phase != PHASE_DETACHED && !group_is_healthy(s, o, group, now))
        explain(s, o, group, now, &h->why);
    if (!h->why.held) {
        hold->key = 0;
        if (mono_is_set(hold->until) && mono_since_ms(hold->until, now) >= HOLDS_OVER_MS)
            hold->told = 0;
        return false;
    }
    key = key_of(&h->why);
    hold->until = now;
    if (hold->key != key) {
        hold->key = key;
        hold->since = now;
    }
    if (hold->told == key || mono_since_ms(hold->since, now) < HOLDS_TOLD_MS)
        return false;
    hold->told = key;
    text_set(text, TEXT_SIZE, "refused (held): %s: %s", phase_name(g->phase),
             h->why.verdict);
    return true;
}

void holds_look(struct holds *h, struct node *n, struct mono now)
{
    const struct state *s = node_state(n);
    char text[TEXT_SIZE];

    if (!node_leads(n)) {
        memset(h->of, 0, sizeof h->of);
        return;
    }
    if (mono_is_set(h->looked) && mono_since_ms(h->looked, now) < HOLDS_EACH_MS)
        return;
    h->looked = now;
    for (uint8_t i = 0; i < s->group_count; i++)
        if (holds_tell(h, s, node_seen(n), i, now, text))
            node_note_held(n, s->groups[i].name, text);
}
