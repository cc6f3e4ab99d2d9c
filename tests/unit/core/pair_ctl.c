/* A controller's shell as the daemon has it: messages in, decisions out. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/core/pair.h"

enum {
    ALIVE_MS = 1600,
    PUSH_EACH_MS = 500,
    ORDER_EACH_MS = 200,
    ROUTE_MS = 2000,
    OPERATOR_MS = 4000,
    SYSTEM_ID = 77
};

static const char *const agent_names[] = {"pg-east", "pg-west"};

struct mono ctl_now(const struct pair *w, uint8_t c)
{
    return (struct mono){pair_clock(w, &w->ctls[c].clock)};
}

const struct group *ctl_group(const struct pair *w, uint8_t c)
{
    return w->ctls[c].s.group_count != 0 ? &w->ctls[c].s.groups[0] : NULL;
}

struct observed_group *ctl_seen(struct pair *w, uint8_t c)
{
    return &w->ctls[c].o.groups[0];
}

void ctl_wake(struct pair *w, uint8_t c)
{
    if (w->ctls[c].turn_due)
        return;
    w->ctls[c].turn_due = true;
    (void)pair_at(w, w->now + pair_between(w, 0, 300) * 1000, EV_TURN, c);
}

/* ---- what is said to agents -----------------------------------------------------------
 */

static const struct incarnation *enrolled(const struct pair *w, uint8_t c, uint8_t h)
{
    const struct agent *a = state_agent(&w->ctls[c].s, agent_names[h]);

    return a != NULL ? &a->incarnation : NULL;
}

static enum keeper_role role_in(const struct group *g, uint8_t i)
{
    if (g->phase == PHASE_DETACHED)
        return ROLE_DETACHED;
    if (g->phase == PHASE_FORMING || g->phase == PHASE_NONE)
        return ROLE_NONE;
    return i == g->active ? ROLE_PRIMARY : ROLE_STANDBY;
}

static bool proof_is_wanted(const struct state *s, const struct group *g, uint8_t i)
{
    const struct instance *inst = &g->instances[i];

    if (g->phase == PHASE_DETACHED || instance_is_proven(s, inst))
        return false;
    if (g->phase == PHASE_FORMING)
        return true;
    return i != g->active && inst->holder_epoch != g->epoch;
}

static void push(struct pair *w, uint8_t c, uint8_t h)
{
    const struct group *g = ctl_group(w, c);
    const struct incarnation *to = enrolled(w, c, h);
    struct msg m = {.kind = MSG_ASSIGN, .host = h};
    struct keeper_assignment *a = &m.assign.a;

    if (g == NULL || to == NULL)
        return;
    m.inc = *to;
    m.assign.term = w->ctls[c].term;
    memcpy(a->group, g->name, sizeof a->group);
    a->index = g->index;
    a->epoch = g->epoch;
    a->fence_index = g->fence_index;
    a->role = role_in(g, h);
    a->port = PORT;
    a->rho_ppm = g->policy.lease.rho_ppm;
    a->standby_reads = g->policy.standby_reads;
    a->proof_wanted = proof_is_wanted(&w->ctls[c].s, g, h);
    a->ttl_ms = g->policy.lease.ttl_ms;
    a->opened = g->opened_index != 0;
    a->adopt = g->adopt && !a->opened && g->active == h &&
               (a->role == ROLE_NONE || a->role == ROLE_PRIMARY);
    a->peer_count = 1;
    m.assign.d = (struct duties){
        .known = true,
        .opened = g->opened_index != 0,
        .stop_allowed = g->phase == PHASE_SWITCHING &&
                        g->instances[h].step.state == STEP_STARTED &&
                        g->instances[h].step.kind == STEP_STOP,
        .synchronous = g->policy.sync != SYNC_OFF,
        .index = g->index,
        .epoch = g->epoch,
        .name = g->activated_index,
        .generation = g->sync_generation,
        .members = g->sync_set,
        .role = (uint8_t)a->role,
        .active = g->active,
    };
    pair_ctl_says(w, c, &m);
}

static bool is_due(struct pair *w, uint64_t *what, uint64_t *at, uint64_t order)
{
    if (*what == order && w->now - *at < (uint64_t)ORDER_EACH_MS * NS_PER_MS)
        return false;
    *what = order;
    *at = w->now;
    return true;
}

