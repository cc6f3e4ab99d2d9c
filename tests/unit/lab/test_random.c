/* Scenarios drawn from seeds: all of them can be read, all of the menu is drawn, and each
 * heals what it broke. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/random.h"
#include "chaos/scenario.h"
#include "chaos/tally.h"
#include "chaos/verbs.h"

enum { SEEDS = 10000 };
#define THOUSAND_SEEDS 0xe819d5f2e9ecae29U

static struct scenario *drawn(uint32_t seed)
{
    AUTO(auto_free) char *text = random_text(seed);
    AUTO(auto_free) char *name = random_name(seed);

    return scenario_read_text(name, text);
}

/* The same seed is the same text, and another one is another. */
static void test_a_text_is_its_seeds(void **state)
{
    unsigned alike = 0;

    (void)state;
    for (uint32_t seed = 0; seed < 500; seed++) {
        AUTO(auto_free) char *text = random_text(seed);
        AUTO(auto_free) char *again = random_text(seed);
        AUTO(auto_free) char *next = random_text(seed + 1);

        assert_string_equal(text, again);
        alike += strcmp(strstr(text, "effect:"), strstr(next, "effect:")) == 0;
    }
    assert_true(alike < 5);
}

/* ---- who heals ------------------------------------------------------------------------
 * A schedule is walked as the laboratory would walk it, and whoever may be broken in any
 * course of events is remembered; a role may be had by any who can have it. */

struct harm {
    bool wired;
    unsigned dead[SITE_REGIONS];                       /* of a site the parts, as bits */
    unsigned frozen[SITE_REGIONS];                     /* the same */
    unsigned full[SITE_REGIONS], broken[SITE_REGIONS]; /* the disks */
    bool turned[SITE_REGIONS];                         /* its clock */
    bool hushed[SITE_REGIONS];                         /* its BMC */
    bool off[SITE_REGIONS];                            /* ended, so that disks are free */
};

static bool may_mean(const struct step_arg *who, enum site s)
{
    bool data = who->part != PART_REGION && who->part != PART_CONTROLLER;

    if (data && s == WITNESS)
        return false;
    switch (who->place) {
    case PLACE_ACTIVE:
    case PLACE_STANDBY:
        return s != WITNESS;
    case PLACE_LEADER:
        return true;
    default:
        return who->place == s;
    }
}

static void break_it(struct harm *h, const struct step *s)
{
    const char *word = s->verb->word;
    bool ends = strcmp(word, "kill") == 0 || strcmp(word, "end") == 0;
    static const char *const wires[] = {"cut",    "isolate", "mute",
                                        "deafen", "one-way", "link"};

    for (size_t i = 0; i < ARRAY_LEN(wires); i++)
        h->wired |= strcmp(word, wires[i]) == 0;
    for (enum site at = EAST; at < SITE_REGIONS; at++) {
        unsigned disk = s->verb->takes[0] == TAKES_DISK && s->arg[1].place == at
                            ? 1U << s->arg[0].disk
                            : 0;

        if (strcmp(word, "disk-full") == 0)
            h->full[at] |= disk;
        if (strcmp(word, "disk-breaks") == 0)
            h->broken[at] |= disk;
        if (strncmp(word, "clock-", 6) == 0 && may_mean(&s->arg[0], at))
            h->turned[at] = true;
        if (strcmp(word, "bmc-hangs") == 0 && may_mean(&s->arg[0], at))
            h->hushed[at] = true;
        if (s->verb->takes[0] != TAKES_WHO || !may_mean(&s->arg[0], at))
            continue;
        if (ends)
            h->dead[at] |= 1U << s->arg[0].part;
        if (strcmp(word, "freeze") == 0)
            h->frozen[at] |= 1U << s->arg[0].part;
    }
}

/* Of a disk: replaced only when nobody can use it. To make room may be in vain, where
 * there is room already. */
static void mend_disk(struct harm *h, const struct step *s)
{
    const char *word = s->verb->word;
    unsigned at = s->arg[1].place;

    if (s->verb->takes[0] != TAKES_DISK || at >= SITE_REGIONS)
        return;
    if (strcmp(word, "disk-room") == 0 && h->broken[at] == 0)
        h->full[at] &= ~(1U << s->arg[0].disk);
    if (strcmp(word, "disk-replaced") == 0 && h->off[at])
        h->broken[at] &= ~(1U << s->arg[0].disk);
}

