/* One set of files: read, and judged as a whole before anybody may use it. */
#include "controller/net/tls_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "controller/base/text.h"
#include "controller/net/host.h"
#include "controller/net/tls_session.h"

/* A chain longer than this, in certificates or in bytes, is an attack. */
enum { CHAIN_DEPTH_MAX = 4, CHAIN_BYTES_MAX = 32 << 10 };

static void drop_file(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

static void drop_key(EVP_PKEY **key) { EVP_PKEY_free(*key); }

static void drop_crl(X509_CRL **crl) { X509_CRL_free(*crl); }

static void drop_verify(X509_STORE_CTX **verify) { X509_STORE_CTX_free(*verify); }

void tls_set_drop(struct tls_set *set)
{
    SSL_CTX_free(set->ctx);
    *set = (struct tls_set){0};
}

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;

    return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* ---- have they changed? ---------------------------------------------------------------
 */

void tls_stamp_files(const struct tls_files *files, struct tls_stamps *ret)
{
    const char *const paths[TLS_FILE_COUNT] = {files->ca, files->cert, files->key,
                                               files->crl};

    *ret = (struct tls_stamps){0};
    for (int i = 0; i < TLS_FILE_COUNT; i++) {
        struct stat st;

        if (paths[i] != NULL && paths[i][0] != '\0' && stat(paths[i], &st) == 0)
            ret->of[i] =
                (struct tls_stamp){true, st.st_dev, st.st_ino, st.st_size, st.st_ctim};
    }
}

bool tls_stamps_equal(const struct tls_stamps *a, const struct tls_stamps *b)
{
    for (int i = 0; i < TLS_FILE_COUNT; i++) {
        const struct tls_stamp *l = &a->of[i], *r = &b->of[i];

        if (l->there != r->there || l->dev != r->dev || l->ino != r->ino ||
            l->size != r->size || l->changed.tv_sec != r->changed.tv_sec ||
            l->changed.tv_nsec != r->changed.tv_nsec)
            return false;
    }
    return true;
}

/* ---- the files ------------------------------------------------------------------------
 */

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
                       "the same `ringfence pki issue` or `renew`",
                       files->key, files->cert);
    return 0;
}

/* ---- the lists ------------------------------------------------------------------------
 */

/* What OpenSSL would stumble over in every handshake is found now. */
static int check_extensions(X509_CRL *crl, const char *path, struct err *err)
{
    if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
        return err_set(err, ERR_INVAL, "%s holds a delta list: complete lists are expected",
                       path);
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
        X509_EXTENSION *e = X509_CRL_get_ext(crl, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));

        if (X509_EXTENSION_get_critical(e) && nid != NID_issuing_distribution_point)
            return err_set(err, ERR_INVAL,
                           "%s holds a list with a critical extension that is not known "
                           "here (%s)",
                           path, OBJ_nid2sn(nid));
    }
    return 0;
}

/* By the CA of that name, if it is one of ours. That of an intermediate CA, which peers
 * bring along, is judged in the handshake. */
static int check_signature(X509_STORE *store, X509_CRL *crl, const char *path,
                           struct err *err)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
    bool named = false;

    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));

        if (ca == NULL ||
            X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) != 0)
            continue;
        named = true;
        if (X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1 &&
            (X509_get_key_usage(ca) & KU_CRL_SIGN) != 0)
            return 0;
    }
    ERR_clear_error();
    if (!named)
        return 0;
    return err_set(err, ERR_INVAL,
                   "%s holds a list that the CA of its name has not signed, or may not "
                   "sign (keyUsage cRLSign): take it from where the CA is",
                   path);
}

static void note_list(struct tls_set *set, X509_CRL *crl)
{
    const int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));
    const int64_t next_s = seconds_of(X509_CRL_get0_nextUpdate(crl));

    set->has_crl = true;
    set->listed += n > 0 ? (unsigned)n : 0;
    if (next_s != 0 && (set->crl_s == 0 || next_s < set->crl_s))
        set->crl_s = next_s;
}

static bool has_list(STACK_OF(X509_OBJECT) * all, X509 *ca)
{
    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));

        if (crl != NULL &&
            X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0)
            return true;
    }
    return false;
}

static bool some_ca_has_no_list(X509_STORE *store)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);

    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));

        if (ca != NULL && !has_list(all, ca))
            return true;
    }
    return false;
}

static int add_lists(struct tls_set *set, FILE *file, const char *path, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(set->ctx);

    for (;;) {
        AUTO(drop_crl) X509_CRL *crl = PEM_read_X509_CRL(file, NULL, NULL, "");
        unsigned long why = ERR_peek_last_error();

        ERR_clear_error();
        /* The end of the file, or half a list: what follows it would be forgiven. */
        if (crl == NULL && set->has_crl && ERR_GET_LIB(why) == ERR_LIB_PEM &&
            ERR_GET_REASON(why) == PEM_R_NO_START_LINE)
            return 0;
        if (crl == NULL)
            return err_set(
                err, ERR_INVAL,
                "%s holds no list of revoked certificates in PEM, or half of one", path);
        if (check_extensions(crl, path, err) != 0 ||
            check_signature(store, crl, path, err) != 0)
            return err->code;
        if (X509_STORE_add_crl(store, crl) != 1) {
            ERR_clear_error();
            return err_set(err, ERR_NOMEM, "list of revoked certificates");
        }
        note_list(set, crl);
    }
}

