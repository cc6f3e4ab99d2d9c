/* What ends a condition that blocks: one sentence each, for somebody whom it has woken. It
 * names the host, the command, or what is waited for; where people cannot help it is left
 * empty, and explain.c says what goes on by itself. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/core/decide_internal.h"

#define SAY(...) text_set(text, TEXT_SIZE, __VA_ARGS__)

enum { HOST_SIZE = NAME_SIZE + ADDRESS_SIZE + 4 };

/* "pg-west (10.0.2.2)": where to go. */
static const char *host_of(const struct look *l, uint8_t instance, char room[HOST_SIZE])
{
    const char *name = l->g->instances[instance].agent;
    const struct agent *agent = state_agent(l->s, name);

    (void)snprintf(room, HOST_SIZE, "%s%s%s%s", name, agent != NULL ? " (" : "",
                   agent != NULL ? agent->address : "", agent != NULL ? ")" : "");
    return room;
}

void remedy_start_agent(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    char host[HOST_SIZE];

    SAY("start ringfence-agent on %s, or mend its way to the controllers",
        host_of(l, instance, host));
}

/* The problem is the agent's own sentence: what is wrong there, and what to do. */
static bool remedy_problem(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    const char *problem = l->og->instances[instance].seen.problem;
    char host[HOST_SIZE];

    if (problem[0] == '\0')
        return false;
    SAY("on %s: %s", host_of(l, instance, host), problem);
    return true;
}

/* What its agent cannot look at it may not be able to mend either, as where files are gone:
 * while a primary answers a new copy of it can be had. Of an agent whose own sentence says
 * what to do that is the other way out. */
static void remedy_unknown(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    char host[HOST_SIZE], problem[TEXT_SIZE / 2];

    text_set(problem, sizeof problem, "%s", l->og->instances[instance].seen.problem);
    if (!agent_present(l, l->g->active))
        (void)remedy_problem(l, instance, text);
    else
        SAY("on %s: %s; if that cannot be mended, stop its server and move %s away, and "
            "its "
            "agent copies %s's anew",
            host_of(l, instance, host), problem, l->g->instances[instance].data,
            active_of(l)->agent);
}

/* Waiting helps nothing where what has to be done there, or by the primary for it, has
 * failed: status shows with what. */
static bool remedy_failed_step(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    const struct step *own = &l->g->instances[instance].step, *join = &active_of(l)->step;
    bool joins = join->kind == STEP_JOIN && join->subject == instance;
    const struct step *failed = own->state == STEP_FAILED ? own : joins ? join : NULL;

    if (failed == NULL || failed->state != STEP_FAILED)
        return false;
    SAY("mend what step %s of %s fails with (`ringfence status` shows it), then "
        "`ringfence retry %s`",
        step_kind_name(failed->kind),
        failed == own ? l->g->instances[instance].agent : active_of(l)->agent, l->g->name);
    return true;
}

static void remedy_server(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    const struct seen_instance *seen = &l->og->instances[instance].seen;
    const char *name = l->g->instances[instance].agent;

    if (seen->server != SERVER_UNKNOWN && remedy_failed_step(l, instance, text))
        return;
    if (seen->server == SERVER_ABSENT || seen->server == SERVER_REWINDING)
        SAY("wait until %s has its copy of the data, once a primary is there to copy from",
            name);
    else if (seen->server == SERVER_PRIMARY)
        SAY("wait until %s is a standby again: its agent sees to it while a primary "
            "answers",
            name);
    else if (seen->server == SERVER_UNKNOWN && seen->problem[0] != '\0')
        remedy_unknown(l, instance, text);
    else if (!remedy_problem(l, instance, text))
        SAY("see in the log of %s's agent why its server cannot be looked at", name);
}

/* Seen there now: it has to go. On record only: a step that ends well corrects it, and
 * attaching begins one. */
