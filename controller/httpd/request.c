#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "controller/base/assert.h"
#include "controller/base/problem.h"
#include "controller/base/wipe.h"
#include "controller/httpd/httpd_private.h"

#define TOTP_HEADER "X-Ringfence-TOTP"
#define LAST_EVENT_HEADER "Last-Event-ID"

/* -- what the client sent -- */

static enum MHD_Result add_query(void *cls, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct http_request *req = cls;
    struct http_pair *pair = &req->query[req->n_query];

    (void)kind;
    if (req->n_query == HTTPD_QUERY_MAX)
        return MHD_NO; /* the rest is not seen */
    pair->name = strdup(name);
    pair->value = strdup(value != NULL ? value : "");
    req->n_query++;
    return MHD_YES;
}

static char *copy_header(struct MHD_Connection *c, const char *name)
{
    const char *value = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);

    return value != NULL ? strdup(value) : NULL;
}

/* Not kept for longer than it is asked for. */
static char *copy_secret(struct http_request *req, const char *name)
{
    const char *value = MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, name);

    if (value == NULL)
        return NULL;
    if (strlen(value) <= HTTPD_SECRET_MAX)
        return strdup(value);
    req->too_much = true;
    return NULL;
}

static void drop_secret(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static void link_in(struct http_request *req)
{
    struct httpd *h = req->httpd;

    req->next = h->requests;
    if (req->next != NULL)
        req->next->prev = req;
    h->requests = req;
}

static void unlink_from(struct http_request *req)
{
    if (req->prev != NULL)
        req->prev->next = req->next;
    else
        req->httpd->requests = req->next;
    if (req->next != NULL)
        req->next->prev = req->prev;
}

/* Copies, since libmicrohttpd's own end with the connection, and the request may not. */
static struct http_request *request_new(struct httpd *h, struct MHD_Connection *c,
                                        const char *method, const char *path)
{
    struct http_request *req = calloc(1, sizeof *req);

    if (req == NULL)
        return NULL;
    req->httpd = h;
    req->loop = h->loop;
    req->connection = c;
    req->body.limit = HTTPD_BODY_MAX;
    req->method = strdup(method);
    req->path = strdup(path);
    req->last_event = copy_header(c, LAST_EVENT_HEADER);
    req->accept = copy_header(c, MHD_HTTP_HEADER_ACCEPT);
    req->content_type = copy_header(c, MHD_HTTP_HEADER_CONTENT_TYPE);
    req->authorization = copy_secret(req, MHD_HTTP_HEADER_AUTHORIZATION);
    req->totp = copy_secret(req, TOTP_HEADER);
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, add_query, req);
    link_in(req);
    return req;
}

static bool is_whole(const struct http_request *req)
{
    for (unsigned i = 0; i < req->n_query; i++)
        if (req->query[i].name == NULL || req->query[i].value == NULL)
            return false;
    return req->method != NULL && req->path != NULL;
}

void request_free(struct http_request *req)
{
    if (req->connection != NULL || req->owned)
        return;
    for (unsigned i = 0; i < req->n_query; i++) {
        free(req->query[i].name);
        free(req->query[i].value);
    }
    free(req->method);
    free(req->path);
    free(req->accept);
    free(req->last_event);
    free(req->content_type);
    drop_secret(req->authorization);
    drop_secret(req->totp);
    buf_free(&req->body);
    if (req->response != NULL)
        MHD_destroy_response(req->response);
    free(req);
}

/* -- libmicrohttpd's side -- */

static struct MHD_Response *plain_response(const char *type, const void *body, size_t len)
{
    void *copy = malloc(len + 1);
    struct MHD_Response *r;

    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, body, len);
    /* It may be a token: nothing is left of any answer. */
    r = MHD_create_response_from_buffer_with_free_callback(len, copy, wipe_free);
    if (r == NULL) {
        wipe_free(copy);
        return NULL;
    }
    if (type != NULL &&
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) != MHD_YES) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

static enum MHD_Result refuse(struct http_request *req, unsigned status, const char *what)
{
    char text[PROBLEM_SIZE];
    size_t len = problem_write(text, status, "too-large", what);
    struct MHD_Response *r = plain_response(PROBLEM_TYPE, text, len);
    enum MHD_Result queued;

