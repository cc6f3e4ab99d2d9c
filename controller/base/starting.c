#include "controller/base/starting.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/notify.h"

enum { STEP_SIZE = 700, SECOND_MS = 1000 };

static struct {
    bool begun, told;
    int signals, ended; /* a signalfd and an eventfd, -1: none */
    sigset_t before;
    pthread_t thread;
    struct mono since;

    pthread_mutex_t mutex; /* over these two */
    char step[STEP_SIZE];
    struct mono step_since;
} starting = {.signals = -1, .ended = -1, .mutex = PTHREAD_MUTEX_INITIALIZER};

static uint64_t look(char step[STEP_SIZE])
{
    uint64_t ms;

    (void)pthread_mutex_lock(&starting.mutex);
    (void)snprintf(step, STEP_SIZE, "%s", starting.step);
    ms = mono_since_ms(starting.step_since, mono_now());
    (void)pthread_mutex_unlock(&starting.mutex);
    return ms;
}

static void tell(void)
{
    char step[STEP_SIZE], status[STEP_SIZE + 64];
    uint64_t s = (look(step) + SECOND_MS / 2) / SECOND_MS;

    starting.told = true;
    log_warn(
        "not started yet: for %" PRIu64 " s now it waits for: %s; if that does not go "
        "on, its disk hangs: look at dmesg and at the mount; SIGTERM ends this process",
        s, step);
    (void)snprintf(status, sizeof status, "STATUS=not started yet: %s (%" PRIu64 " s)",
                   step, s);
    notify_systemd(status);
}

static void end_by_signal(void)
{
    struct signalfd_siginfo info = {0};
    char step[STEP_SIZE];

    if (read(starting.signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    (void)look(step);
    log_info("ending, by signal %" PRIu32 ", before it had started; it waited for: %s",
             info.ssi_signo, step);
    notify_systemd("STOPPING=1");
    _exit(EXIT_SUCCESS); /* who hangs in a system call runs no handler of exit() */
}

static void *watch(void *unused)
{
    struct pollfd fds[] = {{.fd = starting.ended, .events = POLLIN},
                           {.fd = starting.signals, .events = POLLIN}};
    int wait_ms = STARTING_FIRST_MS;

    (void)unused;
    for (;;) {
        int n = poll(fds, ARRAY_LEN(fds), wait_ms);

        if (fds[0].revents != 0)
            return NULL;
        if (n > 0)
            end_by_signal();
        if (n != 0)
            continue;
        tell();
        wait_ms = STARTING_AGAIN_MS;
    }
}

static void let_go(void)
{
    (void)pthread_sigmask(SIG_SETMASK, &starting.before, NULL);
    if (starting.signals >= 0)
        (void)close(starting.signals);
    if (starting.ended >= 0)
        (void)close(starting.ended);
    starting.signals = starting.ended = -1;
}

void starting_begin(void)
{
    sigset_t asked;

    (void)sigemptyset(&asked);
    (void)sigaddset(&asked, SIGTERM);
    (void)sigaddset(&asked, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &asked, &starting.before);
    starting.since = mono_now();
    starting_at("its own first steps");
    starting.signals = signalfd(-1, &asked, SFD_CLOEXEC);
    starting.ended = eventfd(0, EFD_CLOEXEC);
    if (starting.signals >= 0 && starting.ended >= 0 &&
        pthread_create(&starting.thread, NULL, watch, NULL) == 0)
        starting.begun = true;
    else
        let_go();
}

void starting_at(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)pthread_mutex_lock(&starting.mutex);
    (void)vsnprintf(starting.step, sizeof starting.step, fmt, args);
    starting.step_since = mono_now();
    (void)pthread_mutex_unlock(&starting.mutex);
    va_end(args);
}

void starting_end(void)
{
    const uint64_t one = 1;

    if (!starting.begun)
        return;
    if (write(starting.ended, &one, sizeof one) == (ssize_t)sizeof one)
        (void)pthread_join(starting.thread, NULL);
    starting.begun = false;
    let_go();
    if (!starting.told)
        return;
    log_info("what it waited for is over; the start took %" PRIu64 " s",
             mono_since_ms(starting.since, mono_now()) / SECOND_MS);
    notify_systemd("STATUS=");
}
