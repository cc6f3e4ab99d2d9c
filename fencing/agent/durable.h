/* fencing/agent/durable.h -- small files that are either the old one or the new one.
 *
 * A file is text with a last line "sha256 HEX" over all that stands before it. Replacing
 * writes a temporary file, syncs it, renames it, syncs the directory: killed or out of
 * space at any point, the old contents are still there.
 *
 * Owner:   buffers of the caller.
 * Threads: any; one writer per file name at a time.
 * Errors:  ERR_NOTFOUND no such file; ERR_CORRUPT the checksum does not fit; ERR_FULL no
 *          room on the disk; ERR_IO. Texts name the file and say what to do.
 */
#ifndef RF_AGENT_DURABLE_H
#define RF_AGENT_DURABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"

enum { DURABLE_MAX = 64 << 10 };

struct durable_dir {
    int fd;
    const char *path; /* for texts; must outlive it */
};

/* The verified contents without the checksum line, with a NUL behind them. */
MUST_USE int durable_read(const struct durable_dir *dir, const char *name,
                          struct buf *ret_text, struct err *err);
/* `text` ends with a line break. Blocks until the disk has it. */
MUST_USE int durable_write(const struct durable_dir *dir, const char *name,
                           const struct buf *text, struct err *err);

/* Formatted text at the end of `b`. */
MUST_USE int durable_printf(struct buf *b, struct err *err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The next word of a line, whose blanks are single; NULL at its end. Words are cut off. */
char *durable_word(char **line);
/* The next word as a decimal number up to `max`. False: none, or something else. */
bool durable_number(char **line, uint64_t max, uint64_t *ret);

/* Called before each step of durable_write(), for tests that end the process there. */
extern void (*durable_before_step)(int step);
enum { DURABLE_STEPS = 6 };

#endif
