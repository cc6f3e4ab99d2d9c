/* The status of a hand-made state, byte for byte; the metrics of the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/http/logview.h"
#include "controller/http/metrics.h"
#include "controller/http/status.h"
#include "tests/unit/http/shown.h"

/* RF_REWRITE=1 writes the file anew; the diff is the review. */
static void the_status_is_the_golden_one(void **state)
{
    json_t *document = status_document(&f, now, 1795000000123, false), *golden;
    json_error_t error;

    (void)state;
    assert_non_null(document);
    if (getenv("RF_REWRITE") != NULL)
        assert_int_equal(json_dump_file(document, GOLDEN, JSON_INDENT(1)), 0);
    golden = json_load_file(GOLDEN, 0, &error);
    assert_non_null(golden);
    if (!json_equal(golden, document))
        fail_msg("the status has changed:\n%s", json_dumps(document, JSON_INDENT(1)));
    json_decref(golden);
    json_decref(document);
}

static const char *shown_gate(uint8_t i, struct mono at, const json_t **ret_margin)
{
    static json_t *document;
    json_t *one;

    json_decref(document);
    document = status_document(&f, at, 1795000000123, false);
    one = json_array_get(
        json_object_get(json_array_get(json_object_get(document, "groups"), 0),
                        "instances"),
        i);
    *ret_margin = json_object_get(one, "lease_margin_ms");
    return json_string_value(json_object_get(one, "gate"));
}

/* "open" is said only while it is known: not of a lease that is over, nor by an agent that
 * has fallen silent. */
static void a_gate_is_shown_as_it_is_now(void **state)
{
    struct seen_instance *west = &o.groups[0].instances[1].seen;
    struct seen_instance *east = &o.groups[0].instances[0].seen;
    const json_t *margin;

    (void)state;
    assert_string_equal(shown_gate(1, now, &margin), "open");
    assert_int_equal(json_integer_value(margin), 850); /* it was said 20 ms ago */

    west->lease_margin_ms = 15;
    assert_string_equal(shown_gate(1, now, &margin), "closed");
    assert_int_equal(json_integer_value(margin), -5);
    west->lease_margin_ms = 870;
    west->said = ago_ms(5000);
    assert_string_equal(shown_gate(1, now, &margin), "unknown");
    o.groups[0].instances[1].granted = ago_ms(2000); /* counted out: it is closed (I3) */
    assert_string_equal(shown_gate(1, now, &margin), "closed");

    /* A standby that never held a lease has none that expired. */
    *east = (struct seen_instance){.at = ago_ms(20),
                                   .said = ago_ms(20),
                                   .epoch = 4,
                                   .lease_margin_ms = -1,
                                   .gate_mode = "replication"};
    o.agents[0].connected = true;
    assert_string_equal(shown_gate(0, now, &margin), "replication");
    assert_true(json_is_null(margin));
    s.groups[0].instances[0].proof.last_grant = 70; /* in an epoch that is over */
    s.groups[0].instances[0].holder_epoch = 3;
    east->lease_margin_ms = -900;
    (void)shown_gate(0, now, &margin);
    assert_true(json_is_null(margin));
    o.agents[0].connected = false;
    assert_string_equal(shown_gate(0, now, &margin), "unknown");
    *east = (struct seen_instance){0};
    assert_string_equal(shown_gate(0, now, &margin), "");
}

static json_t *shown_probes(void)
{
    json_t *document = status_document(&f, now, 1795000000123, false), *copy;

    copy = json_deep_copy(json_object_get(
        json_array_get(
            json_object_get(json_array_get(json_object_get(document, "groups"), 0),
                            "instances"),
            1),
        "probes"));
    json_decref(document);
    return copy;
}

/* Of a controller that is gone, the last answer is none. */
static void an_old_probe_is_not_shown(void **state)
{
    json_t *shown;

    (void)state;
    s.groups[0].policy.probe_ms = 2000;
    o.groups[0].instances[1].probes[0] = (struct seen_probe){ago_ms(6001), true, false};
    o.groups[0].instances[1].probes[2] = (struct seen_probe){ago_ms(6000), true, false};
    shown = shown_probes();
    assert_null(json_object_get(shown, "east"));
    assert_true(json_is_true(json_object_get(shown, "witness")));
    json_decref(shown);
    s.groups[0].policy.probe_ms = 100;
    o.groups[0].instances[1].probes[2].at = ago_ms(3000);
    shown = shown_probes();
    assert_int_equal(json_object_size(shown), 1);
    json_decref(shown);
}

