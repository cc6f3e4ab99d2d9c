/* `ringfence why`: all that blocks is named, and what ends it. I11 in words: where only
 * people could resolve it, `why` says so, and nowhere else. */
#include "controller/core/decide_internal.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;
static struct explanation why;

enum { SILENT_MS = 3000 };

static const struct condition *condition(const char *name)
{
    for (unsigned i = 0; i < why.count; i++)
        if (strcmp(why.list[i].name, name) == 0)
            return &why.list[i];
    fail_msg("no condition %s", name);
    return NULL;
}

static bool says(const char *text, const char *word) { return strstr(text, word) != NULL; }

static void ask(void) { explain(&w.s, &w.o, 0, w.now, &why); }

/* East is silent, west answers. */
static void lose_east(void)
{
    world_pass_ms(&w, SILENT_MS);
    world_report(&w, WEST, SERVER_STANDBY);
}

static void an_attested_loss_is_named_where_it_is_the_exit(void **state)
{
    enum { FINE, NOT_MEMBER, LAGS, UNKNOWN };
    static const struct {
        const char *name;
        enum sync_mode mode;
        int what;
        bool loss;
    } table[] =
        {
            {"a member is ready", SYNC_REQUIRED, FINE, false},
            {"required, not in the set", SYNC_REQUIRED, NOT_MEMBER, true},
            {"strict, not in the set", SYNC_STRICT, NOT_MEMBER, true},
            {"preferred, not in the set", SYNC_PREFERRED, NOT_MEMBER, false},
            {"off", SYNC_OFF, FINE, false},
            {"off, lags", SYNC_OFF, LAGS, true},
            {"off, lag not known", SYNC_OFF, UNKNOWN, true},
        },
      *row;

    (void)state;
    EACH (row, table) {
        world_steady(&w, row->mode);
        if (row->what == NOT_MEMBER)
            world_group(&w)->sync_set = 1u << EAST;
        if (row->what == LAGS)
            world_seen(&w)->primary_lsn += world_group(&w)->policy.max_lag_bytes + 1;
        if (row->what == UNKNOWN)
            world_seen(&w)->primary_lsn_at = (struct mono){0};

        /* While the primary answers, the standby catches up by itself. */
        ask();
        assert_false(says(condition("target-ready")->limit, "attested"));
        assert_false(says(why.verdict, "attested"));

        lose_east();
        ask();
        if (says(condition("target-ready")->limit, "an attested loss") != row->loss ||
            says(why.verdict, "an attested loss by two people") != row->loss)
            fail_msg("%s: %s; %s", row->name, condition("target-ready")->limit,
                     why.verdict);
        assert_int_equal(why.would_fail_over, !row->loss);
        assert_true(strlen(why.verdict) < TEXT_SIZE - 1); /* nothing is cut off */
    }
}

/* Another cause that holds is said first: that one has an exit of its own. The other one is
 * not hidden by it. */
static void what_an_operator_can_end_comes_first(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->sync_set = 1u << EAST;
    world_group(&w)->paused = true;
    lose_east();
    ask();
    assert_true(
        says(why.verdict, "a failover is due, and held by: not-paused, target-ready;"));
    assert_true(says(why.verdict, "an attested loss by two people"));
}

/* In words, as the status has it. */
static void a_server_is_told_by_name(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_DOWN);
    ask();
    assert_non_null(strstr(condition("server-down")->value, "its server was seen as down"));
}

/* With nobody there at all, an attested loss would not help: an agent has to come back. */
static void no_attestation_replaces_a_standby(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_pass_ms(&w, SILENT_MS);
    ask();
    assert_true(condition("target-ready")->blocks);
    assert_false(says(condition("target-ready")->limit, "attested"));
}

