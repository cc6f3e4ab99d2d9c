/* The sync set (I8) and the steps of runs (I5, I6). */
#include "controller/core/apply_internal.h"
#include "controller/base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void check_set_change(struct applying *a)
{
    const struct entry_sync *c = &a->e->sync;
    const struct group *g = a->g;

    if (c->epoch != g->epoch)
        refuse(a, REFUSE_STALE_EPOCH, "epoch %" PRIu64 " is not the current %" PRIu64,
               c->epoch, g->epoch);
    else if (g->fence_index != 0)
        refuse(a, REFUSE_FENCED,
               "fence_begin of epoch %" PRIu64 " is committed: the sync "
               "set stays as it is (I4)",
               g->epoch);
    else if (g->opened_index == 0 ||
             (g->phase != PHASE_STEADY && g->phase != PHASE_SWITCHING))
        refuse(a, REFUSE_PHASE, "group %s is %s", g->name, phase_name(g->phase));
    else if (g->policy.sync == SYNC_OFF)
        refuse(a, REFUSE_SYNC_MODE, "sync is off: there is no set");
    else if (c->instance >= g->instance_count || c->instance == g->active)
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "instance %u cannot join or leave", c->instance);
    else if (c->generation != g->sync_generation)
        refuse(a, REFUSE_GENERATION, "the sync set changed meanwhile");
}

/* A member leaves before the primary may acknowledge without it: the entry comes first, the
 * primary learns of it by a later step. Only at the request of the life that holds the
 * lease (a region that dies link by link must not disqualify its own standby, and one that
 * has lost its lease has nothing to ask); never in `strict`. */
void apply_sync_shrink(struct applying *a)
{
    const struct entry_sync *c = &a->e->sync;
    struct group *g = a->g;

    check_set_change(a);
    if (a->result->refusal != ACCEPTED)
        return;
    if (MUTANT(strict_shrinks, g->policy.sync == SYNC_STRICT, false)) {
        refuse(a, REFUSE_SYNC_MODE,
               "sync is strict: within an epoch the set never shrinks");
        return;
    }
    if (!incarnation_equal(&c->holder, &g->instances[g->active].proof.holder)) {
        refuse(a, REFUSE_INCARNATION, "asked for by a life that does not hold the lease");
        return;
    }
    if (!(g->sync_set & 1u << c->instance)) {
        refuse(a, REFUSE_NOT_MEMBER, "%s is no member", g->instances[c->instance].agent);
        return;
    }
    g->sync_set = (member_set)(g->sync_set & ~(1u << c->instance));
    g->sync_generation = a->index;
    g->index = a->index;
}

/* What stood in a data directory may have been moved away, and the primary copied there
 * since: then the identifier on record names a server that is gone, and would keep a member
 * out of every failover for ever (I11). It gives way to one only: that of the active
 * instance, on the word of a step of this epoch that ended well (an activation forgets all
 * older ones). So no server of another history becomes a candidate by it (I8). */
static void learn_system(struct applying *a, struct instance *i)
{
    uint64_t system_id = a->g->instances[a->g->active].system_id;

    if (system_id != 0 && system_in_other_group(a->s, a->g, i, system_id) == NULL)
        i->system_id = system_id;
}

/* A member joins only after a step, started under this very generation, found that it had
 * flushed a position taken while waiting was already in force (join() in
 * providers/postgres/sync.c). */
void apply_sync_join(struct applying *a)
{
    const struct entry_sync *c = &a->e->sync;
    struct group *g = a->g;
    const struct step *step = &g->instances[g->active].step;

    check_set_change(a);
    if (a->result->refusal != ACCEPTED)
        return;
    if (step->id != c->step || step->kind != STEP_JOIN ||
        MUTANT(join_begun_is_joined, step->state != STEP_DONE, step->state == STEP_IDLE) ||
        step->epoch != g->epoch || step->subject != c->instance ||
        step->generation != g->sync_generation) {
        refuse(a, REFUSE_STEP, "no join step of this generation has found %s caught up",
               g->instances[c->instance].agent);
        return;
    }
    if (g->sync_set & 1u << c->instance) {
        refuse(a, REFUSE_ALREADY_MEMBER, "%s is a member", g->instances[c->instance].agent);
        return;
    }
    /* It has flushed the primary's own log: a standby of another server could not. */
    learn_system(a, &g->instances[c->instance]);
    g->sync_set = (member_set)(g->sync_set | 1u << c->instance);
    g->sync_generation = a->index;
    g->index = a->index;
}

