#include "controller/net/tls_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "controller/base/exposition.h"
#include "controller/base/text.h"

enum { DAY_S = 86400 };

const char *tls_refusal_name(enum tls_refusal why)
{
    switch (why) {
#define X(name, text)                                                                      \
    case name:                                                                             \
        return text;
        TLS_REFUSAL_MAP(X)
#undef X
    case TLS_REFUSAL_MAX:
        break;
    }
    return "?";
}

const char *tls_level_name(enum tls_level level)
{
    switch (level) {
    case TLS_FINE:
        return "ok";
    case TLS_WARN:
        return "warn";
    case TLS_FAIL:
        return "fail";
    }
    return "?";
}

/* ---- for people -----------------------------------------------------------------------
 */

static void day_text(int64_t at_s, char text[16])
{
    const time_t at = (time_t)at_s;
    struct tm tm;

    if (gmtime_r(&at, &tm) == NULL || strftime(text, 16, "%Y-%m-%d", &tm) == 0)
        (void)snprintf(text, 16, "?");
}

static enum tls_level level_of(int64_t end_s, int64_t now_s)
{
    if (end_s <= now_s)
        return TLS_FAIL;
    return end_s - now_s < (int64_t)TLS_WARN_DAYS * DAY_S ? TLS_WARN : TLS_FINE;
}

/* "ends on 2027-01-02, in 12 days", "has ended on ..." */
static void end_text(int64_t end_s, int64_t now_s, char text[80])
{
    char day[16];

    day_text(end_s, day);
    if (end_s <= now_s)
        (void)snprintf(text, 80, "has ENDED, on %s", day);
    else
        (void)snprintf(text, 80, "ends on %s, in %lld days", day,
                       (long long)(end_s - now_s) / DAY_S);
}

struct telling {
    struct tls_told *told;
    unsigned n;
};

PRINTF_LIKE(5, 6)
static void tell(struct telling *t, const char *check, const char *key,
                 enum tls_level level, const char *fmt, ...)
{
    struct tls_told *to = &t->told[t->n++];
    va_list args;
    int len;

    *to = (struct tls_told){.check = check, .key = key, .level = level};
    va_start(args, fmt);
    len = vsnprintf(to->text, sizeof to->text, fmt, args);
    va_end(args);
    if (len >= (int)sizeof to->text)
        text_mark_cut(to->text, sizeof to->text);
}

static void tell_cert(struct telling *t, const struct tls_report *r, int64_t now_s)
{
    enum tls_level level = level_of(r->cert_s, now_s);
    char end[80];

    end_text(r->cert_s, now_s, end);
    if (r->revoked)
        tell(
            t, "certificate", "tls.cert", TLS_FAIL,
            "%s is REVOKED by %s: connections that are open go on, as far as others have "
            "not got that list, and no new one is accepted; bring a new one with a new key "
            "(`ringfence pki renew`), it is taken without a restart",
            r->cert, r->crl);
    else if (level == TLS_FINE)
        tell(t, "certificate", "tls.cert", level, "%s %s", r->cert, end);
    else
        tell(t, "certificate", "tls.cert", level,
             "%s %s: %s; bring a new one (`ringfence pki renew`), it is taken without a "
             "restart",
             r->cert, end,
             level == TLS_FAIL ? "connections that are open go on, and no new one is "
                                 "accepted by anybody"
                               : "from then on no new connection is accepted by anybody");
}

static void tell_ca(struct telling *t, const struct tls_report *r, int64_t now_s)
{
    enum tls_level level = level_of(r->ca_s, now_s);
    char end[80];

    if (level == TLS_FINE)
        return;
    end_text(r->ca_s, now_s, end);
    tell(t, "certificate-ca", "tls.ca", level,
         "a CA that this node's certificate hangs on (%s) %s, and all that it has signed "
         "with it: replace it in time, in three steps (`ringfence pki renew ca`; "
         "docs/certificates.md)",
         r->ca, end);
}

/* Its age stops nobody (tls.h), so it fails nothing. */
static void tell_lists(struct telling *t, const struct tls_report *r, int64_t now_s)
{
    char day[16];

    day_text(r->crl_s, day);
    if (!r->has_crl)
        return;
    if (r->crl_s != 0 && r->crl_s <= now_s)
        tell(t, "revocation", "tls.crl", TLS_WARN,
             "%s should have been replaced by %s: it is still enforced (%u are revoked), "
             "but what was revoked since then is not known here; sign it anew (`ringfence "
             "pki renew crl`) and bring it to every node",
             r->crl, day, r->listed);
    else if (r->uncovered)
        tell(t, "revocation", "tls.crl", TLS_WARN,
             "%s has no list of one of the CAs in %s: of that one nothing is revoked here; "
             "bring the list that has both",
             r->crl, r->ca);
    else
        tell(t, "revocation", "tls.crl", TLS_FINE, "%s: %u revoked%s%s", r->crl, r->listed,
             r->crl_s != 0 ? ", to be replaced by " : "", r->crl_s != 0 ? day : "");
}

