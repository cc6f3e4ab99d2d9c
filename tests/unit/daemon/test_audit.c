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
    g->instances[1].step.id = 8;
    g->instances[1].step.kind = STEP_FOLLOW;
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

/* Whose request it was stands behind a mark that no reason can have, however long the rest
 * is; where nobody asked there is none. */
static void people_are_named(void **state)
{
    static struct entry e = {
        .kind = ENTRY_ACKNOWLEDGE,
        .actor = {"anna", ACTOR_TOKEN, FACTOR_TOTP, ROLE_ADMIN, "10.0.0.7"}};
    struct apply_result r = {.refusal = REFUSE_PHASE};
    static const struct audit_before before;
    struct audit_row row;
    const char *mark;

    (void)state;
    memset(e.acknowledge.reason, 'x', sizeof e.acknowledge.reason - 1);
    memset(r.text, 'y', sizeof r.text - 1);
    assert_true(audit_make(&e, &r, &before, &row));
    mark = strchr(row.text, AUDIT_ACTOR_MARK);
    assert_non_null(mark);
    assert_string_equal(mark + 1, "anna (token, totp) from 10.0.0.7");
    assert_int_equal(mark[-1], 'y');
    memset(&e.actor, 0, sizeof e.actor);
    assert_true(audit_make(&e, &r, &before, &row));
    assert_null(strchr(row.text, AUDIT_ACTOR_MARK));
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
        {{.kind = ENTRY_STEP_END, .step_end = {.instance = 1, .step = 8, .done = true}},
         "pg-west: follow done"},
        {{.kind = ENTRY_STEP_END,
          .step_end = {.instance = 1, .step = 8, .text = "no room"}},
         "pg-west: follow failed: no room"},
        {{.kind = ENTRY_STEP_END,
          .step_end = {.instance = 1, .step = 8, .done = true, .position = 0x103000060}},
         "pg-west: follow done at 1/3000060"},
        {{.kind = ENTRY_SWITCHOVER, .switchover = {.target = 1, .epoch = 5}},
         "to pg-west, epoch 5"},
        {{.kind = ENTRY_ATTACH, .attach = {.active = 0}}, "active: pg-east"},
        {{.kind = ENTRY_PAUSE}, "automatic decisions are paused"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct entry e = table[i].e;

        snprintf(e.group, sizeof e.group, "orders");
        expect(&e, table[i].begins);
    }
}

