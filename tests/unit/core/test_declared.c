/* What an operator names is taken at his word only as far as the logs bear it out (I9); and
 * what he has begun comes to an end (I11). */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

static struct seen_instance *seen(uint8_t i) { return &world_seen(&w)->instances[i].seen; }

/* A group that is being formed with EAST declared; WEST's gate is proven closed. */
static void forming(void)
{
    world_init(&w);
    world_declare(&w, SYNC_REQUIRED);
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    world_report(&w, WEST, SERVER_DOWN);
    world_report(&w, EAST, SERVER_DOWN);
}

/* A start unit that is not there holds a new group while its file can still be corrected.
 */
static void what_cannot_be_started_is_not_activated(void **state)
{
    static struct explanation why;

    (void)state;
    forming();
    seen(EAST)->unfit = true;
    snprintf(seen(EAST)->problem, sizeof seen(EAST)->problem, "no such unit");
    assert_string_equal(world_decide(&w), "");
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_non_null(strstr(why.verdict, "no such unit"));
    seen(EAST)->unfit = false;
    assert_string_equal(world_decide(&w), "activate-declared");
}

/* Detached and attached again, with the wrong region named: the rows that the other one
 * acknowledged alone must not be thrown away without a word. */
static void what_holds_less_is_not_activated(void **state)
{
    static const struct {
        const char *name;
        enum server_state other;
        uint32_t other_timeline;
        uint64_t other_lsn, own_lsn, other_system;
        bool activated;
    } table[] =
        {
            {"the same", SERVER_DOWN, 1, 1000, 1000, 77, true},
            {"behind", SERVER_DOWN, 1, 999, 1000, 77, true},
            {"further on", SERVER_DOWN, 1, 1001, 1000, 77, false},
            {"further on, running", SERVER_STANDBY, 1, 1001, 1000, 77, false},
            {"promoted meanwhile", SERVER_DOWN, 2, 500, 1000, 77, false},
            {"of an older timeline", SERVER_DOWN, 0, 5000, 1000, 77, true},
            {"its end is not known", SERVER_DOWN, 1, 0, 1000, 77, false},
            {"our end is not known", SERVER_DOWN, 1, 1000, 0, 77, false},
            {"another server's", SERVER_DOWN, 1, 5000, 1000, 78, true},
            {"no data", SERVER_ABSENT, 0, 0, 1000, 0, true},
            {"a half-made copy", SERVER_REWINDING, 0, 0, 1000, 77, true},
        },
      *row;

    (void)state;
    EACH (row, table) {
        static struct explanation why;
        const char *rule;

        forming();
        seen(WEST)->server = row->other;
        seen(WEST)->timeline = row->other_timeline;
        seen(WEST)->flush_lsn = row->other_lsn;
        seen(WEST)->system_id = row->other_system;
        seen(EAST)->flush_lsn = row->own_lsn;
        explain(&w.s, &w.o, 0, w.now, &why);
        rule = world_decide(&w);
        if ((strcmp(rule, "activate-declared") == 0) != row->activated)
            fail_msg("%s: '%s'", row->name, rule);
        if (!row->activated && strstr(why.verdict, "pg-west") == NULL)
            fail_msg("%s: %s", row->name, why.verdict);
    }
}

/* Reports come one after the other: only one of ours that is later than theirs compares. */
static void an_older_report_of_our_own_does_not_compare(void **state)
{
    (void)state;
    forming();
    world_pass_ms(&w, 5);
    world_report(&w, WEST, SERVER_DOWN);
    assert_string_equal(world_decide(&w), "");
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_decide(&w), "activate-declared");
    world_pass_ms(&w, 10000);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_decide(&w), ""); /* WEST is silent by now */
}

/* A fenced primary stopped further on, on the timeline that it was fenced on: its position
 * does not compare with the new primary's, and it may miss all of that. */
static void another_timeline_is_no_small_lag(void **state)
{
    static const enum sync_mode modes[] = {SYNC_OFF, SYNC_PREFERRED};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
        uint64_t forecast;

        world_steady(&w, modes[i]);
        world_group(&w)->sync_set = 1u << EAST;
        world_report(&w, EAST, SERVER_PRIMARY);
        seen(EAST)->timeline = 2;
        world_seen(&w)->primary_timeline = 2;
        world_pass_ms(&w, 1100);
        world_report(&w, WEST, SERVER_DOWN);
        seen(WEST)->flush_lsn = 5000;
        assert_false(loss_forecast(&w.s, &w.o, 0, WEST, w.now, &forecast));
        assert_string_equal(world_step(&w), "");
        seen(WEST)->timeline = 2;
        assert_string_equal(world_step(&w), "silent-holder");
    }
}

