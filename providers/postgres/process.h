/* providers/postgres/process.h -- the server's processes, as the kernel sees them.
 *
 * "Stopped" means that no process of the instance is left, not that the postmaster is
 * gone (design section 4). A process belongs to the instance when it is in the cgroup in
 * which we started it, or when it is a `postgres` whose working directory is the data
 * directory: PostgreSQL changes into it and never leaves.
 *
 * Owner:   pids are only signalled after they were verified, through a pidfd.
 * Threads: one.
 */
#ifndef RF_PROVIDERS_POSTGRES_PROCESS_H
#define RF_PROVIDERS_POSTGRES_PROCESS_H

#include "providers/postgres/pg.h"
#include "providers/postgres/text.h"

struct pg_postmaster {
    pid_t pid;         /* 0: none runs on this data directory */
    uint64_t start_ms; /* since boot, from /proc: with the pid it names one process */
    struct pg_pidfile file;
};

/* Reads postmaster.pid and verifies it: the process lives and works in this directory. */
void pg_postmaster_find(const struct pg *pg, struct pg_postmaster *ret);

/* Removes the postmaster.pid of a server of which nothing is left, and the lock beside its
 * socket. PostgreSQL itself goes by the pid in them: it would refuse to start while that is
 * a zombie or was given to another process. ERR_BUSY  something is left */
MUST_USE int pg_pidfile_clear(const struct pg *pg, struct err *err);

/* Directory and port of the socket the running server has (line 5 of postmaster.pid), so
 * that a server started by somebody else is found too; else those of the spec. */
void pg_socket_of(const struct pg *pg, char *dir, size_t dir_size, char *port,
                  size_t port_size);

/* Sends `signal` to the verified postmaster.
 *   ERR_NOTFOUND  it is gone */
MUST_USE int pg_postmaster_signal(const struct pg *pg, const struct pg_postmaster *pm,
                                  int signal, struct err *err);

/* Processes of the instance that live; each gets `signal` unless it is 0. */
unsigned pg_processes(const struct pg *pg, int signal);

/* Ends tools (pg_rewind, pg_basebackup, single-user servers) that an earlier worker left
 * behind (I6). */
void pg_end_leftovers(const struct pg *pg);

/* Voluntary context switches of a process: grows each time it goes to wait. 0: unknown. */
uint64_t pg_switches(pid_t pid);

/* The instance's cgroup (v2), below the worker's own. False where there is none: then only
 * the working directory counts. (cgroup.c) */
bool pg_cgroup(const struct pg *pg, char *path, size_t size);
bool pg_cgroup_make(const struct pg *pg, char *path, size_t size);
/* Removes it when it is empty. */
void pg_cgroup_remove(const struct pg *pg);
/* False: somebody is in it. */
bool pg_cgroup_let_go(const struct pg *pg);

/* The environment variable that marks our tools. */
#define PG_TOOL_MARK "RINGFENCE_TOOL_OF"

#endif
