/* fencing/methods/tool.h -- a program of somebody else's, run beside the loop, which it can
 * neither block nor outlive.
 *
 * It has a session and a process group of its own, no descriptor but its three, an
 * environment of a few words, ordinary priority (a controller has a real-time one), and
 * gets its input through a pipe: what is secret is in no argument and no environment. At
 * its end, at the deadline and at a cancel the whole group is killed. The end is the
 * process's own: somebody who holds its pipes open is not waited for. What has left the
 * group for a session of its own is not killed, and holds nothing up either.
 *
 * Units:   milliseconds.
 * Owner:   tool_start() to its callback, or to tool_cancel(); the loop frees it.
 * Threads: the loop's. Where that thread ends the kernel kills the program.
 * Errors:  ERR_NOMEM, ERR_FULL (too much input), ERR_IO.
 */
#ifndef RF_METHODS_TOOL_H
#define RF_METHODS_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/err.h"

struct uv_loop_s;
struct tool;

enum {
    TOOL_OUTPUT_MAX = 1 << 19, /* of standard output; one that says more is killed */
    TOOL_SAID_MAX = 2048,      /* of standard error the end is kept */
    TOOL_NOISE_MAX = 1 << 22,  /* of both together; one that says more is killed */
    TOOL_GRACE_MS = 2000,      /* a killed process that is still there has hung for good */
};

struct tool_spec {
    const char *path;        /* absolute */
    const char *const *argv; /* ends with NULL */
    const char *input;       /* all of its standard input */
    size_t input_len;        /* what a pipe takes: some KiB */
    uint32_t deadline_ms;
};

enum tool_end {
    TOOL_EXITED,
    TOOL_SIGNALLED,
    TOOL_LATE,  /* killed at its deadline */
    TOOL_NOISY, /* killed for what it wrote */
    TOOL_NOMEM, /* killed, since what it wrote could not be kept */
    TOOL_STUCK, /* killed, and still there: it hangs in the kernel */
};

struct tool_result {
    enum tool_end end;
    int code;         /* its exit status, or the signal's number */
    const char *out;  /* standard output, NUL-terminated; never NULL */
    size_t out_len;   /* it may hold zeros too */
    const char *said; /* the last whole lines of standard error, NUL-terminated */
};

/* The result is valid during the call; the tool is gone by then. */
typedef void tool_done(void *owner, const struct tool_result *result);

/* Everything in `spec` is copied or used up when it returns. */
MUST_USE int tool_start(struct tool **ret_tool, struct uv_loop_s *loop,
                        const struct tool_spec *spec, tool_done *done, void *owner,
                        struct err *err);
/* Kill it; no callback comes after this. NULL is fine. */
void tool_cancel(struct tool *t);

/* Where an agent is: `name` itself if it is absolute, else in /usr/sbin or /usr/bin.
 *   ERR_NOTFOUND  not there
 *   ERR_REFUSED   there, and no program that this user can run
 *   ERR_INVAL     neither a file's name nor an absolute path */
enum { TOOL_PATH_SIZE = 256 };
MUST_USE int tool_find(const char *name, char ret_path[TOOL_PATH_SIZE], struct err *err);

#endif
