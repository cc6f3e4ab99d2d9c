#include "providers/postgres/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "controller/base/clock.h"
#include "providers/postgres/control.h"
#include "providers/postgres/copy.h"
#include "providers/postgres/files.h"
#include "providers/postgres/mark.h"
#include "providers/postgres/names.h"
#include "providers/postgres/standby.h"
#include "providers/postgres/start.h"
#include "providers/postgres/stop.h"
#include "providers/postgres/tail.h"
#include "providers/postgres/upstream.h"
#include "providers/postgres/wal.h"
#include "providers/provider.h"

enum { STREAMS_SOON_MS = 3000 };

/* What a FOLLOW has found out. */
struct follow {
    struct pg *pg;
    const Rf__StepRequest *rq;
    struct mono deadline;
    Rf__StepResult *out;
    struct pg_upstream up;
    struct pg_mark mark;
    bool cut_off; /* the upstream has no log any more where ours ends */
};

enum relation {
    REL_BEHIND,   /* our log is a beginning of theirs: just follow */
    REL_DIVERGED, /* ours goes on past the fork: can be rewound */
    REL_FOREIGN,  /* same timeline, yet not theirs; or no common one: a clone is needed */
};

static enum relation relate(const struct follow *f, const struct pg_wal_end *own,
                            struct pg_tail *tail)
{
    uint64_t fork;
    uint32_t timeline;

    tail->to = own->lsn;
    tail->timeline = own->timeline;
    if (own->unrecorded || !pg_fork_find(&own->history, own->timeline, &f->up.history,
                                         f->up.timeline, &fork, &timeline)) {
        tail->from = 0;
        tail->fork_timeline = 1;
        return REL_FOREIGN;
    }
    tail->fork_timeline = timeline;
    tail->from = fork < f->up.flushed ? fork : f->up.flushed;
    /* On a timeline that they never were on we cannot follow, even with nothing written. */
    if (timeline == own->timeline && own->lsn <= tail->from)
        return REL_BEHIND;
    /* Past their end on a shared timeline, or two timelines of one number: pg_rewind looks
     * at the number only and would see nothing to do. */
    if (fork == UINT64_MAX || own->timeline == f->up.timeline)
        return REL_FOREIGN;
    return REL_DIVERGED;
}

/* --- a copy is made ------------------------------------------------------------------- */

static void tell_tail(struct follow *f)
{
    f->out->divergent_bytes = f->mark.tail_bytes;
    provider_text(&f->out->tail, "%s", f->mark.tail);
}

/* From here on the directory is no server's until the step is through (I6). */
static int write_mark(struct follow *f, bool cloning, struct err *err)
{
    f->mark.present = true;
    f->mark.cloning = cloning;
    f->mark.system_id = f->up.system_id;
    tell_tail(f);
    return pg_mark_write(f->pg, &f->mark, err);
}

/* The settings are written again: rewind and clone copy the upstream's over ours, and with
 * them would go the names that nobody satisfies. The mark goes last. */
static int finish_copy(struct follow *f, struct err *err)
{
    if (pg_standby_write(f->pg, f->rq, err) != 0 ||
        (f->mark.tail_bytes != 0 && pg_tail_note_write(f->pg, &f->mark, err) != 0))
        return err->code;
    return pg_mark_remove(f->pg, err);
}

/* Who owns a directory of a server is not for us to guess. */
static int check_parent(const struct follow *f, struct err *err)
{
    AUTO(auto_free) char *path = pg_beside(f->pg, "");
    char *slash = path != NULL ? strrchr(path, '/') : NULL;
    struct stat st;

    if (slash == NULL || slash == path)
        return 0;
    *slash = '\0';
    if (stat(path, &st) == 0 || errno != ENOENT)
        return 0;
    return err_set(err, ERR_NOTFOUND,
                   "%s is missing, so no copy can be put below it: make it, for %s to "
                   "write (install -d -o %s %s)",
                   path, f->pg->user, f->pg->user, path);
}

static int clone(struct follow *f, struct err *err)
{
    if (check_parent(f, err) != 0 || write_mark(f, true, err) != 0 ||
        pg_clone_do(f->pg, f->rq->upstream, f->deadline, err) != 0)
        return err->code;
    f->out->cloned = true;
    return finish_copy(f, err);
}

