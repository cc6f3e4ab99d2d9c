#include "tests/sim/schedule.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/kernel.h"
#include "tests/sim/plan.h"

enum { LINES_MAX = 512, LINE_SIZE = 240 };

static char lines[LINES_MAX][LINE_SIZE];
static unsigned line_count;
static uint64_t dice;

/* ---- words -----------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    uint32_t *at;
} terms[] = {
    {"ttl_ms", &plan.ttl_ms},           {"renew_ms", &plan.renew_ms},
    {"election_ms", &plan.election_ms}, {"heartbeat_ms", &plan.heartbeat_ms},
    {"cooldown_ms", &plan.cooldown_ms}, {"local_restarts", &plan.local_restarts},
};

static bool read_number(char **at, int64_t *ret)
{
    const char *word = strtok_r(NULL, " ", at);
    char *end = NULL;

    if (word == NULL)
        return false;
    /* Up to 2^64: what is written as unsigned comes back bit for bit. */
    *ret = word[0] == '-' ? strtoll(word, &end, 10) : (int64_t)strtoull(word, &end, 10);
    return *end == 0 && end != word;
}

/* "KEY NUMBER", in this order and no other. */
static bool read_pair(char **at, const char *key, int64_t *ret)
{
    const char *word = strtok_r(NULL, " ", at);

    return word != NULL && strcmp(word, key) == 0 && read_number(at, ret);
}

static bool read_group(char **at)
{
    static const char *const modes[] = {
#define X(name, number, text) [name] = (text),
        SYNC_MODE_MAP(X)
#undef X
    };
    int64_t g, reads, manual, longer;
    const char *key, *mode;
    unsigned m = 0;

    if (!read_number(at, &g) || g < 0 || g >= WORLD_GROUPS_MAX)
        return false;
    key = strtok_r(NULL, " ", at);
    mode = strtok_r(NULL, " ", at);
    if (key == NULL || mode == NULL || strcmp(key, "sync") != 0)
        return false;
    while (m < ARRAY_LEN(modes) && (modes[m] == NULL || strcmp(modes[m], mode) != 0))
        m++;
    if (m == ARRAY_LEN(modes) || !read_pair(at, "standby_reads", &reads) ||
        !read_pair(at, "manual", &manual) || !read_pair(at, "longer_ttl", &longer))
        return false;
    plan.sync[g] = (enum sync_mode)m;
    plan.standby_reads[g] = reads != 0;
    plan.manual[g] = manual != 0;
    operators[g] = (struct operator_of){.longer_ttl = longer != 0};
    return true;
}

static bool read_node(char **at)
{
    const char *name = strtok_r(NULL, " ", at);
    int64_t ppm, offset, wall;
    uint8_t n = 0;

    while (name != NULL && n < NODES_MAX && strcmp(node_name(n), name) != 0)
        n++;
    if (name == NULL || n == NODES_MAX || !read_pair(at, "ppm", &ppm) ||
        !read_pair(at, "offset_ns", &offset) || !read_pair(at, "wall_ms", &wall))
        return false;
    sim.procs[n].clock = (struct ticking){.ppm = ppm, .offset = (uint64_t)offset};
    machines[n].wall_offset_ms = wall;
    return true;
}

static bool read_entry(char **at, struct fault *f)
{
    const char *name = strtok_r(NULL, " ", at);
    int64_t nth;

    if (name == NULL || !read_number(at, &nth))
        return false;
    for (f->on = ENTRY_NONE; f->on < ENTRY_KIND_COUNT; f->on++)
        if (strcmp(entry_kind_name(f->on), name) == 0)
            break;
    f->nth = (unsigned)nth;
    return f->on < ENTRY_KIND_COUNT;
}

