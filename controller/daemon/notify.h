/* controller/daemon/notify.h -- tells systemd how far we are (Type=notify).
 *
 * One datagram to $NOTIFY_SOCKET, as sd_notify(3) documents the protocol; done here since
 * libsystemd would bring compression and crypto libraries into a process that needs none.
 *
 * Threads: any. Never fails: without systemd nobody listens.
 */
#ifndef RF_DAEMON_NOTIFY_H
#define RF_DAEMON_NOTIFY_H

void notify_systemd(const char *state); /* "READY=1", "STOPPING=1" */

#endif
