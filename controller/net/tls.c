#include "controller/net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>

#include "controller/base/assert.h"
#include "controller/base/text.h"
#include "controller/net/tls_private.h"
#include "controller/net/tls_session.h"

static int pipe_read(BIO *bio, char *data, size_t len, size_t *ret_n)
{
    struct tls_pipe *pipe = BIO_get_data(bio);
    size_t n = len < pipe->in_len ? len : pipe->in_len;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(data, pipe->in, n);
    pipe->in += n;
    pipe->in_len -= n;
    *ret_n = n;
    return 1;
}

static int pipe_write(BIO *bio, const char *data, size_t len, size_t *ret_n)
{
    struct tls_pipe *pipe = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (buf_append(&pipe->out, data, len, NULL) != 0)
        return 0;
    *ret_n = len;
    return 1;
}

static long pipe_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static int pipe_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

/* A type of our own would use up one of OpenSSL's 255 for each context. */
static BIO_METHOD *memory_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_MEM, "ringfence stream");

    if (m == NULL)
        return NULL;
    if (BIO_meth_set_read_ex(m, pipe_read) != 1 ||
        BIO_meth_set_write_ex(m, pipe_write) != 1 || BIO_meth_set_ctrl(m, pipe_ctrl) != 1 ||
        BIO_meth_set_create(m, pipe_create) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    return m;
}

/* ---- life -----------------------------------------------------------------------------
 */

struct tls *tls_ref(struct tls *tls)
{
    atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) != 1)
        return;
    tls_set_drop(&tls->set);
    BIO_meth_free(tls->memory);
    for (int i = 0; i < TLS_FILE_COUNT; i++)
        free(tls->paths[i]);
    pthread_mutex_destroy(&tls->lock);
    pthread_mutex_destroy(&tls->loading);
    free(tls);
}

static void drop_tls(struct tls **tls) { tls_free(*tls); }

static int keep_paths(struct tls *tls, const struct tls_files *files, struct err *err)
{
    const char *const given[TLS_FILE_COUNT] = {files->ca, files->cert, files->key,
                                               files->crl};

    for (int i = 0; i < TLS_FILE_COUNT; i++) {
        tls->paths[i] = strdup(given[i] != NULL ? given[i] : "");
        if (tls->paths[i] == NULL)
            return err_set(err, ERR_NOMEM, "TLS context");
    }
    tls->files =
        (struct tls_files){tls->paths[0], tls->paths[1], tls->paths[2], tls->paths[3]};
    text_set(tls->facts.ca, sizeof tls->facts.ca, "%s", tls->paths[0]);
    text_set(tls->facts.cert, sizeof tls->facts.cert, "%s", tls->paths[1]);
    text_set(tls->facts.crl, sizeof tls->facts.crl, "%s", tls->paths[3]);
    return 0;
}

/* An agent's keeper, at real-time priority, must not wait for a scrape of the metrics that
 * has been put aside: who holds the lock runs at the priority of who waits for it. */
static void init_locks(struct tls *tls)
{
    pthread_mutexattr_t inherit;

    pthread_mutexattr_init(&inherit);
    (void)pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&tls->lock, &inherit); /* cannot fail: they need no memory */
    pthread_mutex_init(&tls->loading, NULL);
    pthread_mutexattr_destroy(&inherit);
}

static int new_tls(struct tls **ret_tls, const struct tls_files *files,
                   const struct identity *self, const char **ret_key, struct err *err)
{
    AUTO(drop_tls) struct tls *tls = calloc(1, sizeof *tls);

    *ret_key = "tls";
    if (tls == NULL)
        return err_set(err, ERR_NOMEM, "TLS context");
    atomic_init(&tls->refs, 1);
    init_locks(tls);
    atomic_init(&tls->generation, 1);
    tls->self = *self;
    tls->memory = memory_method();
    if (tls->memory == NULL) {
        ERR_clear_error();
        return err_set(err, ERR_NOMEM, "TLS context");
    }
    if (keep_paths(tls, files, err) != 0)
        return err->code;
    tls_stamp_files(&tls->files, &tls->stamps);
    if (tls_set_load(&tls->set, &tls->files, self, NULL, ret_key, err) != 0)
        return err->code;
    *ret_tls = TAKE(tls);
    return 0;
}

