/* controller/cli/group_units.h -- which keys of a group's file have a unit, and what they
 * are called in the API's document: "lease.ttl: 3s" is "lease.ttl_ms": 3000 there.
 *
 * Pure.
 */
#ifndef RF_CLI_GROUP_UNITS_H
#define RF_CLI_GROUP_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "controller/base/units.h"

enum group_unit { UNIT_DURATION, UNIT_SIZE, UNIT_SHARE };

struct group_unit_row {
    const char *key;    /* in the file: "lease.ttl" */
    const char *object; /* in the document: "lease" */
    const char *member; /* "ttl_ms" */
    enum group_unit unit;
};

/* The i-th, in the file's order; NULL behind the last; ask no further than that. */
const struct group_unit_row *group_unit_at(size_t i);
/* By its path in the document, "lease.ttl_ms"; NULL: it has no unit. */
const struct group_unit_row *group_unit_of(const char *path);

void group_unit_format(enum group_unit unit, uint64_t value, char text[UNITS_TEXT_SIZE]);

#endif
