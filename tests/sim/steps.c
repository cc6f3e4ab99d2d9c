#include "tests/sim/steps.h"

#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/mutant.h"
#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/judge_loss.h"
#include "tests/sim/plan.h"

enum { POLL_MS = 20 };

static char empty[] = "";

/* ---- looking ---------------------------------------------------------------------------
 */

uint64_t look_takes_ns(uint8_t host, uint8_t group)
{
    if (pg_server(host, group)->hung)
        return sim_between(900, 1200) * NS_PER_MS;
    return (sim_chance(980) ? sim_between(1, 8) : sim_between(8, 400)) * NS_PER_MS;
}

static void add_replicas(struct look *l, uint8_t host, uint8_t group)
{
    for (uint8_t h = 0; h < sim.hosts; h++) {
        struct server *s = pg_server(h, group);
        Rf__ReplicaSeen *r = &l->replicas[l->seen.n_replicas];

        if (h == host || !s->streaming || s->upstream != host)
            continue;
        rf__replica_seen__init(r);
        r->application_name = s->follow_name;
        r->flush_lsn = WAL_START + (uint64_t)s->len;
        l->list[l->seen.n_replicas++] = r;
    }
    l->seen.replicas = l->list;
}

static void look_at_primary(struct look *l, uint8_t host, uint8_t group, bool canary)
{
    struct server *s = pg_server(host, group);

    if (s->hung) {
        l->seen.canary = RF__CANARY_STATE__CANARY_HUNG;
        l->seen.error = (char *)"no answer";
        return;
    }
    l->seen.wal_bytes_per_s = WRITE_RATE;
    l->seen.sync_generation = s->generation;
    add_replicas(l, host, group);
    if (canary)
        l->seen.canary = pg_all_flushed(host, group, s->len)
                             ? RF__CANARY_STATE__CANARY_OK
                             : RF__CANARY_STATE__CANARY_WAITS_SYNC;
}

