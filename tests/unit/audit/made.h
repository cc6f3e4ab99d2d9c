/* tests/unit/audit/made.h -- a bundle of three controllers, made as an export makes it, and
 * what can be done to it.
 *
 * Owner: made_free().
 */
#ifndef RF_TEST_AUDIT_MADE_H
#define RF_TEST_AUDIT_MADE_H

#include "controller/audit/verify.h"

enum {
    MADE_CONTROLLERS = 3,
    MADE_ROWS_MAX = 40,
    MADE_LINES_MAX = 64,
    EAST = 0,
    WEST,
    WITNESS
};

struct made {
    struct audit_key *keys[MADE_CONTROLLERS];
    struct audit_keys known;
    struct audit_row rows[MADE_ROWS_MAX];
    unsigned row_count, from; /* the first `from` entries are not in the bundle */
    struct bundle_line heads[MADE_CONTROLLERS];
    char *lines[MADE_LINES_MAX]; /* without line breaks */
    unsigned count;
    bool cut_end; /* the last line has no end */
};

/* Keys and `n` entries of a chain. */
void made_open(struct made *m, unsigned n);
void made_free(struct made *m);
/* The lines, of what the struct has; the head of each is signed with its key. */
void made_bundle(struct made *m);
/* The last line anew: what a hostile exporter could do. */
void made_sign(struct made *m);
/* Chain all entries anew from `first` on (0 is the first one). */
void made_chain(struct made *m, unsigned first);

void made_set(struct made *m, unsigned line, const char *text);
void made_remove(struct made *m, unsigned line);
void made_insert(struct made *m, unsigned line, const char *text);
void made_swap(struct made *m, unsigned a, unsigned b);
/* In that line, `what` becomes `by`, of any length; it has to be there. */
void made_replace(struct made *m, unsigned line, const char *what, const char *by);
/* The line that has this text, from 0 on. */
unsigned made_find(const struct made *m, const char *text);

struct made_finding {
    unsigned line;
    bool bad;
    char text[ERR_TEXT_SIZE];
};
struct made_verdict {
    struct made_finding list[64];
    unsigned n;
    struct verify_result result;
};
void made_verify(const struct made *m, struct made_verdict *ret);

#endif
