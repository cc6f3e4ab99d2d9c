/* chaos/options.c */
#include "chaos/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chaos/base.h"

enum { MINUTES_MOST = 10080 };
enum { TTL_LEAST_MS = 300, TTL_MOST_MS = 60000 };

static const char usage[] =
    "usage: ringfence-lab [options]\n"
    "Makes three regions on this machine, breaks something, and says what became of it.\n"
    "\n"
    "  --scenario NAME[,NAME]  what to play (default region-loss): scenarios, sets of "
    "them\n"
    "                          (below, each with its scenarios), `all` (the set demo) or\n"
    "                          `every` (every set)\n";

static const char usage_rest[] =
    "  --ttl MS                500, 1000 (what is taken without --ttl), 3000 (what a "
    "group\n"
    "                          has by default) or 6000, 300 to 60000; another value "
    "scales\n"
    "                          the timing of the next lower of these four; scenarios of "
    "the\n"
    "                          network that name a TTL have that\n"
    "  --sync MODE             off, preferred, required (default) or strict\n"
    "  --workload MODE         on or off: clients whose operations are judged one by one\n"
    "                          (required and strict only; else in scenarios marked *)\n"
    "  --file FILE             a scenario of your own, see docs/chaos.md\n"
    "  --random                scenarios drawn from the seed and those after it\n"
    "  --minutes M             of --random (default 10): nothing is begun later\n"
    "  --list                  the names of what --scenario means, and nothing else; with\n"
    "                          --random what the seed's scenario is\n"
    "  --verbs                 what steps of scenarios are made of, and nothing else\n"
    "  --json                  one JSON object per scenario and line on standard output\n"
    "  --keep                  leave the laboratory running and say what to try\n"
    "  --remove ID             remove a laboratory that was kept\n"
    "  --seed N                of the moments at which things break\n"
    "  --logs DIR              copy the logs there, and a page of each scenario "
    "(NAME.html),\n"
    "                          before the laboratory is removed\n"
    "  --judge FILE            judge again what --logs has kept as NAME.operations\n"
    "  --bin DIR               programs to use (default: beside ringfence-lab)\n"
    "  -h, --help\n"
    "\n"
    "Exit status: 0 every scenario is ok, 1 one is not, 2 the laboratory could not be "
    "made,\n"
    "64 wrong usage, 130 interrupted.\n";

static void print_set(FILE *out, const struct scenario_set *set)
{
    bool any = false;

    for (size_t i = 0; i < scenario_count(); i++) {
        const struct scenario *s = scenario_at(i);

        if (s->set != set->name)
            continue;
        if (!any)
            fprintf(out, "    %s: %s\n", set->name, set->about);
        any = true;
        fprintf(out, "      %-16s %s%s\n", s->name, s->story, s->workload ? " *" : "");
    }
}

static void print_usage(FILE *out)
{
    fputs(usage, out);
    for (size_t i = 0; i < scenario_set_count; i++)
        print_set(out, &scenario_sets[i]);
    fputs(usage_rest, out);
}

static int wrong(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "ringfence-lab: %s %s: expected %s (see --help)\n", option, value,
            expected);
    return 64;
}

static bool add_play(struct options *o, const struct scenario *s)
{
    if (o->play_count == PLAYS_MAX)
        return false;
    o->plays[o->play_count++] = s;
    return true;
}

/* A name means a scenario, a set, `all` or `every`. */
static bool means(const char *name, const struct scenario *s)
{
    if (strcmp(name, "every") == 0)
        return true;
    if (strcmp(name, "all") == 0)
        return s->set == scenario_sets[0].name;
    return strcmp(name, s->name) == 0 || strcmp(name, s->file) == 0 ||
           strcmp(name, s->set) == 0;
}

static int add_plays(struct options *o, char *names)
{
    char *rest = NULL;

    o->play_count = 0;
    for (const char *name = strtok_r(names, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        unsigned before = o->play_count;

        for (size_t i = 0; i < scenario_count(); i++)
            if (means(name, scenario_at(i)) && !add_play(o, scenario_at(i)))
                return wrong("--scenario", name, "fewer scenarios");
        if (o->play_count == before)
            return wrong("--scenario", name, "the name of a scenario, or of a set of them");
    }
    return o->play_count > 0 ? -1 : wrong("--scenario", "''", "the name of a scenario");
}

static int add_file(struct options *o, const char *path)
{
    const char *file = scenario_load_file(path);

    o->play_count = 0;
    for (size_t i = 0; i < scenario_count(); i++)
        if (strcmp(scenario_at(i)->file, file) == 0)
            (void)add_play(o, scenario_at(i));
    return -1;
}

static bool read_number(const char *text, unsigned least, unsigned most, unsigned *ret)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || *end != 0 || end == text || value < least || value > most)
        return false;
    *ret = (unsigned)value;
    return true;
}

