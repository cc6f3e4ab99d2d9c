/* ringfence-guard -- knows only deadlines: stops a server that no gate closes before.
 *
 * Started by the agent with the page that they share; ends by itself when nothing is armed
 * and no agent has been there for a minute. SIGTERM ends it only while nothing is armed.
 * libc alone, one thread, no allocation after the start. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fencing/guard/dog.h"
#include "fencing/guard/guard_page.h"
#include "fencing/guard/guard_rules.h"
#include "fencing/guard/look.h"
#include "fencing/guard/privileges.h"
#include "fencing/guard/proc.h"

enum {
    EXIT_BUSY = 3, /* another guard has this page */
    EXIT_PAGE = 4, /* it is not a page of this version */
    PRIORITY = 10, /* what LimitRTPRIO of the agent's unit allows */
    WHY_SIZE = 160,
    LINE_SIZE = 512,     /* at most PIPE_BUF: written as a whole or not at all */
    SWEEP_TURN_MS = 200, /* others' deadlines and the watchdog come in between */
    SWEEP_PAUSE_NS = 500000,
    LOOKS = 3,
    LONELY_MS = 60000,
    LOCK_PAUSE_MS = 10,
    LOCK_TRIES = 50,
    LOOK_ROUND_MS = 1000, /* at the page's file, and at the agent */
};

static const uint64_t NS_PER_MS_U = 1000000u;

struct guard {
    const char *path;
    struct guard_page *page;
    struct guard_gate gate;
    _Alignas(8) char watchdog[GUARD_PATH_SIZE];
    struct guard_order orders[GUARD_SLOTS_MAX];
    bool seen[GUARD_SLOTS_MAX];   /* armed since the watchdog was opened, not seen down */
    bool acting[GUARD_SLOTS_MAX]; /* its stop has begun, and it was not gone yet */
    bool gone[GUARD_SLOTS_MAX];   /* its processes were looked for in vain, by this order */
    struct guard_life told[GUARD_SLOTS_MAX]; /* whom the last line about it was about */
    struct dog dog;
    bool dog_inherited; /* a guard before us died with the watchdog armed */
    uint64_t agent_seen_ns, round_ns;
    bool page_is_there, agent_is_there;
};

static struct guard g;
static volatile sig_atomic_t asked_to_end;

static uint64_t boot_ns(void)
{
    struct timespec t = {0};

    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000 * NS_PER_MS_U + (uint64_t)t.tv_nsec;
}

/* Never waits for whoever reads it: a log that stands still must not hold up a stop. */
__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    char line[LINE_SIZE];
    va_list args;
    int n, used = snprintf(line, sizeof line, "ringfence-guard: ");
    ssize_t written;

    va_start(args, fmt);
    n = vsnprintf(line + used, sizeof line - (size_t)used - 1, fmt, args);
    va_end(args);
    n = n < 0 ? 0 : n;
    used = used + n < (int)sizeof line - 1 ? used + n : (int)sizeof line - 2;
    line[used++] = '\n';
    if (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0)
        return;
    written = write(STDERR_FILENO, line, (size_t)used);
    (void)written;
}

/* ---- orders ---------------------------------------------------------------------------
 */

static void read_page(void)
{
    (void)guard_get(&g.page->gate_seq, &g.gate, &g.page->gate, sizeof g.gate);
    (void)guard_get(&g.page->watchdog_seq, g.watchdog, g.page->watchdog, sizeof g.watchdog);
    for (size_t i = 0; i < GUARD_SLOTS_MAX; i++) {
        struct guard_slot *slot = &g.page->slots[i];
        struct guard_order before = g.orders[i];

        (void)guard_get(&slot->order_seq, &g.orders[i], &slot->order, sizeof slot->order);
        if (memcmp(&before, &g.orders[i], sizeof before) != 0)
            g.gone[i] = false;
        g.seen[i] = g.seen[i] || g.orders[i].armed != 0;
    }
}

static void tell(size_t i, enum guard_state state)
{
    struct guard_result *r = &g.page->slots[i].result;

    __atomic_store_n(&r->state, (uint64_t)state, __ATOMIC_RELEASE);
}

/* A failure to ask may be the moment's: it is asked again before a server is ended. */
static enum guard_found find_gate(size_t i, char *why)
{
    const struct guard_order *o = &g.orders[i];

