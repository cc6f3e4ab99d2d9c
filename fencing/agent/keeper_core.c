#include "fencing/agent/keeper_core.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/mutant.h"

const char *keeper_effect_name(enum keeper_effect_kind kind)
{
    static const char *const names[] = {
#define X(name, text) [(name)] = (text),
        KEEPER_EFFECT_MAP(X)
#undef X
    };

    return kind < KEEPER_EFFECT_COUNT ? names[kind] : "?";
}

void keeper_core_init(struct keeper_core *k, const struct incarnation *me,
                      const struct epoch_table *on_disk)
{
    ASSERT(on_disk->count <= AGENT_GROUPS_MAX);
    memset(k, 0, sizeof *k);
    k->me = *me;
    k->want = k->disk = *on_disk;
    for (uint8_t i = 0; i < on_disk->count; i++) {
        k->slots[i].used = true;
        memcpy(k->slots[i].a.group, on_disk->of[i].group, AGENT_NAME_SIZE);
    }
}

void keeper_doubt_disk(struct keeper_core *k)
{
    k->disk = (struct epoch_table){0};
    k->doubted = true;
}

const struct epoch_table *keeper_remembers(const struct keeper_core *k)
{
    return k->doubted ? &k->want : &k->disk;
}

void keeper_count_from(struct keeper_core *k, uint64_t seq)
{
    ASSERT(k->counts.sent == 0);
    k->seq = seq;
    k->acked_seq = seq;
}

/* What the kernel has beyond the record is closed with this port as well; what it lacks of
 * the record is put into the gate before anybody is heard. */
static void take_doors(struct keeper_core *k, uint8_t slot,
                       const struct keeper_found *found)
{
    struct also_ports *also = &k->want.of[slot].also;

    k->slots[slot].also_known = true;
    for (uint8_t i = 0; i < also->count; i++)
        if (!also_ports_has(&found->also, also->of[i]))
            k->slots[slot].also_known = false;
    for (uint8_t i = 0; i < found->also.count; i++)
        (void)also_ports_add(also, found->also.of[i]);
    k->slots[slot].guests = k->slots[slot].guests_stale = found->guests;
}

bool keeper_gate_found(struct keeper_core *k, const struct keeper_found *found)
{
    const struct gate_state *gate = &found->gate;

    for (uint8_t i = 0; i < k->want.count; i++) {
        struct keeper_slot *s = &k->slots[i];

        if (k->want.of[i].port != found->port)
            continue;
        s->managed = true;
        take_doors(k, i, found);
        s->gate = *gate;
        s->frozen = gate->fenced ? gate->epoch : 0;
        /* It was armed by this incarnation out of a granted renewal, so it is a lease like
         * any other; whether of writing or reading, the role of that epoch will say. */
        if (gate->mode != GATE_CLOSED && gate->deadline.ns != GATE_FOREVER.ns)
            s->lease = (struct keeper_lease){.epoch = gate->epoch,
                                             .deadline = gate->deadline,
                                             .open = gate->mode == GATE_OPEN,
                                             .inherited = true};
        return true;
    }
    return false;
}

void keeper_gate_stray(struct keeper_core *k, const struct keeper_found *found)
{
    ASSERT(k->stray_count < GATE_PORTS_MAX);
    k->strays[k->stray_count] = *found;
    k->strays[k->stray_count].gate.mode = GATE_CLOSED;
    k->strays[k->stray_count++].gate.deadline.ns = 0;
}

/* Else it would pass for untouched: closed for good, even by a detach. */
static void take_stray(struct keeper_core *k, uint8_t slot)
{
    struct keeper_slot *s = &k->slots[slot];

    for (uint8_t i = 0; i < k->stray_count; i++) {
        struct keeper_found *stray = &k->strays[i];

        if (stray->port != s->a.port || s->managed || k->want.of[slot].port != 0)
            continue;
        s->managed = true;
        s->gate = stray->gate;
        s->frozen = stray->gate.fenced ? stray->gate.epoch : 0;
        k->want.of[slot].port = stray->port;
        take_doors(k, slot, stray);
        stray->port = 0;
    }
}

