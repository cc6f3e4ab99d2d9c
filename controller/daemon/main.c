/* ringfenced -- the controller: one per region. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/findings.h"
#include "controller/base/help.h"
#include "controller/base/log.h"
#include "controller/base/notify.h"
#include "controller/base/punctual.h"
#include "controller/base/starting.h"
#include "controller/config/config.h"
#include "controller/config/tell.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/net/host.h"
#include "controller/net/tls.h"
#include "controller/net/tls_watch.h"

#define DEFAULT_CONFIG "/etc/ringfence/ringfenced.yaml"
#define USUAL_USER "ringfence" /* of the unit in deploy/systemd */

/* How long leadership may take to be handed over before we end anyway. */
enum { HANDOVER_STEP_MS = 10, HANDOVER_STEPS = 100 };

static const struct help_option options[] = {
    {"config", 'c', "FILE", "configuration; default " DEFAULT_CONFIG},
    {"check", 0, NULL,
     "read the configuration and the certificate, look whether this host has what they "
     "name, ask the agents of `fencers` what they know, say all that is wrong, and end. A "
     "running controller is not disturbed, and what it holds itself is not wrong. What "
     "other hosts' files say is not looked at. Root "
     "looks with the eyes of the owner of `data_dir`, who is the unit's user; of "
     "user " USUAL_USER ", if there is one, where that is not there yet or root's"},
    {"user", 0, "NAME", "with --check: look with this user's eyes (root can)"},
    {"bootstrap", 0, NULL,
     "this cluster is being made now: begin with an empty log if `data_dir` is empty.\n"
     "For the very first start of each controller, and never again. Nothing is decided "
     "until "
     "all of them have met once; from then on, one that comes back with another data "
     "directory, or an old copy of its own, is refused and stops: it lost its disk and "
     "must "
     "be replaced by one with a new id"},
    {"join", 0, NULL,
     "this controller takes the place of one that lost its disk: begin with nothing if "
     "`data_dir` is empty, and wait for `ringfence controller replace`. Its id in "
     "`controllers` must be one that none has had"},
    {"help", 'h', NULL, "print this"},
    {"version", 'V', NULL, "print the version"},
    {"man", 0, NULL, "print this help as a short manual page, for `man -l -`"},
    {NULL, 0, NULL, NULL},
};

static const struct help_pair exit_codes[] = {
    {"0", "ended as asked, by SIGTERM or SIGINT"},
    {"1", "stopped, since the log or the disk can no longer be trusted: the last line of "
          "the log says what and what to do"},
    {"2", "wrong command line"},
    {"78",
     "wrong configuration, certificate, data directory, socket or port: the text names "
     "file, line and key"},
    {NULL, NULL},
};

static const struct help_pair files[] = {
    {DEFAULT_CONFIG, "configuration; a complete example is in deploy/examples"},
    {"/var/lib/ringfence/controller/raft.db", "log, vote, snapshot, audit trail"},
    {"/var/lib/ringfence/controller/mark",
     "how much raft.db must have: neither is ever restored, copied or deleted alone"},
    {"/run/ringfence/ringfenced.sock", "the API"},
    {"/etc/ringfence/secrets", "usual place of the files that `secrets` of `fencers` name: "
                               "one line each, mode 0600, or 0640 for this user's group"},
    {"/usr/sbin/fence_*", "the agents of `fencers`, which take the power of a host: "
                          "ClusterLabs' fence-agents, or any that behaves like them"},
    {NULL, NULL},
};

static const struct help_pair environment[] = {
    {"RINGFENCE_LOG", "\"debug\" for more lines on standard error"},
    {"NOTIFY_SOCKET", "where systemd is told that the controller is ready, or which file a "
                      "start waits for that hangs on its disk"},
    {NULL, NULL},
};

static const struct help help = {
    .program = "ringfenced",
    .section = "8",
    .summary = "Ringfence's controller: decides which region may write",
    .operands = "",
    .text = "One runs in each region. Three of them (or five) form a Raft cluster, whose "
            "leader alone decides on failovers, and fences the old primary before it "
            "promotes the new one.\n\n"
            "It does not leave the terminal, writes its log to standard error, and hands "
            "leadership over before it ends by SIGTERM or SIGINT. New files of `tls` are "
            "taken within a minute, and at once by SIGHUP; the connections that are open "
            "go on.",
    .options = options,
    .exit_codes = exit_codes,
    .environment = environment,
    .files = files,
    .see_also = "ringfence(1), ringfenced.yaml(5), ringfence-agent(8)",
};