static bool read_fault(char **at)
{
    struct fault *f = &plan.of[plan.count];
    const char *word = strtok_r(NULL, " ", at);
    int64_t v[6];

    if (word == NULL || plan.count == FAULTS_MAX)
        return false;
    *f = (struct fault){0};
    while (f->kind < FAULT_KINDS && strcmp(fault_name(f->kind), word) != 0)
        f->kind++;
    word = strtok_r(NULL, " ", at);
    if (word != NULL && strcmp(word, "after") == 0) {
        if (!read_entry(at, f))
            return false;
        word = strtok_r(NULL, " ", at);
    }
    if (f->kind == FAULT_KINDS || word == NULL || strcmp(word, "at_ns") != 0 ||
        !read_number(at, &v[0]) || !read_pair(at, "lasts_ns", &v[1]) ||
        !read_pair(at, "a", &v[2]) || !read_pair(at, "b", &v[3]) ||
        !read_pair(at, "group", &v[4]) || !read_pair(at, "number", &v[5]) || v[4] < 0 ||
        v[4] >= WORLD_GROUPS_MAX)
        return false;
    f->at = (uint64_t)v[0];
    f->lasts = (uint64_t)v[1];
    f->a = (uint8_t)v[2];
    f->b = (uint8_t)v[3];
    f->group = (uint8_t)v[4];
    f->number = (uint64_t)v[5];
    plan.count++;
    return true;
}

/* "power GROUP PLAN"; of a group without such a line there is none. */
static bool read_power(char **at)
{
    int64_t g, how;

    if (!read_number(at, &g) || g < 0 || g >= WORLD_GROUPS_MAX || !read_number(at, &how) ||
        how <= POWER_NONE || how >= POWER_PLANS)
        return false;
    plan.power[g] = (enum power_plan)how;
    return true;
}

/* "severed GROUP PLAN"; in the same way. */
static bool read_severed(char **at)
{
    int64_t g, how;

    if (!read_number(at, &g) || g < 0 || g >= WORLD_GROUPS_MAX || !read_number(at, &how) ||
        how <= SEVERED_NONE || how >= SEVERED_PLANS)
        return false;
    plan.severed[g] = (enum severed_plan)how;
    return true;
}

static bool read_term(const char *key, char **at)
{
    int64_t v;

    if (strcmp(key, "snapshot_every") == 0 || strcmp(key, "trailing") == 0) {
        uint64_t *to = key[0] == 's' ? &plan.snapshot_every : &plan.trailing;

        return read_number(at, &v) && (*to = (uint64_t)v, true);
    }
    for (unsigned i = 0; i < ARRAY_LEN(terms); i++)
        if (strcmp(terms[i].name, key) == 0)
            return read_number(at, &v) && (*terms[i].at = (uint32_t)v, true);
    return false;
}

/* What belongs to the options is read once, the rest into each world. */
static bool read_line(const char *line, struct sim_options *opt)
{
    char text[LINE_SIZE], *at = NULL;
    const char *key;
    int64_t v;

    memcpy(text, line, sizeof text);
    key = strtok_r(text, " ", &at);
    if (strcmp(key, "seed") == 0)
        return read_number(&at, &v) && (opt->seed = (uint64_t)v) != 0;
    if (strcmp(key, "groups") == 0)
        return read_number(&at, &v) && (opt->groups = (unsigned)v) >= 1 &&
               opt->groups <= WORLD_GROUPS_MAX;
    if (strcmp(key, "hosts") == 0)
        return read_number(&at, &v) && ((opt->hosts = (uint8_t)v) == 2 || v == 4);
    if (strcmp(key, "dice") == 0)
        return read_number(&at, &v) && (dice = (uint64_t)v) != 0;
    if (strcmp(key, "group") == 0)
        return read_group(&at);
    if (strcmp(key, "power") == 0)
        return read_power(&at);
    if (strcmp(key, "severed") == 0)
        return read_severed(&at);
    if (strcmp(key, "people") == 0) /* without this line they make no proposals */
        return read_number(&at, &v) && ((plan.people = v == 1) || v == 0);
    if (strcmp(key, "node") == 0)
        return read_node(&at);
    if (strcmp(key, "fault") == 0)
        return read_fault(&at);
    return read_term(key, &at);
}

/* ---- a file ----------------------------------------------------------------------------
 */