static void an_attested_proof_is_named_where_it_is_the_exit(void **state)
{
    enum { EXPIRY, AGENT_ONLY, UNGATED };

    (void)state;
    for (int what = EXPIRY; what <= UNGATED; what++)
        for (int alive = 0; alive < 2; alive++) {
            bool needed = what != EXPIRY && alive == 0;

            world_steady(&w, SYNC_REQUIRED);
            if (what == AGENT_ONLY)
                world_group(&w)->policy.fence = FENCE_AGENT;
            world_group(&w)->policy.ungated_local = what == UNGATED;
            world_pass_ms(&w, SILENT_MS);
            world_report(&w, WEST, SERVER_STANDBY);
            if (alive)
                world_report(&w, EAST, SERVER_PRIMARY);
            /* What only people could end is not begun. */
            assert_string_equal(world_step(&w), needed ? "" : "silent-holder");
            ask();
            assert_int_equal(condition("proof-reachable")->blocks, needed);
            assert_false(needed && why.would_fail_over);
            assert_int_equal(says(condition("proof-pg-east")->limit, "an attested proof"),
                             needed);
            assert_int_equal(says(why.verdict, "an attested proof by two people"), needed);
            assert_false(says(condition("proof-pg-west")->limit, "attested"));
        }
}

/* Fenced, and then the only member falls behind the proofs: the fence cannot go back. */
static void a_fence_without_a_target_says_what_ends_it(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    lose_east();
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-expiry");
    world_group(&w)->sync_set = 1u << EAST;
    assert_string_equal(world_step(&w), "");
    ask();
    assert_true(says(why.verdict, "cannot go back: waiting for: target-ready;"));
    assert_true(says(why.verdict, "pg-west does not hold enough"));
    assert_true(says(why.verdict, "an attested loss by two people"));
}

/* ---- every blocker is named -----------------------------------------------------------
 */

enum {
    MANUAL = 1 << 0,
    PAUSED = 1 << 1,
    COOLING = 1 << 2,
    CORRUPT = 1 << 3,
    NOT_MEMBER = 1 << 4,
    UNFIT = 1 << 5,
    AGENT_ONLY = 1 << 6,
    TROUBLES = 1 << 7,
};

enum cause { NO_CAUSE, SILENT, CRASHED, HUNG, CAUSES };

static void make_trouble(int trouble, enum cause cause)
{
    struct seen_instance *east, *west;
    struct group *g;

    world_steady(&w, SYNC_REQUIRED);
    g = world_group(&w);
    east = &world_seen(&w)->instances[EAST].seen;
    west = &world_seen(&w)->instances[WEST].seen;
    world_pass_ms(&w, cause == SILENT ? SILENT_MS : 1);
    world_report(&w, WEST, SERVER_STANDBY);
    if (cause != SILENT)
        world_report(&w, EAST, cause == CRASHED ? SERVER_DOWN : SERVER_PRIMARY);
    if (cause == HUNG) {
        east->hung = true;
        world_seen(&w)->hung_since = w.now;
    }
    g->restarts_used = g->policy.local_restarts;
    g->policy.automatic = (trouble & MANUAL) == 0;
    g->paused = (trouble & PAUSED) != 0;
    if (trouble & COOLING) {
        g->policy.cooldown_ms = 600000;
        world_seen(&w)->last_failover = (struct mono){w.now.ns - 5000ull * NS_PER_MS};
    }
    if (trouble & CORRUPT)
        east->checksum_failures = 3;
    if (trouble & NOT_MEMBER)
        g->sync_set = 1u << EAST;
    if (trouble & UNFIT) {
        west->unfit = true;
        snprintf(west->problem, sizeof west->problem, "no space left");
    }
    if (trouble & AGENT_ONLY)
        g->policy.fence = FENCE_AGENT;
}

/* In the list with what it is and what it would have to be, and in the sentence. */
static void check_named(const char *name, bool blocks, bool in_verdict)
{
    const struct condition *c = condition(name);

    if (c->blocks != blocks || (blocks && (c->value[0] == '\0' || c->limit[0] == '\0')) ||
        (blocks && (c->remedy[0] == '\0' || !says(why.verdict, c->remedy))) ||
        says(why.verdict, name) != in_verdict)
        fail_msg("%s: blocks %d, '%s' of '%s'; %s", name, c->blocks, c->value, c->limit,
                 why.verdict);
}

