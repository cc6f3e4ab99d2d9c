#include "controller/config/config_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEPTH_MAX = 12 };

struct walk {
    struct config *config;
    yaml_parser_t parser;
    int depth;
    struct err *err;
};

static int walk_node(struct walk *w, const yaml_event_t *event,
                     const cyaml_schema_value_t *schema, int at);

static int wrong(struct walk *w, size_t line, const char *key, const char *why)
{
    return err_set(w->err, ERR_INVAL, "%s:%zu: %s%s%s", w->config->path, line, key,
                   key[0] != '\0' ? ": " : "", why);
}

static int wrong_node(struct walk *w, int at, const char *why)
{
    return wrong(w, w->config->nodes[at].line, w->config->nodes[at].key, why);
}

static int next_event(struct walk *w, yaml_event_t *ret_event)
{
    char why[160];

    if (yaml_parser_parse(&w->parser, ret_event)) {
        if (ret_event->type != YAML_ALIAS_EVENT)
            return 0;
        wrong(w, ret_event->start_mark.line + 1, "", "anchors and aliases are not allowed");
        yaml_event_delete(ret_event);
        return ERR_INVAL;
    }
    snprintf(why, sizeof why, "not YAML: %s%s%s",
             w->parser.problem != NULL ? w->parser.problem : "cannot be read",
             w->parser.context != NULL ? ", " : "",
             w->parser.context != NULL ? w->parser.context : "");
    return wrong(w, w->parser.problem_mark.line + 1, "", why);
}

static int grow(struct config *c, struct err *err)
{
    int cap = c->cap == 0 ? 64 : 2 * c->cap;
    struct config_node *nodes;

    if (c->count < c->cap)
        return 0;
    if (cap > CONFIG_NODES_MAX)
        return err_set(err, ERR_INVAL, "%s: more than %d values", c->path,
                       CONFIG_NODES_MAX);
    nodes = realloc(c->nodes, (size_t)cap * sizeof *nodes);
    if (nodes == NULL)
        return err_set(err, ERR_NOMEM, "%s", c->path);
    c->nodes = nodes;
    c->cap = cap;
    return 0;
}

/* A node under `parent`, called `name`, or number `i` of a list where that is NULL. */
static int node_add(struct walk *w, int parent, const char *name, unsigned i, int *ret_at)
{
    struct config *c = w->config;
    int status = grow(c, w->err), used;
    struct config_node *node;
    const char *above;

    if (status != 0)
        return status;
    above = parent == CONFIG_NO_NODE ? "" : c->nodes[parent].key;
    node = &c->nodes[c->count];
    memset(node, 0, sizeof *node);
    node->parent = parent;
    if (name != NULL) {
        node->name = strdup(name);
        if (node->name == NULL)
            return err_set(w->err, ERR_NOMEM, "%s", c->path);
        used = snprintf(node->key, sizeof node->key, "%s%s%s", above,
                        above[0] != '\0' ? "." : "", name);
    } else {
        used = snprintf(node->key, sizeof node->key, "%s[%u]", above, i);
    }
    *ret_at = c->count++;
    return used < (int)sizeof node->key ? 0
                                        : wrong_node(w, *ret_at, "this key is too long");
}

static const cyaml_schema_field_t *field_of(const cyaml_schema_value_t *schema,
                                            const char *name)
{
    const cyaml_schema_field_t *f = schema->mapping.fields;

    while (f->key != NULL && strcmp(f->key, name) != 0)
        f++;
    return f->key != NULL ? f : NULL;
}

static int unknown_key(struct walk *w, const cyaml_schema_value_t *schema, int at)
{
    char why[360];
    int used = snprintf(why, sizeof why, "unknown key; expected one of");

    for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key != NULL; f++)
        if (used > 0 && (size_t)used < sizeof why)
            used += snprintf(why + used, sizeof why - (size_t)used, "%s %s",
                             f != schema->mapping.fields ? "," : "", f->key);
    return wrong_node(w, at, why);
}

