#include "controller/http/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "controller/base/exposition.h"
#include "controller/http/status.h"

static void histogram(struct exposition *p, const char *name, const char *help,
                      const struct histogram *h)
{
    uint64_t sum = 0;

    exposition_head(p, name, "histogram", help);
    for (unsigned i = 0; i < h->bound_count; i++) {
        sum += h->counts[i];
        exposition_line(p, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                        (double)h->bounds_us[i] / 1e6, sum);
    }
    sum += h->counts[h->bound_count];
    exposition_line(p, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, sum);
    exposition_line(p, "%s_sum %.17g\n%s_count %" PRIu64 "\n", name,
                    (double)h->sum_us / 1e6, name, sum);
}

static void raft(struct exposition *p, const struct api_facts *f)
{
    exposition_one(p, "ringfence_raft_term", "gauge", "Current Raft term.",
                   (double)f->term);
    exposition_one(p, "ringfence_raft_leader", "gauge",
                   "1 while this controller leads and has applied its barrier.", f->leads);
    exposition_one(p, "ringfence_raft_leader_known", "gauge", "1 while a leader is known.",
                   f->leader_id != 0);
    exposition_one(p, "ringfence_raft_commit_index", "gauge", "Last committed log index.",
                   (double)f->commit);
    exposition_one(p, "ringfence_raft_applied_index", "gauge", "Last applied log index.",
                   (double)f->applied);
    exposition_one(p, "ringfence_raft_last_index", "gauge", "Last log index.",
                   (double)f->last_index);
    histogram(p, "ringfence_commit_seconds",
              "From this leader's proposal to its application.", &f->commits);
    exposition_one(p, "ringfence_store_commits_total", "counter",
                   "Synced transactions of the log.", (double)f->store.commits);
    exposition_one(p, "ringfence_store_last_sync_seconds", "gauge",
                   "Duration of the last synced one.",
                   (double)f->store.last_commit_us / 1e6);
    exposition_one(p, "ringfence_store_max_sync_seconds", "gauge",
                   "Duration of the slowest one.", (double)f->store.max_commit_us / 1e6);
    exposition_one(p, "ringfence_store_queued", "gauge",
                   "Operations that wait for the disk.", (double)f->store.queued);
    exposition_one(p, "ringfence_disk_reserve_bytes", "gauge",
                   "Room that this controller keeps free for when its disk is full.",
                   (double)f->store.reserve_bytes);
    exposition_one(p, "ringfence_disk_reserve_used", "gauge",
                   "1 while it is in use: the disk is full, or too small for it.",
                   f->store.reserve_used);
    if (f->store.reserve_bytes != 0)
        exposition_one(p, "ringfence_disk_free_bytes", "gauge",
                       "What is free beside it, as seen at the last write.",
                       (double)f->store.disk_free);
    exposition_one(p, "ringfence_audit_left_out_total", "counter",
                   "Summaries of refused requests that were not written down: beyond the "
                   "bounds, or the disk's reserve is in use.",
                   (double)f->audit_left_out);
    exposition_one(p, "ringfence_audit_rows_total", "counter",
                   "Rows of this controller's audit trail.", (double)f->store.audit_seq);
    exposition_one(p, "ringfence_audit_incomplete", "gauge",
                   "1 while rows that came in a snapshot are fetched from the others.",
                   f->store.audit_gap != 0);
}

static void loop(struct exposition *p, const struct api_facts *f)
{
    histogram(p, "ringfence_loop_lag_seconds", "How late the loop's turns came.",
              &f->turns);
    exposition_one(p, "ringfence_loop_lag_max_seconds", "gauge",
                   "Largest of the last ten seconds.", (double)f->lag_max_us / 1e6);
    exposition_one(p, "ringfence_loop_late_total", "counter",
                   "Turns so late that samples are dropped.", (double)f->lag_late);
}

