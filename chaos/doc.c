#include "chaos/doc.h"

#include <string.h>

const char *doc_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

int64_t doc_number(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool doc_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

json_t *doc_find(const json_t *array, const char *key, const char *value)
{
    size_t i;
    json_t *element;

    json_array_foreach(array, i, element) if (strcmp(doc_text(element, key), value) ==
                                              0) return element;
    return NULL;
}
