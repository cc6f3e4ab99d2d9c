#include "controller/daemon/agents.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/agents_private.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"
#include "controller/daemon/renewals.h"
#include "controller/daemon/reports.h"
#include "controller/daemon/runner.h"

/* A program of an agent numbers its reports from the microseconds of its boot clock on
 * (keeper.c), one by one, some ten a second. So its successor's first number is ahead by
 * the microseconds that this one lived, less its reports; that many reports of one program
 * are never missed in a row. Where one lived for less, its successor goes unnoticed here,
 * and all that is lost is that what failed is not tried at once. */
enum { TICK_MS = 250, ANEW_LEAP_US = 100000 };

/* ---- who is known -------------------------------------------------------------------- */

uint8_t agents_self_route(const struct agents *a) { return a->d->settings.self; }

struct known *agents_know(struct agents *a, const char *name)
{
    struct known *k;

    for (unsigned i = 0; i < a->known_count; i++)
        if (strcmp(a->known[i].name, name) == 0)
            return &a->known[i];
    if (a->known_count == KNOWN_MAX)
        return NULL;
    k = &a->known[a->known_count++];
    *k = (struct known){0};
    (void)snprintf(k->name, sizeof k->name, "%s", name);
    return k;
}

bool agents_is_superseded(const struct agents *a, const struct incarnation *i)
{
    for (unsigned k = 0; k < SUPERSEDED_MAX; k++)
        if (incarnation_is_set(&a->superseded[k]) &&
            incarnation_equal(&a->superseded[k], i))
            return true;
    return false;
}

static void refuse_route(struct agents *a, const struct known *k, uint8_t route,
                         const struct incarnation *who, const char *why, bool final)
{
    Rf__Refusal refusal = RF__REFUSAL__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    if (route == agents_self_route(a)) {
        (void)sessions_refuse(a, k->name, who, why, final);
        return;
    }
    refusal.reason = (char *)why;
    refusal.final = final;
    frame.body_case = RF__FRAME__BODY_REFUSAL;
    frame.refusal = &refusal;
    agents_send_routes(a, k->name, (uint8_t)(1u << route), &frame);
}

/* A frame of the incarnation on record was heard through `route`. */
static void touch(struct agents *a, struct known *k, uint8_t route)
{
    const struct state *s = node_state(a->d->node);
    struct mono now = mono_now();

    k->heard = k->route_at[route] = now;
    for (unsigned i = 0; i < s->agent_count; i++) {
        struct observed_agent *o = &node_seen(a->d->node)->agents[i];

        if (strcmp(s->agents[i].name, k->name) != 0)
            continue;
        if (!o->connected)
            runner_wake(a->d->runner);
        o->connected = true;
        o->heard = now;
        o->via = route;
    }
}

/* I12: only the incarnation on record counts. One that was replaced is told so for good. */
static bool is_on_record(struct agents *a, struct known *k, uint8_t route,
                         const Rf__Incarnation *wire)
{
    struct incarnation who;

    if (frame_incarnation_get(wire, &who, NULL) != 0)
        return false;
    if (incarnation_is_set(&k->enrolled) && incarnation_equal(&k->enrolled, &who)) {
        touch(a, k, route);
        return true;
    }
    if (k->has_hello && incarnation_equal(&k->hello.agent.incarnation, &who))
        k->heard = mono_now(); /* it is being enrolled */
    if (agents_is_superseded(a, &who))
        refuse_route(a, k, route, &who,
                     "this incarnation was replaced by a newer one of the same name: stop "
                     "this agent, or start it anew on its own state directory",
                     true);
    return false;
}

/* ---- enrolment ----------------------------------------------------------------------- */

static bool is_as_recorded(const struct state *s, const struct entry_enrol *h)
{
    const struct agent *r = state_agent(s, h->agent.name);

    return r != NULL && incarnation_equal(&r->incarnation, &h->agent.incarnation) &&
           strcmp(r->address, h->agent.address) == 0 &&
           strcmp(r->region, h->agent.region) == 0 &&
           strcmp(r->version, h->agent.version) == 0 &&
           r->format_min == h->agent.format_min && r->format_max == h->agent.format_max;
}

struct enrolment {
    struct agents *a;
    char name[NAME_SIZE];
};

static void on_enrolled(void *owner, int status, uint64_t index,
                        const struct apply_result *r)
{
    AUTO(auto_free) struct enrolment *e = owner;
    struct known *k;

    if (e->a->d->closing)
        return;
    k = agents_know(e->a, e->name);
    if (k != NULL)
        k->enrolling = false; /* the tick tries again if the record still differs */
    if (status == 0 && r->refusal == ACCEPTED)
        log_info("agent %s is enrolled by entry %" PRIu64, e->name, index);
}

