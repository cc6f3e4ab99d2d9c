/* Opening, ending and describing a gate. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "controller/base/log.h"
#include "controller/base/text.h"
#include "fencing/gate/bpf_find.h"
#include "fencing/gate/clockcheck.h"
#include "fencing/gate/courtesy.h"
#include "fencing/gate/gate_internal.h"
#include "fencing/gate/gate_lock.h"
#include "fencing/gate/gate_rules.h"
#include "fencing/gate/sockdestroy.h"

static const char default_run_dir[] = "/run/ringfence-agent";

enum { OPENING_WAIT_MS = 2000, LOCK_NAME_MAX = 64 };

static int open_bpf(struct gate *gate, const char *cgroup, struct err *err)
{
    char name[LOCK_NAME_MAX];
    int r = cgroup_find(&gate->cgroup, cgroup, err);

    if (r != 0)
        return r;
    (void)snprintf(name, sizeof name, "gate-cgroup-%" PRIu64 ".lock", gate->cgroup.id);
    r = gate_lock(&gate->lock_fd, gate->run_dir, name, 0, err);
    if (r == 0)
        r = gate_bpf_open(gate, err);
    if (r == 0)
        r = clockcheck_open(&gate->clock, true, err);
    return r;
}

/* An nftables gate rules a network namespace, whatever the cgroup. */
static int open_nft(struct gate *gate, struct err *err)
{
    char name[LOCK_NAME_MAX];
    struct stat st;
    int r;

    if (stat("/proc/self/ns/net", &st) != 0)
        return err_errno(err, errno, "/proc/self/ns/net");
    (void)snprintf(name, sizeof name, "gate-netns-%" PRIu64 ".lock", (uint64_t)st.st_ino);
    r = gate_lock(&gate->lock_fd, gate->run_dir, name, 0, err);
    if (r == 0)
        r = gate_nft_open(gate, err);
    if (r == 0)
        r = clockcheck_open(&gate->clock, false, err);
    return r;
}

/* Back to nothing; what is in the kernel stays. */
static void close_all(struct gate *gate)
{
    courtesy_stop(gate->courtesy);
    clockcheck_close(gate->clock);
    if (gate->ops != NULL)
        gate->ops->free(gate);
    cgroup_close(&gate->cgroup);
    auto_close(&gate->lock_fd);
    gate->courtesy = NULL;
    gate->clock = NULL;
    gate->ops = NULL;
    gate->n_ports = 0;
    gate->lock_fd = -1;
}

/* Two gates of one agent would each close for themselves: with the weaker one renewed, the
 * other one's deadline passes, and nobody comes through although the lease is held. */
static int check_no_other(const struct gate *gate, const struct err *because,
                          struct err *err)
{
    struct err own = {0};
    __u32 program = 0;

    /* A kernel that does not list programs to us has none of ours that we could know of. */
    if (bpf_find_agent(gate->agent, &program, &own) != 0)
        log_warn("gate: whether an eBPF gate of this agent is attached cannot be told: %s",
                 own.text);
    if (program == 0)
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "no eBPF (%s), but an eBPF gate of agent %s is still attached in this "
                   "kernel (program %u): start the agent where its cgroup can be seen, or "
                   "detach it, before nftables may be used",
                   because->text, gate->agent, program);
}

static int open_driver(struct gate *gate, const struct gate_config *config, struct err *err)
{
    struct err because = {.code = 0}, other;
    int r;

    if (config->driver == GATE_NFTABLES) {
        (void)err_set(&because, ERR_UNSUPPORTED, "it is not wanted");
        if (check_no_other(gate, &because, &other) != 0)
            log_warn("gate: %s", other.text); /* the operator chose it */
        return open_nft(gate, err);
    }
    r = open_bpf(gate, config->cgroup, config->driver == GATE_BPF ? err : &because);
    if (r == 0 || config->driver == GATE_BPF)
        return r;
    close_all(gate);
    if (r != ERR_UNSUPPORTED) {
        /* Somebody else's gate or a bad path is no reason to choose a weaker one. */
        return err_set(err, r, "%s", because.text);
    }
    r = check_no_other(gate, &because, err);
    if (r != 0)
        return r;
    r = open_nft(gate, err);
    if (r != 0)
        return err_wrap(err, "no eBPF (%s)", because.text);
    text_set(gate->fallback, sizeof gate->fallback, "%s", because.text);
    log_warn("gate: nftables, the weaker driver, is used: no eBPF: %s", because.text);
    return 0;
}

