/* fencing/agent/bell.h -- wakes a loop from another thread: an eventfd that it polls.
 *
 * Not uv_async: its receiver spins with sched_yield() while a sender is between two of its
 * own instructions. A receiver of real-time priority then keeps an ordinary sender from
 * ever getting there, and the keeper stood still until the kernel's throttle ended it, a
 * second later. For the same reason the keeper has no part in libuv's thread pool.
 *
 * Owner:   bell_open() to bell_close(), by the thread of the loop.
 * Threads: bell_ring() from any thread, while the bell is open.
 */
#ifndef RF_AGENT_BELL_H
#define RF_AGENT_BELL_H

#include "controller/base/err.h"

struct uv_loop_s;
struct bell;
typedef void bell_rung(void *owner); /* once for any number of rings before it */

MUST_USE int bell_open(struct bell **ret_bell, struct uv_loop_s *loop, bell_rung *on_rung,
                       void *owner, struct err *err);
void bell_ring(struct bell *b);  /* never blocks, never fails */
void bell_close(struct bell *b); /* NULL is fine; the loop frees it */

#endif
