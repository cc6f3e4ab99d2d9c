/* controller/ship/errand.h -- something that takes long, done on a thread of its own, one
 * at a time: a loop never waits for a disk or a network of somebody else's.
 *
 * The thread is of ordinary priority. One that hangs (a mounted directory whose server is
 * gone) is left behind when its owner closes: it frees itself, should it ever come back.
 *
 * Owner:   errands_new() to errands_leave().
 * Threads: the loop's; the bell (an eventfd) is readable when an errand is done.
 */
#ifndef RF_SHIP_ERRAND_H
#define RF_SHIP_ERRAND_H

#include "controller/ship/place.h"

enum errand_kind { ERRAND_FIND, ERRAND_PUT };

struct errand {
    enum errand_kind kind;
    struct ship_place place;
    uint64_t floor;          /* FIND */
    struct ship_range range; /* PUT */
    uint8_t *data;           /* PUT; malloc(), taken */
    size_t len;

    int status; /* how it went */
    struct err err;
    struct ship_mark mark; /* FIND */
};

struct errands;

MUST_USE int errands_new(struct errands **ret_errands, struct err *err);
/* What is under way is cancelled, and its outcome nobody's. NULL is fine. */
void errands_leave(struct errands *s);
int errands_bell(const struct errands *s);

/* Takes e->data, also on failure; there is none under way. */
MUST_USE int errands_begin(struct errands *s, const struct errand *e, struct err *err);
/* True: it is done, *ret_done says how; its data is gone. */
bool errands_end(struct errands *s, struct errand *ret_done);

#endif
