/* controller/http/rates.h -- how many requests of one address, in bounded memory.
 *
 * Pure:    the clock comes in.
 * Limits:  RATES_SETS x RATES_WAYS addresses are remembered; where there is no room the one
 *          that asked longest ago is forgotten, which gives it all of its requests again.
 * Owner:   the caller; free().
 */
#ifndef RF_HTTP_RATES_H
#define RF_HTTP_RATES_H

#include <stdbool.h>
#include <stdint.h>

enum { RATES_SETS = 512, RATES_WAYS = 4 };

struct rates;

/* `per_s` requests, twice as many at once. NULL: no memory. */
struct rates *rates_new(uint32_t per_s);
/* False: that is one too many. */
bool rates_take(struct rates *r, uint64_t source, uint64_t now_ms);

#endif
