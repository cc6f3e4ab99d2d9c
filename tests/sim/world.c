#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "tests/sim/judge.h"

enum { DEPTH_MAX = 6 };

struct sim sim;

/* ---- chance ---------------------------------------------------------------------------
 */

/* xorshift64*: the same everywhere, and never zero. */
uint64_t sim_random(void)
{
    sim.random ^= sim.random >> 12;
    sim.random ^= sim.random << 25;
    sim.random ^= sim.random >> 27;
    return sim.random * 0x2545F4914F6CDD1Dull;
}

uint64_t sim_between(uint64_t low, uint64_t high)
{
    return low + (sim_random() >> 11) % (high - low + 1);
}

bool sim_chance(unsigned permille) { return sim_between(0, 999) < permille; }

void sim_mix(uint64_t value)
{
    sim.digest = (sim.digest ^ value) * 1099511628211ull;
    sim.digest ^= sim.digest >> 29;
}

/* ---- telling --------------------------------------------------------------------------
 */

/* A key is one of the words that the text begins with ("I3" of "I1, I3: ..."), or, if it is
 * no invariant, its first letters. */
static bool is_about(const char *text, const char *key, size_t len)
{
    const char *end = strchr(text, ':');
    bool number = len > 1 && key[0] == 'I' && key[1] >= '0' && key[1] <= '9';

    for (const char *at = text; end != NULL && at < end;) {
        size_t n = strcspn(at, ",:");

        if (n == len && memcmp(at, key, len) == 0)
            return true;
        at += n + 1;
        at += strspn(at, " ");
    }
    return !number && strncmp(text, key, len) == 0;
}

bool sim_wants(const char *text)
{
    const char *key = sim.opt.only;

    while (key != NULL && *key != 0) {
        size_t len = strcspn(key, ",");

        if (is_about(text, key, len))
            return true;
        key += len + (key[len] == ',');
    }
    return sim.opt.only == NULL;
}

void sim_fail(const char *fmt, ...)
{
    char text[sizeof sim.why - 32];
    va_list args;

    if (sim.failed)
        return; /* the first one tells */
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!sim_wants(text)) {
        sim_note("LOOKED PAST %s", text);
        return;
    }
    sim.failed = sim.over = true;
    snprintf(sim.why, sizeof sim.why, "at %" PRIu64 " ms: %s", sim.now / NS_PER_MS, text);
    if (sim.opt.trace > 0)
        printf("%10.4f FAILED %s\n", (double)sim.now / 1e9, sim.why);
}

