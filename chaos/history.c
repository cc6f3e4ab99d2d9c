/* chaos/history.c */
#include "chaos/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

static const char *const kind_names[EVENT_KINDS] = {
    [EVENT_BEGIN] = "begin",     [EVENT_ACK] = "ack",       [EVENT_UNKNOWN] = "unknown",
    [EVENT_ROW] = "row",         [EVENT_FAULT] = "fault",   [EVENT_HEALED] = "healed",
    [EVENT_RENEWED] = "renewed", [EVENT_FENCED] = "fenced", [EVENT_OPENED] = "opened",
    [EVENT_OPENING] = "opening",
};

void history_add(struct history *h, struct event e)
{
    h->events = must_grow(h->events, &h->cap, h->count + 1, sizeof *h->events);
    h->events[h->count++] = e;
}

void history_join(struct history *into, const struct history *from)
{
    for (size_t i = 0; i < from->count; i++)
        history_add(into, from->events[i]);
}

/* Kinds break ties so that qsort(), which is not stable, keeps begin before outcome. */
static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;

    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (int)x->kind - (int)y->kind;
}

void history_sort(struct history *h)
{
    if (h->count > 0)
        qsort(h->events, h->count, sizeof *h->events, by_time);
}

void history_free(struct history *h)
{
    free(h->events);
    *h = (struct history){0};
}

void history_write(const struct history *h, FILE *out)
{
    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        fprintf(out, "%" PRId64 " %s %u %u %" PRIu64 "\n", e->at_ns, kind_names[e->kind],
                e->client, e->host, e->number);
    }
}

/* A number up to `most`, and the one character after it. */
static bool read_number(const char **at, uint64_t most, char after, uint64_t *ret)
{
    char *end;

    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *ret = strtoull(*at, &end, 10);
    if (errno != 0 || *ret > most || *end != after)
        return false;
    *at = end + 1;
    return true;
}

static bool read_kind(const char **at, uint8_t *ret_kind)
{
    size_t length = strcspn(*at, " ");

    for (unsigned k = 0; k < EVENT_KINDS; k++) {
        if (strlen(kind_names[k]) != length || strncmp(*at, kind_names[k], length) != 0)
            continue;
        *ret_kind = (uint8_t)k;
        *at += length + ((*at)[length] == ' ');
        return true;
    }
    return false;
}

static bool read_event(const char *line, struct event *ret_event)
{
    uint64_t time, client, host;
    struct event e;

    if (!read_number(&line, INT64_MAX, ' ', &time) || !read_kind(&line, &e.kind) ||
        !read_number(&line, UINT8_MAX, ' ', &client) ||
        !read_number(&line, UINT8_MAX, ' ', &host) ||
        !read_number(&line, UINT64_MAX, '\n', &e.number))
        return false;
    e.at_ns = (int64_t)time;
    e.client = (uint8_t)client;
    e.host = (uint8_t)host;
    *ret_event = e;
    return true;
}

bool history_read(struct history *h, FILE *in, size_t *ret_line)
{
    char line[160];

    for (size_t n = 1; fgets(line, sizeof line, in) != NULL; n++) {
        struct event e;

        if (!read_event(line, &e)) {
            *ret_line = n;
            return false;
        }
        history_add(h, e);
    }
    history_sort(h);
    return true;
}

static void keep_longer(struct outage *longest, int64_t from, int64_t until)
{
    if (until - from > longest->until - longest->from)
        *longest = (struct outage){from, until};
}

struct outage history_outage(const struct history *h, uint8_t client, int64_t from,
                             int64_t to)
{
    struct outage longest = {0};
    int64_t last = INT64_MIN;

    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (e->kind != EVENT_ACK || e->client != client)
            continue;
        if (last != INT64_MIN && e->at_ns > from && last < to)
            keep_longer(&longest, last, e->at_ns);
        last = e->at_ns;
    }
    if (last == INT64_MIN) /* nothing was ever acknowledged */
        keep_longer(&longest, from, to);
    else if (last < to)
        keep_longer(&longest, last, to);
    return longest;
}