static void mend_host(struct harm *h, const struct step *s)
{
    const char *word = s->verb->word;
    unsigned at = s->arg[0].place;

    if (s->verb->takes[0] != TAKES_PLACE || at >= SITE_REGIONS)
        return;
    if (strcmp(word, "clock-right") == 0 ||
        (strcmp(word, "clock-rate") == 0 && s->arg[1].number == 100))
        h->turned[at] = false;
    if (strcmp(word, "bmc-answers") == 0)
        h->hushed[at] = false;
}

/* Only what is certain: not `it`, and not what may be in vain. */
static void mend(struct harm *h, const struct step *s)
{
    const char *word = s->verb->word;
    unsigned at = s->arg[0].place;

    if (strcmp(word, "network") == 0)
        h->wired = false;
    if (s->verb->takes[0] != TAKES_WHO || at >= SITE_REGIONS)
        return;
    if (strcmp(word, "kill") == 0 && s->arg[0].part == PART_REGION) {
        h->off[at] = true;
        h->dead[at] |= 1U << PART_REGION;
    }
    if (strcmp(word, "start") == 0 && s->arg[0].part == PART_REGION) {
        h->dead[at] = 0;
        h->off[at] = false;
    }
    if (strcmp(word, "thaw") == 0)
        h->frozen[at] &= ~(1U << s->arg[0].part);
}

/* An agent starts its server and its guard: they need nobody. */
static bool is_whole(const struct harm *h)
{
    const unsigned cared_for = 1U << PART_SERVER | 1U << PART_GUARD;
    bool whole = !h->wired;

    for (enum site at = EAST; at < SITE_REGIONS; at++)
        whole = whole && (h->dead[at] & ~cared_for) == 0 && h->frozen[at] == 0 &&
                h->full[at] == 0 && h->broken[at] == 0 && !h->turned[at] && !h->hushed[at];
    return whole;
}

static const struct step *inner(const struct step *s)
{
    return s->arg[0].step != NULL ? s->arg[0].step : s;
}

static bool heals_itself(const struct scenario *s)
{
    const struct steps *heal = &s->heal;
    struct harm h = {0};

    for (size_t i = 0; i < s->fault.count; i++)
        break_it(&h, inner(&s->fault.of[i]));
    for (size_t i = 0; i < heal->count; i++) {
        mend(&h, &heal->of[i]);
        mend_host(&h, &heal->of[i]);
        mend_disk(&h, inner(&heal->of[i]));
    }
    return is_whole(&h) && heal->count > 0 &&
           strcmp(heal->of[heal->count - 1].line, "within 60s written") == 0;
}

/* Whoever waits for a disk cannot be killed: it goes on before anything else is done. */
static bool goes_on(const struct steps *steps, size_t i)
{
    const struct step *hangs = inner(&steps->of[i]), *on;

    if (strcmp(hangs->verb->word, "disk-hangs") != 0)
        return true;
    if (i + 2 >= steps->count || strcmp(steps->of[i + 1].verb->word, "wait") != 0)
        return false;
    on = inner(&steps->of[i + 2]);
    return strcmp(on->verb->word, "disk-goes-on") == 0 &&
           on->arg[0].disk == hangs->arg[0].disk && on->arg[1].place == hangs->arg[1].place;
}

/* What runs within a region waits for ever where the region is frozen, and what waits for
 * an end, or for a server's answer, does where somebody is. */
static bool ends_itself(const struct scenario *s)
{
    bool frozen = false, region = false;

    for (size_t i = 0; i < s->fault.count; i++) {
        const struct step *what = inner(&s->fault.of[i]);
        const char *word = what->verb->word;

        if (region && (strcmp(word, "sh") == 0 || strcmp(word, "ringfence") == 0 ||
                       strcmp(word, "promote") == 0))
            return false;
        if (frozen && (strcmp(word, "end") == 0 || strcmp(word, "sql") == 0 ||
                       strcmp(word, "disk-hangs") == 0))
            return false;
        if (!goes_on(&s->fault, i))
            return false;
        if (strcmp(word, "freeze") == 0) {
            frozen = true;
            region |= what->arg[0].part == PART_REGION;
        }
    }
    return true;
}

static struct scenario *read_by_hand(const char *fault, const char *heal)
{
    AUTO(auto_free)
    char *text = text_new("story: x\nholds: y\nset: random\neffect: any\n"
                          "fault: [%s]\nheal: [%s]\n",
                          fault, heal);

    return scenario_read_text("mine", text);
}