static bool keep_line(const char *text)
{
    size_t n = strcspn(text, "#\n");

    while (n > 0 && text[n - 1] == ' ')
        n--;
    if (n == 0)
        return true;
    if (n >= LINE_SIZE || line_count == LINES_MAX)
        return false;
    memcpy(lines[line_count], text, n);
    lines[line_count++][n] = 0;
    return true;
}

bool schedule_read(const char *path, struct sim_options *ret)
{
    FILE *in = fopen(path, "r");
    char text[1024];
    bool fine = in != NULL;

    if (in == NULL)
        perror(path);
    ret->seed = 0;
    for (unsigned n = 1; fine && fgets(text, sizeof text, in) != NULL; n++) {
        unsigned before = line_count;

        fine = keep_line(text) && (line_count == before || read_line(lines[before], ret));
        if (!fine)
            fprintf(stderr, "%s:%u: not a line of a schedule: %s", path, n, text);
    }
    if (fine && (ret->seed == 0 || dice == 0)) {
        fprintf(stderr, "%s: a schedule has a seed and dice\n", path);
        fine = false;
    }
    if (in != NULL)
        fclose(in);
    memset(&plan, 0, sizeof plan);
    return fine;
}

bool schedule_apply(void)
{
    struct sim_options ignored;

    if (line_count == 0)
        return false;
    plan.count = 0;
    memset(plan.power, 0, sizeof plan.power);
    memset(plan.severed, 0, sizeof plan.severed);
    plan.people = false;
    for (unsigned i = 0; i < line_count; i++)
        (void)read_line(lines[i], &ignored);
    sim.random = dice;
    return true;
}

/* ---- writing ---------------------------------------------------------------------------
 */

void schedule_note_dice(void)
{
    if (line_count == 0)
        dice = sim.random;
}

static void write_fault(const struct fault *f, FILE *out)
{
    char text[160];

    fault_describe(f, text, sizeof text);
    fprintf(out, "# %s\nfault %s", text, fault_name(f->kind));
    if (f->on != ENTRY_NONE)
        fprintf(out, " after %s %u", entry_kind_name(f->on), f->nth);
    fprintf(out,
            " at_ns %" PRIu64 " lasts_ns %" PRIu64 " a %u b %u group %u number %" PRIu64
            "\n",
            f->at, f->lasts, f->a, f->b, f->group, f->number);
}

void schedule_write(FILE *out)
{
    fprintf(out, "seed %" PRIu64 "\ngroups %u\nhosts %u\ndice %" PRIu64 "\n", sim.opt.seed,
            sim.groups, sim.hosts, dice);
    for (unsigned i = 0; i < ARRAY_LEN(terms); i++)
        fprintf(out, "%s %" PRIu32 "\n", terms[i].name, *terms[i].at);
    fprintf(out, "snapshot_every %" PRIu64 "\ntrailing %" PRIu64 "\n", plan.snapshot_every,
            plan.trailing);
    for (uint8_t g = 0; g < sim.groups; g++)
        fprintf(out, "group %u sync %s standby_reads %d manual %d longer_ttl %d\n", g,
                sync_mode_name(plan.sync[g]), plan.standby_reads[g], plan.manual[g],
                operators[g].longer_ttl);
    for (uint8_t g = 0; g < sim.groups; g++)
        if (plan.power[g] != POWER_NONE)
            fprintf(out, "power %u %d\n", g, plan.power[g]);
    for (uint8_t g = 0; g < sim.groups; g++)
        if (plan.severed[g] != SEVERED_NONE)
            fprintf(out, "severed %u %d\n", g, plan.severed[g]);
    fprintf(out, "people %d\n", plan.people);
    for (uint8_t n = 0; n < sim.nodes; n++)
        fprintf(out, "node %s ppm %" PRId64 " offset_ns %" PRIu64 " wall_ms %" PRId64 "\n",
                node_name(n), sim.procs[n].clock.ppm, sim.procs[n].clock.offset,
                machines[n].wall_offset_ms);
    for (unsigned i = 0; i < plan.count; i++)
        if (!plan.of[i].left_out)
            write_fault(&plan.of[i], out);
}
