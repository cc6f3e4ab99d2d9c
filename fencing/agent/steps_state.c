#include "fencing/agent/steps_state.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "controller/base/log.h"
#include "fencing/agent/helper.h"

static const char file_name[] = "steps.state";

/* 2: `start` lines; 3: `failed` lines. */
enum { VERSION = 3, VERSION_MIN = 1, LEFTOVER_MS = 5000 };

static void boot_text(char text[2 * AGENT_ID_SIZE + 1])
{
    uint8_t boot[AGENT_ID_SIZE] = {0};

    if (agent_boot_id(boot, NULL) != 0)
        memset(boot, 0, sizeof boot); /* then no process on record is believed in */
    for (size_t i = 0; i < AGENT_ID_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", boot[i]);
}

static bool parse_postmaster(char **line, struct postmaster *ret)
{
    uint64_t pid;

    if (!durable_number(line, INT32_MAX, &pid) ||
        !durable_number(line, UINT64_MAX, &ret->start_ms))
        return false;
    ret->pid = (int32_t)pid;
    return true;
}

static bool has_record(const struct step_records *r, const char *group)
{
    for (uint8_t i = 0; i < r->count; i++)
        if (strcmp(r->of[i].group, group) == 0)
            return true;
    return false;
}

static bool parse_record(char *line, struct step_records *out)
{
    struct step_record r = {0};
    const char *group = durable_word(&line);
    uint64_t ever, running;

    if (out->count == AGENT_GROUPS_MAX || group == NULL ||
        (size_t)snprintf(r.group, sizeof r.group, "%s", group) >= sizeof r.group ||
        !parse_postmaster(&line, &r.known) || !durable_number(&line, 1, &ever) ||
        !durable_number(&line, UINT64_MAX, &r.led_epoch) ||
        !durable_number(&line, UINT64_MAX, &r.led_position) ||
        !durable_number(&line, UINT64_MAX, &r.ready_epoch) ||
        !durable_number(&line, UINT64_MAX, &r.last_step) ||
        !durable_number(&line, UINT32_MAX, &running) ||
        !parse_postmaster(&line, &r.worker) || line != NULL || has_record(out, r.group))
        return false;
    r.ever_known = ever != 0;
    r.running_kind = (uint32_t)running;
    out->of[out->count++] = r;
    return true;
}

/* Of a record that stands before it. */
static bool parse_start(char *line, struct step_records *out)
{
    const char *group = durable_word(&line);

    for (uint8_t i = 0; group != NULL && line != NULL && i < out->count; i++) {
        struct step_record *r = &out->of[i];

        if (strcmp(r->group, group) == 0)
            return r->start[0] == '\0' && line[0] != '\0' &&
                   (size_t)snprintf(r->start, sizeof r->start, "%s", line) <
                       sizeof r->start;
    }
    return false;
}

/* Of a record that stands before it. */
static bool parse_failed(char *line, struct step_records *out)
{
    for (uint8_t i = 0; line != NULL && i < out->count; i++)
        if (strcmp(out->of[i].group, line) == 0) {
            if (out->of[i].last_failed)
                return false;
            out->of[i].last_failed = true;
            return true;
        }
    return false;
}

static bool parse_line(char *line, struct step_records *out, char *boot, size_t boot_size)
{
    const char *key = durable_word(&line);

    if (key == NULL || line == NULL)
        return false;
    if (strcmp(key, "boot") == 0)
        return boot[0] == '\0' && (size_t)snprintf(boot, boot_size, "%s", line) < boot_size;
    if (strcmp(key, "start") == 0)
        return parse_start(line, out);
    if (strcmp(key, "failed") == 0)
        return parse_failed(line, out);
    return strcmp(key, "group") == 0 && parse_record(line, out);
}

/* A process number means nothing in another boot. */
static void forget_processes(struct step_records *r)
{
    for (uint8_t i = 0; i < r->count; i++) {
        struct step_record *s = &r->of[i];

        s->known = s->worker = (struct postmaster){0};
        s->led_epoch = s->led_position = s->ready_epoch = 0;
        s->running_kind = 0;
    }
}

static int parse(char *text, struct step_records *ret, struct err *err)
{
    struct step_records r = {0};
    char boot[2 * AGENT_ID_SIZE + 1], was[2 * AGENT_ID_SIZE + 1] = "", *save = NULL;
    char *line = strtok_r(text, "\n", &save);
    const char *magic = durable_word(&line);
    uint64_t version;

    if (magic == NULL || strcmp(magic, "ringfence-agent-steps") != 0 ||
        !durable_number(&line, UINT64_MAX, &version))
        return err_set(err, ERR_CORRUPT, "not the steps of an agent");
    if (version < VERSION_MIN || version > VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "it has format %" PRIu64 ", this version knows %d to %d: install "
                       "the version that wrote it, or a newer one",
                       version, VERSION_MIN, VERSION);
    while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
        char shown[64];

        snprintf(shown, sizeof shown, "%s", line);
        if (!parse_line(line, &r, was, sizeof was))
            return err_set(err, ERR_CORRUPT, "the line '%s' is not understood", shown);
    }
    boot_text(boot);
    if (strcmp(boot, was) != 0)
        forget_processes(&r);
    *ret = r;
    return 0;
}

