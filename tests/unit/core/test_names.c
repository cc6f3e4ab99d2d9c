/* Whom an operator's entry means: a name, or whoever it is; never a place in a list, which
 * a file that was committed a moment before may have given to somebody else. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

enum { NORTH = 2 };

/* A file with `north` too, and the instances of regions `order[0..2]`, in that order. */
static struct entry file_of(const uint8_t order[3])
{
    static const char *const regions[] = {"east", "west", "north"};
    struct entry e = entry_of(ENTRY_DECLARE);
    struct group *spec = &e.declare.spec;
    const char *active = world_group(&w)->instances[world_group(&w)->active].agent;

    *spec = *world_group(&w);
    spec->region_count = spec->instance_count = 3;
    for (uint8_t i = 0; i < 3; i++) {
        snprintf(spec->regions[i].name, NAME_SIZE, "%s", regions[order[i]]);
        snprintf(spec->instances[i].agent, NAME_SIZE, "pg-%s", regions[order[i]]);
        snprintf(spec->instances[i].data, PATH_SIZE, "/srv/pg");
        spec->instances[i].region = i;
        spec->instances[i].port = 5432;
    }
    spec->active = group_instance(spec, active);
    return e;
}

static void declare_three(const uint8_t order[3])
{
    struct entry e = file_of(order);

    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

static const uint8_t first[] = {EAST, WEST, NORTH}, other[] = {NORTH, EAST, WEST};

static void three_regions(void)
{
    world_steady(&w, SYNC_PREFERRED);
    assert_int_equal(world_enrol(&w, NORTH, 1), ACCEPTED);
    declare_three(first);
}

static const char *name_of(uint8_t instance)
{
    return instance < world_group(&w)->instance_count
               ? world_group(&w)->instances[instance].agent
               : "nobody";
}

/* Asked for as pg-west at position 1, applied behind a file in another order. */
static struct entry ask_for(enum entry_kind kind, const char *name)
{
    struct entry e = entry_of(kind);

    if (kind == ENTRY_SWITCHOVER) {
        e.switchover =
            (struct entry_switchover){.target = WEST, .epoch = world_group(&w)->epoch};
        snprintf(e.switchover.target_name, NAME_SIZE, "%s", name);
    } else if (kind == ENTRY_FENCE_BEGIN) {
        e.fence_begin = (struct entry_fence_begin){.epoch = world_group(&w)->epoch,
                                                   .run = RUN_FAILOVER,
                                                   .target = WEST,
                                                   .requested = true};
        snprintf(e.fence_begin.target_name, NAME_SIZE, "%s", name);
    } else {
        e.attach.active = WEST;
        snprintf(e.attach.active_name, NAME_SIZE, "%s", name);
    }
    return e;
}

static void an_entry_names_whom_it_means(void **state)
{
    static const struct {
        enum entry_kind kind;
        const char *named, *becomes;
        enum refusal expected;
    } table[] =
        {
            {ENTRY_SWITCHOVER, "pg-west", "pg-west", ACCEPTED},
            {ENTRY_SWITCHOVER, "pg-north", "pg-north", ACCEPTED},
            {ENTRY_SWITCHOVER, "pg-gone", "", REFUSE_UNKNOWN_INSTANCE},
            {ENTRY_SWITCHOVER, "pg-east", "", REFUSE_ALREADY_ACTIVE},
            {ENTRY_SWITCHOVER, "", "", REFUSE_ALREADY_ACTIVE}, /* an old one: by place */
            {ENTRY_FENCE_BEGIN, "pg-west", "pg-west", ACCEPTED},
            {ENTRY_FENCE_BEGIN, "pg-gone", "", REFUSE_UNKNOWN_INSTANCE},
            {ENTRY_FENCE_BEGIN, "", "", REFUSE_ALREADY_ACTIVE},
            {ENTRY_ATTACH, "pg-west", "pg-west", ACCEPTED},
            {ENTRY_ATTACH, "pg-gone", "", REFUSE_UNKNOWN_INSTANCE},
            {ENTRY_ATTACH, "", "pg-east", ACCEPTED},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry detach = entry_of(ENTRY_DETACH), e;

        three_regions();
        if (row->kind == ENTRY_ATTACH)
            assert_int_equal(world_apply(&w, &detach), ACCEPTED);
        e = ask_for(row->kind, row->named);
        declare_three(other);
        if (world_apply(&w, &e) != row->expected)
            fail_msg("%s %s: %s", entry_kind_name(row->kind), row->named, w.result.text);
        if (row->expected == ACCEPTED)
            assert_string_equal(name_of(world_group(&w)->run.to), row->becomes);
        else if (row->named[0] != '\0')
            assert_non_null(strstr(w.result.text, row->expected == REFUSE_ALREADY_ACTIVE
                                                      ? "active in east already"
                                                      : row->named));
    }
}

/* What an operator has asked the leader for is proposed for the same instance. */
static void a_wish_follows_its_instance(void **state)
{
    (void)state;
    three_regions();
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    world_seen(&w)->failover_wanted = true;
    world_seen(&w)->failover_target = WEST;
    declare_three(other);
    assert_string_equal(name_of(world_seen(&w)->failover_target), "pg-west");
    assert_string_equal(world_step(&w), "operator-failover");
    assert_string_equal(w.actions.list[0].entry.fence_begin.target_name, "pg-west");
    assert_string_equal(name_of(world_group(&w)->run.to), "pg-west");
}

/* A file that does not say who is active was settled on who was when it was asked for; it
 * undoes nothing that was committed in between, a correction of the forming group least. */
static void a_file_without_roles_moves_nobody(void **state)
{
    struct entry corrected, silent, remove = entry_of(ENTRY_REMOVE);
    struct entry detach = entry_of(ENTRY_DETACH);

    (void)state;
    world_init(&w);
    world_declare(&w, SYNC_REQUIRED);
    silent = entry_of(ENTRY_DECLARE);
    silent.declare.spec = *world_group(&w); /* EAST, as it was */
    silent.declare.spec.policy.cooldown_ms = 5000;
    silent.declare.keep_active = true;
    corrected = entry_of(ENTRY_DECLARE);
    corrected.declare.spec = *world_group(&w);
    corrected.declare.spec.active = WEST;
    assert_int_equal(world_apply(&w, &corrected), ACCEPTED);
    assert_int_equal(world_apply(&w, &silent), ACCEPTED);
    assert_int_equal(world_group(&w)->active, WEST);
    assert_int_equal(world_group(&w)->run.to, WEST);
    assert_int_equal(world_group(&w)->policy.cooldown_ms, 5000);

    /* Whoever is active has to be in the file, and there has to be a group. */
    silent.declare.spec.instance_count = 3;
    silent.declare.spec.region_count = 3;
    snprintf(silent.declare.spec.instances[WEST].agent, NAME_SIZE, "pg-north");
    assert_int_equal(world_apply(&w, &silent), REFUSE_ACTIVE_DIFFERS);
    assert_non_null(strstr(w.result.text, "pg-west"));
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_apply(&w, &remove), ACCEPTED);
    assert_int_equal(world_apply(&w, &silent), REFUSE_UNKNOWN_GROUP);
    silent.declare.keep_active = false; /* and a new one has to say it */
    silent.declare.spec.active = NO_INSTANCE;
    assert_int_equal(world_apply(&w, &silent), REFUSE_INVALID);
}

