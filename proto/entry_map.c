#include "proto/entry_map.h"

#include "controller/base/auto.h"
#include "proto/log.pb-c.h"
#include "proto/state_map.h"

static const struct map_field head_rows[] = {
    ROW_ENUM(2, struct entry, kind),
    ROW_NAME_OR_NONE(3, struct entry, group),
    ROW_NAME_OR_NONE(4, struct entry, rule),
};
MAP_TYPE(map_entry_head, rf__log__entry__descriptor, struct entry, head_rows, NULL);

static const struct map_field actor_rows[] = {
    ROW_NAME_OR_NONE(1, struct actor, name),
    ROW_ENUM(2, struct actor, kind),
    ROW_ENUM(3, struct actor, factor),
    ROW_NUMBER(4, struct actor, roles, 0, ROLES_ALL),
    ROW_TEXT(5, struct actor, from),
};
MAP_TYPE(map_actor, rf__log__actor__descriptor, struct actor, actor_rows, NULL);

static const struct map_field key_rows[] = {
    ROW_BYTES(1, struct request_key, id, 1),
    ROW_BYTES(2, struct request_key, request, 1),
};
MAP_TYPE(map_request_key, rf__log__request_key__descriptor, struct request_key, key_rows,
         NULL);

static const struct map_field enrolled_agent_rows[] = {
    ROW_NAME(1, struct agent, name),        ROW_NAME(2, struct agent, region),
    ROW_TEXT(3, struct agent, address),     ROW_TEXT(4, struct agent, version),
    ROW_ANY(5, struct agent, format_min),   ROW_ANY(6, struct agent, format_max),
    ROW_LIFE(7, struct agent, incarnation), ROW_LIFE(8, struct agent, former),
};
static MAP_TYPE(map_enrolled_agent, rf__log__enrolled_agent__descriptor, struct agent,
                enrolled_agent_rows, NULL);

static const struct map_field enrol_rows[] = {
    ROW_MESSAGE(1, struct entry_enrol, agent, map_enrolled_agent),
    ROW_MESSAGES(2, struct entry_enrol, epochs, epoch_count, map_tombstone),
};
static MAP_TYPE(map_enrol, rf__log__enrol__descriptor, struct entry_enrol, enrol_rows,
                NULL);

static const struct map_field declared_instance_rows[] = {
    ROW_NAME(1, struct instance, agent),
    ROW_NAME(2, struct instance, component),
    ROW_NUMBER(3, struct instance, region, 0, REGION_MAX - 1),
    ROW_NUMBER(4, struct instance, port, 1, UINT16_MAX),
    ROW_TEXT(5, struct instance, data),
    ROW_TEXT(6, struct instance, start),
    ROW_NAME_OR_NONE(7, struct instance, power),
    ROW_MESSAGES(8, struct instance, also, also_count, map_also_port),
};
static MAP_TYPE(map_declared_instance, rf__log__declared_instance__descriptor,
                struct instance, declared_instance_rows, map_check_instance);

/* What is declared names its active instance; a group without one is not declared. */
static int check_declare(const void *value, struct err *err)
{
    const struct group *g = &((const struct entry_declare *)value)->spec;

    if (g->active >= g->instance_count)
        return err_set(err, ERR_BADMSG, "rf.log.Declare.active: %u of %u instances",
                       g->active, g->instance_count);
    return map_check_group(g, err);
}

static const struct map_field declare_rows[] = {
    ROW_NAME(1, struct entry_declare, spec.name),
    ROW_NAME(2, struct entry_declare, spec.component),
    ROW_NAME(3, struct entry_declare, spec.provider),
    ROW_MESSAGE(4, struct entry_declare, spec.policy, map_policy),
    ROW_MESSAGES(5, struct entry_declare, spec.regions, spec.region_count, map_region),
    ROW_MESSAGES(6, struct entry_declare, spec.instances, spec.instance_count,
                 map_declared_instance),
    ROW_INDEX(7, struct entry_declare, spec.active),
    ROW_BOOL(8, struct entry_declare, spec.adopt),
    ROW_BOOL(9, struct entry_declare, keep_active),
    ROW_MESSAGES(10, struct entry_declare, spec.exceptions, spec.exception_count,
                 map_exception),
};
static MAP_TYPE(map_declare, rf__log__declare__descriptor, struct entry_declare,
                declare_rows, check_declare);

