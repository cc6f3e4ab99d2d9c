/* controller/core/apply_internal.h -- what the parts of apply() share; nobody else's. */
#ifndef RF_CORE_APPLY_INTERNAL_H
#define RF_CORE_APPLY_INTERNAL_H

#include "controller/base/auto.h"
#include "controller/core/apply.h"

/* One entry being applied. A handler checks everything before it changes anything, so a
 * refusal leaves the state as it was. */
struct applying {
    struct state *s;
    uint64_t index;
    const struct entry *e;
    struct group *g; /* of e->group, NULL where the entry names none */
    struct apply_result *result;
};

void refuse(struct applying *a, enum refusal why, const char *fmt, ...) PRINTF_LIKE(3, 4);

void apply_controller(struct applying *a);
void apply_controller_replace(struct applying *a);
void apply_enrol(struct applying *a);
void apply_renew(struct applying *a);
void apply_proof(struct applying *a);
/* severed.c: refuses a proof by severing that is none. */
void check_severed(struct applying *a, const struct instance *i);

void apply_declare(struct applying *a);
void apply_remove(struct applying *a);
void apply_detach(struct applying *a);
void apply_attach(struct applying *a);

void apply_fence_begin(struct applying *a);
void apply_activate(struct applying *a);
void apply_opened(struct applying *a);
void apply_switchover(struct applying *a);
void apply_run_abort(struct applying *a);

void apply_sync_shrink(struct applying *a);
void apply_sync_join(struct applying *a);
void apply_step_start(struct applying *a);
void apply_step_end(struct applying *a);
void apply_corruption(struct applying *a);
void apply_false_proof(struct applying *a);
void apply_acknowledge(struct applying *a);

/* answered.c. False: refused, its request has been answered or its key is another's. Else
 * *ret_row is what answered_remember() keeps once the entry is accepted. */
bool answered_admits(struct applying *a, struct answered *ret_row);
void answered_remember(struct applying *a, const struct answered *row);

/* apply_people.c: of everything about users. */
void apply_people(struct applying *a);

/* I8, as far as the log can say it. */
bool group_may_lead(const struct state *s, const struct group *g, uint8_t target);

void apply_propose(struct applying *a);
void apply_approve(struct applying *a);
void apply_reject(struct applying *a);
void apply_withdraw(struct applying *a);
void apply_expire(struct applying *a);
void apply_stale(struct applying *a);

/* A move is begun as it was approved, or refused: in a group with `approvals` there is none
 * without a proposal. `target`: NO_INSTANCE for the best candidate. */
void check_approved(struct applying *a, uint64_t id, enum proposal_kind kind,
                    uint8_t target);
/* The entry has begun the run of the proposal (0: there is none). */
void proposal_begins(struct applying *a, uint64_t id);
/* The entry has begun a run that goes on with what `run` was to do. */
void proposals_go_on(struct applying *a, uint64_t run);
/* The group's run is over. */
void proposals_of_run_end(struct applying *a, const char *why);
/* The entry has made `instance` active, and what was attested is used up or void. */
void proposals_activated(struct applying *a, uint8_t instance, uint64_t epoch_before);
/* Its target is taken for dead in the group's run, by a proof. */
void attestation_used(struct applying *a, uint8_t instance);
/* Nothing can come of what is open in the group. */
void proposals_drop(struct applying *a, const char *why);
/* A group whose moves take approvals is not let go, nor its rules changed, by fewer: that
 * takes an admin. False: refused. */
bool person_is_admin(struct applying *a);
/* The `approvals` of a file, and who may change those that are in force. */
void check_windows(struct applying *a, const struct group *spec);

/* I1: the instance (agent and port, address and port, or system identifier and data
 * directory) stands in another group too. Returns that group or NULL. */
const struct group *instance_in_other_group(const struct state *s, const struct group *g,
                                            const struct instance *i);
/* A port of `also_ports` that a server of `other` has on the same host, or the other way
 * round; not a server that both name. */
bool instance_shares_port(const struct state *s, const struct group *other,
                          const struct instance *i, uint16_t *ret_port);

/* The text of a step whose server turned out to be another group's (I1), for people. */
#define OTHER_GROUPS_SERVER                                                                \
    "system identifier and data directory are those of a server of group %s (a clone?): "  \
    "move the directory to another path, detach and remove this group, apply it anew"

#endif
