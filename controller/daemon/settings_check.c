/* Does ringfenced.yaml fit this host? */
#include <stdio.h>

#include "controller/daemon/settings.h"
#include "controller/net/host.h"

/* Another controller dials what stands in `controllers`: where that is this host's own
 * address, but another port, nobody would ever come. */
static void check_own_entry(const struct settings *s, struct findings *f)
{
    const struct address *own = &s->controllers[s->self].at;
    char key[48];

    if (own->port == s->listen.port || s->listen.port == 0)
        return;
    (void)snprintf(key, sizeof key, "controllers[%u].address", s->self);
    findings_warn(f, key,
                  "port %u: this controller listens on port %u, and the others dial what "
                  "stands here: the same port is expected, unless something in between "
                  "translates it",
                  own->port, s->listen.port);
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
    host_check_socket(&c, "socket", s->socket, false);
    check_own_entry(s, f);
}
