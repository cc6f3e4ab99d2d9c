/* What is wrong with a fencer is said before the disaster, with its name and the option's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "controller/base/findings.h"
#include "fencing/methods/metadata.h"
#include "tests/unit/methods/bench.h"

#define PARAMETER(attributes, content)                                                     \
    "<parameter " attributes ">" content "<shortdesc "                                     \
    "lang=\"en\">x</shortdesc></parameter>"
#define STRING "<content type=\"string\"  />"

static const char fence_x[] = "<resource-agent name=\"fence_x\"><parameters>" PARAMETER(
    "name=\"action\" required=\"1\"",
    STRING) PARAMETER("name=\"ip\" required=\"1\" obsoletes=\"ipaddr\"", STRING)
    PARAMETER("name=\"ipaddr\" required=\"1\" deprecated=\"1\"", STRING)
        PARAMETER("name=\"username\" required=\"1\" obsoletes=\"login\"", STRING) PARAMETER(
            "name=\"ipport\" required=\"1\"", "<content type=\"integer\" default=\"623\"/>")
            PARAMETER("name=\"lanplus\"", "<content type=\"boolean\"/>")
                PARAMETER("name=\"power_wait\"", "<content type=\"second\"/>") PARAMETER(
                    "name=\"auth\"", "<content type=\"select\"><option value=\"md5\"/>"
                                     "<option value=\"password\"/></content>")
                    PARAMETER("name=\"password\" obsoletes=\"passwd\"", STRING) PARAMETER(
                        "name=\"passwd\" deprecated=\"1\"",
                        STRING) PARAMETER("name=\"password_script\"",
                                          STRING) PARAMETER("name=\"identity\"", STRING)
                        PARAMETER("name=\"identity_script\"", STRING) PARAMETER(
                            "name=\"secret_key\"",
                            STRING) "</parameters><actions><action name=\"on\" "
                                    "automatic=\"0\"/><action name=\"off\"/>"
                                    "<action name=\"status\"/></actions></resource-agent>";

struct said {
    unsigned errors, warnings;
    char all[4000];
};

static void on_finding(void *owner, bool is_error, const char *key, const char *text)
{
    struct said *s = owner;
    const size_t used = strlen(s->all);

    s->errors += is_error;
    s->warnings += !is_error;
    snprintf(s->all + used, sizeof s->all - used, "%s: %s: %s\n",
             is_error ? "error" : "warning", key, text);
}

static struct said match(const char *xml, const struct power_device *d)
{
    struct said said = {0};
    struct findings f = {.say = on_finding, .owner = &said};
    struct metadata *m = NULL;
    struct err err = {0};

    if (metadata_parse(&m, xml, strlen(xml), &err) != 0)
        fail_msg("%s", err.text);
    power_device_match(d, m, "fencers[2]", &f);
    metadata_free(m);
    return said;
}

static void give(struct power_pair *to, const char *key, const char *value)
{
    snprintf(to->key, sizeof to->key, "%s", key);
    snprintf(to->value, sizeof to->value, "%s", value);
}

/* ip and username are there, and what the row adds. */
static struct power_device device_with(const char *option, const char *value,
                                       const char *secret)
{
    struct power_device d = {
        .name = "bmc-east", .agent = "fence_x", .deadline_ms = 40000, .option_count = 2};

    give(&d.options[0], "ip", "10.0.0.9");
    give(&d.options[1], "username", "admin");
    if (option != NULL)
        give(&d.options[d.option_count++], option, value);
    if (secret != NULL)
        give(&d.secrets[d.secret_count++], secret, "/etc/ringfence/bmc.secret");
    return d;
}

