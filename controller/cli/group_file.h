/* controller/cli/group_file.h -- the YAML of a group (docs/design.md section 7) as the
 * group document of the API (docs/architecture.md section 4).
 *
 * Only the form is checked here: what is said must fit the cluster, and the server knows.
 *
 * Errors:  "FILE:LINE: KEY: what is, what was expected".
 */
#ifndef RF_CLI_GROUP_FILE_H
#define RF_CLI_GROUP_FILE_H

#include <jansson.h>

#include "controller/base/err.h"

/* Owner: json_decref(*ret_document). `path` "-": standard input.
 *   ERR_INVAL  ERR_NOTFOUND  ERR_REFUSED  ERR_IO  ERR_NOMEM */
MUST_USE int group_file_load(const char *path, json_t **ret_document, struct err *err);

#endif
