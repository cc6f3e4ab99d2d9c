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
    free(c);
}

/* To libmicrohttpd it looks as if the client had hung up. */
static void make_room(struct httpd *h)
{
    struct http_client *c = h->oldest;

    while (h->clients > HTTPD_CONNECTIONS_MAX - CLIENTS_ROOM && c != NULL) {
        if (!c->served && !c->let_go) {
            c->let_go = true;
            h->clients--;
            (void)shutdown(c->fd, SHUT_RDWR);
        }
        c = c->next;
    }
}

void clients_notify(void *cls, struct MHD_Connection *connection, void **context,
                    enum MHD_ConnectionNotificationCode code)
{
    struct httpd *h = cls;
    struct http_client *c = *context;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        *context = NULL;
        if (c != NULL)
            drop(h, c);
        return;
    }
    c = calloc(1, sizeof *c);
    if (c == NULL)
        return; /* it stays until its time-out */
    c->fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
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

void clients_serve(struct MHD_Connection *connection, bool served)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_client *c = info != NULL ? info->socket_context : NULL;

    if (c != NULL)
        c->served = served;
}