static const struct map_field renew_item_rows[] = {
    ROW_NAME(1, struct renew_item, group),       ROW_INDEX(2, struct renew_item, instance),
    ROW_ENUM(3, struct renew_item, kind),        ROW_ANY(4, struct renew_item, epoch),
    ROW_LIFE(5, struct renew_item, incarnation),
};
static MAP_TYPE(map_renew_item, rf__log__renewed_lease__descriptor, struct renew_item,
                renew_item_rows, NULL);

static const struct map_field renew_rows[] = {
    ROW_MESSAGES(1, struct entry_renew, items, count, map_renew_item),
};
static MAP_TYPE(map_renew, rf__log__renew_batch__descriptor, struct entry_renew, renew_rows,
                NULL);

static const struct map_field proof_rows[] = {
    ROW_INDEX(1, struct entry_proof, instance),
    ROW_ENUM(2, struct entry_proof, kind),
    ROW_ANY(3, struct entry_proof, epoch),
    ROW_ANY(4, struct entry_proof, fence_index),
    ROW_LIFE(5, struct entry_proof, prover),
    ROW_BOOL(6, struct entry_proof, stopped),
    ROW_NAME_OR_NONE(7, struct entry_proof, severed_by),
    ROW_LIFE(8, struct entry_proof, witness),
};
static MAP_TYPE(map_proof, rf__log__proof__descriptor, struct entry_proof, proof_rows,
                NULL);

static const struct map_field fence_begin_rows[] = {
    ROW_ANY(1, struct entry_fence_begin, epoch),
    ROW_ANY(2, struct entry_fence_begin, expected_grant),
    ROW_ENUM(3, struct entry_fence_begin, run),
    ROW_INDEX_OR_NONE(4, struct entry_fence_begin, target),
    ROW_BOOL(5, struct entry_fence_begin, requested),
    ROW_TEXT(6, struct entry_fence_begin, reason),
    ROW_NAME_OR_NONE(7, struct entry_fence_begin, target_name),
    ROW_ANY(8, struct entry_fence_begin, proposal),
};
static MAP_TYPE(map_fence_begin, rf__log__fence_begin__descriptor, struct entry_fence_begin,
                fence_begin_rows, NULL);

static const struct map_field activate_rows[] = {
    ROW_ANY(1, struct entry_activate, epoch),
    ROW_INDEX(2, struct entry_activate, instance),
    ROW_BOOL(3, struct entry_activate, loss_forecast_known),
    ROW_ANY(4, struct entry_activate, loss_forecast_bytes),
};
static MAP_TYPE(map_activate, rf__log__activate__descriptor, struct entry_activate,
                activate_rows, NULL);

static const struct map_field opened_rows[] = {
    ROW_ANY(1, struct entry_opened, epoch),
    ROW_INDEX(2, struct entry_opened, instance),
    ROW_ANY(3, struct entry_opened, system_id),
};
static MAP_TYPE(map_opened, rf__log__opened__descriptor, struct entry_opened, opened_rows,
                NULL);

static const struct map_field sync_rows[] = {
    ROW_ANY(1, struct entry_sync, epoch),      ROW_INDEX(2, struct entry_sync, instance),
    ROW_ANY(3, struct entry_sync, generation), ROW_ANY(4, struct entry_sync, step),
    ROW_ANY(5, struct entry_sync, position),   ROW_LIFE(6, struct entry_sync, holder),
};
static MAP_TYPE(map_sync, rf__log__sync_change__descriptor, struct entry_sync, sync_rows,
                NULL);

