#include "providers/postgres/lead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "providers/postgres/commit.h"
#include "providers/postgres/control.h"
#include "providers/postgres/files.h"
#include "providers/postgres/mark.h"
#include "providers/postgres/names.h"
#include "providers/postgres/observe.h"
#include "providers/postgres/start.h"
#include "providers/postgres/stop.h"
#include "providers/postgres/sync.h"

enum { POLL_US = 1000, RESTORE_MS = 500 };

static const char IN_RECOVERY[] = "SELECT pg_is_in_recovery()";

static int in_recovery(struct pg *pg, struct mono deadline, bool *ret, struct err *err)
{
    char answer[8];

    if (pg_ask(&pg->main, IN_RECOVERY, deadline, answer, sizeof answer, err) != 0)
        return err->code;
    *ret = answer[0] == 't';
    return 0;
}

/* --- a server that is down ------------------------------------------------------------ */

/* A directory whose server was in recovery is never started outside it: its log would go
 * on, on the same timeline, beside the primary's. */
static int choose_role(struct pg *pg, bool restart, struct mono deadline, bool *ret_standby,
                       struct err *err)
{
    AUTO(auto_free) char *signal_file = pg_path(pg, "standby.signal");
    struct pg_control c;

    if (signal_file == NULL)
        return err_set(err, ERR_NOMEM, "path");
    if (pg_control_read(pg, deadline, &c, err) != 0)
        return err->code;
    *ret_standby = pg_has_file(pg, "standby.signal") || pg_control_standby(&c);
    if (*ret_standby && restart)
        return err_set(err, ERR_CONFLICT,
                       "restart within the epoch, but %s is a standby's (%s): not started",
                       pg->spec->data, c.state);
    if (*ret_standby && !pg_has_file(pg, "standby.signal"))
        return pg_file_write(pg, signal_file, "", err);
    return 0;
}

static int start_down(struct pg *pg, const Rf__StepRequest *rq, const char *names,
                      struct mono deadline, struct err *err)
{
    const struct pg_setting setting = {"synchronous_standby_names", names};
    struct pg_postmaster pm;
    bool standby = false, clean;
    int status;

    pg_postmaster_find(pg, &pm);
    if (pm.pid != 0)
        return 0;
    if (pg_data_absent(pg))
        return err_set(err, ERR_NOTFOUND, "%s has no server to lead with", pg->spec->data);
    pg_end_leftovers(pg);
    /* Orphans of a postmaster that has crashed: usually they are about to end. */
    if (pg_processes(pg, 0) > 0 &&
        pg_stop(pg, pg_within(deadline, (uint32_t)pg_left_ms(deadline) / 2), &clean, err) !=
            0)
        return err_set(err, ERR_BUSY, "processes of an earlier server are left on %s",
                       pg->spec->data);
    if (choose_role(pg, rq->restart, deadline, &standby, err) != 0)
        return err->code;
    /* A primary starts with its names; a standby keeps those that nobody satisfies until
     * just before its promotion. */
    if (!standby && pg_conf_set(pg, &setting, 1, err) != 0)
        return err->code;
    status = pg_start(pg, deadline, err);
    return status == ERR_TIMEOUT
               ? err_set(err, ERR_UNKNOWN, "PostgreSQL on %s is still starting (recovery?)",
                         pg->spec->data)
               : status;
}

/* --- promotion ------------------------------------------------------------------------ */

struct checkpointer {
    pid_t pid;
    uint64_t switches;
};

static void find_checkpointer(struct pg *pg, struct mono deadline, struct checkpointer *ret)
{
    char pid[16];
    struct err err;

    *ret = (struct checkpointer){0};
    if (pg_ask(&pg->main,
               "SELECT coalesce(min(pid), 0) FROM pg_stat_activity"
               " WHERE backend_type = 'checkpointer'",
               deadline, pid, sizeof pid, &err) != 0)
        return;
    ret->pid = (pid_t)strtol(pid, NULL, 10);
    ret->switches = pg_switches(ret->pid);
}

/* The checkpointer owns the flag that makes commits wait. A standby cannot try it with a
 * commit, so we look at the process: since the reload it has gone back to wait in its main
 * loop, at whose top it reads the settings. A hint only: the proof is the write that is
 * verified after the promotion. */
static int wait_checkpointer(struct pg *pg, const struct checkpointer *before,
                             struct mono deadline, struct err *err)
{
    char sql[160], event[64];

    if (before->pid == 0)
        return 0;
    snprintf(
        sql, sizeof sql,
        "SELECT coalesce((SELECT wait_event FROM pg_stat_activity WHERE pid = %d), '')",
        before->pid);
    for (;;) {
        uint64_t switches = pg_switches(before->pid);

        if (pg_ask(&pg->main, sql, deadline, event, sizeof event, err) != 0)
            return err->code;
        if (switches != before->switches && strcmp(event, "CheckpointerMain") == 0)
            return 0;
        if (pg_left_ms(deadline) == 0)
            return err_set(
                err, ERR_TIMEOUT,
                "checkpointer %d has not applied synchronous_standby_names: busy?",
                before->pid);
        pg_pause(POLL_US);
    }
}

/* Lifts the names that nobody satisfies, seen applied: else the first commits would hang
 * behind a busy checkpointer. */
static int lift_names(struct pg *pg, const char *names, struct mono deadline,
                      struct err *err)
{
    struct checkpointer checkpointer;

    find_checkpointer(pg, deadline, &checkpointer);
    if (pg_names_apply(pg, names, deadline, err) != 0)
        return err->code;
    /* Names that are not empty leave the flag as it is. */
    return names[0] == '\0' ? wait_checkpointer(pg, &checkpointer, deadline, err) : 0;
}