uint8_t keeper_find(const struct keeper_core *k, const char *group)
{
    for (uint8_t i = 0; i < k->want.count; i++)
        if (strncmp(k->want.of[i].group, group, AGENT_NAME_SIZE) == 0)
            return i;
    return AGENT_GROUPS_MAX;
}

/* A port of the assignment that another group has here, listed or still gated; 0: none. */
static uint16_t taken_by(const struct keeper_core *k, const struct keeper_assignment *a,
                         uint8_t other)
{
    const struct epoch_record *r = &k->want.of[other];
    const struct keeper_slot *s = &k->slots[other];
    bool listed = s->assigned && s->a.role != ROLE_DETACHED;

    for (uint8_t i = 0; i <= a->also.count; i++) {
        uint16_t port = i == 0 ? a->port : a->also.of[i - 1];

        if (port == r->port || also_ports_has(&r->also, port) ||
            (listed && (port == s->a.port || also_ports_has(&s->a.also, port))))
            return port;
    }
    return 0;
}

static int port_is_free(const struct keeper_core *k, const struct keeper_assignment *a,
                        struct err *err)
{
    for (uint8_t i = 0; i < k->want.count; i++) {
        bool same_group = strncmp(k->want.of[i].group, a->group, AGENT_NAME_SIZE) == 0;
        uint16_t taken = same_group ? 0 : taken_by(k, a, i);

        if (taken != 0 && a->role != ROLE_DETACHED)
            return err_set(
                err, ERR_CONFLICT,
                "group %s: port %u belongs to group %s here: one of them must be "
                "detached first",
                a->group, taken, k->want.of[i].group);
        if (same_group && k->want.of[i].port != 0 && k->want.of[i].port != a->port &&
            a->role != ROLE_DETACHED)
            return err_set(
                err, ERR_CONFLICT,
                "group %s: port %u is gated, the group now names port %u: detach "
                "the group before its port is changed",
                a->group, k->want.of[i].port, a->port);
    }
    return 0;
}

static int file_slot(struct keeper_core *k, const char *group, uint8_t *ret_slot,
                     struct err *err)
{
    uint8_t slot = keeper_find(k, group);

    if (slot == AGENT_GROUPS_MAX) {
        if (k->want.count == AGENT_GROUPS_MAX)
            return err_set(
                err, ERR_FULL,
                "group %s: this agent remembers %d groups already and may forget "
                "none; give the group to another agent",
                group, AGENT_GROUPS_MAX);
        slot = k->want.count++;
        k->want.of[slot] = (struct epoch_record){0};
        memcpy(k->want.of[slot].group, group, AGENT_NAME_SIZE);
        k->slots[slot] = (struct keeper_slot){.used = true};
    }
    *ret_slot = slot;
    return 0;
}

/* A lease that was found in the gate gets its kind when the role of its epoch is known: an
 * instance has one role within an epoch. */
static void name_inherited(struct keeper_slot *s)
{
    if (!s->lease.inherited || s->lease.epoch != s->a.epoch)
        return;
    s->lease.inherited = false;
    /* A port that is being adopted is open before there is a lease, or `opened` in the log:
     * nothing was granted as far as we know. */
    if (s->a.adopt) {
        s->lease = (struct keeper_lease){0};
        return;
    }
    s->lease.kind = s->a.role == ROLE_PRIMARY   ? KIND_WRITE
                    : s->a.role == ROLE_STANDBY ? KIND_READ
                                                : KIND_NONE;
}

static bool same_peers(const struct keeper_assignment *a, const struct keeper_assignment *b)
{
    return a->peer_count == b->peer_count &&
           memcmp(a->peers, b->peers, a->peer_count * sizeof a->peers[0]) == 0;
}

