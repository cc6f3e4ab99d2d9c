/* controller/cli/group_yaml.h -- the API's document of a group as a file that
 * controller/cli/group_file.h reads to the same document.
 *
 * What a newer controller says more is written as well: the reader refuses it, instead of
 * applying half of it (I10). Only `adopt` is left out: it says how a group is formed.
 *
 * Pure:    writes to `out` only.
 */
#ifndef RF_CLI_GROUP_YAML_H
#define RF_CLI_GROUP_YAML_H

#include <jansson.h>
#include <stdio.h>

void group_yaml_print(const json_t *document, FILE *out);

#endif
