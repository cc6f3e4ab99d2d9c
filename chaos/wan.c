/* chaos/wan.c -- the laboratory's end: starting the process, and telling it. */
#include "chaos/wan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chaos/base.h"
#include "chaos/tap.h"
#include "chaos/wan_switch.h"

enum {
    PRIORITY = 20, /* above that of the regions' own real-time threads */
    NICE = -20,
    ANSWER_WITHIN_S = 10,
};

static bool move_into(const char *cgroup)
{
    AUTO(auto_free) char *path = text_new("%s/cgroup.procs", cgroup);
    AUTO(auto_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, "0", 1) == 1;
}

static void redirect(const char *path, int flags, int to)
{
    AUTO(auto_close) int fd = open(path, flags | O_CLOEXEC, 0644);

    if (fd < 0 || dup2(fd, to) < 0)
        die("wide-area network: %s: %s", path, strerror(errno));
}

/* The laboratory's lock, and the pipe of who reads its output, would otherwise be held for
 * as long as a laboratory is kept. */
static void close_all_but(const struct wan_switch *s)
{
    unsigned from = STDERR_FILENO + 1;

    for (;;) {
        unsigned next = ~0U;

        if ((unsigned)s->control >= from)
            next = (unsigned)s->control;
        for (unsigned i = 0; i < s->sites; i++)
            if ((unsigned)s->taps[i] >= from && (unsigned)s->taps[i] < next)
                next = (unsigned)s->taps[i];
        if (next > from)
            close_range(from, next == ~0U ? next : next - 1, 0);
        if (next == ~0U)
            return;
        from = next + 1;
    }
}

/* A network is no process of the regions: what they compute does not keep it waiting. Where
 * real time is not to be had, it waits as little as can be. */
static void hurry(void)
{
    struct sched_param param = {.sched_priority = PRIORITY};

    if (sched_setscheduler(0, SCHED_RR, &param) != 0)
        (void)setpriority(PRIO_PROCESS, 0, NICE);
}

static _Noreturn void become_switch(struct wan_switch *s, const struct wan_plan *plan)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "ringfence-wan");
    /* A session of its own: Ctrl-C is the janitor's business. */
    if (setsid() < 0 || !move_into(plan->cgroup))
        die("wide-area network: cannot move into %s: %s", plan->cgroup, strerror(errno));
    hurry();
    redirect("/dev/null", O_RDWR, STDIN_FILENO);
    redirect(plan->log, O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO);
    if (dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
        die("wide-area network: log: %s", strerror(errno));
    close_all_but(s);
    s->core = wan_core_new(plan->sites, plan->seed);
    wan_switch_run(s);
}

static struct wan_answer ask(const struct wan *w, const struct wan_order *order)
{
    struct wan_answer answer;

    if (send(w->control, order, sizeof *order, MSG_NOSIGNAL) != sizeof *order ||
        recv(w->control, &answer, sizeof answer, 0) != sizeof answer)
        die("the wide-area network does not answer (process %d): %s", (int)w->pid,
            strerror(errno));
    if (!answer.done)
        die("the wide-area network refuses an order of kind %d with %u changes",
            (int)order->kind, order->count);
    return answer;
}

static void open_control(int ends[2])
{
    struct timeval within = {.tv_sec = ANSWER_WITHIN_S};

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0 ||
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &within, sizeof within) != 0)
        die("wide-area network: socketpair: %s", strerror(errno));
}

void wan_start(struct wan *w, const struct wan_plan *plan)
{
    struct wan_switch net = {.sites = plan->sites};
    int ends[2];

    if (plan->sites > WAN_SITES_MAX)
        die("a wide-area network of %u sites: at most %d", plan->sites, WAN_SITES_MAX);
    open_control(ends);
    net.control = ends[1];
    for (unsigned i = 0; i < plan->sites; i++)
        net.taps[i] = tap_open(plan->networks[i], "eth0");
    fflush(NULL);
    w->pid = fork();
    if (w->pid < 0)
        die("fork: %s", strerror(errno));
    if (w->pid == 0)
        become_switch(&net, plan);
    for (unsigned i = 0; i < plan->sites; i++)
        close(net.taps[i]);
    close(ends[1]);
    w->control = ends[0];
    wan_heal(w); /* answered: it is there */
}

static void change(const struct wan *w, enum wan_order_kind kind,
                   const struct wan_change *changes, unsigned count)
{
    struct wan_order order = {.kind = kind, .count = count};

    if (count > WAN_CHANGES_MAX)
        die("%u changes of links at once: at most %d", count, (int)WAN_CHANGES_MAX);
    for (unsigned i = 0; i < count; i++) {
        const char *wrong = wan_link_wrong(&changes[i].rules);

        if (wrong != NULL)
            die("the link from site %u to %u: %s", changes[i].from, changes[i].to, wrong);
        order.changes[i] = changes[i];
    }
    (void)ask(w, &order);
}

void wan_set(const struct wan *w, const struct wan_change *changes, unsigned count)
{
    change(w, WAN_SET, changes, count);
}

void wan_set_base(const struct wan *w, const struct wan_change *changes, unsigned count)
{
    change(w, WAN_SET_BASE, changes, count);
}

void wan_heal(const struct wan *w) { change(w, WAN_HEAL, NULL, 0); }

struct wan_count wan_count(const struct wan *w, unsigned from, unsigned to)
{
    struct wan_order order = {
        .kind = WAN_COUNT,
        .count = 1,
        .changes = {{.from = (uint8_t)from, .to = (uint8_t)to}},
    };

    return ask(w, &order).count;
}

void wan_outlive(const struct wan *w) { change(w, WAN_OUTLIVE, NULL, 0); }
