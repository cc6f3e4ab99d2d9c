#include "tests/sim/judge_steps.h"

#include <inttypes.h>
#include <string.h>

#include "tests/sim/judge.h"
#include "tests/sim/pg.h"
#include "tests/sim/process.h"

/* The newest steps of each instance; an order may come much later than its step. */
enum { STEPS_KEPT = 32 };

static struct known_step {
    uint64_t id, epoch;
    enum step_kind kind;
    bool ended;   /* its outcome is in the log */
    bool done;    /* some worker has done it */
    bool at_work; /* some worker is at it */
    bool tried;   /* some worker has begun it, last of this life of the agent's process: */
    uint32_t life;
    bool dropped; /* its run was aborted, or its group let go: nobody waits for it */
} steps[WORLD_GROUPS_MAX][2][STEPS_KEPT];
static unsigned begun[WORLD_GROUPS_MAX][2];
static uint64_t newest[WORLD_GROUPS_MAX][2]; /* that a worker has begun */
/* The newest fence_begins, which a severing answers in the place of a step. */
enum { FENCES_KEPT = 64 };

static struct known_fence {
    uint64_t index, epoch;
} fences[WORLD_GROUPS_MAX][FENCES_KEPT];
static unsigned fenced[WORLD_GROUPS_MAX];

void judge_steps_begin(void)
{
    memset(steps, 0, sizeof steps);
    memset(begun, 0, sizeof begun);
    memset(newest, 0, sizeof newest);
    memset(fences, 0, sizeof fences);
    memset(fenced, 0, sizeof fenced);
}

static const char *name_of(uint8_t group, uint8_t instance)
{
    return node_name((uint8_t)(CTLS + pgs[group].hosts[instance]));
}

static struct known_step *find(uint8_t group, uint8_t instance, uint64_t id)
{
    for (unsigned i = 0; i < STEPS_KEPT; i++)
        if (id != 0 && steps[group][instance][i].id == id)
            return &steps[group][instance][i];
    return NULL;
}

/* ---- the log ---------------------------------------------------------------------------
 */

static void note_start(uint8_t group, uint64_t index, const struct entry_step_start *st,
                       const struct group *g)
{
    uint8_t k = st->instance;
    unsigned n = begun[group][k]++;
    const struct known_step *last = &steps[group][k][(n + STEPS_KEPT - 1) % STEPS_KEPT];

    if (g != NULL && st->epoch != g->epoch)
        sim_fail("I6: step %" PRIu64 " of group %s is of epoch %" PRIu64
                 ", the log is at %" PRIu64,
                 index, group_name(group), st->epoch, g->epoch);
    if (last->id != 0 && !last->ended && !last->dropped && last->epoch == st->epoch)
        sim_fail("I5, I6: step %" PRIu64 " of group %s on %s begins, and step %" PRIu64
                 " has no outcome",
                 index, group_name(group), name_of(group, k), last->id);
    steps[group][k][n % STEPS_KEPT] =
        (struct known_step){.id = index, .epoch = st->epoch, .kind = st->kind};
}

/* What is on record as done was done; what is on record as failed will not happen later. */
static void note_end(uint8_t group, const struct entry_step_end *end)
{
    struct known_step *s = find(group, end->instance, end->step);

    if (s == NULL || s->ended) {
        sim_fail("I5: the log ends step %" PRIu64 " of group %s on %s, %s", end->step,
                 group_name(group), name_of(group, end->instance),
                 s == NULL ? "which it has not begun" : "for the second time");
        return;
    }
    if (end->done && !s->done)
        sim_fail("I5: step %" PRIu64 " of group %s is on record as done, and nobody on %s "
                 "has done it",
                 end->step, group_name(group), name_of(group, end->instance));
    if (!end->done && s->at_work)
        sim_fail("I5: step %" PRIu64 " of group %s is on record as failed, and %s is at it",
                 end->step, group_name(group), name_of(group, end->instance));
    s->ended = true;
}

static void drop(uint8_t group, bool all)
{
    for (uint8_t k = 0; k < 2; k++)
        for (unsigned i = 0; i < STEPS_KEPT; i++) {
            struct known_step *s = &steps[group][k][i];

            if (!s->ended && (all || s->kind == STEP_STOP))
                s->dropped = true;
        }
}