/* Peers tell of their own; of one that is not asked, this is seen. The worst of them. */
static void tell_peers(struct telling *t, const struct tls_report *r, int64_t now_s)
{
    const struct tls_peer *first = NULL;
    unsigned more = 0;
    char end[80], others[40] = "";

    for (unsigned i = 0; i < r->peer_count; i++) {
        const struct tls_peer *p = &r->peers[i];

        if (level_of(p->expires_s, now_s) == TLS_FINE)
            continue;
        if (first != NULL)
            more++;
        if (first == NULL || p->expires_s < first->expires_s)
            first = p;
    }
    if (first == NULL)
        return;
    end_text(first->expires_s, now_s, end);
    if (more > 0)
        (void)snprintf(others, sizeof others, " (and of %u more)", more);
    tell(t, "certificate-peers", "tls.cert", TLS_WARN,
         "the certificate of %s %s%s %s, as it was when it connected; if it has been "
         "renewed since, that shows at its next connection, and its own `ringfence doctor` "
         "knows",
         identity_role_name(first->id.role), first->id.name, others, end);
}

unsigned tls_report_tell(const struct tls_report *r, int64_t now_s,
                         struct tls_told told[TLS_TELL_MAX])
{
    struct telling t = {.told = told};

    if (!r->there)
        return 0;
    tell_cert(&t, r, now_s);
    tell_ca(&t, r, now_s);
    tell_lists(&t, r, now_s);
    if (r->trouble[0] != '\0')
        tell(&t, "certificate-files", "tls", TLS_FAIL,
             "what lies in the files of `tls` now is NOT USED, what was there before still "
             "is: %s",
             r->trouble);
    tell_peers(&t, r, now_s);
    return t.n;
}

/* ---- for Prometheus -------------------------------------------------------------------
 */

static void ends(struct exposition *p, const struct tls_report *r, int64_t now_s)
{
    exposition_one(p, "certificate_expires_timestamp_seconds", "gauge",
                   "When this node's certificate ends.", (double)r->cert_s);
    exposition_one(p, "certificate_ca_expires_timestamp_seconds", "gauge",
                   "When the first of the CAs ends that this node's certificate hangs on.",
                   (double)r->ca_s);
    exposition_head(p, "certificate_expires_soon", "gauge",
                    "1 from 30 days before the certificate or its CA ends.");
    exposition_line(p, "%scertificate_expires_soon{what=\"certificate\"} %d\n", p->prefix,
                    level_of(r->cert_s, now_s) != TLS_FINE);
    exposition_line(p, "%scertificate_expires_soon{what=\"ca\"} %d\n", p->prefix,
                    level_of(r->ca_s, now_s) != TLS_FINE);
    exposition_one(p, "certificate_revoked", "gauge",
                   "1 while this node's certificate is on its own revocation list.",
                   r->revoked);
}

static void lists(struct exposition *p, const struct tls_report *r, int64_t now_s)
{
    exposition_head(
        p, "crl_next_update_timestamp_seconds", "gauge",
        "By when the revocation list should be replaced; no sample without one.");
    if (r->crl_s != 0)
        exposition_line(p, "%scrl_next_update_timestamp_seconds %.17g\n", p->prefix,
                        (double)r->crl_s);
    exposition_head(
        p, "crl_expired", "gauge",
        "1 while the revocation list should have been replaced; it is still enforced.");
    if (r->has_crl)
        exposition_line(p, "%scrl_expired %d\n", p->prefix,
                        r->crl_s != 0 && r->crl_s <= now_s);
    exposition_head(p, "crl_revoked_certificates", "gauge",
                    "Certificates on the revocation list.");
    if (r->has_crl)
        exposition_line(p, "%scrl_revoked_certificates %u\n", p->prefix, r->listed);
}

static void files(struct exposition *p, const struct tls_report *r)
{
    exposition_one(
        p, "tls_files_refused", "gauge",
        "1 while what lies in the files of `tls` is not used, but what was there before.",
        r->trouble[0] != '\0');
    exposition_head(p, "tls_reloads_total", "counter",
                    "Sets of files read since the start.");
    exposition_line(p, "%stls_reloads_total{result=\"taken\"} %" PRIu64 "\n", p->prefix,
                    r->taken);
    exposition_line(p, "%stls_reloads_total{result=\"refused\"} %" PRIu64 "\n", p->prefix,
                    r->failed);
}

int tls_report_metrics(const struct tls_report *r, const char *prefix, int64_t now_s,
                       struct buf *out, struct err *err)
{
    struct exposition p = {.prefix = prefix, .out = out, .err = err};

    if (!r->there)
        return 0;
    ends(&p, r, now_s);
    lists(&p, r, now_s);
    files(&p, r);
    exposition_head(&p, "tls_refused_total", "counter",
                    "Connections that came to nothing over a certificate, by reason.");
    for (enum tls_refusal w = 0; w < TLS_REFUSAL_MAX; w++)
        exposition_line(&p, "%stls_refused_total{reason=\"%s\"} %" PRIu64 "\n", prefix,
                        tls_refusal_name(w), r->refused[w]);
    exposition_head(&p, "peer_certificate_expires_timestamp_seconds", "gauge",
                    "When the certificate ends that the peer showed when it connected.");
    for (unsigned i = 0; i < r->peer_count; i++)
        exposition_line(
            &p,
            "%speer_certificate_expires_timestamp_seconds{role=\"%s\",peer=\"%s\"} "
            "%.17g\n",
            prefix, identity_role_name(r->peers[i].id.role), r->peers[i].id.name,
            (double)r->peers[i].expires_s);
    return p.status;
}
