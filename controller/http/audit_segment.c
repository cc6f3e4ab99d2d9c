/* A piece of the audit trail as a signed bundle in memory, for shipping. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/http/audit_private.h"

struct segment {
    struct api *a;
    struct bundle_header header;
    struct bundle_writer told;
    struct gather *gather;
    api_segment_done *done;
    void *owner;
};

static void drop(struct segment *s)
{
    s->a->segment = NULL;
    bundle_writer_close(&s->told);
    free(s);
}

static void give_up(struct segment *s, const char *why)
{
    api_segment_done *done = s->done;
    void *owner = s->owner;

    drop(s);
    done(owner, NULL, why);
}

static void on_heads(void *owner, const struct gather *g)
{
    struct segment *s = owner;
    const struct audit_key *key = s->a->backend->audit_key(s->a->backend->owner);
    struct api_segment ret = {s->header.from_seq, s->header.to_seq, NULL, 0};
    api_segment_done *done = s->done;
    void *told = s->owner;
    struct err err = {0};

    s->gather = NULL;
    if (key == NULL) {
        give_up(s, "this controller has no audit key any more");
        return;
    }
    if (bundle_writer_end(&s->told, g->lines, g->count, s->header.exporter, key, &err) !=
        0) {
        give_up(s, err.text);
        return;
    }
    ret.data = TAKE(s->told.out.data);
    ret.len = s->told.out.len;
    s->told.out = (struct buf){0};
    drop(s);
    done(told, &ret, NULL);
}

static int tell(struct segment *s, const struct audit_row *rows, size_t n, struct err *err)
{
    struct bundle_line line = {.kind = BUNDLE_HEADER};

    s->header.from_seq = rows[0].seq;
    s->header.to_seq = rows[n - 1].seq;
    memcpy(s->header.base, rows[0].prev_hash, AUDIT_HASH_SIZE);
    (void)snprintf(s->header.from, sizeof s->header.from, "%" PRIu64, rows[0].index);
    (void)snprintf(s->header.to, sizeof s->header.to, "%" PRIu64, rows[n - 1].index);
    line.header = s->header;
    if (bundle_writer_line(&s->told, &line, err) != 0)
        return err->code;
    line.kind = BUNDLE_ROW;
    for (size_t i = 0; i < n; i++) {
        line.row = rows[i];
        if (bundle_writer_line(&s->told, &line, err) != 0)
            return err->code;
    }
    return 0;
}

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    struct segment *s = owner;
    struct err err = {0};

    if (status != 0 || n == 0) {
        give_up(s, status != 0 ? "the store does not answer" : "there is no such entry");
        return;
    }
    if (tell(s, rows, n, &err) != 0) {
        give_up(s, err.text);
        return;
    }
    s->gather = gather_begin(s->a, s->header.to_seq, on_heads, s);
    if (s->gather == NULL)
        give_up(s, "out of memory");
    else
        gather_wait(s->gather);
}

int api_segment(struct api *a, uint64_t after, unsigned limit, api_segment_done *done,
                void *owner, struct err *err)
{
    const struct audit_query q = {.after_seq = after, .limit = limit};
    struct segment *s;

    if (a->segment != NULL)
        return err_set(err, ERR_BUSY, "another segment is being made");
    if (a->backend->audit_key(a->backend->owner) == NULL)
        return err_set(err, ERR_NOTFOUND,
                       "this controller has no key to sign with: `audit.key` of its "
                       "ringfenced.yaml names it");
    s = calloc(1, sizeof *s);
    if (s == NULL || bundle_writer_open(&s->told, err) != 0) {
        free(s);
        return err_set(err, ERR_NOMEM, "a segment of the audit trail");
    }
    s->a = a;
    s->done = done;
    s->owner = owner;
    audit_header(a, &s->header);
    if (a->backend->query_log(a->backend->owner, &q, on_rows, s, err) != 0) {
        bundle_writer_close(&s->told);
        free(s);
        return err->code;
    }
    a->segment = s;
    return 0;
}

/* The store and the links are closed: nobody calls back but the gather. */
void segment_close(struct api *a)
{
    if (a->segment == NULL)
        return;
    if (a->segment->gather != NULL)
        gather_abandon(a->segment->gather);
    drop(a->segment);
}
