/* chaos/verdict.c */
#include "chaos/verdict.h"

#include <math.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/verdict_operations.h"

enum {
    LATE_MAX_MS = 5, /* the figure */
    RECOVER_MS = 60000,
    SCHEDULING_MS = 300, /* two cores carry everything here */
};

/* The story ends where a planned move back begins: that has figures of its own. */
static int64_t story_end(const struct play *p)
{
    return p->switchback_ns != 0 ? p->switchback_ns : INT64_MAX;
}

static void measure_phases(struct play *p)
{
    const struct view_run *run = &p->after.run;
    double fault = (double)p->fault_wall_ns / NS_PER_MS;
    int64_t suspected = view_suspected_ns(p->view);
    double detected = suspected != 0 ? ms_between(p->fault_ns, suspected) : NAN;

    if (p->after.epoch == p->before.epoch || run->fence_ms == 0 || run->proof_ms == 0)
        return;
    snprintf(p->result.proof, sizeof p->result.proof, "%s", run->proof);
    if (p->cluster->clocks != CLOCKS_RIGHT)
        return; /* the log's times say nothing then, and are not meant to */
    /* A report of ours about it may come later than what it led to. */
    if (isnan(detected) || detected > (double)run->fence_ms - fault)
        detected = fmax(0, (double)run->fence_ms - fault);
    if (p->scenario->effect == EFFECT_SWITCHOVER)
        detected = 0;
    else
        p->result.detect_ms = detected;
    p->result.fence_ms = fmax(0, (double)run->proof_ms - fault - detected);
    if (run->open_ms != 0)
        p->result.promote_ms = (double)(run->open_ms - run->proof_ms);
}

static void measure_overlap(struct play *p, const struct history *h)
{
    struct overlap_question over = {EAST, WEST, p->fault_ns, story_end(p)};
    struct overlap_question back = {WEST, EAST, p->switchback_ns, INT64_MAX};
    int64_t overlap;

    if (p->scenario->effect == EFFECT_ANY) /* many moves: check_moves() */
        return;
    overlap = history_both_writable_ns(h, over);
    if (p->switchback_ns != 0) {
        int64_t second = history_both_writable_ns(h, back);

        overlap = second > overlap ? second : overlap;
    }
    p->result.both_writable_ms = ms_between(0, overlap);
}

/* The worst of east's answers since the fault, after the deadline of the lease that it had
 * then; negative where all came before. False: there was none. */
static bool latest_answer(const struct play *p, double *ret_ms)
{
    bool any = false;

    for (size_t i = 0; i < p->capture.count; i++) {
        const struct ack_packet *ack = &p->capture.packets[i];
        int64_t deadline = lease_log_deadline(&p->lease.log, ack->at_ns);
        double late_ms = ms_between(deadline, ack->at_ns);

        if (ack->host != EAST || ack->at_ns < p->fault_ns || ack->at_ns >= story_end(p) ||
            deadline == 0)
            continue;
        if (!any || late_ms > *ret_ms)
            *ret_ms = late_ms;
        any = true;
    }
    return any;
}

static void measure_late_ack(struct play *p)
{
    int64_t last = capture_last_ack_ns(&p->capture, EAST, p->fault_ns);
    double late_ms = 0;

    if (p->scenario->effect != EFFECT_FAILOVER || p->lease.log.count == 0)
        return;
    if (p->capture.dropped > 0) {
        result_blame(&p->result, "%u packets escaped the capture", p->capture.dropped);
        return;
    }
    if (latest_answer(p, &late_ms))
        p->result.last_ack_ms = late_ms;
    else if (last != 0 && lease_log_deadline(&p->lease.log, last) != 0)
        p->result.last_ack_ms = ms_between(lease_log_deadline(&p->lease.log, last), last);
    p->result.late_ack_ms = fmax(0, late_ms);
    if (p->result.late_ack_ms > LATE_MAX_MS)
        result_blame(&p->result, "the old side acknowledged %.1f ms after its lease",
                     p->result.late_ack_ms);
}

/* What the design allows where no failover is due. What nobody is to notice took 57 to 179
 * ms on busy machines, up to 332 with sanitizers, and must stay far below the TTL. A lost
 * leader or witness
 * must not be felt; a lost standby for shrink_after, and for the election where it led; in
 * `strict` it is waited for. */
