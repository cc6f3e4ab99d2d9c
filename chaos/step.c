/* chaos/step.c */
#include "chaos/step.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/verbs.h"

static const char *const place_names[PLACE_COUNT] = {
    [EAST] = "east",
    [WEST] = "west",
    [WITNESS] = "witness",
    [PLACE_ACTIVE] = "active",
    [PLACE_STANDBY] = "standby",
    [PLACE_LEADER] = "leader",
    [PLACE_IT] = "it",
};

static const char *const part_names[] = {
    [PART_REGION] = NULL,     [PART_CONTROLLER] = "controller", [PART_AGENT] = "agent",
    [PART_SERVER] = "server", [PART_GUARD] = "guard",
};

static const char *const kind_names[] = {
    [TAKES_NOTHING] = "",    [TAKES_PLACE] = "PLACE", [TAKES_WHO] = "WHO",
    [TAKES_TIME] = "TIME",   [TAKES_NUMBER] = "N",    [TAKES_MOMENT] = "MOMENT",
    [TAKES_RULES] = "RULES", [TAKES_TEXT] = "TEXT",   [TAKES_STEP] = "STEP",
    [TAKES_DISK] = "DISK",
};

static const char *const kinds_expected[] = {
    [TAKES_NOTHING] = "the end of the line",
    [TAKES_PLACE] = "east, west, witness, active, standby, leader or it",
    [TAKES_WHO] = "a place, or controller, agent, server or guard and a place",
    [TAKES_TIME] = "a time such as 300ms, 5s or 3ttl, at most 10 minutes",
    [TAKES_NUMBER] = "a number from 1 to 1000000",
    [TAKES_MOMENT] = "a moment that ringfence-lab --verbs names",
    [TAKES_RULES] = "rules of a link, such as `delay 80ms loss 10%`",
    [TAKES_TEXT] = "some text",
    [TAKES_STEP] = "another step that is right",
    [TAKES_DISK] = "server, controller, agent or tails",
};

const char *step_kind_name(enum step_kind k) { return kind_names[k]; }

const char *step_part_name(enum part p) { return part_names[p]; }

/* Words apart by spaces; what is left of the line begins at *at. */
static bool next_word(const char **at, char *word, size_t size)
{
    size_t n;

    *at += strspn(*at, " ");
    n = strcspn(*at, " ");
    if (n == 0 || n >= size)
        return false;
    memcpy(word, *at, n);
    word[n] = 0;
    *at += n;
    return true;
}

/* A number and its unit; the text must end there. */
static bool read_amount(const char *word, const char *const *units, const uint64_t *factors,
                        uint64_t *ret)
{
    char *end;
    unsigned long long n;

    if (word[0] < '0' || word[0] > '9')
        return false;
    errno = 0;
    n = strtoull(word, &end, 10);
    for (size_t i = 0; errno == 0 && units[i] != NULL; i++) {
        if (strcmp(end, units[i]) != 0)
            continue;
        *ret = n * factors[i];
        return n <= UINT64_MAX / factors[i];
    }
    return false;
}

static bool read_ms(const char *word, unsigned *ret)
{
    enum { MOST_MS = 600000 };
    static const char *const units[] = {"ms", "s", NULL};
    static const uint64_t factors[] = {1, 1000};
    uint64_t n;

    if (!read_amount(word, units, factors, &n) || n > MOST_MS)
        return false;
    *ret = (unsigned)n;
    return true;
}

/* Times may be counted in TTLs: a scenario is played with any. */
static bool read_time(const char *word, struct step_arg *a)
{
    enum { MOST_TTLS = 100 };
    static const char *const units[] = {"ttl", NULL};
    static const uint64_t factors[] = {1};
    uint64_t n;

    if (!read_amount(word, units, factors, &n))
        return read_ms(word, &a->ms);
    a->ttls = (unsigned)n;
    return n <= MOST_TTLS;
}

static bool read_number(const char *word, unsigned *ret)
{
    enum { MOST = 1000000 };
    static const char *const units[] = {"", NULL};
    static const uint64_t factors[] = {1};
    uint64_t n;

    if (!read_amount(word, units, factors, &n) || n == 0 || n > MOST)
        return false;
    *ret = (unsigned)n;
    return true;
}

static bool read_place(const char *word, unsigned *ret)
{
    for (unsigned i = 0; i < PLACE_COUNT; i++) {
        if (place_names[i] == NULL || strcmp(place_names[i], word) != 0)
            continue;
        *ret = i;
        return true;
    }
    return false;
}

static bool read_who(const char **at, struct step_arg *a)
{
    char word[32];

    if (!next_word(at, word, sizeof word))
        return false;
    a->part = PART_REGION;
    for (unsigned i = PART_CONTROLLER; i < ARRAY_LEN(part_names); i++)
        if (strcmp(word, part_names[i]) == 0)
            a->part = (enum part)i;
    if (a->part != PART_REGION && !next_word(at, word, sizeof word))
        return false;
    return read_place(word, &a->place);
}

