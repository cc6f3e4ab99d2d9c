/* why, doctor, version. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/http/status.h"

json_t *why_document(const struct api_facts *f, uint8_t group, struct mono now)
{
    struct explanation e;
    json_t *conditions = json_array();

    explain(f->state, f->seen, group, now, &e);
    for (unsigned i = 0; i < e.count; i++) {
        const struct condition *c = &e.list[i];

        (void)json_array_append_new(
            conditions,
            json_pack("{s:s, s:b, s:b, s:s, s:s}", "name", c->name, "holds", (int)c->holds,
                      "blocks", (int)c->blocks, "value", c->value, "limit", c->limit));
    }
    return json_pack("{s:s, s:b, s:s, s:o}", "group", f->state->groups[group].name,
                     "would_fail_over", (int)e.would_fail_over, "verdict", e.verdict,
                     "conditions", conditions);
}

json_t *version_document(const struct api_facts *f)
{
    return json_pack("{s:s, s:s, s:s}", "version", RF_VERSION, "program", "ringfenced",
                     "name", f->name);
}

/* ---- doctor ---------------------------------------------------------------------------
 */

static void find(json_t *out, const char *check, const char *level, const char *text)
{
    (void)json_array_append_new(
        out, json_pack("{s:s, s:s, s:s}", "check", check, "level", level, "text", text));
}

static void check_link(json_t *out, const struct api_facts *f,
                       const struct api_controller *c)
{
    char check[NAME_SIZE + 16], text[3 * API_ERROR_SIZE];

    (void)snprintf(check, sizeof check, "link-%s", c->name);
    if (!c->out_up)
        (void)snprintf(text, sizeof text,
                       "controller %s cannot be reached from here: %s; see whether it "
                       "runs, and whether a firewall lets its port pass",
                       c->name, c->out_error[0] != '\0' ? c->out_error : "not yet");
    else if (!c->in_up)
        (void)snprintf(text, sizeof text,
                       "controller %s can be reached, but does not reach %s: see its log, "
                       "and `controllers` in its ringfenced.yaml",
                       c->name, f->name);
    else
        (void)snprintf(text, sizeof text,
                       "controller %s: both directions, round trip %.1f ms (longest %.1f)",
                       c->name, (double)c->rtt_us / 1000, (double)c->rtt_max_us / 1000);
    find(out, check, c->out_up && c->in_up ? "ok" : "fail", text);
}

/* What both ends say of one direction: "up", "down", or "unknown" where neither was heard.
 */
static const char *link_state(const struct api_link *l)
{
    if (!l->out_known && !l->in_known)
        return "unknown";
    return (l->out_known && !l->out_up) || (l->in_known && !l->in_up) ? "down" : "up";
}

/* Between two others: what check_link() says of our own links is not said again. */
static void check_far_link(json_t *out, const struct api_facts *f, unsigned from,
                           unsigned to)
{
    const char *state = link_state(&f->links[from][to]);
    const char *a = f->controllers[from].name, *b = f->controllers[to].name;
    char check[2 * NAME_SIZE + 16], text[API_ERROR_SIZE];

    if (f->controllers[from].self || f->controllers[to].self || state[1] == 'p')
        return;
    (void)snprintf(check, sizeof check, "link-%s-%s", a, b);
    if (state[0] == 'd')
        (void)snprintf(
            text, sizeof text,
            "controller %s does not reach %s: see whether %s runs, and whether a "
            "firewall between them lets its port pass",
            a, b, b);
    else
        (void)snprintf(text, sizeof text,
                       "whether controller %s reaches %s is not known: neither was heard",
                       a, b);
    find(out, check, state[0] == 'd' ? "fail" : "warn", text);
}

/* Every direction between every two controllers. */
static json_t *links(const struct api_facts *f, json_t *findings)
{
    json_t *out = json_array();

    for (unsigned from = 0; from < f->controller_count; from++)
        for (unsigned to = 0; to < f->controller_count; to++) {
            const struct api_link *l = &f->links[from][to];
            json_t *rtt = l->out_up && l->rtt_us != 0 ? json_real((double)l->rtt_us / 1000)
                                                      : json_null();

            if (from == to) {
                json_decref(rtt);
                continue;
            }
            check_far_link(findings, f, from, to);
            (void)json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:o}", "from",
                                                       f->controllers[from].name, "to",
                                                       f->controllers[to].name, "state",
                                                       link_state(l), "rtt_ms", rtt));
        }
    return out;
}

static uint32_t slowest_election(const struct api_facts *f)
{
    uint32_t slowest = 0;

    for (unsigned i = 0; i < f->controller_count; i++)
        if (f->controllers[i].election_ms > slowest)
            slowest = f->controllers[i].election_ms;
    return slowest;
}

