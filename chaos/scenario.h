/* chaos/scenario.h -- scenarios: files that say what is broken, how it is mended, and what
 * must hold.
 *
 * One YAML file each in chaos/scenarios, named as the scenario is; docs/chaos.md is the
 * manual. A file with `each: [a, b]` is several scenarios, NAME-a and NAME-b, in whose
 * steps and story `{each}` is a and b. `prelude`, `fault` and `heal` are lists of steps
 * (step.h), read and checked before a laboratory is made.
 *
 * Owner:   scenarios of files live as long as the program.
 * Threads: loaded by the main thread before others start; then read by any.
 * Errors:  a file that is wrong is die(), with its name, the key, and what was expected.
 */
#ifndef RF_CHAOS_SCENARIO_H
#define RF_CHAOS_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>

#include "chaos/cluster.h"
#include "chaos/step.h"

enum effect {
    EFFECT_FAILOVER,   /* the other side takes over, once */
    EFFECT_NONE,       /* no failover is due; writes go on */
    EFFECT_SWITCHOVER, /* a planned move */
    EFFECT_ADOPTION,   /* taken over as it runs: a new epoch of the same side */
    EFFECT_ANY,        /* whatever is decided: it must be safe, and end */
};

/* What it needs that a laboratory does not always have. */
struct scenario_lab {
    unsigned ttl_ms; /* a TTL made for it; 0: the option's */
    unsigned rtt_ms; /* between regions */
    bool has_sync;
    enum sync_mode sync; /* the only mode that it is about, if it has one */
    bool power;          /* hosts have BMCs, and an expiry proves nothing */
    bool severed;        /* the standby's refusal is a proof, too */
    enum driver driver;  /* of the gates */
    enum clocks clocks;  /* of controllers */
    bool disks;          /* that can fail */
    bool names;          /* controllers' hosts by name, and a resolver */
    bool pooler;         /* on each database host; the second writer goes through it */
    bool ungated;        /* `ungated_local`: an expiry proves nothing, a fence stops */
    char *fence;         /* the group's levels and what goes with them, instead of those
                            that the others ask for; NULL: those. Of the scenario */
};

struct scenario {
    char *name;
    char *file;      /* its file's name before the ".yaml", which several may share */
    char *story;     /* what is done, for people */
    char *holds;     /* what must be so then: a sentence */
    const char *set; /* the name of its set, see scenario_sets */
    enum effect effect;
    bool standby;       /* the standby is concerned: writes may wait for shrink_after */
    bool waits;         /* and in `strict` they wait until it is mended */
    bool second_writer; /* one more, which stays with the old primary */
    bool switchback;    /* at the end, a planned move back */
    bool unnoticed;     /* clients may not notice it at all */
    bool detaches;      /* for a while nothing stands between clients and a standby */
    unsigned failovers; /* of EFFECT_ANY: so many are due; 0: any number */
    bool workload;      /* with one, unless the options say otherwise */
    struct scenario_lab lab;
    struct steps prelude, fault, heal;
};

/* The sets, in the order in which they are told; the first is what `all` means, that is
 * what a release must show in a few minutes. */
struct scenario_set {
    const char *name, *about;
};
extern const struct scenario_set scenario_sets[];
extern const size_t scenario_set_count;

/* Every `*.yaml` in `dir`, ordered by set and name. */
void scenario_load(const char *dir);
/* One file more, as of --file: what it has is found by name as the others are. Returns the
 * `file` of it. */
const char *scenario_load_file(const char *path);
/* The text of a file called `NAME.yaml`, without `each`: the caller's, found by nobody
 * else.
 */
struct scenario *scenario_read_text(const char *name, const char *text);
void scenario_free(struct scenario *s);

size_t scenario_count(void);
const struct scenario *scenario_at(size_t i);
const struct scenario *scenario_find(const char *name); /* NULL: there is none */

/* Both can be played in one laboratory. */
bool scenario_shares_lab(const struct scenario *a, const struct scenario *b);

#endif
