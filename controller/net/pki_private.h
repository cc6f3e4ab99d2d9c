/* controller/net/pki_private.h -- what pki*.c share.
 *
 * Owner:   struct pki is pki_open() to pki_close(); what is in it is its own.
 * Threads: any, one struct pki by one at a time.
 */
#ifndef RF_NET_PKI_PRIVATE_H
#define RF_NET_PKI_PRIVATE_H

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "controller/net/pki.h"

enum { PKI_CAS_MAX = 3 /* the one that goes, that signs, that comes */ };

/* A CA's directory: locked, looked at, and read as far as the CA goes. */
struct pki {
    char dir[PATH_MAX];
    int fd;                      /* of the directory; carries the lock; -1: not open */
    unsigned n;                  /* certificates of ca.crt */
    X509 *cas[PKI_CAS_MAX];      /* in the file's order */
    EVP_PKEY *keys[PKI_CAS_MAX]; /* NULL: not here */
    unsigned signer;             /* whose key is ca.key */
    char cluster[IDENTITY_NAME_SIZE];
};

/* ---- pki_files.c ----------------------------------------------------------------------
 */

enum pki_use { PKI_LOOK, PKI_WRITE /* locks */ };

/* The directory alone: for pki_init(). The struct must be pki_close()d on failure, too. */
MUST_USE int pki_open_dir(struct pki *p, const char *dir, enum pki_use use,
                          struct err *err);
/* With its CA and the keys that are there: which of two CAs signs, only they tell. */
MUST_USE int pki_open(struct pki *p, const char *dir, enum pki_use use, struct err *err);
void pki_close(struct pki *p); /* for AUTO(); a zeroed struct with fd -1 is fine */

/* DIR/NAME into `path`.
 *   ERR_INVAL  too long */
MUST_USE int pki_path(char path[PATH_MAX], const struct pki *p, const char *name,
                      struct err *err);
bool pki_has(const struct pki *p, const char *name);
/* The file with this name gets what `write` writes: 1 for success, as OpenSSL has it. */
typedef int pki_writer(FILE *file, const void *what);
MUST_USE int pki_put(const struct pki *p, const char *name, mode_t mode, pki_writer *write,
                     const void *what, struct err *err);
MUST_USE int pki_rename(const struct pki *p, const char *from, const char *to,
                        struct err *err);
/* It need not be there. */
MUST_USE int pki_remove(const struct pki *p, const char *name, struct err *err);

pki_writer pki_write_key;  /* EVP_PKEY */
pki_writer pki_write_cert; /* X509 */
/* ca.crt: the CAs in their order. `what`: struct pki. */
pki_writer pki_write_cas;

/* issued/SERIAL.crt */
MUST_USE int pki_keep(const struct pki *p, X509 *cert, struct err *err);

/* ---- pki_cert.c -----------------------------------------------------------------------
 */

/* OpenSSL's builders fail for want of memory only; its queue must not reach a later call.
 * Returns ERR_NOMEM. */
int pki_failed(struct err *err, const char *what);
MUST_USE int pki_check_days(uint32_t days, struct err *err);
/* NULL: no memory. */
X509 *pki_make_ca(EVP_PKEY *key, const char *cluster, uint32_t days, bool first);
/* Begins later than `before` (NULL: there is none), so that of two that were made within a
 * second, too, one is the newest. */
X509 *pki_make_leaf(const struct pki *p, const struct identity *id, EVP_PKEY *key,
                    uint32_t days, X509 *before);
void pki_serial_text(const ASN1_INTEGER *serial, char text[PKI_SERIAL_SIZE]);
int64_t pki_seconds(const ASN1_TIME *t);
/* What can be said of a certificate alone. */
void pki_describe(X509 *cert, struct pki_entry *ret);
void pki_describe_crl(X509_CRL *crl, struct pki_crl *ret);

void pki_drop_cert(X509 **cert); /* for AUTO() */
void pki_drop_key(EVP_PKEY **key);
void pki_drop_crl(X509_CRL **crl);
void pki_drop_file(FILE **file);

/* ---- pki_crl.c ------------------------------------------------------------------------
 */

/* crl.pem, as far as it is of CAs in ca.crt: lists[i] is that of p->cas[i]; NULL: none.
 * Only what that CA has signed is taken. */
struct pki_lists {
    X509_CRL *of[PKI_CAS_MAX];
};
MUST_USE int pki_load_lists(const struct pki *p, struct pki_lists *ret, struct err *err);
void pki_drop_lists(struct pki_lists *lists); /* for AUTO() */
/* Each with the next number, good for `days`. Lists of CAs without a key stay as they are.
 */
MUST_USE int pki_sign_lists(const struct pki *p, struct pki_lists *lists, uint32_t days,
                            struct err *err);
/* When it was revoked; 0: it was not. */
int64_t pki_revoked_s(const struct pki *p, const struct pki_lists *lists, X509 *cert);
/* Which of p->cas has signed it; p->n: none. */
unsigned pki_issuer_of(const struct pki *p, X509 *cert);

/* ---- pki_list.c -----------------------------------------------------------------------
 */

/* Every certificate that was issued, of `issued` and beside it: what an older version has
 * left there, too. By role and name, the newest of each first. Free with pki_drop_issued().
 */
struct pki_issued {
    X509 **certs;
    size_t n;
};
MUST_USE int pki_load_issued(const struct pki *p, struct pki_issued *ret, struct err *err);
void pki_drop_issued(struct pki_issued *issued); /* for AUTO() */
/* Of this node, the one that was made last; NULL: none. */
X509 *pki_newest(const struct pki_issued *issued, const struct identity *id);

#endif
