/* tests/real/daemon/stage.h -- three controllers and two fake agents with a group `orders`.
 *
 * Owner: stage_setup() to stage_teardown(), as cmocka calls them; *state is the stage.
 */
#ifndef RF_TEST_DAEMON_STAGE_H
#define RF_TEST_DAEMON_STAGE_H

#include "tests/real/daemon/fake_agent.h"

struct stage {
    struct cluster c;
    struct fake_agent east, west;
};

/* What the files of the controllers have besides; NULL: nothing. */
extern const char *stage_extra;

/* East serves, and both are in the sync set (mode `required`). */
int stage_setup(void **state);
int stage_teardown(void **state);
/* Until east serves. */
void stage_form(struct stage *s, const char *sync);

/* For cluster_until(); the owner is the stage. */
bool stage_east_serves(void *owner);
bool stage_west_serves(void *owner);
/* Steady, and both in the sync set: a failover would find a target. */
bool stage_is_whole(void *owner);

#endif
