/* chaos/play.c */
#include "chaos/play.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/operate.h"
#include "chaos/verbs.h"
#include "chaos/verdict.h"

enum {
    WARM_UP_MS = 500,        /* with acknowledgements, before the fault */
    AFTERMATH_MS = 500,      /* the fault stays, the new side works */
    SETTLE_MS = 120000,      /* until everything is as before: a clone may be part of it */
    LEADER_MOVES_MS = 60000, /* out of the active region: it has a minimum stay */
    HEARD_MS = 5000,         /* until a new leader has heard both agents */
    LOOK_MS = 2,             /* between two looks */
    COUNT_MS = 5000,         /* from streaming to the record of what was lost */
    PROBE_PAUSE_MS = 2,
    TO_WARM_MS = 20000,
    READ_AT_END_MS = 30000,
    AGAIN_MS = 100,
};

/* Little enough to leave the two cores to what is measured, and enough to meet: some two
 * hundred operations a second, on keys that several sessions want at one time. */
static const struct workload_plan workload_plan = {.writers = 4,
                                                   .hosts = 1U << EAST | 1U << WEST,
                                                   .pause_ms = 20,
                                                   .registers = 4,
                                                   .lists = 4};

bool play_wait(struct play *p, unsigned within_ms, bool (*holds)(struct play *p))
{
    int64_t until = now_ns() + (int64_t)within_ms * NS_PER_MS;

    while (!holds(p)) {
        if (now_ns() > until)
            return false;
        wait_ms(LOOK_MS);
    }
    return true;
}

/* What is said about a standby may be from before it was killed: its server is looked for
 * as well. */
bool play_is_steady(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return view_is_steady(&d, p->cluster->sync) && cluster_server_runs(p->cluster, EAST) &&
           cluster_server_runs(p->cluster, WEST);
}

/* And the service is back: in `strict` a standby that was only out of sight has left
 * nothing, while writes wait for it until the kernel's next retransmission. */
static bool is_back(struct play *p)
{
    return play_is_steady(p) && atomic_load(&p->writer.last_ack_ns) > p->heal_ns;
}

static bool is_active(struct play *p, enum site s)
{
    struct view_doc d = view_get(p->view);

    return d.active == s && strcmp(d.phase, "steady") == 0 &&
           strcmp(d.run.result, "running") != 0;
}

static bool east_is_active(struct play *p) { return is_active(p, EAST); }

static bool west_is_active(struct play *p) { return is_active(p, WEST); }

/* How long a decision may take before we say that it does not come. */
static unsigned patience_ms(const struct play *p)
{
    enum { LEAST_MS = 30000, TTLS = 10 };

    return LEAST_MS + TTLS * p->cluster->profile.ttl;
}

/* `again_ms`: so long it is asked again when it is refused. */
static bool ask_for_switchover(struct play *p, enum site to, unsigned again_ms)
{
    enum { EACH_MS = 100 };
    const char *args[] = {"switchover", GROUP_NAME, "--to", site_name(to), NULL};
    int64_t until = now_ns() + (int64_t)again_ms * NS_PER_MS;

    for (;;) {
        AUTO(auto_free) char *output = NULL;

        if (cluster_cli(p->cluster, args, &output) == 0)
            return play_wait(p, patience_ms(p),
                             to == EAST ? east_is_active : west_is_active);
        if (now_ns() >= until) {
            result_blame(&p->result, "ringfence switchover: %s", output);
            return false;
        }
        wait_ms(EACH_MS);
    }
}

/* On a busy machine a group may fail over once more behind the last step. */
bool play_read_at_end(struct play *p, play_reader *read, void *arg)
{
    int64_t until = now_ns() + (int64_t)READ_AT_END_MS * NS_PER_MS;

    for (;;) {
        enum site from = view_get(p->view).active;

        if (from <= WEST && read(p, from, arg))
            return true;
        if (now_ns() > until)
            return false;
        wait_ms(AGAIN_MS);
    }
}

bool play_switchover(struct play *p, enum site to) { return ask_for_switchover(p, to, 0); }

