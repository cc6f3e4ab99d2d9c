/* chaos/random.c */
#include "chaos/random.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/step.h"

enum { PARTS = PART_SERVER + 1, TEXT_SIZE = 240 };

/* Of a site a bit, to remember what is to be healed; who has a role when the step comes is
 * not known here: it may be anybody who can have it. */
enum { DATA = 1U << EAST | 1U << WEST, EVERYBODY = DATA | 1U << WITNESS };

struct lab_kind {
    unsigned ttl_ms, rtt_ms;
};

/* A TTL carries two elections and six round trips (the TTL rule of docs/design.md). */
static const struct lab_kind lab_kinds[] = {
    {500, 0}, {500, 0}, {1000, 0}, {1000, 0}, {2000, 20}};

struct place_kind {
    const char *word;
    unsigned weight, sites;
};

/* Of agents and servers only the first four. */
static const struct place_kind places[] = {
    {"active", 4, DATA},     {"standby", 3, DATA},     {"east", 2, 1U << EAST},
    {"west", 2, 1U << WEST}, {"leader", 6, EVERYBODY}, {"witness", 3, 1U << WITNESS},
};
enum { DATA_PLACES = 4 };

/* What a row needs and leaves: */
enum {
    KILLS = 1,   /* somebody, who is to be started */
    FREEZES = 2, /* somebody, who is to be thawed */
    WIRES = 4,   /* the network is to be healed */
    ENTERS = 8,  /* works within a region, and would wait there for who is frozen */
    ENDS = 16,   /* waits for an end, which nothing frozen comes to */
    NFT = 32,    /* in laboratories with gates of nftables */
};

/* The steps of a fault. {who}: `agent active`; {it}: the same one, later; {site}, {data}: a
 * place; {side}: a region with data; {pair}: two regions; {time}. */
struct menu_row {
    unsigned weight, traits;
    unsigned parts; /* of {who}: bits by enum part */
    const char *steps;
};

#define DAEMONS (1U << PART_REGION | 1U << PART_CONTROLLER | 1U << PART_AGENT)
#define ANYTHING (DAEMONS | 1U << PART_SERVER)

static const struct menu_row menu[] = {
    {20, KILLS, ANYTHING, "kill {who}"},
    {12, KILLS, DAEMONS, "kill {who}; wait {time}; start {it}"},
    {6, KILLS | ENDS, ANYTHING, "end {who}"},
    {4, KILLS | ENDS, DAEMONS, "end {who}; wait {time}; start {it}"},
    {12, FREEZES, ANYTHING, "freeze {who}"},
    {10, FREEZES, ANYTHING, "freeze {who}; wait {time}; thaw {it}"},
    {6, WIRES, 0, "cut {pair}"},
    {8, WIRES, 0, "isolate {site}"},
    {4, WIRES, 0, "mute {site}"},
    {4, WIRES, 0, "deafen {site}"},
    {4, WIRES, 0, "one-way {pair} loss 100%"},
    {4, WIRES, 0, "flap {pair} 4"},
    {3, WIRES, 0, "link {pair} loss 20%"},
    {3, WIRES, 0, "link {pair} delay 400ms loss 10%"},
    {3, WIRES, 0, "link {pair} delay 40ms jitter 40ms duplicate 10% reorder 10%"},
    {3, WIRES, 0, "link {pair} rate 256kbit"},
    {3, WIRES, 0, "isolate {site}; wait {time}; network"},
    {12, ENTERS, 0, "ringfence --timeout 3s switchover orders --to {side}"},
    {3, ENTERS, 0, "ringfence --timeout 3s failover orders --even-if-healthy"},
    {3, ENTERS, 0, "promote {data}"},
    {14, ENTERS | NFT, 0, "sh {side} nft flush ruleset"},
};

/* Between two faults; a double fault within a failover is one that comes at its moments. */
static const char *const moments[] = {"suspected", "fencing", "fenced", "opened",
                                      "silent",    "alone",   "led"};

struct drawing {
    uint64_t state;
    unsigned ttl_ms;
    bool nft, wired;
    unsigned killed, frozen[PARTS]; /* sites */
    FILE *out;
    /* Of the fault at hand: */
    const char *place;
    enum part part;
};

static bool one_in(struct drawing *d, uint32_t n) { return draw_below(&d->state, n) == 0; }

