/* tests/real/agent/act.h -- one agent on the stage: what the tests of it share.
 *
 * Owner: `stage` and `agent` live for one test, between set_up() and tear_down(). */
#ifndef RF_TESTS_REAL_AGENT_ACT_H
#define RF_TESTS_REAL_AGENT_ACT_H

#include "tests/real/agent/stage.h"

extern struct stage stage;
extern pid_t agent;   /* 0: none runs */
extern unsigned seen; /* a count at the time that a test remembers */

int set_up(void **state);
int tear_down(void **state);
#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Claims for stage_until(): there are more than were seen. */
bool has_greeted(const struct stage *s);
bool has_renewed(const struct stage *s);
bool has_reported(const struct stage *s);

/* Starts the agent, until it has said hello. */
void start(void);
void assign(Rf__Role role, uint64_t epoch);

#endif
