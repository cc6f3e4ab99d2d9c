/* fencing/agent/board.h -- what the keeper's thread and the steps' thread tell each other.
 *
 * One place per group and kind; a newer message replaces an older one that was not taken
 * yet, so nothing can fill up and nobody ever waits for the other. Messages carry what is
 * true now (an assignment, an order, a report, a result), never a change, so a replaced one
 * is no loss.
 *
 * Owner:   board_new() to board_free(); bytes are copied in, and handed over when taken.
 * Threads: all functions, any thread. The mutex is held for a copy of some kilobytes and
 *          inherits priority, so that the keeper is not held up by a thread of lower one.
 * Errors:  without memory a message is dropped and counted: all are repeated.
 */
#ifndef RF_AGENT_BOARD_H
#define RF_AGENT_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"
#include "fencing/agent/agent_settings.h"
#include "fencing/agent/guard_link.h"
#include "fencing/agent/keeper_core.h"

struct bell;
struct board;

enum board_letter {
    BOARD_ASSIGNMENT, /* to steps: packed rf.Assignment */
    BOARD_ORDER,      /* to steps: packed rf.StepOrder */
    BOARD_REPORT, /* to keeper: packed rf.InstanceReport, gate fields and age empty; when
                     the look was is in `seen.looked_ns`, by mono_now() */
    BOARD_RESULT, /* to keeper: packed rf.StepReport */
    BOARD_LETTERS,
};

enum board_side { BOARD_KEEPER, BOARD_STEPS, BOARD_SIDES };

struct board_controller {
    char name[AGENT_NAME_SIZE];
    bool up, welcomed, leader;
    uint32_t rtt_us; /* 0: not measured yet */
    char problem[KEEPER_PROBLEM_SIZE];
};

/* How the keeper is, for /metrics, /health and doctor. */
struct board_health {
    struct incarnation incarnation;
    struct keeper_counts counts;
    bool enrolled; /* an assignment for this incarnation has come */
    bool clock_same;
    int64_t clock_rate_ppm;
    char clock_problem[KEEPER_PROBLEM_SIZE];
    uint64_t loop_lag_us, loop_lag_max_us, late_turns;
    uint64_t dropped; /* messages that memory was missing for */
    struct boot at;   /* of this writing */
    char gate[256];   /* gate_describe() */
    struct gate_capabilities capabilities;
    struct guard_health guard;
    char state_problem[KEEPER_PROBLEM_SIZE]; /* the state file cannot be written */
    uint32_t sync_us;                        /* how long its last sync took */
    char fatal[KEEPER_PROBLEM_SIZE];         /* nobody takes us as we are configured */
    uint8_t controller_count;
    struct board_controller controllers[SETTINGS_CONTROLLERS_MAX];
};

MUST_USE int board_new(struct board **ret_board, struct err *err);
void board_free(struct board *b); /* NULL is fine; after both threads have ended */

/* Whom to wake when something was put for `side`; NULL: nobody (any more). */
void board_set_bell(struct board *b, enum board_side side, struct bell *bell);
void board_ring(struct board *b, enum board_side side);

/* Replaces and wakes the reader. */
void board_put(struct board *b, enum board_letter kind, uint8_t slot, const void *data,
               size_t len);
/* Replaces; the reader finds it when it looks by itself. */
void board_leave(struct board *b, enum board_letter kind, uint8_t slot, const void *data,
                 size_t len);
/* False: nothing new. The bytes are the caller's (buf_free). */
bool board_take(struct board *b, enum board_letter kind, uint8_t slot, struct buf *ret);

void board_put_server(struct board *b, uint8_t slot, const struct keeper_server *s);
bool board_take_server(struct board *b, uint8_t slot, struct keeper_server *ret);

/* Wakes the steps only when something but the deadline has changed. */
void board_put_view(struct board *b, uint8_t slot, const struct keeper_view *v);
void board_view(struct board *b, uint8_t slot, struct keeper_view *ret);
/* The steps were woken for it since this was asked last. */
bool board_view_is_news(struct board *b, uint8_t slot);

void board_put_health(struct board *b, const struct board_health *h);
void board_health(struct board *b, struct board_health *ret);

#endif
