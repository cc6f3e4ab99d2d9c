/* A proof that turns out wrong: the loudest alarm there is, on record until somebody has
 * acknowledged it, and told to everybody in `notify`. Outside of our assumptions (a fencer
 * that lies, a gate that was taken away) a proof may be wrong; then, if an agent says so,
 * it is known, and as long as nobody was activated on it, it does not count (I2).
 *
 * What agents say is all that contradicts: the host's own of an open gate, or, powered off,
 * anything at all in the same boot; of a severed standby its own. A host that serves with
 * no agent to say so is an alarm when its agent is back, and still sees it.
 *
 * Probes do not. One that is answered has got a byte of whoever listens at that address: no
 * word of the server's role or of the life it is in, and the address may be another host's
 * by now. A server that was rewound and follows answers too, to a controller beside another
 * instance (its gate at `replication` passes that address), to an address of `exceptions`,
 * and to all after a boot that power-off allows. An alarm takes a proof back and bars its
 * level: raised by that, it would stop failovers that are right. Nor does "takes writes"
 * behind a closed gate: nobody gets in there, and a proof by freezing leaves a server so.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/core/apply_internal.h"
#include "controller/core/guards.h"

/* ---- what is seen ---------------------------------------------------------------------
 */

/* The first 16 bytes are the host's boot id (proof.h): another boot is another life of the
 * whole host, whoever keeps the agent's state. */
static bool same_boot(const struct incarnation *a, const struct incarnation *b)
{
    enum { BOOT_BYTES = 16 };

    return memcmp(a->bytes, b->bytes, BOOT_BYTES) == 0;
}

static bool is_fence_proof(enum proof_kind kind)
{
    switch (kind) {
    case PROOF_AGENT:
    case PROOF_LEASE_EXPIRY:
    case PROOF_POWER:
    case PROOF_ATTESTED:
    case PROOF_SYNC_SEVERED:
        return true;
    case PROOF_INSTALLED:
    case PROOF_NONE:
        break;
    }
    return false;
}

/* Looked at after this process had applied the proof: whoever refuses the log of the active
 * instance does not stream it until an activation has let it. */
static bool streams_what_it_severed(const struct look *l, uint8_t k, char text[TEXT_SIZE])
{
    const struct instance *i = &l->g->instances[k];
    uint8_t by = group_instance(l->g, i->severed_by);
    const struct observed_instance *oi = &l->og->instances[by != NO_INSTANCE ? by : k];

    if (by == NO_INSTANCE || l->g->fence_index == 0 || k != l->g->active ||
        !mono_is_set(l->og->instances[k].proven) || !mono_is_set(oi->seen.at) ||
        oi->seen.taken.ns <= l->og->instances[k].proven.ns || !oi->seen.streaming ||
        !oi->seen.follows_active)
        return false;
    text_set(text, TEXT_SIZE,
             "%s streams from %s, whose log it had been made to refuse: has somebody set "
             "primary_conninfo back?",
             i->severed_by, i->agent);
    return true;
}

/* Said after this process had applied the proof, by the clock that bounds it from below: a
 * report that was on its way is about before. */
static bool said_behind_it(const struct look *l, uint8_t k)
{
    const struct observed_instance *oi = &l->og->instances[k];

    return mono_is_set(oi->proven) && mono_is_set(oi->seen.at) &&
           oi->seen.said.ns > oi->proven.ns;
}

