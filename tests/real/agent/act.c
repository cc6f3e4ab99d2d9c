#include "tests/real/agent/act.h"

#include <signal.h>

struct stage stage;
pid_t agent;
unsigned seen;

int set_up(void **state)
{
    (void)state;
    stage_open(&stage);
    agent = 0;
    seen = 0;
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    if (agent != 0)
        stage_kill(&stage, agent, SIGKILL);
    stage_close(&stage);
    return 0;
}

bool has_greeted(const struct stage *s) { return s->hellos > seen; }
bool has_renewed(const struct stage *s) { return s->renews > seen + 2; }
bool has_reported(const struct stage *s) { return s->reports > seen + 3; }

void start(void)
{
    agent = stage_agent(&stage, NULL);
    stage_until(&stage, has_greeted, "hello");
}

void assign(Rf__Role role, uint64_t epoch)
{
    struct stage_assignment a;

    stage_assignment(&stage, &a, role, epoch);
    stage_assign(&stage, &a, NULL);
}
