/* chaos/files.h -- the files of a laboratory: configuration, declared group, hba.
 *
 * Pure:    text from a struct cluster; cluster.c writes it where it belongs.
 * Owner:   malloc'ed text.
 */
#ifndef RF_CHAOS_FILES_H
#define RF_CHAOS_FILES_H

#include "chaos/cluster.h"

extern const char file_hba[];           /* pg_hba.conf of both servers */
extern const char file_settings[];      /* appended to postgresql.conf */
extern const char file_commits_alone[]; /* and this, unless sync is off */
extern const char file_passfile[];
extern const char file_grants[]; /* SQL: the replication user, and what pg_rewind needs */

char *file_controller(const struct cluster *c, enum site s);
char *file_agent(const struct cluster *c, enum site s);
char *file_group(const struct cluster *c);

#endif
