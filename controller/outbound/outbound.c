#include "controller/outbound/outbound.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"

enum { STACK_SIZE = 1 << 20, POLL_MS = 1000 };

struct outbound {
    uv_poll_t ended; /* of the bell: why no uv_async, says controller/net/names_lookup.c */
    int bell;
    pthread_t thread;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers, *to;
    atomic_bool cancelled;
    CURLcode code; /* the thread's, until it has ended */
    bool full;
    struct buf answer, body;
    size_t sent;
    char url[OUTBOUND_URL_SIZE], said[CURL_ERROR_SIZE];
    outbound_done *done;
    void *owner;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_curl(void) { ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); }

static bool begins(const char *url, const char *with)
{
    size_t n = strlen(with);

    return strncmp(url, with, n) == 0 && url[n] != '\0' && url[n] != '/';
}

bool outbound_is_web(const char *url, bool *ret_plain)
{
    *ret_plain = begins(url, "http://");
    return *ret_plain || begins(url, "https://");
}

bool outbound_is_mail(const char *url)
{
    return begins(url, "smtp://") || begins(url, "smtps://");
}

/* ---- the thread -----------------------------------------------------------------------
 */

static size_t on_data(char *data, size_t size, size_t n, void *owner)
{
    struct outbound *o = owner;

    if (buf_append(&o->answer, data, size * n, NULL) == 0)
        return size * n;
    o->full = true;
    return CURL_WRITEFUNC_ERROR;
}

/* A mail, in parts. */
static size_t on_more(char *to, size_t size, size_t n, void *owner)
{
    struct outbound *o = owner;
    size_t left = o->body.len - o->sent, len = size * n < left ? size * n : left;

    if (len > 0)
        memcpy(to, o->body.data + o->sent, len);
    o->sent += len;
    return len;
}

static CURLcode perform(struct outbound *o)
{
    int running = 1, left;
    CURLMsg *m;

    while (!atomic_load(&o->cancelled)) {
        if (curl_multi_perform(o->multi, &running) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
        if (running == 0)
            break;
        (void)curl_multi_poll(o->multi, NULL, 0, POLL_MS, NULL);
    }
    m = curl_multi_info_read(o->multi, &left);
    return m != NULL && m->msg == CURLMSG_DONE ? m->data.result : CURLE_ABORTED_BY_CALLBACK;
}

static void *run(void *arg)
{
    struct outbound *o = arg;

    o->code = perform(o);
    (void)eventfd_write(o->bell, 1);
    return NULL;
}

/* Ordinary, whatever the loop's priority is, and deaf to signals, which are the loop's. */
static int start_thread(struct outbound *o)
{
    const struct sched_param ordinary = {.sched_priority = 0};
    pthread_attr_t attr;
    sigset_t all, before;
    int status;

    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
    (void)pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
    (void)pthread_attr_setschedparam(&attr, &ordinary);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(&o->thread, &attr, run, o);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return status;
}

/* ---- the end --------------------------------------------------------------------------
 */

static void drop(struct outbound *o)
{
    if (o->multi != NULL && o->easy != NULL)
        (void)curl_multi_remove_handle(o->multi, o->easy);
    curl_easy_cleanup(o->easy);
    curl_multi_cleanup(o->multi);
    curl_slist_free_all(o->headers);
    curl_slist_free_all(o->to);
    buf_free(&o->answer);
    buf_free(&o->body);
    if (o->bell >= 0)
        (void)close(o->bell);
    free(o);
}

static void on_closed(uv_handle_t *handle) { drop(handle->data); }

static void explain(const struct outbound *o, struct err *ret)
{
    const char *said = o->said[0] != '\0' ? o->said : curl_easy_strerror(o->code);

    if (o->full)
        (void)err_set(ret, ERR_FULL, "%s: the answer is longer than %zu bytes", o->url,
                      o->answer.limit);
    else
        (void)err_set(ret, o->code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_IO,
                      "%s: %s", o->url, said);
}

static void on_ended(uv_poll_t *ended, int polled, int events)
{
    struct outbound *o = ended->data;
    struct err why = {0};
    long status = 0;

    (void)polled;
    (void)events;
    (void)uv_poll_stop(ended);
    (void)pthread_join(o->thread, NULL);
    if (o->code == CURLE_OK)
        curl_easy_getinfo(o->easy, CURLINFO_RESPONSE_CODE, &status);
    else
        explain(o, &why);
    o->done(o->owner, status, &o->answer, o->code == CURLE_OK ? NULL : &why);
    uv_close((uv_handle_t *)&o->ended, on_closed);
}

void outbound_cancel(struct outbound *o)
{
    if (o == NULL)
        return;
    atomic_store(&o->cancelled, true);
    (void)curl_multi_wakeup(o->multi);
    (void)pthread_join(o->thread, NULL);
    uv_close((uv_handle_t *)&o->ended, on_closed);
}

/* ---- the beginning --------------------------------------------------------------------
 */

static bool add(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);

    if (more != NULL)
        *list = more;
    return more != NULL;
}

