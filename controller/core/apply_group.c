/* Groups come, change, are let go and taken back: I1, I2 (new and removed instances). */
#include "controller/core/apply_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/mutant.h"

static uint32_t slowest_election(const struct state *s)
{
    uint32_t slowest = 0;

    for (unsigned i = 0; i < s->controller_count; i++)
        if (s->controllers[i].election_ms > slowest)
            slowest = s->controllers[i].election_ms;
    return slowest;
}

/* Two agents on one host: one gate cannot give a port two leases. Of two servers' own ports
 * nothing is said here; a host has only one such port to bind. */
static void check_neighbour(struct applying *a, const struct instance *one,
                            const struct instance *i)
{
    const struct agent *host_a = state_agent(a->s, one->agent);
    const struct agent *host_b = state_agent(a->s, i->agent);
    uint16_t port = instances_share_port(one, i);

    if (port != 0 && one->also_count + i->also_count > 0 && host_a != NULL &&
        host_b != NULL && strcmp(host_a->address, host_b->address) == 0)
        refuse(a, REFUSE_INVALID,
               "instances %s and %s are on one host (%s), and both name port %u",
               one->agent, i->agent, host_a->address, port);
}

static void check_instance(struct applying *a, const struct group *spec, uint8_t n)
{
    const struct instance *i = &spec->instances[n];
    const struct group *other;
    uint16_t port = 0;

    if (i->region >= spec->region_count) {
        refuse(a, REFUSE_INVALID, "instance %s: its region is not in `regions`", i->agent);
        return;
    }
    if (state_agent(a->s, i->agent) == NULL) {
        refuse(a, REFUSE_NOT_ENROLLED,
               "agent %s is not known to the controllers: start ringfence-agent there, or "
               "correct the name (`ringfence status` lists the agents)",
               i->agent);
        return;
    }
    for (uint8_t k = 0; k < n; k++) {
        if (strcmp(spec->instances[k].agent, i->agent) == 0 ||
            spec->instances[k].region == i->region) {
            refuse(a, REFUSE_INVALID, "instances %s and %s: one per agent and region",
                   spec->instances[k].agent, i->agent);
            return;
        }
        check_neighbour(a, &spec->instances[k], i);
    }
    if (a->result->refusal != ACCEPTED)
        return;
    other = instance_in_other_group(a->s, spec, i);
    if (other != NULL && instance_shares_port(a->s, other, i, &port))
        refuse(
            a, REFUSE_OTHER_GROUP,
            "instance %s names port %u, which group %s has on that host: one lease rules a "
            "port",
            i->agent, port, other->name);
    else if (other != NULL)
        refuse(a, REFUSE_OTHER_GROUP,
               "instance %s (port %u, %s) belongs to group %s: a server has one group",
               i->agent, i->port, i->data, other->name);
}

/* The order of the levels names each of them, once. Of a version without an order, and of
 * tests, there is none. */
static bool turns_match(const struct policy *p)
{
    uint8_t seen = 0;

    for (unsigned i = 0; i < p->fence_turn_count; i++) {
        if ((seen & p->fence_turns[i].level) != 0)
            return false;
        seen = (uint8_t)(seen | p->fence_turns[i].level);
    }
    return p->fence_turn_count == 0 || seen == p->fence;
}

static void check_fence(struct applying *a, const struct group *spec)
{
    bool any = false;

    for (uint8_t n = 0; n < spec->instance_count; n++) {
        const struct instance *i = &spec->instances[n];

        any = any || i->power[0] != '\0';
        if (i->power[0] != '\0' && !(spec->policy.fence & FENCE_POWER)) {
            refuse(a, REFUSE_INVALID,
                   "instance %s names the fencer %s, but `fence` has no level `power`: it "
                   "would never be used",
                   i->agent, i->power);
            return;
        }
    }
    if ((spec->policy.fence & FENCE_POWER) != 0 && !any)
        refuse(a, REFUSE_INVALID,
               "`fence` has the level `power`, but no instance names the fencer of its "
               "host: `power: NAME`, one of `fencers` in the controllers' files");
    else if ((spec->policy.fence & FENCE_SYNC_SEVERED) != 0 &&
             policy_lacks_for_severing(&spec->policy) != NULL)
        refuse(a, REFUSE_INVALID, "`fence` has the level `sync_severed`, which needs %s",
               policy_lacks_for_severing(&spec->policy));
    else if (!turns_match(&spec->policy))
        refuse(a, REFUSE_INVALID, "the order of `fence` does not have each level once");
}

