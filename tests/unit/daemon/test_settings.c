/* ringfenced.yaml: what is good is read, what is wrong is named with line and key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/findings.h"
#include "controller/daemon/settings.h"

static const char good[] =
    "cluster: demo\n"
    "name: west\n"
    "data_dir: /d\n"
    "listen: 10.0.2.2:7400\n"
    "socket: /s\n"
    "metrics: 127.0.0.1:7402\n"
    "tls: {ca: /a, cert: /b, key: /c}\n"
    "raft: {election: 300ms, heartbeat: 50ms}\n"
    "controllers:\n"
    "  - {id: 1, name: east, region: e, address: \"10.0.1.2:7400\"}\n"
    "  - {id: 2, name: west, region: w, address: \"10.0.2.2:7400\"}\n"
    "  - {id: 3, name: third, region: t, address: \"10.0.3.2:7400\"}\n";

static int load(const char *text, struct settings *s, struct err *err)
{
    char path[] = "/tmp/rf-daemon-settings-XXXXXX";
    int fd = mkstemp(path), status;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    status = settings_load(s, path, NULL, err);
    unlink(path);
    return status;
}

static void every_key_is_read(void **state)
{
    struct settings s;
    struct err err;

    (void)state;
    if (load(good, &s, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(s.cluster, "demo");
    assert_string_equal(s.name, "west");
    assert_string_equal(s.data_dir, "/d");
    assert_string_equal(s.listen.host, "10.0.2.2");
    assert_int_equal(s.listen.port, 7400);
    assert_string_equal(s.socket, "/s");
    assert_true(s.has_metrics);
    assert_int_equal(s.metrics.port, 7402);
    assert_string_equal(s.ca, "/a");
    assert_string_equal(s.cert, "/b");
    assert_string_equal(s.key, "/c");
    assert_int_equal(s.election_ms, 300);
    assert_int_equal(s.heartbeat_ms, 50);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.self, 1);
    assert_string_equal(s.controllers[2].name, "third");
    assert_string_equal(s.controllers[2].region, "t");
    assert_int_equal(s.controllers[2].id, 3);
}

static void what_is_left_out_has_its_default(void **state)
{
    static const char few[] =
        "cluster: demo\nname: one\nlisten: 10.0.2.2:7400\n"
        "tls: {ca: /a, cert: /b, key: /c}\n"
        "controllers: [{id: 7, name: one, region: r, address: \"10.0.1.2:7400\"}]\n";
    struct settings s;
    struct err err;

    (void)state;
    if (load(few, &s, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(s.data_dir, "/var/lib/ringfence/controller");
    assert_string_equal(s.socket, "/run/ringfence/ringfenced.sock");
    assert_false(s.has_metrics);
    assert_int_equal(s.election_ms, 900);
    assert_int_equal(s.heartbeat_ms, 100);
}

static void the_example_is_good(void **state)
{
    struct settings s;
    struct err err;

    (void)state;
    if (settings_load(&s, EXAMPLE, NULL, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(s.count, 3);
}

/* One word of the good file is replaced; the error names line, key and what is wanted. */
static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *from, *to;
        const char *at, *key, *says;
    } table[] = {
        {"cluster: demo", "cluster: Demo", ":1: ", "cluster", "a-z"},
        {"cluster: demo", "clutser: demo", ":1: ", "clutser", "cluster"},
        {"name: west\n", "name: north\n", ":2: ", "name", "`controllers`"},
        {"name: west\n", "", "", "name", ""},
        {"data_dir: /d", "data_dir: d", ":3: ", "data_dir", "absolute"},
        {"listen: 10.0.2.2:7400", "listen: 10.0.2.2", ":4: ", "listen", "port"},
        {"listen: 10.0.2.2:7400", "listen: 10.0.2.2:99999", ":4: ", "listen", "99999"},
        {"socket: /s", "socket: s", ":5: ", "socket", "absolute"},
        {"metrics: 127.0.0.1:7402", "metrics: here", ":6: ", "metrics", ""},
        {"key: /c}", "kay: /c}", ":7: ", "tls.kay", "key"},
        {", key: /c}", "}", ":7: ", "tls", "key"},
        {"election: 300ms", "election: 300", ":8: ", "raft.election", "300ms"},
        {"election: 300ms", "election: 1ms", ":8: ", "raft.election", "50ms to 10s"},
        {"heartbeat: 50ms", "heartbeat: 200ms", ":8: ", "raft.heartbeat", "third"},
        {"id: 2", "id: 1", ":11: ", "controllers[1]", "once"},
        {"id: 2", "id: two", ":11: ", "controllers[1].id", ""},
        {"id: 2", "id: 0", ":11: ", "controllers[1].id", "above 0"},
        {"name: third", "name: west", ":12: ", "controllers[2]", "once"},
        {"address: \"10.0.3.2:7400\"", "address: \"10.0.3.2:0\"",
         ":12: ", "controllers[2].address", "port"},
        {"address: \"10.0.3.2:7400\"", "address: \"10.0.1.2:7400\"",
         ":12: ", "controllers[2].address", "controllers[0]"},
        {"region: t, ", "", ":12: ", "controllers[2]", "region"},
        {"  - {id: 3, name: third, region: t, address: \"10.0.3.2:7400\"}\n", "",
         ":9: ", "controllers", "odd"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *found = strstr(good, table[i].from);
        char text[1000];
        struct settings s;
        struct err err = {0};

        assert_non_null(found);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(found - good), good, table[i].to,
                 found + strlen(table[i].from));
        if (load(text, &s, &err) == 0)
            fail_msg("\"%s\" was accepted", table[i].to);
        if (strstr(err.text, table[i].at) == NULL ||
            strstr(err.text, table[i].key) == NULL ||
            strstr(err.text, table[i].says) == NULL)
            fail_msg("\"%s\": \"%s\" lacks \"%s\", \"%s\" or \"%s\"", table[i].to, err.text,
                     table[i].at, table[i].key, table[i].says);
    }
}

