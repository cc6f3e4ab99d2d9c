#include "tests/sim/judge_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "proto/snapshot_codec.h"
#include "tests/sim/approvals.h"
#include "tests/sim/coverage.h"
#include "tests/sim/judge.h"
#include "tests/sim/judge_lease.h"
#include "tests/sim/judge_raft.h"
#include "tests/sim/judge_steps.h"
#include "tests/sim/plan.h"
#include "tests/shadow/apply_shadow.h"
#include "tests/sim/trail.h"

enum { WHOLE_EACH = 64 };

/* What the first node found at an index; the others must find the same. */
static struct agreed {
    uint64_t verdict, state, audit, leader; /* the last by term */
} * agreed;
static size_t agreed_cap;
static uint64_t highest;
static char last_error[300];
static struct shadow shadow;

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * UINT64_C(1099511628211);
    return hash;
}

static struct agreed *at(uint64_t index)
{
    if (index >= agreed_cap) {
        size_t cap = (size_t)index + agreed_cap + 1024;

        agreed = reallocarray(agreed, cap, sizeof *agreed);
        ASSERT(agreed != NULL);
        memset(agreed + agreed_cap, 0, (cap - agreed_cap) * sizeof *agreed);
        agreed_cap = cap;
    }
    return &agreed[index];
}

static void agree(uint64_t *known, uint64_t found, uint64_t index, const char *what)
{
    if (*known == 0)
        *known = found;
    else if (*known != found)
        sim_fail("%s at index %" PRIu64 " on %s is not what another node has", what, index,
                 node_name(sim_self()->node));
}

/* ---- applying --------------------------------------------------------------------------
 */

static uint64_t hash_of(const struct state *s, const struct entry *e,
                        const struct apply_result *r)
{
    const struct group *g = state_group_const(s, e->group);
    uint64_t facts[12] = {e->kind, r->refusal, s->group_count, s->agent_count};
    uint64_t hash;

    if (g != NULL) {
        facts[4] = g->phase;
        facts[5] = g->epoch;
        facts[6] = g->index;
        facts[7] = g->active;
        facts[8] = g->sync_set;
        facts[9] = g->sync_generation;
        facts[10] = g->fence_index ^ g->activated_index << 20 ^ g->opened_index << 40;
        facts[11] = g->run.id ^ (uint64_t)g->run.result << 32;
    }
    hash = mix(14695981039346656037u, facts, sizeof facts);
    if (e->kind == ENTRY_RENEW)
        hash = mix(hash, r->verdicts, e->renew.count);
    return hash | 1;
}

static uint64_t hash_whole(const struct state *s)
{
    AUTO(buf_free) struct buf bytes = {0};

    if (snapshot_encode(s, &bytes, NULL) != 0)
        sim_fail("the state cannot be encoded");
    return mix(14695981039346656037u, bytes.data, bytes.len) | 1;
}

static uint8_t group_number(const char *name)
{
    for (uint8_t g = 0; g < sim.groups; g++)
        if (strcmp(group_name(g), name) == 0)
            return g;
    return NOBODY;
}

static void tell(const struct state *s, const struct entry *e, const struct apply_result *r)
{
    const struct group *g = state_group_const(s, e->group);
    uint8_t i = entry_instance(e);
    char summary[TEXT_SIZE];

    if (sim.opt.trace == 0 || (e->kind == ENTRY_RENEW && sim.opt.trace < 3))
        return;
    entry_summary(e, g != NULL && i < g->instance_count ? g->instances[i].agent : "",
                  summary, sizeof summary);
    if (r->refusal != ACCEPTED)
        sim_note("[%" PRIu64 "] %s: %s: refused: %s", s->applied, e->rule, summary,
                 r->text);
    else if (g != NULL)
        sim_note("[%" PRIu64 "] %s %-22s %-9s e%" PRIu64 " set %x: %s", s->applied,
                 e->group, e->rule, phase_name(g->phase), g->epoch, g->sync_set, summary);
    else
        sim_note("[%" PRIu64 "] %s: %s", s->applied, e->rule, summary);
}

static void note_grants(const struct entry *e, const struct apply_result *r)
{
    for (unsigned k = 0; k < e->renew.count; k++) {
        const struct renew_item *item = &e->renew.items[k];
        uint8_t group = group_number(item->group);

        if (r->verdicts[k] == ACCEPTED && group != NOBODY)
            judge_granted(group, item);
        if (r->verdicts[k] == ACCEPTED && group != NOBODY && item->instance <= 1)
            judge_logged(group, EVENT_RENEWED, item->instance, item->epoch);
    }
}