static const char *finding(const json_t *document, const char *check, const char **level)
{
    size_t i;
    json_t *v;

    json_array_foreach(
        json_object_get(document, "findings"), i,
        v) if (strcmp(json_string_value(json_object_get(v, "check")), check) == 0)
    {
        *level = json_string_value(json_object_get(v, "level"));
        return json_string_value(json_object_get(v, "text"));
    }
    fail_msg("no finding %s", check);
    return NULL;
}

static void the_doctor_names_what_is_wrong(void **state)
{
    const char *level;
    json_t *d;

    (void)state;
    snprintf(f.controllers[0].out_error, API_ERROR_SIZE, "no route to host");
    f.store.last_commit_us = 300000;
    f.clock_rate_ppm = -80000;
    d = doctor_document(&f, "host", now);
    assert_non_null(strstr(finding(d, "link-east", &level), "no route to host"));
    assert_string_equal(level, "fail");
    (void)finding(d, "link-west", &level);
    assert_string_equal(level, "ok");
    assert_non_null(strstr(finding(d, "disk-sync", &level), "300.00 ms"));
    assert_string_equal(level, "fail");
    assert_non_null(strstr(finding(d, "clock-rate", &level), "-80000"));
    assert_string_equal(level, "warn");
    assert_non_null(strstr(finding(d, "quorum", &level), "2 of 3"));
    assert_string_equal(level, "ok"); /* the link is the finding */
    (void)finding(d, "ttl-orders", &level);
    assert_string_equal(level, "fail"); /* renew is 300 of 1000 */
    json_decref(d);
}

/* From thirty days before the end of its certificate on a controller says so, to who asks
 * for the status and to who asks for the doctor; of what has ended the latter fails. */
