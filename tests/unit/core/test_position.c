/* The primary's last position: who heard it does not matter, and its bound holds (I9). */
#include "tests/unit/core/world.h"

#include <string.h>

static struct world w;

enum { WAIT_MS = 1021, RATE = 4000 };

static struct seen_position position(uint64_t lsn, uint64_t ago_ms)
{
    return (struct seen_position){
        .epoch = world_group(&w)->epoch,
        .timeline = 1,
        .lsn = lsn,
        .wal_bytes_per_s = RATE,
        .taken = {w.now.ns - ago_ms * NS_PER_MS},
    };
}

static void told(struct seen_position p) { observe_position(&w.o, &w.s, 0, &p); }

/* What this controller knew of the primary, as if it had never been told by its agent. */
static void forget_position(void)
{
    world_seen(&w)->primary_lsn = world_seen(&w)->wal_rate = 0;
    world_seen(&w)->primary_lsn_at = (struct mono){0};
}

static const struct condition *condition(const struct explanation *why, const char *name)
{
    for (unsigned i = 0; i < why->count; i++)
        if (strcmp(why->list[i].name, name) == 0)
            return &why->list[i];
    fail_msg("no condition %s", name);
    return NULL;
}

/* Elected as the primary falls silent: it has no report of its own, and never will have. */
static void a_leader_that_was_told_fails_over(void **state)
{
    static struct explanation why;
    static const enum sync_mode modes[] = {SYNC_OFF, SYNC_PREFERRED};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(modes); i++)
        for (unsigned knows = 0; knows < 2; knows++) {
            world_steady(&w, modes[i]);
            if (modes[i] == SYNC_PREFERRED) /* the standby has left the set */
                world_group(&w)->sync_set = 1u << EAST;
            observe_leading(&w.o, false, w.now);
            forget_position();
            if (knows)
                told(position(1500, 300));
            observe_leading(&w.o, true, w.now);
            world_pass_ms(&w, WAIT_MS);
            world_report(&w, WEST, SERVER_STANDBY);
            explain(&w.s, &w.o, 0, w.now, &why);
            assert_int_equal(condition(&why, "target-ready")->blocks, !knows);
            assert_string_equal(world_step(&w), knows ? "silent-holder" : "");
            if (!knows)
                continue;
            assert_string_equal(world_step(&w), "proof-by-expiry");
            assert_string_equal(world_step(&w), "activate-behind-proofs");
            assert_true(world_group(&w)->run.loss_forecast_known);
            /* gap 500, and the rate from the report to the deadline */
            assert_int_equal(
                world_group(&w)->run.loss_forecast_bytes,
                500 + LOSS_RATE_HEADROOM * RATE *
                          (300ull * NS_PER_MS + lease_wait_ns(world_group(&w)->terms)) /
                          (1000ull * NS_PER_MS));
        }
}

/* East falls silent in `off`, and west is activated with a forecast; nobody opens it. */
static struct run leave_east(void)
{
    told(position(1500, 300));
    world_pass_ms(&w, WAIT_MS);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-expiry");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_true(world_group(&w)->run.loss_forecast_known);
    assert_int_not_equal(world_group(&w)->run.loss_forecast_bytes, 0);
    assert_int_equal(world_group(&w)->run.from, EAST);
    return world_group(&w)->run;
}

/* Begun again before it was opened, when a position is worth nothing any more. */
static const struct run *move_to(uint8_t target)
{
    assert_int_equal(world_fence(&w), ACCEPTED);
    if (world_group(&w)->active != target)
        assert_int_equal(world_prove(&w, world_group(&w)->active, PROOF_AGENT, 1),
                         ACCEPTED);
    world_pass_ms(&w, 3600000);
    world_report(&w, target, target == EAST ? SERVER_DOWN : SERVER_STANDBY);
    world_seen(&w)->instances[1 - target].seen = (struct seen_instance){0};
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(world_group(&w)->active, target);
    return &world_group(&w)->run;
}

/* I9: whoever is asked later what was lost names the primary that had written it, and what
 * was forecast of that. Nobody misses what it wrote itself. */
