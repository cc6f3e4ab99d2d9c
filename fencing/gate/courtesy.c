#include "fencing/gate/courtesy.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "fencing/gate/nft_run.h"
#include "fencing/gate/nft_text.h"

struct entry {
    uint16_t port;
    bool silent;
    bool moved; /* `until` changed since the thread looked */
    struct boot until;
    size_t n_peers;
    struct gate_addr peers[COURTESY_PEERS_MAX];
};

/* What the table should look like. */
struct picture {
    struct entry list[COURTESY_PORTS_MAX];
    size_t n;
    bool rebuild; /* ports or peers changed: write all of it anew, in one transaction */
};

struct courtesy {
    char table[GATE_AGENT_MAX + 32];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed, settled;
    struct picture want;  /* under the lock, as everything below */
    uint64_t asked, done; /* changes */
    bool stop;
    struct err trouble;
    /* The thread's own: */
    struct nft_run *nft;
    bool table_ours; /* this life has written it */
    struct picture now;
    struct nft_text text;
};

/* --- the text of a transaction ---------------------------------------------------------
 */

static uint64_t left_ms(struct boot until)
{
    const struct boot now = boot_now();

    return until.ns <= now.ns ? 0 : (until.ns - now.ns) / NS_PER_MS + 1 + COURTESY_LATE_MS;
}

static void say_open(struct courtesy *c, const struct entry *e)
{
    const uint64_t ms = left_ms(e->until);

    if (ms != 0)
        nft_say(&c->text, "add element inet %s open { %u timeout %" PRIu64 "ms }\n",
                c->table, e->port, ms);
}

static void say_peers(struct courtesy *c, const struct entry *e)
{
    for (size_t i = 0; i < e->n_peers; i++) {
        char text[46];
        const char family = nft_addr(&e->peers[i], text);

        nft_say(&c->text, "add element inet %s peers%c { %u . %s }\n", c->table, family,
                e->port, text);
    }
}

static void say_all(struct courtesy *c)
{
    nft_say(&c->text,
            "add table inet %s\ndelete table inet %s\n"
            "table inet %s {\n"
            " set managed { type inet_service; }\n"
            " set open { type inet_service; flags timeout; }\n"
            " set peers4 { type inet_service . ipv4_addr; }\n"
            " set peers6 { type inet_service . ipv6_addr; }\n"
            " chain in { type filter hook input priority -10; policy accept;\n"
            "  tcp dport != @managed accept\n"
            "  tcp dport @open accept\n"
            "  tcp dport . ip saddr @peers4 accept\n"
            "  tcp dport . ip6 saddr @peers6 accept\n"
            "  meta l4proto tcp reject with tcp reset\n"
            " }\n}\n",
            c->table, c->table, c->table);
    for (size_t i = 0; i < c->now.n; i++) {
        const struct entry *e = &c->now.list[i];

        if (e->silent)
            continue;
        nft_say(&c->text, "add element inet %s managed { %u }\n", c->table, e->port);
        say_open(c, e);
        say_peers(c, e);
    }
}

/* Refresh by `delete` and `add`; the `add` before lets the `delete` succeed always. What
 * would be a hazard in a gate, opening what has expired, is only right here. */
static void say_refreshed(struct courtesy *c, bool moved_only)
{
    for (size_t i = 0; i < c->now.n; i++) {
        const struct entry *e = &c->now.list[i];

        if (e->silent || (moved_only && !e->moved))
            continue;
        nft_say(&c->text,
                "add element inet %s open { %u timeout 1s }\n"
                "delete element inet %s open { %u }\n",
                c->table, e->port, c->table, e->port);
        say_open(c, e);
    }
}

/* --- the thread ------------------------------------------------------------------------
 */

/* A table that is deleted and made again takes the kernel up to 230 ms on a busy machine,
 * one element less than one. After a restart the elements in force are those of the last
 * life: one that ended meanwhile would reset the clients of an open gate. */
static void hold_old_table(struct courtesy *c)
{
    c->text.len = 0;
    say_refreshed(c, false);
    if (c->text.len != 0 && nft_run(c->nft, c->text.bytes, NULL) != 0)
        return; /* there is none yet, or it is an older one without this port's place */
}

static int apply_picture(struct courtesy *c, struct err *err)
{
    if (c->now.rebuild && !c->table_ours)
        hold_old_table(c);
    c->table_ours = true;
    c->text.len = 0;
    if (c->now.rebuild)
        say_all(c);
    else
        say_refreshed(c, true);
    return c->text.len == 0 ? 0 : nft_run(c->nft, c->text.bytes, err);
}

static void delete_table(struct courtesy *c)
{
    char text[sizeof c->table * 2 + 64];

    (void)snprintf(text, sizeof text, "add table inet %s\ndelete table inet %s\n", c->table,
                   c->table);
    if (nft_run(c->nft, text, NULL) != 0)
        return; /* said already by the failure that led here */
}

static void take_picture(struct courtesy *c)
{
    c->now = c->want;
    c->want.rebuild = false;
    for (size_t i = 0; i < c->want.n; i++)
        c->want.list[i].moved = false;
}

