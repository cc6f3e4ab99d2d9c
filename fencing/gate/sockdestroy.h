/* fencing/gate/sockdestroy.h -- end the TCP connections of a local port, so that nothing an
 * older epoch wrote can still be delivered.
 *
 * A reply stays in its socket's retransmission queue even when the server was killed, and
 * would reach the client as soon as the gate opens again. Listeners are kept; sockets in
 * TIME_WAIT have nothing left to send.
 *
 * Threads: any. Works in the caller's network namespace.
 * Errors:  ERR_BUSY  connections are left that cannot be ended (a kernel without
 *                    CONFIG_INET_DIAG_DESTROY): the gate must stay closed until the server
 *                    was stopped and the kernel gave them up
 */
#ifndef RF_FENCING_SOCKDESTROY_H
#define RF_FENCING_SOCKDESTROY_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

/* Returns 0 only when a listing made afterwards shows none; `ret_n` (may be NULL) is how
 * many were ended. */
MUST_USE int sockdestroy_port(uint16_t port, unsigned *ret_n, struct err *err);

/* Are there any that it would end? */
MUST_USE int sockdestroy_look(uint16_t port, bool *ret_any, struct err *err);

/* Can this kernel do it? */
bool sockdestroy_works(void);

#endif
