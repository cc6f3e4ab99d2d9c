/* controller/cli/group_file.h -- the YAML of a group (docs/design.md section 7) as the
 * group document of the API (docs/architecture.md section 4).
 *
 * Only the form is checked here: what is said must fit the cluster, and the server knows.
 *
 * What the server finds wrong there is told with the line as well: group_file_locate().
 *
 * Limits:  those of controller/config/config.h; of the rest the API's, document.h.
 * Errors:  "FILE:LINE: KEY: what is, what was expected".
 */
#ifndef RF_CLI_GROUP_FILE_H
#define RF_CLI_GROUP_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include "controller/base/err.h"

struct config;

/* `path` "-": standard input. *ret_file knows the lines, for group_file_locate().
 * Owner:   json_decref(*ret_document), config_free(ret_file).
 *   ERR_INVAL  ERR_NOTFOUND  ERR_REFUSED  ERR_IO  ERR_NOMEM */
MUST_USE int group_file_load(const char *path, json_t **ret_document,
                             struct config **ret_file, struct err *err);

/* What the API said of the document, "lease.ttl_ms: ...", as said of the file:
 * "FILE:LINE: lease.ttl: ..." (ERR_INVAL in *ret). False, and nothing in *ret, where the
 * text does not begin with a key of the document. */
bool group_file_locate(const struct config *file, const char *said, struct err *ret);

#endif
