#include "tests/sim/judge_loss.h"

#include <inttypes.h>
#include <string.h>

#include "controller/daemon/node.h"
#include "tests/sim/judge.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/process.h"

enum {
    ROUNDING = 1, /* loss_forecast() cuts off part of a byte, which is a write */
    /* What a decision may be made on is said within four periods or a second, of a look
     * that may have hung; and what is decided is proposed a moment later. */
    OLDEST_SAID_MS = 1000,
    OLDEST_LOOK_MS = 2300
};

/* What the first activation of an instance since the last opening said. */
struct promise {
    bool made, known, bounded; /* by max_lag: it is not there by its membership */
    uint64_t bytes, max;
};

static struct {
    unsigned unopened; /* activations since the last opening */
    struct promise promise[2];
    uint64_t run,
        lost;    /* the run that opened last; acknowledged, and not on the new side */
    bool cloned; /* the former primary was made anew: nobody has seen what it had */
    uint64_t
        behind_since[2]; /* it was too far behind at each look from then on; 0: was not */
} of_group[WORLD_GROUPS_MAX];

static const char *instance_name(uint8_t group, uint8_t instance)
{
    return node_name((uint8_t)(CTLS + pgs[group].hosts[instance]));
}

/* ---- before
 * ------------------------------------------------------------------------------
 */

static bool is_member(const struct group *g, uint8_t instance)
{
    return g->policy.sync != SYNC_OFF && g->sync_known &&
           (g->sync_set & 1u << instance) != 0;
}

/* One that follows an activation nobody opened: nothing was written since that one was
 * judged, and what was forecast then holds (lag_is_settled() in candidate.c). */
void loss_activated(uint8_t group, const struct entry *e, const struct group *g)
{
    uint8_t instance = e->activate.instance;
    struct promise *p = &of_group[group].promise[instance];
    bool settled = of_group[group].unopened++ != 0;

    if (settled && (p->made || instance == g->run.from))
        return;
    *p = (struct promise){.made = true,
                          .known = e->activate.loss_forecast_known,
                          .bounded = !is_member(g, instance) && instance != g->old_active,
                          .bytes = e->activate.loss_forecast_bytes,
                          .max = g->policy.max_lag_bytes};
    if (!p->bounded || settled || g->old_active == NO_INSTANCE)
        return;
    if (!p->known)
        sim_fail("I9: %s is activated for epoch %" PRIu64 " of group %s, and what it may "
                 "miss is not known",
                 instance_name(group, instance), g->epoch, group_name(group));
    else if (p->bytes > p->max)
        sim_fail("I9: %s is activated for epoch %" PRIu64 " of group %s and may miss "
                 "%" PRIu64 " writes, max_lag allows %" PRIu64,
                 instance_name(group, instance), g->epoch, group_name(group), p->bytes,
                 p->max);
}

void judge_lag_seen(uint8_t host, uint8_t group, uint64_t replay_lag_ms)
{
    uint8_t instance = host == pgs[group].hosts[0] ? 0 : 1;
    uint64_t *since = &of_group[group].behind_since[instance];

    if (plan.max_lag_ms[group] == 0 || replay_lag_ms <= plan.max_lag_ms[group])
        *since = 0;
    else if (*since == 0)
        *since = sim.now;
}

int __real_node_propose(struct node *n, const struct entry *e, node_done *done, void *owner,
                        struct apply_result *ret_refused, struct err *err);
int __wrap_node_propose(struct node *n, const struct entry *e, node_done *done, void *owner,
                        struct apply_result *ret_refused, struct err *err);

/* max_lag in time: when it is decided, since an entry may be committed late. */
static void judge_proposed(const struct group *g, uint8_t group, uint8_t instance)
{
    uint64_t since = of_group[group].behind_since[instance];
    uint64_t said_ms = 4ull * g->policy.renew_ms;

    if (said_ms < OLDEST_SAID_MS)
        said_ms = OLDEST_SAID_MS;
    if (g->phase != PHASE_FENCING || is_member(g, instance) || instance == g->active ||
        of_group[group].unopened != 0 || since == 0 ||
        sim.now - since <= (said_ms + OLDEST_LOOK_MS) * NS_PER_MS)
        return;
    sim_fail("I9: %s is to be activated for group %s and lags by more than max_lag (%u ms) "
             "for %" PRIu64 " ms",
             instance_name(group, instance), group_name(group), g->policy.max_lag_ms,
             (sim.now - since) / NS_PER_MS);
}