static int keep_tail(struct follow *f, const struct pg_tail *tail, struct err *err)
{
    if (pg_tail_bytes(tail) == 0)
        return 0;
    if (pg_tail_keep(f->pg, tail, f->rq->max_tail_bytes, f->mark.tail, err) != 0)
        return err->code;
    f->mark.tail_bytes = pg_tail_bytes(tail);
    return 0;
}

/* An interrupted pg_rewind may have overwritten the very segments from which it learns
 * what to copy: run again it would miss blocks. So once it has touched anything, only a
 * clone is sound; the tail was kept before. */
static int rewind_or_clone(struct follow *f, struct err *err)
{
    const Rf__Upstream *up = f->rq->upstream;
    bool dirty = false;
    int status = pg_upstream_settle(f->pg, up, f->up.timeline, f->deadline, err);

    if (status != 0)
        return status;
    status = pg_rewind_try(f->pg, up, f->deadline, err);
    if (status == ERR_CONFLICT) {
        provider_text(&f->out->text, "cloned, since it could not be rewound: %s",
                      err->text);
        return clone(f, err);
    }
    if (status != 0)
        return status;
    if (write_mark(f, false, err) != 0)
        return err->code;
    status = pg_rewind_do(f->pg, up, f->deadline, &dirty, err);
    if (status == 0) {
        pg_upstream_nudge(f->pg, up, f->deadline);
        return finish_copy(f, err);
    }
    if (!dirty) {
        struct err second;

        if (pg_mark_remove(f->pg, &second) != 0)
            return err_wrap(err, "and the mark stays (%.100s)", second.text);
    }
    return status;
}

/* --- a server that is down ------------------------------------------------------------ */

static int follow_down(struct follow *f, struct err *err)
{
    struct pg_tail tail = {0};
    struct pg_control c;
    struct pg_wal_end own;
    enum relation relation;

    if (pg_control_read(f->pg, f->deadline, &c, err) != 0)
        return err->code;
    if (c.system_id != f->up.system_id)
        return err_set(err, ERR_PEER,
                       "%s holds system identifier %" PRIu64 ", upstream %s has %" PRIu64
                       ": another cluster's data is not overwritten; check `data`, or move "
                       "it away to take a new copy",
                       f->pg->spec->data, c.system_id, f->rq->upstream->instance,
                       f->up.system_id);
    if (pg_wal_end(f->pg, &c, &f->up, f->deadline, &own, err) != 0)
        return err->code;
    tail.system_id = c.system_id;
    tail.segment_bytes = c.segment_bytes;
    relation = relate(f, &own, &tail);
    if (relation == REL_BEHIND)
        return pg_standby_write(f->pg, f->rq, err);

    /* Before crash recovery, whose checkpoint may remove old segments. */
    if (keep_tail(f, &tail, err) != 0)
        return err->code;
    tell_tail(f);
    if (relation == REL_FOREIGN)
        return clone(f, err);
    if (!pg_control_clean(&c) && pg_recover_alone(f->pg, f->deadline, err) != 0)
        return err->code;
    return rewind_or_clone(f, err);
}

/* --- a server that runs --------------------------------------------------------------- */

static const char OWN_END[] =
    "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())";
static const char OWN_TIMELINE[] =
    "SELECT greatest(c.timeline_id, y.min_recovery_end_timeline, w.received_tli)"
    " FROM pg_control_checkpoint() c, pg_control_recovery() y"
    " LEFT JOIN pg_stat_wal_receiver w ON true";

static bool is_member(const Rf__StepRequest *rq)
{
    for (size_t i = 0; i < rq->n_members; i++)
        if (strcmp(rq->members[i], rq->standby_name) == 0)
            return true;
    return false;
}

/* A walreceiver says `streaming` before it has asked for anything: what counts is whether
 * the log grows. Where the owner has a restore_command, that may bring it. */
static int is_stuck(struct follow *f, uint64_t end, bool *ret_stuck, struct err *err)
{
    enum { GROWS_US = 200000 };
    uint64_t later;
    char answer[8];
    bool has;

    *ret_stuck = false;
    if (pg_ask(&f->pg->main, "SELECT current_setting('restore_command') = ''", f->deadline,
               answer, sizeof answer, err) != 0)
        return err->code;
    if (answer[0] != 't')
        return 0;
    if (pg_upstream_has(f->pg, f->rq->upstream, end, f->deadline, &has, err) != 0)
        return err->code;
    if (has)
        return 0;
    pg_pause(GROWS_US);
    if (pg_ask_lsn(&f->pg->main, OWN_END, f->deadline, &later, err) != 0)
        return err->code;
    *ret_stuck = later == end;
    return 0;
}

