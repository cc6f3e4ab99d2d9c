/* controller/http/audit_private.h -- what audit_point.c and audit_export.c share. */
#ifndef RF_HTTP_AUDIT_PRIVATE_H
#define RF_HTTP_AUDIT_PRIVATE_H

#include "controller/audit/writer.h"
#include "controller/http/api_private.h"

enum { AUDIT_ROWS_PAGE = 256 }; /* rows for another controller: below the largest frame */

/* What every bundle of this controller's begins with; which entries is the caller's. */
void audit_header(const struct api *a, struct bundle_header *ret);

/* A chain head with its signature, or that it is absent, and why. */
typedef void audit_heard(void *owner, const struct bundle_line *line);

/* This controller's own, for a trail that ends at entry `seq`. Once, perhaps at once. */
void audit_point(struct api *a, uint64_t seq, audit_heard *done, void *owner);

/* All controllers', in the order of api_facts. */
struct gather {
    struct api *a;
    unsigned count, pending;
    struct bundle_line lines[BUNDLE_CONTROLLERS_MAX];
    void (*done)(void *owner, const struct gather *g); /* NULL: nobody is left to hear it */
    void *owner;
};
/* NULL: no memory. `done` is called once, from gather_wait() at the earliest, and the
 * gather is gone then. */
struct gather *gather_begin(struct api *a, uint64_t seq,
                            void (*done)(void *owner, const struct gather *g), void *owner);
void gather_wait(struct gather *g);
void gather_abandon(struct gather *g);

#endif
