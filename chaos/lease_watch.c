/* chaos/lease_watch.c */
#include "chaos/lease_watch.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/api.h"
#include "chaos/base.h"

enum { PERIOD_MS = 10, ANSWER_WITHIN_MS = 200, AGENT_HTTP_PORT = 7403 };

static const char metric[] = "\nringfence_agent_lease_deadline_boot_seconds";

/* The highest of the metric's samples. */
static int64_t deadline_in(const char *text)
{
    int64_t highest = 0;

    for (const char *at = strstr(text, metric); at != NULL; at = strstr(at + 1, metric)) {
        size_t line = strcspn(at + 1, "\n") + 1;
        const char *value = memrchr(at, ' ', line);
        double seconds = value != NULL ? strtod(value, NULL) : 0;

        if ((int64_t)(seconds * 1e9) > highest)
            highest = (int64_t)(seconds * 1e9);
    }
    return highest;
}

/* A holder counts its TTL from before it asked (I3), and it did not have this lease yet
 * when the reading before this one was asked for. */
static int64_t granted_from(const struct lease_watch *w, int64_t deadline)
{
    int64_t sent = deadline - w->ttl_ns, before = atomic_load(&w->read_ns);

    return sent > before ? sent : before;
}

/* Of the group's gate the one mode that is 1. */
static void note_gate(struct lease_watch *w, int64_t at_ns, const char *text)
{
    static const char name[] = "\nringfence_agent_gate_mode{", mode[] = "mode=\"";

    for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name)) {
        size_t line = strcspn(at + 1, "\n") + 1;
        const char *value = memmem(at, line, mode, strlen(mode));

        if (value == NULL || at[line - 1] != '1' || at[line - 2] != ' ')
            continue;
        value += strlen(mode);
        timeline_state(w->timeline, LANE_GATE + w->host, at_ns, "%.*s",
                       (int)strcspn(value, "\"\n"), value);
        return;
    }
}

static void read_once(struct lease_watch *w, void **keep, const char *url)
{
    int64_t asked = now_ns(), deadline;
    AUTO(auto_free) char *text = api_text(keep, url, ANSWER_WITHIN_MS);

    if (text == NULL) {
        timeline_state(w->timeline, LANE_GATE + w->host, asked, "no answer");
        return;
    }
    note_gate(w, asked, text);
    deadline = deadline_in(text);
    if (deadline == 0)
        return;
    if (deadline > atomic_load(&w->deadline_ns)) {
        lease_log_add(&w->log, (struct lease_span){granted_from(w, deadline), deadline});
        atomic_store(&w->changed_ns, asked);
        atomic_store(&w->deadline_ns, deadline);
    }
    atomic_store(&w->read_ns, asked);
}

static void *run_watch(void *owner)
{
    struct lease_watch *w = owner;
    AUTO(auto_free)
    char *url = text_new("http://%s:%d/metrics", site_address(w->host), AGENT_HTTP_PORT);
    void *keep = NULL;

    ground_enter(w->ground, CLIENT);
    while (!atomic_load(&w->stop)) {
        read_once(w, &keep, url);
        wait_ms(PERIOD_MS);
    }
    api_hang_up(&keep);
    return NULL;
}

void lease_watch_start(struct lease_watch *w, const struct ground *g, enum site host,
                       unsigned ttl_ms, struct timeline *t)
{
    *w = (struct lease_watch){
        .ground = g, .host = host, .ttl_ns = (int64_t)ttl_ms * NS_PER_MS, .timeline = t};
    if (pthread_create(&w->thread, NULL, run_watch, w) != 0)
        die("cannot start a thread");
}

void lease_watch_stop(struct lease_watch *w)
{
    atomic_store(&w->stop, true);
    pthread_join(w->thread, NULL);
}

void lease_watch_free(struct lease_watch *w) { lease_log_free(&w->log); }

bool lease_watch_settle(const struct lease_watch *w, unsigned renew_ms)
{
    enum { PATIENCE_MS = 5000, FRESH_MS = 4 };
    int64_t until = now_ns() + (int64_t)PATIENCE_MS * NS_PER_MS;

    while (now_ns() < until) {
        int64_t now = now_ns();
        double since_change = ms_between(atomic_load(&w->changed_ns), now);

        if (atomic_load(&w->deadline_ns) != 0 && since_change < renew_ms * 0.6 &&
            ms_between(atomic_load(&w->read_ns), now) < FRESH_MS)
            return true;
        wait_ms(1);
    }
    return false;
}
