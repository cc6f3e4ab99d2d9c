#include "controller/core/proposal.h"

#include <string.h>

#include "controller/core/actor.h"
#include "controller/core/state.h"

const char *proposal_kind_name(enum proposal_kind kind)
{
    switch (kind) {
#define X(name, number, text)                                                              \
    case name:                                                                             \
        return text;
        PROPOSAL_KIND_MAP(X)
#undef X
    }
    return "?";
}

const char *proposal_state_name(enum proposal_state state)
{
    switch (state) {
#define X(name, number, text)                                                              \
    case name:                                                                             \
        return text;
        PROPOSAL_STATE_MAP(X)
#undef X
    }
    return "?";
}

bool proposal_is_attestation(enum proposal_kind kind)
{
    return kind == PROPOSAL_ATTEST_DEAD || kind == PROPOSAL_ATTEST_LOSS;
}

bool proposal_is_over(const struct proposal *p)
{
    switch (p->state) {
    case PROPOSED_OPEN:
    case PROPOSED_APPROVED:
    case PROPOSED_STALE:
    case PROPOSED_RUNNING:
        return false;
    case PROPOSED_NONE:
    case PROPOSED_DONE:
    case PROPOSED_FAILED:
    case PROPOSED_ABORTED:
    case PROPOSED_REJECTED:
    case PROPOSED_EXPIRED:
        break;
    }
    return true;
}

/* ---- time of day -----------------------------------------------------------------------
 */

static bool on_day(const struct approval_window *w, uint64_t day)
{
    /* 1970-01-01 was a Thursday. */
    return (w->days & 1u << (day + 3) % 7) != 0;
}

static bool is_open(const struct approval_window *w, uint64_t wall_ms)
{
    /* A day more, so that a zone west of UTC stays above zero. */
    uint64_t minutes = wall_ms / 60000 + w->zone + 7ull * DAY_MIN - ZONE_ZERO;
    uint64_t day = minutes / DAY_MIN, minute = minutes % DAY_MIN;

    if (w->days == 0 || w->from_min == w->to_min)
        return w->days == 0 || on_day(w, day);
    if (w->from_min < w->to_min)
        return on_day(w, day) && minute >= w->from_min && minute < w->to_min;
    return minute >= w->from_min ? on_day(w, day)
                                 : minute < w->to_min && on_day(w, day - 1);
}

const struct approval_window *approval_window_at(const struct policy *p, uint64_t wall_ms)
{
    for (unsigned i = 0; i < p->window_count; i++)
        if (is_open(&p->windows[i], wall_ms))
            return &p->windows[i];
    return NULL;
}

static const char *window_problem(const struct approval_window *w, bool last)
{
    if ((w->days == 0) != last)
        return last ? "the last one must have neither days nor hours: it is for all other "
                      "times"
                    : "only the last one may be without days";
    if (w->days > 0x7f || w->from_min >= DAY_MIN || w->to_min > DAY_MIN ||
        w->zone > 2 * ZONE_ZERO)
        return "days, hours or timezone are out of range";
    if (w->need_count == 0 || w->need_count > NEED_MAX)
        return "`need` names one to four roles";
    for (unsigned i = 0; i < w->need_count; i++)
        if (w->need[i].role != ROLE_OPERATOR && w->need[i].role != ROLE_APPROVER &&
            w->need[i].role != ROLE_ADMIN)
            return "`need` takes operator, approver and admin";
    if (w->expires_ms < 1000 || w->expires_ms > 7u * 24 * 3600 * 1000)
        return "`expires` is one second to seven days";
    return NULL;
}

const char *approval_windows_problem(const struct policy *p)
{
    const char *problem = NULL;

    for (unsigned i = 0; i < p->window_count && problem == NULL; i++)
        problem = window_problem(&p->windows[i], i + 1u == p->window_count);
    return problem;
}

/* ---- who has agreed --------------------------------------------------------------------
 */

/* The needs that are met if signers, from this one on, speak for one role each: as many as
 * possible, as bits. At most four of each, so all ways are tried. */
