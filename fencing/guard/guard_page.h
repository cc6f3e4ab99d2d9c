/* fencing/guard/guard_page.h -- what the lease keeper tells the guard: one shared page.
 *
 * The guard (`ringfence-guard`) is a process of its own that outlives the agent. It knows
 * nothing but this page, a file in the agent's run_dir that both map: until when each
 * server may serve, what of the kernel's gate has to stand before it, and which processes
 * it is. A dead or frozen agent is a deadline that passes.
 *
 * The agent makes the file and writes gate and orders; the guard writes `guard`, `beat_ns`,
 * `abilities`, the watchdog's state and the results. The file is root's, 0600. What is
 * before `agent` stays where it is in every version, so that any agent finds a guard of
 * another version, ends it and starts its own.
 *
 * Pure:    declarations, and copies by a sequence lock (guard_rules.h).
 * Units:   CLOCK_BOOTTIME nanoseconds, milliseconds.
 * Threads: one writer for each part: the keeper's, the guard's.
 */
#ifndef RF_FENCING_GUARD_PAGE_H
#define RF_FENCING_GUARD_PAGE_H

#include <stdint.h>

#define GUARD_MAGIC 0x52494e4647554152u /* "RINGFGUAR" */

enum {
    GUARD_VERSION = 1,
    GUARD_SLOTS_MAX = 64, /* groups of an agent */
    GUARD_NAME_SIZE = 24,
    GUARD_PATH_SIZE = 256,
    /* Taken off each deadline: from the timer to the last process gone. Measured on two
     * cores that four other builds kept busy: real.guard.speed. */
    GUARD_MARGIN_MS = 200,
    GUARD_BEAT_MS = 50,    /* it looks at the page at least as often */
    GUARD_STILL_MS = 1000, /* without a beat for so long it is taken for dead */
};

/* A process by pid and kernel's start time; pid 0: none. */
struct guard_life {
    uint64_t pid, start_ms;
};

/* The kernel's gate, by what it can be recognised by. */
enum guard_gate_kind { GUARD_GATE_NONE = 0, GUARD_GATE_BPF = 1, GUARD_GATE_NFT = 2 };

struct guard_gate {
    uint64_t kind;
    uint64_t ingress, egress; /* eBPF: kernel ids of the attached programs */
    uint64_t ports;           /* eBPF: kernel id of the map port -> lease */
    uint64_t handle;          /* nftables: the table's; another table has another one */
    uint64_t rules;           /* nftables: so many at least in the chains `in` and `out` */
    char place[GUARD_PATH_SIZE]; /* eBPF: the cgroup's directory; nftables: the table */
};

/* A server, so that each of its processes can be told: it works in this directory and runs
 * this program (what is in /proc/PID/cwd and exe). */
struct guard_process {
    struct guard_life postmaster;
    uint64_t dir_dev, dir_ino, exe_dev, exe_ino;
    char cgroup[GUARD_PATH_SIZE]; /* one that was made for it alone; "": it has none */
};

enum guard_when {
    GUARD_WHEN_MISSING = 0, /* stop the server where no gate closes before it */
    GUARD_WHEN_EXPIRED = 1, /* and where one does, at the end of each lease */
};

struct guard_order {
    char group[GUARD_NAME_SIZE];
    uint64_t armed; /* 0: there is nothing to enforce, the rest is void */
    uint64_t when;
    uint64_t open_until_ns;  /* the gate's deadline; 0: it is closed */
    uint64_t lease_until_ns; /* the last deadline given; 0: none yet */
    uint64_t ttl_ms;
    uint64_t port;
    struct guard_process process;
};

enum guard_state {
    GUARD_IDLE = 0,
    GUARD_WATCHING = 1,
    GUARD_STOPPING = 2,
    GUARD_STOPPED = 3
};

struct guard_result {
    uint64_t state;
    uint64_t stops;    /* how often it began to stop this server */
    uint64_t acted_ns; /* the last time; and since then no process of it was found: */
    uint64_t gone_ns;
    uint64_t killed; /* processes, the last time */
};

struct guard_slot {
    uint64_t order_seq;
    struct guard_order order;
    struct guard_result result;
};

enum guard_ability {
    GUARD_CAN_LOCK = 1,
    GUARD_CAN_REALTIME = 2,
    GUARD_CAN_OUTLIVE_OOM = 4
};

/* Why the watchdog is not armed although the agent names one, and so on. */
enum guard_dog {
    GUARD_DOG_NONE = 0,    /* none is named */
    GUARD_DOG_READY = 1,   /* opened when a server is armed */
    GUARD_DOG_ARMED = 2,   /* it resets the host unless we speak */
    GUARD_DOG_FAILED = 3,  /* it cannot be opened or set: `dog_errno` */
    GUARD_DOG_TOO_SLOW = 4 /* a lease is shorter than twice the least it can be set to */
};

struct guard_page {
    uint64_t magic;
    uint32_t version, size;
    struct guard_life guard; /* --- for ever up to here --- */
    struct guard_life agent;
    char boot_id[40]; /* of another boot: all deadlines are void */
    uint64_t beat_ns, abilities;
    uint64_t dog, dog_errno, dog_timeout_s, dog_pets;
    uint64_t watchdog_seq;
    char watchdog[GUARD_PATH_SIZE]; /* "": none */
    uint64_t gate_seq;
    struct guard_gate gate;
    struct guard_slot slots[GUARD_SLOTS_MAX];
};

_Static_assert(sizeof(struct guard_gate) % 8 == 0, "copied word by word");
_Static_assert(sizeof(struct guard_order) % 8 == 0, "copied word by word");
_Static_assert(_Alignof(struct guard_order) == 8, "copied word by word");

#endif