/* What cannot be changed where it is: a way that this group has. */
static void the_advice_for_what_is_fixed_can_be_followed(void **state)
{
    struct entry e;

    (void)state;
    three_regions();
    e = file_of(first);
    e.declare.spec.instances[NORTH].port = 5433;
    assert_int_equal(world_apply(&w, &e), REFUSE_FIXED);
    assert_non_null(strstr(w.result.text, "apply the file without it, then with it again"));
    e = file_of(first);
    e.declare.spec.instances[EAST].port = 5433; /* the active one cannot be left out */
    assert_int_equal(world_apply(&w, &e), REFUSE_FIXED);
    assert_non_null(strstr(w.result.text, "`ringfence detach orders`, `ringfence remove"));
    e = file_of(first);
    snprintf(e.declare.spec.component, NAME_SIZE, "other");
    assert_int_equal(world_apply(&w, &e), REFUSE_FIXED);
    assert_non_null(strstr(w.result.text, "its component db (postgres) cannot be renamed"));
}

/* A leader's entries go by position. What was decided on the positions of before is refused
 * behind a file that moves them, though the set has the same bits in it (I8): else the
 * shrink of a silent west would take north out, and west would stay a member. */
static void what_goes_by_position_is_refused_behind_a_move(void **state)
{
    static const enum step_kind kinds[] = {STEP_SYNC, STEP_JOIN, STEP_CLONE, STEP_FOLLOW};
    static const uint8_t swapped[] = {EAST, NORTH, WEST};
    struct entry shrink = entry_of(ENTRY_SYNC_SHRINK), start;

    (void)state;
    for (int moves = 0; moves < 2; moves++) {
        three_regions();
        world_group(&w)->sync_set = 1u << EAST | 1u << WEST | 1u << NORTH;
        shrink.sync = (struct entry_sync){.epoch = world_group(&w)->epoch,
                                          .instance = WEST,
                                          .generation = world_group(&w)->sync_generation,
                                          .holder = life(EAST, 1)};
        declare_three(moves ? swapped : first);
        assert_int_equal(world_apply(&w, &shrink), moves ? REFUSE_GENERATION : ACCEPTED);
        assert_int_equal(world_group(&w)->sync_set, moves ? 7 : 5);
    }
    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
        bool of_active = kinds[k] == STEP_SYNC || kinds[k] == STEP_JOIN;

        three_regions();
        start = entry_of(ENTRY_STEP_START);
        start.step_start = (struct entry_step_start){
            .instance = of_active ? EAST : WEST,
            .kind = kinds[k],
            .epoch = world_group(&w)->epoch,
            .subject = kinds[k] == STEP_JOIN ? NORTH : NO_INSTANCE,
            .generation = world_group(&w)->sync_generation,
        };
        declare_three(swapped);
        assert_int_equal(world_apply(&w, &start), REFUSE_GENERATION);
        start.step_start.generation = 0; /* an earlier version's says nothing of it */
        if (kinds[k] != STEP_JOIN)
            assert_int_equal(world_apply(&w, &start), ACCEPTED);
    }
}

