/* What each row of the table looks at, and what it proposes. */
#include "controller/core/guards.h"
#include "controller/base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"

/* ---- what proposals are made of -------------------------------------------------------
 */

bool propose_step(const struct look *l, struct entry *e, uint8_t instance,
                  enum step_kind kind)
{
    e->kind = ENTRY_STEP_START;
    e->step_start = (struct entry_step_start){
        .instance = instance,
        .kind = kind,
        .epoch = l->g->epoch,
        .subject = NO_INSTANCE,
        .restart = kind == STEP_LEAD && l->g->phase != PHASE_PROMOTING,
        .generation = l->g->sync_generation,
    };
    return true;
}

bool propose_fence(const struct look *l, struct entry *e, const char *reason)
{
    e->kind = ENTRY_FENCE_BEGIN;
    e->fence_begin = (struct entry_fence_begin){
        .epoch = l->g->epoch,
        .run = RUN_FAILOVER,
        .target = NO_INSTANCE,
    };
    text_set(e->fence_begin.reason, TEXT_SIZE, "%s", reason);
    return true;
}

void propose_target(const struct look *l, struct entry *e, uint8_t target)
{
    e->fence_begin.target = target;
    if (target != NO_INSTANCE)
        memcpy(e->fence_begin.target_name, l->g->instances[target].agent, NAME_SIZE);
}

static bool propose_proof(const struct look *l, struct entry *e, uint8_t instance,
                          enum proof_kind kind, const struct seen_proof *seen)
{
    e->kind = ENTRY_PROOF;
    e->proof = (struct entry_proof){
        .instance = instance,
        .kind = kind,
        .epoch = l->g->epoch,
        .fence_index = seen->fence_index,
        .prover = seen->prover,
        .stopped = kind == PROOF_AGENT && seen->stopped,
    };
    return true;
}

/* Was it this one that the run's forecast is about, before it was activated or the primary
 * that it left came back in its place? */
static bool is_forecast_for(const struct look *l, uint8_t instance)
{
    const struct group *g = l->g;

    return g->run.loss_forecast_known &&
           (instance == g->active ||
            (g->active == g->run.from && instance == g->old_active));
}

/* Until `opened` nothing was written since it was forecast first, and who wrote last misses
 * nothing. Nobody reports as the primary now, so it could not be forecast anew (I9). */
static bool forecast(const struct look *l, uint8_t instance, uint64_t *ret_bytes)
{
    bool unopened = l->g->activated_index != 0 && l->g->opened_index == 0 &&
                    !l->g->policy.ungated_local;

    *ret_bytes = 0;
    if (unopened && instance == l->g->run.from)
        return true;
    if (!unopened || !is_forecast_for(l, instance))
        return loss_forecast(l->s, l->o, l->group, instance, l->now, ret_bytes);
    *ret_bytes = l->g->run.loss_forecast_bytes;
    return true;
}

static bool propose_activation(const struct look *l, struct entry *e, uint8_t instance)
{
    uint64_t bytes;
    bool known = forecast(l, instance, &bytes);
    bool member = candidate_is_member(l, instance) && l->g->policy.sync != SYNC_OFF;

    e->kind = ENTRY_ACTIVATE;
    e->activate = (struct entry_activate){
        .epoch = MUTANT(same_epoch_again, group_next_epoch(l->g),
                        l->g->epoch != 0 ? l->g->epoch : 1),
        .instance = instance,
        /* A member holds every acknowledged write of the epoch (I8). */
        .loss_forecast_known = member || known,
        .loss_forecast_bytes = member ? 0 : bytes,
    };
    return true;
}

/* ---- in every phase -------------------------------------------------------------------
 */

/* I5: an outcome is logged whatever happened since; the record never blocks a leader. */
bool guard_outcome_reported(const struct look *l, struct entry *e)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct step *step = &l->g->instances[k].step;
        const struct seen_outcome *out = &l->og->instances[k].outcome;

        if (step->state != STEP_STARTED || out->step != step->id)
            continue;
        e->kind = ENTRY_STEP_END;
        e->step_end = (struct entry_step_end){
            .instance = k,
            .step = out->step,
            .done = out->done,
            .position = out->position,
            .system_id = out->system_id,
            .loss_known = out->loss_known,
            .loss_bytes = out->loss_bytes,
            .cloned = out->cloned,
        };
        memcpy(e->step_end.text, out->text, TEXT_SIZE);
        return true;
    }
    return false;
}

