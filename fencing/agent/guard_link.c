#include "fencing/agent/guard_link.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "fencing/guard/guard_rules.h"
#include "fencing/guard/proc.h"

enum { AGAIN_MS = 1000, STILL_MS = 2 * GUARD_STILL_MS, PATH_SIZE = 320, HEAD_SIZE = 32 };

/* The life of one guard, as far as we watch it; the loop frees it. */
struct watched {
    struct guard_link *l; /* NULL: nobody cares any more */
    uv_poll_t poll;
    int fd;
    struct guard_life life;
    bool ours; /* our child: it is reaped by us */
};

struct guard_link {
    struct uv_loop_s *loop;
    char path[PATH_SIZE], program[PATH_SIZE], cgroup[PATH_SIZE];
    struct guard_page *page;
    struct watched *watched; /* NULL: there is no guard */
    struct boot started, still_since;
    uint64_t beat;
    unsigned starts;
    struct guard_health health;
};

static int start(struct guard_link *l, struct err *err);

/* ---- the page -------------------------------------------------------------------------
 */

static int read_boot_id(char *text, size_t size, struct err *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;

    if (n <= 0)
        return err_errno(err, errno, "%s", path);
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

/* A guard of another version reads another page: it is ended, and what it was to enforce is
 * told to the new one before a gate opens again. */
static void end_other(int fd)
{
    union {
        struct guard_page page;
        char head[HEAD_SIZE];
    } it = {.head = {0}};
    int pidfd;

    _Static_assert(offsetof(struct guard_page, agent) == HEAD_SIZE, "for ever");
    if (pread(fd, it.head, HEAD_SIZE, 0) != HEAD_SIZE || it.page.magic != GUARD_MAGIC)
        return;
    pidfd = (int)syscall(SYS_pidfd_open, (pid_t)it.page.guard.pid, 0);
    if (pidfd >= 0 && guard_life_lives(&it.page.guard)) {
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        log_info("a guard of another version (pid %" PRIu64 ") is replaced",
                 it.page.guard.pid);
    }
    auto_close(&pidfd);
}

static int make_page(struct guard_link *l, const char *boot_id, struct err *err)
{
    struct guard_page fresh = {
        .magic = GUARD_MAGIC, .version = GUARD_VERSION, .size = sizeof fresh};
    AUTO(auto_close) int fd = -1;
    char made[PATH_SIZE + 8];

    text_set(fresh.boot_id, sizeof fresh.boot_id, "%s", boot_id);
    (void)snprintf(made, sizeof made, "%s.new", l->path);
    (void)unlink(made);
    fd = open(made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "%s", made);
    if (write(fd, &fresh, sizeof fresh) != (ssize_t)sizeof fresh)
        return err_errno(err, errno != 0 ? errno : EIO, "%s", made);
    if (rename(made, l->path) != 0)
        return err_errno(err, errno, "%s", l->path);
    return 0;
}

static bool map_page(struct guard_link *l, const char *boot_id)
{
    AUTO(auto_close) int fd = open(l->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct guard_page *at;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return false;
    if ((uint64_t)st.st_size != sizeof *at || st.st_uid != geteuid()) {
        end_other(fd);
        return false;
    }
    at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return false;
    if (guard_page_fits(at, (uint64_t)st.st_size) &&
        strncmp(at->boot_id, boot_id, sizeof at->boot_id) == 0) {
        l->page = at;
        return true;
    }
    (void)munmap(at, sizeof *at);
    end_other(fd);
    return false;
}

static int open_page(struct guard_link *l, struct err *err)
{
    char boot_id[sizeof l->page->boot_id];
    int status = read_boot_id(boot_id, sizeof boot_id, err);

    if (status != 0 || map_page(l, boot_id))
        return status;
    status = make_page(l, boot_id, err);
    if (status == 0 && !map_page(l, boot_id))
        status = err_set(err, ERR_IO, "%s: cannot be mapped", l->path);
    return status;
}

/* ---- its life -------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle)
{
    struct watched *w = CONTAINER_OF((uv_poll_t *)(void *)handle, struct watched, poll);

    auto_close(&w->fd);
    free(w);
}

static void unwatch(struct guard_link *l)
{
    struct watched *w = l->watched;

    if (w == NULL)
        return;
    l->watched = NULL;
    w->l = NULL;
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

static void on_end(uv_poll_t *poll, int status, int events)
{
    struct watched *w = CONTAINER_OF(poll, struct watched, poll);
    struct guard_link *l = w->l;
    struct err err;

    (void)status;
    (void)events;
    if (l == NULL)
        return;
    if (w->ours)
        (void)waitpid((pid_t)w->life.pid, NULL, WNOHANG);
    log_error("the guard (pid %" PRIu64 ") has ended: another one is started", w->life.pid);
    text_set(l->health.problem, sizeof l->health.problem, "it has ended");
    unwatch(l);
    /* At once; but one that dies at each start is tried with the tick. */
    if ((boot_now().ns - l->started.ns) / NS_PER_MS >= AGAIN_MS)
        (void)(start(l, &err) != 0); /* what went wrong is in the health */
}

/* Takes `*w`, if it can: the process is there, and is this one. */
static bool watch(struct guard_link *l, struct watched **w, const struct guard_life *life,
                  bool ours)
{
    struct watched *it = *w;
    int status;

    it->fd = (int)syscall(SYS_pidfd_open, (pid_t)life->pid, 0);
    if (it->fd < 0 || !guard_life_lives(life)) {
        auto_close(&it->fd);
        return false;
    }
    it->l = l;
    it->life = *life;
    it->ours = ours;
    status = uv_poll_init(l->loop, &it->poll, it->fd);
    ASSERT(status == 0);
    status = uv_poll_start(&it->poll, UV_READABLE, on_end);
    ASSERT(status == 0);
    l->watched = TAKE(*w);
    l->still_since = (struct boot){0};
    l->health.problem[0] = '\0';
    return true;
}

static int spawn(const struct guard_link *l, pid_t *ret_pid)
{
    char *argv[] = {(char *)"ringfence-guard", (char *)l->path,
                    l->cgroup[0] != '\0' ? (char *)l->cgroup : NULL, NULL};
    char *environment[] = {NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    int status = posix_spawn_file_actions_init(&files);

    if (status != 0)
        return status;
    status = posix_spawnattr_init(&how);
    if (status != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return status;
    }
    sigemptyset(&none);
    sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&how, &none);
    (void)posix_spawnattr_setsigdefault(&how, &all);
    (void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
    status = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
    if (status == 0)
        status = posix_spawn_file_actions_adddup2(&files, 0, 1);
    if (status == 0)
        status = posix_spawn(ret_pid, l->program, &files, &how, argv, environment);
    (void)posix_spawnattr_destroy(&how);
    (void)posix_spawn_file_actions_destroy(&files);
    return status;
}

static int cannot(struct guard_link *l, const char *why, struct err *err)
{
    if (strcmp(l->health.problem, why) != 0)
        log_error("the guard: %s", why);
    text_set(l->health.problem, sizeof l->health.problem, "%s", why);
    return err_set(err, ERR_IO, "%s", why);
}

static int start(struct guard_link *l, struct err *err)
{
    AUTO(auto_free) struct watched *w = calloc(1, sizeof *w);
    struct guard_life life = {0};
    char why[PATH_SIZE + 64];
    pid_t pid = 0;
    int status;

    l->started = boot_now();
    if (w == NULL)
        return err_set(err, ERR_NOMEM, "watching the guard");
    status = spawn(l, &pid);
    if (status != 0) {
        text_set(why, sizeof why, "%s cannot be started: %s", l->program, strerror(status));
        return cannot(l, why, err);
    }
    l->starts++;
    life.pid = (uint64_t)pid;
    life.start_ms = guard_proc_start_ms(life.pid);
    if (!watch(l, &w, &life, true)) {
        (void)kill(pid, SIGKILL); /* not reaped yet, so it is no other process */
        (void)waitpid(pid, NULL, 0);
        return cannot(l, "it ends at its start", err);
    }
    log_info("the guard is started (pid %d)", pid);
    return 0;
}

static bool beats(const struct guard_page *page)
{
    const uint64_t beat = __atomic_load_n(&page->beat_ns, __ATOMIC_ACQUIRE);

    return boot_now().ns - beat < (uint64_t)GUARD_STILL_MS * NS_PER_MS;
}

static bool adopt(struct guard_link *l, const struct guard_life *life)
{
    AUTO(auto_free) struct watched *w = calloc(1, sizeof *w);

    return w != NULL && watch(l, &w, life, false);
}

static int adopt_or_start(struct guard_link *l, struct err *err)
{
    const struct guard_life life = l->page->guard;
    AUTO(auto_close) int fd = -1;
    bool lives = false;

    if (life.pid != 0) {
        fd = (int)syscall(SYS_pidfd_open, (pid_t)life.pid, 0);
        lives = fd >= 0 && guard_life_lives(&life);
    }
    if (lives && beats(l->page) && adopt(l, &life)) {
        log_info("the guard (pid %" PRIu64 ") is taken over as it is", life.pid);
        return 0;
    }
    if (lives) { /* it holds the page: the new one waits until it has ended */
        log_error("the guard (pid %" PRIu64 ") stands still and is replaced", life.pid);
        (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    }
    return start(l, err);
}

/* One that does not beat is frozen, or worse. It is given as long as that again while we
 * ourselves run, so that a host that was suspended, or we alone, is not its fault. */
static void look_at_beat(struct guard_link *l)
{
    const uint64_t beat = __atomic_load_n(&l->page->beat_ns, __ATOMIC_ACQUIRE);
    const struct boot now = boot_now();

    if (beat != l->beat || l->still_since.ns == 0) {
        l->beat = beat;
        l->still_since = now;
        return;
    }
    if ((now.ns - l->still_since.ns) / NS_PER_MS < STILL_MS)
        return;
    log_error("the guard (pid %" PRIu64 ") stands still: it is ended, and another one "
              "started",
              l->watched->life.pid);
    (void)syscall(SYS_pidfd_send_signal, l->watched->fd, SIGKILL, NULL, 0);
    l->still_since = now;
}

void guard_link_tick(struct guard_link *l)
{
    struct err err;

    if (l->watched != NULL)
        look_at_beat(l);
    else if ((boot_now().ns - l->started.ns) / NS_PER_MS >= AGAIN_MS)
        (void)(adopt_or_start(l, &err) != 0); /* as above */
}

/* ---- orders ---------------------------------------------------------------------------
 */

static struct guard_slot *find(struct guard_link *l, const char *group)
{
    struct guard_slot *fresh = NULL, *unused = NULL;

    for (size_t i = 0; i < GUARD_SLOTS_MAX; i++) {
        struct guard_slot *slot = &l->page->slots[i];

        if (strncmp(slot->order.group, group, GUARD_NAME_SIZE) == 0)
            return slot;
        if (fresh == NULL && slot->order.group[0] == '\0')
            fresh = slot;
        if (unused == NULL && slot->order.armed == 0)
            unused = slot; /* of a group that an agent without its state has forgotten */
    }
    return fresh != NULL ? fresh : unused;
}

bool guard_link_read(struct guard_link *l, const char *group, struct guard_order *ret)
{
    const struct guard_slot *slot = find(l, group);

    if (slot == NULL)
        return false;
    *ret = slot->order; /* nobody but us writes it */
    if (strncmp(ret->group, group, GUARD_NAME_SIZE) != 0)
        *ret = (struct guard_order){0};
    return true;
}

bool guard_link_order(struct guard_link *l, const struct guard_order *order)
{
    struct guard_slot *slot = find(l, order->group);

    if (slot == NULL)
        return false;
    if (memcmp(&slot->order, order, sizeof *order) != 0 || (slot->order_seq & 1) != 0)
        guard_put(&slot->order_seq, &slot->order, order, sizeof *order);
    return true;
}

void guard_link_gate(struct guard_link *l, const struct guard_gate *gate)
{
    if (memcmp(&l->page->gate, gate, sizeof *gate) != 0 || (l->page->gate_seq & 1) != 0)
        guard_put(&l->page->gate_seq, &l->page->gate, gate, sizeof *gate);
}

void guard_link_health(const struct guard_link *l, struct guard_health *ret)
{
    *ret = l->health;
    ret->wanted = true;
    ret->there = l->watched != NULL && beats(l->page);
    ret->pid = l->watched != NULL ? (int32_t)l->watched->life.pid : 0;
    ret->abilities = l->page->abilities;
    ret->starts = l->starts;
    ret->dog = (enum guard_dog)__atomic_load_n(&l->page->dog, __ATOMIC_ACQUIRE);
    ret->dog_errno = l->page->dog_errno;
    ret->dog_timeout_s = l->page->dog_timeout_s;
    ret->stops = 0;
    for (size_t i = 0; i < GUARD_SLOTS_MAX; i++)
        ret->stops += l->page->slots[i].result.stops;
}

/* ---- open and close -------------------------------------------------------------------
 */

static void find_program(struct guard_link *l, const char *program)
{
    char own[PATH_SIZE];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    char *slash;

    own[n > 0 ? n : 0] = '\0';
    slash = strrchr(own, '/');
    if (slash != NULL)
        *slash = '\0';
    if (program != NULL)
        text_set(l->program, sizeof l->program, "%s", program);
    else
        (void)snprintf(l->program, sizeof l->program, "%.280s/ringfence-guard", own);
}

/* Below our own, which systemd delegates to us: the guard's own would be outside of it.
 * What ends our unit's processes one by one, or the agent alone, leaves it; what ends the
 * whole tree (cgroup.kill) ends the servers in it too. */
static void name_cgroup(struct guard_link *l, const char *agent)
{
    char own[PATH_SIZE - 64];

    if (guard_cgroup_of((uint64_t)getpid(), own, sizeof own))
        (void)snprintf(l->cgroup, sizeof l->cgroup, "%s/guard-%s", own, agent);
}

static void tell_watchdog(struct guard_link *l, const char *device)
{
    _Alignas(8) char text[GUARD_PATH_SIZE] = "";

    text_set(text, sizeof text, "%s", device);
    memcpy(l->health.watchdog, text, sizeof text);
    if (memcmp(l->page->watchdog, text, sizeof text) != 0)
        guard_put(&l->page->watchdog_seq, l->page->watchdog, text, sizeof text);
}

int guard_link_open(struct guard_link **ret_link, const struct guard_link_spec *spec,
                    struct err *err)
{
    struct guard_link *l = calloc(1, sizeof *l);
    int status;

    if (l == NULL)
        return err_set(err, ERR_NOMEM, "guard");
    l->loop = spec->loop;
    (void)snprintf(l->path, sizeof l->path, "%s/guard-%s.page", spec->run_dir, spec->agent);
    find_program(l, spec->program);
    name_cgroup(l, spec->agent);
    status = open_page(l, err);
    if (status != 0) {
        free(l);
        return err_wrap(err, "guard");
    }
    l->page->agent = guard_life_of_self();
    tell_watchdog(l, spec->watchdog);
    if (adopt_or_start(l, err) == ERR_NOMEM) {
        (void)munmap(l->page, sizeof *l->page);
        free(l);
        return err_wrap(err, "guard");
    }
    *ret_link = l;
    return 0;
}

void guard_link_close(struct guard_link *l)
{
    if (l == NULL)
        return;
    unwatch(l);
    (void)munmap(l->page, sizeof *l->page);
    free(l);
}
