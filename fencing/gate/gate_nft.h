/* fencing/gate/gate_nft.h -- the inside of the nftables driver.
 *
 * One table per agent, owned and persistent where the kernel has that (6.9): then neither
 * `nft flush ruleset` nor the agent's death removes it. In it:
 *
 *   managed         ports under the gate
 *   fenced          ports whose epoch is over: dropped whatever `open` says
 *   open, repl      timed elements: the leases
 *   peers4, peers6  port . address
 *   epochs          port . epoch (two halves) . flags: what a restarted agent reads
 *   wall            port -> chain wall_PORT: drops past the deadline by wall clock
 *   version_N, boot_ID, id_ID   empty chains: whose gate this is
 *
 * A timeout is relative: an owner frozen between reading the clock and the kernel's call
 * extends the lease by its sleep. So the clock is read again afterwards, and what was late
 * is taken back; `wall` bounds it, to the second, for an owner that never wakes up.
 *
 * Threads: the keeper's.
 */
#ifndef RF_FENCING_GATE_NFT_H
#define RF_FENCING_GATE_NFT_H

#include "fencing/gate/gate_internal.h"
#include "fencing/gate/nft_run.h"
#include "fencing/gate/nft_text.h"

enum {
    NFT_VERSION = 1,
    NFT_FLAG_OPENED = 1,
    NFT_FLAG_FENCED = 2,
    NFT_TABLE_NAME_MAX = GATE_AGENT_MAX + 16,
};

struct nft_gate {
    struct nft_run *run;
    char table[NFT_TABLE_NAME_MAX];
    struct nft_text text; /* the transaction being written */
};

/* Build the table, or adopt it. Sets id, adopted and ports. */
MUST_USE int nft_gate_install(struct gate *gate, bool owned, struct err *err);
/* The rules of both directions, in place of what was there. */
void nft_say_rules(struct nft_gate *n);
/* `epochs` from one state to the other. */
void nft_say_epoch(struct nft_gate *n, uint16_t port, const struct gate_state *from,
                   const struct gate_state *to);
/* Send what was said. */
MUST_USE int nft_gate_commit(struct nft_gate *n, struct err *err);

#endif
