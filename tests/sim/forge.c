#include "tests/sim/forge.h"

#include <stdio.h>
#include <string.h>

#include "controller/consensus/raftnode.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "proto/entry_codec.h"
#include "proto/frame.h"
#include "tests/sim/judge.h"
#include "tests/sim/net.h"
#include "tests/sim/pg.h"
#include "tests/sim/process.h"
#include "tests/sim/stage.h"

enum { MOMENTS = 60 };

/* What the forger sees: all that the leader has applied. */
struct scene {
    uint8_t leader, holder,
        other;               /* nodes; the agents of the active instance and the next */
    uint8_t active, standby; /* instances */
    const struct state *s;
    const struct group *g;
    const struct agent *holder_life, *other_life;
};

static bool look(struct cast c, struct scene *ret)
{
    struct daemon *d = ctl_daemon(c.leader);
    struct scene v = {.leader = c.leader};

    if (d == NULL || d->node == NULL || !node_leads(d->node) ||
        sim.procs[c.leader].tasks[TASK_MAIN].on_stack > 0)
        return false;
    v.s = node_state(d->node);
    v.g = state_group_const(v.s, group_name(c.group));
    if (v.g == NULL || v.g->active > 1)
        return false;
    v.active = v.g->active;
    v.standby = (uint8_t)(1 - v.active);
    v.holder = (uint8_t)(CTLS + pgs[c.group].hosts[v.active]);
    v.other = (uint8_t)(CTLS + pgs[c.group].hosts[v.standby]);
    v.holder_life = state_agent(v.s, node_name(v.holder));
    v.other_life = state_agent(v.s, node_name(v.other));
    *ret = v;
    return v.holder_life != NULL && v.other_life != NULL;
}

/* Not the one that is; never 0, which no entry may name. */
static uint64_t other_epoch(const struct group *g)
{
    return g->epoch > 1 ? g->epoch - 1 : group_next_epoch(g) + 1000;
}

/* ---- frames ----------------------------------------------------------------------------
 */

static void say(const struct scene *v, uint8_t from, Rf__Frame *frame)
{
    struct buf bytes = {0};

    if (frame_encode(frame, &bytes, NULL) != 0)
        sim_fail("a forged %s cannot be encoded", frame_name(frame));
    else
        (void)net_forge(from, v->leader, bytes.data, bytes.len);
    buf_free(&bytes);
}

/* I2, I12: somebody else says that the holder's gate is frozen; or a word of the holder's
 * comes that was about another fence. */
static void forge_proof(const struct scene *v)
{
    bool stranger = sim_chance(600);
    const struct agent *life = stranger ? v->other_life : v->holder_life;
    struct incarnation own = life->incarnation;
    Rf__Incarnation wire;
    Rf__FenceProof p = RF__FENCE_PROOF__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    frame_incarnation_put(&own, &wire);
    p.incarnation = &wire;
    p.group = (char *)v->g->name;
    p.instance = (char *)node_name(v->holder);
    p.epoch = v->g->epoch;
    p.fence_index = v->g->fence_index;
    p.server_stopped = true;
    if (!stranger && sim_chance(500))
        p.fence_index = v->g->activated_index; /* of no fence */
    else if (!stranger)
        p.epoch = other_epoch(v->g);
    frame.body_case = RF__FRAME__BODY_FENCE_PROOF;
    frame.fence_proof = &p;
    if (p.fence_index != 0)
        say(v, stranger ? v->other : v->holder, &frame);
}

/* I5: the holder's step is said to be done by somebody else. */
static void forge_outcome(const struct scene *v)
{
    struct incarnation own = v->other_life->incarnation;
    const struct step *step = &v->g->instances[v->active].step;
    Rf__Incarnation wire;
    Rf__StepResult r = RF__STEP_RESULT__INIT;
    Rf__StepReport report = RF__STEP_REPORT__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    if (step->state != STEP_STARTED || v->g->epoch == 0)
        return;
    frame_incarnation_put(&own, &wire);
    r.step = step->id;
    r.outcome = RF__STEP_OUTCOME__OUTCOME_DONE;
    r.position = UINT64_C(1) << 40;
    report.incarnation = &wire;
    report.group = (char *)v->g->name;
    report.instance = (char *)node_name(v->holder);
    report.epoch = v->g->epoch;
    report.result = &r;
    frame.body_case = RF__FRAME__BODY_STEP_REPORT;
    frame.step_report = &report;
    say(v, v->other, &frame);
}

