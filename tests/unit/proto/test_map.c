/* The tables agree with the structs and with the messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/entry_map.h"
#include "proto/log.pb-c.h"
#include "proto/state_map.h"
#include "proto/wire.pb-c.h"
#include "tests/unit/proto/fields.h"

static const struct map_type *const types[] = {
    &map_policy, &map_region,        &map_controller, &map_tombstone, &map_proof_record,
    &map_step,   &map_instance,      &map_run,        &map_group,     &map_agent,
    &map_state,  &map_recovery_code, &map_token,      &map_user,      &map_need,
    &map_window, &map_signer,        &map_forecast,   &map_proposal,
};

static size_t align_of_type(const struct map_type *t);

static size_t align_of(const struct map_field *f)
{
    switch (f->kind) {
    case MAP_NUMBER:
    case MAP_ENUM:
        return f->size;
    case MAP_MESSAGE:
    case MAP_MESSAGES:
        return align_of_type(f->type);
    case MAP_INDEX:
    case MAP_BOOL:
    case MAP_NAME:
    case MAP_TEXT:
    case MAP_LIFE:
    case MAP_BYTES:
    case MAP_NAMES:
        break;
    }
    return 1;
}

static size_t align_of_type(const struct map_type *t)
{
    size_t most = 1;

    for (uint32_t i = 0; i < t->field_count; i++) {
        size_t one = align_of(&t->fields[i]);

        most = one > most ? one : most;
    }
    return most;
}

static bool is_list(const struct map_field *f)
{
    return f->kind == MAP_MESSAGES || f->kind == MAP_NAMES;
}

static void cover(const struct map_type *t, uint8_t *covered)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct map_field *f = &t->fields[i];
        size_t n = is_list(f) ? f->max : 1;

        for (size_t k = f->offset; k < f->offset + n * f->size; k++) {
            assert_int_equal(covered[k], 0); /* no byte belongs to two rows */
            covered[k] = 1;
        }
        if (is_list(f))
            covered[f->count_offset] = 1;
    }
}

/* The first gap that is too long to be padding, or the size if there is none. */
static size_t first_hole(const struct map_type *t, const uint8_t *covered)
{
    size_t align = align_of_type(t), hole = 0;

    for (size_t k = 0; k < t->size; k++) {
        hole = covered[k] ? 0 : hole + 1;
        if (hole >= align)
            return k;
    }
    return t->size;
}

/* Every byte of every struct of the state has a row, but for padding. */
static void test_rows_cover_the_structs(void **unused)
{
    (void)unused;
    assert_true(fields_bytes() > sizeof(struct state));
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        uint8_t *covered = calloc(1, types[i]->size);

        assert_non_null(covered);
        cover(types[i], covered);
        assert_int_equal(first_hole(types[i], covered), types[i]->size);
        free(covered);
    }
}

static bool has_row(const struct map_type *t, uint32_t id)
{
    for (uint32_t i = 0; i < t->field_count; i++)
        if (t->fields[i].id == id)
            return true;
    return false;
}

static void check_row(const struct map_type *t, const struct map_field *f)
{
    const ProtobufCFieldDescriptor *d =
        protobuf_c_message_descriptor_get_field(t->message, f->id);

    assert_non_null(d);
    assert_int_equal(d->label == PROTOBUF_C_LABEL_REPEATED, is_list(f));
    switch (f->kind) {
    case MAP_NUMBER:
    case MAP_INDEX:
        assert_int_equal(d->type,
                         f->size == 8 ? PROTOBUF_C_TYPE_UINT64 : PROTOBUF_C_TYPE_UINT32);
        break;
    case MAP_ENUM:
        assert_int_equal(d->type, PROTOBUF_C_TYPE_ENUM);
        assert_int_equal(f->size, sizeof(int));
        break;
    case MAP_BOOL:
        assert_int_equal(d->type, PROTOBUF_C_TYPE_BOOL);
        break;
    case MAP_NAME:
    case MAP_TEXT:
    case MAP_NAMES:
        assert_int_equal(d->type, PROTOBUF_C_TYPE_STRING);
        break;
    case MAP_LIFE:
    case MAP_BYTES:
        assert_int_equal(d->type, PROTOBUF_C_TYPE_BYTES);
        break;
    case MAP_MESSAGE:
    case MAP_MESSAGES:
        assert_int_equal(d->type, PROTOBUF_C_TYPE_MESSAGE);
        assert_ptr_equal(d->descriptor, f->type->message);
        assert_int_equal(f->type->size, f->size);
        break;
    }
}

