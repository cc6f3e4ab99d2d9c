/* controller/audit/folder.h -- are the segments in a directory a whole trail?
 *
 * Each is checked as a bundle is (verify.h), and then against the one before: that nothing
 * is missing between the two, and that the chain goes on. Where two have the same entries
 * (two leaders have shipped them), these must be the same ones.
 *
 * What it cannot find: that segments before the first or behind the last are missing, which
 * nothing in the directory shows; the result says which entries there are.
 *
 * Errors: those of verify.h; ERR_NOTFOUND: there is no segment.
 */
#ifndef RF_AUDIT_FOLDER_H
#define RF_AUDIT_FOLDER_H

#include "controller/audit/verify.h"

/* `file` is the name in the directory, `line` 0: it is about the file as a whole. */
typedef void folder_finding(void *owner, const char *file, unsigned line, bool bad,
                            const char *text);

struct folder_result {
    char cluster[AUDIT_NAME_SIZE];
    unsigned segments, bad;
    uint64_t from_seq, to_seq, entries; /* each counted once */
    uint64_t first_ms, last_ms;
    unsigned least_heads, controllers; /* of the segment whose end the fewest signed */
};

MUST_USE int folder_verify(const char *dir, const struct audit_keys *keys,
                           folder_finding *tell, void *owner,
                           struct folder_result *ret_result, struct err *err);

#endif
