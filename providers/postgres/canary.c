#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "providers/postgres/observe.h"

/* A commit that is not answered within this time is looked at from the main session. */
enum { CANARY_PATIENCE_MS = 120 };

int pg_waits_sync(struct pg *pg, pid_t pid, struct mono deadline, bool *ret_waits,
                  struct err *err)
{
    char sql[128], event[64];

    snprintf(
        sql, sizeof sql,
        "SELECT coalesce((SELECT wait_event FROM pg_stat_activity WHERE pid = %d), '')",
        pid);
    if (pg_ask(&pg->main, sql, deadline, event, sizeof event, err) != 0)
        return err->code;
    *ret_waits = strcmp(event, "SyncRep") == 0;
    return 0;
}

static Rf__CanaryState send_canary(struct pg *pg, struct mono deadline, struct err *err)
{
    int status = pg_conn_open(pg, &pg->canary, PG_CANARY_OPTIONS, deadline, err);

    if (status != 0 && (pg->canary.why == PG_WHY_TOO_MANY || pg_is_denied(pg->canary.why)))
        return RF__CANARY_STATE__CANARY_NO_CONNECTION;
    if (status != 0)
        return RF__CANARY_STATE__CANARY_HUNG;
    pg->canary_pid = PQbackendPID(pg->canary.conn);
    if (pg_send(&pg->canary, PG_CANARY_SQL, err) != 0)
        return RF__CANARY_STATE__CANARY_HUNG;
    pg->canary_sent = true;
    return RF__CANARY_STATE__CANARY_OK;
}

/* A walsender that has just learned whom commits wait for (a join) releases them at its
 * standby's next answer; and while every commit waits, this canary too, there is nothing
 * that a standby would have to answer until its ten-second status. A commit that waits for
 * nobody gives it something. */
static void prod_standbys(struct pg *pg, struct mono deadline)
{
    struct err err;

    if (pg_exec(&pg->main, PG_CANARY_SQL, deadline, NULL, &err) != 0)
        return; /* no more than a help, and made again at the next look */
}

Rf__CanaryState pg_canary_look(struct pg *pg, struct mono deadline, struct err *err)
{
    struct mono patience = pg_within(deadline, CANARY_PATIENCE_MS);
    bool waits = false;
    int status;

    if (!pg->canary_sent) {
        Rf__CanaryState sent = send_canary(pg, patience, err);

        if (sent != RF__CANARY_STATE__CANARY_OK)
            return sent;
    }
    status = pg_answer(&pg->canary, patience, NULL, err);
    if (status == ERR_TIMEOUT) {
        /* One canary at a time: it stays out until it is answered, and counts then. */
        if (pg_waits_sync(pg, pg->canary_pid, deadline, &waits, err) != 0 || !waits)
            return RF__CANARY_STATE__CANARY_HUNG;
        prod_standbys(pg, deadline);
        return RF__CANARY_STATE__CANARY_WAITS_SYNC;
    }
    pg->canary_sent = false;
    if (status != 0)
        return RF__CANARY_STATE__CANARY_HUNG;
    /* A wait that was cancelled ends with success and a warning: not acknowledged (I9). */
    if (pg->canary.warned)
        return RF__CANARY_STATE__CANARY_WAITS_SYNC;
    pg->canary_ok = mono_now();
    return RF__CANARY_STATE__CANARY_OK;
}
