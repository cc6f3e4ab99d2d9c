/* fencing/agent/doctor.h -- is this host fit to hold a lease? GET /api/v1/doctor.
 *
 * What is known is said at once; disk, peers' ports and the provider's checks are asked
 * without blocking, and what has not answered by DOCTOR_MS is said to be silent.
 *
 * Owner:   one struct doctor per request, from doctor_ask() until its answer was given; at
 *          the end of the program doctors_close() gives up those that are under way.
 * Threads: the main thread.
 */
#ifndef RF_AGENT_DOCTOR_H
#define RF_AGENT_DOCTOR_H

#include "fencing/agent/endpoints.h"

enum { DOCTOR_MS = 3500, DOCTOR_MAX = 4 /* at a time; more are answered 503 */ };

struct http_request;
struct doctors;

MUST_USE int doctors_new(struct doctors **ret, const struct endpoints_parts *parts,
                         struct err *err);
/* Answers `req`, now or later. */
void doctor_ask(struct doctors *d, struct http_request *req);
/* NULL is fine. Requests that wait are answered 503; the loop frees the rest. */
void doctors_close(struct doctors *d);

#endif
