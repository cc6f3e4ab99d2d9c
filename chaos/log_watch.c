#include "chaos/log_watch.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/api.h"
#include "chaos/base.h"

static void copy(char *to, size_t size, const json_t *line, const char *key)
{
    snprintf(to, size, "%s", doc_text(line, key));
}

static struct log_entry read_entry(const json_t *line)
{
    struct log_entry e = {.seq = doc_number(line, "seq", 0),
                          .index = doc_number(line, "index", 0),
                          .term = doc_number(line, "term", 0),
                          .seen_ns = now_ns()};

    copy(e.time, sizeof e.time, line, "time");
    copy(e.leader, sizeof e.leader, line, "leader");
    copy(e.kind, sizeof e.kind, line, "kind");
    copy(e.rule, sizeof e.rule, line, "rule");
    copy(e.result, sizeof e.result, line, "result");
    copy(e.hash, sizeof e.hash, line, "hash");
    copy(e.text, sizeof e.text, line, "text");
    return e;
}

/* Under the lock. A controller that has its log from a snapshot may begin in the middle:
 * what is not the next one is left to the others. */
static void keep(struct log_watch *w, const struct log_entry *e)
{
    if (e->seq <= (int64_t)w->count) {
        const struct log_entry *same = &w->entries[e->seq - 1];

        if (w->disputed == 0 && e->seq > 0 &&
            (same->index != e->index || strcmp(same->hash, e->hash) != 0))
            w->disputed = e->seq;
    } else if (e->seq == (int64_t)w->count + 1 && w->count < LOG_ENTRIES_MAX) {
        w->entries = must_grow(w->entries, &w->cap, w->count + 1, sizeof *w->entries);
        w->entries[w->count++] = *e;
    } else {
        w->dropped++;
    }
}

static void on_line(void *owner, json_t *line)
{
    struct log_seat *s = owner;
    struct log_entry e = read_entry(line);

    if (e.seq <= s->after)
        return;
    s->after = e.seq;
    pthread_mutex_lock(&s->watch->lock);
    keep(s->watch, &e);
    pthread_mutex_unlock(&s->watch->lock);
}

static void *run_seat(void *owner)
{
    enum { AGAIN_MS = 50 };
    struct log_seat *s = owner;
    AUTO(auto_free) char *socket = cluster_socket(s->watch->cluster, s->site);

    while (!atomic_load(&s->watch->stop)) {
        AUTO(auto_free)
        char *path = text_new("/api/v1/log?after=%jd&follow=1", (intmax_t)s->after);

        api_follow(socket, path, &s->watch->stop, on_line, s);
        wait_ms(AGAIN_MS);
    }
    return NULL;
}

void log_watch_start(struct log_watch *w, const struct cluster *c)
{
    *w = (struct log_watch){.cluster = c, .start_ns = now_ns()};
    pthread_mutex_init(&w->lock, NULL);
    for (enum site s = EAST; s < SITE_REGIONS; s++) {
        w->seats[s] = (struct log_seat){.watch = w, .site = s};
        if (pthread_create(&w->threads[s], NULL, run_seat, &w->seats[s]) != 0)
            die("cannot start a thread");
    }
}

/* The last epoch that was opened; 0: none. */
static int64_t last_opened(const struct log_watch *w)
{
    uint64_t epoch;
    uint8_t host;

    for (size_t i = w->count; i > 0; i--)
        if (strcmp(w->entries[i - 1].kind, "opened") == 0 &&
            log_entry_epoch(&w->entries[i - 1], &epoch, &host))
            return (int64_t)epoch;
    return 0;
}

static bool has_opened(struct log_watch *w, int64_t epoch)
{
    bool has;

    pthread_mutex_lock(&w->lock);
    has = last_opened(w) >= epoch;
    pthread_mutex_unlock(&w->lock);
    return has;
}

void log_watch_stop(struct log_watch *w, int64_t epoch)
{
    enum { PATIENCE_MS = 2000, LOOK_MS = 10 };
    int64_t until = now_ns() + (int64_t)PATIENCE_MS * NS_PER_MS;

    while (!has_opened(w, epoch) && now_ns() < until)
        wait_ms(LOOK_MS);
    atomic_store(&w->stop, true);
    for (enum site s = EAST; s < SITE_REGIONS; s++)
        pthread_join(w->threads[s], NULL);
}

void log_watch_free(struct log_watch *w)
{
    free(w->entries);
    pthread_mutex_destroy(&w->lock);
}

int64_t log_watch_newest(struct log_watch *w)
{
    int64_t seq;

    pthread_mutex_lock(&w->lock);
    seq = (int64_t)w->count;
    pthread_mutex_unlock(&w->lock);
    return seq;
}

