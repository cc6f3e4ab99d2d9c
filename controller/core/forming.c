/* What holds a server back from being taken into a group (I1; design section 4), and a
 * group from being activated for the first time. */
#include "controller/core/decide_internal.h"

#include <stdio.h>

#include "controller/base/text.h"

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
        char remedy[TEXT_SIZE];

        if (k == l->g->active)
            continue;
        if (!agent_present(l, k)) {
            remedy_start_agent(l, k, remedy);
            text_set(why, TEXT_SIZE,
                     "what %.23s holds of the log is not known, its agent is silent: %s",
                     name, remedy);
            return false;
        }
        if (seen->server == SERVER_ABSENT || seen->server == SERVER_REWINDING ||
            (seen->system_id != 0 && own->system_id != 0 &&
             seen->system_id != own->system_id))
            continue; /* no log of this server, or none that is whole */
        /* Which is the later one is asked of their latest dates: the earliest ones lie off
         * by each agent's own round trip, for ever in the same direction (I11). */
        if (seen->flush_lsn == 0 || own->flush_lsn == 0 ||
            own->latest.ns < seen->latest.ns) {
            snprintf(why, TEXT_SIZE,
                     "the ends of the logs are being compared with %.63s: wait a moment",
                     name);
            return false;
        }
        if (above ||
            (seen->timeline == own->timeline && seen->flush_lsn > own->flush_lsn)) {
            snprintf(why, TEXT_SIZE,
                     "%.23s holds more of the log than %.23s: to lose nothing, `ringfence "
                     "detach %.23s`, then `ringfence attach --active %.23s %.23s`",
                     name, active_of(l)->agent, l->g->name, group_region_name(l->g, k),
                     l->g->name);
            return false;
        }
    }
    return true;
}

/* A group that was active before has been attached: its file says nothing of regions then,
 * and it remembers who was active before it was detached. */
static bool was_attached(const struct look *l) { return l->g->activated_index != 0; }

static void say_overlooked(const struct look *l, uint8_t k, char why[TEXT_SIZE])
{
    const char *region = group_region_name(l->g, k), *name = l->g->name;

    if (was_attached(l))
        snprintf(
            why, TEXT_SIZE,
            "%.23s runs as a primary, but %.23s is declared active: `ringfence detach "
            "%.23s`, then `ringfence attach --active %.23s %.23s`; or stop that server",
            l->g->instances[k].agent, active_of(l)->agent, name, region, name);
    else
        snprintf(why, TEXT_SIZE,
                 "%.23s runs as a primary, but %.23s is declared active: apply the file "
                 "with %.23s active and `adopt: true`, or stop that server",
                 l->g->instances[k].agent, active_of(l)->agent, region);
}

/* Somebody may be served there, and the file may name the wrong region: which one is right
 * is not ours to guess. Its agent leaves an open port as it is (keeper_plan.c), so nothing
 * is proven; behind a gate that is closed already nothing is lost by waiting either. */
static bool leads_alone(const struct look *l, char why[TEXT_SIZE])
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        if (k == l->g->active || !agent_present(l, k) ||
            l->og->instances[k].seen.server != SERVER_PRIMARY)
            continue;
        say_overlooked(l, k, why);
        return false;
    }
    return true;
}

static bool agent_answers(const struct look *l, char why[TEXT_SIZE])
{
    char remedy[TEXT_SIZE];

    if (agent_present(l, l->g->active))
        return true;
    remedy_start_agent(l, l->g->active, remedy);
    text_set(why, TEXT_SIZE, "the agent of %.23s does not answer: %s", active_of(l)->agent,
             remedy);
    return false;
}

static bool others_are_proven(const struct look *l, char why[TEXT_SIZE])
{
    const char *problem;
    char remedy[TEXT_SIZE];
    uint8_t missing;

    if (group_all_others_proven(l->s, l->g, l->g->active, &missing))
        return true;
    problem = l->og->instances[missing].seen.problem;
    if (!agent_present(l, missing)) {
        remedy_start_agent(l, missing, remedy);
        problem = remedy;
    }
    text_set(why, TEXT_SIZE, "nothing proves yet that the gate of %.23s is closed%s%s",
             l->g->instances[missing].agent, problem[0] != '\0' ? ": " : "", problem);
    return false;
}

