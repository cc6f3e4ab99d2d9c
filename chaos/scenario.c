/* chaos/scenario.c */
#include "chaos/scenario.h"

#include <cyaml/cyaml.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

const struct scenario_set scenario_sets[] = {
    {"demo", "what a release must show; `all` means these"},
    {"operators", "what operators do to a running pair"},
    {"power", "hosts that are switched off by their BMCs"},
    {"severed", "a standby that refuses the log of a region that is silent"},
    {"network", "a network that only partly works, and great distances"},
    {"process", "daemons that end, freeze, and come back"},
    {"clock", "clocks of controllers that are wrong"},
    {"disk", "disks that are full or fail"},
    {"database", "what happens to a PostgreSQL beside its agent"},
    {"gate", "somebody takes the gate away, or the guard behind it"},
    {"double", "a second fault within a failover"},
    {"steps", "the leader is killed at each step of a run"},
    {"random", "drawn from a seed, or given with --file"},
};
const size_t scenario_set_count = ARRAY_LEN(scenario_sets);

enum { SCENARIOS_MAX = 256 };

static struct scenario *known[SCENARIOS_MAX];
static size_t known_count;

/* As it is in the file. */
struct lines {
    char **of;
    unsigned count;
};

struct file {
    char *story, *holds, *set;
    enum effect effect;
    bool standby, waits, second_writer, switchback, unnoticed, detaches, workload;
    unsigned failovers;
    struct file_lab {
        unsigned ttl_ms, rtt_ms;
        char *sync;
        bool power, severed;
        enum driver driver;
        enum clocks clocks;
        bool disks, names, pooler, ungated;
        char *fence;
    } * lab;
    struct lines each, prelude, fault, heal;
};

static const cyaml_strval_t effects[] = {
    {"failover", EFFECT_FAILOVER}, {"none", EFFECT_NONE}, {"switchover", EFFECT_SWITCHOVER},
    {"adoption", EFFECT_ADOPTION}, {"any", EFFECT_ANY},
};

static const cyaml_strval_t drivers[] = {{"auto", DRIVER_AUTO}, {"nftables", DRIVER_NFT}};

static const cyaml_strval_t clocks[] = {
    {"right", CLOCKS_RIGHT}, {"steps", CLOCKS_STEPS}, {"rates", CLOCKS_RATES}};

static const cyaml_schema_value_t line_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 240)};

static const cyaml_schema_field_t lab_fields[] = {
    CYAML_FIELD_UINT("ttl_ms", CYAML_FLAG_OPTIONAL, struct file_lab, ttl_ms),
    CYAML_FIELD_UINT("rtt_ms", CYAML_FLAG_OPTIONAL, struct file_lab, rtt_ms),
    CYAML_FIELD_STRING_PTR("sync", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file_lab, sync, 1, 16),
    CYAML_FIELD_BOOL("power", CYAML_FLAG_OPTIONAL, struct file_lab, power),
    CYAML_FIELD_BOOL("severed", CYAML_FLAG_OPTIONAL, struct file_lab, severed),
    CYAML_FIELD_ENUM("driver", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct file_lab,
                     driver, drivers, ARRAY_LEN(drivers)),
    CYAML_FIELD_ENUM("clocks", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct file_lab,
                     clocks, clocks, ARRAY_LEN(clocks)),
    CYAML_FIELD_BOOL("disks", CYAML_FLAG_OPTIONAL, struct file_lab, disks),
    CYAML_FIELD_BOOL("names", CYAML_FLAG_OPTIONAL, struct file_lab, names),
    CYAML_FIELD_BOOL("pooler", CYAML_FLAG_OPTIONAL, struct file_lab, pooler),
    CYAML_FIELD_BOOL("ungated", CYAML_FLAG_OPTIONAL, struct file_lab, ungated),
    CYAML_FIELD_STRING_PTR("fence", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file_lab, fence, 1, 200),
    CYAML_FIELD_END};

static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_STRING_PTR("story", CYAML_FLAG_POINTER, struct file, story, 1, 120),
    CYAML_FIELD_STRING_PTR("holds", CYAML_FLAG_POINTER, struct file, holds, 1, 400),
    CYAML_FIELD_STRING_PTR("set", CYAML_FLAG_POINTER, struct file, set, 1, 16),
    CYAML_FIELD_ENUM("effect", CYAML_FLAG_STRICT, struct file, effect, effects,
                     ARRAY_LEN(effects)),
    CYAML_FIELD_BOOL("standby", CYAML_FLAG_OPTIONAL, struct file, standby),
    CYAML_FIELD_BOOL("waits", CYAML_FLAG_OPTIONAL, struct file, waits),
    CYAML_FIELD_BOOL("second_writer", CYAML_FLAG_OPTIONAL, struct file, second_writer),
    CYAML_FIELD_BOOL("switchback", CYAML_FLAG_OPTIONAL, struct file, switchback),
    CYAML_FIELD_BOOL("unnoticed", CYAML_FLAG_OPTIONAL, struct file, unnoticed),
    CYAML_FIELD_BOOL("detaches", CYAML_FLAG_OPTIONAL, struct file, detaches),
    CYAML_FIELD_BOOL("workload", CYAML_FLAG_OPTIONAL, struct file, workload),
    CYAML_FIELD_UINT("failovers", CYAML_FLAG_OPTIONAL, struct file, failovers),
    CYAML_FIELD_MAPPING_PTR("lab", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file,
                            lab, lab_fields),
    CYAML_FIELD_SEQUENCE_COUNT("each", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct file, each.of, each.count, &line_schema, 1, 64),
    CYAML_FIELD_SEQUENCE_COUNT("prelude", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct file, prelude.of, prelude.count, &line_schema, 1, 64),
    CYAML_FIELD_SEQUENCE_COUNT("fault", CYAML_FLAG_POINTER, struct file, fault.of,
                               fault.count, &line_schema, 1, 64),
    CYAML_FIELD_SEQUENCE_COUNT("heal", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct file, heal.of, heal.count, &line_schema, 1, 64),
    CYAML_FIELD_END};

