/* chaos/process.c */
#include "chaos/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos/base.h"

/* The same for everybody, whatever the caller's shell thought of. ASan's leak report at
 * exit is wanted from our daemons too; and libfaketime comes before ASan (clocks.h), which
 * works. */
static char *const child_env[] = {
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL=C.UTF-8",
    "HOME=/",
    "ASAN_OPTIONS=abort_on_error=0:exitcode=99:verify_asan_link_order=0",
    NULL,
};

enum { ENV_MAX = 16 };

static void gather_env(const struct program *what, const char *env[ENV_MAX + 1])
{
    size_t n = 0;

    for (; child_env[n] != NULL; n++)
        env[n] = child_env[n];
    for (size_t i = 0; what->env != NULL && what->env[i] != NULL && n < ENV_MAX; i++)
        env[n++] = what->env[i];
    env[n] = NULL;
}

/* Between fork() and exec: async-signal-safe calls only, other threads may hold locks. */
static _Noreturn void become(const struct ground *g, const struct program *what, int out)
{
    const char *path = what->argv[0], *env[ENV_MAX + 1];
    sigset_t none;

    if (path == NULL)
        _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
        _exit(127);
    /* A session of its own: Ctrl-C is the janitor's business. */
    if (setsid() < 0 || (g != NULL && !ground_move_in(g, what->site)))
        _exit(126);
    /* Libraries open sockets without asking us. */
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    gather_env(what, env);
    execve(path, (char *const *)what->argv, (char *const *)env);
    _exit(127);
}

static pid_t start(const struct ground *g, const struct program *what, int out)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0)
        become(g, what, out);
    return pid;
}

void process_start(struct process *p, const struct ground *g, const struct program *what)
{
    AUTO(auto_close)
    int log = open(what->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (log < 0)
        die("%s: %s", what->log, strerror(errno));
    p->pid = start(g, what, log);
}

bool process_running(struct process *p)
{
    if (p->pid != 0 && waitpid(p->pid, NULL, WNOHANG) == p->pid)
        p->pid = 0;
    return p->pid != 0;
}

void process_signal(struct process *p, int sig)
{
    if (!process_running(p))
        return;
    kill(p->pid, sig);
    if (sig != SIGKILL)
        return;
    waitpid(p->pid, NULL, 0);
    p->pid = 0;
}

static int run(const struct ground *g, const struct program *what, char **ret_output)
{
    AUTO(auto_free) char *output = NULL;
    int out[2], status;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) != 0)
        die("pipe: %s", strerror(errno));
    pid = start(g, what, out[1]);
    close(out[1]);
    output = read_all(out[0]);
    close(out[0]);
    if (waitpid(pid, &status, 0) != pid)
        die("wait for %s: %s", what->argv[0], strerror(errno));
    if (ret_output != NULL) {
        *ret_output = output;
        output = NULL;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_at(const struct ground *g, enum site s, bool as_postgres, const char *const *argv,
           char **ret_output)
{
    static const char *const prefix[] = {"/usr/bin/setpriv", "--reuid",  "postgres",
                                         "--regid",          "postgres", "--clear-groups"};
    enum { ARGV_MAX = 40 };
    const char *all[ARGV_MAX] = {0};
    size_t n = 0;

    for (size_t i = 0; as_postgres && i < ARRAY_LEN(prefix); i++)
        all[n++] = prefix[i];
    for (size_t i = 0; argv[i] != NULL; i++) {
        if (n == ARGV_MAX - 1)
            die("too many arguments for %s", argv[0]);
        all[n++] = argv[i];
    }
    return run(g, &(struct program){.site = s, .argv = all}, ret_output);
}

char *must_run_at(const struct ground *g, enum site s, bool as_postgres,
                  const char *const *argv)
{
    char *output;
    int status = run_at(g, s, as_postgres, argv, &output);

    if (status != 0)
        die("%s in %s ended with %d:\n%s", argv[0], site_name(s), status, output);
    return output;
}

void run_here(const char *const *argv)
{
    AUTO(auto_free) char *output = NULL;
    int status = run(NULL, &(struct program){.argv = argv}, &output);

    if (status != 0)
        die("%s ... %s ended with %d:\n%s", argv[0], argv[1], status, output);
}

/* A child made while we looked is caught by the next look at its parent, which is stopped.
 */
static size_t stop_children(pid_t parent, pid_t *pids, size_t n, size_t max)
{
    AUTO(auto_free)
    char *path = text_new("/proc/%d/task/%d/children", (int)parent, (int)parent);
    AUTO(auto_free) char *children = file_read(path);
    char *at = children;

    while (at != NULL && n < max) {
        char *end;
        pid_t pid = (pid_t)strtol(at, &end, 10);

        if (end == at)
            break;
        kill(pid, SIGSTOP);
        pids[n++] = pid;
        at = end;
    }
    return n;
}

void signal_tree(pid_t pid, int sig)
{
    enum { TREE_MAX = 512 };
    pid_t pids[TREE_MAX] = {pid};
    size_t n = 1;

    if (sig != SIGCONT)
        kill(pid, SIGSTOP);
    for (size_t i = 0; i < n; i++)
        n = stop_children(pids[i], pids, n, TREE_MAX);
    for (size_t i = 0; i < n; i++)
        kill(pids[i], sig);
}