static const struct map_field step_start_rows[] = {
    ROW_INDEX(1, struct entry_step_start, instance),
    ROW_ENUM(2, struct entry_step_start, kind),
    ROW_ANY(3, struct entry_step_start, epoch),
    ROW_INDEX_OR_NONE(4, struct entry_step_start, subject),
    ROW_BOOL(5, struct entry_step_start, restart),
    ROW_BOOL(6, struct entry_step_start, counted),
    ROW_ANY(7, struct entry_step_start, generation),
};
static MAP_TYPE(map_step_start, rf__log__step_start__descriptor, struct entry_step_start,
                step_start_rows, NULL);

static const struct map_field step_end_rows[] = {
    ROW_INDEX(1, struct entry_step_end, instance),
    ROW_ANY(2, struct entry_step_end, step),
    ROW_BOOL(3, struct entry_step_end, done),
    ROW_ANY(4, struct entry_step_end, position),
    ROW_ANY(5, struct entry_step_end, system_id),
    ROW_BOOL(6, struct entry_step_end, loss_known),
    ROW_ANY(7, struct entry_step_end, loss_bytes),
    ROW_TEXT(8, struct entry_step_end, text),
    ROW_BOOL(9, struct entry_step_end, cloned),
};
static MAP_TYPE(map_step_end, rf__log__step_end__descriptor, struct entry_step_end,
                step_end_rows, NULL);

static const struct map_field switchover_rows[] = {
    ROW_INDEX(1, struct entry_switchover, target),
    ROW_ANY(2, struct entry_switchover, epoch),
    ROW_TEXT(3, struct entry_switchover, reason),
    ROW_NAME_OR_NONE(4, struct entry_switchover, target_name),
    ROW_ANY(5, struct entry_switchover, proposal),
};
static MAP_TYPE(map_switchover, rf__log__switchover__descriptor, struct entry_switchover,
                switchover_rows, NULL);

static const struct map_field run_abort_rows[] = {
    ROW_ANY(1, struct entry_run_abort, run),
    ROW_TEXT(2, struct entry_run_abort, reason),
};
static MAP_TYPE(map_run_abort, rf__log__run_abort__descriptor, struct entry_run_abort,
                run_abort_rows, NULL);

static const struct map_field attach_rows[] = {
    ROW_INDEX_OR_NONE(1, struct entry_attach, active),
    ROW_NAME_OR_NONE(2, struct entry_attach, active_name),
};
static MAP_TYPE(map_attach, rf__log__attach__descriptor, struct entry_attach, attach_rows,
                NULL);

static const struct map_field refused_rows[] = {
    ROW_TEXT(1, struct entry_refused, text),
    ROW_ANY(2, struct entry_refused, hold),
};
static MAP_TYPE(map_refused, rf__log__refused__descriptor, struct entry_refused,
                refused_rows, NULL);

static const struct map_field controller_replace_rows[] = {
    ROW_NAME(1, struct entry_controller_replace, name),
    ROW_NUMBER(2, struct entry_controller_replace, id, 1, UINT64_MAX),
    ROW_NUMBER(3, struct entry_controller_replace, former, 1, UINT64_MAX),
};
static MAP_TYPE(map_controller_replace, rf__log__controller_replace__descriptor,
                struct entry_controller_replace, controller_replace_rows, NULL);

static const struct map_field corruption_rows[] = {
    ROW_NAME(1, struct entry_corruption, agent),
    ROW_NUMBER(2, struct entry_corruption, failures, 1, UINT64_MAX),
};
static MAP_TYPE(map_corruption, rf__log__corruption__descriptor, struct entry_corruption,
                corruption_rows, NULL);

static const struct map_field false_proof_rows[] = {
    ROW_NAME(1, struct entry_false_proof, agent),
    ROW_NUMBER(2, struct entry_false_proof, proof, 1, UINT64_MAX),
    ROW_ENUM(3, struct entry_false_proof, kind),
    ROW_TEXT(4, struct entry_false_proof, text),
};
static MAP_TYPE(map_false_proof, rf__log__false_proof__descriptor, struct entry_false_proof,
                false_proof_rows, NULL);

