/* Who may stay when more want to come: libmicrohttpd serves so many connections at a time,
 * and one that says nothing, or half a request, would else keep its place for a minute; a
 * hundred of them would keep load balancers and operators out (and fail a health check). */
#include <stdlib.h>
#include <sys/socket.h>

#include "controller/httpd/httpd_private.h"

/* New ones come in before those that are let go have left. */
enum { CLIENTS_ROOM = 16 };

static void drop(struct httpd *h, struct http_client *c)
{
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        h->oldest = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    else
        h->newest = c->prev;
    if (!c->let_go)
        h->clients--;
    free(c->guest);
    free(c);
}

static void *take_adopted(struct httpd *h, int fd)
{
    for (struct http_adopted **at = &h->adopted; *at != NULL; at = &(*at)->next) {
        struct http_adopted *a = *at;
        void *guest = a->guest;

        if (a->fd != fd)
            continue;
        *at = a->next;
        free(a);
        return guest;
    }
    return NULL;
}

void clients_forget(struct httpd *h)
{
    while (h->adopted != NULL)
        free(take_adopted(h, h->adopted->fd));
}

static void let_go(struct httpd *h, struct http_client *c)
{
    c->let_go = true;
    h->clients--;
    (void)shutdown(c->fd, SHUT_RDWR);
}

/* To libmicrohttpd it looks as if the client had hung up. */
static void make_room(struct httpd *h)
{
    struct http_client *c = h->oldest;

    while (h->clients > h->limits.connections - CLIENTS_ROOM && c != NULL) {
        if (!c->served && !c->let_go)
            let_go(h, c);
        c = c->next;
    }
}

void clients_sweep(struct httpd *h)
{
    const uint64_t now = uv_now(h->loop);

    for (struct http_client *c = h->oldest; c != NULL; c = c->next)
        if (!c->served && !c->let_go &&
            now - c->since_ms > (c->asked ? h->limits.next_ms : h->limits.first_ms))
            let_go(h, c);
}

void clients_notify(void *cls, struct MHD_Connection *connection, void **context,
                    enum MHD_ConnectionNotificationCode code)
{
    struct httpd *h = cls;
    struct http_client *c = *context;
    int fd;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        *context = NULL;
        if (c != NULL)
            drop(h, c);
        return;
    }
    c = calloc(1, sizeof *c);
    fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (c == NULL) {
        free(take_adopted(h, fd)); /* a guest that nobody knows is refused */
        return;                    /* it stays until its time-out */
    }
    c->fd = fd;
    c->guest = take_adopted(h, fd);
    c->since_ms = uv_now(h->loop);
    c->prev = h->newest;
    if (h->newest != NULL)
        h->newest->next = c;
    else
        h->oldest = c;
    h->newest = c;
    h->clients++;
    *context = c;
    make_room(h);
}

static struct http_client *client_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

const struct http_client *clients_of(struct MHD_Connection *connection)
{
    return client_of(connection);
}

void clients_serve(struct httpd *h, struct MHD_Connection *connection, bool served)
{
    struct http_client *c = client_of(connection);

    if (c == NULL)
        return;
    c->served = served;
    c->asked = true;
    c->since_ms = uv_now(h->loop);
}
