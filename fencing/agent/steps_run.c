/* One step at a time per instance, marked before it is begun (I6). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "controller/base/text.h"
#include "controller/core/state.h"
#include "fencing/agent/steps_private.h"
#include "fencing/agent/wire_text.h"

static const char *kind_name(Rf__StepKind kind)
{
    return kind == RF__STEP_KIND__STEP_SEVER ? "sever"
                                             : step_kind_name((enum step_kind)kind);
}

static void drop_order(struct inst *i)
{
    if (i->order != NULL)
        rf__step_order__free_unpacked(i->order, NULL);
    i->order = NULL;
    i->waits[0] = 0;
}

/* ---- the end of a step ----------------------------------------------------------------
 */

static struct postmaster seen_postmaster(const Rf__StepResult *r)
{
    if (r->seen == NULL)
        return (struct postmaster){0};
    return (struct postmaster){r->seen->postmaster_pid, r->seen->postmaster_start_ms};
}

/* Whatever runs after a step of ours was started, or let run, by it. What was not seen has
 * not ended: a look that failed must not disown a server (police would stop it under its
 * lease); of a real exit the watch on the postmaster tells. */
static void note_known(struct inst *i, const Rf__StepResult *r)
{
    struct postmaster pm = seen_postmaster(r);
    struct step_record *rec = i->rec;
    bool led = r->outcome == RF__STEP_OUTCOME__OUTCOME_DONE &&
               i->run.kind == RF__STEP_KIND__STEP_LEAD && pm.pid != 0;

    if (step_changed_server(r, rec->known)) {
        rec->led_epoch = rec->ready_epoch = rec->led_position = 0;
        rec->known = pm;
    }
    if (pm.pid != 0)
        rec->ever_known = true;
    if (led && rec->led_epoch != i->run.epoch) {
        rec->led_epoch = i->run.epoch;
        rec->led_position = r->position;
        rec->ready_epoch = 0;
        i->canary_ok = mono_now(); /* it has just been written to */
        i->canary_failed = 0;
    }
}

static void keep_result(struct inst *i, const Rf__StepResult *r)
{
    struct err err = {0};
    size_t n = rf__step_result__get_packed_size(r);

    i->result = 0;
    i->result_packed.len = 0;
    if (buf_reserve(&i->result_packed, n + 1, &err) != 0)
        return; /* the order is repeated; the step is idempotent (I5) */
    i->result_packed.len = rf__step_result__pack(r, i->result_packed.data);
    i->result = r->step;
}

static void count(struct inst *i, Rf__StepOutcome outcome)
{
    i->done += outcome == RF__STEP_OUTCOME__OUTCOME_DONE;
    i->failed += outcome == RF__STEP_OUTCOME__OUTCOME_FAILED;
    i->unknown += outcome == RF__STEP_OUTCOME__OUTCOME_UNKNOWN;
}

/* On disk before it is said: an agent that is started again must know what it led, or the
 * gate would never open (I9, I11). Until then the order is repeated, and `unknown` is the
 * truth for those who wait (I5). */
static bool may_be_said(const struct steps *st, const Rf__StepResult *r)
{
    return r->outcome != RF__STEP_OUTCOME__OUTCOME_DONE || !st->save_failed;
}

static void finish(struct inst *i, const Rf__StepResult *r)
{
    bool known = r->outcome == RF__STEP_OUTCOME__OUTCOME_DONE ||
                 r->outcome == RF__STEP_OUTCOME__OUTCOME_FAILED;

    i->stopped = r->outcome == RF__STEP_OUTCOME__OUTCOME_DONE &&
                 i->run.kind == RF__STEP_KIND__STEP_STOP;
    if (r->seen != NULL)
        (void)inst_take_observation(i, r->seen);
    if (known) {
        note_known(i, r);
        i->rec->running_kind = 0;
        i->opening = false;
    } else {
        i->opening = true; /* what it started may still come up */
    }
    count(i, r->outcome);
    if (i->run.own) {
        i->run = (struct running){0};
        (void)steps_save(i->st);
        return;
    }
    if (known) {
        i->rec->last_failed = r->outcome == RF__STEP_OUTCOME__OUTCOME_FAILED;
        keep_result(i, r);
    }
    i->run = (struct running){0};
    /* The keeper hears that it is ready before the leader hears of the step, or the gate of
     * an adopted server would be shut for the moment between `opened` and that. */
    if (!inst_tell_ready(i))
        (void)steps_save(i->st);
    if (may_be_said(i->st, r))
        inst_say_result(i, r);
}

/* A step that cannot succeed is ordered again for days: its trouble is logged once, and
 * again when it is another one or the step has been done in between. True: it is news. */
static bool note_trouble(struct inst *i, Rf__StepKind kind, const char *text)
{
    char now[KEEPER_PROBLEM_SIZE];
    bool news;

    text_set(now, sizeof now, "%s", text);
    news = i->trouble_kind != kind || !same_trouble(i->trouble, now);
    i->trouble_kind = kind;
    memcpy(i->trouble, now, sizeof now);
    return news;
}

