/* controller/base/clock.h -- the only place that reads a clock.
 *
 * struct mono is this host's CLOCK_MONOTONIC_RAW: not slewed by NTP, never sent to
 * another host, never compared with one that was read there (I4). Holders of a lease use
 * struct boot, CLOCK_BOOTTIME, as the kernel's gate reads it (I3). The compiler refuses to
 * mix the two. Wall-clock time is for people only.
 *
 * Units:   nanoseconds in the structs, milliseconds in names that end in _ms.
 * Threads: any.
 */
#ifndef RF_BASE_CLOCK_H
#define RF_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/time.h"

/* A fresh reading, each time it is called: never a value that a loop has cached (I4). */
struct mono mono_now(void);
struct boot boot_now(void);

/* Milliseconds since 1970, for people. */
uint64_t wall_now_ms(void);

/* "2026-11-21T03:42:07.123Z" */
enum { WALL_TEXT_SIZE = 32 };
void wall_format(uint64_t wall_ms, char text[WALL_TEXT_SIZE]);

#endif