/* Whether it is of any use that this life comes back (I12): not once another one has
 * replaced it. */
static bool has_ended(const struct agents *a, const struct entry_enrol *h)
{
    const struct agent *r = state_agent(node_state(a->d->node), h->agent.name);

    return r != NULL && incarnation_equal(&r->former, &h->agent.incarnation);
}

static void enrol(struct agents *a, struct known *k, uint8_t route)
{
    AUTO(auto_free) struct enrolment *e = NULL;
    struct entry entry = {.kind = ENTRY_ENROL, .rule = "agent", .enrol = k->hello};
    struct err err = {0};
    int status;

    if (k->enrolling || !k->has_hello || is_as_recorded(node_state(a->d->node), &k->hello))
        return;
    e = malloc(sizeof *e);
    if (e == NULL)
        return;
    e->a = a;
    (void)snprintf(e->name, sizeof e->name, "%s", k->name);
    status = node_propose(a->d->node, &entry, on_enrolled, e, NULL, &err);
    if (status == 0) {
        k->enrolling = true;
        (void)TAKE(e);
    } else if (status == ERR_REFUSED || status == ERR_INVAL) {
        k->has_hello = false; /* it may come back with something better */
        refuse_route(a, k, route, &k->hello.agent.incarnation, err.text,
                     has_ended(a, &k->hello));
    }
}

/* Another life of the name was heard so recently that it must be taken to be alive. */
static bool has_living_twin(const struct known *k, const struct incarnation *who)
{
    const struct incarnation *other =
        k->has_hello ? &k->hello.agent.incarnation : &k->enrolled;

    return incarnation_is_set(other) && !incarnation_equal(other, who) &&
           mono_is_set(k->heard) && mono_since_ms(k->heard, mono_now()) < AGENTS_ALIVE_MS;
}

/* A host whose agent was restarted on another state directory looks for a moment like one
 * with two: it is neither enrolled nor refused until that moment is over. */
static void wait_for_twin(struct known *k, uint8_t route, const struct entry_enrol *h)
{
    if (!k->waiting ||
        !incarnation_equal(&k->waiting_hello.agent.incarnation, &h->agent.incarnation)) {
        k->waiting = true;
        k->waiting_routes = 0;
        k->waiting_since = mono_now();
    }
    k->waiting_hello = *h;
    k->waiting_routes |= (uint8_t)(1u << route);
}

static void accept_hello(struct agents *a, struct known *k, uint8_t route,
                         const struct entry_enrol *hello);

/* I12: while the other life speaks, this one takes nothing. */
static void consider_waiting(struct agents *a, struct known *k)
{
    const struct incarnation *who = &k->waiting_hello.agent.incarnation;

    if (!has_living_twin(k, who)) {
        for (unsigned route = 0; route < CONTROLLER_MAX; route++)
            if ((k->waiting_routes & 1u << route) != 0)
                accept_hello(a, k, (uint8_t)route, &k->waiting_hello);
    } else if (k->heard.ns > mono_plus_ms(k->waiting_since, TWIN_SPEAKS_MS).ns) {
        k->waiting = false;
        for (unsigned route = 0; route < CONTROLLER_MAX; route++)
            if ((k->waiting_routes & 1u << route) != 0)
                refuse_route(a, k, (uint8_t)route, who,
                             "two agents of one name: another one is alive under it; stop "
                             "one of them, or give it a name and a certificate of its own",
                             false);
    }
}

/* Said before the life on record was put there, or nobody knows when: it may be over. */
static bool is_overtaken(const struct known *k, const struct incarnation *who,
                         struct mono said)
{
    return incarnation_is_set(&k->enrolled) && !incarnation_equal(&k->enrolled, who) &&
           (!mono_is_set(said) || said.ns < k->enrolled_at.ns);
}