    if (r == NULL)
        return MHD_NO;
    queued = MHD_queue_response(req->connection, status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result too_large(struct http_request *req)
{
    return refuse(req, MHD_HTTP_CONTENT_TOO_LARGE, "a body of more than 1 MiB");
}

/* Before the body: a declared length that we would refuse anyway is refused here. */
static enum MHD_Result begin(struct http_request *req)
{
    const char *length = MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (!is_whole(req))
        return MHD_NO;
    if (req->too_much)
        return refuse(req, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
                      "a secret of more than 8 KiB");
    if (length != NULL && strtoull(length, NULL, 10) > HTTPD_BODY_MAX)
        return too_large(req);
    return MHD_YES;
}

/* A chunked body does not say how long it will be. It is read to its end, since an answer
 * can be given only there, but not for ever. */
static enum MHD_Result take_body(struct http_request *req, const char *data, size_t len)
{
    struct err err;

    req->received += len;
    if (req->received > 4ull * HTTPD_BODY_MAX)
        return MHD_NO;
    if (req->too_long)
        return MHD_YES;
    switch (buf_append(&req->body, data, len, &err)) {
    case 0:
        return MHD_YES;
    case ERR_FULL:
        req->too_long = true;
        buf_free(&req->body);
        return MHD_YES;
    default:
        return MHD_NO;
    }
}

static enum MHD_Result queue(struct http_request *req)
{
    struct MHD_Response *r = TAKE(req->response);
    enum MHD_Result queued;

    /* Without memory for one the answer goes without it. */
    if (req->status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (req->status == MHD_HTTP_TOO_MANY_REQUESTS)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (req->last)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    queued = MHD_queue_response(req->connection, req->status, r);

    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result answer(struct http_request *req)
{
    if (req->too_long)
        return too_large(req);
    if (!req->handled) {
        req->handled = true;
        req->owned = true;
        clients_serve(req->httpd, req->connection, true);
        req->httpd->handler(req->httpd->owner, req);
    }
    if (req->hopeless)
        return MHD_NO;
    if (req->response != NULL)
        return queue(req);
    req->suspended = true;
    MHD_suspend_connection(req->connection);
    return MHD_YES;
}

enum MHD_Result request_access(void *cls, struct MHD_Connection *connection,
                               const char *url, const char *method, const char *version,
                               const char *data, size_t *data_len, void **request)
{
    struct http_request *req = *request;
    enum MHD_Result result;

    (void)version;
    if (req == NULL) {
        req = request_new(cls, connection, method, url);
        *request = req;
        return req != NULL ? begin(req) : MHD_NO;
    }
    if (*data_len > 0) {
        result = take_body(req, data, *data_len);
        *data_len = 0;
        return result;
    }
    return answer(req);
}

void request_completed(void *cls, struct MHD_Connection *connection, void **request,
                       enum MHD_RequestTerminationCode why)
{
    struct http_request *req = *request;

    (void)why;
    clients_serve(cls, connection, false);
    if (req == NULL)
        return;
    *request = NULL;
    unlink_from(req);
    req->connection = NULL;
    if (req->stream != NULL)
        body_stream_disconnected(TAKE(req->stream));
    request_free(req);
}

void request_resume(struct http_request *req)
{
    if (req->connection == NULL || !req->suspended)
        return;
    req->suspended = false;
    MHD_resume_connection(req->connection);
    httpd_kick(req->httpd);
}

/* -- our caller's side -- */

const char *http_method(const struct http_request *req) { return req->method; }

const char *http_path(const struct http_request *req) { return req->path; }

const char *http_query(const struct http_request *req, const char *name)
{
    for (unsigned i = 0; i < req->n_query; i++)
        if (strcmp(req->query[i].name, name) == 0)
            return req->query[i].value;
    return NULL;
}

const char *http_header(const struct http_request *req, const char *name)
{
    if (strcasecmp(name, MHD_HTTP_HEADER_ACCEPT) == 0)
        return req->accept;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_TYPE) == 0)
        return req->content_type;
    if (strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) == 0)
        return req->authorization;
    if (strcasecmp(name, TOTP_HEADER) == 0)
        return req->totp;
    if (strcasecmp(name, LAST_EVENT_HEADER) == 0)
        return req->last_event;
    return NULL;
}

const void *http_guest(const struct http_request *req)
{
    const struct http_client *c =
        req->connection != NULL ? clients_of(req->connection) : NULL;

    return c != NULL ? c->guest : NULL;
}

bool http_uid(const struct http_request *req, uint32_t *ret_uid)
{
    const struct http_client *c =
        req->connection != NULL ? clients_of(req->connection) : NULL;
    struct ucred cred;
    socklen_t len = sizeof cred;

    if (c == NULL || req->httpd->socket_path[0] == '\0' ||
        getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
        return false;
    *ret_uid = cred.uid;
    return true;
}

void http_close_after(struct http_request *req) { req->last = true; }

const uint8_t *http_body(const struct http_request *req, size_t *ret_len)
{
    *ret_len = req->body.len;
    return req->body.data != NULL ? req->body.data : (const uint8_t *)"";
}

void request_settle(struct http_request *req, unsigned status, struct MHD_Response *r)
{
    ASSERT(req->owned);
    req->owned = false;
    req->status = status;
    req->response = r;
    req->hopeless = r == NULL;
    if (req->connection == NULL)
        request_free(req);
    else
        request_resume(req);
}

void http_reply(struct http_request *req, unsigned status, const char *content_type,
                const void *body, size_t len)
{
    request_settle(req, status, plain_response(content_type, body, len));
}
