#include "controller/net/tls.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "controller/net/host.h"
#include "controller/net/tls_session.h"

/* A chain longer than this, in certificates or in bytes, is an attack. */
enum { CHAIN_DEPTH_MAX = 4, CHAIN_BYTES_MAX = 32 << 10 };

struct tls {
    atomic_uint refs;
    SSL_CTX *ctx;
    BIO_METHOD *memory;
    struct identity self;
    int64_t expires_s;
};

static int pipe_read(BIO *bio, char *data, size_t len, size_t *ret_n)
{
    struct tls_pipe *pipe = BIO_get_data(bio);
    size_t n = len < pipe->in_len ? len : pipe->in_len;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(data, pipe->in, n);
    pipe->in += n;
    pipe->in_len -= n;
    *ret_n = n;
    return 1;
}

static int pipe_write(BIO *bio, const char *data, size_t len, size_t *ret_n)
{
    struct tls_pipe *pipe = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (buf_append(&pipe->out, data, len, NULL) != 0)
        return 0;
    *ret_n = len;
    return 1;
}

static long pipe_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static int pipe_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

/* A type of our own would use up one of OpenSSL's 255 for each context. */
static BIO_METHOD *memory_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_MEM, "ringfence stream");

    if (m == NULL)
        return NULL;
    if (BIO_meth_set_read_ex(m, pipe_read) != 1 ||
        BIO_meth_set_write_ex(m, pipe_write) != 1 || BIO_meth_set_ctrl(m, pipe_ctrl) != 1 ||
        BIO_meth_set_create(m, pipe_create) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    return m;
}

struct tls *tls_ref(struct tls *tls)
{
    atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(tls->ctx);
    BIO_meth_free(tls->memory);
    free(tls);
}

static void drop_tls(struct tls **tls) { tls_free(*tls); }

int tls_session_new(SSL **ret_ssl, struct tls *tls, struct tls_pipe *pipe, bool server,
                    struct err *err)
{
    SSL *ssl = SSL_new(tls->ctx);
    BIO *bio = BIO_new(tls->memory);

    if (ssl == NULL || bio == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        ERR_clear_error();
        return err_set(err, ERR_NOMEM, "TLS session");
    }
    BIO_set_data(bio, pipe);
    SSL_set_bio(ssl, bio, bio); /* the session owns it now */
    if (server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    *ret_ssl = ssl;
    return 0;
}

static void drop_file(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

static void drop_key(EVP_PKEY **key) { EVP_PKEY_free(*key); }

static int unreadable(struct err *err, int error, const char *what, const char *path,
                      bool secret)
{
    if (error == EACCES)
        return host_unreadable(err, error, what, path, secret);
    return err_errno(err, error, "%s %s (make one with `ringfence pki`)", what, path);
}

static int check_readable(const char *what, const char *path, struct err *err)
{
    AUTO(drop_file) FILE *file = fopen(path, "re");
    int saved = errno;

    return file != NULL ? 0 : unreadable(err, saved, what, path, false);
}

static int load_ca(SSL_CTX *ctx, const char *path, struct err *err)
{
    int status = check_readable("the CA certificate", path, err);

    if (status != 0)
        return status;
    if (SSL_CTX_load_verify_locations(ctx, path, NULL) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVAL, "%s holds no CA certificate in PEM", path);
    }
    return 0;
}

static int load_cert(SSL_CTX *ctx, const char *path, struct err *err)
{
    int status = check_readable("the certificate", path, err);

    if (status != 0)
        return status;
    if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVAL, "%s holds no certificate in PEM", path);
    }
    return 0;
}

static int check_key_mode(FILE *file, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fileno(file), &st) != 0)
        return err_errno(err, errno, "the key %s", path);
    if ((st.st_mode & S_IRWXO) != 0)
        return err_set(err, ERR_REFUSED,
                       "the key %s can be used by every user of this host: `chmod o-rwx "
                       "%s`, and issue a new one if others have been here",
                       path, path);
    return 0;
}

static int load_key(SSL_CTX *ctx, const struct tls_files *files, struct err *err)
{
    AUTO(drop_file) FILE *file = fopen(files->key, "re");
    AUTO(drop_key) EVP_PKEY *key = NULL;
    int saved = errno, status;

    if (file == NULL)
        return unreadable(err, saved, "the key", files->key, true);
    status = check_key_mode(file, files->key, err);
    if (status != 0)
        return status;
    /* With a password given, and be it none, OpenSSL does not ask the terminal. */
    key = PEM_read_PrivateKey(file, NULL, NULL, "");
    ERR_clear_error();
    if (key == NULL)
        return err_set(err, ERR_INVAL, "%s holds no unencrypted private key in PEM",
                       files->key);
    status = X509_check_private_key(SSL_CTX_get0_certificate(ctx), key);
    if (status == 1)
        status = SSL_CTX_use_PrivateKey(ctx, key);
    ERR_clear_error();
    if (status != 1)
        return err_set(err, ERR_INVAL,
                       "the key %s does not belong to the certificate %s: take both from "
                       "the same `ringfence pki issue`",
                       files->key, files->cert);
    return 0;
}