static void start_clients(struct play *p)
{
    const struct ground *g = &p->cluster->ground;

    capture_start(&p->capture, g);
    lease_watch_start(&p->lease, g, EAST, p->cluster->profile.ttl, &p->recording.timeline);
    for (enum site s = EAST; s <= WEST; s++)
        client_start(&p->probes[s], g,
                     (struct client_plan){.client = (uint8_t)(CLIENT_PROBE + s),
                                          .hosts = 1U << s,
                                          .pause_ms = PROBE_PAUSE_MS,
                                          .numbers = &p->probe_numbers});
    client_start(&p->writer, g,
                 (struct client_plan){.client = CLIENT_WRITER,
                                      .hosts = 1U << EAST | 1U << WEST,
                                      .numbers = p->numbers});
    if (p->scenario->second_writer)
        client_start(&p->second, g,
                     (struct client_plan){.client = CLIENT_WRITER + 1,
                                          .hosts = 1U << EAST,
                                          .pooled = p->cluster->pooler,
                                          .numbers = p->numbers});
}

static void stop_clients(struct play *p)
{
    p->end_ns = now_ns();
    client_stop(&p->writer);
    if (p->scenario->second_writer)
        client_stop(&p->second);
    if (p->workload_runs)
        workload_stop(&p->workload);
    for (enum site s = EAST; s <= WEST; s++)
        client_stop(&p->probes[s]);
    capture_stop(&p->capture);
    lease_watch_stop(&p->lease);
}

static bool is_warm(struct play *p)
{
    enum { ROWS = 50 };

    return atomic_load(&p->writer.acked) >= ROWS &&
           atomic_load(&p->probes[EAST].acked) > 0 &&
           (!p->scenario->second_writer || atomic_load(&p->second.acked) > 0);
}

static bool workload_is_warm(struct play *p)
{
    enum { OPERATIONS = 50 };

    return atomic_load(&p->workload.answered) >= OPERATIONS;
}

/* After the clients that measure: on a busy machine they are not to wait for its sessions.
 */
static bool start_workload(struct play *p)
{
    struct workload_plan plan = workload_plan;

    if (!p->has_workload)
        return true;
    plan.first_key = p->first_key;
    plan.seed = (unsigned)rand_r(p->random);
    workload_start(&p->workload, &p->cluster->ground, plan);
    p->workload_runs = true;
    return play_wait(p, TO_WARM_MS, workload_is_warm);
}

/* So that losing the active region costs no election (design section 3). */
static bool leader_is_outside(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return d.leader != SITE_COUNT && d.leader != d.active;
}

/* Everything is as a scenario begins: east active, west stands by, the leader elsewhere. */
static bool prepare(struct play *p)
{
    if (!play_wait(p, SETTLE_MS, play_is_steady)) {
        result_blame(&p->result, "not steady within %d s before the fault",
                     SETTLE_MS / 1000);
        return false;
    }
    if (view_get(p->view).active != EAST) {
        view_tell(p->view, "switching back to east first");
        /* A leader that has just begun has not heard every agent yet, and refuses. */
        if (!ask_for_switchover(p, EAST, HEARD_MS) ||
            !play_wait(p, SETTLE_MS, play_is_steady)) {
            result_blame(&p->result, "could not be switched back to east before the fault");
            return false;
        }
    }
    if (!play_wait(p, LEADER_MOVES_MS, leader_is_outside)) {
        result_blame(&p->result, "the leader stays in the active region");
        return false;
    }
    return true;
}

/* The fault comes at any moment of the renewal's period but its very end (lease_watch.h).
 */
static void inject(struct play *p)
{
    unsigned renew = p->cluster->profile.renew;

    wait_ms(WARM_UP_MS + (unsigned)rand_r(p->random) % (renew + 1));
    if (p->scenario->effect == EFFECT_FAILOVER && !lease_watch_settle(&p->lease, renew))
        result_blame(&p->result, "east's agent does not tell its lease's deadline");
    p->log_known = log_watch_newest(&p->recording.log);
    p->fault_wall_ns = wall_ns();
    p->fault_ns = now_ns();
    view_origin(p->view, p->fault_ns);
    p->recording.fault = timeline_begin(&p->recording.timeline, LANE_FAULT, p->fault_ns,
                                        "%s", p->scenario->story);
    view_tell(p->view, "fault: %s", p->scenario->story);
    verbs_run(p, &p->scenario->fault);
}

static void begin(struct play *p)
{
    if (p->scenario->prelude.count == 0)
        return;
    wait_ms(WARM_UP_MS);
    p->log_known = log_watch_newest(&p->recording.log);
    p->prelude_ns = now_ns();
    verbs_run(p, &p->scenario->prelude);
    p->prelude_end_ns = now_ns();
    p->before = view_get(p->view);
    p->run_known = p->before.run.id;
}

static bool has_failed_over(struct play *p)
{
    return view_get(p->view).epoch > p->before.epoch && west_is_active(p) &&
           atomic_load(&p->writer.last_ack_host) == WEST;
}

