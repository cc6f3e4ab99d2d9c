/* The keys of agent.yaml about the guard, and about revocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fencing/agent/agent_settings.h"

static int load_with(const char *tls, const char *more, struct agent_settings *ret,
                     struct err *err)
{
    char path[] = "/tmp/rf-settings-XXXXXX";
    int fd = mkstemp(path), status;
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    fprintf(f,
            "cluster: demo\nname: pg-east\nregion: east\naddress: 127.0.0.1\n"
            "tls: {ca: /ca, cert: /cert, key: /key%s}\n"
            "controllers:\n  - {name: east, address: \"127.0.0.1:1\"}\n%s",
            tls, more);
    assert_int_equal(fclose(f), 0);
    status = agent_settings_load(ret, path, NULL, err);
    assert_int_equal(unlink(path), 0);
    return status;
}

static int load(const char *more, struct agent_settings *ret, struct err *err)
{
    return load_with("", more, ret, err);
}

/* A list of what is revoked may be named, by a full path. */
static void a_revocation_list_may_be_named(void **state)
{
    static struct agent_settings s;
    struct err err = {0};

    (void)state;
    assert_int_equal(load("", &s, &err), 0);
    assert_string_equal(s.crl, "");
    assert_int_equal(load_with(", crl: /crl.pem", "", &s, &err), 0);
    assert_string_equal(s.crl, "/crl.pem");
    assert_int_equal(load_with(", crl: crl.pem", "", &s, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "tls.crl"));
}

/* Without a word there is a guard, for the case that the gate is missing; a watchdog is
 * only used where one is named; nothing that it does not know is taken for something else.
 */
static void the_guard_is_there_unless_it_is_refused(void **state)
{
    static const struct {
        const char *more;
        int status;
        enum settings_guard guard;
        const char *watchdog, *text;
    } table[] = {
        {"", 0, SETTINGS_GUARD_MISSING, "", ""},
        {"guard: missing\n", 0, SETTINGS_GUARD_MISSING, "", ""},
        {"guard: expired\nwatchdog: /dev/w\n", 0, SETTINGS_GUARD_EXPIRED, "/dev/w", ""},
        {"guard: off\n", 0, SETTINGS_GUARD_OFF, "", ""},
        {"guard: yes\n", ERR_INVAL, 0, "", "'yes' does not say when a server is stopped"},
        {"watchdog: dev/w\n", ERR_INVAL, 0, "", "'dev/w' is not a full path"},
        {"guard: off\nwatchdog: /dev/w\n", ERR_INVAL, 0, "", "`guard` is off"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        static struct agent_settings s;
        struct err err = {0};

        print_message("%s\n", table[i].more);
        assert_int_equal(load(table[i].more, &s, &err), table[i].status);
        assert_non_null(strstr(err.text, table[i].text));
        if (table[i].status != 0)
            continue;
        assert_int_equal(s.guard, table[i].guard);
        assert_string_equal(s.watchdog, table[i].watchdog);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guard_is_there_unless_it_is_refused),
        cmocka_unit_test(a_revocation_list_may_be_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
