#include "controller/audit/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

/* Which kinds of line may come. */
enum place { AT_HEADER, IN_ENTRIES, IN_HEADS, AT_SIGNATURE, AT_END };

/* Of each entry what a head is compared with. */
struct verify_seen {
    uint64_t seq, index;
    uint8_t hash[AUDIT_HASH_SIZE];
};

struct verify {
    const struct audit_keys *keys;
    verify_finding *tell;
    void *owner;
    EVP_MD_CTX *sha; /* of every line so far */
    enum place place;
    bool lost; /* without its header nothing can be said of the rest */
    struct verify_result result;
    bool heard[BUNDLE_CONTROLLERS_MAX];
    uint64_t last_seq; /* of the entry before, and its hash as it says */
    uint8_t last_hash[AUDIT_HASH_SIZE];
    struct verify_chain seen;
    struct verify_chain *earlier; /* NULL: this is the only bundle */
};

static void found(struct verify *v, bool bad, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void found(struct verify *v, bool bad, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (bad)
        v->result.bad++;
    v->tell(v->owner, v->result.lines, bad, text);
}

int verify_open(struct verify **ret_verify, const struct audit_keys *keys,
                verify_finding *tell, void *owner, struct err *err)
{
    struct verify *v = calloc(1, sizeof *v);

    if (v != NULL)
        v->sha = EVP_MD_CTX_new();
    if (v == NULL || v->sha == NULL || EVP_DigestInit_ex(v->sha, EVP_sha256(), NULL) != 1) {
        verify_close(&v);
        return err_set(err, ERR_NOMEM, "check a bundle");
    }
    v->keys = keys;
    v->tell = tell;
    v->owner = owner;
    *ret_verify = v;
    return 0;
}

void verify_chain_free(struct verify_chain *c)
{
    free(c->list);
    *c = (struct verify_chain){0};
}

void verify_follow(struct verify *v, struct verify_chain *chain) { v->earlier = chain; }

void verify_close(struct verify **v)
{
    if (*v == NULL)
        return;
    EVP_MD_CTX_free((*v)->sha);
    verify_chain_free(&(*v)->seen);
    free(*v);
    *v = NULL;
}

/* ---- whose key ------------------------------------------------------------------------
 */

static void check_key(struct verify *v, const char *controller,
                      const uint8_t key[AUDIT_PUBLIC_SIZE])
{
    const char *cluster = v->result.header.cluster;
    struct audit_public one = {0};

    (void)snprintf(one.cluster, sizeof one.cluster, "%s", cluster);
    (void)snprintf(one.controller, sizeof one.controller, "%s", controller);
    memcpy(one.key, key, AUDIT_PUBLIC_SIZE);
    if (audit_keys_know(v->keys, &one))
        return;
    if (audit_keys_name(v->keys, cluster, controller))
        found(v, true,
              "signed with a key that is none of controller %s's: it is not in the file of "
              "public keys",
              controller);
    else
        found(v, true, "the file of public keys has none of controller %s of cluster %s",
              controller, cluster);
}

static int position(const struct verify *v, const char *controller)
{
    const struct bundle_header *h = &v->result.header;

    for (unsigned i = 0; i < h->controller_count; i++)
        if (strcmp(h->controllers[i].name, controller) == 0)
            return (int)i;
    return -1;
}

/* ---- lines ----------------------------------------------------------------------------
 */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = ((const struct verify_seen *)b)->seq;

    return x < y ? -1 : x > y;
}

static const struct verify_seen *seen_at(const struct verify_chain *c, uint64_t seq)
{
    return c->n == 0 ? NULL : bsearch(&seq, c->list, c->n, sizeof *c->list, by_number);
}

/* What an earlier bundle has told of the same place; and of what comes behind it. */
static void check_earlier(struct verify *v, uint64_t seq,
                          const uint8_t hash[AUDIT_HASH_SIZE])
{
    const struct verify_seen *before = v->earlier != NULL ? seen_at(v->earlier, seq) : NULL;

    if (before != NULL && memcmp(before->hash, hash, AUDIT_HASH_SIZE) != 0)
        found(v, true,
              "entry %" PRIu64 " is another one in an earlier bundle: the two are of "
              "different trails",
              seq);
}

