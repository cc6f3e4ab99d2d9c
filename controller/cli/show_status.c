/* The status document: what is wrong first, then regions, agents and groups. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "controller/cli/show.h"
#include "controller/cli/table.h"
#include "controller/cli/wrap.h"

enum { HANG = 5 }; /* under the first word behind "!!" */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL && text[0] != '\0' ? text : "-";
}

static bool is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

static void show_head(const json_t *s, FILE *out)
{
    char term[SHOW_TEXT_SIZE], applied[SHOW_TEXT_SIZE], stale[4 * SHOW_TEXT_SIZE];
    const char *leader = text_of(s, "leader");
    char since[2 * SHOW_TEXT_SIZE] = "", age[SHOW_TEXT_SIZE];

    if (json_is_integer(json_object_get(s, "age_ms")))
        snprintf(since, sizeof since, " (entry %s, %s ago)",
                 show_member(s, "applied", applied),
                 show_duration(json_object_get(s, "age_ms"), age));
    fprintf(out, "cluster %s  leader %s (term %s)  asked %s  applied %s  %s\n",
            text_of(s, "cluster"), leader, show_member(s, "term", term),
            text_of(s, "controller"), show_member(s, "applied", applied),
            text_of(s, "time"));
    if (!is_true(s, "stale"))
        return;
    if (strcmp(leader, "-") == 0)
        snprintf(stale, sizeof stale,
                 "controller %.60s knows no leader; this is what it last knew, nothing is "
                 "decided now%s",
                 text_of(s, "controller"), since);
    else if (strcmp(leader, text_of(s, "controller")) == 0)
        snprintf(stale, sizeof stale,
                 "controller %.60s believes that it leads, and no majority of the "
                 "controllers has confirmed it; this is what it last knew%s",
                 leader, since);
    else
        snprintf(stale, sizeof stale,
                 "controller %.60s leads, and does not answer; this is what controller "
                 "%.60s last knew%s",
                 leader, text_of(s, "controller"), since);
    wrap_print(out, "!! STALE: ", HANG, stale);
}

/* One that was here and is not let in would not be by being started once more. */
static void show_controller_trouble(const json_t *c, FILE *out)
{
    const char *refused = text_of(c, "refused");
    char first[2 * SHOW_TEXT_SIZE];

    if (strcmp(refused, "-") != 0) {
        snprintf(first, sizeof first,
                 "!! controller %.60s is NOT LET IN: ", text_of(c, "name"));
        wrap_print(out, first, HANG, refused);
    } else if (!is_true(c, "up")) {
        snprintf(first, sizeof first, "!! controller %.60s is DOWN: ", text_of(c, "name"));
        wrap_print(out, first, HANG,
                   "start ringfenced there, or mend the way to it (`ringfence doctor` says "
                   "who reaches whom)");
    }
}

static void show_controllers(const json_t *s, FILE *out)
{
    static const char *const titles[] = {"CONTROLLER", "REGION",  "ROLE", "LINK",
                                         "LOG",        "VERSION", NULL};
    AUTO(table_free) struct table *t = table_new(titles);
    const json_t *c;
    size_t i;

    if (t == NULL)
        return;
    json_array_foreach(json_object_get(s, "controllers"), i, c)
    {
        const char *cells[] = {text_of(c, "name"),
                               text_of(c, "region"),
                               text_of(c, "role"),
                               is_true(c, "up") ? "up" : "DOWN",
                               is_true(c, "caught_up") ? "current" : "BEHIND",
                               text_of(c, "version")};

        table_add(t, cells);
    }
    if (i > 0)
        fputc('\n', out);
    table_print(t, "", out);
    json_array_foreach(json_object_get(s, "controllers"), i, c)
    {
        show_controller_trouble(c, out);
    }
}

/* Of one that a controller without a leader has no link to, nothing is known. */
static const char *link_of(const json_t *agent)
{
    if (json_is_null(json_object_get(agent, "connected")))
        return "not known";
    return is_true(agent, "connected") ? "up" : "DOWN";
}

