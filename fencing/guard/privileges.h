/* fencing/guard/privileges.h -- what the guard may still do as root: capabilities(7).
 *
 * It keeps what looking at the gate, and killing a server of another user in time, takes;
 * the rest is gone from its bounding set as well. By system calls of its own, since it
 * links nothing but libc.
 *
 * Threads: one. No allocation.
 */
#ifndef RF_FENCING_GUARD_PRIVILEGES_H
#define RF_FENCING_GUARD_PRIVILEGES_H

#include <stdbool.h>

/* False (errno): some are left. It works as well with them, so that ends nobody. */
bool guard_drop_privileges(void);

#endif
