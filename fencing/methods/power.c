#include "fencing/methods/power.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/text.h"
#include "controller/base/units.h"
#include "fencing/methods/secret.h"
#include "fencing/methods/tool.h"
#include "fencing/methods/words.h"

enum {
    INPUT_MAX = 12288,
    WORDS_SIZE = 200,
    LOOK_FIRST_MS = 200, /* from one `status` to the next, doubled each time ... */
    LOOK_LAST_MS = 1000, /* ... to this */
    OFF_AGAIN_MS = 5000, /* an `off` that has shown no effect by then is ordered again */
    EXIT_ON = 0,
    EXIT_OFF = 2, /* of `status` */
};

enum asked { ASKED_OFF, ASKED_STATUS, ASKED_MONITOR };

static const char *const action_names[] = {"off", "status", "monitor"};

struct power_run {
    uv_loop_t *loop;
    uv_timer_t pause;
    struct tool *tool;
    struct mono deadline, last_off;
    uint32_t deadline_ms, look_ms;
    bool wants_off, last_off_failed;
    enum asked asked, next;
    unsigned offs, looks_on;
    power_done *done;
    void *owner;
    char name[POWER_NAME_SIZE], agent[POWER_AGENT_SIZE], path[TOOL_PATH_SIZE];
    char off_end[WORDS_SIZE + 80]; /* how the last `off` ended, if it was no success */
    unsigned secret_count;
    char secrets[POWER_SECRET_MAX][SECRET_SIZE];
    size_t input_len; /* without the line with the action */
    char input[INPUT_MAX];
};

/* ---- what the agent reads -------------------------------------------------------------
 */

/* The agents strip blanks around a line and quotes around a value. */
static bool needs_quotes(const char *value)
{
    const size_t len = strlen(value);

    return len > 0 && (isspace((unsigned char)value[0]) || value[0] == '"' ||
                       isspace((unsigned char)value[len - 1]) || value[len - 1] == '"');
}

static int add_line(struct power_run *r, const char *key, const char *value,
                    struct err *err)
{
    const char *quote = needs_quotes(value) ? "\"" : "";
    const size_t room = sizeof r->input - r->input_len;
    const int n =
        snprintf(r->input + r->input_len, room, "%s=%s%s%s\n", key, quote, value, quote);

    if (n < 0 || (size_t)n >= room)
        return err_set(err, ERR_INVAL, "options and secrets of more than %d bytes",
                       INPUT_MAX);
    r->input_len += (size_t)n;
    return 0;
}

static int fill_input(struct power_run *r, const struct power_device *d, struct err *err)
{
    char part[POWER_PART_SIZE];
    int status = power_device_verify(d, part, err);

    if (status != 0)
        return err_wrap(err, "%s", part);
    for (unsigned i = 0; i < d->option_count && status == 0; i++)
        status = add_line(r, d->options[i].key, d->options[i].value, err);
    for (unsigned i = 0; i < d->secret_count && status == 0; i++) {
        status = secret_read(d->secrets[i].value, r->secrets[i], err);
        if (status != 0)
            return err_wrap(err, "secret %s", d->secrets[i].key);
        r->secret_count = i + 1;
        status = add_line(r, d->secrets[i].key, r->secrets[i], err);
    }
    return status;
}

/* ---- what the agent says --------------------------------------------------------------
 */

static void last_words(const struct power_run *r, const char *said, char ret[WORDS_SIZE])
{
    char text[TOOL_SAID_MAX + 1];

    text_set(text, sizeof text, "%s", said);
    for (unsigned i = 0; i < r->secret_count; i++)
        secret_hide(r->secrets[i], text, sizeof text);
    words_last(text, ret, WORDS_SIZE);
    explicit_bzero(text, sizeof text);
}

/* "exit status 1: Unable to connect/login to fencing device" */
static void describe_end(const struct power_run *r, const struct tool_result *result,
                         char *ret, size_t size)
{
    char words[WORDS_SIZE];

    last_words(r, result->said, words);
    switch (result->end) {
    case TOOL_EXITED:
        text_set(ret, size, "exit status %d: %s", result->code, words);
        return;
    case TOOL_SIGNALLED:
        text_set(ret, size, "killed by signal %d: %s", result->code, words);
        return;
    case TOOL_LATE:
        text_set(ret, size, "killed, since it did not end in time: %s", words);
        return;
    case TOOL_NOISY:
        text_set(ret, size, "killed, since it writes without end: %s", words);
        return;
    case TOOL_NOMEM:
        text_set(ret, size, "killed, since there is no memory for its answer");
        return;
    case TOOL_STUCK:
        text_set(
            ret, size,
            "killed, since it did not end in time, and hangs in the kernel all the same");
        return;
    }
}

