/* Whatever holds a group: the verdict names what ends it, with the host or the command. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;
static struct explanation why;

enum { SILENT_MS = 3000 };

/* ---- how it came to be held ------------------------------------------------------------
 */

static void silent_west(void) { world_seen(&w)->instances[WEST].seen.at.ns = 0; }

static void lose_east(void)
{
    world_pass_ms(&w, SILENT_MS);
    world_report(&w, WEST, SERVER_STANDBY);
}

static void be_paused(void) { world_group(&w)->paused = true; }

static void be_manual(void)
{
    world_group(&w)->policy.automatic = false;
    lose_east();
}

static void cool_down(void)
{
    world_group(&w)->policy.cooldown_ms = 600000;
    world_seen(&w)->last_failover = w.now;
    lose_east();
}

static void be_corrupt(void) { world_seen(&w)->instances[EAST].seen.checksum_failures = 3; }

static void be_full(void) { world_report_unfit(&w, WEST, "free disk under /var/lib/rf"); }

static void leave_the_set(void) { world_group(&w)->sync_set = 1u << EAST; }

static void leave_the_set_and_lose_east(void)
{
    leave_the_set();
    lose_east();
}

static void lose_both(void)
{
    lose_east();
    silent_west();
}

static void fence_with_a_silent_west(void)
{
    assert_int_equal(world_fence(&w), ACCEPTED);
    silent_west();
}

static void agent_fence_only(void)
{
    world_group(&w)->policy.fence = FENCE_AGENT;
    lose_east();
}

static void fail_west(enum step_kind kind, uint8_t on)
{
    world_group(&w)->sync_set = 1u << EAST;
    world_group(&w)->instances[on].step = (struct step){.state = STEP_FAILED,
                                                        .kind = kind,
                                                        .id = 9,
                                                        .subject = WEST,
                                                        .failures = 4,
                                                        .text = "no room"};
    world_seen(&w)->instances[on].step_ended = w.now;
}

static void fail_to_follow(void) { fail_west(STEP_FOLLOW, WEST); }

static void fail_to_follow_at_all(void)
{
    fail_west(STEP_FOLLOW, WEST);
    world_report(&w, WEST, SERVER_ABSENT);
}

static void fail_to_join(void) { fail_west(STEP_JOIN, EAST); }

static void be_refused(void)
{
    leave_the_set();
    snprintf(world_seen(&w)->instances[WEST].seen.problem, TEXT_SIZE, "let it in");
}

static void be_unreadable(void)
{
    struct seen_instance *seen = &world_seen(&w)->instances[WEST].seen;

    seen->server = SERVER_UNKNOWN;
    snprintf(seen->problem, sizeof seen->problem, "pg_controldata: no pg_control");
}

static void be_foreign(void) { world_seen(&w)->instances[WEST].seen.system_id = 5; }

static void be_foreign_on_record(void) { world_group(&w)->instances[WEST].system_id = 5; }

static void lead_just_now(void)
{
    world_seen(&w)->instances[WEST].seen.at.ns = 0;
    w.o.leading_since = w.now;
}

static void be_detached(void)
{
    struct entry detach = entry_of(ENTRY_DETACH);

    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
}

static void be_detached_and_moved(void)
{
    be_detached();
    world_report(&w, EAST, SERVER_DOWN);
    world_report(&w, WEST, SERVER_PRIMARY);
}

