#include "controller/http/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/http/route.h"

void reader_path_key(char out[READER_PATH_SIZE], const char *path, const char *key)
{
    (void)snprintf(out, READER_PATH_SIZE, "%s%s%s", path, path[0] != '\0' ? "." : "", key);
}

void reader_path_index(char out[READER_PATH_SIZE], const char *path, size_t index)
{
    (void)snprintf(out, READER_PATH_SIZE, "%s[%zu]", path, index);
}

static bool is_known(const char *key, const char *const *keys)
{
    for (; *keys != NULL; keys++)
        if (strcmp(key, *keys) == 0)
            return true;
    return false;
}

static int unknown_key(const char *path, const char *key, const char *const *keys,
                       struct err *err)
{
    char list[320] = "", at[READER_PATH_SIZE], clean[32];
    size_t used = 0;

    (void)snprintf(clean, sizeof clean, "%s", key);
    reader_path_key(at, path, clean);
    for (; *keys != NULL && used < sizeof list - 1; keys++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                                 used > 0 ? ", " : "", *keys);
    return err_set(err, ERR_INVAL, "%s: unknown key; known are: %s", at, list);
}

int reader_object(const json_t *v, const char *path, const char *const *keys,
                  struct err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(v))
        return err_set(err, ERR_INVAL, "%s: %s, an object is expected",
                       path[0] != '\0' ? path : "document",
                       v == NULL ? "is missing" : "is something else");
    json_object_foreach((json_t *)v, key,
                        value) if (!is_known(key, keys)) return unknown_key(path, key, keys,
                                                                            err);
    return 0;
}

int reader_list(const json_t *v, const char *path, size_t min, size_t max,
                size_t *ret_count, struct err *err)
{
    size_t n = json_array_size(v);

    if (!json_is_array(v))
        return err_set(err, ERR_INVAL, "%s: %s, a list is expected", path,
                       v == NULL ? "is missing" : "is something else");
    if (n < min || n > max)
        return err_set(err, ERR_INVAL, "%s: has %zu entries, %zu to %zu are expected", path,
                       n, min, max);
    *ret_count = n;
    return 0;
}

int reader_name(const json_t *v, const char *path, char *ret, struct err *err)
{
    const char *text = json_string_value(v);

    if (text == NULL)
        return err_set(err, ERR_INVAL, "%s: %s, a name is expected", path,
                       v == NULL ? "is missing" : "is something else");
    if (!route_name_ok(text))
        return err_set(err, ERR_INVAL,
                       "%s: \"%.40s\": 1 to %d of a-z, 0-9 and -, beginning with a letter "
                       "or digit, are expected",
                       path, text, NAME_SIZE - 1);
    (void)snprintf(ret, NAME_SIZE, "%s", text);
    return 0;
}

int reader_text(const json_t *v, const char *path, char *ret, size_t size, struct err *err)
{
    const char *text = json_string_value(v);
    size_t len = json_string_length(v);

    if (text == NULL)
        return err_set(err, ERR_INVAL, "%s: %s, a text is expected", path,
                       v == NULL ? "is missing" : "is something else");
    if (len == 0 || len >= size)
        return err_set(err, ERR_INVAL, "%s: has %zu bytes, 1 to %zu are expected", path,
                       len, size - 1);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return err_set(err, ERR_INVAL, "%s: has a control character", path);
    (void)snprintf(ret, size, "%s", text);
    return 0;
}

/* By its name, since who wrote the file wrote another one: "1%", "3s". */
static const char *unit_of(const char *key)
{
    static const struct {
        const char *end, *unit;
    } units[] = {{"_ms", " ms"}, {"_bytes", " bytes"}, {"_ppm", " ppm (10000: 1%)"}};
    size_t len = strlen(key);

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].end);

        if (len > n && strcmp(key + len - n, units[i].end) == 0)
            return units[i].unit;
    }
    return "";
}

int reader_number(const json_t *object, const char *path, const char *key, uint64_t *ret,
                  struct reader_range range, struct err *err)
{
    const json_t *v = json_object_get(object, key);
    json_int_t n = json_integer_value(v);
    char at[READER_PATH_SIZE];

    if (v == NULL)
        return 0;
    reader_path_key(at, path, key);
    if (!json_is_integer(v))
        return err_set(err, ERR_INVAL, "%s: a whole number is expected", at);
    if (n < 0 || (uint64_t)n < range.min || (uint64_t)n > range.max)
        return err_set(
            err, ERR_INVAL,
            "%s: %" JSON_INTEGER_FORMAT "%s is not in %" PRIu64 "%s to %" PRIu64 "%s", at,
            n, unit_of(key), range.min, unit_of(key), range.max, unit_of(key));
    *ret = (uint64_t)n;
    return 0;
}

int reader_bool(const json_t *object, const char *path, const char *key, bool *ret,
                struct err *err)
{
    const json_t *v = json_object_get(object, key);
    char at[READER_PATH_SIZE];

    if (v == NULL)
        return 0;
    reader_path_key(at, path, key);
    if (!json_is_boolean(v))
        return err_set(err, ERR_INVAL, "%s: true or false is expected", at);
    *ret = json_is_true(v);
    return 0;
}

int reader_fields(const json_t *object, const char *path, const struct reader_field *fields,
                  size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = *fields[i].ret;

        if (reader_number(object, path, fields[i].key, &value, fields[i].range, err) != 0)
            return err->code;
        *fields[i].ret = (uint32_t)value;
    }
    return 0;
}