/* ---- running ---------------------------------------------------------------------------
 */

struct running {
    struct daemon d;
    uv_signal_t term, interrupt, hangup;
    uv_timer_t handover;
    struct tls_watch *watch; /* NULL: not running yet */
    unsigned steps;
};

static void on_handover(uv_timer_t *timer)
{
    struct running *r = timer->data;

    if (node_leads(r->d.node) && ++r->steps < HANDOVER_STEPS)
        return;
    uv_stop(timer->loop);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct running *r = signal->data;

    if (r->d.stopping || r->d.closing) {
        uv_stop(signal->loop); /* asked twice: at once */
        return;
    }
    log_info("ending, by signal %d", number);
    notify_systemd("STOPPING=1");
    daemon_stop(&r->d);
    (void)uv_timer_start(&r->handover, on_handover, HANDOVER_STEP_MS, HANDOVER_STEP_MS);
}

static void on_hangup(uv_signal_t *signal, int number)
{
    struct running *r = signal->data;

    (void)number;
    if (r->watch != NULL)
        tls_watch_now(r->watch);
}

static void watch_signals(struct running *r, uv_loop_t *loop)
{
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of its stream */
    (void)uv_signal_init(loop, &r->term);
    (void)uv_signal_init(loop, &r->interrupt);
    (void)uv_signal_init(loop, &r->hangup);
    (void)uv_timer_init(loop, &r->handover);
    r->term.data = r->interrupt.data = r->hangup.data = r->handover.data = r;
    if (uv_signal_start(&r->term, on_signal, SIGTERM) != 0 ||
        uv_signal_start(&r->interrupt, on_signal, SIGINT) != 0 ||
        uv_signal_start(&r->hangup, on_hangup, SIGHUP) != 0)
        log_warn("signals cannot be watched: SIGTERM and SIGHUP end this process without "
                 "handing leadership over");
}

static void close_signals(struct running *r)
{
    uv_close((uv_handle_t *)&r->term, NULL);
    uv_close((uv_handle_t *)&r->interrupt, NULL);
    uv_close((uv_handle_t *)&r->hangup, NULL);
    tls_watch_close(TAKE(r->watch));
    uv_close((uv_handle_t *)&r->handover, NULL);
}

static int run(const struct settings *s, enum start_mode mode)
{
    static struct running r; /* large, and there is one */
    uv_loop_t *loop = uv_default_loop();
    struct err err = {0};
    int code;

    watch_signals(&r, loop);
    if (daemon_open(&r.d, loop, s, mode, &err) != 0) {
        log_error("%s", err.text);
        r.d.exit_code = EXIT_CONFIG;
        starting_end();
    } else {
        starting_end();
        log_info("controller %s of cluster %s runs, version %s", s->name, s->cluster,
                 RF_VERSION);
        /* Without it certificates are changed by a restart: no reason not to run. */
        if (tls_watch_open(&r.watch, loop, r.d.tls, 0, &err) != 0)
            log_error("%s", err.text);
        notify_systemd("READY=1");
        (void)uv_run(loop, UV_RUN_DEFAULT);
        daemon_close(&r.d);
    }
    close_signals(&r);
    (void)uv_run(loop, UV_RUN_DEFAULT); /* what is closing */
    (void)uv_loop_close(loop);
    code = (int)r.d.exit_code;
    log_info("ended, exit status %d", code);
    return code;
}

/* ---- command line ----------------------------------------------------------------------
 */

static void check_certificate(const struct settings *s, struct findings *f)
{
    const struct tls_files pem = {
        .ca = s->ca, .cert = s->cert, .key = s->key, .crl = s->crl};
    const struct tls_node node = {IDENTITY_CONTROLLER, s->cluster, s->name};

    tls_check(&pem, &node, f);
}