static void attach_again(void)
{
    struct entry attach = entry_of(ENTRY_ATTACH);

    be_detached();
    attach.attach.active = EAST;
    assert_int_equal(world_apply(&w, &attach), ACCEPTED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
}

static void attach_the_wrong_one(void)
{
    attach_again();
    world_report(&w, EAST, SERVER_STANDBY);
    world_report(&w, WEST, SERVER_PRIMARY);
}

static void attach_a_standby(void)
{
    attach_again();
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    world_report(&w, EAST, SERVER_STANDBY);
}

static void attach_what_holds_less(void)
{
    attach_again();
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    world_report(&w, EAST, SERVER_DOWN);
    world_seen(&w)->instances[WEST].seen.flush_lsn = 5000;
}

static void attach_an_open_socket(void)
{
    attach_again();
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    world_seen(&w)->instances[EAST].seen.private_socket = false;
}

static void attach_with_nobody_there(void)
{
    attach_again();
    world_seen(&w)->instances[EAST].seen.at.ns = 0;
    silent_west();
}

static void attach_with_a_silent_standby(void)
{
    attach_again();
    silent_west();
}

static void fail_to_promote(void)
{
    struct step *step;

    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    step = &world_group(&w)->instances[WEST].step;
    *step = (struct step){.state = STEP_FAILED,
                          .kind = STEP_LEAD,
                          .id = 1,
                          .subject = NO_INSTANCE,
                          .failures = 5,
                          .text = "no room"};
    world_seen(&w)->instances[WEST].step_ended = w.now;
}

static void promote_a_silent_one(void)
{
    fail_to_promote();
    silent_west();
}

/* ---- what is said ----------------------------------------------------------------------
 */

static const struct {
    const char *name;
    void (*held)(void);
    const char *remedy;
} rows[] = {
    {"the standby's agent is gone", silent_west,
     "start ringfence-agent on pg-west (10.0.2.2)"},
    {"paused", be_paused, "To do: `ringfence resume orders`"},
    {"not automatic", be_manual, "To do: `ringfence failover orders`"},
    {"cooling down", cool_down, "To do: wait 597 s more, or `ringfence failover orders`"},
    {"corrupt", be_corrupt, "what is damaged on pg-east (10.0.1.2)"},
    {"no room", be_full, "To do: on pg-west (10.0.2.2): free disk under /var/lib/rf"},
    {"not a member", leave_the_set, "To do: wait until pg-west has caught up"},
    {"not a member, and alone", leave_the_set_and_lose_east,
     "To do: bring pg-east (10.0.1.2) and its agent back: nobody else has what it wrote"},
    {"nobody is there", lose_both,
     "To do: start ringfence-agent on pg-west (10.0.2.2), or mend its way to the "
     "controllers; or bring pg-east (10.0.1.2) and its agent back, which is enough"},
    {"fencing, nobody to take over", fence_with_a_silent_west,
     "start ringfence-agent on pg-west (10.0.2.2)"},
    {"proven by its agent only", agent_fence_only,
     "start ringfence-agent on pg-east (10.0.1.2)"},
    {"detached", be_detached, "`ringfence attach --active REGION orders`"},
    {"detached, and moved by hand", be_detached_and_moved,
     "To do: `ringfence attach --active west orders`"},
    {"attached as before, and moved by hand", attach_the_wrong_one,
     "`ringfence detach orders`, then `ringfence attach --active west orders`"},
    {"attached, and a standby there", attach_a_standby,
     "`ringfence detach orders`, then `ringfence attach --active REGION orders`"},
    {"attached, and it holds less", attach_what_holds_less,
     "`ringfence detach orders`, then `ringfence attach --active west orders`"},
    {"attached, with an open socket", attach_an_open_socket,
     "set its unix_socket_directories to the agent's socket_dir alone (0700) and restart "
     "it, or apply the file with `ungated_local: true`"},
    {"attached, nobody there", attach_with_nobody_there,
     "start ringfence-agent on pg-east (10.0.1.2)"},
    {"attached, no standby there", attach_with_a_silent_standby,
     "start ringfence-agent on pg-west (10.0.2.2)"},
    {"a promotion that fails", fail_to_promote,
     "step lead failed: no room; it is tried again in 8 s, or now by `ringfence retry "
     "orders`"},
    {"a promotion of nobody", promote_a_silent_one,
     "start ringfence-agent on pg-west (10.0.2.2)"},
};

static void a_hold_says_what_ends_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        world_steady(&w, SYNC_REQUIRED);
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_STANDBY);
        rows[i].held();
        explain(&w.s, &w.o, 0, w.now, &why);
        if (strstr(why.verdict, rows[i].remedy) == NULL)
            fail_msg("%s: %s", rows[i].name, why.verdict);
        assert_null(strstr(why.verdict, " ...")); /* nothing is cut off */
    }
}

