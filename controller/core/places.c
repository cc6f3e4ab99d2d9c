/* Who is where: I1, no server and no port of a host in two groups. */
#include <string.h>

#include "controller/core/apply_internal.h"

static bool same_place(const struct state *s, const struct instance *a,
                       const struct instance *b)
{
    /* Asked of every pair of instances after every entry: what tells most of them apart
     * comes first. */
    bool same_data = strcmp(a->data, b->data) == 0;
    const struct agent *host_a, *host_b;

    if (!same_data && instances_share_port(a, b) == 0)
        return false;
    if (same_data && a->system_id != 0 && a->system_id == b->system_id)
        return true;
    if (strcmp(a->agent, b->agent) == 0)
        return true;
    host_a = state_agent(s, a->agent);
    host_b = state_agent(s, b->agent);
    return host_a != NULL && host_b != NULL &&
           strcmp(host_a->address, host_b->address) == 0;
}

const struct group *instance_in_other_group(const struct state *s, const struct group *g,
                                            const struct instance *i)
{
    for (unsigned k = 0; k < s->group_count; k++) {
        const struct group *other = &s->groups[k];

        if (other == g || strcmp(other->name, g->name) == 0)
            continue;
        for (unsigned n = 0; n < other->instance_count; n++)
            if (same_place(s, i, &other->instances[n]))
                return other;
    }
    return NULL;
}

const struct group *system_in_other_group(const struct state *s, const struct group *g,
                                          const struct instance *i, uint64_t system_id)
{
    for (unsigned k = 0; k < s->group_count && system_id != 0; k++) {
        const struct group *other = &s->groups[k];

        if (strcmp(other->name, g->name) == 0)
            continue;
        for (unsigned n = 0; n < other->instance_count; n++)
            if (other->instances[n].system_id == system_id &&
                strcmp(other->instances[n].data, i->data) == 0)
                return other;
    }
    return NULL;
}

/* Not a server named twice, but a port of `also_ports`. */
bool instance_shares_port(const struct state *s, const struct group *other,
                          const struct instance *i, uint16_t *ret_port)
{
    for (unsigned n = 0; n < other->instance_count; n++) {
        const struct instance *o = &other->instances[n];

        if (!same_place(s, i, o) || o->port == i->port)
            continue;
        *ret_port = instances_share_port(o, i);
        return *ret_port != 0;
    }
    return false;
}