/* The checker is checked: these heal nothing, too little, or somebody else. */
static void test_the_checker_sees(void **state)
{
    static const struct {
        const char *fault, *heal;
        bool whole, ends;
    } rows[] = {
        {"try kill agent active", "start east, start west", true, true},
        {"try kill agent active", "start east", false, true},
        {"try kill leader", "start east, start west", false, true},
        {"kill server east", "network", true, true},
        {"freeze server east", "thaw east", false, true},
        {"freeze server east, end server west", "thaw server east", true, false},
        {"freeze west, sh east true", "thaw west", true, false},
        {"try mute west", "start west", false, true},
        {"try freeze agent standby", "thaw agent east, thaw agent west", true, true},
        {"kill east, start east", "try start east", false, true},
        {"kill guard east", "network", true, true},
        {"freeze guard west", "network", false, true},
        {"disk-full tails west", "try disk-room tails west", true, true},
        {"disk-full tails west", "disk-room tails east", false, true},
        {"disk-breaks server east", "disk-replaced server east, start east", false, true},
        {"disk-breaks server east", "kill east, disk-replaced server east", false, true},
        {"disk-breaks server east", "kill east, disk-replaced server east, start east",
         true, true},
        {"disk-hangs server east, kill east, disk-goes-on server east", "start east", true,
         false},
        {"disk-hangs server east, wait 1s, disk-goes-on server east", "network", true,
         true},
        {"freeze agent east, sql east x", "thaw agent east", true, false},
        {"clock-ahead leader 5", "clock-right east, clock-right west", false, true},
        {"clock-rate standby 90", "clock-rate east 100, clock-rate west 100", true, true},
        {"clock-rate east 90", "clock-rate east 99", false, true},
        {"bmc-hangs active", "bmc-answers east", false, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(auto_free)
        char *heal = text_new("%s, within 60s written", rows[i].heal);
        struct scenario *s = read_by_hand(rows[i].fault, heal);

        assert_int_equal(heals_itself(s), rows[i].whole);
        assert_int_equal(ends_itself(s), rows[i].ends);
        scenario_free(s);
    }
}

/* The menu, as random runs count it. */
static const char *const kinds[] = {"kill region",
                                    "kill controller",
                                    "kill agent",
                                    "kill server",
                                    "end region",
                                    "end controller",
                                    "end agent",
                                    "end server",
                                    "freeze region",
                                    "freeze controller",
                                    "freeze agent",
                                    "freeze server",
                                    "cut",
                                    "isolate",
                                    "mute",
                                    "deafen",
                                    "one-way",
                                    "flap",
                                    "link",
                                    "gate flushed",
                                    "promote",
                                    "switchover",
                                    "failover by hand",
                                    "kill guard",
                                    "freeze guard",
                                    "sql",
                                    "disk-full controller",
                                    "disk-full server",
                                    "disk-full agent",
                                    "disk-full tails",
                                    "disk-breaks controller",
                                    "disk-breaks server",
                                    "disk-hangs controller",
                                    "disk-hangs server",
                                    "clock-ahead",
                                    "clock-behind",
                                    "clock-rate",
                                    "bmc-hangs"};

/* Ten thousand seeds; what is drawn is counted as random runs count it. */
static void test_all_are_read_and_heal(void **state)
{
    static struct tally t;
    struct result r;

    (void)state;
    result_init(&r);
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        struct scenario *s = drawn(seed);

        if (!heals_itself(s) || !ends_itself(s))
            fail_msg("ringfence-lab --random --list --seed %u", seed);
        tally_add(&t, s, &r, seed);
        scenario_free(s);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        unsigned count = 0;

        for (unsigned k = 0; k < t.kinds; k++)
            count += strcmp(t.kind[k].name, kinds[i]) == 0 ? t.kind[k].count : 0;
        if (count < SEEDS / 500)
            fail_msg("%s was drawn %u times", kinds[i], count);
    }
    assert_int_equal(t.kinds, ARRAY_LEN(kinds));
    assert_true(t.faults > 2 * SEEDS && t.faults < 4 * SEEDS);
}

/* What a step needs of its laboratory. */
static bool fits(const struct scenario *s, const struct step *step)
{
    const struct scenario_lab *lab = &s->lab;
    const char *word = step->verb->word;

    if (strncmp(word, "disk-", 5) == 0)
        return lab->disks;
    if (strncmp(word, "bmc-", 4) == 0)
        return lab->power;
    if (strcmp(word, "clock-rate") == 0)
        return lab->clocks == CLOCKS_RATES;
    if (strncmp(word, "clock-", 6) == 0)
        return lab->clocks == CLOCKS_STEPS;
    if (strcmp(word, "sh") == 0)
        return lab->driver == DRIVER_NFT;
    /* Where the gate can be taken away the guard is what is left. */
    if (step->verb->takes[0] == TAKES_WHO && step->arg[0].part == PART_GUARD)
        return lab->driver != DRIVER_NFT;
    return true;
}