static void order_step(struct pair *w, uint8_t c, uint8_t h)
{
    const struct group *g = ctl_group(w, c);
    const struct step *step = &g->instances[h].step;
    struct ctl *ctl = &w->ctls[c];
    struct msg m = {.kind = MSG_STEP_ORDER, .host = h};
    member_set set = g->opened_index != 0 ? group_other_members(g) : 0;

    if (!is_due(w, &ctl->step_pace[h].what, &ctl->step_pace[h].at, step->id))
        return;
    if (step->kind == STEP_JOIN)
        set = (member_set)(set & ~(1u << step->subject));
    if (w->opt.mutant == MUTANT_SHRINK_FIRST && step->kind == STEP_SYNC)
        set = 0;
    m.inc = *enrolled(w, c, h);
    m.order = (struct order){.step = step->id,
                             .epoch = step->epoch,
                             .generation = step->generation,
                             .name = g->activated_index,
                             .kind = step->kind,
                             .restart = step->restart,
                             .members = set,
                             .subject = step->subject,
                             .upstream = g->active};
    pair_ctl_says(w, c, &m);
}

static void order_fence(struct pair *w, uint8_t c, uint8_t h)
{
    const struct group *g = ctl_group(w, c);
    struct ctl *ctl = &w->ctls[c];
    struct msg m = {.kind = MSG_FENCE_ORDER, .host = h};

    if (!is_due(w, &ctl->fence_pace[h].what, &ctl->fence_pace[h].at, g->fence_index))
        return;
    m.inc = *enrolled(w, c, h);
    m.fence.epoch = g->epoch;
    m.fence.fence_index = g->fence_index;
    pair_ctl_says(w, c, &m);
}

/* ---- decisions ------------------------------------------------------------------------
 */

static void declare(struct pair *w, uint8_t c)
{
    static const char *const regions[] = {"east", "west"};
    struct entry e;
    struct group *g = &e.declare.spec;

    memset(&e, 0, sizeof e);
    e.kind = ENTRY_DECLARE;
    snprintf(e.group, NAME_SIZE, "orders");
    snprintf(e.rule, RULE_SIZE, "operator");
    snprintf(g->name, NAME_SIZE, "orders");
    snprintf(g->component, NAME_SIZE, "db");
    snprintf(g->provider, NAME_SIZE, "postgres");
    policy_defaults(&g->policy);
    g->policy.sync = w->sync;
    g->policy.lease = (struct lease_terms){TTL_MS, RHO_PPM};
    g->policy.renew_ms = RENEW_MS;
    g->policy.shrink_after_ms = SHRINK_MS;
    g->policy.hung_after_ms = HUNG_MS;
    g->policy.promote_deadline_ms = PROMOTE_MS;
    g->policy.stop_deadline_ms = STOP_MS;
    g->policy.cooldown_ms = 0;
    g->policy.standby_reads = w->standby_reads;
    g->policy.automatic = !w->manual;
    g->region_count = g->instance_count = HOSTS;
    g->active = w->declared;
    g->adopt = w->adopt;
    for (uint8_t i = 0; i < HOSTS; i++) {
        snprintf(g->regions[i].name, NAME_SIZE, "%s", regions[i]);
        snprintf(g->instances[i].agent, NAME_SIZE, "%s", agent_names[i]);
        snprintf(g->instances[i].data, PATH_SIZE, "/srv/pg");
        snprintf(g->instances[i].start, PATH_SIZE, "pg_ctl");
        g->instances[i].region = i;
        g->instances[i].port = PORT;
    }
    log_propose(w, c, &e, &(struct tag){.decision = true});
}

static void enrol(struct pair *w, uint8_t c, uint8_t h)
{
    struct ctl *ctl = &w->ctls[c];
    const struct incarnation *known = enrolled(w, c, h);
    struct tag tag = {.msg = {.host = h}};
    struct entry e;
    struct agent *a = &e.enrol.agent;

    if (!ctl->has_hello[h] || ctl->enrolling[h] ||
        (known != NULL && incarnation_equal(known, &ctl->hello[h].inc)))
        return;
    memset(&e, 0, sizeof e);
    e.kind = ENTRY_ENROL;
    snprintf(a->name, NAME_SIZE, "%s", agent_names[h]);
    snprintf(a->region, NAME_SIZE, "%s", h == 0 ? "east" : "west");
    snprintf(a->address, ADDRESS_SIZE, "10.0.%u.2", h + 1u);
    a->incarnation = ctl->hello[h].inc;
    a->former = ctl->hello[h].hello.former;
    if (ctl->hello[h].hello.highest != 0) {
        e.enrol.epoch_count = 1;
        snprintf(e.enrol.epochs[0].name, NAME_SIZE, "orders");
        e.enrol.epochs[0].epoch = ctl->hello[h].hello.highest;
    }
    ctl->enrolling[h] = true;
    log_propose(w, c, &e, &tag);
}

