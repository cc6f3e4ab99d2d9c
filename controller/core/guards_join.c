/* A standby has joined: what the step found becomes an entry (I8). */
#include "controller/base/mutant.h"
#include "controller/core/guards.h"

bool guard_joined(const struct look *l, struct entry *e)
{
    const struct step *step = &active_of(l)->step;

    if (step->kind != STEP_JOIN ||
        MUTANT(join_begun_is_joined, step->state != STEP_DONE, step->state == STEP_IDLE) ||
        step->epoch != l->g->epoch || step->generation != l->g->sync_generation ||
        l->g->policy.sync == SYNC_OFF ||
        step->subject >= l->g->instance_count) /* it was taken out since */
        return false;
    e->kind = ENTRY_SYNC_JOIN;
    e->sync = (struct entry_sync){
        .epoch = l->g->epoch,
        .instance = step->subject,
        .generation = step->generation,
        .step = step->id,
        .position = step->position,
    };
    return true;
}