/* Nothing is wrong yet: its leases are enforced, by one line instead of two. */
static void show_guard(const json_t *agent, FILE *out)
{
    char first[2 * SHOW_TEXT_SIZE];

    if (strcmp(text_of(agent, "guard"), "down") != 0)
        return;
    snprintf(first, sizeof first,
             "!! the guard of agent %.60s is DOWN: ", text_of(agent, "name"));
    wrap_print(out, first, HANG,
               "the gate alone enforces its leases; `ringfence doctor` on its host says "
               "why");
}

static void show_agents(const json_t *s, FILE *out)
{
    static const char *const titles[] = {"AGENT", "REGION", "ADDRESS", "LINK", "VIA",
                                         "HEARD", "LIVES",  "VERSION", NULL};
    AUTO(table_free) struct table *t = table_new(titles);
    const json_t *a;
    size_t i;

    if (t == NULL)
        return;
    json_array_foreach(json_object_get(s, "agents"), i, a)
    {
        char heard[SHOW_TEXT_SIZE], lives[SHOW_TEXT_SIZE];
        const char *cells[] = {text_of(a, "name"),
                               text_of(a, "region"),
                               text_of(a, "address"),
                               link_of(a),
                               text_of(a, "via"),
                               show_duration(json_object_get(a, "heard_ms"), heard),
                               show_member(a, "lives", lives),
                               text_of(a, "version")};

        table_add(t, cells);
    }
    if (i > 0)
        fputc('\n', out);
    table_print(t, "", out);
    json_array_foreach(json_object_get(s, "agents"), i, a)
    {
        char first[3 * SHOW_TEXT_SIZE];

        show_guard(a, out);
        if (strcmp(link_of(a), "DOWN") != 0)
            continue;
        snprintf(first, sizeof first,
                 "!! agent %.60s (%.60s) is DOWN: ", text_of(a, "name"),
                 text_of(a, "address"));
        wrap_print(out, first, HANG,
                   "start ringfence-agent there, or mend its way to the controllers");
    }
}

static bool any_true(json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        if (json_is_true(value))
            return true;
    }
    return false;
}

/* A standby's gate lets in nobody but the hosts of its peers: so silence is as it should
 * be. One that is closed lets in nobody at all: an answer there is worth a look. */
static bool silence_is_right(const json_t *instance)
{
    const char *gate = text_of(instance, "gate");

    return strcmp(text_of(instance, "role"), "standby") == 0 &&
           (strcmp(gate, "replication") == 0 ||
            (strcmp(gate, "closed") == 0 &&
             !any_true(json_object_get(instance, "probes"))));
}

/* "all", "none", "all but witness"; of a standby whose gate lets nobody in "none, as it
 * should be". */
static const char *probes_of(const json_t *instance, char room[SHOW_TEXT_SIZE])
{
    json_t *probes = json_object_get(instance, "probes"), *seen;
    bool right = silence_is_right(instance), any = any_true(probes);
    const char *from;
    size_t used = 0, silent = 0;

    json_object_foreach(probes, from, seen)
    {
        bool yes = json_is_true(seen);
        int n = 0;

        silent += !yes;
        /* Who answers is the news where nobody has to, else who does not. */
        if (yes == right && used < SHOW_TEXT_SIZE)
            n = snprintf(room + used, SHOW_TEXT_SIZE - used, "%s%s",
                         used > 0 ? ", "
                         : right  ? ""
                                  : "all but ",
                         from);
        used += n > 0 ? (size_t)n : 0;
    }
    if (json_object_size(probes) == 0)
        return "-";
    if (silent == 0)
        return "all";
    if (any)
        return room;
    return right ? "none, rightly" : "NONE";
}

/* A failed step of a standby that streams again is history: it is as it should be. */
static bool is_over(const json_t *instance)
{
    return strcmp(text_of(json_object_get(instance, "step"), "state"), "failed") == 0 &&
           strcmp(text_of(instance, "role"), "standby") == 0 &&
           strcmp(text_of(instance, "server"), "standby") == 0 &&
           is_true(instance, "streaming");
}

