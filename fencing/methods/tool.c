#include "fencing/methods/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/buf.h"

enum { READ_END, WRITE_END, CHUNK = 16384, DRAINS_MAX = 64 };

struct tool {
    uv_poll_t exit, out, said; /* on the three descriptors below */
    uv_timer_t timer;
    int pidfd, out_fd, said_fd;
    unsigned open; /* handles whose close callback has not run */
    pid_t pid;
    enum tool_end end;
    bool finished;
    tool_done *done; /* NULL: nobody listens any more */
    void *owner;
    struct buf output;
    size_t noise, tail_len;
    bool tail_cut;
    char tail[TOOL_SAID_MAX + 1];
};

/* ---- the process ----------------------------------------------------------------------
 */

struct pipes {
    int in[2], out[2], said[2];
};

static void close_pipes(struct pipes *p)
{
    int *const all[] = {p->in, p->out, p->said};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        auto_close(&all[i][READ_END]);
        auto_close(&all[i][WRITE_END]);
    }
}

static void say_exec_failed(int error)
{
    static const char words[] = "it cannot be run: ";
    const char *why = strerrordesc_np(error);

    (void)!write(STDERR_FILENO, words, sizeof words - 1);
    if (why != NULL)
        (void)!write(STDERR_FILENO, why, strlen(why));
    (void)!write(STDERR_FILENO, "\n", 1);
}

/* Between fork() and exec: async-signal-safe calls only, other threads may hold locks. All
 * signals are blocked: a handler of the loop's would write into its pipe. */
static _Noreturn void become(const struct tool_spec *spec, const struct pipes *p,
                             pid_t parent)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                        "LC_ALL=C.UTF-8", "HOME=/", "PYTHONWARNINGS=ignore",
                                        NULL};
    const struct sched_param ordinary = {.sched_priority = 0};
    int fds[] = {p->in[READ_END], p->out[WRITE_END], p->said[WRITE_END]};
    sigset_t none;

    (void)setsid();
    /* A check that looks with another user's eyes is still root besides. */
    if (syscall(SYS_setresgid, getegid(), getegid(), getegid()) != 0 ||
        syscall(SYS_setresuid, geteuid(), geteuid(), geteuid()) != 0)
        _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* after a change of user, which clears it */
    if (getppid() != parent)
        _exit(126);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    (void)sched_setscheduler(0, SCHED_OTHER, &ordinary);
    (void)setpriority(PRIO_PROCESS, 0, 0);
    /* Where the daemon's own standard streams were closed a pipe may have their numbers. */
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = fcntl(fds[i], F_DUPFD, STDERR_FILENO + 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (dup2(fds[i], (int)i) < 0)
            _exit(126);
    if (close_range(STDERR_FILENO + 1, ~0U, 0) != 0 || chdir("/") != 0)
        _exit(126);
    (void)umask(077);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(spec->path, (char *const *)spec->argv, environment);
    say_exec_failed(errno);
    _exit(127);
}

/* The pipe takes it at once or not at all: nobody waits for a reader. */
static int fill(const struct tool_spec *spec, int fd, struct err *err)
{
    const ssize_t n = spec->input_len > 0 ? write(fd, spec->input, spec->input_len) : 0;

    if (n == (ssize_t)spec->input_len)
        return 0;
    if (n < 0 && errno != EAGAIN)
        return err_errno(err, errno, "write to the pipe of %s", spec->path);
    return err_set(err, ERR_FULL, "a pipe to %s takes less than the %zu bytes to be said",
                   spec->path, spec->input_len);
}

static int fork_tool(struct tool *t, const struct tool_spec *spec, const struct pipes *p,
                     struct err *err)
{
    const pid_t parent = getpid();
    sigset_t all, before;
    int failed;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    t->pid = fork();
    failed = errno;
    if (t->pid == 0)
        become(spec, p, parent);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return t->pid > 0 ? 0 : err_errno(err, failed, "start %s", spec->path);
}

static void kill_all(struct tool *t)
{
    (void)kill(-t->pid, SIGKILL);
    (void)kill(t->pid, SIGKILL); /* it may not have its group yet */
}

