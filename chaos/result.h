/* chaos/result.h -- what one scenario showed: for machines one line, for people a page.
 *
 * Pure:    prints to the stream it is given.
 * Units:   milliseconds; NAN, -1 and NULL: does not apply, or is not known (JSON: null).
 */
#ifndef RF_CHAOS_RESULT_H
#define RF_CHAOS_RESULT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chaos/base.h"

enum { REASON_MAX = 8, REASON_SIZE = 200 };

/* What a run cost, in the words of `ringfence status`: under required and strict a member
 * took over, forecast 0, and what the old primary had beyond it was acknowledged to nobody
 * and is kept: left behind. The rest is lost. Only an unplanned move has a forecast. */
struct loss {
    bool synchronous, planned;
    int64_t bytes, forecast; /* forecast -1: not known */
};
enum { LOSS_TEXT_SIZE = 96 };
void loss_say(char text[LOSS_TEXT_SIZE], const struct loss *l);

struct result {
    const char *scenario, *sync;
    unsigned ttl_ms;
    double outage_ms;
    uint64_t acked, lost;
    int64_t lost_bytes, forecast_lost_bytes;
    bool synchronous; /* required or strict */
    double both_writable_ms, late_ack_ms;
    double last_ack_ms; /* the same, negative where it came before the deadline */
    double detect_ms, fence_ms, promote_ms;
    char proof[24]; /* "": none */
    int64_t epoch_before, epoch_after, failovers, switchovers;
    int64_t epoch_end; /* as it was left: a switchback is one more activation */
    int rejoined;      /* 0, 1, or -1 */
    double switchback_pause_ms;
    /* Of a workload, else -1: operations that had to be ordered, how many of them with an
     * unknown outcome, on how many keys; answers of standbys; the oldest answer. */
    int64_t operations, operations_unknown, operations_keys, standby_reads;
    double stale_ms;
    unsigned reasons; /* why it is not ok */
    char reason[REASON_MAX][REASON_SIZE];
};

void result_init(struct result *r);
/* It is not ok, because. Beyond REASON_MAX only the first ones are kept. */
void result_blame(struct result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool result_ok(const struct result *r);

/* One object on one line, with exactly the documented keys. */
void result_json(const struct result *r, FILE *out);
void result_report(const struct result *r, FILE *out);
/* One line of a table, and its head. */
void result_row_head(FILE *out);
void result_row(const struct result *r, FILE *out);

#endif