static bool server_may_be_led(const struct look *l, char why[TEXT_SIZE])
{
    const struct seen_instance *seen = &active_seen(l)->seen;
    const char *name = active_of(l)->agent;

    if (seen->server == SERVER_DOWN || (seen->server == SERVER_PRIMARY && l->g->adopt))
        return true;
    if (seen->server == SERVER_PRIMARY)
        snprintf(why, TEXT_SIZE,
                 "the server of %.23s runs: apply the file with `adopt: true`, or stop it",
                 name);
    else if (was_attached(l))
        snprintf(why, TEXT_SIZE,
                 "the server of %.23s is no primary and not stopped (%s): stop it; or, if "
                 "another one is to lead, `ringfence detach %.23s`, then `ringfence attach "
                 "--active REGION %.23s`",
                 name, server_state_name(seen->server), l->g->name, l->g->name);
    else
        snprintf(why, TEXT_SIZE,
                 "the server of %.23s is no primary and not stopped (%s): stop it; or, if "
                 "another one is to lead, apply the file with its region active",
                 name, server_state_name(seen->server));
    return false;
}

/* To be led under this group alone, ... */
static bool is_of_one_group(const struct look *l, char why[TEXT_SIZE])
{
    const struct group *other = stands_also_in(l, l->g->active);

    if (other == NULL)
        return true;
    snprintf(why, TEXT_SIZE,
             "the server of %.23s is one of group %.23s too (one-group): move its data "
             "directory to another path, `ringfence detach %.23s` and `ringfence remove "
             "%.23s`, then apply its file anew",
             active_of(l)->agent, other->name, l->g->name, l->g->name);
    return false;
}

/* ... and by nobody who passes by the gate. */
static bool is_gated_inside(const struct look *l, char why[TEXT_SIZE])
{
    if (active_seen(l)->seen.server != SERVER_PRIMARY || adoption_is_gated(l))
        return true;
    snprintf(why, TEXT_SIZE,
             "the socket directory of %.23s's server is not its own (private-socket): stop "
             "that server, and its agent starts it as it has to be; or set its "
             "unix_socket_directories to the agent's socket_dir alone (0700) and restart "
             "it, or apply the file with `ungated_local: true`",
             active_of(l)->agent);
    return false;
}

/* Once it is activated its file can be corrected no more before it leads. A server that
 * runs is only taken over: nothing is begun on it. */
static bool can_be_begun(const struct look *l, char why[TEXT_SIZE])
{
    const struct seen_instance *seen = &active_seen(l)->seen;

    if (seen->server == SERVER_PRIMARY || !seen->unfit)
        return true;
    text_set(why, TEXT_SIZE, "nothing can be begun on %.23s: %s", active_of(l)->agent,
             seen->problem);
    return false;
}

static const struct forming_wait waits[] = {
    {"only-primary", leads_alone,
     "while a group forms no gate is put over a running primary, and nobody else is led"},
    {"declared-agent", agent_answers, "the agent of the declared active instance answers"},
    {"others-proven", others_are_proven,
     "all but the declared active instance are proven before it is activated (I2)"},
    {"declared-server", server_may_be_led,
     "the declared server is stopped, or a primary that the file adopts"},
    {"declared-fit", can_be_begun, "the declared server could be started and led"},
    {"one-group", is_of_one_group, NULL},
    {"private-socket", is_gated_inside, NULL},
    {"holds-most", holds_most, "no other instance may hold more of the log (I9)"},
};

unsigned forming_waits(const struct forming_wait **ret_waits)
{
    *ret_waits = waits;
    return ARRAY_LEN(waits);
}

bool declared_ok(const struct look *l)
{
    char ignored[TEXT_SIZE];

    for (unsigned i = 0; i < ARRAY_LEN(waits); i++)
        if (!waits[i].is_over(l, ignored))
            return false;
    return true;
}
