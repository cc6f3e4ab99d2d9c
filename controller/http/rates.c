#include "controller/http/rates.h"

#include <stdlib.h>

struct slot {
    uint64_t source, at_ms;
    uint64_t tokens_ms; /* a request costs 1000 */
    bool used;
};

struct rates {
    uint32_t per_s;
    struct slot slots[RATES_SETS][RATES_WAYS];
};

struct rates *rates_new(uint32_t per_s)
{
    struct rates *r = calloc(1, sizeof *r);

    if (r != NULL)
        r->per_s = per_s;
    return r;
}

static struct slot *slot_of(struct rates *r, uint64_t source, uint64_t now_ms)
{
    const uint64_t mixed = source * 0x9e3779b97f4a7c15ull;
    struct slot *set = r->slots[(mixed >> 32) % RATES_SETS], *oldest = set;

    for (struct slot *s = set; s < set + RATES_WAYS; s++) {
        if (s->used && s->source == source)
            return s;
        if (!s->used || (oldest->used && s->at_ms < oldest->at_ms))
            oldest = s;
    }
    *oldest = (struct slot){source, now_ms, 2000ull * r->per_s, true};
    return oldest;
}

bool rates_take(struct rates *r, uint64_t source, uint64_t now_ms)
{
    struct slot *s = slot_of(r, source, now_ms);

    s->tokens_ms += (now_ms - s->at_ms) * r->per_s;
    if (s->tokens_ms > 2000ull * r->per_s)
        s->tokens_ms = 2000ull * r->per_s;
    s->at_ms = now_ms;
    if (s->tokens_ms < 1000)
        return false;
    s->tokens_ms -= 1000;
    return true;
}
