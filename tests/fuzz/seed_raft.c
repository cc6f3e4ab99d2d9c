/* Seeds for fuzz_raft: what two peers really say to node 1, which is the target's node.
 *
 *     seed_raft DIR
 *
 * Three drivers, one clock, a quick disk, no loss; node 1 is driven by the target's own
 * operations only, which are written down. One history a file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/auto.h"
#include "tests/fuzz/drivers.h"
#include "tests/fuzz/fuzz.h"

enum { NODES = DRIVERS, STEP_MS = 10, QUEUE = 4096 };

struct node {
    struct driver *d;
    struct orders o;
    uint64_t stored;
};

static struct {
    struct node nodes[NODES];
    uint64_t now[NODES];
    struct buf history;     /* of node 1 */
    struct buf mail[QUEUE]; /* encoded, in order */
    uint64_t to[QUEUE];
    unsigned first, last;
    bool cut; /* node 1 hears and says nothing */
} w;

static uint64_t now_of(const struct node *n) { return w.now[n - w.nodes]; }

static void note(const void *data, size_t len)
{
    struct err err = {0};

    CLAIM(buf_append(&w.history, data, len, &err) == 0, "%s", err.text);
}

static void post(const struct order_send *s)
{
    struct err err = {0};

    CLAIM(w.last < QUEUE, "too much mail");
    w.to[w.last] = s->to;
    CLAIM(buf_append(&w.mail[w.last++], s->data, s->len, &err) == 0, "%s", err.text);
}

static void carry_out(struct node *n, int status, const struct err *err)
{
    uint64_t stored = n->stored;

    CLAIM(status == 0 || !driver_error_is_fatal(status), "%s", err->text);
    if (status == 0)
        n->stored = drivers_store(n->d, &n->o, stored);
    for (size_t i = 0; status == 0 && i < n->o.n; i++) {
        const struct order *o = &n->o.list[i];

        if (o->kind == ORDER_SEND && !(w.cut && (n == w.nodes || o->send.to == 1)))
            post(&o->send);
    }
    if (n->stored != stored) {
        struct err more = {0};

        carry_out(n, driver_persisted(n->d, now_of(n), n->stored, &n->o, &more), &more);
    }
}

static void open_nodes(bool joins)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct driver_config c = drivers_config(i + 1);
        AUTO(buf_free) struct buf list = {0};
        struct consensus_entry e = {.term = 1, .kind = ENTRY_VOTERS};
        struct driver_state state = {.term = 1, .first_index = 1, .entries = &e};
        struct node *n = &w.nodes[i];
        uint64_t digest;
        struct err err = {0};

        CLAIM(driver_bootstrap_entry(&c, &list, &err) == 0, "%s", err.text);
        CLAIM(driver_digest(&c, &digest, &err) == 0, "%s", err.text);
        e.data = list.data;
        e.len = list.len;
        state.n_entries = joins && i == 0 ? 0 : 1;
        c.n_voters = joins && i == 0 ? 0 : NODES;
        CLAIM(driver_new(&n->d, &c, &err) == 0, "%s", err.text);
        driver_set_digest(n->d, digest);
        carry_out(n, driver_start(n->d, now_of(n), &state, &n->o, &err), &err);
    }
}

static void deliver(void)
{
    for (; w.first < w.last; w.first++) {
        struct node *n = &w.nodes[w.to[w.first] - 1];
        const struct buf *mail = &w.mail[w.first];
        AUTO(consensus_msg_free) struct consensus_msg m = {0};
        struct err err = {0};

        CLAIM(consensus_msg_decode(mail->data, mail->len, &m, &err) == 0, "%s", err.text);
        if (n == w.nodes) {
            const uint8_t head[] = {4, (uint8_t)mail->len, (uint8_t)(mail->len >> 8)};

            note(head, sizeof head);
            note(mail->data, mail->len);
        }
        carry_out(n, driver_receive(n->d, now_of(n), &m, &n->o, &err), &err);
    }
}