static void take_header(struct verify *v, const struct bundle_header *h)
{
    static const uint8_t nothing[AUDIT_HASH_SIZE];

    v->result.header = *h;
    v->last_seq = h->from_seq - 1;
    memcpy(v->last_hash, h->base, AUDIT_HASH_SIZE);
    v->place = IN_ENTRIES;
    if (h->from_seq == 0 || h->to_seq < h->from_seq)
        found(v, true, "the header says entries %" PRIu64 " to %" PRIu64, h->from_seq,
              h->to_seq);
    if (h->from_seq == 1 && memcmp(h->base, nothing, AUDIT_HASH_SIZE) != 0)
        found(v, true, "nothing comes before entry 1, but the header has a hash of it");
    check_earlier(v, v->last_seq, h->base);
    if (position(v, h->exporter) < 0)
        found(v, true, "the exporter, %s, is none of the controllers of the header",
              h->exporter);
    for (unsigned i = 0; i < h->controller_count; i++)
        if (position(v, h->controllers[i].name) != (int)i)
            found(v, true, "controller %s stands twice in the header",
                  h->controllers[i].name);
}

static int remember(struct verify_chain *c, const struct audit_row *r, struct err *err)
{
    if (c->n == c->room) {
        size_t room = c->room != 0 ? 2 * c->room : 1024;
        struct verify_seen *more = realloc(c->list, room * sizeof *more);

        if (more == NULL)
            return err_set(err, ERR_NOMEM, "the hashes of %zu entries", room);
        c->list = more;
        c->room = room;
    }
    c->list[c->n].seq = r->seq;
    c->list[c->n].index = r->index;
    memcpy(c->list[c->n++].hash, r->hash, AUDIT_HASH_SIZE);
    return 0;
}

static int remember_row(struct verify *v, const struct audit_row *r, struct err *err)
{
    struct verify_chain *all = v->earlier;

    if (remember(&v->seen, r, err) != 0)
        return err->code;
    if (all == NULL || (all->n > 0 && r->seq <= all->list[all->n - 1].seq))
        return 0;
    return remember(all, r, err);
}

static void check_place(struct verify *v, const struct audit_row *r)
{
    if (r->seq == v->last_seq + 1) {
        if (memcmp(r->prev_hash, v->last_hash, AUDIT_HASH_SIZE) != 0)
            found(v, true,
                  "entry %" PRIu64 " does not continue entry %" PRIu64
                  ": one of them was changed, or is of another trail",
                  r->seq, v->last_seq);
        return;
    }
    if (r->seq <= v->last_seq)
        found(v, true, "entry %" PRIu64 " comes behind entry %" PRIu64 ": %s", r->seq,
              v->last_seq, r->seq == v->last_seq ? "twice" : "moved, or twice");
    else if (r->seq == v->last_seq + 2)
        found(v, true, "entry %" PRIu64 " is missing", v->last_seq + 1);
    else
        found(v, true, "entries %" PRIu64 " to %" PRIu64 " are missing", v->last_seq + 1,
              r->seq - 1);
}

static int take_row(struct verify *v, const struct audit_row *r, struct err *err)
{
    struct audit_row again;

    audit_chain_row(r, r->seq - 1, r->prev_hash, &again);
    if (memcmp(again.hash, r->hash, AUDIT_HASH_SIZE) != 0)
        found(v, true,
              "entry %" PRIu64 " was changed: its hash is not that of what it says",
              r->seq);
    check_place(v, r);
    if (v->result.entries == 0)
        v->result.first_ms = r->wall_ms;
    v->result.last_ms = r->wall_ms;
    v->result.entries++;
    if (r->seq <= v->last_seq)
        return 0;
    /* So that what is missing is told once. */
    v->last_seq = r->seq;
    memcpy(v->last_hash, r->hash, AUDIT_HASH_SIZE);
    check_earlier(v, r->seq, r->hash);
    return remember_row(v, r, err);
}

static void compare_head(struct verify *v, const struct bundle_head *h)
{
    const struct bundle_header *b = &v->result.header;
    const struct verify_seen *entry = seen_at(&v->seen, h->at.seq);
    const uint8_t *hash = NULL;

    if (h->at.seq + 1 < b->from_seq)
        return; /* it is not in the bundle: told by tell_older() */
    if (entry != NULL)
        hash = entry->hash;
    else if (h->at.seq + 1 == b->from_seq)
        hash = b->base;
    if (hash == NULL)
        found(v, true, "controller %s signed entry %" PRIu64 ", which is not in the bundle",
              h->controller, h->at.seq);
    else if (memcmp(hash, h->at.hash, AUDIT_HASH_SIZE) != 0 ||
             (entry != NULL && entry->index != h->at.index))
        found(v, true,
              "controller %s signed another hash of entry %" PRIu64
              ": its trail and that of %s are not the same (a fork), or the bundle does "
              "not tell what was on record",
              h->controller, h->at.seq, b->exporter);
}

