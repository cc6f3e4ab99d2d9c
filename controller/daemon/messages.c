#include "controller/daemon/messages.h"
#include "controller/base/mutant.h"

/* protobuf-c has no const; nothing is written through these. */
static char *text(const char *t) { return (char *)t; }

static void put_incarnation(struct messages *m, const struct agent *a)
{
    m->holder = a->incarnation;
    frame_incarnation_put(&m->holder, &m->incarnation);
}

/* ---- assignments --------------------------------------------------------------------- */

static Rf__Role role_in(const struct group *g, uint8_t i)
{
    switch (g->phase) {
    case PHASE_DETACHED:
        return RF__ROLE__ROLE_DETACHED;
    case PHASE_PROMOTING:
    case PHASE_STEADY:
    case PHASE_SWITCHING:
    case PHASE_FENCING:
        return i == g->active ? RF__ROLE__ROLE_PRIMARY : RF__ROLE__ROLE_STANDBY;
    case PHASE_NONE:
    case PHASE_FORMING:
    case PHASE_COUNT:
        break;
    }
    return RF__ROLE__ROLE_NONE;
}

/* I2: an instance that holds, or may yet be granted, a lease of this epoch cannot prove by
 * "installed, closed, tried"; every other one without a valid proof is asked for it. */
static bool proof_is_wanted(const struct state *s, const struct group *g, uint8_t i)
{
    const struct instance *inst = &g->instances[i];

    if (g->phase == PHASE_DETACHED || instance_is_proven(s, inst))
        return false;
    if (g->phase == PHASE_FORMING)
        return true;
    return i != g->active && inst->holder_epoch != g->epoch;
}

/* I6: only the logged stop step of a switchover that names this epoch. */
static bool stop_is_allowed(const struct group *g, uint8_t i)
{
    const struct step *step = &g->instances[i].step;

    return g->phase == PHASE_SWITCHING && step->state == STEP_STARTED &&
           step->kind == STEP_STOP && step->epoch == g->epoch;
}

static void fill_server(Rf__ServerSpec *v, const struct state *s, const struct group *g,
                        uint8_t i)
{
    const struct instance *inst = &g->instances[i];
    const struct agent *a = state_agent(s, inst->agent);

    rf__server_spec__init(v);
    v->provider = text(g->provider);
    v->group = text(g->name);
    v->component = text(g->component);
    v->instance = text(inst->agent);
    v->port = inst->port;
    v->data = text(inst->data);
    v->start = text(inst->start);
    v->address = a != NULL ? text(a->address) : text("");
}

static void fill_peers(struct messages *m, unsigned slot, const struct state *s,
                       uint8_t self)
{
    const struct group *g = state_group_const(s, m->items[slot].group);
    Rf__Assignment *v = &m->items[slot];

    for (uint8_t i = 0; i < g->instance_count; i++) {
        const struct instance *inst = &g->instances[i];
        const struct agent *a = state_agent(s, inst->agent);
        Rf__PeerInstance *p = &m->peers[slot][v->n_peers];

        group_standby_name(g, i, m->names[slot][i]);
        if (i == self)
            continue;
        rf__peer_instance__init(p);
        p->instance = text(inst->agent);
        p->region = text(group_region_name(g, i));
        p->address = a != NULL ? text(a->address) : text("");
        p->port = inst->port;
        p->standby_name = m->names[slot][i];
        p->member = (g->sync_set & 1u << i) != 0;
        m->peer_list[slot][v->n_peers++] = p;
    }
    v->peers = m->peer_list[slot];
    v->own_standby_name = m->names[slot][self];
}

static void fill_policy(Rf__Assignment *v, const struct group *g)
{
    const struct policy *p = &g->policy;

    v->sync_mode = text(sync_mode_name(p->sync));
    v->sync_generation = g->sync_generation;
    v->ttl_ms = p->lease.ttl_ms;
    v->renew_ms = p->renew_ms;
    v->rho_ppm = p->lease.rho_ppm;
    v->shrink_after_ms = p->shrink_after_ms != 0 ? p->shrink_after_ms : 2 * p->lease.ttl_ms;
    v->hung_after_ms = p->hung_after_ms;
    v->standby_reads = p->standby_reads;
    v->ungated_local = p->ungated_local;
    v->probe_ms = p->probe_ms;
    v->max_lag_bytes = p->max_lag_bytes;
    v->max_lag_ms = p->max_lag_ms;
}

