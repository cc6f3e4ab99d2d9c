/* `ringfence audit`: the trail as a signed bundle, its check, the keys for it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controller/audit/folder.h"
#include "controller/base/clock.h"
#include "controller/cli/answer.h"
#include "controller/cli/audit_key.h"
#include "controller/cli/cli.h"

enum { PATH_ROOM = 4096, MS_PER_S = 1000 };

/* ---- export ---------------------------------------------------------------------------
 */

/* "2026-11-21", with "T03:42", ":07" and "Z" behind it if wanted: UTC, as the log shows
 * it. */
static bool read_time(const char *text, bool end_of_day, uint64_t *ret_ms)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};

    for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *rest = strptime(text, forms[i], &tm);
        time_t at;

        if (rest == NULL || (strcmp(rest, "") != 0 && (i == 0 || strcmp(rest, "Z") != 0)))
            continue;
        at = timegm(&tm);
        if (at < 0)
            return false;
        *ret_ms = (uint64_t)at * MS_PER_S;
        if (end_of_day)
            *ret_ms += (i == 0   ? 86400 * (uint64_t)MS_PER_S
                        : i == 1 ? 60 * (uint64_t)MS_PER_S
                                 : MS_PER_S) -
                       1;
        return true;
    }
    return false;
}

/* "from_index=7&" or "from_ms=...&" behind what is in `path`. */
static bool add_bound(const struct cli *cli, const char *which, char *path, size_t size)
{
    const char *text = cli_value(cli, which);
    size_t used = strlen(path);
    uint64_t ms;

    if (text == NULL)
        return true;
    if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text) &&
        strlen(text) <= 18) {
        (void)snprintf(path + used, size - used, "%s_index=%s&", which, text);
        return true;
    }
    if (read_time(text, strcmp(which, "to") == 0, &ms)) {
        (void)snprintf(path + used, size - used, "%s_ms=%" PRIu64 "&", which, ms);
        return true;
    }
    cli_usage(cli,
              "audit export: --%s: expected an index of the log, or a time such as "
              "2026-11-21 or 2026-11-21T03:42:07Z, found '%s'",
              which, text);
    return false;
}

struct export
{
    FILE *to;
    uint64_t lines, entries;
    unsigned heads, older, absent;
    uint64_t to_seq;
    bool whole, bad;
};

static void count_line(struct export *x, const struct bundle_line *line)
{
    bool older = line->kind == BUNDLE_HEAD && line->head.at.seq != x->to_seq;

    if (line->kind == BUNDLE_HEADER)
        x->to_seq = line->header.to_seq;
    x->entries += line->kind == BUNDLE_ROW;
    x->older += older;
    x->heads += line->kind == BUNDLE_HEAD && !older;
    x->absent += line->kind == BUNDLE_ABSENT;
    x->whole = line->kind == BUNDLE_SIGNATURE;
}

static bool on_bundle_line(void *owner, const char *text, size_t len)
{
    struct export *x = owner;
    struct bundle_line line;
    struct err err = {0};

    if (fwrite(text, 1, len, x->to) != len || fputc('\n', x->to) == EOF)
        return false;
    x->lines++;
    x->bad = x->bad || bundle_read(&line, text, len, &err) != 0;
    if (!x->bad)
        count_line(x, &line);
    return true;
}

static enum cli_exit fetch(struct cli *cli, const char *path, struct export *x)
{
    AUTO(http_answer_free) struct http_answer answer = {0};
    struct http_lines lines = {on_bundle_line, x, cli->http.timeout_ms};
    struct err err = {0};

    if (http_follow(&cli->http, path, &lines, &answer, &err) != 0)
        return cli_fail(cli, &err);
    if (answer.status != 200)
        return cli_refused(cli, &answer);
    if (fflush(x->to) != 0 || ferror(x->to) != 0) {
        err_errno(&err, errno, "write the bundle");
        return cli_fail(cli, &err);
    }
    if (x->whole && !x->bad)
        return CLI_OK;
    err_set(&err, ERR_BADMSG, "%s: the bundle %s", cli->http.socket,
            x->bad ? "has a line that this version does not know" : "ends before its end");
    return cli_fail(cli, &err);
}

