/* What is known of an instance, told to the keeper and, through it, to the leader. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "fencing/agent/steps_private.h"
#include "fencing/agent/wire_text.h"
#include "proto/frame.h"

/* I9: only its agent starts PostgreSQL. */
static void watch_over(struct inst *i)
{
    const char *why = "";
    bool was = i->alien;

    i->alien = false;
    if (i->run.busy && !i->run.own)
        return; /* what a step starts is known when it ends */
    if (fence_wants_stop(i->a, i->stopped && !i->alive)) {
        i->alien = true;
        i->alien_why = NULL; /* no problem: it is as it has to be */
        if (!was)
            log_info("%s: fenced, and its local clients are not gated: the server is "
                     "stopped",
                     i->group);
        return;
    }
    switch (police(i->a, i->seen, i->rec, i->opening, &why)) {
    case POLICE_LET:
        break;
    case POLICE_ADOPT:
        i->rec->known =
            (struct postmaster){i->seen->postmaster_pid, i->seen->postmaster_start_ms};
        i->rec->ever_known = true;
        i->opening = false;
        log_info("%s: the running postmaster (pid %d) is taken over as it is", i->group,
                 i->seen->postmaster_pid);
        (void)steps_save(i->st);
        break;
    case POLICE_STOP:
        i->alien = true;
        if (!was)
            log_error("%s: pid %d: %s", i->group, i->seen->postmaster_pid, why);
        i->alien_why = why;
        break;
    }
}

const char *inst_alien_why(const struct inst *i)
{
    return i->alien && i->alien_why != NULL ? i->alien_why : "";
}

/* `*ret_saved`, if wanted: the records were written for it. */
static bool find_ready(struct inst *i, bool *ret_saved)
{
    struct keeper_view v;
    bool ready;

    board_view(i->st->parts.board, i->slot, &v);
    /* Not seen yet in this life, but watched: what the last life found of this postmaster
     * stands, or an open gate would be narrowed until the first look. */
    ready = i->alive && !i->alien && server_is_ready(i->a, i->seen, i->rec, v.opened);
    if (ready && i->rec->ready_epoch != i->a->epoch) {
        i->rec->ready_epoch = i->a->epoch;
        log_info("%s: the server is ready to be opened in epoch %" PRIu64, i->group,
                 i->a->epoch);
        (void)steps_save(i->st);
        if (ret_saved != NULL)
            *ret_saved = true;
    }
    return ready;
}

/* Steps that take the server down, or bring it up: it need not accept anything meanwhile.
 */
static bool steps_on_server(const struct inst *i)
{
    return i->run.busy && i->run.kind != RF__STEP_KIND__STEP_SYNC &&
           i->run.kind != RF__STEP_KIND__STEP_JOIN &&
           i->run.kind != RF__STEP_KIND__STEP_CHECKPOINT;
}

static void note_hung(struct inst *i)
{
    bool hung = i->alive && !steps_on_server(i) &&
                server_is_hung(i->a, i->canary_ok, i->canary_failed, mono_now());

    if (hung && !i->hung)
        log_error("%s: the server has accepted no write for %" PRIu32 " ms: hung", i->group,
                  i->a->hung_after_ms);
    else if (!hung && i->hung)
        log_info("%s: the server is not hung any more", i->group);
    i->hung = hung;
}

void inst_tell_keeper(struct inst *i, uint64_t ready_epoch)
{
    struct keeper_server s = {.state = i->state,
                              .ready_epoch = ready_epoch,
                              .barred = i->hung || i->alien,
                              .stopped = i->stopped && !i->alive,
                              .looked = i->looked};
    const struct guard_life *told = &i->told.process.postmaster;

    /* The last one that was known, while there is none: its processes may be left. */
    s.process = i->watch != NULL ? i->watch->process : i->told.process;

    if (s.state == i->told.state && s.ready_epoch == i->told.ready_epoch &&
        s.barred == i->told.barred && s.stopped == i->told.stopped &&
        s.looked == i->told.looked && s.process.postmaster.pid == told->pid &&
        s.process.postmaster.start_ms == told->start_ms)
        return;
    i->told = s;
    board_put_server(i->st->parts.board, i->slot, &s);
}

bool inst_tell_ready(struct inst *i)
{
    bool saved = false;

    if (i->a != NULL && i->rec != NULL && find_ready(i, &saved))
        inst_tell_keeper(i, i->a->epoch);
    return saved;
}

/* Positions and rates are other ones at each look. Where nothing goes on they reach the
 * leader with the next tick, whose report carries their age; all else it hears at once. */
