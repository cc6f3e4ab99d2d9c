/* Entries on their way into the log, and who waits for them. */
#include <stdlib.h>

#include "controller/base/clock.h"
#include "controller/consensus/raftnode_private.h"

static struct pending *pending_new(const struct raftnode *n, raftnode_done *on_done,
                                   void *owner, struct err *err)
{
    struct pending *p;

    if (raftnode_check_running(n, err) != 0)
        return NULL;
    if (n->n_pending == RAFTNODE_PENDING_MAX) {
        (void)err_set(err, ERR_FULL, "%zu submissions are waiting", n->n_pending);
        return NULL;
    }
    p = calloc(1, sizeof *p);
    if (p == NULL)
        (void)err_set(err, ERR_NOMEM, "submission");
    else
        *p = (struct pending){.on_done = on_done, .owner = owner};
    return p;
}

/* What the driver said to a submission. */
static int submitted(struct raftnode *n, struct pending *p, int status,
                     const uint64_t at[2], struct err *err)
{
    if (status != 0) {
        free(p);
        return raftnode_settle(n, status, err);
    }
    p->index = at[0];
    p->term = at[1];
    *n->pending_tail = p;
    n->pending_tail = &p->next;
    n->n_pending++;
    /* From here on on_done tells: a fatal error leaves the outcome unknown. */
    (void)raftnode_settle(n, 0, err);
    return 0;
}

int raftnode_submit(struct raftnode *n, const uint8_t *body, size_t len,
                    raftnode_done *on_done, void *owner, struct err *err)
{
    struct driver_proposal p = {body, len, wall_now_ms()};
    struct err local;
    uint64_t at[2] = {0};
    struct pending *pending;

    if (err == NULL)
        err = &local;
    pending = pending_new(n, on_done, owner, err);
    if (pending == NULL)
        return err->code;
    return submitted(
        n, pending,
        driver_submit(n->driver, mono_now().ns / NS_PER_MS, &p, &n->orders, at, err), at,
        err);
}

int raftnode_barrier(struct raftnode *n, raftnode_done *on_done, void *owner,
                     struct err *err)
{
    struct err local;
    uint64_t at[2] = {0};
    struct pending *pending;

    if (err == NULL)
        err = &local;
    pending = pending_new(n, on_done, owner, err);
    if (pending == NULL)
        return err->code;
    return submitted(
        n, pending,
        driver_barrier(n->driver, mono_now().ns / NS_PER_MS, &n->orders, at, err), at, err);
}
