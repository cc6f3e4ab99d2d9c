/* controller/core/decide_internal.h -- what decide(), its rules and explain() share. */
#ifndef RF_CORE_DECIDE_INTERNAL_H
#define RF_CORE_DECIDE_INTERNAL_H

#include "controller/base/auto.h"
#include "controller/core/decide.h"

enum {
    STRAY_GRACE_MS = 5000,        /* a standby may reconnect by itself for so long */
    RETRY_FIRST_MS = 500,         /* after a failed step; doubles up to */
    RETRY_SERVICE_MAX_MS = 30000, /* LEAD, SYNC: writes wait for it */
    RETRY_JOIN_MAX_MS = 60000,    /* JOIN: the right to fail over waits for it */
    /* FOLLOW, CLONE: until then there is no standby; where writes wait, too, as for LEAD */
    RETRY_REPAIR_MAX_MS = 60000,
    FRESH_MIN_MS = 1000,   /* a report is fresh for max(this, 4 x renew) */
    LOOK_HUNG_MS = 2000,   /* as old may a look at a server be in it; it has 1.5 s */
    LEADER_STAY_MS = 5000, /* minimum stay before leadership is handed on */
    ASK_AGAIN_MS = 100,
    WAITS_TOLD_MS = 1000, /* a standby far away may take its time for one answer */
};

/* Agents talk to the leader: whoever does not lead has not heard them, which is no news. */
#define NOT_KNOWN_HERE "not known here: this controller does not lead"

/* One group under consideration, now. */
struct look {
    const struct state *s;
    const struct observations *o;
    const struct group *g;
    const struct observed_group *og;
    uint8_t group;
    bool asked; /* it is looked at for what a person asks, not for what a rule decides */
    struct mono now;
};

struct look look_at(const struct state *s, const struct observations *o, uint8_t group,
                    struct mono now);

/* The active instance as declared and as observed. */
const struct instance *active_of(const struct look *l);
/* The newest step of the switchover that is under way; NULL: it has begun none yet. A step
 * that was decided on before the switchover, and came behind it in the log, is none of it.
 */
const struct step *switch_step(const struct look *l);
const struct observed_instance *active_seen(const struct look *l);

/* The agent of the instance is connected and its last report is fresh. */
bool agent_present(const struct look *l, uint8_t instance);

/* How old a report may be to tell of now. */
uint64_t fresh_ms(const struct look *l);

/* A step may be started on the instance now: none is under way, and after a failure of
 * `kind` the pause has passed. */
bool step_may_start(const struct look *l, uint8_t instance, enum step_kind kind);

/* `instance` can be the target of a move now. */
bool candidate_ok(const struct look *l, uint8_t instance);
/* The same, and every reason why not is written to `out`. */
bool candidate_explain(const struct look *l, uint8_t instance, char *out, unsigned size);

/* The same, whatever it holds of the log. */
bool candidate_able(const struct look *l, uint8_t instance, char *out, unsigned size);
/* Another cluster's server than the active instance's, as seen or on record. */
bool system_differs(const struct look *l, uint8_t instance);

/* It could lead but for what it holds of the log. While the primary answers it catches up;
 * without the primary, only an attested loss would let it lead (I8). */
bool candidate_lacks_log(const struct look *l, uint8_t instance);

/* The fencer of its host was asked by this controller, and answered. */
bool fencer_answers(const struct look *l, uint8_t instance);

/* severed.c: level 2 could prove the active instance now: a member of the set answers that
 * would take over, or stay one that could. */
bool severing_is_open(const struct look *l);
/* Why not, for people; NULL: it could. */
const char *severing_is_closed_by(const struct look *l);
/* Whom to order to refuse the log of the active instance, now that it is fenced for
 * `target`; NO_INSTANCE: nobody (yet). */
uint8_t severs_now(const struct look *l, uint8_t target);
/* What speaks for it that the active instance is gone, as seen from two regions other than
 * its own: its agent has hung up, and its server refuses; or it has not renewed for half of
 * its lease, and its server is not heard of. Evidence, by which a fence begins early; no
 * proof rests on it. */
bool holder_gone(const struct look *l);

/* Not proven; its agent does not answer, no lease of it can be counted out, and its host
 * cannot be switched off: only an attested proof would do (design section 4, level 5). */
bool proof_is_out_of_reach(const struct look *l, uint8_t instance);
/* Two people have said that it is dead, and it has not answered since: their word will
 * prove it, when what was granted to it was counted out. */
bool attested_may_prove(const struct look *l, uint8_t instance);

/* A person asks for a failover now: at this leader, or by a proposal that is approved.
 * `*ret_proposal` (may be NULL): that one; NULL: there is none. */
