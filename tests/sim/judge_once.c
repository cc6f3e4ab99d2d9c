/* What happens once, and nothing before its time (I5, I7). */
#include <inttypes.h>
#include <string.h>

#include "controller/consensus/raftnode.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "tests/sim/judge.h"
#include "tests/sim/judge_raft.h"
#include "tests/sim/store.h"

/* The last step whose outcome a life of the agent has been told. */
static struct told {
    uint64_t step;
    uint32_t life;
} told[HOSTS_MAX][WORLD_GROUPS_MAX];

void judge_once_begin(void) { memset(told, 0, sizeof told); }

void judge_order_told(uint8_t host, uint8_t group, uint64_t step)
{
    told[host][group] = (struct told){step, sim.procs[CTLS + host].life};
}

/* Orders are repeated until the log has the outcome. Whoever knows it says it again; only a
 * life that does not know it may look once more what there is to do. */
void judge_order_begins(uint8_t host, uint8_t group, uint64_t step)
{
    const struct told *t = &told[host][group];

    if (step != 0 && t->step == step && t->life == sim.procs[CTLS + host].life)
        sim_fail("I5: %s carries out step %" PRIu64 " of group %s twice",
                 node_name((uint8_t)(CTLS + host)), step, group_name(group));
}

/* Whoever stood still comes back to disks that have replaced it by a snapshot. */
static bool is_of_term(uint64_t index, uint64_t term)
{
    uint64_t known = judge_term_of(index);

    return known != 0 ? known == term : store_has_term(index, term);
}

int __real_raftnode_submit(struct raftnode *n, const uint8_t *body, size_t len,
                           raftnode_done *on_done, void *owner, struct err *err);
int __wrap_raftnode_submit(struct raftnode *n, const uint8_t *body, size_t len,
                           raftnode_done *on_done, void *owner, struct err *err);

/* I7: a leader decides on a state that has all that was committed before its term. The
 * disks know: what it applied last is of its own term. */
int __wrap_raftnode_submit(struct raftnode *n, const uint8_t *body, size_t len,
                           raftnode_done *on_done, void *owner, struct err *err)
{
    uint8_t node = sim_self()->node;
    struct daemon *d = ctl_daemon(node);
    int status = __real_raftnode_submit(n, body, len, on_done, owner, err);
    struct driver_status st;

    raftnode_status(n, &st);
    if (status == 0 && d != NULL && d->node != NULL && sim_is_heard() &&
        !is_of_term(node_applied(d->node), st.term))
        sim_fail("I7: %s proposes in term %" PRIu64 " and has applied entry %" PRIu64
                 " only, which is of an earlier one",
                 node_name(node), st.term, node_applied(d->node));
    return status;
}
