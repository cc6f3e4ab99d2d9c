#include "fencing/agent/steps_rules.h"
#include "controller/base/mutant.h"

#include <stdio.h>
#include <string.h>

bool postmaster_equal(struct postmaster a, struct postmaster b)
{
    return a.pid == b.pid && a.start_ms == b.start_ms;
}

/* ---- orders ---------------------------------------------------------------------------
 */

static bool holds_write_lease(const struct order_facts *f)
{
    return f->view.lease_kind == KIND_WRITE && f->view.lease_epoch == f->a->epoch &&
           f->view.lease_deadline.ns > f->now.ns && f->view.fenced < f->a->epoch;
}

/* I6: whatever lease is left, of whatever epoch, the instance may still be serving. */
static bool holds_any_write_lease(const struct order_facts *f)
{
    return f->view.lease_kind == KIND_WRITE && f->view.lease_deadline.ns > f->now.ns;
}

static enum order_verdict judge_as_primary(const struct order_facts *f,
                                           const char **ret_why)
{
    switch (f->request->kind) {
    case RF__STEP_KIND__STEP_JOIN:
        *ret_why = "the standby that is to join does not keep up";
        return holds_write_lease(f) && f->joining_keeps_up ? ORDER_RUN : ORDER_WAIT;
    case RF__STEP_KIND__STEP_LEAD:
    case RF__STEP_KIND__STEP_SYNC:
        /* The lease of epoch e is held before anything is promoted for e. */
        *ret_why = "the lease of this epoch is not held yet";
        return MUTANT(lead_before_lease, holds_write_lease(f), true) ? ORDER_RUN
                                                                     : ORDER_WAIT;
    case RF__STEP_KIND__STEP_CHECKPOINT:
        return ORDER_RUN;
    case RF__STEP_KIND__STEP_STOP:
        /* I6: only with the assignment's word that the log has it. The order may overtake
         * that word (they can come by different ways), so it waits and is not refused; one
         * that has no such entry waits until the next order or epoch drops it. */
        *ret_why = "the log has no stop step of a switchover for this epoch, as far as is "
                   "known here";
        return f->a->stop_allowed ? ORDER_RUN : ORDER_WAIT;
    case RF__STEP_KIND__STEP_FOLLOW:
    case RF__STEP_KIND__STEP_CLONE:
    case RF__STEP_KIND__STEP_SEVER:
        *ret_why = "this instance is the active one of this epoch";
        return ORDER_REFUSE;
    case RF__STEP_KIND__STEP_NONE:
    case _RF__STEP_KIND_IS_INT_SIZE:
        break;
    }
    *ret_why = "this version does not know such a step";
    return ORDER_REFUSE;
}

static enum order_verdict judge_as_standby(const struct order_facts *f,
                                           const char **ret_why)
{
    switch (f->request->kind) {
    case RF__STEP_KIND__STEP_FOLLOW:
    case RF__STEP_KIND__STEP_CLONE:
    case RF__STEP_KIND__STEP_STOP:
        *ret_why = "a lease of this instance has not run out yet";
        return holds_any_write_lease(f) ? ORDER_WAIT : ORDER_RUN;
    case RF__STEP_KIND__STEP_CHECKPOINT:
        return ORDER_RUN;
    case RF__STEP_KIND__STEP_SEVER:
        /* I3: a proof is given only by an order that names the committed fence_begin. */
        *ret_why = "the log has no such fence_begin, as far as is known here";
        return f->a->fence_index == f->request->step ? ORDER_RUN : ORDER_WAIT;
    case RF__STEP_KIND__STEP_LEAD:
    case RF__STEP_KIND__STEP_JOIN:
    case RF__STEP_KIND__STEP_SYNC:
        *ret_why = "this instance is not the active one of this epoch";
        return ORDER_REFUSE;
    case RF__STEP_KIND__STEP_NONE:
    case _RF__STEP_KIND_IS_INT_SIZE:
        break;
    }
    *ret_why = "this version does not know such a step";
    return ORDER_REFUSE;
}

enum order_verdict order_judge(const struct order_facts *f, const char **ret_why)
{
    const Rf__StepRequest *rq = f->request;