/* `automatic: false`, and the target of an operator's failover is born anew, or silent,
 * while it is promoted: the move goes on, except in a pause. */
static void a_move_asked_for_comes_to_an_end(void **state)
{
    (void)state;
    for (unsigned paused = 0; paused < 2; paused++) {
        world_steady(&w, SYNC_REQUIRED);
        world_group(&w)->policy.automatic = false;
        world_report(&w, WEST, SERVER_STANDBY);
        world_seen(&w)->failover_wanted = true;
        world_seen(&w)->failover_target = WEST;
        assert_string_equal(world_step(&w), "operator-failover");
        assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
        assert_string_equal(world_step(&w), "activate-behind-proofs");
        assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
        world_group(&w)->paused = paused;
        world_pass_ms(&w, 5000); /* WEST is gone; EAST is a candidate still */
        world_report(&w, EAST, SERVER_DOWN);
        assert_string_equal(world_step(&w), paused ? "" : "promotion-silent");
        if (!paused)
            assert_true(world_group(&w)->run.requested);
    }
}

/* The server recovers for ever, or its disk hangs, while the lease is renewed. */
static void a_restart_that_does_not_end_is_left(void **state)
{
    uint32_t limit;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.local_restarts = 1;
    limit = world_group(&w)->policy.promote_deadline_ms;
    world_pass_ms(&w, 10);
    world_report(&w, WEST, SERVER_STANDBY);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "crash-restarts-here");
    for (uint32_t ms = 0; ms < limit; ms += 500) {
        assert_string_equal(world_step(&w), "");
        world_pass_ms(&w, 500);
        assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        world_report(&w, EAST, SERVER_STARTING);
        world_report(&w, WEST, SERVER_STANDBY);
    }
    assert_string_equal(world_step(&w), "restart-stuck");
}

/* Whatever the names, it is told how to go on: both ways to leave it there, and the move.
 */
static void the_refusal_of_another_active_region_says_what_to_do(void **state)
{
    static const char longest[] = "a23456789-123456789-123";
    struct entry e;
    struct group *g;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    g = world_group(&w);
    memcpy(g->name, longest, NAME_SIZE);
    g->epoch = EPOCH_TOLD_MAX;
    for (unsigned i = 0; i < 2; i++) {
        memcpy(g->regions[i].name, longest, NAME_SIZE);
        g->regions[i].name[0] = (char)('x' + i);
    }
    e = entry_of(ENTRY_DECLARE);
    memcpy(e.group, longest, NAME_SIZE);
    e.declare.spec = *g;
    e.declare.spec.active = WEST;
    assert_int_equal(world_apply(&w, &e), REFUSE_ACTIVE_DIFFERS);
    assert_non_null(strstr(w.result.text, "take the roles out of the file"));
    assert_non_null(strstr(w.result.text, "`ringfence apply --keep-active`"));
    assert_non_null(strstr(w.result.text, "`ringfence switchover a23456789-123456789-123 "
                                          "--to y23456789-123456789-123`"));
}

/* I3: clients that came by the socket of a server that runs are not cut off by a lease that
 * ends, so the word that counts its end as no proof is not taken back under them. */
static void ungated_local_is_withdrawn_only_where_sockets_are_looked_at(void **state)
{
    static const struct {
        const char *name;
        bool before, after, detached;
        enum refusal expected;
    } table[] =
        {
            {"withdrawn while it runs", true, false, false, REFUSE_PHASE},
            {"withdrawn while detached", true, false, true, ACCEPTED},
            {"kept", true, true, false, ACCEPTED},
            {"accepted while it runs", false, true, false, ACCEPTED},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry detach = entry_of(ENTRY_DETACH), e = entry_of(ENTRY_DECLARE);

        world_steady(&w, SYNC_REQUIRED);
        world_group(&w)->policy.ungated_local = row->before;
        if (row->detached)
            assert_int_equal(world_apply(&w, &detach), ACCEPTED);
        e.declare.spec = *world_group(&w);
        e.declare.spec.policy.ungated_local = row->after;
        if (world_apply(&w, &e) != row->expected)
            fail_msg("%s: %s", row->name, w.result.text);
    }
}

/* ---- the wrong region is named --------------------------------------------------------
 */

static struct explanation why;

static bool says(const char *text, const char *word) { return strstr(text, word) != NULL; }

static const struct condition *condition(const char *name)
{
    for (unsigned i = 0; i < why.count; i++)
        if (strcmp(why.list[i].name, name) == 0)
            return &why.list[i];
    fail_msg("no condition %s", name);
    return NULL;
}

/* The group's file as world_declare() has it, with `active`. */
static struct entry corrected(uint8_t active, bool adopt)
{
    struct entry e = entry_of(ENTRY_DECLARE);