static bool is_again(const struct inst *i, Rf__StepKind kind)
{
    return i->trouble[0] != 0 && i->trouble_kind == kind;
}

static void log_end(struct inst *i, const Rf__StepResult *r)
{
    bool done = r->outcome == RF__STEP_OUTCOME__OUTCOME_DONE;
    bool news = true;

    if (!done)
        news = note_trouble(i, i->run.kind, r->text[0] != 0 ? r->text : "no reason given");
    else if (i->trouble_kind == i->run.kind)
        i->trouble[0] = 0;
    log_at(done   ? LOG_LEVEL_INFO
           : news ? LOG_LEVEL_WARN
                  : LOG_LEVEL_DEBUG,
           "%s: step %" PRIu64 " (%s) %s%s%s", i->group, i->run.step,
           kind_name(i->run.kind),
           done                                             ? "done"
           : r->outcome == RF__STEP_OUTCOME__OUTCOME_FAILED ? "failed"
                                                            : "has an unknown outcome",
           r->text[0] != 0 ? ": " : "", r->text);
}

void inst_on_step(void *owner, const Rf__ProviderReply *reply, const struct err *why)
{
    struct inst *i = owner;
    Rf__StepResult lost = RF__STEP_RESULT__INIT;
    const Rf__StepResult *r = reply != NULL ? reply->result : NULL;

    /* While the step still counts as running: a server that it stopped was told to end. */
    inst_check_watch(i);
    if (r == NULL || (!i->run.own && r->step != i->run.step)) {
        /* I5: it may have happened. Nobody is told that it failed; the order is repeated
         * and the step looks first what is done already. */
        lost.step = i->run.step;
        lost.outcome = RF__STEP_OUTCOME__OUTCOME_UNKNOWN;
        lost.text = wire_text(why != NULL ? why->text : "no answer to the step");
        r = &lost;
    }
    log_end(i, r);
    if (i->run.kind == RF__STEP_KIND__STEP_JOIN || i->run.kind == RF__STEP_KIND__STEP_SYNC)
        i->nudge_until = mono_plus_ms(mono_now(), NUDGE_MS);
    finish(i, r);
    i->fast_until = mono_plus_ms(mono_now(), FAST_FOR_MS);
    i->asked_at = (struct mono){0};
    inst_observe(i);
    inst_consider(i);
}

/* ---- the beginning --------------------------------------------------------------------
 */

static enum order_verdict judge_order(const struct inst *i, const char **ret_why)
{
    struct order_facts f = {.a = i->a,
                            .request = i->order->request,
                            .now = boot_now(),
                            .running = i->run.step,
                            .running_epoch = i->run.own ? UINT64_MAX : i->run.epoch,
                            .busy = i->run.busy,
                            .last_step = i->rec->last_step,
                            .result = i->result};

    f.joining_keeps_up = standby_keeps_up(&i->shrink, f.request->joining, mono_now());
    board_view(i->st->parts.board, i->slot, &f.view);
    return order_judge(&f, ret_why);
}

/* A stalled disk may have kept the mark for long, and the keeper, which waits for no disk,
 * has lost its lease or gone on to another epoch meanwhile: what was right when it was
 * judged is judged once more (I3, I6). The mark says only that it may have been begun. */
static bool is_still_due(const struct inst *i)
{
    const char *why;

    return MUTANT(begins_what_is_over, judge_order(i, &why) == ORDER_RUN, true);
}

static void begin(struct inst *i, Rf__StepRequest *rq, bool own)
{
    Rf__ProviderRequest request = RF__PROVIDER_REQUEST__INIT;
    Rf__ServerSpec server;
    struct known_peers peers;
    struct err err = {0};
    int32_t pid = helper_pid(i->worker);
    uint32_t ms = rq->deadline_ms;
    bool saved;

    /* A join makes every commit wait for the newcomer: no longer than a member may be
     * silent (I8), or a link that is cut meanwhile would stop the writes. */
    if (rq->kind == RF__STEP_KIND__STEP_JOIN && i->a->shrink_after_ms < ms)
        ms = i->a->shrink_after_ms;
    if (ms < STEP_LEAST_MS)
        ms = STEP_LEAST_MS;
    if (pid == 0)
        return; /* being replaced; asked again at the next tick */
    i->rec->worker = (struct postmaster){pid, process_start_ms(pid)};
    i->rec->running_kind = (uint32_t)rq->kind;
    if (!own) {
        i->rec->last_step = rq->step;
        i->rec->last_failed = false;
    }
    /* The mark is on disk before the act; a disk that is full stops us here, where nothing
     * is lost, but not from stopping a server that is not ours. */
    saved = steps_save(i->st);
    if (!own && (!saved || !is_still_due(i))) {
        i->rec->running_kind = 0;
        return;
    }
    inst_fill_server(i, &server);
    rq->deadline_ms = ms;
    request.server = &server;
    request.step = rq;
    inst_fill_peers(i, false, &peers, &request);
    if (helper_ask(i->worker, &request, ms + STEP_GRACE_MS, &err) != 0) {
        log_warn("%s: step %" PRIu64 ": %s", i->group, rq->step, err.text);
        i->rec->running_kind = 0;
        return;
    }
    i->run = (struct running){
        .busy = true, .own = own, .kind = rq->kind, .step = rq->step, .epoch = rq->epoch};
    /* A stop of our own ends no step of the log: a copy of the last order that comes after
     * it is answered with the result, and not carried out once more (I6). */
    if (!own && rq->step != i->result)
        i->result = 0;
    log_at(is_again(i, rq->kind) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
           "%s: step %" PRIu64 " (%s) of epoch %" PRIu64 " begins", i->group, rq->step,
           kind_name(rq->kind), rq->epoch);
}

