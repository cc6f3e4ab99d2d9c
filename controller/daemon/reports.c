#include "controller/daemon/reports.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/mutant.h"
#include "controller/base/text.h"
#include "controller/daemon/relay.h"

static bool find(const struct state *s, const char *agent, const char *group,
                 const char *instance, uint8_t ret[2])
{
    const struct group *g = state_group_const(s, group);
    uint8_t i;

    if (g == NULL || MUTANT(any_signer, strcmp(agent, instance) != 0, false))
        return false;
    i = group_instance(g, MUTANT(any_signer, agent, instance));
    if (i == NO_INSTANCE)
        return false;
    ret[0] = (uint8_t)(g - s->groups);
    ret[1] = i;
    return true;
}

/* I10, I12: all that it remembers, or nothing. Half of it would let an epoch be used anew.
 */
static int read_epochs(const Rf__AgentHello *h, struct entry_enrol *ret, struct err *err)
{
    if (h->n_epochs > ENROL_EPOCHS_MAX)
        return err_set(err, ERR_FULL,
                       "agent %s remembers the epochs of %zu groups, %d can be enrolled: "
                       "update the controllers, or start it on a fresh state directory",
                       h->name, h->n_epochs, ENROL_EPOCHS_MAX);
    for (size_t i = 0; i < h->n_epochs; i++) {
        struct tombstone *seen = &ret->epochs[i];

        if (strlen(h->epochs[i]->group) >= sizeof seen->name)
            return err_set(err, ERR_INVAL,
                           "agent %s remembers group '%.40s': names have at most %d bytes",
                           h->name, h->epochs[i]->group, NAME_SIZE - 1);
        (void)snprintf(seen->name, sizeof seen->name, "%s", h->epochs[i]->group);
        seen->epoch = h->epochs[i]->highest;
    }
    ret->epoch_count = (uint8_t)h->n_epochs;
    return 0;
}

int reports_read_hello(const Rf__AgentHello *h, struct entry_enrol *ret, struct err *err)
{
    *ret = (struct entry_enrol){0};
    (void)snprintf(ret->agent.name, sizeof ret->agent.name, "%s", h->name);
    (void)snprintf(ret->agent.region, sizeof ret->agent.region, "%s", h->region);
    (void)snprintf(ret->agent.address, sizeof ret->agent.address, "%s", h->address);
    (void)snprintf(ret->agent.version, sizeof ret->agent.version, "%s", h->version);
    ret->agent.format_min = h->format_min;
    ret->agent.format_max = h->format_max;
    if (frame_incarnation_get(h->incarnation, &ret->agent.incarnation, err) != 0)
        return err->code;
    return read_epochs(h, ret, err);
}

/* "Follows" means set to the very stream that the sync set counts on: from the active
 * instance's address and port, under the name of this epoch. Whether it streams just now is
 * another field: one that has lost its upstream must not be made to follow it again. */
static bool follows_active(const struct state *s, const struct group *g, uint8_t i,
                           const Rf__Observation *seen)
{
    char name[STANDBY_NAME_SIZE];
    const struct instance *active;
    const struct agent *a;

    if (g->active >= g->instance_count || g->active == i)
        return false;
    active = &g->instances[g->active];
    a = state_agent(s, active->agent);
    group_standby_name(g, i, name);
    return a != NULL && strcmp(seen->upstream, a->address) == 0 &&
           seen->upstream_port == active->port && strcmp(seen->application_name, name) == 0;
}

static member_set members_named(const struct group *g, char **names, size_t n)
{
    member_set set = 0;

    for (size_t k = 0; k < n; k++) {
        uint8_t i = group_instance(g, names[k]);

        if (i != NO_INSTANCE)
            set = (member_set)(set | 1u << i);
    }
    return set;
}

static void read_observation(struct seen_instance *v, const Rf__Observation *seen)
{
    v->server = (enum server_state)seen->server;
    v->system_id = seen->system_id;
    v->timeline = seen->timeline;
    v->flush_lsn = seen->flush_lsn;
    v->replay_lsn = seen->replay_lsn;
    v->replay_lag_ms = seen->replay_lag_ms;
    v->wal_bytes_per_s = seen->wal_bytes_per_s;
    v->sync_generation = seen->sync_generation;
    v->checksum_failures = seen->checksum_failures;
    v->streaming = seen->streaming;
    v->waits_sync = seen->canary == RF__CANARY_STATE__CANARY_WAITS_SYNC;
    v->private_socket = seen->private_socket;
    v->clean_shutdown = seen->clean_shutdown;
}

/* Not each look tries a write, and the one that waits is still out meanwhile: what the last
 * try found stands until the next one. */
static bool still_waits(const struct seen_instance *before, const struct seen_instance *now,
                        const Rf__InstanceReport *r)
{
    return r->seen != NULL && r->seen->canary == RF__CANARY_STATE__CANARY_NONE &&
           now->server == SERVER_PRIMARY && before->waits_sync &&
           before->epoch == now->epoch;
}

static struct seen_instance read_report(const struct state *s, const struct group *g,
                                        uint8_t i, const Rf__InstanceReport *r,
                                        struct mono said)
{
    struct seen_instance v = {.at = mono_now(),
                              .said = said,
                              .taken = relay_taken(said, 0, r->seen_age_ms),
                              .epoch = r->epoch,
                              .lease_margin_ms = r->lease_margin_ms,
                              .crashed = r->crashed,
                              .hung = r->hung,
                              .ready = r->ready,
                              .unled = r->unled,
                              .gate_proven = r->gate_proven,
                              .step = r->step,
                              .unfit = r->unfit};
    uint64_t age_ns = r->seen_age_ms * NS_PER_MS;

