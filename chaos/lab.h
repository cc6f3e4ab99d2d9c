/* chaos/lab.h -- one laboratory from its ground to the last scenario that it can carry.
 *
 * Runs in a child of the janitor (main.c), which removes everything afterwards, whatever
 * became of the child.
 */
#ifndef RF_CHAOS_LAB_H
#define RF_CHAOS_LAB_H

#include "chaos/plan.h"
#include "chaos/tally.h"

/* Shared with the janitor: what a child that died cannot say any more. */
struct progress {
    unsigned next;      /* the first of the plan that was not begun yet */
    bool stands;        /* the laboratory was set up */
    bool open;          /* the last that was begun has no result yet */
    bool failed;        /* a scenario was not ok */
    struct tally tally; /* of --random, instead of the two below */
    struct result results[PLAYS_MAX];
    bool played[PLAYS_MAX];
};

/* Plays from progress->next on, until one is not ok, or the next one needs other regions or
 * times: what comes after it wants a fresh laboratory. */
void lab_run(struct plan *plan, const char *id, struct progress *progress);

/* The result of the last that was begun. */
void lab_record(struct plan *plan, struct progress *progress, const struct result *r);

/* The line for machines, if wanted, and the page for people. */
void lab_report(const struct options *o, const struct result *r);

/* What to try in a laboratory that was kept. */
void lab_print_hints(const char *id, const char *bin, FILE *out);

/* Where the programs are: o->bin, or the directory of this program. */
void lab_find_bin(const struct options *o, char *path, size_t size);

#endif
