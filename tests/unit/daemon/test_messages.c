/* What agents are told is what the log says, and what they say becomes what was seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/daemon/audit.h"
#include "controller/daemon/messages.h"
#include "controller/daemon/reports.h"

static struct state s;
static struct observations o;
static struct messages m;

/* Two instances, agent `n` lives life `n`; epoch 3 is open, 0 is active, both are members.
 */
static struct group *steady(void)
{
    struct group *g = &s.groups[0];

    memset(&m, 0, sizeof m);
    state_init(&s, "lab");
    observations_init(&o, 1);
    s.agent_count = 2;
    s.group_count = 1;
    snprintf(g->name, sizeof g->name, "orders");
    snprintf(g->provider, sizeof g->provider, "postgres");
    policy_defaults(&g->policy);
    g->region_count = g->instance_count = 2;
    for (uint8_t i = 0; i < 2; i++) {
        struct agent *a = &s.agents[i];

        snprintf(a->name, sizeof a->name, "pg-%u", i);
        snprintf(a->address, sizeof a->address, "10.0.%u.2", i);
        memset(a->incarnation.bytes, i + 1, sizeof a->incarnation.bytes);
        snprintf(g->regions[i].name, NAME_SIZE, "r%u", i);
        g->instances[i].region = i;
        g->instances[i].port = (uint16_t)(5432 + i);
        g->instances[i].step.subject = NO_INSTANCE;
        snprintf(g->instances[i].agent, NAME_SIZE, "pg-%u", i);
        snprintf(g->instances[i].data, PATH_SIZE, "/data/%u", i);
        snprintf(g->instances[i].start, PATH_SIZE, "pg_ctl");
    }
    g->phase = PHASE_STEADY;
    g->epoch = 3;
    g->index = 40;
    g->activated_index = 30;
    g->opened_index = 33;
    g->old_active = NO_INSTANCE;
    g->sync_set = 3;
    g->sync_known = true;
    g->sync_generation = 36;
    g->terms = g->policy.lease;
    g->instances[0].proof.last_grant = 39;
    g->instances[0].proof.holder = s.agents[0].incarnation;
    g->instances[0].holder_epoch = 3;
    g->instances[1].proof.proven = 29;
    g->instances[1].proof.kind = PROOF_INSTALLED;
    g->instances[1].proof.prover = s.agents[1].incarnation;
    return g;
}

static const Rf__Assignment *assigned(const char *agent)
{
    const Rf__Frame *f = message_assignments(&m, &s, agent, 5);
    struct buf bytes = {0};
    struct err err;

    assert_non_null(f);
    if (frame_encode(f, &bytes, &err) != 0) /* a receiver would take it */
        fail_msg("%s", err.text);
    buf_free(&bytes);
    assert_int_equal(f->assignments->term, 5);
    assert_int_equal(f->assignments->n_instances, 1);
    return f->assignments->instances[0];
}

static void an_assignment_says_what_is_committed(void **state)
{
    const Rf__Assignment *v;

    (void)state;
    steady();
    v = assigned("pg-0");
    assert_string_equal(v->group, "orders");
    assert_int_equal(v->index, 40);
    assert_int_equal(v->epoch, 3);
    assert_int_equal(v->role, RF__ROLE__ROLE_PRIMARY);
    assert_true(v->opened);
    assert_int_equal(v->fence_index, 0);
    assert_string_equal(v->server->address, "10.0.0.2");
    assert_int_equal(v->server->port, 5432);
    assert_string_equal(v->server->data, "/data/0");
    assert_int_equal(v->n_peers, 1);
    assert_string_equal(v->peers[0]->instance, "pg-1");
    assert_string_equal(v->peers[0]->address, "10.0.1.2");
    assert_true(v->peers[0]->member);
    assert_int_equal(v->ttl_ms, 3000);
    assert_int_equal(v->max_lag_bytes, 16 << 20);
    assert_int_equal(v->max_lag_ms, 10000);
    assert_false(v->proof_wanted);
    assert_false(v->stop_allowed);
    assert_string_equal(v->active, "pg-0");

    v = assigned("pg-1");
    assert_int_equal(v->role, RF__ROLE__ROLE_STANDBY);
    assert_string_equal(v->own_standby_name, m.names[0][1]);
    assert_null(message_assignments(&m, &s, "nobody", 5));
}

