/* fencing/agent/helper.h -- a provider process: asked one thing at a time, killed when
 * late.
 *
 * The process is this binary again (`--provider-worker FD`, providers/worker.h), forked
 * before it is needed and replaced when it dies. No library that it uses can block or crash
 * the agent. Whatever it runs (pg_rewind ...) dies with it; it dies with the agent.
 *
 * Owner:   helper_open() to helper_close(); the loop frees it. Replies are freed here,
 * after the callback. Threads: the loop's, which must be the main thread: the kernel kills
 * a helper when the thread that made it ends. Errors:  a request that was not answered
 * comes back once with a NULL reply: what it was to do may have happened (I5).
 */
#ifndef RF_AGENT_HELPER_H
#define RF_AGENT_HELPER_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/err.h"
#include "proto/provider.pb-c.h"

struct uv_loop_s;
struct helper;

/* `reply` NULL: ERR_TIMEOUT (killed at its deadline), ERR_CLOSED (it died, or was told to
 * by helper_kill()), ERR_BADMSG. No process of it is left by then. */
typedef void helper_reply(void *owner, const Rf__ProviderReply *reply,
                          const struct err *why);

MUST_USE int helper_open(struct helper **ret_helper, struct uv_loop_s *loop,
                         helper_reply *on_reply, void *owner, struct err *err);
void helper_close(struct helper *h); /* NULL is fine; no callback comes after it */

/* `request->id` is set here. ERR_BUSY, or ERR_CLOSED while the process is being replaced.
 */
MUST_USE int helper_ask(struct helper *h, Rf__ProviderRequest *request,
                        uint32_t deadline_ms, struct err *err);
bool helper_is_busy(const struct helper *h);
/* 0 while it is being replaced. */
int32_t helper_pid(const struct helper *h);
/* End what it does now; the callback follows. */
void helper_kill(struct helper *h);

/* The kernel's start time of a living process in the provider's unit, 0: none such. */
uint64_t process_start_ms(int32_t pid);

/* The server is nobody's from now on: what a provider made for it on this host is removed.
 * In no process of its own, since it only removes an empty directory. False: not yet, it is
 * still used. */
bool helper_let_go(const Rf__ServerSpec *server);

#endif
