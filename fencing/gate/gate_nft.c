#include "fencing/gate/gate_nft.h"
#include "fencing/guard/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include "controller/base/assert.h"

int nft_gate_commit(struct nft_gate *n, struct err *err)
{
    const int r = nft_run(n->run, n->text.bytes, err);

    n->text.len = 0;
    n->text.bytes[0] = '\0';
    n->known = false; /* it may have changed something */
    return r;
}

/* What one turn's leases let pass. */
static void say_turn(struct nft_gate *n, const char *chain, unsigned turn, const char *port,
                     const char *remote)
{
    const char *t = n->table;

    nft_say(&n->text, "flush chain inet %s %s_%u\n", t, chain, turn);
    nft_say(&n->text, "add rule inet %s %s_%u th %s @open_%u accept\n", t, chain, turn,
            port, turn);
    nft_say(&n->text,
            "add rule inet %s %s_%u th %s @repl_%u th %s . ip %s @peers4 accept\n", t,
            chain, turn, port, turn, port, remote);
    nft_say(&n->text,
            "add rule inet %s %s_%u th %s @repl_%u th %s . ip6 %s @peers6 accept\n", t,
            chain, turn, port, turn, port, remote);
    for (unsigned family = 4; family <= 6; family += 2)
        nft_say(&n->text,
                "add rule inet %s %s_%u th %s @standby th %s . %s %s @guests%u accept\n", t,
                chain, turn, port, port, family == 4 ? "ip" : "ip6", remote, family);
    nft_say(&n->text, "add rule inet %s %s_%u goto dead_%s\n", t, chain, turn, chain);
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
    for (unsigned turn = 0; turn < NFT_TURNS; turn++)
        nft_say(&n->text, "add rule inet %s %s th %s @now_%u goto %s_%u\n", t, chain, port,
                turn, chain, turn);
    nft_say(&n->text, "add rule inet %s %s goto dead_%s\n", t, chain, chain);
    for (unsigned turn = 0; turn < NFT_TURNS; turn++)
        say_turn(n, chain, turn, port, remote);
}

void nft_say_rules(struct nft_gate *n)
{
    say_direction(n, "in", "dport", "saddr");
    say_direction(n, "out", "sport", "daddr");
}

static unsigned flags_of(const struct gate_port *p, const struct gate_state *state)
{
    return (state->opened ? NFT_FLAG_OPENED : 0u) | (state->fenced ? NFT_FLAG_FENCED : 0u) |
           (p->spare ? NFT_FLAG_SPARE : 0u);
}

/* `add` before `delete`: it is there in any case then. */
void nft_say_epoch(struct nft_gate *n, const struct gate_port *p,
                   const struct gate_state *from, const struct gate_state *to)
{
    static const char *const verbs[] = {"add", "delete", "add"};

    ASSERT(p != NULL);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        const struct gate_state *s = i < 2 ? from : to;

        if (s == NULL)
            continue;
        nft_say(&n->text,
                "%s element inet %s epochs { %u . %" PRIu32 " . %" PRIu32 " . %u }\n",
                verbs[i], n->table, p->port, (uint32_t)(s->epoch >> 32), (uint32_t)s->epoch,
                flags_of(p, s));
    }
}

static int nft_read(struct gate *gate, const struct gate_port *p,
                    struct gate_state *ret_state, struct err *err)
{
    (void)gate;
    (void)err;
    *ret_state = p->nft;
    return 0;
}

void nft_say_port(struct nft_gate *n, const struct gate_port *p,
                  const struct gate_state *state)
{
    nft_say(&n->text, "add chain inet %s wall_%u\n", n->table, p->port);
    nft_say_each(n, "add", "managed", p);
    for (size_t i = 0; gate_port_at(p, i) != 0; i++)
        nft_say(&n->text, "add element inet %s wall { %u : jump wall_%u }\n", n->table,
                gate_port_at(p, i), p->port);
    for (size_t i = 0; i < p->n_also; i++)
        nft_say(&n->text, "add element inet %s beside { %u . %u }\n", n->table, p->port,
                p->also[i]);
    if (state->fenced)
        nft_say_each(n, "add", "fenced", p);
    nft_say_epoch(n, p, NULL, state);
}

static int nft_manage(struct gate *gate, struct gate_port *p,
                      const struct gate_state *state, struct err *err)
{
    struct nft_gate *n = gate->nft;
    int r = 0;

    if (state->mode != GATE_CLOSED)
        r = nft_prepare(gate, p, state->mode, state->deadline, err);
    n->text.len = 0;
    nft_say_port(n, p, state);
    if (gate->n_ports == 0)
        nft_say_rules(n); /* nothing is judged while nothing is managed */
    if (state->mode != GATE_CLOSED)
        nft_say_turn(n, p, state->deadline);
    if (r == 0)
        r = nft_gate_commit(n, err);
    if (r != 0)
        return r;
    if (state->mode != GATE_CLOSED)
        p->turn = nft_other_turn(p);
    p->nft = *state;
    return gate->n_ports == 0 ? nft_gate_note_shape(n, err) : 0;
}

