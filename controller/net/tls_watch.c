#include "controller/net/tls_watch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/net/tls_report.h"

enum { PERIOD_MS = 60000, DAY_MS = 86400000 };

struct tls_watch {
    uv_timer_t timer;
    uv_work_t work;
    unsigned open; /* the timer's handle, and work under way */
    bool busy, again, closing;
    struct tls *tls;

    /* The thread's, while it is busy. */
    bool force, taken;
    int status;
    struct err err;

    struct err last;  /* what was refused, as it was logged */
    struct mono told; /* when the state was logged */
};

static void let_go(struct tls_watch *w)
{
    if (--w->open > 0)
        return;
    tls_free(w->tls);
    free(w);
}

/* ---- the log --------------------------------------------------------------------------
 */

static void tell(struct tls_watch *w)
{
    struct tls_told told[TLS_TELL_MAX];
    struct tls_report r;
    unsigned n;

    tls_report(w->tls, &r);
    n = tls_report_tell(&r, (int64_t)time(NULL), told);
    for (unsigned i = 0; i < n; i++)
        if (told[i].level == TLS_FAIL)
            log_error("%s", told[i].text);
        else if (told[i].level == TLS_WARN)
            log_warn("%s", told[i].text);
    w->told = mono_now();
}

static void tell_taken(struct tls_watch *w)
{
    struct tls_report r;

    tls_report(w->tls, &r);
    log_info("%s and the other files of `tls` are read again and in use: new connections "
             "show them; open ones go on, but for those whose peer they refuse",
             r.cert);
    w->last = (struct err){0};
    tell(w);
}

static void tell_refused(struct tls_watch *w)
{
    if (strcmp(w->last.text, w->err.text) == 0)
        return; /* a file that stays as it is is tried each minute */
    w->last = w->err;
    log_error("new files of `tls` are not taken, what was there before stays in use: %s",
              w->err.text);
}

/* ---- the work -------------------------------------------------------------------------
 */

static void on_work(uv_work_t *work)
{
    struct tls_watch *w = work->data;

    w->taken = false;
    w->err = (struct err){0};
    w->status = tls_refresh(w->tls, w->force, &w->taken, &w->err);
}

static void start(struct tls_watch *w, bool force);

static void on_done(uv_work_t *work, int status)
{
    struct tls_watch *w = work->data;

    w->busy = false;
    if (!w->closing && status == 0) {
        if (w->status != 0)
            tell_refused(w);
        else if (w->taken)
            tell_taken(w);
        if (mono_since_ms(w->told, mono_now()) >= DAY_MS)
            tell(w);
        if (w->again)
            start(w, true);
    }
    let_go(w);
}

static void start(struct tls_watch *w, bool force)
{
    if (w->busy) {
        w->again = w->again || force; /* one that has begun may have read the old ones */
        return;
    }
    w->again = false;
    w->force = force;
    w->work.data = w;
    if (uv_queue_work(w->timer.loop, &w->work, on_work, on_done) != 0)
        return;
    w->busy = true;
    w->open++;
}

static void on_tick(uv_timer_t *timer) { start(timer->data, false); }

void tls_watch_now(struct tls_watch *w) { start(w, true); }

/* ---- life -----------------------------------------------------------------------------
 */

int tls_watch_open(struct tls_watch **ret_watch, uv_loop_t *loop, struct tls *tls,
                   uint32_t period_ms, struct err *err)
{
    const uint32_t period = period_ms != 0 ? period_ms : PERIOD_MS;
    struct tls_watch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return err_set(err, ERR_NOMEM, "watch over certificates");
    w->tls = tls_ref(tls);
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    w->open = 1;
    ASSERT(uv_timer_start(&w->timer, on_tick, period, period) == 0);
    tell(w);
    *ret_watch = w;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle) { let_go(handle->data); }

void tls_watch_close(struct tls_watch *w)
{
    if (w == NULL)
        return;
    w->closing = true;
    if (w->busy)
        (void)uv_cancel((uv_req_t *)&w->work); /* its callback comes either way */
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}
