#include "tests/unit/net/craft.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

static FILE *open_in(const char *dir, const char *name, const char *mode)
{
    char path[BENCH_PATH + 80];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, mode);
    if (file == NULL)
        fail_msg("cannot open %s", path);
    return file;
}

static X509 *read_cert(const char *dir, const char *stem)
{
    char name[80];
    FILE *file;
    X509 *cert;

    snprintf(name, sizeof name, "%s.crt", stem);
    file = open_in(dir, name, "r");
    cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(cert);
    return cert;
}

static EVP_PKEY *read_key(const char *dir, const char *stem)
{
    char name[80];
    FILE *file;
    EVP_PKEY *key;

    snprintf(name, sizeof name, "%s.key", stem);
    file = open_in(dir, name, "r");
    key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(key);
    return key;
}

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

static X509 *blank(const struct craft *c, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    uint32_t serial;

    assert_int_equal(RAND_bytes((unsigned char *)&serial, sizeof serial), 1);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial >> 1 | 1);
    X509_time_adj_ex(X509_getm_notBefore(cert), 0, c->from_s, NULL);
    X509_time_adj_ex(X509_getm_notAfter(cert), 0, c->to_s, NULL);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, MBSTRING_ASC,
                               (const unsigned char *)c->stem, -1, -1, 0);
    X509_set_pubkey(cert, key);
    return cert;
}

static void write_files(const char *dir, const struct craft *c, X509 *cert, EVP_PKEY *key)
{
    char name[80];
    FILE *out;

    snprintf(name, sizeof name, "%s.crt", c->stem);
    out = open_in(dir, name, "w");
    assert_int_equal(PEM_write_X509(out, cert), 1);
    if (c->behind != NULL) {
        X509 *behind = read_cert(dir, c->behind);

        assert_int_equal(PEM_write_X509(out, behind), 1);
        X509_free(behind);
    }
    fclose(out);
    snprintf(name, sizeof name, "%s.key", c->stem);
    out = open_in(dir, name, "w");
    fchmod(fileno(out), 0600);
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
}

void craft_cert(const char *dir, const struct craft *c)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *signer;
    X509 *cert = blank(c, key), *issuer;

    issuer = c->issuer != NULL ? read_cert(dir, c->issuer) : cert;
    signer = c->issuer != NULL ? read_key(dir, c->issuer) : key;
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    if (c->is_ca) {
        extend(cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
        extend(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    extend(cert, issuer, NID_subject_key_identifier, "hash");
    if (c->san != NULL)
        extend(cert, issuer, NID_subject_alt_name, c->san);
    assert_true(X509_sign(cert, signer, EVP_sha256()) > 0);
    write_files(dir, c, cert, key);
    if (c->issuer != NULL) {
        X509_free(issuer);
        EVP_PKEY_free(signer);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void put_on_list(X509_CRL *crl, const char *dir, const char *stem)
{
    X509 *cert = read_cert(dir, stem);
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *now = X509_time_adj_ex(NULL, 0, -1, NULL);

    assert_int_equal(X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(cert)), 1);
    assert_int_equal(X509_REVOKED_set_revocationDate(r, now), 1);
    assert_int_equal(X509_CRL_add0_revoked(crl, r), 1);
    ASN1_TIME_free(now);
    X509_free(cert);
}

void craft_crl(const char *dir, const struct craft_list *l)
{
    X509_CRL *crl = X509_CRL_new();
    X509 *issuer = read_cert(dir, l->issuer);
    EVP_PKEY *key = read_key(dir, l->issuer);
    ASN1_TIME *t = X509_time_adj_ex(NULL, 0, l->from_s, NULL);
    FILE *out = open_in(dir, l->file, "a");

    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));
    X509_CRL_set1_lastUpdate(crl, t);
    ASN1_TIME_free(t);
    t = X509_time_adj_ex(NULL, 0, l->to_s, NULL);
    if (l->to_s != 0)
        X509_CRL_set1_nextUpdate(crl, t);
    ASN1_TIME_free(t);
    if (l->revoked != NULL)
        put_on_list(crl, dir, l->revoked);
    assert_true(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509_CRL(out, crl), 1);
    fclose(out);
    X509_CRL_free(crl);
    X509_free(issuer);
    EVP_PKEY_free(key);
}

void craft_copy(const char *dir, const char *from, const char *to)
{
    char text[32768], beside[BENCH_PATH + 80], place[BENCH_PATH + 80];
    FILE *in = open_in(dir, from, "r"), *out = open_in(dir, "copy.tmp", "w");
    size_t n = fread(text, 1, sizeof text, in);

    fclose(in);
    fchmod(fileno(out), 0600);
    assert_int_equal(fwrite(text, 1, n, out), n);
    fclose(out);
    snprintf(beside, sizeof beside, "%s/copy.tmp", dir);
    snprintf(place, sizeof place, "%s/%s", dir, to);
    assert_int_equal(rename(beside, place), 0);
}

void craft_write(const char *dir, const char *file, const char *text)
{
    FILE *out = open_in(dir, file, "w");

    fputs(text, out);
    fclose(out);
}
