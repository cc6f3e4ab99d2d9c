/* controller/net/names_text.h -- answers of the resolver as text: in the log, and in the
 * file that outlives the process (names.h).
 *
 * The file has a line that says what it is, then "NAME WHEN ADDRESS..." for each; WHEN are
 * wall-clock milliseconds, for people.
 *
 * Limits:  a file shorter than NAMES_FILE_MAX, without a zero byte; NAMES_MAX lines; a NAME
 *          shorter than ADDRESS_HOST_SIZE; 1 to NAMES_ADDRESSES_MAX addresses, as numbers.
 *          If it is more, or one line something else, nothing of it is told.
 * Pure:    but for names_text_read(), which reads the file.
 * Threads: any.
 * Errors:  on error ret_ arguments are untouched.
 */
#ifndef RF_NET_NAMES_TEXT_H
#define RF_NET_NAMES_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/base/buf.h"
#include "controller/net/names.h"

enum { NAMES_FILE_MAX = 64 << 10, NAMES_ADDRESSES_TEXT = 192 };

struct names_line {
    char host[ADDRESS_HOST_SIZE];
    uint64_t wall_ms; /* when the resolver said so last */
    struct names_answer answer;
};

/* "10.0.0.2, fd00::2"; what does not fit is cut, and says so. */
void names_text_say(const struct names_answer *a, char text[NAMES_ADDRESSES_TEXT]);
/* The same addresses, in whatever order; ports do not count. */
bool names_text_same(const struct names_answer *a, const struct names_answer *b);
bool names_text_same_host(const struct sockaddr_storage *a,
                          const struct sockaddr_storage *b);

/*   ERR_NOMEM, ERR_FULL */
MUST_USE int names_text_begin(struct buf *b, struct err *err);
MUST_USE int names_text_add(struct buf *b, const struct names_line *line, struct err *err);

/* A file that is not there has no lines.
 *   ERR_BADMSG  it is not such a file, or damaged: nothing of it is told
 *   ERR_IO and others of reading */
MUST_USE int names_text_read(const char *path, struct names_line ret_lines[NAMES_MAX],
                             unsigned *ret_count, struct err *err);

#endif
