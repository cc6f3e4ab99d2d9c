#include "tests/real/guard/fake_dog.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/real/guard/rig.h"

enum { MOST_S = 60, DEFAULT_S = 30, POLL_US = 200, TRAP = SIGTRAP | 0x80 };

static const uint64_t NS_PER_S = 1000000000u;

struct fake_dog dog;
static int dog_fd = -1;
static bool inside; /* between the entry of a system call and its exit */
static bool ours;   /* the one that is under way is answered by us */
static long answer;

static void note(const char *event)
{
    const size_t used = strlen(dog.events);
    const char *last = strrchr(dog.events, ' ');

    last = last != NULL ? last + 1 : dog.events;
    if (used == 0 || strcmp(last, event) != 0)
        (void)snprintf(dog.events + used, sizeof dog.events - used, "%s%s",
                       used != 0 ? " " : "", event);
}

/* The hardware counts by itself. */
static void look_at_time(void)
{
    if (dog.armed && dog.reset_ns == 0 &&
        rig_now_ns() > dog.word_ns + dog.timeout_s * NS_PER_S)
        dog.reset_ns = dog.word_ns + dog.timeout_s * NS_PER_S;
}

static void word(const char *event)
{
    look_at_time();
    assert_true(dog.armed);
    dog.word_ns = rig_now_ns();
    dog.words++;
    note(event);
}

/* ---- memory of the guard --------------------------------------------------------------
 */

static void read_text(unsigned long at, char *text, size_t size)
{
    for (size_t i = 0; i + 1 < size; i += sizeof(long)) {
        long bytes = ptrace(PTRACE_PEEKDATA, rig.guard, (void *)(at + i), NULL);

        memcpy(text + i, &bytes, sizeof bytes < size - i ? sizeof bytes : size - i);
        if (memchr(&bytes, 0, sizeof bytes) != NULL)
            break;
    }
    text[size - 1] = '\0';
}

static int read_int(unsigned long at)
{
    return (int)ptrace(PTRACE_PEEKDATA, rig.guard, (void *)at, NULL);
}

static void write_int(unsigned long at, int value)
{
    long bytes = ptrace(PTRACE_PEEKDATA, rig.guard, (void *)at, NULL);

    memcpy(&bytes, &value, sizeof value);
    assert_int_equal(ptrace(PTRACE_POKEDATA, rig.guard, (void *)at, (void *)bytes), 0);
}

/* ---- the driver -----------------------------------------------------------------------
 */

static long on_ioctl(unsigned long request, unsigned long at)
{
    char event[32];

    if (request == WDIOC_KEEPALIVE) {
        word("keepalive");
        return 0;
    }
    if (request == WDIOC_SETTIMEOUT) {
        const int seconds = read_int(at);

        (void)snprintf(event, sizeof event, "set(%d)", seconds);
        note(event);
        if (seconds < (int)dog.least_s || seconds > MOST_S)
            return -EINVAL;
        dog.timeout_s = (unsigned)seconds;
        dog.word_ns = rig_now_ns(); /* the driver starts it anew */
        return 0;
    }
    if (request == WDIOC_GETTIMEOUT) {
        write_int(at, (int)dog.timeout_s);
        note("get");
        return 0;
    }
    fail_msg("an ioctl that no watchdog knows: %#lx", request);
    return -ENOTTY;
}

static long on_write(unsigned long at, unsigned long len)
{
    char text[16] = "";

    assert_int_equal(len, 1);
    read_text(at, text, sizeof text);
    assert_int_equal(text[0], 'V'); /* it speaks by ioctl: any other byte is a mistake */
    dog.magic = true;
    word("V");
    return (long)len;
}

static void on_close(void)
{
    look_at_time();
    note(dog.magic ? "close" : "close-without-V");
    dog.open = false;
    dog.armed = !dog.magic;
    dog.disarms += dog.magic;
    dog_fd = -1;
}

static void on_opened(long fd)
{
    assert_false(dog.open); /* the driver has one place */
    assert_true(fd >= 0);
    dog_fd = (int)fd;
    dog.open = dog.armed = true;
    dog.magic = false;
    dog.opens++;
    if (dog.timeout_s == 0)
        dog.timeout_s = DEFAULT_S;
    dog.word_ns = rig_now_ns();
    note("open");
}