int tls_new(struct tls **ret_tls, const struct tls_files *files,
            const struct identity *self, struct err *err)
{
    const char *key;
    struct err why = {0};
    int status = new_tls(ret_tls, files, self, &key, &why);

    if (status != 0 && err != NULL)
        *err = why;
    return status;
}

/* ---- new files ------------------------------------------------------------------------
 */

/* What is in the files now: into the place of what was, or the reason why not. */
static int take_files(struct tls *tls, struct err *err)
{
    AUTO(tls_set_drop) struct tls_set set = {0};
    struct tls_set before;
    const char *key;
    int status;

    /* Only a refresh replaces tls->set, and there is one at a time: ours. */
    status = tls_set_load(&set, &tls->files, &tls->self, &tls->set, &key, err);
    pthread_mutex_lock(&tls->lock);
    if (status == 0) {
        before = tls->set;
        tls->set = set;
        set = before; /* dropped on return, without the lock */
        tls->facts.taken++;
        tls->facts.trouble[0] = '\0';
        atomic_fetch_add(&tls->generation, 1);
    } else {
        tls->facts.failed++;
        text_set(tls->facts.trouble, sizeof tls->facts.trouble, "%s", err->text);
    }
    pthread_mutex_unlock(&tls->lock);
    return status;
}

int tls_refresh(struct tls *tls, bool force, bool *ret_taken, struct err *err)
{
    struct tls_stamps now;
    struct err why = {0};
    int status = 0;
    bool wanted;

    pthread_mutex_lock(&tls->loading);
    /* Before they are read: what is written in between is seen as a change the next time.
     */
    tls_stamp_files(&tls->files, &now);
    wanted =
        force || tls->facts.trouble[0] != '\0' || !tls_stamps_equal(&now, &tls->stamps);
    tls->stamps = now;
    if (wanted)
        status = take_files(tls, &why);
    pthread_mutex_unlock(&tls->loading);
    if (status != 0) {
        if (err != NULL)
            *err = why;
        return status;
    }
    *ret_taken = wanted;
    return 0;
}

/* ---- sessions -------------------------------------------------------------------------
 */

int tls_session_new(SSL **ret_ssl, struct tls *tls, struct tls_pipe *pipe,
                    enum tls_side side, uint64_t *ret_generation, struct err *err)
{
    BIO *bio = BIO_new(tls->memory);
    SSL *ssl;

    pthread_mutex_lock(&tls->lock);
    ssl = SSL_new(tls->set.ctx);
    *ret_generation = atomic_load(&tls->generation);
    pthread_mutex_unlock(&tls->lock);
    if (ssl == NULL || bio == NULL || SSL_set_app_data(ssl, pipe) != 1) {
        SSL_free(ssl);
        BIO_free(bio);
        ERR_clear_error();
        return err_set(err, ERR_NOMEM, "TLS session");
    }
    BIO_set_data(bio, pipe);
    SSL_set_bio(ssl, bio, bio); /* the session owns it now */
    if (side == TLS_DIALS)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    if (side == TLS_ACCEPTS_GUESTS)
        SSL_set_verify(ssl, SSL_VERIFY_PEER, tls_judge);
    *ret_ssl = ssl;
    return 0;
}

static void drop_verify(X509_STORE_CTX **verify) { X509_STORE_CTX_free(*verify); }

static void drop_ctx(SSL_CTX **ctx) { SSL_CTX_free(*ctx); }

/* By the calendar nobody is thrown out who has been let in (tls.h). */
static int ask_again(SSL_CTX *ctx, SSL *ssl, int *ret_why)
{
    AUTO(drop_verify) X509_STORE_CTX *verify = X509_STORE_CTX_new();
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    int good;

    if (verify == NULL || X509_STORE_CTX_init(verify, SSL_CTX_get_cert_store(ctx), leaf,
                                              SSL_get_peer_cert_chain(ssl)) != 1)
        return -1;
    X509_STORE_CTX_set_flags(verify, X509_V_FLAG_NO_CHECK_TIME);
    X509_STORE_CTX_set_verify_cb(verify, tls_judge);
    good = X509_verify_cert(verify);
    *ret_why = X509_STORE_CTX_get_error(verify);
    /* Want of memory is no verdict. */
    return *ret_why == X509_V_ERR_OUT_OF_MEM ? -1 : good == 1;
}

int tls_session_recheck(struct tls *tls, SSL *ssl, uint64_t *generation,
                        enum tls_refusal *ret_why, struct err *err)
{
    AUTO(drop_ctx) SSL_CTX *ctx = NULL;
    uint64_t now = atomic_load(&tls->generation);
    char who[TLS_SHOWN_SIZE];
    int good, why = 0;

