#include "fencing/gate/gate_nft.h"
#include "fencing/guard/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include "controller/base/clock.h"

enum {
    MARGIN_MS = 20, /* off the end of every lease: the call itself, and the kernel's tick */
    LATE_MS = 12,   /* a call that took longer is taken back */
    ATTEMPTS = 3,
};

int nft_gate_commit(struct nft_gate *n, struct err *err)
{
    const int r = nft_run(n->run, n->text.bytes, err);

    n->text.len = 0;
    n->text.bytes[0] = '\0';
    return r;
}

/* What cannot be judged (a header that is too short, a fragment) matches none of the
 * accepting rules and ends in the last one. */
static void say_direction(struct nft_gate *n, const char *chain, const char *port,
                          const char *remote)
{
    const char *t = n->table;

    nft_say(&n->text, "flush chain inet %s %s\n", t, chain);
    nft_say(
        &n->text,
        "add rule inet %s %s meta l4proto != { tcp, udp, sctp, dccp, udplite } accept\n", t,
        chain);
    nft_say(&n->text, "add rule inet %s %s ip frag-off & 0x3fff != 0 goto dead_%s\n", t,
            chain, chain);
    nft_say(&n->text, "add rule inet %s %s th %s != @managed accept\n", t, chain, port);
    nft_say(&n->text, "add rule inet %s %s th %s @fenced goto dead_%s\n", t, chain, port,
            chain);
    nft_say(&n->text, "add rule inet %s %s th %s vmap @wall\n", t, chain, port);
    nft_say(&n->text, "add rule inet %s %s th %s @open accept\n", t, chain, port);
    nft_say(&n->text, "add rule inet %s %s th %s @repl th %s . ip %s @peers4 accept\n", t,
            chain, port, port, remote);
    nft_say(&n->text, "add rule inet %s %s th %s @repl th %s . ip6 %s @peers6 accept\n", t,
            chain, port, port, remote);
    nft_say(&n->text, "add rule inet %s %s goto dead_%s\n", t, chain, chain);
}

void nft_say_rules(struct nft_gate *n)
{
    say_direction(n, "in", "dport", "saddr");
    say_direction(n, "out", "sport", "daddr");
}

static unsigned flags_of(const struct gate_state *state)
{
    return (state->opened ? NFT_FLAG_OPENED : 0u) | (state->fenced ? NFT_FLAG_FENCED : 0u);
}

/* `add` before `delete`: it is there in any case then. */
void nft_say_epoch(struct nft_gate *n, uint16_t port, const struct gate_state *from,
                   const struct gate_state *to)
{
    static const char *const verbs[] = {"add", "delete", "add"};

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        const struct gate_state *s = i < 2 ? from : to;

        if (s == NULL)
            continue;
        nft_say(&n->text,
                "%s element inet %s epochs { %u . %" PRIu32 " . %" PRIu32 " . %u }\n",
                verbs[i], n->table, port, (uint32_t)(s->epoch >> 32), (uint32_t)s->epoch,
                flags_of(s));
    }
}

static void say_gone(struct nft_gate *n, const char *set, uint16_t port)
{
    nft_say(&n->text,
            "add element inet %s %s { %u }\n"
            "delete element inet %s %s { %u }\n",
            n->table, set, port, n->table, set, port);
}

static void say_closed(struct nft_gate *n, uint16_t port)
{
    say_gone(n, "open", port);
    say_gone(n, "repl", port);
    nft_say(&n->text, "flush chain inet %s wall_%u\n", n->table, port);
}

static bool is_forever(struct boot deadline) { return deadline.ns >= GATE_FOREVER.ns; }

/* The lease's element and its second bound, counted from `now`. */
static int say_lease(struct nft_gate *n, uint16_t port, enum gate_mode mode,
                     struct boot deadline, struct boot now, struct err *err)
{
    const char *set = mode == GATE_OPEN ? "open" : "repl";
    const uint64_t left = deadline.ns > now.ns ? (deadline.ns - now.ns) / NS_PER_MS : 0;

