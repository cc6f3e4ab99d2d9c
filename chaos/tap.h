/* chaos/tap.h -- TAP devices: the end of a network cable that a program holds.
 *
 * Owner:   the device lives as long as somebody has its descriptor open.
 * Threads: the calling one is in another namespace for the moment.
 * Errors:  die().
 */
#ifndef RF_CHAOS_TAP_H
#define RF_CHAOS_TAP_H

/* Says why this machine cannot make one, or returns NULL. */
const char *tap_missing(void);

/* A new device `name` in the network namespace of the descriptor `network`; frames are read
 * and written one by one, without blocking. */
int tap_open(int network, const char *name);

#endif
