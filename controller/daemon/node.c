#include "controller/daemon/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "controller/base/text.h"
#include "controller/daemon/audit.h"
#include "controller/daemon/refused.h"
#include "proto/entry_codec.h"
#include "proto/snapshot_codec.h"

/* What is applied behind one's own proposals before they are told is less than the rest. */
enum { NODE_RESULTS = 512, NODE_WAITING_MAX = 256, NS_PER_US = 1000 };

static const uint64_t commit_bounds_us[] = {100,  200,  300,  400,   500,   700,
                                            1000, 2000, 5000, 20000, 100000};

struct node {
    struct raftnode *raft;
    struct node_events events;
    char name[VOTER_NAME_SIZE];

    struct state state;
    struct observations seen;
    uint64_t applied; /* index of the entry applied last, whatever its kind */
    /* apply()'s answers to the last commands, by index: several are applied before the
     * first of them is told. */
    struct {
        uint64_t index;
        struct apply_result result;
    } results[NODE_RESULTS];
    unsigned waiting; /* proposals, NODE_WAITING_MAX at most */
    struct histogram commits;

    struct state *scratch; /* of dry runs, and of a snapshot until it is known to be good */
    struct entry entry;    /* being applied */
    struct entry decoded;  /* being proposed */
    struct buf bytes;      /* being proposed */

    uint64_t replay_to; /* end of the log when it was opened */
    struct refused_bounds refused;
    uint64_t left_out; /* summaries: beyond the bounds, or the disk is full */
};

/* One proposal whose fate is not known yet. */
struct waiting {
    struct node *node;
    node_done *done;
    void *owner;
    struct mono since;
};

/* ---- what the log says --------------------------------------------------------------- */

static struct apply_result *result_at(struct node *n, uint64_t index)
{
    return &n->results[index % NODE_RESULTS].result;
}

static int audit(struct node *n, const struct order_apply *o,
                 const struct audit_before *before, struct err *err)
{
    struct audit_row row;

    if (!audit_make(&n->entry, result_at(n, o->index), before, &row) ||
        MUTANT(leader_keeps_trail, false, !n->seen.leading))
        return 0;
    row.index = o->index;
    row.term = o->term;
    row.wall_ms = o->wall_ms;
    row.leader_id = o->leader_id;
    return raftnode_audit(n->raft, &row, 1, err);
}

static int apply_command(struct node *n, const struct order_apply *o, struct err *err)
{
    struct audit_before before;
    const char *broken;

    if (entry_decode(o->body, o->len, &n->entry, err) != 0)
        return err_wrap(err,
                        "entry %" PRIu64 " of the log, proposed by controller %" PRIu64
                        ", cannot be read: a newer version may have written it; install "
                        "the version that the others run",
                        o->index, o->leader_id);
    n->entry.wall_ms = o->wall_ms;

    if (MUTANT(followers_skip_renewals, false,
               n->entry.kind == ENTRY_RENEW && !n->seen.leading))
        return 0;
    audit_look(&n->state, &n->entry, &before);
    n->results[o->index % NODE_RESULTS].index = o->index;
    apply(&n->state, o->index, &n->entry, result_at(n, o->index));
    /* I4: read afresh, after apply(). */
    observe_applied(&n->seen, &n->state, &n->entry, result_at(n, o->index),
                    MUTANT(stamp_from_cache, mono_now(), mutant_loop_time()));

    broken = state_invariant_broken_by(&n->state, &n->entry);
    if (broken != NULL)
        return err_set(err, ERR_CORRUPT,
                       "after entry %" PRIu64 " (%s) an invariant does not hold: %s: this "
                       "is a defect of ringfenced; keep the data directory and report it",
                       o->index, entry_kind_name(n->entry.kind), broken);
    return audit(n, o, &before, err);
}

static int on_apply(void *owner, const struct order_apply *o, struct err *err)
{
    struct node *n = owner;

    if (o->kind != ENTRY_COMMAND) {
        n->applied = o->index;
        return 0;
    }
    if (apply_command(n, o, err) != 0)
        return err->code;
    n->applied = o->index;
    n->events.on_applied(n->events.owner, &n->entry, result_at(n, o->index));
    return 0;
}

