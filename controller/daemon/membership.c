#include "controller/daemon/membership.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/log.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"

static const struct controller *record_named(const struct daemon *d, const char *name)
{
    const struct state *s = node_state(d->node);

    for (unsigned i = 0; i < s->controller_count; i++)
        if (strcmp(s->controllers[i].name, name) == 0)
            return &s->controllers[i];
    return NULL;
}

uint64_t membership_id(const struct daemon *d, uint8_t position)
{
    const struct settings_controller *c = &d->settings.controllers[position];
    const struct controller *r = record_named(d, c->name);

    return r != NULL && r->id > c->id ? r->id : c->id;
}

/* ---- what this node goes by --------------------------------------------------------- */

static void follow_one(struct daemon *d, uint8_t position, const struct member *m)
{
    struct settings_controller *c = &d->settings.controllers[position];

    if (m->id > c->id) {
        log_info("controller %s has id %" PRIu64 " now, not %" PRIu64
                 ": `controllers` in this host's file may be brought up to date",
                 c->name, m->id, c->id);
        c->id = m->id;
    }
    if (m->address[0] != '\0' && d->peers != NULL)
        peers_reach(d->peers, position, m->address);
}

/* Told and shown only when it is decided: until then the leader's end may take it back, and
 * who then counts on the newcomer would wait for a majority that cannot come. */
static void note_decided(struct daemon *d, const struct members *m)
{
    for (unsigned i = 0; i < m->n; i++) {
        const struct member *now = &m->list[i];
        const struct member *before = members_find(&d->decided, now->id);

        if (now->votes && before != NULL && !before->votes)
            log_info("controller %s with id %" PRIu64 " votes from now on", now->name,
                     now->id);
    }
    d->decided = *m;
}

bool membership_votes(const struct daemon *d, uint64_t id)
{
    bool decided;
    const struct members *newest = node_members(d->node, &decided);
    /* After a restart none has been seen yet, and there may be no majority to decide it. */
    bool known = !decided && d->decided.n != 0;
    const struct member *m = members_find(known ? &d->decided : newest, id);

    return m != NULL && m->votes;
}

void membership_follow(struct daemon *d)
{
    bool decided;
    const struct members *m = node_members(d->node, &decided);

    if (decided)
        note_decided(d, m);
    for (uint8_t i = 0; i < d->settings.count; i++) {
        const struct member *one = members_named(m, d->settings.controllers[i].name);

        if (one != NULL && i != d->settings.self)
            follow_one(d, i, one);
    }
}

/* ---- the leader's steps ----------------------------------------------------------------
 */

/* Promotion needs all that is decided: one that lags would make a majority slower, not
 * safer. */
static bool has_caught_up(const struct daemon *d, uint64_t id)
{
    struct driver_status st;

    node_status(d->node, &st);
    for (unsigned i = 0; i < st.n_peers; i++)
        if (st.peers[i].id == id)
            return st.peers[i].contact_ms != 0 &&
                   st.peers[i].match_index >= st.commit_index;
    return false;
}

static bool add_newcomer(const struct daemon *d, uint8_t position, struct members *to)
{
    struct member one = {0};
    struct err err = {0};

    if (!peers_newcomer(d->peers, position, &one))
        return false; /* it is not there yet */
    log_info("controller %s comes with id %" PRIu64 " at %s and gets the log", one.name,
             one.id, one.address);
    if (members_add(to, &one, &err) == 0)
        return true;
    log_warn("controller %s is not taken in: %s", one.name, err.text);
    return false;
}

/* True: `to` is the list as it should be after the next step. */
static bool next_step(const struct daemon *d, uint8_t position, struct members *to)
{
    const char *name = d->settings.controllers[position].name;
    const struct controller *r = record_named(d, name);
    const struct member *m = members_named(to, name);
    struct member ignored;

    if (r == NULL || position == d->settings.self)
        return false;
    if (m == NULL)
        return add_newcomer(d, position, to);
    if (m->id != r->id) {
        if (!peers_newcomer(d->peers, position, &ignored))
            return false; /* nothing is gained before it is there */
        log_info("controller %s with id %" PRIu64 " leaves: id %" PRIu64 " takes its place",
                 name, m->id, r->id);
        members_remove(to, m->id);
        return true;
    }
    if (m->votes || !has_caught_up(d, m->id))
        return false;
    log_info("controller %s with id %" PRIu64 " has caught up and is to vote", name, m->id);
    to->list[m - to->list].votes = true;
    return true;
}

void membership_tick(struct daemon *d)
{
    bool decided;
    struct members to = *node_members(d->node, &decided);
    struct err err = {0};

    if (decided)
        note_decided(d, &to);
    if (!decided || !node_leads(d->node))
        return;
    for (uint8_t i = 0; i < d->settings.count; i++) {
        if (!next_step(d, i, &to))
            continue;
        if (node_change(d->node, &to, &err) != 0)
            log_warn("the list of members is not changed yet: %s", err.text);
        return; /* one at a time */
    }
}
