/* chaos/rejudge.c */
#include "chaos/rejudge.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/ground.h"
#include "chaos/linear.h"
#include "chaos/stale.h"

static const char *host_name(uint8_t host)
{
    return host < SITE_COUNT ? site_name((enum site)host) : "elsewhere";
}

static int64_t first_ns(const struct operations *o)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < o->count; i++)
        if (o->of[i].invoked_ns < first)
            first = o->of[i].invoked_ns;
    return first;
}

/* The group's policy is not in the file, so ages are told and not judged. */
static void tell_age(const struct operations *o, FILE *out)
{
    const struct stale_policy any = {
        .standby_reads = true, .primary_ns = INT64_MAX, .standby_ns = INT64_MAX};
    struct stale_report r;

    stale_check(o, &any, &r);
    fprintf(out,
            "%" PRIu64 " answers of readers, the oldest %.1f ms behind; %" PRIu64
            " of them of standbys, the oldest %.1f ms\n",
            r.reads, ms_between(0, r.worst_primary_ns), r.standby_reads,
            ms_between(0, r.worst_standby_ns));
}

static int judge(const struct operations *o, FILE *out)
{
    struct linear_report r;

    linear_check(o, linear_limits_default, &r);
    fprintf(out,
            "%" PRIu64 " operations on %" PRIu32 " keys, %" PRIu64
            " with an unknown outcome\n",
            r.operations, r.keys, r.unknown);
    linear_print(o, &r, first_ns(o), host_name, out);
    tell_age(o, out);
    return r.answer == LINEAR_OK ? 0 : 1;
}

int rejudge(const char *path, FILE *out)
{
    FILE *in = fopen(path, "re");
    struct operations_fault fault;
    struct operations o = {0};
    int status = 2;

    if (in == NULL) {
        fprintf(stderr, "ringfence-lab: --judge %s: %s\n", path, strerror(errno));
        return status;
    }
    if (operations_read(&o, in, &fault))
        status = judge(&o, out);
    else
        fprintf(stderr,
                "ringfence-lab: --judge %s: line %zu: %s (see chaos/operations.h)\n", path,
                fault.line, fault.what);
    operations_free(&o);
    fclose(in);
    return status;
}