/* The list of this CA in a set that is in use, whose sessions may be sorting it: one more
 * owner, or NULL. */
static X509_CRL *list_in_use(const struct tls_set *in_use, X509_CRL *like)
{
    X509_STORE *store = SSL_CTX_get_cert_store(in_use->ctx);
    STACK_OF(X509_OBJECT) * all;
    X509_CRL *found = NULL;

    X509_STORE_lock(store);
    all = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(all) && found == NULL; i++) {
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));

        if (crl != NULL &&
            X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_CRL_get_issuer(like)) == 0 &&
            X509_CRL_up_ref(crl) == 1)
            found = crl;
    }
    X509_STORE_unlock(store);
    return found;
}

static bool is_older(X509_CRL *crl, X509_CRL *than)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    ASN1_INTEGER *limit = X509_CRL_get_ext_d2i(than, NID_crl_number, NULL, NULL);
    bool older = number != NULL && limit != NULL && ASN1_INTEGER_cmp(number, limit) < 0;

    ASN1_INTEGER_free(number);
    ASN1_INTEGER_free(limit);
    ERR_clear_error();
    return older;
}

/* An old copy, put back, would let in again who was revoked since. */
static int check_no_older(const struct tls_set *set, const struct tls_set *in_use,
                          const char *path, struct err *err)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(set->ctx));

    for (int i = 0; in_use != NULL && i < sk_X509_OBJECT_num(all); i++) {
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));
        AUTO(drop_crl) X509_CRL *before = crl != NULL ? list_in_use(in_use, crl) : NULL;

        if (before != NULL && is_older(crl, before))
            return err_set(err, ERR_INVAL,
                           "%s holds an older list than the one that is in use, and would "
                           "forgive who was revoked since: bring the newest",
                           path);
    }
    return 0;
}

static int load_crl(struct tls_set *set, const char *path, const struct tls_set *in_use,
                    struct err *err)
{
    AUTO(drop_file) FILE *file = NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(set->ctx);

    if (path == NULL || path[0] == '\0')
        return 0;
    file = fopen(path, "re");
    if (file == NULL)
        return unreadable(err, errno, "the list of revoked certificates", path, false);
    if (add_lists(set, file, path, err) != 0 || check_no_older(set, in_use, path, err) != 0)
        return err->code;
    set->uncovered = some_ca_has_no_list(store);
    if (X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
        return err_set(err, ERR_NOMEM, "list of revoked certificates");
    return 0;
}

/* ---- judging --------------------------------------------------------------------------
 */

void tls_describe_cert(X509 *cert, char *text, size_t size)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const int len = ASN1_STRING_length(serial);
    struct identity id;
    int at;

    if (identity_of_cert(&id, cert, NULL) == 0)
        at = snprintf(text, size, "%s %s of cluster %s, serial ",
                      identity_role_name(id.role), id.name, id.cluster);
    else
        at = snprintf(text, size, "%s, serial ",
                      X509_check_ca(cert) > 0 ? "a CA's" : "no node's");
    ERR_clear_error();
    for (int i = 0; i < len && at >= 0 && (size_t)at + 2 < size; i++)
        at += snprintf(text + at, size - (size_t)at, "%02X",
                       ASN1_STRING_get0_data(serial)[i]);
}

/* tls.h says why these stop nobody. */
static bool is_forgiven(int error)
{
    return error == X509_V_ERR_CRL_HAS_EXPIRED || error == X509_V_ERR_CRL_NOT_YET_VALID ||
           error == X509_V_ERR_UNABLE_TO_GET_CRL || error == X509_V_ERR_DIFFERENT_CRL_SCOPE;
}

/* Whose it is, and which of its chain is at fault, if it is another one. */
static void describe_refused(X509 *leaf, X509 *fault, char shown[TLS_SHOWN_SIZE])
{
    char chain[TLS_SHOWN_SIZE / 2];
    size_t len;

    tls_describe_cert(leaf, shown, TLS_SHOWN_SIZE);
    if (fault == leaf)
        return;
    tls_describe_cert(fault, chain, sizeof chain);
    len = strlen(shown);
    text_set(shown + len, TLS_SHOWN_SIZE - len, "; in its chain, %s", chain);
}

int tls_judge(int good, X509_STORE_CTX *verify)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(verify, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_pipe *pipe = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
    X509 *cert = X509_STORE_CTX_get_current_cert(verify);

    if (good)
        return 1;
    if (is_forgiven(X509_STORE_CTX_get_error(verify))) {
        X509_STORE_CTX_set_error(verify, X509_V_OK);
        return 1;
    }
    if (pipe != NULL && cert != NULL)
        describe_refused(X509_STORE_CTX_get0_cert(verify), cert, pipe->shown);
    return 0;
}