/* ---- system calls ---------------------------------------------------------------------
 */

static bool opening;

static void on_entry(struct user_regs_struct *r)
{
    char path[128] = "";

    opening = ours = false;
    if (r->orig_rax == SYS_openat) {
        read_text(r->rsi, path, sizeof path);
        opening = strcmp(path, dog.path) == 0;
    } else if (r->orig_rax == SYS_ioctl && (int)r->rdi == dog_fd && dog_fd >= 0) {
        answer = on_ioctl(r->rsi, r->rdx);
        ours = true;
    } else if (r->orig_rax == SYS_write && (int)r->rdi == dog_fd && dog_fd >= 0) {
        answer = on_write(r->rsi, r->rdx);
        ours = true;
    } else if (r->orig_rax == SYS_close && (int)r->rdi == dog_fd && dog_fd >= 0) {
        on_close();
    } else if (r->orig_rax == SYS_pidfd_send_signal && dog.no_kill) {
        answer = 0;
        ours = true;
    }
    if (!ours)
        return;
    r->orig_rax = (unsigned long long)-1; /* nothing is done */
    assert_int_equal(ptrace(PTRACE_SETREGS, rig.guard, NULL, r), 0);
}

static void on_exit_of(struct user_regs_struct *r)
{
    if (opening)
        on_opened((long)r->rax);
    if (!ours)
        return;
    r->rax = (unsigned long long)answer;
    assert_int_equal(ptrace(PTRACE_SETREGS, rig.guard, NULL, r), 0);
}

static void on_stop(int status)
{
    struct user_regs_struct r;
    int deliver = 0;

    if (WSTOPSIG(status) == TRAP) {
        assert_int_equal(ptrace(PTRACE_GETREGS, rig.guard, NULL, &r), 0);
        inside = !inside;
        if (inside)
            on_entry(&r);
        else
            on_exit_of(&r);
    } else if (WSTOPSIG(status) != SIGTRAP) {
        deliver = WSTOPSIG(status);
    }
    assert_int_equal(ptrace(PTRACE_SYSCALL, rig.guard, NULL, (void *)(long)deliver), 0);
}

bool dog_until(bool (*claim)(const void *arg), const void *arg, unsigned ms)
{
    const struct timespec pause = {.tv_nsec = POLL_US * 1000};
    const uint64_t until = rig_now_ns() + ms * (NS_PER_S / 1000);
    int status;

    while (rig_now_ns() < until) {
        if (waitpid(rig.guard, &status, WNOHANG | __WALL) != rig.guard) {
            look_at_time();
            if (claim != NULL && claim(arg))
                return true;
            (void)nanosleep(&pause, NULL);
            continue;
        }
        assert_true(WIFSTOPPED(status));
        on_stop(status);
    }
    return claim != NULL && claim(arg);
}

void dog_run(unsigned ms) { (void)dog_until(NULL, NULL, ms); }

static void trace_guard(void)
{
    int status;

    inside = ours = opening = false;
    rig.guard = fork();
    assert_true(rig.guard >= 0);
    if (rig.guard == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execl(GUARD_BINARY, "ringfence-guard", rig.path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(rig.guard, &status, __WALL), rig.guard);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, rig.guard, NULL,
                            (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
                     0);
    assert_int_equal(ptrace(PTRACE_SYSCALL, rig.guard, NULL, NULL), 0);
}

void dog_start(void)
{
    int fd;

    memset(&dog, 0, sizeof dog);
    dog.least_s = 1;
    dog_fd = -1;
    (void)snprintf(dog.path, sizeof dog.path, "%s/watchdog", rig.dir);
    fd = open(dog.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(rig.page->watchdog, sizeof rig.page->watchdog, "%s", dog.path);
    trace_guard();
}

void dog_kill_guard(void)
{
    int status;

    (void)kill(rig.guard, SIGKILL);
    while (waitpid(rig.guard, &status, __WALL) == rig.guard && WIFSTOPPED(status))
        ;
    if (dog.open)
        on_close();
    trace_guard();
}

void dog_end(void) { (void)unlink(dog.path); }
