#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/buf.h"
#include "controller/base/clock.h"
#include "proto/check.h"
#include "providers/worker.h"

static const struct check_limits limits = {.message_max = PROVIDER_FRAME_MAX};

static int wait_for(int fd, short events, struct mono deadline, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = events};
    int timeout = -1, n;

    if (mono_is_set(deadline)) {
        uint64_t left = mono_since_ns(mono_now(), deadline);

        timeout = (int)((left + NS_PER_MS - 1) / NS_PER_MS);
    }
    n = poll(&p, 1, timeout);
    if (n > 0 || (n < 0 && errno == EINTR))
        return 0;
    if (n == 0)
        return err_set(err, ERR_TIMEOUT, "provider frame: deadline passed");
    return err_errno(err, errno, "provider frame: poll");
}

static bool would_block(int errno_value)
{
    return errno_value == EAGAIN || errno_value == EINTR;
}

static int write_all(int fd, const uint8_t *data, size_t len, struct mono deadline,
                     struct err *err)
{
    while (len > 0) {
        ssize_t n;

        if (wait_for(fd, POLLOUT, deadline, err) != 0)
            return err->code;
        n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && would_block(errno))
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return err_set(err, ERR_CLOSED, "provider frame: the other side is gone");
        if (n < 0)
            return err_errno(err, errno, "provider frame: send");
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int read_all(int fd, uint8_t *data, size_t len, struct mono deadline,
                    struct err *err)
{
    while (len > 0) {
        ssize_t n;

        if (wait_for(fd, POLLIN, deadline, err) != 0)
            return err->code;
        n = recv(fd, data, len, MSG_DONTWAIT);
        if (n < 0 && would_block(errno))
            continue;
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return err_set(err, ERR_CLOSED, "provider frame: the other side is gone");
        if (n < 0)
            return err_errno(err, errno, "provider frame: receive");
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int provider_frame_write(int fd, const ProtobufCMessage *message, struct mono deadline,
                         struct err *err)
{
    AUTO(buf_free) struct buf frame = {0};
    struct err own;
    uint32_t head = 0;

    err = err != NULL ? err : &own;
    /* The length is known when the message has been packed behind it. */
    if (buf_append(&frame, &head, sizeof head, err) != 0 ||
        check_pack(message, &limits, &frame, err) != 0)
        return err_wrap(err, "provider frame");
    head = htonl((uint32_t)(frame.len - PROVIDER_FRAME_HEAD));
    memcpy(frame.data, &head, sizeof head);
    return write_all(fd, frame.data, frame.len, deadline, err);
}

int provider_frame_length(const uint8_t head[PROVIDER_FRAME_HEAD], size_t *ret_len,
                          struct err *err)
{
    uint32_t len;

    memcpy(&len, head, sizeof len);
    len = ntohl(len);
    if (len == 0 || len > PROVIDER_FRAME_MAX)
        return err_set(err, ERR_BADMSG, "provider frame of %u bytes, limit %d", len,
                       PROVIDER_FRAME_MAX);
    *ret_len = len;
    return 0;
}

int provider_frame_read(int fd, uint8_t **ret_data, size_t *ret_len, struct mono deadline,
                        struct err *err)
{
    AUTO(auto_free) uint8_t *data = NULL;
    uint8_t head[PROVIDER_FRAME_HEAD];
    struct err own;
    size_t len = 0;

    err = err != NULL ? err : &own;
    if (read_all(fd, head, sizeof head, deadline, err) != 0)
        return err->code;
    if (provider_frame_length(head, &len, err) != 0)
        return err->code;
    data = malloc(len);
    if (data == NULL)
        return err_set(err, ERR_NOMEM, "provider frame");
    if (read_all(fd, data, len, deadline, err) != 0)
        return err->code;

    *ret_data = TAKE(data);
    *ret_len = len;
    return 0;
}