struct said {
    unsigned errors, warnings;
    char last[600];
};

static void on_finding(void *owner, bool is_error, const char *key, const char *text)
{
    struct said *s = owner;

    s->errors += is_error;
    s->warnings += !is_error;
    snprintf(s->last, sizeof s->last, "%s: %s", key, text);
}

/* What the others dial is this host, as far as it can tell: a translated address is known
 * to the network only. */
static void the_own_entry_is_looked_at(void **state)
{
    static const struct {
        const char *listen, *own;
        unsigned errors, warnings;
        const char *says;
    } table[] = {
        {"127.0.0.1", "127.0.0.1", 0, 0, ""},
        {"0.0.0.0", "127.0.0.1", 0, 0, ""},
        {"0.0.0.0", "192.0.2.1", 0, 1, "192.0.2.1 is not an address of this host"},
        {"127.0.0.1", "192.0.2.1", 0, 1, "translates it"},
        {"127.0.0.1", "127.0.0.2", 1, 0, "listens on 127.0.0.1 only"},
        {"127.0.0.1", "east.example.org", 0, 0, ""}, /* who knows what it is elsewhere */
    };
    char dir[] = "/tmp/rf-daemon-settings-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct settings s = {.count = 1, .self = 0};
        struct said said = {0};
        struct findings f = {.say = on_finding, .owner = &said};

        snprintf(s.data_dir, sizeof s.data_dir, "%s", dir);
        snprintf(s.socket, sizeof s.socket, "%s/socket", dir);
        snprintf(s.listen.host, sizeof s.listen.host, "%s", table[i].listen);
        snprintf(s.controllers[0].at.host, sizeof s.controllers[0].at.host, "%s",
                 table[i].own);
        settings_check(&s, true, &f);
        if (said.errors != table[i].errors || said.warnings != table[i].warnings ||
            strstr(said.last, table[i].says) == NULL ||
            (table[i].says[0] != 0 &&
             strncmp(said.last, "controllers[0].address: ", 24) != 0))
            fail_msg("%s, %s: %u errors, %u warnings: %s", table[i].listen, table[i].own,
                     said.errors, said.warnings, said.last);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(the_example_is_good),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(the_own_entry_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