static void drop_verify(X509_STORE_CTX **verify) { X509_STORE_CTX_free(*verify); }

/* Would a peer with our CA accept us? Better said at the start than by every peer. */
static int check_chain(SSL_CTX *ctx, const struct tls_files *files, struct err *err)
{
    AUTO(drop_verify) X509_STORE_CTX *verify = X509_STORE_CTX_new();
    X509 *leaf = SSL_CTX_get0_certificate(ctx);
    STACK_OF(X509) *chain = NULL;

    SSL_CTX_get0_chain_certs(ctx, &chain);
    if (verify == NULL ||
        X509_STORE_CTX_init(verify, SSL_CTX_get_cert_store(ctx), leaf, chain) != 1)
        return err_set(err, ERR_NOMEM, "check %s", files->cert);
    if (X509_verify_cert(verify) != 1) {
        int why = X509_STORE_CTX_get_error(verify);

        ERR_clear_error();
        return err_set(err, ERR_INVAL,
                       "the certificate %s is not good under the CA %s: %s (issue a new "
                       "one with `ringfence pki issue`)",
                       files->cert, files->ca, X509_verify_cert_error_string(why));
    }
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1 ||
        X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1)
        return err_set(
            err, ERR_INVAL,
            "the certificate %s is not for both sides of a connection: it "
            "needs serverAuth and clientAuth, as `ringfence pki issue` makes them",
            files->cert);
    return 0;
}

static int check_identity(X509 *leaf, const char *path, const struct identity *self,
                          struct err *err)
{
    struct identity found;

    if (identity_of_cert(&found, leaf, err) != 0)
        return err_wrap(err, "%s", path);
    if (identity_equals(&found, self))
        return 0;
    return err_set(err, ERR_PEER,
                   "the certificate %s is for %s %s of cluster %s, this node is %s %s of "
                   "cluster %s: correct the name in the configuration, or issue one with "
                   "`ringfence pki issue`",
                   path, identity_role_name(found.role), found.name, found.cluster,
                   identity_role_name(self->role), self->name, self->cluster);
}

static void harden(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx,
                        SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH_MAX);
    SSL_CTX_set_max_cert_list(ctx, CHAIN_BYTES_MAX);
    /* Idle streams keep no 32 KiB of record buffers. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
}

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* *ret_key: of the configuration, where the one that is wrong stands. */
static int load_files(SSL_CTX *ctx, const struct tls_files *files,
                      const struct identity *self, const char **ret_key, struct err *err)
{
    int status = load_ca(ctx, files->ca, err);

    *ret_key = "tls.ca";
    if (status != 0)
        return status;
    *ret_key = "tls.cert";
    status = load_cert(ctx, files->cert, err);
    if (status != 0)
        return status;
    *ret_key = "tls.key";
    status = load_key(ctx, files, err);
    if (status != 0)
        return status;
    *ret_key = "tls.cert";
    status = check_chain(ctx, files, err);
    if (status != 0)
        return status;
    return check_identity(SSL_CTX_get0_certificate(ctx), files->cert, self, err);
}

static int new_tls(struct tls **ret_tls, const struct tls_files *files,
                   const struct identity *self, const char **ret_key, struct err *err)
{
    AUTO(drop_tls) struct tls *tls = calloc(1, sizeof *tls);
    int status;

    *ret_key = "tls";
    if (tls == NULL)
        return err_set(err, ERR_NOMEM, "TLS context");
    atomic_init(&tls->refs, 1);
    tls->self = *self;
    tls->ctx = SSL_CTX_new(TLS_method());
    tls->memory = memory_method();
    ERR_clear_error();
    if (tls->ctx == NULL || tls->memory == NULL ||
        SSL_CTX_set_min_proto_version(tls->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(tls->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(tls->ctx, 0) != 1)
        return err_set(err, ERR_NOMEM, "TLS context");
    harden(tls->ctx);

    status = load_files(tls->ctx, files, self, ret_key, err);
    if (status != 0)
        return status;
    tls->expires_s = seconds_of(X509_get0_notAfter(SSL_CTX_get0_certificate(tls->ctx)));
    *ret_tls = TAKE(tls);
    return 0;
}

int tls_new(struct tls **ret_tls, const struct tls_files *files,
            const struct identity *self, struct err *err)
{
    const char *key;

    return new_tls(ret_tls, files, self, &key, err);
}

const struct identity *tls_self(const struct tls *tls) { return &tls->self; }

int64_t tls_expires_s(const struct tls *tls) { return tls->expires_s; }

void tls_check(const struct tls_files *files, const struct tls_node *node,
               struct findings *f)
{
    const char *key = "name";
    struct identity self;
    struct tls *tls = NULL;
    struct err err = {0};

    if (identity_make(&self, node->role, node->cluster, node->name, &err) != 0 ||
        new_tls(&tls, files, &self, &key, &err) != 0)
        findings_error(f, key, "%s", err.text);
    tls_free(tls);
}
