#include "controller/net/names.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/net/names_lookup.h"
#include "controller/net/names_text.h"

#define WHAT_TO_DO "mend the resolver (/etc/resolv.conf), or write the name into /etc/hosts"

struct name {
    struct names_line line; /* no host: nobody's; an answer of 0 addresses: none yet */
    struct mono asked, begun;
    bool looking, overdue; /* a lookup is under way, and for longer than it should be */
    bool failing;          /* the answer is old, and that was said */
    struct names_wait *waits;
};

struct names {
    uv_poll_t bell;
    uv_timer_t alarm; /* of lookups that become overdue */
    unsigned open;    /* of these two */
    struct desk *desk;
    uint64_t waits;     /* counts them */
    char *file;         /* NULL: none */
    bool keeping, news; /* the file is being written; and it is not the newest any more */
    bool unkept;        /* it cannot be used, and that was said */
    struct name of[NAMES_MAX];
};

/* ---- answers ------------------------------------------------------------------------- */

static void set_port(struct names_answer *a, uint16_t port)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->of[i].ss_family == AF_INET)
            ((struct sockaddr_in *)&a->of[i])->sin_port = htons(port);
        else
            ((struct sockaddr_in6 *)&a->of[i])->sin6_port = htons(port);
}

/* Off the list comes one that began to wait before `until`; NULL: there is none. */
static struct names_wait *next_waiting(struct name *name, uint64_t until)
{
    struct names_wait **at = &name->waits, *found;

    while (*at != NULL && (*at)->number >= until)
        at = &(*at)->next;
    found = *at;
    if (found == NULL)
        return NULL;
    *at = found->next;
    found->of = NULL;
    return found;
}

/* Who is told may forget others, and may ask again: that is not answered here. */
static void tell_all(struct names *n, struct name *name, const struct err *why)
{
    const struct names_answer all = name->line.answer;
    uint64_t until = n->waits;
    struct names_wait *wait;

    while ((wait = next_waiting(name, until)) != NULL) {
        struct names_answer answer = all;

        set_port(&answer, wait->port);
        wait->on_answer(wait->owner, answer.count > 0 ? &answer : NULL,
                        answer.count > 0 ? NULL : why);
    }
}

/* What is known stays in use, and people are told once; who has nothing hears why. */
static void failed(struct names *n, struct name *name, const struct err *why)
{
    char addresses[NAMES_ADDRESSES_TEXT], when[WALL_TEXT_SIZE];
    struct err none = *why;

    if (name->line.answer.count == 0) {
        (void)err_set(&none, why->code,
                      "%s: nothing is known of an earlier answer: " WHAT_TO_DO, why->text);
        tell_all(n, name, &none);
        return;
    }
    if (name->failing)
        return;
    name->failing = true;
    names_text_say(&name->line.answer, addresses);
    wall_format(name->line.wall_ms, when);
    log_warn("%s: its last answer, %s of %s, stays in use, and links go on with it; a host "
             "that moves is not found meanwhile: " WHAT_TO_DO,
             why->text, addresses, when);
}

static void keep(struct names *n);

static void answered(struct names *n, struct name *name, const struct names_answer *answer)
{
    bool first = name->line.answer.count == 0;
    bool same = !first && names_text_same(answer, &name->line.answer);
    char before[NAMES_ADDRESSES_TEXT], now[NAMES_ADDRESSES_TEXT];

    names_text_say(answer, now);
    if (!first)
        names_text_say(&name->line.answer, before);
    if (!first && !same)
        log_info("%s has other addresses: %s, before %s", name->line.host, now, before);
    else if (name->failing)
        log_info("%s is looked up again, and is where it was: %s", name->line.host, now);
    name->failing = false;
    name->line.answer = *answer;
    name->line.wall_ms = wall_now_ms();
    if (!same)
        keep(n);
    tell_all(n, name, NULL);
}

/* ---- lookups under way --------------------------------------------------------------- */

