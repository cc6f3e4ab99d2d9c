#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "controller/base/assert.h"
#include "controller/httpd/httpd_private.h"

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
    req->accept = copy_header(c, MHD_HTTP_HEADER_ACCEPT);
    req->content_type = copy_header(c, MHD_HTTP_HEADER_CONTENT_TYPE);
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
    free(req->content_type);
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
    r = MHD_create_response_from_buffer(len, copy, MHD_RESPMEM_MUST_FREE);
    if (r == NULL) {
        free(copy);
        return NULL;
    }
    if (type != NULL &&
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) != MHD_YES) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

static enum MHD_Result too_large(struct http_request *req)
{
    static const char text[] =
        "{\"error\": {\"code\": \"too-large\", \"text\": \"a body of more than 1 MiB\"}}\n";
    struct MHD_Response *r = plain_response("application/json", text, sizeof text - 1);
    enum MHD_Result queued;

    if (r == NULL)
        return MHD_NO;
    queued = MHD_queue_response(req->connection, MHD_HTTP_CONTENT_TOO_LARGE, r);
    MHD_destroy_response(r);
    return queued;
}

/* Before the body: a declared length that we would refuse anyway is refused here. */
static enum MHD_Result begin(struct http_request *req)
{
    const char *length = MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (!is_whole(req))
        return MHD_NO;
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
    enum MHD_Result queued = MHD_queue_response(req->connection, req->status, r);

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
        clients_serve(req->connection, true);
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

    (void)cls;
    (void)why;
    clients_serve(connection, false);
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
    return NULL;
}

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
