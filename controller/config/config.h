/* controller/config/config.h -- YAML files by libcyaml, with errors that a person can use.
 *
 * The schema is libcyaml's; this module adds what libcyaml 1.3.1 leaves out: the right line
 * of what is wrong, "maybe" is not true, an unknown key names the known ones, anchors and
 * second documents are refused, durations and sizes, mappings with free keys.
 * Every error is "FILE:LINE: KEY: what is, what was expected".
 *
 *     static const cyaml_schema_field_t raft_fields[] = {
 *         CONFIG_UNIT("election", CYAML_FLAG_OPTIONAL),     // read by config_duration()
 *         CYAML_FIELD_END};
 *     ...
 *     AUTO(config_free) struct config *c = NULL;
 *     status = config_load("/etc/x.yaml", &schema, &c, err);  // schema of a *mapping*,
 *     const struct file *f = config_data(c);                  // CYAML_FLAG_POINTER
 *     status = config_duration(c, "raft.election", &ms, err); // untouched if not given
 *
 * A key is written as "lease.ttl", "controllers[1].address" (from 0).
 *
 * Limits:  a file of CONFIG_FILE_MAX bytes with CONFIG_NODES_MAX values and twelve levels;
 *          more is refused.
 * Owner:   config_free(&c) frees the data as well (it takes the address, for AUTO).
 * Threads: any; one struct config by one thread at a time.
 * Errors:  ERR_INVAL (the file is wrong), ERR_NOTFOUND, ERR_REFUSED, ERR_IO, ERR_NOMEM.
 */
#ifndef RF_CONFIG_CONFIG_H
#define RF_CONFIG_CONFIG_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

enum { CONFIG_FILE_MAX = 1 << 20, CONFIG_NODES_MAX = 4096, CONFIG_KEY_SIZE = 128 };

struct config;

/* A field that libcyaml skips and the functions below read: a duration, size, share, or a
 * mapping with free keys. `flags`: CYAML_FLAG_DEFAULT (required) or CYAML_FLAG_OPTIONAL. */
#define CONFIG_UNIT(key, flags) CYAML_FIELD_IGNORE(key, flags)
#define CONFIG_FREE_MAPPING(key, flags) CYAML_FIELD_IGNORE(key, flags)

/* `schema` must outlive the config. On failure *ret_config is untouched. */
MUST_USE int config_load(const char *path, const cyaml_schema_value_t *schema,
                         struct config **ret_config, struct err *err);
void config_free(struct config **config);

/* What libcyaml made of the file. */
const void *config_data(const struct config *c);
const char *config_path(const struct config *c);

/* "FILE:LINE: KEY: <text>" for what only the reader of the data can tell. Returns
 * ERR_INVAL. A key that is not in the file is reported at its nearest parent. */
int config_bad(const struct config *c, const char *key, struct err *err, const char *fmt,
               ...) PRINTF_LIKE(4, 5);

/* True if the file has this key. */
bool config_has(const struct config *c, const char *key);
/* The scalar as written; NULL if there is none, or it is a list or mapping. */
const char *config_text(const struct config *c, const char *key);

/* All leave *ret alone and return 0 where the file does not have the key. */
MUST_USE int config_duration(const struct config *c, const char *key, uint32_t *ret_ms,
                             struct err *err);
MUST_USE int config_size(const struct config *c, const char *key, uint64_t *ret_bytes,
                         struct err *err);
MUST_USE int config_share(const struct config *c, const char *key, uint32_t *ret_ppm,
                          struct err *err);

/* The children of a mapping or list, in the file's order. */
size_t config_child_count(const struct config *c, const char *key);
/* The name of the i-th child of a mapping ("east"); NULL for a list or no such child. */
const char *config_child_name(const struct config *c, const char *key, size_t i);
bool config_is_mapping(const struct config *c, const char *key);

#endif
