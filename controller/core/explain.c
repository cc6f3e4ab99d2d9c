/* `ringfence why`: the very guards that the rules use, with values and limits. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/core/decide_internal.h"

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

#define SET(field, ...) text_set((field), sizeof(field), __VA_ARGS__)

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
        return "not known: its agent does not answer";
    if (seen->server != SERVER_PRIMARY)
        return "not asked: it is no primary that runs";
    return seen->hung ? "accepts no canary write" : "accepts writes";
}

static void explain_cause(const struct look *l, struct explanation *out)
{
    uint64_t left = holder_wait_left_ns(l);
    struct condition *c = add(out, "holder-silent", holder_silent(l), false);

    c->role = COND_CAUSE;

    if (left == UINT64_MAX)
        SET(c->value, "%s has not been granted a lease", active_of(l)->agent);
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
    c = add(out, "server-down", active_down(l), false);
    c->role = COND_CAUSE;
    SET(c->value, "its agent %s, its server was seen as %s",
        agent_present(l, l->g->active) ? "answers" : "does not answer",
        server_state_name(active_seen(l)->seen.server));
    SET(c->limit, "local restarts used %u of %u", l->g->restarts_used,
        l->g->policy.local_restarts);
    c = add(out, "server-hung", active_hung(l), false);
    c->role = COND_CAUSE;
    SET(c->value, "%s", canary(l));
    SET(c->limit, "hung_after %u ms", l->g->policy.hung_after_ms);
}

/* Who would be activated, as the rows see it: the active instance itself, in a new life, if
 * nobody else can. */
static const char *ready_name(const struct look *l)
{
    uint8_t best = candidate_best(l, false);

    if (best != NO_INSTANCE)
        return l->g->instances[best].agent;
    return active_reborn(l) ? active_of(l)->agent : "nobody";
}

/* I11: the exit is said wherever nothing that this version does leads to one. */
#define ATTESTED_BY "by two people, which this version does not take yet"

/* Nobody can take over, somebody could but for what he holds, and the primary is not there
 * to give him the rest. NO_INSTANCE: it is not so. */
static uint8_t needs_attested_loss(const struct look *l)
{
    if (target_ready(l) || active_reborn(l) || agent_present(l, l->g->active))
        return NO_INSTANCE;
    for (uint8_t k = 0; k < l->g->instance_count; k++)
        if (k != l->g->active && candidate_lacks_log(l, k))
            return k;
    return NO_INSTANCE;
}

/* I2: an instance that an activation waits for, and that nobody can prove any more. One
 * that could itself be the target needs no proof. */
static uint8_t needs_attested_proof(const struct look *l)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++)
        if (proof_is_out_of_reach(l, k))
            return k;
    return NO_INSTANCE;
}

static void explain_candidates(const struct look *l, struct explanation *out)
{
    bool binding = l->g->policy.sync == SYNC_REQUIRED || l->g->policy.sync == SYNC_STRICT;
    struct condition *c;
    char name[sizeof c->name], why[sizeof c->value];

    c = add(out, "target-ready", target_ready(l) || active_reborn(l), true);
    SET(c->value, "%s", ready_name(l));
    SET(c->limit, "sync %s: %s%s", sync_mode_name(l->g->policy.sync),
        binding ? "only a member of the sync set is promoted" : "within max_lag",
        needs_attested_loss(l) != NO_INSTANCE
            ? "; without the old primary the exit is an attested loss " ATTESTED_BY
            : "");
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        bool ok;

        if (k == l->g->active)
            continue;
        ok = candidate_explain(l, k, why, sizeof why);
        snprintf(name, sizeof name, "candidate-%s", l->g->instances[k].agent);
        c = add(out, name, ok, false);
        c->role = COND_CANDIDATE;
        SET(c->value, "%s", ok ? "can take over" : why);
        SET(c->limit, "%s of the sync set%s",
            candidate_is_member(l, k) ? "a member" : "not a member",
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
        within ? "by its agent, or by counting its lease out"
               : "only its agent, which is silent, could prove it");
    SET(c->limit, "a fence that nobody could end is not begun%s",
        within ? ""
               : "; the exit is its agent's return, or an attested proof " ATTESTED_BY);
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
        SET(c->limit, "needed of all but the target before an activation (I2)%s%s",
            proof_needs_stop(l->g, k) ? "; ungated_local: its server must be stopped" : "",
            proof_is_out_of_reach(l, k)
                ? "; its agent must answer, else the exit is an attested proof " ATTESTED_BY
                : "");
    }
}

/* Behind what is there already. */
static void PRINTF_LIKE(2, 3) go_on(struct explanation *out, const char *fmt, ...)
{
    size_t used = strlen(out->verdict);
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(out->verdict + used, sizeof out->verdict - used, fmt, args) >=
        (int)(sizeof out->verdict - used))
        text_mark_cut(out->verdict, sizeof out->verdict);
    va_end(args);
}

