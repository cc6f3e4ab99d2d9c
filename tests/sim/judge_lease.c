/* Leases, fences, proofs and sets, as the accepted entries say, against the world as it is
 * in the moment in which somebody first applies them (I1, I2, I4, I8, I12).
 *
 * The books here are kept from the entries alone: what apply() made of them is compared. */
#include "tests/sim/judge_lease.h"

#include <inttypes.h>
#include <string.h>

#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/power.h"
#include "tests/sim/process.h"

static struct books {
    bool managed; /* activated, and not let go since */
    bool opened;
    bool formed; /* by the activation in force: a primary that ran may have been adopted */
    uint64_t epoch, fence_at; /* index of the fence_begin in force; 0: none */
    uint8_t active;           /* instance */
    member_set set;
} books[WORLD_GROUPS_MAX];

static struct grant {
    uint64_t at, at_ns; /* by its host's clock; in truth */
    uint64_t epoch;
    uint32_t ttl_ms; /* the longest that its epoch has had since */
    struct incarnation to;
    bool over; /* that life has proven it, its host was off, or the group was let go */
} grants[WORLD_GROUPS_MAX][2];

/* Proven by severing: whoever still gets in there is told nothing new. */
static struct severed {
    uint64_t epoch; /* up to it; 0: not severed */
    uint8_t host;
    int last; /* the newest write that the member had by then */
} severed[WORLD_GROUPS_MAX];

/* All count by the longest TTL that an epoch has had, whenever a lease was granted; and an
 * answer names what that is by now. */
static struct longest {
    uint64_t epoch;
    uint32_t ttl_ms;
} longest[WORLD_GROUPS_MAX];

/* Which lives froze the gate for which epochs; the newest first. */
enum { FROZEN_KEPT = 4 };
static struct frozen {
    uint64_t epoch;
    struct incarnation by;
} frozen[WORLD_GROUPS_MAX][HOSTS_MAX][FROZEN_KEPT];

void judge_lease_begin(void)
{
    memset(books, 0, sizeof books);
    memset(grants, 0, sizeof grants);
    memset(longest, 0, sizeof longest);
    memset(severed, 0, sizeof severed);
    memset(frozen, 0, sizeof frozen);
}

static uint8_t host_of(uint8_t group, uint8_t instance)
{
    return pgs[group].hosts[instance];
}

static const char *host_name(uint8_t host) { return node_name((uint8_t)(CTLS + host)); }

static uint8_t instance_on(uint8_t host, uint8_t group)
{
    return pgs[group].hosts[1] == host;
}

static uint64_t clock_on(uint8_t host) { return clock_of(&sim.procs[CTLS + host].clock); }

/* ---- grants ----------------------------------------------------------------------------
 */

static uint64_t until(const struct grant *g)
{
    return g->at + g->ttl_ms * (uint64_t)NS_PER_MS;
}

void judge_terms(uint8_t group, const struct group *g)
{
    struct longest *l = &longest[group];

    if (g->epoch != l->epoch || g->terms.ttl_ms > l->ttl_ms)
        *l = (struct longest){g->epoch, g->terms.ttl_ms};
    for (uint8_t i = 0; i < 2; i++)
        if (grants[group][i].epoch == l->epoch && grants[group][i].ttl_ms < l->ttl_ms)
            grants[group][i].ttl_ms = l->ttl_ms;
}

/* I12: the former life's lease is over by its own host's clock, or that life has said so.
 */
static void judge_other_life(uint8_t group, const struct renew_item *item)
{
    const struct grant *g = &grants[group][item->instance];
    uint8_t host = host_of(group, item->instance);

    if (incarnation_is_set(&g->to) && !g->over &&
        !incarnation_equal(&g->to, &item->incarnation) && clock_on(host) < until(g))
        sim_fail("I12: group %s grants a lease to another life on %s, and the former one's "
                 "may run for %" PRIu64 " us",
                 group_name(group), host_name(host), (until(g) - clock_on(host)) / 1000);
}