static int nft_unmanage(struct gate *gate, struct gate_port *p, struct err *err)
{
    struct nft_gate *n = gate->nft;
    int r;

    n->text.len = 0;
    nft_say_closed(n, p);
    nft_say_gone(n, "fenced", p);
    nft_say_epoch(n, p, &p->nft, NULL);
    nft_say_each(n, "delete", "managed", p);
    nft_say_each(n, "delete", "wall", p);
    for (size_t i = 0; i < p->n_also; i++)
        nft_say(&n->text, "delete element inet %s beside { %u . %u }\n", n->table, p->port,
                p->also[i]);
    nft_say(&n->text, "delete chain inet %s wall_%u\n", n->table, p->port);
    if (gate->n_ports == 1)
        nft_say(&n->text, "flush chain inet %s in\nflush chain inet %s out\n", n->table,
                n->table);
    r = nft_gate_commit(n, err);
    return r == 0 && gate->n_ports == 1 ? nft_gate_note_shape(n, err) : r;
}

static int nft_new_epoch(struct gate *gate, struct gate_port *p, uint64_t epoch,
                         struct err *err)
{
    const struct gate_state next = {.epoch = epoch};
    struct nft_gate *n = gate->nft;
    int r;

    n->text.len = 0;
    nft_say_closed(n, p);
    nft_say_gone(n, "fenced", p);
    nft_say_epoch(n, p, &p->nft, &next);
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
    nft_say_epoch(gate->nft, p, &p->nft, &next);
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
    static const struct {
        const char *set;
        bool in;
    } expect[] = {{"managed", true}, {"fenced", true},  {"now_0", false},
                  {"now_1", false},  {"open_0", false}, {"open_1", false},
                  {"repl_0", false}, {"repl_1", false}};

    for (size_t i = 0; i < ARRAY_LEN(expect); i++) {
        bool in = !expect[i].in;
        const int r = is_in(n, expect[i].set, port, &in, err);

        if (r != 0)
            return r;
        if (in != expect[i].in)
            return err_set(err, ERR_UNPROVEN, "port %u does not read back as fenced", port);
    }
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
    /* I2: sets that read back as fenced close nothing if somebody took the rules away. */
    int r = nft_check(gate, NULL, err);

    if (r != 0)
        return r;
    n->text.len = 0;
    nft_say_closed(n, p);
    nft_say_each(n, "add", "fenced", p);
    nft_say_epoch(n, p, &p->nft, &fenced);
    r = nft_gate_commit(n, err);
    if (r != 0)
        return r;
    p->nft = fenced;
    /* Wait until no packet that the old rules let pass is still being worked on: a grace
     * period of RCU. A kernel with nohz_full does not offer it; the packet's few
     * microseconds are over then long before the answer has crossed the network. */
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
    for (size_t i = 0; r == 0 && gate_port_at(p, i) != 0; i++)
        r = read_back(n, gate_port_at(p, i), err);
    return r;
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
    .set_also = nft_set_also,
    .set_guests = nft_set_guests,
    .new_epoch = nft_new_epoch,
    .mark_opened = nft_mark_opened,
    .arm = nft_arm,
    .close = nft_close,
    .fence = nft_fence,
    .check = nft_check,
    .restore = nft_restore,
    .detach = nft_detach,
    .witness = nft_witness,
    .free = nft_free,
};

int nft_gate_table(struct nft_gate *n, struct err *err)
{
    const int r = nft_run_own_table(n->run, n->table, err);

    n->owned = r == 0;
    return r == ERR_UNSUPPORTED ? 0 : r; /* it is made with what is in it */
}

int gate_nft_open(struct gate *gate, struct err *err)
{
    int r;

    gate->nft = calloc(1, sizeof *gate->nft);
    if (gate->nft == NULL)
        return err_set(err, ERR_NOMEM, "gate");
    gate->ops = &nft_ops;
    (void)snprintf(gate->nft->table, sizeof gate->nft->table, "ringfence_gate_%s",
                   gate->agent);
    r = nft_run_open(&gate->nft->run, err);
    if (r == 0)
        r = nft_gate_table(gate->nft, err);
    if (r == 0)
        r = nft_gate_install(gate, err);
    if (r != 0)
        return r;
    gate->can = (struct gate_capabilities){
        .driver = GATE_NFTABLES,
        .survives_flush = gate->nft->owned,
        .courtesy = true,
    };
    return 0;
}