/* In the list, too: by what could take over and does not. */
static void a_candidate_says_what_it_lacks(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_REWINDING);
    explain(&w.s, &w.o, 0, w.now, &why);
    for (unsigned i = 0; i < why.count; i++)
        if (strcmp(why.list[i].name, "candidate-pg-west") == 0) {
            assert_int_equal(why.list[i].role, COND_CANDIDATE);
            assert_non_null(strstr(why.list[i].remedy, "wait until pg-west has its copy"));
            return;
        }
    fail_msg("no candidate");
}

/* When a failed step is tried again: doubling, up to a limit; a stop never is. */
static void a_failed_step_is_tried_again(void **state)
{
    static const struct {
        enum step_kind kind;
        uint32_t failures;
        uint64_t since, left;
    } table[] =
        {
            {STEP_FOLLOW, 1, 0, 500},
            {STEP_FOLLOW, 2, 100, 900},
            {STEP_FOLLOW, 20, 1000, 59000},
            {STEP_FOLLOW, 1, 700, 0},
            {STEP_LEAD, 20, 0, 30000},
            {STEP_STOP, 1, 0, UINT64_MAX},
            {STEP_CHECKPOINT, 1, 0, UINT64_MAX},
        },
      *row;

    (void)state;
    EACH (row, table) {
        uint64_t ms = 0;
        bool again;

        world_steady(&w, SYNC_REQUIRED);
        world_group(&w)->instances[WEST].step = (struct step){
            .state = STEP_FAILED, .kind = row->kind, .failures = row->failures};
        world_seen(&w)->instances[WEST].step_ended = w.now;
        world_pass_ms(&w, row->since);
        again = step_retry_in(&w.s, &w.o, 0, WEST, w.now, &ms);
        assert_int_equal(again, row->left != UINT64_MAX);
        if (again)
            assert_int_equal(ms, row->left);
        world_group(&w)->paused = true; /* nothing starts a server in a paused group */
        again = step_retry_in(&w.s, &w.o, 0, WEST, w.now, &ms);
        assert_int_equal(again, row->left != UINT64_MAX && row->kind != STEP_LEAD);
    }
}

/* Nothing is wrong, and nobody could take over: told in service only, once the leader has
 * listened, with why and what to do; and it ends when somebody can. */
static void a_pair_without_a_target_is_told(void **state)
{
    static const struct {
        const char *name;
        void (*spoil)(void);
        const char *says; /* NULL: it is not told */
    } table[] =
        {
            {"in good health", NULL, NULL},
            {"its agent is dead", silent_west,
             "nobody could take over: pg-west: its agent does not answer. To do: start "
             "ringfence-agent on pg-west (10.0.2.2)"},
            {"not in the set", leave_the_set,
             "nobody could take over: pg-west: it is not in the sync set. To do: wait "
             "until "
             "pg-west has caught up"},
            {"its files are gone", be_unreadable,
             "To do: on pg-west (10.0.2.2): pg_controldata: no pg_control; if that cannot "
             "be "
             "mended, stop its server and move /srv/pg away, and its agent copies "
             "pg-east's "
             "anew"},
            {"another cluster's", be_foreign,
             "pg-west: its server has another system identifier. To do: on pg-west "
             "(10.0.2.2): "
             "/srv/pg is another cluster's: check `data`, or stop that server and move the "
             "directory away"},
            {"another cluster's, before", be_foreign_on_record,
             "`ringfence detach orders`, then `ringfence attach orders`"},
            {"no longer in service", be_detached, NULL},
            {"a leader of just now", lead_just_now, NULL},
        },
      *row;
    char text[VERDICT_SIZE];

    (void)state;
    EACH (row, table) {
        bool told;

        world_steady(&w, SYNC_REQUIRED);
        world_pass_ms(&w, 2000);
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_STANDBY);
        if (row->spoil != NULL)
            row->spoil();
        told = group_is_unprotected(&w.s, &w.o, 0, w.now, text, sizeof text);
        if (told != (row->says != NULL) || (told && strstr(text, row->says) == NULL) ||
            told != (text[0] != '\0'))
            fail_msg("%s: %s", row->name, text);
        assert_int_equal(
            switchover_may_begin(&w.s, &w.o, 0, WEST, w.now, text, sizeof text),
            row->spoil != lead_just_now &&
                (row->says == NULL || row->spoil == leave_the_set));
    }
}