/* What `why` tells the operator of a group that does not form: the other one holds more. */
static bool named_the_wrong_one(const struct pair *w, const struct group *g)
{
    uint8_t other = (uint8_t)(1 - g->active);

    return g->phase == PHASE_FORMING && w->pgs[other].server != SERVER_ABSENT &&
           w->pgs[other].server != SERVER_REWINDING &&
           w->pgs[other].len > w->pgs[g->active].len;
}

/* `why` says that the other one runs as a primary. The operator takes some time, and then
 * corrects the file, lets the group go, or stops that server. */
static bool see_to_other_primary(struct pair *w, uint8_t c)
{
    const struct group *g = ctl_group(w, c);
    uint8_t other = (uint8_t)(1 - g->active);
    bool both = w->pgs[g->active].server == SERVER_PRIMARY;
    struct entry e = {.kind = ENTRY_DETACH};

    if (g->phase != PHASE_FORMING || w->pgs[other].server != SERVER_PRIMARY)
        return false;
    if (!pair_chance(w, 30))
        return true;
    if (both || pair_chance(w, 200)) {
        pair_note(w, "operator: one primary is enough");
        pg_stop(w, both && w->pgs[other].len > w->pgs[g->active].len ? g->active : other);
        return true;
    }
    w->declared = other;
    w->adopt = true;
    if (pair_chance(w, 700)) {
        declare(w, c); /* the same file, corrected */
        return true;
    }
    snprintf(e.group, NAME_SIZE, "orders");
    snprintf(e.rule, RULE_SIZE, "operator");
    log_propose(w, c, &e, &(struct tag){.decision = true});
    return true;
}

/* An operator lets the group go and takes it back, or has removed it and declares it anew;
 * what serves is named active. */
static void operate(struct pair *w, uint8_t c)
{
    const struct group *g = ctl_group(w, c);
    struct entry e;

    memset(&e, 0, sizeof e);
    snprintf(e.group, NAME_SIZE, "orders");
    snprintf(e.rule, RULE_SIZE, "operator");
    if (ctl_seen(w, c)->busy || w->detaching || see_to_other_primary(w, c))
        return;
    if (named_the_wrong_one(w, g)) {
        w->declared = (uint8_t)(1 - g->active);
        e.kind = ENTRY_DETACH;
        log_propose(w, c, &e, &(struct tag){.decision = true});
        return;
    }
    if (g->phase != PHASE_DETACHED)
        return;
    if (w->pgs[w->declared].server == SERVER_STANDBY) {
        pg_stop(w, w->declared);
        return;
    }
    if (w->opt.seed % 2 == 0) {
        e.kind = ENTRY_ATTACH;
        e.attach.active = w->declared;
    } else {
        e.kind = ENTRY_REMOVE;
    }
    log_propose(w, c, &e, &(struct tag){.decision = true});
}

/* A group that says `automatic: false` waits for an operator, who is slow, and sees what
 * this controller sees. */
static void call_operator(struct pair *w, uint8_t c)
{
    const struct group *g = ctl_group(w, c);
    struct observed_group *og = ctl_seen(w, c);
    struct mono now = ctl_now(w, c), granted = og->instances[g->active].granted;
    bool silent = mono_is_set(granted) && mono_since_ms(granted, now) > OPERATOR_MS;
    bool down = mono_is_set(og->crashed_since) &&
                mono_since_ms(og->crashed_since, now) > OPERATOR_MS;

    if (!w->manual || g->phase != PHASE_STEADY || og->failover_wanted || !(silent || down))
        return;
    pair_note(w, "controller %u: an operator asks for a failover", c);
    og->failover_wanted = true;
    og->failover_target = NO_INSTANCE;
}

static void follow_connections(struct pair *w, uint8_t c)
{
    struct ctl *ctl = &w->ctls[c];

    for (uint8_t h = 0; h < HOSTS; h++) {
        const struct agent *a = state_agent(&ctl->s, agent_names[h]);
        bool heard =
            ctl->heard[h] != 0 && w->now - ctl->heard[h] < (uint64_t)ROUTE_MS * NS_PER_MS;

        if (a != NULL)
            ctl->o.agents[a - ctl->s.agents].connected = heard;
        if (w->now - ctl->pushed[h] >= (uint64_t)PUSH_EACH_MS * NS_PER_MS)
            ctl->dirty[h] = true;
        enrol(w, c, h);
    }
}