/* Steps have ids, proofs and renewals lives: these name whom they mean. */
static void what_names_its_step_or_life_is_refused_behind_a_move(void **state)
{
    static const uint8_t swapped[] = {EAST, NORTH, WEST};
    struct entry start = entry_of(ENTRY_STEP_START), end = entry_of(ENTRY_STEP_END);
    struct entry join = entry_of(ENTRY_SYNC_JOIN);

    (void)state;
    three_regions();
    world_group(&w)->sync_set = 1u << EAST | 1u << NORTH;
    start.step_start =
        (struct entry_step_start){.instance = EAST,
                                  .kind = STEP_JOIN,
                                  .epoch = 1,
                                  .subject = WEST,
                                  .generation = world_group(&w)->sync_generation};
    assert_int_equal(world_apply(&w, &start), ACCEPTED);
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    join.sync = (struct entry_sync){.epoch = 1,
                                    .instance = WEST,
                                    .generation = world_group(&w)->sync_generation,
                                    .step = world_group(&w)->instances[EAST].step.id};
    start.step_start.kind = STEP_FOLLOW;
    start.step_start.instance = WEST;
    start.step_start.subject = NO_INSTANCE;
    assert_int_equal(world_apply(&w, &start), ACCEPTED);
    end.step_end = (struct entry_step_end){
        .instance = WEST, .step = world_group(&w)->instances[WEST].step.id, .done = true};
    declare_three(swapped);
    assert_int_equal(world_apply(&w, &join), REFUSE_GENERATION);
    assert_int_equal(world_apply(&w, &end), REFUSE_STEP);
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), REFUSE_INCARNATION);
    world_group(&w)->policy.standby_reads = true;
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_READ), REFUSE_INCARNATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_by_position_is_refused_behind_a_move),
        cmocka_unit_test(what_names_its_step_or_life_is_refused_behind_a_move),
        cmocka_unit_test(an_entry_names_whom_it_means),
        cmocka_unit_test(a_wish_follows_its_instance),
        cmocka_unit_test(a_file_without_roles_moves_nobody),
        cmocka_unit_test(the_advice_for_what_is_fixed_can_be_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
