/* controller/net/tls_session.h -- one TLS session over memory, for stream.c and door*.c.
 *
 * OpenSSL reads the bytes that `in` points at, without a copy, and writes into `out`.
 *
 * Threads: the stream's, or the door's.
 */
#ifndef RF_NET_TLS_SESSION_H
#define RF_NET_TLS_SESSION_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "controller/base/buf.h"
#include "controller/net/tls.h"
#include "controller/net/tls_report.h"

enum { TLS_SHOWN_SIZE = 320 };

struct tls_pipe {
    const uint8_t *in; /* what came from the wire and was not read yet */
    size_t in_len;
    struct buf out;             /* what is to go to the wire */
    char shown[TLS_SHOWN_SIZE]; /* which certificate was refused, "" */
};

/* Who shows a certificate: both always, but for a guest, who may come without one. What a
 * guest does show is verified like anybody's. */
enum tls_side { TLS_DIALS, TLS_ACCEPTS, TLS_ACCEPTS_GUESTS };

/* `pipe` must outlive the session, which ends with SSL_free(). `ret_generation`: of the set
 * of files by which the peer is judged.
 *   ERR_NOMEM */
MUST_USE int tls_session_new(SSL **ret_ssl, struct tls *tls, struct tls_pipe *pipe,
                             enum tls_side side, uint64_t *ret_generation, struct err *err);

/* Say what an SSL_ call that returned `result` failed of. Empties OpenSSL's queue.
 *   0           it only wants more bytes
 *   ERR_CLOSED  the peer ended the session in good order
 *   ERR_PEER    a certificate was refused, here or there
 *   ERR_BADMSG  what came is not TLS 1.3
 *   ERR_NOMEM  ERR_IO
 * `ret_why`: the reason, where the handshake was refused, by either side; else untouched.
 */
MUST_USE int tls_session_check(SSL *ssl, int result, enum tls_refusal *ret_why,
                               struct err *err);

/* Would an open session's peer be accepted by the set that is in use now? Looks only when
 * that is another one than *generation, which follows it.
 *   ERR_PEER  no: it is revoked, or of no CA of ours any more */
MUST_USE int tls_session_recheck(struct tls *tls, SSL *ssl, uint64_t *generation,
                                 enum tls_refusal *ret_why, struct err *err);

/* Which of the reasons an X509_V_ERR_ is. */
enum tls_refusal tls_refusal_of(long verify);

/* For tls_report(). A peer that was opened is closed once for each time. */
void tls_note_refused(struct tls *tls, enum tls_refusal why);
void tls_note_opened(struct tls *tls, const struct identity *peer, SSL *ssl);
void tls_note_closed(struct tls *tls, const struct identity *peer);

#endif
