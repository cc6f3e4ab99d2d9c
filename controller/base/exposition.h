/* controller/base/exposition.h -- metrics as Prometheus reads them (text format 0.0.4).
 *
 * Owner:   the caller's buffer; the struct has nothing of its own.
 * Threads: none of its own.
 * Errors:  the first failure stays in `status`, and what comes after it is left out.
 */
#ifndef RF_BASE_EXPOSITION_H
#define RF_BASE_EXPOSITION_H

#include "controller/base/assert.h"
#include "controller/base/buf.h"

struct exposition {
    const char *prefix; /* of every name but those in exposition_line(); "" for none */
    struct buf *out;
    int status; /* 0, ERR_NOMEM or ERR_FULL */
    struct err *err;
};

/* As it is; at most EXPOSITION_LINE_MAX bytes, and cut there. */
enum { EXPOSITION_LINE_MAX = 511 };
PRINTF_LIKE(2, 3) void exposition_line(struct exposition *e, const char *fmt, ...);
/* HELP and TYPE; samples follow. */
void exposition_head(struct exposition *e, const char *name, const char *type,
                     const char *help);
/* With its only sample. */
void exposition_one(struct exposition *e, const char *name, const char *type,
                    const char *help, double value);

#endif
