#include "controller/net/tls_session.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

/* TLS alerts appear in OpenSSL's queue as reasons from here on. */
enum { ALERT_REASON = SSL_AD_REASON_OFFSET };

static int check_refused(SSL *ssl, int reason, struct err *err)
{
    const char *text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
    long verify = SSL_get_verify_result(ssl);

    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verify != X509_V_OK)
        return err_set(
            err, ERR_PEER,
            "the peer's certificate is not accepted: %s (it needs a current one of "
            "this cluster's CA: `ringfence pki issue`)",
            X509_verify_cert_error_string(verify));
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return err_set(err, ERR_PEER, "the peer showed no certificate");
    if (reason > ALERT_REASON)
        return err_set(
            err, ERR_PEER,
            "the peer refused us: %s (its log says why; our certificate must be a "
            "current one of its CA)",
            text != NULL ? text : "no reason given");
    if (reason == SSL_R_UNSUPPORTED_PROTOCOL)
        return err_set(err, ERR_BADMSG, "the peer does not offer TLS 1.3");
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return err_set(err, ERR_CLOSED, "the connection ended");
    return err_set(err, ERR_BADMSG, "what came is not TLS as we speak it: %s",
                   text != NULL ? text : "no reason known");
}

int tls_session_check(SSL *ssl, int result, struct err *err)
{
    int what = SSL_get_error(ssl, result);
    unsigned long first = ERR_peek_error();

    ERR_clear_error();
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE)
        return 0;
    if (what == SSL_ERROR_ZERO_RETURN)
        return err_set(err, ERR_CLOSED, "closed by the peer");
    if (first == 0)
        return err_set(err, ERR_NOMEM, "TLS"); /* our BIO says no only for that */
    if (ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE)
        return err_set(err, ERR_NOMEM, "TLS");
    if (ERR_GET_LIB(first) == ERR_LIB_SSL)
        return check_refused(ssl, ERR_GET_REASON(first), err);
    return err_set(err, ERR_BADMSG, "TLS: %s", ERR_reason_error_string(first));
}
