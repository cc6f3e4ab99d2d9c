#include "providers/postgres/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "providers/postgres/child.h"
#include "providers/postgres/control.h"
#include "providers/postgres/observe.h"
#include "providers/postgres/wal.h"
#include "providers/provider.h"

/* Parts of the time that is left, in percent: then SIGQUIT, then SIGKILL. */
enum { QUIT_AT_PERCENT = 70, KILL_AT_PERCENT = 85, ORPHAN_GRACE_MS = 500 };

/* False when the deadline came first. */
static bool wait_gone(struct pg *pg, const struct pg_postmaster *pm, struct mono deadline)
{
    AUTO(auto_close) int fd = (int)syscall(SYS_pidfd_open, pm->pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct pg_postmaster now;

    pg_postmaster_find(pg, &now);
    if (fd >= 0 && now.pid == pm->pid && poll(&p, 1, pg_left_ms(deadline)) == 0)
        return false;
    pg_reap(pg);
    while (pg_processes(pg, 0) > 0) {
        if (pg_left_ms(deadline) == 0)
            return false;
        pg_pause(1000);
    }
    return true;
}

static int ask_to_stop(struct pg *pg, const struct pg_postmaster *pm, struct mono deadline,
                       struct err *err)
{
    struct pg_tool tool = {.program = "systemctl", .as_root = true};

    if (strncmp(pg->spec->start, "systemd:", 8) != 0)
        return pg_postmaster_signal(pg, pm, SIGINT, err);
    tool.args[0] = "--no-block";
    tool.args[1] = "stop";
    tool.args[2] = pg->spec->start + strlen("systemd:");
    return pg_run_ok(pg, &tool, deadline, NULL, err);
}

static int stop_postmaster(struct pg *pg, const struct pg_postmaster *pm,
                           struct mono deadline, bool *ret_clean, struct err *err)
{
    uint32_t left = (uint32_t)pg_left_ms(deadline);
    struct mono quit_at = pg_within(deadline, left * QUIT_AT_PERCENT / 100);
    struct mono kill_at = pg_within(deadline, left * KILL_AT_PERCENT / 100);
    int status = ask_to_stop(pg, pm, quit_at, err);

    *ret_clean = true;
    if (status == 0 && wait_gone(pg, pm, quit_at))
        return 0;
    *ret_clean = false;
    status = pg_postmaster_signal(pg, pm, SIGQUIT, err);
    if (status == 0 && wait_gone(pg, pm, kill_at))
        return 0;
    /* Frozen processes act on nothing else. The postmaster is among them, so none of them
     * can be replaced by a new child. */
    (void)pg_processes(pg, SIGKILL);
    if (!wait_gone(pg, pm, deadline))
        return err_set(err, ERR_UNKNOWN, "%u processes of PostgreSQL on %s are left",
                       pg_processes(pg, 0), pg->spec->data);
    return 0;
}

int pg_stop(struct pg *pg, struct mono deadline, bool *ret_clean, struct err *err)
{
    struct pg_postmaster pm;
    int status = 0;

    pg_conn_close(&pg->main);
    pg_conn_close(&pg->canary);
    pg->canary_sent = false;
    pg_reap(pg);
    pg_postmaster_find(pg, &pm);
    *ret_clean = true;
    if (pm.pid != 0) {
        status = stop_postmaster(pg, &pm, deadline, ret_clean, err);
    } else if (pg_processes(pg, 0) > 0) {
        /* Orphans of a postmaster that was killed end by themselves, unless frozen. */
        if (!wait_gone(pg, &pm, pg_within(deadline, ORPHAN_GRACE_MS)))
            status = stop_postmaster(pg, &pm, deadline, ret_clean, err);
    }
    if (status == 0)
        pg_cgroup_remove(pg);
    return status;
}

int pg_step_stop(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                 Rf__StepResult *out, struct err *err)
{
    struct pg_control c;
    struct pg_wal_end end;
    bool clean;

    (void)rq;
    if (pg_stop(pg, deadline, &clean, err) != 0)
        return err->code;
    deadline = mono_plus_ms(mono_now(), PROVIDER_STEP_GRACE_MS);
    if (pg_control_read(pg, deadline, &c, err) != 0 ||
        pg_wal_end(pg, &c, NULL, deadline, &end, err) != 0) {
        /* It is stopped; who asks for the position must not take it for 0. */
        return err_wrap(err, "stopped, but where its log ends could not be told");
    }
    out->position = end.lsn;
    pg_down_keep(pg, &c, end.lsn, end.timeline);
    if (!clean)
        provider_text(&out->text, "the fast shutdown took too long and was cut short: the "
                                  "server recovers at its next start");
    return 0;
}