static void a_certificate_that_ends_is_told(void **state)
{
    static const struct {
        int64_t in_days;
        const char *status, *doctor; /* level; "": nothing is said */
    } table[] = {
        {300, "", "ok"}, {31, "", "ok"}, {29, "warn", "warn"}, {-1, "fail", "fail"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *level;
        json_t *shown, *d, *first;

        f.tls.cert_s = f.wall_s + table[i].in_days * 86400;
        shown = status_document(&f, now, 1795000000123, false);
        first = json_array_get(json_object_get(shown, "certificates"), 0);
        d = doctor_document(&f, "host", now);
        assert_non_null(strstr(finding(d, "certificate", &level), "/pki/witness.crt"));
        assert_string_equal(level, table[i].doctor);
        if (table[i].status[0] == '\0')
            assert_null(first);
        else
            assert_string_equal(json_string_value(json_object_get(first, "level")),
                                table[i].status);
        json_decref(shown);
        json_decref(d);
    }
}

/* People may come in whose certificate nobody could take back. */
static void the_doctor_looks_at_the_door(void **state)
{
    (void)state;
    f.has_api = true;
    for (int crl = 0; crl < 2; crl++) {
        const char *level;
        json_t *d;

        f.tls.has_crl = crl != 0;
        d = doctor_document(&f, "host", now);
        assert_int_equal(strstr(finding(d, "api", &level), "taken back") != NULL, !crl);
        assert_string_equal(level, crl ? "ok" : "warn");
        json_decref(d);
    }
}

/* Those of this controller's file, as they answered; and one that a group wants and that
 * this controller does not have. */
static void the_doctor_asks_after_the_fencers(void **state)
{
    const char *level;
    json_t *d;

    (void)state;
    f.fencer_count = 3;
    f.fencers[0] =
        (struct api_fencer){.name = "bmc-a", .problem = "", .known = true, .ready = true};
    f.fencers[1] = (struct api_fencer){
        .name = "bmc-b", .known = true, .problem = "fencer bmc-b: wrong password"};
    f.fencers[2] = (struct api_fencer){.name = "bmc-c", .problem = ""};
    snprintf(s.groups[0].instances[0].power, NAME_SIZE, "bmc-a");
    snprintf(s.groups[0].instances[1].power, NAME_SIZE, "bmc-gone");
    d = doctor_document(&f, "host", now);
    (void)finding(d, "fencer-bmc-a", &level);
    assert_string_equal(level, "ok");
    assert_non_null(strstr(finding(d, "fencer-bmc-b", &level), "wrong password"));
    assert_string_equal(level, "fail");
    (void)finding(d, "fencer-bmc-c", &level);
    assert_string_equal(level, "warn");
    assert_non_null(strstr(finding(d, "fencer-bmc-gone", &level), "`fencers`"));
    assert_string_equal(level, "fail");
    json_decref(d);
}

static const char *severing_told(const char **ret_level, json_t **ret_ready)
{
    static json_t *d, *shown;
    json_t *group;

    json_decref(d);
    json_decref(shown);
    d = doctor_document(&f, "host", now);
    shown = status_document(&f, now, 1795000000123, false);
    group = json_array_get(json_object_get(shown, "groups"), 0);
    *ret_ready = json_object_get(json_object_get(group, "severing"), "ready");
    return finding(d, "severing-orders", ret_level);
}

/* A level that would not work is found before it is needed; one of the agents that it needs
 * is known to the leader alone. */
static void the_doctor_asks_after_severing(void **state)
{
    struct group *g = &s.groups[0];
    const char *level;
    json_t *ready;

    (void)state;
    g->policy.sync = SYNC_REQUIRED;
    g->policy.no_async_writers = true;
    g->policy.fence = FENCE_AGENT | FENCE_SYNC_SEVERED | FENCE_LEASE_EXPIRY;
    assert_non_null(strstr(severing_told(&level, &ready), "nobody is waited for"));
    assert_string_equal(level, "fail");
    assert_true(json_is_false(ready));
    g->sync_set = 3;
    assert_non_null(strstr(severing_told(&level, &ready), "no agent of another member"));
    assert_string_equal(level, "fail");
    assert_true(json_is_false(ready));
    o.leading = false;
    assert_non_null(strstr(severing_told(&level, &ready), "ringfence why orders"));
    assert_string_equal(level, "ok");
    assert_true(json_is_null(ready));
    o.leading = o.agents[0].connected = true;
    o.groups[0].instances[0].seen.at = o.groups[0].instances[0].seen.said = ago_ms(20);
    assert_non_null(strstr(severing_told(&level, &ready), "can refuse the log"));
    assert_string_equal(level, "ok");
    assert_true(json_is_true(ready));
}

static void say(unsigned from, unsigned to, int out, int in)
{
    f.links[from][to] = (struct api_link){.out_known = out >= 0,
                                          .out_up = out > 0,
                                          .in_known = in >= 0,
                                          .in_up = in > 0,
                                          .rtt_us = out > 0 ? 2500 : 0};
}

/* Every pair in both directions, not only our own links. */
static void the_doctor_tells_of_every_pair(void **state)
{
    enum { UNKNOWN = -1, DOWN = 0, UP = 1 };
    static const char *const states[] = {"up", "up", "down", "up", "up", "unknown"};
    const char *level;
    json_t *d, *links, *one;

    (void)state;
    f.controllers[2].self = false; /* as asked in east */
    f.controllers[0].self = true;
    say(0, 1, UP, UP);
    say(0, 2, UP, UNKNOWN);
    say(1, 0, UP, DOWN); /* either end is enough to say no */
    say(1, 2, UNKNOWN, UP);
    say(2, 0, UP, UP);
    say(2, 1, UNKNOWN, UNKNOWN);
    d = doctor_document(&f, "host", now);
    links = json_object_get(d, "links");
    assert_int_equal(json_array_size(links), 6);
    for (size_t i = 0; i < 6; i++) {
        one = json_array_get(links, i);
        assert_string_equal(json_string_value(json_object_get(one, "state")), states[i]);
    }
    one = json_array_get(links, 0);
    assert_string_equal(json_string_value(json_object_get(one, "from")), "east");
    assert_string_equal(json_string_value(json_object_get(one, "to")), "west");
    assert_true(json_real_value(json_object_get(one, "rtt_ms")) > 2.4);
    (void)finding(d, "link-witness-west", &level);
    assert_string_equal(level, "warn");
    json_decref(d);

    say(2, 1, UNKNOWN, DOWN);
    d = doctor_document(&f, "host", now);
    assert_non_null(
        strstr(finding(d, "link-witness-west", &level), "witness does not reach west"));
    assert_string_equal(level, "fail");
    json_decref(d);
}

/* As asked at `self` (0 east, 1 west, 2 witness), of links that are up unless said. */
static json_t *examine(unsigned self)
{
    static const char *const names[] = {"east", "west", "witness"};

    f.name = names[self];
    for (unsigned i = 0; i < 3; i++) {
        struct api_controller *c = &f.controllers[i];

        c->self = i == self;
        c->up = i == self || f.links[i][self].in_up;
        c->out_up = f.links[self][i].out_up;
        c->in_up = f.links[i][self].in_up;
        (void)snprintf(c->out_error, sizeof c->out_error, "%s",
                       c->out_up ? "" : "connect: no answer");
    }
    return doctor_document(&f, "host", now);
}

static void all_links_up(void)
{
    for (unsigned from = 0; from < 3; from++)
        for (unsigned to = 0; to < 3; to++)
            if (from != to)
                say(from, to, 1, 1);
}

static unsigned failures(const json_t *document)
{
    unsigned n = 0;
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(document, "findings"), i, v)
    {
        n += strncmp(json_string_value(json_object_get(v, "check")), "link", 4) == 0 &&
             strcmp(json_string_value(json_object_get(v, "level")), "ok") != 0;
    }
    return n;
}