static unsigned met(const struct proposal *p, unsigned signer, unsigned taken)
{
    unsigned best = taken;

    if (signer == p->signer_count)
        return taken;
    best = met(p, signer + 1, taken);
    for (unsigned i = 0; i < p->need_count; i++) {
        unsigned with;

        if ((taken & 1u << i) != 0 ||
            !role_allows(p->signers[signer].roles, p->need[i].role))
            continue;
        with = met(p, signer + 1, taken | 1u << i);
        if (__builtin_popcount(with) > __builtin_popcount(best))
            best = with;
    }
    return best;
}

uint8_t proposal_lacks(const struct proposal *p)
{
    unsigned have = met(p, 0, 0);
    uint8_t lacks = 0;

    for (unsigned i = 0; i < p->need_count; i++)
        if ((have & 1u << i) == 0)
            lacks = (uint8_t)(lacks | p->need[i].role);
    return lacks;
}

bool proposal_has_signed(const struct proposal *p, const char *name)
{
    for (unsigned i = 0; i < p->signer_count; i++)
        if (strcmp(p->signers[i].name, name) == 0)
            return true;
    return false;
}

bool proposal_wants(const struct proposal *p, const char *name, uint8_t roles)
{
    struct proposal with = *p;
    struct signer *s = &with.signers[with.signer_count];

    if (p->signer_count == NEED_MAX)
        return false;
    memset(s, 0, sizeof *s);
    memcpy(s->name, name, strnlen(name, NAME_SIZE - 1));
    s->roles = roles;
    with.signer_count++;
    return __builtin_popcount(met(&with, 0, 0)) > __builtin_popcount(met(p, 0, 0));
}

/* ---- which one -------------------------------------------------------------------------
 */

const struct proposal *state_proposal(const struct state *s, uint64_t id)
{
    for (unsigned i = 0; i < s->proposal_count; i++)
        if (s->proposals[i].id == id)
            return &s->proposals[i];
    return NULL;
}

const struct proposal *proposal_approved(const struct state *s, const struct group *g,
                                         enum proposal_kind kind)
{
    for (unsigned i = 0; i < s->proposal_count; i++) {
        const struct proposal *p = &s->proposals[i];

        if (p->state == PROPOSED_APPROVED && p->kind == kind &&
            strcmp(p->group, g->name) == 0)
            return p;
    }
    return NULL;
}

/* What its approval promises, in a second form: two names, whatever approved it. */
static bool two_people(const struct proposal *p)
{
    return p->signer_count >= 2 && strcmp(p->signers[0].name, p->signers[1].name) != 0;
}

static const struct proposal *attestation(const struct state *s, const struct group *g,
                                          uint8_t instance, enum proposal_kind kind,
                                          uint64_t grant)
{
    for (unsigned i = 0; i < s->proposal_count; i++) {
        const struct proposal *p = &s->proposals[i];

        if (p->state == PROPOSED_APPROVED && p->kind == kind && p->epoch == g->epoch &&
            p->grant == grant && strcmp(p->group, g->name) == 0 &&
            strcmp(p->target, g->instances[instance].agent) == 0 && two_people(p))
            return p;
    }
    return NULL;
}

const struct proposal *attested_dead(const struct state *s, const struct group *g,
                                     uint8_t instance)
{
    const struct instance *i = &g->instances[instance];
    const struct agent *agent = state_agent(s, i->agent);
    const struct proposal *p =
        attestation(s, g, instance, PROPOSAL_ATTEST_DEAD, i->proof.last_grant);
    struct incarnation life;

    if (p == NULL || agent == NULL || agent->enrolled_index > p->id ||
        !power_subject(s, g, instance, &life) || !incarnation_equal(&life, &p->life))
        return NULL;
    return p;
}

const struct proposal *attested_loss(const struct state *s, const struct group *g,
                                     uint8_t instance)
{
    return attestation(s, g, instance, PROPOSAL_ATTEST_LOSS,
                       g->instances[g->active].proof.last_grant);
}
