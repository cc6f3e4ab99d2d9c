/* The order of a move: fence_begin, proofs, activation, opening (I1, I2, I4, I8). */
#include "controller/core/apply_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/mutant.h"

/* I9: a promotion that nobody opened wrote nothing, so one that is begun again leaves the
 * same primary, and what was forecast and found of that one's last writes still holds. Else
 * a second failover would make the loss of the first one nobody's. (Where local clients are
 * not gated they may have written: then the one activated last is the one that is left.) */
static void begin_run(struct applying *a, enum run_kind kind, uint8_t to, bool requested,
                      const char *reason)
{
    struct run *run = &a->g->run;
    struct run before = *run;
    bool again = a->g->phase == PHASE_PROMOTING && before.from != NO_INSTANCE &&
                 !a->g->policy.ungated_local;

    memset(run, 0, sizeof *run);
    run->id = a->index;
    run->kind = kind;
    run->from = again ? before.from : a->g->active;
    run->to = to;
    if (again) {
        run->loss_forecast_known = before.loss_forecast_known;
        run->loss_forecast_bytes = before.loss_forecast_bytes;
        run->loss_known = before.loss_known;
        run->loss_bytes = before.loss_bytes;
    }
    run->requested = requested;
    run->epoch = a->g->epoch;
    snprintf(run->rule, sizeof run->rule, "%s", a->e->rule);
    snprintf(run->reason, sizeof run->reason, "%s", reason);
    if (before.result == RUN_RUNNING)
        proposals_go_on(a, before.id);
}

/* I4: from this entry on renewals of epoch <= e and changes of the sync set are refused, so
 * all of them precede it in the log, whichever controller counts. It is irrevocable (I11):
 * its exits are activations at a higher epoch. */
void apply_fence_begin(struct applying *a)
{
    const struct entry_fence_begin *f = &a->e->fence_begin;
    struct group *g = a->g;
    bool switching = f->run == RUN_SWITCHOVER;
    bool wished = f->target != NO_INSTANCE || f->target_name[0] != '\0';
    uint8_t target = entry_target(g, f->target, f->target_name);

    if (f->epoch != g->epoch) {
        refuse(a, REFUSE_STALE_EPOCH, "epoch %" PRIu64 " is not the current %" PRIu64,
               f->epoch, g->epoch);
        return;
    }
    if (!group_may_renew(g) || (switching && g->phase != PHASE_SWITCHING)) {
        refuse(a, REFUSE_PHASE, "group %s is %s", g->name, phase_name(g->phase));
        return;
    }
    if (wished && target == NO_INSTANCE) {
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "group %s has no instance %s (target %u)",
               g->name, f->target_name, f->target);
        return;
    }
    if (wished && target == g->active && g->phase != PHASE_PROMOTING) {
        refuse(a, REFUSE_ALREADY_ACTIVE, "group %s is active in %s already", g->name,
               group_region_name(g, target));
        return;
    }
    if (f->expected_grant != 0 &&
        f->expected_grant != g->instances[g->active].proof.last_grant) {
        refuse(a, REFUSE_RENEWED,
               "the holder renewed at %" PRIu64 ", after the %" PRIu64
               " that this was decided on: nothing happened",
               g->instances[g->active].proof.last_grant, f->expected_grant);
        return;
    }
    /* What follows from a move that goes on is not asked for anew; what a person begins
     * is. */
    if (f->proposal != 0 || (f->requested && g->phase == PHASE_STEADY))
        check_approved(a, f->proposal, PROPOSAL_FAILOVER, wished ? target : NO_INSTANCE);
    if (a->result->refusal != ACCEPTED)
        return;
    if (!switching) {
        begin_run(a, RUN_FAILOVER, target, f->requested, f->reason);
        proposal_begins(a, f->proposal);
    }
    g->run.fence_wall_ms = a->e->wall_ms;
    g->fence_index = a->index;
    g->phase = PHASE_FENCING;
    g->index = a->index;
}

/* I8, as far as the log can say it; how far a non-member lags is the leader's to judge. The
 * way out when the set is lost is an attested loss: two people name the instance that is to
 * lead without it, and it counts for this one, in this epoch, as long as the old primary
 * was granted nothing since they said so. What is lost by it is forecast where it can be,
 * and counted like any other loss (I9). */
bool group_may_lead(const struct state *s, const struct group *g, uint8_t target)
{
    if (g->policy.sync == SYNC_OFF || g->policy.sync == SYNC_PREFERRED || !g->sync_known ||
        attested_loss(s, g, target) != NULL)
        return true;
    return MUTANT(non_member_leads, (g->sync_set & 1u << target) != 0, true);
}