static bool same_exceptions(const struct keeper_assignment *a,
                            const struct keeper_assignment *b)
{
    return a->exception_count == b->exception_count &&
           memcmp(a->exceptions, b->exceptions,
                  a->exception_count * sizeof a->exceptions[0]) == 0;
}

int keeper_assign(struct keeper_core *k, const struct incarnation *to,
                  const struct keeper_assignment *a, uint8_t *ret_slot, struct err *err)
{
    uint8_t slot = keeper_find(k, a->group);
    struct keeper_slot *s;
    int status;

    ASSERT(a->peer_count <= KEEPER_PEERS_MAX && a->also.count <= KEEPER_ALSO_MAX &&
           a->exception_count <= KEEPER_EXCEPTIONS_MAX);
    if (MUTANT(obeys_before_enrolled, !incarnation_equal(to, &k->me), false))
        return err_set(err, ERR_PEER, "group %s: an assignment for another incarnation",
                       a->group);
    if (a->port == 0)
        return err_set(err, ERR_INVAL, "group %s: an assignment without a port", a->group);
    /* I6: what is older than what we know may have been sent by a stale leader. */
    if (slot != AGENT_GROUPS_MAX) {
        if (a->epoch < k->want.of[slot].highest)
            return err_set(err, ERR_STALE,
                           "group %s: epoch %" PRIu64 " is below %" PRIu64 ", seen here",
                           a->group, a->epoch, k->want.of[slot].highest);
        if (k->slots[slot].assigned && a->index < k->slots[slot].a.index)
            return err_set(err, ERR_STALE,
                           "group %s: index %" PRIu64 " is below %" PRIu64 ", known here",
                           a->group, a->index, k->slots[slot].a.index);
    }
    status = port_is_free(k, a, err);
    if (status == 0)
        status = file_slot(k, a->group, &slot, err);
    if (status != 0)
        return status;

    s = &k->slots[slot];
    if (!s->assigned || !same_peers(&s->a, a))
        s->peers_set = false;
    if (!s->assigned || !same_exceptions(&s->a, a) ||
        !also_ports_equal(&s->a.also, &a->also))
        s->guests_stale = true;
    if (a->role == ROLE_NONE && (!s->assigned || s->a.role != ROLE_NONE)) {
        s->formed = a->index;
        s->unlooked = 0;
    }
    if (!s->assigned || a->epoch != s->a.epoch || a->role != s->a.role)
        s->since = a->index;
    s->proof_due = s->proof_due || (a->proof_wanted && !s->a.proof_wanted);
    if (s->order_epoch < a->epoch)
        s->order_index = 0; /* the log went on: that proof is not waited for any more */
    s->a = *a;
    s->assigned = true;
    k->want.of[slot].highest = a->epoch;
    take_stray(k, slot);
    name_inherited(s);
    *ret_slot = slot;
    return 0;
}

int keeper_fence_order(struct keeper_core *k, const struct keeper_fence_order *o,
                       struct err *err)
{
    uint8_t slot = keeper_find(k, o->group);

    if (!incarnation_equal(&o->to, &k->me))
        return err_set(err, ERR_PEER, "fence order for another incarnation");
    if (o->epoch == 0 || o->fence_index == 0)
        return err_set(err, ERR_INVAL, "fence order that names no committed fence_begin");
    if (slot == AGENT_GROUPS_MAX || !k->slots[slot].assigned ||
        k->slots[slot].a.epoch < o->epoch)
        return err_set(err, ERR_NOTFOUND,
                       "fence order for %s epoch %" PRIu64 ": no assignment of it yet",
                       o->group, o->epoch);
    if (o->epoch < k->slots[slot].a.epoch)
        return err_set(err, ERR_STALE,
                       "fence order for %s epoch %" PRIu64 ": epoch %" PRIu64
                       " has begun here",
                       o->group, o->epoch, k->slots[slot].a.epoch);

