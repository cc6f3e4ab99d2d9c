/* Who may become active, as far as this controller can see (I2 and I8 are the log's). */
#include "controller/core/decide_internal.h"
#include "controller/base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"

struct look look_at(const struct state *s, const struct observations *o, uint8_t group,
                    struct mono now)
{
    return (struct look){
        .s = s,
        .o = o,
        .g = &s->groups[group],
        .og = &o->groups[group],
        .group = group,
        .now = now,
    };
}

const struct instance *active_of(const struct look *l)
{
    return &l->g->instances[l->g->active];
}

const struct observed_instance *active_seen(const struct look *l)
{
    return &l->og->instances[l->g->active];
}

uint64_t fresh_ms(const struct look *l)
{
    uint64_t four = 4ull * l->g->policy.renew_ms;

    return four > FRESH_MIN_MS ? four : FRESH_MIN_MS;
}

/* Fresh by when it was said, not by when it came: what an agent said before it froze, or a
 * network held back, tells nothing of now. */
bool agent_present(const struct look *l, uint8_t instance)
{
    const struct seen_instance *seen = &l->og->instances[instance].seen;
    const struct agent *agent = state_agent(l->s, l->g->instances[instance].agent);

    return agent != NULL && l->o->agents[agent - l->s->agents].connected &&
           mono_is_set(seen->at) && mono_since_ms(seen->said, l->now) <= fresh_ms(l);
}

bool report_is_fresh(const struct state *s, const struct observations *o, uint8_t group,
                     uint8_t instance, struct mono now)
{
    struct look l = look_at(s, o, group, now);

    return agent_present(&l, instance);
}

/* `strict` lets no member go, so writes wait for one that does not follow. */
static bool is_waited_for(const struct look *l, uint8_t instance)
{
    return l->g->policy.sync == SYNC_STRICT && instance != l->g->active &&
           candidate_is_member(l, instance);
}

static uint64_t retry_max_ms(const struct look *l, uint8_t instance, enum step_kind kind)
{
    switch (kind) {
    case STEP_FOLLOW:
    case STEP_CLONE:
        return is_waited_for(l, instance) ? RETRY_SERVICE_MAX_MS : RETRY_REPAIR_MAX_MS;
    case STEP_JOIN:
    case STEP_CHECKPOINT:
        return RETRY_JOIN_MAX_MS;
    case STEP_NONE:
    case STEP_LEAD:
    case STEP_STOP:
    case STEP_SYNC:
        break;
    }
    return RETRY_SERVICE_MAX_MS;
}

/* I5: each try has its intention and its outcome in the log, and the log keeps them for
 * ever: none is left out, but a step that goes on failing is tried ever more seldom, once
 * a minute in the end. Whoever corrects what it fails on does not wait for that minute. */
static uint64_t retry_pause_ms(const struct look *l, uint8_t instance, enum step_kind kind,
                               uint32_t failures)
{
    uint64_t pause = RETRY_FIRST_MS, max = retry_max_ms(l, instance, kind);

    while (--failures > 0 && pause < max)
        pause *= 2;
    return pause < max ? pause : max;
}

/* What was observed before the last step ended is about a world that the step has changed:
 * a stale "crashed" after a restart would restart, or fail over, once more. */
static bool seen_since_step(const struct look *l, uint8_t instance)
{
    const struct observed_instance *oi = &l->og->instances[instance];

    return mono_is_set(oi->seen.at) && oi->seen.taken.ns >= oi->step_ended.ns;
}

bool step_may_start(const struct look *l, uint8_t instance, enum step_kind kind)
{
    const struct step *step = &l->g->instances[instance].step;

    if (step->state == STEP_STARTED || !seen_since_step(l, instance))
        return false;
    if (step->state != STEP_FAILED || step->kind != kind ||
        l->og->instances[instance].corrected)
        return true;
    return mono_since_ms(l->og->instances[instance].step_ended, l->now) >=
           retry_pause_ms(l, instance, kind, step->failures);
}