/* I1, I4, I12: the standby asks for a lease to write, of its own instance or the holder's.
 */
static void forge_renewal(const struct scene *v)
{
    bool stolen = sim_chance(300);
    struct incarnation who =
        stolen ? v->holder_life->incarnation : v->other_life->incarnation;
    Rf__Incarnation wire;
    Rf__RenewItem item = RF__RENEW_ITEM__INIT, *items[1] = {&item};
    Rf__Renew renew = RF__RENEW__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    if (v->g->epoch == 0)
        return;
    frame_incarnation_put(&who, &wire);
    item.group = (char *)v->g->name;
    item.instance = (char *)node_name(stolen || sim_chance(500) ? v->holder : v->other);
    item.epoch = v->g->epoch;
    item.kind = RF__LEASE_KIND__LEASE_WRITE;
    renew.seq = sim_between(1, 1u << 30);
    renew.sent_boot_ns = sim.now;
    renew.incarnation = &wire;
    renew.n_items = 1;
    renew.items = items;
    frame.body_case = RF__FRAME__BODY_RENEW;
    frame.renew = &renew;
    say(v, v->other, &frame);
}

static void on_frames(void *arg, uint64_t number)
{
    struct scene v;

    (void)arg;
    if (!look(stage_unpack(number), &v))
        return;
    if (v.g->fence_index != 0 && sim_chance(700))
        forge_proof(&v);
    else if (sim_chance(500))
        forge_outcome(&v);
    else
        forge_renewal(&v);
}

/* ---- entries ---------------------------------------------------------------------------
 */

/* In a format that everybody reads. */
int __real_entry_encode_as(const struct entry *e, uint32_t format, struct buf *out,
                           struct err *err);

static void commit(const struct scene *v, struct entry *e)
{
    struct scope s = scope_enter(&sim.procs[v->leader].tasks[TASK_MAIN]);
    struct buf bytes = {0};
    struct err err = {0};

    if (e->kind != ENTRY_RENEW)
        (void)snprintf(e->group, NAME_SIZE, "%s", v->g->name);
    (void)snprintf(e->rule, RULE_SIZE, "forged");
    if (__real_entry_encode_as(e, ENTRY_FORMAT_MIN, &bytes, &err) != 0)
        sim_fail("a forged %s cannot be encoded: %s", entry_kind_name(e->kind), err.text);
    else if (raftnode_submit(ctl_raft(v->leader), bytes.data, bytes.len, NULL, NULL,
                             &err) != 0)
        sim_note("forged %s: %s", entry_kind_name(e->kind), err.text);
    buf_free(&bytes);
    scope_leave(s);
}

/* A proof about the holder, in force now and wrong in one point: who gave it, which fence
 * it answers, of which epoch. */
static void forge_proof_entry(const struct scene *v, struct entry *e)
{
    const struct group *g = v->g;

    e->kind = ENTRY_PROOF;
    e->proof = (struct entry_proof){.instance = v->active,
                                    .kind = PROOF_AGENT,
                                    .epoch = g->epoch,
                                    .fence_index = g->fence_index,
                                    .prover = v->holder_life->incarnation,
                                    .stopped = true};
    switch (sim_between(0, 3)) {
    case 0:
        e->proof.prover = v->other_life->incarnation;
        break;
    case 1:
        e->proof.kind = PROOF_LEASE_EXPIRY;
        e->proof.prover = v->other_life->incarnation;
        break;
    case 2:
        e->proof.fence_index = g->activated_index;
        break;
    default:
        e->proof.epoch = other_epoch(g);
        break;
    }
}