/* One that is under way, or has failed; one that is done is history. */
static const char *step_of(const json_t *instance, char room[SHOW_TEXT_SIZE])
{
    const json_t *step = json_object_get(instance, "step");
    const char *kind = text_of(step, "kind"), *state = text_of(step, "state");

    if (strcmp(kind, "-") == 0 || strcmp(kind, "none") == 0 || is_over(instance) ||
        strcmp(state, "done") == 0 || strcmp(state, "idle") == 0)
        return "-";
    snprintf(room, SHOW_TEXT_SIZE, "%s%s", kind,
             strcmp(state, "failed") == 0 ? " FAILED" : "");
    return room;
}

static const char *lag_of(const json_t *instance, char room[SHOW_TEXT_SIZE])
{
    char bytes[SHOW_TEXT_SIZE], time[SHOW_TEXT_SIZE];

    if (strcmp(text_of(instance, "server"), "standby") != 0)
        return "-";
    if (!is_true(instance, "streaming"))
        return "NO STREAM";
    snprintf(room, SHOW_TEXT_SIZE, "%.60s/%.60s",
             show_bytes(json_object_get(instance, "lag_bytes"), bytes),
             show_duration(json_object_get(instance, "lag_ms"), time));
    return room;
}

/* "standby", or "standby (down)" where the server is something else than it ought to be. */
static const char *role_of(const json_t *instance, char room[SHOW_TEXT_SIZE])
{
    const char *role = text_of(instance, "role"), *server = text_of(instance, "server");

    if (strcmp(role, server) == 0 || strcmp(server, "-") == 0)
        return role;
    if (strcmp(role, "none") == 0 || strcmp(role, "-") == 0)
        return server;
    snprintf(room, SHOW_TEXT_SIZE, "%.60s (%.60s)", role, server);
    return room;
}

static const char *gate_of(const json_t *instance, char room[SHOW_TEXT_SIZE])
{
    const json_t *margin = json_object_get(instance, "lease_margin_ms");
    char lease[SHOW_TEXT_SIZE];

    if (!json_is_integer(margin))
        return text_of(instance, "gate");
    snprintf(room, SHOW_TEXT_SIZE, "%.60s, %.60s", text_of(instance, "gate"),
             show_duration(margin, lease));
    return room;
}

/* The positions are of interest where it is open who goes on: else the lag says it. */
static void add_instance(struct table *t, const json_t *i, bool with_lsn)
{
    char role[SHOW_TEXT_SIZE], gate[SHOW_TEXT_SIZE], lag[SHOW_TEXT_SIZE],
        step[SHOW_TEXT_SIZE], probes[SHOW_TEXT_SIZE];
    const char *cells[] = {text_of(i, "name"),
                           role_of(i, role),
                           gate_of(i, gate),
                           is_true(i, "member") ? "yes" : "no",
                           lag_of(i, lag),
                           with_lsn ? text_of(i, "lsn") : step_of(i, step),
                           with_lsn ? step_of(i, step) : probes_of(i, probes),
                           probes_of(i, probes)};

    table_add(t, cells);
}

/* " (5 times; again in 12s, now by `ringfence retry orders`)" */
static const char *again_of(const json_t *step, const char *group,
                            char room[SHOW_TEXT_SIZE])
{
    const json_t *retry = json_object_get(step, "retry_ms");
    json_int_t times = json_integer_value(json_object_get(step, "failures"));
    char in[SHOW_TEXT_SIZE], often[40] = "";

    if (times > 1)
        snprintf(often, sizeof often, "%" JSON_INTEGER_FORMAT " times; ", times);
    if (!json_is_integer(retry))
        return "";
    if (json_integer_value(retry) == 0)
        snprintf(room, SHOW_TEXT_SIZE, " (%sagain now)", often);
    else
        snprintf(room, SHOW_TEXT_SIZE,
                 " (%sagain in %.40s, now by `ringfence retry %.40s`)", often,
                 show_duration(retry, in), group);
    return room;
}

