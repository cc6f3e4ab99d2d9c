/* tests/sim/older.h -- nodes of an older version, while a rolling upgrade goes on.
 *
 * There is one format in truth. An older node is one whose hello says so: it either reads
 * our format already and is an older version by name, or it knows only the format before
 * it, and is refused by all newer ones until it is upgraded (I10).
 */
#ifndef RF_SIM_OLDER_H
#define RF_SIM_OLDER_H

#include "tests/sim/world.h"

enum older { OLDER_NOT, OLDER_READS_OURS, OLDER_ALONE };

extern enum older older[NODES_MAX];

/* The bytes of a frame as such a node would send them: ret->data, malloc'ed. False: as
 * they are. */
struct older_bytes {
    uint8_t *data;
    size_t len;
};
bool older_codec(uint8_t node, const uint8_t *data, size_t len, struct older_bytes *ret);

#endif
