/* fencing/guard/proc.h -- a server's processes, as the kernel shows them, and their end.
 *
 * The end of the postmaster is not the end of the server: a backend notices it when it
 * waits next, and one that is busy goes on, commits and acknowledges first. So a server is
 * every process that works in its directory and runs its program; PostgreSQL changes into
 * the directory at its start and never leaves. With the postmaster dead no new one comes.
 *
 * No allocation; buffers are static or on the stack.
 *
 * Threads: one (the guard), but for guard_proc_start_ms() and guard_process_read().
 */
#ifndef RF_FENCING_GUARD_PROC_H
#define RF_FENCING_GUARD_PROC_H

#include <stdbool.h>
#include <stddef.h>

#include "fencing/guard/guard_page.h"

/* The kernel's start time of a process that lives; 0: there is none, or it is a zombie. */
uint64_t guard_proc_start_ms(uint64_t pid);
struct guard_life guard_life_of_self(void);
bool guard_life_lives(const struct guard_life *life);

/* A process's cgroup v2, as a directory. False: there is none that can be seen. */
bool guard_cgroup_of(uint64_t pid, char *path, size_t size);

/* What its processes are told by. False: it is gone. */
bool guard_process_read(const struct guard_life *postmaster, struct guard_process *ret);

/* Kill each postmaster, and each cgroup that was made for one server alone. */
void guard_kill(const struct guard_process *server);

/* Count the living processes of `n` servers in one look at /proc; those get SIGKILL if
 * `kill` says so. One in the server's cgroup counts whatever it runs. */
void guard_sweep(const struct guard_process *const *servers, size_t n, bool kill,
                 unsigned *ret_counts);

#endif
