/* The table: what the leader proposes for a group, row by row. The first row of the present
 * phase whose guard holds speaks, unless apply() would refuse what it says. Promotion has
 * one door, `activate-behind-proofs` (and its twin for a group that forms), and apply()
 * keeps it locked without proofs (I2). */
#include "controller/core/guards.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct row {
    struct rule_row doc;
    bool anywhere; /* in every phase but `detached` */
    row_guard *when;
};

#define ANY PHASE_NONE

static const struct row rows[] = {
    {{"proof-contradicted", ANY, ANY, "who is proven to serve nobody is seen to serve"},
     true,
     guard_proof_contradicted},
    {{"record-outcome", ANY, ANY, "an agent has reported the outcome of a step"},
     true,
     guard_outcome_reported},
    {{"severed-lease-over", ANY, ANY,
      "the lease of one that was proven by severing was counted out"},
     true,
     guard_severed_lease_over},
    {{"gate-installed", ANY, ANY, "an agent's gate is installed, closed and tried"},
     true,
     guard_gate_installed},
    {{"record-corruption", ANY, ANY,
      "an agent reports checksum failures, for the first time"},
     true,
     guard_corruption_seen},

    {{"proposal-expired", ANY, ANY, "a proposal was not approved, or not begun, in time"},
     true,
     guard_proposal_expired},
    {{"proposal-stale", PHASE_STEADY, PHASE_STEADY,
      "what was approved would lose more now, or lead somewhere else"},
     false,
     guard_proposal_worse},

    {{"activate-declared", PHASE_FORMING, PHASE_PROMOTING,
      "no other is a primary, all others are proven, none holds more, the declared server "
      "is down or may be adopted"},
     false,
     guard_declared_can_lead},

    {{"open-verified", PHASE_PROMOTING, PHASE_STEADY,
      "promoted and verified under a lease of this epoch, its agent answers, it runs"},
     false,
     guard_led},
    {{"lead-under-lease", PHASE_PROMOTING, PHASE_PROMOTING,
      "the agent holds the lease of this epoch"},
     false,
     guard_lease_held},
    {{"promotion-silent", PHASE_PROMOTING, PHASE_FENCING,
      "the target is silent and another candidate is ready, or it came back in a new life"},
     false,
     guard_promotion_silent},
    {{"promotion-stuck", PHASE_PROMOTING, PHASE_FENCING,
      "promote_deadline has passed, another candidate is ready"},
     false,
     guard_promotion_stuck},

    {{"operator-failover", PHASE_STEADY, PHASE_FENCING, "an operator asked for it"},
     false,
     guard_asked_by_operator},
    {{"approved-failover", PHASE_STEADY, PHASE_FENCING,
      "a failover was proposed and approved, and its target is ready"},
     false,
     guard_approved_failover},
    {{"approved-switchover", PHASE_STEADY, PHASE_SWITCHING,
      "a switchover was proposed and approved, and both sides are ready"},
     false,
     guard_approved_switchover},
    {{"holder-gone", PHASE_STEADY, PHASE_FENCING,
      "hung up on two regions, or unheard there for half its lease; a member can sever it"},
     false,
     guard_holder_gone},
    {{"silent-holder", PHASE_STEADY, PHASE_FENCING,
      "the lease was counted out, a candidate or its own new life is ready, nothing holds"},
     false,
     guard_silent},
    {{"switchover-went-back", PHASE_STEADY, PHASE_STEADY,
      "the server was stopped by a switchover that went back"},
     false,
     guard_went_back},
    {{"crash-restarts-here", PHASE_STEADY, PHASE_STEADY,
      "the server has crashed, or runs unverified; local restarts are left"},
     false,
     guard_crashed_restarts},
    {{"crash-fails-over", PHASE_STEADY, PHASE_FENCING,
      "the same, local restarts are used up, a candidate is ready"},
     false,
     guard_crashed_moves},
    {{"restart-stuck", PHASE_STEADY, PHASE_FENCING,
      "a restart has not ended in promote_deadline, a candidate is ready"},
     false,
     guard_restart_stuck},
    {{"crash-without-target", PHASE_STEADY, PHASE_STEADY,
      "the same, and nobody else can take over, or may now"},
     false,
     guard_crashed_stays},
    {{"hung-fails-over", PHASE_STEADY, PHASE_FENCING,
      "no canary write is accepted, the agent answers, a candidate is ready"},
     false,
     guard_hung},
    {{"shrink-silent-member", PHASE_STEADY, PHASE_STEADY,
      "the holder asks to let a member go that does not flush"},
     false,
     guard_member_silent},
    {{"join-flushed-member", PHASE_STEADY, PHASE_STEADY,
      "a join step found the standby caught up"},
     false,
     guard_joined},
    {{"apply-sync-names", PHASE_STEADY, PHASE_STEADY,
      "the primary waits for other names than the sync set has"},
     false,
     guard_names_behind},
    {{"join-standby", PHASE_STEADY, PHASE_STEADY,
      "a standby streams from the active instance and is no member"},
     false,
     guard_standby_can_join},
    {{"follow-active", PHASE_STEADY, PHASE_STEADY,
      "a standby is absent, stopped, promoted, or follows somebody else"},
     false,
     guard_standby_strays},

    {{"switchover-fence", PHASE_SWITCHING, PHASE_FENCING,
      "stopped, and the target has flushed its log to the end"},
     false,
     guard_stopped_and_flushed},
    {{"switchover-silent-holder", PHASE_SWITCHING, PHASE_FENCING,
      "the lease was counted out during a switchover"},
     false,
     guard_silent},
    {{"switchover-goes-back", PHASE_SWITCHING, PHASE_STEADY,
      "the stop failed, its deadline has passed, or the target can begin nothing, is gone, "
      "or keeps writes waiting before the stop"},
     false,
     guard_switch_overdue},
    {{"switchover-checkpoint", PHASE_SWITCHING, PHASE_SWITCHING, "the run has begun"},
     false,
     guard_not_checkpointed},
    {{"switchover-stop", PHASE_SWITCHING, PHASE_SWITCHING,
      "checkpoint done, the target streams"},
     false,
     guard_checkpointed},

    {{"proof-by-agent", PHASE_FENCING, PHASE_FENCING,
      "an agent has closed and frozen its gate"},
     false,
     guard_agent_proved},
    {{"proof-by-severing", PHASE_FENCING, PHASE_FENCING,
      "a member of the sync set refuses the log of the old primary"},
     false,
     guard_severed},
    {{"proof-by-expiry", PHASE_FENCING, PHASE_FENCING, "a lease was counted out"},
     false,
     guard_lease_expired},
    {{"proof-by-power", PHASE_FENCING, PHASE_FENCING,
      "a fencer has switched a host off, and said so of it afterwards"},
     false,
     guard_powered_off},
    {{"proof-by-attestation", PHASE_FENCING, PHASE_FENCING,
      "two people have said that it is dead, it does not answer, its lease is over"},
     false,
     guard_attested},
    {{"activate-behind-proofs", PHASE_FENCING, PHASE_PROMOTING,
      "all others are proven; after promote_deadline the old one counts too"},
     false,
     guard_proven_and_candidate},
};

