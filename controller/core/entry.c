#include "controller/core/entry.h"
#include "controller/core/people.h"

#include <inttypes.h>
#include <stdio.h>

const char *entry_kind_name(enum entry_kind k)
{
    switch (k) {
#define X(name, number, text)                                                              \
    case name:                                                                             \
        return text;
        ENTRY_KIND_MAP(X)
#undef X
    case ENTRY_KIND_COUNT:
        break;
    }
    return "?";
}

uint8_t entry_instance(const struct entry *e)
{
    switch (e->kind) {
    case ENTRY_PROOF:
        return e->proof.instance;
    case ENTRY_ACTIVATE:
        return e->activate.instance;
    case ENTRY_OPENED:
        return e->opened.instance;
    case ENTRY_SYNC_SHRINK:
    case ENTRY_SYNC_JOIN:
        return e->sync.instance;
    case ENTRY_STEP_START:
        return e->step_start.instance;
    case ENTRY_STEP_END:
        return e->step_end.instance;
    case ENTRY_SWITCHOVER:
        return e->switchover.target;
    case ENTRY_ATTACH:
        return e->attach.active;
    case ENTRY_NONE:
    case ENTRY_CONTROLLER:
    case ENTRY_ENROL:
    case ENTRY_DECLARE:
    case ENTRY_REMOVE:
    case ENTRY_RENEW:
    case ENTRY_FENCE_BEGIN:
    case ENTRY_RUN_ABORT:
    case ENTRY_PAUSE:
    case ENTRY_RESUME:
    case ENTRY_DETACH:
    case ENTRY_REFUSED:
    case ENTRY_CONTROLLER_REPLACE:
    case ENTRY_CORRUPTION:
    case ENTRY_FALSE_PROOF:
    case ENTRY_ACKNOWLEDGE:
    case ENTRY_USER_SET:
    case ENTRY_USER_REMOVE:
    case ENTRY_USER_TOKEN:
    case ENTRY_USER_REVOKE:
    case ENTRY_USER_TOTP:
    case ENTRY_USER_UNLOCK:
    case ENTRY_FACTOR_USED:
    case ENTRY_FACTOR_FAILED:
    case ENTRY_PROPOSE:
    case ENTRY_APPROVE:
    case ENTRY_REJECT:
    case ENTRY_WITHDRAW:
    case ENTRY_EXPIRE:
    case ENTRY_STALE:
    case ENTRY_KIND_COUNT:
        break;
    }
    return NO_INSTANCE;
}

const char *entry_instance_name(const struct entry *e)
{
    if (e->kind == ENTRY_SWITCHOVER)
        return e->switchover.target_name;
    return e->kind == ENTRY_ATTACH ? e->attach.active_name : "";
}

uint8_t entry_target(const struct group *g, uint8_t position, const char *name)
{
    if (name[0] != '\0')
        return group_instance(g, name);
    return position < g->instance_count ? position : NO_INSTANCE;
}

static void summary_of_step(const struct entry *e, const char *name, char *text,
                            unsigned size)
{
    if (e->kind == ENTRY_STEP_START)
        /* No server is started anew in its epoch but one that was seen down. */
        snprintf(text, size, "%s%s begins %s%s in epoch %" PRIu64, name,
                 e->step_start.restart ? " is down:" : "",
                 step_kind_name(e->step_start.kind),
                 e->step_start.restart ? " (restart)" : "", e->step_start.epoch);
    else if (e->step_end.position != 0)
        snprintf(text, size, "%s %s at %" PRIX64 "/%" PRIX64 "%s%s", name,
                 e->step_end.done ? "done" : "failed", e->step_end.position >> 32,
                 e->step_end.position & 0xffffffff, e->step_end.text[0] != '\0' ? ": " : "",
                 e->step_end.text);
    else
        snprintf(text, size, "%s %s%s%s", name, e->step_end.done ? "done" : "failed",
                 e->step_end.text[0] != '\0' ? ": " : "", e->step_end.text);
}