void judge_granted(uint8_t group, const struct renew_item *item)
{
    const struct books *b = &books[group];
    uint8_t host;

    if (item->instance > 1)
        return;
    host = host_of(group, item->instance);
    if (b->fence_at != 0)
        sim_fail("I4: group %s grants a lease of epoch %" PRIu64
                 " to %s, and fence_begin at %" PRIu64 " is in force",
                 group_name(group), item->epoch, host_name(host), b->fence_at);
    else if (!b->managed || item->epoch != b->epoch)
        sim_fail(
            "I4: group %s grants a lease of epoch %" PRIu64 " to %s, activated is %" PRIu64,
            group_name(group), item->epoch, host_name(host), b->managed ? b->epoch : 0);
    else if (item->kind == LEASE_WRITE && item->instance != b->active)
        sim_fail("I1: group %s grants a lease to write to %s, which is not active",
                 group_name(group), host_name(host));
    judge_other_life(group, item);
    grants[group][item->instance] = (struct grant){.at = clock_on(host),
                                                   .at_ns = sim.now,
                                                   .epoch = item->epoch,
                                                   .ttl_ms = longest[group].ttl_ms,
                                                   .to = item->incarnation};
}

/* I4: by a clock that is steered too far, a lease lasts for longer than the fastest clock
 * of a controller counts. */
static void judge_lasts(uint8_t host, uint8_t group, const struct gate_lease *lease)
{
    const struct ticking *c = &sim.procs[CTLS + host].clock;
    uint64_t ttl_ns = longest[group].ttl_ms * (uint64_t)NS_PER_MS, clock = clock_of(c);
    uint64_t left = lease->deadline.ns > clock ? lease->deadline.ns - clock : 0;
    uint64_t end = sim.now + left * 1000000u / (uint64_t)(1000000 + c->ppm + c->slew_ppm);
    uint64_t counted = grants[group][instance_on(host, group)].at_ns +
                       ttl_ns * 1000000u / (1000000 - RHO_PPM) + NS_PER_MS;

    if (left != 0 && end > counted)
        sim_fail(
            "I4: the gate of group %s on %s is armed %" PRIu64
            " us past the end of anybody's count, by a clock that is steered by %" PRId64
            " ppm",
            group_name(group), host_name(host), (end - counted) / 1000, c->slew_ppm);
}

/* Nobody is granted what he has not asked for before: so his count, from when he asked, is
 * over first. */
void judge_armed(uint8_t host, uint8_t group, const struct gate_lease *lease)
{
    const struct grant *g = &grants[group][instance_on(host, group)];
    uint64_t end = until(g);
    struct incarnation me;

    if (lease->deadline.ns == GATE_FOREVER.ns || lease->deadline.ns <= clock_on(host))
        return; /* one that is over, of an epoch before perhaps, opens nothing */
    proc_incarnation((uint8_t)(CTLS + host), &me);
    if (!incarnation_equal(&g->to, &me))
        sim_fail("I12: %s arms the gate of group %s for a lease of another life",
                 host_name(host), group_name(group));
    else if (lease->deadline.ns > end)
        sim_fail("I3: the gate of group %s on %s is armed %" PRIu64 " us past its lease",
                 group_name(group), host_name(host), (lease->deadline.ns - end) / 1000);
    else
        judge_lasts(host, group, lease);
}

/* ---- proofs ----------------------------------------------------------------------------
 */

void judge_froze(uint8_t host, uint8_t group, uint64_t epoch)
{
    struct frozen *f = frozen[group][host];

    memmove(f + 1, f, (FROZEN_KEPT - 1) * sizeof *f);
    f->epoch = epoch;
    proc_incarnation((uint8_t)(CTLS + host), &f->by);
}

static bool has_frozen(uint8_t host, uint8_t group, const struct entry_proof *p)
{
    for (unsigned i = 0; i < FROZEN_KEPT; i++) {
        const struct frozen *f = &frozen[group][host][i];

        if (f->epoch == p->epoch && incarnation_equal(&f->by, &p->prover))
            return true;
    }
    return false;
}

