/* controller/base/problem.h -- what every refusal of the API looks like: RFC 9457.
 *
 *     {"type":"urn:ringfence:problem:unknown-group","title":"Unknown group","status":404,
 *      "detail":"there is no group ordres: ...","code":"unknown-group"}
 *
 * `code` is what programs go by and never changes its meaning; the type is made of it and
 * the title says it in words; `detail` is for people, of this one occurrence, and says what
 * to do. docs/api.md lists the codes. There is no `instance`: the audit trail has each
 * refusal of what would have been an act.
 *
 * Pure.
 */
#ifndef RF_BASE_PROBLEM_H
#define RF_BASE_PROBLEM_H

#include <stddef.h>

#include "controller/base/err.h"

#define PROBLEM_TYPE "application/problem+json"
#define PROBLEM_URN "urn:ringfence:problem:"

enum {
    PROBLEM_DETAIL_SIZE = 2 * ERR_TEXT_SIZE, /* a longer detail is cut */
    PROBLEM_CODE_SIZE = 64,
    PROBLEM_SIZE = 6 * PROBLEM_DETAIL_SIZE + 4 * PROBLEM_CODE_SIZE + 128,
};

/* `code`: [a-z0-9-]. `detail`: any bytes; what is no UTF-8, as where a request's words were
 * cut, is told as "?". Returns the length. */
size_t problem_write(char out[PROBLEM_SIZE], unsigned status, const char *code,
                     const char *detail);

#endif