    /* From here on nothing of this epoch is renewed or armed, even before the disk has it:
     * every answer that is still on its way is about a grant before the fence_begin. */
    if (k->want.of[slot].fenced < o->epoch)
        k->want.of[slot].fenced = o->epoch;
    k->slots[slot].order_epoch = o->epoch;
    k->slots[slot].order_index = o->fence_index;
    return 0;
}

/* The renewal of this life that the answer is about; NULL: none, or not exactly it. */
static const struct keeper_renewal *find_sent(const struct keeper_core *k,
                                              const struct keeper_ack *ack)
{
    const struct keeper_renewal *r = &k->sent[ack->seq % KEEPER_SENT_MAX];

    return ack->seq != 0 && r->seq == ack->seq && r->sent.ns == ack->sent.ns ? r : NULL;
}

static bool renewal_names(const struct keeper_renewal *r, uint8_t slot,
                          const struct keeper_verdict *v)
{
    for (uint8_t i = 0; i < r->count; i++)
        if (r->items[i].slot == slot)
            return r->items[i].epoch == v->epoch && r->items[i].kind == v->kind;
    return false;
}

static enum keeper_kind wanted_kind(const struct keeper_slot *s)
{
    if (s->a.role == ROLE_PRIMARY)
        return KIND_WRITE;
    return s->a.role == ROLE_STANDBY && s->a.standby_reads ? KIND_READ : KIND_NONE;
}

static bool take_grant(struct keeper_core *k, uint8_t slot, const struct keeper_verdict *v,
                       const struct keeper_renewal *r, struct boot now)
{
    struct keeper_slot *s = &k->slots[slot];
    /* I3: from our own send, never from the answer. */
    struct boot deadline =
        lease_holder_deadline(MUTANT(lease_from_reply, r->sent, now), v->terms);

    if (v->terms.ttl_ms < LEASE_TTL_MIN_MS || v->terms.ttl_ms > LEASE_TTL_MAX_MS)
        return false;
    /* I3: the epoch must still be ours, unfenced, and on disk (it was, or nothing would
     * have been sent). A proof of installation given meanwhile voids the answer. */
    if (!s->assigned || s->a.epoch != v->epoch || wanted_kind(s) != v->kind ||
        k->want.of[slot].fenced >= v->epoch ||
        MUTANT(epoch_unsynced, k->disk.of[slot].highest < v->epoch, false) ||
        r->seq <= s->floor_seq || deadline.ns <= now.ns)
        return false;

    if (s->lease.epoch != v->epoch || s->lease.kind != v->kind)
        s->lease = (struct keeper_lease){.kind = v->kind, .epoch = v->epoch};
    if (deadline.ns > s->lease.deadline.ns) /* a second grant extends, never shortens */
        s->lease.deadline = deadline;
    s->lease.open = s->lease.open || v->open;
    return true;
}

unsigned keeper_ack(struct keeper_core *k, const struct keeper_ack *ack, struct boot now)
{
    const struct keeper_renewal *r =
        MUTANT(other_life_answered, find_sent(k, ack),
               (&(const struct keeper_renewal){.seq = ack->seq, .sent = ack->sent}));
    unsigned taken = 0;

    /* A send time in the future cannot be ours whatever it says. */
    if (MUTANT(other_life_answered,
               r == NULL || !incarnation_equal(&ack->incarnation, &k->me), false) ||
        ack->sent.ns > now.ns) {
        k->counts.ignored++;
        return 0;
    }
    if (ack->seq > k->acked_seq)
        k->acked_seq = ack->seq;
    for (uint8_t i = 0; i < ack->count; i++) {
        const struct keeper_verdict *v = &ack->items[i];
        uint8_t slot = keeper_find(k, v->group);

        bool asked = slot != AGENT_GROUPS_MAX &&
                     MUTANT(other_life_answered, renewal_names(r, slot, v), true);

        if (asked && !v->granted) {
            k->counts.refused++;
            memcpy(k->slots[slot].refusal, v->refusal, sizeof v->refusal);
        } else if (asked && take_grant(k, slot, v, r, now)) {
            k->counts.granted++;
            k->slots[slot].refusal[0] = 0;
            taken++;
        } else {
            k->counts.ignored++;
        }
    }
    return taken;
}

