/* `api`: the listener for people. */
#include <inttypes.h>

#include "controller/daemon/settings_private.h"
#include "controller/net/door.h"

enum {
    REQUESTS_PER_S = 50,
    REQUEST_MS = 15000,
    CONNECTIONS_MAX = 16384,
    PER_S_MAX = 10000,
    SHORTEST_MS = 1000,
    LONGEST_MS = 3600000,
};

#define OPTIONAL_COUNT(key, member)                                                        \
    CYAML_FIELD_UINT(key, CYAML_FLAG_OPTIONAL, struct file_api, member)

const cyaml_schema_field_t settings_api_fields[] = {
    CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct file_api, listen, 1,
                           ADDRESS_TEXT_SIZE - 1),
    OPTIONAL_COUNT("connections", connections),
    OPTIONAL_COUNT("connections_per_address", per_address),
    OPTIONAL_COUNT("connections_per_second", arrivals_per_s),
    OPTIONAL_COUNT("requests_per_second", requests_per_s),
    CONFIG_UNIT("handshake", CYAML_FLAG_OPTIONAL),
    CONFIG_UNIT("request", CYAML_FLAG_OPTIONAL),
    CONFIG_UNIT("idle", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

struct count {
    const char *key;
    uint32_t given, usual, min, max;
    uint32_t *ret;
};

static int take_count(const struct config *c, const struct count *n, struct err *err)
{
    *n->ret = n->given != 0 ? n->given : n->usual;
    if (*n->ret < n->min || *n->ret > n->max)
        return config_bad(c, n->key, err,
                          "%" PRIu32 ": %" PRIu32 " to %" PRIu32 " are expected", *n->ret,
                          n->min, n->max);
    return 0;
}

static int take_time(const struct config *c, const char *key, uint32_t *ret,
                     struct err *err)
{
    if (config_duration(c, key, ret, err) != 0)
        return err->code;
    if (*ret < SHORTEST_MS || *ret > LONGEST_MS)
        return config_bad(c, key, err, "%" PRIu32 " ms: 1s to 1h are expected", *ret);
    return 0;
}

int settings_take_api(const struct config *c, const struct file_api *f, struct settings *s,
                      struct err *err)
{
    const struct door_limits usual = DOOR_LIMITS;
    struct settings_api *a = &s->api;
    struct err why = {0};
    const struct count counts[] = {
        {"api.connections", f->connections, usual.connections, 32, CONNECTIONS_MAX,
         &a->connections},
        {"api.connections_per_address", f->per_address, usual.per_address, 1,
         CONNECTIONS_MAX, &a->per_address},
        {"api.connections_per_second", f->arrivals_per_s, usual.arrivals_per_s, 1,
         PER_S_MAX, &a->arrivals_per_s},
        {"api.requests_per_second", f->requests_per_s, REQUESTS_PER_S, 1, PER_S_MAX,
         &a->requests_per_s},
    };

    if (f->listen == NULL)
        return 0;
    if (address_parse(&a->listen, f->listen, &why) != 0)
        return config_bad(c, "api.listen", err, "%s", why.text);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (take_count(c, &counts[i], err) != 0)
            return err->code;
    a->handshake_ms = usual.handshake_ms;
    a->request_ms = REQUEST_MS;
    a->idle_ms = usual.idle_ms;
    if (take_time(c, "api.handshake", &a->handshake_ms, err) != 0 ||
        take_time(c, "api.request", &a->request_ms, err) != 0 ||
        take_time(c, "api.idle", &a->idle_ms, err) != 0)
        return err->code;
    s->has_api = true;
    return 0;
}
