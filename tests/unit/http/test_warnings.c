/* What a controller's own host is to be looked at for: a disk that is full, a trail that is
 * not shipped. Said with what to do, and measured for alerts. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

#include "controller/http/metrics.h"
#include "controller/http/warnings.h"

static struct world w;
static struct api_facts f;
static struct warning told[WARNINGS_MAX];

static int set_up(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    memset(&f, 0, sizeof f);
    f.state = &w.s;
    f.seen = &w.o;
    f.leads = true;
    f.data_dir = "/d";
    f.store.reserve_bytes = 64 << 20;
    f.store.reserve_wants = 96 << 20;
    f.store.disk_free = 12345678;
    f.ship = (struct api_ship){.target = "directory /srv",
                               .leads = true,
                               .known = true,
                               .upto = 500,
                               .rows = 7,
                               .age_ms = 61500,
                               .problem = ""};
    return 0;
}

static const struct warning *look(const char *check)
{
    unsigned n = warnings_list(&f, told);

    for (unsigned i = 0; i < n; i++)
        if (strcmp(told[i].check, check) == 0)
            return &told[i];
    return NULL;
}

static void expect(const char *check, const char *level, const char *part)
{
    const struct warning *one = look(check);

    assert_non_null(one);
    assert_string_equal(one->level, level);
    if (strstr(one->text, part) == NULL)
        fail_msg("'%s' is not in: %s", part, one->text);
}

static bool page_has(const char *line)
{
    AUTO(buf_free) struct buf page = {0};
    struct err err;
    char wanted[128];

    assert_int_equal(metrics_text(&f, w.now, &page, &err), 0);
    assert_int_equal(buf_append(&page, "", 1, &err), 0);
    snprintf(wanted, sizeof wanted, "\n%s", line);
    return strstr((const char *)page.data, wanted) != NULL;
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    expect("disk-reserve", "ok",
           "/d: 64MiB are kept for when the disk is full, 11MiB more");
    assert_true(page_has("ringfence_disk_reserve_used 0\n"));
    f.store.reserve_used = true;
    f.audit_left_out = 3;
    expect("disk-reserve", "fail", "make room until 96MiB are free there");
    expect("disk-reserve", "fail", "refused requests are left out of the audit trail");
    assert_true(page_has("ringfence_disk_reserve_used 1\n"));
    assert_true(page_has("ringfence_disk_free_bytes 12345678\n"));
    assert_true(page_has("ringfence_audit_left_out_total 3\n"));
    f.store.reserve_bytes = 0;
    f.store.reserve_used = false;
    assert_null(look("disk-reserve")); /* none is wanted */
}

static void what_is_not_shipped_is_told(void **state)
{
    (void)state;
    expect("audit-ship", "ok", "directory /srv, up to entry 500; 7 wait");
    f.ship.problem = "it burns";
    f.ship.again_ms = 4000;
    f.ship.failures = 9;
    expect("audit-ship", "fail",
           "not shipped to directory /srv (7 entries wait, the oldest for 61s): it burns; "
           "it is tried again each 4s");
    assert_true(page_has("ringfence_audit_ship_failing 1\n"));
    assert_true(page_has("ringfence_audit_ship_failures_total 9\n"));
    assert_true(page_has("ringfence_audit_ship_rows 7\n"));
    assert_true(page_has("ringfence_audit_ship_age_seconds 61.5\n"));
    assert_true(page_has("ringfence_audit_shipped_rows_total 500\n"));
    f.ship.known = false; /* since this leader began */
    expect("audit-ship", "fail", "not shipped to directory /srv: it burns");
    assert_false(page_has("ringfence_audit_ship_rows "));
    f.ship.problem = "";
    f.ship.hangs_ms = 91000;
    expect("audit-ship", "fail", "it does not answer: look at what is mounted there");
    f.ship.leads = false;
    expect("audit-ship", "ok", "the leader ships");
    assert_false(page_has("ringfence_audit_ship_failing "));
    f.ship.target = NULL;
    assert_null(look("audit-ship"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_full_disk_is_told, set_up),
        cmocka_unit_test_setup(what_is_not_shipped_is_told, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
