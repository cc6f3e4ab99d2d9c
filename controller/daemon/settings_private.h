/* controller/daemon/settings_private.h -- what settings.c, settings_api.c and
 * settings_fencers.c share. */
#ifndef RF_DAEMON_SETTINGS_PRIVATE_H
#define RF_DAEMON_SETTINGS_PRIVATE_H

#include "controller/config/config.h"
#include "controller/daemon/settings.h"

/* One of `fencers`, as libcyaml reads it; settings_take_fencers() reads the rest. */
struct file_fencer {
    char *name, *agent;
};

/* `api`, as libcyaml reads it; listen NULL: there is none. */
struct file_api {
    char *listen;
    uint32_t connections, per_address, arrivals_per_s, requests_per_s; /* 0: not given */
};
extern const cyaml_schema_field_t settings_api_fields[];
MUST_USE int settings_take_api(const struct config *c, const struct file_api *f,
                               struct settings *s, struct err *err);

/* `oidc`; keys NULL: there is none. */
struct file_oidc {
    char *issuer, *audience, *claim, *keys;
};
extern const cyaml_schema_field_t settings_oidc_fields[];
MUST_USE int settings_take_oidc(const struct config *c, const struct file_oidc *f,
                                struct settings *s, struct err *err);

/* `audit.ship`; neither directory nor s3.url: there is none. */
struct file_s3 {
    char *url, *bucket, *prefix, *region, *access_key_file, *secret_key_file, *ca, *retain,
        *mode;
};
struct file_ship {
    char *directory;
    struct file_s3 s3;
};
extern const cyaml_schema_field_t settings_ship_fields[];
MUST_USE int settings_take_ship(const struct config *c, const struct file_ship *f,
                                struct settings *s, struct err *err);

/* "400d", "13mo", "2y" in milliseconds; "forever" is 0. */
MUST_USE int settings_take_age(const struct config *c, const char *key, const char *text,
                               uint64_t *ret_ms, struct err *err);

struct findings;
void settings_check_ship(const struct settings *s, bool starting, struct findings *f);
void settings_check_key(const struct settings *s, bool starting, struct findings *f);
void settings_check_oidc(const struct settings *s, bool starting, struct findings *f);

extern const cyaml_schema_value_t settings_fencer_schema;

MUST_USE int settings_take_name(const struct config *c, const char *key, const char *text,
                                char ret[NAME_SIZE], struct err *err);

/* Sense of what the file has at `fencers`: into s->fencers, which is the caller's to free,
 * on failure too. */
MUST_USE int settings_take_fencers(const struct config *c,
                                   const struct file_fencer *fencers, uint32_t count,
                                   struct settings *s, struct err *err);

#endif
