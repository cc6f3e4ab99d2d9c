#include "controller/cli/group_yaml.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/auto.h"
#include "controller/cli/group_units.h"

enum { INDENT = 2, PATH_SIZE = 96 };

/* Plain where nobody's YAML takes it for something else; JSON's strings are YAML's. */
static void print_text(const char *text, FILE *out)
{
    static const char *const words[] = {"true", "false", "null", "yes",
                                        "no",   "on",    "y",    "n"};
    bool plain = text[0] >= 'a' && text[0] <= 'z' &&
                 text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
    AUTO(auto_free) char *quoted = NULL;
    json_t *value;

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        plain = plain && strcmp(text, words[i]) != 0;
    if (plain) {
        fputs(text, out);
        return;
    }
    value = json_string(text);
    quoted = json_dumps(value, JSON_ENCODE_ANY);
    fputs(quoted != NULL ? quoted : "", out);
    json_decref(value);
}

static void print_scalar(const json_t *value, FILE *out)
{
    if (json_is_string(value))
        print_text(json_string_value(value), out);
    else
        json_dumpf(value, out, JSON_ENCODE_ANY);
}

static bool is_nested(const json_t *value)
{
    return json_is_object(value) || (json_is_array(value) && json_array_size(value) > 0 &&
                                     json_is_object(json_array_get(value, 0)));
}

/* On one line: "[eu, us]", "{role: active, tags: [eu]}". */
static void print_flow(const json_t *value, FILE *out)
{
    const char *key;
    json_t *member;
    size_t i, n = 0;

    if (json_is_array(value)) {
        fputc('[', out);
        json_array_foreach(value, i, member)
        {
            fputs(i > 0 ? ", " : "", out);
            print_flow(member, out);
        }
        fputc(']', out);
    } else if (json_is_object(value)) {
        fputc('{', out);
        json_object_foreach((json_t *)value, key, member)
        {
            fprintf(out, "%s%s: ", n++ > 0 ? ", " : "", key);
            print_flow(member, out);
        }
        fputc('}', out);
    } else {
        print_scalar(value, out);
    }
}

/* A mapping by name, the way people write it: "east: {role: active, tags: [eu]}". */
static void print_regions(const json_t *regions, FILE *out)
{
    json_t *region;
    size_t i;

    fputs("regions:\n", out);
    json_array_foreach(regions, i, region)
    {
        json_t *rest = json_copy(region);

        fprintf(out, "%*s", INDENT, "");
        print_flow(json_object_get(region, "name"), out);
        fputs(": ", out);
        json_object_del(rest, "name");
        if (json_array_size(json_object_get(rest, "tags")) == 0)
            json_object_del(rest, "tags");
        print_flow(rest, out);
        fputc('\n', out);
        json_decref(rest);
    }
}

static void print_members(const json_t *object, const char *path, int indent, FILE *out);

static void print_nested(const json_t *value, const char *path, int indent, FILE *out)
{
    json_t *item;
    size_t i;

    if (json_is_object(value)) {
        fprintf(out, "%*s", indent, "");
        print_members(value, path, indent, out);
        return;
    }
    json_array_foreach(value, i, item)
    {
        fprintf(out, "%*s- ", indent, "");
        print_members(item, path, indent + INDENT, out);
    }
}

/* The first one stands where the caller has put the cursor. */
static void print_members(const json_t *object, const char *path, int indent, FILE *out)
{
    const char *key;
    json_t *value;
    size_t n = 0;

    json_object_foreach((json_t *)object, key, value)
    {
        char at[PATH_SIZE], text[UNITS_TEXT_SIZE];
        const struct group_unit_row *unit;

        snprintf(at, sizeof at, "%s%s%s", path, path[0] != '\0' ? "." : "", key);
        unit = json_is_integer(value) && json_integer_value(value) >= 0 ? group_unit_of(at)
                                                                        : NULL;
        fprintf(out, "%*s%s:", n++ > 0 ? indent : 0, "",
                unit != NULL ? strchr(unit->key, '.') + 1 : key);
        if (is_nested(value)) {
            fputc('\n', out);
            print_nested(value, at, indent + INDENT, out);
            continue;
        }
        fputc(' ', out);
        if (unit != NULL) {
            group_unit_format(unit->unit, (uint64_t)json_integer_value(value), text);
            fputs(text, out);
        } else {
            print_flow(value, out);
        }
        fputc('\n', out);
    }
}

void group_yaml_print(const json_t *document, FILE *out)
{
    const char *key;
    json_t *value;

    fputs("# The group as it stands, defaults spelt out, and who is active now. `ringfence "
          "apply -f`\n# of it changes nothing. Without the roles, regions: [NAME, ...], or "
          "with --keep-active,\n# it can be applied after the group has moved, too.\n",
          out);
    json_object_foreach((json_t *)document, key, value)
    {
        json_t *one;

        if (strcmp(key, "adopt") == 0)
            continue;
        if (strcmp(key, "regions") == 0) {
            print_regions(value, out);
            continue;
        }
        one = json_pack("{s:O}", key, value);
        print_members(one, "", 0, out);
        json_decref(one);
    }
}