static bool is_by(const struct log_entry *e, const char *rule)
{
    static const char by_hand[] = "operator-";
    const char *kind = strcmp(e->kind, "run-abort") == 0 ? "abort" : e->kind;

    if (strcmp(e->result, "accepted") != 0)
        return false;
    return strcmp(e->rule, rule) == 0 || (strcmp(e->rule, "operator") == 0 &&
                                          strncmp(rule, by_hand, sizeof by_hand - 1) == 0 &&
                                          strcmp(rule + sizeof by_hand - 1, kind) == 0);
}

int64_t log_watch_next(struct log_watch *w, const char *rule, int64_t after)
{
    int64_t seq = 0;

    pthread_mutex_lock(&w->lock);
    for (size_t i = (size_t)after; i < w->count && seq == 0; i++)
        if (is_by(&w->entries[i], rule))
            seq = w->entries[i].seq;
    pthread_mutex_unlock(&w->lock);
    return seq;
}

/* What was there before is told within some milliseconds of the start, and a scenario does
 * nothing for a second. */
static bool is_of_run(const struct log_watch *w, const struct log_entry *e)
{
    enum { BACKLOG_MS = 300 };

    return e->seen_ns >= w->start_ns + (int64_t)BACKLOG_MS * NS_PER_MS;
}

void log_watch_show(const struct log_watch *w, struct timeline *t)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct log_entry *e = &w->entries[i];
        bool refused = strcmp(e->result, "accepted") != 0;

        if (is_of_run(w, e))
            timeline_note(t, LANE_LOG, e->seen_ns, "%s%s%s: %s (entry %jd, term %jd%s%s)",
                          e->kind, refused ? " " : "", refused ? e->result : "", e->text,
                          (intmax_t)e->seq, (intmax_t)e->term, e->rule[0] != 0 ? ", " : "",
                          e->rule);
    }
}

/* "failover of epoch 1, ...", "pg-west opened for writes in epoch 2" (controller/core). */
bool log_entry_epoch(const struct log_entry *e, uint64_t *ret_epoch, uint8_t *ret_host)
{
    bool opened = strcmp(e->kind, "opened") == 0;
    const char *at =
        strstr(e->text, opened ? " opened for writes in epoch " : " of epoch ");
    AUTO(auto_free) char *agent = NULL;
    enum site site;
    char *end;

    if (strcmp(e->result, "accepted") != 0 || at == NULL ||
        (!opened && strcmp(e->kind, "fence-begin") != 0))
        return false;
    agent = text_new("%.*s", (int)(at - e->text), e->text);
    site = opened ? cluster_site_of_agent(agent) : SITE_COUNT;
    at = strstr(at, " epoch ") + strlen(" epoch ");
    *ret_epoch = strtoull(at, &end, 10);
    *ret_host = site <= WEST ? (uint8_t)site : HISTORY_NO_HOST;
    return end != at;
}

/* An opening is committed after the one before it, and no later than it is seen: in between
 * its host may be open, and may not be. */
static void tell_opened(struct history *into, struct event e, const struct event *last)
{
    if (last->at_ns != 0) {
        struct event may = e;

        may.kind = EVENT_OPENING;
        may.at_ns = last->at_ns + 1;
        history_add(into, may);
    }
    history_add(into, e);
}

static bool is_whole(const struct log_watch *w, int64_t epoch)
{
    return w->dropped == 0 && last_opened(w) == epoch;
}

char *log_watch_say(const struct log_watch *w, int64_t epoch)
{
    size_t n = 0;

    for (size_t i = 0; i < w->count; i++)
        n += is_of_run(w, &w->entries[i]);
    return text_new("%zu entries; judged: the order of the epochs%s%s", n,
                    is_whole(w, epoch) ? ", and who was opened" : "",
                    w->disputed == 0 ? "; the controllers tell the same"
                                     : "; the controllers tell DIFFERENT logs");
}

void log_watch_tell(const struct log_watch *w, int64_t epoch, struct history *into)
{
    bool whole = is_whole(w, epoch);
    struct event last = {0};
    int64_t at = 0;

    for (size_t i = 0; i < w->count; i++) {
        struct event e = {0};
        bool opened = strcmp(w->entries[i].kind, "opened") == 0;

        if (!log_entry_epoch(&w->entries[i], &e.number, &e.host))
            continue;
        e.kind = opened ? EVENT_OPENED : EVENT_FENCED;
        if (!whole)
            e.host = HISTORY_NO_HOST;
        /* Those of one instant keep the order of the log. */
        e.at_ns = at = w->entries[i].seen_ns > at ? w->entries[i].seen_ns : at + 1;
        if (opened) {
            tell_opened(into, e, &last);
            last = e;
        } else {
            history_add(into, e);
        }
    }
}
