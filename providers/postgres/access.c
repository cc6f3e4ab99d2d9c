/* Who is let in: the role that replicates, and pg_hba.conf for the hosts it comes from. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/postgres/checks.h"
#include "providers/postgres/passfile.h"

/* ---- the role -------------------------------------------------------------------------
 */

#define REWIND_FUNCTIONS                                                                   \
    "pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), "                     \
    "pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean)"

static const char role_sql[] =
    "SELECT r.rolreplication OR r.rolsuper, r.rolsuper OR ("
    " has_function_privilege(r.oid, 'pg_ls_dir(text, boolean, boolean)', 'EXECUTE') AND"
    " has_function_privilege(r.oid, 'pg_stat_file(text, boolean)', 'EXECUTE') AND"
    " has_function_privilege(r.oid, 'pg_read_binary_file(text)', 'EXECUTE') AND"
    " has_function_privilege(r.oid, 'pg_read_binary_file(text, bigint, bigint, boolean)',"
    " 'EXECUTE')) FROM pg_roles r WHERE r.rolname = %s";

void pg_check_role(struct pg *pg, struct mono deadline, Rf__ProviderReply *reply)
{
    static const char check[] = "replication_user";
    AUTO(pg_clear) PGresult *r = NULL;
    char statement[900];
    const char *user = pg->spec->replication_user;
    char *literal = PQescapeLiteral(pg->main.conn, user, strlen(user));
    struct err err;

    snprintf(statement, sizeof statement, role_sql, literal != NULL ? literal : "''");
    PQfreemem(literal);
    if (pg_exec(&pg->main, statement, deadline, &r, &err) != 0)
        pg_find(reply, check, "fail", "could not be read: %s", err.text);
    else if (PQntuples(r) == 0)
        pg_find(reply, check, "fail",
                "role %s does not exist: on the primary, CREATE ROLE %s LOGIN REPLICATION "
                "PASSWORD '...' (that of the other hosts' passfile); GRANT pg_monitor, "
                "pg_checkpoint TO %s; GRANT EXECUTE ON FUNCTION " REWIND_FUNCTIONS " TO %s",
                user, user, user, user);
    else if (PQgetvalue(r, 0, 0)[0] != 't')
        pg_find(reply, check, "fail",
                "role %s is not allowed to replicate: ALTER ROLE %s REPLICATION", user,
                user);
    else if (PQgetvalue(r, 0, 1)[0] != 't')
        pg_find(reply, check, "fail",
                "role %s cannot be used by pg_rewind: GRANT EXECUTE ON "
                "FUNCTION " REWIND_FUNCTIONS " TO %s",
                user, user);
    else
        pg_find(reply, check, "ok", "%s", user);
}

/* ---- pg_hba.conf ----------------------------------------------------------------------
 */

/* As the server goes through it: the first line that fits decides. The agents connect with
 * sslmode=prefer, so either kind of connection does. Of a host name, samehost and samenet
 * nobody can tell from here whom they let in ("unsure"). $1 an address, $2 a database or
 * replication (which `all` does not mean), $3 a role. */
static const char hba_sql[] =
    "WITH asked AS (SELECT %s::inet AS ip, %s::text AS db, %s::text AS usr), rules AS ("
    "SELECT row_number() OVER () AS n, type, auth_method <> 'reject' AS lets_in,"
    " CASE WHEN address = 'all' THEN 'yes' WHEN netmask IS NULL THEN 'unsure'"
    " WHEN family(address::inet) <> family(ip) THEN 'no'"
    " WHEN (address::inet & netmask::inet) = (ip & netmask::inet) THEN 'yes' ELSE 'no' END"
    " AS fits FROM pg_hba_file_rules, asked WHERE error IS NULL AND type LIKE 'host%%'"
    " AND (db = ANY (database) OR db <> 'replication' AND 'all' = ANY (database))"
    " AND (usr = ANY (user_name) OR 'all' = ANY (user_name) OR EXISTS ("
    "SELECT FROM pg_roles r, pg_roles m, unnest(user_name) u WHERE r.rolname = usr"
    " AND u = '+' || m.rolname AND pg_has_role(r.oid, m.oid, 'member'))))"
    " SELECT coalesce((SELECT bool_or(lets_in) FROM (SELECT DISTINCT ON (kind) lets_in"
    " FROM rules, (VALUES ('hostssl'), ('hostnossl')) kinds (kind)"
    " WHERE fits = 'yes' AND type IN ('host', kind)"
    " AND (kind <> 'hostssl' OR current_setting('ssl') = 'on') ORDER BY kind, n) d), "
    "false),"
    " EXISTS (SELECT FROM rules WHERE fits = 'unsure' AND lets_in),"
    " current_setting('hba_file'),"
    " starts_with(current_setting('hba_file'), current_setting('data_directory') || '/'),"
    " (SELECT 'line ' || line_number || ': ' || error FROM pg_hba_file_rules"
    " WHERE error IS NOT NULL LIMIT 1)";