/* Proofs are sent by every way and repeated, so copies are kept that the log has overtaken.
 * What follows is what apply_proof() asks, so that none is offered in vain (I2, I12). */
static bool proof_is_current(const struct look *l, uint8_t k)
{
    const struct instance *i = &l->g->instances[k];
    const struct seen_proof *p = &l->og->instances[k].proof;
    const struct agent *agent = state_agent(l->s, i->agent);

    return p->given && agent != NULL &&
           (!instance_is_proven(l->s, i) || proof_leaves_lease(&i->proof)) &&
           MUTANT(any_signer, incarnation_equal(&p->prover, &agent->incarnation), true) &&
           !former_life_stands(l, k);
}

static bool installation_is_current(const struct look *l, uint8_t k)
{
    const struct instance *i = &l->g->instances[k];
    const struct seen_proof *p = &l->og->instances[k].proof;
    bool forming = l->g->phase == PHASE_FORMING;
    bool lease_stands =
        i->holder_epoch == l->g->epoch && i->proof.last_grant > i->proof.proven;

    if (!forming && (k == l->g->active || lease_stands))
        return false;
    return proof_is_current(l, k) && p->fence_index >= i->proof.last_grant &&
           (!forming || p->fence_index >= l->g->run.id);
}

bool guard_gate_installed(const struct look *l, struct entry *e)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct seen_proof *p = &l->og->instances[k].proof;

        if (p->installed && installation_is_current(l, k))
            return propose_proof(l, e, k, PROOF_INSTALLED, p);
    }
    return false;
}

/* ---- forming --------------------------------------------------------------------------
 */

bool guard_declared_can_lead(const struct look *l, struct entry *e)
{
    return declared_ok(l) && propose_activation(l, e, l->g->active);
}

/* ---- promoting ------------------------------------------------------------------------
 */

static bool led(const struct look *l)
{
    const struct step *step = &active_of(l)->step;

    return step->kind == STEP_LEAD && step->state == STEP_DONE &&
           step->epoch == l->g->epoch;
}

bool guard_led(const struct look *l, struct entry *e)
{
    /* A server that died since is led again first, while the others are candidates. */
    if (!led(l) || !agent_present(l, l->g->active) || active_seen(l)->seen.crashed)
        return false;
    /* I8: `opened` makes the set {X}. If X is silent by now, the candidates are worth more.
     */
    if (holder_wait_left_ns(l) == 0)
        return false;
    e->kind = ENTRY_OPENED;
    e->opened = (struct entry_opened){
        .epoch = l->g->epoch,
        .instance = l->g->active,
        .system_id = active_of(l)->system_id != 0 ? active_of(l)->system_id
                                                  : active_seen(l)->seen.system_id,
    };
    return true;
}

bool guard_lease_held(const struct look *l, struct entry *e)
{
    if (MUTANT(lead_before_lease,
               active_of(l)->proof.last_grant <= l->g->activated_index ||
                   holder_wait_left_ns(l) == 0,
               false) ||
        !step_may_start(l, l->g->active, STEP_LEAD))
        return false;
    /* Led already, and only its report is late: nothing is to be done again. */
    if (led(l) && !(agent_present(l, l->g->active) && active_seen(l)->seen.crashed))
        return false;
    return propose_step(l, e, l->g->active, STEP_LEAD);
}

/* Also before its first lease of the epoch: a target that died between its activation and
 * that has nothing to count out, and one that was reborn is granted nothing (I11). */
static bool silent_in_promotion(const struct look *l)
{
    uint64_t wait = lease_wait_ns(l->g->terms);
    bool listened = mono_since_ns(l->og->phase_since, l->now) >= wait &&
                    mono_since_ns(l->o->leading_since, l->now) >= wait;
    bool granted = active_of(l)->proof.last_grant > l->g->activated_index;

    if (active_reborn(l))
        return listened && lease_counted_out(l->s, l->o, l->group, l->g->active, l->now);
    if (granted)
        return holder_silent(l) && target_ready(l);
    return listened && !agent_present(l, l->g->active) && target_ready(l);
}

/* What follows from a move that was asked for is asked for, too: it goes on (I11). */
static bool asked_for(const struct look *l)
{
    return l->g->run.requested || l->g->run.kind != RUN_FAILOVER ||
           failover_is_asked(l, NULL);
}

static bool promotion_may_move(const struct look *l)
{
    return run_may_go_on(l) || failover_is_asked(l, NULL);
}