    *ret_why = "";
    if (f->a == NULL || rq->epoch > f->a->epoch)
        return ORDER_WAIT;
    if (MUTANT(rewinds_under_a_lease, false,
               rq->kind == RF__STEP_KIND__STEP_FOLLOW && !f->busy))
        return ORDER_RUN;
    /* Also what severing rests on: `last_step` is on disk before the server is severed, and
     * every FOLLOW of that epoch has a lower number than its fence_begin. */
    if (rq->step == 0 || rq->epoch < f->a->epoch ||
        MUTANT(follows_when_severed, rq->step < f->last_step, false))
        return ORDER_DROP;
    if (f->busy && rq->step == f->running)
        return ORDER_WAIT;
    /* Behind a fence nobody waits for what was begun before it: a FOLLOW that goes on for
     * hours would keep the old primary in touch with a member. */
    if (f->busy && rq->kind == RF__STEP_KIND__STEP_SEVER)
        return f->running_epoch <= rq->epoch ? ORDER_CANCEL : ORDER_WAIT;
    if (f->busy)
        return f->running_epoch < rq->epoch ? ORDER_CANCEL : ORDER_WAIT;
    if (MUTANT(step_again, rq->step == f->result, false))
        return ORDER_REPEAT;
    /* The epoch is on disk before anything is done for it (I6). */
    if (f->view.epoch != f->a->epoch)
        return ORDER_WAIT;
    if (f->a->role == RF__ROLE__ROLE_PRIMARY)
        return judge_as_primary(f, ret_why);
    if (f->a->role == RF__ROLE__ROLE_STANDBY)
        return judge_as_standby(f, ret_why);
    return ORDER_WAIT;
}

/* ---- the server -----------------------------------------------------------------------
 */

static struct postmaster seen_postmaster(const Rf__Observation *seen)
{
    return (struct postmaster){seen->postmaster_pid, seen->postmaster_start_ms};
}

bool step_changed_server(const Rf__StepResult *r, struct postmaster known)
{
    const Rf__Observation *seen = r->seen;

    if (seen == NULL)
        return false;
    if (seen->postmaster_pid != 0)
        return !postmaster_equal(seen_postmaster(seen), known);
    return known.pid != 0 && (seen->server == RF__SERVER_STATE__SERVER_DOWN ||
                              seen->server == RF__SERVER_STATE__SERVER_ABSENT);
}

static const Rf__ReplicaSeen *replica_named(const Rf__Observation *seen, const char *name)
{
    for (size_t i = 0; i < seen->n_replicas; i++)
        if (name[0] != 0 && strcmp(seen->replicas[i]->application_name, name) == 0)
            return seen->replicas[i];
    return NULL;
}

/* What another member may have been told before the crash must be there when we open:
 * commits that no standby has become visible by the end of recovery. */
static bool members_have(const Rf__Assignment *a, const Rf__Observation *seen,
                         uint64_t position)
{
    for (size_t i = 0; i < a->n_peers; i++) {
        const Rf__ReplicaSeen *r = replica_named(seen, a->peers[i]->standby_name);

        if (a->peers[i]->member && (r == NULL || r->flush_lsn < position))
            return false;
    }
    return true;
}

bool server_is_unled(const Rf__Assignment *a, const Rf__Observation *seen,
                     const struct step_record *r)
{
    return a->role == RF__ROLE__ROLE_PRIMARY && a->epoch != 0 && r->led_epoch != a->epoch &&
           seen != NULL && seen->server == RF__SERVER_STATE__SERVER_PRIMARY;
}

bool server_is_ready(const Rf__Assignment *a, const Rf__Observation *seen,
                     const struct step_record *r, bool opened)
{
    if (a->role != RF__ROLE__ROLE_PRIMARY || a->epoch == 0 || r->led_epoch != a->epoch ||
        r->known.pid == 0)
        return false;
    if (r->ready_epoch == a->epoch) /* latched; the record forgets it with the postmaster */
        return true;
    if (seen == NULL || seen->server != RF__SERVER_STATE__SERVER_PRIMARY ||
        !postmaster_equal(seen_postmaster(seen), r->known))
        return false;
    /* Before `opened` the members are candidates of the epoch before, the fenced old
     * primary among them; this primary has acknowledged nothing yet (I8). */
    if (strcmp(a->sync_mode, "off") == 0 || !(a->opened || opened))
        return true;
    return MUTANT(ready_without_flush, members_have(a, seen, r->led_position), true);
}