/* One cause, one finding: a controller that is dead; ourselves, cut off. */
static void the_doctor_tells_of_a_cause_once(void **state)
{
    const char *level;
    json_t *d;

    (void)state;
    all_links_up();
    for (unsigned i = 1; i < 3; i++) { /* east is dead, as west and witness see it */
        say(0, i, -1, 0);
        say(i, 0, 0, -1);
    }
    d = examine(2);
    assert_non_null(strstr(finding(d, "link-east", &level), "nobody hears east"));
    assert_int_equal(failures(d), 1);
    assert_int_equal(json_array_size(json_object_get(d, "links")), 6); /* all of them */
    json_decref(d);

    all_links_up(); /* west is alone; what the others say of each other is not heard */
    for (unsigned i = 0; i < 3; i += 2) {
        say(1, i, 0, -1);
        say(i, 1, -1, 0);
        say(0, 2, -1, -1);
        say(2, 0, -1, -1);
    }
    d = examine(1);
    assert_non_null(strstr(finding(d, "links", &level), "witness: connect: no answer"));
    assert_int_equal(failures(d), 1);
    json_decref(d);
}

static void expect_finding(unsigned self, const char *check, const char *begins,
                           const char *has)
{
    json_t *d = examine(self);
    const char *level, *text = finding(d, check, &level);

    if (strncmp(text, begins, strlen(begins)) != 0 || strstr(text, has) == NULL)
        fail_msg("%s: %s", check, text);
    assert_string_equal(level, "fail");
    json_decref(d);
}

/* East's packets to the witness's port are dropped, the witness's own connection to east
 * works: so both run, and whoever is asked sends people to the witness's host first. */
static void a_pair_silent_in_one_direction_is_told_by_its_direction(void **state)
{
    static const char first[] = "look on the host of witness first, whether its firewall "
                                "lets its port pass from east";

    (void)state;
    all_links_up();
    say(0, 2, 0, 0);
    expect_finding(0, "link-witness",
                   "controller witness cannot be reached from here (east): connect: no "
                   "answer; witness reaches east, so both run: ",
                   first);
    expect_finding(2, "link-east",
                   "controller east does not reach this one (witness): witness reaches "
                   "east, so both run: ",
                   first);
    expect_finding(1, "link-east-witness",
                   "controller east does not reach witness: witness reaches east, so both "
                   "run: ",
                   first);
}

/* Neither reaches the other: between them where others know both, else whoever is silent.
 */
static void a_pair_silent_in_both_directions(void **state)
{
    (void)state;
    all_links_up();
    say(0, 2, 0, 0);
    say(2, 0, 0, 0);
    expect_finding(0, "link-witness",
                   "controller witness cannot be reached from here (east): connect: no "
                   "answer; witness runs, others know it: ",
                   "between the hosts of east and witness (a cut in one direction stops");
    expect_finding(1, "link-witness-east",
                   "controller witness does not reach east: east runs, others know it: ",
                   "and at witness's log");

    say(1, 2, 0, -1); /* nobody hears the witness */
    say(2, 1, -1, 0);
    say(2, 0, -1, 0);
    say(0, 2, 0, -1);
    expect_finding(0, "link-witness", "controller witness cannot be reached from here",
                   "; nobody hears witness: see whether it runs");
}

