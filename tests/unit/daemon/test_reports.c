/* An agent's words become observations and entries: all of what it says, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "controller/daemon/reports.h"

enum { MANY = ENROL_EPOCHS_MAX + 1 };

static Rf__EpochSeen seen[MANY], *list[MANY];
static char names[MANY][40];
static struct incarnation who = {{1, 2, 3}};

static void make_hello(Rf__AgentHello *h, Rf__Incarnation *life, size_t groups)
{
    rf__agent_hello__init(h);
    frame_incarnation_put(&who, life);
    h->incarnation = life;
    h->name = (char *)"pg-east";
    h->region = (char *)"east";
    h->address = (char *)"10.0.1.2";
    h->version = (char *)"0.1.0";
    for (size_t k = 0; k < groups; k++) {
        (void)snprintf(names[k], sizeof names[k], "group-%zu", k);
        rf__epoch_seen__init(&seen[k]);
        seen[k].group = names[k];
        seen[k].highest = k + 1;
        list[k] = &seen[k];
    }
    h->n_epochs = groups;
    h->epochs = list;
}

/* The group `orders`, with pg-east in it and nobody else; nothing has been seen yet. */
static void begin(struct state *s, struct observations *o)
{
    state_init(s, "demo");
    observations_init(o, 1);
    s->group_count = 1;
    snprintf(s->groups[0].name, NAME_SIZE, "orders");
    s->groups[0].instance_count = 1;
    snprintf(s->groups[0].instances[0].agent, NAME_SIZE, "pg-east");
}

/* I10, I12: an agent outlives more groups than there can be at one time. */
static void every_epoch_of_a_hello_is_carried(void **state)
{
    Rf__AgentHello h;
    Rf__Incarnation life;
    struct entry_enrol e;
    struct err err = {0};

    (void)state;
    make_hello(&h, &life, ENROL_EPOCHS_MAX);
    assert_int_equal(reports_read_hello(&h, &e, &err), 0);
    assert_int_equal(e.epoch_count, ENROL_EPOCHS_MAX);
    for (unsigned k = 0; k < ENROL_EPOCHS_MAX; k++) {
        assert_string_equal(e.epochs[k].name, names[k]);
        assert_int_equal(e.epochs[k].epoch, k + 1);
    }
}

static void a_hello_that_says_too_much_is_an_error(void **state)
{
    Rf__AgentHello h;
    Rf__Incarnation life;
    struct entry_enrol e;
    struct err err = {0};
    char many[24];

    (void)state;
    make_hello(&h, &life, MANY);
    assert_int_equal(reports_read_hello(&h, &e, &err), ERR_FULL);
    assert_non_null(strstr(err.text, "pg-east"));
    (void)snprintf(many, sizeof many, "%d groups", MANY);
    assert_non_null(strstr(err.text, many));
    assert_true(incarnation_is_set(&e.agent.incarnation)); /* whom to tell */

    make_hello(&h, &life, 1);
    (void)snprintf(names[0], sizeof names[0], "a-name-of-more-than-23-bytes");
    assert_int_equal(reports_read_hello(&h, &e, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "a-name-of-more-than-23-bytes"));
}

/* The agent's word that no process is left reaches what decide() proposes. */
static void a_proof_says_whether_the_server_is_stopped(void **state)
{
    static struct state s;
    static struct observations o;
    Rf__FenceProof proof;
    Rf__Incarnation life;

    (void)state;
    begin(&s, &o);
    s.groups[0].epoch = 3;
    s.groups[0].fence_index = 9;
    for (int stopped = 0; stopped < 2; stopped++) {
        rf__fence_proof__init(&proof);
        frame_incarnation_put(&who, &life);
        proof.incarnation = &life;
        proof.group = (char *)"orders";
        proof.instance = (char *)"pg-east";
        proof.epoch = 3;
        proof.fence_index = 9;
        proof.server_stopped = stopped;
        assert_true(reports_take_proof(&s, &o, "pg-east", &proof));
        assert_true(o.groups[0].instances[0].proof.given);
        assert_int_equal(o.groups[0].instances[0].proof.stopped, stopped);
    }
}

/* I9: a report that was an hour on its way, of a look that was old when it was said, is
 * dated by neither its arrival nor its saying; only what lasts counts from the arrival. */
