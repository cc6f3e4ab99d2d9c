/* chaos/step.h -- one step of a scenario: a verb and what it is done to, in a line of text.
 *
 * The table of verbs is in verbs.c; `ringfence-lab --verbs` prints it. A line is read and
 * checked when its file is loaded, so that a scenario cannot fail for a slip of the pen in
 * its middle.
 *
 * Who is meant can be named by what it is at that moment: `active`, `standby` and `leader`
 * are looked up when the step is done, and `it` is whoever was looked up last.
 *
 * Owner:   steps_free() ends what steps_read() made.
 * Errors:  step_read() says what is wrong, and what was expected, in one line.
 */
#ifndef RF_CHAOS_STEP_H
#define RF_CHAOS_STEP_H

#include <stdbool.h>
#include <stddef.h>

#include "chaos/disks.h"
#include "chaos/ground.h"

struct moment;
struct play;
struct verb;

/* A site, or the part that a site has at the moment. */
enum place {
    PLACE_ACTIVE = SITE_COUNT,
    PLACE_STANDBY,
    PLACE_LEADER,
    PLACE_IT,
    PLACE_COUNT
};

enum part { PART_REGION, PART_CONTROLLER, PART_AGENT, PART_SERVER, PART_GUARD };

/* What a word or two of a step say, by the kind that the verb takes. */
struct step_arg {
    enum part part;
    unsigned place;    /* enum site or enum place */
    unsigned ms, ttls; /* a time: the sum of both, see verbs_ms() */
    unsigned number;
    enum disk disk;
    const struct moment *moment;
    struct wan_link link;
    const char *text;  /* the rest of the line; the step's own */
    struct step *step; /* that the line goes on with; the step's own */
};

enum { STEP_ARGS = 3, STEP_WRONG = 256 };

struct step {
    char *line; /* as it was written */
    const struct verb *verb;
    struct step_arg arg[STEP_ARGS];
};

struct steps {
    struct step *of;
    size_t count;
};

/* What a verb takes, in this order; TEXT, RULES and STEP take the rest of the line. */
enum step_kind {
    TAKES_NOTHING,
    TAKES_PLACE, /* east, west, witness, active, standby, leader, it */
    TAKES_WHO,   /* a region by its place, or `agent PLACE`, `server PLACE`, ... */
    TAKES_TIME,  /* 300ms, 5s, 3ttl */
    TAKES_NUMBER,
    TAKES_MOMENT, /* what `until` waits for: verbs.h */
    TAKES_RULES,  /* of a link: delay 800ms, loss 10%, ... */
    TAKES_TEXT,
    TAKES_STEP, /* one more step, which is none that takes one */
    TAKES_DISK, /* server, controller, agent, tails */
};

struct verb {
    const char *word;
    enum step_kind takes[STEP_ARGS];
    const char *does; /* for people */
    void (*run)(struct play *p, const struct step *s);
    void (*act)(struct play *p); /* instead of it, where nothing is taken */
};

/* False: `wrong` says why. */
bool step_read(struct step *s, const char *line, char wrong[STEP_WRONG]);
void step_free(struct step *s);
void steps_free(struct steps *s);

/* "agent PLACE" and so on, as the table of verbs is printed. */
const char *step_kind_name(enum step_kind k);
/* "controller", "agent", "server", "guard"; NULL of a region. */
const char *step_part_name(enum part p);

#endif
