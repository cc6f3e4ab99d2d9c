/* tests/unit/http/shown.h -- a cluster of three controllers and a pair, as the status shows
 * it: this controller leads, west is active, east is not there. */
#ifndef RF_TEST_HTTP_SHOWN_H
#define RF_TEST_HTTP_SHOWN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/http/api_private.h"

extern struct state s;
extern struct observations o;
extern struct api_facts f;
extern const struct mono now;

struct mono ago_ms(uint64_t ms);
int setup(void **state);

#endif
