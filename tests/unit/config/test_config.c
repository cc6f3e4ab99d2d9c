/* controller/config/config.h: every kind of mistake, in words that name the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/config/config.h"

struct inner {
    char *ca;
    uint16_t port;
    int *shift;
};

struct item {
    char *name;
    uint32_t id;
};

struct file {
    char *name;
    bool *on;
    int colour;
    struct inner inner;
    struct item *items;
    unsigned items_count;
};

#define POINTER CYAML_FLAG_POINTER
#define OPTIONAL CYAML_FLAG_OPTIONAL

static const cyaml_strval_t colours[] = {{"red", 1}, {"green", 2}};

static const cyaml_schema_field_t inner_fields[] = {
    CYAML_FIELD_STRING_PTR("ca", POINTER, struct inner, ca, 1, 20),
    CYAML_FIELD_UINT("port", OPTIONAL, struct inner, port),
    CYAML_FIELD_INT_PTR("shift", POINTER | OPTIONAL, struct inner, shift),
    CONFIG_UNIT("wait", OPTIONAL),
    CONFIG_UNIT("size", OPTIONAL),
    CONFIG_UNIT("share", OPTIONAL),
    CYAML_FIELD_END};

static const cyaml_schema_field_t item_fields[] = {
    CYAML_FIELD_STRING_PTR("name", POINTER, struct item, name, 1, 20),
    CYAML_FIELD_UINT("id", OPTIONAL, struct item, id), CYAML_FIELD_END};

static const cyaml_schema_value_t item_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct item, item_fields)};

static const cyaml_schema_field_t fields[] = {
    CYAML_FIELD_STRING_PTR("name", POINTER, struct file, name, 1, 20),
    CYAML_FIELD_BOOL_PTR("on", POINTER | OPTIONAL, struct file, on),
    CYAML_FIELD_ENUM("colour", OPTIONAL | CYAML_FLAG_STRICT, struct file, colour, colours,
                     2),
    CYAML_FIELD_MAPPING("inner", CYAML_FLAG_DEFAULT, struct file, inner, inner_fields),
    CYAML_FIELD_SEQUENCE("items", POINTER | OPTIONAL, struct file, items, &item_value, 1,
                         3),
    CONFIG_FREE_MAPPING("free", OPTIONAL),
    CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, fields)};

static char path[64];

static int load(const char *text, struct config **ret, struct err *err)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return config_load(path, &schema, ret, err);
}

#define GOOD "name: a\ninner: {ca: x}\n"

static const struct {
    const char *text, *error; /* behind "PATH:" */
} rows[] = {
    {"", "1: the file is empty"},
    {"# nothing\n", "2: the file is empty"},
    {"- a\n", "1: expected a mapping (key: value), found a list"},
    {"name\n", "1: expected a mapping (key: value), found 'name'"},
    {"name: a\n", "1: the key 'inner' is missing"},
    {"name: a\ninner:\n  port: 5\n", "2: inner: the key 'ca' is missing"},
    {GOOD "foo: 1\n",
     "3: foo: unknown key; expected one of name, on, colour, inner, items, free"},
    {"name: a\ninner:\n  ca: x\n  prot: 1\n",
     "4: inner.prot: unknown key; expected one of ca, port, shift, wait, size, share"},
    {GOOD "name: b\n", "3: name: given twice"},
    {"name: a\ninner: {ca: x, ca: y}\n", "2: inner.ca: given twice"},
    {"name: [a]\ninner: {ca: x}\n", "1: name: expected a single value, found a list"},
    {"name: {a: b}\ninner: {ca: x}\n", "1: name: expected a single value, found a mapping"},
    {"name: a\ninner: x\n", "2: inner: expected a mapping (key: value), found 'x'"},
    {"name: a\ninner:\n", "2: inner: expected a mapping (key: value), found ''"},
    {"name:\ninner: {ca: x}\n", "1: name: expected some text, found ''"},
    {"name: aaaaaaaaaaaaaaaaaaaaa\ninner: {ca: x}\n",
     "1: name: expected a text of 1 to 20 bytes, found 'aaaaaaaaaaaaaaaaaaaaa'"},
    {GOOD "on: maybe\n", "3: on: expected true or false, found 'maybe'"},
    {GOOD "on: yes\n", "3: on: expected true or false, found 'yes'"},
    {GOOD "colour: blue\n", "3: colour: expected one of red, green, found 'blue'"},
    {GOOD "colour: 1\n", "3: colour: expected one of red, green, found '1'"},
    {"name: a\ninner: {ca: x, port: abc}\n",
     "2: inner.port: expected a whole number of at most 65535, found 'abc'"},
    {"name: a\ninner: {ca: x, port: 65536}\n",
     "2: inner.port: expected a whole number of at most 65535, found '65536'"},
    {"name: a\ninner: {ca: x, port: -1}\n",
     "2: inner.port: expected a whole number of at most 65535, found '-1'"},
    {"name: a\ninner: {ca: x, port: 0755}\n",
     "2: inner.port: expected a whole number without leading zeros, found '0755'"},
    {"name: a\ninner: {ca: x, port: \"5432\"}\n",
     "2: inner.port: expected a whole number of at most 65535, found '5432'"},
    {"name: a\ninner: {ca: x, port: 99999999999999999999}\n",
     "2: inner.port: expected a whole number of at most 65535, found "
     "'99999999999999999999'"},
    {GOOD "items: {name: a}\n", "3: items: expected a list, found a mapping"},
    {GOOD "items: a\n", "3: items: expected a list, found 'a'"},
    {GOOD "items: []\n", "3: items: expected a list of 1 to 3, found 0"},
    {GOOD "items: [{name: a}, {name: b}, {name: c}, {name: d}]\n",
     "3: items: expected a list of 1 to 3, found 4"},
    {GOOD "items:\n- {name: a}\n- {nam: b}\n",
     "5: items[1].nam: unknown key; expected one of name, id"},
    {GOOD "items:\n- {name: a}\n- {id: 1}\n", "5: items[1]: the key 'name' is missing"},
    {GOOD "items:\n- {name: a}\n- b\n",
     "5: items[1]: expected a mapping (key: value), found 'b'"},
    {"name: &x a\ninner: {ca: *x}\n", "2: anchors and aliases are not allowed"},
    {GOOD "---\nname: b\n", "3: a second document is not allowed"},
    {"name: a\n inner: {ca: x\n",
     "2: not YAML: mapping values are not allowed in this context"},
    {"name: a\ninner: {ca: x\n", "3: not YAML: did not find expected ',' or '}', while "
                                 "parsing a flow mapping"},
    {"name: \"a\ninner: x\n", "3: not YAML: found unexpected end of stream, while scanning "
                              "a quoted scalar"},
    {"name: a\ninner: {ca: \"x\\0y\"}\n", "2: inner.ca: holds a zero byte"},
    {GOOD "? [a]\n: b\n", "3: expected a key"},
    {GOOD "free: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: b}}}}}}}}}}}}\n",
     "3: free.a.a.a.a.a.a.a.a.a.a.a: nested too deeply"},
};