    e.declare.spec = *world_group(&w);
    e.declare.spec.active = active;
    e.declare.spec.adopt = adopt;
    return e;
}

static enum refusal correct(uint8_t active, bool adopt)
{
    struct entry e = corrected(active, adopt);

    return world_apply(&w, &e);
}

/* Whoever else runs as a primary may be served: nobody is activated, proven or not, and
 * what is the matter is said first, with the way out. */
static void another_primary_holds_the_group(void **state)
{
    static const struct {
        const char *name;
        enum server_state east, west;
        bool adopt, proven, held;
    } table[] =
        {
            {"nobody runs", SERVER_DOWN, SERVER_DOWN, false, true, false},
            {"the other one only", SERVER_DOWN, SERVER_PRIMARY, false, false, true},
            {"to be adopted", SERVER_STANDBY, SERVER_PRIMARY, true, false, true},
            {"both", SERVER_PRIMARY, SERVER_PRIMARY, true, false, true},
            {"the other one became one behind its gate", SERVER_DOWN, SERVER_PRIMARY, false,
             true, true},
            {"the declared one", SERVER_PRIMARY, SERVER_STANDBY, true, true, false},
        },
      *row;

    (void)state;
    EACH (row, table) {
        world_init(&w);
        world_declare(&w, SYNC_REQUIRED);
        world_group(&w)->adopt = row->adopt;
        if (row->proven)
            assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
        world_report(&w, WEST, row->west);
        world_report(&w, EAST, row->east);
        explain(&w.s, &w.o, 0, w.now, &why);
        if (condition("only-primary")->blocks != row->held ||
            says(why.verdict, "pg-west runs as a primary, but pg-east is declared") !=
                row->held ||
            (strcmp(world_decide(&w), "activate-declared") == 0) == row->held)
            fail_msg("%s: %s", row->name, why.verdict);
        assert_int_equal(says(why.verdict, "with west active and `adopt: true`"),
                         row->held);
        /* The others are not hidden by it. */
        assert_int_equal(says(why.verdict, "others-proven"), !row->proven);
    }
}

/* What its agent said long ago is no news of it; it has no proof, and that holds. */
static void a_silent_primary_is_held_by_its_proof(void **state)
{
    (void)state;
    world_init(&w);
    world_declare(&w, SYNC_REQUIRED);
    world_report(&w, WEST, SERVER_PRIMARY);
    world_pass_ms(&w, 10000);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_decide(&w), "");
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_false(condition("only-primary")->blocks);
    assert_true(condition("others-proven")->blocks);
    assert_true(says(why.verdict, "nothing proves yet that the gate of pg-west"));
}

/* The file is corrected while the group forms: the other one is adopted, as at a first
 * apply, and the one that was declared has to be proven like any other (I2). */
static void a_correction_is_taken_while_the_group_forms(void **state)
{
    (void)state;
    world_init(&w);
    world_declare(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_STANDBY);
    world_report(&w, WEST, SERVER_PRIMARY);
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(correct(WEST, true), ACCEPTED);
    assert_int_equal(world_group(&w)->active, WEST);
    assert_int_equal(world_group(&w)->run.to, WEST);
    assert_int_equal(world_group(&w)->phase, PHASE_FORMING);
    world_report(&w, EAST, SERVER_STANDBY);
    world_report(&w, WEST, SERVER_PRIMARY);
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(world_activate(&w, WEST), REFUSE_UNPROVEN);
    assert_int_equal(world_prove(&w, EAST, PROOF_INSTALLED, 1), ACCEPTED);
    assert_string_equal(world_step(&w), "activate-declared");
    assert_int_equal(world_group(&w)->active, WEST);
    assert_int_equal(world_group(&w)->sync_set, 1u << WEST);
}

/* I1: of a correction and an activation under way the first one in the log counts. */
static void a_correction_and_an_activation_exclude_each_other(void **state)
{
    (void)state;
    forming();
    assert_int_equal(correct(WEST, false), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), REFUSE_NOT_DECLARED);

    forming();
    assert_string_equal(world_step(&w), "activate-declared");
    assert_int_equal(correct(WEST, false), REFUSE_ACTIVE_DIFFERS);
    assert_int_equal(world_group(&w)->active, EAST);
}

/* A proof says that a gate is closed, and stays true: there and back again costs none. */
static void a_correction_takes_no_proof_away(void **state)
{
    (void)state;
    forming();
    assert_int_equal(correct(WEST, false), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_INSTALLED, 1), ACCEPTED);
    assert_int_equal(correct(EAST, false), ACCEPTED);
    world_report(&w, WEST, SERVER_DOWN);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "activate-declared");
    assert_int_equal(world_group(&w)->active, EAST);
}