/* What only an operator's entry does; in the table for the diagram. */
static const struct rule_row by_hand[] = {
    {"operator-switchover", PHASE_STEADY, PHASE_SWITCHING, "ringfence switchover"},
    {"operator-abort", PHASE_SWITCHING, PHASE_STEADY, "ringfence abort"},
    {"operator-detach", PHASE_STEADY, PHASE_DETACHED, "ringfence detach"},
    {"operator-detach", PHASE_FORMING, PHASE_DETACHED, "ringfence detach"},
    {"operator-detach", PHASE_PROMOTING, PHASE_DETACHED,
     "ringfence detach, during the first promotion of a group"},
    {"operator-attach", PHASE_DETACHED, PHASE_FORMING, "ringfence attach"},
    {"operator-declare", PHASE_NONE, PHASE_FORMING, "ringfence apply -f"},
    {"operator-remove", PHASE_DETACHED, PHASE_NONE, "ringfence remove"},
};

static bool would_be_accepted(const struct look *l, struct actions *out,
                              const struct action *a, bool first)
{
    struct held_back *held = &out->held[out->held_count];
    struct apply_result r;

    apply_dry(l->s, &a->entry, &out->scratch, &r);
    if (r.refusal == ACCEPTED)
        return true;
    if (first && out->held_count < GROUP_MAX) {
        *held = (struct held_back){a->rule, l->group, r.refusal, ""};
        memcpy(held->text, r.text, sizeof held->text);
        out->held_count++;
    }
    return false;
}

/* What rows propose; a whole entry has room for a declaration, and to clear that for each
 * row of each group was half of what fifty groups cost. */
union row_entry {
    struct entry_proof proof;
    struct entry_fence_begin fence_begin;
    struct entry_activate activate;
    struct entry_opened opened;
    struct entry_sync sync;
    struct entry_step_start step_start;
    struct entry_step_end step_end;
    struct entry_run_abort run_abort;
    struct entry_corruption corruption;
    struct entry_false_proof false_proof;
    struct entry_switchover switchover;
    struct entry_proposal proposal;
};
enum { ROW_ENTRY_SIZE = offsetof(struct entry, proof) + sizeof(union row_entry) };

bool rules_speak(const struct look *l, struct actions *out, struct action *ret_action)
{
    unsigned held = out->held_count;

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        bool here =
            r->anywhere ? l->g->phase != PHASE_DETACHED : r->doc.from == l->g->phase;

        if (!here)
            continue;
        memset(&ret_action->entry, 0, ROW_ENTRY_SIZE);
        if (!r->when(l, &ret_action->entry))
            continue;
        ret_action->kind = ACT_PROPOSE;
        ret_action->rule = r->doc.name;
        ret_action->group = l->group;
        ret_action->instance = NO_INSTANCE;
        memcpy(ret_action->entry.group, l->g->name, NAME_SIZE);
        snprintf(ret_action->entry.rule, RULE_SIZE, "%s", r->doc.name);
        if (would_be_accepted(l, out, ret_action, out->held_count == held))
            return true;
    }
    return false;
}

unsigned rule_rows(const struct rule_row **ret_rows)
{
    static struct rule_row all[ARRAY_LEN(rows) + ARRAY_LEN(by_hand)];

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        all[i] = rows[i].doc;
    memcpy(all + ARRAY_LEN(rows), by_hand, sizeof by_hand);
    *ret_rows = all;
    return ARRAY_LEN(all);
}
