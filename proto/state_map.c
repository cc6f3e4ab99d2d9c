#include "proto/state_map.h"

#include <string.h>

#include "controller/core/actor.h"
#include "controller/core/state.h"
#include "proto/entry_map.h"
#include "proto/log.pb-c.h"

int map_check_unique(const char *what, const void *first, size_t n, size_t size,
                     struct err *err)
{
    const char *names = first;

    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(names + i * size, names + k * size) == 0)
                return err_set(err, ERR_BADMSG, "two %s are called '%s'", what,
                               names + i * size);
    return 0;
}

/* In one order only: equal lists are equal bytes. */
int map_check_instance(const void *value, struct err *err)
{
    const struct instance *i = value;

    for (uint8_t k = 0; k < i->also_count; k++)
        if (i->also[k].port == i->port || (k > 0 && i->also[k].port <= i->also[k - 1].port))
            return err_set(err, ERR_BADMSG,
                           "instance '%s': port %u is listed twice, or "
                           "not in its place",
                           i->agent, i->also[k].port);
    return 0;
}

int map_check_group(const struct group *g, struct err *err)
{
    int status =
        map_check_unique("regions", g->regions, g->region_count, sizeof g->regions[0], err);

    if (status == 0)
        status = map_check_unique("instances", g->instances, g->instance_count,
                                  sizeof g->instances[0], err);
    for (uint8_t i = 0; i < g->instance_count && status == 0; i++)
        if (g->instances[i].region >= g->region_count)
            status =
                err_set(err, ERR_BADMSG, "instance '%s' is in region %u of %u",
                        g->instances[i].agent, g->instances[i].region, g->region_count);
    return status == 0 ? map_check_unique("exceptions", g->exceptions, g->exception_count,
                                          sizeof g->exceptions[0], err)
                       : status;
}

static int check_group(const void *value, struct err *err)
{
    const struct group *g = value;

    if (g->active != NO_INSTANCE && g->active >= g->instance_count)
        return err_set(err, ERR_BADMSG, "group '%s': instance %u of %u is active", g->name,
                       g->active, g->instance_count);
    if (map_check_group(g, err) != 0)
        return err_wrap(err, "group '%s'", g->name);
    return 0;
}

static int check_state(const void *value, struct err *err)
{
    const struct state *s = value;
    int status =
        map_check_unique("groups", s->groups, s->group_count, sizeof s->groups[0], err);

    if (status == 0)
        status =
            map_check_unique("agents", s->agents, s->agent_count, sizeof s->agents[0], err);
    if (status == 0)
        status = map_check_unique("controllers", s->controllers, s->controller_count,
                                  sizeof s->controllers[0], err);
    if (status == 0)
        status = map_check_unique("tombstones", s->tombstones, s->tombstone_count,
                                  sizeof s->tombstones[0], err);
    if (status == 0)
        status =
            map_check_unique("users", s->users, s->user_count, sizeof s->users[0], err);
    return status;
}

static const struct map_field turn_rows[] = {
    ROW_NUMBER(1, struct fence_turn, level, 1, 1 << (FENCE_LEVEL_COUNT - 1)),
    ROW_BOOL(2, struct fence_turn, race),
    ROW_ANY(3, struct fence_turn, deadline_ms),
};
MAP_TYPE(map_fence_turn, rf__log__fence_turn__descriptor, struct fence_turn, turn_rows,
         NULL);

static const struct map_field need_rows[] = {
    ROW_NUMBER(1, struct need, role, 1, ROLES_ALL),
};
MAP_TYPE(map_need, rf__log__need__descriptor, struct need, need_rows, NULL);

static const struct map_field window_rows[] = {
    ROW_NUMBER(1, struct approval_window, days, 0, 0x7f),
    ROW_NUMBER(2, struct approval_window, from_min, 0, DAY_MIN),
    ROW_NUMBER(3, struct approval_window, to_min, 0, DAY_MIN),
    ROW_NUMBER(4, struct approval_window, zone, 0, UINT64_C(2) * ZONE_ZERO),
    ROW_MESSAGES(5, struct approval_window, need, need_count, map_need),
    ROW_NUMBER(6, struct approval_window, inform, 0, ROLES_ALL),
    ROW_ANY(7, struct approval_window, expires_ms),
};
MAP_TYPE(map_window, rf__log__approval_window__descriptor, struct approval_window,
         window_rows, NULL);

static const struct map_field forecast_rows[] = {
    ROW_BOOL(1, struct forecast, loss_known), ROW_ANY(2, struct forecast, loss_bytes),
    ROW_BOOL(3, struct forecast, member),     ROW_ANY(4, struct forecast, takes_ms),
    ROW_TEXT(5, struct forecast, fails),
};
MAP_TYPE(map_forecast, rf__log__forecast__descriptor, struct forecast, forecast_rows, NULL);

