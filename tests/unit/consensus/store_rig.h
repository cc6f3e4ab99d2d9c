/* tests/unit/consensus/store_rig.h -- a store, its loop, and a history to put into it. */
#ifndef RF_TEST_CONSENSUS_STORE_RIG_H
#define RF_TEST_CONSENSUS_STORE_RIG_H

#include <stdbool.h>
#include <uv.h>

#include "controller/consensus/store.h"
#include "tests/unit/base/tree.h"

enum { OPS = 10, WAIT_MS = 20000, DUMP_SIZE = 2048 };

struct rig {
    uv_loop_t loop;
    struct store *store;
    uint64_t done; /* UINT64_MAX: something was reported after a fatal error */
    int fatal;     /* 1: told twice */
    char text[512];
};

extern struct rig rig;
extern char rig_dir[TREE_PATH];

int rig_setup(void **state);
int rig_teardown(void **state);
void rig_clean(void); /* the directory is gone */

struct store_config rig_config(bool bootstrap, const char *vfs);
int rig_open(const struct store_config *c, struct driver_state *state, struct err *err);
void rig_close(void);
/* What a restart sees, in words; `out` has DUMP_SIZE bytes. */
void rig_dump(const struct driver_state *s, char *out);
/* Open, say that, close. */
int rig_load(bool bootstrap, char *out, struct err *err);

int rig_vote(uint64_t seq, uint64_t term, uint64_t vote);
int rig_snapshot(uint64_t seq, uint64_t index, bool discard, uint64_t keep);
int rig_audit(uint64_t index);

/* Operation k of 1..OPS, of every sort; each one's seq is k. */
int rig_put(unsigned k);
/* Until it is reported, or the store has stopped. */
void rig_wait(uint64_t seq);
/* Behind its back, while it is closed. */
void rig_change(const char *sql);
/* A new directory with the first `ops` of them. */
void rig_history(unsigned ops);

#endif
