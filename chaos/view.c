/* chaos/view.c */
#include "chaos/view.h"

#include <stdarg.h>
#include <string.h>

#include "chaos/api.h"
#include "chaos/base.h"
#include "chaos/result.h"
#include "chaos/view_record.h"

static void copy_text(char *to, size_t size, const json_t *object, const char *key)
{
    snprintf(to, size, "%s", doc_text(object, key));
}

static void read_run(struct view_run *r, const json_t *run)
{
    r->id = doc_number(run, "id", 0);
    copy_text(r->kind, sizeof r->kind, run, "kind");
    copy_text(r->result, sizeof r->result, run, "result");
    copy_text(r->proof, sizeof r->proof, run, "proof");
    copy_text(r->rule, sizeof r->rule, run, "rule");
    r->fence_ms = doc_number(run, "fence_ms", 0);
    r->proof_ms = doc_number(run, "proof_ms", 0);
    r->open_ms = doc_number(run, "open_ms", 0);
    r->forecast_bytes = doc_number(run, "forecast_lost_bytes", -1);
    r->lost_bytes = doc_number(run, "lost_bytes", -1);
}

static void read_agent(struct view_instance *i, const json_t *agent)
{
    int64_t heard_ms = doc_number(agent, "heard_ms", -1);

    i->lives = doc_number(agent, "lives", 0);
    i->heard_ns = heard_ms < 0 ? 0 : now_ns() - heard_ms * NS_PER_MS;
}

static void read_instance(struct view_instance *i, const json_t *instance)
{
    const json_t *step = json_object_get(instance, "step");

    if (strcmp(doc_text(step, "state"), "started") == 0)
        copy_text(i->step, sizeof i->step, step, "kind");
    copy_text(i->server, sizeof i->server, instance, "server");
    copy_text(i->gate, sizeof i->gate, instance, "gate");
    copy_text(i->problem, sizeof i->problem, instance, "problem");
    i->member = doc_true(instance, "member");
    i->streaming = doc_true(instance, "streaming");
}

static unsigned count_true(const json_t *array, const char *key, const char *other)
{
    unsigned n = 0;
    size_t i;
    json_t *element;

    json_array_foreach(array, i, element) n +=
        doc_true(element, key) && (other == NULL || doc_true(element, other));
    return n;
}

static enum site site_named(const char *name)
{
    for (enum site s = EAST; s < SITE_REGIONS; s++)
        if (strcmp(name, site_name(s)) == 0)
            return s;
    return SITE_COUNT;
}

static void read_group(struct view_doc *d, const json_t *group)
{
    const json_t *instances = json_object_get(group, "instances");

    d->epoch = doc_number(group, "epoch", 0);
    d->failovers = doc_number(group, "failovers", 0);
    d->switchovers = doc_number(group, "switchovers", 0);
    d->active = cluster_site_of_agent(doc_text(group, "active"));
    d->suspect = doc_true(group, "suspect");
    copy_text(d->phase, sizeof d->phase, group, "phase");
    copy_text(d->hold, sizeof d->hold, group, "hold");
    copy_text(d->alarm, sizeof d->alarm, group, "alarm");
    read_run(&d->run, json_object_get(group, "run"));
    for (enum site s = EAST; s <= WEST; s++)
        read_instance(&d->of[s], doc_find(instances, "name", cluster_agent_name(s)));
}

static struct view_doc read_doc(const json_t *doc)
{
    const json_t *agents = json_object_get(doc, "agents");
    struct view_doc d = {.at_ns = now_ns(),
                         .term = doc_number(doc, "term", 0),
                         .applied = doc_number(doc, "applied", 0),
                         .leader = site_named(doc_text(doc, "leader")),
                         .active = SITE_COUNT};

    d.controllers_up = count_true(json_object_get(doc, "controllers"), "up", "caught_up");
    d.agents_connected = count_true(agents, "connected", NULL);
    read_group(&d, doc_find(json_object_get(doc, "groups"), "name", GROUP_NAME));
    for (enum site s = EAST; s <= WEST; s++)
        read_agent(&d.of[s], doc_find(agents, "name", cluster_agent_name(s)));
    return d;
}

