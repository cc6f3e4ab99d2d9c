#include "controller/daemon/notices.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "controller/daemon/notice.h"
#include "controller/http/logview.h"
#include "fencing/methods/secret.h"

enum { PAGE = 100, ANSWER_MAX = 64 << 10 };

struct receiver {
    struct notices *all;
    const struct settings_notify *to;
    uint64_t cursor; /* rows up to here are told, or nothing to it */
    bool began;      /* the cursor is set */
    bool asking;     /* the store */
    bool waits;      /* `row` is to be told */
    struct audit_row row;
    enum notice_kind kind;    /* of it */
    struct outbound *request; /* NULL: none is under way */
    struct mono again;        /* not before */
    uint32_t wait_ms;
    uint64_t sent, failures, lost;
    char problem[API_ERROR_SIZE]; /* of the last try; "" */
};

struct notices {
    struct notices_spec spec;
    uv_timer_t tick;
    unsigned count;
    struct receiver of[SETTINGS_NOTIFY_MAX];
};

static bool is_too_old(const struct audit_row *row)
{
    uint64_t now = wall_now_ms();

    return now > row->wall_ms && now - row->wall_ms > NOTICES_AGE_MS;
}

/* ---- sending --------------------------------------------------------------------------
 */

static void done_with_row(struct receiver *r)
{
    r->cursor = r->row.seq;
    r->waits = false;
    r->again = (struct mono){0};
    r->wait_ms = NOTICES_RETRY_MS;
}

static void failed(struct receiver *r, const char *why)
{
    if (strcmp(r->problem, why) != 0)
        log_warn("%s is not told of entry %" PRIu64 ": %s; it is tried again", r->to->name,
                 r->row.index, why);
    text_set(r->problem, sizeof r->problem, "%s", why);
    r->failures++;
    r->again = mono_plus_ms(mono_now(), r->wait_ms);
    r->wait_ms =
        2 * r->wait_ms < NOTICES_RETRY_MAX_MS ? 2 * r->wait_ms : NOTICES_RETRY_MAX_MS;
}

static void on_sent(void *owner, long status, const struct buf *body, const struct err *why)
{
    struct receiver *r = owner;
    char text[API_ERROR_SIZE];

    (void)body;
    r->request = NULL;
    if (why == NULL && status >= 200 && status <= 299) {
        r->sent++;
        r->problem[0] = '\0';
        log_info("%s is told of entry %" PRIu64, r->to->name, r->row.index);
        if (r->waits)
            done_with_row(r);
        return;
    }
    text_set(text, sizeof text, "%s: the answer is %ld", r->to->name, status);
    failed(r, why != NULL ? why->text : text);
}

static void facts_of(const struct notices *n, struct api_facts *ret)
{
    *ret = (struct api_facts){0};
    n->spec.backend->facts(n->spec.backend->owner, ret);
}

static int compose(const struct receiver *r, struct buf *out, struct err *err)
{
    AUTO(auto_free) char *entry = NULL;
    struct notice n = {.row = &r->row, .roles = r->to->roles, .kind = r->kind};
    struct api_facts facts;

    facts_of(r->all, &facts);
    entry = logview_line(&r->row, &facts);
    if (entry == NULL)
        return err_set(err, ERR_NOMEM, "a notice: no memory");
    n.entry = entry;
    n.cluster = facts.cluster;
    return r->to->from[0] != '\0' ? notice_mail(&n, r->to, wall_now_ms(), out, err)
                                  : notice_json(&n, out, err);
}

static int send_with(struct receiver *r, const char *secret, struct err *err)
{
    AUTO(buf_free) struct buf body = {0};
    const bool mail = r->to->from[0] != '\0';
    struct outbound_ask ask = {.url = r->to->url,
                               .ca = r->to->ca,
                               .plain = r->to->plain,
                               .secret = secret,
                               .user = r->to->user,
                               .type = mail ? NULL : "application/json",
                               .from = mail ? r->to->from : NULL,
                               .to_count = r->to->to_count,
                               .timeout_ms = NOTICES_TIMEOUT_MS,
                               .answer_max = ANSWER_MAX};

    if (compose(r, &body, err) != 0)
        return err->code;
    for (unsigned i = 0; i < ask.to_count; i++)
        ask.to[i] = r->to->to[i];
    ask.body = body.data;
    ask.len = body.len;
    return outbound_start(&r->request, r->all->spec.loop, &ask, on_sent, r, err);
}

