/* The nftables driver's doubts: are table, rules and sets what we left there?
 *
 * Where the kernel lets a table be owned (6.9), nobody else can change it. Else root's
 * tools can: `nft flush ruleset` takes all of it, a firewall's reload often begins with
 * that, and a port that no rule knows passes. The rules are compared as the kernel reads
 * them back with what it read back when we had written them; the sets element by element.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "fencing/gate/gate_nft.h"

enum { LATE_MS = 50 }; /* between our clock, the kernel's tick and the listing */

static const uint64_t hash_begin = 14695981039346656037u;

/* FNV-1a: who changes rules by mistake does not look for collisions. */
static uint64_t hash_on(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* One by one: libnftables 1.0.6 lists but the last of several chains. */
static int read_shape(struct nft_gate *n, uint64_t *ret_shape, struct err *err)
{
    static const char *const chains[] = {"in",    "out",   "in_0",    "in_1",
                                         "out_0", "out_1", "dead_in", "dead_out"};
    uint64_t shape = hash_begin;

    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        AUTO(auto_free) char *text = NULL;
        int r;

        n->text.len = 0;
        nft_say(&n->text, "list chain inet %s %s", n->table, chains[i]);
        r = nft_run_text(n->run, n->text.bytes, &text, err);
        if (r != 0)
            return r;
        shape = hash_on(shape, text);
    }
    *ret_shape = shape;
    return 0;
}

int nft_gate_note_shape(struct nft_gate *n, struct err *err)
{
    return read_shape(n, &n->shape, err);
}

static int check_rules(struct nft_gate *n, struct err *err)
{
    uint64_t shape = 0;
    const int r = read_shape(n, &shape, err);

    if (r == ERR_NOTFOUND)
        return err_set(err, ERR_UNPROVEN,
                       "table inet %s was taken away (`nft flush ruleset`?)", n->table);
    if (r == 0 && shape != n->shape)
        return err_set(err, ERR_UNPROVEN, "somebody changed the rules of table inet %s",
                       n->table);
    return r;
}

/* Whether a packet of the port comes before the rules at all, and whether a fence does. */
static int check_places(struct gate *gate, struct err *err)
{
    struct nft_gate *n = gate->nft;
    int r;

    n->text.len = 0;
    for (size_t i = 0; i < gate->n_ports; i++) {
        const struct gate_port *p = &gate->ports[i];

        nft_say_each(n, "get", "managed", p);
        nft_say_each(n, "get", "wall", p);
        if (p->nft.fenced)
            nft_say_each(n, "get", "fenced", p);
    }
    if (n->text.len == 0)
        return 0;
    r = nft_gate_commit(n, err);
    return r == ERR_NOTFOUND ? err_set(err, ERR_UNPROVEN,
                                       "a port was taken out of table inet %s", n->table)
                             : r;
}

/* What would let packets pass longer than what we wrote. */
static bool is_longer(const struct gate_port *p, uint16_t port, const char *listing,
                      enum gate_mode mode, struct boot now)
{
    const struct gate_state *s = &p->nft;
    uint64_t ms = 0, left;

    if (!nft_find_timed(listing, port, &ms))
        return false;
    if (s->mode != mode)
        return true;
    if (s->deadline.ns >= GATE_FOREVER.ns)
        return false;
    left = s->deadline.ns > now.ns ? (s->deadline.ns - now.ns) / NS_PER_MS : 0;
    return ms > left + LATE_MS;
}

struct turn_listing {
    unsigned turn;
    const char *in_force, *open, *repl;
    struct boot asked; /* before, so that what is left has grown less */
};

static bool is_ours(const struct gate_port *p, const struct turn_listing *t)
{
    for (size_t i = 0; gate_port_at(p, i) != 0; i++) {
        const uint16_t port = gate_port_at(p, i);
        uint64_t ms;

        if (nft_find_timed(t->in_force, port, &ms) &&
            (p->turn != t->turn || is_longer(p, port, t->open, GATE_OPEN, t->asked) ||
             is_longer(p, port, t->repl, GATE_REPLICATION, t->asked)))
            return false;
    }
    return true;
}

static int check_turn(struct gate *gate, unsigned turn, struct err *err)
{
    AUTO(auto_free) char *in_force = NULL;
    AUTO(auto_free) char *open = NULL;
    AUTO(auto_free) char *repl = NULL;
    const struct boot now = boot_now();
    int r = nft_gate_list_set(gate->nft, turn == 0 ? "now_0" : "now_1", &in_force, err);

    if (r == 0)
        r = nft_gate_list_set(gate->nft, turn == 0 ? "open_0" : "open_1", &open, err);
    if (r == 0)
        r = nft_gate_list_set(gate->nft, turn == 0 ? "repl_0" : "repl_1", &repl, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < gate->n_ports; i++)
        if (!is_ours(&gate->ports[i],
                     &(struct turn_listing){turn, in_force, open, repl, now}))
            return err_set(err, ERR_UNPROVEN,
                           "somebody else wrote the lease of port %u into table inet %s",
                           gate->ports[i].port, gate->nft->table);
    return 0;
}

/* All of it takes milliseconds, and a second on a host with many ports and peers. */
static int check_all(struct gate *gate, struct err *err)
{
    int r = check_rules(gate->nft, err);

    if (r == 0)
        r = check_places(gate, err);
    for (unsigned turn = 0; r == 0 && turn < NFT_TURNS; turn++)
        r = check_turn(gate, turn, err);
    return r;
}

/* For one port nothing more is asked than what its transaction asks anyhow: it fails where
 * the sets are gone. With each renewal, for all: a table that is owned cannot be changed by
 * others while our socket is open; else it is looked at when anybody has changed a rule. */
int nft_check(struct gate *gate, const struct gate_port *p, struct err *err)
{
    struct nft_gate *n = gate->nft;
    uint32_t generation = 0;
    int r;

    if (p != NULL || n->owned)
        return 0;
    r = nft_run_generation(&generation, err);
    if (r != 0 || (n->known && generation == n->generation))
        return r;
    r = check_all(gate, err);
    n->known = r == 0;
    n->generation = generation; /* what was changed since then is another one */
    return r;
}

static void say_ports(struct gate *gate)
{
    for (size_t i = 0; i < gate->n_ports; i++) {
        const struct gate_port *p = &gate->ports[i];

        nft_say_port(gate->nft, p, &p->nft);
        nft_say_peers(gate->nft, p);
    }
    if (gate->n_ports > 0)
        nft_say_rules(gate->nft);
}

/* One transaction, from nothing. A table that is owned cannot be deleted in it, being ours
 * by a message that nft's language does not have; but nobody else can have changed it. */
int nft_restore(struct gate *gate, struct err *err)
{
    struct nft_gate *n = gate->nft;
    int r;

    for (size_t i = 0; i < gate->n_ports; i++) {
        gate->ports[i].nft.mode = GATE_CLOSED;
        gate->ports[i].nft.deadline = (struct boot){0};
    }
    r = nft_gate_table(n, err);
    if (r != 0)
        return r;
    n->text.len = 0;
    if (!n->owned)
        nft_say(&n->text, "add table inet %s\ndelete table inet %s\n", n->table, n->table);
    r = nft_gate_say_structure(gate, err);
    if (r != 0)
        return r;
    say_ports(gate);
    r = nft_gate_commit(n, err);
    return r != 0 ? r : nft_gate_note_shape(n, err);
}