enum police police(const Rf__Assignment *a, const Rf__Observation *seen,
                   const struct step_record *r, bool opening, const char **ret_why)
{
    bool known = r->known.pid != 0 && postmaster_equal(seen_postmaster(seen), r->known);

    *ret_why = "";
    if (seen->postmaster_pid == 0 || a->role == RF__ROLE__ROLE_DETACHED)
        return POLICE_LET;
    /* While the group forms: its first epoch may be over sooner than we look again, and
     * with it the word that what runs may stay. */
    if (a->role == RF__ROLE__ROLE_NONE)
        return a->adopt && !known ? POLICE_ADOPT : POLICE_LET;
    if (a->role == RF__ROLE__ROLE_STANDBY &&
        seen->server == RF__SERVER_STATE__SERVER_PRIMARY) {
        *ret_why = "the server is a primary, but this instance is a standby in this epoch "
                   "(promoted by hand, or left over): it is stopped";
        return POLICE_STOP;
    }
    if (known)
        return POLICE_LET;
    if (opening || (a->adopt && !r->ever_known))
        return POLICE_ADOPT;
    *ret_why = "a server is running that this agent did not start: it is stopped (let only "
               "the agent start PostgreSQL: no autostart, no Restart= in its unit)";
    return POLICE_STOP;
}

bool fence_wants_stop(const Rf__Assignment *a, bool stopped)
{
    return a->ungated_local && a->fence_index != 0 && !stopped &&
           a->role == RF__ROLE__ROLE_PRIMARY;
}

enum keeper_server_state server_state(const Rf__Observation *seen,
                                      enum keeper_server_state last, bool alive)
{
    if (seen == NULL)
        return last;
    switch (seen->server) {
    case RF__SERVER_STATE__SERVER_PRIMARY:
        return KEEPER_SERVER_PRIMARY;
    case RF__SERVER_STATE__SERVER_STANDBY:
        return KEEPER_SERVER_STANDBY;
    case RF__SERVER_STATE__SERVER_ABSENT:
    case RF__SERVER_STATE__SERVER_DOWN:
    case RF__SERVER_STATE__SERVER_REWINDING:
        return KEEPER_SERVER_DOWN;
    case RF__SERVER_STATE__SERVER_STARTING:
        return KEEPER_SERVER_OTHER;
    case RF__SERVER_STATE__SERVER_UNKNOWN:
    case RF__SERVER_STATE__SERVER_STOPPING: /* its clients shall still hear the goodbye */
    case _RF__SERVER_STATE_IS_INT_SIZE:
        break;
    }
    return alive ? last : KEEPER_SERVER_UNKNOWN;
}

bool server_is_hung(const Rf__Assignment *a, struct mono accepted, unsigned failed,
                    struct mono now)
{
    return a->role == RF__ROLE__ROLE_PRIMARY && a->hung_after_ms != 0 &&
           failed >= HUNG_TRIES_MIN && mono_is_set(accepted) &&
           mono_since_ms(accepted, now) >= a->hung_after_ms;
}

bool replica_keeps_up(const Rf__Assignment *a, const Rf__Observation *seen,
                      uint64_t seen_age_ms)
{
    uint64_t waiting =
        seen->flush_lsn > seen->replay_lsn ? seen->flush_lsn - seen->replay_lsn : 0;

    return seen->server == RF__SERVER_STATE__SERVER_STANDBY && seen->streaming &&
           seen_age_ms < REPLICA_AGE_MS && seen->replay_lag_ms <= a->max_lag_ms &&
           waiting <= a->max_lag_bytes;
}

bool same_trouble(const char *a, const char *b)
{
    static const char digits[] = "0123456789ABCDEFabcdef";

    for (;;) {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            a += strspn(a, digits); /* a position in the log is hexadecimal */
            b += strspn(b, digits);
        } else if (*a != *b) {
            return false;
        } else if (*a == 0) {
            return true;
        } else {
            a++;
            b++;
        }
    }
}

/* ---- members that do not flush --------------------------------------------------------
 */

