/* controller/base/err.h -- what went wrong, with the outermost context first.
 *
 * Whoever detects an error names it with err_set(); whoever passes it on adds what it
 * alone knows with err_wrap(); only main(), the executor and the HTTP edge log it, once.
 *
 * Owner:   the caller owns the struct err; `err` may be NULL where nobody wants the text.
 * Threads: any; no shared state.
 */
#ifndef RF_BASE_ERR_H
#define RF_BASE_ERR_H

#include "controller/base/auto.h"

/* The numbers travel between versions: add at the end, never renumber. */
#define ERR_MAP(X)                                                                         \
    X(ERR_NOMEM, -1, "out of memory")                                                      \
    X(ERR_INVAL, -2, "not a valid value")                                                  \
    X(ERR_IO, -3, "input/output error")                                                    \
    X(ERR_BADMSG, -4, "malformed message")                                                 \
    X(ERR_STALE, -5, "superseded by a newer epoch")                                        \
    X(ERR_UNPROVEN, -6, "no fence proof")                                                  \
    X(ERR_NOTLEADER, -7, "not the leader")                                                 \
    X(ERR_TIMEOUT, -8, "timed out")                                                        \
    X(ERR_FULL, -9, "a bounded queue or table is full")                                    \
    X(ERR_NOTFOUND, -10, "not found")                                                      \
    X(ERR_REFUSED, -11, "refused")                                                         \
    X(ERR_BUSY, -12, "busy")                                                               \
    X(ERR_CLOSED, -13, "closed")                                                           \
    X(ERR_CORRUPT, -14, "stored data is damaged")                                          \
    X(ERR_UNKNOWN, -15, "outcome unknown")                                                 \
    X(ERR_PEER, -16, "not the expected peer")                                              \
    X(ERR_UNSUPPORTED, -17, "not supported here")                                          \
    X(ERR_CONFLICT, -18, "in conflict with the current state")

enum err_code {
#define X(name, number, text) name = (number),
    ERR_MAP(X)
#undef X
};

enum { ERR_TEXT_SIZE = 512 };

struct err {
    int code;                 /* 0, or one of the above */
    char text[ERR_TEXT_SIZE]; /* "renew eu-west: connect 10.0.0.7:7400: timed out" */
};

/* All return the code, so that `return err_set(...)` is the whole error path. With
 * ERR_NOMEM the text is for what there was no memory; "out of memory" is put behind it. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put context in front of what is there: "<context>: <text>". Returns err->code, or
 * ERR_INVAL where err is NULL. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "<context>: <strerror(errno_value)>"; the code is ERR_IO but for ENOMEM, ETIMEDOUT,
 * ENOENT, EACCES and EBUSY, which have their own. */
int err_errno(struct err *err, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same for a libuv status (which is a negated errno, or one of libuv's own). */
int err_uv(struct err *err, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* "ERR_STALE" and "superseded by a newer epoch"; "ERR_?" and "unknown error" else. */
const char *err_name(int code);
const char *err_text(int code);

#endif
