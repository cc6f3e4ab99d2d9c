/* controller/net/tls_private.h -- the inside of a tls, for tls*.c.
 *
 * A set of files is read into a context that nobody else knows yet, judged as a whole, and
 * put in the place of the one before under the lock. OpenSSL counts the references of a
 * context: sessions that were made with the old one keep it.
 */
#ifndef RF_NET_TLS_PRIVATE_H
#define RF_NET_TLS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <openssl/ssl.h>

#include "controller/net/tls.h"
#include "controller/net/tls_report.h"

enum { TLS_FILE_COUNT = 4 };

/* Is it the same file with the same contents? The change time moves with every write, and
 * the inode with every rename over it. */
struct tls_stamp {
    bool there;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
};
struct tls_stamps {
    struct tls_stamp of[TLS_FILE_COUNT];
};
void tls_stamp_files(const struct tls_files *files, struct tls_stamps *ret);
bool tls_stamps_equal(const struct tls_stamps *a, const struct tls_stamps *b);

/* One set of files. */
struct tls_set {
    SSL_CTX *ctx;
    int64_t cert_s, ca_s, crl_s;
    bool has_crl, revoked, uncovered;
    unsigned listed;
};
void tls_set_drop(struct tls_set *set); /* for AUTO() */

/* Read and judge. `in_use`: the set that is in use now, or NULL (tls_refresh()).
 * *ret_key: of the configuration, where the file that is wrong stands. */
MUST_USE int tls_set_load(struct tls_set *ret, const struct tls_files *files,
                          const struct identity *self, const struct tls_set *in_use,
                          const char **ret_key, struct err *err);

struct tls {
    atomic_uint refs;
    BIO_METHOD *memory;
    struct identity self;
    char *paths[TLS_FILE_COUNT];
    struct tls_files files; /* into paths */

    pthread_mutex_t loading; /* one refresh at a time; taken before `lock` */
    struct tls_stamps stamps;

    pthread_mutex_t lock; /* all below; held for no longer than a copy takes */
    struct tls_set set;
    struct tls_report facts;     /* but for what is in `set` */
    _Atomic uint64_t generation; /* read without the lock as well */
};

/* OpenSSL's verify callback: forgives what tls.h says of lists, and notes for
 * tls_session_check() what certificate it was. */
int tls_judge(int good, X509_STORE_CTX *verify);

/* Serial and whose it says it is; for people. */
void tls_describe_cert(X509 *cert, char *text, size_t size);

#endif
