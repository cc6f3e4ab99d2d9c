#include "fencing/agent/agent_close.h"

#include <stdio.h>

#include "fencing/agent/agent_state.h"
#include "fencing/agent/epoch_table.h"
#include "fencing/gate/gate.h"

static void close_state(struct agent_state *s) { agent_state_close(s); }

static bool has_port(const struct gate *gate, uint16_t port)
{
    uint16_t ports[GATE_PORTS_MAX];
    const size_t n = gate_ports(gate, ports, GATE_PORTS_MAX);

    for (size_t i = 0; i < n && i < GATE_PORTS_MAX; i++)
        if (ports[i] == port)
            return true;
    return false;
}

static int close_ports(struct gate *gate, const struct epoch_table *epochs, struct err *err)
{
    for (uint8_t i = 0; i < epochs->count; i++) {
        const struct epoch_record *r = &epochs->of[i];

        if (r->port == 0)
            continue;
        if (has_port(gate, r->port)) {
            (void)printf("%s: port %u has its gate already\n", r->group, r->port);
            continue;
        }
        if (gate_manage(gate, r->port, NULL, 0, err) != 0)
            return err_wrap(err, "%s", r->group);
        (void)printf("%s: port %u is closed\n", r->group, r->port);
    }
    return 0;
}

static int put_gate(const struct agent_settings *s, const struct epoch_table *epochs,
                    struct err *err)
{
    const struct gate_config config = {.driver = s->driver,
                                       .cgroup = s->cgroup,
                                       .run_dir = s->run_dir[0] != 0 ? s->run_dir : NULL,
                                       .agent = s->name,
                                       .courtesy = false};
    struct gate *gate = NULL;
    int status = gate_open(&gate, &config, err);

    if (status != 0)
        return status;
    status = close_ports(gate, epochs, err);
    gate_free(gate);
    return status;
}

int agent_close(const struct agent_settings *settings, struct err *err)
{
    AUTO(close_state) struct agent_state state = {.dir = {.fd = -1}, .lock = -1};
    struct agent_contents contents = {0}, self = {0};
    int status;

    (void)snprintf(self.cluster, sizeof self.cluster, "%s", settings->cluster);
    (void)snprintf(self.agent, sizeof self.agent, "%s", settings->name);
    status = agent_state_open(&state, settings->state_dir, &contents, &self, err);
    if (status == ERR_BUSY) {
        (void)printf("the agent runs already, and its gate stands: nothing to do\n");
        return 0;
    }
    return status != 0 ? status : put_gate(settings, &contents.epochs, err);
}