static bool is_first_of(struct verify *v, const char *controller)
{
    int at = position(v, controller);

    if (at < 0)
        found(v, true, "controller %s is none of those of the header", controller);
    else if (v->heard[at])
        found(v, true, "controller %s comes twice", controller);
    if (at < 0 || v->heard[at])
        return false;
    v->heard[at] = true;
    return true;
}

/* An exporter could show an old head instead of one that would not fit: what it does not
 * cover is told, and it does not count as one of the chain's end. */
static void tell_older(struct verify *v, const struct bundle_head *h)
{
    const struct bundle_header *b = &v->result.header;
    struct verify_older *o = &v->result.older[v->result.older_count++];

    (void)snprintf(o->controller, sizeof o->controller, "%s", h->controller);
    o->seq = h->at.seq;
    if (strcmp(h->controller, b->exporter) == 0)
        found(v, true,
              "the exporter, %s, signed entry %" PRIu64 ", and the bundle ends with "
              "entry %" PRIu64,
              b->exporter, h->at.seq, b->to_seq);
    else if (h->at.seq < b->from_seq)
        found(v, false,
              "controller %s signed an older head, of entry %" PRIu64
              ": it says nothing of what is in the bundle",
              h->controller, h->at.seq);
    else
        found(v, false,
              "controller %s signed an older head, of entry %" PRIu64
              ": it says nothing of entries %" PRIu64 " to %" PRIu64,
              h->controller, h->at.seq, h->at.seq + 1, b->to_seq);
}

static void take_head(struct verify *v, const struct bundle_head *h)
{
    const struct bundle_header *b = &v->result.header;
    uint64_t wanted = h->newest.seq < b->to_seq ? h->newest.seq : b->to_seq;

    if (!is_first_of(v, h->controller))
        return;
    if (strcmp(h->cluster, b->cluster) != 0)
        found(v, true, "a chain head of another cluster, %s", h->cluster);
    check_key(v, h->controller, h->key);
    if (!bundle_head_holds(h))
        found(v, true, "the signature of controller %s over its chain head does not hold",
              h->controller);
    else if (h->at.seq == b->to_seq)
        v->result.signed_heads++;
    if (h->at.seq != wanted) {
        found(v, true,
              "controller %s signed entry %" PRIu64 ", and was to sign entry %" PRIu64,
              h->controller, h->at.seq, wanted);
        return;
    }
    compare_head(v, h);
    if (h->at.seq != b->to_seq)
        tell_older(v, h);
}

static void take_absent(struct verify *v, const struct bundle_absent *a)
{
    if (!is_first_of(v, a->controller))
        return;
    v->result.absent++;
    if (strcmp(a->controller, v->result.header.exporter) == 0)
        found(v, true, "the exporter, %s, says that it was absent itself", a->controller);
    else
        found(v, false, "controller %s could not be asked: %s", a->controller, a->why);
}

/* What all of the entries have to be, told where they end. */
static void end_entries(struct verify *v)
{
    const struct bundle_header *h = &v->result.header;

    if (v->last_seq != h->to_seq)
        found(v, true, "the entries end at %" PRIu64 ", and the header says %" PRIu64,
              v->last_seq, h->to_seq);
}

static void take_trailer(struct verify *v, const struct bundle_trailer *t)
{
    const struct bundle_header *h = &v->result.header;

    for (unsigned i = 0; i < h->controller_count; i++)
        if (!v->heard[i])
            found(v, true, "nothing is said of controller %s: its chain head was left out",
                  h->controllers[i].name);
    if (t->entries != v->result.entries)
        found(v, true, "there are %" PRIu64 " entries, and the trailer says %" PRIu64,
              v->result.entries, t->entries);
    if (t->last_seq != v->last_seq ||
        memcmp(t->last_hash, v->last_hash, AUDIT_HASH_SIZE) != 0)
        found(v, true, "the trailer does not name the last entry, %" PRIu64, v->last_seq);
}

static void take_signature(struct verify *v, const struct bundle_signature *s,
                           const uint8_t sha256[AUDIT_HASH_SIZE])
{
    uint8_t what[BUNDLE_SIGNED_SIZE];
    size_t len = bundle_signed(sha256, what);

    if (strcmp(s->controller, v->result.header.exporter) != 0)
        found(v, true, "signed by %s, and not by the exporter, %s", s->controller,
              v->result.header.exporter);
    check_key(v, s->controller, s->key);
    if (!audit_signature_holds(s->key, what, len, s->signature))
        found(v, true,
              "the signature of controller %s over the bundle does not hold: what comes "
              "before is not what it has signed",
              s->controller);
}

