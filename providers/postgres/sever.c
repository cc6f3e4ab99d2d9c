#include "providers/postgres/sever.h"

#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "providers/postgres/files.h"
#include "providers/postgres/mark.h"
#include "providers/postgres/process.h"

enum { LOOK_AGAIN_US = 1000 };

/* ---- a server that is down -----------------------------------------------------------
 */

/* Whoever starts it from here on reads the file first. */
static int sever_down(struct pg *pg, bool *ret_runs, struct err *err)
{
    const struct pg_setting none = {"primary_conninfo", ""};
    struct pg_postmaster pm;

    pg_postmaster_find(pg, &pm);
    *ret_runs = pm.pid != 0 || pg_processes(pg, 0) > 0;
    if (*ret_runs)
        return 0;
    if (pg_conf_set(pg, &none, 1, err) != 0)
        return err->code;
    pg_postmaster_find(pg, &pm); /* somebody may have started it meanwhile */
    *ret_runs = pm.pid != 0 || pg_processes(pg, 0) > 0;
    return 0;
}

/* ---- a server that runs ---------------------------------------------------------------
 */

/* Asks until the answer is `wanted`. */
static int wait_for(struct pg *pg, const char *sql, const char *wanted, const char *what,
                    struct mono deadline, struct err *err)
{
    char answer[64];

    for (;;) {
        if (pg_ask(&pg->main, sql, deadline, answer, sizeof answer, err) != 0)
            return err_wrap(err, "%s", what);
        if (strcmp(answer, wanted) == 0)
            return 0;
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT, "%s: %s", what, answer);
        pg_pause(LOOK_AGAIN_US);
    }
}

/* A worker that was ended in the middle of a FOLLOW may have sent its ALTER SYSTEM: its
 * backend would carry it out behind ours. */
static int end_older_orders(struct pg *pg, struct mono deadline, struct err *err)
{
    return wait_for(
        pg,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
        " application_name = 'ringfence' AND pid <> pg_backend_pid() AND (query LIKE"
        " 'ALTER SYSTEM%' OR query = 'SELECT current_setting(''primary_conninfo'')')",
        "0", "sessions of an older step do not end", deadline, err);
}

/* The postmaster has read the new value, and has passed the signal on to all its processes:
 * it does so in one piece, and a session that was born with the value came behind it. One
 * that shows it may have been told itself, a moment before the startup process is. */
static int reload(struct pg *pg, struct mono deadline, struct err *err)
{
    static const char born_with[] =
        "SELECT current_setting('primary_conninfo') = '' AND pg_conf_load_time() <"
        " (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())";
    char answer[8];

    if (pg_exec(&pg->main, "ALTER SYSTEM SET primary_conninfo = ''", deadline, NULL, err) !=
            0 ||
        pg_exec(&pg->main, "SELECT pg_reload_conf()", deadline, NULL, err) != 0)
        return err_wrap(err, "primary_conninfo");
    for (;;) {
        pg_conn_close(&pg->main);
        if (pg_main(pg, deadline, err) != 0 ||
            pg_ask(&pg->main, born_with, deadline, answer, sizeof answer, err) != 0)
            return err_wrap(err, "primary_conninfo");
        if (answer[0] == 't')
            return 0;
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT,
                           "primary_conninfo does not become empty by ALTER SYSTEM and a "
                           "reload: take it out of the server's command line");
        pg_pause(LOOK_AGAIN_US);
    }
}

/* The startup process confirms a pause. It looks at its signals before each confirmation,
 * and in between two of them at least once. */
static int confirm_pause(struct pg *pg, struct mono deadline, struct err *err)
{
    if (pg_exec(&pg->main, "SELECT pg_wal_replay_resume()", deadline, NULL, err) != 0 ||
        pg_exec(&pg->main, "SELECT pg_wal_replay_pause()", deadline, NULL, err) != 0)
        return err_wrap(err, "the startup process");
    return wait_for(pg, "SELECT pg_get_wal_replay_pause_state()", "paused",
                    "the startup process does not answer", deadline, err);
}

/* So many confirmations, and then it goes on. */
static int confirm_pauses(struct pg *pg, unsigned n, struct mono deadline, struct err *err)
{
    while (n-- > 0)
        if (confirm_pause(pg, deadline, err) != 0)
            return err->code;
    return pg_exec(&pg->main, "SELECT pg_wal_replay_resume()", deadline, NULL, err);
}

static int receiver_is_gone(struct pg *pg, struct mono deadline, struct err *err)
{
    return wait_for(pg,
                    "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type ="
                    " 'walreceiver') + (SELECT count(*) FROM pg_stat_wal_receiver)",
                    "0", "the walreceiver does not end", deadline, err);
}

/* The walreceiver is asked for by the startup process alone, with the value that it has
 * read. It says when it has read the new one by nothing but what it does: so it is made to
 * confirm two pauses, of which the second lies behind its look at the signal. A receiver
 * that was just being born then is ended by it in its next round, which a third one lies
 * behind; nobody asks for another. */
static int cut(struct pg *pg, struct mono deadline, struct err *err)
{
    if (end_older_orders(pg, deadline, err) != 0 || reload(pg, deadline, err) != 0 ||
        confirm_pauses(pg, 2, deadline, err) != 0 ||
        receiver_is_gone(pg, deadline, err) != 0 ||
        confirm_pauses(pg, 1, deadline, err) != 0)
        return err->code;
    return receiver_is_gone(pg, deadline, err);
}

/* Whatever the outcome, the log that is there is replayed. */
static void go_on(struct pg *pg, bool paused)
{
    enum { RESTORE_MS = 500 };
    struct mono deadline = mono_plus_ms(mono_now(), RESTORE_MS);
    struct err err;

    if (pg_main(pg, deadline, &err) != 0 ||
        pg_exec(&pg->main,
                paused ? "SELECT pg_wal_replay_pause()" : "SELECT pg_wal_replay_resume()",
                deadline, NULL, &err) != 0)
        pg_conn_close(&pg->main); /* the promotion resumes it, too */
}

static int sever_running(struct pg *pg, struct mono deadline, struct err *err)
{
    char state[32];
    int status;

    if (pg_main(pg, deadline, err) != 0 ||
        pg_ask(&pg->main,
               "SELECT CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state()"
               " ELSE 'primary' END",
               deadline, state, sizeof state, err) != 0)
        return err->code;
    if (strcmp(state, "primary") == 0)
        return err_set(err, ERR_CONFLICT, "it is no standby: it follows nobody");
    status = cut(pg, deadline, err);
    go_on(pg, strcmp(state, "not paused") != 0);
    return status;
}

int pg_step_sever(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                  Rf__StepResult *out, struct err *err)
{
    struct pg_mark mark;
    bool runs = false;
    int status;

    if (pg_mark_read(pg, &mark, err) != 0)
        return err_wrap(err, "sever");
    if (mark.present || pg_data_absent(pg))
        return err_set(err, ERR_NOTFOUND, "sever: %s holds no complete standby",
                       pg->spec->data);
    pg_end_leftovers(pg);
    status = sever_down(pg, &runs, err);
    if (status == 0 && runs)
        status = sever_running(pg, deadline, err);
    if (status == ERR_CONFLICT)
        return err_wrap(err, "sever");
    if (status != 0)
        return err_set(err, ERR_UNKNOWN, "it may still take the log of %s as %s: %s",
                       rq->upstream != NULL ? rq->upstream->instance : "the primary",
                       rq->standby_name, err->text);
    out->severed = true;
    return 0;
}