static void on_alarm(uv_timer_t *alarm)
{
    struct names *n = alarm->data;
    struct mono now = mono_now();
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < NAMES_MAX; i++) {
        struct name *name = &n->of[i];
        uint64_t since = mono_since_ms(name->begun, now);
        struct err why;

        /* One that is overdue goes on; who asked while it was is to hear as soon. */
        if (!name->looking || (name->overdue && name->waits == NULL))
            continue;
        if (since >= NAMES_OVERDUE_MS) {
            name->overdue = true;
            (void)err_set(&why, ERR_TIMEOUT,
                          "look up %s: no answer of the resolver for %u s", name->line.host,
                          (unsigned)(since / 1000));
            failed(n, name, &why);
        } else if (NAMES_OVERDUE_MS - since < next) {
            next = NAMES_OVERDUE_MS - since;
        }
    }
    if (next == UINT64_MAX)
        return;
    uv_update_time(alarm->loop);
    ASSERT(uv_timer_start(alarm, on_alarm, next, 0) == 0); /* it is not closing */
}

/* The next turn sees how long there is to wait. */
static void arm(struct names *n)
{
    ASSERT(uv_timer_start(&n->alarm, on_alarm, 0, 0) == 0); /* it is not closing */
}

static int look_up(struct names *n, struct name *name, struct err *err)
{
    int status = lookup_start_name(n->desk, name->line.host, err);

    name->begun = mono_now();
    name->overdue = false;
    name->looking = status == 0;
    arm(n);
    return status;
}

static struct name *name_of(struct names *n, const char *host)
{
    for (unsigned i = 0; i < NAMES_MAX; i++)
        if (strcmp(n->of[i].line.host, host) == 0)
            return &n->of[i];
    return NULL;
}

static void on_kept(struct names *n, const struct lookup *l)
{
    n->keeping = false;
    if (l->err.code != 0 && !n->unkept)
        log_warn("%s: what the resolver answered is known for this life only; see that the "
                 "directory can be written to",
                 l->err.text);
    n->unkept = l->err.code != 0;
    if (n->news)
        keep(n);
}

static void on_looked_up(struct names *n, const struct lookup *l)
{
    struct name *name = name_of(n, l->host);

    ASSERT(name != NULL); /* it is not dropped before */
    ASSERT(name->looking);
    name->looking = false;
    if (l->err.code == 0)
        answered(n, name, &l->answer);
    else
        failed(n, name, &l->err);
}

static void on_bell(uv_poll_t *bell, int status, int events)
{
    struct names *n = bell->data;

    (void)status;
    (void)events;
    for (struct lookup *l = desk_take(n->desk); l != NULL;) {
        struct lookup *next = l->next;

        if (l->kind == LOOKUP_NAME)
            on_looked_up(n, l);
        else
            on_kept(n, l);
        lookup_free(l);
        l = next;
    }
}

/* ---- the file ------------------------------------------------------------------------ */

static int all_lines(const struct names *n, struct buf *b, struct err *err)
{
    int status = names_text_begin(b, err);

    for (unsigned i = 0; i < NAMES_MAX && status == 0; i++)
        if (n->of[i].line.answer.count > 0)
            status = names_text_add(b, &n->of[i].line, err);
    return status == 0 ? buf_append(b, "", 1, err) : status;
}

/* One at a time: on a disk that hangs they would pile up. */
static void keep(struct names *n)
{
    AUTO(buf_free) struct buf b = {0};
    struct err err = {0};

    n->news = true;
    if (n->file == NULL || n->keeping)
        return;
    n->news = false;
    n->keeping = all_lines(n, &b, &err) == 0 &&
                 lookup_start_keep(n->desk, n->file, (char *)TAKE(b.data), &err) == 0;
    if (!n->keeping)
        log_warn("%s is not written: %s", n->file, err.text);
}

static int recall(struct names *n, struct err *err)
{
    AUTO(auto_free) struct names_line *lines = calloc(NAMES_MAX, sizeof *lines);
    struct err why = {0};
    unsigned count = 0;

    if (lines == NULL)
        return err_set(err, ERR_NOMEM, "names");
    if (names_text_read(n->file, lines, &count, &why) == ERR_NOMEM)
        return err_set(err, ERR_NOMEM, "names");
    if (why.code != 0)
        log_warn("%s: nothing of it is used; it is written anew when a name was looked up",
                 why.text);
    for (unsigned i = 0; i < count; i++)
        n->of[i].line = lines[i];
    return 0;
}

/* ---- asking -------------------------------------------------------------------------- */