/* What the report says against the proof on record; false: nothing. */
static bool contradicts(const struct look *l, uint8_t k, char text[TEXT_SIZE])
{
    const struct instance *i = &l->g->instances[k];
    const struct seen_instance *seen = &l->og->instances[k].seen;
    const struct agent *agent = state_agent(l->s, i->agent);

    /* Its gate may be open for as long as its lease runs. */
    if (i->proof.kind == PROOF_SYNC_SEVERED)
        return streams_what_it_severed(l, k, text);
    if (agent == NULL || !said_behind_it(l, k))
        return false;
    if (i->proof.kind == PROOF_POWER && same_boot(&agent->incarnation, &i->proof.prover)) {
        text_set(text, TEXT_SIZE,
                 "the host of %s answers, and has not been started anew: its power was "
                 "not cut. Does fencer %s switch another host?",
                 i->agent, i->power);
        return true;
    }
    if (strcmp(seen->gate_mode, "open") != 0)
        return false;
    text_set(text, TEXT_SIZE, "%s reports an open gate in epoch %" PRIu64 "%s", i->agent,
             seen->epoch,
             seen->server == SERVER_PRIMARY ? ", and its server takes writes" : "");
    return true;
}

bool guard_proof_contradicted(const struct look *l, struct entry *e)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct instance *i = &l->g->instances[k];

        if (!is_fence_proof(i->proof.kind) || i->proof.proven <= i->proof.last_grant ||
            i->false_index == i->proof.proven || !contradicts(l, k, e->false_proof.text))
            continue;
        e->kind = ENTRY_FALSE_PROOF;
        e->false_proof.proof = i->proof.proven;
        e->false_proof.kind = i->proof.kind;
        memcpy(e->false_proof.agent, i->agent, NAME_SIZE);
        return true;
    }
    return false;
}

/* ---- what the log makes of it ----------------------------------------------------------
 */

void apply_false_proof(struct applying *a)
{
    const struct entry_false_proof *f = &a->e->false_proof;
    struct group *g = a->g;
    uint8_t k = group_instance(g, f->agent);
    struct instance *i = k != NO_INSTANCE ? &g->instances[k] : NULL;

    if (i == NULL) {
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "group %s has no instance %s", g->name,
               f->agent);
        return;
    }
    if (!is_fence_proof(f->kind) || i->proof.proven != f->proof || f->proof == 0 ||
        i->proof.kind != f->kind || i->false_index == f->proof) {
        refuse(a, REFUSE_STALE_EPOCH,
               "%s: the proof at index %" PRIu64
               " is not the one in force, or was noted to be wrong already",
               f->agent, f->proof);
        return;
    }
    i->false_proof = a->index;
    i->false_index = f->proof;
    i->false_kind = f->kind;
    i->false_epoch = g->epoch;
    /* I2: it proves nothing from here on (instance_is_proven()), in this fence, which goes
     * on with what other levels say (proof_is_barred()), and in every later one. */
    g->index = a->index;
}

void apply_acknowledge(struct applying *a)
{
    struct group *g = a->g;
    unsigned n = 0;

    for (uint8_t k = 0; k < g->instance_count; k++) {
        n += g->instances[k].false_proof != 0;
        g->instances[k].false_proof = 0;
        /* I11: who mended what gave the proof may have it proven in the same way. The proof
         * that was false stays so: `false_index`. */
        g->instances[k].false_kind = PROOF_NONE;
    }
    if (n == 0)
        refuse(a, REFUSE_PHASE, "group %s has no alarm to acknowledge", g->name);
    else
        g->index = a->index;
}

bool group_alarm(const struct group *g, char *out, unsigned size)
{
    unsigned used = 0;

    out[0] = '\0';
    for (uint8_t k = 0; k < g->instance_count && used < size; k++) {
        const struct instance *i = &g->instances[k];

        if (i->false_proof == 0)
            continue;
        used += (unsigned)snprintf(
            out + used, size - used,
            "%sthe proof of %s by %s (entry %" PRIu64 ") did not hold, see entry %" PRIu64,
            used == 0 ? "" : "; ", i->agent, proof_kind_name(i->false_kind), i->false_index,
            i->false_proof);
    }
    if (used > 0 && used < size)
        snprintf(
            out + used, size - used,
            ": both sides may have taken writes since. Stop whatever serves on the old "
            "side, compare the data, mend what gave the proof, then `ringfence "
            "acknowledge %s --reason TEXT`",
            g->name);
    return used > 0;
}