static void check_type(const struct map_type *t, uint32_t except_below)
{
    for (unsigned i = 0; i < t->message->n_fields; i++)
        if (t->message->fields[i].id >= except_below)
            assert_true(has_row(t, t->message->fields[i].id));
    for (uint32_t i = 0; i < t->field_count; i++) {
        check_row(t, &t->fields[i]);
        if (t->fields[i].type != NULL)
            check_type(t->fields[i].type, 1);
    }
}

/* Every field of every message has a row of its type (but the format, and the oneof). */
static void test_rows_fit_the_messages(void **unused)
{
    (void)unused;
    check_type(&map_state, 2);
    check_type(&map_actor, 1);
    check_type(&map_proposal, 1);
    check_type(&map_window, 1);
    for (int kind = 1; kind < ENTRY_KIND_COUNT; kind++)
        if (entry_body_of((enum entry_kind)kind)->type != NULL)
            check_type(entry_body_of((enum entry_kind)kind)->type, 1);
}

struct named {
    int number;
    const char *name;
};

static void check_enum(const ProtobufCEnumDescriptor *d, const struct named *ours, size_t n)
{
    assert_int_equal(d->n_values, n);
    for (size_t i = 0; i < n; i++) {
        const ProtobufCEnumValue *v =
            protobuf_c_enum_descriptor_get_value(d, ours[i].number);

        assert_non_null(v);
        assert_string_equal(v->name, ours[i].name);
    }
}

/* Each enum of the log is the core's, name by name and number by number. Of the provider's
 * steps one is none of the log's: severing answers a fence. */
static void test_enums_agree(void **unused)
{
#define X(name, number, text) {number, #name},
    static const struct named sync[] = {SYNC_MODE_MAP(X)}, phase[] = {PHASE_MAP(X)},
                              kind[] = {RUN_KIND_MAP(X)}, result[] = {RUN_RESULT_MAP(X)},
                              step[] = {STEP_KIND_MAP(X){RF__STEP_KIND__STEP_SEVER,
                                                         "STEP_SEVER"}},
                              proof[] = {PROOF_KIND_MAP(X)}, entry[] = {ENTRY_KIND_MAP(X)};
#undef X
#define X(name, number, text) {number, #name},
    static const struct named actor[] = {ACTOR_KIND_MAP(X)},
                              factor[] = {ACTOR_FACTOR_MAP(X)},
                              asked[] = {PROPOSAL_KIND_MAP(X)},
                              stands[] = {PROPOSAL_STATE_MAP(X)};
#undef X
    static const struct named state[] = {{STEP_IDLE, "STEP_IDLE"},
                                         {STEP_STARTED, "STEP_STARTED"},
                                         {STEP_DONE, "STEP_DONE"},
                                         {STEP_FAILED, "STEP_FAILED"}};
    static const struct named lease[] = {{LEASE_NONE, "LEASE_NONE"},
                                         {LEASE_WRITE, "LEASE_WRITE"},
                                         {LEASE_READ, "LEASE_READ"}};
    (void)unused;
    check_enum(&rf__log__sync_mode__descriptor, sync, ARRAY_LEN(sync));
    check_enum(&rf__log__phase__descriptor, phase, ARRAY_LEN(phase));
    check_enum(&rf__log__run_kind__descriptor, kind, ARRAY_LEN(kind));
    check_enum(&rf__log__run_result__descriptor, result, ARRAY_LEN(result));
    check_enum(&rf__step_kind__descriptor, step, ARRAY_LEN(step));
    check_enum(&rf__log__proof_kind__descriptor, proof, ARRAY_LEN(proof));
    check_enum(&rf__log__entry_kind__descriptor, entry, ARRAY_LEN(entry));
    check_enum(&rf__log__actor_kind__descriptor, actor, ARRAY_LEN(actor));
    check_enum(&rf__log__actor_factor__descriptor, factor, ARRAY_LEN(factor));
    check_enum(&rf__log__proposal_kind__descriptor, asked, ARRAY_LEN(asked));
    check_enum(&rf__log__proposal_state__descriptor, stands, ARRAY_LEN(stands));
    check_enum(&rf__log__step_state__descriptor, state, ARRAY_LEN(state));
    check_enum(&rf__lease_kind__descriptor, lease, ARRAY_LEN(lease));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_cover_the_structs),
        cmocka_unit_test(test_rows_fit_the_messages),
        cmocka_unit_test(test_enums_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
