#include "controller/core/apply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/auto.h"
#include "controller/base/text.h"
#include "controller/core/answered.h"
#include "controller/core/apply_internal.h"

const char *refusal_name(enum refusal r)
{
    switch (r) {
#define X(name, number, text)                                                              \
    case name:                                                                             \
        return text;
        REFUSAL_MAP(X)
#undef X
    }
    return "?";
}

void refuse(struct applying *a, enum refusal why, const char *fmt, ...)
{
    va_list args;

    a->result->refusal = why;
    va_start(args, fmt);
    if (vsnprintf(a->result->text, sizeof a->result->text, fmt, args) >=
        (int)sizeof a->result->text)
        text_mark_cut(a->result->text, sizeof a->result->text);
    va_end(args);
}

static void apply_pause(struct applying *a)
{
    /* Decisions only: leases, gates and fences go on (design section 4). */
    a->g->paused = a->e->kind == ENTRY_PAUSE;
    a->g->index = a->index;
}

typedef void handler(struct applying *a);

struct handling {
    handler *run;
    bool needs_group;
};

/* All but ENTRY_NONE and ENTRY_REFUSED. */
static const struct {
    enum entry_kind kind;
    struct handling handling;
} handlings[] = {
    {ENTRY_CONTROLLER, {apply_controller, false}},
    {ENTRY_ENROL, {apply_enrol, false}},
    {ENTRY_DECLARE, {apply_declare, false}},
    {ENTRY_REMOVE, {apply_remove, true}},
    {ENTRY_RENEW, {apply_renew, false}},
    {ENTRY_PROOF, {apply_proof, true}},
    {ENTRY_FENCE_BEGIN, {apply_fence_begin, true}},
    {ENTRY_ACTIVATE, {apply_activate, true}},
    {ENTRY_OPENED, {apply_opened, true}},
    {ENTRY_SYNC_SHRINK, {apply_sync_shrink, true}},
    {ENTRY_SYNC_JOIN, {apply_sync_join, true}},
    {ENTRY_STEP_START, {apply_step_start, true}},
    {ENTRY_STEP_END, {apply_step_end, true}},
    {ENTRY_SWITCHOVER, {apply_switchover, true}},
    {ENTRY_RUN_ABORT, {apply_run_abort, true}},
    {ENTRY_PAUSE, {apply_pause, true}},
    {ENTRY_RESUME, {apply_pause, true}},
    {ENTRY_DETACH, {apply_detach, true}},
    {ENTRY_ATTACH, {apply_attach, true}},
    {ENTRY_CONTROLLER_REPLACE, {apply_controller_replace, false}},
    {ENTRY_CORRUPTION, {apply_corruption, true}},
    {ENTRY_FALSE_PROOF, {apply_false_proof, true}},
    {ENTRY_ACKNOWLEDGE, {apply_acknowledge, true}},
    {ENTRY_USER_SET, {apply_people, false}},
    {ENTRY_USER_REMOVE, {apply_people, false}},
    {ENTRY_USER_TOKEN, {apply_people, false}},
    {ENTRY_USER_REVOKE, {apply_people, false}},
    {ENTRY_USER_TOTP, {apply_people, false}},
    {ENTRY_USER_UNLOCK, {apply_people, false}},
    {ENTRY_FACTOR_USED, {apply_people, false}},
    {ENTRY_FACTOR_FAILED, {apply_people, false}},
    {ENTRY_PROPOSE, {apply_propose, true}},
    {ENTRY_APPROVE, {apply_approve, true}},
    {ENTRY_REJECT, {apply_reject, true}},
    {ENTRY_WITHDRAW, {apply_withdraw, true}},
    {ENTRY_EXPIRE, {apply_expire, true}},
    {ENTRY_STALE, {apply_stale, true}},
};
_Static_assert(ARRAY_LEN(handlings) == ENTRY_KIND_COUNT - 2,
               "a kind of entry without a handler");

static struct handling handling_of(enum entry_kind kind)
{
    for (unsigned i = 0; i < ARRAY_LEN(handlings); i++)
        if (handlings[i].kind == kind)
            return handlings[i].handling;
    return (struct handling){NULL, false};
}

static void apply_at(struct state *s, uint64_t index, const struct entry *e,
                     struct apply_result *ret_result)
{
    struct applying a = {.s = s, .index = index, .e = e, .result = ret_result};
    struct handling h = handling_of(e->kind);
    struct answered row;

    memset(ret_result, 0, sizeof *ret_result);
    s->applied = index;
    if (e->kind == ENTRY_REFUSED)
        return; /* a note for the audit trail; it changes nothing (I10) */
    if (h.run == NULL) {
        refuse(&a, REFUSE_INVALID, "an entry of kind %d is none that can be applied",
               (int)e->kind);
        return;
    }
    a.g = state_group(s, e->group);
    if (!answered_admits(&a, &row))
        return;
    if (h.needs_group && a.g == NULL) {
        refuse(&a, REFUSE_UNKNOWN_GROUP,
               "there is no group '%s'; `ringfence status` lists them", e->group);
        return;
    }
    h.run(&a);
    if (ret_result->refusal == ACCEPTED)
        answered_remember(&a, &row);
}

void apply(struct state *s, uint64_t index, const struct entry *e,
           struct apply_result *ret_result)
{
    ASSERT(index > s->applied);
    apply_at(s, index, e, ret_result);
}

void apply_dry(const struct state *s, const struct entry *e, struct state *scratch,
               struct apply_result *ret_result)
{
    struct applying a = {.result = ret_result};
    const char *broken;

    state_copy(scratch, s);
    apply_at(scratch, s->applied + 1, e, ret_result);
    if (ret_result->refusal != ACCEPTED)
        return;
    /* What no handler thought of stops here, at its proposer: once it is committed it would
     * stop every controller, and each of them again at its restart. */
    broken = state_invariant_broken_by(scratch, e);
    if (broken != NULL)
        refuse(&a, REFUSE_INVALID, "it would break an invariant: %s", broken);
}
