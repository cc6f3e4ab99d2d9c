#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "providers/postgres/pg.h"
#include "providers/postgres/process.h"
#include "providers/postgres/text.h"
#include "providers/worker.h"

/* Settings of every session of ours: they win over what a role or a database sets. */
#define MAIN_OPTIONS                                                                       \
    "-c statement_timeout=0 -c lock_timeout=0 "                                            \
    "-c default_transaction_read_only=off -c idle_session_timeout=0"
/* Not among the options: those would hide the server's value in pg_settings (commit.c). */
#define MAIN_COMMITS_ALONE "SET synchronous_commit = local"

/* A statement gets this long even at the end of a deadline: who polls would else lose the
 * session with the last look. */
enum { STATEMENT_LEAST_MS = 100 };

int pg_left_ms(struct mono deadline)
{
    uint64_t left = mono_since_ns(mono_now(), deadline);

    return (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

struct mono pg_within(struct mono deadline, uint32_t ms)
{
    struct mono other = mono_plus_ms(mono_now(), ms);

    return other.ns < deadline.ns ? other : deadline;
}

void pg_pause(unsigned us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

    ppoll(NULL, 0, &t, NULL);
}

void pg_clear(PGresult **result)
{
    PQclear(*result);
    *result = NULL;
}

void pg_conn_close(struct pg_conn *c)
{
    enum pg_why why = c->why;

    if (c->conn != NULL)
        PQfinish(c->conn);
    *c = (struct pg_conn){.why = why};
}

static void on_notice(void *owner, const PGresult *result)
{
    struct pg_conn *c = owner;

    (void)result;
    c->warned = true;
}

/* False when nothing came until the deadline. */
static bool wait_socket(const struct pg_conn *c, short events, struct mono deadline)
{
    struct pollfd p = {.fd = PQsocket(c->conn), .events = events};
    int left = pg_left_ms(deadline);
    int n = poll(&p, 1, left);

    return n > 0 || (n < 0 && errno == EINTR);
}

/* "FATAL:  28000: ...": the server itself has spoken, not libpq. */
static bool has_sqlstate(const char *text)
{
    static const char set[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (text = strstr(text, ":  "); text != NULL; text = strstr(text + 1, ":  "))
        if (strspn(text + 3, set) == 5 && text[8] == ':')
            return true;
    return false;
}

/* What a failed attempt says. The text is the server's and may be in any language, so
 * only the SQLSTATE, which PQERRORS_VERBOSE puts into it, is looked at. */
static enum pg_why why_failed(PGconn *conn)
{
    const char *text = PQerrorMessage(conn);

    if (strstr(text, " 57P03:") != NULL)
        return PG_WHY_NOT_NOW;
    if (strstr(text, " 53300:") != NULL)
        return PG_WHY_TOO_MANY;
    if (PQconnectionNeedsPassword(conn) || PQconnectionUsedPassword(conn) ||
        strstr(text, " 28P01:") != NULL || strstr(text, " 28000:") != NULL)
        return PG_WHY_PASSWORD;
    if (strstr(text, " 3D000:") != NULL || strstr(text, " 42501:") != NULL ||
        strstr(text, " 55000:") != NULL)
        return PG_WHY_DENIED;
    return has_sqlstate(text) ? PG_WHY_OTHER : PG_WHY_NO_SERVER;
}

static void trim(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        text[--len] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
}

static int fail_libpq(struct err *err, int code, const char *what, PGconn *conn)
{
    char text[300];

    snprintf(text, sizeof text, "%s", PQerrorMessage(conn));
    if (strstr(text, "\nLOCATION:") != NULL)
        *strstr(text, "\nLOCATION:") = '\0';
    trim(text);
    return err_set(err, code, "%s: %s", what, text);
}

static int fail_attempt(struct pg_conn *c, struct err *err)
{
    int code = ERR_REFUSED;

    c->why = why_failed(c->conn);
    if (c->why == PG_WHY_NO_SERVER)
        code = ERR_NOTFOUND;
    (void)fail_libpq(err, code, "connect", c->conn);
    pg_conn_close(c);
    return code;
}

/* Peer authentication looks at who connects: the server's user, not root. connect() is
 * called by PQconnectStart() already for a Unix socket, by PQconnectPoll() for others. */
static int become(const struct pg *pg, struct err *err)
{
    if (geteuid() != 0)
        return 0;
    if (setegid(pg->gid) != 0 || seteuid(pg->uid) != 0)
        return err_errno(err, errno, "become user %s", pg->user);
    return 0;
}

static void become_root(void)
{
    /* Cannot fail: the saved user is root. Failing here would leave us unable to go on. */
    if (getuid() == 0 && (seteuid(0) != 0 || setegid(0) != 0))
        abort();
    provider_worker_rearm();
}

/* Goes on with an attempt until it is a session, fails, or the deadline passes. */
static int attempt(struct pg_conn *c, struct mono deadline, struct err *err)
{
    ConnStatusType was = PQstatus(c->conn);
    PostgresPollingStatusType next = was == CONNECTION_STARTED || was == CONNECTION_MADE
                                         ? PGRES_POLLING_WRITING
                                         : PGRES_POLLING_READING;

    if (was == CONNECTION_BAD)
        return fail_attempt(c, err);
    while (next != PGRES_POLLING_OK) {
        short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;

        if (!wait_socket(c, events, deadline)) {
            c->why = PG_WHY_NO_ANSWER;
            return err_set(err, ERR_TIMEOUT, "connect: accepted, but no answer in time");
        }
        next = PQconnectPoll(c->conn);
        if (next == PGRES_POLLING_FAILED)
            return fail_attempt(c, err);
    }
    c->ready = true;
    c->why = PG_WHY_NONE;
    PQsetnonblocking(c->conn, 1);
    PQsetErrorVerbosity(c->conn, PQERRORS_DEFAULT);
    PQsetNoticeReceiver(c->conn, on_notice, c);
    return 0;
}

/* A server that runs, but whose socket cannot be reached or was removed from its directory;
 * libpq tells that from one that does not listen in its prose only. */
static bool socket_is_barred(const struct pg *pg)
{
    char dir[256], port[16], path[300];

    pg_socket_of(pg, dir, sizeof dir, port, sizeof port);
    snprintf(path, sizeof path, "%s/.s.PGSQL.%s", dir, port);
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0 &&
           (errno == EACCES || errno == ENOENT);
}

bool pg_is_denied(enum pg_why why)
{
    return why == PG_WHY_PASSWORD || why == PG_WHY_DENIED;
}

static int finish_as_user(struct pg *pg, struct pg_conn *c, bool local,
                          struct mono deadline, struct err *err)
{
    int status;

    if (become(pg, err) != 0) {
        become_root();
        return err->code;
    }
    status = attempt(c, deadline, err);
    if (status != 0 && local && c->why == PG_WHY_NO_SERVER && socket_is_barred(pg)) {
        c->why = PG_WHY_DENIED;
        status = err->code = ERR_REFUSED;
    }
    become_root();
    return status;
}

static int start_local(struct pg *pg, struct pg_conn *c, const char *options,
                       struct err *err)
{
    char dir[256], port[16];
    const char *keys[] = {"host",    "port",       "user",
                          "dbname",  "passfile",   "application_name",
                          "options", "gssencmode", "client_encoding",
                          NULL};
    const char *values[] = {
        dir,         port,    pg->spec->superuser, "postgres", pg->spec->passfile,
        "ringfence", options, "disable",           "UTF8",     NULL};

    if (values[2][0] == '\0')
        values[2] = pg->user;
    pg_socket_of(pg, dir, sizeof dir, port, sizeof port);
    if (become(pg, err) != 0) {
        become_root();
        return err->code;
    }
    c->conn = PQconnectStartParams(keys, values, 0);
    become_root();
    if (c->conn == NULL)
        return err_set(err, ERR_NOMEM, "connect");
    PQsetErrorVerbosity(c->conn, PQERRORS_VERBOSE);
    return 0;
}

int pg_conn_open(struct pg *pg, struct pg_conn *c, const char *options,
                 struct mono deadline, struct err *err)
{
    if (c->ready && PQstatus(c->conn) == CONNECTION_OK)
        return 0;
    if (c->ready)
        pg_conn_close(c);
    if (c->conn == NULL && start_local(pg, c, options, err) != 0)
        return err->code;
    return finish_as_user(pg, c, true, deadline, err);
}

int pg_conn_dial(struct pg *pg, struct pg_conn *c, const char *conninfo,
                 struct mono deadline, struct err *err)
{
    pg_conn_close(c);
    if (become(pg, err) != 0) {
        become_root();
        return err->code;
    }
    c->conn = PQconnectStart(conninfo);
    become_root();
    if (c->conn == NULL)
        return err_set(err, ERR_NOMEM, "connect");
    PQsetErrorVerbosity(c->conn, PQERRORS_VERBOSE);
    return finish_as_user(pg, c, false, deadline, err);
}

static int fail_session(struct pg_conn *c, struct err *err)
{
    (void)fail_libpq(err, ERR_CLOSED, "the session has ended", c->conn);
    pg_conn_close(c);
    return ERR_CLOSED;
}

int pg_send(struct pg_conn *c, const char *sql, struct err *err)
{
    if (!c->ready)
        return err_set(err, ERR_CLOSED, "no session");
    c->warned = false;
    c->sqlstate[0] = '\0';
    if (PQsendQuery(c->conn, sql) != 1)
        return fail_session(c, err);
    return 0;
}

static int fail_statement(struct pg_conn *c, PGresult *result, struct err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    int code = ERR_REFUSED;

    snprintf(c->sqlstate, sizeof c->sqlstate, "%s", state != NULL ? state : "");
    err_set(err, code, "%s", message != NULL ? message : "statement failed");
    PQclear(result);
    if (PQstatus(c->conn) != CONNECTION_OK) {
        pg_conn_close(c);
        code = ERR_CLOSED;
    }
    return code;
}

int pg_answer(struct pg_conn *c, struct mono deadline, PGresult **ret_result,
              struct err *err)
{
    AUTO(pg_clear) PGresult *last = NULL;

    if (!c->ready)
        return err_set(err, ERR_CLOSED, "no session");
    for (;;) {
        short events = POLLIN;

        while (!PQisBusy(c->conn)) {
            PGresult *result = PQgetResult(c->conn);

            if (result == NULL)
                goto complete;
            PQclear(last);
            last = result;
        }
        if (PQflush(c->conn) > 0)
            events |= POLLOUT;
        if (!wait_socket(c, events, deadline))
            return err_set(err, ERR_TIMEOUT, "no answer in time");
        if (PQconsumeInput(c->conn) != 1)
            return fail_session(c, err);
    }

complete:
    if (last == NULL)
        return fail_session(c, err);
    if (PQresultStatus(last) != PGRES_TUPLES_OK && PQresultStatus(last) != PGRES_COMMAND_OK)
        return fail_statement(c, TAKE(last), err);
    if (ret_result != NULL)
        *ret_result = TAKE(last);
    return 0;
}

int pg_exec(struct pg_conn *c, const char *sql, struct mono deadline, PGresult **ret_result,
            struct err *err)
{
    struct mono least = mono_plus_ms(mono_now(), STATEMENT_LEAST_MS);
    int status;

    if (deadline.ns < least.ns)
        deadline = least;
    if (pg_send(c, sql, err) != 0)
        return err_wrap(err, "%s", pg_in_words(sql));
    status = pg_answer(c, deadline, ret_result, err);
    if (status == ERR_TIMEOUT)
        pg_conn_close(c);
    return status == 0 ? 0 : err_wrap(err, "%s", pg_in_words(sql));
}

int pg_ask(struct pg_conn *c, const char *sql, struct mono deadline, char *value,
           size_t size, struct err *err)
{
    AUTO(pg_clear) PGresult *result = NULL;

    if (pg_exec(c, sql, deadline, &result, err) != 0)
        return err->code;
    if (PQntuples(result) != 1 || PQnfields(result) < 1)
        return err_set(err, ERR_BADMSG, "%s: %d rows, not one", pg_in_words(sql),
                       PQntuples(result));
    if ((size_t)PQgetlength(result, 0, 0) >= size)
        return err_set(err, ERR_FULL, "%s: answer too long", pg_in_words(sql));
    snprintf(value, size, "%s", PQgetvalue(result, 0, 0));
    return 0;
}

int pg_ask_lsn(struct pg_conn *c, const char *sql, struct mono deadline, uint64_t *ret_lsn,
               struct err *err)
{
    char text[64];

    if (pg_ask(c, sql, deadline, text, sizeof text, err) != 0)
        return err->code;
    if (!pg_lsn_parse(text, ret_lsn))
        return err_set(err, ERR_BADMSG, "%s: '%s' is no position", pg_in_words(sql), text);
    return 0;
}

int pg_main(struct pg *pg, struct mono deadline, struct err *err)
{
    if (pg->main.ready && PQstatus(pg->main.conn) == CONNECTION_OK)
        return 0;
    if (pg_conn_open(pg, &pg->main, MAIN_OPTIONS, deadline, err) != 0)
        return err->code;
    /* A session of which it is not known whether its commits wait is none. */
    if (pg_exec(&pg->main, MAIN_COMMITS_ALONE, deadline, NULL, err) != 0) {
        pg_conn_close(&pg->main);
        return err->code;
    }
    return 0;
}