void keeper_server(struct keeper_core *k, uint8_t slot, const struct keeper_server *s)
{
    ASSERT(slot < k->want.count);
    k->slots[slot].server = *s;
}

void keeper_clock(struct keeper_core *k, bool same, int64_t rate_ppm)
{
    k->clock_same = same;
    k->clock_rate_ppm = rate_ppm;
}

void keeper_tick(struct keeper_core *k)
{
    k->renew_due = true;
    for (uint8_t i = 0; i < k->want.count; i++) {
        k->slots[i].proof_due = k->slots[i].assigned && k->slots[i].a.proof_wanted;
        if (k->slots[i].unlooked < KEEPER_LOOK_TICKS)
            k->slots[i].unlooked++;
    }
}

void keeper_ask_again(struct keeper_core *k)
{
    k->renew_due = k->renew_due || keeper_unanswered(k);
}

bool keeper_unanswered(const struct keeper_core *k) { return k->acked_seq != k->seq; }

bool keeper_wants_lease(const struct keeper_core *k, uint8_t slot)
{
    const struct keeper_slot *s = &k->slots[slot];
    uint64_t epoch = s->a.epoch;

    if (!s->assigned || epoch == 0 || s->a.fence_index != 0 ||
        k->want.of[slot].fenced >= epoch || wanted_kind(s) == KIND_NONE)
        return false;
    /* I6: the disk knows the epoch; I2: the gate was seen to work; I4: the clock is fit. */
    if (MUTANT(epoch_unsynced, k->disk.of[slot].highest != epoch, false) || !s->managed ||
        !k->want.of[slot].tried || !k->clock_same ||
        !MUTANT(any_clock_rate, lease_clock_rate_ok(k->clock_rate_ppm, s->a.rho_ppm), true))
        return false;
    /* I3: a lease over a gate that lacks one of the doors would be none. */
    if (!keeper_all_gated(k, slot))
        return false;
    /* Whoever passes as a guest of a standby could write to a primary: they are shown out
     * before the lease is asked for without which no server is promoted (I6). */
    if (s->a.role == ROLE_PRIMARY)
        return !s->guests;
    /* While the log wants a proof, a read lease must run out, so that it can be given. */
    return !s->a.proof_wanted && keeper_may_read(s);
}

/* I1, I3: whoever reads at an open gate could write, if the server were none in recovery. A
 * look from before this epoch says nothing: the server may have been promoted in between,
 * and fenced before anybody looked at it again. */
bool keeper_may_read(const struct keeper_slot *s)
{
    return s->server.state == KEEPER_SERVER_STANDBY && s->server.looked >= s->since &&
           !s->server.barred;
}

static bool some_lease_is_new(const struct keeper_core *k)
{
    for (uint8_t i = 0; i < k->want.count; i++)
        if (keeper_wants_lease(k, i) && k->slots[i].asked_epoch != k->slots[i].a.epoch)
            return true;
    return false;
}

static bool tables_differ(const struct epoch_table *a, const struct epoch_table *b)
{
    if (a->count != b->count)
        return true;
    for (uint8_t i = 0; i < a->count; i++)
        if (a->of[i].highest != b->of[i].highest || a->of[i].fenced != b->of[i].fenced ||
            a->of[i].port != b->of[i].port || a->of[i].tried != b->of[i].tried ||
            !also_ports_equal(&a->of[i].also, &b->of[i].also))
            return true;
    return false;
}

