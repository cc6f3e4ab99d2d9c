/* What a move is to be expected to cost: said when it is proposed, and held against what it
 * would cost when it begins. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/core/decide_internal.h"

/* For people, who want to know whether it is one second or one minute: a stop in good order
 * and a promotion, as measured in the laboratory (docs/facts), rounded up. */
enum { STOP_MS = 500, PROMOTE_MS = 1000, LAG_SHARE = 10 };

static uint8_t meant(const struct look *l, uint8_t target)
{
    return target != NO_INSTANCE ? target : candidate_best(l, false);
}

static bool holds_all(const struct look *l, uint8_t instance)
{
    return l->g->policy.sync != SYNC_OFF && l->g->sync_known &&
           candidate_is_member(l, instance);
}

static uint32_t takes_ms(const struct look *l, enum proposal_kind kind)
{
    uint64_t left = holder_wait_left_ns(l);

    if (kind == PROPOSAL_SWITCHOVER)
        return STOP_MS + PROMOTE_MS;
    if (agent_present(l, l->g->active) || left == UINT64_MAX)
        return PROMOTE_MS;
    return (uint32_t)(left / NS_PER_MS) + PROMOTE_MS;
}

/* By their names, as `why` has them. */
static void say_fails(const struct look *l, char text[TEXT_SIZE])
{
    struct explanation e;
    size_t used = 0;

    explain(l->s, l->o, l->group, l->now, &e);
    text[0] = '\0';
    for (unsigned i = 0; i < e.count && used < TEXT_SIZE; i++)
        if (e.list[i].blocks)
            used += (size_t)snprintf(text + used, TEXT_SIZE - used, "%s%s",
                                     used > 0 ? ", " : "", e.list[i].name);
}

static void expected_loss(const struct look *l, enum proposal_kind kind, uint8_t target,
                          struct forecast *ret)
{
    uint8_t to = meant(l, target);

    if (kind == PROPOSAL_ATTEST_DEAD) /* as much as of the failover that it lets go on */
        to = candidate_best(l, false);
    if (to == NO_INSTANCE)
        return;
    ret->member = holds_all(l, to);
    /* A planned move waits for the last byte; a member has all that was acknowledged. */
    ret->loss_known = kind == PROPOSAL_SWITCHOVER || ret->member ||
                      loss_forecast(l->s, l->o, l->group, to, l->now, &ret->loss_bytes);
    if (kind == PROPOSAL_SWITCHOVER || ret->member || !ret->loss_known)
        ret->loss_bytes = 0;
}

void forecast_of(const struct state *s, const struct observations *o, uint8_t group,
                 enum proposal_kind kind, uint8_t target, struct mono now,
                 struct forecast *ret)
{
    struct look l = look_at(s, o, group, now);

    memset(ret, 0, sizeof *ret);
    expected_loss(&l, kind, target, ret);
    ret->takes_ms = takes_ms(&l, kind);
    say_fails(&l, ret->fails);
}

/* Lost would be more than who approved it has read, by more than a tenth of what the policy
 * lets be lost; or it is not known any more how much. */
static bool loses_more(const struct look *l, const struct proposal *p, uint8_t target,
                       char why[TEXT_SIZE])
{
    struct forecast now = {0};

    expected_loss(l, p->kind, target, &now);
    if (p->forecast.loss_known && !now.loss_known) {
        text_set(why, TEXT_SIZE, "how much would be lost is not known any more");
        return true;
    }
    if (!now.loss_known ||
        now.loss_bytes <= p->forecast.loss_bytes + l->g->policy.max_lag_bytes / LAG_SHARE)
        return false;
    text_set(why, TEXT_SIZE,
             "it would lose %" PRIu64 " bytes now, %" PRIu64 " when it was approved",
             now.loss_bytes, p->forecast.loss_bytes);
    return true;
}

static bool cannot_begin(const struct look *l, const struct proposal *p, uint8_t target,
                         char why[TEXT_SIZE])
{
    char text[TEXT_SIZE];

    if (p->kind == PROPOSAL_SWITCHOVER) {
        if (switchover_source_ready(l->s, l->o, l->group, l->now, text, sizeof text) &&
            switchover_may_begin(l->s, l->o, l->group, target, l->now, text, sizeof text))
            return false;
        text_set(why, TEXT_SIZE, "%s", text);
        return true;
    }
    if (target != NO_INSTANCE ? candidate_ok(l, target)
                              : target_ready(l) || active_reborn(l))
        return false;
    text_set(why, TEXT_SIZE, "%s is not ready to take over any more",
             target != NO_INSTANCE ? p->target : "nobody");
    return true;
}

bool proposal_worse(const struct look *l, const struct proposal *p, char why[TEXT_SIZE])
{
    uint8_t target = p->target[0] != '\0' ? group_instance(l->g, p->target) : NO_INSTANCE;

    if (p->target[0] != '\0' && target == NO_INSTANCE) {
        text_set(why, TEXT_SIZE, "the group has no instance %s any more", p->target);
        return true;
    }
    if (p->epoch != l->g->epoch) {
        text_set(why, TEXT_SIZE,
                 "the group has moved on to epoch %" PRIu64
                 ", active in %s; it was %" PRIu64,
                 l->g->epoch, group_region_name(l->g, l->g->active), p->epoch);
        return true;
    }
    if (target == l->g->active) {
        text_set(why, TEXT_SIZE, "%s is active already", p->target);
        return true;
    }
    return cannot_begin(l, p, target, why) || loses_more(l, p, target, why);
}
