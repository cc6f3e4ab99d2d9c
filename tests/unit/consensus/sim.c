#include "tests/unit/consensus/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "tests/unit/consensus/sim_node.h"

unsigned sim_random(struct sim *s, unsigned n)
{
    s->rng ^= s->rng << 13;
    s->rng ^= s->rng >> 7;
    s->rng ^= s->rng << 17;
    return (unsigned)((s->rng >> 11) % n);
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
    va_list args;
    int used;

    if (!s->result->ok)
        return; /* the first one tells */
    s->result->ok = false;
    used = snprintf(s->result->why, sizeof s->result->why,
                    "seed %u at %" PRIu64 " ms: ", s->config.seed, s->now);
    va_start(args, fmt);
    vsnprintf(s->result->why + used, sizeof s->result->why - (size_t)used, fmt, args);
    va_end(args);
}

/* ---- the network --------------------------------------------------------------------- */

static bool before(const struct sim_packet *a, const struct sim_packet *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void heap_push(struct sim *s, struct sim_packet *p)
{
    size_t i = s->n_heap++;

    if (s->n_heap > s->cap_heap) {
        s->cap_heap = 2 * s->cap_heap + 64;
        s->heap = reallocarray(s->heap, s->cap_heap, sizeof(struct sim_packet *));
        ASSERT(s->heap != NULL);
    }
    p->order = s->order++;
    for (; i > 0 && before(p, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = p;
}

static struct sim_packet *heap_pop(struct sim *s)
{
    struct sim_packet *top = s->heap[0], *x = s->heap[--s->n_heap];
    size_t i = 0, c;

    while ((c = 2 * i + 1) < s->n_heap) {
        if (c + 1 < s->n_heap && before(s->heap[c + 1], s->heap[c]))
            c++;
        if (!before(s->heap[c], x))
            break;
        s->heap[i] = s->heap[c];
        i = c;
    }
    s->heap[i] = x;
    return top;
}

static void packet_free(struct sim_packet *p)
{
    buf_free(&p->bytes);
    free(p);
}

static uint64_t arrival(struct sim *s)
{
    return s->now + 1 + sim_random(s, 10) +
           (sim_random(s, 100) < 5 ? sim_random(s, 600) : 0);
}

void sim_deliver_later(struct sim *s, struct sim_packet *p)
{
    if (sim_random(s, 100) < 8) {
        struct sim_packet *twin = calloc(1, sizeof *twin);

        ASSERT(twin != NULL);
        twin->from = p->from;
        twin->to = p->to;
        if (buf_append(&twin->bytes, p->bytes.data, p->bytes.len, NULL) != 0)
            abort();
        twin->at = arrival(s);
        heap_push(s, twin);
    }
    p->at = arrival(s);
    heap_push(s, p);
}

static void deliver_due(struct sim *s)
{
    while (s->n_heap > 0 && s->heap[0]->at <= s->now && s->result->ok) {
        struct sim_packet *p = heap_pop(s);

        s->result->events++;
        if (s->now <= s->node[p->to].awake_at) {
            p->at = s->node[p->to].awake_at + 1;
            heap_push(s, p);
            continue;
        }
        if (s->node[p->to].up && !s->cut[p->from][p->to])
            node_receive(&s->node[p->to], p);
        packet_free(p);
    }
}

/* ---- faults -------------------------------------------------------------------------- */

static void cut_something(struct sim *s)
{
    unsigned i = sim_random(s, SIM_NODES), j = sim_random(s, SIM_NODES);

    s->cut[i][j] = true;
    if (sim_random(s, 2) != 0)
        s->cut[j][i] = true;
    if (sim_random(s, 3) == 0)
        for (j = 0; j < SIM_NODES; j++)
            s->cut[i][j] = s->cut[j][i] = true;
}

static void crash_somebody(struct sim *s)
{
    struct sim_node *n = &s->node[sim_random(s, SIM_NODES)];

    if (!n->up)
        return;
    node_crash(n);
    s->result->crashes++;
    n->restart_at = s->now + (uint64_t)sim_random(s, 10) * sim_random(s, 300);
}

/* Never a second one before the first one's successor votes: two of three would be lost. */
static void lose_a_disk(struct sim *s)
{
    struct sim_node *n = &s->node[sim_random(s, SIM_NODES)];

    if (s->lost != NULL && s->lost->up && node_votes(s->lost))
        s->lost = NULL;
    if (s->lost != NULL || !n->up || sim_random(s, 20) != 0)
        return;
    node_lose_disk(n);
    s->lost = n;
    s->result->replaced++;
    n->restart_at = s->now + sim_random(s, 3000);
}

static void faults(struct sim *s)
{
    bool quiet = s->now >= s->config.fault_ms;

    if (!quiet && s->config.lose_disks && s->now % 50 == 0)
        lose_a_disk(s);
    if (!quiet && sim_random(s, 1500) == 0)
        crash_somebody(s);
    if (!quiet && sim_random(s, 700) == 0)
        cut_something(s);
    if (!quiet && s->config.stand_still && sim_random(s, 900) == 0)
        s->node[sim_random(s, SIM_NODES)].awake_at = s->now + 300 + sim_random(s, 3000);
    if (quiet || sim_random(s, 900) == 0)
        memset(s->cut, 0, sizeof s->cut);
    if (!quiet && s->n_heap > 0 && sim_random(s, 40) == 0)
        packet_free(heap_pop(s));
}

/* ---- the run ------------------------------------------------------------------------- */

/* A read comes, which must see all that was committed before, or not be answered. */
static void read_from(struct sim_node *n)
{
    struct sim_read r = {.floor = n->sim->committed};
    uint64_t at[2];
    struct err err;
    int status;

    if (n->sim->config.read_at_once) {
        if (driver_is_authoritative(n->driver))
            node_answer(n, r.floor);
        return;
    }
    if (n->n_reads == SIM_READS)
        return;
    status = driver_barrier(n->driver, n->sim->now, &n->orders, at, &err);
    if (status == 0) {
        r.index = at[0];
        r.term = at[1];
        n->reads[n->n_reads++] = r;
    }
    node_carry_out(n, status, &err);
}

static void run_nodes(struct sim *s)
{
    for (unsigned i = 0; i < SIM_NODES && s->result->ok; i++) {
        struct sim_node *n = &s->node[i];

        if (!n->up && s->now >= n->restart_at)
            node_start(n);
        if (!n->up)
            continue;
        if (s->now < n->awake_at)
            continue;
        if (s->now == n->awake_at) /* it is asked before it has heard anything */
            read_from(n);
        node_run_disk(n);
        node_tick(n);
    }
}

static void load(struct sim *s)
{
    for (unsigned i = 0; i < SIM_NODES && s->result->ok; i++) {
        if (!s->node[i].up || s->now < s->node[i].awake_at)
            continue;
        if (s->now < s->config.fault_ms && sim_random(s, 40) == 0)
            node_transfer(&s->node[i]);
        node_submit(&s->node[i]);
        if (s->config.reads)
            read_from(&s->node[i]);
        if (s->config.lose_disks)
            node_reconcile(&s->node[i]);
    }
}

static void check_end(struct sim *s)
{
    for (unsigned i = 0; i < SIM_NODES && s->result->ok; i++) {
        struct sim_node *n = &s->node[i];

        if (n->up && s->config.lose_disks && !node_votes(n))
            sim_fail(s, "node %u was not taken in", i + 1);
        if (!n->up || n->applied != s->committed || n->hash != s->node[0].hash)
            sim_fail(s, "no convergence: node %u applied %" PRIu64 " of %" PRIu64, i + 1,
                     n->applied, s->committed);
    }
    if (s->committed < 60)
        sim_fail(s, "only %" PRIu64 " entries", s->committed);
    s->result->committed = s->committed;
    s->result->state = s->node[0].hash;
}

static void start_all(struct sim *s)
{
    for (unsigned i = 0; i < SIM_NODES; i++) {
        s->node[i].sim = s;
        s->node[i].position = i;
        node_bootstrap(&s->node[i]);
        node_start(&s->node[i]);
    }
}

void sim_run(const struct sim_config *config, struct sim_result *ret)
{
    enum { QUIET_MS = 10000, LOAD_AFTER_MS = 5000 };
    struct sim *s = calloc(1, sizeof *s);
    uint64_t next_load = 0;

    ASSERT(s != NULL);
    *ret = (struct sim_result){.ok = true};
    s->config = *config;
    s->result = ret;
    s->rng = config->seed * UINT64_C(2654435761) + UINT64_C(88172645463325252);
    for (unsigned i = 0; i < 20; i++)
        (void)sim_random(s, 2);
    start_all(s);
    for (s->now = 1; s->now < config->fault_ms + QUIET_MS && ret->ok; s->now++) {
        deliver_due(s);
        run_nodes(s);
        faults(s);
        if (s->now >= next_load && s->now < config->fault_ms + LOAD_AFTER_MS) {
            next_load = s->now + 5 + sim_random(s, 60);
            load(s);
        }
    }
    check_end(s);
    for (unsigned i = 0; i < SIM_NODES; i++)
        node_free(&s->node[i]);
    while (s->n_heap > 0)
        packet_free(heap_pop(s));
    free(s->heap);
    free(s);
}
