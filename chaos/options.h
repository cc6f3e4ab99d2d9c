/* chaos/options.h -- the command line of ringfence-lab.
 *
 * Owner:   plain values; strings are those of argv.
 */
#ifndef RF_CHAOS_OPTIONS_H
#define RF_CHAOS_OPTIONS_H

#include <stdbool.h>

#include "chaos/play.h"

enum { PLAYS_MAX = 32 };

struct options {
    const struct scenario *plays[PLAYS_MAX];
    unsigned play_count;
    unsigned ttl_ms, seed;
    enum sync_mode sync;
    bool json, keep;
    const char *bin;    /* NULL: where ringfence-lab itself is */
    const char *logs;   /* NULL: logs go with the laboratory */
    const char *remove; /* a laboratory to remove; NULL: none */
};

/* -1: go on; else the exit status, everything has been said. */
int options_read(struct options *o, int argc, char **argv);

#endif