    for (int n = 0; n < LOOKS; n++)
        if (guard_look(&g.gate, why, WHY_SIZE) &&
            guard_look_port(&g.gate, (uint16_t)o->port, why, WHY_SIZE))
            return GUARD_IN_PLACE;
    return GUARD_GONE;
}

static enum guard_verdict judge(size_t i, uint64_t now_ns, uint64_t lead_ns, char *why)
{
    enum guard_verdict v = guard_judge(&g.orders[i], now_ns, lead_ns, GUARD_NOT_LOOKED);

    if (v != GUARD_LOOK)
        return v;
    return guard_judge(&g.orders[i], now_ns, lead_ns, find_gate(i, why));
}

static void begin_stop(size_t i, uint64_t now_ns, const char *why)
{
    struct guard_slot *slot = &g.page->slots[i];
    const struct guard_order *o = &g.orders[i];

    if (!g.acting[i]) {
        slot->result.stops++;
        slot->result.acted_ns = now_ns;
        slot->result.gone_ns = slot->result.killed = 0;
        if (g.told[i].pid != o->process.postmaster.pid)
            say("%.23s: its time is over and %s: the server (postmaster %llu) is killed",
                o->group, why[0] != '\0' ? why : "it serves by its lease alone",
                (unsigned long long)o->process.postmaster.pid);
        g.told[i] = o->process.postmaster;
    }
    g.acting[i] = true;
    tell(i, GUARD_STOPPING);
    guard_kill(&o->process);
}

static void end_stop(size_t i)
{
    struct guard_result *r = &g.page->slots[i].result;

    if (g.acting[i]) {
        r->gone_ns = boot_ns();
        if (r->killed > 0)
            say("%.23s: no process of the server is left, %llu ms after the first signal",
                g.orders[i].group,
                (unsigned long long)((r->gone_ns - r->acted_ns) / NS_PER_MS_U));
    }
    g.acting[i] = false;
    g.gone[i] = true;
    tell(i, GUARD_STOPPED);
}