static void show_problems(const json_t *instances, const char *group, FILE *out)
{
    char first[2 * SHOW_TEXT_SIZE], again[SHOW_TEXT_SIZE];
    const json_t *i;
    size_t k;

    json_array_foreach(instances, k, i)
    {
        const json_t *step = json_object_get(i, "step");
        const json_t *fencer = json_object_get(i, "fencer");
        const char *problem = text_of(i, "problem"), *text = text_of(step, "text");

        if (strcmp(problem, "-") != 0) {
            snprintf(first, sizeof first, "  !! %s: ", text_of(i, "name"));
            wrap_print(out, first, HANG, problem);
        }
        if (json_is_false(json_object_get(fencer, "ready"))) {
            snprintf(first, sizeof first,
                     "  !! %s: fencer %s cannot be used: ", text_of(i, "name"),
                     text_of(fencer, "name"));
            wrap_print(out, first, HANG, text_of(fencer, "problem"));
        }
        if (strcmp(text_of(step, "state"), "failed") == 0 && !is_over(i)) {
            snprintf(first, sizeof first, "  !! %s: step %s failed%s: ", text_of(i, "name"),
                     text_of(step, "kind"), again_of(step, group, again));
            wrap_print(out, first, HANG, text);
        }
    }
}

/* Under required and strict a member takes over, forecast 0: it holds every acknowledged
 * write (I8). What the old primary had beyond it nobody was told of, and it is kept. A
 * planned move waits for the last byte: of what might have been lost nothing is said unless
 * some was. */
static const char *loss_of(const json_t *g, const json_t *run, char text[SHOW_TEXT_SIZE])
{
    const json_t *forecast = json_object_get(run, "forecast_lost_bytes");
    const json_t *lost = json_object_get(run, "lost_bytes");
    bool binding = strcmp(text_of(g, "sync"), "required") == 0 ||
                   strcmp(text_of(g, "sync"), "strict") == 0;
    char room[SHOW_TEXT_SIZE], other[SHOW_TEXT_SIZE];

    if (binding && json_is_integer(forecast) && json_integer_value(forecast) == 0 &&
        json_integer_value(lost) > 0)
        snprintf(text, SHOW_TEXT_SIZE, "lost 0, left behind %.60s (kept)",
                 show_bytes(lost, room));
    else if (strcmp(text_of(run, "kind"), "switchover") == 0 &&
             json_integer_value(lost) == 0)
        snprintf(text, SHOW_TEXT_SIZE, "lost %.60s", show_bytes(lost, room));
    else
        snprintf(text, SHOW_TEXT_SIZE, "lost %.60s (forecast %.60s)",
                 show_bytes(lost, room), show_bytes(forecast, other));
    return text;
}

static void show_run(const json_t *g, FILE *out)
{
    const json_t *r = json_object_get(g, "run");
    char id[SHOW_TEXT_SIZE], before[SHOW_TEXT_SIZE], after[SHOW_TEXT_SIZE],
        loss[SHOW_TEXT_SIZE], first[2 * SHOW_TEXT_SIZE], line[600];
    const char *kind = text_of(r, "kind"), *result = text_of(r, "result");
    bool running = strcmp(result, "running") == 0;
    bool went_back = strcmp(result, "aborted") == 0 || strcmp(result, "returned") == 0;

    if (strcmp(kind, "-") == 0 || strcmp(kind, "none") == 0)
        return;
    snprintf(first, sizeof first, "  %s run %s: ", running ? ">>" : "last",
             show_member(r, "id", id));
    snprintf(line, sizeof line,
             "%.40s%s%.40s, %.40s -> %.40s, epoch %.40s -> %.40s, rule %.60s, proof %.40s, "
             "%.90s",
             kind, went_back ? " " : "", went_back ? result : "", text_of(r, "from"),
             text_of(r, "to"), show_member(r, "epoch_before", before),
             show_member(r, "epoch_after", after), text_of(r, "rule"), text_of(r, "proof"),
             loss_of(g, r, loss));
    wrap_print(out, first, HANG, line);
    if (strcmp(text_of(r, "reason"), "-") != 0)
        wrap_print(out, "       because: ", 9, text_of(r, "reason"));
}

