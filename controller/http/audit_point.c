/* What a controller signs of its own audit trail, and what all of them sign. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/http/audit_private.h"

/* ---- our own --------------------------------------------------------------------------
 */

struct point {
    struct point *next;
    struct api *a;
    uint64_t seq;
    bool second; /* the newest entry is known, the one at `seq` was asked for */
    struct bundle_head head;
    audit_heard *done;
    void *owner;
};

static void unlink_point(struct point *p)
{
    struct point **at = &p->a->points;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
}

static void tell_absent(struct api *a, audit_heard *done, void *owner, const char *why)
{
    struct bundle_line line = {.kind = BUNDLE_ABSENT};
    struct api_facts f;

    api_facts(a, &f);
    (void)snprintf(line.absent.controller, sizeof line.absent.controller, "%s", f.name);
    (void)snprintf(line.absent.why, sizeof line.absent.why, "%s", why);
    done(owner, &line);
}

static void absent(struct point *p, const char *why)
{
    unlink_point(p);
    tell_absent(p->a, p->done, p->owner, why);
    free(p);
}

static void sign(struct point *p)
{
    const struct audit_key *key = p->a->backend->audit_key(p->a->backend->owner);
    struct bundle_line line = {.kind = BUNDLE_HEAD};
    struct api_facts f;
    struct err err = {0};

    api_facts(p->a, &f);
    (void)snprintf(p->head.cluster, sizeof p->head.cluster, "%s", f.cluster);
    (void)snprintf(p->head.controller, sizeof p->head.controller, "%s", f.name);
    p->head.wall_ms = wall_now_ms();
    if (key == NULL || bundle_head_sign(&p->head, key, &err) != 0) {
        absent(p, key == NULL ? "it has no audit key" : err.text);
        return;
    }
    line.head = p->head;
    unlink_point(p);
    p->done(p->owner, &line);
    free(p);
}

static void take(struct bundle_point *to, const struct audit_row *row)
{
    to->seq = row->seq;
    to->index = row->index;
    memcpy(to->hash, row->hash, AUDIT_HASH_SIZE);
}

static void on_row(void *owner, const struct audit_row *rows, size_t n, int status)
{
    struct point *p = owner;
    struct audit_query q = {.after_seq = p->seq - 1, .limit = 1};
    struct err err = {0};

    if (status != 0) {
        absent(p, "its store does not answer");
        return;
    }
    if (p->second) {
        if (n == 1 && rows[0].seq == p->seq)
            take(&p->head.at, &rows[0]);
        sign(p);
        return;
    }
    if (n == 0) {
        absent(p, "its audit trail is empty");
        return;
    }
    take(&p->head.newest, &rows[0]);
    take(&p->head.at, &rows[0]);
    p->second = true;
    if (p->seq >= p->head.newest.seq)
        sign(p);
    else if (p->a->backend->query_log(p->a->backend->owner, &q, on_row, p, &err) != 0)
        absent(p, err.text);
}

void audit_point(struct api *a, uint64_t seq, audit_heard *done, void *owner)
{
    struct audit_query q = {.limit = 1, .newest = true};
    struct point *p;
    struct err err = {0};

    if (a->backend->audit_key(a->backend->owner) == NULL) {
        tell_absent(a, done, owner, "it has no audit key (`audit.key` of ringfenced.yaml)");
        return;
    }
    p = calloc(1, sizeof *p);
    if (p == NULL) {
        tell_absent(a, done, owner, "out of memory");
        return;
    }
    *p =
        (struct point){.next = a->points, .a = a, .seq = seq, .done = done, .owner = owner};
    a->points = p;
    if (a->backend->query_log(a->backend->owner, &q, on_row, p, &err) != 0)
        absent(p, err.text);
}

void points_close(struct api *a)
{
    while (a->points != NULL)
        absent(a->points, "it is stopping");
}

/* ---- asked for over HTTP, or by another controller ------------------------------------
 */

static void on_point(void *owner, const struct bundle_line *line)
{
    AUTO(auto_free) struct asker *who = owner;
    AUTO(auto_free) char *text = NULL;

    if (line->kind == BUNDLE_ABSENT) {
        answer_error(who, 409, "no-chain-head", "%s", line->absent.why);
        return;
    }
    text = bundle_text(line);
    if (text == NULL)
        answer_error(who, 503, "no-memory", "out of memory");
    else
        who->reply(who->owner, 200, text, strlen(text));
}

