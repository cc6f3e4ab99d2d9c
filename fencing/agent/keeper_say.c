/* What the keeper says to controllers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "fencing/agent/keeper_private.h"
#include "fencing/agent/wire_text.h"
#include "proto/entry_codec.h"

void keeper_say_hello(struct uplink *u)
{
    struct keeper *k = u->k;
    const struct agent_settings *s = k->parts.settings;
    const struct epoch_table *known = keeper_remembers(&k->core);
    Rf__AgentHello h = RF__AGENT_HELLO__INIT;
    Rf__Frame frame = RF__FRAME__INIT;
    Rf__Incarnation incarnation;
    Rf__EpochSeen seen[AGENT_GROUPS_MAX], *list[AGENT_GROUPS_MAX];

    h.cluster = wire_text(s->cluster);
    h.name = wire_text(s->name);
    h.region = wire_text(s->region);
    h.address = wire_text(s->address);
    h.version = wire_text(RF_VERSION);
    h.format_min = entry_formats().min;
    h.format_max = entry_formats().max;
    frame_incarnation_put(&k->core.me, &incarnation);
    h.incarnation = &incarnation;
    /* What is on disk: an epoch that we only heard of may be forgotten again. */
    for (uint8_t i = 0; i < known->count; i++) {
        rf__epoch_seen__init(&seen[i]);
        seen[i].group = (char *)known->of[i].group;
        seen[i].highest = known->of[i].highest;
        seen[i].fenced = known->of[i].fenced;
        list[h.n_epochs++] = &seen[i];
    }
    h.epochs = list;
    h.gate_driver = k->health.capabilities.driver == GATE_BPF ? wire_text("ebpf")
                                                              : wire_text("nftables");
    h.http_port = s->has_http ? s->http.port : 0;
    frame.body_case = RF__FRAME__BODY_AGENT_HELLO;
    frame.agent_hello = &h;
    uplink_send(u, &frame);
}

void keeper_say_renew(struct keeper *k, const struct keeper_renewal *r)
{
    Rf__Renew m = RF__RENEW__INIT;
    Rf__Frame frame = RF__FRAME__INIT;
    Rf__Incarnation incarnation;
    Rf__RenewItem items[AGENT_GROUPS_MAX], *list[AGENT_GROUPS_MAX];
    /* The one before this was not answered: the leader may be another one by now (I7). */
    bool all = k->core.acked_seq + 1 < r->seq;

    m.seq = r->seq;
    m.sent_boot_ns = r->sent.ns;
    frame_incarnation_put(&k->core.me, &incarnation);
    m.incarnation = &incarnation;
    for (uint8_t i = 0; i < r->count; i++) {
        rf__renew_item__init(&items[i]);
        items[i].group = k->core.want.of[r->items[i].slot].group;
        items[i].instance = wire_text(k->parts.settings->name);
        items[i].epoch = r->items[i].epoch;
        items[i].kind = (Rf__LeaseKind)r->items[i].kind;
        list[m.n_items++] = &items[i];
    }
    m.items = list;
    frame.body_case = RF__FRAME__BODY_RENEW;
    frame.renew = &m;
    keeper_send(k, &frame, all);
}

void keeper_say_proof(struct keeper *k, const struct keeper_effect *e)
{
    Rf__FenceProof m = RF__FENCE_PROOF__INIT;
    Rf__Frame frame = RF__FRAME__INIT;
    Rf__Incarnation incarnation;

    frame_incarnation_put(&k->core.me, &incarnation);
    m.incarnation = &incarnation;
    m.group = k->core.want.of[e->slot].group;
    m.instance = wire_text(k->parts.settings->name);
    m.epoch = e->epoch;
    m.fence_index = e->fence_index;
    m.installed = e->installed;
    m.server_stopped = k->core.slots[e->slot].server.stopped;
    frame.body_case = RF__FRAME__BODY_FENCE_PROOF;
    frame.fence_proof = &m;
    keeper_send(k, &frame, true); /* the sooner the better, by whichever way */
}

void keeper_say_result(struct keeper *k, const struct buf *packed)
{
    Rf__StepReport *m = rf__step_report__unpack(NULL, packed->len, packed->data);
    Rf__Frame frame = RF__FRAME__INIT;

    if (m == NULL)
        return; /* no memory; the order is repeated, and so is its result */
    frame.body_case = RF__FRAME__BODY_STEP_REPORT;
    frame.step_report = m;
    keeper_send(k, &frame, keeper_unanswered(&k->core));
    rf__step_report__free_unpacked(m, NULL);
}

/* ---- reports --------------------------------------------------------------------------
 */

static char *mode_text(const struct keeper_slot *s, struct boot now)
{
    if (!s->managed)
        return wire_text("unmanaged");
    if (s->gate.mode == GATE_CLOSED || s->gate.deadline.ns <= now.ns)
        return wire_text("closed");
    return s->gate.mode == GATE_OPEN ? wire_text("open") : wire_text("replication");
}

static int64_t margin_ms(const struct keeper_slot *s, struct boot now)
{
    if (s->lease.kind == KIND_NONE || s->lease.epoch != s->a.epoch)
        return -1;
    return (int64_t)(s->lease.deadline.ns - now.ns) / NS_PER_MS;
}

/* The steps' thread speaks at each look at its server, whatever comes of the look. One that
 * has stood still for so long (on a disk that hangs under the mark before a step, I6) can
 * begin nothing, and is no target of a move. */
static bool steps_stand_still(const struct keeper *k, uint8_t slot, struct boot now)
{
    const struct kept_report *kept = &k->reports[slot];

    return kept->packed.len != 0 && k->core.slots[slot].a.role != ROLE_DETACHED &&
           now.ns - kept->taken.ns > (uint64_t)KEEPER_STEPS_STILL_MS * NS_PER_MS;
}

