#include "controller/cli/answer.h"

#include <string.h>

#include "controller/base/auto.h"

/* Bytes of the control character at `c`, 0: it is none. Those of Unicode's second block are
 * two bytes in UTF-8, and terminals obey some of them. */
static size_t control(const unsigned char *c)
{
    if (c[0] < ' ' || c[0] == 0x7f)
        return 1;
    return c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

static bool is_clean(const char *text)
{
    for (; *text != '\0'; text++)
        if (control((const unsigned char *)text) != 0)
            return false;
    return true;
}

/* NULL: out of memory. */
static char *cleaned(const char *text)
{
    char *copy = strdup(text), *to = copy;

    if (copy == NULL)
        return NULL;
    while (*text != '\0') {
        size_t n = control((const unsigned char *)text);

        if (n == 0)
            *to++ = *text++;
        else
            *to++ = *text == '\n' || *text == '\t' ? ' ' : '?';
        text += n;
    }
    *to = '\0';
    return copy;
}

static bool clean(json_t *value);

static bool clean_object(json_t *object)
{
    const char *key;
    json_t *member;
    void *next;

    json_object_foreach_safe(object, next, key, member)
    {
        AUTO(auto_free) char *instead = NULL;

        if (!clean(member))
            return false;
        if (is_clean(key))
            continue;
        instead = cleaned(key);
        if (instead == NULL || json_object_set(object, instead, member) != 0 ||
            json_object_del(object, key) != 0)
            return false;
    }
    return true;
}

/* As deep as jansson reads. */
static bool clean(json_t *value)
{
    AUTO(auto_free) char *instead = NULL;
    json_t *item;
    size_t i;

    if (json_is_string(value) && !is_clean(json_string_value(value))) {
        instead = cleaned(json_string_value(value));
        return instead != NULL && json_string_set(value, instead) == 0;
    }
    if (json_is_object(value))
        return clean_object(value);
    json_array_foreach(value, i, item)
    {
        if (!clean(item))
            return false;
    }
    return true;
}

json_t *answer_read(const void *data, size_t len, bool as_is)
{
    json_t *value = json_loadb(data, len, 0, NULL);

    if (value != NULL && !as_is && !clean(value)) {
        json_decref(value);
        return NULL;
    }
    return value;
}
