/* controller/daemon/audit.h -- what an applied entry leaves in the audit trail.
 *
 * Pure:    values in, a row out.
 */
#ifndef RF_DAEMON_AUDIT_H
#define RF_DAEMON_AUDIT_H

#include "controller/consensus/store.h"
#include "controller/core/apply.h"

/* Take before apply(): which leases of the batch are the first ones of their epoch, the
 * name of the instance that the entry is about, and what a declaration would change. */
struct audit_before {
    bool first_grant;
    /* "instance 7" where the group has none of that number; "pg-west: follow" where a step
     * ends, or "pg-west, step 81" of one that is not on record */
    char instance[2 * NAME_SIZE + 32];
    char changes[DECLARE_TEXT_SIZE];
};
void audit_look(const struct state *s, const struct entry *e, struct audit_before *ret);

/* False where there is nothing to tell: renewals come several times a second, and only the
 * first one of an epoch is news (all of them are in the log). */
bool audit_make(const struct entry *e, const struct apply_result *r,
                const struct audit_before *before, struct audit_row *ret_row);

#endif
