#include "controller/ship/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ship/place_private.h"

enum { DIGITS = 12 };
static const char suffix[] = ".jsonl";

void ship_describe(const struct ship_place *p, char text[SHIP_TARGET_SIZE])
{
    if (p->kind == SHIP_DIRECTORY)
        (void)snprintf(text, SHIP_TARGET_SIZE, "directory %s", p->directory);
    else
        (void)snprintf(text, SHIP_TARGET_SIZE, "bucket %s at %s%s%s", p->bucket, p->url,
                       p->prefix[0] != '\0' ? ", below " : "", p->prefix);
}

/* ---- names ----------------------------------------------------------------------------
 */

void ship_name(const char *cluster, struct ship_range r, char name[SHIP_NAME_SIZE])
{
    (void)snprintf(name, SHIP_NAME_SIZE, "%.63s-%0*" PRIu64 "-%0*" PRIu64 "%s", cluster,
                   DIGITS, r.from, DIGITS, r.to, suffix);
}

bool ship_read_name(const char *cluster, const char *name, size_t len,
                    struct ship_range *ret)
{
    const size_t head = strlen(cluster) + 1;
    char again[SHIP_NAME_SIZE], copy[SHIP_NAME_SIZE];

    if (len >= sizeof copy || len <= head + DIGITS)
        return false;
    memcpy(copy, name, len);
    copy[len] = '\0';
    ret->from = strtoull(copy + head, NULL, 10);
    ret->to = strtoull(copy + head + DIGITS + 1, NULL, 10);
    /* It has one spelling: whatever else it may be comes out differently. */
    ship_name(cluster, *ret, again);
    return strcmp(again, copy) == 0 && ret->from > 0 && ret->to >= ret->from;
}

int ship_ranges_add(struct ship_ranges *r, struct ship_range one, struct err *err)
{
    if (r->n == r->room) {
        size_t room = r->room != 0 ? 2 * r->room : 256;
        struct ship_range *more = realloc(r->list, room * sizeof *more);

        if (more == NULL)
            return err_set(err, ERR_NOMEM, "the names of %zu segments", room);
        r->list = more;
        r->room = room;
    }
    r->list[r->n++] = one;
    return 0;
}

static int by_beginning(const void *a, const void *b)
{
    const struct ship_range *x = a, *y = b;

    return x->from != y->from ? (x->from < y->from ? -1 : 1)
                              : (x->to < y->to ? -1 : x->to > y->to);
}

void ship_ranges_mark(struct ship_ranges *r, uint64_t floor, struct ship_mark *ret)
{
    *ret = (struct ship_mark){.upto = floor};
    if (r->n > 0)
        qsort(r->list, r->n, sizeof *r->list, by_beginning);
    for (size_t i = 0; i < r->n; i++) {
        if (r->list[i].from > ret->upto + 1) {
            ret->hole_end = r->list[i].from;
            return;
        }
        if (r->list[i].to > ret->upto)
            ret->upto = r->list[i].to;
    }
}

/* ---- whichever it is ------------------------------------------------------------------
 */

int ship_find(const struct ship_place *p, uint64_t floor, const atomic_bool *cancel,
              struct ship_mark *ret, struct err *err)
{
    struct ship_ranges ranges = {0};
    int status = p->kind == SHIP_DIRECTORY ? directory_list(p, &ranges, err)
                                           : s3_list(p, cancel, &ranges, err);

    if (status == 0)
        ship_ranges_mark(&ranges, floor, ret);
    free(ranges.list);
    return status;
}

int ship_put(const struct ship_place *p, struct ship_range range, const uint8_t *data,
             size_t len, const atomic_bool *cancel, struct err *err)
{
    char name[SHIP_NAME_SIZE];

    ship_name(p->cluster, range, name);
    return p->kind == SHIP_DIRECTORY ? directory_put(p, name, data, len, err)
                                     : s3_put(p, name, data, len, cancel, err);
}
