#include "controller/net/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { HOUR_S = 3600, DAY_S = 86400 };

static void drop_cert(X509 **cert) { X509_free(*cert); }

static void drop_key(EVP_PKEY **key) { EVP_PKEY_free(*key); }

static void drop_file(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

/* OpenSSL's builders fail for want of memory only; its queue must not reach a later call.
 */
static int openssl_failed(struct err *err, const char *what)
{
    ERR_clear_error();
    return err_set(err, ERR_NOMEM, "%s", what);
}

static int check_days(uint32_t days, struct err *err)
{
    if (days >= 1 && days <= PKI_DAYS_MAX)
        return 0;
    return err_set(err, ERR_INVAL, "a validity of %u days: expected 1 to %d", days,
                   PKI_DAYS_MAX);
}

static int join(char path[PATH_MAX], const char *dir, const char *stem, const char *suffix)
{
    int n = snprintf(path, PATH_MAX, "%s/%s%s", dir, stem, suffix);

    return n > 0 && n < PATH_MAX ? 0 : -1;
}

/* -- files -- */

/* O_EXCL: nothing is overwritten, and the mode holds from the first byte. */
static int create(FILE **ret_file, const char *path, mode_t mode, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_CONFLICT,
                       "%s is there already: remove it first if a new one is wanted", path);
    if (fd < 0)
        return err_errno(err, errno, "make %s", path);
    *ret_file = fdopen(fd, "w");
    if (*ret_file == NULL) {
        close(fd);
        return err_set(err, ERR_NOMEM, "make %s", path);
    }
    return 0;
}

static int finish(FILE **file, const char *path, int written, struct err *err)
{
    int bad = written != 1 || fflush(*file) != 0 || fsync(fileno(*file)) != 0;
    int saved = errno;

    bad = fclose(TAKE(*file)) != 0 || bad;
    ERR_clear_error();
    if (!bad)
        return 0;
    unlink(path); /* half a key would be in the way of the next try */
    return err_errno(err, saved != 0 ? saved : EIO, "write %s", path);
}

static int write_pair(const char *dir, const char *stem, X509 *cert, EVP_PKEY *key,
                      struct err *err)
{
    AUTO(drop_file) FILE *cert_file = NULL;
    AUTO(drop_file) FILE *key_file = NULL;
    char cert_path[PATH_MAX], key_path[PATH_MAX];
    int status;

    if (join(cert_path, dir, stem, ".crt") != 0 || join(key_path, dir, stem, ".key") != 0)
        return err_set(err, ERR_INVAL, "the path %.80s... is too long", dir);
    status = create(&key_file, key_path, 0600, err);
    if (status != 0)
        return status;
    status = create(&cert_file, cert_path, 0644, err);
    if (status != 0) {
        unlink(key_path);
        return status;
    }
    errno = 0;
    status = finish(&key_file, key_path,
                    PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL), err);
    if (status == 0)
        status = finish(&cert_file, cert_path, PEM_write_X509(cert_file, cert), err);
    if (status != 0) {
        unlink(cert_path);
        unlink(key_path);
    }
    return status;
}

/* -- certificates -- */

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    int added;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (extension == NULL)
        return 0;
    added = X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

static int set_serial(X509 *cert)
{
    uint64_t serial;

    if (getrandom(&serial, sizeof serial, 0) != (ssize_t)sizeof serial)
        return 0;
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1);
}

static int set_times(X509 *cert, X509 *issuer, uint32_t days)
{
    time_t now = time(NULL); /* wall-clock time is what certificates are made of */
    ASN1_TIME *until = X509_getm_notAfter(cert);

    if (ASN1_TIME_adj(X509_getm_notBefore(cert), now, 0, -HOUR_S) == NULL ||
        ASN1_TIME_adj(until, now, (int)days, 0) == NULL)
        return 0;
    if (issuer != cert && ASN1_TIME_compare(until, X509_get0_notAfter(issuer)) > 0)
        return X509_set1_notAfter(cert, X509_get0_notAfter(issuer));
    return 1;
}

/* Subject: O=CLUSTER, CN=`common`. The cluster of a CA is read from there. */
static int set_subject(X509 *cert, const char *cluster, const char *common)
{
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC,
                                      (const unsigned char *)cluster, -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                      (const unsigned char *)common, -1, -1, 0) == 1;
}

struct extension {
    int nid;
    const char *value;
};

static int extend(X509 *cert, X509 *issuer, const struct extension *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (add_extension(cert, issuer, list[i].nid, list[i].value) != 1)
            return 0;
    return 1;
}

