/* Signs of corruption (design section 5): damage is not carried over by itself. What is
 * seen once goes into the log, because the sign itself is easily lost: a server that is
 * down or hung counts nothing, PostgreSQL drops its statistics in crash recovery, and a new
 * leader has heard no report. */
#include "controller/core/guards.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t corruption_of(const struct look *l, uint8_t instance)
{
    uint64_t noted = l->g->instances[instance].checksum_failures;
    uint64_t seen = l->og->instances[instance].seen.checksum_failures;

    return noted > seen ? noted : seen;
}

bool no_corruption(const struct look *l) { return corruption_of(l, l->g->active) == 0; }

/* A person has decided, knowing what `why` says: forming, a switchover and a failover that
 * was asked for go where they were told to. */
static bool asked_for(const struct look *l)
{
    const struct run *run = &l->g->run;

    return l->asked || failover_is_asked(l, NULL) ||
           (run->result == RUN_RUNNING &&
            (run->requested || run->kind == RUN_FORM || run->kind == RUN_SWITCHOVER));
}

bool is_sound(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    uint64_t failures = corruption_of(l, instance);

    if (failures == 0 || asked_for(l))
        return true;
    snprintf(why, TEXT_SIZE,
             "%" PRIu64 " checksum failures were seen in its data: only an operator "
             "moves the group there",
             failures);
    return false;
}

static bool somebody_may_lead(const struct look *l)
{
    if (l->g->phase == PHASE_FENCING)
        return candidate_best(l, true) != NO_INSTANCE;
    return target_ready(l) || active_reborn(l);
}

/* Its lead goes nowhere: the agent is away or was started anew, or the step has failed. */
static bool promotion_is_stuck(const struct look *l)
{
    return l->g->phase == PHASE_PROMOTING &&
           (!agent_present(l, l->g->active) || former_life_stands(l, l->g->active) ||
            l->g->instances[l->g->active].step.state == STEP_FAILED);
}

bool waits_for_word(const struct look *l)
{
    struct look person = *l;

    person.asked = true;
    return (l->g->phase == PHASE_FENCING || promotion_is_stuck(l)) &&
           !somebody_may_lead(l) && somebody_may_lead(&person);
}

bool failover_waits_for_word(const struct state *s, const struct observations *o,
                             uint8_t group, struct mono now)
{
    struct look l = look_at(s, o, group, now);

    return waits_for_word(&l);
}

/* What was seen before the last step ended, or while one copies, is about data that is not
 * there any more. */
static bool is_news(const struct look *l, uint8_t k)
{
    const struct observed_instance *oi = &l->og->instances[k];
    const struct instance *i = &l->g->instances[k];
    bool copying = i->step.state == STEP_STARTED &&
                   (i->step.kind == STEP_FOLLOW || i->step.kind == STEP_CLONE);

    return i->checksum_failures == 0 && oi->seen.checksum_failures != 0 && !copying &&
           oi->seen.taken.ns >= oi->step_ended.ns;
}

bool guard_corruption_seen(const struct look *l, struct entry *e)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        if (!is_news(l, k))
            continue;
        e->kind = ENTRY_CORRUPTION;
        e->corruption.failures = l->og->instances[k].seen.checksum_failures;
        memcpy(e->corruption.agent, l->g->instances[k].agent, NAME_SIZE);
        return true;
    }
    return false;
}
