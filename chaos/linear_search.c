/* chaos/linear_search.c */
#include "chaos/linear_search.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/linear_memo.h"

enum { WORD_BITS = 64, HEAD = 0, END = 0 };

/* Calls and ends in the order of time, as a list from which what was done is taken out. */
struct moment {
    int64_t at;
    uint32_t before, after; /* places in `moments`; HEAD and END are 0 */
    uint32_t item;
    bool end;
};

struct done {
    uint32_t item, base, top; /* base and top as they were before it */
};

struct branch {
    uint32_t item, state; /* the state before it */
    uint32_t done;        /* how many were done before it */
};

struct search {
    const struct model *m;
    struct moment *moments;
    uint32_t moment_count;
    uint32_t *call, *end; /* of each item: its moments; end 0: it has none */
    uint64_t *bits;       /* what is done: certain items, then from a new word the others */
    uint32_t certain_words, words;
    /* Certain items below base are done, those at top and above are not. */
    uint32_t base, top, left; /* left: certain items that are not done */
    uint32_t state;
    uint64_t hash;
    struct done *done;
    struct branch *branches;
    uint32_t done_count, branch_count;
    uint64_t *key;
    struct memo memo;
    uint32_t blocked; /* the furthest moment that nothing has passed */
};

static int by_moment(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    /* What meets at one instant counts as concurrent. */
    if (x->end != y->end)
        return x->end ? 1 : -1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static void line_up(struct search *s)
{
    const struct model *m = s->m;

    s->moments = must_alloc((size_t)m->count * 2 + 1, sizeof *s->moments);
    s->moments[HEAD].at = INT64_MIN;
    s->moment_count = 1;
    for (uint32_t i = 0; i < m->count; i++) {
        s->moments[s->moment_count++] = (struct moment){.at = m->items[i].call, .item = i};
        if (i < m->certain)
            s->moments[s->moment_count++] =
                (struct moment){.at = m->items[i].ret, .item = i, .end = true};
    }
    qsort(s->moments + 1, s->moment_count - 1, sizeof *s->moments, by_moment);
    for (uint32_t k = 0; k < s->moment_count; k++) {
        struct moment *at = &s->moments[k];

        at->before = k > 0 ? k - 1 : s->moment_count - 1;
        at->after = k + 1 < s->moment_count ? k + 1 : END;
        if (k > 0)
            *(at->end ? &s->end[at->item] : &s->call[at->item]) = k;
    }
}

static void make(struct search *s, const struct model *m, size_t bytes)
{
    uint32_t others = m->count - m->certain;

    *s = (struct search){.m = m, .left = m->certain};
    s->call = must_alloc((size_t)m->count + 1, sizeof *s->call);
    s->end = must_alloc((size_t)m->count + 1, sizeof *s->end);
    s->certain_words = (m->certain + WORD_BITS - 1) / WORD_BITS;
    s->words = s->certain_words + (others + WORD_BITS - 1) / WORD_BITS;
    s->bits = must_alloc((size_t)s->words + 1, sizeof *s->bits);
    s->key = must_alloc((size_t)s->words + 1, sizeof *s->key);
    s->done = must_alloc((size_t)m->count + 1, sizeof *s->done);
    s->branches = must_alloc((size_t)m->count + 1, sizeof *s->branches);
    memo_make(&s->memo, bytes);
    line_up(s);
}

static void end(struct search *s)
{
    memo_free(&s->memo);
    free(s->moments);
    free(s->call);
    free(s->end);
    free(s->bits);
    free(s->key);
    free(s->done);
    free(s->branches);
}

/* ---- doing and undoing -----------------------------------------------------------------
 */

static uint32_t bit_of(const struct search *s, uint32_t item)
{
    return item < s->m->certain ? item
                                : s->certain_words * WORD_BITS + (item - s->m->certain);
}

static bool is_done(const struct search *s, uint32_t item)
{
    uint32_t bit = bit_of(s, item);

    return (s->bits[bit / WORD_BITS] >> bit % WORD_BITS & 1) != 0;
}

static uint64_t scatter(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void flip(struct search *s, uint32_t item)
{
    uint32_t bit = bit_of(s, item);

    s->bits[bit / WORD_BITS] ^= UINT64_C(1) << bit % WORD_BITS;
    s->hash ^= scatter((uint64_t)item + 1);
}

static void take_out(struct search *s, uint32_t at)
{
    struct moment *x = &s->moments[at];

    s->moments[x->before].after = x->after;
    s->moments[x->after].before = x->before;
}

static void put_back(struct search *s, uint32_t at)
{
    struct moment *x = &s->moments[at];

    s->moments[x->before].after = at;
    s->moments[x->after].before = at;
}

static void do_item(struct search *s, uint32_t item)
{
    s->done[s->done_count++] = (struct done){.item = item, .base = s->base, .top = s->top};
    flip(s, item);
    if (item < s->m->certain) {
        /* The end first, so that what follows the call is right even when it was this. */
        take_out(s, s->end[item]);
        s->left--;
        if (item >= s->top)
            s->top = item + 1;
        while (s->base < s->m->certain && is_done(s, s->base))
            s->base++;
    }
    take_out(s, s->call[item]);
}

static void undo_item(struct search *s)
{
    struct done d = s->done[--s->done_count];

    put_back(s, s->call[d.item]);
    if (d.item < s->m->certain) {
        put_back(s, s->end[d.item]);
        s->left++;
    }
    flip(s, d.item);
    s->base = d.base;
    s->top = d.top;
}

/* ---- configurations --------------------------------------------------------------------
 */

/* What is below base needs no words: only what is done between base and top, and of the
 * others. */
static uint32_t make_key(struct search *s)
{
    uint32_t n = 0;

    s->key[n++] = (uint64_t)s->state << 32 | s->base;
    for (uint32_t w = s->base / WORD_BITS; w * WORD_BITS < s->top; w++)
        s->key[n++] = s->bits[w];
    for (uint32_t w = s->certain_words; w < s->words; w++)
        s->key[n++] = s->bits[w];
    return n;
}

static enum memo_answer remember(struct search *s)
{
    uint64_t hash = s->hash ^ scatter(UINT64_C(1) << 40 | s->state);
    uint32_t count = make_key(s);

    return memo_add(&s->memo, hash, s->key, count);
}

/* A read that fits changes nothing and was free to happen now: whatever order there is,
 * there is one with it here. Those that were passed and do not fit cannot fit before the
 * state changes, so one pass is enough. */
static void do_reads(struct search *s)
{
    uint32_t at = s->moments[HEAD].after;

    while (at != END && !s->moments[at].end) {
        uint32_t item = s->moments[at].item, state;
        const struct item *i = &s->m->items[item];

        if (i->kind == ITEM_READ && model_step(s->m, s->state, i, &state))
            do_item(s, item);
        at = s->moments[at].after;
    }
}

/* The next item from `at` on that may be done now; false: before that something must have
 * ended. */
static bool find_branch(struct search *s, uint32_t at, uint32_t *ret_item,
                        uint32_t *ret_state)
{
    for (; at != END && !s->moments[at].end; at = s->moments[at].after) {
        const struct item *i = &s->m->items[s->moments[at].item];

        if (i->kind == ITEM_READ || !model_step(s->m, s->state, i, ret_state))
            continue;
        *ret_item = s->moments[at].item;
        return true;
    }
    if (at > s->blocked)
        s->blocked = at;
    return false;
}

static void descend(struct search *s, uint32_t item, uint32_t state)
{
    s->branches[s->branch_count++] =
        (struct branch){.item = item, .state = s->state, .done = s->done_count};
    do_item(s, item);
    s->state = state;
}

/* Back to before the last branch; the item after it. */
static uint32_t ascend(struct search *s)
{
    struct branch b = s->branches[--s->branch_count];

    while (s->done_count > b.done)
        undo_item(s);
    s->state = b.state;
    return s->moments[s->call[b.item]].after;
}

static enum search_answer run(struct search *s, uint64_t most, uint64_t *steps)
{
    uint32_t at, item, state;

    for (;;) {
        enum memo_answer known;

        if (++*steps > most)
            return SEARCH_TOO_LONG;
        do_reads(s);
        if (s->left == 0)
            return SEARCH_ORDERED;
        known = remember(s);
        if (known == MEMO_FULL)
            return SEARCH_TOO_LARGE;
        at = known == MEMO_NEW ? s->moments[HEAD].after : END;
        while (at == END || !find_branch(s, at, &item, &state)) {
            if (s->branch_count == 0)
                return SEARCH_IMPOSSIBLE;
            at = ascend(s);
        }
        descend(s, item, state);
    }
}

struct search_outcome search_order(const struct model *m, uint64_t steps, size_t bytes)
{
    struct search_outcome out = {0};
    struct search s;

    make(&s, m, bytes);
    out.answer = run(&s, steps, &out.steps);
    out.blocked = s.moments[s.blocked].item;
    end(&s);
    return out;
}