/* What a life that was killed in the middle of a trial has left: a port that was taken at
 * random then, and is perhaps somebody else's now. */
static int drop_spares(struct gate *gate, struct err *err)
{
    for (size_t i = gate->n_ports; i-- > 0;)
        if (gate->ports[i].spare) {
            const int r = gate_unmanage(gate, gate->ports[i].port, err);

            if (r != 0)
                return r;
        }
    return 0;
}

static void start_courtesy(struct gate *gate)
{
    /* The nftables driver answers by itself. */
    if (gate->can.driver != GATE_BPF ||
        courtesy_start(&gate->courtesy, gate->agent, NULL) != 0)
        return;
    for (size_t i = 0; i < gate->n_ports; i++)
        gate_courtesy_about(gate, &gate->ports[i]);
}

int gate_open(struct gate **ret_gate, const struct gate_config *config, struct err *err)
{
    const char *run_dir = config->run_dir != NULL ? config->run_dir : default_run_dir;
    AUTO(auto_close) int opening = -1;
    struct gate *gate;
    int r;

    if (!gate_rules_agent_name(config->agent))
        return err_set(err, ERR_INVAL,
                       "agent name '%s': expected a letter, then letters, digits, '.', '_' "
                       "or '-', less than %d in all",
                       config->agent != NULL ? config->agent : "", GATE_AGENT_MAX);
    gate = calloc(1, sizeof *gate);
    if (gate == NULL)
        return err_set(err, ERR_NOMEM, "gate");
    gate->lock_fd = gate->cgroup.fd = -1;
    (void)snprintf(gate->agent, sizeof gate->agent, "%s", config->agent);
    (void)snprintf(gate->run_dir, sizeof gate->run_dir, "%s", run_dir);

    /* One at a time on this host, so that two agents cannot both find the place free. */
    r = gate_lock(&opening, run_dir, "gate-opening.lock", OPENING_WAIT_MS, err);
    if (r == 0)
        r = open_driver(gate, config, err);
    if (r == 0)
        r = drop_spares(gate, err);
    if (r == 0)
        r = clockcheck_run(gate->clock, err);
    if (r != 0) {
        close_all(gate);
        free(gate);
        return err_wrap(err, "gate");
    }
    gate->can.destroys_sockets = sockdestroy_works();
    if (config->courtesy)
        start_courtesy(gate);
    gate->can.courtesy = gate->can.courtesy || gate->courtesy != NULL;
    *ret_gate = gate;
    return 0;
}

void gate_free(struct gate *gate)
{
    if (gate == NULL)
        return;
    close_all(gate);
    free(gate);
}

int gate_detach(struct gate *gate, struct err *err)
{
    int r = gate->ops->detach(gate, err);

    courtesy_remove(gate->courtesy);
    gate->courtesy = NULL;
    gate_free(gate);
    return r;
}

bool gate_was_adopted(const struct gate *gate) { return gate->adopted; }

void gate_id(const struct gate *gate, uint8_t ret_id[GATE_ID_SIZE])
{
    memcpy(ret_id, gate->id, GATE_ID_SIZE);
}

void gate_id_text(const struct gate *gate, char text[GATE_ID_TEXT_SIZE])
{
    for (size_t i = 0; i < GATE_ID_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", gate->id[i]);
}

struct gate_capabilities gate_capabilities(const struct gate *gate) { return gate->can; }

void gate_describe(const struct gate *gate, char *text, size_t size)
{
    const struct gate_capabilities *can = &gate->can;

    (void)snprintf(
        text, size, "%s%s%s%s%s%s%s%s%s",
        can->driver == GATE_BPF ? "eBPF on " : "nftables in this network namespace",
        can->driver == GATE_BPF ? gate->cgroup.path : "",
        gate->fallback[0] != '\0' ? ", no eBPF: " : "", gate->fallback,
        can->absolute_deadline
            ? ", absolute deadlines"
            : "; WEAKER than eBPF: deadlines are relative, do not run while the host is "
              "suspended and are bounded a second time by wall clock only",
        can->frozen_proof ? ", proof by freezing"
                          : "; a proof rests on a mark that root's nft could remove",
        can->survives_flush ? "" : "; `nft flush ruleset` OPENS it (needs Linux 6.9)",
        can->destroys_sockets ? ""
                              : "; old connections cannot be ended by this kernel: a new "
                                "epoch waits until they are gone",
        can->courtesy ? ", courtesy resets"
                      : "; no courtesy resets: clients of a closed "
                        "port wait for their own timeouts");
}
