/* chaos/tally.c */
#include "chaos/tally.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

/* Steps that break something, or move the group; others wait, look, and mend. */
static const char *const faults[] = {
    "kill",        "end",          "freeze",     "cut",       "isolate",     "mute",
    "deafen",      "one-way",      "flap",       "link",      "sh",          "promote",
    "switchover",  "ringfence",    "sql",        "disk-full", "disk-breaks", "disk-hangs",
    "clock-ahead", "clock-behind", "clock-rate", "bmc-hangs"};

static void count_kind(struct tally *t, const char *name)
{
    unsigned i = 0;

    t->faults++;
    while (i < t->kinds && strcmp(t->kind[i].name, name) != 0)
        i++;
    if (i == TALLY_KINDS)
        return;
    if (i == t->kinds)
        snprintf(t->kind[t->kinds++].name, sizeof t->kind[0].name, "%s", name);
    t->kind[i].count++;
}

/* The part that a verb is done to, or what the CLI or the shell are told. */
static void name_kind(char *name, size_t size, const struct step *s)
{
    const char *word = s->verb->word;

    if (s->verb->takes[0] == TAKES_WHO) {
        const char *part = step_part_name(s->arg[0].part);

        snprintf(name, size, "%s %s", word, part != NULL ? part : "region");
    } else if (s->verb->takes[0] == TAKES_DISK) {
        snprintf(name, size, "%s %s", word, disk_name(s->arg[0].disk));
    } else if (strcmp(word, "ringfence") == 0) {
        bool moves = strstr(s->line, " switchover ") != NULL;

        snprintf(name, size, "%s", moves ? "switchover" : "failover by hand");
    } else if (strcmp(word, "sh") == 0) {
        snprintf(name, size, "gate flushed");
    } else {
        snprintf(name, size, "%s", word);
    }
}

static void count_step(struct tally *t, const struct step *s)
{
    const struct step *what = s->arg[0].step != NULL ? s->arg[0].step : s;
    char name[32];

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        if (strcmp(what->verb->word, faults[i]) != 0)
            continue;
        name_kind(name, sizeof name, what);
        count_kind(t, name);
    }
}

void tally_add(struct tally *t, const struct scenario *s, const struct result *r,
               uint32_t seed)
{
    t->runs++;
    for (size_t i = 0; i < s->fault.count; i++)
        count_step(t, &s->fault.of[i]);
    t->acked += r->acked;
    t->lost += r->lost;
    t->operations += r->operations > 0 ? (uint64_t)r->operations : 0;
    t->failovers += r->failovers;
    t->switchovers += r->switchovers;
    if (!isnan(r->outage_ms) && r->outage_ms > t->longest_outage_ms)
        t->longest_outage_ms = r->outage_ms;
    if (result_ok(r))
        return;
    if (t->not_ok < TALLY_FAILURES) {
        t->failure[t->not_ok].seed = seed;
        snprintf(t->failure[t->not_ok].reason, REASON_SIZE, "%s", r->reason[0]);
    }
    t->not_ok++;
}

static unsigned failures_kept(const struct tally *t)
{
    return t->not_ok < TALLY_FAILURES ? t->not_ok : TALLY_FAILURES;
}

void tally_print(const struct tally *t, FILE *out)
{
    fprintf(out,
            "\n%u runs, %u of them not ok\n"
            "  failovers %" PRId64 ", switchovers %" PRId64 "\n"
            "  acknowledged writes %" PRIu64 ", of which lost: %" PRIu64 "\n"
            "  operations judged %" PRIu64 "\n"
            "  longest time without an acknowledged write %.1f ms\n"
            "  faults and moves %u:",
            t->runs, t->not_ok, t->failovers, t->switchovers, t->acked, t->lost,
            t->operations, t->longest_outage_ms, t->faults);
    for (unsigned i = 0; i < t->kinds; i++)
        fprintf(out, "%s %s %u", i > 0 ? "," : "", t->kind[i].name, t->kind[i].count);
    fputc('\n', out);
    for (unsigned i = 0; i < failures_kept(t); i++)
        fprintf(out, "  !! --seed %" PRIu32 ": %s\n", t->failure[i].seed,
                t->failure[i].reason);
    fflush(out);
}

static json_t *kinds_of(const struct tally *t)
{
    json_t *kinds = json_object();

    for (unsigned i = 0; i < t->kinds; i++)
        (void)json_object_set_new(kinds, t->kind[i].name, json_integer(t->kind[i].count));
    return kinds;
}

static json_t *failures_of(const struct tally *t)
{
    json_t *failures = json_array();

    for (unsigned i = 0; i < failures_kept(t); i++)
        (void)json_array_append_new(failures, json_pack("{s:I, s:s}", "seed",
                                                        (json_int_t)t->failure[i].seed,
                                                        "reason", t->failure[i].reason));
    return failures;
}

void tally_json(const struct tally *t, uint32_t seed, FILE *out)
{
    json_t *o =
        json_pack("{s:I, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o}", "seed",
                  (json_int_t)seed, "runs", (int)t->runs, "violations", (int)t->not_ok,
                  "failovers", (json_int_t)t->failovers, "switchovers",
                  (json_int_t)t->switchovers, "acked", (json_int_t)t->acked, "lost",
                  (json_int_t)t->lost, "operations", (json_int_t)t->operations,
                  "longest_outage_ms", round(t->longest_outage_ms * 10) / 10, "faults",
                  kinds_of(t), "failures", failures_of(t));
    AUTO(auto_free)
    char *line = o != NULL ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;

    if (line == NULL)
        die("out of memory");
    fprintf(out, "{\"random\":%s}\n", line);
    fflush(out);
    json_decref(o);
}
