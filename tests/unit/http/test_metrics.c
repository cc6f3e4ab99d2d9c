/* What an operator is woken for can be written as an alert on /metrics. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

#include "controller/http/metrics.h"
#include "controller/http/status.h"

#define OF(instance) "{group=\"orders\",instance=\"" instance "\"} "

static struct world w;
static struct api_facts f;
static struct buf page;

static void write_page(void)
{
    struct err err;

    page.len = 0;
    assert_int_equal(metrics_text(&f, w.now, &page, &err), 0);
    assert_int_equal(buf_append(&page, "", 1, &err), 0);
}

static int set_up(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    memset(&f, 0, sizeof f);
    f.state = &w.s;
    f.seen = &w.o;
    f.leads = true;
    f.name = "east";
    f.data_dir = "/d";
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&page);
    return 0;
}

static bool page_has(const char *line)
{
    char wanted[256];

    snprintf(wanted, sizeof wanted, "\n%s", line);
    return strstr((const char *)page.data, wanted) != NULL;
}

/* Of what is not known there is no sample, and none is 0 for want of a report. */
static void instances_are_told_as_far_as_they_are_known(void **state)
{
    struct observed_group *og = &w.o.groups[0];

    (void)state;
    og->primary_lsn = 5000;
    og->primary_lsn_at = w.now;
    og->instances[WEST].seen.flush_lsn = 4000;
    og->instances[WEST].seen.checksum_failures = 3;
    world_group(&w)->sync_set = 1 << EAST;
    write_page();
    assert_true(
        page_has("ringfence_instance_replication_lag_bytes" OF("pg-west") "1000\n"));
    assert_false(page_has("ringfence_instance_replication_lag_bytes" OF("pg-east")));
    assert_true(page_has("ringfence_instance_checksum_failures_total" OF("pg-east") "0\n"));
    assert_true(page_has("ringfence_instance_checksum_failures_total" OF("pg-west") "3\n"));
    assert_true(page_has("ringfence_instance_sync_member" OF("pg-east") "1\n"));
    assert_true(page_has("ringfence_instance_sync_member" OF("pg-west") "0\n"));
    og->instances[WEST].seen.at = (struct mono){0};
    world_group(&w)->sync_known = false;
    write_page();
    assert_false(page_has("ringfence_instance_replication_lag_bytes" OF("pg-west")));
    assert_false(page_has("ringfence_instance_checksum_failures_total" OF("pg-west")));
    assert_false(page_has("ringfence_instance_sync_member{"));
}

/* With its reasons, by the names that `why` shows; a follower does not know. */
static void a_hold_is_told_by_the_leader(void **state)
{
    (void)state;
    write_page();
    assert_true(page_has("ringfence_group_held{group=\"orders\"} 0\n"));
    assert_true(page_has("ringfence_group_paused{group=\"orders\"} 0\n"));
    assert_false(page_has("ringfence_group_held_by{"));
    world_group(&w)->paused = true;
    for (unsigned i = 0; i < 20; i++) {
        world_pass_ms(&w, 500); /* east is silent */
        world_report(&w, WEST, SERVER_STANDBY);
    }
    write_page();
    assert_true(page_has("ringfence_group_held{group=\"orders\"} 1\n"));
    assert_true(page_has("ringfence_group_paused{group=\"orders\"} 1\n"));
    assert_true(
        page_has("ringfence_group_held_by{group=\"orders\",reason=\"not-paused\"} 1\n"));
    f.leads = false;
    write_page();
    assert_false(page_has("ringfence_group_held{"));
    assert_false(page_has("ringfence_group_held_by{"));
}

/* Only of a group that has the level, and by who knows. */
static void that_severing_would_work_is_told(void **state)
{
    static const char name[] = "ringfence_group_severing_ready{group=\"orders\"} ";
    char ready[96], closed[96];

    (void)state;
    snprintf(ready, sizeof ready, "%s1\n", name);
    snprintf(closed, sizeof closed, "%s0\n", name);
    write_page();
    assert_false(page_has(name));
    world_group(&w)->policy.fence |= FENCE_SYNC_SEVERED;
    world_group(&w)->policy.no_async_writers = true;
    write_page();
    assert_true(page_has(ready));
    w.o.agents[WEST].connected = false;
    write_page();
    assert_true(page_has(closed));
    w.o.leading = false;
    write_page();
    assert_false(page_has(name));
    world_group(&w)->sync_set = 1 << EAST;
    write_page();
    assert_true(page_has(closed));
}

static void the_last_run_is_told(void **state)
{
    struct run *r = &world_group(&w)->run;

    (void)state;
    r->id = 77;
    r->kind = RUN_FAILOVER;
    r->result = RUN_RUNNING;
    r->open_wall_ms = 0;
    write_page();
    assert_true(page_has("ringfence_group_last_run{group=\"orders\",kind=\"failover\","
                         "result=\"running\"} 1\n"));
    assert_false(page_has("ringfence_group_last_open_timestamp_seconds{"));
    r->result = RUN_DONE;
    r->open_wall_ms = 1795000000123;
    write_page();
    assert_true(page_has("ringfence_group_last_run{group=\"orders\",kind=\"failover\","
                         "result=\"done\"} 1\n"));
    assert_true(page_has("ringfence_group_last_open_timestamp_seconds{group=\"orders\"} "
                         "1795000000.123\n"));
}

