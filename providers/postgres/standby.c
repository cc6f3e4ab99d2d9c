#include "providers/postgres/standby.h"

#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "controller/base/assert.h"
#include "providers/postgres/files.h"
#include "providers/postgres/names.h"
#include "providers/postgres/process.h"
#include "providers/postgres/sync.h"
#include "providers/postgres/upstream.h"

enum { LOOK_AGAIN_US = 5000, SEEN_AGAIN_US = 50000 };

static int make_settings(const struct pg *pg, const Rf__StepRequest *rq,
                         char **ret_conninfo, char **ret_names, struct err *err)
{
    char *blocking[] = {rq->blocking_name};

    if (pg_names_format(blocking, rq->blocking_name[0] != '\0' ? 1 : 0, ret_names, err) !=
        0)
        return err->code;
    return pg_upstream_conninfo(pg, rq->upstream, rq->standby_name, "", ret_conninfo, err);
}

int pg_standby_write(struct pg *pg, const Rf__StepRequest *rq, struct err *err)
{
    AUTO(auto_free) char *conninfo = NULL;
    AUTO(auto_free) char *names = NULL;
    AUTO(auto_free) char *signal_file = pg_path(pg, "standby.signal");

    if (signal_file == NULL)
        return err_set(err, ERR_NOMEM, "path");
    if (make_settings(pg, rq, &conninfo, &names, err) != 0)
        return err->code;

    const struct pg_setting settings[] = {
        {"primary_conninfo", conninfo},
        {"synchronous_standby_names", names},
        {"recovery_target_timeline", "latest"},
        {"recovery_target", NULL},
        {"recovery_target_lsn", NULL},
        {"recovery_target_name", NULL},
        {"recovery_target_time", NULL},
        {"recovery_target_xid", NULL},
        /* The default of five seconds is for how long writes in `strict` would go on
         * waiting for a standby whose link is whole again. */
        {"wal_retrieve_retry_interval", "500ms"},
    };

    if (pg_conf_set(pg, settings, ARRAY_LEN(settings), err) != 0)
        return err->code;
    return pg_file_write(pg, signal_file, "", err);
}

int pg_standby_reload(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                      struct err *err)
{
    AUTO(auto_free) char *conninfo = NULL;
    AUTO(auto_free) char *names = NULL;
    AUTO(auto_free) char *sql = NULL;
    char shown[2048];
    char *literal;
    bool severed;
    int n;

    if (make_settings(pg, rq, &conninfo, &names, err) != 0 ||
        pg_ask(&pg->main, "SELECT current_setting('primary_conninfo')", deadline, shown,
               sizeof shown, err) != 0)
        return err->code;
    ASSERT(conninfo != NULL);
    severed = shown[0] == '\0';
    if (strcmp(shown, conninfo) != 0) {
        literal = PQescapeLiteral(pg->main.conn, conninfo, strlen(conninfo));
        n = asprintf(&sql, "ALTER SYSTEM SET primary_conninfo = %s",
                     literal != NULL ? literal : "''");
        PQfreemem(literal);
        if (n < 0) {
            sql = NULL;
            return err_set(err, ERR_NOMEM, "primary_conninfo");
        }
        if (pg_exec(&pg->main, sql, deadline, NULL, err) != 0)
            return err_wrap(err, "primary_conninfo");
    }
    /* Reloads, for both. */
    if (pg_names_apply(pg, names, deadline, err) != 0)
        return err->code;
    /* I11: a worker that was ended in the midst of severing (sever.c) has left replay
     * paused, and a startup process that pauses starts no walreceiver. An owner's pause
     * under a stream stays; one from before the severing cannot be told apart, and ends. */
    return severed
               ? pg_exec(&pg->main, "SELECT pg_wal_replay_resume()", deadline, NULL, err)
               : 0;
}

/* What will not stream, however long one waits: a server that has ended, or was promoted by
 * hand meanwhile. */
static int still_a_standby(struct pg *pg, const char *status, struct err *err)
{
    struct pg_postmaster pm;

    if (strcmp(status, "promoted") == 0)
        return err_set(err, ERR_CONFLICT, "it was promoted meanwhile, by hand perhaps");
    if (pg->main.ready)
        return 0;
    pg_postmaster_find(pg, &pm);
    return pm.pid != 0 ? 0
                       : err_set(err, ERR_CLOSED, "the server has ended; %s.log tells more",
                                 pg->spec->data);
}

/* A walreceiver says `streaming` before it has asked for anything, and is gone a moment
 * later where it is refused (a slot or a segment that is not there): so it is looked at
 * twice. */
int pg_standby_wait_streaming(struct pg *pg, struct mono deadline, struct err *err)
{
    static const char sql[] =
        "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 'promoted' ELSE coalesce((SELECT "
        "CASE status WHEN 'streaming' THEN pid::text ELSE status END FROM "
        "pg_stat_wal_receiver), 'no walreceiver') END";
    char status[64] = "no session", first[64] = "";

    for (;;) {
        if (pg_main(pg, deadline, err) == 0 &&
            pg_ask(&pg->main, sql, deadline, status, sizeof status, err) == 0 &&
            status[0] >= '1' && status[0] <= '9') {
            if (strcmp(status, first) == 0)
                return 0;
            snprintf(first, sizeof first, "%s", status);
            snprintf(status, sizeof status, "refused by its upstream");
            pg_pause(SEEN_AGAIN_US);
        }
        if (still_a_standby(pg, status, err) != 0)
            return err->code;
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT, "%s; %s.log tells more", status,
                           pg->spec->data);
        pg_pause(LOOK_AGAIN_US);
    }
}
