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
    char *issuer, *audience, *claim, *keys, *ca;
};
extern const cyaml_schema_field_t settings_oidc_fields[];
MUST_USE int settings_take_oidc(const struct config *c, const struct file_oidc *f,
                                struct settings *s, struct err *err);

/* One of `notify`, as libcyaml reads it. */
struct file_notify {
    char *name, *url, *ca, *secret_file, *user, *from;
    char **to, **roles;
    uint32_t to_count, roles_count;
    bool plain;
};
extern const cyaml_schema_value_t settings_notify_schema;
/* Into s->notify, which is the caller's to free, on failure too. */
MUST_USE int settings_take_notify(const struct config *c, const struct file_notify *notify,
                                  uint32_t count, struct settings *s, struct err *err);

struct findings;
void settings_check_notify(const struct settings *s, bool starting, struct findings *f);
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