/* I9: a look is as old as it is when it is told of, however long the letter lay on the
 * board or a thread was held up with it. */
static void fill_age(Rf__InstanceReport *r)
{
    if (r->seen == NULL)
        return;
    r->seen_age_ms = mono_since_ms((struct mono){r->seen->looked_ns}, mono_now()) + 1;
    r->seen->looked_ns = 0; /* another host would make nothing of it */
}

struct outgoing {
    Rf__InstanceReport plain[AGENT_GROUPS_MAX], filled[AGENT_GROUPS_MAX];
    Rf__InstanceReport *unpacked[AGENT_GROUPS_MAX], *list[AGENT_GROUPS_MAX];
    char left_over[AGENT_GROUPS_MAX][KEEPER_LEFT_OVER_SIZE];
};

/* The gate's part of a report, which the steps leave empty. The strings it borrows are
 * taken back before the message is freed. */
static void fill_gate(const struct keeper *k, uint8_t slot, struct boot now,
                      struct outgoing *o)
{
    Rf__InstanceReport *r = &o->filled[slot];
    const struct keeper_slot *s = &k->core.slots[slot];
    const char *hold = keeper_hold(&k->core, slot);

    r->epoch = k->core.disk.of[slot].highest;
    r->gate_mode = mode_text(s, now);
    r->lease_margin_ms = margin_ms(s, now);
    r->gate_proven = s->managed && k->core.want.of[slot].tried;
    if (steps_stand_still(k, slot, now)) {
        r->unfit = true;
        r->problem = wire_text("the agent's steps stand still: does the disk under "
                               "state_dir hang?");
    }
    if (r->problem[0] == 0)
        r->problem = wire_text(s->problem);
    if (r->problem[0] == 0 && hold != NULL)
        r->problem = wire_text(hold);
    if (r->problem[0] == 0 &&
        keeper_left_over(&k->core, slot, o->left_over[slot], sizeof o->left_over[slot]))
        r->problem = o->left_over[slot];
}

static void add_report(const struct keeper *k, uint8_t slot, struct boot now,
                       struct outgoing *o, Rf__AgentReport *m)
{
    const struct buf *packed = &k->reports[slot].packed;

    rf__instance_report__init(&o->filled[slot]);
    if (packed->len != 0)
        o->unpacked[slot] = rf__instance_report__unpack(NULL, packed->len, packed->data);
    if (o->unpacked[slot] != NULL)
        o->filled[slot] = *o->unpacked[slot];
    o->filled[slot].group = wire_text(k->core.want.of[slot].group);
    o->filled[slot].instance = wire_text(k->parts.settings->name);
    fill_age(&o->filled[slot]);
    fill_gate(k, slot, now, o);
    o->list[m->n_instances++] = &o->filled[slot];
}

/* Each controller dates it by its own answers to this link's pings (relay.h): rounded
 * down, and counted to `now`, which is before all ages in the report were: an answer said
 * to be older than it is would make the report younger: a thread may stop anywhere. */
static void send_dated(struct keeper *k, Rf__Frame *frame, struct boot now)
{
    bool all = keeper_unanswered(&k->core);

    for (unsigned i = 0; i < k->uplink_count; i++) {
        struct uplink *u = &k->uplinks[i];

        if (!keeper_is_way(k, u, all))
            continue;
        frame->agent_report->answered_seq = u->answered_seq;
        frame->agent_report->answered_age_ms =
            u->answered_seq != 0
                ? (MUTANT(report_dated_late, now.ns, boot_now().ns) - u->answered.ns) /
                      NS_PER_MS
                : 0;
        uplink_send(u, frame);
    }
}

static bool says_all(const struct keeper *k, uint64_t slots)
{
    for (uint8_t i = 0; i < k->core.want.count; i++)
        if (k->core.slots[i].assigned && (slots >> i & 1) == 0)
            return false;
    return true;
}

static Rf__GuardState told_of_guard(const struct guard_health *g)
{
    if (!g->wanted)
        return RF__GUARD_STATE__GUARD_OFF;
    return g->there ? RF__GUARD_STATE__GUARD_UP : RF__GUARD_STATE__GUARD_DOWN;
}

void keeper_say_report(struct keeper *k, uint64_t slots)
{
    struct outgoing o;
    Rf__AgentReport m = RF__AGENT_REPORT__INIT;
    Rf__Frame frame = RF__FRAME__INIT;
    Rf__Incarnation incarnation;
    struct boot now = boot_now();

    k->reported = now;
    if (says_all(k, slots))
        k->told_all = now;
    k->news &= ~slots;
    memset(o.unpacked, 0, sizeof o.unpacked);
    frame_incarnation_put(&k->core.me, &incarnation);
    m.seq = ++k->report_seq;
    m.incarnation = &incarnation;
    m.clock_rate_ppm = k->core.clock_rate_ppm;
    m.loop_lag_us = k->health.loop_lag_us;
    m.guard = told_of_guard(&k->health.guard);
    for (uint8_t i = 0; i < k->core.want.count; i++)
        if (k->core.slots[i].assigned && (slots >> i & 1) != 0)
            add_report(k, i, now, &o, &m);
    m.instances = o.list;
    /* Without any instance too: it is how the leader hears that the agent lives. */
    frame.body_case = RF__FRAME__BODY_AGENT_REPORT;
    frame.agent_report = &m;
    send_dated(k, &frame, now);
    for (unsigned i = 0; i < k->core.want.count; i++)
        if (o.unpacked[i] != NULL)
            rf__instance_report__free_unpacked(o.unpacked[i], NULL);
}
