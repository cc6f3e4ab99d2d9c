#include <string.h>

#include "controller/http/document.h"

static int check_agent(const struct group *spec, uint8_t n, const struct state *s,
                       struct err *err)
{
    const struct instance *i = &spec->instances[n];
    const struct agent *a = state_agent(s, i->agent);
    const char *region = group_region_name(spec, n);

    if (a == NULL)
        return err_set(err, ERR_INVAL,
                       "components[0].instances[%u].agent: agent %s is not known to the "
                       "controllers: start ringfence-agent there, or correct the name "
                       "(`ringfence status` lists the agents)",
                       n, i->agent);
    if (strcmp(a->region, region) != 0)
        return err_set(err, ERR_INVAL,
                       "components[0].instances[%u].region: agent %s says that it is in "
                       "region %s, the document says %s: correct the one that is wrong",
                       n, i->agent, a->region, region);
    return 0;
}

/* What is wrong with a region of the group. The short form of a file gives regions no tags,
 * and who wrote it has not forgotten one. */
static int refuse_region(const struct group *spec, uint8_t n, struct err *err)
{
    const char *region = group_region_name(spec, n);

    if (spec->regions[spec->instances[n].region].tag_count == 0)
        return err_set(err, ERR_INVAL,
                       "residency: region %s has no tags, so the data must not be there: "
                       "write its tags beside its name (%s: {tags: [%s]}), which a list of "
                       "names (regions: [...]) has no room for, or leave residency out",
                       region, region, spec->policy.residency[0]);
    return err_set(err, ERR_INVAL,
                   "residency: region %s carries none of these tags, so the data "
                   "must not be there: give the region the tag, or take its "
                   "instance out",
                   region);
}

static int check_residency(const struct group *spec, struct err *err)
{
    for (uint8_t n = 0; n < spec->instance_count; n++)
        if (!group_may_reside(spec, n))
            return refuse_region(spec, n, err);
    return 0;
}

static int check_lease(const struct group *spec, const struct document_surroundings *around,
                       struct err *err)
{
    struct lease_surroundings s = {.rtt_ms = around->rtt_ms};
    struct err wrong;
    const char *value;

    for (unsigned i = 0; i < around->state->controller_count; i++)
        if (around->state->controllers[i].election_ms > s.election_ms)
            s.election_ms = around->state->controllers[i].election_ms;
    if (lease_check_ttl_rule(spec->policy.lease, spec->policy.renew_ms, s, &wrong) == 0)
        return 0;
    /* "lease.ttl of 300 ms ..." */
    value = strstr(wrong.text, " of ");
    return err_set(err, wrong.code, "%.*s: %s", (int)strcspn(wrong.text, " "), wrong.text,
                   value != NULL ? value + strlen(" of ") : wrong.text);
}

int document_keep_active(struct group *spec, const struct group *g, struct err *err)
{
    const char *agent = g->instances[g->active].agent;
    uint8_t instance = group_instance(spec, agent);

    if (instance == NO_INSTANCE)
        return err_set(err, ERR_INVAL,
                       "components[0].instances: %s, which is active, is not among them: "
                       "`ringfence switchover %s` to another region before it is taken out",
                       agent, g->name);
    spec->active = instance;
    return 0;
}

int document_check(const struct group *spec, const struct document_surroundings *around,
                   struct err *err)
{
    for (uint8_t n = 0; n < spec->instance_count; n++)
        if (check_agent(spec, n, around->state, err) != 0)
            return err->code;
    if (check_residency(spec, err) != 0)
        return err->code;
    return check_lease(spec, around, err);
}