/* A new TTL counts from the next epoch where it is shorter than the leases of this one. */
static const char *ttl_of(const json_t *g, char room[SHOW_TEXT_SIZE])
{
    const json_t *ttl = json_object_get(g, "ttl_ms");
    const json_t *now = json_object_get(g, "lease_ttl_ms");
    char declared[SHOW_TEXT_SIZE], granted[SHOW_TEXT_SIZE];

    if (!json_is_integer(now) || json_equal(ttl, now))
        return show_exact_duration(ttl, room);
    snprintf(room, SHOW_TEXT_SIZE, "%.60s from the next epoch, %.60s now",
             show_exact_duration(ttl, declared), show_exact_duration(now, granted));
    return room;
}

/* What is under way because somebody asked for it is no alarm. */
static const char *hold_label(const json_t *g)
{
    const char *phase = text_of(g, "phase"), *hold = text_of(g, "hold");
    bool under_way = strcmp(phase, "steady") != 0 && strcmp(phase, "-") != 0;

    if (strncmp(hold, "no leader", 9) == 0 || strncmp(hold, "writes wait", 11) == 0 ||
        strstr(hold, "a failover would find") != NULL)
        return "  !! ";
    return !under_way || strstr(hold, "held") != NULL ||
                   strncmp(hold, "not activated yet", 17) == 0
               ? "  !! HELD: "
               : "  >> ";
}

/* Nothing is wrong yet, and nobody would take over if it were; a hold may have said so. */
static void show_unprotected(const json_t *g, const char *hold, FILE *out)
{
    const char *why = text_of(g, "unprotected");

    if (strcmp(why, "-") != 0 && strstr(hold, "target-ready") == NULL)
        wrap_print(out, "  !! NO FAILOVER POSSIBLE: ", HANG, why);
}

/* A failover would come all the same, after the whole lease. In one that is under way it is
 * no news. */
static void show_severing(const json_t *g, FILE *out)
{
    const json_t *severing = json_object_get(g, "severing");

    if (json_is_false(json_object_get(severing, "ready")) &&
        strcmp(text_of(g, "phase"), "steady") == 0)
        wrap_print(out, "  !! sync_severed would not work now: ", HANG,
                   text_of(severing, "problem"));
}

/* All is well again, and yet a second disaster would be met by nobody until then. A hold
 * has said so already, where there is one. */
static void show_cooldown(const json_t *g, const char *hold, FILE *out)
{
    const json_t *left = json_object_get(g, "cooldown_ms");
    char room[SHOW_TEXT_SIZE], first[SHOW_TEXT_SIZE], text[3 * SHOW_TEXT_SIZE];

    if (!json_is_integer(left) || json_integer_value(left) == 0 ||
        strcmp(text_of(g, "phase"), "steady") != 0 || strstr(hold, "cooldown") != NULL)
        return;
    snprintf(first, sizeof first,
             "  >> cooling down for %.40s: ", show_duration(left, room));
    snprintf(text, sizeof text,
             "until then nothing is failed over by itself again; if %.60s fails, "
             "`ringfence failover %.40s`",
             text_of(g, "active_region"), text_of(g, "name"));
    wrap_print(out, first, HANG, text);
}

static void show_instances(const json_t *instances, bool with_lsn, FILE *out)
{
    static const char *const titles[] = {"INSTANCE", "ROLE", "GATE",   "SET",
                                         "LAG",      "STEP", "PROBED", NULL};
    static const char *const with[] = {"INSTANCE", "ROLE", "GATE",   "SET", "LAG",
                                       "LSN",      "STEP", "PROBED", NULL};
    AUTO(table_free) struct table *t = table_new(with_lsn ? with : titles);
    const json_t *i;
    size_t k;

    if (t == NULL)
        return;
    json_array_foreach(instances, k, i) add_instance(t, i, with_lsn);
    table_print(t, "  ", out);
}