static bool plan_renewal(struct keeper_core *k, struct boot now, struct keeper_effect *ret)
{
    struct keeper_renewal r = {.seq = k->seq + 1, .sent = now};

    if (!k->renew_due && !some_lease_is_new(k))
        return false;
    k->renew_due = false;
    for (uint8_t i = 0; i < k->want.count; i++) {
        if (!keeper_wants_lease(k, i))
            continue;
        r.items[r.count++] = (struct keeper_renew_item){
            .slot = i, .epoch = k->slots[i].a.epoch, .kind = wanted_kind(&k->slots[i])};
        k->slots[i].asked_epoch = k->slots[i].a.epoch;
    }
    if (r.count == 0)
        return false;
    k->seq = r.seq;
    k->sent[r.seq % KEEPER_SENT_MAX] = r;
    k->counts.sent++;
    *ret = (struct keeper_effect){.kind = KEEPER_RENEW, .renewal = r};
    return true;
}

/* A trial keeps the thread for some 100 ms, and a host that is given fifty groups at once
 * has fifty of them: each comes behind all that is due for the others, renewals first of
 * all (I7), and in turn, so that gates that fail do not keep the rest waiting. */
bool keeper_next_trial(struct keeper_core *k, struct boot now, struct keeper_effect *ret)
{
    for (uint8_t n = 0; n < k->want.count; n++) {
        uint8_t i = (uint8_t)((k->try_next + n) % k->want.count);

        if (!keeper_plan_try(k, i, now, ret))
            continue;
        k->try_next = (uint8_t)(i + 1);
        return true;
    }
    return false;
}

bool keeper_has_trial(const struct keeper_core *k, struct boot now)
{
    struct keeper_effect ignored;

    for (uint8_t i = 0; i < k->want.count; i++)
        if (keeper_plan_try(k, i, now, &ignored))
            return true;
    return false;
}

bool keeper_turn_is_over(struct boot began, struct boot now)
{
    return now.ns - began.ns >= (uint64_t)KEEPER_TURN_MS * NS_PER_MS;
}

bool keeper_next(struct keeper_core *k, struct boot now, struct keeper_effect *ret)
{
    for (uint8_t i = 0; i < k->want.count; i++)
        if (keeper_plan_slot(k, i, now, ret))
            return true;
    if (!k->syncing && now.ns >= k->sync_retry.ns && tables_differ(&k->want, &k->disk)) {
        k->syncing = true;
        k->in_flight = k->want;
        *ret = (struct keeper_effect){.kind = KEEPER_SYNC, .table = &k->in_flight};
        return true;
    }
    return plan_renewal(k, now, ret);
}

void keeper_synced(struct keeper_core *k, bool ok, struct boot now)
{
    enum { RETRY_MS = 200 };

    ASSERT(k->syncing);
    k->syncing = false;
    k->doubted = k->doubted && !ok;
    if (ok)
        k->disk = k->in_flight;
    else
        k->sync_retry.ns = now.ns + (uint64_t)RETRY_MS * NS_PER_MS;
}

void keeper_view(const struct keeper_core *k, uint8_t slot, struct boot now,
                 struct keeper_view *ret)
{
    const struct keeper_slot *s = &k->slots[slot];
    bool current =
        s->lease.deadline.ns > now.ns && k->want.of[slot].fenced < s->lease.epoch;

    *ret = (struct keeper_view){
        .epoch = k->disk.of[slot].highest,
        .fenced = k->disk.of[slot].fenced,
        .lease_kind = current ? s->lease.kind : KIND_NONE,
        .lease_epoch = s->lease.epoch,
        .lease_deadline = s->lease.deadline,
        .deadline = s->gate.mode == GATE_CLOSED ? (struct boot){0} : s->gate.deadline,
        .opened = s->lease.open && s->lease.epoch == s->a.epoch,
        .mode = s->gate.mode,
        .managed = s->managed,
        .tried = k->disk.of[slot].tried,
    };
    memcpy(ret->group, k->want.of[slot].group, AGENT_NAME_SIZE);
    memcpy(ret->problem, s->problem, sizeof ret->problem);
    if (s->problem[0] == 0 && keeper_hold(k, slot) != NULL)
        snprintf(ret->problem, sizeof ret->problem, "%s", keeper_hold(k, slot));
    if (ret->problem[0] == 0)
        (void)keeper_left_over(k, slot, ret->problem, sizeof ret->problem);
}
