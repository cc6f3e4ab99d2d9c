/* fencing/agent/keeper.h -- the thread that holds leases: links, gate, epoch file.
 *
 * It has a loop of its own, calls no database client, waits for no other thread, and lets
 * libuv's pool do its disk syncs. What it does is decided by keeper_core.h; this is the
 * shell around it. With the permission for it the thread runs at real-time priority.
 *
 * Owner:   keeper_start() to keeper_stop(). Settings, TLS, board and state must outlive it.
 * Threads: keeper_start() and keeper_stop() by the main thread; all else is inside.
 * Errors:  what hinders the start comes back from keeper_start(); later troubles are logged
 *          once each and shown in struct board_health.
 */
#ifndef RF_AGENT_KEEPER_H
#define RF_AGENT_KEEPER_H

#include "controller/base/err.h"
#include "fencing/agent/agent_settings.h"
#include "fencing/agent/agent_state.h"
#include "fencing/agent/board.h"

struct keeper;
struct tls;

struct keeper_parts {
    const struct agent_settings *settings;
    struct tls *tls;
    struct board *board;
    struct agent_state *state;
    const struct agent_contents *contents; /* as agent_state_open() found them; copied */
};

/* Opens (or adopts) the gate, fixes the incarnation, writes it to disk, then starts to
 * dial. Returns when the gate stands; as gate_open(), agent_state_begin() and
 * agent_state_write(). */
MUST_USE int keeper_start(struct keeper **ret_keeper, const struct keeper_parts *parts,
                          struct err *err);

/* Ends the thread in good order and leaves the kernel's gate as it is: a successor adopts
 * it (I3). NULL is fine. */
void keeper_stop(struct keeper *k);

#endif
