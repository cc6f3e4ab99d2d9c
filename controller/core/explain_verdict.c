/* What is, what holds it, and what to do: the sentence above the list of `ringfence why`,
 * and the hold that `ringfence status` shows and the log has. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/core/explain_internal.h"

const char *ready_name(const struct look *l)
{
    uint8_t best = candidate_best(l, false);

    if (best != NO_INSTANCE)
        return l->g->instances[best].agent;
    return active_reborn(l) ? active_of(l)->agent : "nobody";
}

uint8_t needs_attested_loss(const struct look *l)
{
    if (target_ready(l) || active_reborn(l) || agent_present(l, l->g->active))
        return NO_INSTANCE;
    for (uint8_t k = 0; k < l->g->instance_count; k++)
        if (k != l->g->active && candidate_lacks_log(l, k))
            return k;
    return NO_INSTANCE;
}

uint8_t needs_attested_proof(const struct look *l)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++)
        if (proof_is_out_of_reach(l, k))
            return k;
    return NO_INSTANCE;
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

/* Waits for its agent, or for people: nothing that is counted here ends it. */
static void verdict_attested(const struct look *l, struct explanation *out)
{
    uint8_t loss = needs_attested_loss(l), proof = needs_attested_proof(l);

    if (loss != NO_INSTANCE)
        go_on(out,
              "; %.23s does not hold enough: the exit is the old primary's return, or an "
              "attested loss " ATTEST_LOSS,
              l->g->instances[loss].agent, l->g->name, l->g->instances[loss].agent);
    else if (proof != NO_INSTANCE)
        go_on(out,
              "; only the agent of %.23s can give its proof: the exit is its return, or an "
              "attested proof " ATTEST_DEAD,
              l->g->instances[proof].agent, l->g->name, l->g->instances[proof].agent);
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
            SET(out->verdict, "not activated yet: %s", why);
        else
            go_on(out, "%s%s", said == 2 ? "; and for these, which `why` has: " : ", ",
                  waits[i].name);
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
    } else if (former_life_stands(l, l->g->active)) {
        go_on(out, "its agent was started anew: it is promoted again behind a fence");
    } else if (active_of(l)->step.state == STEP_FAILED) {
        say_failed_step(l, out);
    } else {
        go_on(out, "%s",
              holder_wait_left_ns(l) == 0 ? "its lease of this epoch is awaited"
                                          : "its server is being promoted");
    }
    /* Here, as behind a fence, nobody but a person takes what is damaged (I11). */
    if (waits_for_word(l)) {
        out->held = true;
        go_on(
            out,
            "; who could lead had checksum failures: `ringfence failover %s` takes it all "
            "the same",
            l->g->name);
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
    const struct step *step = switch_step(l);

    SET(out->verdict,
        "a switchover to %s is under way (%s%s); `ringfence abort %" PRIu64
        "` takes it back, as it does by itself if it does not come to the fence in time",
        group_region_name(l->g, l->g->run.to), step != NULL ? "step " : "it has begun",
        step != NULL ? step_kind_name(step->kind) : "", l->g->run.id);
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

/* It is down, or not opened, and no failover is due for that yet. */
static void verdict_restart(const struct look *l, struct explanation *out)
{
    const struct step *step = &active_of(l)->step;

    SET(out->verdict, "the server of %.23s is %s: ", active_of(l)->agent,
        active_down(l) ? "down" : "not opened (no step lead has verified it)");
    if (step->state == STEP_STARTED)
        go_on(out, "step %s is under way", step_kind_name(step->kind));
    else if (step->state == STEP_FAILED && step->kind == STEP_LEAD)
        say_failed_step(l, out);
    else
        go_on(out, "it is started again where it is (local restarts used %u of %u)",
              l->g->restarts_used, l->g->policy.local_restarts);
}

/* Of the active side, and of who would follow it. */
static const char *how_it_is(const struct look *l)
{
    if (group_is_suspect(l->s, l->o, l->group, l->now))
        return "the active side does not answer, its lease is being counted out";
    if (!no_corruption(l))
        return "the active side answers, and its data had checksum failures";
    if (!target_ready(l) && !active_reborn(l))
        return "the active side is well, and nobody could take over from it";
    return "nothing is wrong";
}

/* No failover begins now; why. */
static void verdict_at_rest(const struct look *l, struct explanation *out, bool due)
{
    if (blocks(out)) {
        if (due)
            SET(out->verdict, "a failover is due, and held by: ");
        else if (out->cause)
            SET(out->verdict, "the server is %s; its %s, and a failover, are held by: ",
                active_unled(l) ? "not opened" : "down",
                active_unled(l) ? "verification" : "restart");
        else
            SET(out->verdict, "%s; a failover would be held by: ", how_it_is(l));
        say_blockers(out, NULL);
    } else {
        SET(out->verdict, "%s; a failover would find %s ready", how_it_is(l),
            ready_name(l));
    }
    out->held = due;
    if (due)
        verdict_attested(l, out);
    say_remedies(out, NULL);
}

/* Nothing is wrong with the server, and its clients wait. */
static bool verdict_waits(const struct look *l, struct explanation *out)
{
    if (active_shut(l))
        SET(out->verdict,
            "writes wait: the gate of %.23s is closed though its lease holds: %s",
            active_of(l)->agent, active_seen(l)->seen.problem);
    else if (writes_wait(l))
        say_waiting(l, out->verdict, sizeof out->verdict);
    else
        return false;
    out->held = true;
    out->writes_wait = !active_shut(l);
    return true;
}

void explain_verdict(const struct look *l, struct explanation *out)
{
    bool cause = holder_silent(l) || active_hung(l) || active_to_be_led(l);
    /* As in the table: a silent holder comes before a restart of its server. */
    bool due =
        holder_silent(l) || active_hung(l) || (active_to_be_led(l) && !restarts_left(l));

    out->cause = cause;
    out->would_fail_over = due && !blocks(out);
    if (verdict_under_way(l, out))
        return;
    if (l->g->phase == PHASE_FENCING)
        verdict_fencing(l, out);
    else if (out->would_fail_over)
        SET(out->verdict, "a failover begins now");
    else if (cause || !verdict_waits(l, out)) {
        if (cause && !due && !l->g->paused)
            verdict_restart(l, out);
        else
            verdict_at_rest(l, out, due);
    }
}