/* Until none is left, but no longer than a turn may take. */
static void sweep(const size_t *stops, size_t n)
{
    const struct guard_process *servers[GUARD_SLOTS_MAX];
    const uint64_t until = boot_ns() + SWEEP_TURN_MS * NS_PER_MS_U;
    const struct timespec pause = {.tv_nsec = SWEEP_PAUSE_NS};
    unsigned counts[GUARD_SLOTS_MAX];
    bool left = n > 0;

    for (size_t i = 0; i < n; i++)
        servers[i] = &g.orders[stops[i]].process;
    while (left && boot_ns() < until) {
        left = false;
        guard_sweep(servers, n, true, counts);
        for (size_t i = 0; i < n; i++) {
            struct guard_result *r = &g.page->slots[stops[i]].result;

            if (counts[i] > r->killed)
                r->killed = counts[i];
            if (counts[i] == 0 && !g.gone[stops[i]])
                end_stop(stops[i]);
            else if (counts[i] != 0)
                g.gone[stops[i]] = false, left = true;
        }
        if (left)
            (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
}

/* ---- the watchdog ---------------------------------------------------------------------
 */

/* Of those that were armed since it was opened: no process is left. */
static bool all_are_down(void)
{
    bool all = true;

    for (size_t i = 0; i < GUARD_SLOTS_MAX; i++) {
        const struct guard_process *p = &g.orders[i].process;
        unsigned count = 0;

        if (!g.seen[i])
            continue;
        guard_sweep(&p, 1, false, &count);
        g.seen[i] = count != 0;
        all = all && count == 0;
    }
    return all;
}

static void feed_dog(bool any_armed, bool all_safe, uint64_t ttl_ms)
{
    struct dog_view view = {
        .device = g.watchdog,
        .any_armed = any_armed,
        .all_safe = all_safe,
        .all_down = g.dog.fd < 0 || (!any_armed && all_are_down()),
        .ttl_ms = ttl_ms,
        .now_ns = boot_ns(),
    };
    const enum guard_dog before = g.dog.state;

    dog_turn(&g.dog, &view);
    if (!g.dog_inherited || g.dog.fd >= 0)
        g.page->dog_timeout_s = g.dog.timeout_s;
    g.page->dog_pets = g.dog.pets;
    g.page->dog_errno = (uint64_t)g.dog.error;
    __atomic_store_n(&g.page->dog, (uint64_t)g.dog.state, __ATOMIC_RELEASE);
    if (before == g.dog.state)
        return;
    if (g.dog.state == GUARD_DOG_ARMED)
        say("the watchdog %s is armed: %u s", view.device, g.dog.timeout_s);
    else if (g.dog.state == GUARD_DOG_FAILED)
        say("the watchdog %s cannot be used: %s", view.device, strerror(g.dog.error));
    else if (g.dog.state == GUARD_DOG_TOO_SLOW)
        say("the watchdog %s is not used: a lease of %llu ms is shorter than twice what it "
            "can be set to",
            view.device, (unsigned long long)ttl_ms);
}

/* ---- turns ----------------------------------------------------------------------------
 */

struct turn {
    size_t stops[GUARD_SLOTS_MAX], n_stops;
    uint64_t next_ns, ttl_ms;
    bool any_armed, all_safe;
};

static void look_at_slot(struct turn *t, size_t i, uint64_t now_ns)
{
    const struct guard_order *o = &g.orders[i];
    const uint64_t lead_ns = GUARD_MARGIN_MS * NS_PER_MS_U + dog_lead_ns(&g.dog);
    uint64_t due = guard_due_ns(o, lead_ns);
    char why[WHY_SIZE] = "";

    if (o->armed == 0) {
        g.acting[i] = false;
        tell(i, GUARD_IDLE);
        return;
    }
    t->any_armed = true;
    t->ttl_ms = o->ttl_ms < t->ttl_ms ? o->ttl_ms : t->ttl_ms;
    if (due > now_ns && due < t->next_ns)
        t->next_ns = due;
    if (judge(i, now_ns, lead_ns, why) == GUARD_STOP) {
        if (!g.gone[i])
            begin_stop(i, now_ns, why);
        t->stops[t->n_stops++] = i;
        return;
    }
    g.acting[i] = g.gone[i] = false;
    g.told[i] = (struct guard_life){0};
    tell(i, GUARD_WATCHING);
}

/* The one before us was killed and closed it without a 'V': nobody is armed any more
 * perhaps, but the host is reset unless somebody opens it again and speaks. */
static void take_dog_over(struct turn *t)
{
    const uint64_t ttl_ms = g.page->dog_timeout_s * 2000;

    if (g.dog.fd >= 0) {
        g.dog_inherited = false;
        return;
    }
    t->any_armed = true;
    t->ttl_ms = ttl_ms < t->ttl_ms ? ttl_ms : t->ttl_ms;
    for (size_t i = 0; i < GUARD_SLOTS_MAX; i++)
        g.seen[i] = g.orders[i].process.postmaster.pid != 0;
}

/* True: it is over. */
static bool is_over(const struct turn *t)
{
    const uint64_t now = boot_ns();
    bool alive = false;
    struct stat at, ours;

    if (now - g.round_ns >= LOOK_ROUND_MS * NS_PER_MS_U || asked_to_end) {
        g.round_ns = now;
        g.agent_is_there = guard_life_lives(&g.page->agent);
        g.page_is_there = stat(g.path, &at) == 0 && at.st_nlink > 0;
        if (g.page_is_there && stat("/proc/self/fd/3", &ours) == 0)
            g.page_is_there = at.st_ino == ours.st_ino && at.st_dev == ours.st_dev;
    }
    if (g.agent_is_there)
        g.agent_seen_ns = now;
    for (size_t i = 0; i < GUARD_SLOTS_MAX; i++)
        alive = alive ||
                (g.orders[i].armed != 0 && !g.gone[i] &&
                 (t->n_stops > 0 || guard_life_lives(&g.orders[i].process.postmaster)));
    if (g.dog.fd >= 0)
        return false;
    if (asked_to_end && t->any_armed)
        say("not ended: a server is armed");
    if (asked_to_end && !t->any_armed)
        return true;
    asked_to_end = 0;
    return !alive && (!g.page_is_there || now - g.agent_seen_ns >= LONELY_MS * NS_PER_MS_U);
}

/* True: another one follows. */
static bool turn(void)
{
    struct turn t = {.ttl_ms = UINT64_MAX, .all_safe = true};
    const uint64_t now_ns = boot_ns();
    struct timespec at;

    t.next_ns = now_ns + GUARD_BEAT_MS * NS_PER_MS_U;
    read_page();
    for (size_t i = 0; i < GUARD_SLOTS_MAX; i++)
        look_at_slot(&t, i, now_ns);
    sweep(t.stops, t.n_stops);
    if (g.dog_inherited)
        take_dog_over(&t);
    for (size_t i = 0; i < t.n_stops; i++)
        t.all_safe = t.all_safe && g.gone[t.stops[i]];
    feed_dog(t.any_armed, t.all_safe, t.ttl_ms);
    __atomic_store_n(&g.page->beat_ns, boot_ns(), __ATOMIC_RELEASE);
    if (is_over(&t))
        return false;
    at.tv_sec = (time_t)(t.next_ns / (1000 * NS_PER_MS_U));
    at.tv_nsec = (long)(t.next_ns % (1000 * NS_PER_MS_U));
    (void)clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL);
    return true;
}

/* ---- the start ------------------------------------------------------------------------
 */

static void on_term(int number)
{
    (void)number;
    asked_to_end = 1;
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        (void)close(fd);
    return done;
}

/* A group of its own, so that what ends the agent's processes one by one leaves it alone.
 */
static void leave_agents_cgroup(const char *cgroup)
{
    char path[GUARD_PATH_SIZE + 32];

    if (mkdir(cgroup, 0755) != 0 && errno != EEXIST) {
        say("it stays in the agent's cgroup: %s: %s", cgroup, strerror(errno));
        return;
    }
    (void)snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    if (!write_text(path, "0"))
        say("it stays in the agent's cgroup: %s: %s", path, strerror(errno));
}

static uint64_t harden(void)
{
    const struct sched_param priority = {.sched_priority = PRIORITY};
    uint64_t can = 0;

    if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
        can |= GUARD_CAN_LOCK;
    else
        say("its memory is not locked: %s", strerror(errno));
    if (sched_setscheduler(0, SCHED_FIFO, &priority) == 0)
        can |= GUARD_CAN_REALTIME;
    else
        say("it has no real-time priority: %s", strerror(errno));
    if (write_text("/proc/self/oom_score_adj", "-1000"))
        can |= GUARD_CAN_OUTLIVE_OOM;
    else
        say("the kernel may choose it when memory ends: %s", strerror(errno));
    if (!guard_drop_privileges()) /* the last, since what is above takes some of them */
        say("it keeps more privileges than it needs: %s", strerror(errno));
    return can;
}

/* A predecessor that is being ended lets go before long. */
static bool lock_page(void)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};

    for (int n = 0; n < LOCK_TRIES; n++) {
        if (flock(3, LOCK_EX | LOCK_NB) == 0)
            return true;
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    return false;
}

