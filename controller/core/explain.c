/* `ringfence why`: the very guards that the rules use, with values and limits. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/core/explain_internal.h"

static struct condition *add(struct explanation *out, const char *name, bool holds,
                             bool blocks)
{
    struct condition *c =
        &out->list[out->count < CONDITION_MAX ? out->count++ : CONDITION_MAX - 1];

    memset(c, 0, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", name);
    c->holds = holds;
    c->blocks = blocks && !holds;
    return c;
}

/* Of the rows that begin a failover by themselves, one is for switchovers. */
static bool phase_allows(const struct look *l)
{
    return l->g->phase == PHASE_STEADY ||
           (l->g->phase == PHASE_SWITCHING && holder_silent(l));
}

static void explain_decisions(const struct look *l, struct explanation *out)
{
    struct condition *c = add(out, "leader", l->o->leading, true);

    SET(c->value, "%s",
        l->o->leading ? "this controller leads and has applied its barrier"
                      : "this controller does not lead");
    SET(c->limit, "a majority of controllers agrees on one leader");
    c = add(out, "automatic", l->g->policy.automatic, true);
    SET(c->value, "%s", l->g->policy.automatic ? "true" : "false");
    SET(c->limit, "decide.automatic: true");
    c = add(out, "not-paused", !l->g->paused, true);
    SET(c->value, "%s", l->g->paused ? "paused" : "not paused");
    SET(c->limit, "`ringfence resume %s` lifts a pause", l->g->name);
    c = add(out, "phase", phase_allows(l), true);
    SET(c->value, "%s, epoch %" PRIu64, phase_name(l->g->phase), l->g->epoch);
    SET(c->limit, "steady; or a switchover whose old primary falls silent");
    c = add(out, "cooldown-over", cooldown_over(l), true);
    if (mono_is_set(l->og->last_failover))
        SET(c->value, "last failover %" PRIu64 " ms ago",
            mono_since_ms(l->og->last_failover, l->now));
    else
        SET(c->value, "no failover yet");
    SET(c->limit, "%u ms", l->g->policy.cooldown_ms);
    c = add(out, "no-corruption", no_corruption(l), true);
    SET(c->value, "%" PRIu64 " checksum failures on %s", corruption_of(l, l->g->active),
        active_of(l)->agent);
    SET(c->limit, "0: damage must not be carried over; restore from a backup instead");
}

/* Of the active instance; a standby says it where it is no candidate. */
static void explain_place(const struct look *l, struct explanation *out)
{
    const struct group *other = stands_also_in(l, l->g->active);
    struct condition *c = add(out, "one-group", other == NULL, true);

    SET(c->limit, "a server has one group");
    if (other == NULL) {
        SET(c->value, "no other group names the server of %s", active_of(l)->agent);
        return;
    }
    SET(c->value, "%s: its system identifier and data directory are also group %s's",
        active_of(l)->agent, other->name);
    SET(c->limit,
        "a server has one group: move its data directory to another path, `ringfence "
        "detach` and `remove` this group, then apply it anew");
}

static void explain_adoption(const struct look *l, struct explanation *out)
{
    bool adopting = l->g->phase == PHASE_FORMING && l->g->adopt &&
                    agent_present(l, l->g->active) &&
                    active_seen(l)->seen.server == SERVER_PRIMARY;
    struct condition *c;

    if (!adopting)
        return;
    c = add(out, "private-socket", adoption_is_gated(l), true);
    SET(c->value, "%s: %s", active_of(l)->agent,
        active_seen(l)->seen.private_socket ? "its only socket directory is its own"
        : l->g->policy.ungated_local        ? "not its own, and ungated_local is accepted"
                                            : "clients on the host pass by its gate");
    SET(c->limit,
        "set unix_socket_directories to the agent's directory (0700) and restart the "
        "server, or say `ungated_local: true` (expiry then proves nothing)");
}

static const char *canary(const struct look *l)
{
    const struct seen_instance *seen = &active_seen(l)->seen;

    if (!agent_present(l, l->g->active))
        return l->o->leading ? "not known: its agent does not answer" : NOT_KNOWN_HERE;
    if (seen->server != SERVER_PRIMARY)
        return "not asked: it is no primary that runs";
    if (writes_wait(l))
        return "accepts writes; they wait for a member of the sync set";
    return seen->hung ? "accepts no canary write" : "accepts writes";
}

