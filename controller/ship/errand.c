#include "controller/ship/errand.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "controller/base/assert.h"

/* Enough for TLS; a daemon that locks its memory pays for what is touched. */
enum { STACK_SIZE = 512 << 10 };

struct errands {
    int bell;              /* why no uv_async: controller/net/names_lookup.c */
    atomic_bool cancel;    /* the owner is gone */
    pthread_mutex_t mutex; /* over the rest; who holds it has its waiter's priority */
    unsigned holders;      /* the owner, and a thread under way */
    bool busy, done;
    struct errand errand; /* the thread's while it is busy and not done */
};

static void lock(struct errands *s) { (void)pthread_mutex_lock(&s->mutex); }

/* Unlocks, and frees it with its last holder. */
static void put(struct errands *s)
{
    unsigned left = --s->holders;

    (void)pthread_mutex_unlock(&s->mutex);
    if (left > 0)
        return;
    (void)pthread_mutex_destroy(&s->mutex);
    (void)close(s->bell);
    free(s);
}

int errands_new(struct errands **ret_errands, struct err *err)
{
    struct errands *s = calloc(1, sizeof *s);
    pthread_mutexattr_t inherit;

    if (s == NULL)
        return err_set(err, ERR_NOMEM, "shipping");
    s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->bell < 0) {
        free(s);
        return err_errno(err, errno, "shipping");
    }
    pthread_mutexattr_init(&inherit);
    (void)pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
    (void)pthread_mutex_init(&s->mutex, &inherit);
    pthread_mutexattr_destroy(&inherit);
    s->holders = 1;
    *ret_errands = s;
    return 0;
}

void errands_leave(struct errands *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->cancel, true);
    lock(s);
    put(s);
}

int errands_bell(const struct errands *s) { return s->bell; }

static void *run(void *arg)
{
    struct errands *s = arg;
    struct errand *e = &s->errand;
    const uint64_t one = 1;

    e->status = e->kind == ERRAND_FIND
                    ? ship_find(&e->place, e->floor, &s->cancel, &e->mark, &e->err)
                    : ship_put(&e->place, e->range, e->data, e->len, &s->cancel, &e->err);
    free(TAKE(e->data));
    lock(s);
    s->done = true;
    (void)!write(s->bell, &one, sizeof one);
    put(s);
    return NULL;
}

/* Of ordinary priority whatever ours is, and with no signal of the daemon's. */
static int set_up(pthread_attr_t *attr)
{
    const struct sched_param ordinary = {0};
    sigset_t all;
    int status = pthread_attr_setdetachstate(attr, PTHREAD_CREATE_DETACHED);

    (void)sigfillset(&all);
    if (status == 0)
        status = pthread_attr_setstacksize(attr, STACK_SIZE);
    if (status == 0)
        status = pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
    if (status == 0)
        status = pthread_attr_setschedpolicy(attr, SCHED_OTHER);
    if (status == 0)
        status = pthread_attr_setschedparam(attr, &ordinary);
    if (status == 0)
        status = pthread_attr_setsigmask_np(attr, &all);
    return status;
}

int errands_begin(struct errands *s, const struct errand *e, struct err *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    int status = pthread_attr_init(&attr);

    ASSERT(status == 0); /* glibc's cannot fail */
    ASSERT(!s->busy);
    status = set_up(&attr);
    s->errand = *e;
    s->busy = true;
    s->done = false;
    s->holders++;
    if (status == 0)
        status = pthread_create(&thread, &attr, run, s);
    (void)pthread_attr_destroy(&attr);
    if (status == 0)
        return 0;
    s->holders--;
    s->busy = false;
    free(s->errand.data);
    return err_errno(err, status, "a thread for shipping");
}

bool errands_end(struct errands *s, struct errand *ret_done)
{
    uint64_t rings;
    bool done;

    (void)!read(s->bell, &rings, sizeof rings);
    lock(s);
    done = s->busy && s->done;
    (void)pthread_mutex_unlock(&s->mutex);
    if (!done)
        return false;
    *ret_done = s->errand;
    s->busy = false;
    return true;
}
