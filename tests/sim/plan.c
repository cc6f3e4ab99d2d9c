#include "tests/sim/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/apart.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/older.h"
#include "tests/sim/power.h"
#include "tests/sim/schedule.h"
#include "tests/sim/severed.h"

enum { FIRST_MS = 500, ABSENCES = 8 };

struct plan plan;

const char *fault_name(enum fault_kind kind)
{
    static const char *const names[] = {
#define X(name, text) [name] = (text),
        FAULT_MAP(X)
#undef X
    };

    return kind < FAULT_KINDS ? names[kind] : "?";
}

void fault_describe(const struct fault *f, char *text, size_t size)
{
    char when[64];

    if (f->on == ENTRY_NONE)
        snprintf(when, sizeof when, "at %" PRIu64 " ms", f->at / NS_PER_MS);
    else
        snprintf(when, sizeof when, "%" PRIu64 " ms after %s %u", f->at / NS_PER_MS,
                 entry_kind_name(f->on), f->nth);
    snprintf(text, size, "%s %s, for %" PRIu64 " ms (%u, %u, group %u)",
             fault_name(f->kind), when, f->lasts / NS_PER_MS, f->a, f->b, f->group);
}

/* ---- terms -----------------------------------------------------------------------------
 */

static void choose_profile(void)
{
    static const struct {
        uint32_t ttl, renew, election, heartbeat;
    } profiles[] = {
        {1000, 150, 300, 50},  {1000, 150, 300, 50},   {1000, 150, 300, 50},
        {3000, 300, 900, 100}, {3000, 300, 900, 100},  {3000, 300, 900, 100},
        {500, 60, 150, 30},    {6000, 600, 1500, 250},
    };
    unsigned i = (unsigned)sim_between(0, sim.groups > 1 ? 5 : 7);

    plan.ttl_ms = profiles[i].ttl;
    plan.renew_ms = profiles[i].renew;
    plan.election_ms = profiles[i].election;
    plan.heartbeat_ms = profiles[i].heartbeat;
}

static void choose_group(uint8_t g)
{
    plan.sync[g] = sim_chance(500)   ? SYNC_REQUIRED
                   : sim_chance(500) ? SYNC_STRICT
                                     : (enum sync_mode)sim_between(0, 1);
    plan.standby_reads[g] = sim_chance(250);
    plan.manual[g] = sim_chance(120);
    operators[g] = (struct operator_of){.longer_ttl = sim_chance(350)};
}