static void send_row(struct receiver *r)
{
    char secret[SECRET_SIZE] = "";
    struct err err = {0};
    int status = 0;

    if (r->to->secret_file[0] != '\0')
        status = secret_read(r->to->secret_file, secret, &err);
    if (status == 0)
        status = send_with(r, secret, &err);
    secret_wipe(secret);
    if (status != 0)
        failed(r, err.text);
}

/* ---- reading the trail ----------------------------------------------------------------
 */

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    struct receiver *r = owner;
    struct api_facts facts;

    r->asking = false;
    if (status != 0)
        return; /* asked again in a moment */
    facts_of(r->all, &facts);
    r->began = true;
    for (size_t i = 0; i < n && !r->waits; i++) {
        if (rows[i].seq <= r->cursor)
            continue;
        r->kind = notice_of(facts.state, &rows[i], r->to->roles);
        if (r->kind != NOTICE_NONE && !is_too_old(&rows[i])) {
            r->row = rows[i];
            r->waits = true;
        } else {
            r->cursor = rows[i].seq;
        }
    }
}

static void ask_store(struct receiver *r, const struct api_facts *facts)
{
    const struct api_backend *backend = r->all->spec.backend;
    const struct audit_query q = {.after_seq = r->began ? r->cursor : 0,
                                  .limit = r->began ? PAGE : STORE_AUDIT_PAGE_MAX,
                                  .newest = !r->began};
    struct err err = {0};

    if (r->began && facts->store.audit_seq <= r->cursor)
        return;
    r->asking = true; /* it may answer at once */
    if (backend->query_log(backend->owner, &q, on_rows, r, &err) != 0)
        r->asking = false;
}

/* One that was deposed, or cannot be told any more, begins behind what it has told. */
static void look(struct receiver *r, const struct api_facts *facts)
{
    if (r->request != NULL || r->asking)
        return;
    if (!facts->leads) {
        r->waits = false;
        return;
    }
    if (!r->waits) {
        ask_store(r, facts);
    } else if (is_too_old(&r->row)) {
        log_error("%s was never told of entry %" PRIu64 ": %s", r->to->name, r->row.index,
                  r->problem);
        r->lost++;
        done_with_row(r);
    } else if (mono_now().ns >= r->again.ns) {
        send_row(r);
    }
}

static void on_tick(uv_timer_t *tick)
{
    struct notices *n = tick->data;
    struct api_facts facts;

    facts_of(n, &facts);
    for (unsigned i = 0; i < n->count; i++)
        look(&n->of[i], &facts);
}

/* ---- life -----------------------------------------------------------------------------
 */

unsigned notices_facts(const struct notices *n, struct api_notice *ret, unsigned max)
{
    unsigned count = n != NULL && n->count < max ? n->count : n != NULL ? max : 0;

    for (unsigned i = 0; i < count; i++) {
        const struct receiver *r = &n->of[i];

        ret[i] = (struct api_notice){.name = r->to->name,
                                     .problem = r->problem,
                                     .waits = r->waits,
                                     .sent = r->sent,
                                     .failures = r->failures,
                                     .lost = r->lost};
    }
    return count;
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

int notices_open(struct notices **ret_notices, const struct notices_spec *spec,
                 struct err *err)
{
    struct notices *n = calloc(1, sizeof *n);

    if (n == NULL)
        return err_set(err, ERR_NOMEM, "notices: no memory");
    n->spec = *spec;
    n->count = spec->count < SETTINGS_NOTIFY_MAX ? spec->count : SETTINGS_NOTIFY_MAX;
    for (unsigned i = 0; i < n->count; i++)
        n->of[i] =
            (struct receiver){.all = n, .to = &spec->list[i], .wait_ms = NOTICES_RETRY_MS};
    (void)uv_timer_init(spec->loop, &n->tick); /* cannot fail */
    n->tick.data = n;
    if (n->count > 0)
        (void)uv_timer_start(&n->tick, on_tick, NOTICES_LOOK_MS, NOTICES_LOOK_MS);
    *ret_notices = n;
    return 0;
}

void notices_close(struct notices *n)
{
    if (n == NULL)
        return;
    for (unsigned i = 0; i < n->count; i++)
        outbound_cancel(n->of[i].request);
    uv_close((uv_handle_t *)&n->tick, on_closed);
}