static void a_delayed_report_is_as_old_as_its_look(void **state)
{
    static struct state s;
    static struct observations o;
    const uint64_t hour_ms = 3600 * 1000;
    const struct mono now = mono_now(), said = {now.ns - hour_ms * NS_PER_MS};
    Rf__AgentReport r = RF__AGENT_REPORT__INIT;
    Rf__InstanceReport v = RF__INSTANCE_REPORT__INIT, *reports[] = {&v};
    Rf__Observation look = RF__OBSERVATION__INIT;
    const struct seen_instance *seen_now = &o.groups[0].instances[0].seen;

    (void)state;
    begin(&s, &o);
    s.groups[0].epoch = 3;
    o.groups[0].epoch = 3;
    v.group = (char *)"orders";
    v.instance = (char *)"pg-east";
    v.gate_mode = (char *)"open";
    v.epoch = 3;
    v.seen = &look;
    v.seen_age_ms = 8000;
    look.server = RF__SERVER_STATE__SERVER_PRIMARY;
    look.flush_lsn = 77;
    look.canary = RF__CANARY_STATE__CANARY_WAITS_SYNC;
    r.n_instances = 1;
    r.instances = reports;
    assert_true(reports_take(&s, &o, "pg-east", &r, said));
    assert_true(seen_now->at.ns >= now.ns);
    assert_int_equal(seen_now->said.ns, said.ns);
    assert_true(seen_now->waits_sync);
    look.canary = RF__CANARY_STATE__CANARY_NONE; /* not each look asks: no news of it */
    (void)reports_take(&s, &o, "pg-east", &r, said);
    assert_true(seen_now->waits_sync);
    look.canary = RF__CANARY_STATE__CANARY_OK;
    (void)reports_take(&s, &o, "pg-east", &r, said);
    assert_false(seen_now->waits_sync);
    assert_true(seen_now->taken.ns <= said.ns - 8000ull * NS_PER_MS);
    assert_true(seen_now->taken.ns >= said.ns - 9100ull * NS_PER_MS);
    assert_true(seen_now->latest.ns >= now.ns - 8000ull * NS_PER_MS);
    assert_int_equal(o.groups[0].primary_lsn_at.ns, seen_now->taken.ns);
}

/* Each report says anew whether the guard runs, with no instance in it too; an agent of an
 * older version says nothing, and of one that is not on record nothing is kept. */
static void the_word_of_a_guard_is_the_last_one(void **state)
{
    static const struct {
        Rf__GuardState said;
        enum seen_guard seen;
    } table[] = {{RF__GUARD_STATE__GUARD_UP, SEEN_GUARD_UP},
                 {RF__GUARD_STATE__GUARD_DOWN, SEEN_GUARD_DOWN},
                 {RF__GUARD_STATE__GUARD_OFF, SEEN_GUARD_OFF},
                 {RF__GUARD_STATE__GUARD_UNSAID, SEEN_GUARD_UNSAID}};
    static struct state s;
    static struct observations o;
    Rf__AgentReport r = RF__AGENT_REPORT__INIT;

    (void)state;
    begin(&s, &o);
    s.agent_count = 2;
    snprintf(s.agents[0].name, NAME_SIZE, "pg-west");
    snprintf(s.agents[1].name, NAME_SIZE, "pg-east");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        r.guard = table[i].said;
        (void)reports_take(&s, &o, "pg-east", &r, mono_now());
        (void)reports_take(&s, &o, "pg-nowhere", &r, mono_now());
        assert_int_equal(o.agents[1].guard, table[i].seen);
        assert_int_equal(o.agents[0].guard, SEEN_GUARD_UNSAID);
    }
}

/* A person reads the whole sentence in `ringfence status`, whatever an error may hold. */
static void a_problem_is_kept_whole(void **state)
{
    static struct state s;
    static struct observations o;
    Rf__AgentReport report = RF__AGENT_REPORT__INIT;
    Rf__InstanceReport r = RF__INSTANCE_REPORT__INIT, *all[] = {&r};
    Rf__Observation look = RF__OBSERVATION__INIT;
    char problem[ERR_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof problem - 1; i++)
        problem[i] = i % 7 == 6 ? ' ' : 'w';
    problem[sizeof problem - 1] = '\0';
    begin(&s, &o);
    r.group = (char *)"orders";
    r.instance = (char *)"pg-east";
    r.problem = problem;
    report.n_instances = 1;
    report.instances = all;
    (void)reports_take(&s, &o, "pg-east", &report, mono_now());
    assert_string_equal(o.groups[0].instances[0].seen.problem, problem);

    /* What a look at a server says that lets nobody in, unless it is being stopped. */
    r.problem = (char *)"";
    r.seen = &look;
    look.server = RF__SERVER_STATE__SERVER_STARTING;
    look.error = (char *)"PostgreSQL is starting";
    (void)reports_take(&s, &o, "pg-east", &report, mono_now());
    assert_string_equal(o.groups[0].instances[0].seen.problem, look.error);
    look.server = RF__SERVER_STATE__SERVER_STOPPING;
    look.error = (char *)"PostgreSQL is stopping";
    (void)reports_take(&s, &o, "pg-east", &report, mono_now());
    assert_string_equal(o.groups[0].instances[0].seen.problem, "");
}

