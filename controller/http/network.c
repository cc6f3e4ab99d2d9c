/* Guests: who is it, and does it ask too often? What it may do is authorize.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "controller/base/log.h"
#include "controller/base/problem.h"
#include "controller/http/api_private.h"
#include "controller/http/rates.h"

static void reply_last(void *owner, unsigned status, const void *body, size_t len)
{
    http_close_after(owner);
    http_reply(owner, status, PROBLEM_TYPE, body, len); /* only refusals come by here */
}

/* "Bearer TOKEN": the word in any case, one blank. */
static bool read_bearer(const char *header, struct caller *c)
{
    static const char word[] = "Bearer ";
    size_t len = strlen(header);

    if (strncasecmp(header, word, sizeof word - 1) != 0)
        return false;
    len -= sizeof word - 1;
    if (len == 0 || len >= sizeof c->bearer)
        return false;
    memcpy(c->bearer, header + sizeof word - 1, len + 1);
    return true;
}

/* A string of RFC 8941, in quotes, as the draft wants it; or bare, as most clients send it.
 */
static bool read_key(const char *header, struct caller *c)
{
    size_t len = strlen(header);
    bool quoted = len >= 2 && header[0] == '"' && header[len - 1] == '"';

    if (quoted) {
        header++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof c->key)
        return false;
    for (size_t i = 0; i < len; i++)
        if (header[i] < '!' || header[i] > '~' || header[i] == '"' || header[i] == '\\')
            return false;
    memcpy(c->key, header, len);
    c->key[len] = '\0';
    return true;
}

static bool take_key(struct http_request *req, struct caller *c, const struct asker *who)
{
    const char *header = http_header(req, "Idempotency-Key");

    if (header == NULL || read_key(header, c))
        return true;
    answer_error(who, 400, "bad-request",
                 "Idempotency-Key: 1 to %d printable characters are expected, without "
                 "blanks, quotes and backslashes; quotes around them do no harm",
                 CALLER_KEY_SIZE - 1);
    return false;
}

bool network_read_headers(struct http_request *req, struct caller *c,
                          const struct asker *who)
{
    const char *header = http_header(req, "Authorization");
    const char *totp = http_header(req, "X-Ringfence-TOTP");

    if (header != NULL && !read_bearer(header, c)) {
        answer_error(who, 400, "bad-request",
                     "Authorization: \"Bearer\" and a token of 1 to %d bytes is expected",
                     CALLER_BEARER_SIZE - 1);
        return false;
    }
    if (totp != NULL && strlen(totp) >= sizeof c->totp) {
        answer_error(who, 400, "bad-request",
                     "X-Ringfence-TOTP: a code of less than %d bytes is expected",
                     CALLER_TOTP_SIZE);
        return false;
    }
    if (totp != NULL)
        memcpy(c->totp, totp, strlen(totp) + 1);
    return take_key(req, c, who);
}

/* False: answered. */
static bool identify(struct api_guests *guests, const struct door_guest *g,
                     struct caller *c, const struct asker *last)
{
    (void)snprintf(c->from, sizeof c->from, "%.*s", CALLER_FROM_SIZE - 1, g->from);
    if (g->proof == DOOR_REFUSED) {
        guests->wrong++;
        answer_error(last, 403, "wrong-certificate", "%s", g->why);
        return false;
    }
    if (g->proof == DOOR_NOBODY) {
        guests->unknown++;
        return true;
    }
    if (strlen(g->user) >= sizeof c->name) {
        guests->wrong++;
        answer_error(last, 403, "wrong-certificate",
                     "user %s: a name of %d characters at most is expected", g->user,
                     NAME_SIZE - 1);
        return false;
    }
    guests->known++;
    c->kind = CALLER_CERTIFICATE;
    memcpy(c->name, g->user, strlen(g->user) + 1);
    return true;
}

/* Nobody, and nothing that would say who: told here, and costs nobody else anything. */
static bool is_nobody(const struct caller *c)
{
    return c->kind == CALLER_ANONYMOUS && c->bearer[0] == '\0';
}

static void too_many(struct api *a, const struct asker *last)
{
    a->guests.limited++;
    answer_error(last, 429, "too-many-requests",
                 "requests from this address come faster than its share: ask again in a "
                 "second");
}

static void on_guest_request(void *owner, struct http_request *req)
{
    struct api *a = owner;
    const struct door_guest *g = http_guest(req);
    const struct asker last = {.reply = reply_last, .owner = req};
    const struct route any = {.kind = ROUTE_STATUS};
    struct caller c = {.kind = CALLER_ANONYMOUS};
    const struct api_request raw = {.caller = &c};

    if (g == NULL)
        answer_error(&last, 503, "no-memory", "out of memory");
    else if (!rates_take(a->rates, g->source, uv_now(a->tick.loop)))
        too_many(a, &last);
    else if (identify(&a->guests, g, &c, &last) && network_read_headers(req, &c, &last) &&
             (!is_nobody(&c) || api_may(a, &any, &raw, &last)))
        api_take(a, req, &c);
    caller_wipe(&c);
}

int network_open(struct api *a, struct uv_loop_s *loop, const struct api_network *n,
                 struct err *err)
{
    const struct httpd_adopts adopts = {n->connections, n->first_ms, n->idle_ms};
    const struct httpd_listen at = {.adopts = &adopts};

    a->rates = rates_new(n->requests_per_s);
    if (a->rates == NULL)
        return err_set(err, ERR_NOMEM, "API");
    return httpd_open(&a->network, loop, &at, on_guest_request, a, err);
}

void api_admit(struct api *a, int fd, const struct door_guest *guest)
{
    struct door_guest *copy = malloc(sizeof *copy);
    struct err err = {0};

    if (copy == NULL || a->network == NULL) {
        free(copy);
        close(fd);
        return;
    }
    *copy = *guest;
    if (httpd_adopt(a->network, fd, copy, &err) != 0)
        log_debug("API: %s: %s", guest->from, err.text);
}