static int reap(struct tool *t)
{
    int status = 0;

    if (waitpid(t->pid, &status, WNOHANG) != t->pid) {
        t->end = TOOL_STUCK; /* it stays a zombie of ours, or what it hangs in */
        return 0;
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    if (t->end == TOOL_EXITED)
        t->end = TOOL_SIGNALLED;
    return WTERMSIG(status);
}

/* ---- what it says ---------------------------------------------------------------------
 */

static void give_up(struct tool *t, enum tool_end why)
{
    if (t->end == TOOL_EXITED)
        t->end = why;
    if (!t->finished)
        kill_all(t);
}

static void keep_output(struct tool *t, const char *bytes, size_t n)
{
    if (t->output.len + n > TOOL_OUTPUT_MAX)
        give_up(t, TOOL_NOISY);
    else if (buf_append(&t->output, bytes, n, NULL) != 0)
        give_up(t, TOOL_NOMEM);
}

/* The end of it: what is older gives way. */
static void keep_tail(struct tool *t, const char *bytes, size_t n)
{
    size_t drop;

    if (n > TOOL_SAID_MAX) {
        bytes += n - TOOL_SAID_MAX;
        n = TOOL_SAID_MAX;
        t->tail_cut = true;
    }
    drop = t->tail_len + n > TOOL_SAID_MAX ? t->tail_len + n - TOOL_SAID_MAX : 0;
    if (drop > 0) {
        t->tail_cut = true;
        memmove(t->tail, t->tail + drop, t->tail_len - drop);
        t->tail_len -= drop;
    }
    memcpy(t->tail + t->tail_len, bytes, n);
    t->tail_len += n;
}

/* Only whole lines: half of a word might be half of a secret, which nobody recognises. */
static const char *whole_lines(struct tool *t)
{
    const char *at = t->tail;

    t->tail[t->tail_len] = '\0';
    if (t->tail_cut) {
        at = memchr(t->tail, '\n', t->tail_len);
        at = at != NULL ? at + 1 : t->tail + t->tail_len;
    }
    return at;
}

/* False at the end of it, or while there is nothing. */
static bool take(struct tool *t, int fd, bool *ret_ended)
{
    char chunk[CHUNK];
    const ssize_t n = read(fd, chunk, sizeof chunk);

    *ret_ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    if (n <= 0)
        return false;
    t->noise += (size_t)n;
    if (t->noise > TOOL_NOISE_MAX)
        give_up(t, TOOL_NOISY);
    else if (fd == t->out_fd)
        keep_output(t, chunk, (size_t)n);
    else
        keep_tail(t, chunk, (size_t)n);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct tool *t = poll->data;
    bool ended = status < 0;

    (void)events;
    if (!ended)
        (void)take(t, poll == &t->out ? t->out_fd : t->said_fd, &ended);
    if (ended)
        (void)uv_poll_stop(poll);
}

static void drain(struct tool *t)
{
    bool ended;

    for (int i = 0; i < DRAINS_MAX && take(t, t->out_fd, &ended); i++)
        ;
    for (int i = 0; i < DRAINS_MAX && take(t, t->said_fd, &ended); i++)
        ;
}

/* ---- the end --------------------------------------------------------------------------
 */

static void tool_free(struct tool *t)
{
    auto_close(&t->pidfd);
    auto_close(&t->out_fd);
    auto_close(&t->said_fd);
    buf_free(&t->output);
    explicit_bzero(t->tail, sizeof t->tail);
    free(t);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct tool *t = handle->data;

    if (--t->open == 0)
        tool_free(t);
}

static void finish(struct tool *t)
{
    struct tool_result r = {0};

    if (t->finished)
        return;
    t->finished = true;
    kill_all(t); /* its group; its own pid is not reaped yet, and so nobody else's */
    r.code = reap(t);
    drain(t);
    r.said = whole_lines(t);
    r.out = "";
    if (buf_append(&t->output, "", 1, NULL) == 0) {
        r.out = (const char *)t->output.data;
        r.out_len = t->output.len - 1;
    } else {
        give_up(t, TOOL_NOMEM);
    }
    r.end = t->end;
    uv_close((uv_handle_t *)&t->exit, on_handle_closed);
    uv_close((uv_handle_t *)&t->out, on_handle_closed);
    uv_close((uv_handle_t *)&t->said, on_handle_closed);
    uv_close((uv_handle_t *)&t->timer, on_handle_closed);
    if (t->done != NULL)
        t->done(t->owner, &r);
}

static void on_exit_seen(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    finish(poll->data);
}

static void on_grace_over(uv_timer_t *timer) { finish(timer->data); }

static void kill_and_wait(struct tool *t)
{
    kill_all(t);
    (void)uv_timer_start(&t->timer, on_grace_over, TOOL_GRACE_MS, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct tool *t = timer->data;

    if (t->end == TOOL_EXITED)
        t->end = TOOL_LATE;
    kill_and_wait(t);
}

void tool_cancel(struct tool *t)
{
    if (t == NULL || t->finished)
        return;
    t->done = NULL;
    uv_update_time(t->timer.loop);
    kill_and_wait(t);
}

/* ---- the beginning --------------------------------------------------------------------
 */

static int watch(struct tool *t, uv_loop_t *loop, uv_poll_t *poll, int fd, uv_poll_cb seen)
{
    int status = uv_poll_init(loop, poll, fd);

    if (status != 0)
        return status;
    poll->data = t;
    t->open++;
    return uv_poll_start(poll, UV_READABLE, seen);
}

/* On failure those that were opened are closing. */
static int watch_all(struct tool *t, uv_loop_t *loop, uint32_t deadline_ms)
{
    int status = watch(t, loop, &t->exit, t->pidfd, on_exit_seen);

    if (status == 0)
        status = watch(t, loop, &t->out, t->out_fd, on_readable);
    if (status == 0)
        status = watch(t, loop, &t->said, t->said_fd, on_readable);
    if (status == 0) {
        status = uv_timer_init(loop, &t->timer);
        ASSERT(status == 0);
        t->timer.data = t;
        t->open++;
        uv_update_time(loop); /* what this turn took is not its time */
        status = uv_timer_start(&t->timer, on_deadline, deadline_ms, 0);
        ASSERT(status == 0);
    }
    return status;
}

/* What was started, and cannot be watched, does not stay. */
static void abandon(struct tool *t)
{
    const unsigned open = t->open;

    if (t->pid > 0) {
        kill_all(t);
        (void)waitpid(t->pid, NULL, 0); /* it has hardly begun */
    }
    t->finished = true;
    if (open == 0)
        tool_free(t);
    if (open >= 1)
        uv_close((uv_handle_t *)&t->exit, on_handle_closed);
    if (open >= 2)
        uv_close((uv_handle_t *)&t->out, on_handle_closed);
    if (open >= 3)
        uv_close((uv_handle_t *)&t->said, on_handle_closed);
}

static int open_pipes(struct pipes *p, struct err *err)
{
    if (pipe2(p->in, O_CLOEXEC) == 0 && pipe2(p->out, O_CLOEXEC) == 0 &&
        pipe2(p->said, O_CLOEXEC) == 0 &&
        fcntl(p->in[WRITE_END], F_SETFL, O_NONBLOCK) == 0 &&
        fcntl(p->out[READ_END], F_SETFL, O_NONBLOCK) == 0 &&
        fcntl(p->said[READ_END], F_SETFL, O_NONBLOCK) == 0)
        return 0;
    return err_errno(err, errno, "pipes");
}

static int launch(struct tool *t, uv_loop_t *loop, const struct tool_spec *spec,
                  struct err *err)
{
    AUTO(close_pipes) struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}};
    int status;

    if (open_pipes(&p, err) != 0 || fill(spec, p.in[WRITE_END], err) != 0 ||
        fork_tool(t, spec, &p, err) != 0)
        return err->code;
    t->out_fd = p.out[READ_END];
    t->said_fd = p.said[READ_END];
    p.out[READ_END] = p.said[READ_END] = -1; /* the tool's now */
    t->pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
    if (t->pidfd < 0)
        return err_errno(err, errno, "watch %s", spec->path);
    status = watch_all(t, loop, spec->deadline_ms);
    return status == 0 ? 0 : err_uv(err, status, "watch %s", spec->path);
}

