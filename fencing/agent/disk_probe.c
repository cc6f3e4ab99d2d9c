#include "fencing/agent/disk_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "fencing/agent/bell.h"

/* Large enough for what the two state files of a full agent need. */
enum { EACH_MS = 5000, EACH_FAILED_MS = 1000, PROBE_BYTES = 16 << 10 };

static const char file_name[] = "probe";

struct disk_probe {
    struct disk_probe_parts parts;
    struct durable_dir dir; /* our own: a write that hangs may outlive the agent's */
    uv_timer_t timer;       /* of the next probe, or the deadline of this one */
    struct bell *bell;
    pthread_t thread;
    bool under_way; /* the loop's view: begun, and not answered yet */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    unsigned holders; /* the loop, the thread */
    bool wanted, busy, ending;
    struct err err; /* of the last write */
};

/* With the lock held, which is given back. */
static void let_go(struct disk_probe *p)
{
    bool last = --p->holders == 0;

    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    auto_close(&p->dir.fd);
    free((char *)p->dir.path);
    free(p);
}

/* ---- the thread -----------------------------------------------------------------------
 */

static int write_one(const struct durable_dir *dir, struct err *err)
{
    AUTO(buf_free) struct buf text = {.limit = DURABLE_MAX};
    static const char line[] = "room for what has to be remembered before an act\n";

    while (text.len < PROBE_BYTES)
        if (buf_append(&text, line, sizeof line - 1, err) != 0)
            return err->code;
    if (durable_write(dir, file_name, &text, err) != 0)
        return err->code;
    (void)unlinkat(dir->fd, file_name, 0);
    return 0;
}

static void *probe_main(void *arg)
{
    struct disk_probe *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->ending) {
        struct err err = {0};

        if (!p->wanted) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        p->wanted = false;
        p->busy = true;
        pthread_mutex_unlock(&p->lock);
        err.code = write_one(&p->dir, &err);
        pthread_mutex_lock(&p->lock);
        p->err = err;
        p->busy = false;
        if (!p->ending)
            bell_ring(p->bell);
    }
    let_go(p);
    return NULL;
}

/* ---- the loop -------------------------------------------------------------------------
 */

static void on_deadline(uv_timer_t *timer)
{
    struct disk_probe *p = timer->data;
    struct err err = {0};

    (void)err_set(&err, ERR_TIMEOUT,
                  "the disk under %s hangs: a write has not ended in %u ms; look at the "
                  "disk (`dmesg`)",
                  p->dir.path, p->parts.deadline_ms);
    p->parts.says(p->parts.owner, &err);
}

static void on_due(uv_timer_t *timer)
{
    struct disk_probe *p = timer->data;

    p->under_way = true;
    pthread_mutex_lock(&p->lock);
    p->wanted = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    (void)uv_timer_start(&p->timer, on_deadline, p->parts.deadline_ms, 0);
}

static void on_rung(void *owner)
{
    struct disk_probe *p = owner;
    struct err err;
    bool done;

    pthread_mutex_lock(&p->lock);
    err = p->err;
    done = p->under_way && !p->wanted && !p->busy;
    pthread_mutex_unlock(&p->lock);
    if (!done)
        return;
    p->under_way = false;
    (void)uv_timer_start(&p->timer, on_due, err.code != 0 ? EACH_FAILED_MS : EACH_MS, 0);
    p->parts.says(p->parts.owner, err.code != 0 ? &err : NULL);
}

/* ---- life -----------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle)
{
    struct disk_probe *p = handle->data;

    pthread_mutex_lock(&p->lock);
    let_go(p);
}

static int copy_dir(struct disk_probe *p, const struct durable_dir *dir, struct err *err)
{
    p->dir.path = strdup(dir->path);
    if (p->dir.path == NULL)
        return err_set(err, ERR_NOMEM, "disk probe");
    p->dir.fd = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);
    return p->dir.fd >= 0 ? 0 : err_errno(err, errno, "%s", dir->path);
}

int disk_probe_open(struct disk_probe **ret, const struct disk_probe_parts *parts,
                    struct err *err)
{
    struct disk_probe *p = calloc(1, sizeof *p);
    int status;

    if (p == NULL)
        return err_set(err, ERR_NOMEM, "disk probe");
    p->parts = *parts;
    p->dir.fd = -1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->holders = 2;
    status = copy_dir(p, parts->dir, err);
    if (status == 0)
        status = bell_open(&p->bell, parts->loop, on_rung, p, err);
    if (status == 0 && (status = pthread_create(&p->thread, NULL, probe_main, p)) != 0) {
        bell_close(p->bell);
        status = err_errno(err, status, "start the thread that probes the disk");
    }
    if (status != 0) {
        auto_close(&p->dir.fd);
        free((char *)p->dir.path);
        free(p);
        return status;
    }
    status = uv_timer_init(parts->loop, &p->timer);
    ASSERT(status == 0);
    p->timer.data = p;
    (void)uv_timer_start(&p->timer, on_due, 0, 0);
    *ret = p;
    return 0;
}

void disk_probe_close(struct disk_probe *p)
{
    bool busy;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    busy = p->busy;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    if (busy)
        (void)pthread_detach(p->thread); /* a disk that hangs must not keep us here */
    else
        (void)pthread_join(p->thread, NULL);
    bell_close(p->bell);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}
