/* tests/unit/consensus/sim_node.h -- one simulated node: driver, disk, application. */
#ifndef RF_TEST_CONSENSUS_SIM_NODE_H
#define RF_TEST_CONSENSUS_SIM_NODE_H

#include "controller/consensus/driver.h"
#include "tests/unit/consensus/sim.h"

enum { SIM_NODES = 3, SIM_LOG_MAX = 8192, SIM_TERM_MAX = 1 << 16, SIM_READS = 8 };

struct sim_entry {
    uint64_t term;
    enum consensus_entry_kind kind;
    uint8_t *data;
    size_t len;
};

/* What survives a crash. */
struct sim_disk {
    uint64_t term, vote;
    uint64_t first, last; /* of log[], by index */
    struct sim_entry log[SIM_LOG_MAX];
    uint64_t snapshot_index, snapshot_term;
    struct buf snapshot;
};

struct sim_op {
    struct sim_op *next;
    uint64_t due;
    enum order_kind kind;
    uint64_t seq, first, term, vote;
    struct sim_entry *entries;
    size_t n;
    bool discard;
    struct buf snapshot;
};

struct sim_packet {
    uint64_t at, order;
    unsigned from, to;
    uint64_t needs_vote; /* held until this seq is on disk */
    struct buf bytes;
    struct sim_packet *next;
};

/* A read that waits for its barrier; whatever was committed by then has to be in it. */
struct sim_read {
    uint64_t index, term, floor;
};

struct sim;

struct sim_node {
    struct sim *sim;
    unsigned position;
    unsigned generation; /* disks lost: each has an id of its own */
    bool up;
    uint64_t restart_at, awake_at;
    struct driver *driver;
    struct orders orders;
    struct sim_disk disk;
    struct sim_op *ops, **ops_tail;
    uint64_t vote_seq, done_seq; /* last vote ordered; everything stored up to */
    struct sim_packet *held, **held_tail;
    uint64_t applied, hash; /* the application */
    struct sim_read reads[SIM_READS];
    unsigned n_reads;
    uint64_t since_snapshot;
};

struct sim {
    struct sim_config config;
    struct sim_result *result;
    uint64_t now, rng, order, digest;
    struct sim_node node[SIM_NODES];
    bool cut[SIM_NODES][SIM_NODES];
    struct sim_packet **heap;
    size_t n_heap, cap_heap;
    uint64_t agreed_hash[SIM_LOG_MAX], agreed_term[SIM_LOG_MAX], committed;
    uint64_t leader_of[SIM_TERM_MAX];
    struct sim_node *lost; /* its disk; until it votes again */
    uint64_t next_value;
};

unsigned sim_random(struct sim *s, unsigned n);
void sim_fail(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sim_deliver_later(struct sim *s, struct sim_packet *p);

void node_bootstrap(struct sim_node *n);
void node_start(struct sim_node *n);
void node_crash(struct sim_node *n);
/* Its disk is gone: another node comes in its place, with nothing, under a new id. */
void node_lose_disk(struct sim_node *n);
uint64_t node_id(const struct sim_node *n);
/* A leader takes the next step towards the list of the nodes that there are. */
void node_reconcile(struct sim_node *n);
/* It is a voter in the newest decided list of its own log. */
bool node_votes(const struct sim_node *n);
void node_free(struct sim_node *n);
/* Carry out the orders of the input that returned `status`. */
void node_carry_out(struct sim_node *n, int status, const struct err *err);
void node_run_disk(struct sim_node *n);
void node_tick(struct sim_node *n);
void node_receive(struct sim_node *n, const struct sim_packet *p);
void node_submit(struct sim_node *n);
/* A read is answered from what is applied; `floor` was committed before it came. */
void node_answer(struct sim_node *n, uint64_t floor);
void node_transfer(struct sim_node *n);

#endif