static void fill_doors(struct messages *m, unsigned slot, const struct group *g, uint8_t i)
{
    Rf__Assignment *v = &m->items[slot];

    for (unsigned k = 0; k < g->instances[i].also_count; k++) {
        Rf__AlsoPort *also = &m->also[slot][k];

        rf__also_port__init(also);
        also->port = g->instances[i].also[k].port;
        m->also_list[slot][v->n_also_ports++] = also;
    }
    v->also_ports = m->also_list[slot];
    for (unsigned k = 0; k < g->exception_count; k++)
        m->exceptions[slot][v->n_exceptions++] = text(g->exceptions[k].address);
    v->exceptions = m->exceptions[slot];
}

static void fill_assignment(struct messages *m, unsigned slot, const struct state *s,
                            const struct group *g, uint8_t i)
{
    Rf__Assignment *v = &m->items[slot];

    rf__assignment__init(v);
    v->group = text(g->name);
    v->index = g->index;
    v->epoch = g->epoch;
    v->role = role_in(g, i);
    v->opened = g->opened_index != 0;
    v->fence_index = g->fence_index;
    fill_server(&m->servers[slot], s, g, i);
    v->server = &m->servers[slot];
    fill_peers(m, slot, s, i);
    fill_doors(m, slot, g, i);
    group_blocking_name(g, m->blocking[slot]);
    v->blocking_name = m->blocking[slot];
    fill_policy(v, g);
    v->adopt = g->adopt;
    v->stop_allowed = stop_is_allowed(g, i);
    v->proof_wanted = proof_is_wanted(s, g, i);
    v->active =
        g->active < g->instance_count ? text(g->instances[g->active].agent) : text("");
    m->item_list[slot] = v;
}

const Rf__Frame *message_assignments(struct messages *m, const struct state *s,
                                     const char *agent, uint64_t term)
{
    const struct agent *a = state_agent(s, agent);
    unsigned n = 0;

    if (a == NULL)
        return NULL;
    for (unsigned k = 0; k < s->group_count; k++) {
        uint8_t i = group_instance(&s->groups[k], agent);

        if (i != NO_INSTANCE)
            fill_assignment(m, n++, s, &s->groups[k], i);
    }
    put_incarnation(m, a);
    rf__assignments__init(&m->assignments);
    m->assignments.incarnation = &m->incarnation;
    m->assignments.term = term;
    m->assignments.n_instances = n;
    m->assignments.instances = m->item_list;
    rf__frame__init(&m->frame);
    m->frame.body_case = RF__FRAME__BODY_ASSIGNMENTS;
    m->frame.assignments = &m->assignments;
    return &m->frame;
}

/* ---- orders -------------------------------------------------------------------------- */

static uint32_t deadline_of(const struct policy *p, enum step_kind kind)
{
    switch (kind) {
    case STEP_LEAD:
        return p->promote_deadline_ms;
    case STEP_STOP:
        return p->stop_deadline_ms;
    case STEP_FOLLOW:
    case STEP_CLONE:
        return STEP_COPY_DEADLINE_MS;
    case STEP_NONE:
    case STEP_CHECKPOINT:
    case STEP_JOIN:
    case STEP_SYNC:
        break;
    }
    return STEP_DEADLINE_MS;
}

static bool fill_upstream(struct messages *m, const struct state *s, const struct group *g)
{
    const struct instance *active = &g->instances[g->active];
    const struct agent *a = state_agent(s, active->agent);

    if (a == NULL)
        return false;
    rf__upstream__init(&m->upstream);
    m->upstream.instance = text(active->agent);
    m->upstream.address = text(a->address);
    m->upstream.port = active->port;
    m->upstream.system_id = active->system_id;
    m->step_request.upstream = &m->upstream;
    return true;
}

/* I8: whom every commit must wait for. Until `opened` the set on record is that of the
 * candidates, of the epoch before; the new primary begins alone ({X}) and others join. */