/* Beside its place until it is whole, and synced: half a bundle has no name. */
static enum cli_exit export_to(struct cli *cli, const char *path, const char *file,
                               struct export *x)
{
    char beside[PATH_ROOM];
    enum cli_exit result;
    struct err err = {0};

    if ((size_t)snprintf(beside, sizeof beside, "%s.part", file) >= sizeof beside)
        return cli_usage(cli, "audit export: the path is too long");
    x->to = fopen(beside, "we");
    if (x->to == NULL) {
        fprintf(cli->errors, "ringfence: make %s: %s\n", beside, strerror(errno));
        return CLI_USAGE;
    }
    result = fetch(cli, path, x);
    if (result == CLI_OK && fsync(fileno(x->to)) != 0)
        result = cli_fail(cli, (err_errno(&err, errno, "sync %s", beside), &err));
    if (fclose(x->to) != 0 && result == CLI_OK)
        result = cli_fail(cli, (err_errno(&err, errno, "write %s", beside), &err));
    if (result == CLI_OK && rename(beside, file) != 0)
        result = cli_fail(cli, (err_errno(&err, errno, "put %s in its place", file), &err));
    if (result != CLI_OK)
        (void)unlink(beside);
    return result;
}

enum cli_exit cli_audit_export(struct cli *cli)
{
    const char *file = cli_operand(cli, 0);
    char path[256] = "/api/v1/audit/export?";
    struct export x = {0};
    enum cli_exit result;

    if (!add_bound(cli, "from", path, sizeof path) ||
        !add_bound(cli, "to", path, sizeof path))
        return CLI_USAGE;
    if (strcmp(file, "-") == 0) {
        x.to = cli->out;
        return fetch(cli, path, &x);
    }
    result = export_to(cli, path, file, &x);
    if (result != CLI_OK)
        return result;
    fprintf(
        cli->out, "%s: %" PRIu64 " entries, the last one signed by %u controller%s%s%s\n",
        file, x.entries, x.heads, x.heads == 1 ? "" : "s",
        x.older != 0 ? "; others are behind, and signed an older one" : "",
        x.absent != 0 ? "; the others could not be asked, and the bundle says why" : "");
    return CLI_OK;
}

/* ---- verify ---------------------------------------------------------------------------
 */

enum { FINDINGS_SHOWN = 50 };

struct check {
    struct cli *cli;
    const char *file;
    unsigned told;
    json_t *findings;
};

static void on_finding(void *owner, unsigned line, bool bad, const char *text)
{
    struct check *c = owner;

    if (++c->told > FINDINGS_SHOWN)
        return;
    if (c->cli->json)
        (void)json_array_append_new(
            c->findings,
            json_pack("{s:i, s:b, s:s}", "line", (int)line, "bad", (int)bad, "text", text));
    else
        fprintf(c->cli->out, "%s:%u: %s%s\n", c->file, line, bad ? "" : "note: ", text);
}

static void show_result(const struct check *c, const struct verify_result *r)
{
    char first[WALL_TEXT_SIZE], last[WALL_TEXT_SIZE];
    const struct bundle_header *h = &r->header;
    FILE *out = c->cli->out;

    wall_format(r->first_ms, first);
    wall_format(r->last_ms, last);
    if (c->told > FINDINGS_SHOWN)
        fprintf(out, "%s: and %u more\n", c->file, c->told - FINDINGS_SHOWN);
    if (r->bad != 0) {
        fprintf(out, "%s: NOT INTACT: %u finding%s\n", c->file, r->bad,
                r->bad == 1 ? "" : "s");
        return;
    }
    fprintf(out,
            "%s: intact: cluster %s, exported by %s; entries %" PRIu64 " to %" PRIu64
            " (%s to %s); %u of %u controllers signed the last entry",
            c->file, h->cluster, h->exporter, h->from_seq, h->to_seq, first, last,
            r->signed_heads, h->controller_count);
    for (unsigned i = 0; i < r->older_count; i++)
        fprintf(out, "%s %s entry %" PRIu64, i == 0 ? "; an older one:" : ",",
                r->older[i].controller, r->older[i].seq);
    fputc('\n', out);
}

