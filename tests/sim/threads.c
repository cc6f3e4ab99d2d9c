/* The small modules of the agent that are threads and descriptors in truth: the bell
 * between its threads, the thread that writes the epoch file, and the one that tries the
 * disk. */
#include <stdlib.h>

#include "controller/base/assert.h"
#include "fencing/agent/bell.h"
#include "fencing/agent/disk_probe.h"
#include "fencing/agent/syncer.h"
#include "tests/sim/kernel.h"

/* ---- bells -----------------------------------------------------------------------------
 */

struct bell {
    struct bell *next;
    struct task *task;
    struct moment *event; /* NULL: not rung */
    bell_rung *on_rung;
    void *owner;
};

static struct bell *bells; /* of all processes */

int bell_open(struct bell **ret_bell, struct uv_loop_s *loop, bell_rung *on_rung,
              void *owner, struct err *err)
{
    struct bell *b = calloc(1, sizeof *b);

    if (b == NULL)
        return err_set(err, ERR_NOMEM, "bell");
    *b = (struct bell){bells, loop->data, NULL, on_rung, owner};
    bells = b;
    *ret_bell = b;
    return 0;
}

static void on_rung(void *arg, uint64_t number)
{
    struct bell *b = arg;

    (void)number;
    b->event = NULL;
    b->on_rung(b->owner);
}

/* The other thread may be on another core, or wait for this one. */
void bell_ring(struct bell *b)
{
    if (b->event == NULL)
        b->event = sim_at(sim.now + sim_between(5, 300) * 1000, b->task, on_rung, b);
}

void bell_close(struct bell *b)
{
    struct bell **at = &bells;

    if (b == NULL)
        return;
    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    sim_cancel(b->event);
    free(b);
}

void bells_ring(struct task *t)
{
    for (struct bell *b = bells, *next; b != NULL; b = next) {
        next = b->next;
        if (b->task == t && b->event != NULL) {
            sim_cancel(b->event);
            on_rung(b, 0);
            return; /* whoever was rung to end has closed them all */
        }
    }
}

/* ---- the epoch file --------------------------------------------------------------------
 */

struct syncer {
    struct syncer_parts parts;
    struct agent_contents contents;
    struct task *task;
    struct moment *event;
    struct err err;
    uint64_t began;
};

int syncer_open(struct syncer **ret_syncer, const struct syncer_parts *parts,
                struct err *err)
{
    struct syncer *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_set(err, ERR_NOMEM, "syncer");
    s->parts = *parts;
    s->task = parts->loop->data;
    *ret_syncer = s;
    return 0;
}

static void on_answer(void *arg, uint64_t number)
{
    struct syncer *s = arg;

    (void)number;
    s->event = NULL;
    s->parts.on_done(s->parts.owner, s->err.code != 0 ? &s->err : NULL,
                     (uint32_t)((sim.now - s->began) / 1000));
}

/* A thread of its own: it writes while the keeper is in a call, and is stopped or killed
 * with its process. */
static void on_disk(void *arg, uint64_t number)
{
    struct syncer *s = arg;
    struct task *t = s->task;
    const struct scope scope = scope_enter(t);

    (void)number;
    s->event = NULL;
    if (!t->proc->mute) {
        s->err = (struct err){0};
        machines[t->proc->node].waited = true;
        s->err.code = agent_state_write(s->parts.state, &s->contents, &s->err);
        machines[t->proc->node].waited = false;
        s->event = sim_at(sim.now + sim_between(5, 200) * 1000, t, on_answer, s);
    }
    scope_leave(scope);
}

void syncer_write(struct syncer *s, const struct agent_contents *contents)
{
    ASSERT(s->event == NULL);
    s->contents = *contents;
    s->began = sim.now;
    s->event = sim_at(sim.now + disk_takes_ns(machines[s->task->proc->node].disk), NULL,
                      on_disk, s);
}

/* Killed between write and answer: the disk may have it all the same. */
void syncer_close(struct syncer *s)
{
    if (s == NULL)
        return;
    if (s->event != NULL && s->event->fn == on_disk && sim_chance(300)) {
        bool mute = s->task->proc->mute;

        s->task->proc->mute = false;
        machines[s->task->proc->node].waited = true;
        (void)(agent_state_write(s->parts.state, &s->contents, NULL) != 0);
        machines[s->task->proc->node].waited = false;
        s->task->proc->mute = mute;
    }
    sim_cancel(s->event);
    free(s);
}

/* ---- the disk, tried now and then
 * -------------------------------------------------------- */

struct disk_probe {
    struct disk_probe_parts parts;
    struct task *task;
    struct moment *event; /* the next try, or the end of this one */
    bool late;            /* its deadline has passed, and that was said */
};

static void on_probe(void *arg, uint64_t number);

static void probe_in(struct disk_probe *p, uint64_t ns)
{
    p->event = sim_at(sim.now + ns, p->task, on_probe, p);
}

static void on_probe(void *arg, uint64_t number)
{
    enum { EACH_MS = 5000, EACH_FAILED_MS = 1000 };
    struct disk_probe *p = arg;
    enum disk_state state = machines[p->task->proc->node].disk;
    uint64_t ns = disk_takes_ns(state);
    uint64_t limit = p->parts.deadline_ms * (uint64_t)NS_PER_MS;
    struct err err = {0};

    (void)number;
    p->event = NULL;
    if (!p->late && ns > limit) {
        p->late = true;
        (void)err_set(&err, ERR_TIMEOUT, "the disk does not answer");
        probe_in(p, ns - limit);
    } else {
        p->late = false;
        if (state == DISK_FAILING || state == DISK_FULL)
            (void)err_set(&err, state == DISK_FULL ? ERR_FULL : ERR_IO, "no room");
        probe_in(p, (err.code != 0 ? EACH_FAILED_MS : EACH_MS) * (uint64_t)NS_PER_MS);
    }
    p->parts.says(p->parts.owner, err.code != 0 ? &err : NULL);
}

int disk_probe_open(struct disk_probe **ret, const struct disk_probe_parts *parts,
                    struct err *err)
{
    struct disk_probe *p = calloc(1, sizeof *p);

    if (p == NULL)
        return err_set(err, ERR_NOMEM, "disk probe");
    p->parts = *parts;
    p->task = parts->loop->data;
    probe_in(p, sim_between(1, 30) * NS_PER_MS);
    *ret = p;
    return 0;
}

void disk_probe_close(struct disk_probe *p)
{
    if (p == NULL)
        return;
    sim_cancel(p->event);
    free(p);
}