int64_t history_outage_ns(const struct history *h, uint8_t client, int64_t from, int64_t to)
{
    struct outage longest = history_outage(h, client, from, to);

    return longest.until - longest.from;
}

int64_t history_first_ack_ns(const struct history *h, uint8_t client, uint8_t host,
                             int64_t from)
{
    int64_t begun = INT64_MIN;

    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (e->client != client)
            continue;
        if (e->kind == EVENT_BEGIN)
            begun = e->at_ns;
        if (e->kind == EVENT_ACK && e->host == host && begun >= from)
            return e->at_ns;
    }
    return 0;
}

static bool is_probe(const struct event *e) { return e->client >= CLIENT_PROBE; }

int64_t history_both_writable_ns(const struct history *h, struct overlap_question q)
{
    int64_t since = 0, last = 0, begun[UINT8_MAX + 1] = {0};

    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (!is_probe(e) || e->at_ns < q.from || e->at_ns >= q.to)
            continue;
        if (e->kind == EVENT_BEGIN)
            begun[e->client] = e->at_ns;
        if (e->kind != EVENT_ACK)
            continue;
        if (e->host == q.fresh && since == 0)
            since = e->at_ns;
        if (e->host == q.old && since != 0 && begun[e->client] > since)
            last = e->at_ns;
    }
    return last > 0 ? last - since : 0;
}

unsigned history_changes(const struct history *h)
{
    int64_t begun[UINT8_MAX + 1] = {0}, last = 0;
    unsigned host = HISTORY_NO_HOST, changes = 0;

    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (!is_probe(e))
            continue;
        if (e->kind == EVENT_BEGIN)
            begun[e->client] = e->at_ns;
        if (e->kind != EVENT_ACK)
            continue;
        if (host != HISTORY_NO_HOST && e->host != host) {
            if (begun[e->client] <= last)
                continue; /* it may have been acknowledged before the other side was */
            changes++;
        }
        host = e->host;
        last = e->at_ns;
    }
    return changes;
}

/* Nobody has opened this host, as far as is certain. */
static bool is_rival(uint8_t host, const struct event *opened, const struct event *opening)
{
    return opened != NULL && opened->host != HISTORY_NO_HOST && host != opened->host &&
           (opening == NULL || (opening->host != HISTORY_NO_HOST && host != opening->host));
}

int64_t history_rivals_ns(const struct history *h)
{
    struct {
        uint64_t number;
        int64_t at;
    } begun[UINT8_MAX + 1] = {0};
    const struct event *opened = NULL, *opening = NULL;
    int64_t longest = 0;

    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (e->kind == EVENT_OPENING)
            opening = e;
        if (e->kind == EVENT_OPENED) {
            opened = e;
            opening = NULL;
        }
        if (e->kind == EVENT_BEGIN) {
            begun[e->client].number = e->number;
            begun[e->client].at = e->at_ns;
        }
        if (e->kind == EVENT_ACK && is_rival(e->host, opened, opening) &&
            begun[e->client].number == e->number && begun[e->client].at > opened->at_ns &&
            e->at_ns - opened->at_ns > longest)
            longest = e->at_ns - opened->at_ns;
    }
    return longest;
}

void lease_log_add(struct lease_log *l, struct lease_span span)
{
    l->spans = must_grow(l->spans, &l->cap, l->count + 1, sizeof *l->spans);
    l->spans[l->count++] = span;
}

void lease_log_free(struct lease_log *l)
{
    free(l->spans);
    *l = (struct lease_log){0};
}