/* By dice of its own, as what may be lost: the other terms stay as they are. */
static uint64_t own_dice(uint64_t what)
{
    uint64_t x = (sim.opt.seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + what;

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Limits that bind: a write is a byte, fifty come in a second. */
static void choose_limits(uint8_t g)
{
    uint64_t dice = own_dice(UINT64_C(0x1056) << 16 | g);

    if (dice % 2 == 0)
        plan.max_lag_bytes[g] = (uint32_t)(5 + (dice >> 8) % 196);
    if ((dice >> 1) % 4 == 0)
        plan.max_lag_ms[g] = (uint32_t)(300 + (dice >> 24) % 3000);
    if ((dice >> 3) % 2 == 0)
        plan.replay_late_ms[g] = (uint32_t)(100 + (dice >> 40) % 8000);
}

/* A clock may be off by the whole bound, in either direction. */
static int64_t any_rate(void)
{
    static const int64_t edge[] = {-RHO_PPM, RHO_PPM, 0};

    return sim_chance(700) ? edge[sim_between(0, 2)]
                           : (int64_t)sim_between(0, 2 * RHO_PPM) - RHO_PPM;
}

/* Groups of one host differ, as those of different owners do; by dice of their own. */
static void choose_lengths(void)
{
    uint64_t dice = (sim.opt.seed + 7) * UINT64_C(3935559000370003845);
    uint8_t most = 1;

    for (uint8_t g = 0; g < WORLD_GROUPS_MAX; g++) {
        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
        plan.slower[g] = sim.groups > 1 ? (uint8_t)(1 + (dice >> 60) % 3) : 1;
        if (g < sim.groups && plan.slower[g] > most)
            most = plan.slower[g];
    }
    plan.longest_ttl_ms = most * plan.ttl_ms * 3 / 2;
}

static void choose_times(void)
{
    sim.heal_at = (15000 + 4ull * plan.ttl_ms) * NS_PER_MS;
    sim.settle_at = sim.heal_at + 1500ull * NS_PER_MS;
    /* A step that writes wait for is tried once in 30 s (decide_internal.h), and something
     * may have to be counted out before that. */
    sim.writable_by = sim.heal_at + (35000 + 4ull * plan.ttl_ms) * NS_PER_MS;
    /* A step that failed again and again is tried a minute later (decide_internal.h). */
    sim.end_at = sim.heal_at + (100000 + 10ull * plan.ttl_ms) * NS_PER_MS;
}

static void choose_terms(void)
{
    choose_profile();
    choose_lengths();
    power_choose();
    plan.snapshot_every = sim_chance(250) ? sim_between(1, 4) : sim_between(5, 200);
    plan.trailing = sim_between(4, 60);
    plan.cooldown_ms = sim_chance(250) ? 10000 : 0;
    plan.local_restarts = (uint32_t)sim_between(0, 2);
    for (uint8_t g = 0; g < WORLD_GROUPS_MAX; g++) {
        choose_group(g);
        choose_limits(g);
    }
    severed_choose();
    for (uint8_t n = 0; n < NODES_MAX; n++) {
        sim.procs[n].clock =
            (struct ticking){.ppm = any_rate(), .offset = sim_between(1, 1u << 30) * 1000};
        machines[n].wall_offset_ms = (int64_t)sim_between(0, 2000) - 1000;
    }
    choose_times();
}

/* The network adds up to a half and 200 us to it (delay_ns()). */
uint32_t plan_latency_us(void)
{
    uint32_t spare_ms = plan.ttl_ms - 2 * plan.renew_ms - 2 * plan.election_ms;

    return (spare_ms * 1000 / 12 - 200) * 2 / 3;
}

/* ---- the schedule ----------------------------------------------------------------------
 */

static enum entry_kind choose_entry(void)
{
    static const enum entry_kind kinds[] = {
        ENTRY_ACTIVATE,    ENTRY_ACTIVATE,   ENTRY_OPENED,      ENTRY_FENCE_BEGIN,
        ENTRY_FENCE_BEGIN, ENTRY_STEP_START, ENTRY_STEP_START,  ENTRY_STEP_END,
        ENTRY_PROOF,       ENTRY_SYNC_JOIN,  ENTRY_SYNC_SHRINK, ENTRY_SWITCHOVER,
    };

    return kinds[sim_between(0, ARRAY_LEN(kinds) - 1)];
}

static void choose_fault(struct fault *f)
{
    uint64_t ms = sim_chance(600) ? sim_between(50, 2 * plan.ttl_ms)
                                  : sim_between(plan.ttl_ms, 6ull * plan.ttl_ms + 3000);

    *f = (struct fault){.kind = (enum fault_kind)sim_between(0, FAULT_CTL_REPLACED - 1),
                        .group = (uint8_t)sim_between(0, sim.groups - 1u),
                        .a = (uint8_t)sim_between(0, NODES_MAX * 60u - 1),
                        .b = (uint8_t)sim_between(0, NODES_MAX * 60u - 1),
                        .number = sim_random(),
                        .lasts = ms * NS_PER_MS};
    if (sim_chance(400)) {
        f->on = choose_entry();
        f->nth = (unsigned)sim_between(1, sim_chance(700) ? 2 : 6);
        f->at = (sim_chance(500) ? sim_between(0, 30) : sim_between(0, 400)) * NS_PER_MS;
    } else {
        f->at = sim_between(FIRST_MS, sim.heal_at / NS_PER_MS - 1000) * NS_PER_MS;
    }
}

/* In every fourth world, and by dice of its own: the others are as they would be without
 * it. */
static void choose_replacement(void)
{
    uint64_t dice = (sim.opt.seed + 1) * UINT64_C(6364136223846793005);
    uint64_t ms = sim.heal_at / NS_PER_MS - FIRST_MS - 1000;

    if ((dice >> 60) % 4 != 0 || plan.count == 0 || plan.count == FAULTS_MAX)
        return;
    plan.of[plan.count++] = (struct fault){.kind = FAULT_CTL_REPLACED,
                                           .a = (uint8_t)(dice >> 52),
                                           .number = dice >> 51,
                                           .at = (FIRST_MS + (dice >> 20) % ms) * NS_PER_MS,
                                           .lasts = (50 + (dice >> 36) % 5000) * NS_PER_MS};
}

/* The disk that the servers of a host write to, in every third world. */
static void choose_server_disk(void)
{
    uint64_t dice = (sim.opt.seed + 5) * UINT64_C(3202034522624059733);
    uint64_t ms = sim.heal_at / NS_PER_MS - FIRST_MS - 1000;

    if ((dice >> 60) % 3 != 0 || plan.count == 0 || plan.count == FAULTS_MAX)
        return;
    plan.of[plan.count++] =
        (struct fault){.kind = (dice >> 50) % 2 == 0 ? FAULT_PG_FULL : FAULT_PG_FAILING,
                       .a = (uint8_t)(dice >> 40),
                       .group = (uint8_t)((dice >> 48) % sim.groups),
                       .at = (FIRST_MS + (dice >> 20) % ms) * NS_PER_MS,
                       .lasts = (100 + (dice >> 33) % 6000) * NS_PER_MS};
}

/* Checksums of one server's pages fail, in every fourth world. */
static void choose_damage(void)
{
    uint64_t dice = own_dice(0xda3a);
    uint64_t ms = sim.heal_at / NS_PER_MS - FIRST_MS - 1000;

    if (dice % 4 != 0 || plan.count == 0 || plan.count == FAULTS_MAX)
        return;
    plan.of[plan.count++] =
        (struct fault){.kind = FAULT_DAMAGED,
                       .a = (uint8_t)(dice >> 8),
                       .group = (uint8_t)((dice >> 16) % sim.groups),
                       .number = dice >> 60,
                       .at = (FIRST_MS + (dice >> 20) % ms) * NS_PER_MS};
}

/* Where hosts are switched off, one of the fencers is away for a while. */
static void choose_power(void)
{
    uint64_t dice = own_dice(0xb3c);
    uint64_t ms = sim.heal_at / NS_PER_MS - FIRST_MS - 1000;
    uint8_t group = (uint8_t)((dice >> 16) % sim.groups);

    if (power_plan_of(group) == POWER_NONE || plan.count == 0 || plan.count == FAULTS_MAX)
        return;
    plan.of[plan.count++] =
        (struct fault){.kind = FAULT_POWER_AWAY,
                       .a = (uint8_t)(dice >> 8),
                       .group = group,
                       .at = (FIRST_MS + (dice >> 20) % ms) * NS_PER_MS,
                       .lasts = (200 + (dice >> 40) % 8000) * NS_PER_MS};
}

/* I10: in another fourth of them. */
static void choose_newer(void)
{
    uint64_t dice = (sim.opt.seed + 7) * UINT64_C(2862933555777941757);
    uint64_t ms = sim.heal_at / NS_PER_MS - FIRST_MS - 1000;

    if ((dice >> 60) % 4 != 0 || plan.count == 0 || plan.count == FAULTS_MAX)
        return;
    plan.of[plan.count++] = (struct fault){.kind = FAULT_NEWER,
                                           .a = (uint8_t)(dice >> 52),
                                           .at = (FIRST_MS + (dice >> 20) % ms) * NS_PER_MS,
                                           .lasts = (50 + (dice >> 36) % 3000) * NS_PER_MS};
}

/* Likewise, in every second world. */
static void choose_plays(void)
{
    uint64_t dice = (sim.opt.seed + 7) * UINT64_C(2862933555777941757);
    uint64_t ms = sim.heal_at / NS_PER_MS - FIRST_MS - 3000;

    if ((dice >> 61) % 2 != 0 || plan.count == 0)
        return;
    for (unsigned i = 0; i < 3 && plan.count < FAULTS_MAX; i++) {
        static const enum fault_kind kinds[] = {FAULT_FORGED_FRAMES, FAULT_FORGED_ENTRIES,
                                                FAULT_BLIND_RESTART};

        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
        plan.of[plan.count++] =
            (struct fault){.kind = kinds[i],
                           .group = (uint8_t)((dice >> 56) % sim.groups),
                           .a = (uint8_t)(dice >> 48),
                           .b = (uint8_t)(dice >> 40),
                           .number = dice >> 16,
                           .at = (FIRST_MS + 2000 + (dice >> 33) % ms) * NS_PER_MS,
                           .lasts = 2ull * plan.ttl_ms * NS_PER_MS};
    }
}

/* I7: one controller at a time is killed, stands still or is alone, mostly the leader; the
 * next one when this one is back and has caught up. Nothing else is wrong. */
static void choose_absences(void)
{
    static const enum fault_kind kinds[] = {FAULT_CTL_KILLED, FAULT_CTL_STOPPED,
                                            FAULT_CTL_ALONE};
    uint64_t at = FIRST_MS + 4000 + 4ull * plan.ttl_ms;

    for (plan.count = 0; plan.count < ABSENCES; plan.count++) {
        uint64_t ms =
            sim_chance(500) ? sim_between(50, plan.ttl_ms) : sim_between(50, 6000);

        plan.of[plan.count] =
            (struct fault){.kind = kinds[sim_between(0, ARRAY_LEN(kinds) - 1)],
                           .a = (uint8_t)sim_between(0, CTLS - 1),
                           .number = sim_between(0, 3), /* 0: whoever `a` is */
                           .at = at * NS_PER_MS,
                           .lasts = ms * NS_PER_MS};
        at += ms + sim_between(2000, 3000) + 4ull * plan.election_ms;
    }
    sim.heal_at = at * NS_PER_MS;
    sim.settle_at = sim.heal_at + 1500ull * NS_PER_MS;
    sim.end_at = sim.heal_at + (100000 + 10ull * plan.ttl_ms) * NS_PER_MS;
    sim.noisy = false;
}

/* In every third world some nodes begin with an older program, and are upgraded one by one
 * while faults go on: all of them by `lasts` after `at`. */
static void choose_formats(void)
{
    uint64_t dice = (sim.opt.seed + 3) * UINT64_C(2862933555777941757);
    uint64_t ms = sim.heal_at / NS_PER_MS - FIRST_MS - 1000,
             at = FIRST_MS + (dice >> 20) % ms;
    struct fault *f = &plan.of[plan.count];

    if ((dice >> 60) % 3 != 0 || plan.count == 0 || plan.count == FAULTS_MAX)
        return;
    *f = (struct fault){.kind = FAULT_FORMAT,
                        .a = (uint8_t)(dice >> 40),
                        .at = at * NS_PER_MS,
                        .lasts = (dice >> 30) % (FIRST_MS + ms - at) * NS_PER_MS};
    plan.count++;
}

/* Who is older when the world begins. */
static void begin_formats(void)
{
    for (unsigned i = 0; i < plan.count; i++)
        for (uint8_t n = 0; n < sim.nodes; n++)
            if (plan.of[i].kind == FAULT_FORMAT && !plan.of[i].left_out &&
                (plan.of[i].a >> n & 1) != 0)
                older[n] = OLDER_FORMAT;
}

void plan_make(void)
{
    memset(&plan, 0, sizeof plan);
    choose_terms();
    plan.count = (unsigned)sim_between(3, 24) * (sim.groups > 1 ? 2 : 1);
    if (sim.opt.calm) {
        plan.count = 0;
        sim.heal_at = 0;
    }
    for (unsigned i = 0; i < plan.count; i++)
        choose_fault(&plan.of[i]);
    choose_replacement();
    choose_formats();
    choose_server_disk();
    choose_damage();
    choose_power();
    severed_choose_faults();
    choose_newer();
    choose_plays();
    if (sim.opt.one_away)
        choose_absences();
    else
        apart_plan(own_dice(0xa9a7));
    plan.people = !sim.opt.calm && !sim.opt.one_away;
    schedule_note_dice();
    if (schedule_apply())
        choose_times();
    for (unsigned i = 0; i < plan.count; i++)
        plan.of[i].left_out = sim.opt.without != NULL && sim.opt.without[i];
    begin_formats();
}

static void on_due(void *arg, uint64_t number)
{
    struct fault *f = arg;
    char text[160];

    (void)number;
    if (sim.now >= sim.heal_at && !apart_is(f->kind))
        return;
    fault_describe(f, text, sizeof text);
    sim_note("FAULT %s", text);
    f->began = sim.now;
    sim_mix(sim.now ^ (uint64_t)f->kind << 50);
    judge_fault(f->group, false);
    fault_begin(f);
}

static void arm(struct fault *f, uint64_t at)
{
    if (!f->left_out)
        (void)sim_at(at, NULL, on_due, f);
}

void plan_start(void)
{
    for (unsigned i = 0; i < plan.count; i++)
        if (plan.of[i].on == ENTRY_NONE)
            arm(&plan.of[i], plan.of[i].at);
}

void plan_note_entry(uint8_t group, enum entry_kind kind)
{
    uint32_t nth = ++plan.entries[group][kind];

    for (unsigned i = 0; i < plan.count; i++) {
        struct fault *f = &plan.of[i];

        if (f->on == kind && f->group == group && f->nth == nth && f->began == 0)
            arm(f, sim.now + f->at);
    }
}