static void on_hello(struct agents *a, struct known *k, uint8_t route,
                     const Rf__AgentHello *wire, struct mono said)
{
    const struct agent *recorded = state_agent(node_state(a->d->node), k->name);
    struct entry_enrol h;
    struct err err = {0};

    if (reports_read_hello(wire, &h, &err) != 0) {
        refuse_route(a, k, route, &h.agent.incarnation, err.text, true);
        return;
    }
    if (agents_is_superseded(a, &h.agent.incarnation)) {
        refuse_route(a, k, route, &h.agent.incarnation,
                     "this incarnation was replaced by a newer one of the same name: stop "
                     "this agent, or start it anew on its own state directory",
                     true);
        return;
    }
    if (is_overtaken(k, &h.agent.incarnation, said))
        return; /* who lives is asked again (agent_sessions.c) */
    /* Enrolled only if no other life comes in between, whoever leads by then (I12): as it
     * was when the hello came. One that waits for a twin to fall silent may be dead itself
     * when that is so, and another life be on record. */
    if (recorded != NULL)
        h.agent.former = recorded->incarnation;
    if (has_living_twin(k, &h.agent.incarnation)) {
        wait_for_twin(k, route, &h);
        return;
    }
    accept_hello(a, k, route, &h);
}

static void accept_hello(struct agents *a, struct known *k, uint8_t route,
                         const struct entry_enrol *hello)
{
    struct entry_enrol h = *hello; /* it may be the one that waits, which is let go */

    /* Only its own wait is over: the stream of a life that is gone may be passed on behind
     * the hello of the next one, which would then wait for ever. */
    if (incarnation_equal(&k->waiting_hello.agent.incarnation, &h.agent.incarnation))
        k->waiting = false;
    k->has_hello = true;
    k->hello = h;
    k->heard = k->route_at[route] = mono_now();
    k->dirty = true; /* told anew at each connect */
    if (incarnation_equal(&k->enrolled, &h.agent.incarnation))
        touch(a, k, route);
    enrol(a, k, route);
    runner_wake(a->d->runner);
}

/* ---- what agents say -------------------------------------------------------------------
 */

void agents_observe(struct agents *a, const char *name, const Rf__AgentReport *report,
                    struct mono said)
{
    struct known *k = agents_know(a, name);
    struct incarnation who;

    /* I9: of a report that may be of any age nothing is believed; the next one is dated. */
    if (k == NULL || !mono_is_set(said) ||
        frame_incarnation_get(report->incarnation, &who, NULL) != 0 ||
        !incarnation_is_set(&k->enrolled) || !incarnation_equal(&k->enrolled, &who))
        return;
    /* The same one may come by several ways, and an older one later. */
    if (incarnation_equal(&k->report_of, &who) && report->seq <= k->report_seq)
        return;
    if (report->seq - k->report_seq > ANEW_LEAP_US)
        observe_agent_anew(node_seen(a->d->node), node_state(a->d->node), name);
    k->report_of = who;
    k->report_seq = report->seq;
    if (reports_take(node_state(a->d->node), node_seen(a->d->node), name, report, said))
        peers_send_view(a->d->peers);
    runner_wake(a->d->runner);
}

void agents_handle(struct agents *a, const char *name, uint8_t route, const Rf__Frame *f,
                   struct mono said)
{
    struct known *k = agents_know(a, name);
    struct daemon *d = a->d;

    if (k == NULL)
        return;
    if (f->body_case == RF__FRAME__BODY_AGENT_HELLO) {
        on_hello(a, k, route, f->agent_hello, said);
    } else if (f->body_case == RF__FRAME__BODY_RENEW) {
        /* Of another incarnation too: apply() refuses it, and the holder is told why. */
        (void)is_on_record(a, k, route, f->renew->incarnation);
        renewals_add(d->renewals, name, route, f->renew);
    } else if (f->body_case == RF__FRAME__BODY_AGENT_REPORT) {
        if (is_on_record(a, k, route, f->agent_report->incarnation))
            agents_observe(a, name, f->agent_report, said);
    } else if (f->body_case == RF__FRAME__BODY_STEP_REPORT) {
        if (is_on_record(a, k, route, f->step_report->incarnation) &&
            reports_take_outcome(node_state(d->node), node_seen(d->node), name,
                                 f->step_report))
            runner_wake(d->runner);
    } else if (f->body_case == RF__FRAME__BODY_FENCE_PROOF) {
        if (is_on_record(a, k, route, f->fence_proof->incarnation) &&
            reports_take_proof(node_state(d->node), node_seen(d->node), name,
                               f->fence_proof))
            runner_wake(d->runner);
    }
}

void agents_forwarded(struct agents *a, uint8_t from, const char *agent,
                      const uint8_t *data, size_t len, struct mono said)
{
    AUTO(frame_free) Rf__Frame *f = NULL;
    struct err err = {0};

    if (strlen(agent) >= NAME_SIZE || !node_leads(a->d->node))
        return; /* an older leader's: the agent repeats itself */
    if (frame_decode(data, len, &f, &err) != 0 ||
        !frame_allowed(f, FRAME_AGENT_TO_CONTROLLER)) {
        log_warn("controller %s passed on what is no frame of an agent: %s",
                 a->d->settings.controllers[from].name, err.text);
        return;
    }
    agents_handle(a, agent, from, f, said);
}