static bool says_word(const char *text, const char *word)
{
    const size_t len = strlen(word);

    for (const char *at = text; (at = strcasestr(at, word)) != NULL; at++)
        if ((at == text || !isalnum((unsigned char)at[-1])) &&
            !isalnum((unsigned char)at[len]))
            return true;
    return false;
}

/* ---- the run --------------------------------------------------------------------------
 */

static void ask(struct power_run *r, enum asked what);

static void on_pause_closed(uv_handle_t *handle)
{
    struct power_run *r = handle->data;

    explicit_bzero(r->secrets, sizeof r->secrets);
    explicit_bzero(r->input, sizeof r->input);
    free(r);
}

static void end(struct power_run *r, enum power_state state, struct err *why)
{
    if (why != NULL)
        (void)err_wrap(why, "fencer %s", r->name);
    uv_close((uv_handle_t *)&r->pause, on_pause_closed);
    r->done(r->owner, state, why);
}

static void end_badly(struct power_run *r, int code, const char *text)
{
    struct err why = {0};

    (void)err_set(&why, code, "%s %s: %s%s%s", r->agent, action_names[r->asked], text,
                  r->off_end[0] != '\0' ? "; the `off` before: " : "", r->off_end);
    end(r, POWER_UNKNOWN, &why);
}

static uint32_t left_ms(const struct power_run *r)
{
    const struct mono now = mono_now();

    return (uint32_t)(mono_since_ns(now, r->deadline) / NS_PER_MS);
}

/* The last answer was "on". */
static void end_late(struct power_run *r)
{
    char text[UNITS_TEXT_SIZE];
    struct err why = {0};

    units_format_duration(r->deadline_ms, text);
    (void)err_set(
        &why, ERR_TIMEOUT, "%s: still on, %s after the first of %u orders to go off%s%s",
        r->agent, text, r->offs,
        r->off_end[0] != '\0' ? "; the last one: " : ", which it says it has carried out",
        r->off_end);
    end(r, POWER_ON, &why);
}

static void on_pause_over(uv_timer_t *pause)
{
    struct power_run *r = pause->data;

    ask(r, r->next);
}

static void ask_later(struct power_run *r, enum asked what, uint32_t pause_ms)
{
    if (left_ms(r) <= pause_ms) {
        end_late(r);
        return;
    }
    r->next = what;
    uv_update_time(r->loop);
    (void)uv_timer_start(&r->pause, on_pause_over, pause_ms, 0);
}

static void after_on(struct power_run *r)
{
    r->looks_on++;
    if (!r->wants_off) {
        end(r, POWER_ON, NULL);
        return;
    }
    if (r->last_off_failed) {
        ask_later(r, ASKED_OFF, LOOK_LAST_MS);
        return;
    }
    if (mono_since_ms(r->last_off, mono_now()) >= OFF_AGAIN_MS) {
        ask_later(r, ASKED_OFF, 0);
        return;
    }
    r->look_ms = 2 * r->look_ms < LOOK_LAST_MS ? 2 * r->look_ms : LOOK_LAST_MS;
    ask_later(r, ASKED_STATUS, r->look_ms);
}

static void after_off(struct power_run *r, const struct tool_result *result)
{
    r->offs++;
    r->last_off = mono_now();
    r->last_off_failed = result->end != TOOL_EXITED || result->code != 0;
    r->look_ms = LOOK_FIRST_MS / 2;
    r->off_end[0] = '\0';
    if (r->last_off_failed)
        describe_end(r, result, r->off_end, sizeof r->off_end);
    ask(r, ASKED_STATUS);
}

static void after_status(struct power_run *r, const struct tool_result *result)
{
    char text[WORDS_SIZE + 80];
    bool late;

    if (result->end == TOOL_EXITED && result->code == EXIT_ON) {
        after_on(r);
        return;
    }
    if (result->end == TOOL_EXITED && result->code == EXIT_OFF) {
        if (says_word(result->out, "off") && !says_word(result->out, "on"))
            end(r, POWER_OFF, NULL);
        else
            ask(r, ASKED_MONITOR);
        return;
    }
    late = result->end == TOOL_LATE || result->end == TOOL_STUCK;
    if (late && r->looks_on > 0) { /* for this last look there was hardly any time */
        end_late(r);
        return;
    }
    describe_end(r, result, text, sizeof text);
    end_badly(r,
              late                        ? ERR_TIMEOUT
              : result->end == TOOL_NOMEM ? ERR_NOMEM
                                          : ERR_REFUSED,
              text);
}