bool failover_is_asked(const struct look *l, const struct proposal **ret_proposal);
/* What was approved would be something else now than what was to be expected then. False:
 * it would not; `why` is written where it would. */
bool proposal_worse(const struct look *l, const struct proposal *p, char why[TEXT_SIZE]);
/* By policy: a lease that was counted out proves nothing in this group. */
bool proof_needs_agent(const struct look *l);

/* I1: the server seen there is one of another group: same system identifier, same data
 * directory. It is not led, not joined and no candidate until that has ended. */
const struct group *stands_also_in(const struct look *l, uint8_t instance);

/* Design section 4: a running primary is adopted as it is, so its local clients have to be
 * kept out already (its only socket directory is the server's own, 0700), or the group has
 * to say that they are not, with what that costs. */
bool adoption_is_gated(const struct look *l);

/* FORMING: what an activation of the declared instance waits for. `why` is filled for
 * people where it does not hold. In the order in which it is to be said; what stands for
 * itself in explain(), in other phases too, has no limit here. */
struct forming_wait {
    const char *name; /* of the condition */
    bool (*is_over)(const struct look *l, char why[TEXT_SIZE]);
    const char *limit;
};

unsigned forming_waits(const struct forming_wait **ret_waits);
/* All of them are over: the declared instance may be activated now. */
bool declared_ok(const struct look *l);

/* explain_remedy.c: what a person can do about the condition of that name, in one sentence;
 * empty where that is nothing, or where its value says it. */
void remedy_of(const struct look *l, const char *name, char text[TEXT_SIZE]);
void remedy_start_agent(const struct look *l, uint8_t instance, char text[TEXT_SIZE]);
/* What makes the member, or who is to be one, flush again what the primary sends it. */
void remedy_member(const struct look *l, uint8_t instance, char text[TEXT_SIZE]);

/* Among those that can, the one with the most of the log; NO_INSTANCE for none. The old
 * active instance counts only with `old_too`. */
uint8_t candidate_best(const struct look *l, bool old_too);

/* I8: the member_set mode lets this instance lead, whatever it lags. */
bool candidate_is_member(const struct look *l, uint8_t instance);

/* What keeps an automatic decision from being taken; each one stands in explain() too. */
bool decisions_allowed(const struct look *l); /* automatic and not paused */
/* A move that a person asked for is brought to its end whatever `automatic` says: only a
 * pause holds it, and `resume` is the exit of that (I11). */
bool run_may_go_on(const struct look *l);
bool cooldown_over(const struct look *l);
bool no_corruption(const struct look *l); /* no checksum failures on the active */
/* Checksum failures of an instance, as the log has noted them or as they are seen now. */
uint64_t corruption_of(const struct look *l, uint8_t instance);
/* None, or a person has asked for the move. `why` is written where it does not hold. */
bool is_sound(const struct look *l, uint8_t instance, char why[TEXT_SIZE]);
bool waits_for_word(const struct look *l); /* failover_waits_for_word() */
bool holder_silent(const struct look *l);  /* counted out, and we have listened */
bool target_ready(const struct look *l);   /* candidate_best() is somebody */
bool active_down(const struct look *l);    /* its agent says that the server is gone */
/* It runs, and its agent does not open it: no LEAD of the epoch is known to be done. */
bool active_unled(const struct look *l);
bool active_to_be_led(const struct look *l); /* either */
bool active_hung(const struct look *l);
bool restarts_left(const struct look *l);

/* Nothing is wrong with the server, and no client gets in: its agent could not open the
 * gate under a lease that holds. No reason for a failover; people have to look. */
bool active_shut(const struct look *l);

/* I8: what the primary has written waits for a member of the sync set that does not answer:
 * the price of the mode, and no sign of a server that hangs. */
bool writes_wait(const struct look *l);
/* For whom, why, and what to do. */
void say_waiting(const struct look *l, char *out, unsigned size);

/* I12: the agent of the instance has begun another life while the lease of its former
 * one is not proven over: no renewal is granted to it, in no phase, until that is done. */
bool former_life_stands(const struct look *l, uint8_t instance);
/* The active instance is in that state, its agent answers and its server could lead: even
 * if nobody else can, a fence and an activation of the same instance get it going (I11). */
bool active_reborn(const struct look *l);

/* How long until the active lease is counted out; 0: it is, UINT64_MAX: none is granted. */
uint64_t holder_wait_left_ns(const struct look *l);

/* Is there a row that speaks for this group? Its proposal goes to `*ret_action`. A proposal
 * that apply() would refuse changes nothing, so its row must not silence the others, what
 * they say may be urgent (I11): it is noted in `out`, and the rows behind it are asked. */
bool rules_speak(const struct look *l, struct actions *out, struct action *ret_action);

#endif