static struct mono last_current(const struct shrink_watch *w, const char *name)
{
    for (uint8_t i = 0; i < w->count; i++)
        if (strncmp(w->of[i].name, name, sizeof w->of[i].name - 1) == 0)
            return w->of[i].current;
    return (struct mono){0};
}

static void watch_anew(struct shrink_watch *w, const Rf__Assignment *a,
                       const Rf__Observation *seen, struct mono now)
{
    const struct shrink_watch before = *w;

    *w = (struct shrink_watch){.generation = a->sync_generation, .looked = now};
    for (size_t i = 0; i < a->n_peers && i < SHRINK_PEERS_MAX; i++) {
        snprintf(w->of[i].name, sizeof w->of[i].name, "%s", a->peers[i]->standby_name);
        w->of[i].target = seen->flush_lsn;
        w->of[i].since = now;
        w->of[i].current = last_current(&before, a->peers[i]->standby_name);
        w->count++;
    }
}

/* Also when we did not look for a while: that silence may be ours, not the member's. */
static bool watch_is_stale(const struct shrink_watch *w, const Rf__Assignment *a,
                           struct mono now)
{
    size_t n = a->n_peers < SHRINK_PEERS_MAX ? a->n_peers : SHRINK_PEERS_MAX;

    if (!mono_is_set(w->looked) || w->generation != a->sync_generation || w->count != n ||
        mono_since_ms(w->looked, now) > a->shrink_after_ms / 2)
        return true;
    for (size_t i = 0; i < n; i++)
        if (strncmp(w->of[i].name, a->peers[i]->standby_name, sizeof w->of[i].name - 1) !=
            0)
            return true;
    return false;
}

/* I8: a member leaves before the primary may acknowledge without it. Here it does so
 * already (synchronous_commit was lowered), so there is nothing to wait for: until a join
 * has found that it holds everything, no failover may count on it (I9). The look that says
 * so has read the server's settings; what else it did not see makes no difference, nor does
 * a primary that hangs by now. */
static bool members_are_passed_by(const Rf__Assignment *a, const Rf__Observation *seen,
                                  bool held)
{
    return held && a->role == RF__ROLE__ROLE_PRIMARY && a->opened &&
           strcmp(a->sync_mode, "off") != 0 && seen->weak_commit[0] != 0 &&
           seen->server == RF__SERVER_STATE__SERVER_PRIMARY;
}

static uint32_t all_members(const Rf__Assignment *a)
{
    uint32_t out = 0;

    for (size_t i = 0; i < a->n_peers && i < SHRINK_PEERS_MAX; i++)
        if (a->peers[i]->member)
            out |= 1u << i;
    return out;
}

uint32_t shrink_look(struct shrink_watch *w, const Rf__Assignment *a,
                     const Rf__Observation *seen, bool held, struct mono now)
{
    uint32_t out = 0;

    if (members_are_passed_by(a, seen, held))
        return all_members(a);
    /* A look that failed in part may have seen no replicas because it saw nothing: a hung
     * primary must not disqualify the standby that is to replace it. */
    if (!held || a->role != RF__ROLE__ROLE_PRIMARY || !a->opened || seen->error[0] != 0 ||
        seen->canary == RF__CANARY_STATE__CANARY_HUNG || seen->flush_lsn == 0 ||
        seen->server != RF__SERVER_STATE__SERVER_PRIMARY) {
        *w = (struct shrink_watch){0};
        return 0;
    }
    if (watch_is_stale(w, a, now))
        watch_anew(w, a, seen, now);
    w->looked = now;
    for (uint8_t i = 0; i < w->count; i++) {
        const Rf__ReplicaSeen *r = replica_named(seen, w->of[i].name);

        if (r != NULL && r->flush_lsn >= w->of[i].target) {
            w->of[i].target = seen->flush_lsn;
            w->of[i].since = now;
            w->of[i].current = now;
        } else if (a->peers[i]->member &&
                   mono_since_ms(w->of[i].since, now) >= a->shrink_after_ms) {
            out |= 1u << i;
        }
    }
    return out;
}

bool standby_keeps_up(const struct shrink_watch *w, const char *name, struct mono now)
{
    struct mono at = last_current(w, name);

    return mono_is_set(at) && mono_since_ms(at, now) < STANDBY_CURRENT_MS;
}
