/* controller/net/tls_report.h -- what a node says of its certificates: on /metrics, in
 * `doctor` and `status`, in its log.
 *
 * Pure:    the clock comes in.
 * Units:   seconds since 1970, named ..._s: certificates know no other time.
 * Owner:   plain values.
 * Threads: any.
 */
#ifndef RF_NET_TLS_REPORT_H
#define RF_NET_TLS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/net/identity.h"

enum {
    TLS_WARN_DAYS = 30,
    TLS_PEERS_MAX = 64, /* peers whose certificates are known; further ones are not shown */
    TLS_VERDICT_SIZE = 900, /* of tls_report_tell()'s texts */
    TLS_TELL_MAX = 5,
};

/* Why a handshake came to nothing; labels of a metric, so: add, never rename. */
#define TLS_REFUSAL_MAP(X)                                                                 \
    X(TLS_REFUSED_REVOKED, "revoked")                                                      \
    X(TLS_REFUSED_EXPIRED, "expired")                                                      \
    X(TLS_REFUSED_NOT_YET_VALID, "not-yet-valid")                                          \
    X(TLS_REFUSED_UNTRUSTED, "untrusted")     /* another CA, or its own */                 \
    X(TLS_REFUSED_CERTIFICATE, "certificate") /* anything else about it */                 \
    X(TLS_REFUSED_NONE, "no-certificate")                                                  \
    X(TLS_REFUSED_IDENTITY, "identity") /* it names no node, or two */                     \
    X(TLS_REFUSED_CLUSTER, "cluster")   /* of another cluster */                           \
    X(TLS_REFUSED_NODE, "node")         /* another name or role than expected here */      \
    X(TLS_REFUSED_PROTOCOL, "protocol") /* not TLS 1.3 */                                  \
    X(TLS_REFUSED_BY_PEER, "by-peer")   /* the other side does not want us */

enum tls_refusal {
#define X(name, text) name,
    TLS_REFUSAL_MAP(X)
#undef X
        TLS_REFUSAL_MAX
};

/* A peer with a connection that is open. */
struct tls_peer {
    struct identity id;
    int64_t expires_s; /* as it showed it the last time it connected */
    unsigned open;
};

struct tls_report {
    bool there; /* false: all else is 0 (there is no TLS, in a test) */
    char cert[128], ca[128], crl[128]; /* paths, shortened for people */
    uint64_t generation;               /* +1 for each set of files that was taken */
    int64_t cert_s, ca_s;              /* the first end of the CAs that ours hangs on */
    bool has_crl;
    bool revoked;      /* our own certificate is on our own list */
    int64_t crl_s;     /* by when the first list should be replaced; 0: no list says it */
    unsigned listed;   /* certificates on the lists */
    bool uncovered;    /* there are lists, but of one of our CAs there is none */
    char trouble[512]; /* why what is in the files now is not used; "": it is */
    uint64_t refused[TLS_REFUSAL_MAX];
    uint64_t taken, failed; /* sets of files, since the start */
    unsigned peer_count;
    struct tls_peer peers[TLS_PEERS_MAX];
};

const char *tls_refusal_name(enum tls_refusal why);

enum tls_level { TLS_FINE, TLS_WARN, TLS_FAIL };

/* "ok", "warn" and "fail", as the doctor has them. */
const char *tls_level_name(enum tls_level level);

/* What a person should know, worst things too; the first is always our certificate. */
struct tls_told {
    const char *check; /* "certificate", "certificate-ca", "revocation", ... */
    const char *key;   /* of the configuration: "tls.cert", ... */
    enum tls_level level;
    char text[TLS_VERDICT_SIZE];
};
/* Returns how many. */
unsigned tls_report_tell(const struct tls_report *r, int64_t now_s,
                         struct tls_told told[TLS_TELL_MAX]);

/* Prometheus text; names begin with `prefix` ("ringfence_", "ringfence_agent_"). Nothing
 * where there is no TLS. */
MUST_USE int tls_report_metrics(const struct tls_report *r, const char *prefix,
                                int64_t now_s, struct buf *out, struct err *err);

#endif
