/* The fields of every struct that has a table, counted by the compiler: an initializer
 * without names must have one value for each, or -Werror=missing-field-initializers stops
 * the build (sizes would not notice a bool that fits into padding). If it has stopped
 * yours: add the row in proto/state_map.c or entry_map.c, the field in proto/log.proto, a
 * value here, and write the golden files anew (`test_proto_golden --rewrite`). */
#include "controller/core/entry.h"
#include "tests/unit/proto/fields.h"

/* clang-format off */
static const struct fence_turn fence_turn = {0, false, 0};
static const struct policy policy = {{0}, 0, SYNC_OFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                     0, {0}, false, false, false, false, 0, {0}, 0, {0}};
static const struct need need = {0};
static const struct approval_window window = {0, 0, 0, 0, 0, {0}, 0, 0};
static const struct forecast forecast = {false, 0, false, 0, ""};
static const struct signer signer = {"", 0, 0, 0};
static const struct proposal proposal = {0, "", PROPOSAL_NONE, PROPOSED_NONE, "", "", "",
                                         false, 0, 0, 0, {0}, 0, 0, 0, 0, {0}, 0, {0}, {0},
                                         0, ""};
static const struct region region = {"", 0, {0}};
static const struct controller controller = {"", "", "", 0, 0, 0, 0, 0};
static const struct tombstone tombstone = {"", 0};
static const struct incarnation incarnation = {{0}};
static const struct proof_record proof = {0, {0}, 0, PROOF_NONE, {0}};
static const struct step step = {STEP_IDLE, STEP_NONE, 0, 0, 0, 0, false, 0, 0, ""};
static const struct instance instance = {"", "", 0, 0, 0, {0}, "", "", "", 0, {0}, 0, {0},
                                         0, 0, 0, 0, PROOF_NONE, ""};
static const struct also_port also = {0};
static const struct exception exception = {""};
static const struct run run = {0, RUN_NONE, RUN_RUNNING, 0, 0, false, 0, "", "", PROOF_NONE,
                               0, 0, 0, 0, false, false, 0, 0};
static const struct group group = {"", "", "", {0}, 0, 0, {0}, {0}, 0, {0}, PHASE_NONE,
                                   0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, false, 0, false, false,
                                   0, 0, 0, 0, 0, {0}};
static const struct agent agent = {"", "", "", "", 0, 0, {0}, {0}, 0, 0};
static const struct recovery_code recovery = {{0}};
static const struct user_token token = {0, 0, {0}};
static const struct user user = {"", 0, 0, {0}, 0, {0}, {0}, 0, 0, {0}, 0, 0, 0, 0};
static const struct request_key key = {{0}, {0}};
static const struct answered answered = {{{0}, {0}}, 0, 0, 0, 0, 0, ""};
static const struct state state = {"", 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}, {0}, {0}, {0}, {0},
                                   {0}, {0}};

static const struct actor actor = {"", ACTOR_NONE, FACTOR_NONE, 0, ""};
static const struct entry_user_set user_set = {"", 0, 0, {0}};
static const struct entry_user entry_user = {""};
static const struct entry_user_token user_token = {"", 0, {0}};
static const struct entry_user_revoke user_revoke = {"", 0};
static const struct entry_user_totp user_totp = {"", {0}, 0, {0}};
static const struct entry_factor_used factor_used = {"", FACTOR_NONE, 0, 0};
static const struct entry_enrol enrol = {{0}, 0, {0}};
static const struct renew_item renew_item = {"", 0, LEASE_NONE, 0, {0}};
static const struct entry_declare declare = {{0}, false};
static const struct entry_renew renew = {0, {0}};
static const struct entry_proof entry_proof = {0, PROOF_NONE, 0, 0, {0}, false, "", {0}};
static const struct entry_fence_begin fence_begin = {0, 0, RUN_NONE, 0, "", false,
                                                    "", 0};
static const struct entry_activate activate = {0, 0, false, 0};
static const struct entry_opened opened = {0, 0, 0};
static const struct entry_sync sync = {0, 0, 0, 0, 0, {0}};
static const struct entry_step_start step_start = {0, STEP_NONE, 0, 0, false, false,
                                                  0};
static const struct entry_step_end step_end = {0, 0, false, 0, 0, false, 0, "",
                                              false};
static const struct entry_corruption corruption = {"", 0};
static const struct entry_false_proof false_proof = {"", 0, PROOF_NONE, ""};
static const struct entry_acknowledge acknowledge = {""};
static const struct entry_switchover switchover = {0, "", 0, "", 0};
static const struct entry_propose propose = {PROPOSAL_NONE, "", 0, false, "", {0}};
static const struct entry_proposal about = {0, 0, "", 0, {0}};
static const struct entry_run_abort run_abort = {0, ""};
static const struct entry_attach attach = {0, ""};
static const struct entry_refused refused = {"", 0};
static const struct entry_controller_replace controller_replace = {"", 0, 0};
/* clang-format on */

size_t fields_bytes(void)
{
    return sizeof policy + sizeof region + sizeof controller + sizeof tombstone +
           sizeof incarnation + sizeof proof + sizeof step + sizeof instance + sizeof run +
           sizeof also + sizeof exception + sizeof group + sizeof agent + sizeof state +
           sizeof key + sizeof answered + sizeof enrol + sizeof declare +
           sizeof renew_item + sizeof renew + sizeof entry_proof + sizeof fence_begin +
           sizeof activate + sizeof opened + sizeof sync + sizeof step_start +
           sizeof step_end + sizeof switchover + sizeof run_abort + sizeof attach +
           sizeof refused + sizeof controller_replace + sizeof corruption +
           sizeof fence_turn + sizeof false_proof + sizeof acknowledge + sizeof actor +
           sizeof recovery + sizeof token + sizeof user + sizeof user_set +
           sizeof entry_user + sizeof user_token + sizeof user_revoke + sizeof user_totp +
           sizeof factor_used + sizeof need + sizeof window + sizeof forecast +
           sizeof signer + sizeof proposal + sizeof propose + sizeof about;
}
