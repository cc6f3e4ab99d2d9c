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
    "tls: {ca: /a, cert: /b, crl: /r, key: /c}\n"
    "raft: {election: 300ms, heartbeat: 50ms}\n"
    "controllers:\n"
    "  - {id: 1, name: east, region: e, address: \"10.0.1.2:7400\"}\n"
    "  - {id: 2, name: west, region: w, address: \"10.0.2.2:7400\"}\n"
    "  - {id: 3, name: third, region: t, address: \"10.0.3.2:7400\"}\n"
    "api: {listen: 10.0.2.2:7404, connections: 100, idle: 30s}\n"
    "fencers:\n"
    "  - name: bmc-east\n"
    "    agent: fence_ipmilan\n"
    "    options: {ip: 10.0.1.9, lanplus: yes, cipher: 3}\n"
    "    secrets: {password: /etc/s}\n"
    "    deadline: 20s\n"
    "  - {name: bmc-west, agent: /opt/fence_own}\n"
    "audit: {key: /k, retention: 400d, ship: {every: 90s, s3: {url: \"https://s3.x.org/\", "
    "bucket: b1, prefix: p/q, region: eu-1, access_key_file: /ak, secret_key_file: /sk, "
    "ca: /sc, retain: 2y, mode: compliance}}}\n"
    "disk_reserve: 32MiB\n";

enum { DAY_MS = 86400000 };

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

/* As the file has them, quoted or not: `yes` is the agent's word, not YAML's. */
static void expect_fencers(const struct settings *s)
{
    const struct power_device *d = s->fencers;

    assert_int_equal(s->fencer_count, 2);
    assert_string_equal(d[0].name, "bmc-east");
    assert_string_equal(d[0].agent, "fence_ipmilan");
    assert_int_equal(d[0].deadline_ms, 20000);
    assert_int_equal(d[0].option_count, 3);
    assert_string_equal(d[0].options[0].key, "ip");
    assert_string_equal(d[0].options[0].value, "10.0.1.9");
    assert_string_equal(d[0].options[1].value, "yes");
    assert_string_equal(d[0].options[2].value, "3");
    assert_int_equal(d[0].secret_count, 1);
    assert_string_equal(d[0].secrets[0].key, "password");
    assert_string_equal(d[0].secrets[0].value, "/etc/s");
    assert_string_equal(d[1].agent, "/opt/fence_own");
    assert_int_equal(d[1].option_count + d[1].secret_count, 0);
    assert_int_equal(d[1].deadline_ms, POWER_DEADLINE_DEFAULT_MS);
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
    assert_true(s.has_api);
    assert_string_equal(s.api.listen.host, "10.0.2.2");
    assert_int_equal(s.api.listen.port, 7404);
    assert_int_equal(s.api.connections, 100);
    assert_int_equal(s.api.per_address, 64);
    assert_int_equal(s.api.arrivals_per_s, 50);
    assert_int_equal(s.api.requests_per_s, 50);
    assert_int_equal(s.api.handshake_ms, 5000);
    assert_int_equal(s.api.request_ms, 15000);
    assert_int_equal(s.api.idle_ms, 30000);
    assert_string_equal(s.ca, "/a");
    assert_string_equal(s.cert, "/b");
    assert_string_equal(s.key, "/c");
    assert_int_equal(s.election_ms, 300);
    assert_int_equal(s.heartbeat_ms, 50);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.self, 1);
    assert_string_equal(s.crl, "/r");
    assert_string_equal(s.audit_key, "/k");
    assert_int_equal(s.audit_retention_ms, 400 * (uint64_t)DAY_MS);
    assert_int_equal(s.ship.kind, SHIP_S3);
    assert_int_equal(s.ship_every_ms, 90000);
    assert_string_equal(s.ship.cluster, "demo");
    assert_string_equal(s.ship.writer, "west");
    assert_string_equal(s.ship.url, "https://s3.x.org");
    assert_string_equal(s.ship.bucket, "b1");
    assert_string_equal(s.ship.prefix, "p/q/");
    assert_string_equal(s.ship.region, "eu-1");
    assert_string_equal(s.ship.access_key, "/ak");
    assert_string_equal(s.ship.secret_key, "/sk");
    assert_string_equal(s.ship.ca, "/sc");
    assert_int_equal(s.ship.retain_ms, 732 * (uint64_t)DAY_MS);
    assert_true(s.ship.compliance);
    assert_int_equal(s.disk_reserve, 32 << 20);
    assert_string_equal(s.controllers[2].name, "third");
    assert_string_equal(s.controllers[2].region, "t");
    assert_int_equal(s.controllers[2].id, 3);
    expect_fencers(&s);
    settings_free(&s);
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
    assert_false(s.has_api);
    assert_string_equal(s.crl, "");
    assert_string_equal(s.audit_key, "");
    assert_int_equal(s.audit_retention_ms, 13 * 31 * (uint64_t)DAY_MS);
    assert_int_equal(s.ship.kind, SHIP_NONE);
    assert_int_equal(s.disk_reserve, 64 << 20);
    assert_int_equal(s.election_ms, 900);
    assert_int_equal(s.heartbeat_ms, 100);
    assert_int_equal(s.fencer_count, 0);
    assert_null(s.fencers);
}

