#include "providers/postgres/commit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"

enum { LOOK_AGAIN_US = 1000, RELOAD_MS = 3000 };

/* reset_val is what a new session of ours would get, since ours is lowered by SET, not by
 * its startup options. Where our own role or database has an override, that would be shown
 * instead; then the files say it (a command line that outweighs them is not seen by this
 * rare way, and by the other). */
const char pg_commit_effective[] =
    "SELECT lower(CASE WHEN EXISTS (SELECT FROM pg_db_role_setting o"
    " CROSS JOIN LATERAL unnest(o.setconfig) v"
    " WHERE split_part(v, '=', 1) = 'synchronous_commit'"
    " AND o.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))"
    " AND o.setdatabase IN"
    "  (0, (SELECT oid FROM pg_database WHERE datname = current_database())))"
    " THEN coalesce((SELECT setting FROM pg_file_settings WHERE name ="
    "  'synchronous_commit' AND applied ORDER BY seqno DESC LIMIT 1), 'on')"
    " ELSE (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') END)";

static const char LOWERED[] =
    "SELECT coalesce(string_agg(what, '; '), ''), coalesce(string_agg(mend, '; '), '')"
    " FROM (SELECT coalesce('role ' || r.rolname, 'every role') || ' in '"
    "  || coalesce(d.datname, 'every database') || ': ' || split_part(c, '=', 2) AS what,"
    " CASE WHEN s.setrole = 0 AND s.setdatabase = 0 THEN 'ALTER ROLE ALL'"
    "  WHEN s.setrole = 0 THEN format('ALTER DATABASE %I', d.datname)"
    "  WHEN s.setdatabase = 0 THEN format('ALTER ROLE %I', r.rolname)"
    "  ELSE format('ALTER ROLE %I IN DATABASE %I', r.rolname, d.datname) END"
    "  || ' RESET synchronous_commit' AS mend" PG_COMMIT_LOWERED
    " ORDER BY s.setrole, s.setdatabase LIMIT 2) lowered";

bool pg_commit_waits(const char *value)
{
    return strcmp(value, "on") == 0 || strcmp(value, "remote_apply") == 0 ||
           strcmp(value, "true") == 0 || strcmp(value, "yes") == 0 ||
           strcmp(value, "1") == 0;
}

/* Of roles and databases; "" for none. */
static int look_lowered(struct pg *pg, struct mono deadline, char text[PG_COMMIT_TEXT],
                        struct err *err)
{
    AUTO(pg_clear) PGresult *r = NULL;

    text[0] = '\0';
    if (pg_exec(&pg->main, LOWERED, deadline, &r, err) != 0)
        return err->code;
    if (PQntuples(r) == 1 && PQgetvalue(r, 0, 0)[0] != '\0')
        snprintf(text, PG_COMMIT_TEXT,
                 "synchronous_commit is lowered (%.120s): such commits do not wait for the "
                 "members: %.190s",
                 PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1));
    return 0;
}

int pg_commit_look(struct pg *pg, struct mono deadline, char text[PG_COMMIT_TEXT],
                   struct err *err)
{
    char value[32];

    text[0] = '\0';
    if (pg_ask(&pg->main, pg_commit_effective, deadline, value, sizeof value, err) != 0)
        return err->code;
    if (pg_commit_waits(value))
        return look_lowered(pg, deadline, text, err);
    snprintf(text, PG_COMMIT_TEXT,
             "synchronous_commit is %s: commits do not wait for the members' flush: ALTER "
             "SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf()",
             value);
    return 0;
}

