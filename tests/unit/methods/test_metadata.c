/* What fence agents say of themselves, and what broken or hostile ones do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/buf.h"
#include "fencing/methods/metadata.h"

static const char good[] =
    "<?xml version=\"1.0\" ?>\n"
    "<resource-agent name=\"fence_x\" shortdesc=\"X\" >\n"
    "<symlink name=\"fence_y\" shortdesc=\"Y\"/>\n"
    "<longdesc>Long &amp; short.</longdesc>\n"
    "<parameters>\n"
    "<parameter name=\"ip\" unique=\"0\" required=\"1\" obsoletes=\"ipaddr\">"
    "<getopt mixed=\"-a\" /><content type=\"string\"  />"
    "<shortdesc lang=\"en\">IP</shortdesc></parameter>\n"
    "<parameter name=\"ipaddr\" unique=\"0\" required=\"1\" deprecated=\"1\">"
    "<content type=\"string\"  /></parameter>\n"
    "<parameter name=\"ipport\"><content type=\"integer\" default=\"623\" /></parameter>\n"
    "<parameter name=\"lanplus\"><content type=\"boolean\" default=\"0\" /></parameter>\n"
    "<parameter name=\"tls1.0\"><content type=\"boolean\" /></parameter>\n"
    "<parameter name=\"power_wait\"><content type=\"second\" /></parameter>\n"
    "<parameter name=\"auth\"><content type=\"select\">"
    "<option value=\"md5\" /><option value=\"none\" /></content></parameter>\n"
    "<parameter name=\"newer\"><content type=\"of-2030\" /><colour/></parameter>\n"
    "</parameters>\n"
    "<actions><action name=\"on\" automatic=\"0\"/><action name=\"off\" />"
    "<action name=\"status\" /><action name=\"monitor\" /></actions>\n"
    "</resource-agent>\n";

static struct metadata *parse(const char *text)
{
    struct metadata *m = NULL;
    struct err err = {0};

    if (metadata_parse(&m, text, strlen(text), &err) != 0)
        fail_msg("%s", err.text);
    return m;
}

static void all_that_is_needed_is_read(void **state)
{
    static const struct {
        const char *name;
        enum metadata_type type;
        bool required, deprecated, has_default;
    } table[] = {
        {"ip", METADATA_STRING, true, false, false},
        {"ipaddr", METADATA_STRING, true, true, false},
        {"ipport", METADATA_INTEGER, false, false, true},
        {"lanplus", METADATA_BOOLEAN, false, false, true},
        {"tls1.0", METADATA_BOOLEAN, false, false, false},
        {"power_wait", METADATA_SECONDS, false, false, false},
        {"auth", METADATA_SELECT, false, false, false},
        {"newer", METADATA_STRING, false, false, false},
    };
    struct metadata *m = parse(good);
    const struct metadata_parameter *auth = metadata_find(m, "auth");

    (void)state;
    assert_string_equal(m->agent, "fence_x");
    assert_int_equal(m->count, ARRAY_LEN(table));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct metadata_parameter *p = metadata_find(m, table[i].name);

        assert_non_null(p);
        assert_int_equal(p->type, table[i].type);
        assert_int_equal(p->required, table[i].required);
        assert_int_equal(p->deprecated, table[i].deprecated);
        assert_int_equal(p->has_default, table[i].has_default);
    }
    assert_int_equal(auth->choice_count, 2);
    assert_string_equal(m->choices[auth->first_choice], "md5");
    assert_string_equal(m->choices[auth->first_choice + 1], "none");
    assert_string_equal(metadata_successor(m, "ipaddr")->name, "ip");
    assert_null(metadata_successor(m, "ip"));
    assert_null(metadata_find(m, "port"));
    assert_true(m->has_off && m->has_status && m->has_monitor);
    assert_false(m->is_fabric);
    metadata_free(m);
}

static void actions_are_those_that_are_named(void **state)
{
    struct metadata *m = parse("<resource-agent><actions><action name=\"on\" "
                               "automatic=\"1\"/><action name=\"status\"/></actions>"
                               "</resource-agent>");

    (void)state;
    assert_true(m->is_fabric);
    assert_false(m->has_off);
    assert_true(m->has_status);
    assert_false(m->has_monitor);
    metadata_free(m);
}

static void expect_refused(const char *text, size_t len, const char *says)
{
    struct metadata *m = NULL;
    struct err err = {0};

    if (metadata_parse(&m, text, len, &err) != ERR_BADMSG ||
        strstr(err.text, says) == NULL || strncmp(err.text, "line ", 5) != 0)
        fail_msg("%.60s: %s: '%s' lacks '%s'", text, err_name(err.code), err.text, says);
    assert_null(m);
}

static void what_is_no_metadata_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } table[] = {
        {"", "no XML"},
        {"Traceback (most recent call last):\n", "no XML"},
        {"<resource-agent>", "no XML"},
        {"<resource-agent></parameters>", "no XML"},
        {"<resource-agent/><resource-agent/>", "no XML"},
        {"<html/>", "<resource-agent> is expected"},
        {"<resource-agent>&x;</resource-agent>", "no XML"},
        {"<resource-agent><parameter/></resource-agent>", "without a name"},
        {"<resource-agent><parameter name=\"\"/></resource-agent>", "without a name"},
        {"<resource-agent><parameter name=\"a b\"/></resource-agent>", "without a name"},
        {"<resource-agent><parameter name=\"a&#10;b\"/></resource-agent>",
         "without a name"},
        {"<resource-agent><parameter name=\"a\"/><parameter name=\"a\"/></resource-agent>",
         "twice"},
        {"<resource-agent><parameter name=\"a\"><content type=\"select\">"
         "<option value=\"a&#10;b\"/></content></parameter></resource-agent>",
         "choose"},
        {"<!DOCTYPE resource-agent><resource-agent/>", "document type"},
        {"<!DOCTYPE r SYSTEM \"file:///etc/passwd\"><resource-agent/>", "document type"},
        {"<?xml version=\"1.0\"?>\n<!DOCTYPE r [<!ENTITY a \"ha\">"
         "<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]>"
         "<resource-agent name=\"&c;\"/>",
         "document type"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_refused(table[i].text, strlen(table[i].text), table[i].says);
    expect_refused("<resource-agent>\0</resource-agent>", 34, "no XML");
    expect_refused("\xff\xfe\xff", 3, "no XML");
}

/* A long document, of which `part` is repeated. */
static void expect_too_much(const char *head, const char *part, unsigned times,
                            const char *says)
{
    AUTO(buf_free) struct buf b = {0};
    char text[200];

    assert_int_equal(buf_append(&b, head, strlen(head), NULL), 0);
    for (unsigned i = 0; i < times; i++) {
        const int n = snprintf(text, sizeof text, part, i);

        assert_int_equal(buf_append(&b, text, (size_t)n, NULL), 0);
    }
    expect_refused((const char *)b.data, b.len, says);
}

