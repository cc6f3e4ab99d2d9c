/* Prometheus text format 0.0.4. */
#include <inttypes.h>

#include "controller/base/clock.h"
#include "controller/net/tls.h"
#include "controller/net/tls_report.h"
#include "fencing/agent/durable.h"
#include "fencing/agent/endpoints.h"

#define PUT(...)                                                                           \
    do {                                                                                   \
        if (durable_printf(out, err, __VA_ARGS__) != 0)                                    \
            return err->code;                                                              \
    } while (0)

static int head(struct buf *out, const char *name, const char *type, const char *help,
                struct err *err)
{
    PUT("# HELP ringfence_agent_%s %s\n# TYPE ringfence_agent_%s %s\n", name, help, name,
        type);
    return 0;
}

/* One metric of every group. */
struct metric {
    const char *name, *type, *help;
    double (*value)(const struct keeper_view *v, const struct steps_view *s,
                    struct boot now);
};

static double lease_margin(const struct keeper_view *v, const struct steps_view *s,
                           struct boot now)
{
    (void)s;
    if (v->lease_epoch == 0)
        return 0;
    return (double)((int64_t)(v->lease_deadline.ns - now.ns)) / 1e9;
}

static double lease_deadline(const struct keeper_view *v, const struct steps_view *s,
                             struct boot now)
{
    (void)s;
    (void)now;
    return v->lease_epoch == 0 ? 0 : (double)v->lease_deadline.ns / 1e9;
}

static double lease_held(const struct keeper_view *v, const struct steps_view *s,
                         struct boot now)
{
    (void)s;
    return v->lease_kind != KIND_NONE && v->lease_deadline.ns > now.ns;
}

static double epoch(const struct keeper_view *v, const struct steps_view *s,
                    struct boot now)
{
    (void)s;
    (void)now;
    return (double)v->epoch;
}

static double fenced(const struct keeper_view *v, const struct steps_view *s,
                     struct boot now)
{
    (void)s;
    (void)now;
    return (double)v->fenced;
}

static double alive(const struct keeper_view *v, const struct steps_view *s,
                    struct boot now)
{
    (void)v;
    (void)now;
    return s->alive;
}

static double ready(const struct keeper_view *v, const struct steps_view *s,
                    struct boot now)
{
    (void)v;
    (void)now;
    return s->ready;
}

static double hung(const struct keeper_view *v, const struct steps_view *s, struct boot now)
{
    (void)v;
    (void)now;
    return s->hung;
}

static double replay_lag(const struct keeper_view *v, const struct steps_view *s,
                         struct boot now)
{
    (void)v;
    (void)now;
    return s->seen != NULL ? (double)s->seen->replay_lag_ms / 1e3 : 0;
}

static double observation_age(const struct keeper_view *v, const struct steps_view *s,
                              struct boot now)
{
    (void)v;
    (void)now;
    return s->seen != NULL ? (double)s->seen_age_ms / 1e3 : -1;
}

static double observations(const struct keeper_view *v, const struct steps_view *s,
                           struct boot now)
{
    (void)v;
    (void)now;
    return (double)s->observations;
}

static double observer_deaths(const struct keeper_view *v, const struct steps_view *s,
                              struct boot now)
{
    (void)v;
    (void)now;
    return (double)s->observer_deaths;
}

static double checksum_failures(const struct keeper_view *v, const struct steps_view *s,
                                struct boot now)
{
    (void)v;
    (void)now;
    return s->seen != NULL ? (double)s->seen->checksum_failures : 0;
}

static double has_problem(const struct keeper_view *v, const struct steps_view *s,
                          struct boot now)
{
    (void)v;
    (void)now;
    return s->problem[0] != 0;
}

static const struct metric metrics[] = {
    {"lease_margin_seconds", "gauge",
     "Time until the lease ends; negative when it is over.", lease_margin},
    {"lease_deadline_boot_seconds", "gauge",
     "When the last lease ends or ended, in CLOCK_BOOTTIME of this host; 0: never held.",
     lease_deadline},
    {"lease_held", "gauge", "1 while a lease is held.", lease_held},
    {"epoch", "gauge", "Highest epoch on disk.", epoch},
    {"fenced_epoch", "gauge", "Highest epoch fenced here.", fenced},
    {"server_alive", "gauge", "1 while the postmaster lives.", alive},
    {"server_ready", "gauge", "1 if the server may be opened in this epoch.", ready},
    {"server_hung", "gauge", "1 if no canary write is accepted.", hung},
    {"replay_lag_seconds", "gauge", "Age of the last replayed commit.", replay_lag},
    {"server_checksum_failures_total", "counter",
     "Data page checksum failures that the server has counted.", checksum_failures},
    {"instance_problem", "gauge", "1 while the instance has a problem, as `status` shows.",
     has_problem},
    {"observation_age_seconds", "gauge", "Age of the last observation.", observation_age},
    {"observations_total", "counter", "Observations of the server.", observations},
    {"observer_deaths_total", "counter", "Provider processes killed or lost.",
     observer_deaths},
};

static int put_group_metrics(struct buf *out, const struct endpoints_parts *p,
                             struct err *err)
{
    struct boot now = boot_now();

    for (unsigned m = 0; m < ARRAY_LEN(metrics); m++) {
        if (head(out, metrics[m].name, metrics[m].type, metrics[m].help, err) != 0)
            return err->code;
        for (unsigned slot = 0; slot < AGENT_GROUPS_MAX; slot++) {
            struct steps_view s;
            struct keeper_view v;

            if (!steps_view(p->steps, (uint8_t)slot, &s))
                continue;
            board_view(p->board, (uint8_t)slot, &v);
            PUT("ringfence_agent_%s{group=\"%s\"} %.17g\n", metrics[m].name, s.group,
                metrics[m].value(&v, &s, now));
        }
    }
    return 0;
}