static void print_line(const struct view *v, int64_t now, const char *text)
{
    if (v->origin_ns != 0)
        fprintf(v->live, "  %8.3f s  ", ms_between(v->origin_ns, now) / 1000);
    else
        fputs("              ", v->live);
    fprintf(v->live, "%s\n", text);
    fflush(v->live);
}

static void tell(struct view *v, const char *fmt, va_list args)
{
    char text[2 * VIEW_TEXT + 64];
    int64_t now = now_ns();

    vsnprintf(text, sizeof text, fmt, args);
    print_line(v, now, text);
    timeline_note(v->timeline, LANE_TOLD, now, "%s", text);
}

/* Under the lock. */
PRINTF_LIKE(2, 3)
static void say(struct view *v, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    tell(v, fmt, args);
    va_end(args);
}

void view_tell(struct view *v, const char *fmt, ...)
{
    va_list args;

    pthread_mutex_lock(&v->lock);
    va_start(args, fmt);
    tell(v, fmt, args);
    va_end(args);
    pthread_mutex_unlock(&v->lock);
}

void view_step(struct view *v, const char *line)
{
    AUTO(auto_free) char *text = text_new("- %s", line);
    int64_t now = now_ns();

    pthread_mutex_lock(&v->lock);
    print_line(v, now, text);
    timeline_note(v->timeline, LANE_PLAY, now, "%s", line);
    pthread_mutex_unlock(&v->lock);
}

static const char *active_name(enum site s)
{
    return s < SITE_COUNT ? site_name(s) : "nobody";
}

static void tell_loss(struct view *v, const struct view_run *run)
{
    const struct loss l = {.synchronous = sync_is_binding(v->cluster->sync),
                           .planned = strcmp(run->kind, "switchover") == 0,
                           .bytes = run->lost_bytes,
                           .forecast = run->forecast_bytes};
    char text[LOSS_TEXT_SIZE];

    loss_say(text, &l);
    say(v, "%s", text);
}

static void tell_run(struct view *v, const struct view_run *old, const struct view_run *now)
{
    bool same = old->id == now->id;

    if (!same && now->id != 0)
        say(v, "%s begun (%s)", now->kind, now->rule);
    if (now->fence_ms != 0 && (!same || old->fence_ms == 0))
        say(v, "fencing: the old epoch is over for good");
    if (now->proof_ms != 0 && (!same || old->proof_ms == 0))
        say(v, "fenced, proof: %s", now->proof);
    if (now->open_ms != 0 && (!same || old->open_ms == 0))
        say(v, "promoted and opened");
    if (now->lost_bytes >= 0 && (!same || old->lost_bytes < 0))
        tell_loss(v, now);
}

/* Why nothing happens is of interest only where something should. */
static bool is_worth_telling(const struct view_doc *d)
{
    return strcmp(d->phase, "fencing") == 0 || strncmp(d->hold, "writes wait", 11) == 0 ||
           (d->suspect && strstr(d->hold, "held by") != NULL);
}

static void tell_changes(struct view *v, const struct view_doc *old,
                         const struct view_doc *now)
{
    if (now->leader != old->leader && now->leader < SITE_COUNT)
        say(v, "leader: %s", site_name(now->leader));
    if (now->suspect && !old->suspect)
        say(v, "suspected: %s", active_name(now->active));
    if (!now->suspect && old->suspect && strcmp(now->phase, "steady") == 0)
        say(v, "no longer suspected");
    tell_run(v, &old->run, &now->run);
    if (now->epoch != old->epoch)
        say(v, "epoch %jd: %s", (intmax_t)now->epoch, active_name(now->active));
    if (is_worth_telling(now) && strcmp(now->hold, old->hold) != 0)
        say(v, "holds: %s", now->hold);
    for (enum site s = EAST; s <= WEST; s++) {
        if (now->of[s].member != old->of[s].member)
            say(v, "%s %s the sync set", site_name(s),
                now->of[s].member ? "joined" : "left");
        if (strcmp(now->of[s].problem, old->of[s].problem) != 0 &&
            now->of[s].problem[0] != 0)
            say(v, "%s: %s", site_name(s), now->of[s].problem);
    }
}

