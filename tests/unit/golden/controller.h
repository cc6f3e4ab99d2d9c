/* tests/unit/golden/controller.h -- a controller of one in a directory, and a history in
 * it.
 *
 * Errors: every failure fails the test.
 */
#ifndef RF_TEST_GOLDEN_CONTROLLER_H
#define RF_TEST_GOLDEN_CONTROLLER_H

#include "controller/base/buf.h"
#include "controller/base/err.h"

/* A group declared, led and joined, with a snapshot in the middle. */
void controller_write(const char *dir);
/* Opens it, until it leads and all that lies there has been checked once; the state as its
 * snapshot, and how many rows the audit trail has. */
void controller_read(const char *dir, struct buf *ret_state, unsigned *ret_rows);
/* What it says when it is opened. */
int controller_try(const char *dir, struct err *err);

#endif
