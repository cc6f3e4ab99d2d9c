/* What one group's gate needs next: wanted against actual, most urgent first. */
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/mutant.h"
#include "controller/base/text.h"
#include "fencing/agent/keeper_core.h"

enum {
    GATE_RETRY_MS = 100,
    TRY_RETRY_MS = 5000, /* a trial takes some 100 ms of the keeper's thread */
    UNMANAGE_RETRY_MS = 1000,
};

/* True while packets of the port may pass. */
static bool gate_passes(const struct keeper_slot *s, struct boot now)
{
    return s->gate.mode != GATE_CLOSED && s->gate.deadline.ns > now.ns;
}

static bool may_try(const struct keeper_slot *s, enum keeper_effect_kind kind,
                    struct boot now)
{
    return now.ns >= s->retry[kind].ns;
}

/* I3: over a synced fence mark the gate is closed and frozen, before anything else; after
 * a restart too, since the mark may be all that the last life left behind. */
static bool plan_fence(const struct keeper_core *k, uint8_t slot, struct boot now,
                       struct keeper_effect *ret)
{
    const struct keeper_slot *s = &k->slots[slot];
    uint64_t mark =
        MUTANT(fence_before_sync, k->disk.of[slot].fenced, k->want.of[slot].fenced);

    if (!s->managed || mark == 0 || s->frozen >= mark || s->gate.epoch > mark ||
        !may_try(s, KEEPER_FENCE, now))
        return false;
    *ret = (struct keeper_effect){
        .kind = KEEPER_FENCE, .slot = slot, .port = k->want.of[slot].port, .epoch = mark};
    return true;
}

/* ---- a running primary is adopted, or left alone ---------------------------------------
 *
 * Nobody gates the port of a server that runs since before Ringfence, or since a `detach`.
 * It goes on serving while the log proves all others (I2) and activates it; then its gate
 * is put over the open port, connections and all, and only then a lease is asked for. The
 * order is the safety argument:
 *
 *  - No lease is granted to a port without a gate. If the grant came first, an agent that
 *    is frozen or dies between grant and gate would leave an ungated writer behind, whose
 *    lease the controllers count out like any other (I3, I4): two writers. As it is,
 * nothing about it can be counted out before, since it was never granted anything; a
 * fence_begin waits for this agent's own proof, for which the port is closed
 * (`order_index`).
 *  - The gate closes by itself, TTL after it was put there. The first renewal is sent later
 *    than that, and grants at least this TTL, so whatever passes on the strength of this
 *    deadline is over before any controller has counted out any grant of the epoch.
 *  - A crash before leaves the port as it was, after: a gate that the next life adopts, or
 *    closes if its record was not on disk yet. A late hand (SIGSTOP between plan and act)
 *    meets a deadline that has passed: the gate refuses.
 *  - Until `opened` the port stays open only as long as it has been open all the time,
 * under a lease of this epoch. What has closed meanwhile opens as any other. The activation
 * has made the sync set {this} (apply_activate()), so nobody else can be promoted over what
 *    is acknowledged now (I8), and no other member has to be waited for (I9).
 */

/* A first gate is closed, and whoever is served through the port would be cut off until
 * somebody noticed. While the group forms nobody is authorised, so nothing is gained by
 * closing over a primary that an operator has overlooked: without a gate it has no proof,
 * and without its proof nobody else is activated (I2). Not knowing counts as serving. A
 * server that is looked at and does not serve is gated, and what becomes of it later
 * changes nothing about the gate: started or promoted behind it, it has never served
 * anybody. */
static bool may_serve(const struct keeper_slot *s)
{
    if (s->server.looked < s->formed)
        return true;
    switch (s->server.state) {
    case KEEPER_SERVER_DOWN:
    case KEEPER_SERVER_STANDBY:
        return false;
    case KEEPER_SERVER_UNKNOWN:
    case KEEPER_SERVER_PRIMARY:
    case KEEPER_SERVER_OTHER:
        break;
    }
    return true;
}

