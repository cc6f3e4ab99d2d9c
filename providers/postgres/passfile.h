/* providers/postgres/passfile.h -- would libpq find a password in this file?
 *
 * Limits:  none of its own: lines of any length, one at a time in memory, as libpq reads
 *          them.
 * Threads: any; reads one file.
 */
#ifndef RF_PROVIDERS_POSTGRES_PASSFILE_H
#define RF_PROVIDERS_POSTGRES_PASSFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct pg_passfile {
    unsigned bad_line; /* the first that libpq would pass over, from 1; 0: none */
    unsigned of_user;  /* lines for the user, whatever the host */
    bool fits;         /* one for host and user, for replication and for `postgres` */
};

/* `port` 0: of any port. Of passwords nothing is kept.
 *   ERR_IO  it cannot be read */
MUST_USE int pg_passfile_look(struct pg_passfile *ret, const char *path, const char *host,
                              uint32_t port, const char *user, struct err *err);

#endif