/* A stop makes a switchover go back, and a checkpoint ends with its switchover; a paused
 * group starts no server again. */
static bool step_is_retried(const struct look *l, const struct step *step)
{
    switch (step->kind) {
    case STEP_FOLLOW:
    case STEP_CLONE:
    case STEP_JOIN:
    case STEP_SYNC:
        return l->g->phase != PHASE_DETACHED;
    case STEP_LEAD:
        return !l->g->paused && l->g->phase != PHASE_DETACHED;
    case STEP_NONE:
    case STEP_STOP:
    case STEP_CHECKPOINT:
        break;
    }
    return false;
}

bool step_retry_in(const struct state *s, const struct observations *o, uint8_t group,
                   uint8_t instance, struct mono now, uint64_t *ret_ms)
{
    struct look l = look_at(s, o, group, now);
    const struct step *step = &l.g->instances[instance].step;
    uint64_t pause, gone = mono_since_ms(l.og->instances[instance].step_ended, now);

    if (step->state != STEP_FAILED || !step_is_retried(&l, step))
        return false;
    pause =
        retry_pause_ms(&l, instance, step->kind, step->failures > 0 ? step->failures : 1);
    *ret_ms = gone < pause && !l.og->instances[instance].corrected ? pause - gone : 0;
    return true;
}

bool candidate_is_member(const struct look *l, uint8_t instance)
{
    if (!l->g->sync_known)
        return true;
    return MUTANT(non_member_leads, (l->g->sync_set & 1u << instance) != 0, true);
}

static bool server_can_lead(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    const struct seen_instance *seen = &l->og->instances[instance].seen;
    bool was_active = instance == l->g->active || instance == l->g->old_active;

    switch (seen->server) {
    case SERVER_STANDBY:
    case SERVER_STARTING:
    case SERVER_DOWN:
        return true;
    case SERVER_PRIMARY:
        if (was_active)
            return true;
        snprintf(why, TEXT_SIZE, "its server was promoted by somebody else");
        return false;
    case SERVER_ABSENT:
    case SERVER_REWINDING:
        snprintf(why, TEXT_SIZE, "it has no complete data directory yet");
        return false;
    case SERVER_STOPPING:
    case SERVER_UNKNOWN:
        break;
    }
    text_set(why, TEXT_SIZE, "its server's state is not known: %s", seen->problem);
    return false;
}

/* Modes in which a non-member may lead promise a bound on what is lost instead. */
static bool lag_allows(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    const struct seen_instance *seen = &l->og->instances[instance].seen;
    uint64_t bytes, age_ms = mono_since_ms(seen->taken, l->now);

    if (MUTANT(lag_allows_all, false, true))
        return true;
    /* I9: an agent may answer while its looks hang (on a disk that its steps wait for), and
     * what it lagged by then says nothing of now. */
    if (age_ms > fresh_ms(l) + LOOK_HUNG_MS) {
        snprintf(why, TEXT_SIZE,
                 "how far it lags is not known: its server was seen %" PRIu64 " ms ago",
                 age_ms);
        return false;
    }
    if (!loss_forecast(l->s, l->o, l->group, instance, l->now, &bytes)) {
        snprintf(why, TEXT_SIZE, "how far it lags is not known");
        return false;
    }
    if (bytes > l->g->policy.max_lag_bytes) {
        snprintf(why, TEXT_SIZE, "it may miss %" PRIu64 " bytes, max_lag allows %" PRIu64,
                 bytes, l->g->policy.max_lag_bytes);
        return false;
    }
    if (MUTANT(lag_time_ignored, seen->replay_lag_ms > l->g->policy.max_lag_ms, false)) {
        snprintf(why, TEXT_SIZE, "it lags %" PRIu64 " ms, max_lag allows %u ms",
                 seen->replay_lag_ms, l->g->policy.max_lag_ms);
        return false;
    }
    return true;
}