/* Nothing of ours stands before it yet, and nothing of ours is to be closed over it. */
static bool is_untouched(const struct keeper_core *k, uint8_t slot)
{
    const struct keeper_slot *s = &k->slots[slot];

    if (s->managed || s->not_live || k->want.of[slot].port != 0 || s->order_index != 0 ||
        s->a.fence_index != 0)
        return false;
    if (s->a.role == ROLE_NONE)
        return s->a.adopt || may_serve(s);
    return s->a.adopt && s->a.role == ROLE_PRIMARY &&
           k->want.of[slot].fenced < s->a.epoch && !s->server.barred &&
           (s->server.state == KEEPER_SERVER_PRIMARY ||
            s->server.state == KEEPER_SERVER_UNKNOWN);
}

const char *keeper_hold(const struct keeper_core *k, uint8_t slot)
{
    const struct keeper_slot *s = &k->slots[slot];
    bool looked = s->server.looked >= s->formed;

    if (!s->assigned || s->a.role != ROLE_NONE || s->a.adopt || !is_untouched(k, slot))
        return NULL;
    if (looked && s->server.state == KEEPER_SERVER_PRIMARY)
        return "the server runs as a primary that this group is not to take over: its port "
               "is left as it is until it is stopped, or the group's file makes its region "
               "the active one, with `adopt: true`";
    if (!looked && s->unlooked < KEEPER_LOOK_TICKS)
        return NULL;
    return "it cannot be told yet whether the server runs as a primary: until then its "
           "port "
           "is left as it is";
}

/* I6: the disk knows the epoch; I2: the gate was seen to work; I4: the clock is fit for the
 * lease that is asked for next. */
static bool plan_adopt(const struct keeper_core *k, uint8_t slot, struct boot now,
                       struct keeper_effect *ret)
{
    const struct keeper_slot *s = &k->slots[slot];
    const struct lease_terms terms = {s->a.ttl_ms, s->a.rho_ppm};

    if (!s->assigned || !is_untouched(k, slot) || s->a.role != ROLE_PRIMARY ||
        s->server.state != KEEPER_SERVER_PRIMARY || s->a.epoch == 0 ||
        k->disk.of[slot].highest != s->a.epoch || !k->want.of[slot].tried ||
        !k->clock_same ||
        !MUTANT(any_clock_rate, lease_clock_rate_ok(k->clock_rate_ppm, s->a.rho_ppm),
                true) ||
        !may_try(s, KEEPER_ADOPT, now))
        return false;
    *ret = (struct keeper_effect){
        .kind = KEEPER_ADOPT,
        .slot = slot,
        .port = s->a.port,
        .epoch = s->a.epoch,
        .lease = {s->a.epoch, GATE_OPEN, lease_holder_deadline(now, terms)}};
    return true;
}

/* Open since before this epoch had a lease, and without a gap. Once the log has `opened`
 * (an answer may say so before the assignment does) its server has to be ready as any
 * other. */
static bool is_adopted_open(const struct keeper_slot *s, struct boot now)
{
    return s->a.adopt && !s->lease.open && s->gate.epoch == s->a.epoch &&
           s->gate.mode == GATE_OPEN && s->gate.deadline.ns > now.ns;
}

/* ---- any other ------------------------------------------------------------------------
 */

static bool must_manage(const struct keeper_core *k, uint8_t slot)
{
    const struct keeper_slot *s = &k->slots[slot];

    if (!s->assigned)
        return k->want.of[slot].port != 0; /* closed at boot, before anybody is heard */
    return s->a.role != ROLE_DETACHED && !is_untouched(k, slot);
}

static bool plan_manage(const struct keeper_core *k, uint8_t slot, struct boot now,
                        struct keeper_effect *ret)
{
    const struct keeper_slot *s = &k->slots[slot];
    bool wanted = must_manage(k, slot);
    uint16_t port = k->want.of[slot].port != 0 ? k->want.of[slot].port : s->a.port;