static double longest_undisturbed_ms(const struct play *p)
{
    const struct profile *t = &p->cluster->profile;
    bool waits = p->scenario->standby && p->cluster->sync != SYNC_OFF;

    if (p->scenario->unnoticed)
        return fmax(t->ttl / 4.0, SCHEDULING_MS);
    if (waits && p->cluster->sync == SYNC_STRICT)
        return INFINITY;
    if (waits)
        return cluster_shrink_after_ms(p->cluster) + 2 * t->election + 2 * t->renew +
               SCHEDULING_MS;
    return fmax(t->ttl / 2.0, SCHEDULING_MS);
}

static double longest_allowed_ms(const struct play *p)
{
    return p->scenario->effect == EFFECT_NONE || p->scenario->effect == EFFECT_ADOPTION
               ? longest_undisturbed_ms(p)
               : INFINITY;
}

/* What operators do before the fault is no fault. */
static void check_prelude(struct play *p, const struct history *h)
{
    double longest = longest_undisturbed_ms(p), waited;

    if (p->prelude_ns == 0)
        return;
    waited = ms_between(
        0, history_outage_ns(h, CLIENT_WRITER, p->prelude_ns, p->prelude_end_ns));
    view_tell(p->view, "before the fault writes waited for at most %.1f ms", waited);
    if (waited > longest)
        result_blame(
            &p->result,
            "before the fault writes waited %.1f ms, and %.1f would have been right",
            waited, longest);
}

static void measure_outage(struct play *p, const struct history *h)
{
    int64_t end = p->switchback_ns != 0 ? p->switchback_ns : p->end_ns;
    double longest = longest_allowed_ms(p);

    p->result.outage_ms =
        ms_between(0, history_outage_ns(h, CLIENT_WRITER, p->fault_ns, end));
    if (p->result.outage_ms > longest)
        result_blame(&p->result, "writes waited %.1f ms, and %.1f would have been right",
                     p->result.outage_ms, longest);
    if (p->switchback_ns != 0)
        p->result.switchback_pause_ms =
            ms_between(0, history_outage_ns(h, CLIENT_WRITER, p->switchback_ns, p->end_ns));
}

/* In `strict` nothing may be acknowledged that the standby does not have. */
static void check_strict(struct play *p, const struct history *h)
{
    int64_t from = p->fault_ns + (int64_t)SCHEDULING_MS * NS_PER_MS;

    if (p->cluster->sync != SYNC_STRICT || !p->scenario->waits)
        return;
    for (size_t i = 0; i < h->count; i++) {
        const struct event *e = &h->events[i];

        if (e->kind != EVENT_ACK || e->at_ns < from || e->at_ns >= p->heal_ns)
            continue;
        result_blame(&p->result, "`strict` acknowledged without the standby");
        return;
    }
}

/* Whatever was decided: the acknowledging side changed with an epoch, and no more often. */
static void check_moves(struct play *p, const struct history *h)
{
    struct result *r = &p->result;
    unsigned due = p->scenario->failovers, changes = history_changes(h);

    if (due > 0 && r->failovers != due)
        result_blame(r, "%jd failovers, and %u would have been right",
                     (intmax_t)r->failovers, due);
    if (changes > r->epoch_end - r->epoch_before)
        result_blame(r,
                     "two writers: the acknowledging side changed %u times in %jd epochs",
                     changes, (intmax_t)(r->epoch_end - r->epoch_before));
}