int64_t lease_log_deadline(const struct lease_log *l, int64_t at)
{
    int64_t deadline = 0;

    for (size_t i = 0; i < l->count && l->spans[i].from <= at; i++)
        deadline = l->spans[i].until;
    return deadline;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

enum { NO_HOST = UINT8_MAX };

/* The acknowledgements of all hosts but `but`. */
static void count_but(const struct history *h, uint8_t but, uint64_t *ret_acked,
                      uint64_t *ret_lost)
{
    uint64_t *rows = must_alloc(h->count + 1, sizeof *rows);
    uint64_t acked = 0, lost = 0;
    size_t n = 0;

    for (size_t i = 0; i < h->count; i++)
        if (h->events[i].kind == EVENT_ROW)
            rows[n++] = h->events[i].number;
    qsort(rows, n, sizeof *rows, by_number);
    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (e->kind != EVENT_ACK || is_probe(e) || e->host == but)
            continue;
        acked++;
        if (bsearch(&e->number, rows, n, sizeof *rows, by_number) == NULL)
            lost++;
    }
    free(rows);
    *ret_acked = acked;
    *ret_lost = lost;
}

void history_count(const struct history *h, uint64_t *ret_acked, uint64_t *ret_lost)
{
    count_but(h, NO_HOST, ret_acked, ret_lost);
}

/* The last healing is the one after which the service has no excuse left. */
static bool recovered(const struct history *h, int64_t within_ns)
{
    int64_t healed = INT64_MIN;

    for (size_t i = 0; i < h->count; i++)
        if (h->events[i].kind == EVENT_HEALED)
            healed = h->events[i].at_ns;
    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (e->kind == EVENT_ACK && !is_probe(e) && e->at_ns >= healed)
            return healed == INT64_MIN || e->at_ns - healed <= within_ns;
    }
    return false;
}

/* What the log did in its order: VERDICT_OK, or the first that it may not do. */
static enum verdict judge_epochs(const struct history *h)
{
    uint64_t fenced = 0, opened = 0;

    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (e->kind == EVENT_RENEWED && e->number <= fenced)
            return VERDICT_RENEWED;
        if (e->kind == EVENT_OPENED && e->number <= opened)
            return VERDICT_EPOCH_AGAIN;
        if (e->kind == EVENT_FENCED && e->number > fenced)
            fenced = e->number;
        if (e->kind == EVENT_OPENED)
            opened = e->number;
    }
    return VERDICT_OK;
}

enum verdict history_judge(const struct history *h, const struct allowance *allow)
{
    enum verdict epochs = judge_epochs(h);
    uint64_t acked, lost, others, lost_of_others;

    history_count(h, &acked, &lost);
    count_but(h, allow->old, &others, &lost_of_others);
    if (allow->both_writable_ns > 0 || history_rivals_ns(h) > 0)
        return VERDICT_TWO_WRITERS;
    if (epochs != VERDICT_OK)
        return epochs;
    /* What the new side acknowledged, no failover and no switchover back may lose. */
    if (lost > 0 && (!allow->may_lose || lost_of_others > 0))
        return VERDICT_LOST;
    if (lost > 0 && (!allow->loss_known || allow->lost_bytes == 0))
        return VERDICT_LOST_UNCOUNTED;
    if (lost > 0 && allow->lost_bytes > allow->forecast_bytes)
        return VERDICT_LOST_BEYOND;
    if (acked == 0)
        return VERDICT_EMPTY;
    return recovered(h, allow->recover_ns) ? VERDICT_OK : VERDICT_NOT_RECOVERED;
}

const char *verdict_text(enum verdict v)
{
    switch (v) {
    case VERDICT_OK:
        return "ok";
    case VERDICT_TWO_WRITERS:
        return "two servers acknowledged writes at one time";
    case VERDICT_RENEWED:
        return "a lease was renewed after its epoch had been fenced";
    case VERDICT_EPOCH_AGAIN:
        return "an epoch was opened that is not above the last one";
    case VERDICT_LOST:
        return "acknowledged rows are missing, and the policy allows no loss";
    case VERDICT_LOST_UNCOUNTED:
        return "acknowledged rows are missing, and nobody counted them";
    case VERDICT_LOST_BEYOND:
        return "more was lost than forecast";
    case VERDICT_NOT_RECOVERED:
        return "writes did not come back in time";
    case VERDICT_EMPTY:
        return "no write was acknowledged at all";
    }
    return "?";
}
