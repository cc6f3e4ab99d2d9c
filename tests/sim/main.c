/* sim -- play seeds of the simulated world; see usage below. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/apart.h"
#include "tests/sim/coverage.h"
#include "tests/sim/judge.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/schedule.h"
#include "tests/sim/sim.h"

static const char usage[] =
    "sim --seed N | --seeds A-B | --schedule FILE [--groups N] [--trace]... [--minimise]\n"
    "    [--print] [--history FILE] [--coverage FILE] [--mutant NAME] [--only LIST]\n"
    "    [--calm] [--one-away]\n"
    "\n"
    "  --seed N         play one seed; the same seed is the same history, byte for byte\n"
    "  --seeds A-B      play these, and say how it went\n"
    "  --groups N       1: one group (default); up to 50: that many over shared agents\n"
    "  --trace          narrate; twice: what the programs log, too; thrice: all of it\n"
    "  --minimise       leave out one fault after the other while the same invariant\n"
    "                   breaks, and print the schedule of what is left (what else there\n"
    "                   is to say goes to stderr; not with --trace)\n"
    "  --schedule FILE  play what --minimise or --print has printed\n"
    "  --print          print the schedule of the seed, and do not play it\n"
    "  --history FILE   write what the clients saw (chaos/history.h)\n"
    "  --coverage FILE  write how often each row fired under each kind of fault\n"
    "  --calm           without faults, half of the groups later: no open gate may close\n"
    "  --one-away       the same, but one controller at a time is killed, stopped or "
    "alone\n"
    "  --only LIST      I2,I3: look past what breaks another invariant; a failure goes\n"
    "                   also by another word before its colon, or its first letters\n"
    "                   (rewind,history)\n"
    "  --mutant NAME    in sim_mutants: with this planted bug, until a seed fails\n"
    "\n"
    "The exit status is 1 if a seed failed, 2 if the arguments are wrong.\n";

struct arguments {
    struct sim_options opt;
    uint64_t first, last;
    bool minimise, print;
    const char *history, *coverage, *schedule;
};

static bool read_range(const char *text, struct arguments *a)
{
    char *end;

    a->first = strtoull(text, &end, 10);
    a->last = *end == '-' ? strtoull(end + 1, &end, 10) : a->first;
    return *end == 0 && end != text && a->first <= a->last;
}

static bool read_value(const char *name, const char *value, struct arguments *a)
{
    if (strcmp(name, "--seed") == 0 || strcmp(name, "--seeds") == 0)
        return read_range(value, a);
    if (strcmp(name, "--groups") == 0) {
        a->opt.groups = (unsigned)strtoul(value, NULL, 10);
        return a->opt.groups >= 1 && a->opt.groups <= WORLD_GROUPS_MAX;
    }
    if (strcmp(name, "--schedule") == 0) {
        if (!schedule_read(value, &a->opt))
            return false;
        a->schedule = value;
        a->first = a->last = a->opt.seed;
    } else if (strcmp(name, "--history") == 0)
        a->history = value;
    else if (strcmp(name, "--coverage") == 0)
        a->coverage = value;
    else if (strcmp(name, "--mutant") == 0)
        mutant_name = value;
    else if (strcmp(name, "--only") == 0)
        a->opt.only = value;
    else
        return false;
    return true;
}

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            a->opt.trace++;
        else if (strcmp(argv[i], "--minimise") == 0)
            a->minimise = true;
        else if (strcmp(argv[i], "--print") == 0)
            a->print = true;
        else if (strcmp(argv[i], "--calm") == 0)
            a->opt.calm = true;
        else if (strcmp(argv[i], "--one-away") == 0)
            a->opt.calm = a->opt.one_away = true;
        else if (i + 1 == argc || !read_value(argv[i], argv[i + 1], a))
            return false;
        else
            i++;
    }
    /* Each of the two has stdout for itself. */
    return a->first != 0 && !(a->minimise && a->opt.trace > 0);
}

/* What --minimise prints is a file for --schedule: nothing else may stand in it. */
static FILE *words_to(const struct arguments *a) { return a->minimise ? stderr : stdout; }

static void write_history(const char *path)
{
    FILE *out = fopen(path, "w");

    if (out == NULL) {
        perror(path);
        exit(2);
    }
    for (uint8_t g = 0; g < sim.groups; g++) {
        history_sort(&pgs[g].history);
        history_write(&pgs[g].history, out);
    }
    fclose(out);
}

