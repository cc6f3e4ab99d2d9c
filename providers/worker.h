/* providers/worker.h -- the child process in which an agent runs its providers.
 *
 * The agent re-executes its own binary as `--provider-worker FD`; FD is one end of a
 * stream socketpair. A worker serves one request at a time with linear, blocking code;
 * the agent kills and replaces it past a deadline, so that no client library can block
 * or crash a lease (design section 3).
 *
 * A frame is a 4-byte big-endian length and that many bytes of a packed message.
 *
 * Owner:   messages that are read belong to the caller (rf__..._free_unpacked(m, NULL)).
 * Threads: the worker has one. The agent must start it from a thread that lives as long
 *          as the agent does: the parent-death signal follows the thread.
 * Errors:  ERR_CLOSED at the end of the stream, ERR_BADMSG for a frame that is too long
 *          or does not decode, ERR_IO, ERR_TIMEOUT, ERR_NOMEM.
 */
#ifndef RF_PROVIDERS_WORKER_H
#define RF_PROVIDERS_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/base/time.h"
#include "proto/frame.h" /* provider_request_decode() and its kin */
#include "proto/provider.pb-c.h"

enum { PROVIDER_FRAME_MAX = 1 << 20, PROVIDER_FRAME_HEAD = 4 };

/* Blocking (or, on a non-blocking descriptor, polling) until the whole frame has passed
 * or `deadline`; an unset deadline waits for ever. */
MUST_USE int provider_frame_write(int fd, const ProtobufCMessage *message,
                                  struct mono deadline, struct err *err);
/* `*ret_data` (malloc) holds `*ret_len` bytes of a packed message. */
MUST_USE int provider_frame_read(int fd, uint8_t **ret_data, size_t *ret_len,
                                 struct mono deadline, struct err *err);

/* For an agent that reads without blocking: the length in a frame's head.
 *   ERR_BADMSG  longer than PROVIDER_FRAME_MAX, or empty */
MUST_USE int provider_frame_length(const uint8_t head[PROVIDER_FRAME_HEAD], size_t *ret_len,
                                   struct err *err);

/* The whole life of a worker; returns its exit status. It ends with the agent: at the end
 * of the stream, or by SIGKILL when the agent dies in the middle of a request. */
int provider_worker_main(int fd);

/* Ask for SIGKILL at the agent's death (again). The kernel forgets it whenever the
 * effective user changes, so whoever changes it calls this afterwards. Exits at once
 * when the agent is gone already. Outside a worker it does nothing. */
void provider_worker_rearm(void);

#endif