bool guard_promotion_silent(const struct look *l, struct entry *e)
{
    if (!promotion_may_move(l) || !silent_in_promotion(l))
        return false;
    propose_fence(l, e, "the lease of the instance being promoted was counted out");
    e->fence_begin.requested = asked_for(l);
    e->fence_begin.expected_grant = active_of(l)->proof.last_grant;
    return true;
}

bool guard_promotion_stuck(const struct look *l, struct entry *e)
{
    if (mono_since_ms(l->og->phase_since, l->now) < l->g->policy.promote_deadline_ms ||
        mono_since_ms(l->o->leading_since, l->now) < l->g->policy.promote_deadline_ms ||
        !promotion_may_move(l) || !target_ready(l))
        return false;
    propose_fence(l, e, "promote_deadline has passed and another candidate is ready");
    e->fence_begin.requested = asked_for(l);
    return true;
}

/* ---- steady ---------------------------------------------------------------------------
 */

bool guard_asked_by_operator(const struct look *l, struct entry *e)
{
    uint8_t target = l->og->failover_target;
    const struct proposal *approved;

    if (!failover_is_asked(l, &approved) || approved != NULL)
        return false;
    if (target != NO_INSTANCE ? !candidate_ok(l, target)
                              : !target_ready(l) && !active_reborn(l))
        return false;
    propose_fence(l, e, "asked for by an operator");
    propose_target(l, e, target);
    e->fence_begin.requested = true;
    e->actor = l->og->failover_actor;
    e->key = l->og->failover_key;
    return true;
}

static bool automatic_now(const struct look *l)
{
    return decisions_allowed(l) && cooldown_over(l) && no_corruption(l) &&
           (target_ready(l) || active_reborn(l));
}

/* fence_begin comes as late as possible, and names the last renewal it knows: if another
 * came in between, it is refused and nothing has happened. */
bool guard_silent(const struct look *l, struct entry *e)
{
    char reason[TEXT_SIZE];
    uint64_t ms = mono_since_ms(active_seen(l)->granted, l->now);

    if (!holder_silent(l) || !automatic_now(l))
        return false;
    /* fence_begin cannot be taken back: where only the silent agent itself, or people,
     * could give the proof, nothing is begun that only they could end (I11). */
    if (proof_is_out_of_reach(l, l->g->active))
        return false;
    snprintf(reason, sizeof reason,
             "no renewal of %s for %" PRIu64 " ms, its lease of %u ms was counted out",
             active_of(l)->agent, ms, l->g->terms.ttl_ms);
    propose_fence(l, e, reason);
    e->fence_begin.expected_grant = active_of(l)->proof.last_grant;
    return true;
}

static bool stopped_by_us(const struct look *l)
{
    const struct step *step = &active_of(l)->step;

    return l->g->run.kind == RUN_SWITCHOVER && l->g->run.result == RUN_ABORTED &&
           step->kind == STEP_STOP && step->epoch == l->g->epoch;
}

/* I11: a switchover that went back starts the server again under the same lease. */
bool guard_went_back(const struct look *l, struct entry *e)
{
    if (!active_down(l) || !stopped_by_us(l) || !step_may_start(l, l->g->active, STEP_LEAD))
        return false;
    return propose_step(l, e, l->g->active, STEP_LEAD);
}

/* A restart may fail, or its record be lost, when the server is up already (the agent was
 * killed behind it, the disk was full). It serves nobody until a LEAD is known to be done
 * (I9), so it is led again, as if it were down (I11). */
bool guard_crashed_restarts(const struct look *l, struct entry *e)
{
    if (!active_to_be_led(l) || !restarts_left(l) || l->g->paused ||
        !step_may_start(l, l->g->active, STEP_LEAD))
        return false;
    propose_step(l, e, l->g->active, STEP_LEAD);
    e->step_start.counted = true;
    return true;
}

bool guard_crashed_moves(const struct look *l, struct entry *e)
{
    if (!active_to_be_led(l) || restarts_left(l) ||
        active_of(l)->step.state == STEP_STARTED || !automatic_now(l))
        return false;
    return propose_fence(l, e,
                         active_down(l)
                             ? "the server has crashed and its local restarts are used up"
                             : "the server runs unverified and its local restarts are used "
                               "up");
}

/* I5: a restart whose outcome is unknown is repeated by its agent for as long as it takes,
 * and the lease goes on meanwhile. A candidate that is ready does not wait for ever. */
