#include "chaos/timeline.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const lane_names[LANES] = {
    [LANE_FAULT] = "faults",    [LANE_PLAY] = "scenario",
    [LANE_LEADER] = "leader",   [LANE_EPOCH] = "epoch",
    [LANE_PHASE] = "phase",     [LANE_RUN] = "run",
    [LANE_STEP] = "east: step", [LANE_STEP_WEST] = "west: step",
    [LANE_GATE] = "east: gate", [LANE_GATE_WEST] = "west: gate",
    [LANE_ALARM] = "alarm",     [LANE_LOG] = "log",
    [LANE_TOLD] = "told",
};

const char *lane_name(enum lane lane) { return lane_names[lane]; }

void timeline_open(struct timeline *t)
{
    *t = (struct timeline){0};
    pthread_mutex_init(&t->lock, NULL);
}

void timeline_close(struct timeline *t)
{
    free(t->marks);
    pthread_mutex_destroy(&t->lock);
}

/* Under the lock. Returns the mark's place + 1, or TIMELINE_NONE. */
static size_t append(struct timeline *t, const struct mark *m)
{
    if (t->count == TIMELINE_MARKS_MAX) {
        t->dropped++;
        return TIMELINE_NONE;
    }
    t->marks = must_grow(t->marks, &t->cap, t->count + 1, sizeof *t->marks);
    t->marks[t->count++] = *m;
    return t->count;
}

/* Under the lock. A span of no length would read as an instant. */
static void end(struct timeline *t, size_t span, int64_t at_ns)
{
    struct mark *m;

    if (span == TIMELINE_NONE)
        return;
    m = &t->marks[span - 1];
    m->to_ns = at_ns > m->from_ns ? at_ns : m->from_ns + 1;
}

static struct mark mark_of(enum lane lane, int64_t from, int64_t to, const char *fmt,
                           va_list args)
{
    struct mark m = {.lane = lane, .from_ns = from, .to_ns = to};

    vsnprintf(m.text, sizeof m.text, fmt, args);
    return m;
}

void timeline_note(struct timeline *t, enum lane lane, int64_t at_ns, const char *fmt, ...)
{
    struct mark m;
    va_list args;

    if (t == NULL)
        return;
    va_start(args, fmt);
    m = mark_of(lane, at_ns, at_ns, fmt, args);
    va_end(args);
    pthread_mutex_lock(&t->lock);
    append(t, &m);
    pthread_mutex_unlock(&t->lock);
}

void timeline_state(struct timeline *t, enum lane lane, int64_t at_ns, const char *fmt, ...)
{
    size_t now;
    struct mark m;
    va_list args;

    if (t == NULL)
        return;
    va_start(args, fmt);
    m = mark_of(lane, at_ns, INT64_MAX, fmt, args);
    va_end(args);
    pthread_mutex_lock(&t->lock);
    now = t->state[lane];
    if (now == TIMELINE_NONE || strcmp(t->marks[now - 1].text, m.text) != 0) {
        end(t, now, at_ns);
        t->state[lane] = m.text[0] != 0 ? append(t, &m) : TIMELINE_NONE;
    }
    pthread_mutex_unlock(&t->lock);
}

size_t timeline_begin(struct timeline *t, enum lane lane, int64_t at_ns, const char *fmt,
                      ...)
{
    struct mark m;
    size_t span;
    va_list args;

    if (t == NULL)
        return TIMELINE_NONE;
    va_start(args, fmt);
    m = mark_of(lane, at_ns, INT64_MAX, fmt, args);
    va_end(args);
    pthread_mutex_lock(&t->lock);
    span = append(t, &m);
    pthread_mutex_unlock(&t->lock);
    return span;
}

void timeline_end(struct timeline *t, size_t span, int64_t at_ns)
{
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    end(t, span, at_ns);
    pthread_mutex_unlock(&t->lock);
}

void timeline_end_all(struct timeline *t, int64_t at_ns)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->count; i++)
        if (t->marks[i].to_ns == INT64_MAX)
            end(t, i + 1, at_ns);
    memset(t->state, 0, sizeof t->state);
    pthread_mutex_unlock(&t->lock);
}