static void put_step(struct drawing *d, const char *line)
{
    fprintf(d->out, "  - \"%s\"\n", line);
}

static void put_wait(struct drawing *d, unsigned most_ttls)
{
    char line[TEXT_SIZE];

    snprintf(line, sizeof line, "wait %ums",
             draw_below(&d->state, most_ttls * d->ttl_ms + 1));
    put_step(d, line);
}

/* One of `count`, as often as its weight says. */
static size_t draw_weighted(uint64_t *state, const unsigned *weights, size_t count)
{
    unsigned total = 0, at;
    size_t i = 0;

    for (size_t k = 0; k < count; k++)
        total += weights[k];
    at = draw_below(state, total);
    while (at >= weights[i])
        at -= weights[i++];
    return i;
}

/* Sets the place, and returns the sites that it may mean. */
static unsigned draw_place(struct drawing *d, size_t count)
{
    unsigned weights[ARRAY_LEN(places)];
    size_t at;

    for (size_t i = 0; i < count; i++)
        weights[i] = places[i].weight;
    at = draw_weighted(&d->state, weights, count);
    d->place = places[at].word;
    return places[at].sites;
}

static enum part draw_part(struct drawing *d, unsigned parts)
{
    enum part part;

    do
        part = (enum part)draw_below(&d->state, PARTS);
    while ((parts & 1U << part) == 0);
    return part;
}

static bool holds_data(enum part p) { return p == PART_AGENT || p == PART_SERVER; }

/* "agent ", or nothing of a region. */
static size_t put_part(char *to, size_t size, enum part part)
{
    const char *name = step_part_name(part);

    return (size_t)snprintf(to, size, "%s%s", name != NULL ? name : "",
                            name != NULL ? " " : "");
}

/* What stands for {name}; returns its length. */
static size_t fill(struct drawing *d, const char *name, size_t length, char *to,
                   size_t size)
{
    static const char *const sites[] = {"east", "west", "witness"};
    static const char *const pairs[] = {"east west",    "west east",    "east witness",
                                        "witness east", "west witness", "witness west"};
    const char *word = NULL;
    size_t n = 0;

    if (strncmp(name, "who", length) == 0 || strncmp(name, "it", length) == 0) {
        n = put_part(to, size, d->part);
        word = name[0] == 'w' ? d->place : "it";
    } else if (strncmp(name, "time", length) == 0) {
        return (size_t)snprintf(to, size, "%ums",
                                20 + draw_below(&d->state, 3 * d->ttl_ms));
    } else if (strncmp(name, "pair", length) == 0) {
        word = pairs[draw_below(&d->state, ARRAY_LEN(pairs))];
    } else if (strncmp(name, "side", length) == 0) {
        word = sites[draw_below(&d->state, 2)];
    } else {
        (void)draw_place(d, name[0] == 'd' ? DATA_PLACES : ARRAY_LEN(places));
        word = d->place;
    }
    return n + (size_t)snprintf(to + n, size - n, "%s", word);
}

/* One step of a row, from *at to the next semicolon. Only to wait is never in vain. */
static void put_next(struct drawing *d, const char **at)
{
    char line[TEXT_SIZE];
    size_t n = (size_t)snprintf(line, sizeof line, "%s",
                                strncmp(*at, "wait", 4) == 0 ? "" : "try ");

    while (**at != 0 && **at != ';') {
        if (**at == '{') {
            size_t length = strcspn(++*at, "}");

            n += fill(d, *at, length, line + n, sizeof line - n);
            *at += length + 1;
        } else {
            line[n++] = *(*at)++;
        }
    }
    line[n] = 0;
    put_step(d, line);
    *at += strspn(*at, "; ");
}

static bool is_possible(const struct drawing *d, const struct menu_row *row)
{
    bool any_frozen = false;

    for (unsigned part = 0; part < PARTS; part++)
        any_frozen |= d->frozen[part] != 0;
    return (!(row->traits & NFT) || d->nft) &&
           (!(row->traits & ENTERS) || d->frozen[PART_REGION] == 0) &&
           (!(row->traits & ENDS) || !any_frozen);
}

static const struct menu_row *draw_row(struct drawing *d)
{
    unsigned weights[ARRAY_LEN(menu)];

    for (size_t i = 0; i < ARRAY_LEN(menu); i++)
        weights[i] = is_possible(d, &menu[i]) ? menu[i].weight : 0;
    return &menu[draw_weighted(&d->state, weights, ARRAY_LEN(menu))];
}

