/* why, rules, doctor, version. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/http/status.h"

static const char *role_name(enum condition_role role)
{
    switch (role) {
    case COND_NEEDED:
        return "needed";
    case COND_CAUSE:
        return "cause";
    case COND_CANDIDATE:
        return "candidate";
    case COND_PROOF:
        return "proof";
    }
    return "?";
}

json_t *why_document(const struct api_facts *f, uint8_t group, struct mono now, bool stale)
{
    struct explanation e;
    json_t *conditions = json_array();

    explain(f->state, f->seen, group, now, &e);
    if (stale)
        explain_leaderless(f->state, f->seen, group, now, f->name, e.verdict,
                           sizeof e.verdict);
    for (unsigned i = 0; i < e.count; i++) {
        const struct condition *c = &e.list[i];

        (void)json_array_append_new(
            conditions,
            json_pack("{s:s, s:s, s:b, s:b, s:s, s:s, s:s}", "name", c->name, "role",
                      role_name(c->role), "holds", (int)c->holds, "blocks", (int)c->blocks,
                      "value", c->value, "limit", c->limit, "remedy", c->remedy));
    }
    return json_pack("{s:s, s:b, s:b, s:s, s:o}", "group", f->state->groups[group].name,
                     "stale", (int)stale, "would_fail_over",
                     (int)(e.would_fail_over && !stale), "verdict", e.verdict, "conditions",
                     conditions);
}

/* Of a row that stays where it is, in whatever phase that is, both are "any"; "none": the
 * group is not there. */
json_t *rules_document(void)
{
    const struct rule_row *rows;
    unsigned n = rule_rows(&rows);
    json_t *list = json_array();

    for (unsigned i = 0; i < n; i++) {
        bool any = rows[i].from == PHASE_NONE && rows[i].to == PHASE_NONE;

        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s}", "rule", rows[i].name, "from",
                            any ? "any" : phase_name(rows[i].from), "to",
                            any ? "any" : phase_name(rows[i].to), "when", rows[i].when));
    }
    return json_pack("{s:o}", "rules", list);
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

/* What both ends say of one direction: "up", "down", or "unknown" where neither was heard.
 */
static const char *link_state(const struct api_link *l)
{
    if (!l->out_known && !l->in_known)
        return "unknown";
    return (l->out_known && !l->out_up) || (l->in_known && !l->in_up) ? "down" : "up";
}

static bool is_up(const struct api_facts *f, unsigned from, unsigned to)
{
    return strcmp(link_state(&f->links[from][to]), "up") == 0;
}

/* Somebody reaches it, or hears it: it runs, and the fault lies elsewhere. */
static bool is_alive(const struct api_facts *f, unsigned i)
{
    bool alive = f->controllers[i].self || f->controllers[i].up;

    for (unsigned k = 0; k < f->controller_count; k++)
        alive = alive || (k != i && (is_up(f, k, i) || is_up(f, i, k)));
    return alive;
}

/* Why `from` does not reach `to`, as far as that can be told from who reaches whom: each
 * controller dials the other, so where one direction works, the hosts run and the network
 * carries packets both ways, and what is left is the way to one port. */
static void where_to_look(const struct api_facts *f, unsigned from, unsigned to, char *text,
                          size_t size)
{
    const char *a = f->controllers[from].name, *b = f->controllers[to].name;

    if (is_up(f, to, from))
        text_set(text, size,
                 "%s reaches %s, so both run: look on the host of %s first, whether its "
                 "firewall lets its port pass from %s and whether `listen` is right; then "
                 "at the address of %s in %s's ringfenced.yaml, and at %s's log",
                 b, a, b, a, b, a, a);
    else if (is_alive(f, to))
        text_set(text, size,
                 "%s runs, others know it: look at the network and the firewalls between "
                 "the hosts of %s and %s (a cut in one direction stops both), and at %s's "
                 "log",
                 b, a, b, a);
    else
        text_set(text, size,
                 "nobody hears %s: see whether it runs, and whether a firewall on its host "
                 "lets its port pass",
                 b);
}

