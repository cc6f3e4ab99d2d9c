/* providers/postgres/files.h -- small files that must survive a crash, and settings of a
 * server that is down.
 *
 * Everything written is synced, the directory too, before a function returns.
 *
 * Owner:   returned text and paths are malloc'ed.
 * Errors:  ERR_NOTFOUND, ERR_IO, ERR_FULL (longer than the limit), ERR_NOMEM.
 */
#ifndef RF_PROVIDERS_POSTGRES_FILES_H
#define RF_PROVIDERS_POSTGRES_FILES_H

#include "providers/postgres/pg.h"

/* "<data directory>/<name>"; NULL when out of memory. */
char *pg_path(const struct pg *pg, const char *name);
bool pg_has_file(const struct pg *pg, const char *name);

/* The text is NUL-terminated; the second form tells its length too. `err` may be NULL in
 * the first. */
MUST_USE int pg_file_read(const char *path, size_t limit, char **ret_text, struct err *err);
MUST_USE int pg_file_read_len(const char *path, size_t limit, char **ret_text,
                              size_t *ret_len, struct err *err);

/* Replaces the file at once or not at all; owned by the server's user, mode 0600. */
MUST_USE int pg_file_write(const struct pg *pg, const char *path, const char *text,
                           struct err *err);
/* A file that is not there is fine. */
MUST_USE int pg_file_remove(const char *path, struct err *err);
/* Syncs the directory that holds `path`. */
MUST_USE int pg_sync_parent(const char *path, struct err *err);

/* A directory of the server's user, 0700, with missing parents. One that was given to root,
 * or holds nothing but the sockets of a server on our port, is taken back.
 *   ERR_CONFLICT  something else is there, or it is somebody else's */
MUST_USE int pg_make_dir(const struct pg *pg, const char *path, struct err *err);

/* The data directory does not exist or has nothing in it. */
bool pg_data_absent(const struct pg *pg);

/* Bytes that are free for root on the file system of `path`. */
MUST_USE int pg_free_bytes(const char *path, uint64_t *ret_bytes, struct err *err);

/* One setting of postgresql.auto.conf; NULL takes it out. */
struct pg_setting {
    const char *name;
    const char *value;
};
/* For a server that is down: a running one might write the file at the same moment. */
MUST_USE int pg_conf_set(const struct pg *pg, const struct pg_setting *settings, size_t n,
                         struct err *err);

#endif