static const struct map_field acknowledge_rows[] = {
    ROW_TEXT(1, struct entry_acknowledge, reason),
};
static MAP_TYPE(map_acknowledge, rf__log__acknowledge__descriptor, struct entry_acknowledge,
                acknowledge_rows, NULL);

static const struct map_field user_set_rows[] = {
    ROW_NAME(1, struct entry_user_set, name),
    ROW_NUMBER(2, struct entry_user_set, roles, 1, ROLES_ALL),
    ROW_NAMES(3, struct entry_user_set, groups, group_count),
};
static MAP_TYPE(map_user_set, rf__log__user_set__descriptor, struct entry_user_set,
                user_set_rows, NULL);

static const struct map_field user_rows[] = {ROW_NAME(1, struct entry_user, name)};
static MAP_TYPE(map_user_name, rf__log__user_name__descriptor, struct entry_user, user_rows,
                NULL);

static const struct map_field user_token_rows[] = {
    ROW_NAME(1, struct entry_user_token, name),
    ROW_ANY(2, struct entry_user_token, expires_ms),
    ROW_BYTES(3, struct entry_user_token, hash, 1),
};
static MAP_TYPE(map_user_token, rf__log__user_token__descriptor, struct entry_user_token,
                user_token_rows, NULL);

static const struct map_field user_revoke_rows[] = {
    ROW_NAME(1, struct entry_user_revoke, name),
    ROW_ANY(2, struct entry_user_revoke, token),
};
static MAP_TYPE(map_user_revoke, rf__log__user_revoke__descriptor, struct entry_user_revoke,
                user_revoke_rows, NULL);

static const struct map_field user_totp_rows[] = {
    ROW_NAME(1, struct entry_user_totp, name),
    ROW_BYTES(2, struct entry_user_totp, seed, 0),
    ROW_MESSAGES(3, struct entry_user_totp, recovery, recovery_count, map_recovery_code),
};
static MAP_TYPE(map_user_totp, rf__log__user_totp__descriptor, struct entry_user_totp,
                user_totp_rows, NULL);

static const struct map_field factor_used_rows[] = {
    ROW_NAME(1, struct entry_factor_used, name),
    ROW_ENUM(2, struct entry_factor_used, factor),
    ROW_ANY(3, struct entry_factor_used, step),
    ROW_NUMBER(4, struct entry_factor_used, code, 0, RECOVERY_MAX - 1),
};
static MAP_TYPE(map_factor_used, rf__log__factor_used__descriptor, struct entry_factor_used,
                factor_used_rows, NULL);

static const struct map_field propose_rows[] = {
    ROW_ENUM(1, struct entry_propose, kind),
    ROW_NAME_OR_NONE(2, struct entry_propose, target),
    ROW_ANY(3, struct entry_propose, epoch),
    ROW_BOOL(4, struct entry_propose, break_glass),
    ROW_TEXT(5, struct entry_propose, reason),
    ROW_MESSAGE(6, struct entry_propose, forecast, map_forecast),
};
static MAP_TYPE(map_propose, rf__log__propose__descriptor, struct entry_propose,
                propose_rows, NULL);

static const struct map_field about_proposal_rows[] = {
    ROW_NUMBER(1, struct entry_proposal, id, 1, UINT64_MAX),
    ROW_ANY(2, struct entry_proposal, seen),
    ROW_TEXT(3, struct entry_proposal, reason),
    ROW_ANY(4, struct entry_proposal, epoch),
    ROW_MESSAGE(5, struct entry_proposal, forecast, map_forecast),
};
static MAP_TYPE(map_about_proposal, rf__log__about_proposal__descriptor,
                struct entry_proposal, about_proposal_rows, NULL);

#define BODY(kind, group, number, member, type)                                            \
    {                                                                                      \
        kind, ENTRY_GROUP_##group, number, offsetof(struct entry, member), &(type)         \
    }
#define NO_BODY(kind)                                                                      \
    {                                                                                      \
        kind, ENTRY_GROUP_NEEDED, 0, 0, NULL                                               \
    }