static bool read_workload(const char *text, enum workload_mode *ret)
{
    bool on = strcmp(text, "on") == 0;

    if (!on && strcmp(text, "off") != 0)
        return false;
    *ret = on ? WORKLOAD_ON : WORKLOAD_OFF;
    return true;
}

unsigned options_ttl_ms(const struct options *o, const struct scenario *s)
{
    return s->lab.ttl_ms > 0 ? s->lab.ttl_ms : o->ttl_ms;
}

enum sync_mode options_sync(const struct options *o, const struct scenario *s)
{
    return s->lab.has_sync ? s->lab.sync : o->sync;
}

bool options_want_workload(const struct options *o, const struct scenario *s)
{
    return sync_is_binding(options_sync(o, s)) &&
           (o->workload == WORKLOAD_ON || (o->workload == WORKLOAD_DEFAULT && s->workload));
}

char *options_repeat(const struct options *o)
{
    static const char *const modes[] = {[WORKLOAD_DEFAULT] = "",
                                        [WORKLOAD_ON] = " --workload on",
                                        [WORKLOAD_OFF] = " --workload off"};
    char *names = text_new("%s", o->plays[0]->name), *line;

    for (unsigned i = 1; i < o->play_count; i++) {
        char *more = text_new("%s,%s", names, o->plays[i]->name);

        free(names);
        names = more;
    }
    line = text_new("ringfence-lab --scenario %s --ttl %u --sync %s --seed %u%s", names,
                    o->ttl_ms, sync_name(o->sync), o->seed, modes[o->workload]);
    free(names);
    return line;
}

/* Those without a value. */
static bool take_flag(struct options *o, int option)
{
    switch (option) {
    case 'R':
        return o->random = true;
    case 'L':
        return o->list = true;
    case 'v':
        return o->verbs = true;
    case 'j':
        return o->json = true;
    case 'k':
        return o->keep = true;
    default:
        return false;
    }
}

static int take_option(struct options *o, int option)
{
    if (take_flag(o, option))
        return -1;
    switch (option) {
    case 's':
        return add_plays(o, optarg);
    case 't':
        if (!read_number(optarg, TTL_LEAST_MS, TTL_MOST_MS, &o->ttl_ms))
            return wrong("--ttl", optarg, "milliseconds from 300 to 60000");
        return -1;
    case 'y':
        if (!sync_parse(optarg, &o->sync))
            return wrong("--sync", optarg, "off, preferred, required or strict");
        return -1;
    case 'e':
        if (!read_number(optarg, 0, UINT32_MAX, &o->seed))
            return wrong("--seed", optarg, "a number");
        return -1;
    case 'w':
        if (!read_workload(optarg, &o->workload))
            return wrong("--workload", optarg, "on or off");
        return -1;
    case 'f':
        return add_file(o, optarg);
    case 'm':
        if (!read_number(optarg, 1, MINUTES_MOST, &o->minutes))
            return wrong("--minutes", optarg, "a number from 1 to 10080");
        return -1;
    case 'l':
        o->logs = optarg;
        return -1;
    case 'b':
        o->bin = optarg;
        return -1;
    case 'r':
        o->remove = optarg;
        return -1;
    case 'i':
        o->judge = optarg;
        return -1;
    case 'h':
        print_usage(stdout);
        return 0;
    default:
        print_usage(stderr);
        return 64;
    }
}

/* What is drawn rests on these; docs/chaos.md. */
static int check_random(const struct options *o)
{
    if (!sync_is_binding(o->sync))
        return wrong("--random --sync", sync_name(o->sync), "required or strict");
    if (o->keep)
        return wrong("--random", "--keep", "--keep with --file: a failed run tells it");
    return -1;
}

int options_read(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {{"scenario", required_argument, NULL, 's'},
                                          {"ttl", required_argument, NULL, 't'},
                                          {"sync", required_argument, NULL, 'y'},
                                          {"seed", required_argument, NULL, 'e'},
                                          {"workload", required_argument, NULL, 'w'},
                                          {"file", required_argument, NULL, 'f'},
                                          {"list", no_argument, NULL, 'L'},
                                          {"verbs", no_argument, NULL, 'v'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"keep", no_argument, NULL, 'k'},
                                          {"logs", required_argument, NULL, 'l'},
                                          {"bin", required_argument, NULL, 'b'},
                                          {"remove", required_argument, NULL, 'r'},
                                          {"judge", required_argument, NULL, 'i'},
                                          {"random", no_argument, NULL, 'R'},
                                          {"minutes", required_argument, NULL, 'm'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int option;

    *o = (struct options){.plays = {scenario_find("region-loss")},
                          .play_count = 1,
                          .ttl_ms = 1000,
                          .minutes = 10,
                          .seed = (unsigned)time(NULL),
                          .sync = SYNC_REQUIRED};
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        int status = take_option(o, option);

        if (status >= 0)
            return status;
    }
    if (optind < argc)
        return wrong("argument", argv[optind], "options only");
    return o->random ? check_random(o) : -1;
}
