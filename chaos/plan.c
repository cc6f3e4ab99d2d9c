/* chaos/plan.c */
#include "chaos/plan.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/random.h"

void plan_make(struct plan *p, const struct options *o)
{
    enum { MS_PER_MINUTE = 60000 };

    *p = (struct plan){
        .options = o, .end_ns = now_ns() + (int64_t)o->minutes * MS_PER_MINUTE * NS_PER_MS};
}

void plan_free(struct plan *p)
{
    for (size_t i = 0; i < p->cap; i++)
        scenario_free(p->drawn[i]);
    free(p->drawn);
    *p = (struct plan){0};
}

bool plan_goes_on(const struct plan *p, unsigned i)
{
    return p->options->random ? now_ns() < p->end_ns : i < p->options->play_count;
}

uint32_t plan_seed(const struct plan *p, unsigned i) { return p->options->seed + i; }

const struct scenario *plan_scenario(struct plan *p, unsigned i)
{
    AUTO(auto_free) char *name = NULL;
    AUTO(auto_free) char *text = NULL;
    size_t cap = p->cap;

    if (!p->options->random)
        return p->options->plays[i];
    p->drawn = must_grow(p->drawn, &p->cap, i + 1, sizeof(struct scenario *));
    if (cap < p->cap)
        memset(p->drawn + cap, 0, (p->cap - cap) * sizeof(struct scenario *));
    if (p->drawn[i] == NULL) {
        name = random_name(plan_seed(p, i));
        text = random_text(plan_seed(p, i));
        p->drawn[i] = scenario_read_text(name, text);
    }
    return p->drawn[i];
}
