/* controller/net/stream_hello.c -- the first message each side sends.
 *
 * In TLS 1.3 a client is done before the server has looked at its certificate. Without a
 * word from the server a dialing node would think itself connected, and be thrown out a
 * moment later without a reason. So: "RF", version, 0 for welcome or 1 for refusal, text.
 */
#include <stdio.h>
#include <string.h>

#include "controller/net/stream_private.h"

enum { HELLO_VERSION = 1, HELLO_FIXED = 4, HELLO_TEXT_MAX = 240 };
enum hello_kind { HELLO_WELCOME, HELLO_REFUSAL };

static int send_hello(struct stream *s, enum hello_kind kind, const char *text,
                      struct err *err)
{
    uint8_t hello[HELLO_FIXED + HELLO_TEXT_MAX] = {'R', 'F', HELLO_VERSION, (uint8_t)kind};
    size_t len = strnlen(text, HELLO_TEXT_MAX);

    memcpy(hello + HELLO_FIXED, text, len);
    return stream_put(s, hello, HELLO_FIXED + len, err);
}

static int check_expected(const struct stream *s, struct err *err)
{
    const struct identity *want = &s->expected, *found = &s->peer;

    if (identity_equals(want, found))
        return 0;
    return err_set(
        err, ERR_PEER,
        "expected %s %s at %s, found %s %s: correct the address, or give that host the "
        "certificate of its own name",
        identity_role_name(want->role), want->name, s->remote,
        identity_role_name(found->role), found->name);
}

/* OpenSSL has verified the chain; who it is, is for us to judge. */
static int vet(struct stream *s, enum tls_refusal *ret_reason, struct err *err)
{
    const char *ours = tls_self(s->tls)->cluster;
    X509 *cert = SSL_get0_peer_certificate(s->ssl);
    struct identity peer;

    /* Unreachable with SSL_VERIFY_FAIL_IF_NO_PEER_CERT; checked again, since all else
     * (I2, I6, I12) rests on knowing who speaks. */
    *ret_reason = TLS_REFUSED_CERTIFICATE;
    if (cert == NULL || SSL_get_verify_result(s->ssl) != X509_V_OK)
        return err_set(err, ERR_PEER, "the peer has not proven who it is");
    *ret_reason = TLS_REFUSED_IDENTITY;
    if (identity_of_cert(&peer, cert, err) != 0)
        return ERR_PEER;
    *ret_reason = TLS_REFUSED_CLUSTER;
    if (strcmp(peer.cluster, ours) != 0)
        return err_set(
            err, ERR_PEER,
            "%s %s is of cluster %s, this is cluster %s: it needs a certificate of "
            "this cluster's CA (`ringfence pki issue`)",
            identity_role_name(peer.role), peer.name, peer.cluster, ours);
    *ret_reason = TLS_REFUSED_NODE;
    /* Whatever its name is: user/west is not controller west. */
    if (peer.role == IDENTITY_USER)
        return err_set(err, ERR_PEER,
                       "user %s: a user's certificate opens the API for people (`api` of "
                       "ringfenced.yaml), and nothing that nodes say to each other",
                       peer.name);
    s->peer = peer;
    if (s->dialed)
        return check_expected(s, err);
    if (s->host != NULL)
        return s->host->vet(s->host_owner, &s->peer, err);
    return 0;
}

void stream_greet(struct stream *s)
{
    enum tls_refusal reason;
    struct err why = {0}, second;

    if (vet(s, &reason, &why) != 0) {
        if (why.code == ERR_PEER) /* and not for want of room */
            tls_note_refused(s->tls, reason);
        if (send_hello(s, HELLO_REFUSAL, why.text, &second) != 0)
            stream_fail(s, &why);
        else
            stream_drain(s, &why);
        return;
    }
    s->phase = STREAM_WELCOME;
    if (send_hello(s, HELLO_WELCOME, "", &why) != 0)
        stream_fail(s, &why);
    else
        stream_flush(s);
}

static void refused_by_peer(struct stream *s, const uint8_t *text, size_t len)
{
    char shown[HELLO_TEXT_MAX + 1];
    struct err why;

    for (size_t i = 0; i < len; i++)
        shown[i] = (char)(text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?');
    shown[len] = '\0';
    err_set(&why, ERR_PEER, "%s %s refused us: %s", identity_role_name(s->peer.role),
            s->peer.name, shown);
    tls_note_refused(s->tls, TLS_REFUSED_BY_PEER);
    stream_fail(s, &why);
}

static void open_up(struct stream *s)
{
    s->phase = STREAM_OPEN;
    stream_watch_peer(s);
    if (s->host != NULL)
        s->host->opened(s->host_owner, s);
    else if (s->events != NULL && s->events->on_open != NULL)
        s->events->on_open(s->owner, &s->peer);
}

void stream_take_hello(struct stream *s, const uint8_t *data, size_t len)
{
    struct err why;

    if (len < HELLO_FIXED || len > HELLO_FIXED + HELLO_TEXT_MAX ||
        memcmp(data, "RF", 2) != 0) {
        err_set(&why, ERR_BADMSG, "the peer does not greet as ringfence does");
        stream_fail(s, &why);
        return;
    }
    /* I10: what we do not know is an error. */
    if (data[2] != HELLO_VERSION || data[3] > HELLO_REFUSAL) {
        err_set(&why, ERR_UNSUPPORTED,
                "%s %s speaks version %u of the stream, this is version %u",
                identity_role_name(s->peer.role), s->peer.name, data[2], HELLO_VERSION);
        stream_fail(s, &why);
        return;
    }
    if (data[3] == HELLO_REFUSAL)
        refused_by_peer(s, data + HELLO_FIXED, len - HELLO_FIXED);
    else
        open_up(s);
}
