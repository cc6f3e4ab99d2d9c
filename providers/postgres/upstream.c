#include "providers/postgres/upstream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_AGAIN_US = 20000 };

int pg_upstream_conninfo(const struct pg *pg, const Rf__Upstream *up, const char *name,
                         const char *extra, char **ret_conninfo, struct err *err)
{
    AUTO(auto_free) char *host = pg_quote_conninfo(up->address);
    AUTO(auto_free) char *user = pg_quote_conninfo(pg->spec->replication_user);
    AUTO(auto_free) char *passfile = pg_quote_conninfo(pg->spec->passfile);
    AUTO(auto_free) char *app = pg_quote_conninfo(name);
    bool have_passfile = pg->spec->passfile[0] != '\0';

    if (up->address[0] == '\0' || up->port == 0 || up->port > 65535)
        return err_set(err, ERR_INVAL, "upstream '%s' has no address and port",
                       up->instance);
    if (host == NULL || user == NULL || passfile == NULL || app == NULL ||
        asprintf(ret_conninfo,
                 "host=%s port=%" PRIu32 " user=%s application_name=%s%s%s"
                 " connect_timeout=2 keepalives=1 keepalives_idle=1"
                 " keepalives_interval=1 keepalives_count=3 sslmode=prefer"
                 " gssencmode=disable%s%s",
                 host, up->port, user, app, have_passfile ? " passfile=" : "",
                 have_passfile ? passfile : "", extra[0] != '\0' ? " " : "", extra) < 0)
        return err_set(err, ERR_NOMEM, "connection string");
    return 0;
}

static void close_conn(struct pg_conn *c) { pg_conn_close(c); }

static int dial(struct pg *pg, const Rf__Upstream *up, const char *extra,
                struct mono deadline, struct pg_conn *c, struct err *err)
{
    AUTO(auto_free) char *conninfo = NULL;
    const char *user = pg->spec->replication_user;

    if (pg_upstream_conninfo(pg, up, "ringfence", extra, &conninfo, err) != 0)
        return err->code;
    if (pg_conn_dial(pg, c, conninfo, deadline, err) == 0)
        return 0;
    if (c->why == PG_WHY_PASSWORD)
        return err_set(
            err, ERR_REFUSED,
            "upstream %s (%s:%" PRIu32 ") does not let user %s in: that needs \"%s:%" PRIu32
            ":*:%s:PASSWORD\" in the passfile '%s' here, a line in pg_hba.conf there, and "
            "the role (CREATE ROLE %s LOGIN REPLICATION PASSWORD '...'): `ringfence "
            "doctor` "
            "there says what is missing (%s)",
            up->instance, up->address, up->port, user, up->address, up->port, user,
            pg->spec->passfile, user, err->text);
    return err_wrap(err, "upstream %s (%s:%" PRIu32 ")", up->instance, up->address,
                    up->port);
}

static int read_history(struct pg_conn *c, struct mono deadline, struct pg_upstream *up,
                        struct err *err)
{
    AUTO(pg_clear) PGresult *r = NULL;
    char command[64];

    if (up->timeline == 1)
        return 0;
    snprintf(command, sizeof command, "TIMELINE_HISTORY %" PRIu32, up->timeline);
    if (pg_exec(c, command, deadline, &r, err) != 0)
        return err->code;
    if (PQntuples(r) != 1 || PQnfields(r) != 2)
        return err_set(err, ERR_BADMSG, "%s: not understood", command);
    return pg_history_parse(PQgetvalue(r, 0, 1), &up->history, err);
}

int pg_upstream_look(struct pg *pg, const Rf__Upstream *up, struct mono deadline,
                     struct pg_upstream *ret, struct err *err)
{
    AUTO(close_conn) struct pg_conn c = {0};
    AUTO(pg_clear) PGresult *r = NULL;
    struct pg_upstream seen = {0};