static json_t *older_json(const struct verify_result *r)
{
    json_t *out = json_array();

    for (unsigned i = 0; i < r->older_count; i++)
        (void)json_array_append_new(out, json_pack("{s:s, s:I}", "controller",
                                                   r->older[i].controller, "seq",
                                                   (json_int_t)r->older[i].seq));
    return out;
}

static void show_json(struct check *c, const struct verify_result *r)
{
    const struct bundle_header *h = &r->header;
    json_t *out =
        json_pack("{s:b, s:s, s:s, s:I, s:I, s:I, s:i, s:o, s:i, s:i, s:O}", "intact",
                  (int)(r->bad == 0), "cluster", h->cluster, "exporter", h->exporter,
                  "from_seq", (json_int_t)h->from_seq, "to_seq", (json_int_t)h->to_seq,
                  "entries", (json_int_t)r->entries, "signed_heads", (int)r->signed_heads,
                  "older_heads", older_json(r), "absent", (int)r->absent, "bad",
                  (int)r->bad, "findings", c->findings);

    cli_print_json(c->cli, out);
    json_decref(out);
}

static void drop_array(json_t **v) { json_decref(*v); }

/* ---- a directory of segments ----------------------------------------------------------
 */

static void on_folder_finding(void *owner, const char *file, unsigned line, bool bad,
                              const char *text)
{
    struct check *c = owner;

    if (++c->told > FINDINGS_SHOWN)
        return;
    if (c->cli->json)
        (void)json_array_append_new(c->findings,
                                    json_pack("{s:s, s:i, s:b, s:s}", "file", file, "line",
                                              (int)line, "bad", (int)bad, "text", text));
    else if (line == 0)
        fprintf(c->cli->out, "%s: %s%s\n", file, bad ? "" : "note: ", text);
    else
        fprintf(c->cli->out, "%s:%u: %s%s\n", file, line, bad ? "" : "note: ", text);
}

static void show_folder(const struct check *c, const struct folder_result *r)
{
    char first[WALL_TEXT_SIZE], last[WALL_TEXT_SIZE];
    FILE *out = c->cli->out;

    wall_format(r->first_ms, first);
    wall_format(r->last_ms, last);
    if (c->told > FINDINGS_SHOWN)
        fprintf(out, "%s: and %u more\n", c->file, c->told - FINDINGS_SHOWN);
    if (r->bad != 0) {
        fprintf(out, "%s: NOT INTACT: %u finding%s\n", c->file, r->bad,
                r->bad == 1 ? "" : "s");
        return;
    }
    fprintf(out,
            "%s: intact: cluster %s; %u segments with entries %" PRIu64 " to %" PRIu64
            " (%s to %s), none missing between them; at least %u of %u controllers signed "
            "the last entry of each\n",
            c->file, r->cluster, r->segments, r->from_seq, r->to_seq, first, last,
            r->least_heads, r->controllers);
}