int tool_start(struct tool **ret_tool, struct uv_loop_s *loop, const struct tool_spec *spec,
               tool_done *done, void *owner, struct err *err)
{
    struct tool *t = calloc(1, sizeof *t);
    struct err local = {0};

    if (t == NULL)
        return err_set(err, ERR_NOMEM, "start %s", spec->path);
    t->pidfd = t->out_fd = t->said_fd = -1;
    t->output.limit = TOOL_OUTPUT_MAX + CHUNK;
    t->done = done;
    t->owner = owner;
    if (launch(t, loop, spec, &local) != 0) {
        abandon(t);
        if (err != NULL)
            *err = local;
        return local.code;
    }
    *ret_tool = t;
    return 0;
}

/* ---- where it is ----------------------------------------------------------------------
 */

static int try_path(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_errno(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return err_set(err, ERR_REFUSED, "%s is no program that this user can run", path);
    return 0;
}

int tool_find(const char *name, char ret_path[TOOL_PATH_SIZE], struct err *err)
{
    static const char *const places[] = {"/usr/sbin", "/usr/bin"};

    if (name[0] != '/' && (name[0] == '\0' || strchr(name, '/') != NULL))
        return err_set(err, ERR_INVAL,
                       "\"%s\": the name of a fence agent, like fence_ipmilan, or an "
                       "absolute path is expected",
                       name);
    if (name[0] == '/') {
        (void)snprintf(ret_path, TOOL_PATH_SIZE, "%s", name);
        return try_path(ret_path, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct err why = {0};
        int status;

        (void)snprintf(ret_path, TOOL_PATH_SIZE, "%s/%s", places[i], name);
        status = try_path(ret_path, &why);
        if (status != ERR_NOTFOUND)
            return status == 0 ? 0 : err_set(err, why.code, "%s", why.text);
    }
    return err_set(err, ERR_NOTFOUND,
                   "there is no %s in %s or %s: install the package that has it (Debian: "
                   "`apt-get install fence-agents`)",
                   name, places[0], places[1]);
}
