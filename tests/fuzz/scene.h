/* tests/fuzz/scene.h -- a small cluster in mid-life, for targets that need one: three
 * controllers, four agents, the group `orders` steady in epoch 1 and `bills` forming. Made
 * by apply() alone, so it is a state that can be reached. */
#ifndef RF_TEST_FUZZ_SCENE_H
#define RF_TEST_FUZZ_SCENE_H

#include "controller/core/apply.h"
#include "controller/core/observe.h"

enum { SCENE_AGENTS = 4 };

extern const char *const scene_agents[SCENE_AGENTS];
extern const char *const scene_groups[2];

struct incarnation scene_life(uint8_t agent, uint8_t number);
/* The document of group 0 or 1. */
void scene_spec(struct group *spec, uint8_t group);
/* Controllers and agents only; entries count from *index on. */
void scene_begin(struct state *s);
/* With the two groups. */
void scene_make(struct state *s);

#endif