static enum cli_exit verify_folder(struct cli *cli, struct check *c,
                                   const struct audit_keys *keys)
{
    struct folder_result r;
    struct err err = {0};
    json_t *out;

    if (folder_verify(c->file, keys, on_folder_finding, c, &r, &err) != 0) {
        fprintf(cli->errors, "ringfence: %s\n", err.text);
        return CLI_USAGE;
    }
    if (!cli->json) {
        show_folder(c, &r);
        return r.bad == 0 ? CLI_OK : CLI_NO;
    }
    out = json_pack("{s:b, s:s, s:i, s:I, s:I, s:I, s:i, s:i, s:O}", "intact",
                    (int)(r.bad == 0), "cluster", r.cluster, "segments", (int)r.segments,
                    "from_seq", (json_int_t)r.from_seq, "to_seq", (json_int_t)r.to_seq,
                    "entries", (json_int_t)r.entries, "signed_heads", (int)r.least_heads,
                    "bad", (int)r.bad, "findings", c->findings);
    cli_print_json(cli, out);
    json_decref(out);
    return r.bad == 0 ? CLI_OK : CLI_NO;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum cli_exit verify_bundle(struct cli *cli, struct check *c,
                                   const struct audit_keys *keys)
{
    AUTO(verify_close) struct verify *v = NULL;
    struct verify_result r;
    struct err err = {0};

    if (verify_open(&v, keys, on_finding, c, &err) != 0 ||
        verify_file(v, c->file, &err) != 0) {
        fprintf(cli->errors, "ringfence: %s\n", err.text);
        return CLI_USAGE;
    }
    verify_result(v, &r);
    if (cli->json)
        show_json(c, &r);
    else
        show_result(c, &r);
    return r.bad == 0 ? CLI_OK : CLI_NO;
}

enum cli_exit cli_audit_verify(struct cli *cli)
{
    const char *file = cli_operand(cli, 0), *key_file = cli_value(cli, "keys");
    AUTO(audit_keys_free) struct audit_keys keys = {0};
    AUTO(drop_array) json_t *findings = json_array();
    struct check c = {cli, file, 0, findings};
    struct err err = {0};

    if (key_file == NULL)
        return cli_usage(cli, "audit verify: expected --keys FILE: the public keys of the "
                              "controllers, as `ringfence audit keys` prints them");
    if (audit_keys_read(&keys, key_file, &err) != 0) {
        fprintf(cli->errors, "ringfence: %s\n", err.text);
        return CLI_USAGE;
    }
    return is_directory(file) ? verify_folder(cli, &c, &keys)
                              : verify_bundle(cli, &c, &keys);
}

/* ---- keys -----------------------------------------------------------------------------
 */

static enum cli_exit print_keys_of_ca(struct cli *cli, const char *dir)
{
    AUTO(audit_keys_free) struct audit_keys keys = {0};
    char path[PATH_ROOM];
    struct err err = {0};

    if (audit_key_list(dir, path, sizeof path, &err) != 0 ||
        audit_keys_read(&keys, path, &err) != 0) {
        fprintf(cli->errors, "ringfence: %s\n", err.text);
        return err.code == ERR_INVAL ? CLI_USAGE : CLI_NO;
    }
    for (size_t i = 0; i < keys.n; i++) {
        char line[AUDIT_KEYS_LINE];

        audit_keys_line(&keys.list[i], line);
        fprintf(cli->out, "%s\n", line);
    }
    return CLI_OK;
}

enum cli_exit cli_audit_keys(struct cli *cli)
{
    const char *dir = cli_value(cli, "dir");
    AUTO(drop_array) json_t *v = NULL;
    json_t *one;
    size_t i;
    enum cli_exit result;

    if (dir != NULL)
        return print_keys_of_ca(cli, dir);
    result = cli_ask(cli, "GET", "/api/v1/audit/keys", NULL, &v);
    if (result != CLI_OK)
        return result;
    if (cli->json) {
        cli_print_json(cli, v);
        return CLI_OK;
    }
    json_array_foreach(json_object_get(v, "keys"), i, one)
    {
        fprintf(cli->out, "%s %s ed25519:%s\n",
                json_string_value(json_object_get(one, "cluster")),
                json_string_value(json_object_get(one, "controller")),
                json_string_value(json_object_get(one, "ed25519")));
    }
    json_array_foreach(json_object_get(v, "absent"), i, one)
    {
        fprintf(cli->errors, "ringfence: no key of controller %s: %s\n",
                json_string_value(json_object_get(one, "controller")),
                json_string_value(json_object_get(one, "why")));
        result = CLI_NO;
    }
    return result;
}
