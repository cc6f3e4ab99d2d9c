/* What is said of certificates, for a time that is given. */
#include <stdio.h>
#include <string.h>

#include "controller/net/tls_report.h"
#include "tests/unit/net/bench.h"

enum { DAY = 86400 };

#define NOW INT64_C(1800000000)

/* Everything in order: a certificate for a year, its CA for ten, a list. */
static struct tls_report in_order(void)
{
    return (struct tls_report){.there = true,
                               .cert = "/pki/east.crt",
                               .ca = "/pki/ca.crt",
                               .crl = "/pki/crl.pem",
                               .generation = 1,
                               .cert_s = NOW + 365 * DAY,
                               .ca_s = NOW + 3650 * DAY,
                               .has_crl = true,
                               .crl_s = NOW + 180 * DAY,
                               .listed = 3};
}

static void set_cert(struct tls_report *r, int64_t in_s) { r->cert_s = NOW + in_s; }
static void set_ca(struct tls_report *r, int64_t in_s) { r->ca_s = NOW + in_s; }
static void set_crl(struct tls_report *r, int64_t in_s) { r->crl_s = NOW + in_s; }

static void set_revoked(struct tls_report *r, int64_t unused)
{
    (void)unused;
    r->revoked = true;
}

static void set_uncovered(struct tls_report *r, int64_t unused)
{
    (void)unused;
    r->uncovered = true;
}

static void set_trouble(struct tls_report *r, int64_t unused)
{
    (void)unused;
    snprintf(r->trouble, sizeof r->trouble, "the key /k does not belong");
}

static void set_peer(struct tls_report *r, int64_t in_s)
{
    r->peer_count = 2;
    r->peers[0] =
        (struct tls_peer){bench_id(IDENTITY_CONTROLLER, "west"), NOW + 300 * DAY, 1};
    r->peers[1] = (struct tls_peer){bench_id(IDENTITY_AGENT, "pg-east"), NOW + in_s, 1};
}

/* Thirty days before its end a certificate is warned of, at its end it fails. What stops
 * nobody fails nothing: a list's date, and what a peer showed long ago. */
static void levels_follow_the_calendar(void **state)
{
    static const struct {
        const char *name;
        void (*set)(struct tls_report *r, int64_t in_s);
        int64_t in_s;
        const char *check;
        enum tls_level level;
        const char *says;
    } table[] =
        {
            {"31 days", set_cert, 31 * DAY, "certificate", TLS_FINE, "in 31 days"},
            {"30 days", set_cert, 30 * DAY, "certificate", TLS_FINE, "in 30 days"},
            {"less", set_cert, 30 * DAY - 1, "certificate", TLS_WARN, "in 29 days"},
            {"now", set_cert, 0, "certificate", TLS_FAIL, "has ENDED"},
            {"over", set_cert, -DAY, "certificate", TLS_FAIL, "has ENDED"},
            {"revoked", set_revoked, 0, "certificate", TLS_FAIL, "REVOKED"},
            {"CA ends", set_ca, 29 * DAY, "certificate-ca", TLS_WARN, "three steps"},
            {"CA over", set_ca, -1, "certificate-ca", TLS_FAIL, "has ENDED"},
            {"list", set_crl, DAY, "revocation", TLS_FINE, "3 revoked"},
            {"list over", set_crl, -1, "revocation", TLS_WARN, "still enforced"},
            {"one list", set_uncovered, 0, "revocation", TLS_WARN, "no list of one"},
            {"files", set_trouble, 0, "certificate-files", TLS_FAIL, "NOT USED"},
            {"peer", set_peer, 10 * DAY, "certificate-peers", TLS_WARN, "agent pg-east"},
            {"peer over", set_peer, -DAY, "certificate-peers", TLS_WARN, "has ENDED"},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct tls_report r = in_order();
        struct tls_told told[TLS_TELL_MAX];
        unsigned n, at = 0;

        row->set(&r, row->in_s);
        n = tls_report_tell(&r, NOW, told);
        while (at < n && strcmp(told[at].check, row->check) != 0)
            at++;
        print_message("%s: %s\n", row->name, at < n ? told[at].text : "nothing");
        assert_true(at < n);
        assert_int_equal(told[at].level, row->level);
        assert_non_null(strstr(told[at].text, row->says));
        for (unsigned i = 0; i < n; i++)
            assert_true(i == at || told[i].level == TLS_FINE);
    }
}

