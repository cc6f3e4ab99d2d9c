/* fencing/gate/gate_nft.h -- the inside of the nftables driver.
 *
 * One table per agent, owned and persistent where the kernel has that (6.9): then neither
 * `nft flush ruleset` nor the agent's death removes it. In it:
 *
 *   managed         ports under the gate
 *   beside          port . a port that obeys its lease: each of them is in every set below
 *   standby         ports whose lease is a standby's, without a deadline
 *   fenced          ports whose epoch is over: dropped whatever `open` says
 *   now_0, now_1    ports whose lease is the one in the sets of that number
 *   open_N, repl_N  timed elements: the leases
 *   peers4, peers6, guests4, guests6  port . address
 *   epochs          port . epoch (two halves) . flags: what a restarted agent reads
 *   wall            port -> chain wall_PORT: drops past the deadline by wall clock
 *   version_N, boot_ID, id_ID   empty chains: whose gate this is
 *
 * A timeout is relative: an owner frozen between reading the clock and the kernel's call
 * would extend the lease by its sleep. So a lease takes two transactions (nft_lease.c), and
 * the second one, which puts it in force, is only made when the first was in time. `wall`
 * bounds it, to the second, over a suspended host, for which timeouts stand still.
 *
 * Threads: the keeper's.
 */
#ifndef RF_FENCING_GATE_NFT_H
#define RF_FENCING_GATE_NFT_H

#include "fencing/gate/gate_internal.h"
#include "fencing/gate/nft_run.h"
#include "fencing/gate/nft_text.h"

enum {
    NFT_VERSION = 2,
    NFT_TURNS = 2,
    NFT_FLAG_OPENED = 1,
    NFT_FLAG_FENCED = 2,
    NFT_FLAG_SPARE = 4,
    NFT_TABLE_NAME_MAX = GATE_AGENT_MAX + 16,
};

struct nft_gate {
    struct nft_run *run;
    char table[NFT_TABLE_NAME_MAX];
    bool owned;     /* nobody else's transaction can change the table */
    uint64_t shape; /* of the rules as they were when we had written them */
    bool known;     /* all was as it should be, when the rules' generation was: */
    uint32_t generation;
    struct nft_text text; /* the transaction being written */
};

/* Make the table, owned where the kernel has that. Fine if it is there and ours. */
MUST_USE int nft_gate_table(struct nft_gate *n, struct err *err);
/* Build the table's inside, or adopt it. Sets id, adopted and ports. */
MUST_USE int nft_gate_install(struct gate *gate, struct err *err);
/* Everything of the table but ports and their leases, under the id that the gate has. */
MUST_USE int nft_gate_say_structure(struct gate *gate, struct err *err);
/* The port's place in the sets and maps, in this state but without its lease. */
void nft_say_port(struct nft_gate *n, const struct gate_port *p,
                  const struct gate_state *state);
void nft_say_peers(struct nft_gate *n, const struct gate_port *p);
/* nft_beside.c; as in struct gate_ops. */
MUST_USE int nft_set_peers(struct gate *gate, struct gate_port *p,
                           const struct gate_addr *peers, size_t n, struct err *err);
MUST_USE int nft_set_guests(struct gate *gate, struct gate_port *p,
                            const struct gate_guest *guests, size_t n, struct err *err);
MUST_USE int nft_set_also(struct gate *gate, struct gate_port *p, const uint16_t *also,
                          size_t n, struct err *err);
/* The text of "list set". */
MUST_USE int nft_gate_list_set(struct nft_gate *n, const char *set, char **ret_text,
                               struct err *err);
/* Whatever of the instance is in the set is taken out; fine if there is nothing. */
void nft_say_gone(struct nft_gate *n, const char *set, const struct gate_port *p);
/* "VERB element SET { PORT }" for each of the instance's ports. */
void nft_say_each(struct nft_gate *n, const char *verb, const char *set,
                  const struct gate_port *p);

/* nft_lease.c. nft_prepare() writes a lease that is not in force, in time; nft_say_turn()
 * says what puts it in force, after which nft_other_turn() is the port's turn. */
MUST_USE int nft_prepare(struct gate *gate, const struct gate_port *p, enum gate_mode mode,
                         struct boot deadline, struct err *err);
unsigned nft_other_turn(const struct gate_port *p);
const char *nft_lease_set(enum gate_mode mode, unsigned turn);
void nft_say_turn(struct nft_gate *n, const struct gate_port *p, struct boot deadline);
void nft_say_closed(struct nft_gate *n, const struct gate_port *p);
/* As in struct gate_ops. */
MUST_USE int nft_arm(struct gate *gate, struct gate_port *p, const struct gate_lease *lease,
                     enum gate_arm_how how, struct err *err);
MUST_USE int nft_close(struct gate *gate, struct gate_port *p, struct err *err);

/* nft_check.c; struct gate_ops says what the first two do. */
MUST_USE int nft_check(struct gate *gate, const struct gate_port *p, struct err *err);
MUST_USE int nft_restore(struct gate *gate, struct err *err);
/* The rules are ours now: remember how they read. */
MUST_USE int nft_gate_note_shape(struct nft_gate *n, struct err *err);

/* The rules of both directions, in place of what was there. */
void nft_say_rules(struct nft_gate *n);
/* `epochs` from one state to the other. */
void nft_say_epoch(struct nft_gate *n, const struct gate_port *p,
                   const struct gate_state *from, const struct gate_state *to);
/* Send a lease, which changes something for certain: where it is the only change since all
 * was known to be right, it still is. */
MUST_USE int nft_commit_lease(struct nft_gate *n, struct err *err);
/* Send what was said. */
MUST_USE int nft_gate_commit(struct nft_gate *n, struct err *err);

#endif