static void check_decisions(struct play *p, const struct history *h)
{
    static const int64_t failovers_due[] = {[EFFECT_FAILOVER] = 1,
                                            [EFFECT_NONE] = 0,
                                            [EFFECT_SWITCHOVER] = 0,
                                            [EFFECT_ADOPTION] = 0,
                                            [EFFECT_ANY] = 0};
    static const int64_t epochs_due[] = {[EFFECT_FAILOVER] = 1,
                                         [EFFECT_NONE] = 0,
                                         [EFFECT_SWITCHOVER] = 1,
                                         [EFFECT_ADOPTION] = 1,
                                         [EFFECT_ANY] = 0};
    struct result *r = &p->result;
    int64_t due = failovers_due[p->scenario->effect],
            epochs = epochs_due[p->scenario->effect];

    r->epoch_before = p->before.epoch;
    r->epoch_after = p->after.epoch;
    r->epoch_end = view_get(p->view).epoch;
    r->failovers = view_get(p->view).failovers - p->before.failovers;
    r->switchovers = view_get(p->view).switchovers - p->before.switchovers;
    if (p->scenario->effect == EFFECT_ANY) {
        check_moves(p, h);
        return;
    }
    if (r->failovers != due)
        result_blame(r, "%jd failovers, and %jd would have been right",
                     (intmax_t)r->failovers, (intmax_t)due);
    if (r->epoch_after - r->epoch_before != epochs)
        result_blame(r, "the epoch went from %jd to %jd", (intmax_t)r->epoch_before,
                     (intmax_t)r->epoch_after);
    if (p->scenario->effect == EFFECT_FAILOVER) {
        r->forecast_lost_bytes = p->after.run.forecast_bytes;
        r->lost_bytes = p->after.run.lost_bytes;
    }
    if (p->scenario->effect == EFFECT_NONE && !p->scenario->standby)
        r->rejoined = -1; /* nobody had left */
}

static void judge(struct play *p, const struct history *h)
{
    const struct result *r = &p->result;
    bool may_lose = p->scenario->effect == EFFECT_FAILOVER &&
                    (p->cluster->sync == SYNC_OFF || p->cluster->sync == SYNC_PREFERRED);
    struct allowance allow = {
        .may_lose = may_lose,
        .old = EAST,
        .loss_known = r->lost_bytes >= 0 && r->forecast_lost_bytes >= 0,
        .lost_bytes = (uint64_t)(r->lost_bytes > 0 ? r->lost_bytes : 0),
        .forecast_bytes =
            (uint64_t)(r->forecast_lost_bytes > 0 ? r->forecast_lost_bytes : 0),
        .both_writable_ns =
            isnan(r->both_writable_ms) ? 0 : (int64_t)(r->both_writable_ms * NS_PER_MS),
        .recover_ns = (int64_t)RECOVER_MS * NS_PER_MS,
    };
    enum verdict v = history_judge(h, &allow);

    if (v != VERDICT_OK)
        result_blame(&p->result, "%s", verdict_text(v));
}

static void gather(struct play *p, struct history *h)
{
    history_join(h, &p->writer.history);
    if (p->scenario->second_writer)
        history_join(h, &p->second.history);
    for (enum site s = EAST; s <= WEST; s++)
        history_join(h, &p->probes[s].history);
    if (p->fault_ns != 0)
        history_add(h, (struct event){.at_ns = p->fault_ns, .kind = EVENT_FAULT});
    if (p->heal_ns != 0)
        history_add(h, (struct event){.at_ns = p->heal_ns, .kind = EVENT_HEALED});
}

static void forget(struct play *p)
{
    history_free(&p->writer.history);
    if (p->scenario->second_writer)
        history_free(&p->second.history);
    for (enum site s = EAST; s <= WEST; s++)
        history_free(&p->probes[s].history);
}

static void keep_history(const struct play *p, const struct history *h)
{
    AUTO(auto_free)
    char *path = text_new("%s/log/%s.history", p->cluster->ground.dir, p->scenario->name);
    FILE *out = fopen(path, "we");

    if (out == NULL)
        return;
    history_write(h, out);
    fclose(out);
}

static bool read_rows(struct play *p, enum site from, void *history)
{
    return client_read_rows(&p->cluster->ground, from, p->first_number, history);
}

void verdict_reach(struct play *p)
{
    struct history h = {0};

    gather(p, &h);
    if (!play_read_at_end(p, read_rows, &h))
        result_blame(&p->result, "the rows could not be read at the end");
    verdict_operations(p);
    recording_judge(p, &h);
    history_sort(&h);
    history_count(&h, &p->result.acked, &p->result.lost);
    if (p->fault_ns != 0) {
        measure_phases(p);
        measure_overlap(p, &h);
        measure_late_ack(p);
        measure_outage(p, &h);
        check_prelude(p, &h);
        check_strict(p, &h);
        check_decisions(p, &h);
        judge(p, &h);
    }
    keep_history(p, &h);
    recording_write(p, &h);
    forget(p);
    history_free(&h);
}
