/* chaos/wan_core.h -- what leaves the wide-area network when: links, rules, frames under
 * way.
 *
 * A link is one direction between two sites and has rules of its own. A frame that comes in
 * is, in this order: dropped by a cut, lost, duplicated, held back by the rate, delayed.
 * The order within a link is kept, whatever delay, jitter and changes of the rules say, but
 * for frames that are reordered: such a frame comes up to WAN_HOLD_MAX_US later than its
 * turn, and those behind it pass.
 *
 * Who it is for is read off the frame: each site has the fixed address of wan_mac(). A
 * frame for a group (ARP, IPv6 neighbours) goes to every other site, one for nobody is
 * counted as stray and dropped.
 *
 * Limits: a frame has at most WAN_FRAME_MAX bytes (an MTU of WAN_MTU), what is longer is
 * stray. On a link with a rate, what would wait longer than `queue_bytes` take is dropped,
 * and the bucket lets WAN_BURST_BYTES pass at once; on any link at most WAN_UNDER_WAY_MAX
 * frames are under way, the next one is dropped. Both are counted as `overflow`.
 *
 * Pure:    no I/O, no clock; chance is drawn from the seed, by each link from its own
 * share: the same frames at the same instants leave at the same instants again. Units:
 * instants in nanoseconds of any one clock, durations in microseconds, rates in bits a
 * second, probabilities in millionths (10000: one per cent). Owner:   the caller; frames
 * belong to the core but between wan_core_blank() and wan_core_send(), and between
 * wan_core_due() and wan_core_return(). Threads: one. Errors:  rules that wan_link_wrong()
 * names are refused; no memory is die().
 */
#ifndef RF_CHAOS_WAN_CORE_H
#define RF_CHAOS_WAN_CORE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WAN_SITES_MAX = 8,
    WAN_MTU = 1500,
    WAN_FRAME_MAX = WAN_MTU + 18, /* with the Ethernet header, and a VLAN's */
    WAN_MAC_SIZE = 6,
    WAN_UNDER_WAY_MAX = 16384,
    WAN_BURST_BYTES = 16384,
    WAN_QUEUE_BYTES = 256 << 10,
    WAN_QUEUE_MAX = 256 << 20,
    WAN_RATE_MIN = 8000,
    WAN_DELAY_MAX_US = 60000000,
    WAN_HOLD_MAX_US = 10000,
    WAN_ALWAYS = 1000000, /* of millionths */
};

/* All zero: a wire. */
struct wan_link {
    uint32_t delay_us, jitter_us; /* delay - jitter to delay + jitter, evenly */
    uint64_t rate_bps;            /* 0: without a limit */
    uint32_t queue_bytes;         /* waiting for the rate; 0: WAN_QUEUE_BYTES */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
    bool cut; /* nothing passes, and what is under way never arrives */
};

/* sent + duplicated = frames + lost + overflow + cut + what is under way. */
struct wan_count {
    uint64_t sent;          /* came in */
    uint64_t frames, bytes; /* went out */
    uint64_t lost, duplicated, reordered;
    uint64_t overflow; /* by a full queue */
    uint64_t cut;
};

struct wan_frame {
    int64_t due_ns;
    uint64_t turn;          /* among those of one instant: as they came */
    struct wan_frame *next; /* of the unused ones */
    uint32_t life;          /* of the link: a cut begins a new one */
    uint16_t size;
    uint8_t from, to;
    unsigned char bytes[WAN_FRAME_MAX + 1]; /* one more: a longer one shows */
};

struct wan_core;

struct wan_core *wan_core_new(unsigned sites, uint64_t seed);
void wan_core_free(struct wan_core *c);

void wan_mac(unsigned site, unsigned char ret_mac[WAN_MAC_SIZE]);

/* What is wrong with the rules; NULL: nothing. */
const char *wan_link_wrong(const struct wan_link *rules);

/* The rules until wan_core_heal(). False: no such link, or wan_link_wrong(). */
bool wan_core_set(struct wan_core *c, unsigned from, unsigned to,
                  const struct wan_link *rules);
/* The same, and what the link is healed to from now on; a wire at first. */
bool wan_core_set_base(struct wan_core *c, unsigned from, unsigned to,
                       const struct wan_link *rules);
void wan_core_heal(struct wan_core *c);

/* A frame to be filled: bytes and size. */
struct wan_frame *wan_core_blank(struct wan_core *c);
/* It comes in from `from` at `now`. */
void wan_core_send(struct wan_core *c, struct wan_frame *f, unsigned from, int64_t now);
/* The next frame that is due, to be delivered to f->to; NULL: none. */
struct wan_frame *wan_core_due(struct wan_core *c, int64_t now);
void wan_core_return(struct wan_core *c, struct wan_frame *f);
/* When wan_core_due() will next have one; INT64_MAX: nothing is under way. */
int64_t wan_core_next_ns(const struct wan_core *c);

/* Zeros where there is no such link. */
struct wan_count wan_core_count(const struct wan_core *c, unsigned from, unsigned to);
/* For nobody, or too long. */
uint64_t wan_core_stray(const struct wan_core *c);

#endif
