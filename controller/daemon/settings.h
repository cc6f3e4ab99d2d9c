/* controller/daemon/settings.h -- ringfenced.yaml (docs/architecture.md section 6).
 *
 * What a controller must know to start; everything else is declared by operators and lives
 * in the log. Unknown keys are errors (I10).
 *
 * Owner:   plain values, but for the fencers: settings_free(). settings_load() reads
 *          nothing but the file; what the host has to say to it is settings_check()'s
 *          question.
 * Errors:  ERR_INVAL and others; the text is "FILE:LINE: KEY: what is, what was expected".
 */
#ifndef RF_DAEMON_SETTINGS_H
#define RF_DAEMON_SETTINGS_H

#include "controller/core/state.h"
#include "controller/net/address.h"
#include "controller/outbound/outbound.h"
#include "controller/people/jwt.h"
#include "controller/people/key.h"
#include "fencing/methods/power.h"

enum {
    SETTINGS_PATH_SIZE = 108, /* as long as the path of a Unix socket may be */
    SETTINGS_FENCER_MAX = AGENT_MAX,
    SETTINGS_NOTIFY_MAX = 8,
    SETTINGS_MAIL_SIZE = 128, /* of an address */
    SETTINGS_USER_SIZE = 128,
};

struct settings_controller {
    uint64_t id;
    char name[NAME_SIZE], region[NAME_SIZE];
    struct address at;
};

/* Where people come in over the network, and how much each may take of it. */
struct settings_api {
    struct address listen;
    uint32_t connections, per_address; /* open at a time */
    uint32_t arrivals_per_s;           /* connections of one address */
    uint32_t requests_per_s;           /* of one address */
    uint32_t handshake_ms, request_ms, idle_ms;
};

/* Whom the leader tells of what people have to hear: a web hook, or by mail. */
struct settings_notify {
    char name[NAME_SIZE], url[OUTBOUND_URL_SIZE];
    char ca[PATH_SIZE];          /* "": those of the host */
    char secret_file[PATH_SIZE]; /* a bearer token, or the password of `user`; "": none */
    char user[SETTINGS_USER_SIZE];
    char from[SETTINGS_MAIL_SIZE]; /* of a mail; "": a web hook */
    char to[OUTBOUND_TO_MAX][SETTINGS_MAIL_SIZE];
    uint8_t to_count;
    uint8_t roles; /* who hears of it here; 0: all */
    bool plain;    /* without TLS will do */
};

struct settings {
    char cluster[NAME_SIZE], name[NAME_SIZE];
    char data_dir[PATH_SIZE];
    struct address listen;
    char socket[SETTINGS_PATH_SIZE];
    bool has_metrics;
    struct address metrics;
    bool has_api;
    struct settings_api api;
    char ca[PATH_SIZE], cert[PATH_SIZE], key[PATH_SIZE];
    char crl[PATH_SIZE];         /* "": none */
    char audit_key[PATH_SIZE];   /* "": none */
    uint64_t audit_retention_ms; /* 0: for ever */
    char secrets_key[PATH_SIZE]; /* "": none, and no second factors */
    struct jwt_config oidc;      /* keys "": none, and no JWTs */
    uint32_t election_ms, heartbeat_ms;
    uint8_t count, self; /* controllers[self] is this node */
    struct settings_controller controllers[CONTROLLER_MAX];
    uint8_t fencer_count;
    struct power_device *fencers; /* NULL: none */
    uint8_t notify_count;
    struct settings_notify *notify; /* NULL: none */
};

struct config;
struct findings;

/* `ret_config` (config_free(), NULL: not wanted): where each key stands. */
MUST_USE int settings_load(struct settings *ret_settings, const char *path,
                           struct config **ret_config, struct err *err);
/* The key in `secrets_key`; where there is none, one that is not set.
 *   errors of secret_read() and key_parse() */
MUST_USE int settings_read_key(const struct settings *s, struct secrets_key *ret_key,
                               struct err *err);
void settings_free(struct settings *s); /* a zeroed struct is fine */

/* Does it fit this host? Only looks, and leaves a running controller of this configuration
 * alone, unless one more is `starting`. The fence agents are asked what they know. */
void settings_check(const struct settings *s, bool starting, struct findings *f);

#endif
