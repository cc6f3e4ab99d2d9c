/* tests/unit/consensus/raft_lab.h -- three nodes in one process, over a loop, with real
 * stores in a temporary directory and a network of queues. */
#ifndef RF_TEST_CONSENSUS_RAFT_LAB_H
#define RF_TEST_CONSENSUS_RAFT_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "controller/consensus/raftnode.h"
#include "tests/unit/base/tree.h"

enum { NODES = 3, WAIT_MS = 20000 };

struct packet {
    struct packet *next;
    unsigned from, to;
    size_t len;
    uint8_t data[];
};

struct app {
    struct raftnode *node;
    unsigned position;
    bool cut; /* neither sends nor receives */
    uint64_t applied, commands, hash, restores;
    bool authoritative, refuse;
    enum raft_role role;
    unsigned refused_by;
    int fatal;
    char fatal_text[512];
};

struct lab {
    uv_loop_t loop;
    uv_idle_t pump;
    char dir[TREE_PATH];
    struct app app[NODES];
    struct packet *head, **tail;
    uint32_t snapshot_every;
};

extern struct lab lab;

int lab_setup(void **state);
int lab_teardown(void **state);
int lab_open_as(unsigned i, bool bootstrap, uint64_t incarnation, struct err *err);
void lab_open(unsigned i, bool bootstrap);
void lab_open_all(bool bootstrap); /* and a leader */
void lab_close(unsigned i);
/* Where node `i` keeps its store. */
void lab_dir(unsigned i, char *out, size_t size);

typedef bool claim(void);
void lab_wait_for(claim *holds, const char *what);
int lab_leader(void); /* -1: none */
bool lab_has_leader(void);
bool lab_all_equal(void);

struct outcome {
    unsigned done, ok;
    int last_status;
    uint64_t last_index;
};

extern struct outcome outcome;
extern unsigned wanted;

void lab_submit(int to, const char *text);
bool lab_all_done(void); /* outcomes of `wanted` submissions */
void lab_submit_many(unsigned n);

#endif
