/* chaos/linear_memo.h -- the configurations that were searched, to search none twice.
 *
 * A configuration is a key of some words. Keys are kept whole and compared whole: two that
 * merely share a hash are never taken for one.
 *
 * Pure:    no clock, no output.
 * Owner:   the caller; memo_free() ends it.
 */
#ifndef RF_CHAOS_LINEAR_MEMO_H
#define RF_CHAOS_LINEAR_MEMO_H

#include <stddef.h>
#include <stdint.h>

struct memo_slot {
    uint64_t hash;
    size_t at;      /* in words */
    uint32_t count; /* 0: empty */
};

struct memo {
    struct memo_slot *slots;
    size_t slot_count, used; /* slot_count is a power of two */
    uint64_t *words;
    size_t word_count, word_cap, bytes_max;
};

enum memo_answer { MEMO_NEW, MEMO_KNOWN, MEMO_FULL };

void memo_make(struct memo *m, size_t bytes_max);
void memo_free(struct memo *m);
/* `key` has at least one word. */
enum memo_answer memo_add(struct memo *m, uint64_t hash, const uint64_t *key,
                          uint32_t count);

#endif