/* Who knocks at the door for people, and who is turned away; nothing where there is none.
 */
static void guests_are_counted(void **state)
{
    (void)state;
    write_page();
    assert_null(strstr((const char *)page.data, "ringfence_api_"));
    f.has_api = true;
    f.guests = (struct api_guests){5, 4, 3, 2, 1};
    write_page();
    assert_true(page_has("ringfence_api_guest_connections 1\n"));
    assert_true(page_has("ringfence_api_guest_requests_total{from=\"user\"} 5\n"));
    assert_true(page_has("ringfence_api_guest_requests_total{from=\"nobody\"} 4\n"));
    assert_true(
        page_has("ringfence_api_guest_requests_total{from=\"wrong-certificate\"} 3\n"));
    assert_true(page_has("ringfence_api_guest_requests_total{from=\"too-many\"} 2\n"));
}

static bool doctor_finds(const char *check, const char *level, const char *text)
{
    json_t *d = doctor_document(&f, "host", w.now), *v;
    bool found = false;
    size_t i;

    json_array_foreach(json_object_get(d, "findings"), i, v)
    {
        const char *said = json_string_value(json_object_get(v, "text"));

        if (strcmp(json_string_value(json_object_get(v, "check")), check) != 0)
            continue;
        print_message("%s: %s\n", check, said);
        found = strcmp(json_string_value(json_object_get(v, "level")), level) == 0 &&
                strstr(said, text) != NULL;
    }
    json_decref(d);
    return found;
}

/* Of a provider that does not answer somebody hears before its new key is wanted. */
static void fetched_keys_are_told(void **state)
{
    (void)state;
    write_page();
    assert_null(strstr((const char *)page.data, "ringfence_oidc_"));
    f.jwt_keys = (struct api_keys){.fetched = true, .problem = "https://id: no answer"};
    write_page();
    assert_true(page_has("ringfence_oidc_keys 0\n"));
    assert_null(strstr((const char *)page.data, "ringfence_oidc_keys_age_seconds"));
    assert_true(doctor_finds("oidc-keys", "fail", "https://id: no answer"));
    f.jwt_keys = (struct api_keys){.fetched = true,
                                   .known = true,
                                   .count = 2,
                                   .age_ms = 5500,
                                   .fetches = 4,
                                   .failures = 1};
    write_page();
    assert_true(page_has("ringfence_oidc_keys 2\n"));
    assert_true(page_has("ringfence_oidc_keys_age_seconds 5.5\n"));
    assert_true(page_has("ringfence_oidc_keys_fetches_total 4\n"));
    assert_true(page_has("ringfence_oidc_keys_failures_total 1\n"));
    assert_true(doctor_finds("oidc-keys", "ok", "5 s ago"));
    snprintf(f.jwt_keys.problem, sizeof f.jwt_keys.problem, "the answer is 503");
    assert_true(doctor_finds("oidc-keys", "warn", "stay in force; since then: the answer"));
}

/* So is that nobody is told, though a group's file says who is. */
static void receivers_are_told_of(void **state)
{
    struct policy *p = &world_group(&w)->policy;

    (void)state;
    assert_false(doctor_finds("notify", "warn", ""));
    p->window_count = 1;
    p->windows[0].inform = ROLE_APPROVER;
    assert_true(doctor_finds("notify", "warn", "nobody in `notify`"));
    write_page();
    assert_null(strstr((const char *)page.data, "ringfence_notify_"));
    f.notice_count = 1;
    f.notices[0] = (struct api_notice){"hook", "", false, 3, 0, 0};
    assert_false(doctor_finds("notify", "warn", ""));
    assert_true(doctor_finds("notify-hook", "ok", "told 3 times"));
    f.notices[0] = (struct api_notice){"hook", "the answer is 500", true, 3, 2, 1};
    assert_true(
        doctor_finds("notify-hook", "fail", "the answer is 500: it is tried again"));
    write_page();
    assert_true(page_has("ringfence_notify_sent_total{to=\"hook\"} 3\n"));
    assert_true(page_has("ringfence_notify_failures_total{to=\"hook\"} 2\n"));
    assert_true(page_has("ringfence_notify_lost_total{to=\"hook\"} 1\n"));
    assert_true(page_has("ringfence_notify_waiting{to=\"hook\"} 1\n"));
    f.notices[0].problem = "";
    assert_true(doctor_finds("notify-hook", "warn", "1 were given up"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(instances_are_told_as_far_as_they_are_known, set_up),
        cmocka_unit_test_setup(a_hold_is_told_by_the_leader, set_up),
        cmocka_unit_test_setup(that_severing_would_work_is_told, set_up),
        cmocka_unit_test_setup(the_last_run_is_told, set_up),
        cmocka_unit_test_setup(guests_are_counted, set_up),
        cmocka_unit_test_setup(fetched_keys_are_told, set_up),
        cmocka_unit_test_setup(receivers_are_told_of, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