/* All but the extensions and the signature. */
static X509 *blank_cert(EVP_PKEY *key, const char *cluster, const char *common)
{
    X509 *cert = X509_new();

    if (cert == NULL)
        return NULL;
    if (X509_set_version(cert, X509_VERSION_3) != 1 || set_serial(cert) != 1 ||
        set_subject(cert, cluster, common) != 1 || X509_set_pubkey(cert, key) != 1) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

int pki_init(const char *dir, const char *cluster, uint32_t days, struct err *err)
{
    static const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
    };
    AUTO(drop_key) EVP_PKEY *key = NULL;
    AUTO(drop_cert) X509 *cert = NULL;
    struct identity probe;
    int status = check_days(days, err);

    if (status == 0)
        status = identity_make(&probe, IDENTITY_CONTROLLER, cluster, "x", err);
    if (status != 0)
        return status;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "make the directory %s", dir);
    key = EVP_EC_gen("P-256");
    cert = key != NULL ? blank_cert(key, cluster, "ringfence CA") : NULL;
    if (cert == NULL || set_times(cert, cert, days) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
        extend(cert, cert, extensions, ARRAY_LEN(extensions)) != 1 ||
        X509_sign(cert, key, EVP_sha256()) == 0)
        return openssl_failed(err, "make a CA");
    return write_pair(dir, "ca", cert, key, err);
}

static int open_part(FILE **ret_file, char path[PATH_MAX], const char *dir,
                     const char *suffix, struct err *err)
{
    if (join(path, dir, "ca", suffix) != 0)
        return err_set(err, ERR_INVAL, "the path %.80s... is too long", dir);
    *ret_file = fopen(path, "re");
    if (*ret_file == NULL && errno == ENOENT)
        return err_set(err, ERR_NOTFOUND, "no %s: run `ringfence pki init` first", path);
    if (*ret_file == NULL)
        return err_errno(err, errno, "read %s", path);
    return 0;
}

static int load_ca(const char *dir, X509 **ret_cert, EVP_PKEY **ret_key, struct err *err)
{
    AUTO(drop_file) FILE *cert_file = NULL;
    AUTO(drop_file) FILE *key_file = NULL;
    AUTO(drop_cert) X509 *cert = NULL;
    AUTO(drop_key) EVP_PKEY *key = NULL;
    char path[PATH_MAX];
    int status = open_part(&cert_file, path, dir, ".crt", err);

    if (status == 0)
        status = open_part(&key_file, path, dir, ".key", err);
    if (status != 0)
        return status;
    cert = PEM_read_X509(cert_file, NULL, NULL, NULL);
    key = PEM_read_PrivateKey(key_file, NULL, NULL, "");
    ERR_clear_error();
    if (cert == NULL || key == NULL || X509_check_private_key(cert, key) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVAL, "%s/ca.crt and ca.key are not a CA and its key",
                       dir);
    }
    *ret_cert = TAKE(cert);
    *ret_key = TAKE(key);
    return 0;
}

static int identity_under(struct identity *ret_id, X509 *ca, enum identity_role role,
                          const char *name, struct err *err)
{
    char cluster[IDENTITY_NAME_SIZE];

    if (X509_NAME_get_text_by_NID(X509_get_subject_name(ca), NID_organizationName, cluster,
                                  sizeof cluster) <= 0)
        return err_set(err, ERR_INVAL, "the CA names no cluster (O=...)");
    return identity_make(ret_id, role, cluster, name, err);
}

static X509 *make_leaf(const struct identity *id, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key,
                       uint32_t days)
{
    char san[IDENTITY_TEXT_SIZE + 4] = "URI:";
    const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth,clientAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
        {NID_subject_alt_name, san},
    };
    X509 *cert = blank_cert(key, id->cluster, id->name);

    identity_format(id, san + 4);
    if (cert == NULL)
        return NULL;
    if (set_times(cert, ca, days) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1 ||
        extend(cert, ca, extensions, ARRAY_LEN(extensions)) != 1 ||
        X509_sign(cert, ca_key, EVP_sha256()) == 0) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

int pki_issue(const char *dir, enum identity_role role, const char *name, uint32_t days,
              struct err *err)
{
    AUTO(drop_cert) X509 *ca = NULL;
    AUTO(drop_key) EVP_PKEY *ca_key = NULL;
    AUTO(drop_key) EVP_PKEY *key = NULL;
    AUTO(drop_cert) X509 *cert = NULL;
    char stem[2 * IDENTITY_NAME_SIZE];
    struct identity id;
    int status = check_days(days, err);

    if (status == 0)
        status = load_ca(dir, &ca, &ca_key, err);
    if (status == 0)
        status = identity_under(&id, ca, role, name, err);
    if (status != 0)
        return status;
    key = EVP_EC_gen("P-256");
    cert = key != NULL ? make_leaf(&id, key, ca, ca_key, days) : NULL;
    if (cert == NULL)
        return openssl_failed(err, "make a certificate");
    snprintf(stem, sizeof stem, "%s-%s", identity_role_name(role), name);
    return write_pair(dir, stem, cert, key, err);
}