/* One key of the mapping `parent` and its value. */
static int walk_pair(struct walk *w, const yaml_event_t *key,
                     const cyaml_schema_value_t *schema, int parent)
{
    const cyaml_schema_field_t *field = NULL;
    struct config *c = w->config;
    yaml_event_t value;
    int status, at;

    if (key->type != YAML_SCALAR_EVENT)
        return wrong(w, key->start_mark.line + 1, c->nodes[parent].key, "expected a key");
    status = node_add(w, parent, (const char *)key->data.scalar.value, 0, &at);
    if (status != 0)
        return status;
    c->nodes[at].line = (unsigned)key->start_mark.line + 1;
    for (int i = parent + 1; i < at; i++)
        if (c->nodes[i].parent == parent &&
            strcmp(c->nodes[i].name, c->nodes[at].name) == 0)
            return wrong_node(w, at, "given twice");
    if (schema != NULL) {
        field = field_of(schema, c->nodes[at].name);
        if (field == NULL)
            return unknown_key(w, schema, at);
    }
    status = next_event(w, &value);
    if (status != 0)
        return status;
    status = walk_node(w, &value, field != NULL ? &field->value : NULL, at);
    yaml_event_delete(&value);
    return status;
}

static int check_missing(struct walk *w, const cyaml_schema_value_t *schema, int parent)
{
    const struct config *c = w->config;
    char why[160];

    for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key != NULL; f++) {
        bool found = (f->value.flags & CYAML_FLAG_OPTIONAL) != 0;

        for (int i = parent + 1; i < c->count && !found; i++)
            found = c->nodes[i].parent == parent && strcmp(c->nodes[i].name, f->key) == 0;
        snprintf(why, sizeof why, "the key '%s' is missing", f->key);
        if (!found)
            return wrong_node(w, parent, why);
    }
    return 0;
}

static int walk_mapping(struct walk *w, const cyaml_schema_value_t *schema, int at)
{
    w->config->nodes[at].kind = CONFIG_MAPPING;
    if (schema != NULL && schema->type != CYAML_MAPPING)
        return wrong_node(w, at,
                          schema->type == CYAML_SEQUENCE || schema->type == CYAML_FLAGS
                              ? "expected a list, found a mapping"
                              : "expected a single value, found a mapping");
    for (;;) {
        yaml_event_t key;
        int status = next_event(w, &key);

        if (status != 0)
            return status;
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            return schema != NULL ? check_missing(w, schema, at) : 0;
        }
        status = walk_pair(w, &key, schema, at);
        yaml_event_delete(&key);
        if (status != 0)
            return status;
    }
}

static int walk_item(struct walk *w, const yaml_event_t *event,
                     const cyaml_schema_value_t *schema, int parent, unsigned i)
{
    int at;
    int status = node_add(w, parent, NULL, i, &at);

    if (status != 0)
        return status;
    w->config->nodes[at].line = (unsigned)event->start_mark.line + 1;
    return walk_node(w, event, schema, at);
}

static int check_length(struct walk *w, const cyaml_schema_value_t *schema, int at,
                        unsigned n)
{
    char why[120];

    if (schema == NULL || schema->type == CYAML_FLAGS ||
        (n >= schema->sequence.min && n <= schema->sequence.max))
        return 0;
    snprintf(why, sizeof why, "expected a list of %u to %u, found %u", schema->sequence.min,
             schema->sequence.max, n);
    return wrong_node(w, at, why);
}

