/* libuv as far as our programs use it, on the world's time. A loop's callbacks come one at
 * a time, timers never early; closing handles are told at the end of the turn. */
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "tests/sim/kernel.h"

enum { ACTIVE = 1, CLOSING = 2, JITTER_NS = 200000 };

struct pending_work {
    struct pending_work *next;
    uv_work_t *req;
    uv_work_cb work;
    uv_after_work_cb after;
    struct moment *event;
};

static struct task *task_of(const uv_loop_t *loop) { return loop->data; }

/* ---- handles --------------------------------------------------------------------------
 */

static void init(uv_loop_t *loop, uv_handle_t *h, uv_handle_type type)
{
    h->loop = loop;
    h->type = type;
    h->flags = 0;
    h->u.reserved[0] = NULL; /* its event */
}

static void stop(uv_handle_t *h)
{
    sim_cancel(h->u.reserved[0]);
    h->u.reserved[0] = NULL;
    h->flags &= ~(unsigned)ACTIVE;
}

static struct moment *event_of(const uv_handle_t *h) { return h->u.reserved[0]; }

int uv_is_active(const uv_handle_t *h) { return (h->flags & ACTIVE) != 0; }

int uv_is_closing(const uv_handle_t *h) { return (h->flags & CLOSING) != 0; }

static void forget_poll(uv_handle_t *h)
{
    struct proc *p = task_of(h->loop)->proc;

    for (unsigned i = 0; i < POLLS_MAX; i++)
        if ((uv_handle_t *)p->polls[i] == h)
            p->polls[i] = NULL;
}

void uv_close(uv_handle_t *h, uv_close_cb cb)
{
    struct task *t = task_of(h->loop);

    ASSERT(!uv_is_closing(h));
    stop(h);
    if (h->type == UV_POLL)
        forget_poll(h);
    if (h->type == UV_PREPARE)
        t->prepare = NULL;
    h->flags |= CLOSING;
    h->close_cb = cb;
    h->next_closing = t->closing;
    t->closing = h;
}

void uv_end_turn(struct task *t)
{
    while (t->closing != NULL) {
        uv_handle_t *h = t->closing;

        t->closing = h->next_closing;
        if (h->close_cb != NULL)
            h->close_cb(h);
    }
}

void uv_drain(struct task *t)
{
    uv_end_turn(t);
    while (t->works != NULL) {
        struct pending_work *w = t->works;

        t->works = w->next;
        sim_cancel(w->event);
        w->after(w->req, UV_ECANCELED);
        free(w);
    }
    uv_end_turn(t);
}

/* ---- timers ---------------------------------------------------------------------------
 */

int uv_timer_init(uv_loop_t *loop, uv_timer_t *t)
{
    init(loop, (uv_handle_t *)t, UV_TIMER);
    t->timer_cb = NULL;
    t->repeat = 0;
    return 0;
}

/* By the clock of its process, and a little late. */
static uint64_t due_in(const uv_timer_t *t, uint64_t ms)
{
    const struct ticking *c = &task_of(t->loop)->proc->clock;
    int64_t ns = (int64_t)(ms * NS_PER_MS), ppm = c->ppm + c->slew_ppm;

    return sim.now + (uint64_t)(ns - ns / 1000000 * ppm * 99 / 100) + ms * 1000 +
           (sim_random() >> 40) % JITTER_NS;
}

static void on_timer(void *arg, uint64_t number)
{
    uv_timer_t *t = arg;
    struct moment *e = event_of((uv_handle_t *)t);

    (void)number;
    if (t->timeout > sim.now) { /* it was put off after this event was made */
        sim_push_again(e, t->timeout);
        return;
    }
    t->u.reserved[0] = NULL;
    t->flags &= ~(unsigned)ACTIVE;
    if (t->repeat != 0)
        (void)uv_timer_start(t, t->timer_cb, t->repeat, t->repeat);
    t->timer_cb(t);
}

int uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    uint64_t due = due_in(t, timeout);
    struct moment *e = event_of((uv_handle_t *)t);

    if (cb == NULL || uv_is_closing((uv_handle_t *)t))
        return UV_EINVAL;
    t->timer_cb = cb;
    t->repeat = repeat;
    t->flags |= ACTIVE;
    t->timeout = due;
    if (e != NULL && e->at <= due)
        return 0;
    sim_cancel(e);
    t->u.reserved[0] = sim_at(due, task_of(t->loop), on_timer, t);
    return 0;
}

int uv_timer_stop(uv_timer_t *t)
{
    stop((uv_handle_t *)t);
    return 0;
}

void uv_timer_set_repeat(uv_timer_t *t, uint64_t repeat) { t->repeat = repeat; }

/* ---- the end of a turn ----------------------------------------------------------------
 */

int uv_idle_init(uv_loop_t *loop, uv_idle_t *i)
{
    init(loop, (uv_handle_t *)i, UV_IDLE);
    return 0;
}

static void on_idle(void *arg, uint64_t number)
{
    uv_idle_t *i = arg;

    (void)number;
    i->u.reserved[0] = NULL;
    i->flags &= ~(unsigned)ACTIVE;
    i->idle_cb(i); /* ours all stop themselves */
}