/* ---- order ----------------------------------------------------------------------------
 */

/* False: told. */
static bool may_come(struct verify *v, enum bundle_kind kind)
{
    static const char *const expected[] = {
        [AT_HEADER] = "the header",
        [IN_ENTRIES] = "an entry or a chain head",
        [IN_HEADS] = "a chain head or the trailer",
        [AT_SIGNATURE] = "the signature of the bundle",
        [AT_END] = "nothing",
    };
    bool head = kind == BUNDLE_HEAD || kind == BUNDLE_ABSENT;

    if (v->place == IN_ENTRIES && (head || kind == BUNDLE_TRAILER)) {
        end_entries(v);
        v->place = IN_HEADS;
    }
    if ((v->place == AT_HEADER && kind == BUNDLE_HEADER) ||
        (v->place == IN_ENTRIES && kind == BUNDLE_ROW) ||
        (v->place == IN_HEADS && (head || kind == BUNDLE_TRAILER)) ||
        (v->place == AT_SIGNATURE && kind == BUNDLE_SIGNATURE))
        return true;
    found(v, true, "is a line of kind '%s', where %s is expected", bundle_kind_name(kind),
          expected[v->place]);
    v->lost = v->place == AT_HEADER;
    return false;
}

static int take(struct verify *v, const struct bundle_line *l,
                const uint8_t sha256[AUDIT_HASH_SIZE], struct err *err)
{
    switch (l->kind) {
    case BUNDLE_HEADER:
        take_header(v, &l->header);
        return 0;
    case BUNDLE_ROW:
        return take_row(v, &l->row, err);
    case BUNDLE_HEAD:
        take_head(v, &l->head);
        return 0;
    case BUNDLE_ABSENT:
        take_absent(v, &l->absent);
        return 0;
    case BUNDLE_TRAILER:
        take_trailer(v, &l->trailer);
        v->place = AT_SIGNATURE;
        return 0;
    case BUNDLE_SIGNATURE:
        take_signature(v, &l->signature, sha256);
        v->place = AT_END;
        return 0;
    }
    return 0;
}

/* The hash of what came before this line, where one is wanted; and on with it. */
static bool hash_on(struct verify *v, const char *text, size_t len, bool ended,
                    uint8_t ret[AUDIT_HASH_SIZE])
{
    bool done = true;

    if (v->place == AT_SIGNATURE) {
        EVP_MD_CTX *so_far = EVP_MD_CTX_new();

        done = so_far != NULL && EVP_MD_CTX_copy_ex(so_far, v->sha) == 1 &&
               EVP_DigestFinal_ex(so_far, ret, NULL) == 1;
        EVP_MD_CTX_free(so_far);
    }
    return done && EVP_DigestUpdate(v->sha, text, len) == 1 &&
           EVP_DigestUpdate(v->sha, "\n", ended ? 1 : 0) == 1;
}

int verify_line(struct verify *v, const char *text, size_t len, bool ended, struct err *err)
{
    uint8_t before[AUDIT_HASH_SIZE] = {0};
    struct bundle_line line;
    struct err why = {0};

    v->result.lines++;
    if (v->lost)
        return 0;
    if (!hash_on(v, text, len, ended, before))
        return err_set(err, ERR_NOMEM, "check a bundle");
    if (bundle_read(&line, text, len, &why) != 0) {
        if (why.code == ERR_NOMEM)
            return err_set(err, ERR_NOMEM, "check a bundle");
        found(v, true, "%s", why.text);
        v->lost = v->place == AT_HEADER;
        return 0;
    }
    if (!ended)
        found(v, true, "the last line has no end: something was cut off");
    return may_come(v, line.kind) ? take(v, &line, before, err) : 0;
}

void verify_end(struct verify *v)
{
    if (v->place != AT_END)
        found(v, true,
              v->place == AT_HEADER
                  ? "there is no bundle"
                  : "the bundle is cut off: the signature at its end is missing");
}

int verify_file(struct verify *v, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t n = 0;
    int status = 0;

    if (file == NULL)
        return err_errno(err, errno, "%s", path);
    while (status == 0 && (n = getline(&line, &room, file)) > 0) {
        bool ended = line[n - 1] == '\n';

        status = verify_line(v, line, (size_t)(ended ? n - 1 : n), ended, err);
    }
    if (status == 0 && ferror(file) != 0)
        status = err_errno(err, errno != 0 ? errno : EIO, "read %s", path);
    free(line);
    (void)fclose(file);
    if (status == 0)
        verify_end(v);
    return status;
}

void verify_result(const struct verify *v, struct verify_result *ret) { *ret = v->result; }
