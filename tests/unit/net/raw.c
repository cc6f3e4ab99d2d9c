#include "tests/unit/net/raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

int raw_connect(const struct bench *b)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(b->at.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void raw_send(int fd, const void *data, size_t len)
{
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

bool raw_is_ended(int fd)
{
    char junk[4096];
    ssize_t n;

    do
        n = recv(fd, junk, sizeof junk, MSG_DONTWAIT);
    while (n > 0);
    return n == 0 || errno == ECONNRESET;
}

void raw_until_ended(struct bench *b, int fd)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;

    while (!raw_is_ended(fd)) {
        assert_true(uv_hrtime() < until);
        bench_turn(b);
    }
}

bool raw_tls_open(struct raw_tls *t, struct bench *b, const char *stem, int version)
{
    const uint64_t until = uv_hrtime() + BENCH_WAIT_MS * 1000000ull;
    char path[BENCH_PATH + 80];
    int n;

    t->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(t->ctx, version);
    if (stem != NULL) {
        snprintf(path, sizeof path, "%s/%s.crt", b->dir, stem);
        assert_int_equal(SSL_CTX_use_certificate_chain_file(t->ctx, path), 1);
        snprintf(path, sizeof path, "%s/%s.key", b->dir, stem);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(t->ctx, path, SSL_FILETYPE_PEM), 1);
    }
    t->fd = raw_connect(b);
    t->ssl = SSL_new(t->ctx);
    SSL_set_fd(t->ssl, t->fd);
    while ((n = SSL_connect(t->ssl)) != 1) {
        if (SSL_get_error(t->ssl, n) != SSL_ERROR_WANT_READ)
            return false;
        assert_true(uv_hrtime() < until);
        bench_turn(b);
    }
    return true;
}

void raw_tls_send(struct raw_tls *t, const void *data, size_t len)
{
    assert_int_equal(SSL_write(t->ssl, data, (int)len), len);
}

void raw_tls_read(struct raw_tls *t)
{
    char junk[4096];

    while (SSL_read(t->ssl, junk, sizeof junk) > 0)
        continue;
}

void raw_tls_welcome(struct raw_tls *t) { raw_tls_send(t, "\0\0\0\4RF\1\0", 8); }

void raw_tls_close(struct raw_tls *t)
{
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    close(t->fd);
}

static FILE *open_in(const char *dir, const char *name, const char *mode)
{
    char path[BENCH_PATH + 80];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, mode);
    assert_non_null(file);
    return file;
}

static void add_san(X509 *cert, const char *san)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);

    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

void raw_craft(const char *dir, const char *stem, const char *san, int ends_in_s)
{
    FILE *in = open_in(dir, "ca.crt", "r");
    X509 *ca = PEM_read_X509(in, NULL, NULL, NULL), *cert = X509_new();
    EVP_PKEY *ca_key, *key = EVP_EC_gen("P-256");
    char name[80];
    FILE *out;

    fclose(in);
    in = open_in(dir, "ca.key", "r");
    ca_key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
    fclose(in);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 4711);
    X509_time_adj_ex(X509_getm_notBefore(cert), -2, 0, NULL);
    X509_time_adj_ex(X509_getm_notAfter(cert), 0, ends_in_s, NULL);
    X509_set_issuer_name(cert, X509_get_subject_name(ca));
    X509_set_pubkey(cert, key);
    if (san != NULL)
        add_san(cert, san);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    snprintf(name, sizeof name, "%s.crt", stem);
    out = open_in(dir, name, "w");
    assert_int_equal(PEM_write_X509(out, cert), 1);
    fclose(out);
    snprintf(name, sizeof name, "%s.key", stem);
    out = open_in(dir, name, "w");
    fchmod(fileno(out), 0600);
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    X509_free(ca);
    X509_free(cert);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}
