#include "controller/http/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"

enum { KEY_SIZE = 128 };

struct refusals {
    struct {
        char key[KEY_SIZE];
        struct mono noted; /* unset: a free place */
        uint32_t more;
    } of[REFUSALS_MAX];
};

struct refusals *refusals_new(void) { return calloc(1, sizeof(struct refusals)); }

/* Each connection has another port. */
static void make_key(const struct refused_request *what, char key[KEY_SIZE])
{
    const char *colon = strrchr(what->from, ':');
    size_t len = colon != NULL ? (size_t)(colon - what->from) : strlen(what->from);

    (void)snprintf(key, KEY_SIZE, "%.*s %s %s", (int)len, what->from, what->name,
                   what->code);
}

bool refusals_take(struct refusals *r, const struct refused_request *what, struct mono now,
                   uint32_t *ret_more)
{
    char key[KEY_SIZE];
    unsigned at = 0;

    make_key(what, key);
    for (unsigned i = 0; i < REFUSALS_MAX; i++) {
        if (mono_is_set(r->of[i].noted) && strcmp(r->of[i].key, key) == 0) {
            at = i;
            break;
        }
        if (mono_since_ns(r->of[i].noted, now) > mono_since_ns(r->of[at].noted, now))
            at = i;
    }
    if (strcmp(r->of[at].key, key) != 0 || !mono_is_set(r->of[at].noted)) {
        memcpy(r->of[at].key, key, sizeof key);
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
