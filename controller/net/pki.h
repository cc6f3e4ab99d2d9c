/* controller/net/pki.h -- a small CA for laboratories and first installations.
 *
 * Makes what tls_new() reads: EC P-256 keys, certificates with our SAN URI that are good
 * for both sides of a connection. A target of its own (rf_pki): the CLI links it, and it
 * links nothing of the streams.
 *
 * In DIR: `ca.crt`, `ca.key`, and for each node `controller-NAME.crt` and `.key` or
 * `agent-NAME.crt` and `.key`. Keys are 0600 from their first byte. Nothing is ever
 * overwritten. Certificates are valid from an hour ago, since clocks differ.
 *
 * Threads: any. It blocks (files).
 */
#ifndef RF_NET_PKI_H
#define RF_NET_PKI_H

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/net/identity.h"

enum { PKI_DAYS_MAX = 36500 };

/* A new CA for one cluster; makes DIR (0700) if it is missing.
 *   ERR_CONFLICT  there is a CA in DIR already
 *   ERR_INVAL     not a cluster's name, or days not in 1..PKI_DAYS_MAX
 *   ERR_NOTFOUND  ERR_REFUSED  ERR_NOMEM  ERR_IO */
MUST_USE int pki_init(const char *dir, const char *cluster, uint32_t days, struct err *err);

/* A key and a certificate for a node of the CA's cluster, which ends no later than the CA.
 *   ERR_CONFLICT  the node has files already: remove them to issue anew
 *   ERR_NOTFOUND  no CA in DIR: run `ringfence pki init` first
 *   ERR_INVAL  ERR_REFUSED  ERR_NOMEM  ERR_IO */
MUST_USE int pki_issue(const char *dir, enum identity_role role, const char *name,
                       uint32_t days, struct err *err);

#endif