int uv_idle_start(uv_idle_t *i, uv_idle_cb cb)
{
    if (uv_is_active((uv_handle_t *)i))
        return 0;
    i->idle_cb = cb;
    i->flags |= ACTIVE;
    i->u.reserved[0] =
        sim_at(sim.now + (sim_random() >> 40) % JITTER_NS, task_of(i->loop), on_idle, i);
    return 0;
}

int uv_idle_stop(uv_idle_t *i)
{
    stop((uv_handle_t *)i);
    return 0;
}

/* What comes within the jitter is the same round of the loop. */
int uv_prepare_init(uv_loop_t *loop, uv_prepare_t *p)
{
    init(loop, (uv_handle_t *)p, UV_PREPARE);
    return 0;
}

int uv_prepare_start(uv_prepare_t *p, uv_prepare_cb cb)
{
    p->prepare_cb = cb;
    p->flags |= ACTIVE;
    task_of(p->loop)->prepare = p; /* one is enough for our programs */
    return 0;
}

void uv_on_prepare(void *arg, uint64_t number)
{
    uv_prepare_t *p = arg;

    (void)number;
    p->u.reserved[0] = NULL;
    p->prepare_cb(p);
}

void uv_will_wait(struct task *t)
{
    uv_prepare_t *p = t->prepare;

    if (p != NULL && p->u.reserved[0] == NULL)
        p->u.reserved[0] =
            sim_at(sim.now + (sim_random() >> 40) % JITTER_NS, t, uv_on_prepare, p);
}

/* ---- descriptors: of postmasters -------------------------------------------------------
 */

int uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd)
{
    init(loop, (uv_handle_t *)poll, UV_POLL);
    poll->io_watcher.fd = fd;
    return 0;
}

static void on_ready(void *arg, uint64_t number)
{
    uv_poll_t *poll = arg;

    (void)number;
    poll->u.reserved[0] = NULL;
    poll->poll_cb(poll, 0, UV_READABLE);
}

int uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb cb)
{
    struct proc *p = task_of(poll->loop)->proc;

    (void)events;
    poll->poll_cb = cb;
    poll->flags |= ACTIVE;
    for (unsigned i = 0; i < POLLS_MAX; i++)
        if (p->polls[i] == NULL) {
            p->polls[i] = poll;
            return 0;
        }
    return UV_ENOMEM;
}

void uv_fd_ready(struct proc *p, int fd)
{
    for (unsigned i = 0; i < POLLS_MAX; i++) {
        uv_poll_t *poll = p->polls[i];

        if (poll == NULL || poll->io_watcher.fd != fd || poll->u.reserved[0] != NULL)
            continue;
        poll->u.reserved[0] = sim_at(sim.now + sim_between(50, 3000) * 1000,
                                     task_of(poll->loop), on_ready, poll);
    }
}

/* ---- the pool -------------------------------------------------------------------------
 */

static void on_work(void *arg, uint64_t number)
{
    struct pending_work *w = arg;
    struct pending_work **at = &sim.cur->works;

    (void)number;
    w->work(w->req);
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->after(w->req, 0);
    free(w);
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb work, uv_after_work_cb after)
{
    struct pending_work *w = calloc(1, sizeof *w);
    struct task *t = task_of(loop);

    ASSERT(w != NULL);
    *w = (struct pending_work){t->works, req, work, after, NULL};
    t->works = w;
    w->event = sim_at(sim.now + sim_between(1, 30) * NS_PER_MS, t, on_work, w);
    return 0;
}

/* ---- loops and threads ----------------------------------------------------------------
 */

/* Of an agent's process the first loop is the main thread's, the second the keeper's. */
int uv_loop_init(uv_loop_t *loop)
{
    loop->data = &sim.cur->proc->tasks[TASK_KEEPER];
    return 0;
}

int uv_loop_close(uv_loop_t *loop)
{
    uv_drain(task_of(loop));
    return 0;
}

void uv_update_time(uv_loop_t *loop) { (void)loop; }

/* The world runs all loops; who waits in one is called when there is something to do. */
int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    (void)loop;
    (void)mode;
    return 0;
}

void uv_stop(uv_loop_t *loop) { task_of(loop)->proc->ending = true; }

int uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg)
{
    struct scope s = scope_enter(&sim_self()->tasks[TASK_KEEPER]);

    *thread = 0;
    entry(arg);
    scope_leave(s);
    return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libuv declares it so */
int uv_thread_join(uv_thread_t *thread)
{
    struct task *t = &sim_self()->tasks[TASK_KEEPER];
    struct scope s = scope_enter(t);

    (void)thread;
    bells_ring(t);
    uv_drain(t);
    scope_leave(s);
    return 0;
}

int uv_sem_init(uv_sem_t *sem, unsigned value)
{
    (void)sem;
    (void)value;
    return 0;
}

void uv_sem_destroy(uv_sem_t *sem) { (void)sem; }

void uv_sem_post(uv_sem_t *sem) { (void)sem; }

void uv_sem_wait(uv_sem_t *sem) { (void)sem; }
