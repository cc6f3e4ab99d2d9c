/* Provider processes: fencing/agent/helper.h over the modelled servers. An observer answers
 * after a moment, a worker acts in stages, and both die with their agent; a worker goes on
 * while its agent is stopped. What it was killed in the middle of stays half done. */
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "fencing/agent/helper.h"
#include "proto/frame.h"
#include "tests/sim/judge.h"
#include "tests/sim/judge_steps.h"
#include "tests/sim/kernel.h"
#include "tests/sim/steps.h"

struct helper {
    struct task *task;
    helper_reply *on_reply;
    void *owner;
    bool busy;
    int32_t pid; /* 0: being replaced */
    uint64_t start_ms;
    uint8_t host, group;
    bool canary;
    Rf__ProviderRequest *request; /* a step */
    struct work work;
    struct moment *act, *answer, *deadline, *born;
    struct err why; /* of an answer that is none */
};

static struct helper *helpers[HOSTS_MAX][2 * WORLD_GROUPS_MAX];

/* ---- processes -------------------------------------------------------------------------
 */

uint64_t process_start_ms(int32_t pid)
{
    uint8_t host = (uint8_t)(sim_self()->node - CTLS);

    if (pid <= 0)
        return 0;
    for (uint8_t g = 0; g < sim.groups; g++)
        if (pg_server(host, g)->pid == pid)
            return pg_server(host, g)->start_ms;
    for (unsigned i = 0; i < ARRAY_LEN(helpers[host]); i++)
        if (helpers[host][i] != NULL && helpers[host][i]->pid == pid)
            return helpers[host][i]->start_ms;
    return 0;
}

static void be_born(struct helper *h)
{
    h->pid = ++machines[CTLS + h->host].next_pid;
    h->start_ms = sim.now / NS_PER_MS + 1;
}

int helper_open(struct helper **ret_helper, struct uv_loop_s *loop, helper_reply *on_reply,
                void *owner, struct err *err)
{
    struct helper *h = calloc(1, sizeof *h);
    unsigned i = 0;

    if (h == NULL)
        return err_set(err, ERR_NOMEM, "helper");
    h->task = loop->data;
    h->host = (uint8_t)(h->task->proc->node - CTLS);
    h->on_reply = on_reply;
    h->owner = owner;
    while (helpers[h->host][i] != NULL)
        i++;
    ASSERT(i < ARRAY_LEN(helpers[h->host]));
    helpers[h->host][i] = h;
    be_born(h);
    *ret_helper = h;
    return 0;
}

static void forget_work(struct helper *h)
{
    if (h->act != NULL)
        judge_step_ends(h->host, h->group, h->request->step, 0);
    sim_cancel(h->act);
    sim_cancel(h->answer);
    sim_cancel(h->deadline);
    h->act = h->answer = h->deadline = NULL;
    provider_request_free(&h->request);
    h->work = (struct work){0};
}

void helper_close(struct helper *h)
{
    if (h == NULL)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(helpers[h->host]); i++)
        if (helpers[h->host][i] == h)
            helpers[h->host][i] = NULL;
    forget_work(h);
    sim_cancel(h->born);
    free(h);
}

static void on_born(void *arg, uint64_t number)
{
    struct helper *h = arg;

    (void)number;
    h->born = NULL;
    be_born(h);
}

static void on_death_told(void *arg, uint64_t number)
{
    struct helper *h = arg;

    (void)number;
    h->answer = NULL;
    h->busy = false;
    h->born = sim_at(sim.now + sim_between(1, 40) * NS_PER_MS, h->task, on_born, h);
    h->on_reply(h->owner, NULL, &h->why);
}

static void die_with(struct helper *h, int code, const char *text)
{
    if (h->pid == 0)
        return;
    (void)err_set(&h->why, code, "%s", text);
    forget_work(h);
    h->pid = 0;
    if (h->busy)
        h->answer =
            sim_at(sim.now + sim_between(100, 4000) * 1000, h->task, on_death_told, h);
    else
        h->born = sim_at(sim.now + sim_between(1, 40) * NS_PER_MS, h->task, on_born, h);
}

void helper_kill(struct helper *h)
{
    die_with(h, ERR_CLOSED, "the provider process was told to end");
}

static void on_deadline(void *arg, uint64_t number)
{
    struct helper *h = arg;

    (void)number;
    h->deadline = NULL;
    die_with(h, ERR_TIMEOUT, "the provider process was ended at its deadline");
}

/* A crash of one: by a fault. */
void provider_crash(uint8_t host)
{
    for (unsigned i = 0; i < ARRAY_LEN(helpers[host]); i++)
        if (helpers[host][i] != NULL && sim_chance(400))
            die_with(helpers[host][i], ERR_CLOSED, "the provider process has ended");
}

