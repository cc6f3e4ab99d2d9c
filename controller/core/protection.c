/* Whether somebody could take over: asked before a planned move, and for the operator's eye
 * while nothing is wrong yet. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/core/decide_internal.h"

static void PRINTF_LIKE(3, 4) add_text(char *out, unsigned size, const char *fmt, ...)
{
    size_t used = strlen(out);
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(out + used, size - used, fmt, args) >= (int)(size - used))
        text_mark_cut(out, size);
    va_end(args);
}

static void add_remedy(const struct look *l, const char *condition, char *out,
                       unsigned size)
{
    char remedy[TEXT_SIZE];

    remedy_of(l, condition, remedy);
    if (remedy[0] != '\0')
        add_text(out, size, ". To do: %s", remedy);
}

/* Behind the fence a target that cannot lead would only be waited for, with nobody open:
 * the move is not begun. It says nothing of what comes later, so the run asks again. */
bool switchover_may_begin(const struct state *s, const struct observations *o,
                          uint8_t group, uint8_t instance, struct mono now, char *out,
                          unsigned size)
{
    struct look l = look_at(s, o, group, now);
    const char *name = l.g->instances[instance].agent;
    char why[WHY_SIZE], condition[NAME_SIZE + sizeof "candidate-"];

    l.asked = true;
    out[0] = '\0';
    if (candidate_able(&l, instance, why, sizeof why))
        return true;
    add_text(out, size, "%s could not take over: %s", name, why);
    snprintf(condition, sizeof condition, "candidate-%s", name);
    add_remedy(&l, condition, out, size);
    return false;
}

/* It would be waited for until 2 x stop_deadline has passed, with a failover refused all
 * the while. */
bool switchover_source_ready(const struct state *s, const struct observations *o,
                             uint8_t group, struct mono now, char *out, unsigned size)
{
    struct look l = look_at(s, o, group, now);
    const struct seen_instance *seen = &active_seen(&l)->seen;
    const char *name = active_of(&l)->agent, *why = "";
    char back[TEXT_SIZE];

    text_set(back, sizeof back, "wait until it runs again");
    if (!agent_present(&l, l.g->active)) {
        why = "its agent does not answer";
        remedy_start_agent(&l, l.g->active, back);
    } else if (seen->server != SERVER_PRIMARY || seen->crashed) {
        why = "it does not run";
    } else if (seen->hung) {
        why = "it hangs";
    }
    out[0] = '\0';
    if (why[0] == '\0')
        return true;
    add_text(out, size,
             "the server of %s cannot be stopped in good order: %s. To do: `ringfence "
             "failover %s`, which needs nothing of it; or %s",
             name, why, l.g->name, back);
    return false;
}

bool active_shut(const struct look *l)
{
    const struct seen_instance *seen = &active_seen(l)->seen;

    return l->g->phase == PHASE_STEADY && agent_present(l, l->g->active) &&
           seen->epoch == l->g->epoch && seen->server == SERVER_PRIMARY &&
           seen->lease_margin_ms > 0 && seen->problem[0] != '\0' &&
           strcmp(seen->gate_mode, "closed") == 0;
}

/* Others may have a leader, and be granting leases that we do not hear of: what is said of
 * the lease holds only if they have none (I7). */
void explain_leaderless(const struct state *s, const struct observations *o, uint8_t group,
                        struct mono now, const char *name, char *out, unsigned size)
{
    struct look l = look_at(s, o, group, now);
    uint64_t left = holder_wait_left_ns(&l), wait = lease_wait_ns(l.g->terms);
    uint64_t gone = mono_since_ns(active_seen(&l)->granted, now);

    out[0] = '\0';
    add_text(out, size, "no leader: controller %s knows none, nothing can be decided",
             name);
    if (l.g->phase == PHASE_DETACHED)
        add_text(out, size, "; the group is detached, its servers go on as they are");
    else if (left == UINT64_MAX || active_of(&l)->holder_epoch != l.g->epoch)
        add_text(out, size, ", and no lease has been granted: no writes are possible");
    else if (left > 0)
        add_text(out, size,
                 ", and unless the others have one, no writes are possible once the lease "
                 "of %s is over (in %" PRIu64 " ms)",
                 active_of(&l)->agent, (left + NS_PER_MS - 1) / NS_PER_MS);
    else
        add_text(out, size,
                 ", and unless the others have one, no writes are possible: the lease of "
                 "%s is over (since %" PRIu64 " ms)",
                 active_of(&l)->agent, (gone - wait) / NS_PER_MS);
    add_text(out, size,
             ". To do: start the controllers that are down, or mend the ways between them, "
             "until a majority has a leader (`ringfence doctor` says who reaches whom)");
}

