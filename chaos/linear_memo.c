/* chaos/linear_memo.c */
#include "chaos/linear_memo.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

enum { SLOTS_FIRST = 256 };

void memo_make(struct memo *m, size_t bytes_max)
{
    *m = (struct memo){.slots = must_alloc(SLOTS_FIRST, sizeof *m->slots),
                       .slot_count = SLOTS_FIRST,
                       .bytes_max = bytes_max};
}

void memo_free(struct memo *m)
{
    free(m->slots);
    free(m->words);
    *m = (struct memo){0};
}

static struct memo_slot *find(const struct memo *m, uint64_t hash, const uint64_t *key,
                              uint32_t count)
{
    size_t mask = m->slot_count - 1, i = (size_t)hash & mask;

    while (m->slots[i].count != 0) {
        const struct memo_slot *s = &m->slots[i];

        if (s->hash == hash && s->count == count &&
            memcmp(m->words + s->at, key, count * sizeof *key) == 0)
            break;
        i = (i + 1) & mask;
    }
    return &m->slots[i];
}

static void grow(struct memo *m)
{
    struct memo_slot *old = m->slots;
    size_t count = m->slot_count;

    m->slot_count *= 2;
    m->slots = must_alloc(m->slot_count, sizeof *m->slots);
    for (size_t i = 0; i < count; i++)
        if (old[i].count != 0)
            *find(m, old[i].hash, m->words + old[i].at, old[i].count) = old[i];
    free(old);
}

static bool has_room(const struct memo *m, uint32_t count)
{
    size_t slots = m->used * 2 >= m->slot_count ? m->slot_count * 2 : m->slot_count;

    return slots * sizeof *m->slots + (m->word_count + count) * sizeof *m->words <=
           m->bytes_max;
}

enum memo_answer memo_add(struct memo *m, uint64_t hash, const uint64_t *key,
                          uint32_t count)
{
    struct memo_slot *slot = find(m, hash, key, count);

    if (slot->count != 0)
        return MEMO_KNOWN;
    if (!has_room(m, count))
        return MEMO_FULL;
    if (m->used * 2 >= m->slot_count) {
        grow(m);
        slot = find(m, hash, key, count);
    }
    m->words = must_grow(m->words, &m->word_cap, m->word_count + count, sizeof *m->words);
    memcpy(m->words + m->word_count, key, count * sizeof *key);
    *slot = (struct memo_slot){.hash = hash, .at = m->word_count, .count = count};
    m->word_count += count;
    m->used++;
    return MEMO_NEW;
}
