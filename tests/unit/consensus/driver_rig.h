/* tests/unit/consensus/driver_rig.h -- one driver, node 1 of three, that is told what the
 * others say; and histories in children of their own, since the engine's own assertions
 * (and the sanitizer) are among what goes wrong. */
#ifndef RF_TEST_CONSENSUS_DRIVER_RIG_H
#define RF_TEST_CONSENSUS_DRIVER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/consensus/driver.h"

typedef bool history(unsigned without_filter, const void *arg);

enum { WELL = 0, DIED = 1 /* so exits UBSan */, WRONG = 3 };

int outcome_of(history *h, unsigned without_filter, const void *arg);

struct rig {
    struct driver *d;
    struct orders o;
    struct err err;
    uint64_t now;
};

struct driver_config rig_config(uint64_t id, unsigned without_filter);
/* Entry 1, then barriers of these terms. */
void rig_open(struct rig *r, const struct driver_config *c, uint64_t term,
              const uint64_t *terms, size_t n);
void rig_close(struct rig *r);
void rig_receive(struct rig *r, struct consensus_msg m);
/* The first order of this kind that the last input led to; NULL: none. */
const struct order *rig_find(const struct rig *r, enum order_kind kind);
void rig_persisted(struct rig *r, uint64_t seq);
/* Append entries of one term behind (prev, prev_term); the seq of their write. */
uint64_t rig_append(struct rig *r, uint64_t from, uint64_t term,
                    struct cmsg_append_entries a);

#endif
