/* chaos/gate_hands.h -- hands on the kernel's gate of a region: programs of its cgroup.
 *
 * What bpftool would do, by the same system calls.
 *
 * Threads: any.
 * Errors:  each says why it could not be done (malloc'ed), or returns NULL.
 */
#ifndef RF_CHAOS_GATE_HANDS_H
#define RF_CHAOS_GATE_HANDS_H

#include "chaos/ground.h"

/* Detaches every program that looks at packets of the region; none there is an error. */
char *gate_detach(const struct ground *g, enum site s);
/* Attaches one that lets everything pass beside them. */
char *gate_attach_stranger(const struct ground *g, enum site s);

#endif