/* What an operator asks after a crash: that it was one, and when it was over. */
static void a_crash_has_a_beginning_and_an_end(void **state)
{
    struct entry start = {.kind = ENTRY_STEP_START, .group = "orders"};
    struct entry end = {.kind = ENTRY_STEP_END, .group = "orders"};

    (void)state;
    start.step_start = (struct entry_step_start){
        .instance = 1, .kind = STEP_LEAD, .epoch = 5, .restart = true};
    expect(&start, "pg-west is down: begins lead (restart) in epoch 5");
    s.groups[0].instances[1].step.kind = STEP_LEAD;
    s.groups[0].instances[1].step.restart = true;
    end.step_end = (struct entry_step_end){.instance = 1, .step = 8, .text = "no room"};
    expect(&end, "pg-west: lead (restart) failed: no room");
    end.step_end.done = true;
    expect(&end, "pg-west runs again: lead (restart) done");
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

/* ---- declarations ----------------------------------------------------------------------
 */

static void declared_group(struct group *g)
{
    *g = s.groups[0];
    policy_defaults(&g->policy);
    g->policy.shrink_after_ms = 6000;
    snprintf(g->component, NAME_SIZE, "db");
    snprintf(g->provider, NAME_SIZE, "postgres");
    g->region_count = 2;
    snprintf(g->regions[0].name, NAME_SIZE, "east");
    snprintf(g->regions[1].name, NAME_SIZE, "west");
    for (uint8_t i = 0; i < 2; i++) {
        g->instances[i].region = i;
        g->instances[i].port = 5432;
        snprintf(g->instances[i].data, PATH_SIZE, "/data");
        snprintf(g->instances[i].start, PATH_SIZE, "pg_ctl");
    }
}

/* Of the declaration `spec`, `ret` as the trail has it. */
static void trail(const struct group *spec, enum refusal refusal, struct audit_row *ret)
{
    static struct entry e;
    struct apply_result r = {.refusal = refusal, .text = "because"};
    struct audit_before before;

    memset(&e, 0, sizeof e);
    e.kind = ENTRY_DECLARE;
    e.declare.spec = *spec;
    memcpy(e.group, spec->name, NAME_SIZE);
    audit_look(&s, &e, &before);
    assert_true(audit_make(&e, &r, &before, ret));
}

static void expect_changes(void (*change)(struct group *g), const char *text)
{
    struct group now;
    struct audit_row row;

    declared_group(&now);
    s.groups[0] = now;
    change(&now);
    trail(&now, ACCEPTED, &row);
    assert_string_equal(row.text, text);
}

static void to_a_quick_and_strict_one(struct group *g)
{
    g->policy.lease.ttl_ms = 1000;
    g->policy.sync = SYNC_STRICT;
}

static void to_other_decisions(struct group *g)
{
    g->policy.automatic = false;
    g->policy.max_lag_bytes = 1ull << 40;
    g->policy.cooldown_ms = 0;
    g->policy.standby_reads = true;
    g->policy.fence = FENCE_AGENT;
    g->policy.residency_count = 2;
    snprintf(g->policy.residency[0], NAME_SIZE, "eu");
    snprintf(g->policy.residency[1], NAME_SIZE, "ch");
}

static void to_other_places(struct group *g)
{
    g->regions[0].tag_count = 1;
    snprintf(g->regions[0].tags[0], NAME_SIZE, "eu");
    snprintf(g->regions[1].name, NAME_SIZE, "north");
    snprintf(g->instances[0].start, PATH_SIZE, "systemd:pg");
    snprintf(g->instances[1].agent, NAME_SIZE, "pg-north");
}

static void to_another_active_region(struct group *g)
{
    g->active = 1;
    g->instances[0].port = 6000;
}

static void to_another_order(struct group *g)
{
    struct region east = g->regions[0];

    g->regions[0] = g->regions[1];
    g->regions[1] = east;
    for (uint8_t i = 0; i < 2; i++)
        g->instances[i].region = (uint8_t)(1 - i);
}

/* Who reads the trail next year sees what was changed, from what, to what. */
static void a_declaration_says_what_it_changes(void **state)
{
    (void)state;
    expect_changes(to_a_quick_and_strict_one,
                   "lease.ttl 3000 -> 1000 ms, sync required -> strict");
    expect_changes(to_other_decisions,
                   "decide.automatic true -> false, decide.cooldown 600000 -> 0 ms, "
                   "decide.max_lag 16777216 -> 1099511627776 bytes, standby_reads false -> "
                   "true, fence agent lease_expiry -> agent, residency none -> eu ch");
    expect_changes(
        to_other_places,
        "tags of east none -> eu, region north added, region west removed, start "
        "of pg-east pg_ctl -> systemd:pg, instance pg-north added (north, port "
        "5432, /data), instance pg-west removed");
    expect_changes(to_another_active_region,
                   "active east -> west, port of pg-east 5432 -> 6000");
    expect_changes(to_another_order, "nothing but the order of regions or instances");
}

static void a_new_group_is_told_as_such(void **state)
{
    struct group g;
    struct audit_row row;

    (void)state;
    declared_group(&g);
    s.group_count = 0;
    g.policy.lease.ttl_ms = 1000;
    trail(&g, ACCEPTED, &row);
    assert_string_equal(row.text,
                        "declared: east active, west standby, sync required, ttl 1000 ms");
    g.active = 1;
    g.adopt = true;
    trail(&g, REFUSE_NOT_ENROLLED, &row);
    assert_string_equal(row.text, "refused (not-enrolled): declared: east standby, west "
                                  "active, sync required, ttl 1000 ms, adopt: because");
}

/* However much is changed the row holds it, ends with a count of the rest, and is the same
 * on every controller: whatever lay in its memory before. */
static void what_finds_no_room_is_counted(void **state)
{
    struct audit_before before[2];
    struct entry e = {.kind = ENTRY_DECLARE};
    struct group *g = &e.declare.spec;
    unsigned more = 0;
    const char *and;

    (void)state;
    declared_group(&s.groups[0]);
    declared_group(g);
    memcpy(e.group, g->name, NAME_SIZE);
    to_a_quick_and_strict_one(g);
    to_other_decisions(g);
    to_other_places(g);
    for (unsigned i = 0; i < 2; i++) {
        memset(g->instances[i].data, 'd', PATH_SIZE - 1);
        g->instances[i].data[0] = '/';
        memset(&before[i], i == 0 ? 0xff : 'x', sizeof before[i]);
    }
    memset(g->instances[0].start, 's', PATH_SIZE - 1);
    for (unsigned i = 0; i < 2; i++)
        audit_look(&s, &e, &before[i]);
    assert_string_equal(before[0].changes, before[1].changes);
    assert_true(strlen(before[0].changes) < DECLARE_TEXT_SIZE);
    and = strstr(before[0].changes, ", and ");
    assert_non_null(and);
    assert_int_equal(sscanf(and, ", and %u more", &more), 1);
    assert_int_equal(more, 3); /* the first that found no room, and all behind it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(people_are_named, setup),
        cmocka_unit_test_setup(instances_are_named, setup),
        cmocka_unit_test_setup(a_crash_has_a_beginning_and_an_end, setup),
        cmocka_unit_test_setup(a_number_stays_where_there_is_no_name, setup),
        cmocka_unit_test_setup(a_refusal_names_its_code, setup),
        cmocka_unit_test_setup(a_declaration_says_what_it_changes, setup),
        cmocka_unit_test_setup(a_new_group_is_told_as_such, setup),
        cmocka_unit_test_setup(what_finds_no_room_is_counted, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