static const struct entry_body bodies[] = {
    BODY(ENTRY_CONTROLLER, NONE, 10, controller, map_controller),
    BODY(ENTRY_ENROL, NONE, 11, enrol, map_enrol),
    BODY(ENTRY_DECLARE, NEEDED, 12, declare, map_declare),
    NO_BODY(ENTRY_REMOVE),
    BODY(ENTRY_RENEW, NONE, 13, renew, map_renew),
    BODY(ENTRY_PROOF, NEEDED, 14, proof, map_proof),
    BODY(ENTRY_FENCE_BEGIN, NEEDED, 15, fence_begin, map_fence_begin),
    BODY(ENTRY_ACTIVATE, NEEDED, 16, activate, map_activate),
    BODY(ENTRY_OPENED, NEEDED, 17, opened, map_opened),
    BODY(ENTRY_SYNC_SHRINK, NEEDED, 18, sync, map_sync),
    BODY(ENTRY_SYNC_JOIN, NEEDED, 18, sync, map_sync),
    BODY(ENTRY_STEP_START, NEEDED, 19, step_start, map_step_start),
    BODY(ENTRY_STEP_END, NEEDED, 20, step_end, map_step_end),
    BODY(ENTRY_SWITCHOVER, NEEDED, 21, switchover, map_switchover),
    BODY(ENTRY_RUN_ABORT, NEEDED, 22, run_abort, map_run_abort),
    NO_BODY(ENTRY_PAUSE),
    NO_BODY(ENTRY_RESUME),
    NO_BODY(ENTRY_DETACH),
    BODY(ENTRY_ATTACH, NEEDED, 23, attach, map_attach),
    BODY(ENTRY_REFUSED, EITHER, 24, refused, map_refused),
    BODY(ENTRY_CONTROLLER_REPLACE, NONE, 25, controller_replace, map_controller_replace),
    BODY(ENTRY_CORRUPTION, NEEDED, 26, corruption, map_corruption),
    BODY(ENTRY_FALSE_PROOF, NEEDED, 27, false_proof, map_false_proof),
    BODY(ENTRY_ACKNOWLEDGE, NEEDED, 28, acknowledge, map_acknowledge),
    BODY(ENTRY_USER_SET, NONE, 29, user_set, map_user_set),
    BODY(ENTRY_USER_REMOVE, NONE, 30, user, map_user_name),
    BODY(ENTRY_USER_TOKEN, NONE, 31, user_token, map_user_token),
    BODY(ENTRY_USER_REVOKE, NONE, 32, user_revoke, map_user_revoke),
    BODY(ENTRY_USER_TOTP, NONE, 33, user_totp, map_user_totp),
    BODY(ENTRY_USER_UNLOCK, NONE, 30, user, map_user_name),
    BODY(ENTRY_FACTOR_USED, NONE, 34, factor_used, map_factor_used),
    BODY(ENTRY_FACTOR_FAILED, NONE, 30, user, map_user_name),
    BODY(ENTRY_PROPOSE, NEEDED, 35, propose, map_propose),
    BODY(ENTRY_APPROVE, NEEDED, 36, proposal, map_about_proposal),
    BODY(ENTRY_REJECT, NEEDED, 36, proposal, map_about_proposal),
    BODY(ENTRY_WITHDRAW, NEEDED, 36, proposal, map_about_proposal),
    BODY(ENTRY_EXPIRE, NEEDED, 36, proposal, map_about_proposal),
    BODY(ENTRY_STALE, NEEDED, 36, proposal, map_about_proposal),
};
_Static_assert(ARRAY_LEN(bodies) == ENTRY_KIND_COUNT - 1, "a kind of entry without a row");

const struct entry_body *entry_body_of(enum entry_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        if (bodies[i].kind == kind)
            return &bodies[i];
    return NULL;
}

const char *entry_kind_text(enum entry_kind kind)
{
#define X(name, number, text)                                                              \
    if (kind == (name))                                                                    \
        return text;
    ENTRY_KIND_MAP(X)
#undef X
    return "?";
}
