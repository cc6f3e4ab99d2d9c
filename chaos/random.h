/* chaos/random.h -- scenarios drawn from a seed: one to four faults near each other in
 * time, and the healing of whatever they broke.
 *
 * What is drawn is the text of a scenario file (scenario.h), so that a run can be read,
 * kept, changed and played again. Its steps break only what a group comes back from by
 * itself, once everything runs and the network is whole; steps that may be in vain say
 * `try`. docs/chaos.md says what is drawn, and what is not.
 *
 * Pure:    a text is a function of its seed.
 */
#ifndef RF_CHAOS_RANDOM_H
#define RF_CHAOS_RANDOM_H

#include <stdint.h>

/* So many seeds, from one that it divides, want the same laboratory. */
enum { RANDOM_SHARED = 8 };

/* malloc'ed. */
char *random_text(uint32_t seed);

/* What its scenario is called, and its file before the ".yaml"; malloc'ed. */
char *random_name(uint32_t seed);

#endif
