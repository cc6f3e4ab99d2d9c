/* chaos/disturb.h -- what a wide-area network does to a running pair, as parts of
 * scenarios.
 *
 * Owner:   the main thread.
 */
#ifndef RF_CHAOS_DISTURB_H
#define RF_CHAOS_DISTURB_H

#include "chaos/play.h"

/* Between east and the other regions packets pass in one direction only; clients are heard
 * and answered. */
void disturb_mute_east(struct play *p);
void disturb_deafen_east(struct play *p);

/* The link between east and west fails again and again, and is whole when this returns. */
void disturb_flap(struct play *p);

/* Between east and west a tenth is lost, and the rest is slow: 800 ms each way. */
void disturb_gray(struct play *p);

void disturb_end(struct play *p);

#endif