/* Before the fence; behind it and before any proof; or of the epoch that is. */
static void forge_activation(const struct scene *v, struct entry *e)
{
    const struct observed_group *og =
        &node_seen(ctl_daemon(v->leader)->node)->groups[v->g - v->s->groups];
    bool same = v->g->epoch != 0 && sim_chance(500);

    /* What is on its way may be the proof that makes it right. */
    if (!same && (v->g->phase == PHASE_FORMING || og->busy ||
                  instance_is_proven(v->s, &v->g->instances[v->active])))
        return;
    e->kind = ENTRY_ACTIVATE;
    e->activate = (struct entry_activate){
        .epoch = same ? v->g->epoch : group_next_epoch(v->g), .instance = v->standby};
}

/* For whom there is no lease: behind the fence, in another's life, of another epoch, for
 * the one that is not active. */
static void forge_grant(const struct scene *v, struct entry *e)
{
    struct renew_item *item = &e->renew.items[0];

    e->kind = ENTRY_RENEW;
    e->renew.count = 1;
    *item = (struct renew_item){.instance = v->active,
                                .kind = LEASE_WRITE,
                                .epoch = v->g->epoch,
                                .incarnation = v->holder_life->incarnation};
    (void)snprintf(item->group, NAME_SIZE, "%s", v->g->name);
    if (v->g->fence_index != 0)
        return;
    switch (sim_between(0, 2)) {
    case 0:
        item->incarnation = v->other_life->incarnation;
        break;
    case 1:
        item->epoch = other_epoch(v->g);
        break;
    default:
        item->instance = v->standby;
        item->incarnation = v->other_life->incarnation;
        break;
    }
}

/* A step or a member of an epoch, or of a set, that is over. */
static void forge_stale(const struct scene *v, struct entry *e)
{
    if (sim_chance(500)) {
        e->kind = ENTRY_STEP_START;
        e->step_start = (struct entry_step_start){.instance = v->standby,
                                                  .kind = STEP_FOLLOW,
                                                  .epoch = other_epoch(v->g),
                                                  .subject = NO_INSTANCE,
                                                  .generation = v->g->sync_generation};
        return;
    }
    e->kind = ENTRY_SYNC_JOIN;
    e->sync = (struct entry_sync){.epoch = v->g->epoch,
                                  .instance = v->standby,
                                  .generation = v->g->sync_generation - 1,
                                  .step = v->g->instances[v->active].step.id,
                                  .position = 1};
}

static void on_entries(void *arg, uint64_t number)
{
    struct entry e;
    struct scene v;

    (void)arg;
    if (!look(stage_unpack(number), &v) || v.g->epoch == 0)
        return;
    memset(&e, 0, sizeof e);
    if (v.g->fence_index != 0 && sim_chance(500))
        forge_proof_entry(&v, &e);
    else if (sim_chance(400))
        forge_activation(&v, &e);
    else if (sim_chance(600))
        forge_grant(&v, &e);
    else
        forge_stale(&v, &e);
    if (e.kind != ENTRY_NONE)
        commit(&v, &e);
}

/* ---- the play --------------------------------------------------------------------------
 *
 * Mostly the holder is alone, with its lease, and is failed over before that is over: then
 * only what is forged could prove it. */

void forge_begin(const struct fault *f)
{
    sim_fn *fn = f->kind == FAULT_FORGED_FRAMES    ? on_frames
                 : f->kind == FAULT_FORGED_ENTRIES ? on_entries
                                                   : NULL;
    struct cast c;

    if (fn == NULL || !stage_cast(f, &c))
        return;
    if (f->number % 4 != 0)
        stage_isolate(NULL, stage_pack(c));
    for (uint64_t n = 0; n < 4 && f->number % 8 != 1; n++)
        stage_then(1 + 20 * n * n, stage_ask_failover, c);
    for (uint64_t n = 1; n < MOMENTS; n++)
        stage_then(n * plan.ttl_ms * 2 / MOMENTS, fn, c);
}
