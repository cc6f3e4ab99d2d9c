#include "controller/consensus/driver_log.h"

#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "proto/envelope.h"

static void free_entry(struct consensus_entry *e)
{
    void *data;

    memcpy(&data, &e->data, sizeof data); /* ours, const only to those who look at it */
    free(data);
}

void dlog_truncate(struct dlog *l, uint64_t index)
{
    ASSERT(index >= l->first);
    while (l->n > 0 && l->first + l->n > index)
        free_entry(&l->entries[--l->n]);
}

void dlog_reset(struct dlog *l, uint64_t first, const uint8_t *chain)
{
    dlog_truncate(l, l->first);
    l->first = first;
    memset(l->base, 0, sizeof l->base);
    if (chain != NULL)
        memcpy(l->base, chain, sizeof l->base);
}

uint64_t dlog_last(const struct dlog *l) { return l->first + l->n - 1; }

const struct consensus_entry *dlog_get(const struct dlog *l, uint64_t index)
{
    if (index < l->first || index - l->first >= l->n)
        return NULL;
    return &l->entries[index - l->first];
}

const uint8_t *dlog_chain(const struct dlog *l, uint64_t index)
{
    if (index + 1 == l->first)
        return l->base;
    ASSERT(index >= l->first);
    ASSERT(index - l->first < l->n);
    return l->chains[index - l->first];
}

void dlog_set_chain(struct dlog *l, uint64_t index, const uint8_t *chain)
{
    if (index + 1 == l->first)
        memcpy(l->base, chain, CHAIN_SIZE);
    else if (dlog_get(l, index) != NULL)
        memcpy(l->chains[index - l->first], chain, CHAIN_SIZE);
}

static int grow(struct dlog *l, struct err *err)
{
    size_t cap = l->cap != 0 ? 2 * l->cap : 256;
    void *entries, *chains;

    if (l->n < l->cap)
        return 0;
    entries = reallocarray(l->entries, cap, sizeof *l->entries);
    if (entries == NULL)
        return err_set(err, ERR_NOMEM, "log of %zu entries", cap);
    l->entries = entries;
    chains = reallocarray(l->chains, cap, sizeof *l->chains);
    if (chains == NULL)
        return err_set(err, ERR_NOMEM, "log of %zu entries", cap);
    l->chains = chains;
    l->cap = cap;
    return 0;
}

int dlog_append(struct dlog *l, const struct consensus_entry *e, struct err *err)
{
    const uint8_t *before;
    uint8_t *data;

    if (grow(l, err) != 0)
        return err->code;
    data = malloc(e->len != 0 ? e->len : 1);
    if (data == NULL)
        return err_set(err, ERR_NOMEM, "entry of %zu bytes", e->len);
    if (e->len != 0)
        memcpy(data, e->data, e->len);
    before = l->n > 0 ? l->chains[l->n - 1] : l->base;
    if (e->kind == ENTRY_COMMAND)
        envelope_hash(data, e->len, l->chains[l->n]);
    else
        memcpy(l->chains[l->n], before, CHAIN_SIZE);
    l->entries[l->n] = (struct consensus_entry){e->term, e->kind, data, e->len};
    l->n++;
    return 0;
}

void dlog_compact(struct dlog *l, uint64_t index)
{
    size_t cut;

    if (index <= l->first)
        return;
    cut = index - l->first < l->n ? (size_t)(index - l->first) : l->n;
    if (cut > 0)
        memcpy(l->base, l->chains[cut - 1], CHAIN_SIZE);
    for (size_t i = 0; i < cut; i++)
        free_entry(&l->entries[i]);
    l->n -= cut;
    if (cut > 0) {
        memmove(l->entries, l->entries + cut, l->n * sizeof *l->entries);
        memmove(l->chains, l->chains + cut, l->n * sizeof *l->chains);
    }
    l->first += cut;
}

void dlog_free(struct dlog *l)
{
    if (l->entries != NULL)
        dlog_truncate(l, l->first);
    free(l->entries);
    free(l->chains);
    *l = (struct dlog){0};
}
