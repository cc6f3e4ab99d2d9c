/* The other doors of an instance: ports beside its own, and the guests of a standby.
 *
 * Ports. A pooler on the database's host talks to the server by its Unix socket, which no
 * gate sees, and would go on serving by its own port. So a group lists such ports, and they
 * stand under the cell of the server's own: the same lease at each moment, and one fence.
 *  - I3: no lease is asked for, and no proof is given, while one that is listed does not
 *    stand in the gate. Where the group comes to list one more, the gate goes on as it is
 *    and the port enters it, with eBPF under the lease in force, with nftables closed until
 *    that is written once more, which follows at once (`gate_doubted`).
 *  - One that has left the list is let go only when nothing is bound to it any more. Behind
 *    a closed gate a pooler may be waiting whose clients would be served by it from then
 *    on, by a server that is fenced; and it is nobody's to say when its host will notice.
 *  - What is closed with the server's own is on record, so that a host that boots, and a
 *    gate that is found, know it before anybody is heard.
 *
 * Guests. An exception of the group may come to a standby at each of its ports. The gate
 * cannot tell a reader from a writer: it is the server's being in recovery that keeps a
 * guest from writing. So none is admitted before the server has been seen in recovery since
 * this role in this epoch began, and all are shown out as soon as it is seen to be
 * something else, when the role changes, and when the epoch is fenced. A primary-to-be asks
 * for no lease while one may pass (keeper_wants_lease()), and is not promoted without it
 * (I6): nothing that a guest writes can precede `opened` (I8).
 * Between a promotion by hand and the next look at the server a guest could write to it;
 * while the agent is frozen, until it is not. The owner states, by naming an exception,
 * that nothing there writes; in the synchronous modes nothing is acknowledged to it either,
 * since a standby waits for a name that nobody has.
 */
#include <stdio.h>

#include "fencing/agent/keeper_core.h"

enum { LEFT_OVER_MS = 1000 }; /* between two looks whether a port is free */

bool also_ports_has(const struct also_ports *list, uint16_t port)
{
    for (uint8_t i = 0; i < list->count; i++)
        if (list->of[i] == port)
            return true;
    return false;
}

bool also_ports_add(struct also_ports *list, uint16_t port)
{
    uint8_t at = list->count;

    if (list->count == AGENT_ALSO_MAX || also_ports_has(list, port))
        return false;
    for (; at > 0 && list->of[at - 1] > port; at--)
        list->of[at] = list->of[at - 1];
    list->of[at] = port;
    list->count++;
    return true;
}

static bool has_all(const struct also_ports *list, const struct also_ports *of)
{
    for (uint8_t i = 0; i < of->count; i++)
        if (!also_ports_has(list, of->of[i]))
            return false;
    return true;
}

bool also_ports_equal(const struct also_ports *a, const struct also_ports *b)
{
    return a->count == b->count && has_all(a, b);
}

/* Before anybody is heard: what the last life had. */
static const struct also_ports *wanted(const struct keeper_core *k, uint8_t slot)
{
    const struct keeper_slot *s = &k->slots[slot];

    return s->assigned ? &s->a.also : &k->want.of[slot].also;
}

bool keeper_all_gated(const struct keeper_core *k, uint8_t slot)
{
    const struct also_ports *want = wanted(k, slot), *have = &k->want.of[slot].also;

    if (want->count == 0 && have->count == 0)
        return true;
    return k->slots[slot].also_known && has_all(have, want);
}

static bool plan_ports(const struct keeper_core *k, uint8_t slot, struct boot now,
                       struct keeper_effect *ret)
{
    const struct also_ports *want = wanted(k, slot);

    if (keeper_all_gated(k, slot) && also_ports_equal(want, &k->want.of[slot].also))
        return false;
    *ret = (struct keeper_effect){
        .kind = KEEPER_BESIDE, .slot = slot, .port = k->want.of[slot].port, .also = *want};
    return now.ns >= k->slots[slot].retry[KEEPER_BESIDE].ns;
}

static bool may_admit(const struct keeper_core *k, uint8_t slot)
{
    const struct keeper_slot *s = &k->slots[slot];

    return s->assigned && s->a.role == ROLE_STANDBY && s->a.exception_count > 0 &&
           !s->a.proof_wanted && k->want.of[slot].fenced < s->a.epoch &&
           keeper_may_read(s) && keeper_all_gated(k, slot);
}

static bool plan_guests(const struct keeper_core *k, uint8_t slot, struct boot now,
                        struct keeper_effect *ret)
{
    const struct keeper_slot *s = &k->slots[slot];
    bool admit = may_admit(k, slot);

    if (admit == s->guests && (!admit || !s->guests_stale))
        return false;
    *ret = (struct keeper_effect){.kind = KEEPER_GUESTS,
                                  .slot = slot,
                                  .port = k->want.of[slot].port,
                                  .also = s->a.also,
                                  .admit = admit};
    return now.ns >= s->retry[KEEPER_GUESTS].ns;
}

bool keeper_plan_beside(const struct keeper_core *k, uint8_t slot, struct boot now,
                        struct keeper_effect *ret)
{
    /* Out first, in last. */
    if (!may_admit(k, slot) && plan_guests(k, slot, now, ret))
        return true;
    return plan_ports(k, slot, now, ret) || plan_guests(k, slot, now, ret);
}

void keeper_beside_done(struct keeper_core *k, const struct keeper_effect *e,
                        struct boot now)
{
    struct keeper_slot *s = &k->slots[e->slot];
    struct epoch_record *r = &k->want.of[e->slot];

    if (e->kind == KEEPER_GUESTS) {
        s->guests = e->admit;
        s->guests_stale = false;
        return;
    }
    s->gate_doubted = s->gate_doubted || !has_all(&r->also, &e->also) || !s->also_known;
    s->guests_stale = true;
    s->also_known = true;
    r->also = e->also;
    if (!also_ports_equal(&r->also, wanted(k, e->slot)))
        s->retry[KEEPER_BESIDE].ns = now.ns + (uint64_t)LEFT_OVER_MS * NS_PER_MS;
}

bool keeper_left_over(const struct keeper_core *k, uint8_t slot, char *text, size_t size)
{
    const struct also_ports *have = &k->want.of[slot].also;
    const struct keeper_slot *s = &k->slots[slot];

    for (uint8_t i = 0; s->assigned && s->managed && i < have->count; i++) {
        if (also_ports_has(&s->a.also, have->of[i]))
            continue;
        (void)snprintf(
            text, size,
            "port %u is not listed any more (also_ports), but something is bound "
            "to it: it stays gated until that is stopped",
            have->of[i]);
        return true;
    }
    return false;
}