void judge_steps_entry(uint8_t group, uint64_t index, const struct entry *e,
                       const struct group *g)
{
    if (e->kind == ENTRY_STEP_START && e->step_start.instance < 2)
        note_start(group, index, &e->step_start, g);
    if (e->kind == ENTRY_STEP_END && e->step_end.instance < 2)
        note_end(group, &e->step_end);
    if (e->kind == ENTRY_FENCE_BEGIN) {
        fences[group][fenced[group]++ % FENCES_KEPT] =
            (struct known_fence){index, e->fence_begin.epoch};
    }
    if (e->kind == ENTRY_RUN_ABORT || e->kind == ENTRY_DETACH)
        drop(group, e->kind == ENTRY_DETACH);
}

/* ---- the workers -----------------------------------------------------------------------
 */

static uint8_t instance_on(uint8_t host, uint8_t group)
{
    return pgs[group].hosts[1] == host;
}

static bool is_in_the_log(uint8_t group, const Rf__StepRequest *rq)
{
    for (unsigned i = 0; i < FENCES_KEPT; i++)
        if (rq->step != 0 && fences[group][i].index == rq->step)
            return fences[group][i].epoch == rq->epoch;
    return false;
}

/* I3: by an order that names a fence_begin of the log, of the epoch that its agent is in,
 * and never behind a later step. It need not be the last one of the log: a host that was
 * cut off, or behind a stalled disk, goes on with what it had in hand. Refusing a log is
 * safe whenever it comes, the next FOLLOW ends it, and it proves nothing: apply() takes the
 * word about its own fence_begin alone. */
static void severing_begins(uint8_t host, uint8_t group, const Rf__StepRequest *rq)
{
    uint8_t k = instance_on(host, group);
    uint64_t epoch = proc_epoch((uint8_t)(CTLS + host), group_name(group));

    if (!is_in_the_log(group, rq))
        sim_fail("I3: %s is severed for a fence_begin at %" PRIu64 " of epoch %" PRIu64
                 " of group %s, which the log has not got",
                 name_of(group, k), rq->step, rq->epoch, group_name(group));
    else if (rq->epoch != epoch)
        sim_fail("I3: %s is severed for the fence_begin at %" PRIu64 " of epoch %" PRIu64
                 " of group %s, and acts in epoch %" PRIu64,
                 name_of(group, k), rq->step, rq->epoch, group_name(group), epoch);
    else if (rq->step < newest[group][k])
        sim_fail("I6: %s is severed for the fence_begin at %" PRIu64
                 " of group %s after step %" PRIu64,
                 name_of(group, k), rq->step, group_name(group), newest[group][k]);
    newest[group][k] = rq->step;
}

void judge_step_begins(uint8_t host, uint8_t group, const Rf__StepRequest *rq)
{
    uint8_t k = instance_on(host, group);
    uint32_t life = sim.procs[CTLS + host].life;
    struct known_step *s = find(group, k, rq->step);

    if (rq->step == 0 && rq->kind == RF__STEP_KIND__STEP_STOP)
        return; /* of its own: what it did not start */
    if (rq->kind == RF__STEP_KIND__STEP_SEVER) {
        severing_begins(host, group, rq);
        return;
    }
    if (s == NULL || (int)s->kind != (int)rq->kind || s->epoch != rq->epoch) {
        sim_fail("I5: %s begins %s as step %" PRIu64 " of epoch %" PRIu64
                 " of group %s, which is not in the log",
                 name_of(group, k), step_kind_name((enum step_kind)rq->kind), rq->step,
                 rq->epoch, group_name(group));
        return;
    }
    /* A process that was started again knows which step was its last, not how it ended: a
     * copy of that order makes it look and do once more what is missing. */
    if (rq->step < newest[group][k])
        sim_fail("I6: %s begins step %" PRIu64 " (%s) of group %s after step %" PRIu64,
                 name_of(group, k), s->id, step_kind_name(s->kind), group_name(group),
                 newest[group][k]);
    else if (s->ended && s->tried && s->life == life)
        sim_fail("I5, I6: %s begins step %" PRIu64 " (%s) of group %s, whose outcome is in "
                 "the log",
                 name_of(group, k), s->id, step_kind_name(s->kind), group_name(group));
    newest[group][k] = s->id;
    s->tried = true;
    s->life = life;
    s->at_work = true;
}

void judge_step_ends(uint8_t host, uint8_t group, const Rf__StepRequest *rq, int outcome)
{
    struct known_step *s = find(group, instance_on(host, group), rq->step);

    if (s == NULL)
        return;
    s->at_work = false;
    s->done = s->done || outcome == RF__STEP_OUTCOME__OUTCOME_DONE;
}