static void links(struct exposition *p, const struct api_facts *f)
{
    exposition_head(
        p, "ringfence_link_up", "gauge",
        "1 while the link between this controller and that peer works, by direction.");
    for (unsigned i = 0; i < f->controller_count; i++) {
        const struct api_controller *c = &f->controllers[i];

        if (c->self)
            continue;
        exposition_line(p, "ringfence_link_up{peer=\"%s\",direction=\"out\"} %d\n", c->name,
                        c->out_up);
        exposition_line(p, "ringfence_link_up{peer=\"%s\",direction=\"in\"} %d\n", c->name,
                        c->in_up);
    }
    exposition_head(p, "ringfence_link_rtt_seconds", "gauge", "Last measured round trip.");
    for (unsigned i = 0; i < f->controller_count; i++)
        if (f->controllers[i].rtt_us != 0)
            exposition_line(p, "ringfence_link_rtt_seconds{peer=\"%s\"} %g\n",
                            f->controllers[i].name, (double)f->controllers[i].rtt_us / 1e6);
    exposition_head(p, "ringfence_agent_connected", "gauge",
                    "1 while the agent is heard, here or through another controller.");
    for (unsigned i = 0; i < f->state->agent_count; i++)
        exposition_line(p, "ringfence_agent_connected{agent=\"%s\"} %d\n",
                        f->state->agents[i].name, f->seen->agents[i].connected);
}

static void leases(struct exposition *p, const struct api_facts *f)
{
    exposition_one(p, "ringfence_leases_granted_total", "counter",
                   "Leases granted by this leader.", (double)f->leases_granted);
    exposition_one(p, "ringfence_leases_refused_total", "counter",
                   "Leases refused by this leader.", (double)f->leases_refused);
    exposition_one(p, "ringfence_lease_entries_total", "counter",
                   "Log entries that granted leases.", (double)f->lease_entries);
    exposition_one(p, "ringfence_probes_answered_total", "counter",
                   "Probes that were answered.", (double)f->probes_answered);
    exposition_one(p, "ringfence_probes_failed_total", "counter",
                   "Probes that were not answered.", (double)f->probes_failed);
    exposition_one(p, "ringfence_probes_dropped_total", "counter",
                   "Probes dropped since this loop was late.", (double)f->probes_dropped);
}

static void groups(struct exposition *p, const struct api_facts *f, struct mono now)
{
    const struct state *s = f->state;

    exposition_head(p, "ringfence_group_epoch", "gauge", "Epoch of the group.");
    for (unsigned i = 0; i < s->group_count; i++)
        exposition_line(p, "ringfence_group_epoch{group=\"%s\"} %" PRIu64 "\n",
                        s->groups[i].name, s->groups[i].epoch);
    exposition_head(p, "ringfence_group_phase", "gauge",
                    "1 for the phase that the group is in.");
    for (unsigned i = 0; i < s->group_count; i++)
        exposition_line(p, "ringfence_group_phase{group=\"%s\",phase=\"%s\"} 1\n",
                        s->groups[i].name, phase_name(s->groups[i].phase));
    exposition_head(p, "ringfence_group_suspect", "gauge",
                    "1 while renewals or probes are missed.");
    for (uint8_t i = 0; i < s->group_count; i++)
        exposition_line(p, "ringfence_group_suspect{group=\"%s\"} %d\n", s->groups[i].name,
                        group_is_suspect(s, f->seen, i, now));
    exposition_head(p, "ringfence_group_failovers_total", "counter", "Failovers so far.");
    for (unsigned i = 0; i < s->group_count; i++)
        exposition_line(p, "ringfence_group_failovers_total{group=\"%s\"} %" PRIu32 "\n",
                        s->groups[i].name, s->groups[i].failovers);
    exposition_head(p, "ringfence_group_paused", "gauge",
                    "1 while automatic decisions are paused.");
    for (unsigned i = 0; i < s->group_count; i++)
        exposition_line(p, "ringfence_group_paused{group=\"%s\"} %d\n", s->groups[i].name,
                        s->groups[i].paused);
}

/* A group that is let go, or that nothing is wrong with, is held by nothing. */
static void explain_group(const struct api_facts *f, uint8_t i, struct mono now,
                          struct explanation *why)
{
    why->held = false;
    why->count = 0;
    if (f->state->groups[i].phase != PHASE_DETACHED &&
        !group_is_healthy(f->state, f->seen, i, now))
        explain(f->state, f->seen, i, now, why);
}