/* How many of its writes a standby has replayed. */
static int replayed(const struct server *s, uint8_t group)
{
    uint64_t late = (uint64_t)plan.replay_late_ms[group] * NS_PER_MS;
    int low = 0, high = s->len;

    while (low < high) {
        int mid = low + (high - low) / 2;

        if (pgs[group].writes[s->wal[mid] - 1].at + late <= sim.now)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* As the query in providers/postgres/observe.c has it: 0 with nothing left to replay. */
static void look_at_replay(struct look *l, const struct server *s, uint8_t group)
{
    int n = plan.replay_late_ms[group] != 0 ? replayed(s, group) : s->len;

    l->seen.replay_lsn = WAL_START + (uint64_t)n;
    if (n > 0 && n < s->len)
        l->seen.replay_lag_ms =
            (sim.now - pgs[group].writes[s->wal[n - 1] - 1].at) / NS_PER_MS;
}

static void look_at_standby(struct look *l, const struct server *s, uint8_t group)
{
    if (s->hung) {
        l->seen.error = (char *)"no answer";
        return;
    }
    look_at_replay(l, s, group);
    l->seen.streaming = s->streaming;
    l->seen.application_name = (char *)s->follow_name;
    if (s->upstream == NOBODY)
        return;
    snprintf(l->upstream, sizeof l->upstream, "10.0.%u.2", s->upstream + 1u);
    l->seen.upstream = l->upstream;
}

void look_at_server(struct look *l, uint8_t host, uint8_t group, bool canary)
{
    struct server *s = pg_server(host, group);

    rf__observation__init(&l->seen);
    l->seen.server = (Rf__ServerState)s->state;
    l->seen.private_socket = true;
    if (s->state == SERVER_ABSENT)
        return;
    l->seen.system_id = SYSTEM_ID + group;
    l->seen.timeline = s->timeline;
    if (s->state == SERVER_REWINDING)
        return;
    l->seen.checkpoint_lsn = WAL_START + (uint64_t)s->len;
    if (!s->hung) /* a look from outside finds no position of a running server's */
        l->seen.flush_lsn = l->seen.replay_lsn = l->seen.checkpoint_lsn;
    l->seen.postmaster_pid = s->pid;
    l->seen.postmaster_start_ms = s->pid != 0 ? s->start_ms : 0;
    l->seen.clean_shutdown = s->pid == 0 && s->clean;
    l->seen.upstream_port = FIRST_PORT + group;
    if (s->pid != 0 && !s->hung)
        l->seen.checksum_failures = s->checksum_failures;
    if (s->state == SERVER_PRIMARY)
        look_at_primary(l, host, group, canary);
    else if (s->state == SERVER_STANDBY)
        look_at_standby(l, s, group);
    judge_lag_seen(host, group, l->seen.replay_lag_ms);
    ASSERT(l->seen.error != NULL && empty[0] == 0);
}

/* ---- steps -----------------------------------------------------------------------------
 */

static uint64_t done(struct work *w, uint64_t position)
{
    w->outcome = RF__STEP_OUTCOME__OUTCOME_DONE;
    w->position = position;
    return 0;
}

static uint64_t failed(struct work *w, const char *text)
{
    w->outcome = RF__STEP_OUTCOME__OUTCOME_FAILED;
    w->text = text;
    return 0;
}

static uint64_t unknown(struct work *w, const char *text)
{
    w->outcome = RF__STEP_OUTCOME__OUTCOME_UNKNOWN;
    w->text = text;
    return 0;
}

static uint64_t next(struct work *w, unsigned stage, uint64_t low_ms, uint64_t high_ms)
{
    w->stage = stage;
    return sim_between(low_ms, high_ms) * NS_PER_MS;
}

static uint64_t end_of(const struct server *s) { return WAL_START + (uint64_t)s->len; }

static bool is_over(const struct work *w, const Rf__StepRequest *rq)
{
    return sim.now - w->began > rq->deadline_ms * (uint64_t)NS_PER_MS;
}

static uint64_t lead(struct work *w, const Rf__StepRequest *rq)
{
    struct server *s = pg_server(w->host, w->group);

    if (s->state == SERVER_ABSENT || s->state == SERVER_REWINDING)
        return failed(w, "there is no server to lead with");
    if (w->stage == 0)
        judge_leads(w->host, w->group, rq->epoch);
    if (s->hung)
        return is_over(w, rq) ? failed(w, "no answer") : next(w, w->stage, 50, 200);
    if (s->pid == 0 && w->stage > 0)
        return failed(w, "the server has gone");
    if (s->pid == 0) {
        if (rq->restart && s->standby_dir)
            return failed(w, "restart within the epoch, but it is a standby's");
        if (!s->standby_dir)
            pg_set_names(s, rq->members, rq->n_members, rq->generation);
        pg_start(w->host, w->group);
    }
    if (s->state == SERVER_STARTING)
        return next(w, 1, 5, 30);
    if (s->state == SERVER_STANDBY) {
        if (rq->restart)
            return failed(w, "restart within the epoch, but it is in recovery");
        if (w->stage < 2) {
            pg_set_names(s, rq->members, rq->n_members, rq->generation);
            return next(w, 2, 3, 40);
        }
        s->state = SERVER_PRIMARY;
        s->standby_dir = s->streaming = false;
        s->timeline++;
        judge_group(w->group);
        return next(w, 3, 1, 20);
    }
    pg_set_names(s, rq->members, rq->n_members, rq->generation);
    s->tail = 0;
    return done(w, end_of(s));
}

static uint64_t begin_follow(struct work *w, const Rf__StepRequest *rq, uint8_t up)
{
    struct server *s = pg_server(w->host, w->group);
    const struct server *from = pg_server(up, w->group);
    uint64_t tail = 0;

    pg_stop(w->host, w->group, !s->hung);
    if (!pg_flows(w->group, up, w->host))
        return failed(w, "the upstream cannot be reached");
    if (s->state != SERVER_ABSENT && s->state != SERVER_REWINDING)
        tail = (uint64_t)(s->len - pg_common(s, from));
    if (MUTANT(tail_not_saved, tail != 0, false))
        s->tail = tail;
    if (rq->kind == RF__STEP_KIND__STEP_CLONE || s->state == SERVER_ABSENT || tail != 0 ||
        !s->standby_dir)
        s->state = SERVER_REWINDING;
    return next(w, 1, 5, 400);
}

/* Stop, rewind (half done for a while), start, and see it stream. */
static uint64_t follow(struct work *w, const Rf__StepRequest *rq)
{
    struct server *s = pg_server(w->host, w->group);
    unsigned octet = 0;
    uint8_t up;

    if (sscanf(rq->upstream->address, "10.0.%u.2", &octet) != 1)
        return failed(w, "no such upstream");
    up = (uint8_t)(octet - 1);
    if (w->stage == 0)
        return begin_follow(w, rq, up);
    if (w->stage == 1) {
        if (s->state == SERVER_REWINDING) {
            if (!pg_flows(w->group, up, w->host))
                return failed(w, "the upstream has gone"); /* the mark stays */
            pg_copy(s, pg_server(up, w->group));
            s->state = SERVER_DOWN;
        }
        s->standby_dir = s->blocked = true;
        s->name_count = 0;
        s->told_until = 0;
        s->upstream = up;
        snprintf(s->follow_name, sizeof s->follow_name, "%s", rq->standby_name);
        pg_start(w->host, w->group);
        return next(w, 2, 5, 30);
    }
    if (s->pid == 0)
        return failed(w, "the server has gone");
    if (s->state == SERVER_STARTING)
        return next(w, 2, 5, 30);
    pg_stream_once(w->host, w->group);
    if (s->streaming) {
        w->divergent = s->tail;
        return done(w, end_of(s));
    }
    if (sim.now - w->began > UINT64_C(3000000000))
        return unknown(w, "runs as a standby, but does not stream");
    return next(w, 2, POLL_MS, 2ull * POLL_MS);
}

static uint64_t stop(struct work *w, const Rf__StepRequest *rq)
{
    struct server *s = pg_server(w->host, w->group);
    bool clean = s->state == SERVER_PRIMARY && !s->hung;

    if (s->pid != 0 && (s->hung || (clean && w->stage == 0 && sim_chance(100))) &&
        sim.now - w->began < rq->deadline_ms * (uint64_t)NS_PER_MS / 2)
        return next(w, w->stage, 20, 200); /* then SIGQUIT */
    if (clean && w->stage == 0) {
        (void)pg_append(w->host, w->group); /* the shutdown checkpoint */
        return next(w, 1, 5, 60);           /* the walsenders drain */
    }
    for (uint8_t h = 0; h < sim.hosts && clean; h++)
        if (h != w->host && pg_server(h, w->group)->upstream == w->host)
            pg_stream_once(h, w->group);
    pg_stop(w->host, w->group, clean);
    return done(w, end_of(s));
}

static bool has_position(const struct work *w, const char *name)
{
    for (uint8_t h = 0; h < sim.hosts; h++) {
        const struct server *s = pg_server(h, w->group);

        if (s->streaming && s->upstream == w->host && end_of(s) >= w->position &&
            strcmp(s->follow_name, name) == 0)
            return true;
    }
    return false;
}

/* Waiting is in force first, then the position, then its flush (design I8). */
static uint64_t join(struct work *w, const Rf__StepRequest *rq)
{
    struct server *s = pg_server(w->host, w->group);
    char *names[MEMBERS_MAX];

    if (s->state != SERVER_PRIMARY || s->hung)
        return failed(w, "not a primary that answers");
    if (w->stage == 0) {
        ASSERT(rq->n_members < MEMBERS_MAX);
        for (size_t i = 0; i < rq->n_members; i++)
            names[i] = rq->members[i];
        names[rq->n_members] = rq->joining;
        /* No generation is written down before the end (pg_sync_record_write()): whoever is
         * killed in between leaves names that the log does not know, and that shows. */
        pg_show_names(s, names, rq->n_members + 1, 0);
        return next(w, 1, 2, 30);
    }
    /* That they are shown says nothing of the walsenders yet (prove_blocking() in
     * providers/postgres/sync.c). */
    if (w->stage == 1 && MUTANT(join_view_lies, sim.now >= s->in_force_at, true)) {
        w->position = end_of(s);
        w->stage = 2;
    }
    if (w->stage == 2 && has_position(w, rq->joining)) {
        s->generation = MUTANT(join_is_in_force, rq->step, rq->generation);
        return done(w, w->position);
    }
    if (!is_over(w, rq))
        return next(w, w->stage, POLL_MS, 2ull * POLL_MS);
    pg_set_names(s, rq->members, rq->n_members, rq->generation);
    return failed(w, "the standby has not flushed in time");
}

static uint64_t sync_names(struct work *w, const Rf__StepRequest *rq)
{
    struct server *s = pg_server(w->host, w->group);

    if (s->state != SERVER_PRIMARY || s->hung)
        return failed(w, "not a primary that answers");
    pg_set_names(s, rq->members, rq->n_members, rq->generation);
    return done(w, end_of(s));
}

/* Down it is severed by its file; hung it says nothing, and a primary follows nobody. */
static uint64_t sever(struct work *w, const Rf__StepRequest *rq)
{
    struct server *s = pg_server(w->host, w->group);

    if (s->state == SERVER_ABSENT || s->state == SERVER_REWINDING ||
        s->state == SERVER_PRIMARY)
        return failed(w, "it is no standby");
    if (s->hung || s->state == SERVER_STARTING)
        return is_over(w, rq) ? unknown(w, "no answer") : next(w, w->stage, 20, 100);
    if (w->stage == 0) {
        pg_sever(w->host, w->group);
        return next(w, 1, 3, 60); /* until the walreceiver is seen to be gone */
    }
    if (s->streaming)
        return unknown(w, "it streams again");
    w->severed = true;
    return done(w, end_of(s));
}

uint64_t work_go_on(struct work *w, const Rf__StepRequest *rq)
{
    const struct server *s = pg_server(w->host, w->group);

    if (w->stage == 0 && sim.noisy && sim_chance(60))
        return failed(w, "a trouble of the moment");
    switch (rq->kind) {
    case RF__STEP_KIND__STEP_LEAD:
        return lead(w, rq);
    case RF__STEP_KIND__STEP_FOLLOW:
    case RF__STEP_KIND__STEP_CLONE:
        return follow(w, rq);
    case RF__STEP_KIND__STEP_STOP:
        return stop(w, rq);
    case RF__STEP_KIND__STEP_JOIN:
        return join(w, rq);
    case RF__STEP_KIND__STEP_SYNC:
        return sync_names(w, rq);
    case RF__STEP_KIND__STEP_CHECKPOINT:
        return s->state == SERVER_PRIMARY && !s->hung ? done(w, 0) : failed(w, "no answer");
    case RF__STEP_KIND__STEP_SEVER:
        return sever(w, rq);
    case RF__STEP_KIND__STEP_NONE:
    case _RF__STEP_KIND_IS_INT_SIZE:
        break;
    }
    return failed(w, "no such step");
}
