/* controller/net/pki.h -- a small CA for those who have none.
 *
 * Makes what tls_new() reads: EC P-256 keys, certificates with our SAN URI that are good
 * for both sides of a connection (a user's: for the client's), a list of what is revoked. A
 * target of its own (rf_pki): the CLI links it, and it links nothing of the streams.
 *
 * DIR is what an operator keeps, away from the nodes:
 *     ca.crt          the CA; while it is being replaced, both (to every node)
 *     ca.key          its key; ca-next.key, ca-old.key: of the one that comes, that goes
 *     crl.pem         what is revoked, one signed list for each CA (to every node)
 *     issued/SERIAL.crt          everything that was ever issued: what `revoke` and `show`
 *                                know of
 *     controller-NAME.crt, .key  the newest of a node (to that node alone); agent-NAME; of
 * a user, user-NAME (to that person alone)
 *
 * Keys are 0600 from their first byte. A file is written beside its place, synced, and put
 * there by rename(2), and the directory is synced. Whoever writes holds a lock (flock(2))
 * on DIR: a second one is told ERR_BUSY. DIR is refused (ERR_REFUSED, with the cure) when
 * another user owns it, or others than its owner can write there or read a CA's key, or
 * everybody a node's.
 * Certificates and lists are valid from an hour ago, since clocks differ.
 *
 * Threads: any. It blocks (files).
 * Errors:  of all functions that take DIR: ERR_NOTFOUND (no CA there), ERR_REFUSED,
 *          ERR_BUSY, ERR_INVAL (a file is not what its name says), ERR_NOMEM, ERR_IO; more
 *          at each of them. On error ret_ arguments are untouched.
 */
#ifndef RF_NET_PKI_H
#define RF_NET_PKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/net/identity.h"

enum {
    PKI_DAYS_MAX = 36500,
    PKI_CRL_DAYS = 180,     /* until a list should have been signed anew */
    PKI_SERIAL_SIZE = 48,   /* hexadecimal; 20 bytes are the most that X.509 permits */
    PKI_ISSUED_MAX = 10000, /* certificates that one CA has issued; beyond it ERR_FULL */
};

/* A new CA for one cluster; makes DIR (0700) if it is missing.
 *   ERR_CONFLICT  there is a CA in DIR already
 *   ERR_INVAL     not a cluster's name, or days not in 1..PKI_DAYS_MAX */
MUST_USE int pki_init(const char *dir, const char *cluster, uint32_t days, struct err *err);

/* A key and a certificate for a node or a user of the CA's cluster, which ends no later
 * than the CA. ERR_CONFLICT  the node has files already: renew, or remove them to issue
 * anew */
MUST_USE int pki_issue(const char *dir, enum identity_role role, const char *name,
                       uint32_t days, struct err *err);

struct pki_renewal {
    enum identity_role role;
    const char *name;
    uint32_t days;
    bool keep_key; /* the same key goes on: needs no private key in DIR, replaces none */
};
/* A new certificate in the place of a node's newest, whose serial goes to `ret_old`; that
 * one stays valid until it ends or is revoked.
 *   ERR_NOTFOUND  nothing was issued for this node
 *   ERR_CONFLICT  keep_key, and the newest is revoked: its key may be known to others */
MUST_USE int pki_renew(const char *dir, const struct pki_renewal *what,
                       char ret_old[PKI_SERIAL_SIZE], struct err *err);

/* ---- another CA, without an outage ----------------------------------------------------
 * Three steps, and between two of them every node has to have got what the one before has
 * made: at no time does a node meet a certificate of a CA that it does not know.
 */

/* 1: a second CA beside the first: ca.crt has both, the first one goes on signing.
 *   ERR_CONFLICT  one is on its way already */
MUST_USE int pki_ca_prepare(const char *dir, uint32_t days, struct err *err);
/* 2: from now on the second one signs. The nodes are to be renewed.
 *   ERR_CONFLICT  there is none, or the last one is not finished */
MUST_USE int pki_ca_use(const char *dir, struct err *err);
/* 3: the first one is forgotten, with its key.
 *   ERR_CONFLICT  there is none, or a node's newest certificate is still of it: which */
MUST_USE int pki_ca_finish(const char *dir, struct err *err);

/* ---- revocation -----------------------------------------------------------------------
 */

/* Sign the lists anew, with the next number, good for `days` from now. */
MUST_USE int pki_renew_crl(const char *dir, uint32_t days, struct err *err);

/* `what`: a serial in hexadecimal, a node's name, or controller/NAME, agent/NAME or
 * user/NAME where a name is of two. Of a name everything that is valid is revoked;
 * `superseded`: all but the newest. The list is signed anew, for PKI_CRL_DAYS. ERR_NOTFOUND
 * no such certificate ERR_CONFLICT  nothing of it is left to be revoked, or the name is of
 * two nodes */
MUST_USE int pki_revoke(const char *dir, const char *what, bool superseded,
                        unsigned *ret_count, struct err *err);

/* ---- looking --------------------------------------------------------------------------
 */

struct pki_entry {
    bool is_ca;
    bool signs;         /* a CA: the one that signs now */
    bool has_identity;  /* else `id` is empty, and `subject` says what it is */
    bool newest;        /* of its node, as far as it is known */
    struct identity id; /* a CA: the cluster alone */
    char subject[128], serial[PKI_SERIAL_SIZE], issuer[128];
    int64_t from_s, until_s, revoked_s; /* seconds since 1970; revoked_s 0: it is not */
};

struct pki_crl {
    bool there;
    char issuer[128];
    uint64_t number;
    int64_t from_s, next_s; /* next_s 0: it does not say */
    unsigned revoked;
};

/* The CAs, then what they have issued, by name and from the newest to the oldest; free()
 * the list. `ret_crl`: that of the CA that signs. */
MUST_USE int pki_list(const char *dir, struct pki_entry **ret_list, size_t *ret_count,
                      struct pki_crl *ret_crl, struct err *err);

/* What one file in PEM is, whoever made it: its first certificate (ret_entry, and true in
 * *ret_is_cert) or its first list.
 *   ERR_INVAL  neither */
MUST_USE int pki_look(const char *path, struct pki_entry *ret_entry,
                      struct pki_crl *ret_crl, bool *ret_is_cert, struct err *err);

#endif