/* Whatever comes together: none of them hides another. */
static void every_blocker_is_named(void **state)
{
    (void)state;
    for (int trouble = 0; trouble < TROUBLES; trouble++)
        for (enum cause cause = NO_CAUSE; cause < CAUSES; cause++) {
            bool no_target = (trouble & (NOT_MEMBER | UNFIT)) != 0;
            bool no_proof = (trouble & AGENT_ONLY) != 0 && cause == SILENT;
            int held = trouble & ~(AGENT_ONLY | NOT_MEMBER | UNFIT);

            make_trouble(trouble, cause);
            ask();
            check_named("automatic", trouble & MANUAL, trouble & MANUAL);
            check_named("not-paused", trouble & PAUSED, trouble & PAUSED);
            check_named("cooldown-over", trouble & COOLING, trouble & COOLING);
            check_named("no-corruption", trouble & CORRUPT, trouble & CORRUPT);
            check_named("target-ready", no_target, no_target);
            check_named("proof-reachable", no_proof, no_proof);
            check_named("leader", false, false);
            assert_int_equal(
                says(condition("candidate-pg-west")->value, "it is not in the sync set"),
                (trouble & NOT_MEMBER) != 0);
            assert_int_equal(says(condition("candidate-pg-west")->value, "no space left"),
                             (trouble & UNFIT) != 0);
            assert_int_equal(why.would_fail_over,
                             cause != NO_CAUSE && held == 0 && !no_target && !no_proof);
            assert_int_equal(says(why.verdict, "is due"),
                             cause != NO_CAUSE && !why.would_fail_over);
            assert_true(strlen(why.verdict) < VERDICT_SIZE - 1); /* nothing is cut off */
            /* The table sees the same. */
            if (cause == SILENT)
                assert_int_equal(strcmp(world_decide(&w), "silent-holder") == 0,
                                 why.would_fail_over);
        }
}

/* A restart comes before a failover; when it is held, that is said. */
static void a_restart_is_no_failover(void **state)
{
    (void)state;
    for (int paused = 0; paused < 2; paused++) {
        make_trouble(paused ? PAUSED : 0, CRASHED);
        world_group(&w)->restarts_used = 0;
        ask();
        assert_false(why.would_fail_over);
        assert_string_equal(
            why.verdict,
            paused ? "the server is down; its restart, and a failover, are held by: "
                     "not-paused. To do: `ringfence resume orders`"
                   : "the server of pg-east is down: it is started again where it is "
                     "(local restarts used 0 of 1)");
        assert_string_equal(world_decide(&w), paused ? "" : "crash-restarts-here");
    }
}

/* Behind the fence, too: no target, and a proof that is missing. */
static void a_fence_waits_for_all_that_it_names(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    lose_east();
    assert_string_equal(world_step(&w), "silent-holder");
    ask();
    assert_true(says(why.verdict, "waiting for: proof-pg-east"));
    assert_false(says(why.verdict, "target-ready"));
    world_report_unfit(&w, WEST, "no space left");
    ask();
    assert_true(condition("target-ready")->blocks);
    assert_true(condition("proof-pg-east")->blocks);
    assert_true(says(why.verdict, "waiting for: target-ready, proof-pg-east"));
}

/* The phase does not hide that a switchover whose old primary falls silent fails over. */
static void a_silent_switchover_fails_over(void **state)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    sw.switchover = (struct entry_switchover){.target = WEST, .epoch = 1};
    assert_int_equal(world_apply(&w, &sw), ACCEPTED);
    ask();
    assert_true(says(why.verdict, "a switchover to west is under way (it has begun); "
                                  "`ringfence abort "));
    assert_true(condition("phase")->blocks);
    lose_east();
    ask();
    assert_false(condition("phase")->blocks);
    assert_true(why.would_fail_over);
    assert_string_equal(world_decide(&w), "switchover-silent-holder");
}

