/* What an agent may do, seen from outside (I3, I6, I9). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"

/* The line of the group in agent.state; false: none. */
static bool read_record(uint8_t host, uint8_t group, uint64_t *ret_highest,
                        uint64_t *ret_fenced)
{
    const char *text = machines[CTLS + host].files[0];
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

void judge_opens(uint8_t host, uint8_t group)
{
    struct pair_of_servers *p = &pgs[group];
    struct server *s = pg_server(host, group);

    if (s->shown_pid == s->pid || s->state != SERVER_PRIMARY || s->blocked ||
        operators[group].unmanaged)
        return;
    s->shown_pid = s->pid;
    for (int i = 0; i < s->len; i++)
        p->writes[s->wal[i] - 1].acked = true;
}
