#include <string.h>

#include "tests/unit/net/bench.h"

/* Only the exact form names a node. */
static void parses_strictly(void **state)
{
    static const struct {
        const char *uri;
        bool good;
    } table[] =
        {
            {"ringfence://prod/controller/east", true},
            {"ringfence://prod/agent/pg-east-1", true},
            {"ringfence://0/agent/9", true},
            {"ringfence://prod/user/alice", true},
            {"ringfence://prod/users/alice", false},
            {"ringfence://prod/user/", false},
            {"ringfence://prod/controller/east/", false},
            {"ringfence://prod/controller/", false},
            {"ringfence://prod/controller", false},
            {"ringfence:///controller/east", false},
            {"ringfence://prod//east", false},
            {"ringfence://prod/operator/east", false},
            {"ringfence://prod/Controller/east", false},
            {"ringfence://Prod/controller/east", false},
            {"ringfence://prod:1/controller/east", false},
            {"ringfence://prod/controller/east?x", false},
            {"ringfence://prod/controller/-east", false},
            {"ringfence://prod/controller/east-", false},
            {"ringfence://prod/controller/a%61", false},
            {"ringfence://prod/controller/\xc3\xa4", false},
            {"RINGFENCE://prod/controller/east", false},
            {"https://prod/controller/east", false},
            {"ringfence://", false},
            {"", false},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct identity id;
        struct err err;
        char text[IDENTITY_TEXT_SIZE];

        print_message("%s\n", row->uri);
        if (!row->good) {
            assert_int_equal(identity_parse(&id, row->uri, strlen(row->uri), &err),
                             ERR_INVAL);
            continue;
        }
        assert_int_equal(identity_parse(&id, row->uri, strlen(row->uri), &err), 0);
        identity_format(&id, text);
        assert_string_equal(text, row->uri);
    }
}

/* A zero byte inside does not end the name early. */
static void zero_byte_is_refused(void **state)
{
    static const char uri[] = "ringfence://prod/agent/a\0evil";
    struct identity id;
    struct err err;

    (void)state;
    assert_int_equal(identity_parse(&id, uri, sizeof uri - 1, &err), ERR_INVAL);
}

/* 63 is the longest name; the longest identity fits its text. */
static void longest_names_fit(void **state)
{
    char name[IDENTITY_NAME_SIZE + 1], text[IDENTITY_TEXT_SIZE];
    struct identity id, back;
    struct err err;

    (void)state;
    memset(name, 'a', sizeof name);
    name[IDENTITY_NAME_SIZE] = '\0';
    assert_int_equal(identity_make(&id, IDENTITY_CONTROLLER, name, "x", &err), ERR_INVAL);
    name[IDENTITY_NAME_SIZE - 1] = '\0';
    assert_int_equal(identity_make(&id, IDENTITY_CONTROLLER, name, name, &err), 0);
    identity_format(&id, text);
    assert_int_equal(identity_parse(&back, text, strlen(text), &err), 0);
    assert_true(identity_equals(&id, &back));
}

/* Role, cluster and name all count. */
static void differs_in_any_part(void **state)
{
    struct identity a = bench_id(IDENTITY_AGENT, "x"), b = a;

    (void)state;
    assert_true(identity_equals(&a, &b));
    b.role = IDENTITY_CONTROLLER;
    assert_false(identity_equals(&a, &b));
    b = a;
    b.cluster[0] = 'q';
    assert_false(identity_equals(&a, &b));
    b = a;
    b.name[0] = 'y';
    assert_false(identity_equals(&a, &b));
}

/* An address is what configuration files may hold, and nothing more. */
static void addresses(void **state)
{
    static const struct {
        const char *text, *host; /* host NULL: refused */
        uint16_t port;
    } table[] =
        {
            {"10.0.0.2:7400", "10.0.0.2", 7400},
            {"[fd00::2]:7400", "fd00::2", 7400},
            {"east.example.org:1", "east.example.org", 1},
            {"127.0.0.1:0", "127.0.0.1", 0},
            {"127.0.0.1:65535", "127.0.0.1", 65535},
            {"127.0.0.1:65536", NULL, 0},
            {"127.0.0.1:000080", NULL, 0},
            {"127.0.0.1:-1", NULL, 0},
            {"127.0.0.1:", NULL, 0},
            {"127.0.0.1", NULL, 0},
            {":7400", NULL, 0},
            {"fd00::2:7400", NULL, 0},
            {"[fd00::2:7400", NULL, 0},
            {"[]:7400", NULL, 0},
            {"http://east:7400", NULL, 0},
            {"ea st:7400", NULL, 0},
            {"", NULL, 0},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct address a;
        struct err err;
        char text[ADDRESS_TEXT_SIZE];

        print_message("%s\n", row->text);
        if (row->host == NULL) {
            assert_int_equal(address_parse(&a, row->text, &err), ERR_INVAL);
            continue;
        }
        assert_int_equal(address_parse(&a, row->text, &err), 0);
        assert_string_equal(a.host, row->host);
        assert_int_equal(a.port, row->port);
        address_format(&a, text);
        assert_string_equal(text, row->text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_strictly),   cmocka_unit_test(zero_byte_is_refused),
        cmocka_unit_test(longest_names_fit), cmocka_unit_test(differs_in_any_part),
        cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