static int on_save(void *owner, struct buf *out, struct err *err)
{
    struct node *n = owner;

    return snapshot_encode(&n->state, out, err);
}

static int on_restore(void *owner, const struct order_restore *snapshot, struct err *err)
{
    struct node *n = owner;
    const char *broken;

    if (snapshot_decode(snapshot->body, snapshot->len, n->scratch, err) != 0)
        return err_wrap(err,
                        "the snapshot of entry %" PRIu64 " cannot be read: a newer version "
                        "may have written it; install the version that the others run",
                        snapshot->index);
    if (strcmp(n->scratch->cluster, n->state.cluster) != 0)
        return err_set(err, ERR_CONFLICT, "snapshot is of cluster %s, this node's is %s",
                       n->scratch->cluster, n->state.cluster);
    broken = state_invariant_broken(n->scratch);
    if (broken != NULL)
        return err_set(err, ERR_CORRUPT, "in the snapshot an invariant does not hold: %s",
                       broken);

    n->state = *n->scratch;
    for (unsigned i = 0; MUTANT(snapshot_without_leases, false, i < n->state.group_count);
         i++)
        n->state.groups[i].instances[0].holder_epoch = 0;
    n->applied = snapshot->index;
    /* I4: every grant in it counts from now, read afresh. */
    observe_restored(&n->seen, &n->state, mono_now());
    n->events.on_applied(n->events.owner, NULL, NULL);
    return 0;
}

static void on_role(void *owner, const struct driver_status *status)
{
    struct node *n = owner;

    if (status->authoritative != n->seen.leading)
        observe_leading(&n->seen, status->authoritative, mono_now());
    n->events.on_role(n->events.owner, status);
}

static void on_send(void *owner, uint64_t to, const uint8_t *data, size_t len)
{
    struct node *n = owner;

    n->events.send(n->events.owner, to, data, len);
}

static void on_fatal(void *owner, const struct err *err)
{
    struct node *n = owner;

    n->events.on_fatal(n->events.owner, err);
}

static void on_kin(void *owner)
{
    struct node *n = owner;

    if (n->events.on_kin != NULL)
        n->events.on_kin(n->events.owner);
}

static void on_members(void *owner)
{
    struct node *n = owner;

    if (n->events.on_members != NULL)
        n->events.on_members(n->events.owner);
}

/* ---- life ---------------------------------------------------------------------------- */

int node_open(struct node **ret_node, struct uv_loop_s *loop,
              const struct node_config *config, const struct node_events *events,
              struct err *err)
{
    struct node *n = calloc(1, sizeof *n);
    struct raftnode_config rc = {
        .driver = {.id = config->id,
                   .cluster = config->cluster,
                   .incarnation = 1,
                   .voters = config->voters,
                   .n_voters = config->voter_count,
                   .election_ms = config->election_ms,
                   .heartbeat_ms = config->heartbeat_ms,
                   .trailing = 1024},
        .node = config->name,
        .dir = config->dir,
        .reserve_bytes = config->reserve_bytes,
        .allow_bootstrap = config->bootstrap,
        .allow_join = config->join,
    };
    struct raftnode_callbacks callbacks = {.send = on_send,
                                           .apply = on_apply,
                                           .save = on_save,
                                           .restore = on_restore,
                                           .on_role = on_role,
                                           .on_fatal = on_fatal,
                                           .on_kin = on_kin,
                                           .on_members = on_members,
                                           .owner = n};
    struct driver_status status;

    if (n != NULL)
        n->scratch = malloc(sizeof *n->scratch);
    if (n == NULL || n->scratch == NULL) {
        free(n);
        return err_set(err, ERR_NOMEM, "the replicated state");
    }
    n->events = *events;
    n->refused = (struct refused_bounds)REFUSED_BOUNDS;
    n->commits = histogram_make(commit_bounds_us, ARRAY_LEN(commit_bounds_us));
    (void)snprintf(n->name, sizeof n->name, "%s", config->name);
    state_init(&n->state, config->cluster);
    observations_init(&n->seen, config->id);