static void test_errors(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *c = NULL;
        struct err err = {0};
        char expected[ERR_TEXT_SIZE];
        int status = load(rows[i].text, &c, &err);

        snprintf(expected, sizeof expected, "%s:%s", path, rows[i].error);
        if (status != ERR_INVAL || strcmp(err.text, expected) != 0)
            fail_msg("row %zu:\n is '%s'\nnot '%s'", i, err.text, expected);
        assert_null(c);
    }
}

static void test_good(void **unused)
{
    AUTO(config_free) struct config *c = NULL;
    const struct file *f;
    uint32_t ms = 7, ppm = 7;
    uint64_t bytes = 7;
    struct err err = {0};

    (void)unused;
    if (load("name: \"yes\"\non: false\ncolour: green\n"
             "inner: {ca: /x, port: 5432, shift: -5, wait: 1.5s, size: 16MiB}\n"
             "items:\n  - {name: a, id: 4294967295}\n  - name: b\n"
             "free: {east: active, west: {role: standby, tags: [eu]}}\n",
             &c, &err) != 0)
        fail_msg("%s", err.text);
    f = config_data(c);
    assert_string_equal(f->name, "yes");
    assert_false(*f->on);
    assert_int_equal(f->colour, 2);
    assert_int_equal(f->inner.port, 5432);
    assert_int_equal(*f->inner.shift, -5);
    assert_int_equal(f->items_count, 2);
    assert_int_equal(f->items[0].id, 4294967295);
    assert_int_equal(config_duration(c, "inner.wait", &ms, &err), 0);
    assert_int_equal(ms, 1500);
    assert_int_equal(config_size(c, "inner.size", &bytes, &err), 0);
    assert_int_equal(bytes, 16 << 20);
    assert_int_equal(config_share(c, "inner.share", &ppm, &err), 0);
    assert_int_equal(ppm, 7); /* not in the file */
    assert_int_equal(config_child_count(c, "free"), 2);
    assert_string_equal(config_child_name(c, "free", 1), "west");
    assert_null(config_child_name(c, "free", 2));
    assert_string_equal(config_text(c, "free.east"), "active");
    assert_string_equal(config_text(c, "free.west.tags[0]"), "eu");
    assert_null(config_text(c, "free.west"));
    assert_true(config_is_mapping(c, "free.west"));
    assert_false(config_has(c, "free.north"));
}

/* What only the reader can tell is told at the key, or at its nearest parent. */
static void test_config_bad(void **unused)
{
    AUTO(config_free) struct config *c = NULL;
    struct err err = {0};
    char expected[200];
    uint32_t ms;

    (void)unused;
    assert_int_equal(
        load("name: a\ninner:\n  ca: x\n  wait: 3 parsecs\n  size: [1]\n", &c, &err), 0);
    assert_int_equal(config_duration(c, "inner.wait", &ms, &err), ERR_INVAL);
    snprintf(expected, sizeof expected,
             "%s:4: inner.wait: expected a duration such as 300ms, 3s or 10min, found "
             "'3 parsecs'",
             path);
    assert_string_equal(err.text, expected);
    assert_int_equal(config_size(c, "inner.size", &(uint64_t){0}, &err), ERR_INVAL);
    assert_non_null(
        strstr(err.text, ":5: inner.size: expected a single value, found a list"));
    assert_int_equal(config_bad(c, "inner.absent.deeper", &err, "so %d", 5), ERR_INVAL);
    snprintf(expected, sizeof expected, "%s:2: inner.absent.deeper: so 5", path);
    assert_string_equal(err.text, expected);
}

static void test_files(void **unused)
{
    struct config *c = NULL;
    struct err err;

    (void)unused;
    assert_int_equal(config_load("/nowhere/at-all.yaml", &schema, &c, &err), ERR_NOTFOUND);
    assert_string_equal(err.text, "/nowhere/at-all.yaml: No such file or directory");
    assert_int_equal(config_load("/", &schema, &c, &err), ERR_INVAL);
    assert_string_equal(err.text, "/: expected a file, found a directory");
    assert_int_equal(config_load("/dev/zero", &schema, &c, &err), ERR_FULL);
}

static int make_file(void **unused)
{
    int fd;

    (void)unused;
    snprintf(path, sizeof path, "/tmp/rf-config-XXXXXX");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **unused)
{
    (void)unused;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_config_bad),
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
