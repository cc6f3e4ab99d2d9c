#include "tests/sim/judge.h"

#include <inttypes.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "tests/sim/apart.h"
#include "tests/sim/coverage.h"
#include "tests/sim/gates.h"
#include "tests/sim/judge_calm.h"
#include "tests/sim/judge_lease.h"
#include "tests/sim/judge_log.h"
#include "tests/sim/judge_loss.h"
#include "tests/sim/judge_raft.h"
#include "tests/sim/judge_steps.h"
#include "tests/sim/net.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/replace.h"
#include "tests/sim/trail.h"

enum {
    WRITES_WANTED = 3,
    SETTLE_MS = 1000,
    CHANGES_MAX = 128,
    LOOK_EACH_MS = 50,
    LOOK_CLOSE_MS = 5
};

/* The group went from one instance to another. */
struct change {
    uint8_t from, to; /* hosts */
    uint64_t at;
};

static struct {
    uint64_t epoch_acked, epoch_seen; /* highest */
    uint8_t active;                   /* host; NOBODY: none yet */
    unsigned changes;
    struct change change[CHANGES_MAX];
} of_group[WORLD_GROUPS_MAX];

static bool disk_failed[CTLS];
static uint64_t looked_at;
struct judge_counts judged;

static uint8_t host_of(uint8_t group, uint8_t instance)
{
    return pgs[group].hosts[instance];
}

static const char *host_name(uint8_t host) { return node_name((uint8_t)(CTLS + host)); }

/* ---- at every step ---------------------------------------------------------------------
 */

/* True if a client's write could be acknowledged there, were the server willing. */
static bool serves(uint8_t host, uint8_t group)
{
    const struct server *s = pg_server(host, group);

    if (!gate_is_open(host, group) ||
        judge_is_severed(host, group, gates[host].cells[group].st.epoch))
        return false;
    /* A reader's gate is open too; then the server's role and its blocking names count. */
    if (plan.standby_reads[group] || !gates[host].cells[group].managed)
        return s->state == SERVER_PRIMARY && !s->blocked;
    return true;
}

void judge_group(uint8_t group)
{
    uint8_t a = host_of(group, 0), b = host_of(group, 1);

    if (sim.over || operators[group].unmanaged || !serves(a, group) || !serves(b, group))
        return;
    sim_fail("I1, I3: group %s: both gates are open, epochs %" PRIu64 " and %" PRIu64
             ", the log is at %" PRIu64,
             group_name(group), gates[a].cells[group].st.epoch,
             gates[b].cells[group].st.epoch, of_group[group].epoch_seen);
}

void judge_follows(uint8_t host, uint8_t group)
{
    if (pg_server(host, group)->state == SERVER_PRIMARY && serves(host, group) &&
        gates[host].cells[group].managed)
        sim_fail("I6, rewind: %s is to be rewound while it serves group %s under a lease",
                 host_name(host), group_name(group));
}

static void judge_writable(void);

void judge_step(void)
{
    bool settled;

    if (sim.noisy && sim.now > sim.heal_at) {
        sim.noisy = false;
        for (uint8_t g = 0; g < sim.groups; g++)
            judge_fault(g, true);
    }
    if (sim.noisy || sim.now < looked_at)
        return;
    looked_at =
        sim.now + (uint64_t)(sim.opt.one_away ? LOOK_CLOSE_MS : LOOK_EACH_MS) * NS_PER_MS;
    if (sim.opt.calm)
        for (uint8_t g = 0; g < sim.groups; g++)
            judge_calm(g, of_group[g].active);
    settled = judge_is_settled();
    judge_writable();
    if (apart_goes_on())
        apart_step(settled);
    else if (settled)
        sim.over = true;
}

/* ---- what clients see ------------------------------------------------------------------
 */

static void remember(uint8_t group, enum event_kind kind, uint8_t client, uint64_t number)
{
    history_add(&pgs[group].history,
                (struct event){.at_ns = (int64_t)sim.now,
                               .number = number,
                               .kind = (uint8_t)kind,
                               .client = client,
                               .host = client >= CLIENT_PROBE
                                           ? (uint8_t)(client - CLIENT_PROBE)
                                           : client});
}

static bool is_promised(uint8_t host, uint8_t group)
{
    return !operators[group].unmanaged && gates[host].cells[group].managed;
}

void judge_sent(uint8_t host, uint8_t group, int id)
{
    if (!is_promised(host, group))
        return;
    remember(group, EVENT_BEGIN, (uint8_t)(CLIENT_WRITER + host), (uint64_t)id);
    remember(group, EVENT_BEGIN, (uint8_t)(CLIENT_PROBE + host), (uint64_t)id);
}

static void after_healing(uint8_t host, uint8_t group)
{
    pgs[group].acks_healed++;
    apart_ack(host, group);
}