    if (dial(pg, up, "replication=true", deadline, &c, err) != 0 ||
        pg_exec(&c, "IDENTIFY_SYSTEM", deadline, &r, err) != 0)
        return err->code;
    if (PQntuples(r) != 1 || PQnfields(r) < 3 ||
        !pg_lsn_parse(PQgetvalue(r, 0, 2), &seen.flushed))
        return err_set(err, ERR_BADMSG, "IDENTIFY_SYSTEM: not understood");
    seen.system_id = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
    seen.timeline = (uint32_t)strtoul(PQgetvalue(r, 0, 1), NULL, 10);
    if (seen.timeline == 0)
        return err_set(err, ERR_BADMSG, "IDENTIFY_SYSTEM: timeline 0");
    if (up->system_id != 0 && up->system_id != seen.system_id)
        return err_set(err, ERR_PEER,
                       "upstream %s (%s:%" PRIu32 ") has system identifier %" PRIu64
                       ", the group's is %" PRIu64 ": another cluster answers there; check "
                       "address and port",
                       up->instance, up->address, up->port, seen.system_id, up->system_id);
    if (read_history(&c, deadline, &seen, err) != 0)
        return err_wrap(err, "upstream %s", up->instance);
    *ret = seen;
    return 0;
}

/* Names end in the segment's number, whatever their timeline: sixteen digits, which order
 * as text. Of a position at a segment's very begin pg_walfile_name() names the one before.
 */
int pg_upstream_has(struct pg *pg, const Rf__Upstream *up, uint64_t lsn,
                    struct mono deadline, bool *ret_has, struct err *err)
{
    AUTO(close_conn) struct pg_conn c = {0};
    char position[PG_LSN_TEXT], sql[256], answer[8];
    int status;

    *ret_has = true;
    pg_lsn_format(lsn, position);
    snprintf(sql, sizeof sql,
             "SELECT count(*) > 0 FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' AND "
             "right(name, 16) <= right(pg_walfile_name('%s'::pg_lsn + 1), 16)",
             position);
    status = dial(pg, up, "dbname=postgres", deadline, &c, err);
    if (status == 0)
        status = pg_ask(&c, sql, deadline, answer, sizeof answer, err);
    if (status == ERR_REFUSED)
        return 0;
    if (status != 0)
        return err_wrap(err, "upstream %s", up->instance);
    *ret_has = answer[0] == 't';
    return 0;
}

int pg_upstream_settle(struct pg *pg, const Rf__Upstream *up, uint32_t timeline,
                       struct mono deadline, struct err *err)
{
    AUTO(close_conn) struct pg_conn c = {0};
    char shown[16];

    if (dial(pg, up, "dbname=postgres", deadline, &c, err) != 0)
        return err->code;
    for (bool asked = false;; asked = true) {
        if (pg_ask(&c, "SELECT timeline_id FROM pg_control_checkpoint()", deadline, shown,
                   sizeof shown, err) != 0)
            return err_wrap(err, "upstream %s", up->instance);
        if (strtoul(shown, NULL, 10) >= timeline)
            return 0;
        /* May be refused; then its agent's own checkpoint is what we wait for. */
        if (!asked && pg_exec(&c, "CHECKPOINT", deadline, NULL, err) != 0 &&
            err->code != ERR_REFUSED)
            return err_wrap(err, "checkpoint on upstream %s", up->instance);
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT,
                           "upstream %s has made no checkpoint on timeline "
                           "%" PRIu32 " yet",
                           up->instance, timeline);
        pg_pause(LOOK_AGAIN_US);
    }
}

void pg_upstream_nudge(struct pg *pg, const Rf__Upstream *up, struct mono deadline)
{
    AUTO(close_conn) struct pg_conn c = {0};
    struct err err;

    /* Committed, so that it is flushed; locally, so that it waits for nobody. */
    if (dial(pg, up, "dbname=postgres options='-c synchronous_commit=local'", deadline, &c,
             &err) == 0 &&
        pg_exec(&c, "SELECT pg_logical_emit_message(true, 'ringfence', 'rewound')",
                deadline, NULL, &err) != 0)
        pg_conn_close(&c);
}