/* Not "nothing is wrong" while nobody could take over; and no command that is refused. */
static void well_is_said_of_who_is(void **state)
{
    (void)state;
    make_trouble(UNFIT, NO_CAUSE);
    ask();
    assert_true(says(why.verdict,
                     "the active side is well, and nobody could take over from "
                     "it; a failover would be held by: target-ready. To do: "));
    make_trouble(CORRUPT, NO_CAUSE);
    ask();
    assert_true(says(why.verdict, "its data had checksum failures; a failover would be "
                                  "held by: no-corruption"));
    make_trouble(COOLING, NO_CAUSE);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    ask();
    assert_string_equal(why.verdict, "nothing is wrong; a failover would be held by: "
                                     "cooldown-over. To do: wait 595 s more");
    make_trouble(COOLING | MANUAL | UNFIT, CRASHED);
    ask();
    assert_false(says(why.verdict, "ringfence failover"));
    make_trouble(COOLING | MANUAL, CRASHED);
    ask();
    assert_true(says(why.verdict, "more, or `ringfence failover orders`"));
}

/* A group whose leases prove nothing says so before its region is lost. */
static void a_proof_by_the_agent_alone_is_told_before(void **state)
{
    (void)state;
    make_trouble(0, NO_CAUSE);
    ask();
    assert_string_equal(condition("proof-reachable")->value,
                        "by its agent, or by counting its lease out");
    make_trouble(AGENT_ONLY, NO_CAUSE);
    ask();
    assert_false(condition("proof-reachable")->blocks);
    assert_string_equal(condition("proof-reachable")->value,
                        "by its agent alone: if the region is lost, nothing can take over "
                        "from it");
}

/* Nobody renews a lease that nobody grants, and its set was forgotten. */
static void a_detached_group_has_no_cause(void **state)
{
    struct entry detach = entry_of(ENTRY_DETACH);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    lose_east();
    ask();
    assert_false(condition("holder-silent")->holds);
    assert_string_equal(condition("candidate-pg-west")->limit,
                        "nothing is known of a sync set now");
}

/* Who does not lead has not heard the agents: that is no news of them. */
static void who_does_not_lead_says_so(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    observe_leading(&w.o, false, w.now);
    world_pass_ms(&w, SILENT_MS);
    ask();
    assert_string_equal(condition("server-hung")->value, NOT_KNOWN_HERE);
    assert_string_equal(condition("server-down")->value, NOT_KNOWN_HERE);
    assert_string_equal(condition("target-ready")->value, NOT_KNOWN_HERE);
    assert_true(says(condition("candidate-pg-west")->value, NOT_KNOWN_HERE));
    assert_true(says(condition("holder-silent")->value, "it does not lead"));
}

/* What was probed before the gate was opened is no sign of who leads since. */
static void a_probe_of_before_is_no_suspicion(void **state)
{
    struct seen_probe *probes;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    probes = world_seen(&w)->instances[EAST].probes;
    world_pass_ms(&w, 10);
    probes[1] = probes[2] = (struct seen_probe){.at = w.now, .answered = false};
    assert_false(group_is_suspect(&w.s, &w.o, 0, w.now));
    world_pass_ms(&w, 2000);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_false(group_is_suspect(&w.s, &w.o, 0, w.now));
    probes[1] = probes[2] = (struct seen_probe){.at = w.now, .answered = false};
    assert_true(group_is_suspect(&w.s, &w.o, 0, w.now));
}

