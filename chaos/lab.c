/* chaos/lab.c */
#include "chaos/lab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chaos/api.h"
#include "chaos/base.h"
#include "chaos/bmc.h"
#include "chaos/cgroup.h"
#include "chaos/names.h"
#include "chaos/pooler.h"

void lab_find_bin(const struct options *o, char *path, size_t size)
{
    char self[256];
    ssize_t n;

    if (o->bin != NULL) {
        AUTO(auto_free) char *real = realpath(o->bin, NULL);

        if (real == NULL)
            die("--bin %s: %s", o->bin, strerror(errno));
        snprintf(path, size, "%s", real);
        return;
    }
    n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        die("/proc/self/exe: %s", strerror(errno));
    self[n] = 0;
    *strrchr(self, '/') = 0;
    snprintf(path, size, "%s", self);
}

static void wait_until_steady(struct view *v, enum sync_mode sync)
{
    enum { PATIENCE_MS = 120000, LOOK_MS = 20 };
    int64_t until = now_ns() + (int64_t)PATIENCE_MS * NS_PER_MS;
    struct view_doc d;

    do {
        if (now_ns() > until)
            die("not steady %d s after `ringfence apply`: phase %s, %s", PATIENCE_MS / 1000,
                d.phase, d.hold);
        wait_ms(LOOK_MS);
        d = view_get(v);
    } while (!view_is_steady(&d, sync));
}

void lab_report(const struct options *o, const struct result *r)
{
    if (o->json)
        result_json(r, stdout);
    result_report(r, o->json ? stderr : stdout);
}

static void make(const struct options *o, const char *id, const struct scenario *first,
                 struct cluster *c)
{
    ground_make(&c->ground, id, o->seed);
    if (o->keep)
        ground_keep_network(&c->ground);
    ground_spread(&c->ground, first->lab.rtt_ms);
    if (first->lab.power && bmc_missing() != NULL)
        die("%s", bmc_missing());
    if (first->lab.clocks != CLOCKS_RIGHT && clocks_missing() != NULL)
        die("%s", clocks_missing());
    if (first->lab.disks && disks_missing() != NULL)
        die("%s", disks_missing());
    if (first->lab.names && names_missing() != NULL)
        die("%s", names_missing());
    if (first->lab.pooler && pooler_missing() != NULL)
        die("%s", pooler_missing());
    c->power = first->lab.power;
    c->severed = first->lab.severed;
    c->driver = first->lab.driver;
    c->clocks = first->lab.clocks;
    c->disks = first->lab.disks;
    c->names = first->lab.names;
    c->pooler = first->lab.pooler;
    c->ungated = first->lab.ungated;
    c->fence = first->lab.fence;
    if (c->names)
        names_start(&c->ground, &c->resolver);
    if (c->power)
        bmc_start(&c->ground, c->bmcs);
    cluster_make(c);
}

void lab_record(struct plan *plan, struct progress *progress, const struct result *r)
{
    unsigned i = progress->next - 1;

    progress->open = false;
    progress->failed = !result_ok(r);
    if (plan->options->random) {
        tally_add(&progress->tally, plan_scenario(plan, i), r, plan_seed(plan, i));
    } else {
        progress->results[i] = *r;
        progress->played[i] = true;
    }
    lab_report(plan->options, r);
}

/* The command line that plays it again. */
static char *repeat_of(const struct plan *plan, unsigned i)
{
    uint32_t seed = plan_seed(plan, i);

    if (!plan->options->random)
        return options_repeat(plan->options);
    return text_new("ringfence-lab --random --list --seed %u >random-%u.yaml\n"
                    "ringfence-lab --file random-%u.yaml --seed %u",
                    seed, seed, seed, seed);
}

