/* fencing/agent/agent_notify.h -- tells systemd how far we are (Type=notify).
 *
 * One datagram to $NOTIFY_SOCKET, as sd_notify(3) documents the protocol, without
 * libsystemd: the process that locks its memory need not hold compression libraries.
 *
 * Threads: any. Never fails: without systemd nobody listens.
 */
#ifndef RF_AGENT_NOTIFY_H
#define RF_AGENT_NOTIFY_H

void agent_notify(const char *state); /* "READY=1", "WATCHDOG=1", "STOPPING=1" */

#endif