/* The log is where one looks for what was lost, and where it is kept. */
static void what_was_left_behind_is_told_with_its_place(void **state)
{
    static struct state s;
    static struct observations o;
    Rf__StepReport report = RF__STEP_REPORT__INIT;
    Rf__StepResult r = RF__STEP_RESULT__INIT;
    struct step *step;

    (void)state;
    begin(&s, &o);
    step = &s.groups[0].instances[0].step;
    *step = (struct step){.state = STEP_STARTED, .kind = STEP_FOLLOW, .id = 9};
    report.group = (char *)"orders";
    report.instance = (char *)"pg-east";
    report.result = &r;
    r.step = 9;
    r.outcome = RF__STEP_OUTCOME__OUTCOME_DONE;
    r.divergent_bytes = 104;
    r.tail = (char *)"/var/lib/ringfence/tails/orders-pg-east-5";
    assert_true(reports_take_outcome(&s, &o, "pg-east", &report));
    assert_int_equal(o.groups[0].instances[0].outcome.loss_bytes, 104);
    assert_string_equal(o.groups[0].instances[0].outcome.text,
                        "104 bytes of its log that the new primary does not have are kept "
                        "in /var/lib/ringfence/tails/orders-pg-east-5");
    r.text = (char *)"cloned";
    r.tail = (char *)"";
    assert_true(reports_take_outcome(&s, &o, "pg-east", &report));
    assert_string_equal(o.groups[0].instances[0].outcome.text, "cloned");
}

/* I2: the word that a server refuses the log of the active one counts when it was done, and
 * says so itself, for the fence in force. Whatever else is said of that fence takes it
 * back.
 */
static void a_word_of_severing_is_of_the_fence_in_force(void **state)
{
    static const struct {
        const char *name;
        uint64_t step, epoch;
        Rf__StepOutcome outcome;
        bool severed, counts;
    } table[] = {
        {"done", 44, 3, RF__STEP_OUTCOME__OUTCOME_DONE, true, true},
        {"of another fence", 43, 3, RF__STEP_OUTCOME__OUTCOME_DONE, true, false},
        {"of another epoch", 44, 4, RF__STEP_OUTCOME__OUTCOME_DONE, true, false},
        {"not known", 44, 3, RF__STEP_OUTCOME__OUTCOME_UNKNOWN, true, false},
        {"done, and not severed", 44, 3, RF__STEP_OUTCOME__OUTCOME_DONE, false, false},
    };
    static struct state s;
    static struct observations o;
    Rf__Incarnation wire = RF__INCARNATION__INIT;
    struct incarnation life = {{7}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        Rf__StepReport report = RF__STEP_REPORT__INIT;
        Rf__StepResult r = RF__STEP_RESULT__INIT;
        const struct seen_severed *word = &o.groups[0].instances[0].severed;

        begin(&s, &o);
        s.groups[0].epoch = 3;
        s.groups[0].fence_index = 44;
        frame_incarnation_put(&life, &wire);
        report.incarnation = &wire;
        report.group = (char *)"orders";
        report.instance = (char *)"pg-east";
        report.epoch = table[i].epoch;
        report.result = &r;
        r.step = table[i].step;
        r.outcome = table[i].outcome;
        r.severed = table[i].severed;
        if (reports_take_outcome(&s, &o, "pg-east", &report) != table[i].counts ||
            (word->fence_index == 44) != table[i].counts)
            fail_msg("%s", table[i].name);
        if (table[i].counts)
            assert_true(incarnation_equal(&word->by, &life));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_of_a_hello_is_carried),
        cmocka_unit_test(a_proof_says_whether_the_server_is_stopped),
        cmocka_unit_test(a_hello_that_says_too_much_is_an_error),
        cmocka_unit_test(a_delayed_report_is_as_old_as_its_look),
        cmocka_unit_test(the_word_of_a_guard_is_the_last_one),
        cmocka_unit_test(a_problem_is_kept_whole),
        cmocka_unit_test(what_was_left_behind_is_told_with_its_place),
        cmocka_unit_test(a_word_of_severing_is_of_the_fence_in_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
