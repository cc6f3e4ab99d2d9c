/* tests/sim/judge_raft.h -- what one sequence means (I7), and that what is acted on is what
 * was written, all of it (I10). */
#ifndef RF_SIM_JUDGE_RAFT_H
#define RF_SIM_JUDGE_RAFT_H

#include "controller/consensus/raftnode.h"
#include "controller/core/entry.h"

void judge_raft_begin(void);
void judge_raft_end(void);
/* The callbacks of the running controller, looked at on their way. */
struct raftnode_callbacks judge_raft_watch(const struct raftnode_callbacks *callbacks);
/* It has read the entry that it was just given, for the first time that anybody has. */
void judge_read(const struct entry *e);
/* The term of the entry, 0: nobody has applied it. */
uint64_t judge_term_of(uint64_t index);
/* It leads with its barrier applied. */
void judge_barrier(uint8_t node, const struct driver_status *st);

#endif
