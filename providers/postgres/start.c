#include "providers/postgres/start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "providers/postgres/child.h"
#include "providers/postgres/files.h"
#include "providers/postgres/mark.h"

enum {
    LOG_KEEP_BYTES = 16 << 20,
    LOG_TAIL_BYTES = 4096,
    ARGS_MAX = 96,
    UNIT_LOOK_MS = 250
};

struct argv {
    size_t n;
    char *of[ARGS_MAX + 1];
};

static void free_argv(struct argv *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->of[i]);
}

PRINTF_LIKE(3, 4)
static int add_arg(struct argv *a, struct err *err, const char *fmt, ...)
{
    va_list args;
    int n;

    if (a->n == ARGS_MAX)
        return err_set(err, ERR_FULL, "server options: more than %d words", ARGS_MAX);
    va_start(args, fmt);
    n = vasprintf(&a->of[a->n], fmt, args);
    va_end(args);
    if (n < 0) {
        a->of[a->n] = NULL;
        return err_set(err, ERR_NOMEM, "server options");
    }
    a->n++;
    return 0;
}

/* Words of spec.options; single or double quotes keep blanks together. */
static int add_options(struct argv *a, const char *options, struct err *err)
{
    while (*options != '\0') {
        char word[1024], quote = '\0';
        size_t len = 0;

        options += strspn(options, " \t\n");
        for (; *options != '\0' && (quote != '\0' || strchr(" \t\n", *options) == NULL);
             options++) {
            if (quote == '\0' && (*options == '\'' || *options == '"'))
                quote = *options;
            else if (quote != '\0' && *options == quote)
                quote = '\0';
            else if (len + 1 < sizeof word)
                word[len++] = *options;
        }
        word[len] = '\0';
        if (quote != '\0' || len + 1 == sizeof word)
            return err_set(err, ERR_INVAL, "server options: open quote or too long a word");
        if (len > 0 && add_arg(a, err, "%s", word) != 0)
            return err->code;
    }
    return 0;
}

/* What I9 demands comes last: the last one on the command line wins. */
static int make_argv(const struct pg *pg, struct argv *a, struct err *err)
{
    const Rf__ServerSpec *s = pg->spec;

    if (add_arg(a, err, "%s/postgres", s->bin_dir) != 0 || add_arg(a, err, "-D") != 0 ||
        add_arg(a, err, "%s", s->data) != 0 || add_options(a, s->options, err) != 0)
        return err->code;
    if (add_arg(a, err, "--listen_addresses=%s", s->address) != 0 ||
        add_arg(a, err, "--port=%" PRIu32, s->port) != 0 ||
        add_arg(a, err, "--unix_socket_directories=%s", s->socket_dir) != 0 ||
        add_arg(a, err, "--unix_socket_permissions=0700") != 0 ||
        add_arg(a, err, "--restart_after_crash=off") != 0 ||
        add_arg(a, err, "--hot_standby=on") != 0)
        return err->code;
    a->of[a->n] = NULL;
    return 0;
}

/* The server's standard error: "<data>.log", beside the directory, since a rewind would
 * remove it from inside. Kept to two files of 16 MiB. */
static int open_log(const struct pg *pg, int *ret_fd, struct err *err)
{
    AUTO(auto_free) char *path = pg_beside(pg, ".log");
    AUTO(auto_free) char *old = pg_beside(pg, ".log.1");
    struct stat st;
    int fd;

    if (path == NULL || old == NULL)
        return err_set(err, ERR_NOMEM, "path");
    if (lstat(path, &st) == 0 && st.st_size > LOG_KEEP_BYTES)
        (void)rename(path, old);
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    if (fchown(fd, pg->uid, pg->gid) != 0) {
        close(fd);
        return err_errno(err, errno, "give %s to %s", path, pg->user);
    }
    *ret_fd = fd;
    return 0;
}