static void *run_courtesy(void *arg)
{
    struct courtesy *c = arg;

    (void)pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        struct err err = {.code = 0};
        uint64_t asked;
        int r;

        while (!c->stop && c->asked == c->done)
            (void)pthread_cond_wait(&c->changed, &c->lock);
        if (c->stop)
            break;
        asked = c->asked;
        take_picture(c);
        (void)pthread_mutex_unlock(&c->lock);

        r = apply_picture(c, &err);
        if (r != 0 && !c->now.rebuild) {
            c->now.rebuild = true; /* somebody flushed it, perhaps */
            r = apply_picture(c, &err);
        }
        if (r != 0)
            delete_table(c);

        (void)pthread_mutex_lock(&c->lock);
        if (r != 0) {
            c->trouble = err;
            c->want.rebuild = true;
        }
        c->done = asked;
        (void)pthread_cond_broadcast(&c->settled);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* --- the keeper's side -----------------------------------------------------------------
 */

int courtesy_start(struct courtesy **ret_courtesy, const char *agent, struct err *err)
{
    struct courtesy *c = calloc(1, sizeof *c);
    pthread_condattr_t monotonic;
    int r;

    if (c == NULL)
        return err_set(err, ERR_NOMEM, "courtesy resets");
    (void)snprintf(c->table, sizeof c->table, "ringfence_courtesy_%s", agent);
    r = nft_run_open(&c->nft, err);
    if (r != 0) {
        free(c);
        return r;
    }
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->changed, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->settled, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    c->want.rebuild = true;
    r = pthread_create(&c->thread, NULL, run_courtesy, c);
    if (r != 0) {
        nft_run_close(c->nft);
        free(c);
        return err_errno(err, r, "start the courtesy thread");
    }
    *ret_courtesy = c;
    return 0;
}

static void end_thread(struct courtesy *c)
{
    (void)pthread_mutex_lock(&c->lock);
    c->stop = true;
    (void)pthread_cond_signal(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_join(c->thread, NULL);
}

static void destroy(struct courtesy *c)
{
    nft_run_close(c->nft);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_cond_destroy(&c->settled);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

void courtesy_stop(struct courtesy *c)
{
    if (c == NULL)
        return;
    end_thread(c);
    destroy(c);
}

void courtesy_remove(struct courtesy *c)
{
    if (c == NULL)
        return;
    end_thread(c);
    delete_table(c);
    destroy(c);
}

static struct entry *entry_of(struct courtesy *c, uint16_t port)
{
    for (size_t i = 0; i < c->want.n; i++)
        if (c->want.list[i].port == port)
            return &c->want.list[i];
    return NULL;
}

static void changed(struct courtesy *c)
{
    c->asked++;
    (void)pthread_cond_signal(&c->changed);
}

/* Until the thread has done all that was asked so far, under the lock. */
static void wait_settled(struct courtesy *c, uint32_t wait_ms)
{
    const uint64_t asked = c->asked;
    struct timespec limit;

    (void)clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_nsec += (long)wait_ms * NS_PER_MS;
    limit.tv_sec += limit.tv_nsec / 1000000000;
    limit.tv_nsec %= 1000000000;
    while (c->done < asked &&
           pthread_cond_timedwait(&c->settled, &c->lock, &limit) != ETIMEDOUT)
        ;
}

void courtesy_put(struct courtesy *c, uint16_t port, const struct gate_addr *peers,
                  size_t n_peers, struct boot open_until)
{
    struct entry *e;

    ASSERT(n_peers <= COURTESY_PEERS_MAX);
    (void)pthread_mutex_lock(&c->lock);
    e = entry_of(c, port);
    if (e == NULL) {
        ASSERT(c->want.n < COURTESY_PORTS_MAX);
        e = &c->want.list[c->want.n++];
        *e = (struct entry){.port = port};
    }
    e->until = open_until;
    e->n_peers = n_peers;
    if (n_peers > 0)
        memcpy(e->peers, peers, n_peers * sizeof *peers);
    c->want.rebuild = true;
    changed(c);
    (void)pthread_mutex_unlock(&c->lock);
}

void courtesy_drop(struct courtesy *c, uint16_t port)
{
    struct entry *e;

    (void)pthread_mutex_lock(&c->lock);
    e = entry_of(c, port);
    if (e != NULL)
        *e = c->want.list[--c->want.n];
    c->want.rebuild = true;
    changed(c);
    (void)pthread_mutex_unlock(&c->lock);
}

static void set_open(struct courtesy *c, uint16_t port, struct boot until)
{
    struct entry *e = entry_of(c, port);

    if (e != NULL) {
        e->until = until;
        e->moved = true;
    }
    changed(c);
}

void courtesy_open(struct courtesy *c, uint16_t port, struct boot until)
{
    (void)pthread_mutex_lock(&c->lock);
    set_open(c, port, until);
    (void)pthread_mutex_unlock(&c->lock);
}

void courtesy_opening(struct courtesy *c, uint16_t port, struct boot until)
{
    (void)pthread_mutex_lock(&c->lock);
    set_open(c, port, until);
    wait_settled(c, COURTESY_OPEN_MS);
    (void)pthread_mutex_unlock(&c->lock);
}

void courtesy_exempt(struct courtesy *c, uint16_t port, bool silent)
{
    struct entry *e;

    (void)pthread_mutex_lock(&c->lock);
    e = entry_of(c, port);
    if (e != NULL)
        e->silent = silent;
    c->want.rebuild = true;
    changed(c);
    wait_settled(c, COURTESY_WAIT_MS);
    (void)pthread_mutex_unlock(&c->lock);
}

int courtesy_warning(struct courtesy *c, struct err *ret_warning)
{
    int code;

    (void)pthread_mutex_lock(&c->lock);
    *ret_warning = c->trouble;
    code = c->trouble.code;
    c->trouble = (struct err){.code = 0};
    (void)pthread_mutex_unlock(&c->lock);
    return code;
}
