/* Many lives of a region pair, each a function of its seed: the real core, the real keeper,
 * everything else out to get them (design I1, I2, I3, I8, I11).
 *
 *   test_core_pair [--seed N] [--count N] [--first N] [--mutant NAME] [--verbose]
 *
 * With --mutant the model is wrong in one place, and the exit status is 0 only if a seed
 * found it: a test that cannot fail proves nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core/pair.h"

struct arguments {
    struct pair_options opt;
    uint64_t first, count;
};

/* The linker sends the core's calls here: two mutants are about arithmetic. */
static enum mutant mutant;

uint64_t __real_lease_wait_ns(struct lease_terms terms);
uint64_t __wrap_lease_wait_ns(struct lease_terms terms);
bool __wrap_lease_is_over(struct mono applied, struct lease_terms terms, struct mono now);
struct boot __real_lease_holder_deadline(struct boot sent, struct lease_terms terms);
struct boot __wrap_lease_holder_deadline(struct boot sent, struct lease_terms terms);

uint64_t __wrap_lease_wait_ns(struct lease_terms terms)
{
    if (mutant == MUTANT_HALF_WAIT)
        terms.ttl_ms /= 2;
    return __real_lease_wait_ns(terms);
}

bool __wrap_lease_is_over(struct mono applied, struct lease_terms terms, struct mono now)
{
    return mono_is_set(applied) &&
           mono_since_ns(applied, now) >= __wrap_lease_wait_ns(terms);
}

struct boot __wrap_lease_holder_deadline(struct boot sent, struct lease_terms terms)
{
    if (mutant == MUTANT_LONG_LEASE)
        terms.ttl_ms += terms.ttl_ms / 4;
    return __real_lease_holder_deadline(sent, terms);
}

static enum mutant mutant_named(const char *name)
{
#define X(value, text)                                                                     \
    if (strcmp(name, text) == 0)                                                           \
        return value;
    MUTANT_MAP(X)
#undef X
    return MUTANT_COUNT;
}

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--verbose") == 0) {
            a->opt.verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0) {
            a->first = strtoull(value, NULL, 10);
            a->count = 1;
        } else if (strcmp(argv[i], "--first") == 0) {
            a->first = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--count") == 0) {
            a->count = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--mutant") == 0) {
            a->opt.mutant = mutant_named(value);
        } else {
            return false;
        }
        i++;
    }
    return a->opt.mutant != MUTANT_COUNT;
}

struct tally {
    uint64_t failed, acks, opens, fences, seconds;
};

static void one_seed(struct pair *w, const struct arguments *a, uint64_t seed,
                     struct tally *t)
{
    struct pair_options opt = a->opt;

    opt.seed = seed;
    pair_run(w, &opt);
    t->acks += w->acks;
    t->opens += w->opens;
    t->fences += w->fences;
    t->seconds += w->now / 1000000000u;
    if (!w->failed || (a->opt.mutant != MUTANT_NONE && w->stuck))
        return;
    t->failed++;
    if (a->opt.mutant == MUTANT_NONE)
        printf("seed %" PRIu64 ": %s\n  repeat with: test_core_pair --seed %" PRIu64
               " --verbose\n",
               seed, w->why, seed);
    else
        printf("the mutant is found by seed %" PRIu64 ": %s\n", seed, w->why);
}

int main(int argc, char **argv)
{
    struct arguments a = {.first = 1, .count = 300};
    struct tally t = {0};
    struct pair *w = pair_new();

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (w == NULL || !read_arguments(argc, argv, &a)) {
        printf("test_core_pair [--seed N] [--first N] [--count N] [--mutant NAME] "
               "[--verbose]\n");
        free(w);
        return 2;
    }
    mutant = a.opt.mutant;
    for (uint64_t i = 0; i < a.count; i++) {
        one_seed(w, &a, a.first + i, &t);
        if (mutant != MUTANT_NONE && t.failed != 0)
            break;
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " s, %" PRIu64
           " acknowledgements, %" PRIu64 " fences, %" PRIu64 " openings\n",
           a.count, t.failed, t.seconds, t.acks, t.fences, t.opens);
    free(w);
    return (mutant == MUTANT_NONE) == (t.failed == 0) ? 0 : 1;
}