/* Between this controller and another one. */
static void check_link(json_t *out, const struct api_facts *f, unsigned self,
                       unsigned other)
{
    const struct api_controller *c = &f->controllers[other];
    char check[NAME_SIZE + 16], text[3 * API_ERROR_SIZE], where[API_ERROR_SIZE];

    (void)snprintf(check, sizeof check, "link-%s", c->name);
    where_to_look(f, c->out_up ? other : self, c->out_up ? self : other, where,
                  sizeof where);
    if (c->refused[0] != '\0')
        text_set(text, sizeof text, "controller %s is not let in: %s", c->name, c->refused);
    else if (!c->out_up)
        text_set(text, sizeof text,
                 "controller %s cannot be reached from here (%s): %s; %s", c->name, f->name,
                 c->out_error[0] != '\0' ? c->out_error : "not yet", where);
    else if (!c->in_up)
        text_set(text, sizeof text, "controller %s does not reach this one (%s): %s",
                 c->name, f->name, where);
    else
        text_set(text, sizeof text,
                 "controller %s: both directions, round trip %.1f ms (longest %.1f)",
                 c->name, (double)c->rtt_us / 1000, (double)c->rtt_max_us / 1000);
    find(out, check, c->out_up && c->in_up ? "ok" : "fail", text);
}

/* Between two others: what check_link() says of our own links is not said again. */
static void check_far_link(json_t *out, const struct api_facts *f, unsigned from,
                           unsigned to)
{
    const char *state = link_state(&f->links[from][to]);
    const char *a = f->controllers[from].name, *b = f->controllers[to].name;
    char check[2 * NAME_SIZE + 16], text[2 * API_ERROR_SIZE], where[API_ERROR_SIZE];

    if (f->controllers[from].self || f->controllers[to].self || state[1] == 'p')
        return;
    /* One that nobody hears is told of once, by our own link to it. */
    if (!is_alive(f, from) || !is_alive(f, to))
        return;
    (void)snprintf(check, sizeof check, "link-%s-%s", a, b);
    where_to_look(f, from, to, where, sizeof where);
    if (state[0] == 'd')
        text_set(text, sizeof text, "controller %s does not reach %s: %s", a, b, where);
    else
        text_set(text, sizeof text,
                 "whether controller %s reaches %s is not known: neither was heard", a, b);
    find(out, check, state[0] == 'd' ? "fail" : "warn", text);
}

/* One cause, most likely: ours. */
static bool is_cut_off(const struct api_facts *f)
{
    unsigned others = 0;

    for (unsigned i = 0; i < f->controller_count; i++) {
        if (!f->controllers[i].self && is_alive(f, i))
            return false;
        others += f->controllers[i].self ? 0 : 1;
    }
    return others > 1;
}

static void check_all_links(json_t *out, const struct api_facts *f, const char *self)
{
    char text[ERR_TEXT_SIZE];
    int used = snprintf(text, sizeof text,
                        "controller %s (this one) reaches none of the others and is "
                        "reached by none: look at the network and the firewall of this "
                        "host first, then whether they run (",
                        self);
    const char *comma = "";

    for (unsigned i = 0; i < f->controller_count && used < (int)sizeof text; i++) {
        const struct api_controller *c = &f->controllers[i];

        if (c->self)
            continue;
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%s: %s", comma,
                         c->name, c->out_error[0] != '\0' ? c->out_error : "not yet");
        comma = "; ";
    }
    if (used < (int)sizeof text)
        used += snprintf(text + used, sizeof text - (size_t)used, ")");
    if (used >= (int)sizeof text)
        text_mark_cut(text, sizeof text);
    find(out, "links", "fail", text);
}

