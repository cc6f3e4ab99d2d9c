#include "controller/consensus/kin.h"

#include <inttypes.h>
#include <string.h>

#include "controller/base/bytes.h"

enum { KIN_FORMAT = 1, KIN_HEAD = 24, KIN_ROW = 24 };

#define CURE                                                                               \
    "keep its data directory for analysis and replace it: `ringfence controller replace` " \
    "gives it a new id"

static struct kinsman *find(struct kin *k, uint64_t id)
{
    for (unsigned i = 0; i < k->n; i++)
        if (k->list[i].id == id)
            return &k->list[i];
    return NULL;
}

const struct kinsman *kin_find(const struct kin *k, uint64_t id)
{
    for (unsigned i = 0; i < k->n; i++)
        if (k->list[i].id == id)
            return &k->list[i];
    return NULL;
}

void kin_init(struct kin *k, const struct kin_self *self, const uint64_t *ids, unsigned n)
{
    *k = (struct kin){
        .self = self->id, .digest = self->digest, .assembled = n == 1 && self->digest != 0};
    for (unsigned i = 0; i < n; i++) {
        unsigned at = k->n++;

        for (; at > 0 && k->list[at - 1].id > ids[i]; at--)
            k->list[at] = k->list[at - 1];
        k->list[at] = (struct kinsman){.id = ids[i]};
        if (ids[i] == self->id)
            k->list[at].store = self->store;
    }
}

bool kin_follow(struct kin *k, const struct members *m)
{
    struct kinsman list[CONSENSUS_VOTERS_MAX];
    bool changed = m->n != k->n;

    if (!k->assembled || m->n == 0)
        return false;
    for (unsigned i = 0; i < m->n; i++) {
        const struct member *one = &m->list[i];
        const struct kinsman *had = kin_find(k, one->id);

        list[i] = had != NULL ? *had : (struct kinsman){.id = one->id, .store = one->store};
        changed = changed || had == NULL;
    }
    k->n = m->n;
    memcpy(k->list, list, m->n * sizeof *list);
    return changed;
}

void kin_say(const struct kin *k, uint64_t mark, struct kin_hello *ret)
{
    const struct kinsman *self = kin_find(k, k->self);

    *ret = (struct kin_hello){.id = k->self,
                              .store = self != NULL ? self->store : 0,
                              .mark = mark,
                              .digest = k->digest,
                              .assembled = k->assembled,
                              .n = k->n};
    memcpy(ret->list, k->list, k->n * sizeof *k->list);
}

bool kin_note_mark(struct kin *k, uint64_t id, uint64_t mark)
{
    struct kinsman *m = find(k, id);

    if (m == NULL || mark <= m->mark)
        return false;
    m->mark = mark;
    return true;
}

/* ---- hearing ------------------------------------------------------------------------- */

static const struct kinsman *said_of(const struct kin_hello *h, uint64_t id)
{
    for (unsigned i = 0; i < h->n; i++)
        if (h->list[i].id == id)
            return &h->list[i];
    return NULL;
}

/* What it remembers of us, and we are not. */
static enum kin_verdict check_self(const struct kin *k, const char *name, uint64_t mark,
                                   const struct kin_hello *h, struct err *err)
{
    const struct kinsman *theirs = said_of(h, k->self);
    const struct kinsman *self = kin_find(k, k->self);

    if (theirs == NULL || theirs->store == 0 || self == NULL)
        return KIN_FINE;
    if (theirs->store != self->store && h->assembled) {
        (void)err_set(err, ERR_CORRUPT,
                      "controller %s knows this one (id %" PRIu64 ") with another data "
                      "directory: this one's was lost or exchanged, and it would vote a "
                      "second time; stop it, " CURE,
                      name, k->self);
        return KIN_STOP;
    }
    if (theirs->store == self->store && theirs->mark > mark) {
        (void)err_set(err, ERR_CORRUPT,
                      "controller %s remembers %" PRIu64 " commits of this one (id %" PRIu64
                      "), its data directory has %" PRIu64
                      ": an old copy was put back, and "
                      "what was acknowledged since is missing; stop it, " CURE,
                      name, theirs->mark, k->self, mark);
        return KIN_STOP;
    }
    return KIN_FINE;
}

static enum kin_verdict check_speaker(const struct kinsman *ours, const char *name,
                                      const struct kin_hello *h, struct err *err)
{
    if (ours->store != h->store) {
        (void)err_set(
            err, ERR_CONFLICT,
            "controller %s (id %" PRIu64 ") comes with another data directory than "
            "the one it had: it has lost its disk, forgotten its votes, and is not "
            "counted; stop it, " CURE,
            name, h->id);
        return KIN_REFUSE;
    }
    if (ours->mark > h->mark) {
        (void)err_set(err, ERR_CONFLICT,
                      "controller %s (id %" PRIu64 ") comes with %" PRIu64
                      " commits, it had "
                      "%" PRIu64 ": an old copy of its data directory was put back; it is "
                      "not counted; stop it, " CURE,
                      name, h->id, h->mark, ours->mark);
        return KIN_REFUSE;
    }
    return KIN_FINE;
}

