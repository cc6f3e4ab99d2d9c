#include "controller/base/clock.h"

#include <stdio.h>
#include <time.h>

#include "controller/base/assert.h"

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts;

    ASSERT(clock_gettime(id, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

struct mono mono_now(void) { return (struct mono){read_ns(CLOCK_MONOTONIC_RAW)}; }

struct boot boot_now(void) { return (struct boot){read_ns(CLOCK_BOOTTIME)}; }

uint64_t wall_now_ms(void) { return read_ns(CLOCK_REALTIME) / NS_PER_MS; }

void wall_format(uint64_t wall_ms, char text[WALL_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char date[24];

    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        snprintf(text, WALL_TEXT_SIZE, "?");
        return;
    }
    snprintf(text, WALL_TEXT_SIZE, "%.23s.%03uZ", date, (unsigned)(wall_ms % 1000));
}