void judge_ack(uint8_t host, uint8_t group, int id, uint64_t sent_in)
{
    uint64_t epoch = gates[host].cells[group].st.epoch;
    struct pair_of_servers *p = &pgs[group];

    sim_mix((uint64_t)id << 16 ^ host ^ sim.now);
    if (!is_promised(host, group))
        return;
    if (epoch < of_group[group].epoch_acked && !judge_is_severed(host, group, epoch))
        sim_fail("I3: %s acknowledges in epoch %" PRIu64 " of group %s after %" PRIu64,
                 host_name(host), epoch, group_name(group), of_group[group].epoch_acked);
    if (sent_in != 0 && sent_in != epoch)
        sim_fail("I3: a connection of epoch %" PRIu64
                 " of group %s lives in epoch %" PRIu64,
                 sent_in, group_name(group), epoch);
    judge_members_have(host, group, id, epoch);
    if (epoch > of_group[group].epoch_acked)
        of_group[group].epoch_acked = epoch;
    p->writes[id - 1].acked = true;
    p->acks++;
    judged.acks++;
    if (sim.now > sim.heal_at + (uint64_t)SETTLE_MS * NS_PER_MS)
        after_healing(host, group);
    remember(group, EVENT_ACK, (uint8_t)(CLIENT_WRITER + host), (uint64_t)id);
    remember(group, EVENT_ACK, (uint8_t)(CLIENT_PROBE + host), (uint64_t)id);
}

void judge_logged(uint8_t group, enum event_kind kind, uint8_t instance, uint64_t epoch)
{
    history_add(&pgs[group].history, (struct event){.at_ns = (int64_t)sim.now,
                                                    .number = epoch,
                                                    .kind = (uint8_t)kind,
                                                    .host = host_of(group, instance)});
}

void judge_fault(uint8_t group, bool healed)
{
    remember(group, healed ? EVENT_HEALED : EVENT_FAULT, CLIENT_WRITER, 0);
}

/* What was acknowledged under no gate of ours, nobody has promised (I9). */
static void forget_promises(uint8_t group)
{
    struct pair_of_servers *p = &pgs[group];

    for (int i = 0; i < p->write_count; i++)
        p->writes[i].acked = false;
    p->history.count = 0;
    of_group[group].changes = 0;
}

/* ---- losses (I8, I9) -------------------------------------------------------------------
 */

static bool may_lose(uint8_t group)
{
    return plan.sync[group] == SYNC_OFF || plan.sync[group] == SYNC_PREFERRED;
}

/* Acknowledged writes that the instance does not have; they are then excused. */
static uint64_t excuse_missing(uint8_t host, uint8_t group, int *ret_first)
{
    struct pair_of_servers *p = &pgs[group];
    const struct server *s = pg_server(host, group);
    uint64_t missing = 0;
    int at = 0;

    for (int id = 1; id <= p->write_count; id++) {
        while (at < s->len && s->wal[at] < id)
            at++;
        if (!p->writes[id - 1].acked || (at < s->len && s->wal[at] == id))
            continue;
        if (missing++ == 0)
            *ret_first = id;
        p->writes[id - 1].acked = false;
    }
    return missing;
}

/* One that has crashed since has what it had. */
static bool is_primary_or_was(const struct server *s)
{
    return s->state == SERVER_PRIMARY ||
           (!s->standby_dir && (s->state == SERVER_DOWN || s->state == SERVER_STARTING));
}

static void judge_loss(uint8_t group, const struct group *g)
{
    uint8_t host = host_of(group, g->active);
    struct missing missing = {0};

    if (!is_primary_or_was(pg_server(host, group)))
        return; /* it is something else by now, and the next one is looked at */
    missing.count = excuse_missing(host, group, &missing.first);
    judged.lost += missing.count;
    if (missing.count != 0 && !may_lose(group))
        sim_fail("I8: write %d of group %s was acknowledged and is missing on %s",
                 missing.first, group_name(group), host_name(host));
    loss_opened(group, g, &missing);
}

/* ---- what the log says ------------------------------------------------------------------
 */

static bool runs_ungated(uint8_t host, uint8_t group)
{
    return !gates[host].cells[group].managed && pg_server(host, group)->pid != 0;
}

/* I1, I2: the world is as the proofs say. */
static void judge_activated(uint8_t group, const struct group *g)
{
    uint8_t active = host_of(group, g->active), other = host_of(group, 1 - g->active);

    if (g->epoch <= of_group[group].epoch_seen)
        sim_fail("I1: epoch %" PRIu64 " of group %s after %" PRIu64, g->epoch,
                 group_name(group), of_group[group].epoch_seen);
    of_group[group].epoch_seen = g->epoch;
    operators[group].unmanaged = false;
    if (serves(other, group) || runs_ungated(other, group))
        sim_fail("I2: %s %s while %s is activated for epoch %" PRIu64 " of group %s",
                 host_name(other), serves(other, group) ? "serves" : "has no gate",
                 host_name(active), g->epoch, group_name(group));
}

