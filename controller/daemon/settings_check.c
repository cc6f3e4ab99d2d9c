/* Does ringfenced.yaml fit this host? */
#include <stdio.h>
#include <string.h>

#include "controller/audit/keys.h"
#include "controller/base/starting.h"
#include "controller/daemon/settings_private.h"
#include "controller/net/host.h"

static bool is_wildcard(const struct address *a)
{
    return strcmp(a->host, "0.0.0.0") == 0 || strcmp(a->host, "::") == 0;
}

/* Is the host that the others dial one that `listen` answers on? One that is no address of
 * this host may be translated on the way, which nothing here can show. */
static void check_own_host(const struct settings *s, const char *key, struct findings *f)
{
    struct address here = {.port = 0};
    struct host_holder nobody;
    struct err err = {0};
    int status;

    (void)snprintf(here.host, sizeof here.host, "%s", s->controllers[s->self].at.host);
    if (strcmp(here.host, s->listen.host) == 0)
        return;
    status = host_try_port(&here, &nobody, &err);
    if (status == ERR_NOTFOUND)
        findings_warn(f, key,
                      "%s: the other controllers and the agents dial it to reach this "
                      "controller: one of those that `ip addr` shows is expected, unless "
                      "something in between translates it",
                      err.text);
    else if (status == 0 && !is_wildcard(&s->listen))
        findings_error(f, key,
                       "%s: the other controllers and the agents dial it, but this "
                       "controller listens on %s only: the same address is expected in "
                       "both, or 0.0.0.0 in `listen`",
                       here.host, s->listen.host);
}

/* Another controller dials what stands in `controllers`: where that is this host's own
 * address, but another port, nobody would ever come. */
static void check_own_entry(const struct settings *s, struct findings *f)
{
    const struct address *own = &s->controllers[s->self].at;
    char key[48];

    (void)snprintf(key, sizeof key, "controllers[%u].address", s->self);
    check_own_host(s, key, f);
    if (own->port == s->listen.port || s->listen.port == 0)
        return;
    findings_warn(f, key,
                  "port %u: this controller listens on port %u, and the others dial what "
                  "stands here: the same port is expected, unless something in between "
                  "translates it",
                  own->port, s->listen.port);
}

/* It keeps no controller from starting: exports are refused without it, nothing else. */
static void check_audit_key(const struct settings *s, bool starting, struct findings *f)
{
    struct audit_key *key = NULL;
    struct err err = {0};

    if (s->audit_key[0] == '\0' || audit_key_load(&key, s->audit_key, &err) == 0)
        audit_key_free(key);
    else if (starting)
        findings_warn(f, "audit.key", "%s", err.text);
    else
        findings_error(f, "audit.key", "%s", err.text);
}

void settings_check(const struct settings *s, bool starting, struct findings *f)
{
    char held[PATH_SIZE + 8];
    const struct host_check c = {.f = f, .held = held, .starting = starting};

    (void)snprintf(held, sizeof held, "%s/lock", s->data_dir);
    (void)host_check_dir(&c, "data_dir", s->data_dir, true, false);
    host_check_listen(&c, "listen", &s->listen);
    if (s->has_metrics)
        host_check_listen(&c, "metrics", &s->metrics);
    if (s->has_api)
        host_check_listen(&c, "api.listen", &s->api.listen);
    host_check_socket(&c, "socket", s->socket, false);
    check_own_entry(s, f);
    check_audit_key(s, starting, f);
    settings_check_key(s, starting, f);
    settings_check_oidc(s, starting, f);
    settings_check_notify(s, starting, f);
    if (s->fencer_count > 0)
        starting_at("ask the agents of `fencers` what they know (%s and others)",
                    s->fencers[0].agent);
    power_devices_check(s->fencers, s->fencer_count, "fencers", starting, f);
}
