/* Certificates: made, and described. */
#include "controller/net/pki_private.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { HOUR_S = 3600 };

void pki_drop_cert(X509 **cert) { X509_free(*cert); }

void pki_drop_key(EVP_PKEY **key) { EVP_PKEY_free(*key); }

void pki_drop_crl(X509_CRL **crl) { X509_CRL_free(*crl); }

void pki_drop_file(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

int pki_failed(struct err *err, const char *what)
{
    ERR_clear_error();
    return err_set(err, ERR_NOMEM, "%s", what);
}

int pki_check_days(uint32_t days, struct err *err)
{
    if (days >= 1 && days <= PKI_DAYS_MAX)
        return 0;
    return err_set(err, ERR_INVAL, "a validity of %u days: expected 1 to %d", days,
                   PKI_DAYS_MAX);
}

/* ---- making ---------------------------------------------------------------------------
 */

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

/* All but the name, the extensions and the signature. */
static X509 *blank_cert(EVP_PKEY *key)
{
    X509 *cert = X509_new();

    if (cert == NULL)
        return NULL;
    if (X509_set_version(cert, X509_VERSION_3) != 1 || set_serial(cert) != 1 ||
        X509_set_pubkey(cert, key) != 1) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* A list is found by its issuer's name: two CAs of one cluster have two names. */
static int name_ca(X509 *cert, const char *cluster, bool first)
{
    char common[32] = "ringfence CA", serial[PKI_SERIAL_SIZE];

    pki_serial_text(X509_get0_serialNumber(cert), serial);
    if (!first)
        (void)snprintf(common, sizeof common, "ringfence CA %.8s", serial);
    return set_subject(cert, cluster, common) == 1 &&
           X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1;
}

X509 *pki_make_ca(EVP_PKEY *key, const char *cluster, uint32_t days, bool first)
{
    static const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
    };
    X509 *cert = blank_cert(key);

    if (cert == NULL)
        return NULL;
    if (!name_ca(cert, cluster, first) || set_times(cert, cert, days) != 1 ||
        extend(cert, cert, extensions, ARRAY_LEN(extensions)) != 1 ||
        X509_sign(cert, key, EVP_sha256()) == 0) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static int begin_after(X509 *cert, X509 *before)
{
    const int64_t from_s = before != NULL ? pki_seconds(X509_get0_notBefore(before)) : 0;

    if (pki_seconds(X509_get0_notBefore(cert)) > from_s)
        return 1;
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s + 1) != NULL;
}

X509 *pki_make_leaf(const struct pki *p, const struct identity *id, EVP_PKEY *key,
                    uint32_t days, X509 *before)
{
    char san[IDENTITY_TEXT_SIZE + 4] = "URI:";
    const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage,
         id->role == IDENTITY_USER ? "clientAuth" : "serverAuth,clientAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
        {NID_subject_alt_name, san},
    };
    X509 *ca = p->cas[p->signer], *cert = blank_cert(key);

    identity_format(id, san + 4);
    if (cert == NULL)
        return NULL;
    if (set_subject(cert, id->cluster, id->name) != 1 || set_times(cert, ca, days) != 1 ||
        begin_after(cert, before) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1 ||
        extend(cert, ca, extensions, ARRAY_LEN(extensions)) != 1 ||
        X509_sign(cert, p->keys[p->signer], EVP_sha256()) == 0) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* ---- describing -----------------------------------------------------------------------
 */

void pki_serial_text(const ASN1_INTEGER *serial, char text[PKI_SERIAL_SIZE])
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *bytes = ASN1_STRING_get0_data(serial);
    const int len = ASN1_STRING_length(serial);
    size_t at = 0;

    for (int i = 0; i < len && at + 2 < PKI_SERIAL_SIZE; i++) {
        text[at++] = digits[bytes[i] >> 4];
        text[at++] = digits[bytes[i] & 15];
    }
    text[at] = '\0';
}

int64_t pki_seconds(const ASN1_TIME *t)
{
    struct tm tm;

    return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* "O=prod, CN=east"; what a stranger wrote must not reach a terminal as it is. */
static void name_text(const X509_NAME *name, char *text, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n = 0;

    if (bio != NULL &&
        X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        n = BIO_read(bio, text, (int)size - 1);
    BIO_free(bio);
    ERR_clear_error();
    text[n > 0 ? n : 0] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

void pki_describe(X509 *cert, struct pki_entry *ret)
{
    *ret = (struct pki_entry){.is_ca = X509_check_ca(cert) > 0};
    ret->has_identity = identity_of_cert(&ret->id, cert, NULL) == 0;
    name_text(X509_get_subject_name(cert), ret->subject, sizeof ret->subject);
    name_text(X509_get_issuer_name(cert), ret->issuer, sizeof ret->issuer);
    pki_serial_text(X509_get0_serialNumber(cert), ret->serial);
    ret->from_s = pki_seconds(X509_get0_notBefore(cert));
    ret->until_s = pki_seconds(X509_get0_notAfter(cert));
    ERR_clear_error();
}

static uint64_t crl_number(X509_CRL *crl)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    uint64_t n = 0;

    if (number != NULL && ASN1_INTEGER_get_uint64(&n, number) != 1)
        n = 0;
    ASN1_INTEGER_free(number);
    ERR_clear_error();
    return n;
}

void pki_describe_crl(X509_CRL *crl, struct pki_crl *ret)
{
    const int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));

    *ret = (struct pki_crl){.there = true,
                            .number = crl_number(crl),
                            .from_s = pki_seconds(X509_CRL_get0_lastUpdate(crl)),
                            .next_s = pki_seconds(X509_CRL_get0_nextUpdate(crl)),
                            .revoked = n > 0 ? (unsigned)n : 0};
    name_text(X509_CRL_get_issuer(crl), ret->issuer, sizeof ret->issuer);
}
