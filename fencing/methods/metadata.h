/* fencing/methods/metadata.h -- what a fence agent says of itself.
 *
 * The XML that ClusterLabs' agents print for `-o metadata`: parameters with types, and
 * actions. It comes from a program that may be broken: a document type (and with it every
 * entity), more nesting, parameters or text than an agent can have, and names that are no
 * names, are errors; elements that are not known are passed over, since each version of the
 * agents adds some.
 *
 * Pure:    no I/O, no clock.
 * Owner:   metadata_free() what metadata_parse() gave.
 * Threads: any.
 * Errors:  ERR_BADMSG with the line, ERR_NOMEM.
 */
#ifndef RF_METHODS_METADATA_H
#define RF_METHODS_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/err.h"

enum {
    METADATA_PARAMETER_MAX = 128, /* fence-agents 4.12 has some 60 at most */
    METADATA_NAME_SIZE = 48,
    METADATA_CHOICE_MAX = 128, /* of all `select`s together */
    METADATA_DEPTH_MAX = 16,
};

enum metadata_type {
    METADATA_STRING, /* and whatever else a later version calls a type */
    METADATA_INTEGER,
    METADATA_SECONDS,
    METADATA_BOOLEAN,
    METADATA_SELECT,
};

struct metadata_parameter {
    char name[METADATA_NAME_SIZE];
    /* The older name that it has taken the place of, which the agent may know as well. */
    char obsoletes[METADATA_NAME_SIZE];
    enum metadata_type type;
    bool required, deprecated, has_default;
    uint8_t first_choice, choice_count; /* METADATA_SELECT: in `choices` */
};

struct metadata {
    char agent[METADATA_NAME_SIZE];
    uint8_t count, choice_count;
    struct metadata_parameter parameters[METADATA_PARAMETER_MAX];
    char choices[METADATA_CHOICE_MAX][METADATA_NAME_SIZE];
    bool has_off, has_status, has_monitor;
    /* It unfences when a node starts: what it cuts is a network or a disk, not the power.
     */
    bool is_fabric;
};

MUST_USE int metadata_parse(struct metadata **ret_metadata, const char *text, size_t len,
                            struct err *err);
void metadata_free(struct metadata *m); /* NULL is fine */

/* NULL: the agent knows none of that name. */
const struct metadata_parameter *metadata_find(const struct metadata *m, const char *name);
/* What has taken the place of the parameter `name`; NULL: nothing. */
const struct metadata_parameter *metadata_successor(const struct metadata *m,
                                                    const char *name);

#endif