static void check_activation(struct applying *a)
{
    const struct entry_activate *act = &a->e->activate;
    const struct group *g = a->g;
    uint8_t missing;

    if (act->instance >= g->instance_count) {
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "instance %u of %s", act->instance, g->name);
    } else if (MUTANT(same_epoch_again, act->epoch != group_next_epoch(g),
                      act->epoch < g->epoch)) {
        refuse(a, REFUSE_STALE_EPOCH, "epoch %" PRIu64 " is not the next one, %" PRIu64,
               act->epoch, group_next_epoch(g));
    } else if (g->phase != PHASE_FENCING && g->phase != PHASE_FORMING) {
        refuse(a, REFUSE_PHASE, "group %s is %s: no fence_begin is in force", g->name,
               phase_name(g->phase));
    } else if (g->phase == PHASE_FORMING && act->instance != g->active) {
        refuse(a, REFUSE_NOT_DECLARED, "%s is not the declared active instance",
               g->instances[act->instance].agent);
    } else if (state_agent(a->s, g->instances[act->instance].agent) == NULL) {
        refuse(a, REFUSE_NOT_ENROLLED, "agent %s is not enrolled",
               g->instances[act->instance].agent);
    } else if (MUTANT(activates_unproven,
                      !group_all_others_proven(a->s, g, act->instance, &missing), false)) {
        /* I2: no proof, no promotion. No flag or role comes past this line. */
        refuse(a, REFUSE_UNPROVEN,
               "nothing proves that %s can no longer acknowledge a write",
               g->instances[missing].agent);
    } else if (!group_may_lead(a->s, g, act->instance)) {
        refuse(a, REFUSE_NOT_MEMBER,
               "%s is not in the sync set: it may miss acknowledged writes",
               g->instances[act->instance].agent);
    } else if (!group_may_reside(g, act->instance)) {
        refuse(a, REFUSE_RESIDENCY, "region %s carries none of the residency tags",
               group_region_name(g, act->instance));
    }
}

static bool severed_lease_runs(const struct group *g)
{
    for (unsigned i = 0; i < g->instance_count; i++)
        if (proof_leaves_lease(&g->instances[i].proof))
            return true;
    return false;
}

void apply_activate(struct applying *a)
{
    const struct entry_activate *act = &a->e->activate;
    struct group *g = a->g;
    struct proof_record *target;
    bool epoch_grows;

    check_activation(a);
    if (a->result->refusal != ACCEPTED)
        return;

    epoch_grows = MUTANT(same_epoch_again, act->epoch > g->epoch, true);
    ASSERT(epoch_grows);
    /* I8: an operator named the instance that has the data. What others have is not known
     * until they have joined, so until then it is the only member there is: else a death
     * between this entry and `opened` would hand the group to any standby, however old. */
    if (g->phase == PHASE_FORMING) {
        g->sync_set = (member_set)(1u << act->instance);
        g->sync_known = true;
        g->sync_generation = a->index;
    }
    proposals_activated(a, act->instance, g->epoch);
    g->old_active = g->phase == PHASE_FORMING ? NO_INSTANCE : g->active;
    g->active = act->instance;
    g->epoch = act->epoch;
    g->activated_index = a->index;
    g->opened_index = 0;
    g->fence_index = 0;
    g->restarts_used = 0;
    g->phase = PHASE_PROMOTING;
    g->index = a->index;
    /* I4: TTL and rho shrink only with a new epoch, and only if no lease of the target's
     * own former epoch, nor one that was severed, may still be running under the old
     * terms. */
    target = &g->instances[act->instance].proof;
    g->terms = target->last_grant > target->proven || severed_lease_runs(g)
                   ? lease_terms_widest(g->terms, g->policy.lease)
                   : g->policy.lease;
    for (unsigned i = 0; i < g->instance_count; i++)
        g->instances[i].step = (struct step){.subject = NO_INSTANCE};
    /* I8: the old set stays as the candidates until `opened`. Where local clients are not
     * gated, they may be acknowledged from the promotion on: then it is {X} at once. */
    if (g->policy.ungated_local && g->sync_known) {
        g->sync_set = (member_set)(1u << act->instance);
        g->sync_generation = a->index;
    }
    g->run.to = act->instance;
    g->run.epoch = act->epoch;
    /* Who wrote last misses nothing; what was forecast of another one is asked again. */
    if (act->instance != g->run.from) {
        g->run.loss_forecast_known = act->loss_forecast_known;
        g->run.loss_forecast_bytes = act->loss_forecast_bytes;
    }
    g->run.activate_wall_ms = a->e->wall_ms;
}

static void count_run(struct applying *a)
{
    struct group *g = a->g;
    struct run *run = &g->run;

    run->open_wall_ms = a->e->wall_ms;
    run->result = run->from == run->to ? RUN_RETURNED : RUN_DONE;
    if (run->result == RUN_RETURNED) {
        run->loss_forecast_known = true;
        run->loss_forecast_bytes = 0;
    }
    if (run->kind == RUN_FAILOVER) {
        g->failovers++;
        g->last_failover_index = a->index;
    } else if (run->kind == RUN_SWITCHOVER) {
        g->switchovers++;
    }
}

