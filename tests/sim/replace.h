/* tests/sim/replace.h -- a controller loses its disk for good, and an operator puts another
 * one in its place: `ringfenced --join` under a new id, `ringfence controller replace`.
 *
 * One at a time, as the product asks for: with two of three disks lost nothing is left that
 * could say what was decided.
 */
#ifndef RF_SIM_REPLACE_H
#define RF_SIM_REPLACE_H

#include "controller/core/entry.h"
#include "controller/daemon/daemon.h"
#include "tests/sim/world.h"

void replace_start(void);
/* False: another one is being replaced, or the world has not begun yet. It is down now, and
 * whenever it starts it is the new one; or, where somebody is mistaken, first the old one
 * over an empty directory, until the others have told it to stop for good. */
bool replace_lose(uint8_t node, bool mistaken);
/* It has been told so. False: nobody should have. */
bool replace_condemned(uint8_t node);
/* True: it ends by itself, as it should. */
bool replace_may_end(uint8_t node);
/* What the controller on that host is started with. */
uint64_t replace_id(uint8_t node);
enum start_mode replace_begin(uint8_t node);
/* The operator looks at what the leader shows. True: that is to be proposed. */
bool replace_wants(struct daemon *d, struct entry *ret);
bool replace_goes_on(void);

#endif
