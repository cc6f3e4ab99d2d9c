/* chaos/random.c */
#include "chaos/random.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/step.h"

enum { PARTS = PART_GUARD + 1, TEXT_SIZE = 240 };

/* Of a site a bit, to remember what is to be healed; who has a role when the step comes is
 * not known here: it may be anybody who can have it. */
enum { DATA = 1U << EAST | 1U << WEST, EVERYBODY = DATA | 1U << WITNESS };

struct lab_kind {
    unsigned ttl_ms, rtt_ms;
};

/* A TTL carries two elections and six round trips (the TTL rule of docs/design.md). */
static const struct lab_kind lab_kinds[] = {
    {500, 0}, {500, 0}, {1000, 0}, {1000, 0}, {2000, 20}};

/* What a laboratory has beside the plain one, as often as its weight says: rows below want
 * one of these. */
enum { NFT = 1, DISKS = 2, STEPS = 4, RATES = 8, POWER = 16, SEVERED = 32 };

struct lab_thing {
    unsigned weight, lab;
    const char *keys;
};

static const struct lab_thing lab_things[] = {
    {6, 0, ""},
    {5, NFT, ", driver: nftables"},
    {4, DISKS, ", disks: true"},
    {2, STEPS, ", clocks: steps"},
    {2, RATES, ", clocks: rates"},
    {3, POWER, ", power: true"},
    {4, SEVERED, ", severed: true, sync: required"},
};

struct place_kind {
    const char *word;
    unsigned weight, sites;
};

/* Of agents, servers and guards only the first four. */
static const struct place_kind places[] = {
    {"active", 4, DATA},     {"standby", 3, DATA},     {"east", 2, 1U << EAST},
    {"west", 2, 1U << WEST}, {"leader", 6, EVERYBODY}, {"witness", 3, 1U << WITNESS},
};
enum { DATA_PLACES = 4 };

/* What a row needs and leaves: */
enum {
    KILLS = 1,    /* somebody, who is to be started */
    FREEZES = 2,  /* somebody, who is to be thawed */
    WIRES = 4,    /* the network is to be healed */
    ENTERS = 8,   /* works within a region, and would wait there for who is frozen */
    ENDS = 16,    /* waits for an end, which nothing frozen comes to */
    FILLS = 32,   /* a disk, which is to have room again */
    BREAKS = 64,  /* a disk, which is to be replaced */
    TURNS = 128,  /* a clock, or its rate, which is to be right again */
    HUSHES = 256, /* a BMC, which is to answer again */
    ASKS = ENTERS | ENDS, /* a server, which would not answer while it is frozen */
};

/* The steps of a fault. {who}: `agent active`; {it}: the same one, later; {site}, {data}: a
 * place; {side}: a region with data, {region}: any; {pair}: two regions; {time}; {minutes};
 * {percent}, of a clock's rate, at most what rho allows. */
struct menu_row {
    unsigned weight, traits;
    unsigned parts; /* of {who}: bits by enum part */
    const char *steps;
    unsigned lab;   /* the thing that it wants, if any */
    enum disk disk; /* that is filled or broken */
};

#define DAEMONS (1U << PART_REGION | 1U << PART_CONTROLLER | 1U << PART_AGENT)
#define ANYTHING (DAEMONS | 1U << PART_SERVER)
#define GUARD (1U << PART_GUARD)
/* A tool that sends a standby elsewhere. */
#define ASTRAY "ALTER SYSTEM SET primary_conninfo = 'host=10.77.3.2 user=ringfence'"

