#include "controller/core/answered.h"

#include <inttypes.h>
#include <string.h>

#include "controller/core/apply_internal.h"

static const struct request_key none;

bool key_is_set(const struct request_key *k) { return memcmp(k, &none, sizeof none) != 0; }

bool key_is_same(const struct request_key *a, const struct request_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool is_old(const struct answered *row, uint64_t wall_ms)
{
    return wall_ms > row->wall_ms &&
           wall_ms - row->wall_ms > UINT64_C(3600) * 1000 * ANSWERED_HOURS;
}

const struct answered *answered_find(const struct state *s, const struct request_key *key,
                                     uint64_t wall_ms)
{
    for (unsigned i = 0; i < s->answered_count; i++)
        if (memcmp(s->answered[i].key.id, key->id, KEY_HASH_SIZE) == 0)
            return is_old(&s->answered[i], wall_ms) ? NULL : &s->answered[i];
    return NULL;
}

bool answered_has_code(const struct answered *row, uint64_t wall_ms)
{
    return row->kind == ENTRY_FACTOR_USED &&
           (wall_ms <= row->wall_ms || wall_ms - row->wall_ms <= ANSWERED_CODE_MS);
}

/* What is to be told again must be seen before it is changed. */
static uint32_t flags_of(const struct applying *a)
{
    const struct entry *e = a->e;
    uint32_t flags = 0;

    if ((e->kind == ENTRY_PAUSE || e->kind == ENTRY_RESUME) && a->g != NULL &&
        a->g->paused == (e->kind == ENTRY_PAUSE))
        flags |= ANSWERED_AS_IT_WAS;
    if (e->kind == ENTRY_USER_TOKEN ||
        (e->kind == ENTRY_USER_TOTP && e->user_totp.recovery_count > 0))
        flags |= ANSWERED_SECRET;
    if (e->kind == ENTRY_DECLARE && e->declare.keep_active)
        flags |= ANSWERED_KEPT;
    return flags;
}

bool answered_admits(struct applying *a, struct answered *ret_row)
{
    const struct entry *e = a->e;
    const struct answered *row =
        key_is_set(&e->key) ? answered_find(a->s, &e->key, e->wall_ms) : NULL;
    enum actor_factor factor =
        e->kind == ENTRY_FACTOR_USED ? e->factor_used.factor : e->actor.factor;

    *ret_row = (struct answered){.key = e->key,
                                 .index = a->index,
                                 .wall_ms = e->wall_ms,
                                 .kind = e->kind,
                                 .flags = flags_of(a),
                                 .factor = factor};
    memcpy(ret_row->group, e->group, sizeof ret_row->group);
    if (row == NULL)
        return true;
    if (!key_is_same(&row->key, &e->key))
        refuse(a, REFUSE_KEY,
               "another request has had this key (entry %" PRIu64
               "): a new request takes a new one",
               row->index);
    else if (row->kind != ENTRY_FACTOR_USED)
        refuse(a, REFUSE_ANSWERED,
               "this request was answered already: it is entry %" PRIu64, row->index);
    return a->result->refusal == ACCEPTED;
}

static void forget(struct state *s, unsigned i)
{
    s->answered_count--;
    memmove(&s->answered[i], &s->answered[i + 1],
            (s->answered_count - i) * sizeof s->answered[0]);
    memset(&s->answered[s->answered_count], 0, sizeof s->answered[0]);
}

void answered_remember(struct applying *a, const struct answered *row)
{
    struct state *s = a->s;
    unsigned i = 0;

    if (!key_is_set(&row->key))
        return;
    while (i < s->answered_count)
        if (is_old(&s->answered[i], row->wall_ms) ||
            memcmp(s->answered[i].key.id, row->key.id, KEY_HASH_SIZE) == 0)
            forget(s, i);
        else
            i++;
    if (s->answered_count == ANSWERED_MAX)
        forget(s, 0);
    s->answered[s->answered_count++] = *row;
}