static void carry_out(struct pair *w, uint8_t c, const struct action *a)
{
    if (a->kind == ACT_PROPOSE) {
        /* As node_propose(): what would be refused is not submitted. */
        apply_dry(&w->ctls[c].s, &a->entry, &w->scratch, &w->result);
        if (w->result.refusal != ACCEPTED) {
            pair_note(w, "controller %u: %s not proposed: %s", c, a->rule, w->result.text);
            return;
        }
        pair_note(w, "controller %u: %s", c, a->rule);
        log_propose(w, c, &a->entry, &(struct tag){.decision = true});
    } else if (a->kind == ACT_ORDER_STEP) {
        order_step(w, c, a->instance);
    } else if (a->kind == ACT_ORDER_FENCE) {
        order_fence(w, c, a->instance);
    }
}

void ctl_turn(struct pair *w, uint8_t c)
{
    struct ctl *ctl = &w->ctls[c];
    uint64_t again = 100;

    ctl->turn_due = false;
    if (!ctl->up || !ctl->o.leading)
        return;
    follow_connections(w, c);
    if (ctl_group(w, c) == NULL) {
        if (ctl->s.agent_count == HOSTS && !ctl_seen(w, c)->busy && !w->detaching)
            declare(w, c);
    } else {
        operate(w, c);
        call_operator(w, c);
        decide(&ctl->s, &ctl->o, ctl_now(w, c), &w->actions);
        for (unsigned i = 0; i < w->actions.count; i++)
            carry_out(w, c, &w->actions.list[i]);
        if (w->actions.again.ns < mono_plus_ms(ctl_now(w, c), again).ns)
            again = mono_since_ms(ctl_now(w, c), w->actions.again) + 1;
    }
    for (uint8_t h = 0; h < HOSTS; h++) {
        if (!ctl->dirty[h])
            continue;
        ctl->dirty[h] = false;
        ctl->pushed[h] = w->now;
        push(w, c, h);
    }
    ctl->turn_due = true;
    (void)pair_at(w, w->now + again * NS_PER_MS, EV_TURN, c);
}

/* ---- what agents say ------------------------------------------------------------------
 */

static void on_renew(struct pair *w, uint8_t c, const struct msg *m)
{
    struct tag tag = {.renewal = true, .msg = *m};
    struct entry e;
    struct renew_item *item = &e.renew.items[0];

    memset(&e, 0, sizeof e);
    e.kind = ENTRY_RENEW;
    e.renew.count = 1;
    snprintf(item->group, NAME_SIZE, "orders");
    item->instance = m->host;
    item->kind = (enum lease_kind)m->renew.kind;
    item->epoch = m->renew.epoch;
    item->incarnation = m->inc;
    apply_dry(&w->ctls[c].s, &e, &w->scratch, &w->result);
    if (w->result.verdicts[0] == ACCEPTED || pair_chance(w, 20))
        log_propose(w, c, &e, &tag);
}

static void answer(struct pair *w, uint8_t c, const struct logged *l,
                   const struct apply_result *r)
{
    const struct group *g = ctl_group(w, c);
    const struct msg *asked = &l->tag.msg;
    struct msg m = {.kind = MSG_ACK, .host = asked->host, .inc = asked->inc};
    bool granted =
        r->verdicts[0] == ACCEPTED && g != NULL && g->epoch == asked->renew.epoch;

    m.ack.seq = asked->renew.seq;
    m.ack.sent = asked->renew.sent;
    snprintf(m.ack.v.group, sizeof m.ack.v.group, "orders");
    m.ack.v.epoch = asked->renew.epoch;
    m.ack.v.kind = asked->renew.kind;
    m.ack.v.granted = granted;
    if (granted) {
        m.ack.v.terms = g->terms;
        m.ack.v.open = g->opened_index != 0 || w->opt.mutant == MUTANT_OPEN_EARLY;
    }
    pair_ctl_says(w, c, &m);
}

/* Whatever the rates of the clocks. */
static struct mono earlier(struct mono at, uint64_t ns)
{
    ns += ns / 8 + NS_PER_MS;
    return (struct mono){at.ns > ns ? at.ns - ns : 1};
}

