/* A request that waits for the log: a copy of what it will be answered by. */
#include <stdlib.h>
#include <string.h>

#include "controller/http/api_private.h"

void kept_free(struct kept *k)
{
    if (k == NULL)
        return;
    free(k->path);
    free(k->body);
    free(k);
}

void kept_drop(struct kept **k) { kept_free(*k); }

struct kept *kept_new(struct api *a, const struct route *r, const struct api_request *raw,
                      const struct asker *who)
{
    AUTO(kept_drop) struct kept *k = calloc(1, sizeof *k);

    if (k == NULL)
        return NULL;
    k->a = a;
    k->route = *r;
    k->who = *who;
    k->len = raw->len;
    k->path = strdup(raw->path != NULL ? raw->path : "");
    k->body = malloc(raw->len + 1);
    if (k->path == NULL || k->body == NULL)
        return NULL;
    if (raw->len > 0)
        memcpy(k->body, raw->body, raw->len);
    return TAKE(k);
}

void kept_perform(const struct kept *k)
{
    const struct api_request raw = {.method = route_method(k->route.kind),
                                    .path = k->path,
                                    .body = k->body,
                                    .len = k->len};

    api_perform(k->a, &k->route, &raw, &k->who);
}
