#include "fencing/agent/disk_probe.h"

#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"

/* Large enough for what the two state files of a full agent need. */
enum { EACH_MS = 5000, EACH_FAILED_MS = 1000, PROBE_BYTES = 16 << 10 };

static const char file_name[] = "probe";

struct disk_probe {
    uv_timer_t timer;
    uv_work_t work;
    const struct durable_dir *dir;
    disk_probe_says *says;
    void *owner;
    struct err err; /* the work's, then the loop's */
    unsigned open;  /* the timer's handle, and a write under way */
    bool closing;
};

static void let_go(struct disk_probe *p)
{
    if (--p->open == 0)
        free(p);
}

static void on_pool(uv_work_t *work)
{
    struct disk_probe *p = work->data;
    AUTO(buf_free) struct buf text = {.limit = DURABLE_MAX};
    static const char line[] = "room for what has to be remembered before an act\n";

    p->err = (struct err){0};
    while (text.len < PROBE_BYTES)
        if (buf_append(&text, line, sizeof line - 1, &p->err) != 0)
            return;
    p->err.code = durable_write(p->dir, file_name, &text, &p->err);
    if (p->err.code == 0)
        (void)unlinkat(p->dir->fd, file_name, 0);
}

static void on_timer(uv_timer_t *timer);

static void on_written(uv_work_t *work, int status)
{
    struct disk_probe *p = work->data;
    bool failed = p->err.code != 0;

    if (!p->closing && status == 0) {
        p->says(p->owner, failed ? &p->err : NULL);
        (void)uv_timer_start(&p->timer, on_timer, failed ? EACH_FAILED_MS : EACH_MS, 0);
    }
    let_go(p);
}

static void on_timer(uv_timer_t *timer)
{
    struct disk_probe *p = timer->data;
    int status = uv_queue_work(timer->loop, &p->work, on_pool, on_written);

    ASSERT(status == 0); /* fails only without a function to call */
    p->open++;
}

int disk_probe_open(struct disk_probe **ret, struct uv_loop_s *loop,
                    const struct durable_dir *dir, disk_probe_says *says, void *owner)
{
    struct disk_probe *p = calloc(1, sizeof *p);
    int status;

    if (p == NULL)
        return ERR_NOMEM;
    p->dir = dir;
    p->says = says;
    p->owner = owner;
    status = uv_timer_init(loop, &p->timer);
    ASSERT(status == 0);
    p->timer.data = p->work.data = p;
    p->open = 1;
    (void)uv_timer_start(&p->timer, on_timer, 0, 0);
    *ret = p;
    return 0;
}

static void on_closed(uv_handle_t *handle) { let_go(handle->data); }

void disk_probe_close(struct disk_probe *p)
{
    if (p == NULL)
        return;
    p->closing = true;
    uv_close((uv_handle_t *)&p->timer, on_closed);
}
