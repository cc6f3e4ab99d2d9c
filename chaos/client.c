/* chaos/client.c */
#include "chaos/client.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/pooler.h"
#include "chaos/race.h"

const char client_schema[] =
    "CREATE ROLE writer LOGIN;"
    "CREATE TABLE written (n bigint PRIMARY KEY, client int NOT NULL);"
    "CREATE TABLE probed (host int NOT NULL, n bigint NOT NULL, PRIMARY KEY (host, n));"
    "GRANT SELECT, INSERT ON written, probed TO writer;";

const char client_settings[] =
    "port=5432 dbname=postgres user=writer target_session_attrs=read-write "
    "connect_timeout=2 keepalives_idle=1 keepalives_interval=1 keepalives_count=3 "
    "tcp_user_timeout=2000 sslmode=disable gssencmode=disable";

enum {
    /* A statement that has waited this long is raced against the other host. */
    HEDGE_MS = 50,
    TICK_MS = 10,
};

struct session {
    struct client *client;
    struct race race;
    PGconn *conn; /* NULL: none */
    enum site host;
    bool waiting; /* for the answer to `number` */
    bool refused; /* an error was among what has come of it */
    bool warned;  /* a warning came with it: a cancelled wait, perhaps */
    uint64_t number;
    int64_t sent_ns;
};

static bool is_probe(const struct client *c) { return c->plan.client >= CLIENT_PROBE; }

static void note(struct session *s, enum event_kind kind, int64_t at)
{
    history_add(&s->client->history, (struct event){.at_ns = at,
                                                    .number = s->number,
                                                    .kind = (uint8_t)kind,
                                                    .client = s->client->plan.client,
                                                    .host = (uint8_t)s->host});
}

/* PostgreSQL confirms a commit whose wait for the standby was cancelled, with a warning:
 * that is not acknowledged (I9). */
static void on_notice(void *owner, const PGresult *notice)
{
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    struct session *s = owner;

    if (severity != NULL && strcmp(severity, "WARNING") == 0)
        s->warned = true;
}

static void drop(struct session *s)
{
    if (s->waiting)
        note(s, EVENT_UNKNOWN, now_ns());
    PQfinish(s->conn);
    s->conn = NULL;
    s->waiting = false;
}

static void adopt(struct session *s, PGconn *conn, enum site host)
{
    if (s->conn != NULL)
        drop(s);
    s->conn = conn;
    s->host = host;
    atomic_fetch_add(&s->client->sessions, 1);
    PQsetNoticeReceiver(conn, on_notice, s);
}

static void send_row(struct session *s)
{
    struct client *c = s->client;
    const char *sql = is_probe(c) ? "INSERT INTO probed (n, host) VALUES ($1, $2)"
                                  : "INSERT INTO written (n, client) VALUES ($1, $2)";
    char number[24], who[16];
    const char *values[] = {number, who};

    s->number = atomic_fetch_add(c->plan.numbers, 1);
    snprintf(number, sizeof number, "%" PRIu64, s->number);
    snprintf(who, sizeof who, "%d", is_probe(c) ? (int)s->host : c->plan.client);
    s->refused = s->warned = false;
    s->waiting = true;
    s->sent_ns = now_ns();
    note(s, EVENT_BEGIN, s->sent_ns);
    if (PQsendQueryParams(s->conn, sql, 2, NULL, values, NULL, NULL, 0) != 1)
        drop(s);
}

/* The whole answer has come, ReadyForQuery with it. CommandComplete alone says nothing: in
 * the extended protocol it is written before the commit, and an error of the commit, or the
 * end of the session, follows in the same packet (PostgreSQL manual, "Extended Query"). */
static void conclude(struct session *s)
{
    struct client *c = s->client;
    bool done = !s->refused && !s->warned;
    int64_t at = now_ns();

    note(s, done ? EVENT_ACK : EVENT_UNKNOWN, at);
    s->waiting = false;
    if (!done)
        return;
    atomic_store(&c->last_ack_ns, at);
    atomic_store(&c->last_ack_host, (int)s->host);
    atomic_fetch_add(&c->acked, 1);
}

static bool is_ready(const struct session *s)
{
    return PQstatus(s->conn) == CONNECTION_OK &&
           PQtransactionStatus(s->conn) == PQTRANS_IDLE;
}

/* A refused row on an open session (read-only, say) is no reason to dial again, unless it
 * is the writer's: it wants a server that takes writes. */