/* It is a beginning of theirs, and would ask for what they have removed until somebody
 * noticed (I11). A copy loses nothing while theirs has all of it and lives. Should it die
 * in the midst of copying, a member of the sync set would have been the only one who has
 * what was acknowledged (I8): so a member's log is kept until the set is without it. */
static int look_for_gap(struct follow *f, uint64_t end, struct err *err)
{
    bool stuck;

    if (is_stuck(f, end, &stuck, err) != 0)
        return err->code;
    if (stuck && is_member(f->rq))
        return err_set(err, ERR_REFUSED,
                       "%s has removed the WAL that follows, and a member of the sync set "
                       "is not cloned over: `required` lets it go after shrink_after, "
                       "`strict` when `sync: required` is applied for a while",
                       f->rq->upstream->instance);
    f->cut_off = stuck;
    if (stuck)
        provider_text(&f->out->text, "cloned, since %s has removed the WAL that follows",
                      f->rq->upstream->instance);
    return 0;
}

/* A running standby whose log is a beginning of the upstream's needs new settings at most.
 */
static int can_stay(struct follow *f, bool *ret_stay, struct err *err)
{
    struct pg_conn *main = &f->pg->main;
    struct pg_wal_end own = {0};
    struct pg_tail tail = {0};
    char answer[32];
    int status;

    *ret_stay = false;
    if (pg_main(f->pg, f->deadline, err) != 0 ||
        pg_ask(main, "SELECT pg_is_in_recovery()", f->deadline, answer, sizeof answer, err))
        return err->code;
    if (answer[0] != 't')
        return 0;
    if (pg_ask(main, "SELECT system_identifier FROM pg_control_system()", f->deadline,
               answer, sizeof answer, err) != 0)
        return err->code;
    if (strtoull(answer, NULL, 10) != f->up.system_id)
        return err_set(
            err, ERR_PEER,
            "the standby on %s has system identifier %s, upstream %s has %" PRIu64,
            f->pg->spec->data, answer, f->rq->upstream->instance, f->up.system_id);
    if (pg_ask_lsn(main, OWN_END, f->deadline, &own.lsn, err) != 0 ||
        pg_ask(main, OWN_TIMELINE, f->deadline, answer, sizeof answer, err) != 0)
        return err->code;
    own.timeline = (uint32_t)strtoul(answer, NULL, 10);
    status = pg_history_read(f->pg, own.timeline, &own.history, err);
    if (status == ERR_NOTFOUND)
        own.unrecorded = !pg_history_borrow(&f->up, own.timeline, &own.history);
    else if (status != 0)
        return 0; /* it is stopped and looked at then */
    /* It may have received more since we asked the upstream; its stream tells. */
    if (own.timeline == f->up.timeline && f->up.flushed < own.lsn &&
        pg_upstream_look(f->pg, f->rq->upstream, f->deadline, &f->up, err) != 0)
        return err->code;
    if (relate(f, &own, &tail) != REL_BEHIND)
        return 0;
    status = look_for_gap(f, own.lsn, err);
    *ret_stay = status == 0 && !f->cut_off;
    return status;
}

static int stop_first(struct follow *f, struct err *err)
{
    bool clean;

    return pg_stop(f->pg, pg_within(f->deadline, (uint32_t)pg_left_ms(f->deadline) / 2),
                   &clean, err);
}

/* `*ret_done`: it goes on running as it is, with the right settings. */
static int follow_running(struct follow *f, bool *ret_done, struct err *err)
{
    struct pg_postmaster pm;
    struct err why;
    int status;

    *ret_done = false;
    pg_postmaster_find(f->pg, &pm);
    if (pm.pid == 0 && pg_processes(f->pg, 0) == 0)
        return 0;
    if (pm.pid != 0 && f->rq->kind != RF__STEP_KIND__STEP_CLONE) {
        status = can_stay(f, ret_done, &why);
        if (status == ERR_CLOSED) /* the session had ended meanwhile: that is no answer */
            status = can_stay(f, ret_done, &why);
        if (status == ERR_PEER)
            return err_set(err, status, "%s", why.text);
        /* Stopping it would not open the door, only take a standby away. */
        if (status != 0 && !f->pg->main.ready && pg_is_denied(f->pg->main.why))
            return err_set(err, ERR_REFUSED,
                           "PostgreSQL runs, but does not let its agent in: %s", why.text);
        if (status == 0 && *ret_done)
            return pg_standby_reload(f->pg, f->rq, f->deadline, err);
    }
    return stop_first(f, err);
}