    if (wanted && (!s->managed || (s->assigned && !s->peers_set)) &&
        may_try(s, KEEPER_MANAGE, now)) {
        *ret = (struct keeper_effect){.kind = KEEPER_MANAGE, .slot = slot, .port = port};
        return true;
    }
    /* It opens the port, so the committed detach must outlive us (I6). */
    if (!wanted && s->managed && k->disk.of[slot].highest == s->a.epoch &&
        may_try(s, KEEPER_UNMANAGE, now)) {
        *ret = (struct keeper_effect){.kind = KEEPER_UNMANAGE, .slot = slot, .port = port};
        return true;
    }
    return false;
}

/* I2: by real connections, once per incarnation, before the first lease or proof. */
static bool is_to_be_tried(const struct keeper_core *k, uint8_t slot, struct boot now)
{
    const struct keeper_slot *s = &k->slots[slot];

    return s->assigned && s->a.role != ROLE_DETACHED &&
           (s->managed ? keeper_all_gated(k, slot) : s->a.adopt && is_untouched(k, slot)) &&
           !k->want.of[slot].tried && may_try(s, KEEPER_TRY, now);
}

bool keeper_plan_try(const struct keeper_core *k, uint8_t slot, struct boot now,
                     struct keeper_effect *ret)
{
    const struct keeper_slot *s = &k->slots[slot];

    if (!is_to_be_tried(k, slot, now))
        return false;
    /* On spare ports alone where clients are being served. */
    *ret = (struct keeper_effect){
        .kind = KEEPER_TRY,
        .slot = slot,
        .port = !s->managed || gate_passes(s, now) ? 0 : k->want.of[slot].port,
    };
    return true;
}

enum verdict { LEAVE, SHUT, ARM };

static enum verdict wanted_as_primary(const struct keeper_slot *s, struct boot now,
                                      struct gate_lease *ret)
{
    bool held = s->lease.kind == KIND_WRITE && s->lease.epoch == s->a.epoch &&
                s->lease.deadline.ns > now.ns;
    bool ready = (s->lease.open || s->a.opened) && s->server.ready_epoch == s->a.epoch;
    bool open =
        s->server.state == KEEPER_SERVER_PRIMARY && (ready || is_adopted_open(s, now));

    /* After a restart within the TTL: until we are told of the server, an open gate of this
     * epoch is left to its deadline, which no one extends, and clients notice nothing. What
     * the last life knew of the server is told before long, or a look at it. */
    if (s->server.state == KEEPER_SERVER_UNKNOWN && !s->server.barred &&
        s->gate.epoch == s->a.epoch && s->gate.mode == GATE_OPEN)
        return MUTANT(
            reopens_at_restart, LEAVE,
            (*ret =
                 (struct gate_lease){s->a.epoch, GATE_OPEN, {now.ns + 1000ull * NS_PER_MS}},
             ARM));
    /* I9: closed when the server is gone or hung; it may open again in this epoch. */
    if (s->server.barred || s->server.state == KEEPER_SERVER_DOWN)
        return SHUT;
    if (held) {
        *ret = (struct gate_lease){
            .epoch = s->a.epoch,
            .mode = open ? GATE_OPEN : GATE_REPLICATION,
            .deadline = MUTANT(deadline_padded, s->lease.deadline,
                               (struct boot){s->lease.deadline.ns + 50ull * NS_PER_MS})};
        return ARM;
    }
    /* What an older epoch opened for reading must not admit writers to a primary that the
     * log has not opened (I8). An expired lease of this epoch has closed by itself. */
    return s->gate.epoch < s->a.epoch && s->gate.mode == GATE_OPEN ? SHUT : LEAVE;
}

static enum verdict wanted_as_standby(const struct keeper_slot *s, struct boot now,
                                      struct gate_lease *ret)
{
    bool reads = s->a.standby_reads && s->lease.kind == KIND_READ &&
                 s->lease.epoch == s->a.epoch && s->lease.deadline.ns > now.ns;

    /* A standby that somebody promoted serves nobody, not even its peers' hosts. */
    if (s->server.barred || s->server.state == KEEPER_SERVER_PRIMARY)
        return SHUT;
    if (s->server.state == KEEPER_SERVER_UNKNOWN)
        return s->gate.epoch == s->a.epoch ? LEAVE : SHUT;
    if (s->a.proof_wanted && !reads)
        return SHUT;
    if (reads && keeper_may_read(s))
        *ret = (struct gate_lease){s->a.epoch, GATE_OPEN, s->lease.deadline};
    else
        *ret = (struct gate_lease){s->a.epoch, GATE_REPLICATION, GATE_FOREVER};
    return ARM;
}