static int walk_list(struct walk *w, const cyaml_schema_value_t *schema, int at)
{
    const cyaml_schema_value_t *entry = NULL;
    cyaml_schema_value_t flag = {.type = CYAML_ENUM};

    w->config->nodes[at].kind = CONFIG_LIST;
    if (schema != NULL && schema->type == CYAML_FLAGS) {
        flag.enumeration = schema->enumeration;
        entry = &flag;
    } else if (schema != NULL) {
        if (schema->type != CYAML_SEQUENCE && schema->type != CYAML_SEQUENCE_FIXED)
            return wrong_node(w, at,
                              schema->type == CYAML_MAPPING
                                  ? "expected a mapping (key: value), found a list"
                                  : "expected a single value, found a list");
        entry = schema->sequence.entry;
    }
    for (unsigned i = 0;; i++) {
        yaml_event_t item;
        int status = next_event(w, &item);

        if (status != 0)
            return status;
        if (item.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&item);
            return check_length(w, schema, at, i);
        }
        status = walk_item(w, &item, entry, at, i);
        yaml_event_delete(&item);
        if (status != 0)
            return status;
    }
}

static int walk_scalar(struct walk *w, const yaml_event_t *event,
                       const cyaml_schema_value_t *schema, int at)
{
    struct config_node *node = &w->config->nodes[at];
    char room[200], why[300];
    const char *problem;

    node->kind = CONFIG_SCALAR;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = strdup((const char *)event->data.scalar.value);
    if (node->text == NULL)
        return err_set(w->err, ERR_NOMEM, "%s", w->config->path);
    if (strlen(node->text) != event->data.scalar.length)
        return wrong_node(w, at, "holds a zero byte");
    problem =
        schema != NULL ? config_scalar_problem(schema, node, room, sizeof room) : NULL;
    if (problem == NULL)
        return 0;
    snprintf(why, sizeof why, "%s, found '%.60s'", problem, node->text);
    return wrong_node(w, at, why);
}

static int walk_node(struct walk *w, const yaml_event_t *event,
                     const cyaml_schema_value_t *schema, int at)
{
    int status;

    /* What libcyaml is told to ignore is read by config_duration() and its like. */
    if (schema != NULL && schema->type == CYAML_IGNORE)
        schema = NULL;
    if (w->depth == DEPTH_MAX)
        return wrong_node(w, at, "nested too deeply");
    w->depth++;
    if (event->type == YAML_MAPPING_START_EVENT)
        status = walk_mapping(w, schema, at);
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        status = walk_list(w, schema, at);
    else
        status = walk_scalar(w, event, schema, at);
    w->depth--;
    return status;
}

/* The next event must be of this type. */
static int expect(struct walk *w, yaml_event_type_t type, const char *why)
{
    yaml_event_t event;
    int status = next_event(w, &event);

    if (status != 0)
        return status;
    if (event.type != type)
        status = wrong(w, event.start_mark.line + 1, "", why);
    yaml_event_delete(&event);
    return status;
}

static int walk_document(struct walk *w)
{
    yaml_event_t event;
    int status, at = 0;

    status = expect(w, YAML_STREAM_START_EVENT, "not YAML");
    if (status == 0)
        status = expect(w, YAML_DOCUMENT_START_EVENT, "the file is empty");
    if (status == 0)
        status = node_add(w, CONFIG_NO_NODE, "", 0, &at);
    if (status == 0)
        status = next_event(w, &event);
    if (status != 0)
        return status;
    w->config->nodes[at].line = (unsigned)event.start_mark.line + 1;
    status = walk_node(w, &event, w->config->schema, at);
    yaml_event_delete(&event);
    if (status == 0)
        status = expect(w, YAML_DOCUMENT_END_EVENT, "not YAML");
    if (status == 0)
        status = expect(w, YAML_STREAM_END_EVENT, "a second document is not allowed");
    return status;
}

int config_walk(struct config *c, const char *text, size_t len, struct err *err)
{
    struct walk w = {.config = c, .err = err};
    int status;

    if (!yaml_parser_initialize(&w.parser))
        return err_set(err, ERR_NOMEM, "%s", c->path);
    yaml_parser_set_input_string(&w.parser, (const unsigned char *)text, len);
    status = walk_document(&w);
    yaml_parser_delete(&w.parser);
    return status;
}
