/* chaos/result.c */
#include "chaos/result.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "chaos/base.h"

void result_init(struct result *r)
{
    *r = (struct result){.outage_ms = NAN,
                         .lost_bytes = -1,
                         .forecast_lost_bytes = -1,
                         .both_writable_ms = NAN,
                         .late_ack_ms = NAN,
                         .last_ack_ms = NAN,
                         .detect_ms = NAN,
                         .fence_ms = NAN,
                         .promote_ms = NAN,
                         .rejoined = -1,
                         .switchback_pause_ms = NAN,
                         .operations = -1,
                         .stale_ms = NAN};
}

void result_blame(struct result *r, const char *fmt, ...)
{
    va_list args;

    if (r->reasons == REASON_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(r->reason[r->reasons++], REASON_SIZE, fmt, args);
    va_end(args);
}

bool result_ok(const struct result *r) { return r->reasons == 0; }

static bool is_left_behind(const struct loss *l)
{
    return !l->planned && l->synchronous && l->forecast == 0 && l->bytes > 0;
}

void loss_say(char text[LOSS_TEXT_SIZE], const struct loss *l)
{
    if (l->planned)
        snprintf(text, LOSS_TEXT_SIZE, "lost: %" PRId64 " bytes", l->bytes);
    else if (is_left_behind(l))
        snprintf(text, LOSS_TEXT_SIZE, "lost: 0, left behind %" PRId64 " bytes (kept)",
                 l->bytes);
    else if (l->forecast < 0)
        snprintf(text, LOSS_TEXT_SIZE, "lost: %" PRId64 " bytes (no forecast)", l->bytes);
    else
        snprintf(text, LOSS_TEXT_SIZE, "lost: %" PRId64 " bytes (forecast %" PRId64 ")",
                 l->bytes, l->forecast);
}

/* A tenth of a millisecond is as exact as a thread is woken. */
static json_t *tenths(double ms)
{
    return isnan(ms) ? json_null() : json_real(round(ms * 10) / 10);
}

static json_t *known(int64_t value)
{
    return value < 0 ? json_null() : json_integer(value);
}

/* As the report says it: what nobody was told of is left behind, not lost. */
static void put_loss(const struct result *r, json_t *o)
{
    const struct loss l = {.synchronous = r->synchronous,
                           .bytes = r->lost_bytes,
                           .forecast = r->forecast_lost_bytes};
    int64_t behind = is_left_behind(&l) ? r->lost_bytes : r->lost_bytes < 0 ? -1 : 0;

    (void)json_object_set_new(o, "lost_bytes", known(behind > 0 ? 0 : r->lost_bytes));
    (void)json_object_set_new(o, "left_behind_bytes", known(behind));
}

static json_t *operations_of(const struct result *r)
{
    if (r->operations < 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "checked", (json_int_t)r->operations,
                     "unknown", (json_int_t)r->operations_unknown, "keys",
                     (json_int_t)r->operations_keys, "standby_reads",
                     (json_int_t)r->standby_reads, "stale_ms", tenths(r->stale_ms));
}

void result_json(const struct result *r, FILE *out)
{
    json_t *phases =
        json_pack("{s:o, s:o, s:o}", "detect_ms", tenths(r->detect_ms), "fence_ms",
                  tenths(r->fence_ms), "promote_ms", tenths(r->promote_ms));
    json_t *o = json_pack("{s:s, s:i, s:s, s:b, s:o, s:I, s:I, s:o}", "scenario",
                          r->scenario, "ttl_ms", (int)r->ttl_ms, "sync", r->sync, "ok",
                          result_ok(r), "outage_ms", tenths(r->outage_ms), "acked",
                          (json_int_t)r->acked, "lost", (json_int_t)r->lost,
                          "forecast_lost_bytes", known(r->forecast_lost_bytes));
    json_t *rest =
        json_pack("{s:o, s:o, s:o, s:s?, s:I, s:I, s:I, s:o, s:o}", "both_writable_ms",
                  tenths(r->both_writable_ms), "late_ack_ms", tenths(r->late_ack_ms),
                  "phases", phases, "proof", r->proof[0] != 0 ? r->proof : NULL,
                  "epoch_before", (json_int_t)r->epoch_before, "epoch_after",
                  (json_int_t)r->epoch_after, "failovers", (json_int_t)r->failovers,
                  "rejoined", r->rejoined < 0 ? json_null() : json_boolean(r->rejoined),
                  "switchback_pause_ms", tenths(r->switchback_pause_ms));
    AUTO(auto_free) char *line = NULL;

    if (o == NULL || rest == NULL || json_object_update(o, rest) != 0)
        die("out of memory");
    put_loss(r, o);
    (void)json_object_set_new(o, "operations", operations_of(r));
    line = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(10));
    fprintf(out, "%s\n", line);
    fflush(out);
    json_decref(rest);
    json_decref(o);
}