static bool writes_again(struct play *p)
{
    enum { RECENT_MS = 20 };

    return ms_between(atomic_load(&p->writer.last_ack_ns), now_ns()) < RECENT_MS;
}

/* Nothing is to happen: so it is waited for long enough that it would have happened. */
static void wait_for_nothing(struct play *p)
{
    unsigned shrink = cluster_shrink_after_ms(p->cluster);
    bool strict = p->cluster->sync == SYNC_STRICT;

    wait_ms(3 * p->cluster->profile.ttl);
    if (p->scenario->standby)
        wait_ms(shrink);
    if (strict && p->scenario->waits)
        return;
    if (!play_wait(p, patience_ms(p), writes_again))
        result_blame(&p->result, "writes did not go on");
}

static void wait_for_effect(struct play *p)
{
    if (p->scenario->effect == EFFECT_NONE) {
        wait_for_nothing(p);
    } else if (p->scenario->effect == EFFECT_ANY ||
               p->scenario->effect == EFFECT_ADOPTION) {
        wait_ms(AFTERMATH_MS); /* what it waits for is among its steps */
    } else if (!play_wait(p, patience_ms(p), has_failed_over)) {
        result_blame(&p->result, "west did not take over within %u ms", patience_ms(p));
    } else {
        view_tell(p->view, "writes are acknowledged by west");
        wait_ms(AFTERMATH_MS);
    }
    p->after = view_get(p->view);
}

static bool loss_is_counted(struct play *p)
{
    return view_get(p->view).run.lost_bytes >= 0;
}

static void heal(struct play *p)
{
    p->heal_ns = now_ns();
    if (p->scenario->heal.count > 0) {
        verbs_run(p, &p->scenario->heal);
        view_tell(p->view, "mended");
    }
    timeline_end(&p->recording.timeline, p->recording.fault, now_ns());
    if (play_wait(p, SETTLE_MS, is_back)) {
        view_tell(p->view, "rejoined: everybody is back");
        p->result.rejoined = 1;
    } else {
        result_blame(&p->result, "not steady again within %d s", SETTLE_MS / 1000);
        p->result.rejoined = 0;
    }
    /* The standby streams some milliseconds before the step that has counted the loss is on
     * record: who looked in between would call it uncounted. */
    if (p->scenario->effect == EFFECT_FAILOVER) {
        (void)play_wait(p, COUNT_MS, loss_is_counted);
        operate_apply_after_failover(p);
    }
    p->after.run.lost_bytes = view_get(p->view).run.lost_bytes;
}

static void switch_back(struct play *p)
{
    p->switchback_ns = now_ns();
    view_tell(p->view, "switchback: ringfence switchover %s --to east", GROUP_NAME);
    if (!play_switchover(p, EAST))
        result_blame(&p->result, "the switchback did not come to its end");
    else if (!play_wait(p, SETTLE_MS, play_is_steady))
        result_blame(&p->result, "not steady again after the switchback");
    else
        view_tell(p->view, "switched back");
}

void play_scenario(struct play *p)
{
    enum { FAREWELL_MS = 200 };

    result_init(&p->result);
    p->result.scenario = p->scenario->name;
    p->result.sync = sync_name(p->cluster->sync);
    p->result.synchronous = sync_is_binding(p->cluster->sync);
    p->result.ttl_ms = p->cluster->profile.ttl;
    view_origin(p->view, 0);
    recording_start(p);
    if (!prepare(p)) {
        recording_give_up(p);
        return;
    }
    recording_from_here(p);
    p->before = view_get(p->view);
    p->run_known = p->before.run.id;
    p->it = SITE_COUNT;
    p->first_number = atomic_load(p->numbers);
    start_clients(p);
    if (!play_wait(p, TO_WARM_MS, is_warm)) {
        result_blame(&p->result, "the writer was not acknowledged %d ms after its start",
                     TO_WARM_MS);
    } else if (!start_workload(p)) {
        result_blame(&p->result, "the workload was not answered %d ms after its start",
                     TO_WARM_MS);
    } else {
        begin(p);
        inject(p);
        wait_for_effect(p);
        heal(p);
        if (p->scenario->switchback && result_ok(&p->result))
            switch_back(p);
        wait_ms(FAREWELL_MS);
    }
    stop_clients(p);
    recording_stop(p);
    verdict_reach(p);
    recording_free(p);
    capture_free(&p->capture);
    lease_watch_free(&p->lease);
}