/* Nothing is to be waited for where what would have to be done fails. */
static void what_fails_is_not_waited_for(void **state)
{
    static const struct {
        const char *name;
        void (*spoil)(void);
        const char *says;
    } table[] =
        {
            {"not in the set, and it fails to follow", fail_to_follow,
             "To do: mend what step follow of pg-west fails with (`ringfence status` shows "
             "it), then `ringfence retry orders`"},
            {"no data, and it fails to copy it", fail_to_follow_at_all,
             "To do: mend what step follow of pg-west fails with"},
            {"not in the set, and the join fails", fail_to_join,
             "To do: mend what step join of pg-east fails with"},
            {"not in the set, and its agent says why", be_refused,
             "To do: on pg-west (10.0.2.2): let it in"},
        },
      *row;
    char text[VERDICT_SIZE];

    (void)state;
    EACH (row, table) {
        world_steady(&w, SYNC_REQUIRED);
        world_pass_ms(&w, 2000);
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_STANDBY);
        row->spoil();
        if (!group_is_unprotected(&w.s, &w.o, 0, w.now, text, sizeof text) ||
            strstr(text, row->says) == NULL || strstr(text, "wait until") != NULL)
            fail_msg("%s: %s", row->name, text);
    }
}

static void wait_for_west(enum sync_mode mode, uint64_t ms)
{
    struct seen_instance seen;
    struct mono since = {0};

    world_steady(&w, mode);
    for (uint64_t passed = 0; passed <= ms; passed += 100) {
        world_pass_ms(&w, 100);
        assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        world_report(&w, EAST, SERVER_PRIMARY);
        seen = world_seen(&w)->instances[EAST].seen;
        seen.waits_sync = true;
        world_seen(&w)->waits_since = since;
        observe_report(&w.o, &w.s, 0, EAST, &seen);
        since = world_seen(&w)->waits_since;
    }
    explain(&w.s, &w.o, 0, w.now, &why);
}

/* I8 has its price: what is written waits for a member that is gone. Then it is not true
 * that nothing is wrong, and who waits is told for whom, and what lets him go on. */
static void writes_that_wait_are_told(void **state)
{
    (void)state;
    wait_for_west(SYNC_STRICT, 3000);
    assert_false(group_is_healthy(&w.s, &w.o, 0, w.now));
    assert_true(why.held);
    assert_true(why.writes_wait);
    assert_false(why.would_fail_over);
    assert_string_equal(
        why.verdict,
        "writes wait for pg-west (its agent does not answer): sync strict never goes on "
        "without a member. To do: start ringfence-agent on pg-west (10.0.2.2), or mend its "
        "way to the controllers; or apply the group's file with `sync: required`, which "
        "lets it go");
    wait_for_west(SYNC_REQUIRED, 3000);
    assert_string_equal(
        why.verdict,
        "writes wait for pg-west (its agent does not answer): sync required lets a member "
        "go after 2000 ms (shrink_after). To do: wait so long, or start ringfence-agent on "
        "pg-west (10.0.2.2), or mend its way to the controllers");
    for (unsigned i = 0; i < why.count; i++)
        if (strcmp(why.list[i].name, "server-hung") == 0)
            assert_string_equal(why.list[i].value,
                                "accepts writes; they wait for a member of the sync set");
    /* Its agent answers and says what is wrong; or nobody says. */
    world_report(&w, WEST, SERVER_STANDBY);
    world_seen(&w)->instances[WEST].seen.streaming = false;
    snprintf(world_seen(&w)->instances[WEST].seen.problem, TEXT_SIZE, "let it in");
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_non_null(strstr(why.verdict, "for pg-west (it does not stream): sync required"));
    assert_non_null(strstr(why.verdict, "or on pg-west (10.0.2.2): let it in"));
    world_report(&w, WEST, SERVER_STANDBY);
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_non_null(strstr(why.verdict, "for pg-west (it does not confirm them): "));
    assert_non_null(strstr(why.verdict, "see on pg-west (10.0.2.2) why it does not flush"));
}

