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

enum { VERSION = 1, LEFTOVER_MS = 5000 };

static void boot_text(char text[2 * AGENT_ID_SIZE + 1])
{
    uint8_t boot[AGENT_ID_SIZE] = {0};

    if (agent_boot_id(boot, NULL) != 0)
        memset(boot, 0, sizeof boot); /* then no process on record is believed in */
    for (int i = 0; i < AGENT_ID_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", boot[i]);
}

static bool parse_line(const char *line, struct step_records *out)
{
    struct step_record r = {0};
    unsigned ever;
    int end = 0;

    if (out->count == AGENT_GROUPS_MAX ||
        sscanf(line,
               "group %23s %" SCNd32 " %" SCNu64 " %u %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu32 " %" SCNd32 " %" SCNu64 "%n",
               r.group, &r.known.pid, &r.known.start_ms, &ever, &r.led_epoch,
               &r.led_position, &r.ready_epoch, &r.last_step, &r.running_kind,
               &r.worker.pid, &r.worker.start_ms, &end) != 11 ||
        line[end] != 0)
        return false;
    r.ever_known = ever != 0;
    out->of[out->count++] = r;
    return true;
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
    char boot[2 * AGENT_ID_SIZE + 1], was[2 * AGENT_ID_SIZE + 2] = "", *save = NULL;
    char *line = strtok_r(text, "\n", &save);
    int version = 0;

    if (line == NULL || sscanf(line, "ringfence-agent-steps %d", &version) != 1)
        return err_set(err, ERR_CORRUPT, "not the steps of an agent");
    if (version != VERSION)
        return err_set(err, ERR_UNSUPPORTED, "it has format %d, this version knows %d",
                       version, VERSION);
    while ((line = strtok_r(NULL, "\n", &save)) != NULL)
        if (sscanf(line, "boot %33s", was) != 1 && !parse_line(line, &r))
            return err_set(err, ERR_CORRUPT, "the line '%.60s' is not understood", line);
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