    if (raftnode_open(&n->raft, loop, &rc, &callbacks, err) != 0) {
        free(n->scratch);
        free(n);
        return err->code;
    }
    node_status(n, &status);
    n->replay_to = status.last_index;
    *ret_node = n;
    return 0;
}

void node_close(struct node *n)
{
    if (n == NULL)
        return;
    raftnode_close(n->raft);
    buf_free(&n->bytes);
    free(n->scratch);
    free(n);
}

/* ---- what is known ------------------------------------------------------------------- */

const struct state *node_state(const struct node *n) { return &n->state; }

struct observations *node_seen(struct node *n) { return &n->seen; }

void node_status(const struct node *n, struct driver_status *ret_status)
{
    raftnode_status(n->raft, ret_status);
}

void node_stats(const struct node *n, struct store_stats *ret_stats)
{
    raftnode_stats(n->raft, ret_stats);
}

const struct histogram *node_commits(const struct node *n) { return &n->commits; }

bool node_leads(const struct node *n) { return raftnode_is_authoritative(n->raft); }

uint64_t node_leader(const struct node *n)
{
    struct driver_status status;

    raftnode_status(n->raft, &status);
    return status.leader_id;
}

uint64_t node_applied(const struct node *n) { return n->applied; }

uint64_t node_left_out(const struct node *n) { return n->left_out; }

bool node_is_replaying(const struct node *n) { return n->applied <= n->replay_to; }

/* ---- proposals ----------------------------------------------------------------------- */

static void on_submitted(void *owner, int status, uint64_t index)
{
    AUTO(auto_free) struct waiting *w = owner;
    struct node *n = w->node;
    const struct apply_result *r = NULL;

    n->waiting--;
    if (status == 0)
        histogram_count(&n->commits, mono_since_ns(w->since, mono_now()) / NS_PER_US);
    if (status == 0 && n->results[index % NODE_RESULTS].index == index)
        r = result_at(n, index);
    if (w->done != NULL)
        w->done(w->owner, r == NULL && status == 0 ? ERR_UNKNOWN : status, index, r);
}

static bool all_on_record(const struct node *n)
{
    bool decided;
    const struct members *m = node_members(n, &decided);

    for (unsigned i = 0; i < m->n; i++)
        if (m->list[i].votes && state_controller(&n->state, m->list[i].id) == NULL)
            return false;
    return true;
}

void node_dry(struct node *n, const struct entry *e, struct apply_result *ret)
{
    apply_dry(&n->state, e, n->scratch, ret);
}

/* I10: every controller on record, and every agent that the entry is about, reads what goes
 * into the log, and it is what came out of our own decoder. */
static int encode_and_try(struct node *n, const struct entry *e,
                          struct apply_result *ret_refused, struct err *err)
{
    const struct format_range own = entry_formats();
    struct apply_result result;
    uint32_t format;

    if (format_choose(&n->state, e, own, all_on_record(n), &format, err) != 0)
        return err_wrap(err, "propose %s", entry_kind_name(e->kind));
    n->bytes.len = 0;
    if (entry_encode_as(e, MUTANT(newest_format, format, own.max), &n->bytes, err) != 0 ||
        entry_decode(n->bytes.data, n->bytes.len, &n->decoded, err) != 0)
        return err_wrap(err, "propose %s", entry_kind_name(e->kind));

    n->decoded.wall_ms = wall_now_ms(); /* about as its envelope will say: locks end */
    apply_dry(&n->state, &n->decoded, n->scratch, &result);
    if (result.refusal == ACCEPTED)
        return 0;
    if (ret_refused != NULL)
        *ret_refused = result;
    return err_set(err, ERR_REFUSED, "%s refused (%s): %s", entry_kind_name(e->kind),
                   refusal_name(result.refusal), result.text);
}

int node_propose(struct node *n, const struct entry *e, node_done *on_done, void *owner,
                 struct apply_result *ret_refused, struct err *err)
{
    AUTO(auto_free) struct waiting *w = NULL;