int steps_state_read(const struct durable_dir *dir, struct step_records *ret,
                     struct err *err)
{
    AUTO(buf_free) struct buf text = {0};
    struct err own;
    int status;

    err = err != NULL ? err : &own;
    status = durable_read(dir, file_name, &text, err);
    *ret = (struct step_records){0};
    if (status == ERR_NOTFOUND)
        return 0;
    if (status == 0)
        status = parse((char *)text.data, ret, err);
    if (status != 0)
        return err_wrap(
            err,
            "%s/%s (move it away to start without: a running server then counts "
            "as one that the agent did not start)",
            dir->path, file_name);
    return 0;
}

int steps_state_write(const struct durable_dir *dir, const struct step_records *r,
                      struct err *err)
{
    AUTO(buf_free) struct buf text = {.limit = DURABLE_MAX};
    char boot[2 * AGENT_ID_SIZE + 1];
    struct err own;

    err = err != NULL ? err : &own;
    boot_text(boot);
    if (durable_printf(&text, err, "ringfence-agent-steps %d\nboot %s\n", VERSION, boot) !=
        0)
        return err->code;
    for (uint8_t i = 0; i < r->count; i++) {
        const struct step_record *s = &r->of[i];

        if (durable_printf(&text, err,
                           "group %s %" PRId32 " %" PRIu64 " %d %" PRIu64 " %" PRIu64
                           " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRId32 " %" PRIu64 "\n",
                           s->group, s->known.pid, s->known.start_ms, s->ever_known ? 1 : 0,
                           s->led_epoch, s->led_position, s->ready_epoch, s->last_step,
                           s->running_kind, s->worker.pid, s->worker.start_ms) != 0)
            return err->code;
        if (s->start[0] != 0 &&
            durable_printf(&text, err, "start %s %s\n", s->group, s->start) != 0)
            return err->code;
        if (s->last_failed && durable_printf(&text, err, "failed %s\n", s->group) != 0)
            return err->code;
    }
    return durable_write(dir, file_name, &text, err);
}

struct step_record *steps_state_of(struct step_records *r, const char *group)
{
    struct step_record *s;

    for (uint8_t i = 0; i < r->count; i++)
        if (strcmp(r->of[i].group, group) == 0)
            return &r->of[i];
    if (r->count == AGENT_GROUPS_MAX)
        return NULL;
    s = &r->of[r->count++];
    *s = (struct step_record){0};
    snprintf(s->group, sizeof s->group, "%s", group);
    return s;
}

/* The kernel has killed it with its agent; the tools it ran die with it. This is for the
 * moment between the two deaths, and for the day on which that promise does not hold. */
static int end_one(const struct step_record *s, struct err *err)
{
    AUTO(auto_close) int fd = (int)syscall(SYS_pidfd_open, s->worker.pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    /* Read after the pidfd was opened: it cannot be another process by now. */
    if (fd < 0 || process_start_ms(s->worker.pid) != s->worker.start_ms)
        return 0;
    log_warn("%s: a step of the agent's last life is still running (pid %d): ended",
             s->group, s->worker.pid);
    (void)kill(-s->worker.pid, SIGKILL);
    (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    if (poll(&p, 1, LEFTOVER_MS) == 1)
        return 0;
    return err_set(err, ERR_TIMEOUT,
                   "%s: process %d of the agent's last life cannot be ended", s->group,
                   s->worker.pid);
}

int steps_state_end_leftovers(const struct step_records *r, struct err *err)
{
    for (uint8_t i = 0; i < r->count; i++)
        if (r->of[i].running_kind != 0 && r->of[i].worker.pid != 0 &&
            end_one(&r->of[i], err) != 0)
            return err->code;
    return 0;
}