    v.latest.ns = v.at.ns > age_ns ? v.at.ns - age_ns : 1;
    if (r->seen != NULL) {
        read_observation(&v, r->seen);
        v.follows_active = follows_active(s, g, i, r->seen);
    }
    v.shrink = members_named(g, r->shrink, r->n_shrink);
    (void)snprintf(v.gate_mode, sizeof v.gate_mode, "%s", r->gate_mode);
    /* That a server which is stopped lets nobody in any more is no problem. */
    if (r->problem[0] != '\0' || r->seen == NULL || v.server == SERVER_STOPPING)
        text_set(v.problem, sizeof v.problem, "%s", r->problem);
    else
        text_set(v.problem, sizeof v.problem, "%s", r->seen->error);
    return v;
}

static enum seen_guard read_guard(Rf__GuardState guard)
{
    switch ((int)guard) {
    case RF__GUARD_STATE__GUARD_OFF:
        return SEEN_GUARD_OFF;
    case RF__GUARD_STATE__GUARD_DOWN:
        return SEEN_GUARD_DOWN;
    case RF__GUARD_STATE__GUARD_UP:
        return SEEN_GUARD_UP;
    default:
        return SEEN_GUARD_UNSAID;
    }
}

bool reports_take(const struct state *s, struct observations *o, const char *agent,
                  const Rf__AgentReport *report, struct mono said)
{
    bool first = false;

    observe_guard(o, s, agent, read_guard(report->guard));

    for (size_t k = 0; k < report->n_instances; k++) {
        const Rf__InstanceReport *r = report->instances[k];
        struct seen_instance v;
        uint8_t at[2];
        bool had;

        if (!find(s, agent, r->group, r->instance, at))
            continue;
        v = read_report(s, &s->groups[at[0]], at[1], r, said);
        if (still_waits(&o->groups[at[0]].instances[at[1]].seen, &v, r))
            v.waits_sync = true;
        had = mono_is_set(o->groups[at[0]].primary_lsn_at);
        observe_report(o, s, at[0], at[1], &v);
        first = first || (!had && mono_is_set(o->groups[at[0]].primary_lsn_at));
    }
    return first;
}

/* The word of an agent that its server refuses the log of the active one, by the order that
 * names the fence_begin in force; of another fence it is worth nothing any more (I2). */
static bool take_severed(const struct group *g, struct observed_instance *oi,
                         const Rf__StepReport *report)
{
    const Rf__StepResult *r = report->result;

    oi->severed = (struct seen_severed){0};
    if (MUTANT(severed_unseen, !r->severed || r->outcome != RF__STEP_OUTCOME__OUTCOME_DONE,
               false) ||
        MUTANT(any_fence_proves, report->epoch != g->epoch, false) ||
        frame_incarnation_get(report->incarnation, &oi->severed.by, NULL) != 0)
        return false;
    oi->severed.fence_index = r->step;
    return true;
}

bool reports_take_outcome(const struct state *s, struct observations *o, const char *agent,
                          const Rf__StepReport *report)
{
    const Rf__StepResult *r = report->result;
    struct seen_outcome *out;
    const struct step *step;
    uint8_t at[2];

    if (!find(s, agent, report->group, report->instance, at))
        return false;
    if (r->step != 0 && MUTANT(any_fence_proves, r->step == s->groups[at[0]].fence_index,
                               r->step == s->groups[at[0]].fence_index || r->severed))
        return take_severed(&s->groups[at[0]], &o->groups[at[0]].instances[at[1]], report);
    step = &s->groups[at[0]].instances[at[1]].step;
    if (step->state != STEP_STARTED || step->id != r->step ||
        (r->outcome != RF__STEP_OUTCOME__OUTCOME_DONE &&
         r->outcome != RF__STEP_OUTCOME__OUTCOME_FAILED))
        return false;

    out = &o->groups[at[0]].instances[at[1]].outcome;
    *out = (struct seen_outcome){
        .step = r->step,
        .done = r->outcome == RF__STEP_OUTCOME__OUTCOME_DONE,
        .position = r->position,
        .system_id = r->seen != NULL ? r->seen->system_id : 0,
        .loss_bytes = r->divergent_bytes,
        .loss_known =
            step->kind == STEP_FOLLOW && r->outcome == RF__STEP_OUTCOME__OUTCOME_DONE,
        .cloned = r->cloned,
    };
    text_set(out->text, sizeof out->text, "%s", r->text);
    if (r->tail != NULL && r->tail[0] != '\0')
        text_set(out->text + strlen(out->text), sizeof out->text - strlen(out->text),
                 "%s%" PRIu64
                 " bytes of its log that the new primary does not have are kept in %s",
                 out->text[0] != '\0' ? "; " : "", r->divergent_bytes, r->tail);
    return true;
}

bool reports_take_proof(const struct state *s, struct observations *o, const char *agent,
                        const Rf__FenceProof *proof)
{
    struct seen_proof *p;
    const struct group *g;
    uint8_t at[2];

    if (!find(s, agent, proof->group, proof->instance, at))
        return false;
    g = &s->groups[at[0]];
    if (!proof->installed &&
        MUTANT(any_fence_proves,
               proof->fence_index != g->fence_index || proof->epoch != g->epoch, false))
        return false; /* of a fence that is over */

    p = &o->groups[at[0]].instances[at[1]].proof;
    *p = (struct seen_proof){.given = true,
                             .installed = proof->installed,
                             .stopped = proof->server_stopped,
                             .epoch = proof->epoch,
                             .fence_index = proof->fence_index};
    return frame_incarnation_get(proof->incarnation, &p->prover, NULL) == 0;
}
