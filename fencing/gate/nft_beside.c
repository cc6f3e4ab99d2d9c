/* What belongs to a port in the nftables driver: peers, guests, and ports beside it. */
#include "fencing/gate/gate_nft.h"

static void say_addr(struct nft_gate *n, const char *verb, const char *set, uint16_t port,
                     const struct gate_addr *addr)
{
    char text[46];
    const char family = nft_addr(addr, text);

    nft_say(&n->text, "%s element inet %s %s%c { %u . %s }\n", verb, n->table, set, family,
            port, text);
}

void nft_say_peers(struct nft_gate *n, const struct gate_port *p)
{
    for (size_t i = 0; i < p->n_peers; i++)
        say_addr(n, "add", "peers", p->port, &p->peers[i]);
    for (size_t i = 0; i < p->n_guests; i++)
        say_addr(n, "add", "guests", p->guests[i].port, &p->guests[i].addr);
}

/* One transaction: no packet sees the list without its members. */
int nft_set_peers(struct gate *gate, struct gate_port *p, const struct gate_addr *peers,
                  size_t n, struct err *err)
{
    struct nft_gate *g = gate->nft;

    g->text.len = 0;
    g->text.bytes[0] = '\0';
    for (size_t i = 0; i < p->n_peers; i++) {
        say_addr(g, "add", "peers", p->port, &p->peers[i]);
        say_addr(g, "delete", "peers", p->port, &p->peers[i]);
    }
    for (size_t i = 0; i < n; i++)
        say_addr(g, "add", "peers", p->port, &peers[i]);
    return g->text.len == 0 ? 0 : nft_gate_commit(g, err);
}

int nft_set_guests(struct gate *gate, struct gate_port *p, const struct gate_guest *guests,
                   size_t n, struct err *err)
{
    struct nft_gate *g = gate->nft;

    g->text.len = 0;
    g->text.bytes[0] = '\0';
    for (size_t i = 0; i < p->n_guests; i++) {
        say_addr(g, "add", "guests", p->guests[i].port, &p->guests[i].addr);
        say_addr(g, "delete", "guests", p->guests[i].port, &p->guests[i].addr);
    }
    for (size_t i = 0; i < n; i++)
        say_addr(g, "add", "guests", guests[i].port, &guests[i].addr);
    return g->text.len == 0 ? 0 : nft_gate_commit(g, err);
}

/* From its own gate, which is closed, to being beside `p`, in one transaction. */
static void say_taken_over(struct nft_gate *n, const struct gate_port *own)
{
    nft_say_closed(n, own);
    nft_say_gone(n, "fenced", own);
    nft_say_epoch(n, own, &own->nft, NULL);
    nft_say(&n->text,
            "delete element inet %s wall { %u }\n"
            "delete chain inet %s wall_%u\n",
            n->table, own->port, n->table, own->port);
}

static void say_let_go(struct nft_gate *n, const struct gate_port *p, uint16_t port)
{
    static const char *const sets[] = {"now_0",  "now_1",  "open_0",  "open_1",
                                       "repl_0", "repl_1", "standby", "fenced"};
    const struct gate_port alone = {.port = port};

    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        nft_say_gone(n, sets[i], &alone);
    nft_say(&n->text,
            "delete element inet %s managed { %u }\n"
            "delete element inet %s wall { %u }\n"
            "delete element inet %s beside { %u . %u }\n",
            n->table, port, n->table, port, n->table, p->port, port);
}

/* A new one is closed until the next lease is written: what is left of this one is known to
 * the kernel alone. It stands in the lease's set all the same, without an end, where a
 * renewal deletes it with the others: nothing passes by that, since it is not among those
 * whose turn it is (`now_`), and before it comes to be the set is written anew (I3). */
int nft_set_also(struct gate *gate, struct gate_port *p, const uint16_t *also, size_t n,
                 struct err *err)
{
    struct nft_gate *g = gate->nft;

    g->text.len = 0;
    g->text.bytes[0] = '\0';
    for (size_t i = 0; i < p->n_also; i++)
        if (!gate_has_port(also, n, p->also[i]))
            say_let_go(g, p, p->also[i]);
    for (size_t i = 0; i < n; i++) {
        const struct gate_port *own = gate_port_of(gate, also[i]);

        if (gate_has_port(p->also, p->n_also, also[i]))
            continue;
        if (own != NULL)
            say_taken_over(g, own);
        nft_say(&g->text,
                "add element inet %s managed { %u }\n"
                "add element inet %s wall { %u : jump wall_%u }\n"
                "add element inet %s beside { %u . %u }\n",
                g->table, also[i], g->table, also[i], p->port, g->table, p->port, also[i]);
        if (p->nft.fenced)
            nft_say(&g->text, "add element inet %s fenced { %u }\n", g->table, also[i]);
        if (p->nft.mode != GATE_CLOSED)
            nft_say(&g->text, "add element inet %s %s { %u }\n", g->table,
                    nft_lease_set(p->nft.mode, p->turn), also[i]);
    }
    return g->text.len == 0 ? 0 : nft_gate_commit(g, err);
}