static const cyaml_schema_value_t file_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, file_fields)};

/* libcyaml says more lines than one: the first has what is wrong, and the first that begins
 * with "in mapping" has the key and the line. */
static void keep_first_lines(cyaml_log_t level, void *owner, const char *fmt, va_list args)
{
    char *said = owner, line[STEP_WRONG];
    size_t n = strlen(said);
    const char *at;

    vsnprintf(line, sizeof line, fmt, args);
    line[strcspn(line, "\n")] = 0;
    at = strstr(line, "in mapping");
    if (level == CYAML_LOG_ERROR && n == 0)
        snprintf(said, STEP_WRONG, "%s", line);
    else if (level == CYAML_LOG_ERROR && at != NULL && strstr(said, " in mapping") == NULL)
        snprintf(said + n, STEP_WRONG - n, " %s", at);
}

static const cyaml_config_t *reader(char *line)
{
    static cyaml_config_t config = {
        .log_fn = keep_first_lines, .log_level = CYAML_LOG_ERROR, .mem_fn = cyaml_mem};

    config.log_ctx = line;
    return &config;
}

/* `text` with `each` (NULL: nothing) for each "{each}"; malloc'ed. */
static char *fill_in(const char *text, const char *each)
{
    static const char mark[] = "{each}";
    const char *at = strstr(text, mark);
    AUTO(auto_free) char *rest = NULL;

    if (at == NULL || each == NULL)
        return text_new("%s", text);
    rest = fill_in(at + strlen(mark), each);
    return text_new("%.*s%s%s", (int)(at - text), text, each, rest);
}

static struct steps read_steps(const char *path, const char *key, const struct lines *from,
                               const char *each)
{
    struct steps steps = {0};

    if (from->count == 0)
        return steps;
    steps.of = must_alloc(from->count, sizeof *steps.of);
    steps.count = from->count;
    for (unsigned i = 0; i < from->count; i++) {
        AUTO(auto_free) char *line = fill_in(from->of[i], each);
        char wrong[STEP_WRONG];

        if (!step_read(&steps.of[i], line, wrong))
            die("%s: %s[%u]: %s", path, key, i, wrong);
    }
    return steps;
}

static const char *find_set(const char *path, const char *name)
{
    for (size_t i = 0; i < scenario_set_count; i++)
        if (strcmp(scenario_sets[i].name, name) == 0)
            return scenario_sets[i].name;
    die("%s: set: '%s' is none of the sets that ringfence-lab --help names", path, name);
}

static enum sync_mode read_sync(const char *path, const char *name)
{
    enum sync_mode mode;

    if (!sync_parse(name, &mode))
        die("%s: lab.sync: expected off, preferred, required or strict, not '%s'", path,
            name);
    return mode;
}

/* Between the last slash and ".yaml"; a name is also a folder's and an option's. */
static char *name_of(const char *path)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const char *slash = strrchr(path, '/');
    char *name = text_new("%s", slash != NULL ? slash + 1 : path);
    char *dot = strrchr(name, '.');

    if (dot == NULL || strcmp(dot, ".yaml") != 0 || dot == name)
        die("%s: a scenario's file is called NAME.yaml", path);
    *dot = 0;
    if (name[strspn(name, letters)] != 0)
        die("%s: the name of a scenario has small letters, digits and dashes", path);
    return name;
}

/* `each`: one of its own, or NULL. */
static struct scenario *convert(const char *path, const struct file *f, const char *each)
{
    struct scenario *s = must_alloc(1, sizeof *s);
    char *file = name_of(path);

