/* controller/base/punctual.h -- threads that must not be late.
 *
 * A lease keeper that waits for a core, or for a page to come back from a disk, lets its
 * lease run out; a controller that does so loses its leadership and takes the whole
 * cluster's renewals with it. Both work little and must work at once, as corosync's do, so
 * they ask for a low real-time priority and for memory that stays. Without the permission
 * they work all the same, only less surely, and say so.
 *
 * Threads: concerns the calling thread, and those that it starts later if it says so.
 */
#ifndef RF_BASE_PUNCTUAL_H
#define RF_BASE_PUNCTUAL_H

#include <stdbool.h>

/* `who` is for the log ("the lease keeper"). With `threads_too` false, threads and
 * processes that this one starts are ordinary again. */
void punctual_begin(const char *who, bool threads_too);

#endif
