#include "fencing/agent/syncer.h"

#include <pthread.h>
#include <stdlib.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "fencing/agent/bell.h"

struct syncer {
    struct syncer_parts parts;
    struct bell *bell;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool wanted, busy, ending; /* busy: until the keeper has been answered */
    struct agent_contents contents;
    struct err err;
    uint32_t took_us;
};

/* With the lock held; gives it back for the time of the write. */
static void write_one(struct syncer *s)
{
    struct agent_contents contents = s->contents;
    struct mono before = mono_now();
    struct err err = {0};

    pthread_mutex_unlock(&s->lock);
    err.code = agent_state_write(s->parts.state, &contents, &err);
    pthread_mutex_lock(&s->lock);
    s->err = err;
    s->took_us = (uint32_t)(mono_since_ns(before, mono_now()) / 1000);
    bell_ring(s->bell);
}

static void *syncer_main(void *arg)
{
    struct syncer *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!s->ending) {
        if (s->wanted) {
            s->wanted = false;
            write_one(s);
        } else {
            pthread_cond_wait(&s->wake, &s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void on_rung(void *owner)
{
    struct syncer *s = owner;
    struct err err;
    uint32_t took_us;
    bool answered;

    pthread_mutex_lock(&s->lock);
    answered = s->busy && !s->wanted;
    s->busy = s->busy && !answered;
    err = s->err;
    took_us = s->took_us;
    pthread_mutex_unlock(&s->lock);
    if (answered)
        s->parts.on_done(s->parts.owner, err.code != 0 ? &err : NULL, took_us);
}

int syncer_open(struct syncer **ret_syncer, const struct syncer_parts *parts,
                struct err *err)
{
    struct syncer *s = calloc(1, sizeof *s);
    pthread_mutexattr_t attr;
    int status;

    if (s == NULL)
        return err_set(err, ERR_NOMEM, "syncer");
    s->parts = *parts;
    if (bell_open(&s->bell, parts->loop, on_rung, s, err) != 0) {
        free(s);
        return err->code;
    }
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_cond_init(&s->wake, NULL);
    status = pthread_create(&s->thread, NULL, syncer_main, s);
    ASSERT(status == 0); /* at the start: nothing is held that could be lost */
    *ret_syncer = s;
    return 0;
}

void syncer_write(struct syncer *s, const struct agent_contents *contents)
{
    pthread_mutex_lock(&s->lock);
    ASSERT(!s->busy);
    s->contents = *contents;
    s->wanted = s->busy = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void syncer_close(struct syncer *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    bell_close(s->bell);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
