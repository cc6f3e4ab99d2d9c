/* chaos/process.h -- programs: started inside a site, or run to their end.
 *
 * Owner:   the caller; a struct process may be copied when it runs no longer.
 * Threads: the main thread.
 * Errors:  a program that cannot be started is die(); how it ends is the caller's concern.
 */
#ifndef RF_CHAOS_PROCESS_H
#define RF_CHAOS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "chaos/ground.h"

struct process {
    pid_t pid; /* 0: not running, as far as we know */
};

struct program {
    enum site site;
    const char *log;         /* standard output and error are appended to it */
    const char *const *argv; /* ends with NULL; argv[0] is a path */
    const char *const *env;  /* besides what all have; ends with NULL, or is NULL */
};

/* Goes on by itself; an exit is noticed by process_running(). */
void process_start(struct process *p, const struct ground *g, const struct program *what);
bool process_running(struct process *p);
/* Nothing to do for one that does not run. SIGKILL is waited for. */
void process_signal(struct process *p, int sig);

/* Runs a program in a site to its end, as root or as the server's user. Returns the exit
 * status (128 + signal); `*ret_output`, if wanted, is malloc'ed: both its streams. */
int run_at(const struct ground *g, enum site s, bool as_postgres, const char *const *argv,
           char **ret_output);
/* The same, and a failure ends the laboratory with the program's words. */
char *must_run_at(const struct ground *g, enum site s, bool as_postgres,
                  const char *const *argv);
/* In the laboratory's own namespaces; a failure is die(). */
void run_here(const char *const *argv);

/* All processes below `pid`, itself first: sends `sig` to each of them. The tree is
 * stopped first, so that none is missed. */
void signal_tree(pid_t pid, int sig);

#endif