static const struct menu_row menu[] = {
    {20, KILLS, ANYTHING, "kill {who}", 0, 0},
    {12, KILLS, DAEMONS, "kill {who}; wait {time}; start {it}", 0, 0},
    {6, KILLS | ENDS, ANYTHING, "end {who}", 0, 0},
    {4, KILLS | ENDS, DAEMONS, "end {who}; wait {time}; start {it}", 0, 0},
    {12, FREEZES, ANYTHING, "freeze {who}", 0, 0},
    {10, FREEZES, ANYTHING, "freeze {who}; wait {time}; thaw {it}", 0, 0},
    {3, 0, GUARD, "kill {who}", 0, 0},
    {3, FREEZES, GUARD, "freeze {who}; wait {time}; thaw {it}", 0, 0},
    {6, WIRES, 0, "cut {pair}", 0, 0},
    {8, WIRES, 0, "isolate {site}", 0, 0},
    {4, WIRES, 0, "mute {site}", 0, 0},
    {4, WIRES, 0, "deafen {site}", 0, 0},
    {4, WIRES, 0, "one-way {pair} loss 100%", 0, 0},
    {4, WIRES, 0, "flap {pair} 4", 0, 0},
    {3, WIRES, 0, "link {pair} loss 20%", 0, 0},
    {3, WIRES, 0, "link {pair} delay 400ms loss 10%", 0, 0},
    {3, WIRES, 0, "link {pair} delay 40ms jitter 40ms duplicate 10% reorder 10%", 0, 0},
    {3, WIRES, 0, "link {pair} rate 256kbit", 0, 0},
    {3, WIRES, 0, "isolate {site}; wait {time}; network", 0, 0},
    {12, ENTERS, 0, "ringfence --timeout 3s switchover orders --to {side}", 0, 0},
    {3, ENTERS, 0, "ringfence --timeout 3s failover orders --even-if-healthy", 0, 0},
    {3, ENTERS, 0, "promote {data}", 0, 0},
    /* By SQL. No names are blanked here and no commit is cancelled: what is acknowledged
     * then may be lost, or be seen and lost (docs/safety.md, section 1). */
    {3, ASKS, 0, "sql {data} " ASTRAY "; sql {it} SELECT pg_reload_conf()", 0, 0},
    {3, ASKS, 0,
     "sql {data} SELECT pg_wal_replay_pause(); wait {time}; sql {it} SELECT "
     "pg_wal_replay_resume()",
     0, 0},
    {3, ASKS, 0,
     "sql {data} SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type "
     "IN ('walsender', 'walreceiver')",
     0, 0},
    {2, ASKS, 0, "sql {data} SELECT pg_switch_wal(); sql {it} CHECKPOINT", 0, 0},
    {20, ENTERS, 0, "sh {side} nft flush ruleset", NFT, 0},
    {9, FILLS | KILLS, 0, "disk-full controller {region}", DISKS, DISK_CONTROLLER},
    {9, FILLS, 0, "disk-full server {side}", DISKS, DISK_SERVER},
    {6, FILLS, 0, "disk-full agent {side}", DISKS, DISK_AGENT},
    {6, FILLS, 0, "disk-full tails {side}", DISKS, DISK_TAILS},
    {8, BREAKS, 0, "disk-breaks controller {region}", DISKS, DISK_CONTROLLER},
    {8, BREAKS, 0, "disk-breaks server {side}", DISKS, DISK_SERVER},
    /* Nobody who waits for such a disk can be killed, so it goes on before anything else.
     */
    {8, KILLS | ENDS, 0,
     "disk-hangs controller {region}; wait {time}; disk-goes-on controller {region}", DISKS,
     0},
    {8, ENDS, 0, "disk-hangs server {side}; wait {time}; disk-goes-on server {side}", DISKS,
     0},
    {16, TURNS, 0, "clock-ahead {site} {minutes}", STEPS, 0},
    {16, TURNS, 0, "clock-behind {site} {minutes}", STEPS, 0},
    {8, TURNS, 0, "clock-ahead {site} {minutes}; wait {time}; clock-right {it}", STEPS, 0},
    {30, TURNS | KILLS, 0, "clock-rate {site} {percent}", RATES, 0},
    {16, HUSHES, 0, "bmc-hangs {side}", POWER, 0},
    {10, HUSHES, 0, "bmc-hangs {side}; wait {time}; bmc-answers {side}", POWER, 0},
};

/* Between two faults; a double fault within a failover is one that comes at its moments. */
static const char *const moments[] = {"suspected", "fencing", "fenced", "opened",
                                      "silent",    "alone",   "led"};

struct drawing {
    uint64_t state;
    unsigned ttl_ms;
    unsigned lab; /* what it has */
    bool wired;
    unsigned killed, frozen[PARTS]; /* sites */
    unsigned full[DISK_COUNT], broken[DISK_COUNT], turned, hushed;
    FILE *out;
    /* Of the fault at hand: */
    const char *place;
    enum part part;
    unsigned sites;   /* that it may mean */
    enum site region; /* that {side} or {region} was; SITE_COUNT: none yet */
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

/* The place, and the sites that it may mean. */
static void draw_place(struct drawing *d, size_t count)
{
    unsigned weights[ARRAY_LEN(places)];
    size_t at;

    for (size_t i = 0; i < count; i++)
        weights[i] = places[i].weight;
    at = draw_weighted(&d->state, weights, count);
    d->place = places[at].word;
    d->sites |= places[at].sites;
}

static enum part draw_part(struct drawing *d, unsigned parts)
{
    enum part part;

