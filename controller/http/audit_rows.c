/* Rows of this controller's audit trail, as another one needs them to fill a gap in its own
 * (controller/daemon/backfill.h): a line that says up to which entry of the log they are
 * all, then a line for each, as in a bundle. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/http/audit_private.h"

struct rows_asked {
    struct rows_asked *next;
    struct api *a;
    uint64_t applied; /* when it was asked: everything up to it is in the answer's reach */
    struct asker who;
};

static void drop(struct rows_asked *r)
{
    struct rows_asked **at = &r->a->rows_asked;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    free(r);
}

static int add_line(struct buf *to, const char *text, struct err *err)
{
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "a row of the audit trail");
    if (buf_append(to, text, strlen(text), err) != 0 || buf_append(to, "\n", 1, err) != 0)
        return err->code;
    return 0;
}

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    struct rows_asked *r = owner;
    struct asker who = r->who;
    struct bundle_line line = {.kind = BUNDLE_ROW};
    AUTO(buf_free) struct buf out = {0};
    struct err err = {0};
    char first[64];

    (void)snprintf(first, sizeof first, "{\"applied\":%" PRIu64 ",\"more\":%s}", r->applied,
                   n == AUDIT_ROWS_PAGE ? "true" : "false");
    drop(r);
    if (status == 0)
        status = add_line(&out, first, &err);
    for (size_t i = 0; i < n && status == 0; i++) {
        AUTO(auto_free) char *text = NULL;

        line.row = rows[i];
        text = bundle_text(&line);
        status = add_line(&out, text, &err);
    }
    if (status != 0)
        answer_error(&who, 503, "no-answer", "the store does not answer");
    else
        who.reply(who.owner, 200, out.data, out.len);
}

void audit_serve_rows(struct api *a, uint64_t from_seq, const struct asker *who)
{
    struct audit_query q = {.after_seq = from_seq - 1, .limit = AUDIT_ROWS_PAGE};
    struct rows_asked *r;
    struct api_facts f;
    struct err err = {0};

    api_facts(a, &f);
    if (f.store.audit_gap != 0) {
        answer_error(who, 409, "audit-gap", "its own trail is being filled");
        return;
    }
    r = malloc(sizeof *r);
    if (r == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
        return;
    }
    *r = (struct rows_asked){a->rows_asked, a, f.applied, *who};
    a->rows_asked = r;
    if (a->backend->query_log(a->backend->owner, &q, on_rows, r, &err) == 0)
        return;
    drop(r);
    answer_error(who, 503, "no-answer", "%s", err.text);
}

void audit_rows_close(struct api *a)
{
    while (a->rows_asked != NULL) {
        struct asker who = a->rows_asked->who;

        drop(a->rows_asked);
        answer_error(&who, 503, "no-answer", "this controller stops");
    }
}