static void line_ms(FILE *out, const char *name, double ms, const char *what)
{
    if (!isnan(ms))
        fprintf(out, "  %-22s %9.1f ms  %s\n", name, ms, what);
}

static void report_loss(const struct result *r, FILE *out)
{
    const struct loss l = {.synchronous = r->synchronous,
                           .bytes = r->lost_bytes,
                           .forecast = r->forecast_lost_bytes};
    char text[LOSS_TEXT_SIZE];

    loss_say(text, &l);
    fprintf(out, "  %-22s %s\n", "the old primary's log", text);
}

static void report_operations(const struct result *r, FILE *out)
{
    fprintf(out,
            "  %-22s %9" PRId64 "     on %" PRId64 " keys, judged one by one (%" PRId64
            " with an unknown outcome)\n",
            "operations", r->operations, r->operations_keys, r->operations_unknown);
    if (r->standby_reads > 0)
        fprintf(out, "  %-22s %9.1f ms  behind, of %" PRId64 " answers of a standby\n",
                "oldest answer", r->stale_ms, r->standby_reads);
}

static void report_epochs(const struct result *r, FILE *out)
{
    fprintf(out, "  %-22s %4" PRId64 " -> %" PRId64, "epoch", r->epoch_before,
            r->epoch_after);
    if (r->epoch_end > r->epoch_after)
        fprintf(out, " -> %" PRId64 " (switched back)", r->epoch_end);
    fprintf(out, "     failovers: %" PRId64 "\n", r->failovers);
}

void result_report(const struct result *r, FILE *out)
{
    fprintf(out, "\n%s (ttl %u ms, sync %s): %s\n", r->scenario, r->ttl_ms, r->sync,
            result_ok(r) ? "ok" : "NOT OK");
    for (unsigned i = 0; i < r->reasons; i++)
        fprintf(out, "  !! %s\n", r->reason[i]);
    line_ms(out, "without an answer", r->outage_ms,
            "longest time without an acknowledged write");
    line_ms(out, "  until suspected", r->detect_ms, "");
    line_ms(out, "  until fenced", r->fence_ms, r->proof);
    line_ms(out, "  until promoted", r->promote_ms, "");
    fprintf(out, "  %-22s %9" PRIu64 "     rows, of which lost: %" PRIu64 "\n",
            "acknowledged", r->acked, r->lost);
    if (r->operations >= 0)
        report_operations(r, out);
    if (r->lost_bytes >= 0)
        report_loss(r, out);
    line_ms(out, "both sides writable", r->both_writable_ms,
            "as seen by two direct probes");
    line_ms(out, "old side's last answer", r->last_ack_ms,
            "after the end of its lease (negative: before)");
    report_epochs(r, out);
    if (r->rejoined >= 0)
        fprintf(out, "  %-22s %9s\n", "standby is back", r->rejoined ? "yes" : "NO");
    line_ms(out, "switchback", r->switchback_pause_ms, "writes paused");
    fflush(out);
}

void result_row_head(FILE *out)
{
    fprintf(out, "\n%-16s %-8s %10s %9s %6s %10s %9s  %s\n", "scenario", "", "outage ms",
            "acked", "lost", "both ms", "late ms", "proof");
}

void result_row(const struct result *r, FILE *out)
{
    fprintf(out, "%-16s %-8s %10.1f %9" PRIu64 " %6" PRIu64 " %10.1f %9.1f  %s\n",
            r->scenario, result_ok(r) ? "ok" : "NOT OK", r->outage_ms, r->acked, r->lost,
            isnan(r->both_writable_ms) ? 0 : r->both_writable_ms,
            isnan(r->late_ack_ms) ? 0 : r->late_ack_ms, r->proof);
}
