/* controller/daemon/shipper.h -- brings the audit trail out of the cluster, piece by piece.
 *
 * The leader alone ships. How far that has come is read from the names that the place has
 * (controller/ship/place.h), when a controller begins to lead and after each failure: so a
 * change of leaders leaves no hole, whatever the one before it had under way, and writes no
 * name twice. A segment goes when there are SHIP_ROWS_MAX entries, or the oldest of them is
 * `every` old; it is a bundle like any other (controller/http/audit_segment.c).
 *
 * Blocking is errands' business; a failure is tried again, later each time, and told.
 *
 * Owner:   shipper_open() to shipper_close().
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_SHIPPER_H
#define RF_DAEMON_SHIPPER_H

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/http/api.h"

struct daemon;
struct shipper;

enum { SHIP_ROWS_MAX = STORE_AUDIT_PAGE_MAX };

/* *ret_shipper is NULL where nothing is to be shipped. */
MUST_USE int shipper_open(struct shipper **ret_shipper, struct daemon *d, struct api *api,
                          struct err *err);
/* The store, the links and the API are closed already, or nobody will call back. NULL is
 * fine. */
void shipper_close(struct shipper *s);

void shipper_facts(const struct shipper *s, struct api_ship *ret);

#endif