static void summary_of_fence(const struct entry *e, const char *name, char *text,
                             unsigned size)
{
    char grant[48] = ""; /* only a failover from a silent holder rests on one */

    if (e->kind == ENTRY_FENCE_BEGIN && e->fence_begin.expected_grant != 0)
        snprintf(grant, sizeof grant, ", last grant %" PRIu64,
                 e->fence_begin.expected_grant);
    if (e->kind == ENTRY_FENCE_BEGIN)
        snprintf(text, size, "%s of epoch %" PRIu64 "%s%s%s: %s",
                 run_kind_name(e->fence_begin.run), e->fence_begin.epoch,
                 e->fence_begin.target_name[0] != '\0' ? " to " : "",
                 e->fence_begin.target_name, grant, e->fence_begin.reason);
    else if (e->kind == ENTRY_PROOF)
        snprintf(text, size, "%s proven by %s for epoch %" PRIu64 "%s%s", name,
                 proof_kind_name(e->proof.kind), e->proof.epoch,
                 e->proof.severed_by[0] != '\0' ? ": its log is refused by " : "",
                 e->proof.severed_by);
    else if (e->kind == ENTRY_ACTIVATE)
        snprintf(text, size,
                 "%s becomes active in epoch %" PRIu64 ", forecast loss %" PRIu64
                 " bytes%s",
                 name, e->activate.epoch, e->activate.loss_forecast_bytes,
                 e->activate.loss_forecast_known ? "" : " (not known)");
    else
        snprintf(text, size, "%s opened for writes in epoch %" PRIu64, name,
                 e->opened.epoch);
}

/* Who takes part: controllers, agents. */
static void summary_of_party(const struct entry *e, char *text, unsigned size)
{
    if (e->kind == ENTRY_CONTROLLER)
        snprintf(text, size,
                 "controller %s in %s, version %s, formats %u to %u, "
                 "election timeout %u ms",
                 e->controller.name, e->controller.region, e->controller.version,
                 e->controller.format_min, e->controller.format_max,
                 e->controller.election_ms);
    else if (e->kind == ENTRY_CONTROLLER_REPLACE)
        snprintf(text, size, "controller %s: id %" PRIu64 " replaces %" PRIu64,
                 e->controller_replace.name, e->controller_replace.id,
                 e->controller_replace.former);
    else
        snprintf(text, size, "agent %s in %s at %s, version %s", e->enrol.agent.name,
                 e->enrol.agent.region, e->enrol.agent.address, e->enrol.agent.version);
}

static void summary_of_set(const struct entry *e, const char *name, char *text,
                           unsigned size)
{
    if (e->kind == ENTRY_SYNC_SHRINK)
        snprintf(text, size, "%s leaves the sync set of epoch %" PRIu64, name,
                 e->sync.epoch);
    else
        snprintf(text, size,
                 "%s joins the sync set of epoch %" PRIu64 ", flushed %" PRIX64 "/%" PRIX64,
                 name, e->sync.epoch, e->sync.position >> 32,
                 e->sync.position & 0xffffffff);
}

/* What people want, and whether they agree. */
static void summary_of_proposal(const struct entry *e, char *text, unsigned size)
{
    const struct forecast *f = &e->propose.forecast;
    char loss[64];

    if (e->kind == ENTRY_PROPOSE && !f->loss_known)
        snprintf(loss, sizeof loss, "loss not known");
    else if (e->kind == ENTRY_PROPOSE)
        snprintf(loss, sizeof loss, "forecast loss %" PRIu64 " bytes", f->loss_bytes);
    if (e->kind == ENTRY_PROPOSE)
        snprintf(text, size, "%s%s%s%s, epoch %" PRIu64 ", %s: %s",
                 e->propose.break_glass ? "BREAK GLASS: " : "",
                 proposal_kind_name(e->propose.kind),
                 e->propose.target[0] != '\0' ? " " : "", e->propose.target,
                 e->propose.epoch, loss, e->propose.reason);
    else
        snprintf(text, size, "proposal %" PRIu64 "%s%s", e->proposal.id,
                 e->proposal.reason[0] != '\0' ? ": " : "", e->proposal.reason);
}