static int put_gates(struct buf *out, const struct endpoints_parts *p, struct err *err)
{
    static const char *const modes[] = {"closed", "replication", "open", "unmanaged"};
    struct boot now = boot_now();

    if (head(out, "gate_mode", "gauge", "1 for what the gate lets pass now.", err) != 0)
        return err->code;
    for (unsigned slot = 0; slot < AGENT_GROUPS_MAX; slot++) {
        struct steps_view s;
        struct keeper_view v;
        unsigned is;

        if (!steps_view(p->steps, (uint8_t)slot, &s))
            continue;
        board_view(p->board, (uint8_t)slot, &v);
        is = !v.managed ? 3 : v.deadline.ns <= now.ns ? 0 : (unsigned)v.mode;
        for (unsigned m = 0; m < ARRAY_LEN(modes); m++)
            PUT("ringfence_agent_gate_mode{group=\"%s\",mode=\"%s\"} %d\n", s.group,
                modes[m], m == is);
    }
    return 0;
}

static int put_steps(struct buf *out, const struct endpoints_parts *p, struct err *err)
{
    if (head(out, "steps_total", "counter", "Steps carried out, by outcome.", err) != 0)
        return err->code;
    for (unsigned slot = 0; slot < AGENT_GROUPS_MAX; slot++) {
        struct steps_view s;

        if (!steps_view(p->steps, (uint8_t)slot, &s))
            continue;
        PUT("ringfence_agent_steps_total{group=\"%s\",outcome=\"done\"} %" PRIu64 "\n",
            s.group, s.steps_done);
        PUT("ringfence_agent_steps_total{group=\"%s\",outcome=\"failed\"} %" PRIu64 "\n",
            s.group, s.steps_failed);
        PUT("ringfence_agent_steps_total{group=\"%s\",outcome=\"unknown\"} %" PRIu64 "\n",
            s.group, s.steps_unknown);
    }
    return 0;
}

static int put_keeper(struct buf *out, const struct board_health *h, struct err *err)
{
    const struct {
        const char *name, *type, *help;
        double value;
    } all[] = {
        {"renewals_sent_total", "counter", "Renewals sent.", (double)h->counts.sent},
        {"renewals_granted_total", "counter", "Leases granted.", (double)h->counts.granted},
        {"renewals_refused_total", "counter", "Leases refused.", (double)h->counts.refused},
        {"renewals_ignored_total", "counter", "Answers that were not ours to take.",
         (double)h->counts.ignored},
        {"gates_lost_total", "counter",
         "Times that the gate was missing or changed by others, and put back closed.",
         (double)h->counts.gates_lost},
        {"loop_lag_seconds", "gauge", "How late the keeper's last turn was.",
         (double)h->loop_lag_us / 1e6},
        {"loop_lag_max_seconds", "gauge", "The latest turn so far.",
         (double)h->loop_lag_max_us / 1e6},
        {"late_turns_total", "counter", "Turns of the keeper that came late.",
         (double)h->late_turns},
        {"clock_rate_ppm", "gauge", "How fast the clock is steered.",
         (double)h->clock_rate_ppm},
        {"clock_fit", "gauge", "1 if the gate's clock is ours.", h->clock_same},
        {"state_sync_seconds", "gauge", "How long the last sync of agent.state took.",
         (double)h->sync_us / 1e6},
        {"dropped_messages_total", "counter", "Messages that memory was missing for.",
         (double)h->dropped},
        {"guard_up", "gauge", "1 while the guard runs and beats.", h->guard.there},
        {"guard_stops_total", "counter", "Servers that the guard has stopped.",
         (double)h->guard.stops},
    };

    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        if (head(out, all[i].name, all[i].type, all[i].help, err) != 0)
            return err->code;
        PUT("ringfence_agent_%s %.17g\n", all[i].name, all[i].value);
    }
    if (head(out, "controller_up", "gauge", "1 while the controller has welcomed us.",
             err) != 0)
        return err->code;
    for (uint8_t i = 0; i < h->controller_count; i++)
        PUT("ringfence_agent_controller_up{controller=\"%s\"} %d\n", h->controllers[i].name,
            h->controllers[i].welcomed);
    if (head(out, "controller_rtt_seconds", "gauge", "Round trip to the controller.",
             err) != 0)
        return err->code;
    for (uint8_t i = 0; i < h->controller_count; i++)
        PUT("ringfence_agent_controller_rtt_seconds{controller=\"%s\"} %.6f\n",
            h->controllers[i].name, h->controllers[i].rtt_us / 1e6);
    return 0;
}

int metrics_write(struct buf *out, const struct endpoints_parts *p, struct err *err)
{
    struct tls_report tls;
    struct board_health h;

    board_health(p->board, &h);
    if (head(out, "build_info", "gauge", "1, with the version.", err) != 0)
        return err->code;
    PUT("ringfence_agent_build_info{version=\"%s\",agent=\"%s\",region=\"%s\"} 1\n",
        RF_VERSION, p->settings->name, p->settings->region);
    tls_report(p->tls, &tls);
    if (tls_report_metrics(&tls, "ringfence_agent_", (int64_t)(wall_now_ms() / 1000), out,
                           err) != 0)
        return err->code;
    if (put_keeper(out, &h, err) != 0 || put_group_metrics(out, p, err) != 0 ||
        put_gates(out, p, err) != 0)
        return err->code;
    return put_steps(out, p, err);
}
