/* controller/net/tls_session.h -- one TLS session over memory, for stream.c alone.
 *
 * OpenSSL reads the bytes that `in` points at, without a copy, and writes into `out`.
 *
 * Threads: the stream's.
 */
#ifndef RF_NET_TLS_SESSION_H
#define RF_NET_TLS_SESSION_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "controller/base/buf.h"
#include "controller/net/tls.h"

struct tls_pipe {
    const uint8_t *in; /* what came from the wire and was not read yet */
    size_t in_len;
    struct buf out; /* what is to go to the wire */
};

/* `pipe` must outlive the session, which ends with SSL_free().
 *   ERR_NOMEM */
MUST_USE int tls_session_new(SSL **ret_ssl, struct tls *tls, struct tls_pipe *pipe,
                             bool server, struct err *err);

/* Say what an SSL_ call that returned `result` failed of. Empties OpenSSL's queue.
 *   0           it only wants more bytes
 *   ERR_CLOSED  the peer ended the session in good order
 *   ERR_PEER    a certificate was refused, here or there
 *   ERR_BADMSG  what came is not TLS 1.3
 *   ERR_NOMEM  ERR_IO */
MUST_USE int tls_session_check(SSL *ssl, int result, struct err *err);

#endif