void lab_run(struct plan *plan, const char *id, struct progress *progress)
{
    enum { KEY_BITS = 20 };  /* keys that one scenario may use */
    static struct play play; /* clients are large, and threads look at them */
    const struct options *o = plan->options;
    const struct scenario *first = plan_scenario(plan, progress->next);
    struct cluster cluster = {.profile = profile_for(options_ttl_ms(o, first)),
                              .sync = options_sync(o, first)};
    FILE *live = o->json ? stderr : stdout;
    atomic_uint_fast64_t numbers = 1;
    unsigned random = plan_seed(plan, progress->next);
    struct view view;

    api_init();
    lab_find_bin(o, cluster.bin, sizeof cluster.bin);
    fprintf(live,
            "Laboratory %s: ttl %u ms, renew %u ms, election %u ms, sync %s, seed %u\n", id,
            cluster.profile.ttl, cluster.profile.renew, cluster.profile.election,
            sync_name(cluster.sync), o->seed);
    fflush(live);
    make(o, id, first, &cluster);
    view_start(&view, &cluster, live);
    wait_until_steady(&view, cluster.sync);
    progress->stands = true;
    while (!progress->failed && plan_goes_on(plan, progress->next) &&
           scenario_shares_lab(first, plan_scenario(plan, progress->next))) {
        unsigned i = progress->next++;
        const struct scenario *s = plan_scenario(plan, i);
        AUTO(auto_free) char *repeat = repeat_of(plan, i);

        progress->open = true;
        if (o->random) /* alone in a laboratory it would have the same chance */
            random = plan_seed(plan, i);
        fprintf(live, "\n== %s: %s\n   must hold: %s\n", s->name, s->story, s->holds);
        play = (struct play){.cluster = &cluster,
                             .view = &view,
                             .scenario = s,
                             .numbers = &numbers,
                             .probe_numbers = 1 + ((uint64_t)i << 40),
                             .has_workload = options_want_workload(o, s),
                             .first_key = i << KEY_BITS,
                             .random = &random,
                             .seed = o->seed,
                             .repeat = repeat};
        play_scenario(&play);
        lab_record(plan, progress, &play.result);
    }
    view_stop(&view);
}

/* A gate stands over its region's cgroup: what is started beside it is started in it. */
static void print_restart(const char *id, const char *bin, FILE *out)
{
    const char *dir = "/var/tmp/ringfence-lab";

    fprintf(out,
            "To start a killed agent again, in its region's network and cgroup (a "
            "controller:\nringfenced for ringfence-agent; also in west and witness; "
            "PostgreSQL is started by its agent):\n"
            "  sh -c 'echo $$ >%s/ringfence-lab-%s/east/cgroup.procs; exec nsenter "
            "--net=/run/netns/rf-%s-east %s/ringfence-agent --config "
            "%s/%s/east/ringfence-agent.yaml' >>%s/%s/log/ringfence-agent-east.log "
            "2>&1 &\n",
            cgroup_mount(), id, id, bin, dir, id, dir, id);
}

void lab_print_hints(const char *id, const char *bin, FILE *out)
{
    const char *dir = "/var/tmp/ringfence-lab";

    fprintf(out,
            "\nLaboratory %s is left running, below %s/%s.\n"
            "To look (any region's socket will do):\n"
            "  %s/ringfence --socket %s/%s/witness/ringfenced.sock status --watch\n"
            "  the same with: log " GROUP_NAME ", why " GROUP_NAME ", doctor\n"
            "  of an agent (also west):\n"
            "  %s/ringfence --socket %s/%s/east/ringfence-agent.sock doctor\n"
            "  ip netns exec rf-%s-client psql \"host=%s,%s port=5432 dbname=postgres "
            "user=writer target_session_attrs=read-write\"\n"
            "  logs: %s/%s/log; the group's file, to change and apply: %s/%s/group.yaml\n"
            "To break something: `pgrep -af %s/%s/east` shows whom to kill.\n",
            id, dir, id, bin, dir, id, bin, dir, id, id, site_address(EAST),
            site_address(WEST), dir, id, dir, id, dir, id);
    print_restart(id, bin, out);
    fprintf(out,
            "To end all of it and remove it:\n"
            "  %s/ringfence-lab --remove %s\n",
            bin, id);
}
