#include "controller/base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/wipe.h"

/* realloc() would leave what moves behind, in memory that is somebody else's then. */
static uint8_t *move_secret(struct buf *b, size_t cap)
{
    uint8_t *data = malloc(cap);

    if (data == NULL)
        return NULL;
    if (b->len > 0)
        memcpy(data, b->data, b->len);
    wipe_free(b->data);
    return data;
}

int buf_reserve(struct buf *b, size_t more, struct err *err)
{
    size_t limit = b->limit != 0 ? b->limit : BUF_LIMIT_DEFAULT;
    size_t cap = b->cap != 0 ? b->cap : 256;
    uint8_t *data;

    if (more > limit || b->len > limit - more)
        return err_set(err, ERR_FULL, "buffer of %zu bytes would pass %zu", b->len, limit);
    if (b->len + more <= b->cap)
        return 0;
    while (cap < b->len + more)
        cap *= 2;
    data = b->secret ? move_secret(b, cap) : realloc(b->data, cap);
    if (data == NULL)
        return err_set(err, ERR_NOMEM, "buffer of %zu bytes", cap);
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t len, struct err *err)
{
    int status = buf_reserve(b, len, err);

    if (status != 0)
        return status;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

void buf_consume(struct buf *b, size_t len)
{
    ASSERT(len <= b->len);
    if (len == 0)
        return;
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
    if (b->secret)
        explicit_bzero(b->data + b->len, len);
}

void buf_free(struct buf *b)
{
    if (b->secret)
        wipe_free(b->data);
    else
        free(b->data);
    *b = (struct buf){.limit = b->limit, .secret = b->secret};
}