/* Only the leader knows: no samples from the others. */
static void holds(struct exposition *p, const struct api_facts *f, struct mono now)
{
    AUTO(auto_free) struct explanation *why = malloc(sizeof *why);
    const struct state *s = f->state;

    if (why == NULL) {
        p->status = err_set(p->err, ERR_NOMEM, "metrics");
        return;
    }
    exposition_head(
        p, "ringfence_group_held", "gauge",
        "1 while what is due in the group, or under way, is held; from the leader only.");
    for (uint8_t i = 0; f->leads && i < s->group_count; i++) {
        explain_group(f, i, now, why);
        exposition_line(p, "ringfence_group_held{group=\"%s\"} %d\n", s->groups[i].name,
                        why->held);
    }
    exposition_head(p, "ringfence_group_held_by", "gauge",
                    "1 for each condition that holds the group; from the leader only.");
    for (uint8_t i = 0; f->leads && i < s->group_count; i++) {
        explain_group(f, i, now, why);
        for (unsigned k = 0; why->held && k < why->count; k++)
            if (why->list[k].blocks)
                exposition_line(p,
                                "ringfence_group_held_by{group=\"%s\",reason=\"%s\"} 1\n",
                                s->groups[i].name, why->list[k].name);
    }
}

static void runs(struct exposition *p, const struct api_facts *f)
{
    const struct state *s = f->state;

    exposition_head(p, "ringfence_group_last_run", "gauge",
                    "1 for kind and result of the last failover, switchover or forming.");
    for (unsigned i = 0; i < s->group_count; i++) {
        const struct run *r = &s->groups[i].run;

        if (r->id != 0)
            exposition_line(
                p, "ringfence_group_last_run{group=\"%s\",kind=\"%s\",result=\"%s\"} 1\n",
                s->groups[i].name, run_kind_name(r->kind), run_result_name(r->result));
    }
    exposition_head(
        p, "ringfence_group_last_open_timestamp_seconds", "gauge",
        "When the last run had opened the group for writes; no sample where it has not.");
    for (unsigned i = 0; i < s->group_count; i++)
        if (s->groups[i].run.open_wall_ms != 0)
            exposition_line(
                p, "ringfence_group_last_open_timestamp_seconds{group=\"%s\"} %.3f\n",
                s->groups[i].name, (double)s->groups[i].run.open_wall_ms / 1e3);
}

/* Everybody is told of a break-glass: an alert rests on this one. */
static void people(struct exposition *p, const struct api_facts *f)
{
    const struct state *s = f->state;

    exposition_head(p, "ringfence_break_glass_total", "counter",
                    "Moves that one admin began without the approvals that they take.");
    for (unsigned i = 0; i < s->group_count; i++)
        exposition_line(p, "ringfence_break_glass_total{group=\"%s\"} %u\n",
                        s->groups[i].name, s->groups[i].break_glass);
    exposition_head(p, "ringfence_proposals", "gauge",
                    "Proposals of people that are not over, by group and state.");
    for (unsigned i = 0; i < s->proposal_count; i++)
        if (!proposal_is_over(&s->proposals[i]))
            exposition_line(
                p, "ringfence_proposals{group=\"%s\",id=\"%" PRIu64 "\",state=\"%s\"} 1\n",
                s->proposals[i].group, s->proposals[i].id,
                proposal_state_name(s->proposals[i].state));
}

static void instances(struct exposition *p, const struct api_facts *f, struct mono now)
{
    const struct state *s = f->state;
    int64_t ms;

    exposition_head(
        p, "ringfence_lease_margin_seconds", "gauge",
        "What is left of the lease, from its agent's last report; no sample where none is "
        "held in this epoch.");
    for (uint8_t i = 0; i < s->group_count; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count; k++)
            if (status_lease_margin(f, i, k, now, &ms))
                exposition_line(
                    p, "ringfence_lease_margin_seconds{group=\"%s\",instance=\"%s\"} %g\n",
                    s->groups[i].name, s->groups[i].instances[k].agent, (double)ms / 1000);
    exposition_head(p, "ringfence_instance_active", "gauge",
                    "1 for the group's active instance.");
    for (unsigned i = 0; i < s->group_count; i++)
        for (unsigned k = 0; k < s->groups[i].instance_count; k++)
            exposition_line(p,
                            "ringfence_instance_active{group=\"%s\",instance=\"%s\"} %d\n",
                            s->groups[i].name, s->groups[i].instances[k].agent,
                            k == s->groups[i].active);
}

static void sample(struct exposition *p, const char *name, const struct group *g, uint8_t k,
                   double value)
{
    exposition_line(p, "%s{group=\"%s\",instance=\"%s\"} %.17g\n", name, g->name,
                    g->instances[k].agent, value);
}