static void check_spec(struct applying *a, const struct group *spec)
{
    struct lease_surroundings around = {.election_ms = slowest_election(a->s)};
    struct err err = {0};

    if (spec->name[0] == '\0' || spec->instance_count < 2 ||
        spec->instance_count > INSTANCE_MAX || spec->region_count > REGION_MAX ||
        spec->active >= spec->instance_count) {
        refuse(a, REFUSE_INVALID,
               "a group has a name, 2 to %d instances, and one of them "
               "in its active region",
               INSTANCE_MAX);
        return;
    }
    if (lease_check_ttl_rule(spec->policy.lease, spec->policy.renew_ms, around, &err) !=
        0) {
        refuse(a, REFUSE_INVALID, "%s", err.text);
        return;
    }
    check_fence(a, spec);
    check_windows(a, spec);
    if (a->result->refusal != ACCEPTED)
        return;
    for (uint8_t n = 0; n < spec->instance_count; n++) {
        check_instance(a, spec, n);
        if (a->result->refusal != ACCEPTED)
            return;
        if (!group_may_reside(spec, n)) {
            refuse(a, REFUSE_RESIDENCY, "region %s carries none of the residency tags",
                   group_region_name(spec, n));
            return;
        }
    }
}

/* I2, I3: in place, also of one that is proven or holds a lease: one more port only ever
 * closes more, and until the agent has it in its gate it is as uncovered as it was before
 * anybody named it. From then on the agent takes no lease and gives no proof without it.
 * One that has left the list the agent lets go only when nobody has it any more: a server
 * that is fenced does not begin to serve again by a file (keeper_plan.c). */
static void take_also(struct instance *i, const struct instance *declared)
{
    i->also_count = declared->also_count;
    memcpy(i->also, declared->also, sizeof i->also);
}

static void take_exceptions(struct group *g, const struct group *spec)
{
    g->exception_count = spec->exception_count;
    memcpy(g->exceptions, spec->exceptions, sizeof g->exceptions);
}

/* I2: a new instance enters unproven, whatever its declaration says. */
static void enter(struct instance *fresh, const struct instance *declared)
{
    memset(fresh, 0, sizeof *fresh);
    memcpy(fresh->agent, declared->agent, sizeof fresh->agent);
    memcpy(fresh->component, declared->component, sizeof fresh->component);
    memcpy(fresh->data, declared->data, sizeof fresh->data);
    memcpy(fresh->start, declared->start, sizeof fresh->start);
    memcpy(fresh->power, declared->power, sizeof fresh->power);
    take_also(fresh, declared);
    fresh->region = declared->region;
    fresh->port = declared->port;
    fresh->step.subject = NO_INSTANCE;
}

/* I1: epochs go on where a removed group of this name left off. Its epoch, too, is that
 * one from the start: agents remember it, and rightly refuse an assignment of a lower one,
 * so a group that formed in epoch 0 would wait for their proofs for ever (I11). */
static void take_tombstone(struct state *s, struct group *g)
{
    for (unsigned i = 0; i < s->tombstone_count; i++) {
        if (strcmp(s->tombstones[i].name, g->name) != 0)
            continue;
        g->epoch = g->epoch_floor = MUTANT(tombstone_forgotten, s->tombstones[i].epoch, 0);
        s->tombstones[i] = s->tombstones[--s->tombstone_count];
        memset(&s->tombstones[s->tombstone_count], 0, sizeof s->tombstones[0]);
        return;
    }
}

static void begin_forming(struct group *g, uint64_t index, const char *rule)
{
    g->phase = PHASE_FORMING;
    g->index = index;
    memset(&g->run, 0, sizeof g->run);
    g->run.id = index;
    g->run.kind = RUN_FORM;
    g->run.from = NO_INSTANCE;
    g->run.to = g->active;
    snprintf(g->run.rule, sizeof g->run.rule, "%s", rule);
}