static bool all_agree(const struct kin *k)
{
    for (unsigned i = 0; i < k->n; i++)
        for (unsigned j = 0; j < k->n; j++)
            if (k->list[j].store == 0 ||
                (k->list[i].id != k->self && k->list[i].said[j] != k->list[j].store))
                return false;
    return true;
}

/* Bootstrap: nothing has been decided with us yet. What one says now replaces what it said
 * before. Who agreed with an older table of ours has to agree with the new one; and it
 * counts whether it said so before or after ours had become the same, for nobody says it
 * twice. */
static enum kin_verdict assemble(struct kin *k, const struct kin_hello *h)
{
    struct kinsman *speaker = find(k, h->id);
    bool changed = speaker->store != h->store;

    if (changed)
        *speaker = (struct kinsman){.id = h->id, .store = h->store};
    if (h->mark > speaker->mark)
        speaker->mark = h->mark;
    for (unsigned i = 0; i < k->n; i++) {
        const struct kinsman *theirs = said_of(h, k->list[i].id);

        speaker->said[i] = theirs != NULL && h->n == k->n ? theirs->store : 0;
    }
    k->assembled = all_agree(k);
    return changed || k->assembled ? KIN_CHANGED : KIN_FINE;
}

/* Somebody who may have decided things already lists this very store. */
static enum kin_verdict adopt(struct kin *k, const struct kin_hello *h)
{
    k->digest = h->digest;
    k->n = h->n;
    memcpy(k->list, h->list, h->n * sizeof *k->list);
    k->assembled = true;
    (void)kin_note_mark(k, h->id, h->mark);
    return KIN_CHANGED;
}

enum kin_verdict kin_hear(struct kin *k, const char *name, uint64_t mark,
                          const struct kin_hello *h, struct err *err)
{
    const struct kinsman *self = kin_find(k, k->self), *of_us = said_of(h, k->self);
    struct kinsman *ours = find(k, h->id);
    enum kin_verdict v = check_self(k, name, mark, h, err);

    if (v != KIN_FINE)
        return v;
    if (!k->assembled && h->assembled)
        return self != NULL && of_us != NULL && of_us->store == self->store &&
                       said_of(h, h->id) != NULL
                   ? adopt(k, h)
                   : KIN_FINE;
    if (ours == NULL)
        return KIN_FINE;
    if (!k->assembled)
        return assemble(k, h);
    v = check_speaker(ours, name, h, err);
    if (v == KIN_FINE)
        (void)kin_note_mark(k, h->id, h->mark);
    return v;
}

/* ---- bytes --------------------------------------------------------------------------- */

int kin_encode(const struct kin *k, struct buf *out, struct err *err)
{
    uint8_t head[KIN_HEAD] = {KIN_FORMAT, k->assembled, (uint8_t)k->n}, row[KIN_ROW];

    put64(head + 8, k->self);
    put64(head + 16, k->digest);
    if (buf_append(out, head, sizeof head, err) != 0)
        return err->code;
    for (unsigned i = 0; i < k->n; i++) {
        put64(row, k->list[i].id);
        put64(row + 8, k->list[i].store);
        put64(row + 16, k->list[i].mark);
        if (buf_append(out, row, sizeof row, err) != 0)
            return err->code;
    }
    return 0;
}

int kin_decode(const uint8_t *data, size_t len, struct kin *ret, struct err *err)
{
    static const uint8_t unused[5];

    if (len != 0 && data[0] > KIN_FORMAT)
        return err_set(err, ERR_UNSUPPORTED,
                       "the table of the voters' stores has format %u, this version knows "
                       "%d: install the version that wrote it, or a newer one",
                       data[0], KIN_FORMAT);
    if (len < KIN_HEAD || memcmp(data + 3, unused, sizeof unused) != 0 ||
        data[0] != KIN_FORMAT || data[1] > 1 || data[2] > CONSENSUS_VOTERS_MAX ||
        len != KIN_HEAD + (size_t)data[2] * KIN_ROW)
        return err_set(err, ERR_CORRUPT, "table of the voters' stores, %zu bytes", len);
    *ret = (struct kin){.self = get64(data + 8),
                        .digest = get64(data + 16),
                        .assembled = data[1],
                        .n = data[2]};
    for (unsigned i = 0; i < ret->n; i++) {
        const uint8_t *row = data + KIN_HEAD + (size_t)i * KIN_ROW;

        ret->list[i] = (struct kinsman){
            .id = get64(row), .store = get64(row + 8), .mark = get64(row + 16)};
    }
    return 0;
}
