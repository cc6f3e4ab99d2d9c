/* chaos/options.h -- the command line of ringfence-lab.
 *
 * Owner:   plain values; strings are those of argv.
 */
#ifndef RF_CHAOS_OPTIONS_H
#define RF_CHAOS_OPTIONS_H

#include <stdbool.h>

#include "chaos/play.h"

enum { PLAYS_MAX = 256 };

/* Whose operations are judged one by one, in the modes that promise something about them.
 */
enum workload_mode { WORKLOAD_DEFAULT, WORKLOAD_ON, WORKLOAD_OFF };

struct options {
    const struct scenario *plays[PLAYS_MAX];
    unsigned play_count;
    unsigned ttl_ms, seed;
    enum sync_mode sync;
    enum workload_mode workload; /* default: as the scenario's row says */
    bool json, keep, random;
    unsigned minutes;   /* of random */
    bool verbs, list;   /* print, and nothing else */
    const char *bin;    /* NULL: where ringfence-lab itself is */
    const char *logs;   /* NULL: logs go with the laboratory */
    const char *remove; /* a laboratory to remove; NULL: none */
    const char *judge;  /* operations that were kept, to be judged again; NULL: none */
};

/* Of a scenario, with what it fixes itself. */
unsigned options_ttl_ms(const struct options *o, const struct scenario *s);
enum sync_mode options_sync(const struct options *o, const struct scenario *s);
bool options_want_workload(const struct options *o, const struct scenario *s);

/* The command line that plays the same again, with the seed that was taken; malloc'ed. */
char *options_repeat(const struct options *o);

/* -1: go on; else the exit status, everything has been said. */
int options_read(struct options *o, int argc, char **argv);

#endif
