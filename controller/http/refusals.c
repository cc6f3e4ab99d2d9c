#include "controller/http/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"

enum { FROM_SIZE = 64 };

struct refusals {
    struct {
        char from[FROM_SIZE];
        struct mono noted; /* unset: a free place */
        uint32_t more;
    } of[REFUSALS_MAX];
};

struct refusals *refusals_new(void) { return calloc(1, sizeof(struct refusals)); }

/* Each connection has another port. */
static void without_port(const char *from, char host[FROM_SIZE])
{
    const char *colon = strrchr(from, ':');
    size_t len = colon != NULL ? (size_t)(colon - from) : strlen(from);

    (void)snprintf(host, FROM_SIZE, "%.*s", (int)len, from);
}

bool refusals_take(struct refusals *r, const char *from, struct mono now,
                   uint32_t *ret_more)
{
    char host[FROM_SIZE];
    unsigned at = 0;

    without_port(from, host);
    for (unsigned i = 0; i < REFUSALS_MAX; i++) {
        if (mono_is_set(r->of[i].noted) && strcmp(r->of[i].from, host) == 0) {
            at = i;
            break;
        }
        if (mono_since_ns(r->of[i].noted, now) > mono_since_ns(r->of[at].noted, now))
            at = i;
    }
    if (strcmp(r->of[at].from, host) != 0 || !mono_is_set(r->of[at].noted)) {
        memcpy(r->of[at].from, host, sizeof host);
        r->of[at].more = 0;
    } else if (mono_since_ms(r->of[at].noted, now) < REFUSALS_EACH_MS) {
        r->of[at].more++;
        return false;
    }
    *ret_more = r->of[at].more;
    r->of[at].more = 0;
    r->of[at].noted = now;
    return true;
}