    if (!raftnode_is_authoritative(n->raft))
        return err_set(err, ERR_NOTLEADER, "controller %s does not lead", n->name);
    if (n->waiting == NODE_WAITING_MAX)
        return err_set(err, ERR_FULL, "%d proposals wait already", NODE_WAITING_MAX);
    if (encode_and_try(n, e, ret_refused, err) != 0)
        return err->code;

    w = malloc(sizeof *w);
    if (w == NULL)
        return err_set(err, ERR_NOMEM, "propose %s", entry_kind_name(e->kind));
    *w = (struct waiting){n, on_done, owner, mono_now()};
    if (raftnode_submit(n->raft, n->bytes.data, n->bytes.len, on_submitted, w, err) != 0)
        return err->code;
    n->waiting++;
    (void)TAKE(w);
    return 0;
}

int node_confirm(struct node *n, raftnode_done *on_done, void *owner, struct err *err)
{
    return raftnode_barrier(n->raft, on_done, owner, err);
}

uint64_t node_age_ms(const struct node *n) { return raftnode_age_ms(n->raft); }

static int note(struct node *n, const struct actor *who, const char *group,
                const struct entry_refused *what, struct err *err)
{
    struct entry *e = &n->decoded; /* node_propose() reads it before it writes it */

    *e = (struct entry){.kind = ENTRY_REFUSED};
    if (who != NULL)
        e->actor = *who;
    (void)snprintf(e->rule, sizeof e->rule, "%s", who != NULL ? "operator" : "hold");
    (void)snprintf(e->group, sizeof e->group, "%s", group);
    text_set(e->refused.text, sizeof e->refused.text, "%s", what->text);
    e->refused.hold = what->hold;
    return node_propose(n, e, NULL, NULL, NULL, err);
}

void node_note_refused(struct node *n, const struct actor *who, const char *group,
                       const char *text)
{
    struct entry_refused what = {.hold = 0};
    struct err err = {0};
    struct store_stats stats;

    /* What is left of a disk that is full is for leases and decisions. */
    node_stats(n, &stats);
    if (stats.reserve_used || !refused_take(&n->refused, who, mono_now())) {
        n->left_out++;
        return;
    }
    text_set(what.text, sizeof what.text, "%s", text);
    if (note(n, who, group, &what, &err) == 0)
        return;
    n->left_out++;
    log_warn("a refused request is not in the audit trail: %s", err.text);
}

int node_note_held(struct node *n, const char *group, const struct entry_refused *what,
                   struct err *err)
{
    return note(n, NULL, group, what, err);
}

int node_receive(struct node *n, uint64_t from, const uint8_t *data, size_t len,
                 struct err *err)
{
    return raftnode_receive(n->raft, from, data, len, err);
}

void node_hello(const struct node *n, struct kin_hello *ret)
{
    raftnode_hello(n->raft, ret);
}

int node_heard(struct node *n, const char *name, const struct kin_hello *h, struct err *err)
{
    return raftnode_heard(n->raft, name, h, err);
}

void node_note_mark(struct node *n, uint64_t id, uint64_t mark)
{
    raftnode_note_mark(n->raft, id, mark);
}

uint64_t node_mark(const struct node *n) { return raftnode_mark(n->raft); }

bool node_is_assembled(const struct node *n) { return raftnode_is_assembled(n->raft); }

const struct members *node_members(const struct node *n, bool *ret_decided)
{
    return raftnode_members(n->raft, ret_decided);
}

int node_change(struct node *n, const struct members *to, struct err *err)
{
    return raftnode_change(n->raft, to, err);
}

int node_transfer(struct node *n, uint64_t to, struct err *err)
{
    return raftnode_transfer(n->raft, to, err);
}

int node_query_audit(struct node *n, const struct audit_query *q, store_audit_reply *reply,
                     void *owner, struct err *err)
{
    return raftnode_query_audit(n->raft, q, reply, owner, err);
}

int node_fill_audit(struct node *n, const struct store_fill *f, store_filled *reply,
                    void *owner, struct err *err)
{
    return raftnode_fill_audit(n->raft, f, reply, owner, err);
}

int node_prune_audit(struct node *n, uint64_t before_ms, struct err *err)
{
    return raftnode_prune_audit(n->raft, before_ms, err);
}
