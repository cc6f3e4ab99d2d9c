#include "controller/http/route.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "*" stands for one segment: a group's name, or a run's number. */
static const struct {
    enum route_kind kind;
    const char *name, *method, *path;
} rows[] = {
    {ROUTE_STATUS, "status", "GET", "/api/v1/status"},
    {ROUTE_GROUP, "export", "GET", "/api/v1/groups/*"},
    {ROUTE_WHY, "why", "GET", "/api/v1/groups/*/why"},
    {ROUTE_LOG, "log", "GET", "/api/v1/log"},
    {ROUTE_DECLARE, "declare", "POST", "/api/v1/groups"},
    {ROUTE_REMOVE, "remove", "DELETE", "/api/v1/groups/*"},
    {ROUTE_SWITCHOVER, "switchover", "POST", "/api/v1/groups/*/switchover"},
    {ROUTE_FAILOVER, "failover", "POST", "/api/v1/groups/*/failover"},
    {ROUTE_ABORT, "abort", "POST", "/api/v1/runs/*/abort"},
    {ROUTE_PAUSE, "pause", "POST", "/api/v1/groups/*/pause"},
    {ROUTE_RESUME, "resume", "POST", "/api/v1/groups/*/resume"},
    {ROUTE_ACKNOWLEDGE, "acknowledge", "POST", "/api/v1/groups/*/acknowledge"},
    {ROUTE_RETRY, "retry", "POST", "/api/v1/groups/*/retry"},
    {ROUTE_DETACH, "detach", "POST", "/api/v1/groups/*/detach"},
    {ROUTE_ATTACH, "attach", "POST", "/api/v1/groups/*/attach"},
    {ROUTE_ATTEST, "attest", "POST", "/api/v1/groups/*/attest"},
    {ROUTE_PROPOSALS, "proposals", "GET", "/api/v1/proposals"},
    {ROUTE_PROPOSE, "propose", "POST", "/api/v1/dr/switch"},
    {ROUTE_APPROVE, "approve", "POST", "/api/v1/proposals/*/approve"},
    {ROUTE_REJECT, "reject", "POST", "/api/v1/proposals/*/reject"},
    {ROUTE_WITHDRAW, "withdraw", "POST", "/api/v1/proposals/*/abort"},
    {ROUTE_REPLACE, "replace", "POST", "/api/v1/controllers/*/replace"},
    {ROUTE_DOCTOR, "doctor", "GET", "/api/v1/doctor"},
    {ROUTE_VERSION, "version", "GET", "/api/v1/version"},
    {ROUTE_RULES, "rules", "GET", "/api/v1/rules"},
    {ROUTE_OPENAPI, "openapi", "GET", "/api/v1/openapi.json"},
    {ROUTE_EVENTS, "events", "GET", "/api/v1/events"},
    {ROUTE_AUDIT_POINT, "audit-point", "GET", "/api/v1/audit/points/*"},
    {ROUTE_AUDIT_EXPORT, "audit-export", "GET", "/api/v1/audit/export"},
    {ROUTE_AUDIT_KEYS, "audit-keys", "GET", "/api/v1/audit/keys"},
    {ROUTE_AUDIT_ROWS, "audit-rows", "GET", "/api/v1/audit/rows/*"},
    {ROUTE_WHOAMI, "whoami", "GET", "/api/v1/whoami"},
    {ROUTE_USERS, "user-list", "GET", "/api/v1/users"},
    {ROUTE_USER_SET, "user-add", "POST", "/api/v1/users"},
    {ROUTE_USER_REMOVE, "user-remove", "DELETE", "/api/v1/users/*"},
    {ROUTE_USER_TOKEN, "user-token", "POST", "/api/v1/users/*/token"},
    {ROUTE_USER_REVOKE, "user-revoke", "POST", "/api/v1/users/*/revoke"},
    {ROUTE_USER_TOTP, "user-totp", "POST", "/api/v1/users/*/totp"},
    {ROUTE_USER_UNLOCK, "user-unlock", "POST", "/api/v1/users/*/unlock"},
};