/* Peers with time left, no list, no TLS: nothing is said of them. */
static void what_is_well_is_not_told(void **state)
{
    struct tls_report r = in_order(), none = {0};
    struct tls_told told[TLS_TELL_MAX];

    (void)state;
    set_peer(&r, 200 * DAY);
    r.has_crl = false;
    assert_int_equal(tls_report_tell(&r, NOW, told), 1);
    assert_int_equal(tls_report_tell(&none, NOW, told), 0);
}

/* The worst of everything at once fits. */
static void all_at_once_fits(void **state)
{
    struct tls_report r = in_order();
    struct tls_told told[TLS_TELL_MAX];

    (void)state;
    set_cert(&r, -1);
    set_ca(&r, -1);
    set_crl(&r, -1);
    set_trouble(&r, 0);
    set_peer(&r, -1);
    memset(r.trouble, 'x', sizeof r.trouble - 1);
    assert_int_equal(tls_report_tell(&r, NOW, told), TLS_TELL_MAX);
    for (unsigned i = 0; i < TLS_TELL_MAX; i++)
        assert_true(strlen(told[i].text) < TLS_VERDICT_SIZE);
}

static bool page_has(const struct buf *page, const char *line)
{
    return strstr((const char *)page->data, line) != NULL;
}

/* An alert can be written on each of them, for controllers and agents alike. */
static void metrics_say_it_too(void **state)
{
    struct tls_report r = in_order();
    AUTO(buf_free) struct buf page = {0};
    struct err err;

    (void)state;
    set_cert(&r, 12 * DAY);
    set_crl(&r, -1);
    set_peer(&r, 10 * DAY);
    r.refused[TLS_REFUSED_REVOKED] = 4;
    assert_int_equal(tls_report_metrics(&r, "rf_", NOW, &page, &err), 0);
    assert_int_equal(buf_append(&page, "", 1, &err), 0);
    assert_true(page_has(&page, "\nrf_certificate_expires_timestamp_seconds 1801036800\n"));
    assert_true(page_has(&page, "\nrf_certificate_ca_expires_timestamp_seconds "));
    assert_true(page_has(&page, "\nrf_certificate_expires_soon{what=\"certificate\"} 1\n"));
    assert_true(page_has(&page, "\nrf_certificate_expires_soon{what=\"ca\"} 0\n"));
    assert_true(page_has(&page, "\nrf_crl_expired 1\n"));
    assert_true(page_has(&page, "\nrf_crl_next_update_timestamp_seconds 1799999999\n"));
    assert_true(page_has(&page, "\nrf_crl_revoked_certificates 3\n"));
    assert_true(page_has(&page, "\nrf_tls_files_refused 0\n"));
    assert_true(page_has(&page, "\nrf_tls_refused_total{reason=\"revoked\"} 4\n"));
    assert_true(page_has(&page, "\nrf_tls_refused_total{reason=\"by-peer\"} 0\n"));
    assert_true(page_has(&page, "\nrf_peer_certificate_expires_timestamp_seconds{role="
                                "\"agent\",peer=\"pg-east\"} 1800864000\n"));
}

/* Without TLS, and without a list, there are no samples that would mean something. */
static void no_metrics_of_what_is_not_there(void **state)
{
    struct tls_report r = in_order(), none = {0};
    AUTO(buf_free) struct buf page = {0};
    struct err err;

    (void)state;
    assert_int_equal(tls_report_metrics(&none, "rf_", NOW, &page, &err), 0);
    assert_int_equal(page.len, 0);
    r.has_crl = false;
    r.crl_s = 0;
    assert_int_equal(tls_report_metrics(&r, "rf_", NOW, &page, &err), 0);
    assert_int_equal(buf_append(&page, "", 1, &err), 0);
    assert_false(page_has(&page, "\nrf_crl_expired "));
    assert_false(page_has(&page, "\nrf_crl_next_update_timestamp_seconds "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_follow_the_calendar),
        cmocka_unit_test(what_is_well_is_not_told),
        cmocka_unit_test(all_at_once_fits),
        cmocka_unit_test(metrics_say_it_too),
        cmocka_unit_test(no_metrics_of_what_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
