/* tests/sim/older.h -- nodes of an older version, while a rolling upgrade goes on.
 *
 * Version 0.0.9 is a real one as far as its frames go: they are written as the program
 * wrote them before it dated its reports (older.c has the fields). Of such a node's hello
 * there are two kinds: it can read our format already, and takes part; or it knows only the
 * one before it, and is refused by all newer ones, in words, until it is upgraded (I10).
 *
 * Log entries have had one format so far, so the programs of today are given a second one
 * here, in which but the number differs: they read formats 1 and 2. One that knows the
 * first alone has its own decoder refuse the second. Some worlds begin with such nodes
 * among the others, and upgrade them one by one.
 */
#ifndef RF_SIM_OLDER_H
#define RF_SIM_OLDER_H

#include "tests/sim/world.h"

enum older { OLDER_NOT, OLDER_READS_OURS, OLDER_ALONE, OLDER_FORMAT };

extern enum older older[NODES_MAX];

/* The bytes of a frame as such a node would send them: ret->data, malloc'ed. False: as
 * they are. */
struct older_bytes {
    uint8_t *data;
    size_t len;
};
bool older_codec(uint8_t node, const uint8_t *data, size_t len, struct older_bytes *ret);

void older_start(void);

#endif