/* What it has waited for is said, and not only that it was too long. */
static void a_switchover_that_takes_too_long_says_why(void **state)
{
    enum { NOTHING, CHECKPOINT_FAILED, STOP_GOES_ON, OTHER_GOES_ON, NO_FLUSH };
    static const char *const reasons[] = {
        "nothing was begun on pg-east in 20000 ms, and its agent is silent",
        "step checkpoint of pg-east failed, 20000 ms have passed, and its agent is silent: "
        "no way in",
        "step stop of pg-east has not ended in 20000 ms, and its agent is silent",
        "step sync of pg-east, begun before, has not ended in 20000 ms, and its agent is "
        "silent",
        "pg-west has not flushed the log to its end in 20000 ms (2 x stop_deadline)"};

    (void)state;
    for (int what = NOTHING; what <= NO_FLUSH; what++) {
        struct step *step;

        world_stopping(&w);
        step = &world_group(&w)->instances[EAST].step;
        if (what == NOTHING)
            step->id = 1;
        if (what == CHECKPOINT_FAILED) {
            step->kind = STEP_CHECKPOINT;
            snprintf(step->text, sizeof step->text, "no way in");
        }
        if (what == OTHER_GOES_ON)
            step->kind = STEP_SYNC;
        step->state = what == STOP_GOES_ON        ? STEP_STARTED
                      : what == OTHER_GOES_ON     ? STEP_STARTED
                      : what == CHECKPOINT_FAILED ? STEP_FAILED
                                                  : STEP_DONE;
        step->position = 900;
        for (int ms = 0; ms <= 20000; ms += 100) {
            world_pass_ms(&w, 100);
            assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        }
        world_report(&w, WEST, SERVER_STANDBY);
        world_seen(&w)->instances[WEST].seen.flush_lsn = 1;
        if (what == NO_FLUSH)
            world_report(&w, EAST, SERVER_DOWN);
        world_seen(&w)->instances[WEST].seen.streaming = what == NO_FLUSH;
        assert_string_equal(world_step(&w), "switchover-goes-back");
        assert_string_equal(world_group(&w)->run.reason, reasons[what]);
    }
}

/* Reasons that are too long together say that they were cut, at a word. */
static void reasons_that_are_cut_say_so(void **state)
{
    struct seen_instance *seen;
    const struct condition *c;
    char words[TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof words - 1; i++)
        words[i] = i % 5 == 4 ? ' ' : 'w';
    words[sizeof words - 1] = '\0';
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report_unfit(&w, WEST, words);
    seen = &world_seen(&w)->instances[WEST].seen;
    seen->server = SERVER_UNKNOWN; /* says the problem once more, in another sentence */
    seen->system_id = 5;
    world_group(&w)->sync_set = 1u << EAST;
    explain(&w.s, &w.o, 0, w.now, &why);
    c = condition("candidate-pg-west");
    assert_true(strlen(c->value) > WHY_SIZE - 16);
    assert_string_equal(c->value + strlen(c->value) - 9, " wwww ...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_told_by_name),
        cmocka_unit_test(an_attested_loss_is_named_where_it_is_the_exit),
        cmocka_unit_test(what_an_operator_can_end_comes_first),
        cmocka_unit_test(no_attestation_replaces_a_standby),
        cmocka_unit_test(an_attested_proof_is_named_where_it_is_the_exit),
        cmocka_unit_test(a_fence_without_a_target_says_what_ends_it),
        cmocka_unit_test(every_blocker_is_named),
        cmocka_unit_test(a_restart_is_no_failover),
        cmocka_unit_test(a_fence_waits_for_all_that_it_names),
        cmocka_unit_test(a_silent_switchover_fails_over),
        cmocka_unit_test(well_is_said_of_who_is),
        cmocka_unit_test(a_proof_by_the_agent_alone_is_told_before),
        cmocka_unit_test(a_detached_group_has_no_cause),
        cmocka_unit_test(who_does_not_lead_says_so),
        cmocka_unit_test(a_probe_of_before_is_no_suspicion),
        cmocka_unit_test(a_switchover_that_takes_too_long_says_why),
        cmocka_unit_test(reasons_that_are_cut_say_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