/* In no other phase: who is active is moved by a failover or a switchover alone. */
static void a_correction_is_for_forming_groups_only(void **state)
{
    static const enum phase phases[] = {PHASE_PROMOTING, PHASE_STEADY, PHASE_SWITCHING,
                                        PHASE_FENCING, PHASE_DETACHED};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(phases); i++) {
        struct entry e;

        world_steady(&w, SYNC_REQUIRED);
        world_group(&w)->phase = phases[i];
        e = corrected(WEST, true);
        apply(&w.s, w.s.applied + 1, &e, &w.result);
        assert_int_equal(w.result.refusal, REFUSE_ACTIVE_DIFFERS);
        assert_int_equal(world_group(&w)->active, EAST);
    }
}

/* An attach has said so without any file. */
static void to_adopt_is_added_and_not_taken_back(void **state)
{
    (void)state;
    forming();
    assert_int_equal(correct(EAST, true), ACCEPTED);
    assert_true(world_group(&w)->adopt);
    assert_int_equal(correct(WEST, false), ACCEPTED);
    assert_true(world_group(&w)->adopt);
}

/* They are another server's: nothing is forecast by them. */
static void positions_of_who_was_declared_are_forgotten(void **state)
{
    uint64_t bytes;

    (void)state;
    world_init(&w);
    world_declare(&w, SYNC_OFF);
    world_report(&w, EAST, SERVER_PRIMARY);
    assert_true(loss_forecast(&w.s, &w.o, 0, EAST, w.now, &bytes));
    assert_int_equal(correct(WEST, true), ACCEPTED);
    world_report(&w, WEST, SERVER_DOWN);
    assert_false(loss_forecast(&w.s, &w.o, 0, WEST, w.now, &bytes));
}

/* The activation was decided on the group as it was before the declaration in front of it
 * in the log: of that one nobody has looked at the logs, the servers or their sockets. */
static void an_activation_is_of_the_group_it_was_decided_on(void **state)
{
    static const struct {
        const char *name;
        bool reordered, withdrawn;
    } table[] =
        {
            {"the other one stands in its place", true, false},
            {"local clients are to be gated", false, true},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry decided = entry_of(ENTRY_ACTIVATE), e;
        struct instance east;

        forming();
        assert_int_equal(world_prove(&w, EAST, PROOF_INSTALLED, 1), ACCEPTED);
        world_group(&w)->policy.ungated_local = true;
        decided.activate = (struct entry_activate){
            .epoch = group_next_epoch(world_group(&w)), .instance = EAST};
        e = corrected(EAST, true);
        if (row->withdrawn)
            e.declare.spec.policy.ungated_local = false;
        if (row->reordered) { /* and WEST is the active one, in EAST's place */
            east = e.declare.spec.instances[EAST];
            e.declare.spec.instances[EAST] = e.declare.spec.instances[WEST];
            e.declare.spec.instances[WEST] = east;
        }
        assert_int_equal(world_apply(&w, &e), ACCEPTED);
        if (world_apply(&w, &decided) == ACCEPTED)
            fail_msg("%s: %s is activated", row->name,
                     world_group(&w)->instances[world_group(&w)->active].agent);
        assert_int_equal(world_group(&w)->phase, PHASE_FORMING);
        decided.activate.epoch = group_next_epoch(world_group(&w)); /* decided anew */
        assert_int_equal(world_apply(&w, &decided), ACCEPTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_less_is_not_activated),
        cmocka_unit_test(what_cannot_be_started_is_not_activated),
        cmocka_unit_test(an_older_report_of_our_own_does_not_compare),
        cmocka_unit_test(another_timeline_is_no_small_lag),
        cmocka_unit_test(a_move_asked_for_comes_to_an_end),
        cmocka_unit_test(a_restart_that_does_not_end_is_left),
        cmocka_unit_test(the_refusal_of_another_active_region_says_what_to_do),
        cmocka_unit_test(ungated_local_is_withdrawn_only_where_sockets_are_looked_at),
        cmocka_unit_test(another_primary_holds_the_group),
        cmocka_unit_test(a_silent_primary_is_held_by_its_proof),
        cmocka_unit_test(a_correction_is_taken_while_the_group_forms),
        cmocka_unit_test(a_correction_and_an_activation_exclude_each_other),
        cmocka_unit_test(an_activation_is_of_the_group_it_was_decided_on),
        cmocka_unit_test(a_correction_takes_no_proof_away),
        cmocka_unit_test(a_correction_is_for_forming_groups_only),
        cmocka_unit_test(to_adopt_is_added_and_not_taken_back),
        cmocka_unit_test(positions_of_who_was_declared_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