static const struct map_field policy_rows[] = {
    ROW_ANY(1, struct policy, lease.ttl_ms),
    ROW_ANY(2, struct policy, lease.rho_ppm),
    ROW_ANY(3, struct policy, renew_ms),
    ROW_ENUM(4, struct policy, sync),
    ROW_ANY(5, struct policy, shrink_after_ms),
    ROW_ANY(6, struct policy, max_lag_bytes),
    ROW_ANY(7, struct policy, max_lag_ms),
    ROW_ANY(8, struct policy, failover_after_ms),
    ROW_ANY(9, struct policy, local_restarts),
    ROW_ANY(10, struct policy, hung_after_ms),
    ROW_ANY(11, struct policy, promote_deadline_ms),
    ROW_ANY(12, struct policy, stop_deadline_ms),
    ROW_ANY(13, struct policy, cooldown_ms),
    ROW_ANY(14, struct policy, probe_ms),
    ROW_NUMBER(15, struct policy, fence, 0, FENCE_LEVELS_ALL),
    ROW_BOOL(16, struct policy, automatic),
    ROW_BOOL(17, struct policy, standby_reads),
    ROW_BOOL(18, struct policy, ungated_local),
    ROW_NAMES(19, struct policy, residency, residency_count),
    ROW_MESSAGES(20, struct policy, fence_turns, fence_turn_count, map_fence_turn),
    ROW_BOOL(21, struct policy, no_async_writers),
    ROW_MESSAGES(22, struct policy, windows, window_count, map_window),
};
MAP_TYPE(map_policy, rf__log__policy__descriptor, struct policy, policy_rows, NULL);

static const struct map_field region_rows[] = {
    ROW_NAME(1, struct region, name),
    ROW_NAMES(2, struct region, tags, tag_count),
};
MAP_TYPE(map_region, rf__log__region__descriptor, struct region, region_rows, NULL);

static const struct map_field controller_rows[] = {
    ROW_NAME(1, struct controller, name),
    ROW_NAME(2, struct controller, region),
    ROW_TEXT(3, struct controller, version),
    ROW_NUMBER(4, struct controller, id, 1, UINT64_MAX),
    ROW_ANY(5, struct controller, format_min),
    ROW_ANY(6, struct controller, format_max),
    ROW_ANY(7, struct controller, election_ms),
    ROW_ANY(8, struct controller, heartbeat_ms),
};
MAP_TYPE(map_controller, rf__log__controller__descriptor, struct controller,
         controller_rows, NULL);

static const struct map_field tombstone_rows[] = {
    ROW_NAME(1, struct tombstone, name),
    ROW_ANY(2, struct tombstone, epoch),
};
MAP_TYPE(map_tombstone, rf__log__tombstone__descriptor, struct tombstone, tombstone_rows,
         NULL);

static const struct map_field proof_record_rows[] = {
    ROW_ANY(1, struct proof_record, last_grant), ROW_LIFE(2, struct proof_record, holder),
    ROW_ANY(3, struct proof_record, proven),     ROW_ENUM(4, struct proof_record, kind),
    ROW_LIFE(5, struct proof_record, prover),
};
MAP_TYPE(map_proof_record, rf__log__proof_record__descriptor, struct proof_record,
         proof_record_rows, NULL);

static const struct map_field step_rows[] = {
    ROW_ENUM(1, struct step, state),     ROW_ENUM(2, struct step, kind),
    ROW_ANY(3, struct step, id),         ROW_ANY(4, struct step, epoch),
    ROW_ANY(5, struct step, generation), ROW_INDEX_OR_NONE(6, struct step, subject),
    ROW_BOOL(7, struct step, restart),   ROW_ANY(8, struct step, position),
    ROW_ANY(9, struct step, failures),   ROW_TEXT(10, struct step, text),
};
MAP_TYPE(map_step, rf__log__step_record__descriptor, struct step, step_rows, NULL);

static const struct map_field also_rows[] = {
    ROW_NUMBER(1, struct also_port, port, 1, UINT16_MAX),
};
MAP_TYPE(map_also_port, rf__also_port__descriptor, struct also_port, also_rows, NULL);

static const struct map_field exception_rows[] = {
    ROW_TEXT(1, struct exception, address),
};
MAP_TYPE(map_exception, rf__log__exception__descriptor, struct exception, exception_rows,
         NULL);

