/* `oidc` and `notify` of ringfenced.yaml: what is good is read, what is wrong is named. */
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

#include "controller/core/actor.h"
#include "controller/daemon/settings.h"

static const char head[] =
    "cluster: demo\n"
    "name: west\n"
    "listen: 10.0.2.2:7400\n"
    "tls: {ca: /a, cert: /b, key: /c}\n"
    "controllers:\n"
    "  - {id: 2, name: west, region: w, address: \"10.0.2.2:7400\"}\n";

static int load(const char *rest, struct settings *s, struct err *err)
{
    char path[] = "/tmp/rf-settings-people-XXXXXX", text[4096];
    int fd = mkstemp(path), status;

    assert_true(fd >= 0);
    snprintf(text, sizeof text, "%s%s", head, rest);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    status = settings_load(s, path, NULL, err);
    unlink(path);
    return status;
}

static void what_is_good_is_read(void **state)
{
    static const char rest[] =
        "oidc: {issuer: i, audience: a, keys: \"https://id.example/k\", ca: /ca, refresh: "
        "5min}\n"
        "notify:\n"
        "  - {name: hook, url: \"https://x.example/h\", secret_file: /s, ca: /ca2}\n"
        "  - name: mail\n"
        "    url: smtp://mail.example\n"
        "    from: rf@example.org\n"
        "    to: [a@example.org, b@example.org]\n"
        "    roles: [approver, admin]\n"
        "    plain: true\n";
    struct settings s = {0};
    struct err err = {0};

    (void)state;
    if (load(rest, &s, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(s.oidc.keys, "https://id.example/k");
    assert_string_equal(s.oidc.ca, "/ca");
    assert_int_equal(s.oidc.refresh_ms, 300000);
    assert_int_equal(s.notify_count, 2);
    assert_string_equal(s.notify[0].name, "hook");
    assert_string_equal(s.notify[0].secret_file, "/s");
    assert_string_equal(s.notify[0].ca, "/ca2");
    assert_string_equal(s.notify[0].from, "");
    assert_int_equal(s.notify[0].roles, 0);
    assert_false(s.notify[0].plain);
    assert_string_equal(s.notify[1].from, "rf@example.org");
    assert_int_equal(s.notify[1].to_count, 2);
    assert_string_equal(s.notify[1].to[1], "b@example.org");
    assert_int_equal(s.notify[1].roles, ROLE_APPROVER | ROLE_ADMIN);
    assert_true(s.notify[1].plain);
    settings_free(&s);
    assert_int_equal(load("", &s, &err), 0);
    assert_int_equal(s.notify_count, 0);
    settings_free(&s);
    assert_int_equal(load("oidc: {issuer: i, audience: a, keys: /f}\n", &s, &err), 0);
    assert_int_equal(s.oidc.refresh_ms, 3600000);
    settings_free(&s);
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const table[][2] = {
        {"oidc: {issuer: i, audience: a, keys: \"http://x/k\"}\n", "oidc.keys: "},
        {"oidc: {issuer: i, audience: a, keys: k}\n", "https://"},
        {"oidc: {issuer: i, audience: a, keys: /k, ca: /c}\n", "oidc.ca: "},
        {"oidc: {issuer: i, audience: a, keys: \"https://x/k\", ca: c}\n", "oidc.ca: "},
        {"oidc: {issuer: i, audience: a, keys: \"https://x/k\", refresh: 1s}\n",
         "1min to 1d"},
        {"notify: [{name: h, url: \"http://x/\"}]\n", "plain: true"},
        {"notify: [{name: h, url: \"ftp://x/\"}]\n", "notify[0].url: "},
        {"notify: [{name: h}]\n", "url"},
        {"notify: [{name: H, url: \"https://x/\"}]\n", "notify[0].name: "},
        {"notify: [{name: h, url: \"https://x/\", token: t}]\n", "token"},
        {"notify: [{name: h, url: \"https://x/\", secret_file: s}]\n", "absolute path"},
        {"notify: [{name: h, url: \"http://x/\", plain: true, secret_file: /s}]\n",
         "by TLS only"},
        {"notify: [{name: h, url: \"https://x/\", to: [a@b]}]\n", "of a mail"},
        {"notify: [{name: h, url: \"https://x/\", roles: [root]}]\n", "notify[0].roles: "},
        {"notify: [{name: h, url: smtps://x, to: [a@b]}]\n", "notify[0].from"},
        {"notify: [{name: h, url: smtps://x, from: a@b}]\n", "notify[0].to"},
        {"notify: [{name: h, url: smtps://x, from: a@b, to: [\"c@d\\r\\nBcc: e@f\"]}]\n",
         "plain address"},
        {"notify: [{name: h, url: smtps://x, from: a@b, to: [\"-x@d\"]}]\n",
         "plain address"},
        {"notify: [{name: h, url: smtps://x, from: a@b, to: [c@d], user: u}]\n",
         "belong together"},
        {"notify: [{name: h, url: \"https://x/\"}, {name: h, url: \"https://y/\"}]\n",
         "used once"},
    };
    struct settings s = {0};

    (void)state;
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        struct err err = {0};

        assert_int_equal(load(table[i][0], &s, &err), ERR_INVAL);
        print_message("%s", table[i][0]);
        print_message("    %s\n", err.text);
        assert_non_null(strstr(err.text, table[i][1]));
        assert_non_null(strstr(err.text, ":7: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_good_is_read),
        cmocka_unit_test(what_is_wrong_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