/* Ours is the one that is in use: what the calendar or a list did to it makes it no worse
 * than it is, and the rest of the set may be needed all the more. */
static int judge_in_use(int good, X509_STORE_CTX *verify)
{
    struct tls_set *set = X509_STORE_CTX_get_app_data(verify);
    int error = X509_STORE_CTX_get_error(verify);

    if (good || (error != X509_V_ERR_CERT_HAS_EXPIRED && error != X509_V_ERR_CERT_REVOKED))
        return tls_judge(good, verify);
    set->revoked = set->revoked || error == X509_V_ERR_CERT_REVOKED;
    X509_STORE_CTX_set_error(verify, X509_V_OK);
    return 1;
}

static void note_ends(struct tls_set *set, X509_STORE_CTX *verify, X509 *leaf)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(verify);

    set->cert_s = set->ca_s = seconds_of(X509_get0_notAfter(leaf));
    for (int i = 1; i < sk_X509_num(chain); i++) {
        int64_t end_s = seconds_of(X509_get0_notAfter(sk_X509_value(chain, i)));

        if (i == 1 || end_s < set->ca_s)
            set->ca_s = end_s;
    }
}

/* Would a peer with our CA accept us? Better said at the start than by every peer. */
static int check_chain(struct tls_set *set, const struct tls_files *files,
                       const struct tls_set *in_use, struct err *err)
{
    AUTO(drop_verify) X509_STORE_CTX *verify = X509_STORE_CTX_new();
    X509 *leaf = SSL_CTX_get0_certificate(set->ctx);
    STACK_OF(X509) *chain = NULL;
    bool same;

    SSL_CTX_get0_chain_certs(set->ctx, &chain);
    if (verify == NULL ||
        X509_STORE_CTX_init(verify, SSL_CTX_get_cert_store(set->ctx), leaf, chain) != 1 ||
        X509_STORE_CTX_set_app_data(verify, set) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_NOMEM, "check %s", files->cert);
    }
    same = in_use != NULL && X509_cmp(SSL_CTX_get0_certificate(in_use->ctx), leaf) == 0;
    X509_STORE_CTX_set_verify_cb(verify, same ? judge_in_use : tls_judge);
    if (X509_verify_cert(verify) != 1) {
        int why = X509_STORE_CTX_get_error(verify);

        ERR_clear_error();
        return err_set(err, ERR_INVAL,
                       "the certificate %s is not good under the CA %s: %s (issue a new "
                       "one with `ringfence pki renew`)",
                       files->cert, files->ca, X509_verify_cert_error_string(why));
    }
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1 ||
        X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1)
        return err_set(
            err, ERR_INVAL,
            "the certificate %s is not for both sides of a connection: it "
            "needs serverAuth and clientAuth, as `ringfence pki issue` makes them",
            files->cert);
    note_ends(set, verify, leaf);
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

/* ---- the whole ------------------------------------------------------------------------
 */

static void harden(SSL_CTX *ctx)
{
    /* Tokens and codes come this way: what was read is not left in OpenSSL's buffers. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_NO_RENEGOTIATION | SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, tls_judge);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH_MAX);
    SSL_CTX_set_max_cert_list(ctx, CHAIN_BYTES_MAX);
    /* Idle streams keep no 32 KiB of record buffers. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
}

static int new_ctx(struct tls_set *set, struct err *err)
{
    set->ctx = SSL_CTX_new(TLS_method());
    ERR_clear_error();
    if (set->ctx == NULL || SSL_CTX_set_min_proto_version(set->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(set->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(set->ctx, 0) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_NOMEM, "TLS context");
    }
    harden(set->ctx);
    return 0;
}

int tls_set_load(struct tls_set *ret, const struct tls_files *files,
                 const struct identity *self, const struct tls_set *in_use,
                 const char **ret_key, struct err *err)
{
    AUTO(tls_set_drop) struct tls_set set = {0};

    *ret_key = "tls";
    if (new_ctx(&set, err) != 0)
        return err->code;
    *ret_key = "tls.ca";
    if (load_ca(set.ctx, files->ca, err) != 0)
        return err->code;
    *ret_key = "tls.crl";
    if (load_crl(&set, files->crl, in_use, err) != 0)
        return err->code;
    *ret_key = "tls.cert";
    if (load_cert(set.ctx, files->cert, err) != 0)
        return err->code;
    *ret_key = "tls.key";
    if (load_key(set.ctx, files, err) != 0)
        return err->code;
    *ret_key = "tls.cert";
    if (check_chain(&set, files, in_use, err) != 0 ||
        check_identity(SSL_CTX_get0_certificate(set.ctx), files->cert, self, err) != 0)
        return err->code;
    *ret = set;
    set.ctx = NULL; /* theirs now */
    return 0;
}