static const struct map_field instance_rows[] = {
    ROW_NAME(1, struct instance, agent),
    ROW_NAME(2, struct instance, component),
    ROW_NUMBER(3, struct instance, region, 0, REGION_MAX - 1),
    ROW_NUMBER(4, struct instance, port, 1, UINT16_MAX),
    ROW_TEXT(5, struct instance, data),
    ROW_TEXT(6, struct instance, start),
    ROW_ANY(7, struct instance, system_id),
    ROW_MESSAGE(8, struct instance, proof, map_proof_record),
    ROW_ANY(9, struct instance, holder_epoch),
    ROW_MESSAGE(10, struct instance, step, map_step),
    ROW_ANY(11, struct instance, checksum_failures),
    ROW_NAME_OR_NONE(12, struct instance, power),
    ROW_ANY(13, struct instance, false_proof),
    ROW_ANY(14, struct instance, false_index),
    ROW_ANY(15, struct instance, false_epoch),
    ROW_ENUM(16, struct instance, false_kind),
    ROW_MESSAGES(17, struct instance, also, also_count, map_also_port),
    ROW_NAME_OR_NONE(18, struct instance, severed_by),
};
MAP_TYPE(map_instance, rf__log__instance__descriptor, struct instance, instance_rows,
         map_check_instance);

static const struct map_field run_rows[] = {
    ROW_ANY(1, struct run, id),
    ROW_ENUM(2, struct run, kind),
    ROW_ENUM(3, struct run, result),
    ROW_INDEX_OR_NONE(4, struct run, from),
    ROW_INDEX_OR_NONE(5, struct run, to),
    ROW_BOOL(6, struct run, requested),
    ROW_ANY(7, struct run, epoch),
    ROW_NAME_OR_NONE(8, struct run, rule),
    ROW_TEXT(9, struct run, reason),
    ROW_ENUM(10, struct run, proof),
    ROW_ANY(11, struct run, fence_wall_ms),
    ROW_ANY(12, struct run, proof_wall_ms),
    ROW_ANY(13, struct run, activate_wall_ms),
    ROW_ANY(14, struct run, open_wall_ms),
    ROW_BOOL(15, struct run, loss_forecast_known),
    ROW_BOOL(16, struct run, loss_known),
    ROW_ANY(17, struct run, loss_forecast_bytes),
    ROW_ANY(18, struct run, loss_bytes),
};
MAP_TYPE(map_run, rf__log__run__descriptor, struct run, run_rows, NULL);

static const struct map_field group_rows[] = {
    ROW_NAME(1, struct group, name),
    ROW_NAME(2, struct group, component),
    ROW_NAME(3, struct group, provider),
    ROW_MESSAGE(4, struct group, policy, map_policy),
    ROW_MESSAGES(5, struct group, regions, region_count, map_region),
    ROW_MESSAGES(6, struct group, instances, instance_count, map_instance),
    ROW_ENUM(7, struct group, phase),
    ROW_ANY(8, struct group, epoch),
    ROW_ANY(9, struct group, index),
    ROW_INDEX_OR_NONE(10, struct group, active),
    ROW_INDEX_OR_NONE(11, struct group, old_active),
    ROW_ANY(12, struct group, activated_index),
    ROW_ANY(13, struct group, opened_index),
    ROW_ANY(14, struct group, fence_index),
    ROW_ANY(15, struct group, terms.ttl_ms),
    ROW_ANY(16, struct group, terms.rho_ppm),
    ROW_NUMBER(17, struct group, sync_set, 0, (1 << INSTANCE_MAX) - 1),
    ROW_BOOL(18, struct group, sync_known),
    ROW_ANY(19, struct group, sync_generation),
    ROW_BOOL(20, struct group, paused),
    ROW_BOOL(21, struct group, adopt),
    ROW_ANY(22, struct group, restarts_used),
    ROW_ANY(23, struct group, failovers),
    ROW_ANY(24, struct group, switchovers),
    ROW_ANY(25, struct group, last_failover_index),
    ROW_MESSAGE(26, struct group, run, map_run),
    ROW_ANY(27, struct group, epoch_floor),
    ROW_MESSAGES(28, struct group, exceptions, exception_count, map_exception),
    ROW_ANY(29, struct group, break_glass),
};
MAP_TYPE(map_group, rf__log__group__descriptor, struct group, group_rows, check_group);

static const struct map_field signer_rows[] = {
    ROW_NAME(1, struct signer, name),
    ROW_NUMBER(2, struct signer, roles, 0, ROLES_ALL),
    ROW_ANY(3, struct signer, factor),
    ROW_ANY(4, struct signer, wall_ms),
};
MAP_TYPE(map_signer, rf__log__signer__descriptor, struct signer, signer_rows, NULL);