    if (is_forever(deadline)) {
        nft_say(&n->text, "add element inet %s %s { %u }\n", n->table, set, port);
        return 0;
    }
    if (left <= MARGIN_MS)
        return err_set(err, ERR_TIMEOUT, "%" PRIu64 " ms are left of the lease", left);
    nft_say(&n->text,
            "add element inet %s %s { %u timeout %" PRIu64 "ms }\n"
            "add rule inet %s wall_%u meta time >= %" PRIu64 " drop\n",
            n->table, set, port, left - MARGIN_MS, n->table, port,
            (wall_now_ms() + left) / 1000 + 1);
    return 0;
}

/* Close whatever the port had; said last after any failure on the way to open it. */
static int nft_close(struct gate *gate, struct gate_port *p, struct err *err)
{
    int r;

    gate->nft->text.len = 0;
    say_closed(gate->nft, p->port);
    r = nft_gate_commit(gate->nft, err);
    if (r == 0) {
        p->nft.mode = GATE_CLOSED;
        p->nft.deadline = (struct boot){0};
    }
    return r;
}

/* To renew, `delete` and `add` only: where the element has expired `delete` fails and with
 * it the transaction, and what is closed stays closed. With an `add` in front it would be
 * opened again silently. */
static int say_arm(struct nft_gate *n, const struct gate_port *p,
                   const struct gate_lease *lease, enum gate_arm_how how, struct err *err)
{
    const char *held = p->nft.mode == GATE_OPEN ? "open" : "repl";

    if (how == GATE_RENEW)
        nft_say(&n->text,
                "delete element inet %s %s { %u }\n"
                "flush chain inet %s wall_%u\n",
                n->table, held, p->port, n->table, p->port);
    else
        say_closed(n, p->port);
    return say_lease(n, p->port, lease->mode, lease->deadline, boot_now(), err);
}

/* One write; `ret_late` when the lease may now last longer than it should. */
static int arm_once(struct gate *gate, struct gate_port *p, const struct gate_lease *lease,
                    enum gate_arm_how how, bool *ret_late, struct err *err)
{
    struct nft_gate *n = gate->nft;
    const struct boot before = boot_now();
    int r;

    n->text.len = 0;
    r = say_arm(n, p, lease, how, err);
    if (r == 0)
        r = nft_gate_commit(n, err);
    *ret_late = boot_now().ns - before.ns > (uint64_t)LATE_MS * NS_PER_MS;
    if (r == ERR_NOTFOUND && how == GATE_RENEW)
        return err_set(err, ERR_CLOSED, "expired meanwhile; only a fresh lease opens it");
    if (r == 0) {
        p->nft.mode = lease->mode;
        p->nft.deadline = lease->deadline;
    }
    return r;
}

static int nft_arm(struct gate *gate, struct gate_port *p, const struct gate_lease *lease,
                   enum gate_arm_how how, struct err *err)
{
    bool late = true;
    int r = 0;

    /* Held up in the call: what was written lasts too long. Written again by a fresh clock,
     * it does not; if even that cannot be done in time, closed. */
    for (int i = 0; i < ATTEMPTS && r == 0 && late; i++)
        r = arm_once(gate, p, lease, i == 0 ? how : GATE_RENEW, &late, err);
    if (r == 0 && late && !is_forever(lease->deadline))
        r = err_set(err, ERR_TIMEOUT, "nftables takes longer than %d ms", LATE_MS);
    if (r != 0 && r != ERR_CLOSED && nft_close(gate, p, NULL) != 0)
        return err_wrap(err, "could not be closed either");
    return r;
}

static int nft_read(struct gate *gate, const struct gate_port *p,
                    struct gate_state *ret_state, struct err *err)
{
    (void)gate;
    (void)err;
    *ret_state = p->nft;
    return 0;
}