static bool blocks(const struct explanation *out)
{
    for (unsigned i = 0; i < out->count; i++)
        if (out->list[i].blocks)
            return true;
    return false;
}

/* Every condition that blocks, by name; its value and limit stand in the list. `only`: of
 * these names, by their beginnings; NULL: of all. How many there are. */
static unsigned say_blockers(struct explanation *out, const char *const *only)
{
    unsigned said = 0;

    for (unsigned i = 0; i < out->count; i++) {
        const char *name = out->list[i].name;
        bool wanted = only == NULL;

        for (unsigned k = 0; !wanted && only[k] != NULL; k++)
            wanted = strncmp(name, only[k], strlen(only[k])) == 0;
        if (!out->list[i].blocks || !wanted)
            continue;
        go_on(out, "%s%s", said == 0 ? "" : ", ", name);
        said++;
    }
    return said;
}

/* What ends each of them; `only` as above. */
static void say_remedies(struct explanation *out, const char *const *only)
{
    unsigned said = 0;

    for (unsigned i = 0; i < out->count; i++) {
        const struct condition *c = &out->list[i];
        bool wanted = only == NULL;

        for (unsigned k = 0; !wanted && only[k] != NULL; k++)
            wanted = strncmp(c->name, only[k], strlen(only[k])) == 0;
        if (!c->blocks || !wanted || c->remedy[0] == '\0')
            continue;
        go_on(out, "%s%s", said++ == 0 ? ". To do: " : "; ", c->remedy);
    }
}

static void fill_remedies(const struct look *l, struct explanation *out)
{
    for (unsigned i = 0; i < out->count; i++)
        if (!out->list[i].holds && out->list[i].role != COND_CAUSE)
            remedy_of(l, out->list[i].name, out->list[i].remedy);
}

/* Waits for its agent, or for people: nothing that is counted here ends it. */
static void verdict_attested(const struct look *l, struct explanation *out)
{
    uint8_t loss = needs_attested_loss(l), proof = needs_attested_proof(l);

    if (loss != NO_INSTANCE)
        go_on(out,
              "; %.23s does not hold enough: the exit is the old primary's return, or an "
              "attested loss " ATTESTED_BY,
              l->g->instances[loss].agent);
    else if (proof != NO_INSTANCE)
        go_on(out,
              "; only the agent of %.23s can give its proof: the exit is its return, or an "
              "attested proof " ATTESTED_BY,
              l->g->instances[proof].agent);
}

/* The first thing that it waits for in words, the others by name. */
static void verdict_forming(const struct look *l, struct explanation *out)
{
    const struct forming_wait *waits;
    unsigned n = forming_waits(&waits), said = 0;
    char why[TEXT_SIZE];

    for (unsigned i = 0; i < n; i++) {
        if (waits[i].is_over(l, why))
            continue;
        if (said++ == 0)
            SET(out->verdict, "forming, and held: %s", why);
        else
            go_on(out, "%s%s", said == 2 ? "; also by: " : ", ", waits[i].name);
    }
    out->held = said > 0;
    if (said == 0)
        SET(out->verdict, "forming: %s is activated now", active_of(l)->agent);
}

/* It remembers who was active, and others may have moved the service meanwhile. */
static void verdict_detached(const struct look *l, struct explanation *out)
{
    const char *group = l->g->name, *before = group_region_name(l->g, l->g->active);

    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        if (k == l->g->active || !agent_present(l, k) ||
            l->og->instances[k].seen.server != SERVER_PRIMARY)
            continue;
        SET(out->verdict,
            "the group is detached, and nothing is decided. It was active in %s; %s runs "
            "as "
            "a primary now. To do: `ringfence attach --active %s %s`, or stop that server "
            "and `ringfence attach %s`",
            before, l->g->instances[k].agent, group_region_name(l->g, k), group, group);
        return;
    }
    SET(out->verdict,
        "the group is detached: nothing is decided until `ringfence attach %s` (active in "
        "%s, as before), or `ringfence attach --active REGION %s`",
        group, before, group);
}

/* Of the active instance: what failed, and when it is tried again. */
static void say_failed_step(const struct look *l, struct explanation *out)
{
    const struct step *step = &active_of(l)->step;
    uint64_t ms;

    go_on(out, "step %s failed: %s", step_kind_name(step->kind), step->text);
    if (step_retry_in(l->s, l->o, l->group, l->g->active, l->now, &ms))
        go_on(out,
              "; it is tried again in %" PRIu64 " s, or now by `ringfence retry %.23s`",
              (ms + 999) / 1000, l->g->name);
}

static void verdict_promoting(const struct look *l, struct explanation *out)
{
    static const char *const held[] = {"not-paused", "automatic", NULL};
    char text[TEXT_SIZE];

    SET(out->verdict, "promoting %s: ", active_of(l)->agent);
    if (!agent_present(l, l->g->active)) {
        remedy_start_agent(l, l->g->active, text);
        go_on(out, "its agent does not answer: %s", text);
    } else if (active_of(l)->step.state == STEP_FAILED) {
        say_failed_step(l, out);
    } else {
        go_on(out, "%s",
              holder_wait_left_ns(l) == 0 ? "its lease of this epoch is awaited"
                                          : "its server is being promoted");
    }
    if (run_may_go_on(l))
        return;
    out->held = true;
    go_on(out, "; nobody else is promoted in its place, held by: %s",
          l->g->paused ? "not-paused" : "automatic");
    say_remedies(out, held);
}