__attribute__((noreturn)) static void become_server(const struct pg *pg, struct argv *a,
                                                    const char *cgroup, int log)
{
    int null = open("/dev/null", O_RDONLY);
    sigset_t none;

    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (cgroup[0] != '\0') {
        int fd = open(cgroup, O_WRONLY);
        ssize_t moved = write(fd, "0", 1);

        (void)moved; /* where it fails, the working directory tells what belongs to us */
    }
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    close_range(3, ~0u, 0);
    pg_child_become(pg);
    if (chdir("/") != 0)
        _exit(126);
    umask(077);
    unsetenv("PGOPTIONS");
    execv(a->of[0], a->of);
    _exit(127);
}

static int spawn(struct pg *pg, int log, struct err *err)
{
    AUTO(free_argv) struct argv a = {0};
    char cgroup[600] = "";
    pid_t pid;

    if (make_argv(pg, &a, err) != 0)
        return err->code;
    if (pg_cgroup_make(pg, cgroup, sizeof cgroup - sizeof "/cgroup.procs"))
        snprintf(cgroup + strlen(cgroup), sizeof "/cgroup.procs", "/cgroup.procs");
    pid = fork();
    if (pid < 0)
        return err_errno(err, errno, "start %s", a.of[0]);
    if (pid == 0)
        become_server(pg, &a, cgroup, log);
    pg->started = pid;
    return 0;
}

static int start_by_systemd(struct pg *pg, const char *unit, struct mono deadline,
                            struct err *err)
{
    char port[16];
    const struct pg_setting settings[] = {
        {"listen_addresses", pg->spec->address},
        {"port", port},
        {"unix_socket_directories", pg->spec->socket_dir},
        {"unix_socket_permissions", "0700"},
        {"restart_after_crash", "off"},
    };
    struct pg_tool tool = {
        .program = "systemctl",
        .args = {"--no-block", "start", unit},
        .as_root = true,
    };

    /* A unit has its own command line: what we demand goes into the configuration. */
    snprintf(port, sizeof port, "%" PRIu32, pg->spec->port);
    if (pg_conf_set(pg, settings, ARRAY_LEN(settings), err) != 0)
        return err->code;
    return pg_run_ok(pg, &tool, deadline, NULL, err);
}

/* What the server wrote since `from`, in one line. */
static void last_words_of(int log, off_t from, char *words, size_t size)
{
    char text[LOG_TAIL_BYTES + 1];
    off_t end = lseek(log, 0, SEEK_END);
    ssize_t n;

    if (end - from > LOG_TAIL_BYTES)
        from = end - LOG_TAIL_BYTES;
    n = pread(log, text, LOG_TAIL_BYTES, from);
    text[n > 0 ? n : 0] = '\0';
    pg_last_words(text, words, size);
}

void pg_reap(struct pg *pg)
{
    if (pg->started != 0 && waitpid(pg->started, NULL, WNOHANG) != 0)
        pg->started = 0;
}

/* A unit that has no job left and is not active will not come by waiting. Asked seldom: it
 * is a process each time. An answer that cannot be had tells nothing. */
static bool unit_has_ended(struct pg *pg, struct mono deadline, struct mono *next_look)
{
    struct pg_tool tool = {
        .program = "systemctl",
        .args = {"show", "--property=ActiveState,Job",
                 pg->spec->start + strlen("systemd:")},
        .as_root = true,
        .unmarked = true,
    };
    AUTO(auto_free) char *output = NULL;
    struct err err;
    const char *job;

    if (mono_now().ns < next_look->ns)
        return false;
    *next_look = mono_plus_ms(mono_now(), UNIT_LOOK_MS);
    if (pg_run_ok(pg, &tool, deadline, &output, &err) != 0)
        return false;
    job = strstr(output, "Job="); /* no such line, or 0, where there is none */
    if (job != NULL && strtoul(job + strlen("Job="), NULL, 10) != 0)
        return false;
    return strstr(output, "ActiveState=failed") != NULL ||
           strstr(output, "ActiveState=inactive") != NULL;
}

