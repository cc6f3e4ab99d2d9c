/* PostgreSQL as far as promises go: WAL as a list of writes, who acknowledges when. */
#include <string.h>

#include "controller/base/assert.h"
#include "tests/unit/core/pair.h"

enum { WORLD_MS = 7, WRITE_PERMILLE = 250 };

void pg_forget_clients(struct pair *w, uint8_t h) { w->pgs[h].waiting_count = 0; }

void pg_crash(struct pair *w, uint8_t h)
{
    struct pg *pg = &w->pgs[h];

    if (pg->server != SERVER_PRIMARY && pg->server != SERVER_STANDBY)
        return;
    pair_note(w, "host %u: the server is gone", h);
    pg->crashed = true;
    pg_stop(w, h);
}

void pg_stop(struct pair *w, uint8_t h)
{
    struct pg *pg = &w->pgs[h];

    if (pg->server == SERVER_PRIMARY || pg->server == SERVER_STANDBY)
        pg->server = SERVER_DOWN;
    pg->hung = pg->streaming = false;
    pg_forget_clients(w, h);
}

void pg_begin(struct pair *w, uint8_t h, enum server_state as)
{
    struct pg *pg = &w->pgs[h];

    pg->server = as;
    pg->postmaster++;
    pg->hung = pg->crashed = pg->streaming = false;
    pg_forget_clients(w, h);
}

/* How long the two logs are the same. */
int pg_common(const struct pg *a, const struct pg *b)
{
    int n = a->len < b->len ? a->len : b->len, same = n;

    /* Ids only grow within a log, so two logs that agree at n agree before it. */
    while (same > 0 && a->wal[same - 1] != b->wal[same - 1])
        same--;
    return same;
}

/* Packets of replication pass between the two, and the server answers. */
bool pg_flows(const struct pair *w, uint8_t up, uint8_t standby)
{
    uint8_t a = (uint8_t)(CTLS + up), b = (uint8_t)(CTLS + standby);

    return pair_linked(w, a, b) && pair_linked(w, b, a) && gate_lets_peers(w, up) &&
           gate_lets_peers(w, standby) && w->pgs[up].server == SERVER_PRIMARY &&
           !w->pgs[up].hung;
}

static void stream(struct pair *w, uint8_t h)
{
    struct pg *pg = &w->pgs[h];
    const struct pg *up = &w->pgs[pg->upstream];

    pg->streaming = pg->server == SERVER_STANDBY && pg->upstream != h && !pg->hung &&
                    pg_flows(w, pg->upstream, h) && pg_common(pg, up) == pg->len;
    if (!pg->streaming || (w->noisy && pair_chance(w, 100)))
        return;
    memcpy(pg->wal + pg->len, up->wal + pg->len,
           (size_t)(up->len - pg->len) * sizeof pg->wal[0]);
    pg->len = up->len;
}

static bool all_flushed(const struct pair *w, uint8_t h, int pos)
{
    const struct pg *pg = &w->pgs[h];

    if (pg->blocked)
        return false;
    for (uint8_t m = 0; m < HOSTS; m++) {
        const struct pg *s = &w->pgs[m];

        if ((pg->names & 1u << m) == 0)
            continue;
        if (!s->streaming || s->upstream != h || s->follow_name != pg->names_name ||
            s->len < pos)
            return false;
    }
    return true;
}

/* A waiting commit is acknowledged in the instant in which the packet can pass. */
static void acknowledge(struct pair *w, uint8_t h)
{
    struct pg *pg = &w->pgs[h];
    unsigned left = 0;

    if (pg->server != SERVER_PRIMARY || pg->hung || !gate_is_open(w, h))
        return;
    for (unsigned i = 0; i < pg->waiting_count; i++) {
        if (all_flushed(w, h, pg->waiting[i].pos))
            check_ack(w, h, pg->waiting[i].id);
        else
            pg->waiting[left++] = pg->waiting[i];
    }
    pg->waiting_count = left;
}

static void write_something(struct pair *w, uint8_t h)
{
    struct pg *pg = &w->pgs[h];

    if (pg->server != SERVER_PRIMARY || pg->hung || !gate_is_open(w, h) ||
        pg->waiting_count == WAITING_MAX)
        return;
    ASSERT(w->writes + 1 < WRITE_MAX);
    pg->wal[pg->len++] = ++w->writes;
    pg->waiting[pg->waiting_count].id = w->writes;
    pg->waiting[pg->waiting_count++].pos = pg->len;
}

static void note_primary(struct pair *w, uint8_t h)
{
    struct pg *pg = &w->pgs[h];

    if (pg->server != SERVER_PRIMARY)
        pg->primary_since = 0;
    else if (pg->primary_since == 0)
        pg->primary_since = w->now;
}

void pg_world(struct pair *w)
{
    (void)pair_at(w, w->now + pair_between(w, 1, 2ull * WORLD_MS) * NS_PER_MS, EV_WORLD,
                  NOBODY);
    for (uint8_t h = 0; h < HOSTS; h++) {
        if (pair_chance(w, WRITE_PERMILLE))
            write_something(w, h);
        stream(w, h);
    }
    for (uint8_t h = 0; h < HOSTS; h++) {
        acknowledge(w, h);
        note_primary(w, h);
    }
}