/* 0, or the exit code. The descriptor is 3 from here on, and the only one. */
static int open_page(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    void *at;

    if (fd < 0 || fstat(fd, &st) != 0 || (fd != 3 && dup2(fd, 3) != 3)) {
        say("%s: %s", path, strerror(errno));
        return EXIT_PAGE;
    }
    (void)close_range(4, ~0u, 0);
    if (!lock_page()) {
        say("%s: another guard has it", path);
        return EXIT_BUSY;
    }
    at = (uint64_t)st.st_size == sizeof *g.page
             ? mmap(NULL, sizeof *g.page, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0)
             : MAP_FAILED;
    if (at == MAP_FAILED || !guard_page_fits(at, (uint64_t)st.st_size)) {
        say("%s: not a page of version %d", path, GUARD_VERSION);
        return EXIT_PAGE;
    }
    g.page = at;
    g.path = path;
    return 0;
}

int main(int argc, char **argv)
{
    struct sigaction term = {.sa_handler = on_term};
    int status;

    if (argc < 2 || argc > 3 || argv[1][0] == '-') {
        say("usage: ringfence-guard PAGE [CGROUP]; ringfence-agent(8) starts it");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)sigaction(SIGTERM, &term, NULL);
    g.dog.fd = -1;
    status = open_page(argv[1]);
    if (status != 0)
        return status;
    if (argc == 3)
        leave_agents_cgroup(argv[2]);
    g.agent_seen_ns = boot_ns();
    g.page_is_there = true;
    g.page->abilities = harden();
    g.page->guard = guard_life_of_self();
    g.dog_inherited = g.page->dog == GUARD_DOG_ARMED;
    while (turn()) {}
    say("nothing is armed, and %s: ended",
        asked_to_end ? "SIGTERM came" : "no agent is here any more");
    return 0;
}
