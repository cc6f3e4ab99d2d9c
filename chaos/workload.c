/* chaos/workload.c */
#include "chaos/workload.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/client.h"
#include "chaos/race.h"
#include "chaos/workload_sql.h"

enum {
    /* A statement that has waited this long is raced against the other host. */
    HEDGE_MS = 50,
    TICK_MS = 10,
    LIST_LENGTH = 128,
    /* Outages are measured by others: these are not to take the machine from them. */
    CALM = 10,
    FDS_MAX = WORKLOAD_SEATS_MAX * (SITE_COUNT + 1),
};

/* Any server, read-only ones too. */
static const char reader_settings[] =
    "port=5432 dbname=postgres user=writer connect_timeout=2 keepalives_idle=1 "
    "keepalives_interval=1 keepalives_count=3 tcp_user_timeout=2000 sslmode=disable "
    "gssencmode=disable";

/* A session, and what it is waiting for. */
struct seat {
    struct workload *workload;
    struct race race;
    unsigned hosts;
    bool reader;
    PGconn *conn; /* NULL: none */
    enum site host;
    bool waiting; /* for the answer to `asked` */
    int64_t next_ns;
    struct operation asked;
    struct answer answer;
    int fd_at; /* in the poll set; -1: none */
};

/* PostgreSQL confirms a commit whose wait for the standby was cancelled, with a warning:
 * that is not acknowledged (I9). */
static void on_notice(void *owner, const PGresult *notice)
{
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    struct seat *s = owner;

    if (severity != NULL && strcmp(severity, "WARNING") == 0)
        s->answer.warned = true;
}

/* A read without an answer says nothing, so nothing is kept of it. */
static void record(struct seat *s, enum operation_outcome outcome)
{
    struct operation *op = &s->asked;

    s->waiting = false;
    s->next_ns = now_ns() + (int64_t)s->workload->plan.pause_ms * NS_PER_MS;
    if (outcome != OPERATION_OK && operation_reads(op))
        return;
    op->completed_ns = now_ns();
    op->outcome = (uint8_t)outcome;
    if (op->kind == OPERATION_LIST)
        operations_add_list(&s->workload->operations, *op, s->answer.list,
                            s->answer.list_count);
    else
        operations_add(&s->workload->operations, *op);
    if (outcome == OPERATION_OK)
        atomic_fetch_add(&s->workload->answered, 1);
}

static void drop(struct seat *s)
{
    if (s->waiting)
        record(s, OPERATION_UNKNOWN);
    PQfinish(s->conn);
    s->conn = NULL;
}

static void adopt(struct seat *s, PGconn *conn, enum site host)
{
    if (s->conn != NULL)
        drop(s);
    s->conn = conn;
    s->host = host;
    PQsetNoticeReceiver(conn, on_notice, s);
}

/* ---- asking ----------------------------------------------------------------------------
 */

static unsigned choose(struct workload *w, unsigned count)
{
    return (unsigned)rand_r(&w->random) % count;
}

/* The list of a slot; an append to one that is long begins a new one. */
static uint32_t list_key(struct workload *w, unsigned slot, bool append)
{
    if (append && ++w->list_lengths[slot] > LIST_LENGTH) {
        w->list_lengths[slot] = 1;
        w->list_keys[slot] = w->next_key++;
    }
    return w->list_keys[slot];
}

static struct operation next_operation(struct seat *s)
{
    static const enum operation_kind on_register[] = {OPERATION_WRITE, OPERATION_SWAP,
                                                      OPERATION_READ};
    struct workload *w = s->workload;
    unsigned slot = choose(w, w->plan.registers + w->plan.lists);
    bool list = slot >= w->plan.registers;
    struct operation op = {0};

    if (list)
        op.kind = s->reader || choose(w, 3) == 0 ? OPERATION_LIST : OPERATION_APPEND;
    else
        op.kind = (uint8_t)(s->reader ? OPERATION_READ
                                      : on_register[choose(w, ARRAY_LEN(on_register))]);
    op.key = list ? list_key(w, slot - w->plan.registers, op.kind == OPERATION_APPEND)
                  : w->plan.first_key + slot;
    if (!operation_reads(&op))
        op.value = w->next_value++;
    return op;
}

