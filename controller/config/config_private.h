/* controller/config/config_private.h -- what config.c and config_walk.c share.
 *
 * The file is walked twice: first here, along the schema, which finds everything wrong and
 * notes where each key stands; then by libcyaml, which builds the data.
 */
#ifndef RF_CONFIG_CONFIG_PRIVATE_H
#define RF_CONFIG_CONFIG_PRIVATE_H

#include "controller/config/config.h"

enum config_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAPPING };

enum { CONFIG_NO_NODE = -1 };

struct config_node {
    char key[CONFIG_KEY_SIZE]; /* whole path; "" for the document */
    char *name;                /* last part; NULL in a list */
    char *text;                /* scalars */
    enum config_kind kind;
    bool quoted;
    int parent;
    unsigned line; /* from 1 */
};

struct config {
    char *path;
    const cyaml_schema_value_t *schema;
    void *data;
    struct config_node *nodes; /* in the file's order: parents come first */
    int count, cap;
};

/* Fill c->nodes from the text and check all of it against c->schema.
 *   ERR_INVAL  ERR_NOMEM */
MUST_USE int config_walk(struct config *c, const char *text, size_t len, struct err *err);

/* Does a scalar fit its schema? NULL, or what was expected, in `room`. */
const char *config_scalar_problem(const cyaml_schema_value_t *schema,
                                  const struct config_node *node, char *room, size_t size);

#endif
