/* controller/base/notify.h -- tells systemd how far we are (Type=notify).
 *
 * One datagram to $NOTIFY_SOCKET, as sd_notify(3) documents the protocol; done here since
 * libsystemd would bring compression and crypto libraries into processes that need none,
 * and one of them locks its memory.
 *
 * Threads: any. Never fails: without systemd nobody listens. WATCHDOG=1 never waits; what
 *          is said once, READY=1 and STOPPING=1, waits a second at most for room.
 */
#ifndef RF_BASE_NOTIFY_H
#define RF_BASE_NOTIFY_H

void notify_systemd(const char *state); /* "READY=1", "WATCHDOG=1", "STATUS=..." */

#endif