static int ask_hba(struct pg *pg, const char *address, const char *database,
                   struct mono deadline, PGresult **ret, struct err *err)
{
    const char *user = pg->spec->replication_user;
    char *ip = PQescapeLiteral(pg->main.conn, address, strlen(address));
    char *role = PQescapeLiteral(pg->main.conn, user, strlen(user));
    char *db = PQescapeLiteral(pg->main.conn, database, strlen(database));
    char *sql = NULL;
    int status;

    if (ip == NULL || role == NULL || db == NULL ||
        asprintf(&sql, hba_sql, ip, db, role) < 0)
        status = err_set(err, ERR_NOMEM, "question about pg_hba.conf");
    else
        status = pg_exec(&pg->main, sql, deadline, ret, err);
    free(sql);
    PQfreemem(ip);
    PQfreemem(role);
    PQfreemem(db);
    return status;
}

/* What a missing line costs: nothing now, and the standby after the next move. */
static void say_shut_out(const struct pg *pg, const char *file, const char *database,
                         const char *address, bool own, Rf__ProviderReply *reply)
{
    pg_find(reply, "pg_hba", "fail",
            "%s does not let %s into %s from %s, %s: add \"host replication,postgres %s "
            "%s/%d scram-sha-256\" and reload (on the primary too: copies carry its file)",
            file, pg->spec->replication_user, database, address,
            own ? "this host's own address, which a copy of this server needs in its file "
                  "once it leads"
                : "the other side, which could not follow this server once it leads",
            pg->spec->replication_user, address, strchr(address, ':') != NULL ? 128 : 32);
}

static bool check_database(struct pg *pg, const char *address, const char *database,
                           bool own, struct mono deadline, Rf__ProviderReply *reply)
{
    AUTO(pg_clear) PGresult *r = NULL;
    const char *file;
    struct err err;

    if (ask_hba(pg, address, database, deadline, &r, &err) != 0) {
        pg_find(reply, "pg_hba", "fail", "could not be read: %s", err.text);
        return false;
    }
    file = PQgetvalue(r, 0, 2);
    if (PQgetvalue(r, 0, 4)[0] != '\0') {
        pg_find(reply, "pg_hba", "fail",
                "%s has a mistake, and the server goes on with what it read before, or "
                "does not start: %s",
                file, PQgetvalue(r, 0, 4));
        return false;
    }
    if (own && PQgetvalue(r, 0, 3)[0] != 't')
        return true; /* outside of the data directory: no copy carries it */
    if (PQgetvalue(r, 0, 0)[0] == 't')
        return true;
    if (PQgetvalue(r, 0, 1)[0] == 't')
        pg_find(reply, "pg_hba", "warn",
                "%s lets %s into %s from %s by a name, samehost or samenet only, which "
                "cannot be judged from here: a line with the address is safer",
                file, pg->spec->replication_user, database, address);
    else
        say_shut_out(pg, file, database, address, own, reply);
    return false;
}

void pg_check_hba(struct pg *pg, const char *address, struct mono deadline,
                  Rf__ProviderReply *reply)
{
    const bool own = strcmp(address, pg->spec->address) == 0;
    unsigned char ip[sizeof(struct in6_addr)];
    struct err err;

    if (inet_pton(AF_INET, address, ip) != 1 && inet_pton(AF_INET6, address, ip) != 1)
        return; /* a name: whom it means is not known here */
    if (pg_main(pg, deadline, &err) != 0)
        return; /* "session" says so */
    /* pg_rewind reads through a session in the database postgres. */
    if (check_database(pg, address, "replication", own, deadline, reply) &&
        check_database(pg, address, "postgres", own, deadline, reply))
        pg_find(reply, "pg_hba", "ok", "lets %s in from %s%s", pg->spec->replication_user,
                address, own ? ", this host's own address, for copies of it" : "");
}

/* ---- the passfile ---------------------------------------------------------------------
 */

void pg_check_pass(const struct pg *pg, const char *address_port, Rf__ProviderReply *reply)
{
    const char *space = strchr(address_port, ' ');
    const char *user = pg->spec->replication_user, *file = pg->spec->passfile;
    struct pg_passfile seen;
    char address[64];

    if (space == NULL || file[0] == '\0')
        return;
    snprintf(address, sizeof address, "%.*s", (int)(space - address_port), address_port);
    if (pg_passfile_look(&seen, file, address, (uint32_t)strtoul(space, NULL, 10), user,
                         NULL) != 0)
        return; /* "passfile" says so */
    if (seen.fits)
        pg_find(reply, "passfile_line", "ok", "%s has a line for %s port%s", file, address,
                space);
    else
        pg_find(reply, "passfile_line", "fail",
                "%s has no line for %s at %s port%s, and this side cannot follow that one: "
                "add \"%s:%s:*:%s:PASSWORD\" (or name no passfile, if none is asked for)",
                file, user, address, space, address, space + 1, user);
}
