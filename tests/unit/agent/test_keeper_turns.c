/* In which order a keeper of many groups does what they want, and how much of it in one
 * turn. */
#include "tests/unit/agent/cmocka_env.h"

#include <stdio.h>

#include "tests/unit/agent/keeper_world.h"

enum { NEW_GROUPS = 20 };

static void assign_new(struct world *w, unsigned n)
{
    struct keeper_assignment a = primary(3);
    struct err err;
    uint8_t slot;

    (void)snprintf(a.group, sizeof a.group, "new%u", n);
    a.port = (uint16_t)(6000 + n);
    a.role = ROLE_STANDBY;
    assert_int_equal(keeper_assign(&w->k, &me, &a, &slot, &err), 0);
    keeper_server(
        &w->k, slot,
        &(struct keeper_server){.state = KEEPER_SERVER_STANDBY, .looked = a.index});
}

/* A host that serves one group is given many more at once. */
static void start_crowded(struct world *w)
{
    start_open(w);
    for (unsigned n = 0; n < NEW_GROUPS; n++)
        assign_new(w, n);
}

static int64_t first(const struct world *w, enum keeper_effect_kind kind, uint8_t slot)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->seen[i].kind == kind && w->seen[i].slot == slot)
            return i;
    return -1;
}

/* I7: a trial is asked for by itself; nothing else waits for one, not even of its group. */
static void only_what_asks_for_a_trial_gets_one(void **state)
{
    struct keeper_fence_order order = {
        .to = me, .group = "orders", .epoch = 3, .fence_index = 31};
    struct keeper_effect e;
    struct world w;
    unsigned seen = 0;

    (void)state;
    start_crowded(&w);
    keeper_tick(&w.k);
    assert_int_equal(keeper_fence_order(&w.k, &order, NULL), 0);
    while (keeper_next(&w.k, w.now, &e)) {
        assert_int_not_equal(e.kind, KEEPER_TRY);
        seen |= 1u << e.kind;
        if (e.kind == KEEPER_SYNC)
            keeper_synced(&w.k, true, w.now);
        else
            keeper_done(&w.k, &e, NULL, w.now);
    }
    assert_true((seen & 1u << KEEPER_FENCE) != 0);
    assert_true((seen & 1u << KEEPER_PROOF) != 0);
    assert_true(keeper_has_trial(&w.k, w.now));
    assert_true(keeper_next_trial(&w.k, w.now, &e));
    assert_int_equal(e.kind, KEEPER_TRY);
}

/* Nothing passes through a port before it was tried while it was closed (I2). */
static void each_gate_is_tried_before_it_passes_anything(void **state)
{
    struct world w;

    (void)state;
    start_crowded(&w);
    run(&w);
    for (uint8_t slot = 1; slot <= NEW_GROUPS; slot++) {
        int64_t tried = first(&w, KEEPER_TRY, slot);

        assert_true(tried >= 0);
        assert_int_equal(w.seen[tried].port, 6000 + slot - 1);
        if (first(&w, KEEPER_ARM, slot) >= 0)
            assert_true(first(&w, KEEPER_ARM, slot) > tried);
        assert_true(w.k.want.of[slot].tried);
        assert_int_equal(w.k.slots[slot].gate.mode, GATE_REPLICATION);
    }
}

/* A turn that has taken so long leaves the rest, so that what came in is heard. */
static void a_long_turn_ends(void **state)
{
    struct boot began = ms(1000), late = ms(1000 + KEEPER_TURN_MS);

    (void)state;
    assert_false(keeper_turn_is_over(began, began));
    assert_false(keeper_turn_is_over(began, (struct boot){late.ns - 1}));
    assert_true(keeper_turn_is_over(began, late));
}

/* Gates that fail their trial are tried again, but not before those that had none yet. */
static void a_failing_gate_keeps_no_other_waiting(void **state)
{
    struct err failed = {.code = ERR_REFUSED, .text = "a connection came through"};
    struct keeper_effect e;
    struct world w;
    unsigned of[NEW_GROUPS + 1] = {0};

    (void)state;
    start_crowded(&w);
    for (unsigned n = 0; n < NEW_GROUPS;) {
        assert_true(keeper_next(&w.k, w.now, &e) || keeper_next_trial(&w.k, w.now, &e));
        if (e.kind == KEEPER_SYNC) {
            keeper_synced(&w.k, true, w.now);
            continue;
        }
        keeper_done(&w.k, &e, e.kind == KEEPER_TRY ? &failed : NULL, w.now);
        if (e.kind != KEEPER_TRY)
            continue;
        n++;
        of[e.slot]++;
        w.now.ns += 600 * NS_PER_MS; /* the first is due again after nine */
    }
    for (unsigned slot = 1; slot <= NEW_GROUPS; slot++)
        assert_int_equal(of[slot], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_asks_for_a_trial_gets_one),
        cmocka_unit_test(each_gate_is_tried_before_it_passes_anything),
        cmocka_unit_test(a_long_turn_ends),
        cmocka_unit_test(a_failing_gate_keeps_no_other_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