/* Until our session, which reads the files as any other does, has the new value. */
static int wait_in_force(struct pg *pg, struct mono deadline, struct err *err)
{
    char value[32];

    for (;;) {
        if (pg_ask(&pg->main, pg_commit_effective, deadline, value, sizeof value, err) != 0)
            return err->code;
        if (pg_commit_waits(value))
            return 0;
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_REFUSED,
                           "synchronous_commit stays %s after ALTER SYSTEM SET "
                           "synchronous_commit = on and a reload: take it out of the "
                           "server's command line (postgres.options, its unit) and "
                           "restart, or mend its files (SELECT * FROM pg_file_settings "
                           "WHERE error IS NOT NULL)",
                           value);
        pg_pause(LOOK_AGAIN_US);
    }
}

static int raise_value(struct pg *pg, struct mono deadline, struct err *err)
{
    /* First: whatever happens from here on, the next try waits for the statements too. */
    pg->commit_raised[0] = '\0';
    pg->commit_undrained = true;
    if (pg_exec(&pg->main, "ALTER SYSTEM SET synchronous_commit = 'on'", deadline, NULL,
                err) != 0 ||
        pg_exec(&pg->main, "SELECT pg_reload_conf()", deadline, NULL, err) != 0)
        return err_wrap(err, "set synchronous_commit");
    return wait_in_force(pg, pg_within(deadline, RELOAD_MS), err);
}

/* A session takes new settings between two statements. One that has been running since
 * before commits with what it began with, acknowledged alone, perhaps after the member has
 * joined: I8 would be broken behind our back. One that already waits for a standby is not
 * among them. */
static int drain(struct pg *pg, struct mono deadline, struct err *err)
{
    char sql[400], pid[16];

    if (pg->commit_raised[0] == '\0') {
        if (pg_ask(&pg->main, "SELECT clock_timestamp()", deadline, pg->commit_raised,
                   sizeof pg->commit_raised, err) != 0)
            return err->code;
        /* One that read its statement just before the reload came shows as active by
         * now. */
        pg_pause(10 * LOOK_AGAIN_US);
    }
    snprintf(sql, sizeof sql,
             "SELECT coalesce(min(pid), 0) FROM pg_stat_activity WHERE backend_type ="
             " 'client backend' AND pid <> pg_backend_pid() AND state IN ('active',"
             " 'fastpath function call') AND query_start <= '%s'"
             " AND wait_event IS DISTINCT FROM 'SyncRep'",
             pg->commit_raised);
    for (;;) {
        if (pg_ask(&pg->main, sql, deadline, pid, sizeof pid, err) != 0)
            return err->code;
        if (strcmp(pid, "0") == 0) {
            pg->commit_undrained = false;
            return 0;
        }
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT,
                           "synchronous_commit was raised to on, and a statement that "
                           "began before may still commit without waiting: let it end, or "
                           "SELECT pg_cancel_backend(%s)",
                           pid);
        pg_pause(LOOK_AGAIN_US);
    }
}

int pg_commit_require(struct pg *pg, struct mono deadline, bool *ret_raised,
                      struct err *err)
{
    char text[PG_COMMIT_TEXT], value[32];

    *ret_raised = false;
    /* What we cannot mend comes first: it would be in vain to raise the rest. */
    if (look_lowered(pg, deadline, text, err) != 0)
        return err->code;
    if (text[0] != '\0')
        return err_set(err, ERR_REFUSED, "%s", text);
    if (pg_ask(&pg->main, pg_commit_effective, deadline, value, sizeof value, err) != 0)
        return err->code;
    if (!pg_commit_waits(value) && raise_value(pg, deadline, err) != 0)
        return err->code;
    if (!pg->commit_undrained)
        return 0;
    *ret_raised = true;
    return drain(pg, pg_within(deadline, (uint32_t)pg_left_ms(deadline) / 2), err);
}

void pg_commit_try(struct pg *pg, struct mono deadline)
{
    struct mono end = pg_within(deadline, (uint32_t)pg_left_ms(deadline) / 4);
    char value[32];
    struct err err;

    if (pg_ask(&pg->main, pg_commit_effective, end, value, sizeof value, &err) == 0 &&
        !pg_commit_waits(value))
        (void)raise_value(pg, end, &err);
}