static int nft_manage(struct gate *gate, struct gate_port *p,
                      const struct gate_state *state, struct err *err)
{
    struct nft_gate *n = gate->nft;
    int r = 0;

    n->text.len = 0;
    nft_say(&n->text,
            "add element inet %s managed { %u }\n"
            "add chain inet %s wall_%u\n"
            "add element inet %s wall { %u : jump wall_%u }\n",
            n->table, p->port, n->table, p->port, n->table, p->port, p->port);
    nft_say_epoch(n, p->port, NULL, state);
    if (gate->n_ports == 0)
        nft_say_rules(n); /* nothing is judged while nothing is managed */
    if (state->mode != GATE_CLOSED)
        r = say_lease(n, p->port, state->mode, state->deadline, boot_now(), err);
    if (r == 0)
        r = nft_gate_commit(n, err);
    if (r == 0)
        p->nft = *state;
    return r;
}

static int nft_unmanage(struct gate *gate, struct gate_port *p, struct err *err)
{
    struct nft_gate *n = gate->nft;

    n->text.len = 0;
    say_closed(n, p->port);
    say_gone(n, "fenced", p->port);
    nft_say_epoch(n, p->port, &p->nft, NULL);
    nft_say(&n->text, "delete element inet %s managed { %u }\n", n->table, p->port);
    nft_say(&n->text, "delete element inet %s wall { %u }\n", n->table, p->port);
    nft_say(&n->text, "delete chain inet %s wall_%u\n", n->table, p->port);
    if (gate->n_ports == 1)
        nft_say(&n->text, "flush chain inet %s in\nflush chain inet %s out\n", n->table,
                n->table);
    return nft_gate_commit(n, err);
}

static void say_peer(struct nft_gate *n, const char *verb, uint16_t port,
                     const struct gate_addr *addr)
{
    char text[46];
    const char family = nft_addr(addr, text);

    nft_say(&n->text, "%s element inet %s peers%c { %u . %s }\n", verb, n->table, family,
            port, text);
}

/* One transaction: no packet sees the list without its members. */
static int nft_set_peers(struct gate *gate, struct gate_port *p,
                         const struct gate_addr *peers, size_t n, struct err *err)
{
    struct nft_gate *g = gate->nft;

    g->text.len = 0;
    g->text.bytes[0] = '\0';
    for (size_t i = 0; i < p->n_peers; i++) {
        say_peer(g, "add", p->port, &p->peers[i]);
        say_peer(g, "delete", p->port, &p->peers[i]);
    }
    for (size_t i = 0; i < n; i++)
        say_peer(g, "add", p->port, &peers[i]);
    return g->text.len == 0 ? 0 : nft_gate_commit(g, err);
}

static int nft_new_epoch(struct gate *gate, struct gate_port *p, uint64_t epoch,
                         struct err *err)
{
    const struct gate_state next = {.epoch = epoch};
    struct nft_gate *n = gate->nft;
    int r;

    n->text.len = 0;
    say_closed(n, p->port);
    say_gone(n, "fenced", p->port);
    nft_say_epoch(n, p->port, &p->nft, &next);
    r = nft_gate_commit(n, err);
    if (r == 0)
        p->nft = next;
    return r;
}

static int nft_mark_opened(struct gate *gate, struct gate_port *p, struct err *err)
{
    struct gate_state next = p->nft;
    int r;

    next.opened = true;
    gate->nft->text.len = 0;
    nft_say_epoch(gate->nft, p->port, &p->nft, &next);
    r = nft_gate_commit(gate->nft, err);
    if (r == 0)
        p->nft = next;
    return r;
}

/* Is the port in that set? An error other than "no" is neither. */
static int is_in(struct nft_gate *n, const char *set, uint16_t port, bool *ret_in,
                 struct err *err)
{
    int r;