/* A life that lost its state may find the gate as the one before it froze it: the kernel
 * keeps that until the host boots. */
static bool stands_frozen(uint8_t host, uint8_t group, uint64_t epoch)
{
    const struct cell *c = &gates[host].cells[group];

    return c->managed && c->st.fenced && c->st.epoch >= epoch;
}

/* What a host lets through: by an open gate, or, after a boot, by none. */
static bool lets_through(uint8_t host, uint8_t group)
{
    return gate_is_open(host, group) &&
           (gates[host].cells[group].managed || pg_server(host, group)->pid != 0);
}

bool judge_is_severed(uint8_t host, uint8_t group, uint64_t epoch)
{
    const struct severed *v = &severed[group];

    return v->epoch != 0 && v->host == host && epoch <= v->epoch;
}

/* I2: a member of the set on record takes nothing of its log. Its gate may be open. */
static void judge_severed(uint8_t group, const struct entry_proof *p)
{
    const struct books *b = &books[group];
    uint8_t other = (uint8_t)(1 - p->instance), host = host_of(group, p->instance);
    uint8_t by = host_of(group, other);
    const struct server *s = pg_server(by, group);

    if (strcmp(host_name(by), p->severed_by) != 0 || (b->set & 1u << other) == 0 ||
        b->active != p->instance || !b->opened)
        sim_fail("I2: %s is proven over for epoch %" PRIu64 " of group %s by %s, without "
                 "which it acknowledges: by the log the set is %x",
                 host_name(host), p->epoch, group_name(group), p->severed_by, b->set);
    else if (s->streaming && s->upstream == host)
        sim_fail("I2: %s is proven over for epoch %" PRIu64
                 " of group %s, and %s streams its log",
                 host_name(host), p->epoch, group_name(group), p->severed_by);
    severed[group] = (struct severed){b->epoch, host, s->len > 0 ? s->wal[s->len - 1] : 0};
}

/* I2: it is as the proof says, before anybody is activated on it. */
static void judge_proof(uint8_t group, const struct entry_proof *p)
{
    uint8_t host = host_of(group, p->instance);

    if (p->kind == PROOF_INSTALLED)
        return;
    if (p->kind == PROOF_SYNC_SEVERED) {
        judge_severed(group, p);
        return;
    }
    if (lets_through(host, group))
        sim_fail("I2: %s is proven over for epoch %" PRIu64
                 " of group %s (%s), and its gate is open",
                 host_name(host), p->epoch, group_name(group), proof_kind_name(p->kind));
    /* The kernel that counted that life's lease is no more; a BMC lies (power.c) only where
     * no lease of the host runs. */
    if (p->kind == PROOF_POWER &&
        incarnation_equal(&p->prover, &grants[group][p->instance].to))
        grants[group][p->instance].over = true;
    if (p->kind != PROOF_AGENT)
        return;
    if (!has_frozen(host, group, p) && !stands_frozen(host, group, p->epoch))
        sim_fail("I2: the agent's word that %s is over for epoch %" PRIu64
                 " of group %s counts, and that life has frozen no such gate",
                 host_name(host), p->epoch, group_name(group));
    if (incarnation_equal(&p->prover, &grants[group][p->instance].to))
        grants[group][p->instance].over = true;
}

/* The loudest alarm there is must not be a false one. */
static void judge_alarm(uint8_t group, const struct entry_false_proof *f)
{
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t host = host_of(group, i);

        if (strcmp(host_name(host), f->agent) == 0 &&
            !(f->kind == PROOF_POWER && power_has_lied(host)))
            sim_fail("I2: the proof of %s by %s for group %s is said not to hold, and it "
                     "holds: %s",
                     f->agent, proof_kind_name(f->kind), group_name(group), f->text);
    }
}

/* ---- the books -------------------------------------------------------------------------
 */

