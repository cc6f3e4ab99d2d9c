#include "fencing/agent/board.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "fencing/agent/bell.h"

struct board {
    pthread_mutex_t lock;
    struct bell *bells[BOARD_SIDES];
    struct buf letters[BOARD_LETTERS][AGENT_GROUPS_MAX];
    bool fresh[BOARD_LETTERS][AGENT_GROUPS_MAX];
    struct keeper_server servers[AGENT_GROUPS_MAX];
    bool server_fresh[AGENT_GROUPS_MAX];
    bool view_fresh[AGENT_GROUPS_MAX];
    struct keeper_view views[AGENT_GROUPS_MAX];
    struct board_health health;
    uint64_t dropped;
};

static void take_lock(struct board *b)
{
    int status = pthread_mutex_lock(&b->lock);

    ASSERT(status == 0);
}

static void release(struct board *b)
{
    int status = pthread_mutex_unlock(&b->lock);

    ASSERT(status == 0);
}

int board_new(struct board **ret_board, struct err *err)
{
    struct board *b = calloc(1, sizeof *b);
    pthread_mutexattr_t attr;

    if (b == NULL)
        return err_set(err, ERR_NOMEM, "board");
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&b->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    *ret_board = b;
    return 0;
}

void board_free(struct board *b)
{
    if (b == NULL)
        return;
    for (int k = 0; k < BOARD_LETTERS; k++)
        for (int i = 0; i < AGENT_GROUPS_MAX; i++)
            buf_free(&b->letters[k][i]);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void board_set_bell(struct board *b, enum board_side side, struct bell *bell)
{
    take_lock(b);
    b->bells[side] = bell;
    release(b);
}

/* With the lock held, so that the bell cannot be closed meanwhile. */
static void ring_locked(struct board *b, enum board_side side)
{
    if (b->bells[side] != NULL)
        bell_ring(b->bells[side]);
}

void board_ring(struct board *b, enum board_side side)
{
    take_lock(b);
    ring_locked(b, side);
    release(b);
}

static enum board_side reader_of(enum board_letter kind)
{
    return kind == BOARD_ASSIGNMENT || kind == BOARD_ORDER ? BOARD_STEPS : BOARD_KEEPER;
}

static void put_locked(struct board *b, enum board_letter kind, uint8_t slot,
                       const void *data, size_t len)
{
    struct buf *letter = &b->letters[kind][slot];

    ASSERT(slot < AGENT_GROUPS_MAX);
    letter->len = 0;
    b->fresh[kind][slot] = buf_append(letter, data, len, NULL) == 0;
    b->dropped += !b->fresh[kind][slot];
}

void board_put(struct board *b, enum board_letter kind, uint8_t slot, const void *data,
               size_t len)
{
    take_lock(b);
    put_locked(b, kind, slot, data, len);
    ring_locked(b, reader_of(kind));
    release(b);
}

void board_leave(struct board *b, enum board_letter kind, uint8_t slot, const void *data,
                 size_t len)
{
    take_lock(b);
    put_locked(b, kind, slot, data, len);
    release(b);
}

bool board_take(struct board *b, enum board_letter kind, uint8_t slot, struct buf *ret)
{
    bool fresh;

    take_lock(b);
    fresh = b->fresh[kind][slot];
    if (fresh) {
        *ret = b->letters[kind][slot];
        b->letters[kind][slot] = (struct buf){0};
        b->fresh[kind][slot] = false;
    }
    release(b);
    return fresh;
}

void board_put_server(struct board *b, uint8_t slot, const struct keeper_server *s)
{
    ASSERT(slot < AGENT_GROUPS_MAX);
    take_lock(b);
    b->servers[slot] = *s;
    b->server_fresh[slot] = true;
    ring_locked(b, BOARD_KEEPER);
    release(b);
}

bool board_take_server(struct board *b, uint8_t slot, struct keeper_server *ret)
{
    bool fresh;

    take_lock(b);
    fresh = b->server_fresh[slot];
    b->server_fresh[slot] = false;
    if (fresh)
        *ret = b->servers[slot];
    release(b);
    return fresh;
}

static bool worth_waking(const struct keeper_view *a, const struct keeper_view *b)
{
    return a->epoch != b->epoch || a->fenced != b->fenced ||
           a->lease_kind != b->lease_kind || a->lease_epoch != b->lease_epoch ||
           a->opened != b->opened || a->mode != b->mode || a->managed != b->managed ||
           a->tried != b->tried || strcmp(a->problem, b->problem) != 0;
}

void board_put_view(struct board *b, uint8_t slot, const struct keeper_view *v)
{
    bool wake;

    ASSERT(slot < AGENT_GROUPS_MAX);
    take_lock(b);
    wake = worth_waking(&b->views[slot], v);
    b->views[slot] = *v;
    b->view_fresh[slot] = b->view_fresh[slot] || wake;
    if (wake)
        ring_locked(b, BOARD_STEPS);
    release(b);
}

bool board_view_is_news(struct board *b, uint8_t slot)
{
    bool fresh;

    ASSERT(slot < AGENT_GROUPS_MAX);
    take_lock(b);
    fresh = b->view_fresh[slot];
    b->view_fresh[slot] = false;
    release(b);
    return fresh;
}

void board_view(struct board *b, uint8_t slot, struct keeper_view *ret)
{
    ASSERT(slot < AGENT_GROUPS_MAX);
    take_lock(b);
    *ret = b->views[slot];
    release(b);
}

void board_put_health(struct board *b, const struct board_health *h)
{
    take_lock(b);
    b->health = *h;
    b->health.dropped = b->dropped;
    release(b);
}

void board_health(struct board *b, struct board_health *ret)
{
    take_lock(b);
    *ret = b->health;
    release(b);
}
