/* controller/http/proposals.h -- what people have proposed, as the API tells it.
 *
 * Pure.
 */
#ifndef RF_HTTP_PROPOSALS_H
#define RF_HTTP_PROPOSALS_H

#include <jansson.h>

#include "controller/http/api.h"

/* One proposal: what, why, what is to be expected, who has agreed, who is still needed. */
json_t *proposal_document(const struct state *s, const struct proposal *p);
/* All that are remembered, the newest first; `group` not NULL: of this group what is not
 * over. */
json_t *proposals_document(const struct state *s, const char *group);

#endif