static void check_lead(struct applying *a, const struct instance *i)
{
    const struct entry_step_start *st = &a->e->step_start;
    const struct group *g = a->g;

    if (st->instance != g->active)
        refuse(a, REFUSE_NOT_ACTIVE, "%s is not the active instance", i->agent);
    else if (!group_may_renew(g) || st->restart != (g->phase != PHASE_PROMOTING))
        refuse(a, REFUSE_PHASE, "group %s is %s", g->name, phase_name(g->phase));
    else if (MUTANT(lead_before_lease, i->proof.last_grant <= g->activated_index, false))
        /* I6: the lease of epoch e before the promotion for e. */
        refuse(a, REFUSE_UNPROVEN, "%s holds no lease of epoch %" PRIu64 " yet", i->agent,
               g->epoch);
    else if (st->counted && g->restarts_used >= g->policy.local_restarts)
        refuse(a, REFUSE_STEP, "the %u local restarts of this epoch are used up",
               g->policy.local_restarts);
}

static void check_kind(struct applying *a, const struct instance *i)
{
    const struct entry_step_start *st = &a->e->step_start;
    const struct group *g = a->g;
    bool active = st->instance == g->active;
    bool steady = g->phase == PHASE_STEADY, switching = g->phase == PHASE_SWITCHING;

    switch (st->kind) {
    case STEP_LEAD:
        check_lead(a, i);
        return;
    case STEP_FOLLOW:
    case STEP_CLONE:
        /* I6: never on the instance that holds the write lease, never before the new
         * primary has been verified. */
        if (active || !(steady || switching))
            refuse(a, REFUSE_PHASE, "%s cannot follow while group %s is %s", i->agent,
                   g->name, phase_name(g->phase));
        return;
    case STEP_STOP:
    case STEP_CHECKPOINT:
        if (!active || !switching)
            refuse(a, REFUSE_PHASE, "%s: %s belongs to a switchover", i->agent,
                   step_kind_name(st->kind));
        return;
    case STEP_JOIN:
        if (!active || !steady || st->subject >= g->instance_count ||
            st->subject == g->active || (g->sync_set & 1u << st->subject) ||
            g->policy.sync == SYNC_OFF)
            refuse(a, REFUSE_PHASE, "nobody can join the sync set of group %s now",
                   g->name);
        return;
    case STEP_SYNC:
        if (!active || !(steady || switching))
            refuse(a, REFUSE_PHASE, "group %s is %s", g->name, phase_name(g->phase));
        return;
    case STEP_NONE:
        break;
    }
    refuse(a, REFUSE_INVALID, "a step of kind %d", (int)st->kind);
}

/* I5: the intention stands in the log before the act. I6: one step per instance at a time.
 */
void apply_step_start(struct applying *a)
{
    const struct entry_step_start *st = &a->e->step_start;
    struct group *g = a->g;
    struct instance *i;
    uint32_t failures;

    if (st->instance >= g->instance_count) {
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "instance %u of %s", st->instance, g->name);
        return;
    }
    i = &g->instances[st->instance];
    if (st->epoch != g->epoch) {
        refuse(a, REFUSE_STALE_EPOCH, "epoch %" PRIu64 " is not the current %" PRIu64,
               st->epoch, g->epoch);
        return;
    }
    /* I6: who is meant is named by position. Behind a file that moves positions a clone
     * would begin in the directory of another standby, a join for another one (I8). */
    if (st->generation != 0 && st->generation != g->sync_generation) {
        refuse(a, REFUSE_GENERATION,
               "the sync set, or who stands where, has changed since this %s was decided",
               step_kind_name(st->kind));
        return;
    }
    if (i->step.state == STEP_STARTED) {
        refuse(a, REFUSE_STEP, "%s is in step %" PRIu64 " (%s)", i->agent, i->step.id,
               step_kind_name(i->step.kind));
        return;
    }
    check_kind(a, i);
    if (a->result->refusal != ACCEPTED)
        return;
    failures =
        i->step.kind == st->kind && i->step.state == STEP_FAILED ? i->step.failures : 0;
    i->step = (struct step){
        .state = STEP_STARTED,
        .kind = st->kind,
        .id = a->index,
        .epoch = st->epoch,
        .generation = g->sync_generation,
        .subject = st->subject,
        .restart = st->restart,
        .failures = failures,
    };
    if (st->counted)
        g->restarts_used++;
    g->index = a->index;
}

