/* I11 in words: where only people could resolve it, `why` says so, and nowhere else. */
#include "tests/unit/core/world.h"

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

/* Another cause that holds is said first: that one has an exit of its own. */
static void what_an_operator_can_end_comes_first(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->sync_set = 1u << EAST;
    world_group(&w)->paused = true;
    lose_east();
    ask();
    assert_string_equal(why.verdict, "a failover is due, and held by: not-paused");
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
    assert_true(says(why.verdict, "fenced, and held by target-ready: pg-west"));
    assert_true(says(why.verdict, "an attested loss by two people"));
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