static void declare_new(struct applying *a, const struct group *spec)
{
    struct group *g;

    if (a->s->group_count == GROUP_MAX) {
        refuse(a, REFUSE_FULL, "%d groups are declared already", GROUP_MAX);
        return;
    }
    g = &a->s->groups[a->s->group_count++];
    memset(g, 0, sizeof *g);
    memcpy(g->name, spec->name, sizeof g->name);
    memcpy(g->component, spec->component, sizeof g->component);
    memcpy(g->provider, spec->provider, sizeof g->provider);
    memcpy(g->regions, spec->regions, sizeof g->regions);
    g->policy = spec->policy;
    g->region_count = spec->region_count;
    g->instance_count = spec->instance_count;
    take_exceptions(g, spec);
    for (unsigned i = 0; i < g->instance_count; i++)
        enter(&g->instances[i], &spec->instances[i]);
    g->active = spec->active;
    g->old_active = NO_INSTANCE;
    g->adopt = spec->adopt;
    take_tombstone(a->s, g);
    begin_forming(g, a->index, a->e->rule);
}

/* The way that is open to every group: one of two instances cannot be taken out, nor the
 * active one. */
#define MADE_ANEW                                                                          \
    "`ringfence detach %s`, `ringfence remove %s`, then apply the file with `adopt: "      \
    "true`; epochs go on where they were"

static void refuse_in_place(struct applying *a, const struct group *g, uint8_t instance)
{
    const char *name = g->instances[instance].agent;

    if (g->instance_count > 2 && instance != g->active)
        refuse(a, REFUSE_FIXED,
               "instance %s cannot change its port, data directory or region in place: "
               "apply the file without it, then with it again",
               name);
    else
        refuse(a, REFUSE_FIXED,
               "instance %s cannot change its port, data directory or region in "
               "place: " MADE_ANEW,
               name, g->name, g->name);
}

/* An instance that stays must stay where it is. */
static void check_kept(struct applying *a, const struct group *g, const struct group *spec)
{
    for (uint8_t n = 0; n < spec->instance_count; n++) {
        const struct instance *new = &spec->instances[n];
        uint8_t k = group_instance(g, new->agent);
        const struct instance *old = k == NO_INSTANCE ? NULL : &g->instances[k];

        if (old == NULL)
            continue;
        if (old->port != new->port || strcmp(old->data, new->data) != 0 ||
            strcmp(g->regions[old->region].name, spec->regions[new->region].name) != 0) {
            refuse_in_place(a, g, k);
            return;
        }
    }
}

static void check_change(struct applying *a, const struct group *g,
                         const struct group *spec)
{
    const char *active = g->instances[g->active].agent;
    bool settled =
        g->phase == PHASE_STEADY || g->phase == PHASE_FORMING || g->phase == PHASE_DETACHED;

    if (g->phase != PHASE_FORMING &&
        strcmp(spec->instances[spec->active].agent, active) != 0) {
        refuse(a, REFUSE_ACTIVE_DIFFERS,
               "group %s is active in %s (epoch %" PRIu64
               "), the file says %s: to change the rest and leave it there, take the roles "
               "out of the file or `ringfence apply --keep-active`; to move it, "
               "`ringfence switchover %s --to %s`",
               g->name, group_region_name(g, g->active), g->epoch,
               group_region_name(spec, spec->active), g->name,
               group_region_name(spec, spec->active));
        return;
    }
    if (strcmp(spec->provider, g->provider) != 0 ||
        strcmp(spec->component, g->component) != 0) {
        refuse(a, REFUSE_FIXED,
               "group %s: its component %s (%s) cannot be renamed in place: " MADE_ANEW,
               g->name, g->component, g->provider, g->name, g->name);
        return;
    }
    if (!settled) {
        refuse(a, REFUSE_PHASE, "group %s is %s: apply again when it is steady", g->name,
               phase_name(g->phase));
        return;
    }
    /* I3: a server that runs was taken over with a socket directory that anybody may enter.
     * From this entry on the expiry of its lease would count as a proof, while what is
     * connected there passes the gate by. Forming looks at the directory (forming.c). */
    if (g->policy.ungated_local && !spec->policy.ungated_local &&
        g->phase == PHASE_STEADY) {
        refuse(a, REFUSE_PHASE,
               "group %s: ungated_local cannot be withdrawn while the server runs: "
               "`ringfence detach %s`, apply, and attach, which looks at its sockets",
               g->name, g->name);
        return;
    }
    check_kept(a, g, spec);
    for (uint8_t k = 0; k < g->instance_count && a->result->refusal == ACCEPTED; k++) {
        const struct instance *old = &g->instances[k];

        /* I2: one that leaves a live group must be known to be unable to write. */
        if (group_instance(spec, old->agent) == NO_INSTANCE && g->phase != PHASE_DETACHED &&
            (!instance_is_proven(a->s, old) || proof_leaves_lease(&old->proof)))
            refuse(
                a, REFUSE_UNPROVEN,
                "instance %s cannot be taken out: nothing proves that its gate is closed",
                old->agent);
    }
}

