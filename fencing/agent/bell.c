#include "fencing/agent/bell.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"

struct bell {
    uv_poll_t poll;
    int fd;
    bell_rung *on_rung;
    void *owner;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct bell *b = CONTAINER_OF(poll, struct bell, poll);
    uint64_t rings;

    (void)status;
    (void)events;
    if (read(b->fd, &rings, sizeof rings) == (ssize_t)sizeof rings)
        b->on_rung(b->owner);
}

int bell_open(struct bell **ret_bell, struct uv_loop_s *loop, bell_rung *on_rung,
              void *owner, struct err *err)
{
    struct bell *b = calloc(1, sizeof *b);
    int status;

    if (b == NULL)
        return err_set(err, ERR_NOMEM, "bell");
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    status = b->fd >= 0 ? uv_poll_init(loop, &b->poll, b->fd) : -errno;
    if (status != 0) {
        auto_close(&b->fd);
        free(b);
        return err_uv(err, status, "bell");
    }
    b->on_rung = on_rung;
    b->owner = owner;
    status = uv_poll_start(&b->poll, UV_READABLE, on_poll);
    ASSERT(status == 0);
    *ret_bell = b;
    return 0;
}

void bell_ring(struct bell *b)
{
    uint64_t one = 1;
    ssize_t n = write(b->fd, &one, sizeof one);

    /* EAGAIN: it has been rung 2^64 - 2 times and not been heard; one more is no news. */
    (void)n;
}

static void on_closed(uv_handle_t *handle)
{
    struct bell *b = CONTAINER_OF((uv_poll_t *)(void *)handle, struct bell, poll);

    auto_close(&b->fd);
    free(b);
}

void bell_close(struct bell *b)
{
    if (b != NULL)
        uv_close((uv_handle_t *)&b->poll, on_closed);
}
