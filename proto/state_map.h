/* proto/state_map.h -- the tables of controller/core/state.h's structs (proto/map.h).
 *
 * A field that is added to one of these structs needs a row here and one in log.proto:
 * tests/unit/proto knows the sizes of the structs, and finds bytes that no row covers.
 *
 * Pure:    constants.
 */
#ifndef RF_PROTO_STATE_MAP_H
#define RF_PROTO_STATE_MAP_H

#include "controller/core/state.h"
#include "proto/map.h"

extern const struct map_type map_policy;
extern const struct map_type map_region;
extern const struct map_type map_controller;
extern const struct map_type map_tombstone;
extern const struct map_type map_proof_record;
extern const struct map_type map_step;
extern const struct map_type map_also_port;
extern const struct map_type map_exception;
extern const struct map_type map_instance;
extern const struct map_type map_run;
extern const struct map_type map_group;
extern const struct map_type map_agent;
extern const struct map_type map_recovery_code;
extern const struct map_type map_token;
extern const struct map_type map_user;
extern const struct map_type map_need;
extern const struct map_type map_window;
extern const struct map_type map_forecast;
extern const struct map_type map_signer;
extern const struct map_type map_proposal;
extern const struct map_type map_answered;
extern const struct map_type map_state;

/* Names that may not occur twice among `n` structs of `size` bytes, name first.
 *   ERR_BADMSG */
MUST_USE int map_check_unique(const char *what, const void *first, size_t n, size_t size,
                              struct err *err);
/* The ports of one instance, declared or replicated, against each other.
 *   ERR_BADMSG */
MUST_USE int map_check_instance(const void *value, struct err *err);
/* Regions, instances and exceptions of one group, declared or replicated, against each
 * other. ERR_BADMSG */
MUST_USE int map_check_group(const struct group *g, struct err *err);

#endif