static void first_time(const struct state *s, const struct group *before,
                       const struct entry *e, const struct apply_result *r)
{
    uint8_t group = group_number(e->group);
    const struct group *g = state_group_const(s, e->group);

    judged.applied++;
    sim_mix(s->applied ^ (uint64_t)e->kind << 32 ^ (uint64_t)r->refusal << 40);
    tell(s, e, r);
    if (e->kind == ENTRY_RENEW)
        note_grants(e, r);
    if (r->refusal != ACCEPTED || e->kind == ENTRY_RENEW || group == NOBODY)
        return;
    coverage_note(e, group);
    approvals_entry(group, s->applied, e, before);
    judge_lease_entry(group, s->applied, e, g);
    judge_steps_entry(group, s->applied, e, g);
    if (g != NULL) {
        judge_terms(group, g);
        judge_entry(group, e, g);
    }
    plan_note_entry(group, e->kind);
}

void shadow_broken(const char *claim, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    sim_fail("%s (by the books of tests/shadow: %s)", text, claim);
}

void __real_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret);
void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret);

/* node.c applies what was committed; apply.c's own dry runs do not come by here. */
void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret)
{
    static struct group kept;
    const struct group *before = NULL;

    if (index > highest && e->kind != ENTRY_RENEW)
        before = state_group_const(s, e->group);
    if (before != NULL) {
        kept = *before;
        before = &kept;
    }
    __real_apply(s, index, e, ret);
    trail_applied(sim_self()->node, index, e);
    agree(&at(index)->verdict, hash_of(s, e, ret), index, "the result");
    if (index % WHOLE_EACH == 0)
        agree(&at(index)->state, hash_whole(s), index, "the state");
    if (index <= highest)
        return;
    highest = index;
    judge_read(e);
    shadow_follow(&shadow, before, s, e, ret);
    first_time(s, before, e, ret);
}

void __real_agents_leader_changed(struct agents *a);
void __wrap_agents_leader_changed(struct agents *a);

/* daemon.c tells of every change of role by it: one leader in a term, or none. */
void __wrap_agents_leader_changed(struct agents *a)
{
    uint8_t node = sim_self()->node;
    struct daemon *d = ctl_daemon(node);
    struct driver_status st;

    if (d != NULL) {
        node_status(d->node, &st);
        if (st.role == ROLE_LEADER)
            agree(&at(st.term)->leader, node + 1u, st.term, "the leader of the term");
        judge_barrier(node, &st);
    }
    __real_agents_leader_changed(a);
}

static uint64_t mix_row(uint64_t hash, const struct audit_row *row)
{
    hash = mix(hash ^ row->index ^ row->term << 32, row->kind, strlen(row->kind));
    hash = mix(hash, row->group, strlen(row->group));
    hash = mix(hash, row->rule, strlen(row->rule));
    hash = mix(hash, row->text, strlen(row->text));
    hash = mix(hash, &row->wall_ms, sizeof row->wall_ms);
    return mix(hash, &row->leader_id, sizeof row->leader_id);
}

/* I9: what an entry leaves in the trail is the same everywhere, and if it is applied once
 * more. */
void judge_audit(const struct audit_row *rows, size_t n)
{
    uint64_t hash = 0;

    for (size_t i = 0; i < n; i++)
        hash = mix_row(hash, &rows[i]);
    agree(&at(rows[0].index)->audit, hash | 1, rows[0].index, "the audit row");
}

/* ---- looking ---------------------------------------------------------------------------
 */

const char *group_name(uint8_t group)
{
    static char names[WORLD_GROUPS_MAX][8];

    if (names[group][0] == 0)
        (void)snprintf(names[group], sizeof names[group], "g%u", group);
    return names[group];
}

const struct group *judge_view(uint8_t group, uint8_t *ret_node)
{
    const struct group *best = NULL;
    uint64_t applied = 0;

    for (uint8_t n = 0; n < CTLS; n++) {
        struct daemon *d = ctl_daemon(n);
        const struct state *s = d != NULL && d->node != NULL ? node_state(d->node) : NULL;

        if (s == NULL || s->applied < applied ||
            (s->applied == applied && !node_leads(d->node)))
            continue; /* of equal ones the leader: it knows why, too */
        applied = s->applied;
        best = state_group_const(s, group_name(group));
        *ret_node = n;
    }
    return best;
}

bool judge_sees_all(uint8_t node)
{
    struct daemon *d = ctl_daemon(node);

    return d != NULL && node_state(d->node)->applied >= highest;
}

void judge_log_error(const char *text)
{
    (void)snprintf(last_error, sizeof last_error, "%s", text);
}

const char *judge_log_last_error(void) { return last_error; }

void judge_log_begin(void)
{
    if (agreed_cap > 0)
        memset(agreed, 0, agreed_cap * sizeof *agreed);
    highest = 0;
    approvals_begin();
    shadow.count = 0;
    last_error[0] = 0;
}

void judge_log_end(void)
{
    free(agreed);
    agreed = NULL;
    agreed_cap = 0;
}