static int until_promoted(struct pg *pg, struct mono deadline, struct err *err)
{
    bool recovering = true;

    for (;;) {
        /* Harmless when it is on its way already; when somebody cancelled the call it was
         * perhaps never made. */
        int status = pg_exec(&pg->main, "SELECT pg_promote(false)", deadline, NULL, err);

        /* "recovery is not in progress": it is done. */
        if (status != 0 && status != ERR_REFUSED)
            return status;
        for (int i = 0; i < 100; i++) {
            status = in_recovery(pg, deadline, &recovering, err);
            if (status != 0 && status != ERR_REFUSED)
                return status;
            if (status == 0 && !recovering)
                return 0;
            if (pg_left_ms(deadline) == 0)
                return err_set(err, ERR_TIMEOUT, "still in recovery");
            pg_pause(POLL_US);
        }
    }
}

static int promote(struct pg *pg, const char *names, struct mono deadline, struct err *err)
{
    char before[2048];
    struct err second;
    int status;

    if (pg_ask(&pg->main, "SELECT current_setting('synchronous_standby_names')", deadline,
               before, sizeof before, err) != 0)
        return err_wrap(err, "not promoted");
    /* Opened while it costs nothing: the first write will come through it. */
    if (!pg->canary_sent &&
        pg_conn_open(pg, &pg->canary, PG_CANARY_OPTIONS, deadline, &second) != 0)
        pg_conn_close(&pg->canary); /* the write tries again, and tells */
    status = strcmp(before, names) == 0
                 ? 0
                 : lift_names(pg, names,
                              pg_within(deadline, (uint32_t)pg_left_ms(deadline) / 2), err);
    if (status != 0) {
        struct mono restore = mono_plus_ms(mono_now(), RESTORE_MS);

        /* Nothing was promoted; a promotion by hand must stay without acknowledgements. */
        if (pg_main(pg, restore, &second) == 0 &&
            pg_names_apply(pg, before, restore, &second) == 0)
            return err_wrap(err, "not promoted");
        return err_set(err, ERR_UNKNOWN,
                       "not promoted (%.200s), and the blocking names may "
                       "be lifted (%.150s)",
                       err->text, second.text);
    }
    if (until_promoted(pg, deadline, err) != 0)
        return err_set(err, ERR_UNKNOWN, "promotion was asked for and not seen: %s",
                       err->text);
    return 0;
}

/* --- the step ------------------------------------------------------------------------- */

/* One real write; and whoever must be waited for is waited for, proven. */
static int verify(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                  struct err *err)
{
    struct pg_postmaster pm;

    if (rq->n_members > 0) {
        /* Members may be away: their wait is another step's business (I9). The session's
         * own commits are local. */
        if (pg_exec(&pg->main, PG_CANARY_SQL, deadline, NULL, err) != 0)
            return err->code;
        return pg_sync_apply(pg, rq->members, rq->n_members, rq->generation, deadline, err);
    }
    if (rq->synchronous) {
        pg_commit_try(pg, deadline);
        if (pg_main(pg, deadline, err) != 0) /* the try may have cost it */
            return err->code;
    }
    if (pg_write_once(pg, deadline, err) != 0)
        return err->code;
    pg_postmaster_find(pg, &pm);
    return pg_sync_record_write(pg, &pm, rq->generation, "", err);
}

static int lead_running(struct pg *pg, const Rf__StepRequest *rq, const char *names,
                        struct mono deadline, Rf__StepResult *out, struct err *err)
{
    char shown[2048];
    bool recovering = false;

    if (pg_main(pg, deadline, err) != 0 || in_recovery(pg, deadline, &recovering, err) != 0)
        return err->code;
    if (recovering && rq->restart)
        return err_set(err, ERR_CONFLICT,
                       "restart within the epoch, but the server is in "
                       "recovery: it is not promoted");
    if (recovering && promote(pg, names, deadline, err) != 0)
        return err->code;
    if (pg_ask_lsn(&pg->main, "SELECT pg_current_wal_flush_lsn()", deadline, &out->position,
                   err) != 0 ||
        pg_ask(&pg->main, "SELECT current_setting('synchronous_standby_names')", deadline,
               shown, sizeof shown, err) != 0)
        return recovering ? err_set(err, ERR_UNKNOWN, "promoted, then: %s", err->text)
                          : err->code;
    if (rq->n_members == 0 && shown[0] != '\0' &&
        pg_names_apply(pg, "", deadline, err) != 0)
        return err->code;
    if (verify(pg, rq, deadline, err) != 0)
        return err_set(err, ERR_UNKNOWN, "it is the primary, but no write was verified: %s",
                       err->text);
    return 0;
}

int pg_step_lead(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                 Rf__StepResult *out, struct err *err)
{
    AUTO(auto_free) char *names = NULL;
    struct pg_mark mark;

    if (pg_names_format(rq->members, rq->n_members, &names, err) != 0 ||
        pg_mark_read(pg, &mark, err) != 0)
        return err_wrap(err, "lead");
    if (mark.present)
        return err_set(err, ERR_CONFLICT, "lead: a rewind or clone of %s was not finished",
                       pg->spec->data);
    if (start_down(pg, rq, names, deadline, err) != 0)
        return err_wrap(err, "lead");
    if (lead_running(pg, rq, names, deadline, out, err) != 0 ||
        pg_tail_note_remove(pg, err) != 0) /* of a copy that it made before */
        return err_wrap(err, "lead");
    return 0;
}
