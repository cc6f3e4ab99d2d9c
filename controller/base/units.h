/* controller/base/units.h -- "3s", "16MiB", "1%" as people write them, and back.
 *
 * A number needs its unit (but for a plain 0): "300" could be meant as seconds as well as
 * milliseconds, and a lease that is a thousand times too long is found out too late.
 *
 * Pure:    no I/O, no clock, no locale.
 * Threads: any.
 * Errors:  ERR_INVAL; the text says what was expected and what was found. ret_ arguments
 *          are untouched then.
 */
#ifndef RF_BASE_UNITS_H
#define RF_BASE_UNITS_H

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

/* "300ms", "3s", "1.5s", "10min", "2h", "7d"; whole milliseconds. */
MUST_USE int units_parse_duration(const char *text, uint32_t *ret_ms, struct err *err);

/* "512B", "64KiB", "16MiB", "1.5GiB", "2TiB"; whole bytes. */
MUST_USE int units_parse_size(const char *text, uint64_t *ret_bytes, struct err *err);

/* "1%", "0.5%", "200ppm" in parts per million, at most 100%. */
MUST_USE int units_parse_share(const char *text, uint32_t *ret_ppm, struct err *err);

/* The shortest exact form: what it gives can be parsed again to the same value. */
enum { UNITS_TEXT_SIZE = 32 };
void units_format_duration(uint64_t ms, char text[UNITS_TEXT_SIZE]);
void units_format_size(uint64_t bytes, char text[UNITS_TEXT_SIZE]);
void units_format_share(uint32_t ppm, char text[UNITS_TEXT_SIZE]);

#endif