bool guard_restart_stuck(const struct look *l, struct entry *e)
{
    const struct step *step = &active_of(l)->step;

    if (step->kind != STEP_LEAD || step->state != STEP_STARTED || !step->restart ||
        mono_since_ms(active_seen(l)->step_began, l->now) <
            l->g->policy.promote_deadline_ms ||
        mono_since_ms(l->o->leading_since, l->now) < l->g->policy.promote_deadline_ms ||
        !automatic_now(l))
        return false;
    return propose_fence(l, e,
                         "the restart of the server has not ended in promote_deadline");
}

/* Nobody else can take over: a server that is started again is better than none. */
bool guard_crashed_stays(const struct look *l, struct entry *e)
{
    if (!active_to_be_led(l) || restarts_left(l) || automatic_now(l) || l->g->paused ||
        !step_may_start(l, l->g->active, STEP_LEAD))
        return false;
    return propose_step(l, e, l->g->active, STEP_LEAD);
}

bool guard_hung(const struct look *l, struct entry *e)
{
    if (!active_hung(l) || !automatic_now(l))
        return false;
    return propose_fence(l, e, "the server accepts no canary write, its agent answers");
}

bool guard_member_silent(const struct look *l, struct entry *e)
{
    member_set asked =
        (member_set)(active_seen(l)->seen.shrink & group_other_members(l->g));

    if (asked == 0 || l->g->policy.sync == SYNC_OFF ||
        MUTANT(strict_shrinks, l->g->policy.sync == SYNC_STRICT, false) ||
        active_seen(l)->seen.epoch != l->g->epoch || !agent_present(l, l->g->active) ||
        holder_wait_left_ns(l) == 0)
        return false;
    e->kind = ENTRY_SYNC_SHRINK;
    e->sync = (struct entry_sync){
        .epoch = l->g->epoch,
        .instance = (uint8_t)__builtin_ctz(asked),
        .generation = l->g->sync_generation,
        .holder = active_of(l)->proof.holder,
    };
    return true;
}

static bool primary_answers(const struct look *l)
{
    const struct seen_instance *seen = &active_seen(l)->seen;

    return agent_present(l, l->g->active) && seen->server == SERVER_PRIMARY &&
           seen->epoch == l->g->epoch && !seen->hung && !seen->crashed;
}

bool guard_names_behind(const struct look *l, struct entry *e)
{
    if (!primary_answers(l) ||
        active_seen(l)->seen.sync_generation == l->g->sync_generation ||
        !step_may_start(l, l->g->active, STEP_SYNC))
        return false;
    return propose_step(l, e, l->g->active, STEP_SYNC);
}

static bool may_join(const struct look *l, uint8_t k)
{
    const struct seen_instance *seen = &l->og->instances[k].seen;

    return k != l->g->active && !(l->g->sync_set & 1u << k) && agent_present(l, k) &&
           seen->server == SERVER_STANDBY && seen->follows_active && seen->streaming &&
           l->g->instances[k].step.state != STEP_STARTED && stands_also_in(l, k) == NULL;
}

/* In turn, beginning behind the one whose join failed last: a standby that streams but
 * cannot keep up does not keep a healthy one out of the set (I11). */
bool guard_standby_can_join(const struct look *l, struct entry *e)
{
    const struct step *last = &active_of(l)->step;
    bool failed = last->kind == STEP_JOIN && last->state == STEP_FAILED &&
                  last->subject < l->g->instance_count;
    uint8_t first = failed ? (uint8_t)(last->subject + 1) : 0;

    if (l->g->policy.sync == SYNC_OFF || !primary_answers(l) ||
        !step_may_start(l, l->g->active, STEP_JOIN))
        return false;
    for (uint8_t n = 0; n < l->g->instance_count; n++) {
        uint8_t k = (uint8_t)((first + n) % l->g->instance_count);

        if (!may_join(l, k))
            continue;
        propose_step(l, e, l->g->active, STEP_JOIN);
        e->step_start.subject = k;
        return true;
    }
    return false;
}

/* Not following: nothing there, stopped, promoted by somebody, or streaming from elsewhere.
 * One that follows but has lost its stream is given time to reconnect by itself. */
static bool strays(const struct look *l, uint8_t k)
{
    const struct observed_instance *oi = &l->og->instances[k];

    if (!mono_is_set(oi->stray_since))
        return false;
    switch (oi->seen.server) {
    case SERVER_ABSENT:
    case SERVER_DOWN:
    case SERVER_PRIMARY:
    case SERVER_REWINDING:
        return true;
    case SERVER_STANDBY:
        return !oi->seen.follows_active ||
               mono_since_ms(oi->stray_since, l->now) >= STRAY_GRACE_MS;
    case SERVER_STARTING:
    case SERVER_STOPPING:
    case SERVER_UNKNOWN:
        break;
    }
    return false;
}