static void verdict_switching(const struct look *l, struct explanation *out)
{
    const struct step *step = &active_of(l)->step;
    bool of_run = step->id > l->g->run.id;

    SET(out->verdict,
        "a switchover to %s is under way (%s%s); `ringfence abort %" PRIu64
        "` takes it back, as it does by itself if it does not come to the fence in time",
        group_region_name(l->g, l->g->run.to), of_run ? "step " : "it has begun",
        of_run ? step_kind_name(step->kind) : "", l->g->run.id);
}

/* While something is under way, what it waits for is the news, not a failover. False: the
 * group is steady, or fencing. */
static bool verdict_under_way(const struct look *l, struct explanation *out)
{
    switch (l->g->phase) {
    case PHASE_DETACHED:
        verdict_detached(l, out);
        return true;
    case PHASE_FORMING:
        verdict_forming(l, out);
        return true;
    case PHASE_PROMOTING:
        verdict_promoting(l, out);
        return true;
    case PHASE_SWITCHING:
        if (holder_silent(l))
            return false;
        verdict_switching(l, out);
        return true;
    case PHASE_NONE:
    case PHASE_STEADY:
    case PHASE_FENCING:
    case PHASE_COUNT:
        break;
    }
    return false;
}

/* Irrevocable: what a pause or a cooldown would hold has begun (I11). */
static void verdict_fencing(const struct look *l, struct explanation *out)
{
    static const char *const awaited[] = {"target-ready", "proof-", NULL};
    uint8_t wish = l->g->run.to;

    SET(out->verdict, "fencing has begun and cannot go back: waiting for: ");
    out->held = say_blockers(out, awaited) > 0;
    if (!out->held) {
        if (wish != NO_INSTANCE && !candidate_ok(l, wish))
            go_on(out, "candidate-%.23s, which was asked for, until promote_deadline",
                  l->g->instances[wish].agent);
        else
            SET(out->verdict, "fencing has begun, all is proven: %s is activated now",
                wish != NO_INSTANCE ? l->g->instances[wish].agent : ready_name(l));
    }
    verdict_attested(l, out);
    say_remedies(out, awaited);
}

/* It is down, and no failover is due for that yet. */
static void verdict_restart(const struct look *l, struct explanation *out)
{
    const struct step *step = &active_of(l)->step;

    SET(out->verdict, "the server of %.23s is down: ", active_of(l)->agent);
    if (step->state == STEP_STARTED)
        go_on(out, "step %s is under way", step_kind_name(step->kind));
    else if (step->state == STEP_FAILED && step->kind == STEP_LEAD)
        say_failed_step(l, out);
    else
        go_on(out, "it is started again where it is (local restarts used %u of %u)",
              l->g->restarts_used, l->g->policy.local_restarts);
}

static void verdict(const struct look *l, struct explanation *out)
{
    bool cause = holder_silent(l) || active_hung(l) || active_down(l);
    /* As in the table: a silent holder comes before a restart of its server. */
    bool due = holder_silent(l) || active_hung(l) || (active_down(l) && !restarts_left(l));
    bool suspected = group_is_suspect(l->s, l->o, l->group, l->now);

    out->cause = cause;
    out->would_fail_over = due && !blocks(out);
    if (verdict_under_way(l, out))
        return;
    if (l->g->phase == PHASE_FENCING) {
        verdict_fencing(l, out);
        return;
    }
    if (out->would_fail_over) {
        SET(out->verdict, "a failover begins now");
    } else if (!cause && active_shut(l)) {
        SET(out->verdict,
            "writes are held: the gate of %.23s is closed though its lease "
            "holds: %s",
            active_of(l)->agent, active_seen(l)->seen.problem);
    } else if (cause && !due && !l->g->paused) {
        verdict_restart(l, out);
    } else if (blocks(out)) {
        SET(out->verdict, "%s held by: ",
            due         ? "a failover is due, and"
            : cause     ? "the server is down; its restart, and a failover, are"
            : suspected ? "the active side does not answer, its lease is being counted "
                          "out; a failover would be"
                        : "nothing is wrong; a failover would be");
        say_blockers(out, NULL);
    } else {
        SET(out->verdict, "%s; a failover would find %s ready",
            suspected ? "the active side does not answer, its lease is being counted out"
                      : "nothing is wrong",
            ready_name(l));
    }
    out->held = due && !out->would_fail_over;
    if (out->held)
        verdict_attested(l, out);
    if (cause || !active_shut(l))
        say_remedies(out, NULL);
    else
        out->held = true;
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
    fill_remedies(&l, out);
    verdict(&l, out);
}