static void after_monitor(struct power_run *r, const struct tool_result *result)
{
    char text[WORDS_SIZE + 80], why[WORDS_SIZE + 240];

    if (result->end == TOOL_EXITED && result->code == 0) {
        end(r, POWER_OFF, NULL);
        return;
    }
    describe_end(r, result, text, sizeof text);
    text_set(why, sizeof why,
             "%s; its `status` ended with 2 before, without the word OFF on standard "
             "output: that may be a broken agent as well, and is no proof",
             text);
    end_badly(r, ERR_UNKNOWN, why);
}

static void on_tool_done(void *owner, const struct tool_result *result)
{
    struct power_run *r = owner;

    r->tool = NULL;
    switch (r->asked) {
    case ASKED_OFF:
        after_off(r, result);
        return;
    case ASKED_STATUS:
        after_status(r, result);
        return;
    case ASKED_MONITOR:
        after_monitor(r, result);
        return;
    }
}

static int start_tool(struct power_run *r, enum asked what, uint32_t ms, struct err *err)
{
    const char *const argv[] = {r->path, NULL};
    char *const line = r->input + r->input_len;
    const size_t room = sizeof r->input - r->input_len;
    const int n = snprintf(line, room, "action=%s\n", action_names[what]);
    const struct tool_spec spec = {
        .path = r->path,
        .argv = argv,
        .input = r->input,
        .input_len = r->input_len + (size_t)(n > 0 ? n : 0),
        .deadline_ms = ms,
    };

    if (n < 0 || (size_t)n >= room)
        return err_set(err, ERR_INVAL, "options and secrets of more than %d bytes",
                       INPUT_MAX);
    r->asked = what;
    return tool_start(&r->tool, r->loop, &spec, on_tool_done, r, err);
}

/* An `off` that hangs leaves time for a look at what it has done nevertheless. */
static void ask(struct power_run *r, enum asked what)
{
    const uint32_t left = left_ms(r), ms = what == ASKED_OFF ? left - left / 4 : left;
    struct err why = {0};

    if (ms == 0) {
        r->asked = what;
        end_badly(r, ERR_TIMEOUT, "no time is left for it");
        return;
    }
    if (start_tool(r, what, ms, &why) != 0)
        end(r, POWER_UNKNOWN, &why);
}

/* ---- start and cancel -----------------------------------------------------------------
 */

struct wish {
    const struct power_device *device;
    bool off;
    power_done *done;
    void *owner;
};

static int prepare(struct power_run *r, const struct wish *w, struct err *err)
{
    (void)snprintf(r->name, sizeof r->name, "%s", w->device->name);
    (void)snprintf(r->agent, sizeof r->agent, "%s", w->device->agent);
    r->wants_off = w->off;
    r->done = w->done;
    r->owner = w->owner;
    r->deadline_ms = w->device->deadline_ms;
    r->deadline = mono_plus_ms(mono_now(), w->device->deadline_ms);
    if (fill_input(r, w->device, err) != 0 || tool_find(r->agent, r->path, err) != 0)
        return err->code;
    return start_tool(r, w->off ? ASKED_OFF : ASKED_STATUS,
                      w->off ? r->deadline_ms - r->deadline_ms / 4 : r->deadline_ms, err);
}

static int run_start(struct power_run **ret_run, uv_loop_t *loop, const struct wish *w,
                     struct err *err)
{
    struct power_run *r = calloc(1, sizeof *r);
    struct err why = {0};
    int status;

    if (r == NULL)
        return err_set(err, ERR_NOMEM, "fencer %s", w->device->name);
    r->loop = loop;
    status = uv_timer_init(loop, &r->pause);
    ASSERT(status == 0);
    r->pause.data = r;
    if (prepare(r, w, &why) != 0) {
        (void)err_wrap(&why, "fencer %s", w->device->name);
        uv_close((uv_handle_t *)&r->pause, on_pause_closed);
        if (err != NULL)
            *err = why;
        return why.code;
    }
    *ret_run = r;
    return 0;
}

int power_off_start(struct power_run **ret_run, struct uv_loop_s *loop,
                    const struct power_device *d, power_done *done, void *owner,
                    struct err *err)
{
    const struct wish w = {d, true, done, owner};

    return run_start(ret_run, loop, &w, err);
}

int power_status_start(struct power_run **ret_run, struct uv_loop_s *loop,
                       const struct power_device *d, power_done *done, void *owner,
                       struct err *err)
{
    const struct wish w = {d, false, done, owner};

    return run_start(ret_run, loop, &w, err);
}

void power_run_cancel(struct power_run *r)
{
    if (r == NULL)
        return;
    tool_cancel(r->tool);
    r->tool = NULL;
    uv_close((uv_handle_t *)&r->pause, on_pause_closed);
}