/* ---- answers ---------------------------------------------------------------------------
 */

static void end_request(struct helper *h)
{
    sim_cancel(h->deadline);
    h->deadline = h->answer = NULL;
    h->busy = false;
}

static void on_observed(void *arg, uint64_t number)
{
    struct helper *h = arg;
    Rf__ProviderReply reply = RF__PROVIDER_REPLY__INIT;
    struct look look;

    (void)number;
    end_request(h);
    look_at_server(&look, h->host, h->group, h->canary);
    reply.seen = &look.seen;
    h->on_reply(h->owner, &reply, NULL);
}

static void on_step_told(void *arg, uint64_t number)
{
    struct helper *h = arg;
    Rf__ProviderReply reply = RF__PROVIDER_REPLY__INIT;
    Rf__StepResult result = RF__STEP_RESULT__INIT;
    struct look look;

    (void)number;
    end_request(h);
    result.step = h->request->step->step;
    result.outcome = (Rf__StepOutcome)h->work.outcome;
    result.position = h->work.position;
    result.divergent_bytes = h->work.divergent;
    result.severed = h->work.severed;
    result.text = (char *)(h->work.text != NULL ? h->work.text : "");
    if (result.outcome != RF__STEP_OUTCOME__OUTCOME_UNKNOWN)
        judge_order_told(h->host, h->group, result.step);
    provider_request_free(&h->request);
    look_at_server(&look, h->host, h->group, false);
    result.seen = &look.seen;
    reply.result = &result;
    h->on_reply(h->owner, &reply, NULL);
}

/* The worker is not its agent: it is not stopped with it. But it dies with it, and with its
 * host, also if the agent's own thread is in a call that the world goes on inside of. */
static void on_act(void *arg, uint64_t number)
{
    struct helper *h = arg;
    uint64_t ns;

    (void)number;
    if (h->task->proc->mute) {
        forget_work(h);
        return;
    }
    h->act = NULL;
    ns = work_go_on(&h->work, h->request->step);
    if (h->work.outcome == 0) {
        h->act = sim_at(sim.now + ns, NULL, on_act, h);
        return;
    }
    judge_step_ends(h->host, h->group, h->request->step, h->work.outcome);
    h->answer = sim_at(sim.now + sim_between(1, 6) * NS_PER_MS, h->task, on_step_told, h);
}

static void begin_step(struct helper *h, const Rf__ProviderRequest *request)
{
    struct buf bytes = {0};
    uint64_t ms = sim_chance(930)   ? sim_between(1, 40)
                  : sim_chance(900) ? sim_between(40, 1500)
                                    : sim_between(1500, 12000);

    if (provider_request_encode(request, &bytes, NULL) != 0 ||
        provider_request_decode(bytes.data, bytes.len, &h->request, NULL) != 0)
        sim_fail("a request to a provider is not one");
    buf_free(&bytes);
    if (h->request == NULL)
        return;
    judge_order_begins(h->host, h->group, request->step->step);
    judge_step_begins(h->host, h->group, request->step);
    if (request->step->kind != RF__STEP_KIND__STEP_STOP) /* that it does of its own, too */
        judge_acts(h->host, h->group);
    if (request->step->kind == RF__STEP_KIND__STEP_FOLLOW ||
        request->step->kind == RF__STEP_KIND__STEP_CLONE)
        judge_follows(h->host, h->group);
    h->work = (struct work){.host = h->host, .group = h->group, .began = sim.now};
    h->act = sim_at(sim.now + ms * NS_PER_MS, NULL, on_act, h);
}

int helper_ask(struct helper *h, Rf__ProviderRequest *request, uint32_t deadline_ms,
               struct err *err)
{
    sim_call();
    if (!sim_is_heard() || h->pid == 0)
        return err_set(err, ERR_CLOSED, "the provider process is being replaced");
    if (h->busy)
        return err_set(err, ERR_BUSY, "the provider process is busy");
    h->group = (uint8_t)(request->server->port - FIRST_PORT);
    h->busy = true;
    h->deadline =
        sim_at(sim.now + deadline_ms * (uint64_t)NS_PER_MS, h->task, on_deadline, h);
    if (request->step != NULL) {
        begin_step(h, request);
        return 0;
    }
    h->canary = request->canary;
    h->answer = sim_at(sim.now + look_takes_ns(h->host, h->group), h->task, on_observed, h);
    return 0;
}

bool helper_is_busy(const struct helper *h) { return h->busy; }

int32_t helper_pid(const struct helper *h) { return h->pid; }

/* No cgroups here: a server's processes are the world's. */
bool helper_let_go(const Rf__ServerSpec *server)
{
    (void)server;
    return true;
}