/* What is wrong, and who has seen it. */
static void summary_of_trouble(const struct entry *e, char *text, unsigned size)
{
    if (e->kind == ENTRY_CORRUPTION)
        snprintf(text, size, "%s reports %" PRIu64 " checksum failures",
                 e->corruption.agent, e->corruption.failures);
    else if (e->kind == ENTRY_FALSE_PROOF)
        snprintf(text, size,
                 "ALARM: the proof of %s by %s at index %" PRIu64 " does not hold: %s",
                 e->false_proof.agent, proof_kind_name(e->false_proof.kind),
                 e->false_proof.proof, e->false_proof.text);
    else if (e->kind == ENTRY_ACKNOWLEDGE)
        snprintf(text, size, "alarms are acknowledged: %s", e->acknowledge.reason);
    else
        snprintf(text, size, "%s", e->refused.text);
}

static void summary_of_request(const struct entry *e, const char *name, char *text,
                               unsigned size)
{
    if (e->kind == ENTRY_SWITCHOVER)
        snprintf(text, size, "to %s, epoch %" PRIu64 "%s%s", name, e->switchover.epoch,
                 e->switchover.reason[0] != '\0' ? ": " : "", e->switchover.reason);
    else if (e->kind == ENTRY_RUN_ABORT)
        snprintf(text, size, "run %" PRIu64 "%s%s", e->run_abort.run,
                 e->run_abort.reason[0] != '\0' ? ": " : "", e->run_abort.reason);
    else
        snprintf(text, size, "active: %s", name);
}

static void summary_of_people(const struct entry *e, char *text, unsigned size)
{
    if (e->kind >= ENTRY_PROPOSE)
        summary_of_proposal(e, text, size);
    else
        people_summary(e, text, size);
}

/* What is said of the group as a whole. */
static const char *plain_summary(enum entry_kind kind)
{
    if (kind == ENTRY_REMOVE)
        return "the group is removed";
    if (kind == ENTRY_PAUSE)
        return "automatic decisions are paused";
    if (kind == ENTRY_RESUME)
        return "automatic decisions go on";
    if (kind == ENTRY_DETACH)
        return "its servers are let go: no lease, no gate, no failover";
    return entry_kind_name(kind);
}

void entry_summary(const struct entry *e, const char *name, char *text, unsigned size)
{
    switch (e->kind) {
    case ENTRY_CONTROLLER:
    case ENTRY_CONTROLLER_REPLACE:
    case ENTRY_ENROL:
        summary_of_party(e, text, size);
        return;
    case ENTRY_RENEW:
        snprintf(text, size, "%u renewals", e->renew.count);
        return;
    case ENTRY_PROOF:
    case ENTRY_FENCE_BEGIN:
    case ENTRY_ACTIVATE:
    case ENTRY_OPENED:
        summary_of_fence(e, name, text, size);
        return;
    case ENTRY_SYNC_SHRINK:
    case ENTRY_SYNC_JOIN:
        summary_of_set(e, name, text, size);
        return;
    case ENTRY_STEP_START:
    case ENTRY_STEP_END:
        summary_of_step(e, name, text, size);
        return;
    case ENTRY_SWITCHOVER:
    case ENTRY_RUN_ABORT:
    case ENTRY_ATTACH:
        summary_of_request(e, name, text, size);
        return;
    case ENTRY_CORRUPTION:
    case ENTRY_FALSE_PROOF:
    case ENTRY_ACKNOWLEDGE:
    case ENTRY_REFUSED:
        summary_of_trouble(e, text, size);
        return;
    case ENTRY_USER_SET:
    case ENTRY_USER_REMOVE:
    case ENTRY_USER_TOKEN:
    case ENTRY_USER_REVOKE:
    case ENTRY_USER_TOTP:
    case ENTRY_USER_UNLOCK:
    case ENTRY_FACTOR_USED:
    case ENTRY_FACTOR_FAILED:
    case ENTRY_PROPOSE:
    case ENTRY_APPROVE:
    case ENTRY_REJECT:
    case ENTRY_WITHDRAW:
    case ENTRY_EXPIRE:
    case ENTRY_STALE:
        summary_of_people(e, text, size);
        return;
    case ENTRY_REMOVE:
    case ENTRY_PAUSE:
    case ENTRY_RESUME:
    case ENTRY_DETACH:
    case ENTRY_NONE:
    case ENTRY_DECLARE:
    case ENTRY_KIND_COUNT:
        break;
    }
    snprintf(text, size, "%s", plain_summary(e->kind));
}
