/* tests/unit/net/raw.h -- a peer that is not ours: plain sockets, OpenSSL by hand, and
 * certificates that `ringfence pki` would never issue. */
#ifndef RF_TEST_NET_RAW_H
#define RF_TEST_NET_RAW_H

#include <openssl/ssl.h>

#include "tests/unit/net/bench.h"

/* A connection to the bench's listener; the kernel completes it without our loop. */
int raw_connect(const struct bench *b);
void raw_send(int fd, const void *data, size_t len);
/* True when the other side has closed; what it sent before is thrown away. */
bool raw_is_ended(int fd);
/* Turn the loop until raw_is_ended(). */
void raw_until_ended(struct bench *b, int fd);

struct raw_tls {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

/* `stem`: the certificate in the bench's directory; NULL: none. `version`: the highest
 * offered. Returns whether the handshake was finished, as far as the client sees. */
bool raw_tls_open(struct raw_tls *t, struct bench *b, const char *stem, int version);
void raw_tls_send(struct raw_tls *t, const void *data, size_t len);
/* Throw away what has come. */
void raw_tls_read(struct raw_tls *t);
/* The greeting of a well-behaved peer. */
void raw_tls_welcome(struct raw_tls *t);
void raw_tls_close(struct raw_tls *t);

/* DIR/STEM.crt and .key under the bench's CA, with any SAN (NULL: none), ending
 * `ends_in_s` from now. */
void raw_craft(const char *dir, const char *stem, const char *san, int ends_in_s);

#endif