    *s = (struct scenario){
        .file = file,
        .name = text_new("%s%s%s", file, each != NULL ? "-" : "", each != NULL ? each : ""),
        .story = fill_in(f->story, each),
        .holds = text_new("%s", f->holds),
        .set = find_set(path, f->set),
        .effect = f->effect,
        .standby = f->standby,
        .waits = f->waits,
        .second_writer = f->second_writer,
        .switchback = f->switchback,
        .unnoticed = f->unnoticed,
        .detaches = f->detaches,
        .workload = f->workload,
        .failovers = f->failovers,
        .prelude = read_steps(path, "prelude", &f->prelude, each),
        .fault = read_steps(path, "fault", &f->fault, each),
        .heal = read_steps(path, "heal", &f->heal, each)};
    if (f->lab != NULL)
        s->lab = (struct scenario_lab){
            .ttl_ms = f->lab->ttl_ms,
            .rtt_ms = f->lab->rtt_ms,
            .power = f->lab->power,
            .severed = f->lab->severed,
            .driver = f->lab->driver,
            .clocks = f->lab->clocks,
            .disks = f->lab->disks,
            .names = f->lab->names,
            .pooler = f->lab->pooler,
            .ungated = f->lab->ungated,
            .fence = f->lab->fence != NULL ? text_new("%s", f->lab->fence) : NULL};
    /* Every program would hold the mounts of its start, and a disk could not be replaced.
     */
    if (s->lab.disks && s->lab.names)
        die("%s: lab: disks and names do not go together", path);
    if (f->lab != NULL && f->lab->sync != NULL) {
        s->lab.has_sync = true;
        s->lab.sync = read_sync(path, f->lab->sync);
    }
    return s;
}

static void must_be_read(const char *path, cyaml_err_t failure, const char *line)
{
    if (failure != CYAML_OK)
        die("%s: %s", path, line[0] != 0 ? line : cyaml_strerror(failure));
}

static const char *make_known(const char *path, struct scenario *s)
{
    if (scenario_find(s->name) != NULL)
        die("%s: there is a scenario '%s' already", path, s->name);
    if (known_count == SCENARIOS_MAX)
        die("%s: more than %d scenarios", path, SCENARIOS_MAX);
    known[known_count++] = s;
    return s->file;
}

const char *scenario_load_file(const char *path)
{
    char line[STEP_WRONG] = "";
    const cyaml_config_t *config = reader(line);
    struct file *f = NULL;
    const char *file = NULL;

    must_be_read(
        path, cyaml_load_file(path, config, &file_schema, (cyaml_data_t **)&f, NULL), line);
    if (f->each.count == 0)
        file = make_known(path, convert(path, f, NULL));
    for (unsigned i = 0; i < f->each.count; i++)
        file = make_known(path, convert(path, f, f->each.of[i]));
    cyaml_free(config, &file_schema, f, 0);
    return file;
}

struct scenario *scenario_read_text(const char *name, const char *text)
{
    AUTO(auto_free) char *path = text_new("%s.yaml", name);
    char line[STEP_WRONG] = "";
    const cyaml_config_t *config = reader(line);
    struct file *f = NULL;
    struct scenario *s;

    must_be_read(path,
                 cyaml_load_data((const uint8_t *)text, strlen(text), config, &file_schema,
                                 (cyaml_data_t **)&f, NULL),
                 line);
    s = convert(path, f, NULL);
    cyaml_free(config, &file_schema, f, 0);
    return s;
}

void scenario_free(struct scenario *s)
{
    if (s == NULL)
        return;
    steps_free(&s->prelude);
    steps_free(&s->fault);
    steps_free(&s->heal);
    free(s->name);
    free(s->file);
    free(s->story);
    free(s->holds);
    free(s->lab.fence);
    free(s);
}

static size_t set_rank(const struct scenario *s)
{
    size_t i = 0;

    while (scenario_sets[i].name != s->set)
        i++;
    return i;
}

static int compare(const void *a, const void *b)
{
    const struct scenario *x = *(struct scenario *const *)a,
                          *y = *(struct scenario *const *)b;
    size_t i = set_rank(x), j = set_rank(y);

    return i != j ? (i > j) - (i < j) : strcmp(x->name, y->name);
}

void scenario_load(const char *dir)
{
    AUTO(auto_free) char *pattern = text_new("%s/*.yaml", dir);
    glob_t found;

    if (glob(pattern, 0, NULL, &found) != 0)
        die("%s: no scenarios there: is ringfence-lab where it was built?", dir);
    for (size_t i = 0; i < found.gl_pathc; i++)
        (void)scenario_load_file(found.gl_pathv[i]);
    globfree(&found);
    qsort(known, known_count, sizeof(struct scenario *), compare);
}

size_t scenario_count(void) { return known_count; }

const struct scenario *scenario_at(size_t i) { return known[i]; }

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < known_count; i++)
        if (strcmp(known[i]->name, name) == 0)
            return known[i];
    return NULL;
}

static bool same_fence(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool scenario_shares_lab(const struct scenario *a, const struct scenario *b)
{
    const struct scenario_lab *x = &a->lab, *y = &b->lab;

    return x->ttl_ms == y->ttl_ms && x->rtt_ms == y->rtt_ms && x->has_sync == y->has_sync &&
           x->sync == y->sync && x->power == y->power && x->severed == y->severed &&
           x->driver == y->driver && x->clocks == y->clocks && x->disks == y->disks &&
           x->names == y->names && x->pooler == y->pooler && x->ungated == y->ungated &&
           same_fence(x->fence, y->fence);
}
