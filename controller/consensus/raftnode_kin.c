/* Who the others are (kin.h), before and while the node takes part in Raft. */
#include <string.h>

#include "controller/base/clock.h"
#include "controller/consensus/raftnode_private.h"

enum { MARKS_EVERY_MS = 1000 };

static int put_kin(struct raftnode *n, store_noted *on_stored, struct err *err)
{
    AUTO(buf_free) struct buf bytes = {0};

    if (kin_encode(&n->kin, &bytes, err) != 0)
        return err->code;
    n->marks_new = false;
    n->marks_ms = mono_now().ns / NS_PER_MS;
    return store_put_note(n->store, NOTE_KIN, bytes.data, bytes.len, on_stored, err);
}

/* The others' marks ride on a commit that is made anyway. A table without company would be
 * a commit by itself, which the others would note, and so on for ever. */
int raftnode_put_marks(struct raftnode *n, struct err *err)
{
    if (!n->marks_new || mono_now().ns / NS_PER_MS - n->marks_ms < MARKS_EVERY_MS)
        return 0;
    return put_kin(n, NULL, err);
}

static void know_stores(struct raftnode *n)
{
    for (unsigned i = 0; i < n->kin.n; i++)
        driver_know_store(n->driver, n->kin.list[i].id, n->kin.list[i].store);
}

static bool same_members(const struct members *a, const struct members *b)
{
    if (a->n != b->n)
        return false;
    for (unsigned i = 0; i < a->n; i++)
        if (a->list[i].id != b->list[i].id || a->list[i].votes != b->list[i].votes)
            return false;
    return true;
}

/* From the loop, not from within a call: the same timer serves. */
static void ask_for_hello(struct raftnode *n)
{
    n->kin_asked = true;
    uv_timer_start(&n->timer, raftnode_on_timer, 0, 0);
}

/* A list counts from the moment it is in the log, so the table has it before anything of
 * the newcomer is counted; the store writes both in order. */
int raftnode_follow_members(struct raftnode *n, struct err *err)
{
    bool decided;
    const struct members *m = driver_members(n->driver, &decided);

    if (same_members(m, &n->members))
        return 0;
    n->members = *m;
    n->members_told = false;
    if (!kin_follow(&n->kin, m))
        return 0;
    know_stores(n);
    ask_for_hello(n);
    return put_kin(n, NULL, err);
}

const struct members *raftnode_members(const struct raftnode *n, bool *ret_decided)
{
    return driver_members(n->driver, ret_decided);
}

/* Only now: a table that is lost in a crash must not have been acted upon. */
static void on_kin_stored(void *owner)
{
    struct raftnode *n = owner;

    if (n->stopped || n->closed || n->active || !n->kin.assembled)
        return;
    n->active = true;
    driver_set_digest(n->driver, n->kin.digest);
    know_stores(n);
    ask_for_hello(n); /* on_kin() is told, too */
}

void raftnode_hello(const struct raftnode *n, struct kin_hello *ret)
{
    kin_say(&n->kin, store_mark(n->store), ret);
}

uint64_t raftnode_mark(const struct raftnode *n) { return store_mark(n->store); }

bool raftnode_is_assembled(const struct raftnode *n) { return n->active; }

void raftnode_note_mark(struct raftnode *n, uint64_t id, uint64_t mark)
{
    if (kin_note_mark(&n->kin, id, mark))
        n->marks_new = true;
}

/* Told by somebody who remembers more of us than we do. Written down: whoever remembers may
 * be away at the next start. */
static void condemn(struct raftnode *n, const struct err *err)
{
    struct err failed;

    if (store_put_note(n->store, NOTE_CONDEMNED, (const uint8_t *)err->text,
                       strlen(err->text), on_kin_stored, &failed) != 0)
        err = &failed;
    raftnode_fail(n, err);
}

int raftnode_heard(struct raftnode *n, const char *name, const struct kin_hello *h,
                   struct err *err)
{
    if (n->stopped || n->closed)
        return err_set(err, ERR_CLOSED, "this node has stopped");
    switch (kin_hear(&n->kin, name, store_mark(n->store), h, err)) {
    case KIN_FINE:
        n->marks_new = true;
        return 0;
    case KIN_CHANGED:
        if (put_kin(n, on_kin_stored, err) != 0) {
            raftnode_fail(n, err);
            return ERR_CLOSED;
        }
        ask_for_hello(n);
        return 0;
    case KIN_REFUSE:
        return err->code;
    case KIN_STOP:
        break;
    }
    condemn(n, err);
    return err_set(err, ERR_CLOSED, "this node has stopped");
}

int raftnode_open_kin(struct raftnode *n, const struct raftnode_config *c, struct err *err)
{
    const struct buf *kept = store_loaded_kin(n->store);
    uint64_t ids[CONSENSUS_VOTERS_MAX];

    if (kept->len != 0) {
        if (kin_decode(kept->data, kept->len, &n->kin, err) != 0)
            return err_wrap(err, "%s/raft.db", c->dir);
    } else {
        struct kin_self self = {c->driver.id, store_id(n->store), store_digest(n->store)};
        unsigned count = self.digest != 0 ? c->driver.n_voters : 1;

        for (unsigned i = 0; i < count; i++)
            ids[i] = self.digest != 0 ? c->driver.voters[i].id : self.id;
        kin_init(&n->kin, &self, ids, count);
    }
    if (n->kin.digest != 0)
        driver_set_digest(n->driver, n->kin.digest);
    n->active = n->kin.assembled;
    know_stores(n);
    return 0;
}
