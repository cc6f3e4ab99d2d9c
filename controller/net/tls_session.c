#include "controller/net/tls_session.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

/* TLS alerts appear in OpenSSL's queue as reasons from here on. */
enum { ALERT_REASON = SSL_AD_REASON_OFFSET };

enum tls_refusal tls_refusal_of(long verify)
{
    switch (verify) {
    case X509_V_ERR_CERT_REVOKED:
        return TLS_REFUSED_REVOKED;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return TLS_REFUSED_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_REFUSED_NOT_YET_VALID;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_INVALID_CA:
        return TLS_REFUSED_UNTRUSTED;
    default:
        return TLS_REFUSED_CERTIFICATE;
    }
}

/* What to do about it is another thing for each of them. */
static const char *cure_for(enum tls_refusal why)
{
    if (why == TLS_REFUSED_REVOKED)
        return "it is on the list of its CA: give that node a new one with a new key "
               "(`ringfence pki renew`)";
    if (why == TLS_REFUSED_NOT_YET_VALID)
        return "look at the clocks of both hosts";
    return "it needs a current one of this cluster's CA: `ringfence pki issue` or `renew`";
}

static int check_verified(SSL *ssl, long verify, enum tls_refusal *ret_why, struct err *err)
{
    const struct tls_pipe *pipe = SSL_get_app_data(ssl);
    const char *who = pipe->shown;

    *ret_why = tls_refusal_of(verify);
    return err_set(err, ERR_PEER, "the peer's certificate%s%s%s is not accepted: %s (%s)",
                   who[0] != '\0' ? " (" : "", who, who[0] != '\0' ? ")" : "",
                   X509_verify_cert_error_string(verify), cure_for(*ret_why));
}

static int check_refused(SSL *ssl, int reason, enum tls_refusal *ret_why, struct err *err)
{
    const char *text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
    long verify = SSL_get_verify_result(ssl);

    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verify != X509_V_OK)
        return check_verified(ssl, verify, ret_why, err);
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return err_set(err, ERR_CLOSED, "the connection ended");
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        *ret_why = TLS_REFUSED_NONE;
        return err_set(err, ERR_PEER, "the peer showed no certificate");
    }
    if (reason > ALERT_REASON) {
        *ret_why = TLS_REFUSED_BY_PEER;
        return err_set(
            err, ERR_PEER,
            "the peer refused us: %s (its log says why; our certificate must be a "
            "current one of its CA)",
            text != NULL ? text : "no reason given");
    }
    *ret_why = TLS_REFUSED_PROTOCOL;
    if (reason == SSL_R_UNSUPPORTED_PROTOCOL)
        return err_set(err, ERR_BADMSG, "the peer does not offer TLS 1.3");
    return err_set(err, ERR_BADMSG, "what came is not TLS as we speak it: %s",
                   text != NULL ? text : "no reason known");
}

int tls_session_check(SSL *ssl, int result, enum tls_refusal *ret_why, struct err *err)
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
        return check_refused(ssl, ERR_GET_REASON(first), ret_why, err);
    return err_set(err, ERR_BADMSG, "TLS: %s", ERR_reason_error_string(first));
}