    do
        part = (enum part)draw_below(&d->state, PARTS);
    while ((parts & 1U << part) == 0);
    return part;
}

static bool holds_data(enum part p) { return p != PART_REGION && p != PART_CONTROLLER; }

/* One for all the steps of a fault. */
static const char *draw_region(struct drawing *d, unsigned count)
{
    if (d->region == SITE_COUNT)
        d->region = (enum site)draw_below(&d->state, count);
    d->sites |= 1U << d->region;
    return site_name(d->region);
}

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
    static const char *const pairs[] = {"east west",    "west east",    "east witness",
                                        "witness east", "west witness", "witness west"};
    const char *word = NULL;
    size_t n = 0;

    if (strncmp(name, "who", length) == 0 || strncmp(name, "it", length) == 0) {
        n = d->part != PART_REGION ? put_part(to, size, d->part) : 0;
        word = name[0] == 'w' ? d->place : "it";
    } else if (strncmp(name, "time", length) == 0) {
        return (size_t)snprintf(to, size, "%ums",
                                20 + draw_below(&d->state, 3 * d->ttl_ms));
    } else if (strncmp(name, "minutes", length) == 0) {
        return (size_t)snprintf(to, size, "%u", 1 + draw_below(&d->state, 120));
    } else if (strncmp(name, "percent", length) == 0) {
        return (size_t)snprintf(to, size, "%u", 80 + draw_below(&d->state, 22));
    } else if (strncmp(name, "pair", length) == 0) {
        word = pairs[draw_below(&d->state, ARRAY_LEN(pairs))];
    } else if (strncmp(name, "side", length) == 0) {
        word = draw_region(d, 2);
    } else if (strncmp(name, "region", length) == 0) {
        word = draw_region(d, SITE_REGIONS);
    } else {
        draw_place(d, name[0] == 'd' ? DATA_PLACES : ARRAY_LEN(places));
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
    /* With a gate that can be flushed, and agent and guard both gone, nothing would close:
     * that is said in docs/safety.md, and not for chance to find. */
    return (row->lab & ~d->lab) == 0 && (row->parts != GUARD || (d->lab & NFT) == 0) &&
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

    d->part = PART_REGION;
    d->region = SITE_COUNT;
    d->sites = 0;
    if (row->parts != 0) {
        d->part = draw_part(d, row->parts);
        draw_place(d, holds_data(d->part) ? DATA_PLACES : ARRAY_LEN(places));
    }
    while (*at != 0)
        put_next(d, &at);
    /* Whether what mends it in the fault is in time, or in vain, is not known here. */
    d->killed |= (row->traits & KILLS) ? d->sites : 0;
    d->frozen[d->part] |= (row->traits & FREEZES) ? d->sites : 0;
    d->wired |= (row->traits & WIRES) != 0;
    d->full[row->disk] |= (row->traits & FILLS) ? d->sites : 0;
    d->broken[row->disk] |= (row->traits & BREAKS) ? d->sites : 0;
    d->turned |= (row->traits & TURNS) ? d->sites : 0;
    d->hushed |= (row->traits & HUSHES) ? d->sites : 0;
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

/* What mends one thing: steps that belong together, with semicolons between them. */
enum { HEALS_MAX = 1 + SITE_REGIONS * (PARTS + 4), HEAL_SIZE = 400 };

struct heals {
    char of[HEALS_MAX][HEAL_SIZE];
    unsigned count;
};

static void add_heal(struct heals *h, const char *verb, const char *rest, enum site s)
{
    snprintf(h->of[h->count++], HEAL_SIZE, "%s %s%s", verb, rest, site_name(s));
}

/* A host whose disk is gone is off when it gets another one. What has room again may never
 * have been full: filling it was in vain. */
static void add_disks(struct heals *h, const struct drawing *d, enum site s)
{
    const unsigned bit = 1U << s;
    char *to = h->of[h->count];
    size_t n = 0;
    bool any_broken = false;

    for (unsigned k = 0; k < DISK_COUNT; k++)
        any_broken |= (d->broken[k] & bit) != 0;
    if (any_broken)
        n += (size_t)snprintf(to, HEAL_SIZE, "kill %s; ", site_name(s));
    for (unsigned k = 0; k < DISK_COUNT; k++)
        if (d->broken[k] & bit)
            n += (size_t)snprintf(to + n, HEAL_SIZE - n, "disk-replaced %s %s; ",
                                  disk_name((enum disk)k), site_name(s));
    for (unsigned k = 0; k < DISK_COUNT; k++)
        if (d->full[k] & bit)
            n += (size_t)snprintf(to + n, HEAL_SIZE - n, "try disk-room %s %s; ",
                                  disk_name((enum disk)k), site_name(s));
    if (any_broken)
        n += (size_t)snprintf(to + n, HEAL_SIZE - n, "start %s; ", site_name(s));
    if (n > 0)
        h->count++;
}

static void add_site(struct heals *h, const struct drawing *d, enum site s)
{
    const unsigned bit = 1U << s;

    if (d->killed & bit)
        add_heal(h, "start", "", s);
    for (unsigned part = 0; part < PARTS; part++) {
        char name[16] = "";

        (void)put_part(name, sizeof name, (enum part)part);
        if (d->frozen[part] & bit)
            add_heal(h, "thaw", name, s);
    }
    add_disks(h, d, s);
    if (d->hushed & bit)
        add_heal(h, "bmc-answers", "", s);
    if ((d->turned & bit) && (d->lab & STEPS))
        add_heal(h, "clock-right", "", s);
    if ((d->turned & bit) && (d->lab & RATES))
        snprintf(h->of[h->count++], HEAL_SIZE, "clock-rate %s 100", site_name(s));
}

static void put_heal(struct drawing *d, const char *steps)
{
    while (*steps != 0) {
        size_t length = strcspn(steps, ";");
        char line[TEXT_SIZE];

        snprintf(line, sizeof line, "%.*s", (int)length, steps);
        put_step(d, line);
        steps += length;
        steps += strspn(steps, "; ");
    }
}

/* A host that is switched off stays off until somebody sees it, and one whose fence has
 * only begun is switched off after everything was mended. */
static void put_power(struct drawing *d)
{
    for (unsigned round = 0; round < 2; round++) {
        put_step(d, "wait 5ttl");
        put_heal(d, "start east; start west; within 60s written");
    }
}

/* In any order: hosts come back as they like. */
static void put_healing(struct drawing *d)
{
    struct heals h = {.count = 0};

    if (d->wired)
        snprintf(h.of[h.count++], HEAL_SIZE, "network");
    for (enum site s = EAST; s < SITE_REGIONS; s++)
        add_site(&h, d, s);
    while (h.count > 0) {
        unsigned i = draw_below(&d->state, h.count);

        put_heal(d, h.of[i]);
        memcpy(h.of[i], h.of[--h.count], HEAL_SIZE);
        if (one_in(d, 4))
            put_wait(d, 2);
    }
    if (d->lab & POWER)
        put_power(d);
    else
        put_step(d, "within 60s written");
}

static void put_head(struct drawing *d, uint32_t seed)
{
    uint64_t shared = ~(uint64_t)(seed / RANDOM_SHARED);
    const struct lab_kind *lab = &lab_kinds[draw_below(&shared, ARRAY_LEN(lab_kinds))];

    unsigned weights[ARRAY_LEN(lab_things)];
    const struct lab_thing *thing;

    for (size_t i = 0; i < ARRAY_LEN(lab_things); i++)
        weights[i] = lab_things[i].weight;
    thing = &lab_things[draw_weighted(&shared, weights, ARRAY_LEN(lab_things))];
    d->ttl_ms = lab->ttl_ms;
    d->lab = thing->lab;
    fprintf(d->out,
            "story: \"drawn from the seed %u\"\n"
            "holds: >-\n"
            "  Whatever is decided is safe, and the group comes back by itself.\n"
            "set: random\n"
            "effect: any\n"
            "workload: true\n"
            "second_writer: %s\n"
            "lab: {ttl_ms: %u, rtt_ms: %u%s}\n"
            "fault:\n",
            seed, one_in(d, 3) ? "true" : "false", lab->ttl_ms, lab->rtt_ms, thing->keys);
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