static void on_line(void *owner, json_t *line)
{
    struct view_follower *f = owner;
    struct view *v = f->view;
    struct view_doc d;

    if (strcmp(doc_text(line, "controller"), doc_text(line, "leader")) != 0)
        return;
    d = read_doc(line);
    pthread_mutex_lock(&v->lock);
    if (d.term > v->doc.term || (d.term == v->doc.term && d.applied >= v->doc.applied)) {
        bool fencing = d.run.fence_ms != 0 && d.run.id != v->doc.run.id;

        tell_changes(v, &v->doc, &d);
        view_note(v->timeline, &d);
        v->doc = d;
        if (v->suspected_ns == 0 && v->origin_ns != 0 && (d.suspect || fencing))
            v->suspected_ns = d.at_ns;
    }
    pthread_mutex_unlock(&v->lock);
}

static void *run_follower(void *owner)
{
    enum { AGAIN_MS = 50 };
    struct view_follower *f = owner;
    AUTO(auto_free) char *socket = cluster_socket(f->view->cluster, f->site);

    while (!atomic_load(&f->view->stop)) {
        api_follow(socket, "/api/v1/status?follow=1", &f->view->stop, on_line, f);
        wait_ms(AGAIN_MS);
    }
    return NULL;
}

void view_start(struct view *v, const struct cluster *c, FILE *live)
{
    *v = (struct view){.cluster = c, .live = live};
    v->doc.active = v->doc.leader = SITE_COUNT;
    pthread_mutex_init(&v->lock, NULL);
    for (enum site s = EAST; s < SITE_REGIONS; s++) {
        v->seats[s] = (struct view_follower){.view = v, .site = s};
        if (pthread_create(&v->followers[s], NULL, run_follower, &v->seats[s]) != 0)
            die("cannot start a thread");
    }
}

void view_stop(struct view *v)
{
    atomic_store(&v->stop, true);
    for (enum site s = EAST; s < SITE_REGIONS; s++)
        pthread_join(v->followers[s], NULL);
    pthread_mutex_destroy(&v->lock);
}

struct view_doc view_get(struct view *v)
{
    struct view_doc d;

    pthread_mutex_lock(&v->lock);
    d = v->doc;
    pthread_mutex_unlock(&v->lock);
    return d;
}

void view_origin(struct view *v, int64_t at_ns)
{
    pthread_mutex_lock(&v->lock);
    v->origin_ns = at_ns;
    v->suspected_ns = 0;
    pthread_mutex_unlock(&v->lock);
}

void view_record(struct view *v, struct timeline *t)
{
    pthread_mutex_lock(&v->lock);
    v->timeline = t;
    if (v->doc.at_ns != 0) {
        struct view_doc d = v->doc;

        d.at_ns = now_ns(); /* it holds until the next one */
        view_note(t, &d);
    }
    pthread_mutex_unlock(&v->lock);
}

int64_t view_suspected_ns(struct view *v)
{
    int64_t at;

    pthread_mutex_lock(&v->lock);
    at = v->suspected_ns;
    pthread_mutex_unlock(&v->lock);
    return at;
}

bool view_is_steady(const struct view_doc *d, enum sync_mode sync)
{
    enum site standby = d->active == EAST ? WEST : EAST;
    enum { FRESH_MS = 3000 };

    if (d->active > WEST || strcmp(d->phase, "steady") != 0 || d->suspect ||
        strcmp(d->run.result, "running") == 0)
        return false;
    if (d->controllers_up != SITE_REGIONS || d->agents_connected != 2 ||
        ms_between(d->at_ns, now_ns()) > FRESH_MS)
        return false;
    return sync == SYNC_OFF ? d->of[standby].streaming
                            : d->of[EAST].member && d->of[WEST].member;
}
