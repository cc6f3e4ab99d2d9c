/* A start that hangs: what a supervisor hears of it, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/starting.h"

enum { PATIENCE_MS = 20000 };

static int supervisor; /* systemd's end of NOTIFY_SOCKET */

static int setup(void **state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(sa_family_t);
    char name[80];

    (void)state;
    supervisor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (supervisor < 0 || bind(supervisor, (struct sockaddr *)&sa, len) != 0)
        return -1; /* without a name the kernel chooses an abstract one */
    len = sizeof sa;
    if (getsockname(supervisor, (struct sockaddr *)&sa, &len) != 0)
        return -1;
    (void)snprintf(name, sizeof name, "@%.*s",
                   (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
                   sa.sun_path + 1);
    return setenv("NOTIFY_SOCKET", name, 1);
}

static int teardown(void **state)
{
    (void)state;
    return close(supervisor);
}

/* The next message begins so: how long a busy machine took is left open. */
static void assert_heard(const char *words)
{
    struct pollfd fd = {.fd = supervisor, .events = POLLIN};
    char text[1000] = "";

    assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
    assert_true(recv(supervisor, text, sizeof text - 1, 0) > 0);
    if (strncmp(text, words, strlen(words)) != 0)
        fail_msg("%s: %s", words, text);
}

static pid_t child_of(void (*life)(void))
{
    const pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    life();
    _exit(99);
}

static void hang(void)
{
    starting_begin();
    starting_at("open %s", "/x/lock");
    starting_at("read %s", "/x/raft.db");
    for (;;)
        (void)pause();
}

/* It is told what is waited for, and SIGTERM is obeyed as if it ran. */
static void who_hangs_says_so_and_can_be_ended(void **state)
{
    const pid_t pid = child_of(hang);
    int status;

    (void)state;
    assert_true(pid > 0);
    assert_heard("STATUS=not started yet: read /x/raft.db (");
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_heard("STOPPING=1");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void get_on(void)
{
    starting_begin();
    starting_at("read %s", "/x/raft.db");
    (void)poll(NULL, 0, STARTING_FIRST_MS + 500);
    starting_end();
    for (;;)
        (void)pause();
}

/* One that gets on takes back what it said, and from then on signals are its own again. */
static void who_gets_on_takes_it_back(void **state)
{
    const pid_t pid = child_of(get_on);
    int status;

    (void)state;
    assert_true(pid > 0);
    assert_heard("STATUS=not started yet: read /x/raft.db (");
    assert_heard("STATUS=");
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* by default */
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void start_quickly(void)
{
    starting_begin();
    starting_at("read %s", "/x/raft.db");
    starting_end();
    starting_at("more of it"); /* a part that is opened again later */
    starting_end();
    _exit(0);
}

static void who_starts_quickly_says_nothing(void **state)
{
    const pid_t pid = child_of(start_quickly);
    char byte;
    int status;

    (void)state;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(recv(supervisor, &byte, 1, MSG_DONTWAIT), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_hangs_says_so_and_can_be_ended, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_gets_on_takes_it_back, setup, teardown),
        cmocka_unit_test_setup_teardown(who_starts_quickly_says_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
