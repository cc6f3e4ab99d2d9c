/* chaos/scenario.c -- the faults, one row each. */
#include "chaos/play.h"

#include <signal.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/bmc.h"
#include "chaos/disturb.h"
#include "chaos/operate.h"
#include "chaos/restart.h"

#define PG_CTL "/usr/lib/postgresql/15/bin/pg_ctl"

static void lose_east(struct play *p) { cluster_kill_region(p->cluster, EAST); }

static void start_east(struct play *p) { cluster_start_region(p->cluster, EAST); }

static void lose_west(struct play *p) { cluster_kill_region(p->cluster, WEST); }

static void start_west(struct play *p) { cluster_start_region(p->cluster, WEST); }

static void lose_witness(struct play *p) { cluster_kill_region(p->cluster, WITNESS); }

static void start_witness(struct play *p) { cluster_start_region(p->cluster, WITNESS); }

static void kill_agent(struct play *p)
{
    process_signal(&p->cluster->agents[EAST], SIGKILL);
}

static void start_agent(struct play *p) { cluster_start_agent(p->cluster, EAST); }

/* Its kernel goes on: what arrives is acknowledged, and nobody reads it. */
static void freeze_region(struct play *p, bool frozen)
{
    AUTO(auto_free)
    char *path =
        text_new("%s/%s/cgroup.freeze", p->cluster->ground.cgroup, site_name(EAST));

    file_write(path, 0644, frozen ? "1" : "0");
}

static void freeze_east(struct play *p) { freeze_region(p, true); }

/* Everything in it was killed by its BMC; somebody presses the button. */
static void switch_east_on(struct play *p)
{
    if (process_running(&p->cluster->agents[EAST]))
        result_blame(&p->result, "east was not switched off: its agent is still there");
    if (strcmp(p->after.run.proof, "power") != 0)
        result_blame(&p->result, "the proof was by %s, not by power", p->after.run.proof);
    freeze_region(p, false);
    cluster_kill_region(p->cluster, EAST);
    cluster_start_region(p->cluster, EAST);
}

static void freeze_east_with_a_liar(struct play *p)
{
    bmc_lie(&p->cluster->ground, EAST, true);
    freeze_region(p, true);
}

static bool is_alarmed(struct play *p)
{
    AUTO(auto_free) char *said = NULL;

    return cluster_cli(p->cluster, (const char *[]){"status", NULL}, &said) == 0 &&
           strstr(said, "ALARM: the proof of pg-east by power") != NULL;
}

/* The host that was proven to be off speaks: that is told until somebody has seen it. */
static void wake_east(struct play *p)
{
    enum { ALARM_MS = 10000 };
    static const char *const seen[] = {"acknowledge", GROUP_NAME, "--reason",
                                       "the BMC of east is wired to another host", NULL};
    AUTO(auto_free) char *answer = NULL;

    freeze_region(p, false);
    if (!play_wait(p, ALARM_MS, is_alarmed))
        result_blame(&p->result, "no alarm, though a host answers that was proven off");
    else if (cluster_cli(p->cluster, seen, &answer) != 0 || is_alarmed(p))
        result_blame(&p->result, "the alarm is not ended by acknowledge: %s", answer);
    bmc_lie(&p->cluster->ground, EAST, false);
}

static void freeze_agent(struct play *p)
{
    process_signal(&p->cluster->agents[EAST], SIGSTOP);
}

static void thaw_agent(struct play *p)
{
    process_signal(&p->cluster->agents[EAST], SIGCONT);
}

/* The postmaster and all its children, as by the kernel for want of memory. */
static void crash_server(struct play *p)
{
    pid_t postmaster = cluster_postmaster(p->cluster, EAST);

    if (postmaster > 0)
        signal_tree(postmaster, SIGKILL);
}

static void hang_server(struct play *p)
{
    p->hung = cluster_postmaster(p->cluster, EAST);
    if (p->hung > 0)
        signal_tree(p->hung, SIGSTOP);
}

/* If nobody has ended it meanwhile it wakes up believing that it is the primary. */
static void wake_server(struct play *p)
{
    AUTO(auto_free) char *path = text_new("/proc/%d/comm", (int)p->hung);
    AUTO(auto_free) char *name = file_read(path);

    if (p->hung > 0 && name != NULL && strcmp(name, "postgres\n") == 0)
        signal_tree(p->hung, SIGCONT);
}