static void roles_follow_the_phase(void **state)
{
    static const struct {
        enum phase phase;
        Rf__Role active, other;
    } table[] = {
        {PHASE_FORMING, RF__ROLE__ROLE_NONE, RF__ROLE__ROLE_NONE},
        {PHASE_PROMOTING, RF__ROLE__ROLE_PRIMARY, RF__ROLE__ROLE_STANDBY},
        {PHASE_STEADY, RF__ROLE__ROLE_PRIMARY, RF__ROLE__ROLE_STANDBY},
        {PHASE_SWITCHING, RF__ROLE__ROLE_PRIMARY, RF__ROLE__ROLE_STANDBY},
        {PHASE_FENCING, RF__ROLE__ROLE_PRIMARY, RF__ROLE__ROLE_STANDBY},
        {PHASE_DETACHED, RF__ROLE__ROLE_DETACHED, RF__ROLE__ROLE_DETACHED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        steady()->phase = table[i].phase;
        assert_int_equal(assigned("pg-0")->role, table[i].active);
        assert_int_equal(assigned("pg-1")->role, table[i].other);
    }
}

/* I2: asked of whoever is not proven, never of the one that may be granted a lease. */
static void proofs_are_asked_where_they_are_missing(void **state)
{
    struct group *g = steady();

    (void)state;
    memset(&g->instances[1].proof, 0, sizeof g->instances[1].proof);
    assert_false(assigned("pg-0")->proof_wanted);
    assert_true(assigned("pg-1")->proof_wanted);
    g->phase = PHASE_FORMING;
    assert_true(assigned("pg-0")->proof_wanted);
    g->phase = PHASE_DETACHED;
    assert_false(assigned("pg-1")->proof_wanted);

    /* A reader holds a lease of this epoch: only a fence proves it. */
    g = steady();
    g->instances[1].proof.last_grant = 38;
    g->instances[1].proof.holder = s.agents[1].incarnation;
    g->instances[1].holder_epoch = 3;
    assert_false(assigned("pg-1")->proof_wanted);
}

/* I6: a holder is stopped only by the logged step of a switchover of this epoch. */
static void a_stop_is_allowed_in_one_case(void **state)
{
    (void)state;
    for (int phase = PHASE_FORMING; phase < PHASE_COUNT; phase++)
        for (int kind = STEP_NONE; kind <= STEP_CLONE; kind++)
            for (int step = STEP_IDLE; step <= STEP_FAILED; step++)
                for (uint64_t epoch = 2; epoch <= 4; epoch++) {
                    struct group *g = steady();

                    g->phase = (enum phase)phase;
                    g->instances[0].step.kind = (enum step_kind)kind;
                    g->instances[0].step.state = (enum step_state)step;
                    g->instances[0].step.epoch = epoch;
                    assert_int_equal(assigned("pg-0")->stop_allowed,
                                     phase == PHASE_SWITCHING && kind == STEP_STOP &&
                                         step == STEP_STARTED && epoch == 3);
                }
}

static struct step started(enum step_kind kind, uint8_t subject)
{
    return (struct step){.state = STEP_STARTED,
                         .kind = kind,
                         .id = 41,
                         .epoch = 3,
                         .generation = 36,
                         .subject = subject};
}

/* I8: a new primary begins alone; within the epoch it waits for the others of the set; who
 * joins is named apart. */
static void orders_name_whom_commits_wait_for(void **state)
{
    struct group *g = steady();
    const Rf__StepRequest *r;

    (void)state;
    assert_null(message_step_order(&m, &s, 0, 0)); /* none was started */
    g->instances[0].step = started(STEP_LEAD, NO_INSTANCE);
    g->phase = PHASE_PROMOTING;
    g->opened_index = 0;
    r = message_step_order(&m, &s, 0, 0)->step_order->request;
    assert_int_equal(r->n_members, 0);
    assert_true(r->synchronous);
    assert_int_equal(r->deadline_ms, g->policy.promote_deadline_ms);

    g = steady();
    g->instances[0].step = started(STEP_LEAD, NO_INSTANCE);
    g->instances[0].step.restart = true;
    r = message_step_order(&m, &s, 0, 0)->step_order->request;
    assert_int_equal(r->n_members, 1);
    assert_string_equal(r->members[0], m.names[0][1]);
    assert_true(r->restart);

    g->sync_set = 1;
    g->instances[0].step = started(STEP_JOIN, 1);
    r = message_step_order(&m, &s, 0, 0)->step_order->request;
    assert_int_equal(r->n_members, 0);
    assert_string_equal(r->joining, m.names[0][1]);

    g->instances[1].step = started(STEP_FOLLOW, NO_INSTANCE);
    r = message_step_order(&m, &s, 0, 1)->step_order->request;
    assert_string_equal(r->upstream->instance, "pg-0");
    assert_string_equal(r->upstream->address, "10.0.0.2");
    assert_int_equal(r->upstream->port, 5432);
    assert_string_equal(r->standby_name, m.names[0][1]);
    assert_string_not_equal(r->blocking_name, "");
}

/* I3: no fence order without a committed fence_begin. */
static void a_fence_order_names_the_fence(void **state)
{
    struct group *g = steady();
    const Rf__FenceOrder *f;

    (void)state;
    assert_null(message_fence_order(&m, &s, 0, 0));
    g->fence_index = 44;
    g->phase = PHASE_FENCING;
    f = message_fence_order(&m, &s, 0, 0)->fence_order;
    assert_int_equal(f->epoch, 3);
    assert_int_equal(f->fence_index, 44);
    assert_string_equal(f->instance, "pg-0");
}

/* It has the fence_begin for its number, and is for the very standby. */
static void an_order_to_sever_names_the_fence(void **state)
{
    struct group *g = steady();
    const Rf__StepOrder *order;

    (void)state;
    assert_null(message_sever_order(&m, &s, 0, 1));
    g->fence_index = 44;
    g->phase = PHASE_FENCING;
    order = message_sever_order(&m, &s, 0, 1)->step_order;
    assert_string_equal(order->instance, "pg-1");
    assert_int_equal(order->request->kind, RF__STEP_KIND__STEP_SEVER);
    assert_int_equal(order->request->step, 44);
    assert_int_equal(order->request->epoch, 3);
    assert_string_equal(order->request->upstream->instance, "pg-0");
    assert_true(order->request->standby_name[0] != '\0');
}

/* ---- reports ------------------------------------------------------------------------- */

static void follows_means_that_very_stream(void **state)
{
    static const struct {
        const char *upstream;
        uint32_t port;
        int epoch_off;
        bool streaming, follows;
    } table[] = {
        {"10.0.0.2", 5432, 0, true, true},  {"10.0.0.2", 5433, 0, true, false},
        {"10.0.0.9", 5432, 0, true, false}, {"10.0.0.2", 5432, -1, true, false},
        {"10.0.0.2", 5432, 0, false, true}, /* whether it streams is another field */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct group *g = steady();
        Rf__AgentReport r = RF__AGENT_REPORT__INIT;
        Rf__InstanceReport v = RF__INSTANCE_REPORT__INIT, *list[] = {&v};
        Rf__Observation seen = RF__OBSERVATION__INIT;
        char name[STANDBY_NAME_SIZE];
        struct group older = *g;

        older.epoch = (uint64_t)((int64_t)g->epoch + table[i].epoch_off);
        group_standby_name(&older, 1, name);
        v.group = g->name;
        v.instance = g->instances[1].agent;
        v.gate_mode = (char *)"replication";
        v.seen = &seen;
        seen.server = RF__SERVER_STATE__SERVER_STANDBY;
        seen.upstream = (char *)table[i].upstream;
        seen.upstream_port = table[i].port;
        seen.application_name = name;
        seen.streaming = table[i].streaming;
        seen.flush_lsn = 77;
        r.n_instances = 1;
        r.instances = list;
        (void)reports_take(&s, &o, "pg-1", &r, mono_now());
        assert_true(mono_is_set(o.groups[0].instances[1].seen.at));
        assert_int_equal(o.groups[0].instances[1].seen.flush_lsn, 77);
        assert_int_equal(o.groups[0].instances[1].seen.follows_active, table[i].follows);

        /* Of somebody else's instance nothing is believed. */
        steady();
        (void)reports_take(&s, &o, "pg-0", &r, mono_now());
        assert_false(mono_is_set(o.groups[0].instances[1].seen.at));
        assert_false(mono_is_set(o.groups[0].instances[0].seen.at));
    }
}

/* The first position of a primary in its epoch is worth telling the others at once. */
static void the_first_position_is_news(void **state)
{
    struct group *g = steady();
    Rf__AgentReport r = RF__AGENT_REPORT__INIT;
    Rf__InstanceReport v = RF__INSTANCE_REPORT__INIT, *list[] = {&v};
    Rf__Observation seen = RF__OBSERVATION__INIT;

    (void)state;
    v.group = g->name;
    v.instance = g->instances[0].agent;
    v.epoch = g->epoch;
    v.gate_mode = (char *)"open";
    v.seen = &seen;
    seen.server = RF__SERVER_STATE__SERVER_STARTING;
    seen.flush_lsn = 77;
    r.n_instances = 1;
    r.instances = list;
    assert_false(reports_take(&s, &o, "pg-0", &r, mono_now()));
    seen.server = RF__SERVER_STATE__SERVER_PRIMARY;
    assert_true(reports_take(&s, &o, "pg-0", &r, mono_now()));
    assert_int_equal(o.groups[0].primary_lsn, 77);
    assert_false(reports_take(&s, &o, "pg-0", &r, mono_now()));
}

/* I5: an outcome counts for the step that is in flight, and unknown is no outcome. */
static void outcomes_are_of_the_step_in_flight(void **state)
{
    struct group *g = steady();
    Rf__StepReport r = RF__STEP_REPORT__INIT;
    Rf__StepResult result = RF__STEP_RESULT__INIT;

    (void)state;
    r.group = g->name;
    r.instance = g->instances[0].agent;
    r.result = &result;
    result.step = 41;
    result.outcome = RF__STEP_OUTCOME__OUTCOME_DONE;
    assert_false(reports_take_outcome(&s, &o, "pg-0", &r)); /* nothing in flight */
    g->instances[0].step = started(STEP_STOP, NO_INSTANCE);
    result.outcome = RF__STEP_OUTCOME__OUTCOME_UNKNOWN;
    assert_false(reports_take_outcome(&s, &o, "pg-0", &r));
    result.outcome = RF__STEP_OUTCOME__OUTCOME_DONE;
    result.step = 40;
    assert_false(reports_take_outcome(&s, &o, "pg-0", &r));
    result.step = 41;
    assert_false(reports_take_outcome(&s, &o, "pg-1", &r));
    assert_true(reports_take_outcome(&s, &o, "pg-0", &r));
    assert_int_equal(o.groups[0].instances[0].outcome.step, 41);
    assert_true(o.groups[0].instances[0].outcome.done);
    assert_false(o.groups[0].instances[0].outcome.loss_known);
}

static void proofs_answer_the_fence_in_force(void **state)
{
    struct group *g = steady();
    Rf__FenceProof p = RF__FENCE_PROOF__INIT;
    Rf__Incarnation who;

    (void)state;
    frame_incarnation_put(&s.agents[0].incarnation, &who);
    p.incarnation = &who;
    p.group = g->name;
    p.instance = g->instances[0].agent;
    p.epoch = 3;
    p.fence_index = 44;
    assert_false(reports_take_proof(&s, &o, "pg-0", &p)); /* no fence */
    g->fence_index = 44;
    p.fence_index = 43;
    assert_false(reports_take_proof(&s, &o, "pg-0", &p));
    p.fence_index = 44;
    p.epoch = 2;
    assert_false(reports_take_proof(&s, &o, "pg-0", &p));
    p.epoch = 3;
    assert_true(reports_take_proof(&s, &o, "pg-0", &p));
    assert_true(o.groups[0].instances[0].proof.given);
    assert_true(incarnation_equal(&o.groups[0].instances[0].proof.prover,
                                  &s.agents[0].incarnation));
}

/* ---- the audit trail -------------------------------------------------------------------
 */

static void renewals_are_news_once_an_epoch(void **state)
{
    struct group *g = steady();
    static struct entry e;
    struct apply_result r = {0};
    struct audit_before before;
    struct audit_row row;

    (void)state;
    e = (struct entry){.kind = ENTRY_RENEW, .renew = {.count = 1}};
    snprintf(e.renew.items[0].group, NAME_SIZE, "orders");
    e.renew.items[0].epoch = 3;
    audit_look(&s, &e, &before);
    assert_false(audit_make(&e, &r, &before, &row));
    g->instances[0].holder_epoch = 2;
    audit_look(&s, &e, &before);
    assert_true(audit_make(&e, &r, &before, &row));
    assert_string_equal(row.group, "orders");
    r.verdicts[0] = REFUSE_FENCED;
    assert_false(audit_make(&e, &r, &before, &row));

    e = (struct entry){.kind = ENTRY_PAUSE, .group = "orders", .rule = "operator"};
    r = (struct apply_result){.refusal = REFUSE_PHASE, .text = "no"};
    assert_true(audit_make(&e, &r, &before, &row));
    assert_string_equal(row.kind, "pause");
    assert_int_equal(strncmp(row.text, "refused (wrong-phase): ", 23), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assignment_says_what_is_committed),
        cmocka_unit_test(roles_follow_the_phase),
        cmocka_unit_test(proofs_are_asked_where_they_are_missing),
        cmocka_unit_test(a_stop_is_allowed_in_one_case),
        cmocka_unit_test(orders_name_whom_commits_wait_for),
        cmocka_unit_test(a_fence_order_names_the_fence),
        cmocka_unit_test(an_order_to_sever_names_the_fence),
        cmocka_unit_test(follows_means_that_very_stream),
        cmocka_unit_test(the_first_position_is_news),
        cmocka_unit_test(outcomes_are_of_the_step_in_flight),
        cmocka_unit_test(proofs_answer_the_fence_in_force),
        cmocka_unit_test(renewals_are_news_once_an_epoch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