static enum verdict wanted(const struct keeper_core *k, uint8_t slot, struct boot now,
                           struct gate_lease *ret)
{
    const struct keeper_slot *s = &k->slots[slot];
    enum verdict v = SHUT;

    if (!s->assigned || s->a.role == ROLE_DETACHED)
        return LEAVE;
    if (s->a.epoch == 0 || s->a.role == ROLE_NONE)
        return s->a.adopt ? LEAVE : SHUT;
    v = s->a.role == ROLE_PRIMARY ? wanted_as_primary(s, now, ret)
                                  : wanted_as_standby(s, now, ret);
    if (v != ARM)
        return v;
    /* I3: nothing of a fenced epoch, nor of one that the disk does not know yet. */
    if (k->want.of[slot].fenced >= s->a.epoch)
        return LEAVE;
    if (MUTANT(epoch_unsynced, k->disk.of[slot].highest != s->a.epoch, false))
        return s->a.role == ROLE_STANDBY && s->gate.epoch < s->a.epoch ? SHUT : LEAVE;
    return ARM;
}

static bool plan_gate(const struct keeper_core *k, uint8_t slot, struct boot now,
                      struct keeper_effect *ret)
{
    const struct keeper_slot *s = &k->slots[slot];
    struct gate_lease lease = {0};
    enum verdict v = wanted(k, slot, now, &lease);

    if (!s->managed || v == LEAVE)
        return false;
    *ret = (struct keeper_effect){.slot = slot, .port = k->want.of[slot].port};
    if (v == SHUT) {
        ret->kind = KEEPER_CLOSE;
        ret->epoch = s->gate.epoch;
        return s->gate.mode != GATE_CLOSED && may_try(s, KEEPER_CLOSE, now);
    }
    if (is_to_be_tried(k, slot, now)) /* on its own port, as long as that is closed */
        return false;
    /* In doubt what is wanted is written once more: a standby's gate has no renewals that
     * would show that it was closed. RENEW tells, and REOPEN follows (note_failed). */
    if (s->gate.epoch == lease.epoch && s->gate.mode == lease.mode &&
        s->gate.deadline.ns == lease.deadline.ns && !s->gate_doubted)
        return false;
    ret->kind = KEEPER_ARM;
    ret->epoch = lease.epoch;
    ret->lease = lease;
    ret->how =
        gate_passes(s, now) && s->gate.epoch == lease.epoch ? GATE_RENEW : GATE_REOPEN;
    return may_try(s, KEEPER_ARM, now);
}

static bool plan_fence_proof(struct keeper_core *k, uint8_t slot, struct keeper_effect *ret)
{
    struct keeper_slot *s = &k->slots[slot];

    if (s->order_index == 0 || !keeper_all_gated(k, slot) ||
        MUTANT(proof_before_frozen, s->frozen < s->order_epoch, false))
        return false;
    *ret = (struct keeper_effect){.kind = KEEPER_PROOF,
                                  .slot = slot,
                                  .port = k->want.of[slot].port,
                                  .epoch = s->order_epoch,
                                  .fence_index = s->order_index};
    s->order_index = 0; /* the order is repeated until the proof is in the log */
    return true;
}

/* "Installed, closed, tried" (I2). The log may hold a grant that is later than our proof
 * unless nothing is asked for from now on until the log has the proof: keeper_wants_lease()
 * sees to that for reading, the role for writing; and what was asked for before is void. */
static bool plan_install_proof(struct keeper_core *k, uint8_t slot, struct boot now,
                               struct keeper_effect *ret)
{
    struct keeper_slot *s = &k->slots[slot];
    bool may_write = s->a.role == ROLE_PRIMARY && s->a.epoch != 0;

