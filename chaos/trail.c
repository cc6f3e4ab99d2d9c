/* chaos/trail.c */
#include "chaos/trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/api.h"
#include "chaos/base.h"

/* Under the lock. Controllers tell the same entries, one of them behind the other. */
static void take(struct trail *t, const struct trail_entry *e)
{
    size_t at = t->count;

    while (at > 0 && t->of[at - 1].index > e->index)
        at--;
    for (size_t i = at; i > 0 && t->of[i - 1].index == e->index; i--)
        if (strcmp(t->of[i - 1].rule, e->rule) == 0)
            return;
    t->of = must_grow(t->of, &t->cap, t->count + 1, sizeof *t->of);
    memmove(t->of + at + 1, t->of + at, (t->count - at) * sizeof *t->of);
    t->of[at] = *e;
    t->count++;
}

/* As `ringfence rules` names it: what operators ask for is a rule for each of it. */
static void name_rule(char rule[TRAIL_RULE], const json_t *line)
{
    const char *name = doc_text(line, "rule"), *kind = doc_text(line, "kind");

    if (strcmp(name, "operator") != 0)
        snprintf(rule, TRAIL_RULE, "%s", name);
    else
        snprintf(rule, TRAIL_RULE, "operator-%s",
                 strcmp(kind, "run-abort") == 0 ? "abort" : kind);
}

static void on_line(void *owner, json_t *line)
{
    struct trail_follower *f = owner;
    struct trail_entry e = {.index = doc_number(line, "index", 0)};

    if (strcmp(doc_text(line, "result"), "accepted") != 0)
        return;
    name_rule(e.rule, line);
    pthread_mutex_lock(&f->trail->lock);
    take(f->trail, &e);
    pthread_mutex_unlock(&f->trail->lock);
}

/* A page of what was before: whoever comes back has not missed what happened meanwhile. */
static void *run_follower(void *owner)
{
    enum { AGAIN_MS = 50 };
    struct trail_follower *f = owner;
    AUTO(auto_free) char *socket = cluster_socket(f->trail->cluster, f->site);

    while (!atomic_load(&f->trail->stop)) {
        api_follow(socket, "/v1/log?group=" GROUP_NAME "&limit=50&follow=1",
                   &f->trail->stop, on_line, f);
        wait_ms(AGAIN_MS);
    }
    return NULL;
}

void trail_start(struct trail *t, const struct cluster *c)
{
    *t = (struct trail){.cluster = c};
    pthread_mutex_init(&t->lock, NULL);
    for (enum site s = EAST; s < SITE_REGIONS; s++) {
        t->seats[s] = (struct trail_follower){.trail = t, .site = s};
        if (pthread_create(&t->followers[s], NULL, run_follower, &t->seats[s]) != 0)
            die("cannot start a thread");
    }
}

void trail_stop(struct trail *t)
{
    atomic_store(&t->stop, true);
    for (enum site s = EAST; s < SITE_REGIONS; s++)
        pthread_join(t->followers[s], NULL);
    pthread_mutex_destroy(&t->lock);
    free(t->of);
}

int64_t trail_newest(struct trail *t)
{
    int64_t index;

    pthread_mutex_lock(&t->lock);
    index = t->count > 0 ? t->of[t->count - 1].index : 0;
    pthread_mutex_unlock(&t->lock);
    return index;
}

int64_t trail_next(struct trail *t, const char *rule, int64_t after)
{
    int64_t index = 0;

    pthread_mutex_lock(&t->lock);
    for (size_t i = t->count; i > 0 && t->of[i - 1].index > after; i--)
        if (strcmp(t->of[i - 1].rule, rule) == 0)
            index = t->of[i - 1].index;
    pthread_mutex_unlock(&t->lock);
    return index;
}
