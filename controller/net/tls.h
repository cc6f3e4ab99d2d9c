/* controller/net/tls.h -- what a node needs to prove who it is, read from three files.
 *
 * TLS 1.3 only, both sides show a certificate and verify the other's, no session tickets,
 * no session cache, no compression, no renegotiation.
 *
 * Owner:   tls_new() to tls_free(). Streams, links and listeners take their own
 *          reference, so tls_free() is allowed while some are open.
 * Threads: any, once made: several loops in several threads may share one.
 * Errors:  every text names the file and what to do about it.
 */
#ifndef RF_NET_TLS_H
#define RF_NET_TLS_H

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/base/findings.h"
#include "controller/net/identity.h"

struct tls;

struct tls_files {
    const char *ca;   /* PEM, one or more CA certificates */
    const char *cert; /* PEM, the leaf, then intermediate certificates */
    const char *key;  /* PEM, not encrypted */
};

/* Read the files; `self` is who the local configuration says we are.
 *   ERR_NOTFOUND  a file is missing
 *   ERR_REFUSED   a file cannot be read, or the key can be read by everybody
 *   ERR_INVAL     not PEM, the key does not belong to the certificate, the certificate is
 *                 expired, not valid yet, or not issued by the CA
 *   ERR_PEER      the certificate is for somebody else: "the certificate
 *                 /etc/ringfence/node.crt is for controller west of cluster prod, this
 *                 node is controller east of cluster prod"
 *   ERR_NOMEM */
MUST_USE int tls_new(struct tls **ret_tls, const struct tls_files *files,
                     const struct identity *self, struct err *err);
/* The same, for a node that is only to be checked: what is wrong is said at the key of the
 * configuration, tls.ca, tls.cert or tls.key. */
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

/* When our own certificate ends, in seconds since 1970: for /metrics and doctor. */
int64_t tls_expires_s(const struct tls *tls);

#endif