int __wrap_node_propose(struct node *n, const struct entry *e, node_done *done, void *owner,
                        struct apply_result *ret_refused, struct err *err)
{
    const struct group *g = state_group_const(node_state(n), e->group);

    for (uint8_t k = 0; e->kind == ENTRY_ACTIVATE && g != NULL && k < sim.groups; k++)
        if (strcmp(group_name(k), e->group) == 0)
            judge_proposed(g, k, e->activate.instance);
    return __real_node_propose(n, e, done, owner, ret_refused, err);
}

/* ---- at the opening
 * ----------------------------------------------------------------------
 */

static void judge_amount(uint8_t group, const struct promise *p, uint64_t lost)
{
    const char *name = group_name(group);

    if (!p->made || !p->known)
        sim_fail("I9: %" PRIu64 " writes of group %s are lost, and nothing was forecast",
                 lost, name);
    else if (lost > p->bytes + ROUNDING)
        sim_fail("I9: %" PRIu64 " writes of group %s are lost, %" PRIu64 " were forecast",
                 lost, name, p->bytes);
    else if (p->bounded && lost > p->max + ROUNDING)
        sim_fail("I9: %" PRIu64 " writes of group %s are lost, max_lag allows %" PRIu64,
                 lost, name, p->max);
    sim_note("group %s has lost %" PRIu64 " writes, as forecast", name, lost);
}

void loss_opened(uint8_t group, const struct group *g, const struct missing *m)
{
    struct promise p = of_group[group].promise[g->active];

    loss_forget(group);
    of_group[group].run = g->run.id;
    of_group[group].lost = m->count;
    if (m->count == 0)
        return;
    if (g->run.kind == RUN_SWITCHOVER)
        sim_fail("I9: %" PRIu64 " writes of group %s are lost by a switchover", m->count,
                 group_name(group));
    judge_amount(group, &p, m->count);
}

void loss_forget(uint8_t group)
{
    uint64_t since[2] = {of_group[group].behind_since[0], of_group[group].behind_since[1]};

    memset(&of_group[group], 0, sizeof of_group[group]);
    memcpy(of_group[group].behind_since, since, sizeof since);
}

/* ---- afterwards
 * --------------------------------------------------------------------------
 */

static void judge_report(uint8_t group, const struct group *g)
{
    uint64_t lost = of_group[group].lost;

    if (!g->run.loss_known)
        sim_fail("I9: group %s has lost %" PRIu64
                 " writes, %s is back, and the run does not "
                 "say how many",
                 group_name(group), lost, instance_name(group, g->run.from));
    else if (g->run.loss_bytes < lost)
        sim_fail("I9: group %s has lost %" PRIu64 " writes and reports %" PRIu64,
                 group_name(group), lost, g->run.loss_bytes);
}

static bool is_of_run(uint8_t group, const struct group *g)
{
    return of_group[group].lost != 0 && of_group[group].run == g->run.id &&
           g->run.from < 2 && !of_group[group].cloned;
}

void loss_step_ended(uint8_t group, const struct entry *e, const struct group *g)
{
    uint8_t instance = e->step_end.instance;
    enum step_kind kind = g->instances[instance].step.kind;

    if (!e->step_end.done || instance != g->run.from || !is_of_run(group, g))
        return;
    if (kind == STEP_FOLLOW)
        judge_report(group, g);
    of_group[group].cloned |= kind == STEP_CLONE;
}

void loss_last(uint8_t group, const struct group *g)
{
    if (is_of_run(group, g))
        judge_report(group, g);
}

void loss_begin(void) { memset(of_group, 0, sizeof of_group); }