static void read_answer(struct session *s)
{
    if (PQconsumeInput(s->conn) != 1) {
        drop(s);
        return;
    }
    while (!PQisBusy(s->conn)) {
        PGresult *result = PQgetResult(s->conn);

        if (result == NULL) {
            if (s->waiting && is_ready(s))
                conclude(s);
            break;
        }
        s->refused |= PQresultStatus(result) != PGRES_COMMAND_OK;
        PQclear(result);
    }
    if (s->refused || PQstatus(s->conn) == CONNECTION_BAD)
        drop(s);
}

/* While a statement waits, only the hosts that it does not wait for. */
static unsigned hosts_to_dial(const struct session *s, int64_t now)
{
    if (s->conn == NULL)
        return s->client->plan.hosts;
    if (s->waiting && now - s->sent_ns > (int64_t)HEDGE_MS * NS_PER_MS)
        return s->client->plan.hosts & ~(1U << s->host);
    return 0;
}

static bool may_send(const struct session *s, int64_t now)
{
    return s->conn != NULL && !s->waiting &&
           now - s->sent_ns >= (int64_t)s->client->plan.pause_ms * NS_PER_MS;
}

static void turn(struct session *s)
{
    struct pollfd fds[SITE_COUNT + 1];
    int64_t now = now_ns();
    unsigned n;
    enum site host;
    PGconn *won;

    race_run(&s->race, hosts_to_dial(s, now), now);
    if (may_send(s, now))
        send_row(s);
    n = race_poll(&s->race, fds);
    if (s->conn != NULL)
        fds[n++] = (struct pollfd){.fd = PQsocket(s->conn), .events = POLLIN};
    poll(fds, n, s->client->plan.pause_ms > 0 && !s->waiting ? 1 : TICK_MS);
    if (s->conn != NULL && fds[n - 1].revents != 0)
        read_answer(s);
    won = race_take(&s->race, now_ns(), &host);
    if (won != NULL)
        adopt(s, won, host);
}

static void *run_client(void *owner)
{
    struct client *c = owner;
    bool pooled = c->plan.pooled;
    struct session s = {
        .client = c,
        .race = {.settings = pooled ? pooler_client_settings : client_settings}};

    ground_enter(c->ground, pooled ? EAST : CLIENT);
    while (!atomic_load(&c->stop))
        turn(&s);
    /* The answer on its way is waited for, so that an acknowledged row is never taken for
     * an unknown one at the end. */
    for (int64_t until = now_ns() + (int64_t)HEDGE_MS * NS_PER_MS;
         s.waiting && now_ns() < until;) {
        struct pollfd fd = {.fd = PQsocket(s.conn), .events = POLLIN};

        if (poll(&fd, 1, TICK_MS) == 1)
            read_answer(&s);
    }
    race_end(&s.race);
    drop(&s);
    return NULL;
}

void client_start(struct client *c, const struct ground *g, struct client_plan plan)
{
    *c = (struct client){.ground = g, .plan = plan, .last_ack_host = -1};
    if (pthread_create(&c->thread, NULL, run_client, c) != 0)
        die("cannot start a thread");
}

void client_stop(struct client *c)
{
    atomic_store(&c->stop, true);
    pthread_join(c->thread, NULL);
}

struct reading {
    const struct ground *ground;
    enum site host;
    uint64_t first;
    struct history *into;
    bool done;
};

static void add_rows(const PGresult *rows, struct reading *r)
{
    int64_t at = now_ns();

    for (int i = 0; i < PQntuples(rows); i++)
        history_add(r->into,
                    (struct event){.at_ns = at,
                                   .number = strtoull(PQgetvalue(rows, i, 0), NULL, 10),
                                   .kind = EVENT_ROW,
                                   .host = (uint8_t)r->host});
}

static void *run_reading(void *owner)
{
    struct reading *r = owner;
    AUTO(auto_free) char *conninfo = NULL;
    char sql[96];
    PGconn *conn;
    PGresult *rows;

    ground_enter(r->ground, CLIENT);
    conninfo = text_new("host=%s %s", site_address(r->host), client_settings);
    conn = PQconnectdb(conninfo);
    snprintf(sql, sizeof sql, "SELECT n FROM written WHERE n >= %" PRIu64, r->first);
    rows = PQexec(conn, sql);
    r->done = PQresultStatus(rows) == PGRES_TUPLES_OK;
    if (r->done)
        add_rows(rows, r);
    PQclear(rows);
    PQfinish(conn);
    return NULL;
}

bool client_read_rows(const struct ground *g, enum site host, uint64_t first,
                      struct history *into)
{
    struct reading r = {.ground = g, .host = host, .first = first, .into = into};
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_reading, &r) != 0)
        die("cannot start a thread");
    pthread_join(thread, NULL);
    return r.done;
}
