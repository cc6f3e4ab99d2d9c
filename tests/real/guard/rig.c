#include "tests/real/guard/rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fencing/guard/guard_rules.h"
#include "fencing/guard/proc.h"

enum { POLL_US = 2000, NS_PER_MS = 1000000 };

struct rig rig;

uint64_t rig_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool rig_lives(pid_t pid) { return guard_proc_start_ms((uint64_t)pid) != 0; }

void rig_until(bool (*claim)(const void *arg), const void *arg, const char *what)
{
    const struct timespec pause = {.tv_nsec = POLL_US * 1000};
    const uint64_t until = rig_now_ns() + (uint64_t)RIG_WAIT_MS * NS_PER_MS;

    while (!claim(arg)) {
        if (rig_now_ns() > until)
            fail_msg("waited %d ms in vain for: %s", RIG_WAIT_MS, what);
        (void)nanosleep(&pause, NULL);
    }
}

void rig_while(bool (*claim)(const void *arg), const void *arg, unsigned ms)
{
    const struct timespec pause = {.tv_nsec = POLL_US * 1000};
    const uint64_t until = rig_now_ns() + (uint64_t)ms * NS_PER_MS;

    while (rig_now_ns() < until) {
        assert_true(claim(arg));
        (void)nanosleep(&pause, NULL);
    }
}

/* ---- the guard ------------------------------------------------------------------------
 */

static bool beats(const void *since)
{
    return __atomic_load_n(&rig.page->beat_ns, __ATOMIC_ACQUIRE) > *(const uint64_t *)since;
}

void rig_guard(void)
{
    const uint64_t since = rig_now_ns();

    rig.guard = fork();
    assert_true(rig.guard >= 0);
    if (rig.guard == 0) {
        execl(GUARD_BINARY, "ringfence-guard", rig.path, (char *)NULL);
        _exit(127);
    }
    rig_until(beats, &since, "the guard's first turn");
}

static int guard_status;

static bool guard_has_ended(const void *unused)
{
    (void)unused;
    return waitpid(rig.guard, &guard_status, WNOHANG) == rig.guard;
}

int rig_guard_ends(void)
{
    rig_until(guard_has_ended, NULL, "the guard's end");
    rig.guard = 0;
    return WIFEXITED(guard_status) ? WEXITSTATUS(guard_status)
                                   : 128 + WTERMSIG(guard_status);
}

/* ---- servers --------------------------------------------------------------------------
 */

static void become_server(const char *dir, unsigned n, bool frozen, int tell)
{
    char count[16];

    (void)setpgid(0, 0); /* for rig_end() */
    (void)snprintf(count, sizeof count, "%u", n);
    if (tell != 3 && dup2(tell, 3) != 3)
        _exit(1);
    execl(SERVER_BINARY, "server", dir, count, frozen ? "1" : "0", (char *)NULL);
    _exit(127);
}

struct rig_server *rig_server(unsigned n, bool frozen)
{
    struct rig_server *s = &rig.servers[rig.n];
    ssize_t want = (ssize_t)(n * sizeof s->backends[0]);
    int ends[2];

    (void)snprintf(s->dir, sizeof s->dir, "%s/server-%u", rig.dir, rig.n++);
    (void)mkdir(s->dir, 0700);
    assert_int_equal(pipe(ends), 0);
    s->n = n;
    s->postmaster = fork();
    assert_true(s->postmaster >= 0);
    if (s->postmaster == 0)
        become_server(s->dir, n, frozen, ends[1]);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], s->backends, (size_t)want), want);
    (void)close(ends[0]);
    return s;
}

unsigned rig_count(const struct rig_server *s)
{
    unsigned count = rig_lives(s->postmaster);

    (void)waitpid(s->postmaster, NULL, WNOHANG);
    for (unsigned i = 0; i < s->n; i++)
        count += rig_lives(s->backends[i]);
    return count;
}

bool rig_is_gone(const void *server) { return rig_count(server) == 0; }

bool rig_is_whole(const void *server)
{
    const struct rig_server *s = server;

    return rig_count(s) == s->n + 1;
}

struct guard_order rig_order(const struct rig_server *s, int ms)
{
    struct guard_order o = {.armed = 1, .ttl_ms = 3000};
    const struct guard_life life = {(uint64_t)s->postmaster,
                                    guard_proc_start_ms((uint64_t)s->postmaster)};

    (void)snprintf(o.group, sizeof o.group, "%s", strrchr(s->dir, '/') + 1);
    assert_true(guard_process_read(&life, &o.process));
    /* The test's own cgroup holds more than this server. */
    assert_string_equal(o.process.cgroup, "");
    if (ms >= 0)
        o.open_until_ns = o.lease_until_ns = rig_now_ns() + (uint64_t)ms * NS_PER_MS;
    return o;
}

void rig_put(unsigned slot, const struct guard_order *order)
{
    struct guard_slot *s = &rig.page->slots[slot];

    guard_put(&s->order_seq, &s->order, order, sizeof *order);
}

const struct guard_result *rig_result(unsigned slot)
{
    return &rig.page->slots[slot].result;
}

/* ---- fixture --------------------------------------------------------------------------
 */

int rig_begin(void **state)
{
    static const struct guard_page fresh = {
        .magic = GUARD_MAGIC, .version = GUARD_VERSION, .size = sizeof fresh};
    int fd;

    (void)state;
    memset(&rig, 0, sizeof rig);
    (void)snprintf(rig.dir, sizeof rig.dir, "/tmp/rf-guard-XXXXXX");
    assert_non_null(mkdtemp(rig.dir));
    (void)snprintf(rig.path, sizeof rig.path, "%s/page", rig.dir);
    fd = open(rig.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &fresh, sizeof fresh), sizeof fresh);
    rig.page = mmap(NULL, sizeof *rig.page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(rig.page != MAP_FAILED);
    (void)close(fd);
    rig.page->agent = guard_life_of_self();
    return 0;
}

int rig_end(void **state)
{
    (void)state;
    if (rig.guard > 0) {
        (void)kill(rig.guard, SIGKILL);
        (void)waitpid(rig.guard, NULL, 0);
    }
    for (unsigned i = 0; i < rig.n; i++) {
        (void)kill(-rig.servers[i].postmaster, SIGKILL);
        (void)waitpid(rig.servers[i].postmaster, NULL, 0);
        (void)rmdir(rig.servers[i].dir);
    }
    (void)munmap(rig.page, sizeof *rig.page);
    (void)unlink(rig.path);
    return rmdir(rig.dir);
}
