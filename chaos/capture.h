/* chaos/capture.h -- acknowledgements as packets, stamped by the kernel as they arrive.
 *
 * When a client was scheduled says nothing about when the old side spoke last. An AF_PACKET
 * socket in the client's network keeps every packet from a server's port that carries
 * "INSERT 0 1"; retransmitted ones too.
 *
 * Units:   instants in CLOCK_BOOTTIME nanoseconds (the kernel stamps wall time; the offset
 *          is read anew with every batch).
 * Owner:   the main thread; read the packets only after capture_stop().
 */
#ifndef RF_CHAOS_CAPTURE_H
#define RF_CHAOS_CAPTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chaos/ground.h"

struct ack_packet {
    int64_t at_ns;
    uint8_t host;
};

struct capture {
    const struct ground *ground;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool ready;
    struct ack_packet *packets;
    size_t count, cap;
    unsigned dropped; /* by the kernel, for want of room: then nothing is known */
};

void capture_start(struct capture *c, const struct ground *g);
void capture_stop(struct capture *c);
void capture_free(struct capture *c);

/* The last acknowledgement packet of `host` before `to`; 0: none. */
int64_t capture_last_ack_ns(const struct capture *c, enum site host, int64_t to);

#endif