static void checksums(struct exposition *p, const struct api_facts *f)
{
    static const char name[] = "ringfence_instance_checksum_failures_total";
    const struct state *s = f->state;

    exposition_head(
        p, name, "counter",
        "Data page checksum failures that the server has counted; no sample before its "
        "agent's first report.");
    for (unsigned i = 0; i < s->group_count; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count; k++) {
            const struct seen_instance *seen = &f->seen->groups[i].instances[k].seen;

            if (mono_is_set(seen->at))
                sample(p, name, &s->groups[i], k, (double)seen->checksum_failures);
        }
}

/* Alert on both: a fencer that does not answer is found out now, and not at 3 a.m. */
static void fencing(struct exposition *p, const struct api_facts *f)
{
    static const char alarm[] = "ringfence_instance_false_proof";
    const struct state *s = f->state;

    exposition_head(
        p, alarm, "gauge",
        "1 while a proof of the instance that did not hold is not acknowledged.");
    for (unsigned i = 0; i < s->group_count; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count; k++)
            sample(p, alarm, &s->groups[i], k, s->groups[i].instances[k].false_proof != 0);
    exposition_head(
        p, "ringfence_fencer_ready", "gauge",
        "1 while this controller's fencer answers; no sample before it was asked.");
    for (unsigned i = 0; i < f->fencer_count; i++)
        if (f->fencers[i].known)
            exposition_line(p, "ringfence_fencer_ready{fencer=\"%s\"} %d\n",
                            f->fencers[i].name, f->fencers[i].ready);
    exposition_head(p, "ringfence_fencer_runs_total", "counter",
                    "Times that this controller set out to switch the fencer's host off.");
    for (unsigned i = 0; i < f->fencer_count; i++)
        exposition_line(p, "ringfence_fencer_runs_total{fencer=\"%s\"} %" PRIu64 "\n",
                        f->fencers[i].name, f->fencers[i].runs);
    exposition_head(p, "ringfence_fencer_failures_total", "counter",
                    "And how often that failed.");
    for (unsigned i = 0; i < f->fencer_count; i++)
        exposition_line(p, "ringfence_fencer_failures_total{fencer=\"%s\"} %" PRIu64 "\n",
                        f->fencers[i].name, f->fencers[i].failures);
}

/* The leader alone hears the agents: an alert on the leader's, as of all that it tells. */
static void severing(struct exposition *p, const struct api_facts *f, struct mono now)
{
    const char *why;

    exposition_head(p, "ringfence_group_severing_ready", "gauge",
                    "1 while the level `sync_severed` of the group would work; no sample "
                    "where it has none, or where it is not known.");
    for (uint8_t i = 0; i < f->state->group_count; i++) {
        enum severing is = group_severing(f->state, f->seen, i, now, &why);

        if (is == SEVERING_OPEN || is == SEVERING_CLOSED)
            exposition_line(p, "ringfence_group_severing_ready{group=\"%s\"} %d\n",
                            f->state->groups[i].name, is == SEVERING_OPEN);
    }
}

static void replication(struct exposition *p, const struct api_facts *f)
{
    static const char lag[] = "ringfence_instance_replication_lag_bytes";
    static const char member[] = "ringfence_instance_sync_member";
    const struct state *s = f->state;
    uint64_t bytes;

    exposition_head(
        p, lag, "gauge",
        "How far the instance's log is behind the active one's, as last seen; no sample "
        "where either is not known.");
    for (unsigned i = 0; i < s->group_count; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count; k++)
            if (k != s->groups[i].active &&
                status_lag_bytes(&s->groups[i], &f->seen->groups[i], k, &bytes))
                sample(p, lag, &s->groups[i], k, (double)bytes);
    exposition_head(
        p, member, "gauge",
        "1 for a member of the sync set, which holds all that was acknowledged; no sample "
        "before the first activation.");
    for (unsigned i = 0; i < s->group_count; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count && s->groups[i].sync_known; k++)
            sample(p, member, &s->groups[i], k, s->groups[i].sync_set >> k & 1);
}