    if (!s->assigned || !s->a.proof_wanted || !s->proof_due || may_write || !s->managed ||
        !keeper_all_gated(k, slot) || !k->want.of[slot].tried ||
        k->disk.of[slot].highest != s->a.epoch || gate_passes(s, now) ||
        s->lease.deadline.ns > now.ns)
        return false;
    s->proof_due = false;
    s->floor_seq = k->seq;
    s->lease = (struct keeper_lease){0};
    *ret = (struct keeper_effect){.kind = KEEPER_PROOF,
                                  .slot = slot,
                                  .port = k->want.of[slot].port,
                                  .epoch = s->a.epoch,
                                  /* The log tells by it what has happened since (I2). */
                                  .fence_index = s->a.index,
                                  .installed = true};
    return true;
}

static bool plan_beside(const struct keeper_core *k, uint8_t slot, struct boot now,
                        struct keeper_effect *ret)
{
    return k->slots[slot].managed && must_manage(k, slot) &&
           keeper_plan_beside(k, slot, now, ret);
}

bool keeper_plan_slot(struct keeper_core *k, uint8_t slot, struct boot now,
                      struct keeper_effect *ret)
{
    return plan_fence(k, slot, now, ret) || plan_manage(k, slot, now, ret) ||
           plan_beside(k, slot, now, ret) || plan_adopt(k, slot, now, ret) ||
           plan_gate(k, slot, now, ret) || plan_fence_proof(k, slot, ret) ||
           plan_install_proof(k, slot, now, ret);
}

/* ---- what came of it ------------------------------------------------------------------
 */

static void note_unmanaged(struct keeper_core *k, uint8_t slot)
{
    struct keeper_slot *s = &k->slots[slot];
    struct epoch_record *r = &k->want.of[slot];

    s->managed = s->not_live = false;
    s->peers_set = s->also_known = s->guests = false;
    r->also = (struct also_ports){0};
    r->tried = false;
    s->gate = (struct gate_state){0};
    s->lease = (struct keeper_lease){0};
    s->floor_seq = k->seq;
    s->frozen = r->port = 0;
}

static void note_done(struct keeper_core *k, const struct keeper_effect *e, struct boot now)
{
    struct keeper_slot *s = &k->slots[e->slot];
    struct epoch_record *r = &k->want.of[e->slot];

    switch (e->kind) {
    case KEEPER_FENCE:
        s->frozen = e->epoch;
        s->gate = (struct gate_state){.epoch = e->epoch, .fenced = true};
        if (s->lease.epoch <= e->epoch)
            s->lease = (struct keeper_lease){0};
        break;
    case KEEPER_MANAGE:
        if (!s->managed) { /* it may have been managed, though no record said so */
            s->gate = e->found;
            s->also_known = s->guests = false;
        }
        s->managed = true;
        s->peers_set = s->assigned;
        r->port = e->port;
        break;
    case KEEPER_ADOPT:
        s->managed = s->peers_set = true;
        s->also_known = s->guests = false;
        s->gate = (struct gate_state){.epoch = e->lease.epoch,
                                      .mode = e->lease.mode,
                                      .deadline = e->lease.deadline,
                                      .opened = true};
        r->port = e->port;
        break;
    case KEEPER_UNMANAGE:
        note_unmanaged(k, e->slot);
        break;
    case KEEPER_CLOSE:
        s->gate.mode = GATE_CLOSED;
        s->gate.deadline.ns = 0;
        break;
    case KEEPER_TRY:
        r->tried = true;
        break;
    case KEEPER_ARM:
        s->gate_doubted = false;
        s->gate = (struct gate_state){.epoch = e->lease.epoch,
                                      .mode = e->lease.mode,
                                      .deadline = e->lease.deadline,
                                      .opened = e->lease.mode == GATE_OPEN};
        break;
    case KEEPER_BESIDE:
    case KEEPER_GUESTS:
        keeper_beside_done(k, e, now);
        break;
    case KEEPER_SYNC:
    case KEEPER_PROOF:
    case KEEPER_RENEW:
    case KEEPER_EFFECT_COUNT:
        break;
    }
}