/* NULL: all are in use. */
static struct name *take_place(struct names *n, const char *host)
{
    struct name *oldest = NULL;

    for (unsigned i = 0; i < NAMES_MAX; i++) {
        struct name *name = &n->of[i];

        if (name->looking || name->waits != NULL)
            continue;
        if (oldest == NULL || name->asked.ns < oldest->asked.ns ||
            (name->asked.ns == oldest->asked.ns && name->line.host[0] == 0))
            oldest = name;
    }
    if (oldest == NULL)
        return NULL;
    *oldest = (struct name){0};
    (void)snprintf(oldest->line.host, sizeof oldest->line.host, "%s", host);
    return oldest;
}

static bool is_due(const struct name *name, struct mono now)
{
    return !name->looking && (name->line.answer.count == 0 || !mono_is_set(name->begun) ||
                              mono_since_ms(name->begun, now) >= NAMES_REFRESH_MS);
}

int names_find(struct names *n, const struct address *at, struct names_wait *wait,
               struct names_answer *ret_answer, struct err *err)
{
    struct name *name = name_of(n, at->host);
    struct mono now = mono_now();
    struct err why = {0};

    ASSERT(wait->of == NULL);
    if (name == NULL)
        name = take_place(n, at->host);
    if (name == NULL)
        return err_set(err, ERR_FULL, "look up %s: %d other names are waited for", at->host,
                       NAMES_MAX);
    name->asked = now;
    if (is_due(name, now) && look_up(n, name, &why) != 0) {
        if (name->line.answer.count == 0) {
            if (err != NULL)
                *err = why;
            return why.code;
        }
        failed(n, name, &why);
    }
    if (name->line.answer.count > 0) {
        *ret_answer = name->line.answer;
        set_port(ret_answer, at->port);
        return 0;
    }
    wait->number = n->waits++;
    wait->port = at->port;
    wait->of = name;
    wait->next = name->waits;
    name->waits = wait;
    arm(n); /* a lookup that is overdue already is not waited for once more */
    return err_set(err, ERR_BUSY, "%s is being looked up", at->host);
}

void names_forget(struct names_wait *wait)
{
    struct names_wait **at;

    if (wait->of == NULL)
        return;
    for (at = &wait->of->waits; *at != wait; at = &(*at)->next)
        ;
    *at = wait->next;
    wait->of = NULL;
}

/* ---- life ---------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct names *n = handle->data;

    if (--n->open > 0)
        return;
    free(n->file);
    free(n);
}

static int remember(struct names *n, const char *file, struct err *err)
{
    if (file == NULL)
        return 0;
    n->file = strdup(file);
    if (n->file == NULL)
        return err_set(err, ERR_NOMEM, "names");
    return recall(n, err);
}

static int begin(struct names *n, uv_loop_t *loop, struct err *err)
{
    int status = desk_new(&n->desk, err);

    if (status != 0)
        return status;
    status = uv_poll_init(loop, &n->bell, desk_bell(n->desk));
    if (status != 0) {
        desk_leave(n->desk);
        return err_uv(err, status, "names");
    }
    (void)uv_timer_init(loop, &n->alarm); /* cannot fail, as the next cannot */
    status = uv_poll_start(&n->bell, UV_READABLE, on_bell);
    ASSERT(status == 0);
    n->bell.data = n->alarm.data = n;
    n->open = 2;
    return 0;
}

int names_open(struct names **ret_names, uv_loop_t *loop, const char *file, struct err *err)
{
    struct names *n = calloc(1, sizeof *n);
    int status;

    if (n == NULL)
        return err_set(err, ERR_NOMEM, "names");
    status = begin(n, loop, err);
    if (status != 0) {
        free(n);
        return status;
    }
    status = remember(n, file, err);
    if (status != 0) {
        names_close(n);
        return status;
    }
    *ret_names = n;
    return 0;
}

void names_close(struct names *n)
{
    if (n == NULL)
        return;
    for (unsigned i = 0; i < NAMES_MAX; i++)
        ASSERT(n->of[i].waits == NULL);
    uv_close((uv_handle_t *)&n->bell, on_closed);
    uv_close((uv_handle_t *)&n->alarm, on_closed);
    desk_leave(TAKE(n->desk)); /* its bell is polled no more */
}