/* Until `opened` nothing has been written in this epoch: the instance activated for it was
 * judged then, and the one before it had written all there is. Asked again, the question
 * could not be answered, since nobody reports positions as the primary now (I11). */
static bool lag_is_settled(const struct look *l, uint8_t instance)
{
    bool binding = l->g->policy.sync == SYNC_REQUIRED || l->g->policy.sync == SYNC_STRICT;

    return !binding && l->g->activated_index != 0 && l->g->opened_index == 0 &&
           (instance == l->g->active || instance == l->g->old_active);
}

static bool agent_answers(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    if (agent_present(l, instance))
        return true;
    snprintf(why, TEXT_SIZE, "%s",
             l->o->leading ? "its agent does not answer" : NOT_KNOWN_HERE);
    return false;
}

static bool agent_is_fit(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    const struct seen_instance *seen = &l->og->instances[instance].seen;

    if (!seen->unfit)
        return true;
    text_set(why, TEXT_SIZE, "its agent can begin nothing: %s", seen->problem);
    return false;
}

static bool may_reside(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    if (group_may_reside(l->g, instance))
        return true;
    snprintf(why, TEXT_SIZE, "its region carries none of the residency tags");
    return false;
}

bool system_differs(const struct look *l, uint8_t instance)
{
    uint64_t own = l->g->instances[instance].system_id, active = active_of(l)->system_id;
    uint64_t seen = l->og->instances[instance].seen.system_id;

    return active != 0 && ((own != 0 && own != active) || (seen != 0 && seen != active));
}

static bool is_same_system(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    if (!system_differs(l, instance))
        return true;
    snprintf(why, TEXT_SIZE, "its server has another system identifier");
    return false;
}

static bool has_one_group(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    const struct group *other = stands_also_in(l, instance);

    if (other == NULL)
        return true;
    snprintf(why, TEXT_SIZE, "its server belongs to group %s", other->name);
    return false;
}

/* Holds what the mode asks for (I8). */
static bool holds_enough(const struct look *l, uint8_t instance, char why[TEXT_SIZE])
{
    bool binding = l->g->policy.sync == SYNC_REQUIRED || l->g->policy.sync == SYNC_STRICT;

    if (lag_is_settled(l, instance) || attested_loss(l->s, l->g, instance) != NULL)
        return true;
    if (candidate_is_member(l, instance))
        return l->g->policy.sync != SYNC_OFF || instance == l->g->active ||
               lag_allows(l, instance, why);
    if (binding) {
        snprintf(why, TEXT_SIZE, "it is not in the sync set");
        return false;
    }
    return lag_allows(l, instance, why);
}

/* `why` is written where it does not hold. */
static const struct {
    bool (*holds)(const struct look *l, uint8_t instance, char why[TEXT_SIZE]);
    bool by_report; /* of an agent that is silent it would be old news */
} able[] = {
    {agent_answers, false}, {agent_is_fit, true},  {may_reside, false},
    {is_same_system, true}, {has_one_group, true}, {server_can_lead, true},
    {is_sound, false},
};

/* Able to lead, whatever it holds. */
static bool is_able(const struct look *l, uint8_t instance)
{
    char ignored[TEXT_SIZE];

    for (unsigned i = 0; i < ARRAY_LEN(able); i++)
        if (!able[i].holds(l, instance, ignored))
            return false;
    return true;
}

bool candidate_ok(const struct look *l, uint8_t instance)
{
    char ignored[TEXT_SIZE];

    return is_able(l, instance) && holds_enough(l, instance, ignored);
}

struct reasons {
    char *out;
    unsigned size, count;
    bool cut; /* nothing goes behind the mark of a cut */
};

static void say_too(struct reasons *r, const char *why)
{
    size_t used = strlen(r->out);
    int n;

    if (r->count++ > 0 && r->cut)
        return;
    n = snprintf(r->out + used, r->size - used, "%s%s", used > 0 ? "; " : "", why);
    r->cut = n >= (int)(r->size - used);
    if (r->cut)
        text_mark_cut(r->out, r->size);
}