static void metrics_are_well_formed(void **state)
{
    static const uint64_t bounds_us[] = {500, 1000};
    AUTO(buf_free) struct buf out = {0};
    struct err err;

    (void)state;
    o.groups[0].instances[0].seen = (struct seen_instance){.at = ago_ms(20),
                                                           .said = ago_ms(20),
                                                           .epoch = 4,
                                                           .lease_margin_ms = -1,
                                                           .gate_mode = "replication"};
    f.commits = histogram_make(bounds_us, ARRAY_LEN(bounds_us));
    histogram_count(&f.commits, 500);
    histogram_count(&f.commits, 501);
    histogram_count(&f.commits, 2000);
    assert_int_equal(metrics_text(&f, now, &out, &err), 0);
    assert_int_equal(buf_append(&out, "", 1, &err), 0);
    assert_non_null(strstr((char *)out.data, "\nringfence_raft_leader 1\n"));
    assert_non_null(
        strstr((char *)out.data, "ringfence_group_epoch{group=\"orders\"} 4\n"));
    assert_non_null(strstr((char *)out.data, "ringfence_lease_margin_seconds{group="
                                             "\"orders\",instance=\"pg-west\"} 0.85\n"));
    /* A standby holds none: no number would be true of it. */
    assert_null(strstr((char *)out.data, "ringfence_lease_margin_seconds{group="
                                         "\"orders\",instance=\"pg-east\""));
    assert_non_null(
        strstr((char *)out.data, "ringfence_link_up{peer=\"east\",direction=\"out\"} 0\n"));
    assert_non_null(strstr((char *)out.data, "ringfence_build_info{version="));
    /* Cumulative, a bound belonging to its bucket. */
    assert_non_null(strstr((char *)out.data,
                           "\nringfence_commit_seconds_bucket{le=\"0.0005\"} 1\n"
                           "ringfence_commit_seconds_bucket{le=\"0.001\"} 2\n"
                           "ringfence_commit_seconds_bucket{le=\"+Inf\"} 3\n"
                           "ringfence_commit_seconds_sum 0.0030010000000000002\n"
                           "ringfence_commit_seconds_count 3\n"));
    /* Each line is a comment, or a name and a number. */
    for (char *line = strtok((char *)out.data, "\n"); line; line = strtok(NULL, "\n")) {
        char *space = strrchr(line, ' '), *end;

        assert_non_null(space);
        if (line[0] == '#')
            continue;
        assert_int_equal(strncmp(line, "ringfence_", 10), 0);
        (void)strtod(space + 1, &end);
        assert_true(*end == '\0' && end > space + 1);
    }
}

static void a_row_of_the_log_tells_its_result(void **state)
{
    struct audit_row row = {.seq = 9, .index = 12, .term = 2, .wall_ms = 1795000000123};
    json_t *v;
    char *line;

    (void)state;
    row.leader_id = 3;
    row.hash[0] = 0xab;
    snprintf(row.kind, sizeof row.kind, "pause");
    snprintf(row.text, sizeof row.text, "refused (wrong-phase): pause: group is forming");
    line = logview_line(&row, &f);
    v = json_loads(line, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(v, "result")), "wrong-phase");
    assert_string_equal(json_string_value(json_object_get(v, "text")),
                        "pause: group is forming");
    assert_string_equal(json_string_value(json_object_get(v, "leader")), "witness");
    assert_int_equal(strncmp(json_string_value(json_object_get(v, "hash")), "ab00", 4), 0);
    json_decref(v);
    free(line);

    snprintf(row.kind, sizeof row.kind, "refused"); /* never was an entry of its own */
    line = logview_line(&row, &f);
    v = json_loads(line, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(v, "result")), "wrong-phase");
    json_decref(v);
    free(line);
    snprintf(row.text, sizeof row.text, "of an older version");
    line = logview_line(&row, &f);
    v = json_loads(line, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(v, "result")), "refused");
    json_decref(v);
    free(line);

    snprintf(row.kind, sizeof row.kind, "pause");
    snprintf(row.text, sizeof row.text, "refused (by hand");
    line = logview_line(&row, &f);
    v = json_loads(line, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(v, "result")), "accepted");
    json_decref(v);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_status_is_the_golden_one, setup),
        cmocka_unit_test_setup(a_gate_is_shown_as_it_is_now, setup),
        cmocka_unit_test_setup(an_old_probe_is_not_shown, setup),
        cmocka_unit_test_setup(a_certificate_that_ends_is_told, setup),
        cmocka_unit_test_setup(the_doctor_names_what_is_wrong, setup),
        cmocka_unit_test_setup(the_doctor_looks_at_the_door, setup),
        cmocka_unit_test_setup(the_doctor_asks_after_the_fencers, setup),
        cmocka_unit_test_setup(the_doctor_asks_after_severing, setup),
        cmocka_unit_test_setup(the_doctor_tells_of_every_pair, setup),
        cmocka_unit_test_setup(the_doctor_tells_of_a_cause_once, setup),
        cmocka_unit_test_setup(a_pair_silent_in_one_direction_is_told_by_its_direction,
                               setup),
        cmocka_unit_test_setup(a_pair_silent_in_both_directions, setup),
        cmocka_unit_test_setup(metrics_are_well_formed, setup),
        cmocka_unit_test_setup(a_row_of_the_log_tells_its_result, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