static bool is_urgent(struct inst *i, const ProtobufCMessage *m)
{
    const Rf__InstanceReport *from = (const Rf__InstanceReport *)(const void *)m;
    struct buf now = {0};
    Rf__InstanceReport r = *from;
    Rf__Observation seen = RF__OBSERVATION__INIT;
    bool same;

    r.seen_age_ms = 0;
    if (from->seen != NULL) {
        seen = *from->seen;
        seen.flush_lsn = seen.replay_lsn = seen.checkpoint_lsn = 0;
        seen.replay_lag_ms = seen.canary_age_ms = seen.wal_bytes_per_s = 0;
        seen.looked_ns = 0;
        seen.n_replicas = 0;
        r.seen = &seen;
    }
    if (buf_reserve(&now, protobuf_c_message_get_packed_size(&r.base) + 1, NULL) != 0)
        return true;
    now.len = protobuf_c_message_pack(&r.base, now.data);
    same = now.len == i->said.len && /* an empty buffer has no address */
           (now.len == 0 || memcmp(now.data, i->said.data, now.len) == 0);
    buf_free(&i->said);
    i->said = now;
    return !same || mono_now().ns < i->fast_until.ns;
}

static void put_packed(struct inst *i, enum board_letter kind, const ProtobufCMessage *m)
{
    AUTO(buf_free) struct buf bytes = {0};

    if (buf_reserve(&bytes, protobuf_c_message_get_packed_size(m) + 1, NULL) != 0)
        return; /* said again with the next observation, or order */
    bytes.len = protobuf_c_message_pack(m, bytes.data);
    if (kind == BOARD_REPORT && !is_urgent(i, m))
        board_leave(i->st->parts.board, kind, i->slot, bytes.data, bytes.len);
    else
        board_put(i->st->parts.board, kind, i->slot, bytes.data, bytes.len);
}

static const char *problem_of(const struct inst *i)
{
    if (i->st->disk_problem[0] != 0)
        return i->st->disk_problem;
    if (inst_alien_why(i)[0] != 0)
        return inst_alien_why(i);
    if (i->seen != NULL && i->seen->denied[0] != 0)
        return i->seen->denied;
    if (i->cannot_start[0] != 0)
        return i->cannot_start;
    /* A short wait is the way of things: lease and standby need a moment. */
    if (i->order != NULL && i->waits[0] != 0 &&
        mono_since_ms(i->waiting_since, mono_now()) > WAIT_SHOWN_MS)
        return i->waits;
    return "";
}

static void say_report(struct inst *i, bool ready)
{
    Rf__InstanceReport r = RF__INSTANCE_REPORT__INIT;
    Rf__Observation seen;
    char *shrink[SHRINK_PEERS_MAX];

    if (i->seen != NULL) {
        seen = *i->seen; /* shallow */
        seen.looked_ns = i->seen_at.ns;
        r.seen = &seen;
    }
    r.crashed = i->crashed;
    r.hung = i->hung;
    r.ready = ready;
    /* While a step runs it may be the one that verifies it. */
    r.unled = MUTANT(unled_untold,
                     i->alive && !i->alien && !i->run.busy &&
                         server_is_unled(i->a, i->seen, i->rec),
                     false);
    r.step = i->run.own ? 0 : i->run.step;
    r.problem = wire_text(problem_of(i));
    /* One that runs is promoted without its unit; one that is down could not be. */
    r.unfit = i->st->disk_problem[0] != 0 || (i->cannot_start[0] != 0 && !i->alive);
    r.shrink = shrink;
    for (size_t k = 0; k < i->a->n_peers && k < SHRINK_PEERS_MAX; k++)
        if ((i->shrink_bits & 1u << k) != 0)
            shrink[r.n_shrink++] = i->a->peers[k]->instance;
    put_packed(i, BOARD_REPORT, &r.base);
}

void inst_say_result(struct inst *i, const Rf__StepResult *result)
{
    Rf__StepResult copy = *result; /* shallow: the message wants it without const */
    Rf__StepReport r = RF__STEP_REPORT__INIT;
    Rf__Incarnation incarnation;
    struct board_health h;

    board_health(i->st->parts.board, &h);
    frame_incarnation_put(&h.incarnation, &incarnation);
    r.incarnation = &incarnation;
    r.group = i->group;
    r.instance = wire_text(i->st->parts.settings->name);
    r.epoch = i->a->epoch;
    r.result = &copy;
    put_packed(i, BOARD_RESULT, &r.base);
}

void inst_consider(struct inst *i)
{
    bool ready;

    if (i->a == NULL || i->rec == NULL)
        return;
    if (i->seen != NULL)
        watch_over(i);
    note_hung(i);
    ready = find_ready(i, NULL);
    if (ready && !mono_is_set(i->canary_ok))
        i->canary_ok = mono_now();
    inst_tell_keeper(i, ready ? i->a->epoch : 0);
    say_report(i, ready);
    if (i->alien)
        inst_stop_alien(i);
    inst_consider_order(i);
}
