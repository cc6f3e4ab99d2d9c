/* fencing/agent/agent_settings.h -- agent.yaml (docs/architecture.md section 6).
 *
 * What a host must know to start; everything about groups comes from the controllers.
 * Unknown keys are errors (I10).
 *
 * Owner:   plain values. Nothing but the file is read; whether it fits this host is
 *          agent_check.h's question.
 * Errors:  ERR_INVAL and others; the text is "FILE:LINE: KEY: what is, what was expected".
 */
#ifndef RF_AGENT_SETTINGS_H
#define RF_AGENT_SETTINGS_H

#include <stdbool.h>

#include "controller/net/address.h"
#include "fencing/agent/agent_state.h"
#include "fencing/gate/gate.h"

enum {
    SETTINGS_CONTROLLERS_MAX = 5,
    SETTINGS_SOCKET_SIZE = 108, /* as long as the path of a Unix socket may be */
    SETTINGS_TEXT_SIZE = 256,
    SETTINGS_HOST_SIZE = 64,
};

struct agent_controller {
    char name[AGENT_NAME_SIZE];
    struct address at;
};

/* What completes the ServerSpec of a group (proto/provider.proto). */
struct agent_postgres {
    char bin_dir[AGENT_PATH_SIZE], socket_dir[AGENT_PATH_SIZE], superuser[64];
    char replication_user[64], passfile[AGENT_PATH_SIZE], tail_dir[AGENT_PATH_SIZE];
    char options[SETTINGS_TEXT_SIZE];
};

/* When the guard stops a server. */
enum settings_guard {
    SETTINGS_GUARD_OFF,     /* there is none */
    SETTINGS_GUARD_MISSING, /* a deadline passes and no gate closes before it */
    SETTINGS_GUARD_EXPIRED, /* at the end of each lease, gate or not */
};

struct agent_settings {
    char path[AGENT_PATH_SIZE]; /* of the file itself, for texts */
    char cluster[AGENT_CLUSTER_SIZE], name[AGENT_NAME_SIZE], region[AGENT_NAME_SIZE];
    char address[SETTINGS_HOST_SIZE];
    char state_dir[AGENT_PATH_SIZE];
    char socket[SETTINGS_SOCKET_SIZE];
    bool has_http;
    struct address http;
    char ca[AGENT_PATH_SIZE], cert[AGENT_PATH_SIZE], key[AGENT_PATH_SIZE];
    char crl[AGENT_PATH_SIZE]; /* "": none */
    uint8_t controller_count;
    struct agent_controller controllers[SETTINGS_CONTROLLERS_MAX];
    char cgroup[AGENT_PATH_SIZE], run_dir[AGENT_PATH_SIZE];
    enum gate_driver driver;
    bool courtesy;
    enum settings_guard guard;
    char watchdog[AGENT_PATH_SIZE]; /* "": none */
    struct agent_postgres postgres;
};

struct config;

/* `ret_config` (config_free(), NULL: not wanted): where each key stands. */
MUST_USE int agent_settings_load(struct agent_settings *ret_settings, const char *path,
                                 struct config **ret_config, struct err *err);

#endif