static void judge_opened(uint8_t group, const struct group *g)
{
    uint8_t active = host_of(group, g->active), before = of_group[group].active;

    judged.opens++;
    of_group[group].active = active;
    if (before != NOBODY && before != active && of_group[group].changes < CHANGES_MAX)
        of_group[group].change[of_group[group].changes++] =
            (struct change){before, active, sim.now};
    judge_loss(group, g);
}

/* I8: whoever is let into the set holds what was acknowledged, at this very moment. */
static void judge_joined(uint8_t group, const struct group *g, uint8_t instance)
{
    const struct pair_of_servers *p = &pgs[group];
    uint8_t host = host_of(group, instance);
    const struct server *s = pg_server(host, group);
    int at = 0;

    if (operators[group].unmanaged || s->state != SERVER_STANDBY)
        return; /* it has gone since: what it had stays */
    for (int id = 1; id <= p->write_count; id++) {
        while (at < s->len && s->wal[at] < id)
            at++;
        if (!p->writes[id - 1].acked || (at < s->len && s->wal[at] == id))
            continue;
        sim_fail("I8: %s joins the set of group %s in epoch %" PRIu64 " without write %d, "
                 "which was acknowledged",
                 host_name(host), group_name(group), g->epoch, id);
        return;
    }
}

void judge_entry(uint8_t group, const struct entry *e, const struct group *g)
{
    switch ((int)e->kind) {
    case ENTRY_ACTIVATE:
        judge_activated(group, g);
        loss_activated(group, e, g);
        break;
    case ENTRY_OPENED:
        judge_opened(group, g);
        judge_logged(group, EVENT_OPENED, g->active, g->epoch);
        break;
    case ENTRY_FENCE_BEGIN:
        judged.fences++;
        judge_logged(group, EVENT_FENCED, g->active, g->epoch);
        break;
    case ENTRY_STEP_END:
        loss_step_ended(group, e, g);
        break;
    case ENTRY_SYNC_JOIN:
        judge_joined(group, g, e->sync.instance);
        break;
    case ENTRY_SYNC_SHRINK:
        if (g->policy.sync == SYNC_STRICT)
            sim_fail("I8: group %s is strict, and its set has shrunk", group_name(group));
        break;
    case ENTRY_DETACH:
        operators[group].unmanaged = true;
        forget_promises(group);
        loss_forget(group);
        break;
    default:
        break;
    }
}

/* ---- programs --------------------------------------------------------------------------
 */

void judge_disk_failed(uint8_t node) { disk_failed[node] = true; }

void judge_ended(uint8_t node)
{
    if (node >= CTLS) {
        sim_note("agent %s ends by itself", node_name(node));
        return;
    }
    sim_note("controller %s stops", node_name(node));
    if (!disk_failed[node] && !replace_may_end(node))
        sim_fail("controller %s has stopped, and its disk was fine: %s", node_name(node),
                 judge_log_last_error());
    disk_failed[node] = false;
}

/* ---- the end ---------------------------------------------------------------------------
 */

/* The former primary is back, too: so what it had beyond the other one is known. Of one
 * that left nothing a follow may be on record as failed (its answer was lost, or came too
 * early): it streams, and nothing is to be done. */
static bool is_followed(uint8_t group, const struct group *g)
{
    uint8_t other = 1 - g->active;
    enum step_state last = g->instances[other].step.state;
    bool left = g->run.kind != RUN_FORM && g->run.from == other && !g->run.loss_known;

    return pg_server(host_of(group, other), group)->streaming &&
           (last == STEP_DONE || last == STEP_IDLE || (last == STEP_FAILED && !left));
}

/* What `status` shows of a server that was stopped, after it has been: "" for nothing. */
static const char *stale_problem(uint8_t group)
{
    for (uint8_t node = 0; node < CTLS; node++) {
        struct daemon *d = ctl_daemon(node);
        const struct group *g =
            d != NULL && node_leads(d->node)
                ? state_group_const(node_state(d->node), group_name(group))
                : NULL;

        for (uint8_t i = 0; g != NULL && i < g->instance_count; i++) {
            const char *problem = node_seen(d->node)
                                      ->groups[g - node_state(d->node)->groups]
                                      .instances[i]
                                      .seen.problem;

            if (strstr(problem, "it is stopped") != NULL)
                return problem;
        }
    }
    return "";
}

static bool is_settled(uint8_t group)
{
    uint8_t node;
    const struct group *g = judge_view(group, &node);

    if (g == NULL || g->phase != PHASE_STEADY || pgs[group].acks_healed < WRITES_WANTED ||
        operators[group].detaching || operators[group].unmanaged)
        return false;
    if (stale_problem(group)[0] != '\0')
        return false;
    return plan.sync[group] == SYNC_OFF ? is_followed(group, g) : g->sync_set == 3;
}

