/* controller/daemon/fencers.h -- this controller's fencers (`fencers` in its file): which
 * of them answer, and switching hosts off when decide() says so.
 *
 * Each controller asks all of its own for their status, at start and every
 * FENCERS_CHECK_MS, one that does not answer every FENCERS_AGAIN_MS, whether it leads or
 * not: that one cannot be reached is to be known before the disaster. The leader switches
 * off (ACT_ORDER_POWER), one run per fencer at a time; one that failed is tried again after
 * FENCERS_RETRY_MS, as long as decide() asks.
 *
 * I2, I6: a run belongs to one fence_begin and one life. It is ended as soon as this
 * controller does not lead any more or that fence is not in force by what it has applied,
 * so a deposed leader's hands come off within its own deadline; `off` is idempotent, and a
 * host that the next leader has switched off already is only seen to be off.
 *
 * Owner:   fencers_open() to fencers_close(); runs still out are killed.
 * Threads: the loop's.
 */
#ifndef RF_DAEMON_FENCERS_H
#define RF_DAEMON_FENCERS_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct daemon;
struct fencers;

enum { FENCERS_CHECK_MS = 60000, FENCERS_AGAIN_MS = 5000, FENCERS_RETRY_MS = 2000 };

MUST_USE int fencers_open(struct fencers **ret_fencers, struct daemon *d, struct err *err);
void fencers_close(struct fencers *f); /* NULL is fine */

/* Switch the host of the instance off, if nothing of the kind is under way for it. What
 * comes of it is told to the observations. */
void fencers_power_off(struct fencers *f, uint8_t group, uint8_t instance);

/* Once each turn, before what decide() says is carried out: runs whose fence is over are
 * ended, and what fencers said last is told of groups that are new. NULL is fine. */
void fencers_look(struct fencers *f);

/* What a fencer said last, for people: by its place among those of the file. False: there
 * are no more. */
struct fencer_view {
    const char *name, *text; /* text: why it does not answer, "" */
    bool known, ready, running;
    uint64_t runs, failures; /* of switching off, since this process began */
};
bool fencers_at(const struct fencers *f, unsigned i, struct fencer_view *ret_view);

#endif