static void a_retention_is_days_months_or_years(void **state)
{
    static const struct {
        const char *text;
        uint64_t days;
    } table[] = {{"1d", 1}, {"13mo", 403}, {"2y", 732}, {"forever", 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[sizeof good + 16];
        const char *at = strstr(good, "400d");
        struct settings s;
        struct err err;

        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, table[i].text,
                 at + 4);
        if (load(text, &s, &err) != 0)
            fail_msg("%s: %s", table[i].text, err.text);
        assert_int_equal(s.audit_retention_ms, table[i].days * (uint64_t)DAY_MS);
        settings_free(&s);
    }
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
struct mistake {
    const char *from, *to;
    const char *at, *key, *says;
};

static void expect_named(const struct mistake *m)
{
    const char *found = strstr(good, m->from);
    char text[2000];
    struct settings s;
    struct err err = {0};

    assert_non_null(found);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(found - good), good, m->to,
             found + strlen(m->from));
    if (load(text, &s, &err) == 0)
        fail_msg("\"%s\" was accepted", m->to);
    if (strstr(err.text, m->at) == NULL || strstr(err.text, m->key) == NULL ||
        strstr(err.text, m->says) == NULL)
        fail_msg("\"%s\": \"%s\" lacks \"%s\", \"%s\" or \"%s\"", m->to, err.text, m->at,
                 m->key, m->says);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct mistake table[] = {
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
        {"crl: /r", "crl: r", ":7: ", "tls.crl", "absolute"},
        {"crl: /r", "crls: /r", ":7: ", "tls.crls", "crl"},
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
        {"listen: 10.0.2.2:7404", "listen: east", ":13: ", "api.listen", "port"},
        {"listen: 10.0.2.2:7404, ", "", ":13: ", "api", "listen"},
        {"connections: 100", "connections: 31", ":13: ", "api.connections", "32 to 16384"},
        {"connections: 100", "connections_per_address: 100000",
         ":13: ", "api.connections_per_address", "1 to 16384"},
        {"connections: 100", "connections_per_second: 20000",
         ":13: ", "api.connections_per_second", "1 to 10000"},
        {"connections: 100", "requests_per_second: -1", ":13: ", "api.requests_per_second",
         ""},
        {"connections: 100", "tls: off", ":13: ", "api.tls", "listen"},
        {"idle: 30s", "idle: 30", ":13: ", "api.idle", "300ms"},
        {"idle: 30s", "handshake: 2h", ":13: ", "api.handshake", "1s to 1h"},
        {"idle: 30s", "request: 10ms", ":13: ", "api.request", "1s to 1h"},
        {"key: /k", "key: k", ":21: ", "audit.key", "absolute"},
        {"key: /k", "keys: /k", ":21: ", "audit.keys", "key"},
        {"400d", "400", ":21: ", "audit.retention", "13mo"},
        {"400d", "0d", ":21: ", "audit.retention", "13mo"},
        {"400d", "-1y", ":21: ", "audit.retention", "13mo"},
        {"400d", "99999999d", ":21: ", "audit.retention", "13mo"},
        {"400d", "never", ":21: ", "audit.retention", "forever"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_named(&table[i]);
}

static void what_is_wrong_with_shipping_is_named(void **state)
{
    static const struct mistake table[] = {
        {"key: /k, ", "", ":21: ", "audit.ship", "audit.key is missing"},
        {"every: 90s, ", "every: 90s, directory: /d, ", ":21: ", "audit.ship", "either"},
        {"every: 90s", "every: 10ms", ":21: ", "audit.ship.every", "1s to 24h"},
        {"https://s3", "http://s3", ":21: ", "audit.ship.s3.url", "https://HOST"},
        {"https://s3.x.org/", "http://localhost.x.org", ":21: ", "audit.ship.s3.url", ""},
        {"https://s3.x.org/", "https://a:b@x.org", ":21: ", "audit.ship.s3.url", ""},
        {"bucket: b1", "bucket: b/1", ":21: ", "audit.ship.s3.bucket", "letters"},
        {"prefix: p/q", "prefix: \"p q\"", ":21: ", "audit.ship.s3.prefix", "folder"},
        {"region: eu-1", "region: eu_1", ":21: ", "audit.ship.s3.region", "eu-central-1"},
        {"region: eu-1, ", "", ":21: ", "audit.ship.s3", "region"},
        {"access_key_file: /ak", "access_key_file: ak",
         ":21: ", "audit.ship.s3.access_key_file", "absolute"},
        {"secret_key_file", "secret_key", ":21: ", "audit.ship.s3.secret_key", ""},
        {"retain: 2y", "retain: 2w", ":21: ", "audit.ship.s3.retain", "13mo"},
        {"retain: 2y, ", "", ":21: ", "audit.ship.s3.mode", "`retain`"},
        {"mode: compliance", "mode: legal", ":21: ", "audit.ship.s3.mode", "governance"},
        {"disk_reserve: 32MiB", "disk_reserve: 8MiB", ":22: ", "disk_reserve", "16MiB"},
        {"disk_reserve: 32MiB", "disk_reserve: 32", ":22: ", "disk_reserve", "16MiB"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_named(&table[i]);
}

static void what_is_wrong_with_a_fencer_is_named(void **state)
{
    static const struct mistake table[] = {
        {"name: bmc-east", "name: BMC", ":15: ", "fencers[0].name", "a-z"},
        {"name: bmc-west", "name: bmc-east", ":20: ", "fencers[1]", "once"},
        {"name: bmc-west, ", "", ":20: ", "fencers[1]", "name"},
        {"agent: fence_ipmilan", "agnet: fence_ipmilan", ":16: ", "fencers[0].agnet",
         "options"},
        {"agent: fence_ipmilan", "agent: bin/fence", ":16: ", "fencers[0].agent",
         "absolute path"},
        {"options: {ip: 10.0.1.9, lanplus: yes, cipher: 3}", "options: [ip]",
         ":17: ", "fencers[0].options", "{ip: 10.0.1.9}"},
        {"options: {ip: 10.0.1.9,", "options: {ip: [1, 2],",
         ":17: ", "fencers[0].options.ip", "single value"},
        {"cipher: 3", "action: on", ":17: ", "fencers[0].options.action", "Ringfence"},
        {"cipher: 3", "ip: b", ":17: ", "fencers[0].options.ip", "twice"},
        {"cipher: 3", "plug: \"1\\naction=on\"", ":17: ", "fencers[0].options.plug",
         "line end"},
        {"cipher: 3", "password: x", ":18: ", "fencers[0].secrets.password", "twice"},
        {"password: /etc/s", "password: s", ":18: ", "fencers[0].secrets.password",
         "absolute path"},
        {"deadline: 20s", "deadline: 20", ":19: ", "fencers[0].deadline", "20"},
        {"deadline: 20s", "deadline: 1h", ":19: ", "fencers[0].deadline", "1s to 10min"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_named(&table[i]);
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

/* What a fencer lacks is an error for who asks, and no reason not to start: the controller
 * has a vote. */
static void fencers_are_looked_at(void **state)
{
    struct power_device fencer = {
        .name = "bmc-east", .agent = "fence_of_nobody", .deadline_ms = 40000};
    char dir[] = "/tmp/rf-daemon-settings-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int starting = 0; starting < 2; starting++) {
        struct settings s = {.count = 1, .fencer_count = 1, .fencers = &fencer};
        struct said said = {0};
        struct findings f = {.say = on_finding, .owner = &said};

        snprintf(s.data_dir, sizeof s.data_dir, "%s", dir);
        snprintf(s.socket, sizeof s.socket, "%s/socket", dir);
        snprintf(s.listen.host, sizeof s.listen.host, "127.0.0.1");
        snprintf(s.controllers[0].at.host, sizeof s.controllers[0].at.host, "127.0.0.1");
        settings_check(&s, starting, &f);
        assert_int_equal(said.errors, !starting);
        assert_int_equal(said.warnings, starting);
        assert_non_null(
            strstr(said.last, "fencers[0].agent: fencer bmc-east: there is no "));
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(a_retention_is_days_months_or_years),
        cmocka_unit_test(the_example_is_good),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(what_is_wrong_with_shipping_is_named),
        cmocka_unit_test(what_is_wrong_with_a_fencer_is_named),
        cmocka_unit_test(the_own_entry_is_looked_at),
        cmocka_unit_test(fencers_are_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
