/* tests/unit/core/world.h -- one controller, two data regions, and a clock that we turn.
 *
 * The world applies what it is told and keeps state_invariant_broken() asserted after each
 * entry, so every test of the core also tests the invariants.
 */
#ifndef RF_TEST_WORLD_H
#define RF_TEST_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#include "controller/base/auto.h"
#include "controller/core/decide.h"

enum { EAST = 0, WEST = 1 };

struct world {
    struct state s;
    struct observations o;
    struct mono now;
    struct apply_result result; /* of the last entry */
    struct actions actions;     /* of the last decide() */
};

#define EACH(row, table)                                                                   \
    for ((row) = (table); (row) < (table) + sizeof(table) / sizeof *(table); (row)++)

/* Three controllers, agents pg-east and pg-west enrolled; no group yet. */
void world_init(struct world *w);
/* The group `orders`, declared, with `mode`. */
void world_declare(struct world *w, enum sync_mode mode);
/* Declared, active in east at epoch 1, opened, west a member of the set (mode not off). */
void world_steady(struct world *w, enum sync_mode mode);
/* Steady under `required`, then asked to move to west: east's stop is under way. */
void world_stopping(struct world *w);

struct group *world_group(struct world *w);
struct observed_group *world_seen(struct world *w);

enum refusal world_apply(struct world *w, const struct entry *e);
struct entry entry_of(enum entry_kind kind); /* of group `orders` */

struct incarnation life(uint8_t agent, uint8_t number);
enum refusal world_enrol(struct world *w, uint8_t agent, uint8_t number);
enum refusal world_renew(struct world *w, uint8_t instance, uint8_t number,
                         enum lease_kind kind);
enum refusal world_prove(struct world *w, uint8_t instance, enum proof_kind kind,
                         uint8_t number);
enum refusal world_fence(struct world *w);
enum refusal world_activate(struct world *w, uint8_t instance);

/* The agent of `instance` reports now: a healthy server of its role. */
void world_report(struct world *w, uint8_t instance, enum server_state server);
/* East's agent reports its server down, under a lease that goes on; west is well. */
void world_crash(struct world *w);
/* A standby's agent reports that it can begin nothing. */
void world_report_unfit(struct world *w, uint8_t instance, const char *problem);
/* The step on record of `instance` is reported as done or failed. */
void world_outcome(struct world *w, uint8_t instance, bool done);

void world_pass_ms(struct world *w, uint64_t ms);

/* decide() once; returns the rule that proposed for the group, "" for none. */
const char *world_decide(struct world *w);
/* decide() and apply what it proposes; returns the rule, "" for none. */
const char *world_step(struct world *w);

#endif