void apply_opened(struct applying *a)
{
    const struct entry_opened *o = &a->e->opened;
    struct group *g = a->g;
    struct instance *i;
    const struct group *other;

    if (o->epoch != g->epoch || g->phase != PHASE_PROMOTING || o->instance != g->active) {
        refuse(a, REFUSE_PHASE, "group %s is %s in epoch %" PRIu64, g->name,
               phase_name(g->phase), g->epoch);
        return;
    }
    i = &g->instances[g->active];
    if (i->step.kind != STEP_LEAD || i->step.state != STEP_DONE ||
        i->step.epoch != g->epoch || i->proof.last_grant <= g->activated_index) {
        refuse(a, REFUSE_STEP,
               "%s has not been verified as a primary under a lease of "
               "epoch %" PRIu64,
               i->agent, g->epoch);
        return;
    }
    if (i->system_id != 0 && o->system_id != 0 && i->system_id != o->system_id) {
        refuse(a, REFUSE_INVALID, "%s has another system identifier than before", i->agent);
        return;
    }
    other = system_in_other_group(a->s, g, i, o->system_id);
    if (other != NULL) {
        refuse(a, REFUSE_OTHER_GROUP, "the server of %s belongs to group %s", i->agent,
               other->name);
        return;
    }
    if (o->system_id != 0)
        i->system_id = o->system_id;
    g->sync_set = MUTANT(old_set_kept, (member_set)(1u << g->active), g->sync_set);
    g->sync_known = true;
    g->sync_generation = a->index;
    g->opened_index = a->index;
    g->phase = PHASE_STEADY;
    g->adopt = false;
    g->index = a->index;
    count_run(a);
    proposals_of_run_end(a, "");
}

void apply_switchover(struct applying *a)
{
    const struct entry_switchover *sw = &a->e->switchover;
    struct group *g = a->g;
    uint8_t target = entry_target(g, sw->target, sw->target_name);

    if (g->phase != PHASE_STEADY) {
        refuse(a, REFUSE_PHASE, "group %s is %s: a switchover starts from steady", g->name,
               phase_name(g->phase));
    } else if (sw->epoch != g->epoch) {
        refuse(a, REFUSE_STALE_EPOCH, "the group moved to epoch %" PRIu64 " meanwhile",
               g->epoch);
    } else if (target == NO_INSTANCE) {
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "group %s has no instance %s (target %u)",
               g->name, sw->target_name, sw->target);
    } else if (target == g->active) {
        refuse(a, REFUSE_ALREADY_ACTIVE, "group %s is active in %s already", g->name,
               group_region_name(g, target));
    } else if (!group_may_lead(a->s, g, target)) {
        refuse(a, REFUSE_NOT_MEMBER,
               "%s is not in the sync set yet: wait until it has caught up (`ringfence "
               "status`), or look at `ringfence why %s`",
               g->instances[target].agent, g->name);
    } else if (!group_may_reside(g, target)) {
        refuse(a, REFUSE_RESIDENCY, "region %s carries none of the residency tags",
               group_region_name(g, target));
    }
    if (a->result->refusal == ACCEPTED)
        check_approved(a, sw->proposal, PROPOSAL_SWITCHOVER, target);
    if (a->result->refusal != ACCEPTED)
        return;
    begin_run(a, RUN_SWITCHOVER, target, true, sw->reason);
    proposal_begins(a, sw->proposal);
    g->phase = PHASE_SWITCHING;
    g->index = a->index;
}

/* I11: before fence_begin a switchover goes back; after it there is only forward. */
void apply_run_abort(struct applying *a)
{
    struct group *g = a->g;

    if (g->run.id != a->e->run_abort.run || g->run.result != RUN_RUNNING) {
        refuse(a, REFUSE_RUN, "run %" PRIu64 " is not under way in group %s",
               a->e->run_abort.run, g->name);
        return;
    }
    if (g->phase != PHASE_SWITCHING) {
        refuse(a, REFUSE_PHASE,
               "run %" PRIu64 " is past its fence_begin (group %s is %s): it can only go "
               "forward; move back afterwards with `ringfence switchover`",
               g->run.id, g->name, phase_name(g->phase));
        return;
    }
    g->run.result = RUN_ABORTED;
    snprintf(g->run.reason, sizeof g->run.reason, "%s", a->e->run_abort.reason);
    proposals_of_run_end(a, a->e->run_abort.reason);
    g->phase = PHASE_STEADY;
    g->index = a->index;
    if (g->instances[g->active].step.kind == STEP_STOP &&
        g->instances[g->active].step.state == STEP_STARTED)
        g->instances[g->active].step.state = STEP_FAILED;
}