static uint8_t moved(const struct group *old, const struct group *now, uint8_t instance)
{
    return instance < old->instance_count
               ? group_instance(now, old->instances[instance].agent)
               : NO_INSTANCE;
}

/* Positions in `instances` are names to sets and records: carry them over.
 * I8: entries that were decided on the set of before name members by their position, and
 * the set's generation is what they are held against. So it moves on with any position,
 * also where the set has the same bits again: behind a file that puts north where silent
 * west was, the shrink of west would take north out and leave west a member. */
static void move_positions(const struct group *old, struct group *now)
{
    member_set set = 0;
    bool any = false;

    for (uint8_t k = 0; k < old->instance_count; k++) {
        uint8_t to = moved(old, now, k);

        any = any || to != k;
        if (to != NO_INSTANCE && (old->sync_set & 1u << k))
            set = (member_set)(set | 1u << to);
    }
    if (any)
        now->sync_generation = now->index;
    now->sync_set = set;
    now->active = moved(old, now, old->active);
    now->old_active = moved(old, now, old->old_active);
    now->run.from = moved(old, now, old->run.from);
    now->run.to = moved(old, now, old->run.to);
    for (uint8_t k = 0; k < now->instance_count; k++)
        now->instances[k].step.subject = moved(old, now, now->instances[k].step.subject);
}

/* A file that names the wrong region is corrected by one that names the right one (I11).
 * FORMING ends with the activation, so until then, and never again, the declared instance
 * is a mere intention:
 *  - I1: no lease is granted while a group forms (group_may_renew()), so nobody acts on
 * being declared. An activation that is under way was decided on the group as it was
 * before: on another instance's log and server, maybe under the same position, or on
 * another word about its sockets (I3, I9). It names the next epoch of then, and this entry
 * uses that one up: so it is refused behind it (REFUSE_STALE_EPOCH), and before it the
 * group forms no more.
 *  - I2: no proof is made or spared by it. Those of this forming say that a gate is closed,
 *    and no gate is opened or taken away until the activation; the instance that was
 * declared is now one of the others, and has to be proven like them. To adopt may be added,
 * not taken back: an attach has said so without any file. */
static void declare_anew(struct group *g, const struct group *spec)
{
    g->active = spec->active;
    g->adopt = g->adopt || spec->adopt;
    g->run.to = g->active;
    g->epoch_floor = group_next_epoch(g);
}

static void declare_change(struct applying *a, const struct group *spec)
{
    struct group old = *a->g, *g = a->g;

    check_change(a, &old, spec);
    if (a->result->refusal != ACCEPTED)
        return;
    g->index = a->index;
    g->policy = spec->policy;
    g->region_count = spec->region_count;
    memcpy(g->regions, spec->regions, sizeof g->regions);
    g->instance_count = spec->instance_count;
    take_exceptions(g, spec);
    memset(g->instances, 0, sizeof g->instances);
    for (uint8_t n = 0; n < spec->instance_count; n++) {
        uint8_t k = group_instance(&old, spec->instances[n].agent);

        if (k == NO_INSTANCE) {
            enter(&g->instances[n], &spec->instances[n]);
            continue;
        }
        g->instances[n] = old.instances[k];
        g->instances[n].region = spec->instances[n].region;
        memcpy(g->instances[n].start, spec->instances[n].start, PATH_SIZE);
        memcpy(g->instances[n].power, spec->instances[n].power, NAME_SIZE);
        take_also(&g->instances[n], &spec->instances[n]);
    }
    move_positions(&old, g);
    if (g->phase == PHASE_FORMING)
        declare_anew(g, spec);
    ASSERT(g->active < g->instance_count); /* check_change(): the document names it */
    /* I4: what was granted in this epoch was granted; terms only widen until the next. */
    if (g->epoch != 0)
        g->terms = MUTANT(longest_ttl_forgotten,
                          lease_terms_widest(g->terms, g->policy.lease), g->policy.lease);
    if (g->policy.sync == SYNC_OFF && old.policy.sync != SYNC_OFF && g->opened_index != 0) {
        g->sync_set = (member_set)(1u << g->active);
        g->sync_generation = a->index;
    }
}