/* --- the step ------------------------------------------------------------------------- */

static int prepare(struct follow *f, struct err *err)
{
    bool running_as_wanted;

    if (follow_running(f, &running_as_wanted, err) != 0)
        return err->code;
    if (running_as_wanted)
        return 0;
    if (f->cut_off || f->mark.present || f->rq->kind == RF__STEP_KIND__STEP_CLONE ||
        pg_data_absent(f->pg)) {
        if (clone(f, err) != 0)
            return err->code;
    } else if (follow_down(f, err) != 0) {
        return err->code;
    }
    return pg_start(f->pg, f->deadline, err);
}

/* A fenced directory becomes a standby's as soon as it can be written to, whether or not
 * its upstream can be reached yet. */
static int sign_standby(struct follow *f, struct err *err)
{
    AUTO(auto_free) char *path = pg_path(f->pg, "standby.signal");
    struct pg_postmaster pm;
    struct pg_control c;

    pg_postmaster_find(f->pg, &pm);
    if (path == NULL || pm.pid != 0 || f->mark.present || pg_data_absent(f->pg) ||
        pg_has_file(f->pg, "standby.signal") || f->rq->upstream->system_id == 0 ||
        pg_control_read(f->pg, f->deadline, &c, err) != 0 ||
        c.system_id != f->rq->upstream->system_id)
        return 0; /* not ours to sign, or something that the next look names */
    return pg_file_write(f->pg, path, "", err);
}

/* A clone overwrites everything: a mark that cannot be read does not stop it. */
static int read_mark(struct follow *f, struct err *err)
{
    int status = pg_mark_read(f->pg, &f->mark, err);

    if (status == 0 && !f->mark.present) {
        status = pg_tail_note_read(f->pg, &f->mark, err);
        f->mark.present = false; /* of the copy: that is finished */
    }
    if (status != ERR_CORRUPT || f->rq->kind != RF__STEP_KIND__STEP_CLONE)
        return status;
    f->mark.present = true;
    return 0;
}

/* One that was down is told to be cut off only now, by what it asks for in vain. */
static int wait_or_clone(struct follow *f, struct err *err)
{
    struct mono soon = pg_within(f->deadline, STREAMS_SOON_MS);
    struct err why;
    uint64_t end;

    int status = pg_standby_wait_streaming(f->pg, soon, err);

    if (status == 0 || status == ERR_CONFLICT || status == ERR_CLOSED)
        return status;
    if (!f->cut_off && pg_main(f->pg, f->deadline, &why) == 0 &&
        pg_ask_lsn(&f->pg->main, OWN_END, f->deadline, &end, &why) == 0) {
        if (look_for_gap(f, end, &why) == ERR_REFUSED)
            return err_set(err, why.code, "%s", why.text);
        if (f->cut_off && (stop_first(f, err) != 0 || prepare(f, err) != 0))
            return err->code;
    }
    return pg_standby_wait_streaming(f->pg, f->deadline, err);
}

int pg_step_follow(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                   Rf__StepResult *out, struct err *err)
{
    struct follow f = {.pg = pg, .rq = rq, .deadline = deadline, .out = out};
    int status;

    if (rq->upstream == NULL)
        return err_set(err, ERR_INVAL, "follow: no upstream is named");
    if (pg_name_check(rq->standby_name, err) != 0 ||
        (rq->blocking_name[0] != '\0' && pg_name_check(rq->blocking_name, err) != 0) ||
        read_mark(&f, err) != 0)
        return err_wrap(err, "follow");
    pg_end_leftovers(pg);
    if (sign_standby(&f, err) != 0 ||
        pg_upstream_look(pg, rq->upstream, deadline, &f.up, err) != 0)
        return err_wrap(err, "follow");
    tell_tail(&f);
    status = prepare(&f, err);
    if (status != 0)
        return err_wrap(err, "follow %s", rq->upstream->instance);
    status = wait_or_clone(&f, err);
    if (status == ERR_CONFLICT || status == ERR_CLOSED)
        return err_wrap(err, "follow %s", rq->upstream->instance);
    if (status != 0)
        return err_set(err, ERR_UNKNOWN, "runs as a standby of %s, but does not stream: %s",
                       rq->upstream->instance, err->text);
    return pg_tail_note_remove(pg, err);
}
