#include "controller/net/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/net/names.h"
#include "controller/net/names_text.h"

enum { BACKOFF_MIN_MS = 20, BACKOFF_MAX_MS = 1000 };

struct link {
    uv_timer_t retry;
    uv_loop_t *loop;
    struct tls *tls;
    struct stream *stream;
    bool up;
    bool unsteady; /* the last one did not last: that the next is up is no news yet */
    struct mono up_since;
    struct identity peer;
    struct address at;
    char where[ADDRESS_TEXT_SIZE];
    struct names *names; /* NULL: it is a number */
    struct names_wait wait;
    struct names_answer answer; /* the addresses of this try, whose of[turn] is next */
    unsigned turn;
    struct sockaddr_storage good; /* where it was up last; tried first */
    struct stream_options options;
    uint32_t backoff_min_ms, backoff_max_ms, backoff_ms;
    uint64_t dice;
    struct err last;
    uint64_t logged; /* bit -code: kinds of trouble already logged since it was up */
    const struct link_events *events;
    void *owner;
};

/* splitmix64: jitter needs spread, not secrecy. */
static uint64_t next_random(struct link *l)
{
    uint64_t z = l->dice += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void on_retry(uv_timer_t *timer);

static void retry_later(struct link *l)
{
    uint32_t wait = l->backoff_ms, jitter = wait / 4;

    if (jitter > 0)
        wait -= (uint32_t)(next_random(l) % jitter);
    l->backoff_ms =
        l->backoff_ms > l->backoff_max_ms / 2 ? l->backoff_max_ms : l->backoff_ms * 2;
    uv_update_time(l->loop);
    /* Fails only for a handle that is closing. */
    ASSERT(uv_timer_start(&l->retry, on_retry, wait, 0) == 0);
}

/* Each kind once: a dead peer is tried every second for days, and may alternate between
 * refusing and not answering. */
static void log_trouble(struct link *l, const struct err *why)
{
    uint64_t kind = 1ull << (-why->code & 63);

    if ((l->logged & kind) != 0)
        return;
    l->logged |= kind;
    log_warn("link to %s %s at %s is down: %s", identity_role_name(l->peer.role),
             l->peer.name, l->where, why->text);
}

/* Where a name has more addresses than one, all are tried before one waits. */
static void try_failed(struct link *l, const struct err *why)
{
    l->last = *why;
    log_trouble(l, why);
    if (l->turn + 1 < l->answer.count) {
        l->turn++;
        ASSERT(uv_timer_start(&l->retry, on_retry, 0, 0) == 0); /* it is not closing */
        return;
    }
    l->answer.count = l->turn = 0;
    retry_later(l);
}

/* -- the stream -- */

static void log_up(const struct link *l)
{
    char number[ADDRESS_TEXT_SIZE] = "";

    if (l->names != NULL)
        address_of_sockaddr(&l->good, number);
    log_info("link to %s %s at %s%s%s%s is up", identity_role_name(l->peer.role),
             l->peer.name, l->where, number[0] != 0 ? " (" : "", number,
             number[0] != 0 ? ")" : "");
}

static void on_lasted(uv_timer_t *timer)
{
    struct link *l = timer->data;

    if (l->unsteady)
        log_up(l);
    l->unsteady = false;
    l->logged = 0;
    l->backoff_ms = l->backoff_min_ms;
}

static void on_open(void *owner, const struct identity *peer)
{
    struct link *l = owner;

    (void)peer; /* the stream has compared it with what we expect */
    l->up = true;
    l->up_since = mono_now();
    if (l->names != NULL)
        l->good = l->answer.of[l->turn];
    l->answer.count = l->turn = 0; /* when it is down one asks again */
    l->last = (struct err){0};
    if (!l->unsteady)
        log_up(l);
    uv_update_time(l->loop);
    /* Nothing is dialled while it is up. Fails only for a handle that is closing. */
    ASSERT(uv_timer_start(&l->retry, on_lasted, l->backoff_max_ms, 0) == 0);
    if (l->events->on_up != NULL)
        l->events->on_up(l->owner);
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    struct link *l = owner;

    if (l->events->on_frame != NULL)
        l->events->on_frame(l->owner, data, len);
}

static void on_close(void *owner, const struct err *why)
{
    struct link *l = owner;
    bool was_up = l->up;

    l->stream = NULL;
    l->up = false;
    /* The timer may be late: the clock decides. */
    if (was_up && mono_since_ms(l->up_since, mono_now()) > l->backoff_max_ms)
        on_lasted(&l->retry);
    else if (was_up)
        l->unsteady = true;
    try_failed(l, why);
    if (was_up && l->events->on_down != NULL)
        l->events->on_down(l->owner, &l->last);
}

static const struct stream_events stream_events = {on_open, on_frame, on_close};

static void dial(struct link *l, const struct sockaddr_storage *sa)
{
    const struct stream_dial_to to = {sa, &l->peer, &l->options};
    struct err err;

    if (stream_dial(&l->stream, l->loop, l->tls, &to, &err) != 0)
        try_failed(l, &err);
    else
        stream_adopt(l->stream, &stream_events, l);
}

/* -- names -- */

/* What worked last comes first: with an address that drops what is sent to it each try
 * would begin with a wait of connect_ms. */
static void prefer_good(struct link *l)
{
    for (unsigned i = 1; i < l->answer.count; i++) {
        const struct sockaddr_storage here = l->answer.of[i];

        if (!names_text_same_host(&here, &l->good))
            continue;
        memmove(&l->answer.of[1], &l->answer.of[0], i * sizeof here);
        l->answer.of[0] = here;
        return;
    }
}

static void dial_all(struct link *l, const struct names_answer *answer)
{
    l->answer = *answer;
    l->turn = 0;
    prefer_good(l);
    dial(l, &l->answer.of[0]);
}

static void on_answer(void *owner, const struct names_answer *answer, const struct err *why)
{
    struct link *l = owner;

    if (answer != NULL)
        dial_all(l, answer);
    else
        try_failed(l, why);
}

static void look_up(struct link *l)
{
    struct names_answer answer;
    struct err err;
    int status = names_find(l->names, &l->at, &l->wait, &answer, &err);

    if (status == 0)
        dial_all(l, &answer);
    else if (status != ERR_BUSY) /* else on_answer comes */
        try_failed(l, &err);
}

static void on_retry(uv_timer_t *timer)
{
    struct link *l = timer->data;
    struct sockaddr_storage sa;
    int status;

    if (l->turn > 0) {
        dial(l, &l->answer.of[l->turn]);
    } else if (l->names != NULL) {
        look_up(l);
    } else {
        status = address_numeric(&sa, &l->at, NULL);
        ASSERT(status == 0); /* link_open() has looked */
        dial(l, &sa);
    }
}

/* -- open, use, close -- */

static int check_spec(const struct link_spec *spec, struct err *err)
{
    struct sockaddr_storage sa;

    if (spec->names == NULL && address_numeric(&sa, spec->at, err) != 0)
        return ERR_INVAL;
    if (spec->at->port == 0)
        return err_set(err, ERR_INVAL, "a link to %s without a port", spec->at->host);
    if (spec->backoff_max_ms != 0 && spec->backoff_min_ms > spec->backoff_max_ms)
        return err_set(err, ERR_INVAL, "backoff from %u to %u ms", spec->backoff_min_ms,
                       spec->backoff_max_ms);
    return 0;
}

int link_open(struct link **ret_link, uv_loop_t *loop, struct tls *tls,
              const struct link_spec *spec, struct err *err)
{
    int status = check_spec(spec, err);
    struct sockaddr_storage sa;
    struct link *l;

    if (status != 0)
        return status;
    l = calloc(1, sizeof *l);
    if (l == NULL)
        return err_set(err, ERR_NOMEM, "link");
    if (getrandom(&l->dice, sizeof l->dice, GRND_NONBLOCK) < 0)
        l->dice = mono_now().ns; /* early at boot; jitter may be guessed */
    l->loop = loop;
    l->tls = tls_ref(tls);
    l->peer = *spec->peer;
    l->at = *spec->at;
    address_format(&l->at, l->where);
    if (spec->options != NULL)
        l->options = *spec->options;
    l->backoff_max_ms = spec->backoff_max_ms != 0 ? spec->backoff_max_ms : BACKOFF_MAX_MS;
    l->backoff_min_ms = spec->backoff_min_ms != 0 ? spec->backoff_min_ms : BACKOFF_MIN_MS;
    if (l->backoff_min_ms > l->backoff_max_ms)
        l->backoff_min_ms = l->backoff_max_ms;
    l->backoff_ms = l->backoff_min_ms;
    l->events = spec->events;
    l->owner = spec->owner;
    if (address_numeric(&sa, &l->at, NULL) != 0)
        l->names = spec->names;
    l->wait.on_answer = on_answer;
    l->wait.owner = l;
    uv_timer_init(loop, &l->retry);
    l->retry.data = l;
    ASSERT(uv_timer_start(&l->retry, on_retry, 0, 0) == 0);
    *ret_link = l;
    return 0;
}

int link_send(struct link *l, const void *data, size_t len, struct err *err)
{
    if (!l->up)
        return err_set(err, ERR_CLOSED, "link to %s %s", identity_role_name(l->peer.role),
                       l->peer.name);
    return stream_send(l->stream, data, len, err);
}

bool link_is_up(const struct link *l) { return l->up; }

size_t link_queued(const struct link *l) { return l->up ? stream_queued(l->stream) : 0; }

const struct err *link_last_error(const struct link *l) { return &l->last; }

const struct identity *link_peer(const struct link *l) { return &l->peer; }

static void on_timer_closed(uv_handle_t *handle)
{
    struct link *l = handle->data;

    tls_free(l->tls);
    free(l);
}

void link_close(struct link *l)
{
    if (l == NULL)
        return;
    l->up = false;
    stream_close(TAKE(l->stream));
    names_forget(&l->wait);
    uv_close((uv_handle_t *)&l->retry, on_timer_closed);
}
