/* What every reachable state satisfies. The checks repeat in a second form what apply()
 * guards at each entry: a rule this dangerous is stated twice. */
#include "controller/core/apply.h"
#include "controller/core/apply_internal.h"

#include <stddef.h>
#include <string.h>

#include "controller/base/mutant.h"

/* I1, I2: besides the active instance nobody holds a write lease: never granted, or proven
 * since, or only the read lease that this epoch's policy allows, or unmanaged. */
static const char *others_broken(const struct group *g)
{
    for (unsigned k = 0; k < g->instance_count; k++) {
        const struct instance *i = &g->instances[k];
        bool read_lease = i->holder_epoch == g->epoch && g->opened_index != 0;

        if (k == g->active || i->proof.last_grant == 0 ||
            MUTANT(old_proof_counts, i->proof.proven > i->proof.last_grant,
                   i->proof.proven != 0) ||
            MUTANT(activates_unproven, read_lease, true) ||
            MUTANT(wrong_one_proven, false, true))
            continue;
        return "I2: an instance that is not active has a grant without a later proof";
    }
    return NULL;
}

static const char *set_broken(const struct group *g)
{
    if (g->sync_set >> g->instance_count != 0)
        return "I8: the sync set names an instance that does not exist";
    if (g->phase == PHASE_STEADY && !(g->sync_set & 1u << g->active))
        return "I8: the active instance is not in its own sync set";
    return NULL;
}

static const char *group_broken(const struct group *g)
{
    const char *text = NULL;
    bool live = g->phase == PHASE_PROMOTING || g->phase == PHASE_STEADY ||
                g->phase == PHASE_SWITCHING;

    if (g->active >= g->instance_count)
        return "I1: no active instance";
    if ((g->fence_index != 0) != (g->phase == PHASE_FENCING))
        return "I4: fence_begin and phase disagree";
    if ((live || g->phase == PHASE_FENCING) && g->epoch == 0)
        return "I1: active without an epoch";
    if ((g->phase == PHASE_STEADY || g->phase == PHASE_SWITCHING) &&
        g->opened_index <= g->activated_index)
        return "I8: steady without `opened`";
    if (live)
        text = others_broken(g);
    return text != NULL ? text : set_broken(g);
}

static const char *pairs_broken(const struct state *s, const struct group *g)
{
    for (unsigned k = 0; k < g->instance_count; k++)
        if (instance_in_other_group(s, g, &g->instances[k]) != NULL)
            return "I1: an instance belongs to two groups";
    return NULL;
}

/* What runs, or is about to, has been agreed to by as many people as it needed. */
static const char *approval_broken(const struct proposal *p)
{
    bool counts = p->state == PROPOSED_APPROVED || p->state == PROPOSED_RUNNING;

    for (unsigned i = 1; counts && i < p->signer_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (MUTANT(same_person_twice,
                       strcmp(p->signers[i].name, p->signers[k].name) == 0, false))
                return "one person has approved a proposal twice";
    if (counts &&
        MUTANT(same_person_twice, proposal_lacks(p) != 0, p->signer_count < p->need_count))
        return "a proposal runs that not all have approved";
    return NULL;
}

/* One request, one entry that it made. */
static const char *answered_broken(const struct state *s)
{
    for (unsigned i = 1; i < s->answered_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (memcmp(s->answered[i].key.id, s->answered[k].key.id, KEY_HASH_SIZE) == 0)
                return "two entries were made by requests of one key";
    return NULL;
}

static const char *broken(const struct state *s, bool all_pairs, const char *group)
{
    for (unsigned i = 0; i < s->group_count; i++) {
        const struct group *g = &s->groups[i];
        const char *text = group_broken(g);

        if (text == NULL && (all_pairs || strcmp(g->name, group) == 0))
            text = pairs_broken(s, g);
        if (text != NULL)
            return text;
    }
    for (unsigned i = 0; i < s->proposal_count; i++)
        if (approval_broken(&s->proposals[i]) != NULL)
            return approval_broken(&s->proposals[i]);
    return NULL;
}

const char *state_invariant_broken(const struct state *s)
{
    const char *text = broken(s, true, "");

    return text != NULL ? text : answered_broken(s);
}

/* Where an instance stands is said by its own group and by its agent's address. So of the
 * pairs, of which there are thousands with fifty groups, only those can have changed that
 * the group of the entry is one of; all of them when an agent enrolled. */
const char *state_invariant_broken_by(const struct state *s, const struct entry *e)
{
    return broken(s, e->kind == ENTRY_ENROL, e->group);
}