static void fill_members(struct messages *m, const struct group *g, const struct step *step)
{
    Rf__StepRequest *r = &m->step_request;
    bool opened = g->opened_index != 0;
    member_set set = opened ? group_other_members(g) : 0;

    set = MUTANT(names_before_set, set, step->kind == STEP_SYNC ? 0 : set);
    set = MUTANT(names_lifted_at_restart, set, step->kind == STEP_LEAD ? 0 : set);
    if (step->kind == STEP_JOIN && step->subject < g->instance_count) {
        set = (member_set)(set & ~(1u << step->subject));
        r->joining = m->names[0][step->subject];
    }
    for (uint8_t i = 0; i < g->instance_count; i++)
        if ((set & 1u << i) != 0 && i != g->active)
            m->members[r->n_members++] = m->names[0][i];
    r->members = m->members;
}

static void fill_names(struct messages *m, const struct group *g, uint8_t instance)
{
    for (uint8_t i = 0; i < g->instance_count; i++)
        group_standby_name(g, i, m->names[0][i]);
    group_blocking_name(g, m->blocking[0]);
    m->step_request.standby_name = m->names[0][instance];
    m->step_request.blocking_name = m->blocking[0];
}

/* Of what is in the request. */
static const Rf__Frame *order_frame(struct messages *m, const struct group *g,
                                    const struct instance *inst, const struct agent *a)
{
    put_incarnation(m, a);
    rf__step_order__init(&m->step_order);
    m->step_order.incarnation = &m->incarnation;
    m->step_order.group = text(g->name);
    m->step_order.instance = text(inst->agent);
    m->step_order.request = &m->step_request;
    rf__frame__init(&m->frame);
    m->frame.body_case = RF__FRAME__BODY_STEP_ORDER;
    m->frame.step_order = &m->step_order;
    return &m->frame;
}

const Rf__Frame *message_step_order(struct messages *m, const struct state *s,
                                    uint8_t group, uint8_t instance)
{
    const struct group *g = &s->groups[group];
    const struct instance *inst = &g->instances[instance];
    const struct step *step = &inst->step;
    const struct agent *a = state_agent(s, inst->agent);
    Rf__StepRequest *r = &m->step_request;

    if (step->state != STEP_STARTED || a == NULL)
        return NULL;
    rf__step_request__init(r);
    r->kind = (Rf__StepKind)step->kind;
    r->step = step->id;
    r->epoch = step->epoch;
    r->generation = step->generation;
    r->restart = step->restart;
    r->synchronous = g->policy.sync != SYNC_OFF;
    r->deadline_ms = deadline_of(&g->policy, step->kind);
    fill_names(m, g, instance);
    fill_members(m, g, step);
    if ((step->kind == STEP_FOLLOW || step->kind == STEP_CLONE) && !fill_upstream(m, s, g))
        return NULL;

    return order_frame(m, g, inst, a);
}

/* What may still follow the old primary under its name of that epoch is refused by it, who
 * is told the name too, so that its log says which one it has let go. */
const Rf__Frame *message_sever_order(struct messages *m, const struct state *s,
                                     uint8_t group, uint8_t instance)
{
    const struct group *g = &s->groups[group];
    const struct instance *inst = &g->instances[instance];
    const struct agent *a = state_agent(s, inst->agent);
    Rf__StepRequest *r = &m->step_request;

    if (g->fence_index == 0 || a == NULL)
        return NULL;
    rf__step_request__init(r);
    r->kind = RF__STEP_KIND__STEP_SEVER;
    r->step = g->fence_index;
    r->epoch = g->epoch;
    r->generation = g->sync_generation;
    r->deadline_ms = STEP_SEVER_DEADLINE_MS;
    fill_names(m, g, instance);
    if (!fill_upstream(m, s, g))
        return NULL;
    return order_frame(m, g, inst, a);
}

const Rf__Frame *message_fence_order(struct messages *m, const struct state *s,
                                     uint8_t group, uint8_t instance)
{
    const struct group *g = &s->groups[group];
    const struct agent *a = state_agent(s, g->instances[instance].agent);

    if (g->fence_index == 0 || a == NULL)
        return NULL;
    put_incarnation(m, a);
    rf__fence_order__init(&m->fence_order);
    m->fence_order.incarnation = &m->incarnation;
    m->fence_order.group = text(g->name);
    m->fence_order.instance = text(g->instances[instance].agent);
    m->fence_order.epoch = g->epoch;
    m->fence_order.fence_index = g->fence_index;
    rf__frame__init(&m->frame);
    m->frame.body_case = RF__FRAME__BODY_FENCE_ORDER;
    m->frame.fence_order = &m->fence_order;
    return &m->frame;
}
