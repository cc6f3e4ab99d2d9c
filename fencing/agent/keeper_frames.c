/* What controllers say, turned into the core's plain values. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "controller/base/text.h"
#include "fencing/agent/keeper_private.h"

/* False for a text that does not fit: no name of ours is that long. */
static bool copy_name(char *out, size_t size, const char *text)
{
    return (size_t)snprintf(out, size, "%s", text) < size && text[0] != 0;
}

static void pass_on(struct keeper *k, enum board_letter kind, uint8_t slot,
                    const ProtobufCMessage *m)
{
    AUTO(buf_free) struct buf bytes = {0};
    size_t n = protobuf_c_message_get_packed_size(m);
    struct buf *last = &k->assigned[slot];

    if (buf_reserve(&bytes, n + 1, NULL) != 0)
        return; /* it is repeated */
    bytes.len = protobuf_c_message_pack(m, bytes.data);
    if (kind == BOARD_ASSIGNMENT) {
        if (last->len == bytes.len && bytes.len != 0 &&
            memcmp(last->data, bytes.data, bytes.len) == 0)
            return;
        last->len = 0;
        if (buf_append(last, bytes.data, bytes.len, NULL) != 0)
            last->len = 0;
    }
    board_put(k->parts.board, kind, slot, bytes.data, bytes.len);
}

/* ---- assignments ----------------------------------------------------------------------
 */

static void read_peers(const Rf__Assignment *m, struct keeper_assignment *a)
{
    struct err err = {0};

    for (size_t i = 0; i < m->n_peers && a->peer_count < KEEPER_PEERS_MAX; i++) {
        if (m->peers[i]->address[0] == 0)
            continue; /* its agent has not enrolled yet */
        if (gate_addr_parse(&a->peers[a->peer_count], m->peers[i]->address, &err) == 0)
            a->peer_count++;
        else
            log_warn("%s: peer %s: %s", a->group, m->peers[i]->instance, err.text);
    }
}

/* False: a list that no controller of ours sends. Half of it would leave a door open. */
static bool read_doors(const Rf__Assignment *m, struct keeper_assignment *a)
{
    struct err err = {0};

    if (m->n_also_ports > KEEPER_ALSO_MAX || m->n_exceptions > KEEPER_EXCEPTIONS_MAX)
        return false;
    for (size_t i = 0; i < m->n_also_ports; i++) {
        uint32_t port = m->also_ports[i]->port;

        if (port == 0 || port > UINT16_MAX || port == a->port ||
            !also_ports_add(&a->also, (uint16_t)port))
            return false;
    }
    for (size_t i = 0; i < m->n_exceptions; i++) {
        if (gate_addr_parse(&a->exceptions[a->exception_count], m->exceptions[i], &err) ==
            0)
            a->exception_count++;
        else
            log_warn("%s: exception: %s", a->group, err.text);
    }
    return true;
}

static bool read_assignment(const struct keeper *k, const Rf__Assignment *m,
                            struct keeper_assignment *a)
{
    const char *own = k->parts.settings->name;

    *a = (struct keeper_assignment){.index = m->index,
                                    .epoch = m->epoch,
                                    .fence_index = m->fence_index,
                                    .role = (enum keeper_role)m->role,
                                    .rho_ppm = m->rho_ppm,
                                    .ttl_ms = m->ttl_ms,
                                    .opened = m->opened,
                                    .standby_reads = m->standby_reads,
                                    .proof_wanted = m->proof_wanted};
    if (m->server == NULL || strcmp(m->server->instance, own) != 0 ||
        m->server->port == 0 || m->server->port > UINT16_MAX ||
        !copy_name(a->group, sizeof a->group, m->group)) {
        log_warn("an assignment for %s of group %.40s is not for this agent: dropped",
                 m->server != NULL ? m->server->instance : "nobody", m->group);
        return false;
    }
    a->port = (uint16_t)m->server->port;
    /* The log takes `adopt` back with `opened`, and has it of the whole group. */
    a->adopt = m->adopt && !m->opened && strcmp(m->active, own) == 0 &&
               (m->role == RF__ROLE__ROLE_NONE || m->role == RF__ROLE__ROLE_PRIMARY);
    read_peers(m, a);
    if (!read_doors(m, a)) {
        log_warn("%s: an assignment whose also_ports or exceptions are not in order: "
                 "dropped",
                 a->group);
        return false;
    }
    return true;
}

static void set_tick(struct keeper *k)
{
    uint32_t least = KEEPER_TICK_MAX_MS;
    bool any = false;

    for (uint8_t i = 0; i < k->core.want.count; i++) {
        if (k->renew_ms[i] == 0)
            continue;
        any = true;
        if (k->renew_ms[i] < least)
            least = k->renew_ms[i];
    }
    if (!any)
        least = KEEPER_TICK_DEFAULT_MS;
    k->tick_ms = least < KEEPER_TICK_MIN_MS ? KEEPER_TICK_MIN_MS : least;
    uv_timer_set_repeat(&k->tick, k->tick_ms);
}