static bool add_headers(struct outbound *o, const struct outbound_ask *what)
{
    char line[256];

    (void)snprintf(line, sizeof line, "Content-Type: %s",
                   what->type != NULL ? what->type : "");
    if (what->type != NULL && !add(&o->headers, line))
        return false;
    curl_easy_setopt(o->easy, CURLOPT_HTTPHEADER, o->headers);
    return true;
}

static bool set_web(struct outbound *o, const struct outbound_ask *what)
{
    curl_easy_setopt(o->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (what->secret != NULL && what->secret[0] != '\0') {
        curl_easy_setopt(o->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(o->easy, CURLOPT_XOAUTH2_BEARER, what->secret); /* copied */
    }
    if (what->body != NULL) {
        curl_easy_setopt(o->easy, CURLOPT_POSTFIELDSIZE, (long)o->body.len);
        curl_easy_setopt(o->easy, CURLOPT_POSTFIELDS, (const char *)o->body.data);
    }
    return add_headers(o, what);
}

static bool set_mail(struct outbound *o, const struct outbound_ask *what)
{
    curl_easy_setopt(o->easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(o->easy, CURLOPT_USE_SSL,
                     (long)(what->plain ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    curl_easy_setopt(o->easy, CURLOPT_MAIL_FROM, what->from);
    for (unsigned i = 0; i < what->to_count; i++)
        if (!add(&o->to, what->to[i]))
            return false;
    curl_easy_setopt(o->easy, CURLOPT_MAIL_RCPT, o->to);
    if (what->user != NULL && what->user[0] != '\0') {
        curl_easy_setopt(o->easy, CURLOPT_USERNAME, what->user);
        curl_easy_setopt(o->easy, CURLOPT_PASSWORD,
                         what->secret != NULL ? what->secret : "");
    }
    curl_easy_setopt(o->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(o->easy, CURLOPT_READFUNCTION, on_more);
    curl_easy_setopt(o->easy, CURLOPT_READDATA, o);
    return true;
}

static int prepare(struct outbound *o, const struct outbound_ask *what, struct err *err)
{
    int n = snprintf(o->url, sizeof o->url, "%s", what->url);
    bool plain, mail = what->from != NULL;

    if (n < 0 || (size_t)n >= sizeof o->url ||
        !(mail ? outbound_is_mail(o->url) : outbound_is_web(o->url, &plain)))
        return err_set(err, ERR_INVAL, "%.80s: a URL of %s is expected", what->url,
                       mail ? "smtps:// or smtp://" : "https:// or http://");
    o->answer.limit = what->answer_max;
    o->multi = curl_multi_init();
    o->easy = curl_easy_init();
    if (o->multi == NULL || o->easy == NULL)
        return err_set(err, ERR_NOMEM, "%s: no memory", o->url);
    if (what->body != NULL && buf_append(&o->body, what->body, what->len, err) != 0)
        return err->code;
    curl_easy_setopt(o->easy, CURLOPT_URL, o->url);
    curl_easy_setopt(o->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(o->easy, CURLOPT_PROXY, ""); /* whatever http_proxy says */
    curl_easy_setopt(o->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(o->easy, CURLOPT_TIMEOUT_MS, (long)what->timeout_ms);
    /* A connection is closed where it was used, on our thread: libcurl says QUIT to a mail
     * server and waits for its word, and what is kept would be closed on the loop. */
    curl_easy_setopt(o->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(o->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, 5L);
    curl_easy_setopt(o->easy, CURLOPT_ERRORBUFFER, o->said);
    curl_easy_setopt(o->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(o->easy, CURLOPT_WRITEDATA, o);
    if (what->ca != NULL && what->ca[0] != '\0') {
        curl_easy_setopt(o->easy, CURLOPT_CAINFO, what->ca);
        curl_easy_setopt(o->easy, CURLOPT_CAPATH, NULL);
    }
    if (!(mail ? set_mail(o, what) : set_web(o, what)) ||
        curl_multi_add_handle(o->multi, o->easy) != CURLM_OK)
        return err_set(err, ERR_NOMEM, "%s: no memory", o->url);
    return 0;
}

int outbound_start(struct outbound **ret_outbound, uv_loop_t *loop,
                   const struct outbound_ask *what, outbound_done *done, void *owner,
                   struct err *err)
{
    struct outbound *o = calloc(1, sizeof *o);
    int status;

    if (o == NULL)
        return err_set(err, ERR_NOMEM, "a request: no memory");
    (void)pthread_once(&once, init_curl);
    o->bell = -1;
    o->done = done;
    o->owner = owner;
    status = prepare(o, what, err);
    if (status == 0) {
        o->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        status = o->bell < 0 ? -errno : uv_poll_init(loop, &o->ended, o->bell);
        if (status != 0)
            (void)err_uv(err, status, "a request");
    }
    if (status != 0) {
        drop(o);
        return err->code;
    }
    o->ended.data = o;
    (void)uv_poll_start(&o->ended, UV_READABLE, on_ended); /* cannot fail here */
    status = start_thread(o);
    if (status != 0) {
        uv_close((uv_handle_t *)&o->ended, on_closed);
        return err_errno(err, status, "a thread for a request");
    }
    *ret_outbound = o;
    return 0;
}
