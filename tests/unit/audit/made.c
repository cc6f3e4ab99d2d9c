#include "tests/unit/audit/made.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "controller/base/assert.h"

static const char *const names[MADE_CONTROLLERS] = {"east", "west", "witness"};

void made_chain(struct made *m, unsigned first)
{
    static const uint8_t nothing[AUDIT_HASH_SIZE];

    for (unsigned i = first; i < m->row_count; i++) {
        struct audit_row row;

        audit_chain_row(&m->rows[i], i, i == 0 ? nothing : m->rows[i - 1].hash, &row);
        m->rows[i] = row;
    }
}

void made_open(struct made *m, unsigned n)
{
    struct err err;

    memset(m, 0, sizeof *m);
    m->row_count = n;
    for (unsigned i = 0; i < n; i++) {
        struct audit_row *r = &m->rows[i];

        *r = (struct audit_row){.index = 10 + 2 * i,
                                .term = 3,
                                .wall_ms = 1795000000000 + 1000 * i,
                                .leader_id = 1 + i % 3};
        snprintf(r->kind, sizeof r->kind, "%s", i % 2 ? "pause" : "switchover");
        snprintf(r->group, sizeof r->group, "orders");
        snprintf(r->rule, sizeof r->rule, "operator");
        snprintf(r->text, sizeof r->text, "entry %u \"quoted\" \xc3\xa9", i + 1);
    }
    if (n > 5)
        strcpy(m->rows[5].text, "a letter cut in the middle \xc3");
    made_chain(m, 0);
    m->known.list = calloc(MADE_CONTROLLERS, sizeof *m->known.list);
    for (unsigned i = 0; i < MADE_CONTROLLERS; i++) {
        struct audit_public *p = &m->known.list[m->known.n++];

        ASSERT(audit_key_make(&m->keys[i], &err) == 0);
        snprintf(p->cluster, sizeof p->cluster, "demo");
        snprintf(p->controller, sizeof p->controller, "%s", names[i]);
        audit_key_public(m->keys[i], p->key);
    }
}

void made_free(struct made *m)
{
    for (unsigned i = 0; i < MADE_CONTROLLERS; i++)
        audit_key_free(m->keys[i]);
    audit_keys_free(&m->known);
    for (unsigned i = 0; i < m->count; i++)
        free(m->lines[i]);
}

static void add(struct made *m, const struct bundle_line *line)
{
    m->lines[m->count] = bundle_text(line);
    ASSERT(m->lines[m->count] != NULL);
    m->count++;
}

static void add_rows(struct made *m)
{
    for (unsigned i = m->from; i < m->row_count; i++) {
        struct bundle_line line = {.kind = BUNDLE_ROW};

        line.row = m->rows[i];
        add(m, &line);
    }
}

static void add_head(struct made *m, unsigned i)
{
    const struct audit_row *last = &m->rows[m->row_count - 1];
    struct bundle_line line = {.kind = BUNDLE_HEAD};
    struct err err;

    if (m->heads[i].kind == BUNDLE_ABSENT || m->heads[i].head.newest.seq != 0) {
        line = m->heads[i];
    } else {
        line.head.newest.seq = last->seq;
        line.head.newest.index = last->index;
        memcpy(line.head.newest.hash, last->hash, AUDIT_HASH_SIZE);
        line.head.at = line.head.newest;
        snprintf(line.head.cluster, AUDIT_NAME_SIZE, "demo");
        snprintf(line.head.controller, AUDIT_NAME_SIZE, "%s", names[i]);
        line.head.wall_ms = 1796000000000;
        ASSERT(bundle_head_sign(&line.head, m->keys[i], &err) == 0);
    }
    add(m, &line);
}

static void header(const struct made *m, struct bundle_header *h)
{
    snprintf(h->cluster, sizeof h->cluster, "demo");
    snprintf(h->exporter, sizeof h->exporter, "east");
    h->wall_ms = 1796000000000;
    h->from_seq = m->from + 1;
    h->to_seq = m->row_count;
    if (m->from > 0)
        memcpy(h->base, m->rows[m->from - 1].hash, AUDIT_HASH_SIZE);
    for (unsigned i = 0; i < MADE_CONTROLLERS; i++) {
        h->controllers[i].id = i + 1;
        snprintf(h->controllers[i].name, AUDIT_NAME_SIZE, "%s", names[i]);
    }
    h->controller_count = MADE_CONTROLLERS;
}