bool judge_is_settled(void)
{
    if (sim.now < sim.settle_at || replace_goes_on())
        return false;
    for (uint8_t g = 0; g < sim.groups; g++)
        if (!is_settled(g))
            return false;
    return true;
}

static void explain_stuck(uint8_t group)
{
    static struct explanation out;
    uint8_t node;
    const struct group *g = judge_view(group, &node);
    const struct server *a = pg_server(host_of(group, 0), group);
    const struct server *b = pg_server(host_of(group, 1), group);
    struct daemon *d = g != NULL ? ctl_daemon(node) : NULL;

    sim.stuck = true;
    if (d == NULL) {
        sim_fail("I11: group %s is not there", group_name(group));
        return;
    }
    explain(node_state(d->node), node_seen(d->node),
            (uint8_t)(g - node_state(d->node)->groups),
            (struct mono){clock_of(&sim.procs[node].clock)}, &out);
    sim_note("why, says %s: %s", node_name(node), out.verdict);
    sim_note("a problem of before: '%s'", stale_problem(group));
    sim_fail("I11: group %s is stuck: %s, epoch %" PRIu64 ", active %s, set %x, servers "
             "%s and %s, steps %s/%d and %s/%d, acks %" PRIu64 "%s: %s",
             group_name(group), phase_name(g->phase), g->epoch,
             host_name(host_of(group, g->active)), g->sync_set, server_state_name(a->state),
             server_state_name(b->state), step_kind_name(g->instances[0].step.kind),
             (int)g->instances[0].step.state, step_kind_name(g->instances[1].step.kind),
             (int)g->instances[1].step.state, pgs[group].acks_healed, apart_who(),
             out.verdict);
}

/* After healing a group is open again within the bound, whoever stays away. */
static void judge_writable(void)
{
    if (sim.opt.calm || sim.now < sim.writable_by)
        return;
    for (uint8_t g = 0; g < sim.groups && !sim.failed; g++)
        if (apart_lacks_acks(g))
            explain_stuck(g);
    sim.writable_by = UINT64_MAX;
}

static void judge_history(uint8_t group)
{
    struct history *h = &pgs[group].history;
    struct allowance allow = {.old = HISTORY_NO_HOST,
                              .recover_ns = (int64_t)(sim.end_at - sim.heal_at)};
    enum verdict v;
    int first;

    for (unsigned i = 0; i < of_group[group].changes; i++) {
        const struct change *c = &of_group[group].change[i];
        bool last = i + 1 == of_group[group].changes;
        struct overlap_question q = {c->from, c->to, (int64_t)c->at,
                                     last ? INT64_MAX : (int64_t)c[1].at};
        int64_t both = history_both_writable_ns(h, q);

        if (both > allow.both_writable_ns)
            allow.both_writable_ns = both;
    }
    if (may_lose(group)) /* looked at when it happened */
        (void)excuse_missing(of_group[group].active, group, &first);
    for (int id = 1; id <= pgs[group].write_count; id++) {
        const struct server *s = pg_server(of_group[group].active, group);
        bool there = false;

        if (!pgs[group].writes[id - 1].acked)
            there = may_lose(group);
        for (int lo = 0, hi = s->len; lo < hi && !there;) {
            int mid = lo + (hi - lo) / 2;

            there = s->wal[mid] == id;
            if (s->wal[mid] < id)
                lo = mid + 1;
            else
                hi = mid;
        }
        if (there)
            remember(group, EVENT_ROW, CLIENT_WRITER, (uint64_t)id);
    }
    v = history_judge(h, &allow);
    if (v != VERDICT_OK)
        sim_fail("history of group %s: %s", group_name(group), verdict_text(v));
}

void judge_last(void)
{
    uint8_t node;

    judged.seconds += sim.now / 1000000000u;
    if (sim.failed)
        return;
    trail_last();
    for (uint8_t g = 0; g < sim.groups && !sim.failed; g++)
        if (apart_lacks(g, is_settled(g)))
            explain_stuck(g);
        else {
            judge_history(g);
            loss_last(g, judge_view(g, &node));
        }
}

void judge_begin(void)
{
    memset(of_group, 0, sizeof of_group);
    memset(disk_failed, 0, sizeof disk_failed);
    for (uint8_t g = 0; g < WORLD_GROUPS_MAX; g++)
        of_group[g].active = NOBODY;
    looked_at = 0;
    judge_log_begin();
    judge_calm_begin();
    judge_lease_begin();
    judge_raft_begin();
    judge_steps_begin();
    loss_begin();
    apart_begin();
    judge_once_begin();
}

void judge_end(void)
{
    judge_log_end();
    trail_end();
    judge_raft_end();
}
