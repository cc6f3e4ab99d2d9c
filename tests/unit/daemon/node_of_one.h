/* tests/unit/daemon/node_of_one.h -- a controller of one: a node that is the only voter, on
 * a loop of its own and a real store, and so leads whenever it is open.
 *
 * Allocates nothing of its own: each failing allocation of a test is the node's.
 *
 * Units:   a wait ends after ONE_WAIT_MS milliseconds, and fails the test.
 * Owner:   the test owns the struct and the directory, from one_begin() to one_end().
 * Threads: the test's, which runs the loop.
 * Errors:  an `int` is the node's own code; all else that goes wrong fails the test, and so
 *          does a node that stops, unless it may.
 */
#ifndef RF_TEST_NODE_OF_ONE_H
#define RF_TEST_NODE_OF_ONE_H

#include <uv.h>

#include "controller/daemon/node.h"

enum { ONE_WAIT_MS = 20000 };

struct node_of_one {
    uv_loop_t loop;
    struct node *node; /* NULL: not open */
    const char *dir;
    bool may_stop; /* the test's own: then `fatal` and `why` say that it has */

    /* since it was opened */
    bool fatal;
    struct err why;
    unsigned applied; /* calls of on_applied */

    /* of the last proposal, once `done` */
    bool done;
    int status;
    struct apply_result result; /* if status is 0 */
};

/* Nothing is opened yet. `dir` is kept, not copied. */
void one_begin(struct node_of_one *o, const char *dir);
/* Closes it, if it is open; the loop is left without a handle, or this does not end. */
void one_end(struct node_of_one *o);

/* node_open(), and nothing runs yet. */
MUST_USE int one_open(struct node_of_one *o, struct err *err);
/* Opens it, until it leads; here it may not stop. */
void one_lead(struct node_of_one *o);
/* And runs the loop until nothing of it is left; it may be opened again. */
void one_close(struct node_of_one *o);

typedef bool one_claim(const struct node_of_one *o);
one_claim one_is_leading, one_is_done;

/* Runs the loop until the claim holds, or the node has stopped. */
void one_until(struct node_of_one *o, one_claim *claim);
/* A few turns of the loop: a node that has to stop says so in its next one. */
void one_settle(struct node_of_one *o);

/* node_propose(), and if that is 0 waits until it has been told of, or the node stops. */
MUST_USE int one_propose(struct node_of_one *o, const struct entry *e, struct err *err);
/* It is proposed, committed and accepted. */
void one_apply(struct node_of_one *o, const struct entry *e);

#endif