static void ask(struct seat *s, uint16_t client)
{
    char sql[SQL_SIZE];

    s->asked = next_operation(s);
    s->asked.client = client;
    s->asked.host = (uint8_t)s->host;
    answer_reset(&s->answer);
    sql_of(&s->asked, sql);
    s->waiting = true;
    s->asked.invoked_ns = now_ns();
    if (PQsendQuery(s->conn, sql) != 1)
        drop(s);
}

/* ---- answers ---------------------------------------------------------------------------
 */

static bool is_ready(const struct seat *s)
{
    return PQstatus(s->conn) == CONNECTION_OK &&
           PQtransactionStatus(s->conn) == PQTRANS_IDLE;
}

/* The whole answer has come, ReadyForQuery with it: before that nothing is certain. */
static void conclude(struct seat *s)
{
    enum operation_outcome outcome = answer_judge(&s->answer, &s->asked);

    if (s->asked.kind == OPERATION_SWAP && outcome == OPERATION_OK &&
        s->answer.own != s->asked.value)
        s->workload->misread++;
    record(s, outcome);
}

static void read_answer(struct seat *s)
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
        answer_add(&s->answer, &s->asked, result);
        PQclear(result);
    }
    if (s->answer.refused || PQstatus(s->conn) == CONNECTION_BAD)
        drop(s);
}

/* ---- turns -----------------------------------------------------------------------------
 */

/* While a statement waits, only the hosts that it does not wait for. */
static unsigned hosts_to_dial(const struct seat *s, int64_t now)
{
    if (s->conn == NULL)
        return s->hosts;
    if (s->waiting && now - s->asked.invoked_ns > (int64_t)HEDGE_MS * NS_PER_MS)
        return s->hosts & ~(1U << s->host);
    return 0;
}

static unsigned begin_turn(struct seat *s, uint16_t client, struct pollfd *fds)
{
    int64_t now = now_ns();
    unsigned n;

    race_run(&s->race, hosts_to_dial(s, now), now);
    if (s->conn != NULL && !s->waiting && now >= s->next_ns &&
        !atomic_load(&s->workload->stop))
        ask(s, client);
    n = race_poll(&s->race, fds);
    s->fd_at = -1;
    if (s->conn != NULL) {
        s->fd_at = (int)n;
        fds[n++] = (struct pollfd){.fd = PQsocket(s->conn), .events = POLLIN};
    }
    return n;
}

static void end_turn(struct seat *s, const struct pollfd *fds)
{
    enum site host;
    PGconn *won;

    if (s->fd_at >= 0 && fds[s->fd_at].revents != 0)
        read_answer(s);
    won = race_take(&s->race, now_ns(), &host);
    if (won != NULL)
        adopt(s, won, host);
}

/* Until the next session may ask. */
static int patience_ms(const struct seat *seats, unsigned count)
{
    int64_t now = now_ns(), soonest = (int64_t)TICK_MS * NS_PER_MS;

    for (unsigned i = 0; i < count; i++)
        if (seats[i].conn != NULL && !seats[i].waiting && seats[i].next_ns - now < soonest)
            soonest = seats[i].next_ns - now;
    return soonest <= 0 ? 0 : (int)((soonest + NS_PER_MS - 1) / NS_PER_MS);
}

static void turn(struct seat *seats, unsigned count)
{
    struct pollfd fds[FDS_MAX];
    unsigned from[WORKLOAD_SEATS_MAX], n = 0;

    for (unsigned i = 0; i < count; i++) {
        from[i] = n;
        n += begin_turn(&seats[i], (uint16_t)i, fds + n);
    }
    poll(fds, n, patience_ms(seats, count));
    for (unsigned i = 0; i < count; i++)
        end_turn(&seats[i], fds + from[i]);
}

