/* controller/http/status.h -- documents made of facts: status, why, doctor, version.
 *
 * Pure:    no I/O; the clock is the caller's `now`, the wall clock his `wall_ms`.
 * Owner:   the caller owns the JSON; NULL: no memory.
 */
#ifndef RF_HTTP_STATUS_H
#define RF_HTTP_STATUS_H

#include <jansson.h>

#include "controller/http/api.h"

/* `stale`: of this controller's own knowledge, which nobody has confirmed (reads.h). */
json_t *status_document(const struct api_facts *f, struct mono now, uint64_t wall_ms,
                        bool stale);

/* Changes when a follower of the status should be told; renewals and positions do not. */
uint64_t status_fingerprint(const struct api_facts *f, struct mono now);

/* What is left of an instance's lease as of now: the agent said it a while ago. False: it
 * holds none, and held none in this epoch; what it may have held before is over. */
bool status_lease_margin(const struct api_facts *f, uint8_t group, uint8_t i,
                         struct mono now, int64_t *ret_ms);

/* How far the instance's log is behind what was seen of the primary's. False: not known. */
bool status_lag_bytes(const struct group *g, const struct observed_group *og, uint8_t i,
                      uint64_t *ret_bytes);

/* That leases are granted for in this epoch: a shorter one in the policy counts from the
 * next epoch only (I4). */
uint32_t status_lease_ttl_ms(const struct group *g);

/* `age_ms` of a document: 0 of what is confirmed, null where nobody can tell. */
json_t *status_age(const struct api_facts *f, bool stale);
/* Why this controller cannot say why nothing happens. False: it leads, or believes so. */
bool status_stale_verdict(const struct api_facts *f, uint8_t group, struct mono now,
                          char *text, unsigned size);

/* The rows by which groups move, as the log names them. */
json_t *rules_document(void);
/* `stale` as above: the verdict may then be that of status_stale_verdict(). */
json_t *why_document(const struct api_facts *f, uint8_t group, struct mono now, bool stale);
json_t *doctor_document(const struct api_facts *f, const char *host, struct mono now);
json_t *version_document(const struct api_facts *f);

#endif