void audit_serve_point(struct api *a, uint64_t seq, const struct asker *who)
{
    struct asker *copy = malloc(sizeof *copy);

    if (copy == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
        return;
    }
    *copy = *who;
    audit_point(a, seq, on_point, copy);
}

/* ---- all of them ----------------------------------------------------------------------
 */

/* One that was asked. */
struct asked {
    struct gather *g;
    unsigned position;
};

static void settle(struct gather *g)
{
    if (--g->pending > 0)
        return;
    if (g->done != NULL)
        g->done(g->owner, g);
    free(g);
}

static void put_absent(struct gather *g, unsigned position, const char *why)
{
    struct bundle_line *line = &g->lines[position];
    struct api_facts f;

    api_facts(g->a, &f);
    *line = (struct bundle_line){.kind = BUNDLE_ABSENT};
    (void)snprintf(line->absent.controller, sizeof line->absent.controller, "%s",
                   f.controllers[position].name);
    (void)snprintf(line->absent.why, sizeof line->absent.why, "%s", why);
}

/* The text of an error document, as far as there is one. */
static void put_refused(struct gather *g, unsigned position, unsigned status,
                        const char *body, size_t len)
{
    json_t *v = json_loadb(body, len, 0, NULL);
    const char *text = json_string_value(json_object_get(v, "detail"));
    char why[BUNDLE_WHY_SIZE];

    (void)snprintf(why, sizeof why, "status %u%s%.200s", status, text != NULL ? ": " : "",
                   text != NULL ? text : "");
    put_absent(g, position, status == 503 ? "it did not answer in time" : why);
    json_decref(v);
}

/* What is no head of its own is no head: the bundle must not hold what its check would
 * refuse for a fault of the network. That the key is the right one is the auditor's check.
 */
static void on_answer(void *owner, unsigned status, const void *body, size_t len)
{
    AUTO(auto_free) struct asked *asked = owner;
    struct gather *g = asked->g;
    struct bundle_line line = {0};
    struct api_facts f;
    struct err err = {0};

    api_facts(g->a, &f);
    if (status != 200)
        put_refused(g, asked->position, status, body, len);
    else if (bundle_read(&line, body, len, &err) != 0 || line.kind != BUNDLE_HEAD ||
             !bundle_head_holds(&line.head) ||
             strcmp(line.head.controller, f.controllers[asked->position].name) != 0)
        put_absent(g, asked->position, "what it answered is no chain head of its own");
    else
        g->lines[asked->position] = line;
    settle(g);
}

static void on_own(void *owner, const struct bundle_line *line)
{
    struct asked *asked = owner;
    struct gather *g = asked->g;

    g->lines[asked->position] = *line;
    free(asked);
    settle(g);
}

static void ask(struct gather *g, unsigned position, uint64_t seq, bool self)
{
    const struct route r = {.kind = ROUTE_AUDIT_POINT, .run = seq};
    struct asked *asked = malloc(sizeof *asked);
    char path[ROUTE_PATH_SIZE];
    struct err err = {0};

    g->pending++;
    if (asked == NULL) {
        put_absent(g, position, "out of memory");
        g->pending--;
        return;
    }
    *asked = (struct asked){g, position};
    route_format(&r, path);
    if (self) {
        audit_point(g->a, seq, on_own, asked);
    } else if (g->a->backend->ask(g->a->backend->owner, position, path, on_answer, asked,
                                  &err) != 0) {
        free(asked);
        put_absent(g, position, err.text);
        g->pending--;
    }
}

struct gather *gather_begin(struct api *a, uint64_t seq,
                            void (*done)(void *owner, const struct gather *g), void *owner)
{
    struct gather *g = calloc(1, sizeof *g);
    struct api_facts f;

    if (g == NULL)
        return NULL;
    api_facts(a, &f);
    g->a = a;
    g->done = done;
    g->owner = owner;
    g->count = f.controller_count < BUNDLE_CONTROLLERS_MAX ? f.controller_count
                                                           : BUNDLE_CONTROLLERS_MAX;
    g->pending = 1; /* until gather_wait() */
    for (unsigned i = 0; i < g->count; i++)
        ask(g, i, seq, f.controllers[i].self);
    return g;
}

void gather_wait(struct gather *g) { settle(g); }

void gather_abandon(struct gather *g) { g->done = NULL; }