static void explain_cause(const struct look *l, struct explanation *out)
{
    uint64_t left = holder_wait_left_ns(l);
    bool managed = l->g->phase != PHASE_DETACHED; /* else it has no lease to renew */
    struct condition *c = add(out, "holder-silent", managed && holder_silent(l), false);

    c->role = COND_CAUSE;

    if (left == UINT64_MAX)
        SET(c->value, "%s has not been granted a lease", active_of(l)->agent);
    else if (!l->o->leading)
        SET(c->value,
            "last renewal of %s that this controller knows of %" PRIu64
            " ms ago; it does not lead",
            active_of(l)->agent, mono_since_ms(active_seen(l)->granted, l->now));
    else
        SET(c->value,
            "last renewal of %s %" PRIu64 " ms ago; this leader listens since %" PRIu64
            " ms",
            active_of(l)->agent, mono_since_ms(active_seen(l)->granted, l->now),
            mono_since_ms(l->o->leading_since, l->now));
    SET(c->limit,
        "%" PRIu64 " ms counted (ttl %u ms, rho %u ppm), plus failover_after %u ms",
        lease_wait_ns(l->g->terms) / NS_PER_MS, l->g->terms.ttl_ms, l->g->terms.rho_ppm,
        l->g->policy.failover_after_ms);
    c = add(out, "server-down", active_to_be_led(l), false);
    c->role = COND_CAUSE;
    if (active_unled(l))
        SET(c->value,
            "its server runs, and no step lead of epoch %" PRIu64
            " has verified it: its gate is not opened",
            l->g->epoch);
    else if (l->o->leading)
        SET(c->value, "its agent %s, its server was seen as %s",
            agent_present(l, l->g->active) ? "answers" : "does not answer",
            server_state_name(active_seen(l)->seen.server));
    else
        SET(c->value, "%s", NOT_KNOWN_HERE);
    SET(c->limit, "local restarts used %u of %u", l->g->restarts_used,
        l->g->policy.local_restarts);
    c = add(out, "server-hung", active_hung(l), false);
    c->role = COND_CAUSE;
    SET(c->value, "%s", canary(l));
    SET(c->limit, "hung_after %u ms", l->g->policy.hung_after_ms);
}

static void limit_of_target(const struct look *l, struct condition *c)
{
    bool binding = l->g->policy.sync == SYNC_REQUIRED || l->g->policy.sync == SYNC_STRICT;
    const char *needs =
        binding ? "only a member of the sync set is promoted" : "within max_lag";
    uint8_t loss = needs_attested_loss(l);

    if (loss == NO_INSTANCE)
        SET(c->limit, "sync %s: %s", sync_mode_name(l->g->policy.sync), needs);
    else
        SET(c->limit,
            "sync %s: %s; without the old primary the exit is an attested "
            "loss " ATTEST_LOSS,
            sync_mode_name(l->g->policy.sync), needs, l->g->name,
            l->g->instances[loss].agent);
}

static void explain_candidates(const struct look *l, struct explanation *out)
{
    struct condition *c;
    char name[sizeof c->name], why[sizeof c->value];

    c = add(out, "target-ready", target_ready(l) || active_reborn(l), true);
    SET(c->value, "%s", c->holds || l->o->leading ? ready_name(l) : NOT_KNOWN_HERE);
    limit_of_target(l, c);
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        bool ok;

        if (k == l->g->active)
            continue;
        ok = candidate_explain(l, k, why, sizeof why);
        snprintf(name, sizeof name, "candidate-%s", l->g->instances[k].agent);
        c = add(out, name, ok, false);
        c->role = COND_CANDIDATE;
        SET(c->value, "%s", ok ? "can take over" : why);
        SET(c->limit, "%s%s",
            !l->g->sync_known           ? "nothing is known of a sync set now"
            : candidate_is_member(l, k) ? "a member of the sync set"
                                        : "not a member of the sync set",
            candidate_lacks_log(l, k)
                ? "; it goes on when it has caught up, or on an attested loss"
                : "");
    }
}

/* What a fence_begin of the active instance would wait for. */
static void explain_reach(const struct look *l, struct explanation *out)
{
    bool within = !proof_is_out_of_reach(l, l->g->active);
    struct condition *c = add(out, "proof-reachable", within, l->g->phase == PHASE_STEADY);

    SET(c->value, "%s",
        !within ? "only its agent, which is silent, could prove it"
        : proof_needs_agent(l) && group_may_power_off(l->g, l->g->active)
            ? "by its agent, or by switching its host off"
        : proof_needs_agent(l)
            ? "by its agent alone: if the region is lost, nothing can take over from it"
        : group_severers(l->g) != 0
            ? "by its agent, by a member that refuses its log, or by counting its lease out"
            : "by its agent, or by counting its lease out");
    if (within)
        SET(c->limit, "a fence that nobody could end is not begun");
    else
        SET(c->limit,
            "a fence that nobody could end is not begun; the exit is its agent's return, "
            "or "
            "an attested proof " ATTEST_DEAD,
            l->g->name, active_of(l)->agent);
}

static void explain_forming(const struct look *l, struct explanation *out)
{
    const struct forming_wait *waits;
    unsigned n = l->g->phase == PHASE_FORMING ? forming_waits(&waits) : 0;

    for (unsigned i = 0; i < n; i++) {
        struct condition *c;
        char why[TEXT_SIZE];

        if (waits[i].limit == NULL)
            continue;
        c = add(out, waits[i].name, waits[i].is_over(l, why), true);
        SET(c->value, "%s", c->holds ? "it is so" : why);
        SET(c->limit, "%s", waits[i].limit);
    }
}