/* One answer that is long on its way is no news; nor is a wait that is over. */
static void a_short_wait_is_not_told(void **state)
{
    (void)state;
    wait_for_west(SYNC_STRICT, 500);
    assert_false(why.writes_wait);
    wait_for_west(SYNC_STRICT, 3000);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_false(why.writes_wait);
    assert_false(why.held);
    assert_string_equal(why.verdict,
                        "nothing is wrong; a failover would find pg-west ready");
    assert_true(group_is_healthy(&w.s, &w.o, 0, w.now));
}

/* Its lease holds, and no client gets in: that is told, with the agent's own words. */
static void a_gate_that_does_not_open_is_told(void **state)
{
    struct seen_instance *seen;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    seen = &world_seen(&w)->instances[EAST].seen;
    seen->lease_margin_ms = 500;
    snprintf(seen->gate_mode, sizeof seen->gate_mode, "closed");
    assert_true(group_is_healthy(&w.s, &w.o, 0, w.now)); /* it is about to open */
    snprintf(seen->problem, sizeof seen->problem, "arm: epoch 1 is older");
    assert_false(group_is_healthy(&w.s, &w.o, 0, w.now));
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_true(why.held);
    assert_false(why.would_fail_over);
    assert_string_equal(why.verdict, "writes wait: the gate of pg-east is closed though "
                                     "its lease holds: arm: epoch 1 is older");
    snprintf(seen->gate_mode, sizeof seen->gate_mode, "open");
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_false(why.held);
}

/* I7: what a controller without a leader can say of writes, and that others may know more.
 */
static void without_a_leader_the_lease_is_told(void **state)
{
    char text[VERDICT_SIZE];

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_pass_ms(&w, 21);
    explain_leaderless(&w.s, &w.o, 0, w.now, "west", text, sizeof text);
    assert_string_equal(
        text,
        "no leader: controller west knows none, nothing can be decided, and unless "
        "the others have one, no writes are possible once the lease of pg-east is over "
        "(in 1000 ms). To do: start the controllers that are down, or mend the ways "
        "between them, until a majority has a leader (`ringfence doctor` says who "
        "reaches whom)");
    world_pass_ms(&w, 2000);
    explain_leaderless(&w.s, &w.o, 0, w.now, "west", text, sizeof text);
    assert_non_null(strstr(text, "no writes are possible: the lease of pg-east is over "
                                 "(since 1000 ms)"));
    be_detached();
    explain_leaderless(&w.s, &w.o, 0, w.now, "west", text, sizeof text);
    assert_non_null(strstr(text, "the group is detached, its servers go on"));
    world_init(&w);
    world_declare(&w, SYNC_REQUIRED);
    explain_leaderless(&w.s, &w.o, 0, w.now, "west", text, sizeof text);
    assert_non_null(strstr(text, "no lease has been granted: no writes are possible"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hold_says_what_ends_it),
        cmocka_unit_test(a_candidate_says_what_it_lacks),
        cmocka_unit_test(a_pair_without_a_target_is_told),
        cmocka_unit_test(without_a_leader_the_lease_is_told),
        cmocka_unit_test(what_fails_is_not_waited_for),
        cmocka_unit_test(writes_that_wait_are_told),
        cmocka_unit_test(a_short_wait_is_not_told),
        cmocka_unit_test(a_gate_that_does_not_open_is_told),
        cmocka_unit_test(a_failed_step_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
