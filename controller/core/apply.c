#include "controller/core/apply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/text.h"
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

/* The compiler finds the kind we forgot. */
static struct handling handling_of(enum entry_kind kind)
{
    switch (kind) {
    case ENTRY_CONTROLLER:
        return (struct handling){apply_controller, false};
    case ENTRY_CONTROLLER_REPLACE:
        return (struct handling){apply_controller_replace, false};
    case ENTRY_ENROL:
        return (struct handling){apply_enrol, false};
    case ENTRY_DECLARE:
        return (struct handling){apply_declare, false};
    case ENTRY_RENEW:
        return (struct handling){apply_renew, false};
    case ENTRY_REMOVE:
        return (struct handling){apply_remove, true};
    case ENTRY_PROOF:
        return (struct handling){apply_proof, true};
    case ENTRY_FENCE_BEGIN:
        return (struct handling){apply_fence_begin, true};
    case ENTRY_ACTIVATE:
        return (struct handling){apply_activate, true};
    case ENTRY_OPENED:
        return (struct handling){apply_opened, true};
    case ENTRY_SYNC_SHRINK:
        return (struct handling){apply_sync_shrink, true};
    case ENTRY_SYNC_JOIN:
        return (struct handling){apply_sync_join, true};
    case ENTRY_STEP_START:
        return (struct handling){apply_step_start, true};
    case ENTRY_STEP_END:
        return (struct handling){apply_step_end, true};
    case ENTRY_CORRUPTION:
        return (struct handling){apply_corruption, true};
    case ENTRY_FALSE_PROOF:
        return (struct handling){apply_false_proof, true};
    case ENTRY_ACKNOWLEDGE:
        return (struct handling){apply_acknowledge, true};
    case ENTRY_SWITCHOVER:
        return (struct handling){apply_switchover, true};
    case ENTRY_RUN_ABORT:
        return (struct handling){apply_run_abort, true};
    case ENTRY_PAUSE:
    case ENTRY_RESUME:
        return (struct handling){apply_pause, true};
    case ENTRY_DETACH:
        return (struct handling){apply_detach, true};
    case ENTRY_ATTACH:
        return (struct handling){apply_attach, true};
    case ENTRY_USER_SET:
    case ENTRY_USER_REMOVE:
    case ENTRY_USER_TOKEN:
    case ENTRY_USER_REVOKE:
    case ENTRY_USER_TOTP:
    case ENTRY_USER_UNLOCK:
    case ENTRY_FACTOR_USED:
    case ENTRY_FACTOR_FAILED: /* apply_people(), before they come here */
    case ENTRY_REFUSED:
    case ENTRY_NONE:
    case ENTRY_KIND_COUNT:
        break;
    }
    return (struct handling){NULL, false};
}

static void apply_at(struct state *s, uint64_t index, const struct entry *e,
                     struct apply_result *ret_result)
{
    struct applying a = {.s = s, .index = index, .e = e, .result = ret_result};
    struct handling h = handling_of(e->kind);

    memset(ret_result, 0, sizeof *ret_result);
    s->applied = index;
    if (e->kind == ENTRY_REFUSED)
        return; /* a note for the audit trail; it changes nothing (I10) */
    if (e->kind >= ENTRY_USER_SET && e->kind <= ENTRY_FACTOR_FAILED) {
        apply_people(&a);
        return;
    }
    if (h.run == NULL) {
        refuse(&a, REFUSE_INVALID, "an entry of kind %d is none that can be applied",
               (int)e->kind);
        return;
    }
    a.g = state_group(s, e->group);
    if (h.needs_group && a.g == NULL) {
        refuse(&a, REFUSE_UNKNOWN_GROUP,
               "there is no group '%s'; `ringfence status` lists them", e->group);
        return;
    }
    h.run(&a);
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
