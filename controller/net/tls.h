/* controller/net/tls.h -- what a node needs to prove who it is, read from files.
 *
 * TLS 1.3 only, both sides show a certificate and verify the other's, no session tickets,
 * no session cache, no compression, no renegotiation.
 *
 * The files may be replaced under a running node (tls_refresh(), which tls_watch.h calls):
 * a new set is taken when it is complete and sound, and else the old one stays. Handshakes
 * that begin afterwards use the new one. A connection that is open stays open, but for one
 * whose peer the new set would refuse because it is revoked or of no CA of ours: stream.h.
 *
 * A system of leases must not be stopped by a calendar. So:
 *   - a certificate that expires while its connection is open closes nothing;
 *   - a revocation list that should have been replaced goes on being enforced: the lists
 *     that a CA has signed only grow, and so what it refuses is refused rightly, and what
 *     it does not know could not be told from no news. It is warned of;
 *   - a CA of which there is no list has revoked nothing that we know of.
 * Of a list that is older (by its number) than the one in use, nothing is taken.
 *
 * Owner:   tls_new() to tls_free(). Streams, links and listeners take their own
 *          reference, so tls_free() is allowed while some are open.
 * Threads: any, once made: several loops in several threads may share one.
 * Errors:  every text names the file and what to do about it.
 */
#ifndef RF_NET_TLS_H
#define RF_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/base/findings.h"
#include "controller/net/identity.h"

struct tls;
struct tls_report;

struct tls_files {
    const char *ca;   /* PEM, one or more CA certificates: all of them are trusted */
    const char *cert; /* PEM, the leaf, then intermediate certificates */
    const char *key;  /* PEM, not encrypted */
    const char *crl;  /* PEM, one or more lists of what is revoked; NULL or "": none */
};

/* Read the files; `self` is who the local configuration says we are.
 *   ERR_NOTFOUND  a file is missing
 *   ERR_REFUSED   a file cannot be read, or the key can be read by everybody
 *   ERR_INVAL     not PEM, the key does not belong to the certificate, the certificate is
 *                 expired, not valid yet, revoked, or not issued by the CA; a list that its
 *                 CA has not signed
 *   ERR_PEER      the certificate is for somebody else: "the certificate
 *                 /etc/ringfence/node.crt is for controller west of cluster prod, this
 *                 node is controller east of cluster prod"
 *   ERR_NOMEM */
MUST_USE int tls_new(struct tls **ret_tls, const struct tls_files *files,
                     const struct identity *self, struct err *err);

/* Look whether the files have changed, or could not be used the last time, and read them
 * if so, or if `force`. Blocks as files do: not on a loop that is in a hurry. Two at a time
 * wait for each other.
 *   0             *ret_taken says whether there is a new set
 *   as tls_new()  what was in use goes on being used; tls_report() shows the text, too
 * One thing is not asked of a new set: that our own certificate is neither expired nor
 * revoked, where it is the very one that is in use. Else a node that nobody renewed would
 * not learn any more who else is revoked. */
MUST_USE int tls_refresh(struct tls *tls, bool force, bool *ret_taken, struct err *err);

/* The same as tls_new(), for a node that is only to be checked: what is wrong is said at
 * the key of the configuration, tls.ca, tls.cert, tls.key or tls.crl, and what will be. */
struct tls_node {
    enum identity_role role;
    const char *cluster, *name;
};
void tls_check(const struct tls_files *files, const struct tls_node *node,
               struct findings *f);
/* One more owner, who owes a tls_free() too. */
struct tls *tls_ref(struct tls *tls);
void tls_free(struct tls *tls); /* NULL is fine */

const struct identity *tls_self(const struct tls *tls);

/* When our own certificate ends, in seconds since 1970. */
int64_t tls_expires_s(struct tls *tls);

/* All that is worth knowing, as of now: tls_report.h. */
void tls_report(struct tls *tls, struct tls_report *ret);

#endif