/* Whom the activation under way is of, as far as that is settled. */
static uint8_t activated_next(const struct look *l)
{
    if (l->g->phase == PHASE_FORMING)
        return l->g->active;
    return l->g->run.to != NO_INSTANCE ? l->g->run.to : candidate_best(l, false);
}

static void limit_of_proof(const struct look *l, uint8_t k, struct condition *c)
{
    const char *stop =
        proof_needs_stop(l->g, k) ? "; ungated_local: its server must be stopped" : "";

    if (proof_is_out_of_reach(l, k))
        SET(c->limit,
            "needed of all but the target before an activation (I2)%s; its agent must "
            "answer, else the exit is an attested proof " ATTEST_DEAD,
            stop, l->g->name, l->g->instances[k].agent);
    else
        SET(c->limit, "needed of all but the target before an activation (I2)%s", stop);
}

static void explain_proofs(const struct look *l, struct explanation *out)
{
    bool awaited = l->g->phase == PHASE_FORMING || l->g->phase == PHASE_FENCING;
    uint8_t target = activated_next(l);
    struct condition *c;
    char name[sizeof c->name];

    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct instance *i = &l->g->instances[k];
        bool proven = instance_is_proven(l->s, i);

        snprintf(name, sizeof name, "proof-%s", i->agent);
        c = add(out, name, proven, awaited && k != target);
        c->role = COND_PROOF;
        if (proven)
            SET(c->value, "%s at index %" PRIu64, proof_kind_name(i->proof.kind),
                i->proof.proven);
        else
            SET(c->value, "last grant at index %" PRIu64 ", no later proof",
                i->proof.last_grant);
        limit_of_proof(l, k, c);
    }
}

/* A fencer that does not answer today will not answer at 3 a.m. either. It keeps nothing
 * from being decided, as long as there is another way to a proof. */
static void explain_fencers(const struct look *l, struct explanation *out)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct instance *i = &l->g->instances[k];
        const struct seen_fencer *f = &l->og->instances[k].fencer;
        struct condition *c;
        char name[sizeof c->name];

        if (!group_may_power_off(l->g, k))
            continue;
        snprintf(name, sizeof name, "fencer-%s", i->agent);
        c = add(out, name, fencer_answers(l, k), false);
        c->role = COND_PROOF;
        if (c->holds)
            SET(c->value, "%s answers", i->power);
        else if (!f->known || strcmp(f->name, i->power) != 0)
            SET(c->value, "%s was not asked yet", i->power);
        else
            SET(c->value, "%s: %s", i->power, f->text);
        SET(c->limit,
            "asked for its status by each controller; it switches the host of %s "
            "off when its turn has come, %" PRIu32 " ms behind the fence",
            i->agent, fence_turn_ms(l->g, k, FENCE_POWER));
    }
}

/* It keeps nothing from being decided: without it the lease is counted out. */
static void explain_severing(const struct look *l, struct explanation *out)
{
    const char *why = severing_is_closed_by(l);
    struct condition *c;

    if (!(l->g->policy.fence & FENCE_SYNC_SEVERED))
        return;
    c = add(out, "severing-open", why == NULL, false);
    c->role = COND_PROOF;
    SET(c->value, "%s", why == NULL ? "a member of the sync set can refuse its log" : why);
    SET(c->limit,
        "%s %" PRIu32
        " ms behind the fence, at once where its agent is silent; reads there "
        "may be old until its lease is over",
        "its turn comes", fence_turn_ms(l->g, l->g->active, FENCE_SYNC_SEVERED));
}

static void fill_remedies(const struct look *l, struct explanation *out)
{
    for (unsigned i = 0; i < out->count; i++)
        if (!out->list[i].holds && out->list[i].role != COND_CAUSE)
            remedy_of(l, out->list[i].name, out->list[i].remedy);
}

/* Before all else that is to be said. */
static void sound_alarm(const struct group *g, struct explanation *out)
{
    char alarm[VERDICT_SIZE], verdict[VERDICT_SIZE];

    if (!group_alarm(g, alarm, sizeof alarm))
        return;
    memcpy(verdict, out->verdict, sizeof verdict);
    SET(out->verdict, "ALARM: %s. Beside that: %s", alarm, verdict);
}

void explain(const struct state *s, const struct observations *o, uint8_t group,
             struct mono now, struct explanation *out)
{
    struct look l = look_at(s, o, group, now);

    memset(out, 0, sizeof *out);
    explain_decisions(&l, out);
    explain_place(&l, out);
    explain_adoption(&l, out);
    explain_cause(&l, out);
    explain_candidates(&l, out);
    explain_reach(&l, out);
    explain_forming(&l, out);
    explain_proofs(&l, out);
    explain_fencers(&l, out);
    explain_severing(&l, out);
    fill_remedies(&l, out);
    explain_verdict(&l, out);
    sound_alarm(l.g, out);
}
