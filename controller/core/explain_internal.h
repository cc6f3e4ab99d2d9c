/* controller/core/explain_internal.h -- what the list of `ringfence why` and its sentence
 * share. */
#ifndef RF_CORE_EXPLAIN_INTERNAL_H
#define RF_CORE_EXPLAIN_INTERNAL_H

#include "controller/base/text.h"
#include "controller/core/decide_internal.h"

#define SET(field, ...) text_set((field), sizeof(field), __VA_ARGS__)

/* I11: the exit is said wherever nothing else leads to one: who is to state it, and how;
 * takes the group and the instance. */
#define ATTEST_DEAD "by two people: `ringfence attest %.23s --dead %.23s --reason TEXT`"
#define ATTEST_LOSS "by two people: `ringfence attest %.23s --loss %.23s --reason TEXT`"

/* Who would be activated, as the rows see it: the active instance itself, in a new life, if
 * nobody else can. */
const char *ready_name(const struct look *l);

/* Nobody can take over, somebody could but for what he holds, and the primary is not there
 * to give him the rest. NO_INSTANCE: it is not so. */
uint8_t needs_attested_loss(const struct look *l);

/* I2: an instance that an activation waits for, and that nobody can prove any more. One
 * that could itself be the target needs no proof. */
uint8_t needs_attested_proof(const struct look *l);

/* The sentence, of the conditions in `out`. */
void explain_verdict(const struct look *l, struct explanation *out);

#endif