/* A new leader has heard nobody yet, which is no news. */
static bool has_listened(const struct look *l)
{
    return l->o->leading && mono_since_ms(l->o->leading_since, l->now) >= fresh_ms(l);
}

bool group_is_unprotected(const struct state *s, const struct observations *o,
                          uint8_t group, struct mono now, char *out, unsigned size)
{
    struct look l = look_at(s, o, group, now);
    char why[WHY_SIZE];
    const char *comma = "";

    out[0] = '\0';
    if ((l.g->phase != PHASE_STEADY && l.g->phase != PHASE_SWITCHING) ||
        !has_listened(&l) || target_ready(&l) || active_reborn(&l))
        return false;
    add_text(out, size, "nobody could take over: ");
    for (uint8_t k = 0; k < l.g->instance_count; k++) {
        if (k == l.g->active || candidate_explain(&l, k, why, sizeof why))
            continue;
        add_text(out, size, "%s%s: %s", comma, l.g->instances[k].agent, why);
        comma = "; ";
    }
    add_remedy(&l, "target-ready", out, size);
    return true;
}

bool writes_wait(const struct look *l)
{
    return l->g->phase == PHASE_STEADY && agent_present(l, l->g->active) &&
           active_seen(l)->seen.epoch == l->g->epoch && active_seen(l)->seen.waits_sync &&
           group_other_members(l->g) != 0 && mono_is_set(l->og->waits_since) &&
           mono_since_ms(l->og->waits_since, l->now) >= WAITS_TOLD_MS;
}

/* "" where nothing is known to be wrong with the member. */
static const char *member_trouble(const struct look *l, uint8_t k)
{
    const struct seen_instance *seen = &l->og->instances[k].seen;

    if (!agent_present(l, k))
        return "its agent does not answer";
    if (seen->server != SERVER_STANDBY)
        return "its server is no standby that runs";
    if (!seen->streaming || !seen->follows_active)
        return "it does not stream";
    return "";
}

/* Those in trouble; where none is seen to be, all: one of them does not flush. */
static member_set waited_for(const struct look *l)
{
    member_set members = group_other_members(l->g), out = 0;

    for (uint8_t k = 0; k < l->g->instance_count; k++)
        if ((members & 1u << k) != 0 && member_trouble(l, k)[0] != '\0')
            out = (member_set)(out | 1u << k);
    return out != 0 ? out : members;
}

void say_waiting(const struct look *l, char *out, unsigned size)
{
    member_set whom = waited_for(l);
    char one[TEXT_SIZE] = "";
    const char *comma = "";

    out[0] = '\0';
    add_text(out, size, "writes wait for ");
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const char *why = member_trouble(l, k);

        if ((whom & 1u << k) == 0)
            continue;
        add_text(out, size, "%s%s (%s)", comma, l->g->instances[k].agent,
                 why[0] != '\0' ? why : "it does not confirm them");
        comma = ", ";
        if (one[0] == '\0')
            remedy_member(l, k, one);
    }
    if (l->g->policy.sync == SYNC_STRICT)
        add_text(out, size,
                 ": sync strict never goes on without a member. To do: %s; or apply the "
                 "group's file with `sync: required`, which lets it go",
                 one);
    else
        add_text(out, size,
                 ": sync %s lets a member go after %u ms (shrink_after). To do: wait so "
                 "long, or %s",
                 sync_mode_name(l->g->policy.sync), l->g->policy.shrink_after_ms, one);
}

uint64_t group_cooldown_left_ms(const struct state *s, const struct observations *o,
                                uint8_t group, struct mono now)
{
    struct look l = look_at(s, o, group, now);
    uint64_t gone = mono_since_ms(l.og->last_failover, now);

    return cooldown_over(&l) ? 0 : l.g->policy.cooldown_ms - gone;
}