/* ---- what the log says -----------------------------------------------------------------
 */

/* I12: a life that was replaced never comes back, as far as this process remembers; beyond
 * that, its leases are over by then and its gate is closed (I2, I3). */
static void follow_record(struct agents *a, const struct agent *r)
{
    struct known *k = agents_know(a, r->name);

    if (k == NULL || incarnation_equal(&k->enrolled, &r->incarnation))
        return;
    if (incarnation_is_set(&k->enrolled)) {
        a->superseded[a->superseded_next] = k->enrolled;
        a->superseded_next = (a->superseded_next + 1) % SUPERSEDED_MAX;
    }
    k->enrolled = r->incarnation;
    k->enrolled_at = mono_now();
}

static void mark_group(struct agents *a, const struct group *g)
{
    for (unsigned i = 0; i < g->instance_count; i++) {
        struct known *k = agents_know(a, g->instances[i].agent);

        if (k != NULL)
            k->dirty = true;
    }
}

void agents_applied(struct agents *a, const struct entry *e)
{
    const struct state *s = node_state(a->d->node);
    const struct group *g = NULL;

    if (e != NULL && (e->kind == ENTRY_RENEW || e->kind == ENTRY_REFUSED))
        return;
    if (e != NULL && e->kind != ENTRY_ENROL)
        g = state_group_const(s, e->group);
    if (g != NULL) {
        mark_group(a, g);
        return;
    }
    for (unsigned i = 0; i < s->agent_count; i++)
        follow_record(a, &s->agents[i]);
    for (unsigned i = 0; i < a->known_count; i++)
        a->known[i].dirty = true;
}

void agents_seen_by(struct agents *a, uint8_t from, char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct known *k = strlen(names[i]) < NAME_SIZE ? agents_know(a, names[i]) : NULL;

        if (k != NULL)
            k->route_at[from] = mono_now();
    }
}

/* ---- life ------------------------------------------------------------------------------
 */

static void follow_connections(struct agents *a, struct mono now)
{
    const struct state *s = node_state(a->d->node);
    struct observations *o = node_seen(a->d->node);

    for (unsigned i = 0; i < s->agent_count; i++)
        if (o->agents[i].connected &&
            mono_since_ms(o->agents[i].heard, now) > AGENTS_ROUTE_MS)
            o->agents[i].connected = false;
}

static uint8_t newest_route(const struct known *k)
{
    uint8_t newest = 0;

    for (unsigned i = 1; i < CONTROLLER_MAX; i++)
        if (k->route_at[i].ns > k->route_at[newest].ns)
            newest = (uint8_t)i;
    return newest;
}

static void on_tick(uv_timer_t *tick)
{
    struct agents *a = tick->data;
    struct mono now = mono_now();

    sessions_tick(a, now);
    follow_connections(a, now);
    for (unsigned i = 0; i < a->known_count; i++)
        a->known[i].waiting = a->known[i].waiting && node_leads(a->d->node);
    if (!node_leads(a->d->node))
        return;
    for (unsigned i = 0; i < a->known_count; i++) {
        struct known *k = &a->known[i];

        if (k->waiting)
            consider_waiting(a, k);
        if (mono_since_ms(k->heard, now) < AGENTS_ROUTE_MS)
            enrol(a, k, newest_route(k));
        if (mono_since_ms(k->pushed, now) >= AGENTS_PUSH_EACH_MS)
            k->dirty = true;
    }
    agents_flush(a);
}

static void on_closed(uv_handle_t *handle)
{
    struct agents *a = handle->data;

    buf_free(&a->bytes);
    free(a);
}

int agents_open(struct agents **ret_agents, struct daemon *d, struct err *err)
{
    struct agents *a = calloc(1, sizeof *a);
    int status;

    if (a == NULL)
        return err_set(err, ERR_NOMEM, "agents");
    a->d = d;
    (void)uv_timer_init(d->loop, &a->tick); /* cannot fail */
    a->tick.data = a;
    status = uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
    if (status != 0) {
        uv_close((uv_handle_t *)&a->tick, on_closed);
        return err_uv(err, status, "start the timer of agents");
    }
    *ret_agents = a;
    return 0;
}

void agents_close(struct agents *a)
{
    if (a == NULL)
        return;
    sessions_close(a);
    uv_close((uv_handle_t *)&a->tick, on_closed);
}
