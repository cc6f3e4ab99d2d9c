/* What holds a server back from being taken into a group (I1; design section 4), and a group
 * from being activated for the first time. */
#include "controller/core/decide_internal.h"

#include <stdio.h>

const struct group *stands_also_in(const struct look *l, uint8_t instance)
{
    return system_in_other_group(l->s, l->g, &l->g->instances[instance],
                                 l->og->instances[instance].seen.system_id);
}

bool adoption_is_gated(const struct look *l)
{
    return active_seen(l)->seen.private_socket || l->g->policy.ungated_local;
}

/* I9: an operator names the region, and what it does not hold would be lost without a word.
 * The sync set of before a detach says nothing any more, so positions are compared: no
 * other instance of the same server may be further on. The declared one's report must be
 * the later of the two; a timeline above its own is a promotion that it has not seen. */
static bool holds_most(const struct look *l, char why[TEXT_SIZE])
{
    const struct seen_instance *own = &active_seen(l)->seen;

    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct seen_instance *seen = &l->og->instances[k].seen;
        const char *name = l->g->instances[k].agent;
        bool above = seen->timeline > own->timeline;

        if (k == l->g->active)
            continue;
        if (!agent_present(l, k)) {
            snprintf(why, TEXT_SIZE, "what %.63s holds is not known: its agent is silent",
                     name);
            return false;
        }
        if (seen->server == SERVER_ABSENT || seen->server == SERVER_REWINDING ||
            (seen->system_id != 0 && own->system_id != 0 &&
             seen->system_id != own->system_id))
            continue; /* no log of this server, or none that is whole */
        if (seen->flush_lsn == 0 || own->flush_lsn == 0 || own->taken.ns < seen->taken.ns) {
            snprintf(why, TEXT_SIZE, "the ends of the logs are being compared with %.63s",
                     name);
            return false;
        }
        if (above ||
            (seen->timeline == own->timeline && seen->flush_lsn > own->flush_lsn)) {
            snprintf(why, TEXT_SIZE,
                     "%.63s holds more of the log: to lose nothing, `ringfence detach` and "
                     "attach its region",
                     name);
            return false;
        }
    }
    return true;
}

/* To be led under this group alone, and by nobody who passes by the gate. */
static bool is_free(const struct look *l, char why[TEXT_SIZE])
{
    const struct group *other = stands_also_in(l, l->g->active);

    if (other != NULL) {
        snprintf(why, TEXT_SIZE, "its server is one of group %.23s too (one-group)",
                 other->name);
        return false;
    }
    if (active_seen(l)->seen.server == SERVER_PRIMARY && !adoption_is_gated(l)) {
        snprintf(why, TEXT_SIZE, "its socket directory is not its own (private-socket)");
        return false;
    }
    return true;
}

bool declared_ok(const struct look *l, char why[TEXT_SIZE])
{
    const struct seen_instance *seen = &active_seen(l)->seen;
    char ignored[TEXT_SIZE];
    uint8_t missing;

    if (why == NULL)
        why = ignored;
    why[0] = '\0';
    if (!agent_present(l, l->g->active)) {
        snprintf(why, TEXT_SIZE, "its agent does not answer");
        return false;
    }
    if (!group_all_others_proven(l->s, l->g, l->g->active, &missing)) {
        snprintf(why, TEXT_SIZE, "nothing proves yet that the gate of %.63s is closed",
                 l->g->instances[missing].agent);
        return false;
    }
    if (seen->server != SERVER_DOWN && seen->server != SERVER_PRIMARY) {
        snprintf(why, TEXT_SIZE,
                 "its server is neither a primary nor stopped: stop it; or, if another "
                 "one is the primary, `ringfence detach` and attach that one's region");
        return false;
    }
    if (seen->server == SERVER_PRIMARY && !l->g->adopt) {
        snprintf(why, TEXT_SIZE, "its server runs: stop it, or declare `adopt: true`");
        return false;
    }
    return is_free(l, why) && holds_most(l, why);
}
