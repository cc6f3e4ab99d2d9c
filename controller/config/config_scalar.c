#include "controller/config/config_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *number_problem(const cyaml_schema_value_t *schema,
                                  const struct config_node *node, char *room, size_t size)
{
    bool negative = schema->type == CYAML_INT && node->text[0] == '-';
    const char *digits = node->text + (negative ? 1 : 0);
    unsigned bits = 8 * schema->data_size - (schema->type == CYAML_INT ? 1 : 0);
    uint64_t max = bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
    uint64_t value;

    snprintf(room, size, "expected a whole number of at most %" PRIu64, max);
    if (digits[0] == '\0' || strspn(digits, "0123456789") != strlen(digits) || node->quoted)
        return room;
    /* libcyaml would read it as octal. */
    if (digits[0] == '0' && digits[1] != '\0')
        return "expected a whole number without leading zeros";
    errno = 0;
    value = strtoull(digits, NULL, 10);
    return errno != 0 || value > max ? room : NULL;
}

static const char *string_problem(const cyaml_schema_value_t *schema,
                                  const struct config_node *node, char *room, size_t size)
{
    size_t len = strlen(node->text);

    if (len < schema->string.min && len == 0)
        return "expected some text";
    snprintf(room, size, "expected a text of %" PRIu32 " to %" PRIu32 " bytes",
             schema->string.min, schema->string.max);
    return len < schema->string.min || len > schema->string.max ? room : NULL;
}

static const char *choice_problem(const cyaml_schema_value_t *schema,
                                  const struct config_node *node, char *room, size_t size)
{
    int used = snprintf(room, size, "expected one of");

    for (uint32_t i = 0; i < schema->enumeration.count; i++) {
        const char *one = schema->enumeration.strings[i].str;

        if (strcmp(node->text, one) == 0)
            return NULL;
        if (used > 0 && (size_t)used < size)
            used +=
                snprintf(room + used, size - (size_t)used, "%s %s", i > 0 ? "," : "", one);
    }
    return room;
}

const char *config_scalar_problem(const cyaml_schema_value_t *schema,
                                  const struct config_node *node, char *room, size_t size)
{
    switch (schema->type) {
    case CYAML_INT:
    case CYAML_UINT:
        return number_problem(schema, node, room, size);
    case CYAML_BOOL:
        /* libcyaml takes every word that it does not know for true. */
        return strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0
                   ? NULL
                   : "expected true or false";
    case CYAML_ENUM:
        return choice_problem(schema, node, room, size);
    case CYAML_STRING:
        return string_problem(schema, node, room, size);
    case CYAML_MAPPING:
    case CYAML_BITFIELD:
        return "expected a mapping (key: value)";
    case CYAML_FLAGS:
    case CYAML_SEQUENCE:
    case CYAML_SEQUENCE_FIXED:
        return "expected a list";
    case CYAML_FLOAT:
    case CYAML_IGNORE:
    case CYAML__TYPE_COUNT:
        break;
    }
    return NULL;
}