static void remedy_system(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    const struct instance *i = &l->g->instances[instance];
    uint64_t seen = l->og->instances[instance].seen.system_id;
    char host[HOST_SIZE];

    if (seen != 0 && seen != active_of(l)->system_id)
        SAY("on %s: %s is another cluster's: check `data`, or stop that server and move "
            "the "
            "directory away, and its agent copies %s's",
            host_of(l, instance, host), i->data, active_of(l)->agent);
    else
        SAY("another cluster stood in %s of %s before: wait until it has followed %s anew, "
            "or have it do so by `ringfence detach %s`, then `ringfence attach %s`",
            i->data, i->agent, active_of(l)->agent, l->g->name, l->g->name);
}

void remedy_member(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    char host[HOST_SIZE];

    if (!agent_present(l, instance))
        remedy_start_agent(l, instance, text);
    else if (!remedy_failed_step(l, instance, text) && !remedy_problem(l, instance, text))
        SAY("see on %s why it does not flush: its log, its disk, the way from %s",
            host_of(l, instance, host), active_of(l)->agent);
}

/* I11, I12: behind an activation there is no fence whose proof could be given anew, so its
 * gate is kept closed until people have seen that nothing of before serves. */
static void remedy_former_life(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    const struct instance *i = &l->g->instances[instance];
    char host[HOST_SIZE];

    if (!instance_proof_is_false(i))
        SAY("wait until the lease of the former life of %s is counted out", i->agent);
    else
        SAY("see that nothing of before serves on %s, whose proof by %s did not hold, then "
            "`ringfence detach %s` and `ringfence attach %s`",
            host_of(l, instance, host), proof_kind_name(i->proof.kind), l->g->name,
            l->g->name);
}

/* The first thing that it lacks, in the order of candidate.c. */
static void remedy_candidate(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    const struct seen_instance *seen = &l->og->instances[instance].seen;
    const char *name = l->g->instances[instance].agent;
    char host[HOST_SIZE];

    if (!agent_present(l, instance))
        remedy_start_agent(l, instance, text);
    else if (l->g->phase == PHASE_STEADY && former_life_stands(l, instance))
        remedy_former_life(l, instance, text);
    else if (seen->unfit)
        (void)remedy_problem(l, instance, text);
    else if (!group_may_reside(l->g, instance))
        SAY("give region %s one of the tags of `residency`, or use another region",
            group_region_name(l->g, instance));
    else if (system_differs(l, instance))
        remedy_system(l, instance, text);
    else if (stands_also_in(l, instance) != NULL)
        SAY("move the data directory of %s to another path: it is another group's",
            host_of(l, instance, host));
    else if (corruption_of(l, instance) != 0)
        SAY("have the data of %s copied anew: stop its server, move the directory away, "
            "and "
            "its agent clones it while a primary answers; or `ringfence failover %s` to it "
            "all the same",
            host_of(l, instance, host), l->g->name);
    else if (!candidate_lacks_log(l, instance))
        remedy_server(l, instance, text);
    else if (agent_present(l, l->g->active) && !remedy_failed_step(l, instance, text) &&
             !remedy_problem(l, instance, text))
        SAY("wait until %s has caught up, `ringfence status` shows its lag", name);
}

/* What makes somebody able to take over; or the active one back, which is enough as well.
 */
static void remedy_target(const struct look *l, char text[TEXT_SIZE])
{
    char one[TEXT_SIZE] = "", host[HOST_SIZE];
    bool alone = !agent_present(l, l->g->active);

    for (uint8_t k = 0; k < l->g->instance_count && one[0] == '\0'; k++)
        if (k != l->g->active)
            remedy_candidate(l, k, one);
    if (!alone)
        SAY("%s", one);
    else if (one[0] == '\0')
        SAY("bring %s and its agent back: nobody else has what it wrote",
            host_of(l, l->g->active, host));
    else
        SAY("%s; or bring %s and its agent back, which is enough", one,
            host_of(l, l->g->active, host));
}

