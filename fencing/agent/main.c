/* ringfence-agent -- one per data host: holds leases, fences, acts on local servers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/help.h"
#include "controller/base/log.h"
#include "controller/config/config.h"
#include "controller/config/tell.h"
#include "controller/net/tls.h"
#include "controller/net/host.h"
#include "fencing/agent/agent.h"
#include "fencing/agent/agent_check.h"
#include "fencing/agent/agent_close.h"
#include "fencing/agent/privileges.h"
#include "providers/worker.h"

#define DEFAULT_CONFIG "/etc/ringfence/agent.yaml"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_CONFIG = 78 };

static const struct help_option options[] = {
    {"config", 'c', "FILE", "configuration; default " DEFAULT_CONFIG},
    {"check", 0, NULL,
     "read the configuration and the certificate, look whether this host has what they "
     "name, say all that is wrong, and end. A running agent is not disturbed, and what it "
     "holds itself is not wrong. The units that start the servers of its groups are looked "
     "for as far as it remembers the groups. What other hosts' files say is not looked at. "
     "The file, its certificates and the directories above them have to be root's, and "
     "written by nobody else: who can write them is root on this host. A passfile is read "
     "as libpq does, which passes over in silence what it does not understand"},
    {"close", 0, NULL,
     "put the gate over every port that this agent remembers, closed, and end: for "
     "ringfence-gate.service, which runs before the network is there and before any server "
     "starts. Where the gate or the agent is there already nothing changes"},
    {"help", 'h', NULL, "print this"},
    {"version", 'V', NULL, "print the version"},
    {"man", 0, NULL, "print this help as a short manual page, for `man -l -`"},
    {NULL, 0, NULL, NULL},
};

static const struct help_pair exit_codes[] = {
    {"0", "ended as asked, by SIGTERM or SIGINT"},
    {"1", "stopped: the last line of the log says why and what to do"},
    {"2", "wrong command line"},
    {"78",
     "wrong configuration, certificate, state directory, gate or port, or no PostgreSQL to "
     "act on: the text names file, line and key"},
    {NULL, NULL},
};

static const struct help_pair files[] = {
    {DEFAULT_CONFIG, "configuration; a complete example is in deploy/examples"},
    {"/var/lib/ringfence/agent/agent.state",
     "incarnation, epochs and fence marks: never copy it to another host"},
    {"/var/lib/ringfence/agent/steps.state", "which servers and steps are this agent's"},
    {"/run/ringfence-agent/ringfence-agent.sock", "for `ringfence doctor`"},
    {"/run/ringfence-agent/guard-NAME.page", "what the guard is told, and what it did"},
    {NULL, NULL},
};

static const struct help_pair environment[] = {
    {"RINGFENCE_LOG", "\"debug\" for more lines on standard error"},
    {"NOTIFY_SOCKET", "where systemd is told that the agent is ready"},
    {NULL, NULL},
};

static const struct help help = {
    .program = "ringfence-agent",
    .section = "8",
    .summary = "Ringfence's agent: holds leases, fences, acts on local servers",
    .operands = "",
    .text =
        "One runs on each data host, as root. While it holds a lease the kernel lets "
        "clients reach the server's port; without one it does not, whether the agent "
        "lives or not. It is the only one that starts PostgreSQL.\n\n"
        "It does not leave the terminal and writes its log to standard error. SIGTERM and "
        "SIGINT end it and leave gate and server as they are: a successor that starts "
        "before the lease is over takes both over, and no client notices. New files of "
        "`tls` are taken "
        "within a minute, and at once by SIGHUP; the connections that are open go on.\n\n"
        "`gate.cgroup` says whose packets the gate judges: those of the processes in one "
        "cgroup v2 directory and below it. It is `auto`, the root of the hierarchy and so "
        "every process of the host (the default); or a full path, like "
        "/sys/fs/cgroup/region-east; or a path below the place where cgroup v2 is mounted, "
        "with or without a leading /, as /proc/PID/cgroup shows it: region-east, "
        "/system.slice. A server outside of it would answer without a lease: name one only "
        "where several agents share a kernel, each above its own servers, and none above "
        "another's. A cgroup that is named and is not there is an error, and never a "
        "reason to take nftables instead.\n\n"
        "Behind the gate stands ringfence-guard, a process without libraries, with locked "
        "memory and a real-time priority, that the agent starts and that outlives it. It "
        "knows the deadline of each lease; when one is over it asks the kernel for the "
        "gate, "
        "and where that is missing or replaced it kills the server, to the last process, "
        "before the deadline. `guard` says when: `missing` (that; the default), `expired` "
        "(at the end of each lease, gate or not: for groups with `ungated_local`, at the "
        "price of a crash recovery after each lease that is not renewed) or `off`. "
        "`watchdog`, the path of a watchdog's device, has the host reset by the deadline "
        "if "
        "even the guard cannot do that; it takes leases of 2 s and more. The guard ends by "
        "SIGTERM while no server is armed, and a minute after the last agent.",
    .options = options,
    .exit_codes = exit_codes,
    .environment = environment,
    .files = files,
    .see_also = "ringfence(1), ringfence-agent.yaml(5), ringfenced(8)",
};

static void check_certificate(const struct agent_settings *s, struct findings *f)
{
    const struct tls_files pem = {
        .ca = s->ca, .cert = s->cert, .key = s->key, .crl = s->crl};
    const struct tls_node node = {IDENTITY_AGENT, s->cluster, s->name};

    tls_check(&pem, &node, f);
}

static int check(const struct agent_settings *s, const struct config *config)
{
    struct config_teller teller = {config, "ringfence-agent"};
    struct findings f = {.say = config_tell, .owner = &teller};

    agent_check_host(s, false, &f);
    agent_check_trust(s, &f);
    agent_check_server(s, false, &f);
    agent_check_units(s, &f);
    check_certificate(s, &f);
    if (f.errors != 0)
        return EXIT_CONFIG;
    (void)printf("agent %s of cluster %s: configuration and certificate are good%s\n",
                 s->name, s->cluster,
                 f.warnings != 0 ? ", but for the warnings above" : "");
    return EXIT_OK;
}

/* What a start waits for here, a lease that still runs waits for: so nothing that runs a
 * program. The start units are looked at by each group's observer, once the keeper renews.
 */
