/* controller/http/document_private.h -- document.c's parts. */
#ifndef RF_HTTP_DOCUMENT_PRIVATE_H
#define RF_HTTP_DOCUMENT_PRIVATE_H

#include <jansson.h>

#include "controller/core/state.h"

/* `list` NULL: none. `path` is the instance's, whose own port has been read.
 *   ERR_INVAL  the text names the path in the document */
MUST_USE int document_read_also_ports(const json_t *list, const char *path,
                                      struct instance *i, struct err *err);
/* Who has to agree to a move, and when; `list` NULL: whoever may ask is enough. */
MUST_USE int document_read_approvals(const json_t *list, struct policy *p, struct err *err);
/* The same as it was read. */
json_t *document_approvals(const struct policy *p);
MUST_USE int document_read_exceptions(const json_t *list, struct group *g, struct err *err);

#endif