/* The leader ships, and knows: no samples from the others, nor where nothing is shipped. */
static void shipping(struct exposition *p, const struct api_facts *f)
{
    const struct api_ship *s = &f->ship;

    if (s->target == NULL || !s->leads)
        return;
    exposition_one(p, "ringfence_audit_ship_failing", "gauge",
                   "1 while the audit trail cannot be shipped.", s->problem[0] != '\0');
    exposition_one(p, "ringfence_audit_ship_failures_total", "counter",
                   "How often that failed.", (double)s->failures);
    if (!s->known)
        return;
    exposition_one(p, "ringfence_audit_ship_rows", "gauge",
                   "Entries of the audit trail that are not shipped yet.", (double)s->rows);
    exposition_one(p, "ringfence_audit_ship_age_seconds", "gauge",
                   "Age of the oldest of them.", (double)s->age_ms / 1000);
    exposition_one(p, "ringfence_audit_shipped_rows_total", "counter",
                   "Entries that are shipped, from the first one on.", (double)s->upto);
}

/* Where there is no listener for people there are no samples. */
static void guests(struct exposition *p, const struct api_facts *f)
{
    static const char name[] = "ringfence_api_guest_requests_total";
    const struct {
        const char *who;
        uint64_t n;
    } rows[] = {{"user", f->guests.known},
                {"nobody", f->guests.unknown},
                {"wrong-certificate", f->guests.wrong},
                {"too-many", f->guests.limited}};

    if (!f->has_api)
        return;
    exposition_one(p, "ringfence_api_guest_connections", "gauge",
                   "Connections over the network that have asked something.",
                   f->guests.open);
    exposition_head(p, name, "counter",
                    "Requests over the network since the start, by who asked: all but a "
                    "user's are refused.");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        exposition_line(p, "%s{from=\"%s\"} %" PRIu64 "\n", name, rows[i].who, rows[i].n);
}

/* Where the keys are in a file, or there are none, there are no samples. */
static void provider_keys(struct exposition *p, const struct api_facts *f)
{
    const struct api_keys *k = &f->jwt_keys;

    if (!k->fetched)
        return;
    exposition_one(p, "ringfence_oidc_keys", "gauge",
                   "Keys of the OpenID provider in force; 0 until the first are fetched.",
                   k->count);
    if (k->known)
        exposition_one(p, "ringfence_oidc_keys_age_seconds", "gauge",
                       "How long ago those in force were fetched.",
                       (double)k->age_ms / 1000);
    exposition_one(p, "ringfence_oidc_keys_fetches_total", "counter",
                   "Times that they were asked for.", (double)k->fetches);
    exposition_one(p, "ringfence_oidc_keys_failures_total", "counter",
                   "And how often that failed.", (double)k->failures);
}

static void notices(struct exposition *p, const struct api_facts *f)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
        {"ringfence_notify_sent_total", "counter",
         "Notices that the receiver took from this controller."},
        {"ringfence_notify_failures_total", "counter", "Tries that failed."},
        {"ringfence_notify_lost_total", "counter", "Notices that were given up."},
        {"ringfence_notify_waiting", "gauge", "1 while there is a notice to be taken."}};

    for (size_t k = 0; k < ARRAY_LEN(rows) && f->notice_count > 0; k++) {
        exposition_head(p, rows[k].name, rows[k].type, rows[k].help);
        for (unsigned i = 0; i < f->notice_count; i++) {
            const struct api_notice *n = &f->notices[i];
            const uint64_t values[] = {n->sent, n->failures, n->lost, n->waits};

            exposition_line(p, "%s{to=\"%s\"} %" PRIu64 "\n", rows[k].name, n->name,
                            values[k]);
        }
    }
}

int metrics_text(const struct api_facts *f, struct mono now, struct buf *out,
                 struct err *err)
{
    struct exposition p = {.prefix = "", .out = out, .err = err};

    exposition_head(&p, "ringfence_build_info", "gauge", "Version of this program.");
    exposition_line(&p, "ringfence_build_info{version=\"%s\",program=\"ringfenced\"} 1\n",
                    RF_VERSION);
    if (p.status == 0)
        p.status = tls_report_metrics(&f->tls, "ringfence_", f->wall_s, out, err);
    raft(&p, f);
    loop(&p, f);
    links(&p, f);
    leases(&p, f);
    groups(&p, f, now);
    holds(&p, f, now);
    runs(&p, f);
    people(&p, f);
    instances(&p, f, now);
    checksums(&p, f);
    replication(&p, f);
    fencing(&p, f);
    severing(&p, f, now);
    guests(&p, f);
    provider_keys(&p, f);
    notices(&p, f);
    shipping(&p, f);
    return p.status;
}
