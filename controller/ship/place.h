/* controller/ship/place.h -- where segments of the audit trail are shipped to: a directory,
 * or a bucket that speaks S3.
 *
 * A segment's name is its range of entries, and whoever comes first has written it: a name
 * is never written twice, so what has been shipped is what the place has. The names alone
 * tell how far that is; nothing of it is kept anywhere else (docs/audit.md).
 *
 *     CLUSTER-000000000501-000000001500.jsonl
 *
 * Threads: any; everything here may block for as long as the place lets it.
 * Errors:  ERR_CONFLICT: the name is taken. Others: what failed, on what, what to do.
 */
#ifndef RF_SHIP_PLACE_H
#define RF_SHIP_PLACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

enum {
    SHIP_PATH_SIZE = 160,
    SHIP_URL_SIZE = 256,
    SHIP_WORD_SIZE = 64, /* a bucket, a region, a cluster */
    SHIP_PREFIX_SIZE = 128,
    SHIP_NAME_SIZE = 128,
    SHIP_TARGET_SIZE = SHIP_URL_SIZE + SHIP_WORD_SIZE + SHIP_PREFIX_SIZE + 32,
};

enum ship_kind { SHIP_NONE, SHIP_DIRECTORY, SHIP_S3 };

struct ship_place {
    enum ship_kind kind;
    char cluster[SHIP_WORD_SIZE];
    char writer[SHIP_WORD_SIZE]; /* this controller: of what is not whole yet */
    char directory[SHIP_PATH_SIZE];
    dev_t spare; /* the file system that must not be filled; 0: none */

    char url[SHIP_URL_SIZE]; /* without a slash at its end */
    char bucket[SHIP_WORD_SIZE], region[SHIP_WORD_SIZE];
    char prefix[SHIP_PREFIX_SIZE]; /* "", or with a slash at its end */
    char access_key[SHIP_PATH_SIZE], secret_key[SHIP_PATH_SIZE]; /* files */
    char ca[SHIP_PATH_SIZE];                                     /* "": the system's */
    uint64_t retain_ms;                                          /* 0: as the bucket says */
    bool compliance;                                             /* else governance */
    uint32_t timeout_ms;
};

/* "directory /srv/audit", "bucket audit at https://..., below prod/". */
void ship_describe(const struct ship_place *p, char text[SHIP_TARGET_SIZE]);

struct ship_range {
    uint64_t from, to;
};
void ship_name(const char *cluster, struct ship_range r, char name[SHIP_NAME_SIZE]);
/* False: no segment of that cluster. */
bool ship_read_name(const char *cluster, const char *name, size_t len,
                    struct ship_range *ret);

/* Which ranges a place has; free() the list. */
struct ship_ranges {
    struct ship_range *list;
    size_t n, room;
};
MUST_USE int ship_ranges_add(struct ship_ranges *r, struct ship_range one, struct err *err);

/* Up to which entry all from `floor` + 1 on are there; and the first one behind a hole, 0
 * where there is none. */
struct ship_mark {
    uint64_t upto, hole_end;
};
void ship_ranges_mark(struct ship_ranges *r, uint64_t floor, struct ship_mark *ret);

/* `cancel` (may be NULL) ends it soon once it is true. */
MUST_USE int ship_find(const struct ship_place *p, uint64_t floor,
                       const atomic_bool *cancel, struct ship_mark *ret, struct err *err);
/* Synced, or acknowledged, when it returns 0. */
MUST_USE int ship_put(const struct ship_place *p, struct ship_range range,
                      const uint8_t *data, size_t len, const atomic_bool *cancel,
                      struct err *err);

#endif