/* Nothing of it grows without an end. */
static void too_much_of_anything_is_refused(void **state)
{
    (void)state;
    expect_too_much("<resource-agent>", "<parameter name=\"p%u\"/>", 1000, "more than 128");
    expect_too_much("<resource-agent>", "<deeper no=\"%u\">", 1000, "nested");
    expect_too_much("<resource-agent><parameter name=\"p\"><content type=\"select\"/>",
                    "<option value=\"%u\"/>", 1000, "choose");
    expect_too_much(
        "<resource-agent><parameter name=\"p\"><content type=\"select\"/>",
        "<option value=\"a-very-long-one-that-goes-on-and-on-and-on-for-ever-%u\"/>", 1,
        "choose");
}

/* Cut off or changed anywhere it is an error or metadata, and never anything else. */
static void damage_is_survived(void **state)
{
    static const unsigned char bits[] = {0x01, 0x02, 0x20, 0x80};
    char text[sizeof good];

    (void)state;
    for (size_t len = 0; len < sizeof good - 1; len++) {
        struct metadata *m = NULL;

        if (metadata_parse(&m, good, len, NULL) == 0)
            assert_int_equal(len, sizeof good - 2); /* the last newline */
        metadata_free(m);
    }
    for (size_t at = 0; at < sizeof good - 1; at++)
        for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
            struct metadata *m = NULL;
            struct err err = {0};

            memcpy(text, good, sizeof good);
            text[at] = (char)((unsigned char)text[at] ^ bits[i]);
            if (metadata_parse(&m, text, sizeof good - 1, &err) != 0)
                assert_int_equal(err.code, ERR_BADMSG);
            metadata_free(m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_needed_is_read),
        cmocka_unit_test(actions_are_those_that_are_named),
        cmocka_unit_test(what_is_no_metadata_is_refused),
        cmocka_unit_test(too_much_of_anything_is_refused),
        cmocka_unit_test(damage_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