static void let_go(uint8_t group)
{
    struct books *b = &books[group];

    b->managed = b->opened = false;
    b->fence_at = 0;
    severed[group].epoch = 0;
    /* Nobody promises anything any more; a late answer may still arm a gate. */
    grants[group][0].over = grants[group][1].over = true;
}

static void keep_set(struct books *b, const struct entry *e)
{
    member_set one = (member_set)(1u << e->sync.instance);

    if (e->kind == ENTRY_SYNC_JOIN)
        b->set = (member_set)(b->set | one);
    else
        b->set = (member_set)(b->set & ~one);
}

static void keep_books(struct books *b, uint64_t index, const struct entry *e)
{
    switch ((int)e->kind) {
    case ENTRY_FENCE_BEGIN:
        b->fence_at = index;
        break;
    case ENTRY_ACTIVATE:
        b->formed = !b->managed;
        if (b->formed)
            b->set = (member_set)(1u << e->activate.instance);
        b->epoch = e->activate.epoch;
        b->active = e->activate.instance;
        b->managed = true;
        b->opened = false;
        b->fence_at = 0;
        break;
    case ENTRY_OPENED:
        b->opened = true;
        b->set = (member_set)(1u << b->active);
        break;
    case ENTRY_SYNC_JOIN:
    case ENTRY_SYNC_SHRINK:
        keep_set(b, e);
        break;
    default:
        break;
    }
}

void judge_lease_entry(uint8_t group, uint64_t index, const struct entry *e,
                       const struct group *g)
{
    struct books *b = &books[group];

    if (e->kind == ENTRY_FALSE_PROOF)
        judge_alarm(group, &e->false_proof);
    if (e->kind == ENTRY_PROOF && e->proof.instance < 2)
        judge_proof(group, &e->proof);
    if (b->fence_at != 0 && (e->kind == ENTRY_SYNC_JOIN || e->kind == ENTRY_SYNC_SHRINK))
        sim_fail("I4: the set of group %s changes, and fence_begin at %" PRIu64
                 " is in force",
                 group_name(group), b->fence_at);
    keep_books(b, index, e);
    if (e->kind == ENTRY_DETACH || e->kind == ENTRY_REMOVE)
        let_go(group);
    if (g != NULL && b->managed && g->sync_set != b->set)
        sim_fail("I8: the set of group %s is %x after %s, by the log it is %x",
                 group_name(group), g->sync_set, entry_kind_name(e->kind), b->set);
}

/* ---- acknowledgements ------------------------------------------------------------------
 */

static bool has_write(const struct server *s, int id)
{
    int at = s->len;

    while (at > 0 && s->wal[at - 1] > id)
        at--;
    return at > 0 && s->wal[at - 1] == id;
}

/* I8: a write is acknowledged when every other member of the set on record has it; after
 * fence_begin too, while the lease lasts: they are the candidates. */
void judge_members_have(uint8_t host, uint8_t group, int id, uint64_t epoch)
{
    const struct books *b = &books[group];
    uint8_t other = (uint8_t)(1 - instance_on(host, group));

    if (judge_is_severed(host, group, epoch) && id > severed[group].last)
        sim_fail("I2: %s acknowledges write %d in epoch %" PRIu64
                 " of group %s, in which it was proven over by severing",
                 host_name(host), id, epoch, group_name(group));
    if (!b->managed || epoch != b->epoch)
        return; /* let go, or of an epoch before, which the gate judges */
    if (b->active == other || (!b->opened && !b->formed))
        sim_fail("I8: %s acknowledges write %d in epoch %" PRIu64
                 " of group %s, which is not opened there",
                 host_name(host), id, epoch, group_name(group));
    else if (plan.sync[group] != SYNC_OFF && (b->set & 1u << other) != 0 &&
             !has_write(pg_server(host_of(group, other), group), id))
        sim_fail("I8: write %d of group %s is acknowledged by %s, and %s, which is in the "
                 "set, does not have it",
                 id, group_name(group), host_name(host), host_name(host_of(group, other)));
}