static void say_unable(struct reasons *r, const struct look *l, uint8_t instance)
{
    bool here = agent_present(l, instance);
    char why[TEXT_SIZE];

    for (unsigned i = 0; i < ARRAY_LEN(able); i++)
        if ((here || !able[i].by_report) && !able[i].holds(l, instance, why))
            say_too(r, why);
}

bool candidate_explain(const struct look *l, uint8_t instance, char *out, unsigned size)
{
    bool binding = l->g->policy.sync == SYNC_REQUIRED || l->g->policy.sync == SYNC_STRICT;
    bool here = agent_present(l, instance);
    struct reasons reasons = {.out = out, .size = size};
    char why[TEXT_SIZE];

    out[0] = '\0';
    say_unable(&reasons, l, instance);
    /* Who is a member is in the log; how far it lags was in its report. */
    if ((here || binding) && !holds_enough(l, instance, why))
        say_too(&reasons, why);
    return reasons.count == 0;
}

bool candidate_able(const struct look *l, uint8_t instance, char *out, unsigned size)
{
    struct reasons reasons = {.out = out, .size = size};

    out[0] = '\0';
    say_unable(&reasons, l, instance);
    return reasons.count == 0;
}

bool candidate_lacks_log(const struct look *l, uint8_t instance)
{
    char ignored[TEXT_SIZE];

    return is_able(l, instance) && !holds_enough(l, instance, ignored);
}

bool proof_needs_agent(const struct look *l)
{
    return (l->g->policy.fence & FENCE_LEASE_EXPIRY) == 0 || l->g->policy.ungated_local;
}

bool fencer_answers(const struct look *l, uint8_t instance)
{
    const struct seen_fencer *f = &l->og->instances[instance].fencer;

    return f->known && f->ready && strcmp(f->name, l->g->instances[instance].power) == 0;
}

bool proof_is_out_of_reach(const struct look *l, uint8_t instance)
{
    const struct instance *i = &l->g->instances[instance];
    bool by_expiry = !proof_needs_agent(l) && i->proof.last_grant != 0 &&
                     incarnation_is_set(&i->proof.holder);
    bool by_power = group_may_power_off(l->g, instance) && fencer_answers(l, instance) &&
                    !proof_is_barred(l->g, instance, PROOF_POWER, false);

    /* Nor does its agent's word count for a life before its own (I12). */
    bool by_agent = agent_present(l, instance) && !former_life_stands(l, instance);

    return !instance_is_proven(l->s, i) && !by_expiry && !by_power && !by_agent &&
           !attested_may_prove(l, instance);
}

/* Not while it answers in the life that is said to be over: then it can say itself that its
 * gate is closed, and who attested it was wrong. */
bool attested_may_prove(const struct look *l, uint8_t instance)
{
    return attested_dead(l->s, l->g, instance) != NULL &&
           !proof_is_barred(l->g, instance, PROOF_ATTESTED, false) &&
           (!agent_present(l, instance) || former_life_stands(l, instance));
}

/* Members before others, sound before damaged, running before stopped, then the most of the
 * log. */
static bool better(const struct look *l, uint8_t a, uint8_t b)
{
    const struct seen_instance *x = &l->og->instances[a].seen;
    const struct seen_instance *y = &l->og->instances[b].seen;
    bool sound_x = corruption_of(l, a) == 0, sound_y = corruption_of(l, b) == 0;
    bool up_x = x->server == SERVER_STANDBY, up_y = y->server == SERVER_STANDBY;
    bool in_x = candidate_is_member(l, a), in_y = candidate_is_member(l, b);

    if (in_x != in_y)
        return in_x;
    if (sound_x != sound_y)
        return sound_x;
    if (up_x != up_y)
        return up_x;
    return x->flush_lsn > y->flush_lsn;
}