static void put_fault(struct drawing *d)
{
    const struct menu_row *row = draw_row(d);
    const char *at = row->steps;
    unsigned sites = 0;

    if (row->parts != 0) {
        d->part = draw_part(d, row->parts);
        sites = draw_place(d, holds_data(d->part) ? DATA_PLACES : ARRAY_LEN(places));
    }
    /* Whether what mends it in the fault is in time, or in vain, is not known here. */
    d->killed |= (row->traits & KILLS) ? sites : 0;
    d->frozen[d->part] |= (row->traits & FREEZES) ? sites : 0;
    d->wired |= (row->traits & WIRES) != 0;
    while (*at != 0)
        put_next(d, &at);
}

static void put_pause(struct drawing *d)
{
    char line[TEXT_SIZE];
    unsigned kind = draw_below(&d->state, 10);

    if (kind < 3)
        return;
    if (kind < 6) {
        put_wait(d, 2);
        return;
    }
    snprintf(line, sizeof line, "try within 4ttl %s",
             moments[draw_below(&d->state, ARRAY_LEN(moments))]);
    put_step(d, line);
}

/* In any order: hosts come back as they like. */
static void put_healing(struct drawing *d)
{
    enum { HEALS_MAX = 1 + SITE_REGIONS * (PARTS + 1) };
    char heals[HEALS_MAX][32];
    unsigned count = 0;

    if (d->wired)
        snprintf(heals[count++], sizeof heals[0], "network");
    for (enum site s = EAST; s < SITE_REGIONS; s++) {
        if (d->killed & 1U << s)
            snprintf(heals[count++], sizeof heals[0], "start %s", site_name(s));
        for (unsigned part = 0; part < PARTS; part++) {
            size_t n = sizeof "thaw " - 1;

            if ((d->frozen[part] & 1U << s) == 0)
                continue;
            memcpy(heals[count], "thaw ", n);
            n += put_part(heals[count] + n, sizeof heals[0] - n, (enum part)part);
            snprintf(heals[count++] + n, sizeof heals[0] - n, "%s", site_name(s));
        }
    }
    while (count > 0) {
        unsigned i = draw_below(&d->state, count);

        put_step(d, heals[i]);
        memcpy(heals[i], heals[--count], sizeof heals[0]);
        if (one_in(d, 4))
            put_wait(d, 2);
    }
    put_step(d, "within 60s written");
}

static void put_head(struct drawing *d, uint32_t seed)
{
    uint64_t shared = ~(uint64_t)(seed / RANDOM_SHARED);
    const struct lab_kind *lab = &lab_kinds[draw_below(&shared, ARRAY_LEN(lab_kinds))];

    d->ttl_ms = lab->ttl_ms;
    d->nft = draw_below(&shared, 3) == 0;
    fprintf(d->out,
            "story: \"drawn from the seed %u\"\n"
            "holds: >-\n"
            "  Whatever is decided is safe, and the group comes back by itself.\n"
            "set: random\n"
            "effect: any\n"
            "workload: true\n"
            "second_writer: %s\n"
            "lab: {ttl_ms: %u, rtt_ms: %u, driver: %s}\n"
            "fault:\n",
            seed, one_in(d, 3) ? "true" : "false", lab->ttl_ms, lab->rtt_ms,
            d->nft ? "nftables" : "auto");
}

char *random_text(uint32_t seed)
{
    struct drawing d = {.state = seed};
    char *text = NULL;
    size_t size = 0;
    static const unsigned counts[] = {1, 2, 2, 2, 3, 3, 4, 4}; /* of faults */
    unsigned faults;

    d.out = open_memstream(&text, &size);
    if (d.out == NULL)
        die("out of memory");
    put_head(&d, seed);
    faults = counts[draw_below(&d.state, ARRAY_LEN(counts))];
    for (unsigned i = 0; i < faults; i++) {
        if (i > 0)
            put_pause(&d);
        put_fault(&d);
    }
    put_wait(&d, 5);
    fputs("heal:\n", d.out);
    put_healing(&d);
    if (fclose(d.out) != 0 || text == NULL)
        die("out of memory");
    return text;
}

char *random_name(uint32_t seed) { return text_new("random-%u", seed); }
