/* The examples in deploy/examples, against what Debian's agents say of themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/buf.h"
#include "controller/base/findings.h"
#include "controller/daemon/settings.h"
#include "tests/unit/methods/bench.h"

static const char head[] =
    "cluster: demo\nname: one\nlisten: 10.0.2.2:7400\n"
    "tls: {ca: /a, cert: /b, key: /c}\n"
    "controllers: [{id: 7, name: one, region: r, address: \"10.0.1.2:7400\"}]\n";

static void append(struct buf *b, const char *text)
{
    assert_int_equal(buf_append(b, text, strlen(text), NULL), 0);
}

/* What is commented out from `from` on is not any more; NULL: as it stands. */
static void append_file(struct buf *b, const char *path, const char *from)
{
    FILE *f = fopen(path, "re");
    bool within = false;
    char line[300];

    if (f == NULL)
        fail_msg("%s is not there", path);
    while (fgets(line, sizeof line, f) != NULL) {
        within = within || (from != NULL && strcmp(line, from) == 0);
        append(b, within ? line + 2 : line);
    }
    assert_true(within || from == NULL);
    fclose(f);
}

/* A ringfenced.yaml that ends with the example. */
static void load(const char *name, const char *dir, struct settings *s)
{
    const bool whole = strcmp(name, "ringfenced") == 0;
    char path[TREE_PATH + 64], example[300];
    AUTO(buf_free) struct buf text = {0};
    struct err err = {0};
    FILE *f;

    snprintf(example, sizeof example, EXAMPLES "/%s%s.yaml", whole ? "" : "fencing/", name);
    snprintf(path, sizeof path, "%s/ringfenced.yaml", dir);
    if (!whole)
        append(&text, head);
    append_file(&text, example, whole ? "# fencers:\n" : NULL);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
    fclose(f);
    if (settings_load(s, path, NULL, &err) != 0)
        fail_msg("%s: %s", name, err.text);
}

static void on_finding(void *owner, bool is_error, const char *key, const char *text)
{
    (void)is_error;
    fail_msg("%s: %s: %s", (const char *)owner, key, text);
}

/* The agents know each word of them, miss none, and none has a newer name. The secrets are
 * not on this host: others stand in for them. */
static void agents_take_the_examples_as_they_are(void **state)
{
    static const char *const names[] = {"aws",     "azure",  "gce",       "ipmi",
                                        "redfish", "vmware", "ringfenced"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct findings f = {.say = on_finding, .owner = (void *)(uintptr_t)names[i]};
        struct settings s;
        struct bench b;

        bench_open(&b, "");
        bench_secret(&b, "any", "secret");
        load(names[i], b.dir, &s);
        assert_int_equal(s.fencer_count, 1);
        for (unsigned k = 0; k < s.fencers[0].secret_count; k++)
            snprintf(s.fencers[0].secrets[k].value, sizeof s.fencers[0].secrets[k].value,
                     "%s", b.device.secrets[0].value);
        power_devices_check(s.fencers, s.fencer_count, "fencers", false, &f);
        print_message("%s: %s, %u options, %u secrets\n", names[i], s.fencers[0].agent,
                      s.fencers[0].option_count, s.fencers[0].secret_count);
        settings_free(&s);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_take_the_examples_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