static void write_coverage(const char *path)
{
    FILE *out = fopen(path, "w");

    if (out == NULL) {
        perror(path);
        exit(2);
    }
    coverage_write(out);
    fclose(out);
}

/* ---- the fewest faults ------------------------------------------------------------------
 */

/* Behind "at N ms: ": the invariants it names, or how it begins. */
static size_t key_of(const char *why, const char **ret)
{
    const char *text = strstr(why, ": ");

    *ret = text != NULL ? text + 2 : why;
    return (*ret)[0] == 'I' ? strcspn(*ret, ":") : strlen(*ret) < 10 ? strlen(*ret) : 10;
}

static bool is_same(const char *a, const char *b)
{
    const char *key_a, *key_b;
    size_t len = key_of(a, &key_a);

    return len == key_of(b, &key_b) && memcmp(key_a, key_b, len) == 0;
}

static bool fails(struct sim_options opt, const bool *without, const char *why)
{
    struct sim_result r;

    opt.without = without;
    opt.trace = 0;
    sim_play(&opt, &r);
    sim_clear();
    return r.failed && is_same(r.why, why);
}

/* One after the other, again and again, until none can be spared. Another failure that
 * comes first is another bug. */
static void minimise(const struct arguments *a, const struct sim_result *found,
                     bool *without)
{
    bool spared = true;

    while (spared) {
        spared = false;
        for (unsigned i = 0; i < found->faults; i++) {
            if (without[i])
                continue;
            without[i] = true;
            if (fails(a->opt, without, found->why))
                spared = true;
            else
                without[i] = false;
        }
    }
}

static void print_fewest(const struct arguments *a, const struct sim_result *found)
{
    bool without[FAULTS_MAX] = {false};
    struct sim_options opt = a->opt;
    struct sim_result r;

    minimise(a, found, without);
    opt.without = without;
    sim_play(&opt, &r);
    sim_clear();
    printf("# %s\n", r.why);
    sim_print(&opt, stdout);
}

/* ---- all of them ------------------------------------------------------------------------
 */

static bool play_one(const struct arguments *a, uint64_t seed, uint64_t *digest)
{
    struct arguments one = *a;
    FILE *words = words_to(a);
    struct sim_result r;

    one.opt.seed = seed;
    sim_play(&one.opt, &r);
    if (a->history != NULL)
        write_history(a->history);
    *digest = (*digest ^ r.digest) * 1099511628211u;
    sim_clear();
    if (!r.failed)
        return true;
    fprintf(words, "seed %" PRIu64 ": %s\n  repeat with: sim ", seed, r.why);
    if (a->schedule != NULL)
        fprintf(words, "--schedule %s --trace\n", a->schedule);
    else
        fprintf(words, "--groups %u --seed %" PRIu64 " --trace\n", a->opt.groups, seed);
    if (a->minimise)
        print_fewest(&one, &r);
    return false;
}

static double cpu_s(void) { return (double)clock() / CLOCKS_PER_SEC; }

int main(int argc, char **argv)
{
    struct arguments a = {.opt.groups = 1};
    uint64_t failed = 0, digest = 0, n;
    double began = cpu_s(), took;
    bool to_first;

    /* Processes come and go: their memory is kept for the next ones. */
    (void)mallopt(M_MMAP_MAX, 0);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    (void)mallopt(M_TOP_PAD, 16 << 20);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!read_arguments(argc, argv, &a)) {
        fputs(usage, stderr);
        return 2;
    }
    if (a.print) {
        a.opt.seed = a.first;
        sim_print(&a.opt, stdout);
        return 0;
    }
    /* A schedule is of one seed. */
    to_first = mutant_name != NULL || a.minimise;
    for (uint64_t seed = a.first; seed <= a.last && (!to_first || failed == 0); seed++)
        failed += !play_one(&a, seed, &digest);
    took = cpu_s() - began;
    n = a.last - a.first + 1;
    fprintf(words_to(&a),
            "%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64
            " s simulated in %.1f s: %.0f a second; %" PRIu64 " entries, %" PRIu64
            " acknowledgements, %" PRIu64 " fences, %" PRIu64 " openings, %" PRIu64
            " lost as forecast; digest %016" PRIx64 "\n",
            n, failed, judged.seconds, took, (double)judged.seconds / (took + 1e-9),
            judged.applied, judged.acks, judged.fences, judged.opens, judged.lost, digest);
    if (a.coverage != NULL)
        write_coverage(a.coverage);
    apart_times(words_to(&a));
    judge_end();
    return failed != 0;
}