static const struct map_field proposal_rows[] = {
    ROW_NUMBER(1, struct proposal, id, 1, UINT64_MAX),
    ROW_NAME(2, struct proposal, group),
    ROW_ENUM(3, struct proposal, kind),
    ROW_ENUM(4, struct proposal, state),
    ROW_NAME_OR_NONE(5, struct proposal, target),
    ROW_TEXT(6, struct proposal, reason),
    ROW_NAME(7, struct proposal, by),
    ROW_BOOL(8, struct proposal, break_glass),
    ROW_ANY(9, struct proposal, asked),
    ROW_ANY(10, struct proposal, epoch),
    ROW_ANY(11, struct proposal, grant),
    ROW_LIFE(12, struct proposal, life),
    ROW_ANY(13, struct proposal, wall_ms),
    ROW_ANY(14, struct proposal, expires_ms),
    ROW_NUMBER(15, struct proposal, inform, 0, ROLES_ALL),
    ROW_MESSAGES(16, struct proposal, need, need_count, map_need),
    ROW_MESSAGES(17, struct proposal, signers, signer_count, map_signer),
    ROW_MESSAGE(18, struct proposal, forecast, map_forecast),
    ROW_ANY(19, struct proposal, run),
    ROW_TEXT(20, struct proposal, outcome),
};
MAP_TYPE(map_proposal, rf__log__proposal__descriptor, struct proposal, proposal_rows, NULL);

static const struct map_field agent_rows[] = {
    ROW_NAME(1, struct agent, name),        ROW_NAME(2, struct agent, region),
    ROW_TEXT(3, struct agent, address),     ROW_TEXT(4, struct agent, version),
    ROW_ANY(5, struct agent, format_min),   ROW_ANY(6, struct agent, format_max),
    ROW_LIFE(7, struct agent, incarnation), ROW_ANY(8, struct agent, enrolled_index),
    ROW_ANY(9, struct agent, lives),        ROW_LIFE(10, struct agent, former),
};
MAP_TYPE(map_agent, rf__log__agent__descriptor, struct agent, agent_rows, NULL);

static const struct map_field recovery_rows[] = {
    ROW_BYTES(1, struct recovery_code, hash, 0),
};
MAP_TYPE(map_recovery_code, rf__log__recovery_code__descriptor, struct recovery_code,
         recovery_rows, NULL);

static const struct map_field token_rows[] = {
    ROW_NUMBER(1, struct user_token, id, 1, UINT64_MAX),
    ROW_ANY(2, struct user_token, expires_ms),
    ROW_BYTES(3, struct user_token, hash, 1),
};
MAP_TYPE(map_token, rf__log__token__descriptor, struct user_token, token_rows, NULL);

static const struct map_field user_rows[] = {
    ROW_NAME(1, struct user, name),
    ROW_NUMBER(2, struct user, roles, 1, ROLES_ALL),
    ROW_NAMES(3, struct user, groups, group_count),
    ROW_MESSAGES(4, struct user, tokens, token_count, map_token),
    ROW_BYTES(5, struct user, seed, 0),
    ROW_ANY(6, struct user, totp_step),
    ROW_MESSAGES(7, struct user, recovery, recovery_count, map_recovery_code),
    ROW_ANY(8, struct user, failures),
    ROW_ANY(9, struct user, lockouts),
    ROW_ANY(10, struct user, locked_until_ms),
    ROW_ANY(11, struct user, index),
};
MAP_TYPE(map_user, rf__log__user__descriptor, struct user, user_rows, NULL);

static const struct map_field answered_rows[] = {
    ROW_MESSAGE(1, struct answered, key, map_request_key),
    ROW_NUMBER(2, struct answered, index, 1, UINT64_MAX),
    ROW_ANY(3, struct answered, wall_ms),
    ROW_ENUM(4, struct answered, kind),
    ROW_ANY(5, struct answered, flags),
    ROW_ENUM(6, struct answered, factor),
    ROW_NAME_OR_NONE(7, struct answered, group),
};
MAP_TYPE(map_answered, rf__log__answered__descriptor, struct answered, answered_rows, NULL);

/* Field 1 is the format, which is no part of the state. */
static const struct map_field state_rows[] = {
    ROW_NAME(2, struct state, cluster),
    ROW_ANY(3, struct state, applied),
    ROW_MESSAGES(4, struct state, groups, group_count, map_group),
    ROW_MESSAGES(5, struct state, agents, agent_count, map_agent),
    ROW_MESSAGES(6, struct state, controllers, controller_count, map_controller),
    ROW_MESSAGES(7, struct state, tombstones, tombstone_count, map_tombstone),
    ROW_ANY(8, struct state, controller_id_max),
    ROW_MESSAGES(9, struct state, users, user_count, map_user),
    ROW_MESSAGES(10, struct state, proposals, proposal_count, map_proposal),
    ROW_MESSAGES(11, struct state, answered, answered_count, map_answered),
};
MAP_TYPE(map_state, rf__log__snapshot__descriptor, struct state, state_rows, check_state);