static void refuse(struct inst *i, const char *why)
{
    Rf__StepResult r = RF__STEP_RESULT__INIT;
    char line[KEEPER_PROBLEM_SIZE];

    text_set(line, sizeof line, "refused by the agent: %s", why);
    log_at(note_trouble(i, i->order->request->kind, line) ? LOG_LEVEL_WARN
                                                          : LOG_LEVEL_DEBUG,
           "%s: step %" PRIu64 " (%s) %s", i->group, i->order->request->step,
           kind_name(i->order->request->kind), line);
    r.step = i->order->request->step;
    r.outcome = RF__STEP_OUTCOME__OUTCOME_FAILED;
    r.text = line;
    i->rec->last_step = r.step;
    i->rec->last_failed = true;
    keep_result(i, &r);
    /* Else the next life might carry out what is refused now (I5). */
    (void)steps_save(i->st);
    inst_say_result(i, &r);
}

/* The log may have its outcome already, or get it from a frame of the last life that is on
 * its way: what is on record as failed must not happen later (I5). One that was done, or
 * whose outcome is not known, is carried out once more instead, which changes nothing. */
void inst_remember_failure(struct inst *i)
{
    Rf__StepResult r = RF__STEP_RESULT__INIT;

    if (!i->rec->last_failed)
        return;
    r.step = i->rec->last_step;
    r.outcome = RF__STEP_OUTCOME__OUTCOME_FAILED;
    r.text = wire_text("it failed before the agent was started anew");
    keep_result(i, &r);
}

static void repeat_result(struct inst *i)
{
    Rf__StepResult *r =
        rf__step_result__unpack(NULL, i->result_packed.len, i->result_packed.data);

    if (r == NULL)
        return;
    if (i->st->save_failed)
        (void)steps_save(i->st);
    if (may_be_said(i->st, r))
        inst_say_result(i, r);
    rf__step_result__free_unpacked(r, NULL);
}

/* A join that cannot begin is given back, or it would stand in the way of other steps. */
static bool waited_too_long(struct inst *i)
{
    const Rf__StepRequest *rq = i->order->request;
    struct mono now = mono_now();

    if (i->waiting != rq->step) {
        i->waiting = rq->step;
        i->waiting_since = now;
    }
    return rq->kind == RF__STEP_KIND__STEP_JOIN && !i->run.busy &&
           mono_since_ms(i->waiting_since, now) > JOIN_WAIT_MS;
}

void inst_consider_order(struct inst *i)
{
    const char *why = "";

    /* A server that must not run is ended first, and quickly: the stop inside a follow step
     * has a day for it, and would wait for walsenders that the gate cuts off. */
    if (i->order == NULL || i->rec == NULL || i->worker == NULL || i->alien)
        return;
    switch (judge_order(i, &why)) {
    case ORDER_RUN:
        begin(i, i->order->request, false);
        if (i->run.busy)
            drop_order(i);
        break;
    case ORDER_WAIT:
        snprintf(i->waits, sizeof i->waits, "%s", why);
        if (waited_too_long(i)) {
            refuse(i, why);
            drop_order(i);
        }
        break;
    case ORDER_CANCEL:
        if (i->run.cancelled)
            break;
        i->run.cancelled = true;
        log_warn("%s: step %" PRIu64 " (%s) is of an older epoch: ended", i->group,
                 i->run.step, kind_name(i->run.kind));
        helper_kill(i->worker);
        break;
    case ORDER_REPEAT:
        repeat_result(i);
        drop_order(i);
        break;
    case ORDER_REFUSE:
        refuse(i, why);
        drop_order(i);
        break;
    case ORDER_DROP:
        log_debug("%s: a stale order was dropped", i->group);
        drop_order(i);
        break;
    }
}

void inst_stop_alien(struct inst *i)
{
    Rf__StepRequest rq = RF__STEP_REQUEST__INIT;
    struct mono now = mono_now();

    if (i->run.busy || i->worker == NULL || i->rec == NULL ||
        (mono_is_set(i->stop_again) && now.ns < i->stop_again.ns))
        return;
    rq.kind = RF__STEP_KIND__STEP_STOP;
    rq.epoch = i->a->epoch;
    rq.deadline_ms = OWN_STOP_MS;
    begin(i, &rq, true);
    if (i->run.busy)
        i->stop_again = mono_plus_ms(now, OWN_STOP_AGAIN_MS);
}
