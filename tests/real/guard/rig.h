/* tests/real/guard/rig.h -- a guard as it is shipped, a page of the test's own, and servers
 * that are processes in directories of their own (server.c).
 *
 * Owner:   rig_begin() to rig_end(): a fixture, with one global rig.
 */
#ifndef RF_TESTS_REAL_GUARD_RIG_H
#define RF_TESTS_REAL_GUARD_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "fencing/guard/guard_page.h"

enum { RIG_BACKENDS = 4, RIG_BACKENDS_MAX = 200, RIG_WAIT_MS = 10000 };

struct rig_server {
    char dir[128];
    pid_t postmaster; /* leads a process group: rig_end() ends what is left of it */
    pid_t backends[RIG_BACKENDS_MAX];
    unsigned n;
};

struct rig {
    char dir[64], path[96];
    struct guard_page *page;
    pid_t guard;
    struct rig_server servers[4];
    unsigned n;
};

extern struct rig rig;

int rig_begin(void **state);
int rig_end(void **state);

/* Starts the guard, until it beats. */
void rig_guard(void);
/* Waits for its end; exit status, or 128 + signal. */
int rig_guard_ends(void);
/* `n` children that wait in its directory; with `frozen` one of them is stopped. */
struct rig_server *rig_server(unsigned n, bool frozen);
/* An order about it, armed, with this deadline from now; `ms` below 0: 0, closed. */
struct guard_order rig_order(const struct rig_server *s, int ms);
void rig_put(unsigned slot, const struct guard_order *order);
const struct guard_result *rig_result(unsigned slot);

uint64_t rig_now_ns(void);
bool rig_lives(pid_t pid);
/* Processes of the server that live. */
unsigned rig_count(const struct rig_server *s);
/* Until `claim(arg)` holds; fails the test after RIG_WAIT_MS. */
void rig_until(bool (*claim)(const void *arg), const void *arg, const char *what);
/* For so long `claim(arg)` holds; fails the test when it does not. */
void rig_while(bool (*claim)(const void *arg), const void *arg, unsigned ms);

bool rig_is_gone(const void *server);
bool rig_is_whole(const void *server);

#endif
