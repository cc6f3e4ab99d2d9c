/* providers/postgres/commit.h -- that a client's commit waits for the members at all.
 *
 * synchronous_standby_names says for whom commits wait, synchronous_commit whether they do:
 * with `off` and `local` they are acknowledged alone, and `remote_write` waits for the
 * standby's memory, not for its flush, which is what a member of the sync set promises
 * (I8). So the agent owns both. A session that lowers it for itself is an assumption that
 * cannot be enforced (docs/safety.md).
 *
 * Threads: one; blocks until the deadline at most. The main session must be open.
 * Errors:  those of pg_exec(); ERR_REFUSED where the setting cannot be put in force.
 */
#ifndef RF_PROVIDERS_POSTGRES_COMMIT_H
#define RF_PROVIDERS_POSTGRES_COMMIT_H

#include "providers/postgres/process.h"

enum { PG_COMMIT_TEXT = 400 };

/* The values that wait for the members' flush, as an SQL list; compare lower-case text. */
#define PG_COMMIT_WAITS "('on', 'remote_apply', 'true', 'yes', '1')"

/* FROM and WHERE for what roles and databases set to something weaker: s.setrole,
 * r.rolname, s.setdatabase, d.datname, and c: `synchronous_commit=value`. A role that
 * cannot log in lends its settings to nobody. */
#define PG_COMMIT_LOWERED                                                                  \
    " FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c"                  \
    " LEFT JOIN pg_roles r ON r.oid = s.setrole"                                           \
    " LEFT JOIN pg_database d ON d.oid = s.setdatabase"                                    \
    " WHERE split_part(c, '=', 1) = 'synchronous_commit'"                                  \
    " AND lower(split_part(c, '=', 2)) NOT IN " PG_COMMIT_WAITS                            \
    " AND (s.setrole = 0 OR r.rolcanlogin)"

/* One row: the server-wide value, in lower case. */
extern const char pg_commit_effective[];
bool pg_commit_waits(const char *value);

/* "" when commits of all roles wait for the members; else what does not let them, where,
 * and the SQL that mends it. */
MUST_USE int pg_commit_look(struct pg *pg, struct mono deadline, char text[PG_COMMIT_TEXT],
                            struct err *err);

/* Puts `on` in force where the server-wide value is weaker; `*ret_raised`: that was so, and
 * what was acknowledged before is on no member for sure. Done only when every statement
 * that may commit with the older value has ended. */
MUST_USE int pg_commit_require(struct pg *pg, struct mono deadline, bool *ret_raised,
                               struct err *err);

/* The same for a primary whose set is itself alone: it acknowledges what is on its own
 * disk, or a crash of its server loses it (I9). Only tried: no statement is waited for, and
 * what cannot be put in force is left to the next join to name, since a primary that serves
 * is worth more than one that waits for an administrator. */
void pg_commit_try(struct pg *pg, struct mono deadline);

#endif