/* The end of its follow is on record as failed (its answer was lost with its agent, or came
 * too early), and yet it streams: what it had beyond the fork is not counted before the
 * step has said so (I9). */
static bool owes_its_loss(const struct look *l, uint8_t k)
{
    const struct run *run = &l->g->run;
    const struct step *step = &l->g->instances[k].step;

    return k == run->from && run->result == RUN_DONE && !run->loss_known &&
           (run->kind == RUN_FAILOVER || run->kind == RUN_SWITCHOVER) &&
           step->kind == STEP_FOLLOW && step->state == STEP_FAILED;
}

bool guard_standby_strays(const struct look *l, struct entry *e)
{
    if (!primary_answers(l))
        return false;
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        if (k == l->g->active || !agent_present(l, k) ||
            (!strays(l, k) && !owes_its_loss(l, k)) || !step_may_start(l, k, STEP_FOLLOW))
            continue;
        return propose_step(l, e, k, STEP_FOLLOW);
    }
    return false;
}

/* ---- fencing --------------------------------------------------------------------------
 */

bool guard_agent_proved(const struct look *l, struct entry *e)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct seen_proof *p = &l->og->instances[k].proof;

        if (!p->installed && proof_is_current(l, k) &&
            MUTANT(any_fence_proves,
                   p->fence_index == l->g->fence_index && p->epoch == l->g->epoch, true) &&
            (p->stopped || !proof_needs_stop(l->g, k)) &&
            !proof_is_barred(l->g, k, PROOF_AGENT, p->stopped))
            return propose_proof(l, e, k, PROOF_AGENT, p);
    }
    return false;
}

/* I4: counted out by this process; fence_begin is applied here, so no renewal can follow.
 */
bool guard_lease_expired(const struct look *l, struct entry *e)
{
    if (!(l->g->policy.fence & FENCE_LEASE_EXPIRY) || l->g->policy.ungated_local)
        return false;
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct instance *i = &l->g->instances[k];
        struct seen_proof counted = {.fence_index = l->g->fence_index,
                                     .prover = i->proof.holder};

        if (instance_is_proven(l->s, i) || !incarnation_is_set(&i->proof.holder) ||
            !lease_counted_out(l->s, l->o, l->group, k, l->now) ||
            proof_is_barred(l->g, k, PROOF_LEASE_EXPIRY, false) ||
            MUTANT(only_agents_prove, false, true))
            continue;
        return propose_proof(l, e, k, PROOF_LEASE_EXPIRY, &counted);
    }
    return false;
}

/* I2: said off after fence_begin was committed, so after the last grant; a host that is
 * switched on again since begins a life of its own, which was granted nothing. */
bool guard_powered_off(const struct look *l, struct entry *e)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct seen_fencer *f = &l->og->instances[k].fencer;
        struct seen_proof off = {.fence_index = f->off_fence_index, .prover = f->off_life};
        struct incarnation life;

        if (f->off_fence_index == 0 || f->off_fence_index != l->g->fence_index ||
            instance_is_proven(l->s, &l->g->instances[k]) ||
            proof_is_barred(l->g, k, PROOF_POWER, false) || !group_may_power_off(l->g, k) ||
            !power_subject(l->s, l->g, k, &life) || !incarnation_equal(&life, &f->off_life))
            continue;
        return propose_proof(l, e, k, PROOF_POWER, &off);
    }
    return false;
}

bool guard_proven_and_candidate(const struct look *l, struct entry *e)
{
    bool late =
        mono_since_ms(l->og->phase_since, l->now) >= l->g->policy.promote_deadline_ms;
    uint8_t target = l->g->run.to, missing;

    /* A wish stands while it can be met; then the best of what is there. */
    if (target == NO_INSTANCE || !candidate_ok(l, target)) {
        if (target != NO_INSTANCE && l->g->run.requested && !late)
            return false;
        target = candidate_best(l, late);
    }
    /* I2 wants no proof of the target itself, but one whose former life is not proven over
     * would be granted no lease. That proof comes first (the two rows above). */
    if (target == NO_INSTANCE || former_life_stands(l, target) ||
        !group_all_others_proven(l->s, l->g, target, &missing))
        return false;
    return propose_activation(l, e, target);
}