static void take_assignment(struct keeper *k, const struct incarnation *to,
                            const Rf__Assignment *m)
{
    struct keeper_assignment a;
    struct err err = {0};
    uint8_t slot;

    if (!read_assignment(k, m, &a))
        return;
    if (keeper_assign(&k->core, to, &a, &slot, &err) != 0) {
        if (err.code == ERR_STALE) /* a leader that does not know yet that it is none */
            log_debug("assignment dropped: %s", err.text);
        else if (strcmp(k->assign_problem, err.text) != 0)
            log_error("assignment refused: %s", err.text);
        text_set(k->assign_problem, sizeof k->assign_problem, "%s", err.text);
        return;
    }
    k->health.enrolled = true;
    k->renew_ms[slot] = m->role == RF__ROLE__ROLE_DETACHED ? 0 : m->renew_ms;
    pass_on(k, BOARD_ASSIGNMENT, slot, &m->base);
}

void keeper_on_assignments(struct keeper *k, const Rf__Assignments *m)
{
    struct incarnation to;

    /* Terms only grow; what an older leader says is older than what we know (I6). */
    if (m->term < k->assignments_term ||
        frame_incarnation_get(m->incarnation, &to, NULL) != 0)
        return;
    if (MUTANT(obeys_before_enrolled, !incarnation_equal(&to, &k->core.me), false)) {
        log_debug("assignments for another incarnation: dropped");
        return;
    }
    k->assignments_term = m->term;
    for (size_t i = 0; i < m->n_instances; i++)
        take_assignment(k, &to, m->instances[i]);
    set_tick(k);
    keeper_pump(k);
}

/* ---- leases ---------------------------------------------------------------------------
 */

static void log_refusals(struct keeper *k)
{
    for (uint8_t i = 0; i < k->core.want.count; i++) {
        const char *why = k->core.slots[i].refusal;
        uint64_t bit = (uint64_t)1 << i;

        if (why[0] != 0 && (k->refusals_logged & bit) == 0)
            log_warn("%s: the lease is refused: %s", k->core.want.of[i].group, why);
        if (why[0] != 0)
            k->refusals_logged |= bit;
        else
            k->refusals_logged &= ~bit;
    }
}

void keeper_on_ack(struct keeper *k, const Rf__RenewAck *m)
{
    struct keeper_ack ack = {.seq = m->seq, .sent = {m->sent_boot_ns}};

    if (frame_incarnation_get(m->incarnation, &ack.incarnation, NULL) != 0)
        return;
    for (size_t i = 0; i < m->n_items && ack.count < AGENT_GROUPS_MAX; i++) {
        const Rf__RenewVerdict *v = m->items[i];
        struct keeper_verdict *out = &ack.items[ack.count];

        if (!copy_name(out->group, sizeof out->group, v->group) ||
            strcmp(v->instance, k->parts.settings->name) != 0)
            continue;
        out->epoch = v->epoch;
        out->kind = (enum keeper_kind)v->kind;
        out->granted = v->granted;
        out->open = v->open;
        out->terms = (struct lease_terms){v->ttl_ms, v->rho_ppm};
        snprintf(out->refusal, sizeof out->refusal, "%s", v->refusal);
        ack.count++;
    }
    (void)keeper_ack(&k->core, &ack, boot_now());
    log_refusals(k);
    keeper_pump(k);
}

/* ---- orders ---------------------------------------------------------------------------
 */

void keeper_on_step_order(struct keeper *k, const Rf__StepOrder *m)
{
    struct incarnation to;
    uint8_t slot = keeper_find(&k->core, m->group);

    /* I6: none before a committed entry has enrolled us and told us the epoch; what the
     * order says of the epoch is checked by the step runner against the same assignment. */
    if (frame_incarnation_get(m->incarnation, &to, NULL) != 0 ||
        MUTANT(obeys_before_enrolled, !incarnation_equal(&to, &k->core.me), false) ||
        slot == AGENT_GROUPS_MAX || !k->core.slots[slot].assigned || m->request == NULL ||
        strcmp(m->instance, k->parts.settings->name) != 0) {
        log_debug("a step order that is not ours was dropped");
        return;
    }
    pass_on(k, BOARD_ORDER, slot, &m->base);
}

void keeper_on_fence_order(struct keeper *k, const Rf__FenceOrder *m)
{
    struct keeper_fence_order o = {.epoch = m->epoch, .fence_index = m->fence_index};
    struct err err = {0};

    if (frame_incarnation_get(m->incarnation, &o.to, NULL) != 0 ||
        !copy_name(o.group, sizeof o.group, m->group) ||
        strcmp(m->instance, k->parts.settings->name) != 0)
        return;
    if (keeper_fence_order(&k->core, &o, &err) != 0)
        log_warn("fence order refused: %s", err.text);
    keeper_pump(k);
}