/* Ours by its exit, one that systemd starts by what systemd says of its unit. */
static bool has_ended(struct pg *pg, bool ours, struct mono deadline,
                      struct mono *next_look)
{
    struct pg_postmaster pm;

    pg_reap(pg);
    if (ours)
        return pg->started == 0;
    pg_postmaster_find(pg, &pm);
    return pm.pid == 0 && unit_has_ended(pg, deadline, next_look);
}

static int wait_ready(struct pg *pg, bool ours, struct mono deadline, bool *ret_ended,
                      struct err *err)
{
    struct mono next_look = mono_plus_ms(mono_now(), UNIT_LOOK_MS);

    for (;;) {
        int status = ERR_NOTFOUND;
        struct pg_postmaster pm;

        *ret_ended = has_ended(pg, ours, deadline, &next_look);
        if (*ret_ended)
            return err_set(err, ERR_REFUSED, "PostgreSQL ended");
        pg_postmaster_find(pg, &pm);
        /* Before it says so a session would only be refused, and the log be filled. */
        if (pm.pid != 0 && strcmp(pm.file.status, "ready") == 0)
            status = pg_main(pg, deadline, err);
        if (status == 0)
            return 0;
        if (status != ERR_NOTFOUND && pg->main.why == PG_WHY_PASSWORD)
            return err_wrap(err, "PostgreSQL started, but asks its agent for a password");
        if (status != ERR_NOTFOUND && pg->main.why == PG_WHY_DENIED)
            return err_wrap(err, "PostgreSQL started, but does not let its agent in");
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT, "PostgreSQL accepts no session yet");
        pg_pause(2000);
    }
}

static int say_ended(const struct pg *pg, bool ours, int log, off_t from, struct err *err)
{
    char words[256];

    if (!ours)
        return err_set(err, ERR_REFUSED,
                       "PostgreSQL on %s did not start: its unit %s has ended again; "
                       "journalctl -u %s says why",
                       pg->spec->data, pg->spec->start + strlen("systemd:"),
                       pg->spec->start + strlen("systemd:"));
    last_words_of(log, from, words, sizeof words);
    return err_set(err, ERR_REFUSED, "PostgreSQL on %s did not start: %s", pg->spec->data,
                   words);
}

int pg_start(struct pg *pg, struct mono deadline, struct err *err)
{
    bool ours = strncmp(pg->spec->start, "systemd:", 8) != 0;
    AUTO(auto_close) int log = -1;
    struct pg_mark mark;
    bool ended = false;
    off_t from;
    int status;

    if (pg_mark_read(pg, &mark, err) != 0)
        return err->code;
    if (mark.present)
        return err_set(
            err, ERR_CONFLICT,
            "a rewind or clone of %s was not finished: PostgreSQL is not started "
            "over it; make it follow again",
            pg->spec->data);
    if (pg_pidfile_clear(pg, err) != 0 || pg_make_dir(pg, pg->spec->socket_dir, err) != 0 ||
        open_log(pg, &log, err) != 0)
        return err_wrap(err, "start PostgreSQL");
    from = lseek(log, 0, SEEK_END);
    pg_conn_close(&pg->main);
    pg_conn_close(&pg->canary);
    pg->canary_sent = false;

    status =
        ours ? spawn(pg, log, err)
             : start_by_systemd(pg, pg->spec->start + strlen("systemd:"), deadline, err);
    if (status != 0)
        return err_wrap(err, "start PostgreSQL on %s", pg->spec->data);
    status = wait_ready(pg, ours, deadline, &ended, err);
    if (ended) /* else it is there, and what it last wrote is not why we failed */
        return say_ended(pg, ours, log, from, err);
    return status == 0 ? 0 : err_wrap(err, "start PostgreSQL on %s", pg->spec->data);
}