void keeper_gate_lost(struct keeper_core *k, const char *why)
{
    k->counts.gates_lost++;
    for (uint8_t i = 0; i < k->want.count; i++) {
        struct keeper_slot *s = &k->slots[i];

        if (!s->managed)
            continue;
        s->gate.mode = GATE_CLOSED; /* what is put back is closed */
        s->gate.deadline.ns = 0;
        s->gate_doubted = false;
        s->lease = (struct keeper_lease){0};
        s->floor_seq = k->seq;
        s->frozen = 0;
        s->retry[KEEPER_TRY].ns = 0;
        k->want.of[i].tried = false;
        text_set(s->problem, sizeof s->problem, "gate: %s", why);
    }
}

static uint32_t retry_ms(enum keeper_effect_kind kind)
{
    return kind == KEEPER_TRY        ? TRY_RETRY_MS
           : kind == KEEPER_UNMANAGE ? UNMANAGE_RETRY_MS
                                     : GATE_RETRY_MS;
}

/* A refused effect leaves the gate as it was, or closed. Where gate.h does not say which we
 * go on as if it still passed what it did: a proof given over a gate that was only believed
 * to be closed would be false. The next plan writes it again. */
static void note_failed(struct keeper_core *k, const struct keeper_effect *e, int code,
                        struct boot now)
{
    struct keeper_slot *s = &k->slots[e->slot];
    bool at_once = e->kind == KEEPER_ARM && code == ERR_CLOSED && e->how == GATE_RENEW;

    if (code == ERR_NOTFOUND && e->kind != KEEPER_MANAGE)
        s->managed = false;
    /* Half of it may be done: should the group want the port again, its gate is set up and
     * tried anew before anything is said of it (I2). */
    if (MUTANT(half_detached, e->kind == KEEPER_UNMANAGE, false))
        s->peers_set = k->want.of[e->slot].tried = false;
    /* Some of them may be in the gate. */
    if (e->kind == KEEPER_GUESTS)
        s->guests = s->guests_stale = true;
    /* A former life put it there, and left no record: from here on like any other. */
    if (code == ERR_CONFLICT && e->kind == KEEPER_ADOPT)
        s->not_live = true;
    if (e->kind == KEEPER_ARM)
        s->gate_doubted = code != ERR_CLOSED && code != ERR_TIMEOUT && code != ERR_BUSY;
    if (e->kind == KEEPER_ARM && !s->gate_doubted) {
        s->gate.mode = GATE_CLOSED;
        s->gate.deadline.ns = 0;
    }
    /* The deadline passed between the plan and the write; this lease is fresh, though, so
     * it may open what is closed (GATE_REOPEN) at once. */
    if (!at_once)
        s->retry[e->kind].ns = now.ns + (uint64_t)retry_ms(e->kind) * NS_PER_MS;
}

/* We arm for the highest epoch that we remember: what the kernel remembers beyond it was
 * put there by an agent whose state is gone, and is not ours to overrule (I6). A detach
 * lets the port go, gate and all (I11). */
static void say_left_over(struct keeper_slot *s, const char *group)
{
    size_t used = strlen(s->problem);

    text_set(s->problem + used, sizeof s->problem - used,
             "; that gate was left in the kernel by an agent whose state_dir is gone: to "
             "take it away, `ringfence detach %s`, then `ringfence attach %s`",
             group, group);
}

void keeper_done(struct keeper_core *k, const struct keeper_effect *e,
                 const struct err *result, struct boot now)
{
    struct keeper_slot *s = &k->slots[e->slot];

    ASSERT(e->slot < AGENT_GROUPS_MAX);
    ASSERT(e->kind != KEEPER_SYNC);
    if (result == NULL || result->code == 0) {
        note_done(k, e, now);
        if (e->kind != KEEPER_RENEW && e->kind != KEEPER_PROOF)
            s->problem[0] = 0;
        return;
    }
    text_set(s->problem, sizeof s->problem, "%s: %s", keeper_effect_name(e->kind),
             result->text);
    if (e->kind == KEEPER_ARM && result->code == ERR_STALE)
        say_left_over(s, k->want.of[e->slot].group);
    note_failed(k, e, result->code, now);
}