bool route_name_ok(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < NAME_SIZE && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* The segment that "*" stood for goes to `star`. */
static bool path_matches(const char *path, const char *pattern, char star[NAME_SIZE])
{
    size_t before = strcspn(pattern, "*"), len;

    star[0] = '\0';
    if (pattern[before] == '\0')
        return strcmp(path, pattern) == 0;
    if (strncmp(path, pattern, before) != 0)
        return false;
    len = strcspn(path + before, "/");
    if (strcmp(path + before + len, pattern + before + 1) != 0)
        return false;
    /* Too long to be a name: a "-" in front is no name either, and short. */
    (void)snprintf(star, NAME_SIZE, "%.*s", len < NAME_SIZE ? (int)len : 1,
                   len < NAME_SIZE ? path + before : "-");
    return true;
}

static bool is_of_audit(enum route_kind kind)
{
    return kind == ROUTE_AUDIT_POINT || kind == ROUTE_AUDIT_ROWS;
}

static bool has_number(enum route_kind kind)
{
    return kind == ROUTE_ABORT || kind == ROUTE_APPROVE || kind == ROUTE_REJECT ||
           kind == ROUTE_WITHDRAW || is_of_audit(kind);
}

static unsigned take_star(const char *star, struct route *r, struct err *err)
{
    char *end;

    if (has_number(r->kind)) {
        r->run = strtoull(star, &end, 10);
        if (star[0] >= '0' && star[0] <= '9' && *end == '\0' && r->run != 0)
            return 0;
        if (is_of_audit(r->kind))
            (void)err_set(err, ERR_INVAL, "an entry of the audit trail has a number");
        else
            (void)err_set(err, ERR_INVAL, "%s has a number: `ringfence %s` shows it",
                          r->kind == ROUTE_ABORT ? "a run" : "a proposal",
                          r->kind == ROUTE_ABORT ? "status" : "proposals");
        return 400;
    }
    if (!route_name_ok(star)) {
        (void)err_set(err, ERR_INVAL,
                      "such a name is 1 to %d of a-z, 0-9 and -, and begins with a "
                      "letter or digit",
                      NAME_SIZE - 1);
        return 400;
    }
    (void)snprintf(r->group, sizeof r->group, "%s", star);
    return 0;
}

unsigned route_match(const char *method, const char *path, struct route *ret,
                     struct err *err)
{
    bool other_method = false;
    char star[NAME_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route r = {.kind = rows[i].kind};
        unsigned status;

        if (!path_matches(path, rows[i].path, star))
            continue;
        if (strcmp(method, rows[i].method) != 0) {
            other_method = true;
            continue;
        }
        status = strchr(rows[i].path, '*') != NULL ? take_star(star, &r, err) : 0;
        if (status == 0)
            *ret = r;
        return status;
    }
    if (other_method) {
        (void)err_set(err, ERR_INVAL, "%.20s is not for this path", method);
        return 405;
    }
    if (strncmp(path, "/api/v1/", 8) == 0)
        (void)err_set(err, ERR_NOTFOUND, "there is no %.80s", path);
    else
        (void)err_set(err, ERR_NOTFOUND,
                      "there is no %.80s here: this is the socket of a controller, and its "
                      "paths begin with /api/v1/; what load balancers ask (/primary, "
                      "/read-write, /replica, /health) is answered by an agent, at `http` "
                      "of its agent.yaml or on its socket, by default "
                      "/run/ringfence-agent/ringfence-agent.sock",
                      path);
    return 404;
}

const char *route_group(const struct route *r)
{
    return r->kind < ROUTE_WHOAMI && r->kind != ROUTE_REPLACE ? r->group : "";
}

bool route_is_local(enum route_kind kind)
{
    return kind == ROUTE_LOG || kind == ROUTE_DOCTOR || kind == ROUTE_VERSION ||
           kind == ROUTE_RULES || kind == ROUTE_AUDIT_POINT || kind == ROUTE_AUDIT_ROWS ||
           kind == ROUTE_AUDIT_EXPORT || kind == ROUTE_AUDIT_KEYS ||
           kind == ROUTE_OPENAPI || kind == ROUTE_EVENTS;
}

bool route_is_read(enum route_kind kind)
{
    return kind == ROUTE_STATUS || kind == ROUTE_GROUP || kind == ROUTE_WHY;
}

bool route_changes(const struct route *r)
{
    return strcmp(route_method(r->kind), "GET") != 0 && !r->dry;
}

bool route_is_told(const struct route *r)
{
    return !route_changes(r) && !route_is_local(r->kind);
}

/* The words of a query that change what a route does; the rest is read elsewhere. */
enum { WORDS = 3 };

static const char *const words[WORDS] = {"dry=1", "keep_active=1", "stale=ok"};

static bool *flag(struct route *r, size_t word)
{
    bool *const flags[WORDS] = {&r->dry, &r->keep_active, &r->stale_ok};

    return flags[word];
}

bool route_read_query(const char *query, struct route *r)
{
    const char *at = query + strspn(query, "?");

    while (*at != '\0') {
        size_t len = strcspn(at, "&"), i = 0;

        while (i < WORDS && (strlen(words[i]) != len || strncmp(at, words[i], len) != 0))
            i++;
        if (i == WORDS)
            return false;
        *flag(r, i) = true;
        at += len + (at[len] == '&');
    }
    return true;
}

void route_format(const struct route *route, char path[ROUTE_PATH_SIZE])
{
    struct route r = *route;
    const char *pattern = rows[r.kind].path, *join = "?";
    size_t before = strcspn(pattern, "*"), used;
    char run[24];

    (void)snprintf(run, sizeof run, "%" PRIu64, r.run);
    if (pattern[before] == '\0')
        (void)snprintf(path, ROUTE_PATH_SIZE, "%s", pattern);
    else
        (void)snprintf(path, ROUTE_PATH_SIZE, "%.*s%s%s", (int)before, pattern,
                       has_number(r.kind) ? run : r.group, pattern + before + 1);
    for (size_t i = 0; i < WORDS; i++) {
        if (!*flag(&r, i))
            continue;
        used = strlen(path);
        (void)snprintf(path + used, ROUTE_PATH_SIZE - used, "%s%s", join, words[i]);
        join = "&";
    }
}

const char *route_method(enum route_kind kind)
{
    return rows[kind].method; /* rows are in the order of the enum; a test checks it */
}

const char *route_name(enum route_kind kind) { return rows[kind].name; }