static void remedy_proof(const struct look *l, uint8_t instance, char text[TEXT_SIZE])
{
    if (proof_is_out_of_reach(l, instance))
        remedy_start_agent(l, instance, text);
    else if (!agent_present(l, instance) && proof_needs_agent(l))
        SAY("wait until %s has switched the host of %s off",
            l->g->instances[instance].power, l->g->instances[instance].agent);
    else if (!agent_present(l, instance))
        SAY("wait until the lease of %s is counted out", l->g->instances[instance].agent);
    else if (!remedy_problem(l, instance, text))
        SAY("wait until the agent of %s has closed its gate",
            l->g->instances[instance].agent);
}

/* What an operator's failover takes; "" where it would be refused. */
static const char *failover_by_hand(const struct look *l, char room[TEXT_SIZE])
{
    room[0] = '\0';
    if (!target_ready(l) || group_is_healthy(l->s, l->o, l->group, l->now))
        return room;
    if (l->g->phase == PHASE_SWITCHING)
        text_set(room, TEXT_SIZE,
                 "`ringfence abort %" PRIu64 "`, then `ringfence failover %s`",
                 l->g->run.id, l->g->name);
    else
        text_set(room, TEXT_SIZE, "`ringfence failover %s`", l->g->name);
    return room;
}

static void remedy_cooldown(const struct look *l, char text[TEXT_SIZE])
{
    uint64_t left = group_cooldown_left_ms(l->s, l->o, l->group, l->now);
    char room[TEXT_SIZE];
    const char *hand = failover_by_hand(l, room);

    SAY("wait %" PRIu64 " s more%s%s", (left + 999) / 1000, hand[0] != '\0' ? ", or " : "",
        hand);
}

static void remedy_automatic(const struct look *l, char text[TEXT_SIZE])
{
    char room[TEXT_SIZE];
    const char *hand = failover_by_hand(l, room);

    SAY("%s%sapply its file with `decide.automatic: true`", hand,
        hand[0] != '\0' ? ", or " : "");
}

static uint8_t instance_behind(const struct look *l, const char *name, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(name, prefix, len) == 0 ? group_instance(l->g, name + len) : NO_INSTANCE;
}

void remedy_of(const struct look *l, const char *name, char text[TEXT_SIZE])
{
    uint8_t proof = instance_behind(l, name, "proof-");
    uint8_t candidate = instance_behind(l, name, "candidate-");
    uint8_t fencer = instance_behind(l, name, "fencer-");
    char host[HOST_SIZE];

    text[0] = '\0';
    if (proof != NO_INSTANCE)
        remedy_proof(l, proof, text);
    else if (fencer != NO_INSTANCE)
        SAY("try `ringfenced --check FILE` on this controller: it asks the fencer %s",
            l->g->instances[fencer].power);
    else if (candidate != NO_INSTANCE)
        remedy_candidate(l, candidate, text);
    else if (strcmp(name, "target-ready") == 0)
        remedy_target(l, text);
    else if (strcmp(name, "proof-reachable") == 0 || strcmp(name, "declared-agent") == 0)
        remedy_start_agent(l, l->g->active, text);
    else if (strcmp(name, "cooldown-over") == 0)
        remedy_cooldown(l, text);
    else if (strcmp(name, "not-paused") == 0)
        SAY("`ringfence resume %s`", l->g->name);
    else if (strcmp(name, "automatic") == 0)
        remedy_automatic(l, text);
    else if (strcmp(name, "leader") == 0)
        SAY("start the controllers that are down, until a majority has a leader");
    else if (strcmp(name, "no-corruption") == 0)
        SAY("find out what is damaged on %s and restore it from a backup; if it is sound, "
            "reset its statistics, `ringfence detach %s`, `ringfence attach %s`; or "
            "`ringfence failover %s` all the same",
            host_of(l, l->g->active, host), l->g->name, l->g->name, l->g->name);
}
