/* tests/sim/schedule.h -- what a seed made of a world, as text: its terms, its faults, and
 * the state of the dice behind them.
 *
 * A seed is another world as soon as a fault kind is added, or a term is drawn in between.
 * What has once found a bug is therefore kept as text (tests/sim/found). Terms that a file
 * does not name are drawn as its seed has them.
 *
 *   seed N | groups N | hosts N | dice N
 *   ttl_ms N | renew_ms N | ...
 *   group G sync required standby_reads 0 manual 0 longer_ttl 1
 *   node NAME ppm N offset_ns N wall_ms N
 *   fault NAME [after ENTRY NTH] at_ns N lasts_ns N a N b N group N number N
 *
 * '#' begins a comment. Errors: schedule_read() says on stderr which line it is, and why.
 */
#ifndef RF_SIM_SCHEDULE_H
#define RF_SIM_SCHEDULE_H

#include <stdio.h>

#include "tests/sim/world.h"

/* What it says of seed, groups and hosts goes into *ret, the rest into plan_make(). It
 * stays until the program ends. False: it is not one. */
bool schedule_read(const char *path, struct sim_options *ret);
/* By plan_make(), whatever it has drawn. False: no file was read. */
bool schedule_apply(void);
/* The world as plan_make() has just made it, without the faults that are left out. */
void schedule_write(FILE *out);
/* The dice as they are now go with it. */
void schedule_note_dice(void);

#endif
