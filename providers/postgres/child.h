/* providers/postgres/child.h -- runs PostgreSQL's tools, and nothing outlives a deadline.
 *
 * A tool runs as the server's user (they refuse to run as root) in a process group of its
 * own; past the deadline the group is killed and reaped before the function returns (I5).
 * It dies with the worker as well.
 */
#ifndef RF_PROVIDERS_POSTGRES_CHILD_H
#define RF_PROVIDERS_POSTGRES_CHILD_H

#include "providers/postgres/pg.h"

enum {
    PG_TOOL_OUTPUT_MAX = 1 << 18, /* what comes after it is read and dropped */
    PG_TOOL_ARGS_MAX = 48,
};

struct pg_tool {
    const char *program;                /* in spec.bin_dir, unless it has a '/' */
    const char *args[PG_TOOL_ARGS_MAX]; /* after the program's name, ends with NULL */
    bool as_root;                       /* systemctl */
    bool unmarked;                      /* reads only: pg_end_leftovers() lets it live */
};

/* `*ret_output` (malloc) is what it wrote on standard output and error, NUL-terminated,
 * also when it failed; `*ret_exit` its exit status, 128 + signal when it was killed.
 *   ERR_TIMEOUT   killed at the deadline; no process of it is left
 *   ERR_NOTFOUND  no such program
 *   ERR_IO, ERR_NOMEM */
MUST_USE int pg_run(const struct pg *pg, const struct pg_tool *tool, struct mono deadline,
                    char **ret_output, int *ret_exit, struct err *err);

/* The same; an exit status other than 0 is ERR_REFUSED with the last line of the output. */
MUST_USE int pg_run_ok(const struct pg *pg, const struct pg_tool *tool,
                       struct mono deadline, char **ret_output, struct err *err);

/* The last line of `text` that says anything, or one with FATAL, PANIC or "error:". */
void pg_last_words(const char *text, char *line, size_t size);

/* In a fork()ed child: become the server's user for good. Exits on failure. */
void pg_child_become(const struct pg *pg);

#endif