static void on_report(struct pair *w, uint8_t c, const struct msg *m)
{
    struct ctl *ctl = &w->ctls[c];
    const struct group *g = ctl_group(w, c);
    struct seen_instance seen = m->report.seen;
    uint64_t way_ns;

    if (g == NULL || (incarnation_equal(&ctl->report_of[m->host], &m->inc) &&
                      m->report.seq <= ctl->report_seq[m->host]))
        return;
    ctl->report_of[m->host] = m->inc;
    ctl->report_seq[m->host] = m->report.seq;
    seen.at = ctl_now(w, c);
    /* As the daemon dates it: never younger than it is (controller/daemon/relay.h). */
    way_ns = w->now - m->report.sent;
    seen.said = earlier(seen.at, way_ns);
    seen.taken = earlier(seen.said, m->report.age_ns);
    seen.latest.ns = seen.at.ns > m->report.age_ns ? seen.at.ns - m->report.age_ns : 1;
    seen.system_id = SYSTEM_ID;
    seen.private_socket = true;
    seen.follows_active = seen.streaming && m->report.upstream == g->active &&
                          m->report.follow_name == g->activated_index;
    observe_report(&ctl->o, &ctl->s, 0, m->host, &seen);
}

static void on_outcome(struct pair *w, uint8_t c, const struct msg *m)
{
    const struct group *g = ctl_group(w, c);
    const struct step *step;

    if (g == NULL)
        return;
    step = &g->instances[m->host].step;
    if (step->state != STEP_STARTED || step->id != m->outcome.step)
        return;
    ctl_seen(w, c)->instances[m->host].outcome =
        (struct seen_outcome){.step = m->outcome.step,
                              .done = m->outcome.done,
                              .position = m->outcome.position,
                              .system_id = SYSTEM_ID};
}

static void on_proof(struct pair *w, uint8_t c, const struct msg *m)
{
    const struct group *g = ctl_group(w, c);

    if (g == NULL || (!m->proof.installed && (m->proof.fence_index != g->fence_index ||
                                              m->proof.epoch != g->epoch)))
        return;
    ctl_seen(w, c)->instances[m->host].proof =
        (struct seen_proof){.given = true,
                            .installed = m->proof.installed,
                            .epoch = m->proof.epoch,
                            .fence_index = m->proof.fence_index,
                            .prover = m->inc};
}

/* Another life of the name was heard so recently that it must be taken to be alive; the one
 * that says hello now may as well be a frame that was long under way. */
static bool has_living_twin(const struct pair *w, uint8_t c, const struct msg *m)
{
    const struct ctl *ctl = &w->ctls[c];
    const struct incarnation *known = enrolled(w, c, m->host), *other = known;

    if (ctl->has_hello[m->host])
        other = &ctl->hello[m->host].inc;
    return other != NULL && !incarnation_equal(other, &m->inc) &&
           ctl->heard[m->host] != 0 &&
           w->now - ctl->heard[m->host] < (uint64_t)ALIVE_MS * NS_PER_MS;
}

void ctl_handle(struct pair *w, uint8_t c, const struct msg *m)
{
    struct ctl *ctl = &w->ctls[c];
    const struct incarnation *known = enrolled(w, c, m->host);

    if (m->kind == MSG_RENEW) {
        on_renew(w, c, m);
        return;
    }
    if (m->kind == MSG_HELLO) {
        if (has_living_twin(w, c, m))
            return;
        ctl->has_hello[m->host] = true;
        ctl->heard[m->host] = w->now;
        ctl->hello[m->host] = *m;
        if (known != NULL)
            ctl->hello[m->host].hello.former = *known;
        ctl->dirty[m->host] = true;
        ctl_wake(w, c);
        return;
    }
    if (known == NULL || !incarnation_equal(known, &m->inc))
        return;
    ctl->heard[m->host] = w->now;
    if (m->kind == MSG_REPORT)
        on_report(w, c, m);
    else if (m->kind == MSG_STEP_REPORT)
        on_outcome(w, c, m);
    else if (m->kind == MSG_PROOF)
        on_proof(w, c, m);
    ctl_wake(w, c);
}

void ctl_applied(struct pair *w, uint8_t c, const struct logged *l,
                 const struct apply_result *r)
{
    struct ctl *ctl = &w->ctls[c];
    bool ours = l->proposer == c && l->life == ctl->life;

    if (l->e.kind != ENTRY_RENEW)
        for (unsigned h = 0; h < HOSTS; h++)
            ctl->dirty[h] = true;
    if (!ours)
        return;
    if (l->tag.renewal)
        answer(w, c, l, r);
    if (l->tag.decision)
        ctl_seen(w, c)->busy = false;
    if (l->e.kind == ENTRY_ENROL)
        ctl->enrolling[l->tag.msg.host] = false;
    if (r->refusal != ACCEPTED)
        pair_note(w, "controller %u: %s at %" PRIu64 " refused: %s", c,
                  entry_kind_name(l->e.kind), ctl->s.applied, r->text);
}