    n->text.len = 0;
    nft_say(&n->text, "get element inet %s %s { %u }\n", n->table, set, port);
    r = nft_gate_commit(n, err);
    if (r != 0 && r != ERR_NOTFOUND)
        return r;
    *ret_in = r == 0;
    return 0;
}

static int read_back(struct nft_gate *n, uint16_t port, struct err *err)
{
    bool managed = false, fenced = false, open = true, replication = true;
    int r = is_in(n, "managed", port, &managed, err);

    if (r == 0)
        r = is_in(n, "fenced", port, &fenced, err);
    if (r == 0)
        r = is_in(n, "open", port, &open, err);
    if (r == 0)
        r = is_in(n, "repl", port, &replication, err);
    if (r != 0)
        return r;
    if (!managed || !fenced || open || replication)
        return err_set(err, ERR_UNPROVEN, "port %u does not read back as fenced", port);
    return 0;
}

static int nft_fence(struct gate *gate, struct gate_port *p, struct err *err)
{
    struct gate_state fenced = {
        .epoch = p->nft.epoch,
        .opened = p->nft.opened,
        .fenced = true,
    };
    struct nft_gate *n = gate->nft;
    int r;

    n->text.len = 0;
    say_closed(n, p->port);
    nft_say(&n->text, "add element inet %s fenced { %u }\n", n->table, p->port);
    nft_say_epoch(n, p->port, &p->nft, &fenced);
    r = nft_gate_commit(n, err);
    if (r != 0)
        return r;
    p->nft = fenced;
    /* Wait until no packet that the old rules let pass is still being worked on: a grace
     * period of RCU. A kernel with nohz_full does not offer it; the packet's few
     * microseconds are over then long before the answer has crossed the network. */
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
    return read_back(n, p->port, err);
}

static int nft_detach(struct gate *gate, struct err *err)
{
    gate->nft->text.len = 0;
    nft_say(&gate->nft->text, "delete table inet %s\n", gate->nft->table);
    return nft_gate_commit(gate->nft, err);
}

static void nft_witness(const struct gate *gate, struct guard_gate *ret_gate)
{
    *ret_gate = (struct guard_gate){.kind = GUARD_GATE_NFT};
    (void)snprintf(ret_gate->place, sizeof ret_gate->place, "%s", gate->nft->table);
    guard_nft_witness(ret_gate);
}

static void nft_free(struct gate *gate)
{
    if (gate->nft != NULL)
        nft_run_close(gate->nft->run);
    free(gate->nft);
    gate->nft = NULL;
}

static const struct gate_ops nft_ops = {
    .read = nft_read,
    .manage = nft_manage,
    .unmanage = nft_unmanage,
    .set_peers = nft_set_peers,
    .new_epoch = nft_new_epoch,
    .mark_opened = nft_mark_opened,
    .arm = nft_arm,
    .close = nft_close,
    .fence = nft_fence,
    .detach = nft_detach,
    .witness = nft_witness,
    .free = nft_free,
};

int gate_nft_open(struct gate *gate, struct err *err)
{
    bool owned = true;
    int r;

    gate->nft = calloc(1, sizeof *gate->nft);
    if (gate->nft == NULL)
        return err_set(err, ERR_NOMEM, "gate");
    gate->ops = &nft_ops;
    (void)snprintf(gate->nft->table, sizeof gate->nft->table, "ringfence_gate_%s",
                   gate->agent);
    r = nft_run_open(&gate->nft->run, err);
    if (r == 0)
        r = nft_run_own_table(gate->nft->run, gate->nft->table, err);
    if (r == ERR_UNSUPPORTED && gate->nft->run != NULL) {
        owned = false;
        r = 0;
    }
    if (r == 0)
        r = nft_gate_install(gate, owned, err);
    if (r != 0)
        return r;
    gate->can = (struct gate_capabilities){
        .driver = GATE_NFTABLES,
        .survives_flush = owned,
        .courtesy = true,
    };
    return 0;
}