static unsigned take_seats(struct workload *w, struct seat *seats)
{
    unsigned n = 0;

    for (; n < w->plan.writers && n < WORKLOAD_SEATS_MAX - SITE_COUNT; n++)
        seats[n] = (struct seat){.hosts = w->plan.hosts,
                                 .race = {.settings = client_settings, .calm = CALM}};
    for (enum site host = EAST; host < SITE_COUNT; host++)
        if ((w->plan.hosts & 1U << host) != 0)
            seats[n++] = (struct seat){.hosts = 1U << host,
                                       .race = {.settings = reader_settings, .calm = CALM},
                                       .reader = true};
    for (unsigned i = 0; i < n; i++)
        seats[i].workload = w;
    return n;
}

static bool any_waits(const struct seat *seats, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (seats[i].waiting)
            return true;
    return false;
}

static void *run(void *owner)
{
    struct workload *w = owner;
    AUTO(auto_free) struct seat *seats = must_alloc(WORKLOAD_SEATS_MAX, sizeof *seats);
    unsigned count = take_seats(w, seats);
    int64_t until;

    ground_enter(w->ground, CLIENT);
    while (!atomic_load(&w->stop))
        turn(seats, count);
    /* An answer on its way is waited for, so that little is left unknown at the end. */
    until = now_ns() + (int64_t)HEDGE_MS * NS_PER_MS;
    while (any_waits(seats, count) && now_ns() < until)
        turn(seats, count);
    for (unsigned i = 0; i < count; i++) {
        race_end(&seats[i].race);
        drop(&seats[i]);
        answer_free(&seats[i].answer);
    }
    return NULL;
}

void workload_start(struct workload *w, const struct ground *g, struct workload_plan plan)
{
    *w = (struct workload){.ground = g,
                           .plan = plan,
                           .next_key = plan.first_key + plan.registers,
                           .next_value = 1,
                           .random = plan.seed};
    for (unsigned i = 0; i < plan.lists; i++)
        w->list_keys[i] = w->next_key++;
    if (pthread_create(&w->thread, NULL, run, w) != 0)
        die("cannot start a thread");
}

void workload_stop(struct workload *w)
{
    atomic_store(&w->stop, true);
    pthread_join(w->thread, NULL);
}

/* ---- at the end ------------------------------------------------------------------------
 */

struct last_reading {
    struct workload *workload;
    enum site host;
    bool done;
};

/* One after the other, as a client of its own. */
static bool read_key(struct workload *w, PGconn *conn, enum site host, uint32_t key)
{
    bool list = key >= w->plan.first_key + w->plan.registers;
    struct seat s = {.workload = w,
                     .conn = conn,
                     .host = host,
                     .asked = {.key = key,
                               .host = (uint8_t)host,
                               .client = WORKLOAD_SEATS_MAX,
                               .invoked_ns = now_ns(),
                               .kind = list ? OPERATION_LIST : OPERATION_READ}};
    char sql[SQL_SIZE];
    PGresult *result;
    bool done;

    sql_of(&s.asked, sql);
    result = PQexec(conn, sql);
    answer_add(&s.answer, &s.asked, result);
    PQclear(result);
    done = answer_judge(&s.answer, &s.asked) == OPERATION_OK;
    if (done)
        record(&s, OPERATION_OK);
    answer_free(&s.answer);
    return done;
}

static void *run_last_reading(void *owner)
{
    struct last_reading *r = owner;
    struct workload *w = r->workload;
    AUTO(auto_free) char *conninfo = NULL;
    PGconn *conn;

    ground_enter(w->ground, CLIENT);
    conninfo = text_new("host=%s %s", site_address(r->host), client_settings);
    conn = PQconnectdb(conninfo);
    r->done = PQstatus(conn) == CONNECTION_OK;
    for (uint32_t key = w->plan.first_key; r->done && key < w->next_key; key++)
        r->done = read_key(w, conn, r->host, key);
    PQfinish(conn);
    return NULL;
}

bool workload_read_all(struct workload *w, enum site host)
{
    struct last_reading r = {.workload = w, .host = host};
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_last_reading, &r) != 0)
        die("cannot start a thread");
    pthread_join(thread, NULL);
    return r.done;
}
