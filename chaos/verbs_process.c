/* chaos/verbs_process.c -- processes and whole regions: killed, frozen, ended, started. */
#include <signal.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/verbs.h"

enum { END_MS = 60000, LOOK_MS = 2 };

/* The daemon that is meant; NULL: a region or a server is. */
static struct process *daemon_of(struct play *p, enum part part, enum site s)
{
    return part == PART_CONTROLLER ? &p->cluster->controllers[s]
           : part == PART_AGENT    ? &p->cluster->agents[s]
                                   : NULL;
}

/* SITE_COUNT: blamed. */
static enum site site_of(struct play *p, const struct step *s)
{
    const struct step_arg *who = &s->arg[0];

    return who->part == PART_REGION || who->part == PART_CONTROLLER
               ? verbs_site(p, who)
               : verbs_data_site(p, who);
}

/* Its kernel goes on: what arrives is acknowledged, and nobody reads it. */
static void freeze_region(struct play *p, enum site s, bool frozen)
{
    AUTO(auto_free)
    char *path = text_new("%s/%s/cgroup.freeze", p->cluster->ground.cgroup, site_name(s));

    file_write(path, 0644, frozen ? "1" : "0");
}

/* The postmaster and all its children, as by the kernel for want of memory. */
static pid_t signal_server(struct play *p, enum site s, int sig)
{
    pid_t postmaster = cluster_postmaster(p->cluster, s);

    if (postmaster > 0)
        signal_tree(postmaster, sig);
    return postmaster;
}

static void signal_guard(struct play *p, enum site s, int sig)
{
    pid_t guard = cluster_guard(p->cluster, s);

    if (guard > 0)
        kill(guard, sig);
}

void verb_kill(struct play *p, const struct step *s)
{
    enum site at = site_of(p, s);
    struct process *d;

    if (at == SITE_COUNT)
        return;
    d = daemon_of(p, s->arg[0].part, at);
    if (d != NULL)
        process_signal(d, SIGKILL);
    else if (s->arg[0].part == PART_SERVER)
        (void)signal_server(p, at, SIGKILL);
    else if (s->arg[0].part == PART_GUARD)
        signal_guard(p, at, SIGKILL);
    else
        cluster_kill_region(p->cluster, at);
}

void verb_freeze(struct play *p, const struct step *s)
{
    enum site at = site_of(p, s);
    struct process *d;

    if (at == SITE_COUNT)
        return;
    d = daemon_of(p, s->arg[0].part, at);
    if (d != NULL)
        process_signal(d, SIGSTOP);
    else if (s->arg[0].part == PART_SERVER)
        p->frozen[at] = signal_server(p, at, SIGSTOP);
    else if (s->arg[0].part == PART_GUARD)
        signal_guard(p, at, SIGSTOP);
    else
        freeze_region(p, at, true);
}

/* If nobody has ended it meanwhile it wakes up believing what it believed. */
static void wake_server(struct play *p, enum site s)
{
    AUTO(auto_free) char *path = text_new("/proc/%d/comm", (int)p->frozen[s]);
    AUTO(auto_free) char *name = file_read(path);

    if (p->frozen[s] > 0 && name != NULL && strcmp(name, "postgres\n") == 0)
        signal_tree(p->frozen[s], SIGCONT);
    p->frozen[s] = 0;
}

void verb_thaw(struct play *p, const struct step *s)
{
    enum site at = site_of(p, s);
    struct process *d;

    if (at == SITE_COUNT)
        return;
    d = daemon_of(p, s->arg[0].part, at);
    if (d != NULL)
        process_signal(d, SIGCONT);
    else if (s->arg[0].part == PART_SERVER)
        wake_server(p, at);
    else if (s->arg[0].part == PART_GUARD)
        signal_guard(p, at, SIGCONT);
    else
        freeze_region(p, at, false);
}

void verb_start(struct play *p, const struct step *s)
{
    enum site at = site_of(p, s);

    if (at == SITE_COUNT)
        return;
    switch (s->arg[0].part) {
    case PART_CONTROLLER:
        cluster_start_controller(p->cluster, at);
        break;
    case PART_AGENT:
        cluster_start_agent(p->cluster, at);
        break;
    case PART_REGION:
        cluster_start_region(p->cluster, at);
        break;
    case PART_SERVER:
        result_blame(&p->result, "a server is started by its agent alone (I9)");
        break;
    case PART_GUARD:
        result_blame(&p->result, "a guard is started by its agent alone");
        break;
    }
}

/* How much of it runs: nothing, some, or all of it. */
enum life { LIFE_NONE, LIFE_SOME, LIFE_ALL };

static enum life life_of(struct play *p, enum part part, enum site s)
{
    struct process *d = daemon_of(p, part, s);
    bool controller = process_running(&p->cluster->controllers[s]),
         agent = s == WITNESS ? controller : process_running(&p->cluster->agents[s]);

    if (d != NULL)
        return process_running(d) ? LIFE_ALL : LIFE_NONE;
    if (part == PART_SERVER)
        return cluster_server_runs(p->cluster, s) ? LIFE_ALL : LIFE_NONE;
    if (part == PART_GUARD)
        return cluster_guard(p->cluster, s) > 0 ? LIFE_ALL : LIFE_NONE;
    return (enum life)((controller ? 1 : 0) + (agent ? 1 : 0));
}

/* Of a region both daemons, at once. */
static void ask_to_end(struct play *p, enum part part, enum site s)
{
    if (part == PART_SERVER) {
        pid_t postmaster = cluster_postmaster(p->cluster, s);

        if (postmaster > 0)
            kill(postmaster, SIGINT);
        return;
    }
    if (part == PART_GUARD) {
        signal_guard(p, s, SIGTERM);
        return;
    }
    if (part != PART_AGENT)
        process_signal(&p->cluster->controllers[s], SIGTERM);
    if (part != PART_CONTROLLER && s != WITNESS)
        process_signal(&p->cluster->agents[s], SIGTERM);
}

void verb_end(struct play *p, const struct step *s)
{
    enum site at = site_of(p, s);
    enum part part = s->arg[0].part;
    int64_t until = now_ns() + (int64_t)END_MS * NS_PER_MS;

    if (at == SITE_COUNT)
        return;
    ask_to_end(p, part, at);
    while (life_of(p, part, at) != LIFE_NONE && now_ns() < until)
        wait_ms(LOOK_MS);
    if (life_of(p, part, at) != LIFE_NONE)
        result_blame(&p->result, "`%s`: it did not end within %d s", s->line,
                     END_MS / 1000);
}

void verb_running(struct play *p, const struct step *s)
{
    enum site at = site_of(p, s);

    if (at != SITE_COUNT && life_of(p, s->arg[0].part, at) != LIFE_ALL)
        result_blame(&p->result, "`%s`: it does not run", s->line);
}

void verb_gone(struct play *p, const struct step *s)
{
    enum site at = site_of(p, s);

    if (at != SITE_COUNT && life_of(p, s->arg[0].part, at) != LIFE_NONE)
        result_blame(&p->result, "`%s`: it is still there", s->line);
}