void made_bundle(struct made *m)
{
    struct bundle_line first = {.kind = BUNDLE_HEADER}, trailer = {.kind = BUNDLE_TRAILER};
    const struct audit_row *last = &m->rows[m->row_count - 1];

    header(m, &first.header);
    add(m, &first);
    add_rows(m);
    for (unsigned i = 0; i < MADE_CONTROLLERS; i++)
        add_head(m, i);
    trailer.trailer.entries = m->row_count - m->from;
    trailer.trailer.last_seq = last->seq;
    memcpy(trailer.trailer.last_hash, last->hash, AUDIT_HASH_SIZE);
    add(m, &trailer);
    m->lines[m->count++] = strdup("");
    made_sign(m);
}

void made_sign(struct made *m)
{
    struct bundle_line line = {.kind = BUNDLE_SIGNATURE};
    uint8_t sha256[AUDIT_HASH_SIZE], what[BUNDLE_SIGNED_SIZE];
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    char *text;
    struct err err;

    EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
    for (unsigned i = 0; i + 1 < m->count; i++) {
        EVP_DigestUpdate(sha, m->lines[i], strlen(m->lines[i]));
        EVP_DigestUpdate(sha, "\n", 1);
    }
    EVP_DigestFinal_ex(sha, sha256, NULL);
    EVP_MD_CTX_free(sha);
    snprintf(line.signature.controller, AUDIT_NAME_SIZE, "east");
    audit_key_public(m->keys[EAST], line.signature.key);
    ASSERT(audit_key_sign(m->keys[EAST], what, bundle_signed(sha256, what),
                          line.signature.signature, &err) == 0);
    text = bundle_text(&line);
    made_set(m, m->count - 1, text);
    free(text);
}

/* ---- tampering ------------------------------------------------------------------------
 */

void made_set(struct made *m, unsigned line, const char *text)
{
    char *copy = strdup(text);

    free(m->lines[line]);
    m->lines[line] = copy;
}

void made_remove(struct made *m, unsigned line)
{
    free(m->lines[line]);
    m->count--;
    memmove(&m->lines[line], &m->lines[line + 1],
            (m->count - line) * sizeof m->lines[line]);
}

void made_insert(struct made *m, unsigned line, const char *text)
{
    char *copy = strdup(text);

    memmove(&m->lines[line + 1], &m->lines[line],
            (m->count - line) * sizeof m->lines[line]);
    m->lines[line] = copy;
    m->count++;
}

void made_swap(struct made *m, unsigned a, unsigned b)
{
    char *line = m->lines[a];

    m->lines[a] = m->lines[b];
    m->lines[b] = line;
}

void made_replace(struct made *m, unsigned line, const char *what, const char *by)
{
    const char *text = m->lines[line], *at = strstr(text, what);
    char *whole;

    ASSERT(at != NULL);
    ASSERT(asprintf(&whole, "%.*s%s%s", (int)(at - text), text, by, at + strlen(what)) > 0);
    free(m->lines[line]);
    m->lines[line] = whole;
}

unsigned made_find(const struct made *m, const char *text)
{
    unsigned i = 0;

    while (i < m->count && strstr(m->lines[i], text) == NULL)
        i++;
    ASSERT(i < m->count);
    return i;
}

static void on_finding(void *owner, unsigned line, bool bad, const char *text)
{
    struct made_verdict *to = owner;

    if (to->n == 64)
        return;
    to->list[to->n].line = line;
    to->list[to->n].bad = bad;
    snprintf(to->list[to->n++].text, ERR_TEXT_SIZE, "%s", text);
}

void made_verify(const struct made *m, struct made_verdict *ret)
{
    AUTO(verify_close) struct verify *v = NULL;
    struct err err;

    *ret = (struct made_verdict){0};
    ASSERT(verify_open(&v, &m->known, on_finding, ret, &err) == 0);
    for (unsigned i = 0; i < m->count; i++)
        ASSERT(verify_line(v, m->lines[i], strlen(m->lines[i]),
                           !m->cut_end || i + 1 < m->count, &err) == 0);
    verify_end(v);
    verify_result(v, &ret->result);
}