static void a_promotion_begun_again_leaves_the_same_primary(void **state)
{
    static const uint8_t ways[][3] = {{WEST, WEST, WEST}, {EAST, WEST, EAST}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        struct run first;

        world_steady(&w, SYNC_OFF);
        first = leave_east();
        for (unsigned n = 0; n < 3; n++) {
            const struct run *run = move_to(ways[i][n]);
            bool back = run->to == EAST;

            assert_int_not_equal(run->id, first.id);
            assert_int_equal(run->from, EAST);
            assert_true(run->loss_forecast_known);
            if (!back)
                assert_int_equal(run->loss_forecast_bytes, first.loss_forecast_bytes);
        }
    }
}

/* Local clients that no gate holds may have been acknowledged by the one that was promoted:
 * nothing is known of those, and it is what the next move leaves. */
static void an_ungated_promotion_may_have_written(void **state)
{
    const struct run *run;

    (void)state;
    world_steady(&w, SYNC_OFF);
    leave_east();
    world_group(&w)->policy.ungated_local = true;
    run = move_to(EAST);
    assert_int_equal(run->from, WEST);
    assert_false(run->loss_forecast_known);
}

/* Its agent answers, and its looks hang: caught up then is not caught up now. */
static void a_look_of_long_ago_says_no_lag(void **state)
{
    static struct explanation why;
    struct seen_instance *seen;

    (void)state;
    for (unsigned hung = 0; hung < 2; hung++) {
        world_steady(&w, SYNC_OFF);
        told(position(1500, 300));
        world_pass_ms(&w, WAIT_MS + 4000);
        world_report(&w, WEST, SERVER_STANDBY);
        seen = &world_seen(&w)->instances[WEST].seen;
        seen->taken.ns -= (hung ? 3100u : 2900u) * NS_PER_MS;
        explain(&w.s, &w.o, 0, w.now, &why);
        assert_int_equal(condition(&why, "target-ready")->blocks, hung);
        if (hung)
            assert_non_null(strstr(condition(&why, "candidate-pg-west")->value,
                                   "its server was seen 3100 ms ago"));
    }
}

/* Its answer was lost or came too early; it streams, and what it lost was never counted. */
static void a_failed_follow_that_streams_owes_its_loss(void **state)
{
    (void)state;
    world_steady(&w, SYNC_OFF);
    leave_east();
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "lead-under-lease");
    world_outcome(&w, WEST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, WEST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "open-verified");
    for (unsigned n = 0; n < 3; n++) {
        world_pass_ms(&w, 60000);
        assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
        world_report(&w, WEST, SERVER_PRIMARY);
        world_report(&w, EAST, n == 0 ? SERVER_DOWN : SERVER_STANDBY);
        world_seen(&w)->instances[EAST].stray_since = n == 0 ? w.now : (struct mono){0};
        assert_string_equal(world_step(&w), "follow-active");
        world_outcome(&w, EAST, n == 2);
        world_seen(&w)->instances[EAST].outcome.loss_known = n == 2;
        world_seen(&w)->instances[EAST].outcome.loss_bytes = 500;
        assert_string_equal(world_step(&w), "record-outcome");
    }
    assert_true(world_group(&w)->run.loss_known);
    assert_int_equal(world_group(&w)->run.loss_bytes, 500);
    world_pass_ms(&w, 60000);
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
    world_report(&w, WEST, SERVER_PRIMARY);
    world_report(&w, EAST, SERVER_STANDBY);
    world_seen(&w)->instances[EAST].stray_since = (struct mono){0};
    assert_string_equal(world_step(&w), "");
}

/* I9: a primary that was seen once may have written at any rate since: nothing is forecast,
 * so without a sync set nobody is promoted on the strength of it. */
static void a_rate_that_is_not_known_forecasts_nothing(void **state)
{
    struct seen_position once;
    uint64_t bytes;

    (void)state;
    world_steady(&w, SYNC_OFF);
    forget_position();
    world_report(&w, WEST, SERVER_STANDBY);
    once = position(1500, 100);
    once.wal_bytes_per_s = WAL_RATE_UNKNOWN;
    told(once);
    assert_false(loss_forecast(&w.s, &w.o, 0, WEST, w.now, &bytes));
    told(position(1500, 50));
    assert_true(loss_forecast(&w.s, &w.o, 0, WEST, w.now, &bytes));
}

