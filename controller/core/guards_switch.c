/* The rows of a controlled switchover, before its fence. */
#include "controller/core/guards.h"

#include <inttypes.h>

#include "controller/base/text.h"

const struct step *switch_step(const struct look *l)
{
    const struct step *step = &active_of(l)->step;
    bool ours = step->kind == STEP_CHECKPOINT || step->kind == STEP_STOP;

    return ours && step->id > l->g->run.id ? step : NULL;
}

static const struct step *step_of_run(const struct look *l, enum step_kind kind)
{
    const struct step *step = switch_step(l);

    return step != NULL && step->kind == kind ? step : NULL;
}

/* I11: an activation of it could only stand still. Better to go back while that is possible
 * than to find out behind the fence, with nobody open. */
static bool target_unfit(const struct look *l)
{
    return agent_present(l, l->g->run.to) && l->og->instances[l->g->run.to].seen.unfit;
}

/* I8: the holder asks to let the target go, and writes wait until that is done; only
 * `steady` does it. Nothing was stopped yet that would have to be started again. */
static bool target_keeps_writes_waiting(const struct look *l)
{
    const struct seen_instance *seen = &active_seen(l)->seen;

    return step_of_run(l, STEP_STOP) == NULL && agent_present(l, l->g->active) &&
           seen->epoch == l->g->epoch && (seen->shrink & 1U << l->g->run.to) != 0;
}

bool guard_not_checkpointed(const struct look *l, struct entry *e)
{
    if (switch_step(l) != NULL || active_of(l)->step.state == STEP_STARTED ||
        target_unfit(l))
        return false;
    return propose_step(l, e, l->g->active, STEP_CHECKPOINT);
}

static bool target_streams(const struct look *l)
{
    const struct seen_instance *seen = &l->og->instances[l->g->run.to].seen;

    return agent_present(l, l->g->run.to) && seen->server == SERVER_STANDBY &&
           seen->streaming && seen->follows_active;
}

bool guard_checkpointed(const struct look *l, struct entry *e)
{
    const struct step *step = step_of_run(l, STEP_CHECKPOINT);

    if (step == NULL || step->state == STEP_STARTED || target_unfit(l) ||
        !target_streams(l))
        return false;
    return propose_step(l, e, l->g->active, STEP_STOP);
}

/* A planned move loses nothing in any mode: the target has flushed the shutdown checkpoint,
 * the last record that the old primary wrote. */
bool guard_stopped_and_flushed(const struct look *l, struct entry *e)
{
    const struct step *step = step_of_run(l, STEP_STOP);

    if (step == NULL || step->state != STEP_DONE || step->position == 0 ||
        !agent_present(l, l->g->run.to) || target_unfit(l) ||
        l->og->instances[l->g->run.to].seen.flush_lsn < step->position)
        return false;
    propose_fence(l, e, "stopped, and the target has flushed its log to the end");
    e->fence_begin.run = RUN_SWITCHOVER;
    propose_target(l, e, l->g->run.to);
    e->fence_begin.requested = true;
    return true;
}

/* What it has waited for all the time. */
static void say_overdue(const struct look *l, char reason[TEXT_SIZE])
{
    const struct step *step = switch_step(l), *other = &active_of(l)->step;
    const char *silent = agent_present(l, l->g->active) ? "" : ", and its agent is silent";
    const char *name = active_of(l)->agent;
    uint64_t ms = 2ull * l->g->policy.stop_deadline_ms;

    if (step == NULL && other->state == STEP_STARTED)
        text_set(reason, TEXT_SIZE,
                 "step %s of %s, begun before, has not ended in %" PRIu64 " ms%s",
                 step_kind_name(other->kind), name, ms, silent);
    else if (step == NULL)
        text_set(reason, TEXT_SIZE, "nothing was begun on %s in %" PRIu64 " ms%s", name, ms,
                 silent);
    else if (step->state == STEP_FAILED)
        text_set(reason, TEXT_SIZE,
                 "step %s of %s failed, %" PRIu64 " ms have passed%s: %s",
                 step_kind_name(step->kind), name, ms, silent, step->text);
    else if (step->state == STEP_STARTED)
        text_set(reason, TEXT_SIZE, "step %s of %s has not ended in %" PRIu64 " ms%s",
                 step_kind_name(step->kind), name, ms, silent);
    else
        text_set(reason, TEXT_SIZE, "%s %s in %" PRIu64 " ms (2 x stop_deadline)",
                 l->g->instances[l->g->run.to].agent,
                 step->kind == STEP_STOP ? "has not flushed the log to its end"
                                         : "does not stream",
                 ms);
}

/* The target has died with its agent. Behind the stop nobody serves, and before it writes
 * wait for a member that cannot leave the sync set in the midst of a run: so it is not
 * waited for as long as for one that is slow. Two leases, since a restart of an agent fits
 * one. */
static bool target_gone(const struct look *l)
{
    const struct seen_instance *seen = &l->og->instances[l->g->run.to].seen;
    uint64_t since =
        mono_since_ms(mono_is_set(seen->at) ? seen->said : l->og->phase_since, l->now);

    return active_of(l)->step.state != STEP_STARTED && !agent_present(l, l->g->run.to) &&
           since > 2ull * l->g->policy.lease.ttl_ms;
}

bool guard_switch_overdue(const struct look *l, struct entry *e)
{
    const struct step *stop = step_of_run(l, STEP_STOP);
    bool failed = stop != NULL && stop->state == STEP_FAILED;
    bool idle = active_of(l)->step.state != STEP_STARTED;
    bool unfit = idle && target_unfit(l), waits = idle && target_keeps_writes_waiting(l);
    uint64_t since = mono_since_ms(l->og->phase_since, l->now);
    bool gone = target_gone(l);
    char *reason = e->run_abort.reason;

    if (!failed && !unfit && !gone && !waits &&
        since < 2ull * l->g->policy.stop_deadline_ms)
        return false;
    e->kind = ENTRY_RUN_ABORT;
    e->run_abort = (struct entry_run_abort){.run = l->g->run.id};
    if (failed)
        text_set(reason, TEXT_SIZE, "the stop failed: %s", stop->text);
    else if (unfit)
        text_set(reason, TEXT_SIZE, "the target can begin nothing: %s",
                 l->og->instances[l->g->run.to].seen.problem);
    else if (gone)
        text_set(reason, TEXT_SIZE, "the target, %s, is silent",
                 l->g->instances[l->g->run.to].agent);
    else if (waits)
        text_set(reason, TEXT_SIZE, "writes wait for %s, which does not flush",
                 l->g->instances[l->g->run.to].agent);
    else
        say_overdue(l, reason);
    return true;
}