static void options_are_those_of_the_agent(void **state)
{
    static const struct {
        const char *option, *value, *secret;
        unsigned errors, warnings;
        const char *at, *says;
    } table[] = {
        {NULL, NULL, NULL, 0, 0, "", ""},
        {NULL, NULL, "password", 0, 0, "", ""},
        {NULL, NULL, "secret_key", 0, 0, "", ""},
        {NULL, NULL, "passwd", 0, 1, "secrets.passwd", "\"password\" now"},
        {NULL, NULL, "pasword", 1, 0, "secrets.pasword", "no parameter \"pasword\""},
        {"lanplus", "1", NULL, 0, 0, "", ""},
        {"lanplus", "Yes", NULL, 0, 0, "", ""},
        {"lanplus", "ja", NULL, 1, 0, "options.lanplus", "1 or 0"},
        {"lanplus", "", NULL, 1, 0, "options.lanplus", "1 or 0"},
        {"ipport", "623", NULL, 0, 0, "", ""},
        {"ipport", "six", NULL, 1, 0, "options.ipport", "whole number"},
        {"ipport", "-", NULL, 1, 0, "options.ipport", "whole number"},
        {"power_wait", "0", NULL, 0, 0, "", ""},
        {"power_wait", "2s", NULL, 1, 0, "options.power_wait", "without a unit"},
        {"power_wait", "-1", NULL, 1, 0, "options.power_wait", "seconds"},
        {"auth", "MD5", NULL, 0, 0, "", ""},
        {"auth", "password", NULL, 0, 0, "", ""},
        {"auth", "sha", NULL, 1, 0, "options.auth", "one of: md5, password"},
        {"cipher", "3", NULL, 1, 0, "options.cipher", "`fence_x -o metadata`"},
        {"ipaddr", "10.0.0.9", NULL, 0, 1, "options.ipaddr", "\"ip\" now"},
        {"login", "admin", NULL, 0, 1, "options.login", "\"username\" now"},
        {"password", "x", NULL, 1, 0, "options.password", "`secrets`"},
        {"passwd", "x", NULL, 1, 1, "options.passwd", "`secrets`"},
        {"secret_key", "x", NULL, 1, 0, "options.secret_key", "`secrets`"},
        {"identity", "x", NULL, 1, 0, "options.identity", "`secrets`"},
        {"password_script", "/usr/local/bin/pw", NULL, 0, 0, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct power_device d =
            device_with(table[i].option, table[i].value, table[i].secret);
        const struct said said = match(fence_x, &d);
        char at[100];

        snprintf(at, sizeof at, ": fencers[2].%s: fencer bmc-east: ", table[i].at);
        if (said.errors != table[i].errors || said.warnings != table[i].warnings ||
            (table[i].at[0] != '\0' && strstr(said.all, at) == NULL) ||
            strstr(said.all, table[i].says) == NULL)
            fail_msg("row %zu: %u errors, %u warnings:\n%s", i, said.errors, said.warnings,
                     said.all);
    }
}

/* A required one may stand there under its old name, and needs no word where the agent has
 * its own idea. */
static void what_is_required_is_there(void **state)
{
    struct power_device d = {.name = "bmc-east", .agent = "fence_x", .deadline_ms = 40000};
    struct said said = match(fence_x, &d);

    (void)state;
    assert_int_equal(said.errors, 2);
    assert_non_null(strstr(said.all, "fencers[2].options: fencer bmc-east: fence_x "
                                     "requires the parameter \"ip\""));
    assert_non_null(strstr(said.all, "\"username\""));
    d.option_count = 2;
    give(&d.options[0], "ipaddr", "10.0.0.9");
    give(&d.options[1], "login", "admin");
    said = match(fence_x, &d);
    assert_int_equal(said.errors, 0);
    assert_int_equal(said.warnings, 2);
}

/* What cannot switch off, cannot say so, or leaves the host running, proves nothing. */
static void only_power_is_a_proof(void **state)
{
    static const struct {
        const char *xml, *says;
    } table[] = {
        {"<resource-agent><actions><action name=\"status\"/></actions></resource-agent>",
         "no `off`"},
        {"<resource-agent><actions><action name=\"off\"/></actions></resource-agent>",
         "no `status`"},
        {"<resource-agent><actions><action name=\"on\" automatic=\"1\"/>"
         "<action name=\"off\"/><action name=\"status\"/></actions></resource-agent>",
         "leaves it running"},
    };
    const struct power_device d = {.name = "san", .agent = "fence_san"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct said said = match(table[i].xml, &d);

        assert_int_equal(said.errors, 1);
        assert_non_null(strstr(said.all, "fencers[2].agent: fencer san: fence_san "));
        assert_non_null(strstr(said.all, table[i].says));
    }
}

/* Wrong without any agent's word. */
static void a_device_is_looked_at_in_itself(void **state)
{
    static const struct {
        const char *option, *value, *secret, *key, *says;
    } table[] = {
        {"action", "on", NULL, "options.action", "Ringfence"},
        {"option", "on", NULL, "options.option", "Ringfence"},
        {"missing_as_off", "1", NULL, "options.missing_as_off", "not been seen"},
        {"network_fencing", "1", NULL, "options.network_fencing", "still runs"},
        {"verbose", "1", NULL, "options.verbose", "passwords"},
        {"debug_file", "/tmp/x", NULL, "options.debug_file", "passwords"},
        {"help", "1", NULL, "options.help", "nothing"},
        {"ip", "10.0.0.10", NULL, "options.ip", "twice"},
        {NULL, NULL, "ip", "secrets.ip", "twice"},
        {NULL, NULL, "action", "secrets.action", "Ringfence"},
        {"plug", "1\naction=on", NULL, "options.plug", "line end"},
        {"pl ug", "1", NULL, "options.pl ug", "name of a parameter"},
        {"a=b\naction", "1", NULL, "options.a=b", "name of a parameter"},
        {"", "1", NULL, "options.", "name of a parameter"},
    };
    char key[POWER_PART_SIZE];
    struct power_device d;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        d = device_with(table[i].option, table[i].value, table[i].secret);
        if (power_device_verify(&d, key, &err) != ERR_INVAL ||
            strncmp(key, table[i].key, strlen(table[i].key)) != 0 ||
            strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s: %s", i, key, err.text);
    }
    d = device_with(NULL, NULL, "password");
    assert_int_equal(power_device_verify(&d, key, &err), 0);
    give(&d.secrets[0], "password", "secret.txt");
    assert_int_equal(power_device_verify(&d, key, &err), ERR_INVAL);
    assert_string_equal(key, "secrets.password");
    for (uint32_t ms = 0; ms < 2; ms++) {
        d = device_with(NULL, NULL, NULL);
        d.deadline_ms = ms == 0 ? POWER_DEADLINE_MIN_MS - 1 : POWER_DEADLINE_MAX_MS + 1;
        assert_int_equal(power_device_verify(&d, key, &err), ERR_INVAL);
        assert_string_equal(key, "deadline");
    }
    d = device_with(NULL, NULL, NULL);
    snprintf(d.agent, sizeof d.agent, "bin/fence_x");
    assert_int_equal(power_device_verify(&d, key, &err), ERR_INVAL);
    assert_string_equal(key, "agent");
}

/* ---- with agents that are asked -------------------------------------------------------
 */

static struct said check(const struct power_device *d, size_t count, bool starting)
{
    struct said said = {0};
    struct findings f = {.say = on_finding, .owner = &said};

    power_devices_check(d, count, "fencers", starting, &f);
    return said;
}

static void agents_are_asked_for_their_metadata(void **state)
{
    struct said said;
    struct bench b;

    (void)state;
    bench_open(&b, "good");
    bench_secret(&b, "password", "x");
    said = check(&b.device, 1, false);
    assert_string_equal(said.all, "");
    bench_option(&b, "plug", "1");
    said = check(&b.device, 1, false);
    assert_int_equal(said.errors, 1);
    assert_non_null(strstr(said.all, "fencers[0].options.plug: fencer bmc-east: "));
    bench_close(&b);
}

/* An agent that is not there, or speaks no metadata; a secret that others may read. At the
 * start of a controller that is no reason to stay away: it has a vote. */
static void what_the_host_lacks_stops_no_controller(void **state)
{
    static const struct {
        const char *agent, *says;
    } table[] = {
        {"fence_of_nobody", "apt-get install fence-agents"},
        {"/usr/sbin/fence_of_nobody", "No such file"},
        {"/etc/passwd", "no program"},
        {"/bin/true", "no XML"},
        {"/bin/false", "exit status 1: it said nothing"},
        {"/bin/sh", "exit status 2: "},
    };
    struct power_device devices[ARRAY_LEN(table)];
    struct said said;
    struct bench b;

    (void)state;
    bench_open(&b, "good");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        devices[i] = b.device;
        snprintf(devices[i].agent, sizeof devices[i].agent, "%s", table[i].agent);
    }
    said = check(devices, ARRAY_LEN(table), false);
    assert_int_equal(said.errors, ARRAY_LEN(table));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char at[32];
        const char *line;

        snprintf(at, sizeof at, "error: fencers[%zu].agent: ", i);
        line = strstr(said.all, at);
        if (line == NULL || strstr(line, table[i].says) == NULL)
            fail_msg("%s: not said: %s\n%s", table[i].agent, table[i].says, said.all);
    }
    said = check(devices, ARRAY_LEN(table), true);
    assert_int_equal(said.errors, 0);
    assert_int_equal(said.warnings, ARRAY_LEN(table));
    assert_non_null(strstr(said.all, "fences nobody"));

    bench_secret(&b, "password", "x");
    assert_int_equal(chmod(b.device.secrets[0].value, 0644), 0);
    said = check(&b.device, 1, false);
    assert_int_equal(said.errors, 1);
    assert_non_null(strstr(said.all, "fencers[0].secrets.password: fencer bmc-east: "));
    assert_int_equal(check(&b.device, 1, true).warnings, 1);
    bench_close(&b);
}

/* What is wrong in the file is an error at a start too. */
static void what_is_written_wrong_stops_a_start(void **state)
{
    struct said said;
    struct bench b;

    (void)state;
    bench_open(&b, "good");
    bench_option(&b, "password", "x");
    said = check(&b.device, 1, true);
    assert_int_equal(said.errors, 1);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_those_of_the_agent),
        cmocka_unit_test(what_is_required_is_there),
        cmocka_unit_test(only_power_is_a_proof),
        cmocka_unit_test(a_device_is_looked_at_in_itself),
        cmocka_unit_test(agents_are_asked_for_their_metadata),
        cmocka_unit_test(what_the_host_lacks_stops_no_controller),
        cmocka_unit_test(what_is_written_wrong_stops_a_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