static bool read_disk(const char *word, enum disk *ret)
{
    unsigned i = 0;

    while (i < DISK_COUNT && strcmp(word, disk_name((enum disk)i)) != 0)
        i++;
    *ret = (enum disk)i;
    return i < DISK_COUNT;
}

static bool read_percent(const char *word, uint32_t *ret_ppm)
{
    static const char *const units[] = {"%", NULL};
    static const uint64_t factors[] = {WAN_ALWAYS / 100};
    uint64_t n;

    if (!read_amount(word, units, factors, &n) || n > WAN_ALWAYS)
        return false;
    *ret_ppm = (uint32_t)n;
    return true;
}

static bool read_us(const char *word, uint32_t *ret_us)
{
    unsigned ms;

    if (!read_ms(word, &ms))
        return false;
    *ret_us = ms * 1000;
    return true;
}

static bool read_rate(const char *word, uint64_t *ret_bps)
{
    static const char *const units[] = {"kbit", "mbit", NULL};
    static const uint64_t factors[] = {1000, 1000000};

    return read_amount(word, units, factors, ret_bps);
}

static bool read_rule(const char *name, const char *value, struct wan_link *l)
{
    if (strcmp(name, "delay") == 0)
        return read_us(value, &l->delay_us);
    if (strcmp(name, "jitter") == 0)
        return read_us(value, &l->jitter_us);
    if (strcmp(name, "rate") == 0)
        return read_rate(value, &l->rate_bps);
    if (strcmp(name, "loss") == 0)
        return read_percent(value, &l->loss_ppm);
    if (strcmp(name, "duplicate") == 0)
        return read_percent(value, &l->duplicate_ppm);
    if (strcmp(name, "reorder") == 0)
        return read_percent(value, &l->reorder_ppm);
    return false;
}

static bool read_rules(const char **at, struct wan_link *l)
{
    char name[16], value[16];
    bool any = false;

    while (next_word(at, name, sizeof name)) {
        if (!next_word(at, value, sizeof value) || !read_rule(name, value, l))
            return false;
        any = true;
    }
    return any && wan_link_wrong(l) == NULL;
}

/* Not one in one in one: a scenario is to be read by people. */
static bool read_step(const char **at, struct step_arg *a)
{
    char wrong[STEP_WRONG];

    *at += strspn(*at, " ");
    a->step = must_alloc(1, sizeof *a->step);
    if (!step_read(a->step, *at, wrong) || a->step->verb->takes[0] == TAKES_STEP)
        return false;
    *at += strlen(*at);
    return true;
}

static bool read_arg(enum step_kind kind, const char **at, struct step_arg *a)
{
    char word[32];

    switch (kind) {
    case TAKES_WHO:
        return read_who(at, a);
    case TAKES_RULES:
        return read_rules(at, &a->link);
    case TAKES_TEXT:
        *at += strspn(*at, " ");
        a->text = *at;
        *at += strlen(*at);
        return a->text[0] != 0;
    case TAKES_STEP:
        return read_step(at, a);
    case TAKES_NOTHING:
        break;
    case TAKES_MOMENT:
        return next_word(at, word, sizeof word) && (a->moment = moment_find(word)) != NULL;
    case TAKES_PLACE:
        return next_word(at, word, sizeof word) && read_place(word, &a->place);
    case TAKES_TIME:
        return next_word(at, word, sizeof word) && read_time(word, a);
    case TAKES_DISK:
        return next_word(at, word, sizeof word) && read_disk(word, &a->disk);
    case TAKES_NUMBER:
        return next_word(at, word, sizeof word) && read_number(word, &a->number);
    }
    return true;
}

bool step_read(struct step *s, const char *line, char wrong[STEP_WRONG])
{
    char word[32];
    const char *at;

    *s = (struct step){.line = text_new("%s", line)};
    at = s->line;
    if (!next_word(&at, word, sizeof word) || (s->verb = verb_find(word)) == NULL) {
        snprintf(wrong, STEP_WRONG, "'%s': no such verb (ringfence-lab --verbs)", line);
        return false;
    }
    for (size_t i = 0; i < STEP_ARGS; i++) {
        if (read_arg(s->verb->takes[i], &at, &s->arg[i]))
            continue;
        snprintf(wrong, STEP_WRONG, "'%s': expected %s in place %zu behind `%s`", line,
                 kinds_expected[s->verb->takes[i]], i + 1, word);
        return false;
    }
    if (at[strspn(at, " ")] != 0) {
        snprintf(wrong, STEP_WRONG, "'%s': expected the end of the line before '%s'", line,
                 at + strspn(at, " "));
        return false;
    }
    return true;
}

void step_free(struct step *s)
{
    for (size_t i = 0; i < STEP_ARGS; i++)
        if (s->arg[i].step != NULL) {
            step_free(s->arg[i].step);
            free(s->arg[i].step);
        }
    free(s->line);
    *s = (struct step){0};
}

void steps_free(struct steps *s)
{
    for (size_t i = 0; i < s->count; i++)
        step_free(&s->of[i]);
    free(s->of);
    *s = (struct steps){0};
}
