/* Lease arithmetic at its edges, and what counts as a proof. */
#include "tests/unit/core/world.h"

#include <string.h>

/* I3, I4: the holder counts to its own deadline by a clock that runs slow by rho, the
 * controller by one that runs fast by rho; the holder gives up first, at every TTL. */
static void the_holder_always_gives_up_first(void **state)
{
    (void)state;
    for (uint32_t ttl = LEASE_TTL_MIN_MS; ttl <= LEASE_TTL_MAX_MS; ttl += 97) {
        for (uint32_t rho = LEASE_RHO_MIN_PPM; rho <= LEASE_RHO_MAX_PPM; rho += 1663) {
            struct lease_terms terms = {ttl, rho};
            struct boot end = lease_holder_deadline((struct boot){1}, terms);
            /* In true time, in ns times 1e6 to stay exact: local / rate. */
            __int128 holder = (__int128)(end.ns - 1) * 1000000 / (1000000 - rho);
            __int128 us = (__int128)lease_wait_ns(terms) * 1000000 / (1000000 + rho);

            assert_true(us >= holder);
            assert_true(us <= holder + 2);
        }
    }
}

static void a_lease_never_granted_is_never_over(void **state)
{
    struct lease_terms terms = {1000, 10000};

    (void)state;
    assert_false(lease_is_over((struct mono){0}, terms, (struct mono){UINT64_MAX}));
}

/* The wait ends at the nanosecond, not before. */
static void the_wait_ends_exactly(void **state)
{
    struct lease_terms terms = {1000, 10000};
    struct mono applied = {5000000000ull};
    uint64_t wait = lease_wait_ns(terms);

    (void)state;
    assert_int_equal(wait, 1020202021); /* 1 s x 1.01 / 0.99, rounded up */
    assert_false(lease_is_over(applied, terms, (struct mono){applied.ns + wait - 1}));
    assert_true(lease_is_over(applied, terms, (struct mono){applied.ns + wait}));
    /* A reading from before the grant is no time at all. */
    assert_false(lease_is_over(applied, terms, (struct mono){1}));
}

static void the_ttl_rule_names_what_breaks_it(void **state)
{
    static const struct {
        const char *name;
        uint32_t ttl, renew, rho, election, rtt;
        const char *says; /* NULL: accepted */
    } table[] =
        {
            {"default profile", 3000, 300, 10000, 900, 100, NULL},
            {"fast profile", 1000, 150, 10000, 300, 10, NULL},
            {"fastest profile", 500, 60, 10000, 150, 10, NULL},
            {"far profile", 6000, 600, 10000, 1500, 250, NULL},
            {"renew below ttl/10", 1000, 99, 10000, 100, 1, "ttl/10"},
            {"renew above ttl/5", 1000, 201, 10000, 100, 1, "ttl/5"},
            {"election too slow", 1000, 150, 10000, 351, 0,
             "lease.ttl of 1000 ms breaks the TTL rule, ttl >= 2 x renew + 2 x election "
             "timeout + 6 x round trip: 2 x 150 + 2 x 351 + 6 x 0 = 1002 ms at least"},
            {"round trip too long", 1000, 150, 10000, 300, 17, "breaks the TTL rule"},
            {"no renew would do", 1000, 300, 10000, 900, 0,
             "lease.ttl of 1000 ms breaks the TTL rule, ttl >= 2 x renew + 2 x election "
             "timeout + 6 x round trip: 2 x 300 + 2 x 900 + 6 x 0 = 2400 ms at least"},
            {"no renew would do, nor one too short", 2000, 10, 10000, 900, 0,
             "2 x 200 + 2 x 900 + 6 x 0 = 2200 ms at least"},
            {"a shorter renew would do", 3000, 700, 10000, 900, 0,
             "lease.renew of 700 ms: must be between ttl/10 and ttl/5 (300 to 600 ms"},
            {"exactly enough", 1000, 150, 10000, 350, 0, NULL},
            {"ttl too short", 299, 40, 10000, 10, 0, "lease.ttl"},
            {"ttl too long", 60001, 6001, 10000, 10, 0, "lease.ttl"},
            {"no allowance for clocks", 1000, 150, 0, 300, 0, "lease.rho"},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct lease_terms terms = {row->ttl, row->rho};
        struct lease_surroundings around = {row->election, row->rtt};
        struct err err = {0};
        int status = lease_check_ttl_rule(terms, row->renew, around, &err);

        if ((status == 0) != (row->says == NULL))
            fail_msg("%s: %d %s", row->name, status, err.text);
        if (row->says != NULL && strstr(err.text, row->says) == NULL)
            fail_msg("%s: says '%s'", row->name, err.text);
    }
}

static void a_steered_clock_takes_no_lease(void **state)
{
    (void)state;
    assert_true(lease_clock_rate_ok(0, 10000));
    assert_true(lease_clock_rate_ok(-5000, 10000));
    assert_true(lease_clock_rate_ok(5000, 10000));
    assert_false(lease_clock_rate_ok(5001, 10000));
    assert_false(lease_clock_rate_ok(-5001, 10000));
    assert_false(lease_clock_rate_ok(83333, 10000)); /* chrony's default maxslewrate */
}

/* I2, I12: every combination of kind, order in the log and incarnation. */
static void a_proof_is_later_than_the_grant_and_of_the_right_life(void **state)
{
    (void)state;
    for (int kind = PROOF_NONE; kind <= PROOF_SYNC_SEVERED; kind++)
        for (uint64_t proven = 0; proven <= 3; proven++)
            for (uint64_t grant = 0; grant <= 3; grant++)
                for (uint8_t prover = 1; prover <= 2; prover++)
                    for (uint8_t holder = 1; holder <= 2; holder++) {
                        struct incarnation enrolled = life(0, 1);
                        struct proof_record r = {
                            .last_grant = grant,
                            .holder = life(0, holder),
                            .proven = proven,
                            .kind = (enum proof_kind)kind,
                            .prover = life(0, prover),
                        };
                        bool by_agent = kind == PROOF_INSTALLED || kind == PROOF_AGENT;
                        bool by_clock =
                            kind == PROOF_LEASE_EXPIRY || kind == PROOF_SYNC_SEVERED;
                        bool by_others = kind == PROOF_POWER || kind == PROOF_ATTESTED;
                        bool expected =
                            proven > grant &&
                            ((by_agent && prover == 1) || (by_clock && prover == holder) ||
                             (by_others && (prover == holder || prover == 1)));

                        assert_int_equal(proof_holds(&r, &enrolled), expected);
                    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_holder_always_gives_up_first),
        cmocka_unit_test(a_lease_never_granted_is_never_over),
        cmocka_unit_test(the_wait_ends_exactly),
        cmocka_unit_test(the_ttl_rule_names_what_breaks_it),
        cmocka_unit_test(a_steered_clock_takes_no_lease),
        cmocka_unit_test(a_proof_is_later_than_the_grant_and_of_the_right_life),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
