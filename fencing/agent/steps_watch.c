/* The postmaster's life: a pidfd says at once when it ends (I9). */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "fencing/agent/steps_private.h"
#include "fencing/guard/proc.h"

static bool told_to_end(const struct inst *i)
{
    if (!i->run.busy)
        return false;
    return i->run.kind == RF__STEP_KIND__STEP_STOP ||
           i->run.kind == RF__STEP_KIND__STEP_FOLLOW ||
           i->run.kind == RF__STEP_KIND__STEP_CLONE;
}

static void exited(struct inst *i)
{
    bool expected = told_to_end(i);

    i->dead = i->watch->pm;
    inst_unwatch(i);
    i->alive = false;
    i->hung = false;
    i->alien = false;
    i->crashed =
        !expected && i->a != NULL &&
        (i->a->role == RF__ROLE__ROLE_PRIMARY || i->a->role == RF__ROLE__ROLE_STANDBY);
    i->state = KEEPER_SERVER_DOWN;
    i->canary_ok = (struct mono){0};
    if (i->seen != NULL) {
        i->seen->server = RF__SERVER_STATE__SERVER_DOWN;
        i->seen->postmaster_pid = 0;
        i->seen->postmaster_start_ms = 0;
        i->seen->streaming = false;
        i->seen->flush_lsn = 0; /* I9: where its log ended is not known before a look */
        i->seen_at = mono_now();
    }
    log_info("%s: the postmaster (pid %d) has ended%s", i->group, i->dead.pid,
             expected ? "" : " without being told to");
    if (i->rec != NULL && postmaster_equal(i->rec->known, i->dead)) {
        i->rec->known = (struct postmaster){0};
        i->rec->led_epoch = i->rec->ready_epoch = i->rec->led_position = 0;
    }
    /* The keeper first: it closes the gate. The disk can wait, since a dead process on
     * record is not believed in anyway. */
    inst_tell_keeper(i, 0);
    inst_consider(i);
    (void)steps_save(i->st);
}

static void on_pidfd(uv_poll_t *poll, int status, int events)
{
    struct watch *w = CONTAINER_OF(poll, struct watch, poll);
    struct inst *i = w->i;

    (void)events;
    if (i == NULL)
        return;
    if (status < 0)
        log_error("%s: watching the postmaster: %s", i->group, uv_strerror(status));
    exited(i);
    i->fast_until = mono_plus_ms(mono_now(), FAST_FOR_MS);
}

static void on_closed(uv_handle_t *handle)
{
    struct watch *w = CONTAINER_OF((uv_poll_t *)(void *)handle, struct watch, poll);

    auto_close(&w->fd);
    free(w);
}

void inst_unwatch(struct inst *i)
{
    struct watch *w = i->watch;

    if (w == NULL)
        return;
    i->watch = NULL;
    w->i = NULL;
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

void inst_check_watch(struct inst *i)
{
    if (i->watch != NULL && process_start_ms(i->watch->pm.pid) != i->watch->pm.start_ms)
        exited(i);
}

/* Here and not by the keeper, since the data directory may be on a disk that hangs. */
static void describe(struct watch *w)
{
    const struct guard_life life = {(uint64_t)w->pm.pid, w->pm.start_ms};

    if (!guard_process_read(&life, &w->process))
        w->process = (struct guard_process){.postmaster = life};
}

bool inst_watch(struct inst *i, struct postmaster pm)
{
    struct watch *w;
    int status;

    if (i->watch != NULL && postmaster_equal(i->watch->pm, pm))
        return true;
    w = calloc(1, sizeof *w);
    if (w == NULL)
        return false; /* the next observation tries again */
    w->fd = (int)syscall(SYS_pidfd_open, pm.pid, 0);
    /* Read after the pidfd was opened: it cannot be another process by now. */
    if (w->fd < 0 || process_start_ms(pm.pid) != pm.start_ms) {
        auto_close(&w->fd);
        free(w);
        return false;
    }
    w->pm = pm;
    w->i = i;
    if (i->st->parts.settings->guard != SETTINGS_GUARD_OFF)
        describe(w);
    status = uv_poll_init(i->st->parts.loop, &w->poll, w->fd);
    ASSERT(status == 0);
    inst_unwatch(i);
    i->watch = w;
    status = uv_poll_start(&w->poll, UV_READABLE, on_pidfd);
    ASSERT(status == 0);
    return true;
}