/* Our own links to all others. */
static void check_links(json_t *out, const struct api_facts *f)
{
    unsigned self = 0;

    while (self < f->controller_count && !f->controllers[self].self)
        self++;
    if (self < f->controller_count && is_cut_off(f)) {
        check_all_links(out, f, f->controllers[self].name);
        return;
    }
    for (unsigned i = 0; self < f->controller_count && i < f->controller_count; i++)
        if (i != self)
            check_link(out, f, self, i);
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
    /* Who is missing, and what to do about it, is said by the links. */
    (void)snprintf(
        text, sizeof text, "%u of %u controllers are heard, %s%s", up, f->controller_count,
        f->leader_id != 0 ? "a leader is known"
                          : "no leader is known here: through this one nothing can be "
                            "decided; ask another one",
        f->leader_id != 0 && up <= f->controller_count / 2 + 1u && up < f->controller_count
            ? "; if one more is lost, nothing can be decided"
            : "");
    find(out, "quorum", f->leader_id == 0 ? "fail" : "ok", text);
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

static bool has_fencer(const struct api_facts *f, const char *name)
{
    for (unsigned i = 0; i < f->fencer_count; i++)
        if (strcmp(f->fencers[i].name, name) == 0)
            return true;
    return false;
}

/* One that would not work at 3 a.m. is found now: each controller may lead then. */
static void check_fencers(json_t *out, const struct api_facts *f)
{
    char check[NAME_SIZE + 8], text[TEXT_SIZE];

    for (unsigned i = 0; i < f->fencer_count; i++) {
        const struct api_fencer *v = &f->fencers[i];

        snprintf(check, sizeof check, "fencer-%s", v->name);
        text_set(text, sizeof text, "%s",
                 !v->known  ? "was not asked for its status yet: ask again in a moment"
                 : v->ready ? "answers"
                            : v->problem);
        find(out, check, !v->known ? "warn" : v->ready ? "ok" : "fail", text);
    }
    for (unsigned i = 0; i < f->state->group_count; i++)
        for (uint8_t k = 0; k < f->state->groups[i].instance_count; k++) {
            const struct instance *v = &f->state->groups[i].instances[k];

            if (v->power[0] == '\0' || has_fencer(f, v->power))
                continue;
            snprintf(check, sizeof check, "fencer-%s", v->power);
            text_set(
                text, sizeof text,
                "group %s wants it for the host of %s, and this controller has none of "
                "that name: add it to `fencers` in its file, and start it again",
                f->state->groups[i].name, v->agent);
            find(out, check, "fail", text);
        }
}

/* The group's other level that is there only while something else is: members that answer.
 * Without it a failover comes all the same, when the lease was counted out. */
static void check_severing(json_t *out, const struct api_facts *f, struct mono now)
{
    char check[NAME_SIZE + 16], text[TEXT_SIZE];
    const char *why;

    for (uint8_t i = 0; i < f->state->group_count; i++) {
        const char *group = f->state->groups[i].name;
        enum severing is = group_severing(f->state, f->seen, i, now, &why);

        (void)snprintf(check, sizeof check, "severing-%s", group);
        if (is == SEVERING_OPEN)
            find(out, check, "ok",
                 "a member of the sync set can refuse the log of a lost "
                 "region (sync_severed)");
        if (is == SEVERING_CLOSED)
            text_set(text, sizeof text,
                     "sync_severed would not work now: %s; until it does, a lost region "
                     "costs its whole lease",
                     why);
        if (is == SEVERING_UNKNOWN)
            text_set(text, sizeof text,
                     "the sync set has a member that could refuse the log of a lost region "
                     "(sync_severed); whether its agent answers the leader knows: "
                     "`ringfence why %s`",
                     group);
        if (is == SEVERING_CLOSED || is == SEVERING_UNKNOWN)
            find(out, check, is == SEVERING_CLOSED ? "fail" : "ok", text);
    }
}

static void check_certificates(json_t *out, const struct api_facts *f)
{
    struct tls_told told[TLS_TELL_MAX];
    unsigned n = tls_report_tell(&f->tls, f->wall_s, told);

    for (unsigned i = 0; i < n; i++)
        find(out, told[i].check, tls_level_name(told[i].level), told[i].text);
}

static void check_api(json_t *out, const struct api_facts *f)
{
    char text[300];

    if (!f->has_api)
        return;
    text_set(text, sizeof text,
             "people with a certificate are answered on port %u (%" PRIu64
             " requests so far, %" PRIu64 " refused)%s",
             f->api_port,
             f->guests.known + f->guests.unknown + f->guests.wrong + f->guests.limited,
             f->guests.unknown + f->guests.wrong + f->guests.limited,
             f->tls.has_crl ? ""
                            : "; without `tls.crl` a certificate that was issued once "
                              "cannot be taken back");
    find(out, "api", f->tls.has_crl ? "ok" : "warn", text);
}

/* Old ones go on counting, and a provider's new ones do not: somebody has to hear of it. */
static void check_keys(json_t *out, const struct api_facts *f)
{
    const struct api_keys *k = &f->jwt_keys;
    char text[2 * API_ERROR_SIZE];

    if (!k->fetched)
        return;
    if (!k->known)
        text_set(text, sizeof text,
                 "the provider's keys are not there, and no JWT is good: %s",
                 k->problem[0] != '\0' ? k->problem
                                       : "they are being fetched: ask again in a moment");
    else if (k->problem[0] != '\0')
        text_set(text, sizeof text,
                 "the provider's keys (%u) are of %" PRIu64
                 " s ago and stay in force; since then: %s",
                 k->count, k->age_ms / 1000, k->problem);
    else
        text_set(text, sizeof text,
                 "the provider's keys (%u) were fetched %" PRIu64 " s ago", k->count,
                 k->age_ms / 1000);
    find(out, "oidc-keys",
         !k->known               ? "fail"
         : k->problem[0] != '\0' ? "warn"
                                 : "ok",
         text);
}

static bool informs_somebody(const struct state *s)
{
    for (unsigned i = 0; i < s->group_count; i++)
        for (unsigned k = 0; k < s->groups[i].policy.window_count; k++)
            if (s->groups[i].policy.windows[k].inform != 0)
                return true;
    return false;
}

static void check_notices(json_t *out, const struct api_facts *f)
{
    char check[NAME_SIZE + 8], text[2 * API_ERROR_SIZE];

    if (f->notice_count == 0 && informs_somebody(f->state))
        find(out, "notify", "warn",
             "a group's file says who is informed, and this controller has nobody in "
             "`notify` of its file: where it leads, nobody is");
    for (unsigned i = 0; i < f->notice_count; i++) {
        const struct api_notice *n = &f->notices[i];

        (void)snprintf(check, sizeof check, "notify-%s", n->name);
        if (n->problem[0] != '\0')
            text_set(text, sizeof text, "%s: it is tried again, for an hour", n->problem);
        else
            text_set(text, sizeof text,
                     "was told %" PRIu64 " times by this controller; %" PRIu64
                     " were given up",
                     n->sent, n->lost);
        find(out, check,
             n->problem[0] != '\0' ? "fail"
             : n->lost > 0         ? "warn"
                                   : "ok",
             text);
    }
}

json_t *doctor_document(const struct api_facts *f, const char *host, struct mono now)
{
    json_t *findings = json_array(), *between;

    check_quorum(findings, f);
    check_links(findings, f);
    between = links(f, findings);
    for (unsigned i = 0; i < f->state->group_count; i++)
        check_ttl(findings, f, &f->state->groups[i]);
    check_fencers(findings, f);
    check_severing(findings, f, now);
    check_certificates(findings, f);
    check_api(findings, f);
    check_keys(findings, f);
    check_notices(findings, f);
    check_disk(findings, f);
    check_clock(findings, f);
    check_loop(findings, f);
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "program", "ringfenced", "name", f->name,
                     "host", host, "findings", findings, "links", between);
}
