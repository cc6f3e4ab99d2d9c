#include "fencing/agent/agent_close.h"

#include <stdio.h>

#include "fencing/agent/agent_state.h"
#include "fencing/agent/epoch_table.h"
#include "fencing/gate/gate.h"

static void close_state(struct agent_state *s) { agent_state_close(s); }

static bool has_port(const uint16_t *ports, size_t n, uint16_t port)
{
    for (size_t i = 0; i < n; i++)
        if (ports[i] == port)
            return true;
    return false;
}

/* What the gate has beside the port already, and what the record names. */
static int close_beside(struct gate *gate, const struct epoch_record *r, struct err *err)
{
    uint16_t also[GATE_ALSO_MAX + AGENT_ALSO_MAX];
    size_t in_gate = gate_also(gate, r->port, also, GATE_ALSO_MAX), n = in_gate;

    for (uint8_t i = 0; i < r->also.count; i++)
        if (!has_port(also, n, r->also.of[i]))
            also[n++] = r->also.of[i];
    for (size_t i = in_gate; i < n; i++)
        (void)printf("%s: port %u is closed with it\n", r->group, also[i]);
    return n == in_gate ? 0 : gate_set_also(gate, r->port, also, n, err);
}

static int close_ports(struct gate *gate, const struct epoch_table *epochs, struct err *err)
{
    uint16_t managed[GATE_PORTS_MAX];
    const size_t n = gate_ports(gate, managed, GATE_PORTS_MAX);

    for (uint8_t i = 0; i < epochs->count; i++) {
        const struct epoch_record *r = &epochs->of[i];
        int status = 0;

        if (r->port == 0)
            continue;
        if (has_port(managed, n, r->port)) {
            (void)printf("%s: port %u has its gate already\n", r->group, r->port);
        } else {
            status = gate_manage(gate, r->port, NULL, 0, err);
            if (status == 0)
                (void)printf("%s: port %u is closed\n", r->group, r->port);
        }
        if (status == 0)
            status = close_beside(gate, r, err);
        if (status != 0)
            return err_wrap(err, "%s", r->group);
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