void sim_note(const char *fmt, ...)
{
    va_list args;

    if (sim.opt.trace == 0)
        return;
    printf("%10.4f ", (double)sim.now / 1e9);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

/* ---- events ---------------------------------------------------------------------------
 */

static bool earlier(const struct due *a, const struct due *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void heap_push(struct moment *e)
{
    struct due x = {e->at, e->seq, e};
    size_t i = sim.heap_count++;

    if (sim.heap_count > sim.heap_cap) {
        sim.heap_cap = 2 * sim.heap_cap + 256;
        sim.heap = reallocarray(sim.heap, sim.heap_cap, sizeof *sim.heap);
        ASSERT(sim.heap != NULL);
    }
    for (; i > 0 && earlier(&x, &sim.heap[(i - 1) / 2]); i = (i - 1) / 2)
        sim.heap[i] = sim.heap[(i - 1) / 2];
    sim.heap[i] = x;
}

static struct moment *heap_pop(void)
{
    struct moment *top = sim.heap[0].e;
    struct due x = sim.heap[--sim.heap_count];
    size_t i = 0, c;

    while ((c = 2 * i + 1) < sim.heap_count) {
        if (c + 1 < sim.heap_count && earlier(&sim.heap[c + 1], &sim.heap[c]))
            c++;
        if (!earlier(&sim.heap[c], &x))
            break;
        sim.heap[i] = sim.heap[c];
        i = c;
    }
    sim.heap[i] = x;
    return top;
}

/* A third of all events are for this very moment: a queue, since each comes after those
 * that were asked for before it. */
static void push(struct moment *e)
{
    if (e->at > sim.now) {
        heap_push(e);
        return;
    }
    e->next = NULL;
    if (sim.now_last != NULL)
        sim.now_last->next = e;
    else
        sim.now_first = e;
    sim.now_last = e;
}

/* The next event if it comes before `until`, taken out, or NULL. */
static struct moment *pop_before(uint64_t until)
{
    struct moment *e = sim.now_first;
    const struct due *top = sim.heap_count > 0 ? &sim.heap[0] : NULL;

    if (e != NULL &&
        (top == NULL || e->at < top->at || (e->at == top->at && e->seq < top->seq))) {
        if (e->at >= until)
            return NULL;
        sim.now_first = e->next;
        if (sim.now_first == NULL)
            sim.now_last = NULL;
        return e;
    }
    return top != NULL && top->at < until ? heap_pop() : NULL;
}

static struct moment *moment_new(void)
{
    struct moment *e =
        sim.pool_count > 0 ? sim.pool[--sim.pool_count] : malloc(sizeof(struct moment));

    ASSERT(e != NULL);
    return e;
}

static void moment_free(struct moment *e)
{
    if (sim.pool_count == sim.pool_cap) {
        sim.pool_cap = 2 * sim.pool_cap + 256;
        sim.pool = reallocarray(sim.pool, sim.pool_cap, sizeof(struct moment *));
        ASSERT(sim.pool != NULL);
    }
    sim.pool[sim.pool_count++] = e;
}

struct moment *sim_at(uint64_t at, struct task *task, sim_fn *fn, void *arg)
{
    struct moment *e = moment_new();

    *e = (struct moment){.at = at > sim.now ? at : sim.now,
                         .seq = sim.seq++,
                         .task = task,
                         .life = task != NULL ? task->proc->life : 0,
                         .fn = fn,
                         .arg = arg};
    push(e);
    return e;
}

void sim_cancel(struct moment *e)
{
    if (e != NULL)
        e->dead = true;
}

void sim_push_again(struct moment *e, uint64_t at)
{
    e->at = at > sim.now ? at : sim.now;
    e->seq = sim.seq++;
    e->dead = false;
    push(e);
}

/* ---- running --------------------------------------------------------------------------
 */

struct scope scope_enter(struct task *t)
{
    struct scope s = {sim.cur};

    sim.cur = t;
    if (t != NULL)
        t->on_stack++;
    return s;
}

void scope_leave(struct scope s)
{
    struct task *t = sim.cur;

    if (t != NULL) {
        if (t->on_stack == 1)
            uv_end_turn(t);
        t->on_stack--;
    }
    sim.cur = s.before;
    if (t != NULL)
        proc_reap(t->proc);
}

/* True if it was put off: a stopped process takes everything up again when it goes on, a
 * thread in a call when that returns, both in the old order. */
static bool put_off(struct moment *e)
{
    const struct task *t = e->task;
    uint64_t until = t->proc->frozen_until;

    if (t->blocked_until > until)
        until = t->blocked_until;
    /* It is in a call, and that will return when all that goes on inside it is done. */
    if (until <= sim.now && t->on_stack > 0)
        until = sim.inner_until + 1;
    if (until <= sim.now)
        return false;
    e->at = until;
    e->late = true;
    heap_push(e);
    return true;
}

/* Whoever holds it in a process that is not taken apart yet may still cancel it. */
static void drop(struct moment *e)
{
    const struct task *t = e->task;

    if (e->drop != NULL)
        e->drop(e->arg);
    if (e->dead || t == NULL || e->life != t->proc->life) {
        moment_free(e);
        return;
    }
    e->dead = true;
    e->next = sim.limbo;
    sim.limbo = e;
}

static void run_one(struct moment *e)
{
    struct task *t = e->task;
    struct scope s;

    if (e->dead || (t != NULL && (e->life != t->proc->life || t->proc->mute))) {
        drop(e);
        return;
    }
    sim.now = e->at;
    if (t != NULL && put_off(e))
        return;
    sim.events++;
    if (t != NULL && !e->late)
        t->proc->loop_ns = clock_of(&t->proc->clock);
    s = scope_enter(t);
    e->dead = true; /* it may be freed by whoever still holds it */
    e->fn(e->arg, e->number);
    if (t != NULL && e->fn != uv_on_prepare && !t->proc->mute)
        uv_will_wait(t);
    scope_leave(s);
    if (e->dead)
        moment_free(e);
    judge_step();
}

void sim_run_events(void)
{
    struct moment *e;

    while (!sim.over && (e = pop_before(sim.end_at)) != NULL)
        run_one(e);
}

static void run_until(uint64_t until)
{
    uint64_t before = sim.inner_until;
    struct moment *e;

    sim.depth++;
    sim.inner_until = until;
    while (!sim.over && (e = pop_before(until)) != NULL)
        run_one(e);
    sim.depth--;
    sim.inner_until = before;
    if (!sim.over && sim.now < until)
        sim.now = until;
}

/* ---- calls of the kernel --------------------------------------------------------------
 */

struct proc *sim_self(void) { return sim.cur != NULL ? sim.cur->proc : NULL; }

bool sim_is_heard(void) { return sim.cur != NULL && !sim.cur->proc->mute; }

void sim_block(uint64_t ns)
{
    struct task *t = sim.cur;
    uint64_t until = sim.now + ns;

    if (t == NULL || t->proc->mute || sim.over || sim.depth >= DEPTH_MAX)
        return;
    t->blocked_until = until;
    sim.cur = NULL;
    run_until(until);
    sim.cur = t;
}

void sim_call(void)
{
    struct task *t = sim.cur;
    struct proc *p;
    uint64_t until;

    if (t == NULL || t->proc->stop_after == 0 || t->proc->mute || sim.over)
        return;
    p = t->proc;
    if (--p->stop_after > 0 || sim.depth >= DEPTH_MAX || sim.now >= sim.heal_at)
        return;
    until = sim.now + p->stop_ns; /* no fault is longer than the trouble */
    if (until > sim.heal_at)
        until = sim.heal_at;
    sim_note("%s is stopped in the middle of its turn for %" PRIu64 " ms",
             node_name(p->node), p->stop_ns / NS_PER_MS);
    if (p->frozen_until < until)
        p->frozen_until = until;
    sim.cur = NULL;
    run_until(p->frozen_until);
    sim.cur = t;
}

static int64_t slewed(const struct ticking *c)
{
    return c->slewed_ns + (int64_t)(sim.now - c->slew_since) * c->slew_ppm / 1000000;
}

uint64_t clock_of(const struct ticking *c)
{
    int64_t drift = (int64_t)(sim.now / 1000000) * c->ppm;

    if (c->slew_since != 0)
        drift += slewed(c);
    return c->offset + (uint64_t)((int64_t)sim.now + drift);
}

void clock_slew(struct ticking *c, int64_t ppm)
{
    c->slewed_ns = slewed(c);
    c->slew_since = sim.now;
    c->slew_ppm = ppm;
}

/* ---- life -----------------------------------------------------------------------------
 */

void sim_begin(const struct sim_options *opt)
{
    struct moment **pool = sim.pool;
    struct due *heap = sim.heap;
    size_t pool_count = sim.pool_count, pool_cap = sim.pool_cap, heap_cap = sim.heap_cap;

    memset(&sim, 0, sizeof sim);
    sim.pool = pool;
    sim.heap = heap;
    sim.pool_count = pool_count;
    sim.pool_cap = pool_cap;
    sim.heap_cap = heap_cap;
    sim.opt = *opt;
    sim.random = opt->seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
    sim.digest = 14695981039346656037ull;
    sim.noisy = true;
    for (int i = 0; i < 8; i++)
        (void)sim_random();
}

void sim_end(void)
{
    struct moment *left;

    sim.over = true;
    for (uint8_t n = 0; n < sim.nodes; n++)
        proc_kill(n);
    while ((left = pop_before(UINT64_MAX)) != NULL) {
        if (left->drop != NULL)
            left->drop(left->arg);
        moment_free(left);
    }
    while (sim.limbo != NULL) {
        struct moment *e = sim.limbo;

        sim.limbo = e->next;
        moment_free(e);
    }
}
