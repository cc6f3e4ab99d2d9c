#include "tests/sim/judge_raft.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "proto/entry_codec.h"
#include "proto/frame.h"
#include "tests/sim/judge.h"
#include "tests/sim/older.h"

/* Of each index, as the first node had it; 0: nobody has applied it yet. */
static struct place {
    uint64_t term, chain;
} * places;
static size_t cap;
static uint64_t top;

/* Of each controller: its own callback, and the entry that it is at. */
static int (*inner[CTLS])(void *owner, const struct order_apply *entry, struct err *err);
static const struct order_apply *at_hand[CTLS];

void judge_raft_begin(void)
{
    if (cap > 0)
        memset(places, 0, cap * sizeof *places);
    memset(at_hand, 0, sizeof at_hand);
    top = 0;
}

void judge_raft_end(void)
{
    free(places);
    places = NULL;
    cap = 0;
}

static struct place *place_of(uint64_t index)
{
    if (index >= cap) {
        size_t more = (size_t)index + cap + 1024;

        places = reallocarray(places, more, sizeof *places);
        ASSERT(places != NULL);
        memset(places + cap, 0, (more - cap) * sizeof *places);
        cap = more;
    }
    return &places[index];
}

uint64_t judge_term_of(uint64_t index) { return place_of(index)->term; }

/* I7: one sequence. The chain is over the bytes of all entries up to this one. */
static void note_place(uint8_t node, const struct order_apply *o)
{
    struct place *p = place_of(o->index);
    uint64_t chain;

    memcpy(&chain, o->chain, sizeof chain);
    if (p->term == 0)
        *p = (struct place){o->term, chain};
    else if (p->term != o->term || p->chain != chain)
        sim_fail("I7: entry %" PRIu64 " of term %" PRIu64 " on %s is not what another node "
                 "has applied there",
                 o->index, o->term, node_name(node));
    if (o->index > top)
        top = o->index;
}

static int on_apply(void *owner, const struct order_apply *o, struct err *err)
{
    uint8_t node = sim_self()->node;
    int status;

    note_place(node, o);
    at_hand[node] = o;
    status = inner[node](owner, o, err);
    at_hand[node] = NULL;
    return status;
}

struct raftnode_callbacks judge_raft_watch(const struct raftnode_callbacks *callbacks)
{
    struct raftnode_callbacks watched = *callbacks;

    inner[sim_self()->node] = callbacks->apply;
    watched.apply = on_apply;
    return watched;
}

int __real_entry_encode_as(const struct entry *e, uint32_t format, struct buf *out,
                           struct err *err);

/* In that format it is what was decided, to the byte. */
static bool says(const struct entry *e, uint32_t format, const struct order_apply *o)
{
    AUTO(buf_free) struct buf bytes = {0};

    return __real_entry_encode_as(e, format, &bytes, NULL) == 0 && bytes.len == o->len &&
           memcmp(bytes.data, o->body, o->len) == 0;
}

static void fail_unread(const struct order_apply *o, const struct entry *e)
{
    sim_fail("I10: entry %" PRIu64 " (%s) is acted on by %s, which has not read all of it",
             o->index, entry_kind_name(e->kind), node_name(sim_self()->node));
}

/* I10: nothing in the entry's bytes was passed over. */
void judge_read(const struct entry *e)
{
    const struct order_apply *o = at_hand[sim_self()->node];
    struct format_range known = entry_formats();

    for (uint32_t format = known.max; o != NULL && !says(e, format, o); format--)
        if (format == known.min) {
            fail_unread(o, e);
            return;
        }
}

int __real_frame_decode(const uint8_t *data, size_t len, Rf__Frame **ret_frame,
                        struct err *err);
int __wrap_frame_decode(const uint8_t *data, size_t len, Rf__Frame **ret_frame,
                        struct err *err);

/* I10: whoever takes up a frame knows all that is in it. */
int __wrap_frame_decode(const uint8_t *data, size_t len, Rf__Frame **ret_frame,
                        struct err *err)
{
    int status = __real_frame_decode(data, len, ret_frame, err);

    if (status == 0 && is_newer(data, len) && sim_self() != NULL)
        sim_fail("I10: %s acts on a frame with a field that it does not know",
                 node_name(sim_self()->node));
    return status;
}

/* I7: what earlier leaders decided is known to the next one before it decides. */
void judge_barrier(uint8_t node, const struct driver_status *st)
{
    uint64_t index = top;

    if (!st->authoritative)
        return;
    while (index > 0 && (places[index].term == 0 || places[index].term >= st->term))
        index--;
    if (index > st->applied_index)
        sim_fail("I7: %s leads in term %" PRIu64 " with entry %" PRIu64
                 " applied, and entry %" PRIu64 " of term %" PRIu64 " was applied before",
                 node_name(node), st->term, st->applied_index, index, places[index].term);
}
