/* What an agent may do, seen from outside (I3, I6, I9, I12). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "fencing/agent/keeper_core.h"
#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/process.h"

/* The line of the group in agent.state; false: none. */
static bool read_record(uint8_t host, uint8_t group, uint64_t *ret_highest,
                        uint64_t *ret_fenced)
{
    const char *text = machines[CTLS + host].synced[0];
    char key[32];
    const char *line;

    (void)snprintf(key, sizeof key, "\ngroup %s ", group_name(group));
    line = text != NULL ? strstr(text, key) : NULL;
    return line != NULL &&
           sscanf(line + strlen(key), "%" SCNu64 " %" SCNu64, ret_highest, ret_fenced) == 2;
}

void judge_on_disk(uint8_t host, uint8_t group, uint64_t epoch, bool fenced)
{
    uint64_t highest = 0, mark = 0;

    if (!read_record(host, group, &highest, &mark) || highest < epoch ||
        (fenced && mark < epoch))
        sim_fail("I3, I6: %s %s group %s in epoch %" PRIu64 ", its disk has %" PRIu64
                 ", fenced %" PRIu64,
                 node_name((uint8_t)(CTLS + host)), fenced ? "fences" : "opens",
                 group_name(group), epoch, highest, mark);
}

void judge_acts(uint8_t host, uint8_t group)
{
    uint8_t node, n = (uint8_t)(CTLS + host);
    const struct group *g = judge_view(group, &node);
    const struct agent *a;
    struct incarnation me;

    if (g == NULL || !judge_sees_all(node))
        return;
    a = state_agent(node_state(ctl_daemon(node)->node), node_name(n));
    proc_incarnation(n, &me);
    if (a == NULL || !incarnation_equal(&a->incarnation, &me))
        sim_fail("I6, I12: %s begins a step of group %s before it was enrolled",
                 node_name(n), group_name(group));
}

void judge_leads(uint8_t host, uint8_t group, uint64_t epoch)
{
    uint8_t node;
    const struct group *g = judge_view(group, &node);
    const struct instance *i =
        g != NULL ? &g->instances[pgs[group].hosts[1] == host] : NULL;

    if (i == NULL || g->epoch != epoch || operators[group].unmanaged ||
        !judge_sees_all(node))
        return; /* the log has gone on, or is not seen whole */
    if (i->holder_epoch != epoch)
        sim_fail("I6: %s is made the primary of group %s for epoch %" PRIu64
                 ", and was never granted a lease of it",
                 node_name((uint8_t)(CTLS + host)), group_name(group), epoch);
}

static uint8_t instance_on(uint8_t host, uint8_t group)
{
    return pgs[group].hosts[1] == host;
}

/* I9: a commit that no member has becomes visible by the end of recovery, so the gate waits
 * until all have it. */
static void judge_recovered(uint8_t host, uint8_t group)
{
    uint8_t node, other = pgs[group].hosts[1 - instance_on(host, group)];
    const struct group *g = judge_view(group, &node);
    const struct server *s = pg_server(host, group), *m = pg_server(other, group);

    if (g == NULL || !judge_sees_all(node) || g->phase != PHASE_STEADY ||
        g->active != instance_on(host, group) || m->state != SERVER_STANDBY ||
        (g->sync_set & 1u << (1 - g->active)) == 0)
        return;
    if (pg_common(m, s) < s->len)
        sim_fail("I9: %s opens group %s with %d writes that it recovered and %s, which is "
                 "in the set, does not have",
                 node_name((uint8_t)(CTLS + host)), group_name(group),
                 s->len - pg_common(m, s), node_name((uint8_t)(CTLS + other)));
}

void judge_opens(uint8_t host, uint8_t group)
{
    struct pair_of_servers *p = &pgs[group];
    struct server *s = pg_server(host, group);

    if (s->shown_pid == s->pid || s->state != SERVER_PRIMARY || s->blocked ||
        operators[group].unmanaged)
        return;
    s->shown_pid = s->pid;
    judge_recovered(host, group);
    for (int i = 0; i < s->len; i++)
        p->writes[s->wal[i] - 1].acked = true;
}

unsigned __real_keeper_ack(struct keeper_core *k, const struct keeper_ack *ack,
                           struct boot now);
unsigned __wrap_keeper_ack(struct keeper_core *k, const struct keeper_ack *ack,
                           struct boot now);

/* I12: an answer is for the life that asked. */
unsigned __wrap_keeper_ack(struct keeper_core *k, const struct keeper_ack *ack,
                           struct boot now)
{
    unsigned taken = __real_keeper_ack(k, ack, now);

    if (taken != 0 && !incarnation_equal(&ack->incarnation, &k->me))
        sim_fail("I12: %s takes a lease that was granted to another life",
                 node_name(sim_self()->node));
    return taken;
}