    if (*generation == now)
        return 0;
    pthread_mutex_lock(&tls->lock);
    ctx = tls->set.ctx;
    now = atomic_load(&tls->generation);
    good = SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&tls->lock);
    ASSERT(good == 1);
    good = ask_again(ctx, ssl, &why);
    ERR_clear_error();
    if (good < 0)
        return 0; /* asked again in a moment */
    if (good == 1) {
        *generation = now;
        return 0;
    }
    *ret_why = tls_refusal_of(why);
    tls_describe_cert(SSL_get0_peer_certificate(ssl), who, sizeof who);
    return err_set(err, ERR_PEER,
                   "the certificate of this connection (%s) is not accepted any more: %s",
                   who, X509_verify_cert_error_string(why));
}

/* ---- what is told ---------------------------------------------------------------------
 */

const struct identity *tls_self(const struct tls *tls) { return &tls->self; }

int64_t tls_expires_s(struct tls *tls)
{
    struct tls_report r;

    tls_report(tls, &r);
    return r.cert_s;
}

void tls_report(struct tls *tls, struct tls_report *ret)
{
    if (tls == NULL) {
        *ret = (struct tls_report){0};
        return;
    }
    pthread_mutex_lock(&tls->lock);
    *ret = tls->facts;
    ret->there = true;
    ret->generation = atomic_load(&tls->generation);
    ret->cert_s = tls->set.cert_s;
    ret->ca_s = tls->set.ca_s;
    ret->crl_s = tls->set.crl_s;
    ret->has_crl = tls->set.has_crl;
    ret->revoked = tls->set.revoked;
    ret->uncovered = tls->set.uncovered;
    ret->listed = tls->set.listed;
    pthread_mutex_unlock(&tls->lock);
}

void tls_note_refused(struct tls *tls, enum tls_refusal why)
{
    ASSERT(why < TLS_REFUSAL_MAX);
    pthread_mutex_lock(&tls->lock);
    tls->facts.refused[why]++;
    pthread_mutex_unlock(&tls->lock);
}

static struct tls_peer *find_peer(struct tls_report *r, const struct identity *id)
{
    for (unsigned i = 0; i < r->peer_count; i++)
        if (identity_equals(&r->peers[i].id, id))
            return &r->peers[i];
    return NULL;
}

void tls_note_opened(struct tls *tls, const struct identity *id, SSL *ssl)
{
    struct tls_report *r = &tls->facts;
    struct tls_peer *peer;
    struct tm tm;

    pthread_mutex_lock(&tls->lock);
    peer = find_peer(r, id);
    if (peer == NULL && r->peer_count < TLS_PEERS_MAX) {
        peer = &r->peers[r->peer_count++];
        *peer = (struct tls_peer){.id = *id};
    }
    if (peer != NULL) {
        const ASN1_TIME *end = X509_get0_notAfter(SSL_get0_peer_certificate(ssl));

        peer->open++;
        peer->expires_s = ASN1_TIME_to_tm(end, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
    }
    pthread_mutex_unlock(&tls->lock);
}

void tls_note_closed(struct tls *tls, const struct identity *id)
{
    struct tls_report *r = &tls->facts;
    struct tls_peer *peer;

    pthread_mutex_lock(&tls->lock);
    peer = find_peer(r, id);
    if (peer != NULL && --peer->open == 0)
        *peer = r->peers[--r->peer_count];
    pthread_mutex_unlock(&tls->lock);
}

void tls_check(const struct tls_files *files, const struct tls_node *node,
               struct findings *f)
{
    const char *key = "name";
    struct tls_told told[TLS_TELL_MAX];
    struct tls_report report;
    struct identity self;
    struct tls *tls = NULL;
    struct err err = {0};
    unsigned n;

    if (identity_make(&self, node->role, node->cluster, node->name, &err) != 0 ||
        new_tls(&tls, files, &self, &key, &err) != 0) {
        findings_error(f, key, "%s", err.text);
        return;
    }
    tls_report(tls, &report);
    n = tls_report_tell(&report, (int64_t)time(NULL), told);
    for (unsigned i = 0; i < n; i++)
        if (told[i].level != TLS_FINE)
            findings_warn(f, told[i].key, "%s", told[i].text);
    tls_free(tls);
}