/* A host that a fence has switched off comes back though it ran when all was mended. */
static bool starts_last(const struct scenario *s)
{
    const struct steps *heal = &s->heal;

    return heal->count > 3 && strcmp(heal->of[heal->count - 2].line, "start west") == 0 &&
           strcmp(heal->of[heal->count - 3].line, "start east") == 0;
}

/* Neighbours share a laboratory, and over time all of them occur; each step is one that its
 * laboratory can do. */
static void test_laboratories(void **state)
{
    enum { PLAIN, NFT, DISKS, STEPS, RATES, POWER, SEVERED, THINGS };
    unsigned changes = 0, far = 0, seen[THINGS] = {0};

    (void)state;
    for (uint32_t seed = 0; seed < 200 * RANDOM_SHARED; seed++) {
        struct scenario *a = drawn(seed), *b = drawn(seed + 1);
        bool shared = scenario_shares_lab(a, b);

        if ((seed + 1) % RANDOM_SHARED != 0)
            assert_true(shared);
        changes += !shared;
        far += a->lab.rtt_ms > 0;
        seen[a->lab.driver == DRIVER_NFT     ? NFT
             : a->lab.disks                  ? DISKS
             : a->lab.clocks == CLOCKS_STEPS ? STEPS
             : a->lab.clocks == CLOCKS_RATES ? RATES
             : a->lab.power                  ? POWER
             : a->lab.severed                ? SEVERED
                                             : PLAIN]++;
        assert_true(!a->lab.severed || (a->lab.has_sync && a->lab.sync == SYNC_REQUIRED));
        assert_true(!a->lab.power || starts_last(a));
        for (size_t i = 0; i < a->fault.count; i++)
            if (!fits(a, inner(&a->fault.of[i])))
                fail_msg("seed %u: %s", seed, a->fault.of[i].line);
        scenario_free(a);
        scenario_free(b);
    }
    assert_true(changes > 100 && far > 160);
    for (unsigned i = 0; i < THINGS; i++)
        if (seen[i] < 40)
            fail_msg("laboratory %u in %u runs", i, seen[i]);
}

/* On every machine: the text of a seed, as it was drawn where this was written. What the
 * menu has decides it, so it changes with it, and is written here anew. */
static void test_a_seed_is_the_same_everywhere(void **state)
{
    uint64_t sum = 14695981039346656037U; /* FNV-1a */

    (void)state;
    for (uint32_t seed = 0; seed < 1000; seed++) {
        AUTO(auto_free) char *text = random_text(seed);

        for (const char *at = text; *at != 0; at++)
            sum = (sum ^ (unsigned char)*at) * 1099511628211U;
    }
    if (sum != THOUSAND_SEEDS)
        fail_msg("a thousand seeds are %#" PRIx64 " now", sum);
}

/* Beyond what is named it goes on counting. */
static void test_tally_of_failures(void **state)
{
    static struct tally t;
    struct scenario *s = drawn(1);
    struct result r;

    (void)state;
    result_init(&r);
    r.outage_ms = 12;
    r.acked = 3;
    tally_add(&t, s, &r, 1);
    result_blame(&r, "because");
    for (uint32_t i = 0; i < 2 * TALLY_FAILURES; i++)
        tally_add(&t, s, &r, i);
    assert_int_equal(t.runs, 1 + 2 * TALLY_FAILURES);
    assert_int_equal(t.not_ok, 2 * TALLY_FAILURES);
    assert_int_equal(t.failure[TALLY_FAILURES - 1].seed, TALLY_FAILURES - 1);
    assert_string_equal(t.failure[0].reason, "because");
    assert_int_equal(t.acked, 3 * t.runs);
    assert_true(t.longest_outage_ms > 11 && t.longest_outage_ms < 13);
    scenario_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_its_seeds),
        cmocka_unit_test(test_the_checker_sees),
        cmocka_unit_test(test_all_are_read_and_heal),
        cmocka_unit_test(test_laboratories),
        cmocka_unit_test(test_a_seed_is_the_same_everywhere),
        cmocka_unit_test(test_tally_of_failures),
    };

    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