static void note_loss(struct group *g, uint8_t instance, const struct entry_step_end *end)
{
    struct run *run = &g->run;

    if (!end->loss_known || run->loss_known || run->from != instance ||
        (run->kind != RUN_FAILOVER && run->kind != RUN_SWITCHOVER))
        return;
    run->loss_known = MUTANT(loss_untold, true, false);
    run->loss_bytes = end->loss_bytes;
}

/* I1: which server stands in a data directory is known for sure only when a step has
 * looked. If it is another group's, the record is made all the same (I5), but as a failure:
 * nothing is opened on that server, and the step may be tried again when the other one is
 * gone. */
static void note_system(struct applying *a, struct instance *i)
{
    uint64_t system_id = a->e->step_end.system_id;
    const struct step *step = &i->step;
    const struct group *other;

    if (i->system_id != 0) {
        if (step->state == STEP_DONE &&
            (step->kind == STEP_FOLLOW || step->kind == STEP_CLONE) &&
            system_id == a->g->instances[a->g->active].system_id)
            learn_system(a, i);
        return;
    }
    other = system_in_other_group(a->s, a->g, i, system_id);
    if (other == NULL) {
        i->system_id = system_id;
        return;
    }
    i->step.state = STEP_FAILED;
    snprintf(i->step.text, sizeof i->step.text, OTHER_GROUPS_SERVER, other->name);
}

/* I5: the record carries its outcome, so it never blocks the next leader. */
void apply_step_end(struct applying *a)
{
    const struct entry_step_end *end = &a->e->step_end;
    struct group *g = a->g;
    struct instance *i;

    if (end->instance >= g->instance_count) {
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "instance %u of %s", end->instance, g->name);
        return;
    }
    i = &g->instances[end->instance];
    if (i->step.id != end->step || i->step.state != STEP_STARTED) {
        refuse(a, REFUSE_STEP, "step %" PRIu64 " of %s is not under way", end->step,
               i->agent);
        return;
    }
    i->step.state = end->done ? STEP_DONE : STEP_FAILED;
    i->step.position = end->position;
    snprintf(i->step.text, sizeof i->step.text, "%s", end->text);
    note_system(a, i);
    if (i->step.state == STEP_DONE && (end->cloned || i->step.kind == STEP_CLONE))
        i->checksum_failures = 0; /* none of the data that had them is left */
    i->step.failures = i->step.state == STEP_DONE ? 0 : i->step.failures + 1;
    if (end->done)
        note_loss(g, end->instance, end);
    g->index = a->index;
}

/* By its name: positions may move before the entry is applied (entry.h). */
void apply_corruption(struct applying *a)
{
    const struct entry_corruption *c = &a->e->corruption;
    struct group *g = a->g;
    uint8_t k = group_instance(g, c->agent);

    if (k == NO_INSTANCE) {
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "group %s has no instance %s", g->name,
               c->agent);
        return;
    }
    if (g->phase == PHASE_DETACHED) {
        refuse(a, REFUSE_PHASE, "group %s is %s", g->name, phase_name(g->phase));
        return;
    }
    if (c->failures == 0) {
        refuse(a, REFUSE_INVALID, "%s: no checksum failures", c->agent);
        return;
    }
    g->instances[k].checksum_failures = c->failures;
    g->index = a->index;
}
