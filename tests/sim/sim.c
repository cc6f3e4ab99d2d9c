#include "tests/sim/sim.h"

#include <string.h>

#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/net.h"
#include "tests/sim/older.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/power.h"
#include "tests/sim/process.h"
#include "tests/sim/schedule.h"
#include "tests/sim/store.h"
#include "tests/sim/trail.h"

static void begin(const struct sim_options *opt)
{
    sim_begin(opt);
    sim.groups = (uint8_t)opt->groups;
    sim.hosts = opt->groups > 1 && sim_chance(500) ? 4 : 2;
    if (opt->hosts != 0)
        sim.hosts = opt->hosts;
    sim.nodes = (uint8_t)(CTLS + sim.hosts);
    kernel_begin();
    store_begin();
    trail_begin();
    older_start();
    memset(newer_until, 0, sizeof newer_until);
    process_begin();
    power_begin();
    plan_make();
    net_begin();
    gates_begin();
    pg_begin();
    judge_begin();
}

static void start_programs(void)
{
    for (uint8_t n = 0; n < CTLS; n++)
        proc_start_controller(n);
    for (uint8_t n = CTLS; n < sim.nodes; n++)
        proc_start_agent(n);
}

void sim_print(const struct sim_options *opt, FILE *out)
{
    begin(opt);
    schedule_write(out);
    start_programs(); /* what is taken down has been up */
    sim_clear();
}

void sim_play(const struct sim_options *opt, struct sim_result *ret)
{
    begin(opt);
    start_programs();
    pg_start_clients();
    operator_start();
    plan_start();
    sim_run_events();
    if (!sim.failed)
        judge_last();
    *ret = (struct sim_result){.failed = sim.failed,
                               .stuck = sim.stuck,
                               .digest = sim.digest,
                               .events = sim.events,
                               .ns = sim.now,
                               .faults = plan.count};
    memcpy(ret->why, sim.why, sizeof ret->why);
}

void sim_clear(void)
{
    sim_end();
    net_end();
    pg_end();
    store_end();
    kernel_end();
}