/* What people want, and who still has to agree; everybody is told of a broken glass. */
static void show_proposals(const json_t *g, FILE *out)
{
    char room[2][SHOW_TEXT_SIZE], line[4 * SHOW_TEXT_SIZE];
    const json_t *p;
    size_t i;

    json_array_foreach(json_object_get(g, "proposals"), i, p)
    {
        bool broken = json_is_true(json_object_get(p, "break_glass"));

        (void)snprintf(line, sizeof line,
                       "%s%s by %s is %s (missing: %s): `ringfence proposals`",
                       broken ? "BREAK GLASS: " : "", text_of(p, "kind"), text_of(p, "by"),
                       text_of(p, "state"), show_member(p, "missing", room[0]));
        fprintf(out, "  %sproposal %s: ", broken ? "!! " : "",
                show_member(p, "id", room[1]));
        wrap_print(out, "", HANG, line);
    }
}

static void show_group(const json_t *g, FILE *out)
{
    const json_t *instances = json_object_get(g, "instances");
    char epoch[SHOW_TEXT_SIZE], set[SHOW_TEXT_SIZE], ttl[SHOW_TEXT_SIZE],
        fails[SHOW_TEXT_SIZE], switches[SHOW_TEXT_SIZE];
    const char *hold = text_of(g, "hold");

    fprintf(out, "\nGROUP %s   %s%s%s   epoch %s   active %s (%s)\n", text_of(g, "name"),
            text_of(g, "phase"), is_true(g, "suspect") ? ", SUSPECTED" : "",
            is_true(g, "paused") ? ", PAUSED" : "", show_member(g, "epoch", epoch),
            text_of(g, "active_region"), text_of(g, "active"));
    fprintf(out, "  sync %s, set {%s}   ttl %s   failovers %s, switchovers %s\n",
            text_of(g, "sync"), show_member(g, "sync_set", set), ttl_of(g, ttl),
            show_member(g, "failovers", fails), show_member(g, "switchovers", switches));
    show_proposals(g, out);
    if (strcmp(text_of(g, "alarm"), "-") != 0)
        wrap_print(out, "  !! ALARM: ", HANG, text_of(g, "alarm"));
    if (strcmp(hold, "-") != 0)
        wrap_print(out, hold_label(g), HANG, hold);
    show_unprotected(g, hold, out);
    show_severing(g, out);
    show_cooldown(g, hold, out);
    show_run(g, out);
    show_problems(instances, text_of(g, "name"), out);
    show_instances(instances,
                   strcmp(text_of(g, "phase"), "steady") != 0 || is_true(g, "suspect"),
                   out);
}

/* Of the controller that was asked, and what it saw of others. */
static void show_certificates(const json_t *status, FILE *out)
{
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(status, "certificates"), i, c)
    {
        const bool failed = strcmp(text_of(c, "level"), "fail") == 0;
        char first[2 * SHOW_TEXT_SIZE];

        snprintf(first, sizeof first,
                 "!! %s of %.60s: ", failed ? "CERTIFICATES" : "certificates",
                 text_of(status, "controller"));
        wrap_print(out, first, HANG, text_of(c, "text"));
    }
}

/* Of the controller that was asked: its host is to be looked at. */
static void show_warnings(const json_t *status, FILE *out)
{
    const json_t *w;
    size_t i;

    json_array_foreach(json_object_get(status, "warnings"), i, w)
    {
        char first[2 * SHOW_TEXT_SIZE];

        snprintf(first, sizeof first, "!! %s of %.60s: ", text_of(w, "check"),
                 text_of(status, "controller"));
        wrap_print(out, first, HANG, text_of(w, "text"));
    }
}

void show_status(const json_t *status, FILE *out)
{
    const json_t *groups = json_object_get(status, "groups"), *g;
    size_t i;

    show_head(status, out);
    show_controllers(status, out);
    show_agents(status, out);
    show_certificates(status, out);
    show_warnings(status, out);
    json_array_foreach(groups, i, g) show_group(g, out);
    if (json_array_size(groups) == 0)
        fputs(is_true(status, "stale")
                  ? "\nno group is known to this controller: ask one that knows a leader\n"
                  : "\nno group is declared yet: `ringfence apply -f FILE`\n",
              out);
}