static int run(const struct agent_settings *s, const struct config *config)
{
    struct config_teller teller = {config, NULL};
    struct findings host = {.say = config_tell, .owner = &teller}, server = host;
    struct err err = {0};
    int status;

    log_begin("ringfence-agent", s->name);
    agent_check_host(s, true, &host);
    check_certificate(s, &host);
    agent_check_trust(s, &server);
    agent_check_server(s, true, &server);
    if (host.errors != 0)
        return EXIT_CONFIG;
    if (privileges_of_agent(&err) != 0) {
        log_error("%s", err.text);
        return EXIT_CONFIG;
    }
    status = agent_run(s, server.errors == 0, &err);
    if (status == 0) {
        log_info("ended");
        return EXIT_OK;
    }
    log_error("%s", err.text);
    return status == ERR_REFUSED || status == ERR_NOMEM ? EXIT_FAILED : EXIT_CONFIG;
}

static int close_gate(const struct agent_settings *s)
{
    struct err err = {0};

    if (agent_close(s, &err) == 0)
        return EXIT_OK;
    (void)fprintf(stderr, "ringfence-agent: --close: %s; no server may start over that\n",
                  err.text);
    return EXIT_CONFIG;
}

/* The agent's own protection from the OOM killer (its unit sets it) is not for the servers
 * that a provider starts, which inherit what it has. */
static int run_worker(const char *fd)
{
    FILE *f = fopen("/proc/self/oom_score_adj", "w");
    struct err err = {0};

    if (f != NULL) {
        (void)fputs("0", f);
        (void)fclose(f);
    }
    log_begin("ringfence-agent", "provider");
    if (privileges_of_worker(&err) != 0) {
        log_error("%s", err.text);
        return EXIT_FAILED;
    }
    return provider_worker_main((int)strtol(fd, NULL, 10));
}

int main(int argc, char **argv)
{
    static struct agent_settings settings;
    AUTO(config_free) struct config *config = NULL;
    struct help_parsed parsed;
    struct err err = {0};
    char user[HOST_USER_SIZE], group[HOST_USER_SIZE];
    const char *path;
    int status;

    if (argc == 3 && strcmp(argv[1], "--provider-worker") == 0)
        return run_worker(argv[2]);
    status = help_begin(&help, argc, argv, &parsed);
    if (status >= 0)
        return status;
    host_user(user, group);
    if (agent_check_user(geteuid(), user, &err) != 0) {
        (void)fprintf(stderr, "ringfence-agent: %s\n", err.text);
        return EXIT_CONFIG;
    }
    path = help_value(&parsed, "config");
    if (agent_settings_load(&settings, path != NULL ? path : DEFAULT_CONFIG, &config,
                            &err) != 0) {
        (void)fprintf(stderr, "ringfence-agent: %s\n", err.text);
        return EXIT_CONFIG;
    }
    if (help_value(&parsed, "check") != NULL)
        return check(&settings, config);
    if (help_value(&parsed, "close") != NULL)
        return close_gate(&settings);
    return run(&settings, config);
}