/* As far as a look from outside tells; what opens it all says the rest. */
static bool fits_host(const struct settings *s, const struct config *config)
{
    struct config_teller teller = {config, NULL};
    struct findings found = {.say = config_tell, .owner = &teller};

    starting_at("look whether this host has what the configuration names: %s and others",
                s->data_dir);
    settings_check(s, true, &found);
    starting_at("read %s, %s, %s%s%s", s->ca, s->cert, s->key, s->crl[0] != 0 ? ", " : "",
                s->crl);
    check_certificate(s, &found);
    return found.errors == 0;
}

static int start(const struct settings *s, const struct config *config,
                 enum start_mode mode)
{
    char user[HOST_USER_SIZE];

    log_begin("ringfenced", s->name);
    if (host_is_of_another(s->data_dir, user)) {
        log_error("this is root, and %s is user %s's, who could not use what root leaves "
                  "there: start the unit, or `runuser -u %s -- ringfenced ...`",
                  s->data_dir, user, user);
        return EXIT_CONFIG;
    }
    starting_begin();
    if (!fits_host(s, config)) {
        starting_end();
        return EXIT_CONFIG;
    }
    punctual_begin("this controller", true); /* the store's thread too */
    return run(s, mode);
}

/* For whom all has to be right: the unit's user, to whom `data_dir` belongs. Root, who runs
 * a check as a rule, can read and write everything, and so would find all good. */
static int take_eyes(const struct settings *s, const char *user)
{
    struct err err = {0};

    if ((user != NULL ? host_look_as(user, &err)
                      : host_look_as_owner(s->data_dir, USUAL_USER, &err)) == 0)
        return EXIT_OK;
    (void)fprintf(stderr, "ringfenced: %s\n", err.text);
    return 2;
}

static void check_config_file(const char *path, struct findings *f)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct err err = {0};

    if (fd < 0) {
        (void)host_unreadable(&err, errno, "this file", path, false);
        findings_error(f, "", "%s", err.text);
        return;
    }
    (void)close(fd);
}

static int check(const struct settings *s, const struct config *config, const char *path)
{
    char user[HOST_USER_SIZE], group[HOST_USER_SIZE];
    struct config_teller teller = {config, "ringfenced"};
    struct findings f = {.say = config_tell, .owner = &teller};

    check_config_file(path, &f);
    settings_check(s, false, &f);
    check_certificate(s, &f);
    if (f.errors != 0)
        return EXIT_CONFIG;
    host_user(user, group);
    (void)printf("controller %s of cluster %s: configuration and certificate are good for "
                 "user %s%s\n",
                 s->name, s->cluster, user,
                 f.warnings != 0 ? ", but for the warnings above" : "");
    return EXIT_OK;
}

static int check_as(const struct settings *s, const struct config *config, const char *path,
                    const char *user)
{
    int code = take_eyes(s, user);

    if (code == EXIT_OK)
        code = check(s, config, path);
    host_look_back();
    return code;
}

int main(int argc, char **argv)
{
    static struct settings settings; /* with its fencers, as long as the process */
    AUTO(config_free) struct config *config = NULL;
    struct help_parsed parsed;
    struct err err = {0};
    const char *path;
    enum start_mode mode = START_PLAIN;
    int status;

    status = help_begin(&help, argc, argv, &parsed);
    if (status >= 0)
        return status;
    path = help_value(&parsed, "config");
    path = path != NULL ? path : DEFAULT_CONFIG;
    if (settings_load(&settings, path, &config, &err) != 0) {
        (void)fprintf(stderr, "ringfenced: %s\n", err.text);
        return EXIT_CONFIG;
    }
    if (help_value(&parsed, "bootstrap") != NULL)
        mode = START_BOOTSTRAP;
    if (help_value(&parsed, "join") != NULL && mode == START_BOOTSTRAP) {
        (void)fprintf(stderr,
                      "ringfenced: --bootstrap makes a cluster, --join enters one\n");
        return 2;
    }
    if (help_value(&parsed, "join") != NULL)
        mode = START_JOIN;
    if (help_value(&parsed, "check") != NULL)
        return check_as(&settings, config, path, help_value(&parsed, "user"));
    if (help_value(&parsed, "user") != NULL) {
        (void)fprintf(stderr,
                      "ringfenced: --user belongs to --check; a start is the unit's "
                      "user's own (`runuser -u NAME -- ringfenced ...`)\n");
        return 2;
    }
    return start(&settings, config, mode);
}
