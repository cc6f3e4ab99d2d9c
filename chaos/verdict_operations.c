/* chaos/verdict_operations.c */
#include "chaos/verdict_operations.h"

#include <inttypes.h>
#include <stdio.h>

#include "chaos/base.h"
#include "chaos/linear.h"
#include "chaos/stale.h"

static const char *host_name(uint8_t host) { return site_name((enum site)host); }

/* A grant to read looks at no lag: a standby that was cut off answers again as soon as its
 * agent is heard, and streams some seconds later (more than 4 were seen). What a group
 * declares is max_lag, and the laboratory's has the default. A detached pair is nobody's
 * promise. */
static struct stale_policy policy_of(const struct play *p)
{
    enum { MAX_LAG_MS = 10000 };

    if (p->scenario->detaches)
        return (struct stale_policy){.standby_reads = true, .standby_ns = INT64_MAX};
    return (struct stale_policy){.standby_reads = p->cluster->standby_reads,
                                 .standby_ns = (int64_t)MAX_LAG_MS * NS_PER_MS};
}

static FILE *open_log(const struct play *p, const char *kind)
{
    AUTO(auto_free)
    char *path = text_new("%s/log/%s.%s", p->cluster->ground.dir, p->scenario->name, kind);

    return fopen(path, "we");
}

static void keep(const struct play *p)
{
    FILE *out = open_log(p, "operations");

    if (out == NULL)
        return;
    operations_write(&p->workload.operations, out);
    fclose(out);
}

/* For whoever looks at what went wrong: beside the operations, and on the page. */
static void explain(const struct play *p, const struct linear_report *r)
{
    FILE *out = open_log(p, "violation");

    linear_print(&p->workload.operations, r, p->fault_ns, host_name, p->view->live);
    fflush(p->view->live);
    if (out == NULL)
        return;
    linear_print(&p->workload.operations, r, p->fault_ns, host_name, out);
    fclose(out);
}

static void check_order(struct play *p)
{
    struct linear_report r;

    linear_check(&p->workload.operations, linear_limits_default, &r);
    p->result.operations = (int64_t)r.operations;
    p->result.operations_unknown = (int64_t)r.unknown;
    p->result.operations_keys = (int64_t)r.keys;
    if (r.answer == LINEAR_OK)
        return;
    result_blame(&p->result, "operations are %s: %s", linear_answer_text(r.answer),
                 r.reason);
    explain(p, &r);
}

static void check_age(struct play *p)
{
    struct stale_policy policy = policy_of(p);
    struct stale_report r;

    stale_check(&p->workload.operations, &policy, &r);
    p->result.standby_reads = (int64_t)r.standby_reads;
    p->result.stale_ms =
        ms_between(0, r.worst_standby_ns > r.worst_primary_ns ? r.worst_standby_ns
                                                              : r.worst_primary_ns);
    if (!r.ok)
        result_blame(&p->result, "%s", r.reason);
}

static bool read_keys(struct play *p, enum site from, void *unused)
{
    (void)unused;
    return workload_read_all(&p->workload, from);
}

void verdict_operations(struct play *p)
{
    if (!p->workload_runs)
        return;
    if (!play_read_at_end(p, read_keys, NULL))
        result_blame(&p->result, "the workload's keys could not be read at the end");
    keep(p);
    if (p->workload.misread > 0)
        result_blame(&p->result,
                     "%" PRIu64 " transactions did not read what they had written",
                     p->workload.misread);
    check_order(p);
    check_age(p);
    operations_free(&p->workload.operations);
}
