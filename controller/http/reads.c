#include "controller/http/reads.h"

#include <stdlib.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/http/api.h"

struct waiting {
    struct waiting *next;
    reads_done *done;
    void *owner;
    struct mono since;
    bool barred; /* the barrier that is under way was submitted after it came */
};

struct reads {
    uv_timer_t timer; /* runs while anybody waits */
    const struct api_backend *backend;
    struct waiting *first, **tail;
    unsigned count;
    bool under_way; /* a barrier */
    bool closed;
    unsigned may;      /* so many more at once */
    struct mono since; /* that was so */
};

static struct waiting *take_first(struct reads *r)
{
    struct waiting *w = r->first;

    r->first = w->next;
    if (r->first == NULL)
        r->tail = &r->first;
    r->count--;
    return w;
}

static void tell(struct waiting *w, int status)
{
    w->done(w->owner, status);
    free(w);
}

/* Those in front, since they are told in the order in which they came. */
static void tell_barred(struct reads *r, int status)
{
    while (r->first != NULL && r->first->barred)
        tell(take_first(r), status);
}

static void tell_all(struct reads *r, int status)
{
    while (r->first != NULL)
        tell(take_first(r), status);
}

static void on_confirmed(void *owner, int status, uint64_t index);

/* Who asks now and then does not wait for it; who asks all the time does. */
static bool take_turn(struct reads *r)
{
    uint64_t turns = mono_since_ms(r->since, mono_now()) / READS_EACH_MS;

    if (turns >= READS_BURST - r->may) {
        r->may = READS_BURST;
        r->since = mono_now();
    } else {
        r->may += (unsigned)turns;
        r->since = mono_plus_ms(r->since, turns * READS_EACH_MS);
    }
    if (r->may == 0)
        return false;
    r->may--;
    return true;
}

static void submit(struct reads *r)
{
    struct err err = {0};

    if (r->under_way || r->first == NULL || r->closed)
        return;
    if (!take_turn(r))
        return; /* by the timer */
    for (struct waiting *w = r->first; w != NULL; w = w->next)
        w->barred = true;
    r->under_way = true;
    if (r->backend->confirm(r->backend->owner, on_confirmed, r, &err) == 0)
        return;
    r->under_way = false;
    tell_barred(r, ERR_NOTLEADER);
}

static void on_confirmed(void *owner, int status, uint64_t index)
{
    struct reads *r = owner;

    (void)index;
    r->under_way = false;
    tell_barred(r, status == 0 ? 0 : ERR_NOTLEADER);
    submit(r);
}

static void on_timer(uv_timer_t *timer)
{
    struct reads *r = timer->data;
    struct mono now = mono_now();

    while (r->first != NULL && mono_since_ms(r->first->since, now) > READS_DEADLINE_MS)
        tell(take_first(r), ERR_TIMEOUT);
    submit(r);
    if (r->first == NULL)
        (void)uv_timer_stop(timer);
}

int reads_wait(struct reads *r, reads_done *done, void *owner, struct err *err)
{
    struct waiting *w;

    if (r->count == READS_MAX)
        return err_set(err, ERR_FULL, "%d reads wait already", READS_MAX);
    w = malloc(sizeof *w);
    if (w == NULL)
        return err_set(err, ERR_NOMEM, "a read");
    *w = (struct waiting){.done = done, .owner = owner, .since = mono_now()};
    *r->tail = w;
    r->tail = &w->next;
    r->count++;
    if (!uv_is_active((uv_handle_t *)&r->timer))
        (void)uv_timer_start(&r->timer, on_timer, READS_EACH_MS, READS_EACH_MS);
    submit(r);
    return 0;
}

int reads_open(struct reads **ret_reads, struct uv_loop_s *loop,
               const struct api_backend *backend, struct err *err)
{
    struct reads *r = calloc(1, sizeof *r);

    if (r == NULL)
        return err_set(err, ERR_NOMEM, "reads");
    (void)uv_timer_init(loop, &r->timer); /* cannot fail */
    r->timer.data = r;
    r->backend = backend;
    r->tail = &r->first;
    r->may = READS_BURST;
    r->since = mono_now();
    *ret_reads = r;
    return 0;
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void reads_close(struct reads *r)
{
    if (r == NULL)
        return;
    r->closed = true;
    tell_all(r, ERR_CLOSED);
    uv_close((uv_handle_t *)&r->timer, on_closed);
}
