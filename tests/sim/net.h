/* tests/sim/net.h -- the network between controllers and agents.
 *
 * It has the interfaces of controller/net's streams, links and listeners. A connection
 * keeps the order of its frames; a direction that is cut holds them back, delivers them
 * late when it is whole again within the timeout, and else the connection dies at both
 * ends. Beyond what TCP would ever do, while faults go on (and the seed says so) a frame
 * behind the first one may also be lost, come twice, or be overtaken.
 */
#ifndef RF_SIM_NET_H
#define RF_SIM_NET_H

#include "tests/sim/world.h"

struct network {
    uint8_t cut[NODES_MAX][NODES_MAX]; /* how many faults cut this direction */
    uint32_t latency_us[NODES_MAX][NODES_MAX];
    unsigned lose, twice, overtake, late; /* permille of frames */
    uint64_t slow_until[NODES_MAX][NODES_MAX], cut_since[NODES_MAX][NODES_MAX];
    uint64_t repeat_until[NODES_MAX][NODES_MAX], repeat_later[NODES_MAX][NODES_MAX];
};

extern struct network net;

void net_begin(void);
void net_end(void);
bool net_linked(uint8_t from, uint8_t to);
void net_cut(uint8_t from, uint8_t to);
void net_mend(uint8_t from, uint8_t to);
/* The node's process has ended: `power` means that nobody says so to its peers. */
void net_forget(uint8_t node, bool power);
/* For so long, what `from` says to `to` comes once more, as much later. */
void net_repeat(uint8_t from, uint8_t to, uint64_t ns, uint64_t later_ns);
/* A frame that `from`'s program did not say goes to `to` on a connection that it has made.
 * False: there is none. */
bool net_forge(uint8_t from, uint8_t to, const void *data, size_t len);
/* Frames that are under way now come once more after `ns`. */
void net_echo(uint8_t from, uint64_t ns);

#endif
