#include <stdlib.h>

#include "controller/consensus/driver_internal.h"

void orders_reset(struct orders *o)
{
    for (size_t i = 0; i < o->n_owned; i++)
        free(o->owned[i]);
    o->n = o->n_owned = 0;
}

void orders_free(struct orders *o)
{
    orders_reset(o);
    free(o->list);
    free(o->owned);
    *o = (struct orders){0};
}

int orders_add(struct orders *o, const struct order *order, struct err *err)
{
    if (o->n == o->cap) {
        size_t cap = o->cap != 0 ? 2 * o->cap : 16;
        void *list = reallocarray(o->list, cap, sizeof *o->list);

        if (list == NULL)
            return err_set(err, ERR_NOMEM, "%zu orders", cap);
        o->list = list;
        o->cap = cap;
    }
    o->list[o->n++] = *order;
    return 0;
}

int orders_own(struct orders *o, void *memory, struct err *err)
{
    if (o->n_owned == o->cap_owned) {
        size_t cap = o->cap_owned != 0 ? 2 * o->cap_owned : 16;
        void *list = reallocarray(o->owned, cap, sizeof *o->owned);

        if (list == NULL) {
            free(memory);
            return err_set(err, ERR_NOMEM, "%zu orders", cap);
        }
        o->owned = list;
        o->cap_owned = cap;
    }
    o->owned[o->n_owned++] = memory;
    return 0;
}