static void check_ttl(json_t *out, const struct api_facts *f, const struct group *g)
{
    struct lease_surroundings around = {.election_ms = slowest_election(f),
                                        .rtt_ms = f->rtt_ms};
    char check[NAME_SIZE + 16], text[ERR_TEXT_SIZE];
    struct err err = {0};
    bool good =
        lease_check_ttl_rule(g->policy.lease, g->policy.renew_ms, around, &err) == 0;

    (void)snprintf(check, sizeof check, "ttl-%s", g->name);
    (void)snprintf(text, sizeof text,
                   "group %s: a TTL of %" PRIu32 " ms holds out a change of leader "
                   "(election timeout %" PRIu32 " ms, round trip %" PRIu32 " ms)",
                   g->name, g->policy.lease.ttl_ms, around.election_ms, around.rtt_ms);
    find(out, check, good ? "ok" : "fail", good ? text : err.text);
}

/* A sync that takes longer than this eats into every lease. */
enum { SYNC_WARN_US = 20000, SYNC_FAIL_US = 200000, LAG_WARN_US = 50000 };

static void check_disk(json_t *out, const struct api_facts *f)
{
    const struct store_stats *s = &f->store;
    const char *level = s->last_commit_us > SYNC_FAIL_US   ? "fail"
                        : s->last_commit_us > SYNC_WARN_US ? "warn"
                                                           : "ok";
    char text[API_ERROR_SIZE + PATH_SIZE];

    (void)snprintf(
        text, sizeof text, "%s: the last synced write took %.2f ms, the slowest %.2f ms%s",
        f->data_dir, (double)s->last_commit_us / 1000, (double)s->max_commit_us / 1000,
        level[0] == 'o' ? "" : "; renewals wait for it: use a faster disk");
    find(out, "disk-sync", level, text);
}

static void check_clock(json_t *out, const struct api_facts *f)
{
    int64_t rate = f->clock_rate_ppm < 0 ? -f->clock_rate_ppm : f->clock_rate_ppm;
    uint32_t rho = 10000;
    char text[API_ERROR_SIZE];
    bool good;

    for (unsigned i = 0; i < f->state->group_count; i++)
        if (f->state->groups[i].policy.lease.rho_ppm < rho)
            rho = f->state->groups[i].policy.lease.rho_ppm;
    good = lease_clock_rate_ok(rate, rho);
    (void)snprintf(text, sizeof text,
                   "the clock is steered by %" PRId64 " ppm, at most %" PRIu32
                   " are allowed for%s",
                   f->clock_rate_ppm, rho / 2,
                   good ? "" : ": set chrony's maxslewrate to 1000 or less");
    find(out, "clock-rate", good ? "ok" : "warn", text);
}

static void check_quorum(json_t *out, const struct api_facts *f)
{
    char text[API_ERROR_SIZE];
    unsigned up = 0;

    for (unsigned i = 0; i < f->controller_count; i++)
        up += f->controllers[i].up ? 1 : 0;
    (void)snprintf(text, sizeof text, "%u of %u controllers are heard, %s", up,
                   f->controller_count,
                   f->leader_id != 0 ? "a leader is known"
                                     : "no leader is known: nothing can be decided");
    find(out, "quorum",
         f->leader_id == 0          ? "fail"
         : up < f->controller_count ? "warn"
                                    : "ok",
         text);
}

static void check_loop(json_t *out, const struct api_facts *f)
{
    char text[API_ERROR_SIZE];

    (void)snprintf(text, sizeof text,
                   "the loop was late by at most %.1f ms in the last ten seconds%s",
                   (double)f->lag_max_us / 1000,
                   f->lag_max_us > LAG_WARN_US ? ": this host is overloaded" : "");
    find(out, "loop-lag", f->lag_max_us > LAG_WARN_US ? "warn" : "ok", text);
}

json_t *doctor_document(const struct api_facts *f, const char *host)
{
    json_t *findings = json_array(), *between;

    check_quorum(findings, f);
    for (unsigned i = 0; i < f->controller_count; i++)
        if (!f->controllers[i].self)
            check_link(findings, f, &f->controllers[i]);
    between = links(f, findings);
    for (unsigned i = 0; i < f->state->group_count; i++)
        check_ttl(findings, f, &f->state->groups[i]);
    check_disk(findings, f);
    check_clock(findings, f);
    check_loop(findings, f);
    return json_pack("{s:s, s:o, s:o}", "host", host, "findings", findings, "links",
                     between);
}
