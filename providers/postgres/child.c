#include "providers/postgres/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/base/assert.h"
#include "controller/base/buf.h"
#include "providers/postgres/process.h"

void pg_child_become(const struct pg *pg)
{
    if (getuid() != 0)
        return;
    if (initgroups(pg->user, pg->gid) != 0 || setresgid(pg->gid, pg->gid, pg->gid) != 0 ||
        setresuid(pg->uid, pg->uid, pg->uid) != 0)
        _exit(126);
}

static void reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}

__attribute__((noreturn)) static void become_tool(const struct pg *pg,
                                                  const struct pg_tool *tool,
                                                  const char *path, int out)
{
    const char *argv[PG_TOOL_ARGS_MAX + 2] = {path};
    pid_t worker = getppid();
    int null = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    reset_signals();
    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    close_range(3, ~0u, 0);
    if (!tool->as_root)
        pg_child_become(pg);
    /* After the change of user, which clears it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != worker)
        _exit(126);

    for (size_t i = 0; tool->args[i] != NULL; i++)
        argv[i + 1] = tool->args[i];
    setenv("LC_ALL", "C", 1);
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("PGCONNECT_TIMEOUT", "5", 1);
    setenv("PGAPPNAME", "ringfence", 1);
    if (pg->spec->passfile[0] != '\0')
        setenv("PGPASSFILE", pg->spec->passfile, 1);
    unsetenv("PGOPTIONS");
    if (!tool->unmarked)
        setenv(PG_TOOL_MARK, pg->spec->data, 1);
    if (chdir("/") != 0)
        _exit(126);
    execvp(path, (char *const *)argv);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Reads what is there; false at the end of the output. */
static bool drain(int fd, struct buf *b)
{
    char chunk[8192];
    ssize_t n;

    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        size_t room = PG_TOOL_OUTPUT_MAX - b->len;
        struct err dropped;

        if (buf_append(b, chunk, (size_t)n < room ? (size_t)n : room, &dropped) != 0)
            break; /* no memory: what is kept is enough for a message */
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Collects output until the process has ended; false when the deadline came first. */
static bool watch(int out, int pidfd, struct mono deadline, struct buf *b)
{
    for (;;) {
        struct pollfd p[] = {{.fd = out, .events = POLLIN},
                             {.fd = pidfd, .events = POLLIN}};
        int n = poll(p, 2, pg_left_ms(deadline));

        if (n == 0)
            return false;
        if (n < 0)
            continue;
        if (p[0].revents != 0 && !drain(out, b))
            out = -1; /* closed early: the exit is still to come */
        if (p[1].revents != 0) {
            if (out >= 0)
                (void)drain(out, b);
            return true;
        }
    }
}

static int reap(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 126;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int program_path(const struct pg *pg, const struct pg_tool *tool, char **ret_path,
                        struct err *err)
{
    int n = tool->as_root || strchr(tool->program, '/') != NULL
                ? asprintf(ret_path, "%s", tool->program)
                : asprintf(ret_path, "%s/%s", pg->spec->bin_dir, tool->program);

    if (n < 0) {
        *ret_path = NULL;
        return err_set(err, ERR_NOMEM, "path");
    }
    return 0;
}

int pg_run(const struct pg *pg, const struct pg_tool *tool, struct mono deadline,
           char **ret_output, int *ret_exit, struct err *err)
{
    AUTO(auto_free) char *path = NULL;
    AUTO(auto_close) int out = -1;
    AUTO(auto_close) int pidfd = -1;
    AUTO(buf_free) struct buf b = {0};
    int pipes[2];
    bool ended;
    pid_t pid;

    if (program_path(pg, tool, &path, err) != 0)
        return err->code;
    ASSERT(path != NULL);
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return err_errno(err, errno, "pipe for %s", path);
    out = pipes[0];
    if (fcntl(out, F_SETFL, O_NONBLOCK) != 0 || (pid = fork()) < 0) {
        close(pipes[1]);
        return err_errno(err, errno, "start %s", path);
    }
    if (pid == 0)
        become_tool(pg, tool, path, pipes[1]);
    close(pipes[1]);
    setpgid(pid, pid); /* both sides do it: whoever comes first */
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    ended = pidfd >= 0 && watch(out, pidfd, deadline, &b);
    /* Its helpers (pg_basebackup forks one) end with it, on every path. */
    kill(-pid, SIGKILL);
    *ret_exit = reap(pid);
    (void)drain(out, &b);

    if (buf_reserve(&b, 1, err) != 0)
        return err->code;
    b.data[b.len] = '\0';
    if (!ended)
        return err_set(err, ERR_TIMEOUT, "%s did not end in time and was killed",
                       tool->program);
    if (*ret_exit == 127)
        return err_set(err, ERR_NOTFOUND, "%s: no such program", path);
    *ret_output = (char *)TAKE(b.data);
    return 0;
}

int pg_run_ok(const struct pg *pg, const struct pg_tool *tool, struct mono deadline,
              char **ret_output, struct err *err)
{
    AUTO(auto_free) char *output = NULL;
    size_t named = strlen(tool->program);
    int exit_status = 0;
    char words[256];
    bool skip; /* most of them say their own name */

    if (pg_run(pg, tool, deadline, &output, &exit_status, err) != 0)
        return err->code;
    ASSERT(output != NULL);
    if (exit_status != 0) {
        pg_last_words(output, words, sizeof words);
        skip = strncmp(words, tool->program, named) == 0 && words[named] == ':';
        return err_set(err, ERR_REFUSED, "%s: %s (exit status %d)", tool->program,
                       words + (skip ? named + 1 + strspn(words + named + 1, " ") : 0),
                       exit_status);
    }
    if (ret_output != NULL)
        *ret_output = TAKE(output);
    return 0;
}

static bool says_why(const char *line, size_t len)
{
    return memmem(line, len, "FATAL", 5) != NULL || memmem(line, len, "PANIC", 5) != NULL ||
           memmem(line, len, "error:", 6) != NULL;
}

void pg_last_words(const char *text, char *line, size_t size)
{
    const char *best = "no output";
    size_t best_len = strlen(best);
    bool best_says_why = false;

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        bool why = says_why(text, len);

        if (len > 0 && (why || !best_says_why)) {
            best = text;
            best_len = len;
            best_says_why = why;
        }
        text += len + (text[len] == '\n');
    }
    snprintf(line, size, "%.*s", (int)(best_len < size ? best_len : size - 1), best);
}