uint8_t candidate_best(const struct look *l, bool old_too)
{
    uint8_t best = NO_INSTANCE;

    for (uint8_t i = 0; i < l->g->instance_count; i++) {
        if ((i == l->g->active && !old_too) || !candidate_ok(l, i))
            continue;
        if (best == NO_INSTANCE || better(l, i, best))
            best = i;
    }
    return best;
}

bool decisions_allowed(const struct look *l)
{
    return l->g->policy.automatic && !l->g->paused;
}

bool run_may_go_on(const struct look *l)
{
    const struct run *run = &l->g->run;

    return !l->g->paused &&
           (l->g->policy.automatic || run->requested || run->kind != RUN_FAILOVER);
}

bool cooldown_over(const struct look *l)
{
    return !mono_is_set(l->og->last_failover) ||
           mono_since_ms(l->og->last_failover, l->now) >= l->g->policy.cooldown_ms;
}

uint64_t holder_wait_left_ns(const struct look *l)
{
    const struct mono granted = active_seen(l)->granted;
    uint64_t wait = lease_wait_ns(l->g->terms), gone;

    if (active_of(l)->proof.last_grant == 0 || !mono_is_set(granted))
        return UINT64_MAX;
    gone = mono_since_ns(granted, l->now);
    return gone >= wait ? 0 : wait - gone;
}

/* Counted out is the proof's question and knows no leader (I4). Whether to act on it is
 * another: a holder that had nobody to renew with while there was no leader is not silent.
 * So a new leader listens for a whole wait from its own barrier before it decides. */
bool holder_silent(const struct look *l)
{
    uint64_t more_ns = (uint64_t)l->g->policy.failover_after_ms * NS_PER_MS;
    uint64_t wait = lease_wait_ns(l->g->terms) + more_ns;
    struct mono granted = active_seen(l)->granted;

    return active_of(l)->holder_epoch == l->g->epoch &&
           lease_counted_out(l->s, l->o, l->group, l->g->active, l->now) &&
           mono_since_ns(granted, l->now) >= wait &&
           mono_since_ns(l->o->leading_since, l->now) >= wait;
}

bool target_ready(const struct look *l) { return candidate_best(l, false) != NO_INSTANCE; }

bool active_down(const struct look *l)
{
    const struct seen_instance *seen = &active_seen(l)->seen;

    return agent_present(l, l->g->active) && seen_since_step(l, l->g->active) &&
           mono_is_set(l->og->crashed_since) && seen->epoch == l->g->epoch &&
           (seen->crashed || seen->server == SERVER_DOWN);
}

bool active_unled(const struct look *l)
{
    const struct seen_instance *seen = &active_seen(l)->seen;

    return agent_present(l, l->g->active) && seen_since_step(l, l->g->active) &&
           seen->epoch == l->g->epoch && seen->unled && seen->server == SERVER_PRIMARY;
}

bool active_to_be_led(const struct look *l) { return active_down(l) || active_unled(l); }

bool active_hung(const struct look *l)
{
    return agent_present(l, l->g->active) && seen_since_step(l, l->g->active) &&
           mono_is_set(l->og->hung_since) && active_seen(l)->seen.hung &&
           active_seen(l)->seen.epoch == l->g->epoch;
}

/* An agent that can begin nothing cannot restart its server either. */
bool restarts_left(const struct look *l)
{
    return !active_seen(l)->seen.unfit && l->g->restarts_used < l->g->policy.local_restarts;
}

bool former_life_stands(const struct look *l, uint8_t instance)
{
    const struct instance *i = &l->g->instances[instance];
    const struct agent *agent = state_agent(l->s, i->agent);

    return agent != NULL && instance_holder_stands(i) &&
           !incarnation_equal(&i->proof.holder, &agent->incarnation);
}

bool active_reborn(const struct look *l)
{
    return former_life_stands(l, l->g->active) && candidate_ok(l, l->g->active);
}
