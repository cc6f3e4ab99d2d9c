/* controller/base/bytes.h -- numbers as bytes on disk and under a checksum: little-endian,
 * whatever the machine. No alignment is asked for. */
#ifndef RF_BASE_BYTES_H
#define RF_BASE_BYTES_H

#include <stdint.h>

/* Writes 8 bytes. */
static inline void put64(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

/* Reads 8 bytes. */
static inline uint64_t get64(const uint8_t *from)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

#endif
