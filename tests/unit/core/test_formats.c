/* I10: what is written into the log can be read by all who are on record. */
#include "controller/core/formats.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct state s;

static void record(uint8_t n, uint32_t min, uint32_t max)
{
    struct controller *c = &s.controllers[n];

    (void)snprintf(c->name, sizeof c->name, "ctl%u", n);
    c->id = n + 1;
    c->format_min = min;
    c->format_max = max;
    if (s.controller_count <= n)
        s.controller_count = (uint8_t)(n + 1);
}

static void begin(void)
{
    memset(&s, 0, sizeof s);
    for (uint8_t i = 0; i < 3; i++)
        record(i, 1, 2);
}

static int choose(enum entry_kind kind, struct format_range own, bool all, uint32_t *ret,
                  struct err *err)
{
    struct entry e = entry_of(kind);

    return format_choose(&s, &e, own, all, ret, err);
}

/* The newest one that all read; that of an older one while it is there. */
static void the_newest_that_all_read(void **state)
{
    const struct format_range own = {1, 2};
    uint32_t format = 0;
    struct err err;

    (void)state;
    begin();
    assert_int_equal(choose(ENTRY_RENEW, own, true, &format, &err), 0);
    assert_int_equal(format, 2);
    record(2, 1, 1);
    assert_int_equal(choose(ENTRY_RENEW, own, true, &format, &err), 0);
    assert_int_equal(format, 1);
    record(2, 1, 3);
    assert_int_equal(choose(ENTRY_RENEW, own, true, &format, &err), 0);
    assert_int_equal(format, 2);
}

/* What came with a format outside of the log: whoever has not said that it knows that is
 * told none of it, least of all who is not on record. */
static void who_is_told_what_came_with_it(void **state)
{
    (void)state;
    begin();
    record(1, 1, 1);
    record(2, 1, 3);
    assert_true(format_is_known_by(&s, "ctl0", 2));
    assert_false(format_is_known_by(&s, "ctl1", 2));
    assert_true(format_is_known_by(&s, "ctl1", 1));
    assert_true(format_is_known_by(&s, "ctl2", 2));
    assert_false(format_is_known_by(&s, "ctl3", 1));
}

/* What a controller on record does not know is not proposed, by name (I10). */
static void a_new_kind_waits_for_all(void **state)
{
    const struct format_range own = {1, 2};
    uint32_t format = 0;
    struct err err = {0};

    (void)state;
    begin();
    assert_int_equal(choose(ENTRY_USER_SET, own, true, &format, &err), 0);
    assert_int_equal(format, 2);
    assert_int_equal(choose(ENTRY_USER_SET, own, false, &format, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "not every controller has said yet"));
    assert_null(strstr(err.text, "upgrade"));
    record(1, 1, 1);
    assert_int_equal(choose(ENTRY_USER_SET, own, true, &format, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "ctl1 does not know user-set"));
    assert_int_equal(choose(ENTRY_PAUSE, own, true, &format, &err), 0);
    assert_int_equal(format, 1);
}

/* A voter that has said nothing yet may be an old one. */
static void the_oldest_before_all_have_said(void **state)
{
    uint32_t format = 0;
    struct err err;

    (void)state;
    begin();
    s.controller_count = 2;
    assert_int_equal(choose(ENTRY_RENEW, (struct format_range){1, 2}, false, &format, &err),
                     0);
    assert_int_equal(format, 1);
}

/* Nothing is proposed that somebody on record cannot read, and it is said whom to upgrade;
 * but for what a controller says of itself, or no record could change any more. */
static void it_is_said_whom_to_upgrade(void **state)
{
    const struct format_range own = {2, 3};
    uint32_t format = 77;
    struct err err;

    (void)state;
    begin();
    record(1, 1, 1);
    assert_int_equal(choose(ENTRY_FENCE_BEGIN, own, true, &format, &err), ERR_UNSUPPORTED);
    assert_int_equal(format, 77);
    assert_non_null(strstr(err.text, "controller ctl1 knows formats 1 to 1"));
    assert_non_null(strstr(err.text, "upgrade ctl1"));
    assert_int_equal(choose(ENTRY_CONTROLLER, own, true, &format, &err), 0);
    assert_int_equal(format, 2);
    record(1, 1, 2); /* upgraded */
    assert_int_equal(choose(ENTRY_FENCE_BEGIN, own, true, &format, &err), 0);
    assert_int_equal(format, 2);
}

/* An older leader among newer ones: it is the leader that is to be upgraded. */
static void an_old_leader_says_so(void **state)
{
    uint32_t format = 77;
    struct err err;

    (void)state;
    begin();
    record(0, 2, 3);
    assert_int_equal(choose(ENTRY_RENEW, (struct format_range){1, 1}, true, &format, &err),
                     ERR_UNSUPPORTED);
    assert_int_equal(format, 77);
    assert_non_null(strstr(err.text, "upgrade the others"));
}

/* Agents count for the groups that they serve in, and for no others. */
static void agents_count_for_their_groups(void **state)
{
    const struct format_range own = {2, 3};
    uint32_t format = 0;
    static struct world w; /* megabytes */
    struct entry e;
    struct err err;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    for (unsigned i = 0; i < w.s.agent_count; i++)
        w.s.agents[i].format_max = 1;
    e = entry_of(ENTRY_FENCE_BEGIN);
    w.s.controller_count = 0;
    assert_int_equal(format_choose(&w.s, &e, own, true, &format, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "agent "));
    e.group[0] = '\0';
    assert_int_equal(format_choose(&w.s, &e, own, true, &format, &err), 0);
    assert_int_equal(format, 3);
}

/* I10: a key that an older one would not know is refused, never left out: its request could
 * run twice then. */
static void a_key_waits_for_all(void **state)
{
    const struct format_range own = {1, 3};
    static struct world w; /* megabytes */
    uint32_t format = 77;
    struct entry e;
    struct err err;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_false(format_has_keys(&w.s));
    e = entry_of(ENTRY_PAUSE);
    assert_int_equal(format_choose(&w.s, &e, own, true, &format, &err), 0);
    assert_int_equal(format, 2);
    e.key.id[0] = e.key.request[0] = 1;
    assert_int_equal(format_needed(&e), FORMAT_KEYS);
    assert_int_equal(format_choose(&w.s, &e, own, true, &format, &err), ERR_UNSUPPORTED);
    for (unsigned i = 0; i < w.s.controller_count; i++)
        w.s.controllers[i].format_max = 3;
    assert_false(format_has_keys(&w.s)); /* an agent is behind */
    assert_int_equal(format_choose(&w.s, &e, own, true, &format, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "agent "));
    for (unsigned i = 0; i < w.s.agent_count; i++)
        w.s.agents[i].format_max = 3;
    assert_true(format_has_keys(&w.s));
    assert_int_equal(format_choose(&w.s, &e, own, true, &format, &err), 0);
    assert_int_equal(format, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_that_all_read),
        cmocka_unit_test(who_is_told_what_came_with_it),
        cmocka_unit_test(a_new_kind_waits_for_all),
        cmocka_unit_test(the_oldest_before_all_have_said),
        cmocka_unit_test(it_is_said_whom_to_upgrade),
        cmocka_unit_test(an_old_leader_says_so),
        cmocka_unit_test(agents_count_for_their_groups),
        cmocka_unit_test(a_key_waits_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