static void isolate_east(struct play *p)
{
    ground_cut(&p->cluster->ground, EAST, WEST);
    ground_cut(&p->cluster->ground, EAST, WITNESS);
}

static void cut_link(struct play *p) { ground_cut(&p->cluster->ground, EAST, WEST); }

static void join_networks(struct play *p) { ground_heal(&p->cluster->ground); }

static void promote_by_hand(struct play *p)
{
    AUTO(auto_free) char *data = cluster_data_dir(p->cluster, WEST);
    AUTO(auto_free) char *output = NULL;
    /* --no-wait: whether it may happen at all is what we are here to see. */
    int status =
        run_at(&p->cluster->ground, WEST, true,
               (const char *[]){PG_CTL, "promote", "-W", "-D", data, NULL}, &output);

    if (status != 0)
        result_blame(&p->result, "pg_ctl promote: %s", output);
}

static void lose_leader(struct play *p)
{
    enum site leader = view_get(p->view).leader;

    p->victim = leader < SITE_REGIONS ? leader : WITNESS;
    process_signal(&p->cluster->controllers[p->victim], SIGKILL);
}

static void start_leader(struct play *p)
{
    cluster_start_controller(p->cluster, p->victim);
}

static void move_west(struct play *p)
{
    if (!play_switchover(p, WEST))
        result_blame(&p->result, "the switchover did not come to its end");
}