/* I9, of a frame that was long on its way. */
static void a_report_reaches_no_further_than_its_look(void **state)
{
    struct seen_instance seen;

    (void)state;
    world_steady(&w, SYNC_OFF);
    world_pass_ms(&w, 5000);
    seen = world_seen(&w)->instances[EAST].seen;
    seen.at = seen.latest = w.now;
    seen.said.ns = w.now.ns - 2000ull * NS_PER_MS;
    seen.taken.ns = w.now.ns - 3000ull * NS_PER_MS;
    seen.flush_lsn = 1500;
    seen.wal_bytes_per_s = RATE;
    observe_report(&w.o, &w.s, 0, EAST, &seen);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    world_pass_ms(&w, WAIT_MS);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-expiry");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    /* From the look, not from the arrival of what it found, to the deadline. */
    assert_int_equal(world_group(&w)->run.loss_forecast_bytes,
                     500 +
                         LOSS_RATE_HEADROOM * RATE *
                             (3000ull * NS_PER_MS + lease_wait_ns(world_group(&w)->terms)) /
                             (1000ull * NS_PER_MS));
}

static void the_newest_position_counts(void **state)
{
    const struct observed_group *og;

    (void)state;
    world_steady(&w, SYNC_OFF);
    og = world_seen(&w);
    assert_int_equal(og->primary_lsn, 1000);

    told(position(2000, 50));
    assert_int_equal(og->primary_lsn, 2000);
    assert_int_equal(og->wal_rate, RATE);
    told(position(1999, 0)); /* further back: older, whatever its age is said to be */
    assert_int_equal(og->primary_lsn, 2000);
    told(position(2000, 90)); /* the same, dated less well */
    assert_int_equal(mono_since_ms(og->primary_lsn_at, w.now), 50);
    told(position(2000, 20)); /* the primary has not moved since */
    assert_int_equal(mono_since_ms(og->primary_lsn_at, w.now), 20);
    told(position(2001, 400)); /* dated worse, but it has moved */
    assert_int_equal(og->primary_lsn, 2001);
    assert_int_equal(mono_since_ms(og->primary_lsn_at, w.now), 400);
}

/* Whichever of two true reports is kept, what is forecast covers what was written. */
static void every_kept_report_bounds_the_truth(void **state)
{
    enum { WRITTEN_PER_MS = 3, WEST_HAS = 1000 }; /* below RATE */
    uint64_t seed = 1;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t truth, forecast;

        world_steady(&w, SYNC_OFF);
        forget_position();
        for (unsigned k = 0; k < 4; k++) {
            uint64_t made_ago, said_ago;

            seed = seed * 6364136223846793005u + 1442695040888963407u;
            made_ago = seed >> 33 & 0x1ff;
            said_ago = made_ago + (seed >> 50 & 0x7f); /* never younger than it is */
            told(position(WEST_HAS + (1000 - made_ago) * WRITTEN_PER_MS, said_ago));
        }
        assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        truth = WEST_HAS + (1000 + WAIT_MS) * WRITTEN_PER_MS;
        world_pass_ms(&w, WAIT_MS);
        world_report(&w, WEST, SERVER_STANDBY);
        assert_true(loss_forecast(&w.s, &w.o, 0, WEST, w.now, &forecast));
        assert_true(forecast + WEST_HAS >= truth);
        forget_position();
    }
}

static void another_epoch_is_another_log(void **state)
{
    struct seen_position old, none;

    (void)state;
    world_steady(&w, SYNC_OFF);
    old = position(9000, 10);
    old.epoch--;
    told(old);
    assert_int_equal(world_seen(&w)->primary_lsn, 1000);
    old.epoch += 2; /* our own log is behind */
    told(old);
    assert_int_equal(world_seen(&w)->primary_lsn, 1000);
    none = position(0, 10);
    forget_position();
    told(none);
    assert_false(mono_is_set(world_seen(&w)->primary_lsn_at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_promotion_begun_again_leaves_the_same_primary),
        cmocka_unit_test(an_ungated_promotion_may_have_written),
        cmocka_unit_test(a_look_of_long_ago_says_no_lag),
        cmocka_unit_test(a_failed_follow_that_streams_owes_its_loss),
        cmocka_unit_test(a_rate_that_is_not_known_forecasts_nothing),
        cmocka_unit_test(a_leader_that_was_told_fails_over),
        cmocka_unit_test(a_report_reaches_no_further_than_its_look),
        cmocka_unit_test(the_newest_position_counts),
        cmocka_unit_test(every_kept_report_bounds_the_truth),
        cmocka_unit_test(another_epoch_is_another_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