void apply_declare(struct applying *a)
{
    const struct entry_declare *d = &a->e->declare;
    struct group spec;

    if (strcmp(d->spec.name, a->e->group) != 0) {
        refuse(a, REFUSE_INVALID, "the entry names group %s, its document %s", a->e->group,
               d->spec.name);
        return;
    }
    if (a->g == NULL && d->keep_active) {
        refuse(a, REFUSE_UNKNOWN_GROUP,
               "group %s has been removed meanwhile: say which region is active, and apply "
               "the file again",
               a->e->group);
        return;
    }
    declare_settle(a->g, d, &spec);
    if (a->g != NULL && d->keep_active && spec.active == NO_INSTANCE) {
        refuse(a, REFUSE_ACTIVE_DIFFERS,
               "group %s is active in %s (%s), whose instance the file leaves out",
               a->g->name, group_region_name(a->g, a->g->active),
               a->g->instances[a->g->active].agent);
        return;
    }
    check_spec(a, &spec);
    if (a->result->refusal != ACCEPTED)
        return;
    if (a->g == NULL)
        declare_new(a, &spec);
    else
        declare_change(a, &spec);
}

void apply_remove(struct applying *a)
{
    struct state *s = a->s;
    struct group *g = a->g;
    uint64_t epoch = g->epoch > g->epoch_floor ? g->epoch : g->epoch_floor;
    unsigned at = (unsigned)(g - s->groups);

    if (g->phase != PHASE_DETACHED) {
        refuse(a, REFUSE_PHASE,
               "group %s is %s: `ringfence detach %s` first, so that its "
               "gates are opened under a logged state",
               g->name, phase_name(g->phase), g->name);
        return;
    }
    if (s->tombstone_count == TOMBSTONE_MAX) {
        refuse(a, REFUSE_FULL, "no room for one more tombstone (%d)", TOMBSTONE_MAX);
        return;
    }
    memcpy(s->tombstones[s->tombstone_count].name, g->name, sizeof g->name);
    s->tombstones[s->tombstone_count++].epoch = epoch;
    memmove(g, g + 1, (s->group_count - at - 1) * sizeof *g);
    memset(&s->groups[--s->group_count], 0, sizeof *g);
}

/* I2: from here on every instance may serve whom it likes, so nothing that was proven
 * stands, and no lease of before can be counted out. */
void apply_detach(struct applying *a)
{
    struct group *g = a->g;

    /* I11: a first promotion that cannot succeed (its server is another group's) goes back
     * as well: nobody has served under the group yet. */
    bool first = g->phase == PHASE_PROMOTING && g->run.kind == RUN_FORM;

    if (g->phase != PHASE_STEADY && g->phase != PHASE_FORMING && !first) {
        refuse(a, REFUSE_PHASE,
               "group %s is %s: a group is detached while it is steady "
               "or forming",
               g->name, phase_name(g->phase));
        return;
    }
    if (!person_is_admin(a))
        return;
    proposals_drop(a, "the group was detached");
    for (unsigned i = 0; i < g->instance_count; i++) {
        memset(&g->instances[i].proof, 0, sizeof g->instances[i].proof);
        g->instances[i].proof.last_grant = a->index;
        g->instances[i].step.state = STEP_IDLE;
    }
    g->phase = PHASE_DETACHED;
    g->index = a->index;
    g->opened_index = 0;
    g->sync_known = false;
    g->sync_set = 0;
    g->sync_generation = a->index;
}

void apply_attach(struct applying *a)
{
    const struct entry_attach *at = &a->e->attach;
    struct group *g = a->g;
    uint8_t active = entry_target(g, at->active, at->active_name);

    if (g->phase != PHASE_DETACHED) {
        refuse(a, REFUSE_PHASE, "group %s is %s, not detached", g->name,
               phase_name(g->phase));
        return;
    }
    if (active == NO_INSTANCE) {
        if (at->active_name[0] != '\0')
            refuse(a, REFUSE_UNKNOWN_INSTANCE, "group %s has no instance %s", g->name,
                   at->active_name);
        else
            refuse(a, REFUSE_UNKNOWN_INSTANCE, "group %s has no instance %u", g->name,
                   at->active);
        return;
    }
    if (!person_is_admin(a))
        return;
    g->active = active;
    g->adopt = true;
    /* The exit of a sign of corruption: what stands there now is the operator's word. */
    for (unsigned i = 0; i < g->instance_count; i++)
        g->instances[i].checksum_failures = 0;
    begin_forming(g, a->index, a->e->rule);
}
