/* What a person reads in `ringfence log`: names, never positions in a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "controller/daemon/audit.h"

static struct state s;

static int setup(void **state)
{
    struct group *g = &s.groups[0];

    (void)state;
    state_init(&s, "lab");
    s.group_count = 1;
    snprintf(g->name, NAME_SIZE, "orders");
    g->instance_count = 2;
    snprintf(g->instances[0].agent, NAME_SIZE, "pg-east");
    snprintf(g->instances[1].agent, NAME_SIZE, "pg-west");
    return 0;
}

static void expect(const struct entry *e, const char *begins)
{
    struct apply_result r = {.refusal = ACCEPTED};
    struct audit_before before;
    struct audit_row row;

    audit_look(&s, e, &before);
    assert_true(audit_make(e, &r, &before, &row));
    if (strncmp(row.text, begins, strlen(begins)) != 0)
        fail_msg("%s: '%s' does not begin with '%s'", row.kind, row.text, begins);
    assert_null(strstr(row.text, "instance 0"));
    assert_null(strstr(row.text, "instance 1"));
}

static void instances_are_named(void **state)
{
    static const struct {
        struct entry e;
        const char *begins;
    } table[] = {
        {{.kind = ENTRY_PROOF, .proof = {.instance = 0, .epoch = 4}}, "pg-east proven by"},
        {{.kind = ENTRY_ACTIVATE, .activate = {.instance = 1, .epoch = 5}},
         "pg-west becomes active in epoch 5"},
        {{.kind = ENTRY_OPENED, .opened = {.instance = 1, .epoch = 5}},
         "pg-west opened for writes in epoch 5"},
        {{.kind = ENTRY_SYNC_SHRINK, .sync = {.instance = 0, .epoch = 5}},
         "pg-east leaves the sync set"},
        {{.kind = ENTRY_SYNC_JOIN, .sync = {.instance = 0, .epoch = 5}},
         "pg-east joins the sync set"},
        {{.kind = ENTRY_STEP_START, .step_start = {.instance = 1, .epoch = 5}},
         "pg-west begins"},
        {{.kind = ENTRY_STEP_END, .step_end = {.instance = 1, .step = 7, .done = true}},
         "pg-west, step 7 done"},
        {{.kind = ENTRY_SWITCHOVER, .switchover = {.target = 1, .epoch = 5}},
         "to pg-west, epoch 5"},
        {{.kind = ENTRY_ATTACH, .attach = {.active = 0}}, "active: pg-east"},
        {{.kind = ENTRY_PAUSE}, "pause"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct entry e = table[i].e;

        snprintf(e.group, sizeof e.group, "orders");
        expect(&e, table[i].begins);
    }
}

/* Of a group or instance that is not there, the number is all there is. */
static void a_number_stays_where_there_is_no_name(void **state)
{
    struct entry e = {.kind = ENTRY_ATTACH, .group = "orders", .attach = {.active = 7}};

    (void)state;
    expect(&e, "active: instance 7");
    e.attach.active = NO_INSTANCE;
    expect(&e, "active: ");
    snprintf(e.group, sizeof e.group, "gone");
    e.attach.active = 6;
    expect(&e, "active: instance 6");
}

/* logview takes this form apart. */
static void a_refusal_names_its_code(void **state)
{
    struct entry e = {.kind = ENTRY_ATTACH, .group = "orders", .attach = {.active = 1}};
    struct apply_result r = {.refusal = REFUSE_PHASE, .text = "it is steady"};
    struct audit_before before;
    struct audit_row row;

    (void)state;
    audit_look(&s, &e, &before);
    assert_true(audit_make(&e, &r, &before, &row));
    assert_string_equal(row.text, "refused (wrong-phase): active: pg-west: it is steady");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(instances_are_named, setup),
        cmocka_unit_test_setup(a_number_stays_where_there_is_no_name, setup),
        cmocka_unit_test_setup(a_refusal_names_its_code, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