const struct scenario scenarios[] = {
    {.name = "region-loss",
     .story = "SIGKILL of every process of east at one instant; it comes back later",
     .effect = EFFECT_FAILOVER,
     .workload = true,
     .switchback = true,
     .inject = lose_east,
     .heal = start_east},
    {.name = "agent-killed",
     .story = "SIGKILL of east's agent, and nobody starts it again",
     .effect = EFFECT_FAILOVER,
     .inject = kill_agent,
     .heal = start_agent},
    {.name = "agent-frozen",
     .story = "SIGSTOP of east's agent, thawed after the failover",
     .effect = EFFECT_FAILOVER,
     .inject = freeze_agent,
     .heal = thaw_agent},
    {.name = "postgres-crash",
     .story = "SIGKILL of east's PostgreSQL; its agent lives",
     .effect = EFFECT_FAILOVER,
     .workload = true,
     .inject = crash_server},
    {.name = "postgres-hung",
     .story = "SIGSTOP of east's postmaster and backends, woken after the failover",
     .effect = EFFECT_FAILOVER,
     .inject = hang_server,
     .heal = wake_server},
    {.name = "isolated",
     .story = "east is cut off from everything but its clients, who go on writing",
     .effect = EFFECT_FAILOVER,
     .workload = true,
     .second_writer = true,
     .inject = isolate_east,
     .heal = join_networks},
    {.name = "link-cut",
     .story = "only east and west cannot see each other",
     .effect = EFFECT_NONE,
     .standby = true,
     .waits = true,
     .inject = cut_link,
     .heal = join_networks},
    {.name = "rogue",
     .story = "somebody runs `pg_ctl promote` on the standby",
     .effect = EFFECT_NONE,
     .standby = true,
     .inject = promote_by_hand},
    {.name = "witness-loss",
     .story = "SIGKILL of every process of the witness",
     .effect = EFFECT_NONE,
     .inject = lose_witness,
     .heal = start_witness},
    {.name = "leader-loss",
     .story = "SIGKILL of the controller that leads",
     .effect = EFFECT_NONE,
     .inject = lose_leader,
     .heal = start_leader},
    {.name = "standby-loss",
     .story = "SIGKILL of every process of west",
     .effect = EFFECT_NONE,
     .standby = true,
     .waits = true,
     .inject = lose_west,
     .heal = start_west},
    {.name = "switchover",
     .story = "a planned move from east to west",
     .effect = EFFECT_SWITCHOVER,
     .workload = true,
     .inject = move_west},
    {.name = "adopt",
     .story = "a running pair, detached and removed, is taken over by a first apply",
     .effect = EFFECT_ADOPTION,
     .detaches = true,
     .apart = true,
     .inject = operate_adopt},
    {.name = "adopt-wrong",
     .story = "the same, but the file first names the region that stands by",
     .effect = EFFECT_ADOPTION,
     .detaches = true,
     .apart = true,
     .inject = operate_adopt_wrong},
    {.name = "attach-wrong",
     .story = "detached, and attached with the region named active that stands by",
     .effect = EFFECT_ADOPTION,
     .detaches = true,
     .apart = true,
     .inject = operate_attach_wrong},
    {.name = "detach",
     .story = "detached, an agent dies unnoticed, attached; then the loss of east",
     .effect = EFFECT_FAILOVER,
     .detaches = true,
     .apart = true,
     .prelude = operate_detach_attach,
     .inject = lose_east,
     .heal = start_east},
    {.name = "pause",
     .story = "east is lost while decisions are paused, and they are resumed",
     .effect = EFFECT_FAILOVER,
     .apart = true,
     .inject = operate_pause_and_lose_east,
     .heal = start_east},
    {.name = "standby-reads",
     .story = "west is read from, but for when it is cut off; then the loss of east",
     .effect = EFFECT_FAILOVER,
     .standby = true,
     .apart = true,
     .prelude = operate_standby_reads,
     .inject = lose_east,
     .heal = start_east},
    {.name = "restart",
     .story = "agents (SIGTERM, SIGKILL) and the leader (SIGTERM) restart within the TTL",
     .effect = EFFECT_NONE,
     .unnoticed = true,
     .apart = true,
     .inject = restart_everybody},
    {.name = "powered-off",
     .story = "every process of east is frozen; an expiry proves nothing: its BMC does",
     .effect = EFFECT_FAILOVER,
     .apart = true,
     .power = true,
     .inject = freeze_east,
     .heal = switch_east_on},
    {.name = "power-lies",
     .story = "the same, but its BMC only says so; then east goes on where it was",
     .effect = EFFECT_FAILOVER,
     .apart = true,
     .power = true,
     .inject = freeze_east_with_a_liar,
     .heal = wake_east},
    {.name = "mute",
     .story = "east hears the other regions and is not heard by them; its clients write on",
     .effect = EFFECT_FAILOVER,
     .second_writer = true,
     .apart = true,
     .network = true,
     .inject = disturb_mute_east,
     .heal = disturb_end},
    {.name = "deaf",
     .story = "east is heard by the other regions and hears nothing of them",
     .effect = EFFECT_FAILOVER,
     .second_writer = true,
     .apart = true,
     .network = true,
     .inject = disturb_deafen_east,
     .heal = disturb_end},
    {.name = "flapping",
     .story = "the link between east and west is cut for 300 ms, ten times in five seconds",
     .effect = EFFECT_NONE,
     .standby = true,
     .apart = true,
     .network = true,
     .inject = disturb_flap},
    {.name = "gray",
     .story = "between east and west 10 % of the packets are lost, the others take 800 ms",
     .effect = EFFECT_NONE,
     .standby = true,
     .apart = true,
     .network = true,
     .inject = disturb_gray,
     .heal = disturb_end},
    {.name = "wan-near",
     .story = "loss of east, with 20 ms round trip between regions, TTL 3 s",
     .effect = EFFECT_FAILOVER,
     .switchback = true,
     .apart = true,
     .network = true,
     .rtt_ms = 20,
     .ttl_ms = 3000,
     .inject = lose_east,
     .heal = start_east},
    {.name = "wan-wide",
     .story = "loss of east, with 80 ms round trip between regions, TTL 3 s",
     .effect = EFFECT_FAILOVER,
     .switchback = true,
     .apart = true,
     .network = true,
     .rtt_ms = 80,
     .ttl_ms = 3000,
     .inject = lose_east,
     .heal = start_east},
    {.name = "wan-far",
     .story = "loss of east, with 250 ms round trip between regions, TTL 6 s",
     .effect = EFFECT_FAILOVER,
     .switchback = true,
     .apart = true,
     .network = true,
     .rtt_ms = 250,
     .ttl_ms = 6000,
     .inject = lose_east,
     .heal = start_east},
};

const size_t scenario_count = ARRAY_LEN(scenarios);

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < scenario_count; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}
