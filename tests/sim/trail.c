#include "tests/sim/trail.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/audit/chain.h"
#include "tests/sim/judge.h"

static struct {
    struct trail now;
    uint64_t owes; /* index of an applied entry that has left no row yet; 0: none */
} of_node[CTLS];

/* Behind each index that has a row, as the first node had it. `index` 0: no row. */
static struct trail *known;
static size_t known_cap, known_end;

static struct trail *known_at(uint64_t index)
{
    if (index >= known_cap) {
        size_t cap = (size_t)index + known_cap + 256;

        known = reallocarray(known, cap, sizeof *known);
        ASSERT(known != NULL);
        memset(known + known_cap, 0, (cap - known_cap) * sizeof *known);
        known_cap = cap;
    }
    if (index >= known_end)
        known_end = (size_t)index + 1;
    return &known[index];
}

static void judge_owed(uint8_t node)
{
    if (of_node[node].owes != 0)
        sim_fail("I9: entry %" PRIu64 " was applied on %s and is not in its audit trail",
                 of_node[node].owes, node_name(node));
    of_node[node].owes = 0;
}

void trail_applied(uint8_t node, uint64_t index, const struct entry *e)
{
    if (!sim_is_heard())
        return;
    judge_owed(node);
    if (e->kind != ENTRY_RENEW && index > of_node[node].now.index)
        of_node[node].owes = index;
}

static void compare(uint8_t node, const struct trail *t)
{
    struct trail *other = known_at(t->index);

    if (other->index == 0)
        *other = *t;
    else if (other->seq != t->seq || memcmp(other->hash, t->hash, CHAIN_SIZE) != 0)
        sim_fail("I9: the audit trail up to entry %" PRIu64 " on %s, %" PRIu64
                 " rows, is not the %" PRIu64 " rows that another node has",
                 t->index, node_name(node), t->seq, other->seq);
}

void trail_put(uint8_t node, const struct audit_row *rows, size_t n)
{
    struct trail *t = &of_node[node].now;

    if (n == 0 || !sim_is_heard())
        return;
    judge_audit(rows, n);
    if (rows[0].index <= t->index)
        return; /* applied once more, after a restart */
    for (size_t i = 0; i < n; i++) {
        struct audit_row r;

        audit_chain_row(&rows[i], t->seq, t->hash, &r);
        if (!audit_chain_continues(&r, t->seq, t->hash))
            sim_fail("I9: audit row %" PRIu64 " on %s does not continue the chain", r.seq,
                     node_name(node));
        t->seq = r.seq;
        memcpy(t->hash, r.hash, CHAIN_SIZE);
    }
    t->index = rows[0].index;
    if (t->index == of_node[node].owes)
        of_node[node].owes = 0;
    compare(node, t);
}

void trail_skip(uint8_t node, uint64_t index)
{
    struct trail *t = &of_node[node].now;

    judge_owed(node);
    while (index > t->index && (index >= known_end || known[index].index == 0))
        index--;
    if (index > t->index)
        *t = known[index];
}

const struct trail *trail_of(uint8_t node) { return &of_node[node].now; }

void trail_load(uint8_t node, const struct trail *on_disk)
{
    of_node[node].now = *on_disk;
    of_node[node].owes = 0;
}

void trail_last(void)
{
    for (uint8_t n = 0; n < CTLS; n++)
        if (sim.procs[n].tasks[TASK_MAIN].on_stack == 0)
            judge_owed(n);
}

void trail_begin(void)
{
    memset(of_node, 0, sizeof of_node);
    if (known_end > 0)
        memset(known, 0, known_end * sizeof *known);
    known_end = 0;
}

void trail_end(void)
{
    free(known);
    known = NULL;
    known_cap = known_end = 0;
}
