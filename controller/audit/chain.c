#include "controller/audit/chain.h"

#include <openssl/sha.h>
#include <string.h>

#include "controller/base/bytes.h"

static size_t put_number(uint8_t *to, uint64_t value)
{
    put64(to, value);
    return 8;
}

static size_t put_text(uint8_t *to, const char *text)
{
    size_t len = strlen(text);

    put64(to, len); /* so that no two rows are spelt alike */
    for (size_t i = 0; i < len; i++)
        to[8 + i] = (uint8_t)text[i];
    return 8 + len;
}

static void row_hash(const struct audit_row *r, uint8_t ret[AUDIT_HASH_SIZE])
{
    uint8_t b[AUDIT_HASH_SIZE + 9 * 8 + AUDIT_KIND_SIZE + AUDIT_GROUP_SIZE +
              AUDIT_RULE_SIZE + AUDIT_TEXT_SIZE];
    size_t n = AUDIT_HASH_SIZE;

    memcpy(b, r->prev_hash, AUDIT_HASH_SIZE);
    n += put_number(b + n, r->seq);
    n += put_number(b + n, r->index);
    n += put_number(b + n, r->term);
    n += put_number(b + n, r->wall_ms);
    n += put_number(b + n, r->leader_id);
    n += put_text(b + n, r->kind);
    n += put_text(b + n, r->group);
    n += put_text(b + n, r->rule);
    n += put_text(b + n, r->text);
    (void)SHA256(b, n, ret);
}

void audit_copy_text(char *to, const char *from, size_t size)
{
    size_t len = strnlen(from, size - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

void audit_chain_row(const struct audit_row *from, uint64_t seq,
                     const uint8_t prev[AUDIT_HASH_SIZE], struct audit_row *ret_row)
{
    *ret_row = (struct audit_row){.index = from->index,
                                  .term = from->term,
                                  .wall_ms = from->wall_ms,
                                  .leader_id = from->leader_id,
                                  .seq = seq + 1};
    audit_copy_text(ret_row->kind, from->kind, sizeof ret_row->kind);
    audit_copy_text(ret_row->group, from->group, sizeof ret_row->group);
    audit_copy_text(ret_row->rule, from->rule, sizeof ret_row->rule);
    audit_copy_text(ret_row->text, from->text, sizeof ret_row->text);
    memcpy(ret_row->prev_hash, prev, AUDIT_HASH_SIZE);
    row_hash(ret_row, ret_row->hash);
}

bool audit_chain_continues(const struct audit_row *r, uint64_t seq,
                           const uint8_t prev[AUDIT_HASH_SIZE])
{
    uint8_t hash[AUDIT_HASH_SIZE];

    row_hash(r, hash);
    return r->seq == seq + 1 && memcmp(r->prev_hash, prev, AUDIT_HASH_SIZE) == 0 &&
           memcmp(r->hash, hash, AUDIT_HASH_SIZE) == 0;
}