/* Time passes; node 1, and who is named, looks at the clock. While it is cut off, node 1
 * has none. */
static void pass(unsigned ms, unsigned who)
{
    for (; ms >= STEP_MS; ms -= STEP_MS) {
        for (unsigned i = w.cut ? 1 : 0; i < NODES; i++) {
            struct node *n = &w.nodes[i];
            struct err err = {0};

            w.now[i] += STEP_MS;
            if (i == 0)
                note((const uint8_t[]){0, STEP_MS / 10}, 2);
            if (i == 0 || (who >> i & 1) != 0)
                carry_out(n, driver_tick(n->d, now_of(n), &n->o, &err), &err);
        }
        deliver();
    }
}

static void propose(unsigned who, unsigned count)
{
    const struct driver_proposal p = {
        .body = (const uint8_t *)"proposal", .len = 8, .wall_ms = 1};
    struct node *n = &w.nodes[who];
    uint64_t at[2];
    struct err err = {0};

    for (; count > 0; count--) {
        if (who == 0)
            note((const uint8_t[]){1}, 1);
        carry_out(n, driver_submit(n->d, now_of(n), &p, &n->o, at, &err), &err);
        deliver();
    }
}

static void snapshot(unsigned who)
{
    const struct driver_proposal p = {
        .body = (const uint8_t *)"proposal", .len = 8, .wall_ms = 1};
    struct node *n = &w.nodes[who];
    struct err err = {0};

    if (who == 0)
        note((const uint8_t[]){3}, 1);
    carry_out(n, driver_snapshot_taken(n->d, now_of(n), &p, &n->o, &err), &err);
}

static void write_down(const char *dir, const char *name)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "wb");
    CLAIM(f != NULL && fwrite(w.history.data, 1, w.history.len, f) == w.history.len &&
              fclose(f) == 0,
          "not written: %s", path);
}

static void close_nodes(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        driver_free(w.nodes[i].d);
        orders_free(&w.nodes[i].o);
    }
    for (unsigned i = 0; i < w.last; i++)
        buf_free(&w.mail[i]);
    buf_free(&w.history);
    memset(&w, 0, sizeof w);
}

/* Node 1 leads (it alone has time), proposes, takes a snapshot, hands over to node 2. */
static void leads(void)
{
    pass(800, 0);
    propose(0, 4);
    snapshot(0);
    propose(0, 2);
    pass(100, 0);
    note((const uint8_t[]){2, 2}, 2);
    {
        struct err err = {0};

        carry_out(&w.nodes[0],
                  driver_transfer(w.nodes[0].d, w.now[0], 2, &w.nodes[0].o, &err), &err);
        deliver();
    }
    pass(200, 2);
}

/* Node 2 leads; node 1 follows, with a snapshot of its own. */
static void follows(void)
{
    w.cut = true;
    pass(800, 2);
    w.cut = false;
    propose(1, 5);
    pass(200, 2);
    snapshot(0);
    propose(1, 4);
    pass(100, 2);
}

/* Node 1 is away while node 2 leads and compacts: it gets the snapshot. */
static void catches_up(void)
{
    w.cut = true;
    pass(800, 2);
    propose(1, 8);
    pass(100, 2);
    snapshot(1);
    w.cut = false;
    propose(1, 2);
    pass(300, 2);
    propose(1, 2);
    pass(100, 2);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool joins;
        void (*play)(void);
    } all[] = {{"real-leads", false, leads},
               {"real-follows", false, follows},
               {"real-catches-up", false, catches_up},
               {"real-joins", true, follows},
               {"real-joins-late", true, catches_up}};

    if (argc != 2) {
        fputs("usage: seed_raft DIR\n", stderr);
        return 64;
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (unsigned k = 0; k < NODES; k++)
            w.now[k] = 1000;
        note((const uint8_t[]){all[i].joins}, 1);
        open_nodes(all[i].joins);
        all[i].play();
        write_down(argv[1], all[i].name);
        close_nodes();
    }
    return 0;
}
