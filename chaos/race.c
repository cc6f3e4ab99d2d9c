/* chaos/race.c */
#include "chaos/race.h"

#include "chaos/base.h"

enum {
    /* A SYN or an answer that was dropped is not worth the kernel's retransmission second:
     * dial again. Far above any round trip of the laboratory. */
    ATTEMPT_MS = 250,
    /* After a refusal (no listener yet, still a standby). */
    AGAIN_MS = 10,
};

static int64_t pause_ns(const struct race *r, unsigned ms)
{
    return (int64_t)ms * (r->calm > 0 ? r->calm : 1) * NS_PER_MS;
}

static void end_attempt(struct attempt *a, int64_t again_ns)
{
    PQfinish(a->conn);
    *a = (struct attempt){.again_ns = again_ns};
}

static void begin_attempt(struct race *r, enum site host, int64_t now)
{
    struct attempt *a = &r->of[host];
    AUTO(auto_free)
    char *conninfo = text_new("host=%s %s", site_address(host), r->settings);

    a->conn = PQconnectStart(conninfo);
    if (a->conn == NULL)
        die("out of memory");
    a->began_ns = now;
    a->wants = PGRES_POLLING_WRITING;
    if (PQstatus(a->conn) == CONNECTION_BAD)
        end_attempt(a, now + pause_ns(r, AGAIN_MS));
}

void race_run(struct race *r, unsigned hosts, int64_t now)
{
    for (enum site host = EAST; host < SITE_COUNT; host++) {
        struct attempt *a = &r->of[host];
        bool wanted = (hosts & 1U << host) != 0;

        if (a->conn != NULL && !wanted)
            end_attempt(a, 0);
        if (a->conn != NULL && now - a->began_ns > pause_ns(r, ATTEMPT_MS))
            end_attempt(a, 0);
        if (a->conn == NULL && wanted && now >= a->again_ns)
            begin_attempt(r, host, now);
    }
}

unsigned race_poll(const struct race *r, struct pollfd fds[SITE_COUNT])
{
    unsigned n = 0;

    for (enum site host = EAST; host < SITE_COUNT; host++) {
        const struct attempt *a = &r->of[host];

        if (a->conn == NULL)
            continue;
        fds[n++] = (struct pollfd){
            .fd = PQsocket(a->conn),
            .events = a->wants == PGRES_POLLING_WRITING ? POLLOUT : POLLIN,
        };
    }
    return n;
}

/* libpq wants to be called only when its socket is ready, else it may block. */
static bool is_ready(const struct attempt *a)
{
    struct pollfd fd = {.fd = PQsocket(a->conn),
                        .events = a->wants == PGRES_POLLING_WRITING ? POLLOUT : POLLIN};

    return poll(&fd, 1, 0) == 1;
}

PGconn *race_take(struct race *r, int64_t now, enum site *ret_host)
{
    for (enum site host = EAST; host < SITE_COUNT; host++) {
        struct attempt *a = &r->of[host];

        if (a->conn == NULL || !is_ready(a))
            continue;
        a->wants = PQconnectPoll(a->conn);
        if (a->wants == PGRES_POLLING_FAILED)
            end_attempt(a, now + pause_ns(r, AGAIN_MS));
        if (a->wants == PGRES_POLLING_OK && a->conn != NULL) {
            PGconn *conn = a->conn;

            *a = (struct attempt){0};
            *ret_host = host;
            return conn;
        }
    }
    return NULL;
}

void race_end(struct race *r) { race_run(r, 0, 0); }
