#include "controller/audit/folder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 4096 };

struct folder {
    const char *dir, *file; /* that is being checked */
    const struct audit_keys *keys;
    folder_finding *tell;
    void *owner;
    struct folder_result result;
    struct verify_chain chain;
};

static void found(struct folder *f, unsigned line, bool bad, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void found(struct folder *f, unsigned line, bool bad, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (bad)
        f->result.bad++;
    f->tell(f->owner, f->file, line, bad, text);
}

static void on_finding(void *owner, unsigned line, bool bad, const char *text)
{
    found(owner, line, bad, "%s", text);
}

/* ---- which ----------------------------------------------------------------------------
 */

static int is_segment(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');

    return e->d_name[0] != '.' && dot != NULL && strcmp(dot, ".jsonl") == 0;
}

enum { DIGITS = 12 };

static bool read_number(const char *text, uint64_t *ret)
{
    if (strspn(text, "0123456789") != DIGITS)
        return false;
    *ret = strtoull(text, NULL, 10);
    return true;
}

/* "...-000000000501-000000001500.jsonl" */
static bool named_range(const char *file, uint64_t *ret_from, uint64_t *ret_to)
{
    const size_t len = strlen(file), tail = DIGITS + DIGITS + sizeof "-.jsonl" - 1;

    return len > tail && read_number(file + len - tail, ret_from) &&
           file[len - tail + DIGITS] == '-' &&
           read_number(file + len - tail + DIGITS + 1, ret_to);
}

/* ---- one ------------------------------------------------------------------------------
 */

static void check_name(struct folder *f, const struct bundle_header *h)
{
    uint64_t from, to;

    if (!named_range(f->file, &from, &to))
        return; /* people may call an export as they like */
    if (from != h->from_seq || to != h->to_seq)
        found(f, 0, true,
              "is named for entries %" PRIu64 " to %" PRIu64 ", and has %" PRIu64
              " to %" PRIu64,
              from, to, h->from_seq, h->to_seq);
}

static void check_join(struct folder *f, const struct verify_result *r)
{
    const struct bundle_header *h = &r->header;
    const struct folder_result *so_far = &f->result;

    if (so_far->segments == 0)
        return;
    if (strcmp(h->cluster, so_far->cluster) != 0)
        found(f, 0, true, "is of cluster %s, and the ones before are of %s", h->cluster,
              so_far->cluster);
    if (h->from_seq > so_far->to_seq + 1)
        found(f, 0, true,
              "entries %" PRIu64 " to %" PRIu64
              " are missing: no segment in this directory has them",
              so_far->to_seq + 1, h->from_seq - 1);
}

static void count(struct folder *f, const struct verify_result *r)
{
    struct folder_result *t = &f->result;
    const struct bundle_header *h = &r->header;

    if (t->segments == 0) {
        (void)snprintf(t->cluster, sizeof t->cluster, "%s", h->cluster);
        t->from_seq = h->from_seq;
        t->first_ms = r->first_ms;
        t->to_seq = h->from_seq - 1;
        t->least_heads = r->signed_heads;
        t->controllers = h->controller_count;
    }
    t->segments++;
    if (r->signed_heads < t->least_heads) {
        t->least_heads = r->signed_heads;
        t->controllers = h->controller_count;
    }
    if (h->to_seq <= t->to_seq)
        return;
    t->entries += h->to_seq - (h->from_seq > t->to_seq ? h->from_seq - 1 : t->to_seq);
    t->to_seq = h->to_seq;
    t->last_ms = r->last_ms;
}

static int check_one(struct folder *f, struct err *err)
{
    AUTO(verify_close) struct verify *v = NULL;
    char path[PATH_ROOM];
    struct verify_result r;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", f->dir, f->file) >= sizeof path)
        return err_set(err, ERR_INVAL, "%s: the path is too long", f->dir);
    if (verify_open(&v, f->keys, on_finding, f, err) != 0)
        return err->code;
    verify_follow(v, &f->chain);
    if (verify_file(v, path, err) != 0)
        return err->code;
    verify_result(v, &r);
    if (r.header.from_seq == 0)
        return 0; /* it has no header: told */
    check_name(f, &r.header);
    check_join(f, &r);
    count(f, &r);
    return 0;
}

/* ---- all ------------------------------------------------------------------------------
 */

int folder_verify(const char *dir, const struct audit_keys *keys, folder_finding *tell,
                  void *owner, struct folder_result *ret_result, struct err *err)
{
    struct folder f = {.dir = dir, .keys = keys, .tell = tell, .owner = owner};
    struct dirent **files = NULL;
    int n = scandir(dir, &files, is_segment, alphasort), status = 0;

    if (n < 0)
        return err_errno(err, errno, "%s", dir);
    if (n == 0)
        status = err_set(err, ERR_NOTFOUND, "%s: there is no segment (*.jsonl) in it", dir);
    for (int i = 0; i < n; i++) {
        f.file = files[i]->d_name;
        if (status == 0)
            status = check_one(&f, err);
        free(files[i]);
    }
    free(files);
    verify_chain_free(&f.chain);
    *ret_result = f.result;
    return status;
}
