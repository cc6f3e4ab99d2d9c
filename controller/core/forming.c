/* What holds a server back from being taken into a group (I1; design section 4). */
#include "controller/core/decide_internal.h"

const struct group *stands_also_in(const struct look *l, uint8_t instance)
{
    return system_in_other_group(l->s, l->g, &l->g->instances[instance],
                                 l->og->instances[instance].seen.system_id);
}

bool adoption_is_gated(const struct look *l)
{
    return active_seen(l)->seen.private_socket || l->g->policy.ungated_local;
}
