/* Fence level 4: whose turn is when, and what a host that was switched off proves. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

/* The group `orders` with power as one of its levels, in this order. */
static void with_levels(unsigned n, const struct fence_turn *turns)
{
    struct policy *p = &world_group(&w)->policy;

    p->fence = 0;
    p->fence_turn_count = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        p->fence_turns[i] = turns[i];
        p->fence = (uint8_t)(p->fence | turns[i].level);
    }
    snprintf(world_group(&w)->instances[EAST].power, NAME_SIZE, "ipmi-east");
    snprintf(world_group(&w)->instances[WEST].power, NAME_SIZE, "ipmi-west");
}

/* Fenced, the candidate answers, and nothing has come from the old side. */
static void fenced(unsigned n, const struct fence_turn *turns)
{
    world_steady(&w, SYNC_REQUIRED);
    with_levels(n, turns);
    assert_int_equal(world_fence(&w), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
}

static unsigned orders_of_power(uint8_t *ret_instance)
{
    unsigned n = 0;

    (void)world_decide(&w);
    for (unsigned i = 0; i < w.actions.count; i++) {
        if (w.actions.list[i].kind != ACT_ORDER_POWER)
            continue;
        *ret_instance = w.actions.list[i].instance;
        n++;
    }
    return n;
}

static void off(uint8_t instance, uint8_t number)
{
    struct incarnation subject = life(instance, number);

    observe_power_off(&w.o, 0, instance, world_group(&w)->fence_index, &subject);
}

/* A level's turn comes when those in front of it have had their deadlines; one that cannot
 * prove this instance keeps nobody waiting, and one that is raced does not wait. */
static void levels_have_their_turn(void **state)
{
    static const struct {
        const char *name;
        unsigned n;
        struct fence_turn turns[3];
        bool ungated;
        uint32_t expected;
    } table[] =
        {
            {"alone", 1, {{FENCE_POWER, false, 0}}, false, 0},
            {"behind the agent",
             2,
             {{FENCE_AGENT, false, 0}, {FENCE_POWER, false, 0}},
             false,
             2000},
            {"behind the agent, whose deadline is said",
             2,
             {{FENCE_AGENT, false, 700}, {FENCE_POWER, false, 0}},
             false,
             700},
            {"raced with the agent",
             2,
             {{FENCE_AGENT, false, 700}, {FENCE_POWER, true, 0}},
             false,
             0},
            {"behind a lease that can be counted out",
             3,
             {{FENCE_AGENT, false, 700},
              {FENCE_LEASE_EXPIRY, true, 5000},
              {FENCE_POWER, false, 0}},
             false,
             5000},
            {"behind a lease that proves nothing",
             3,
             {{FENCE_AGENT, false, 700},
              {FENCE_LEASE_EXPIRY, false, 5000},
              {FENCE_POWER, false, 0}},
             true,
             700},
        },
      *row;

    (void)state;
    EACH (row, table) {
        uint32_t got;

        world_steady(&w, SYNC_REQUIRED);
        with_levels(row->n, row->turns);
        world_group(&w)->policy.ungated_local = row->ungated;
        got = fence_turn_ms(world_group(&w), EAST, FENCE_POWER);
        if (got != row->expected)
            fail_msg("%s: %u, expected %u", row->name, got, row->expected);
    }
    assert_int_equal(fence_turn_ms(world_group(&w), EAST, FENCE_SYNC_SEVERED), UINT32_MAX);
}

/* No host is switched off before its turn, the target never, and once it is off it is not
 * switched off again. */
static void power_is_cut_in_turn_and_once(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_AGENT, false, 500},
                                              {FENCE_POWER, false, 0}};
    uint8_t instance = NO_INSTANCE;

    (void)state;
    fenced(2, turns);
    assert_int_equal(orders_of_power(&instance), 0);
    world_pass_ms(&w, 499);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_int_equal(orders_of_power(&instance), 0);
    world_pass_ms(&w, 1);
    assert_int_equal(orders_of_power(&instance), 1);
    assert_int_equal(instance, EAST);
    off(EAST, 1);
    assert_string_equal(world_decide(&w), "proof-by-power");
    assert_int_equal(orders_of_power(&instance), 0);
    assert_string_equal(world_step(&w), "proof-by-power");
    assert_int_equal(world_group(&w)->run.proof, PROOF_POWER);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
}

/* Nobody could take over: the fenced host's own return is the way out, so it is not
 * switched off (I11). */
static void no_host_is_switched_off_for_nobody(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_POWER, false, 0}};
    uint8_t instance = NO_INSTANCE;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    with_levels(1, turns);
    assert_int_equal(world_fence(&w), ACCEPTED);
    world_pass_ms(&w, 10000);
    assert_int_equal(orders_of_power(&instance), 0);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_int_equal(orders_of_power(&instance), 1);
    assert_int_equal(instance, EAST);
}

/* I2, I12: what counts is the life that held the lease when the host was off, behind this
 * fence_begin; every other word is refused, whoever proposes it. */
static void a_power_proof_is_of_holder_component_and_fence(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_AGENT, false, 0},
                                              {FENCE_POWER, false, 0}};
    static const struct {
        const char *name;
        bool level, fencer, this_fence;
        uint8_t life;
        enum refusal expected;
    } table[] =
        {
            {"the holder, this fence", true, true, true, 1, ACCEPTED},
            {"another life", true, true, true, 2, REFUSE_INCARNATION},
            {"another fence", true, true, false, 1, REFUSE_STALE_EPOCH},
            {"the group does not have the level", false, true, true, 1, REFUSE_INVALID},
            {"the host has no fencer", true, false, true, 1, REFUSE_INVALID},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry e = entry_of(ENTRY_PROOF);
        enum refusal got;

        fenced(2, turns);
        if (!row->level)
            world_group(&w)->policy.fence = FENCE_AGENT;
        if (!row->fencer)
            world_group(&w)->instances[EAST].power[0] = '\0';
        e.proof = (struct entry_proof){.instance = EAST,
                                       .kind = PROOF_POWER,
                                       .epoch = 1,
                                       .fence_index = world_group(&w)->fence_index -
                                                      (row->this_fence ? 0 : 1),
                                       .prover = life(EAST, row->life)};
        got = world_apply(&w, &e);
        if (got != row->expected)
            fail_msg("%s: %s", row->name, refusal_name(got));
        assert_int_equal(world_activate(&w, WEST),
                         row->expected == ACCEPTED ? ACCEPTED : REFUSE_UNPROVEN);
    }
}

/* The host is switched on again before anybody was activated: what the holder was granted
 * is over all the same, and its next life holds nothing. */
static void a_holder_that_was_off_stays_proven_when_it_returns(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_POWER, false, 0}};

    (void)state;
    fenced(1, turns);
    off(EAST, 1);
    assert_string_equal(world_step(&w), "proof-by-power");
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
}

/* A life that held nothing when its host was off: the next one may find its server up and
 * ungated, and proves its gate itself. */
static void a_life_without_a_lease_proves_nothing_of_the_next_one(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_POWER, false, 0}};
    struct proof_record *r;

    (void)state;
    fenced(1, turns);
    off(EAST, 1);
    assert_string_equal(world_step(&w), "proof-by-power");
    r = &world_group(&w)->instances[EAST].proof;
    memset(&r->holder, 0, sizeof r->holder);
    assert_true(instance_is_proven(&w.s, &world_group(&w)->instances[EAST]));
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_false(instance_is_proven(&w.s, &world_group(&w)->instances[EAST]));
}

/* The order was given to a life; another one came up before its outcome was logged. */
static void an_order_of_before_is_not_offered(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_POWER, false, 0}};
    struct incarnation subject;

    (void)state;
    fenced(1, turns);
    memset(&world_group(&w)->instances[EAST].proof.holder, 0, INCARNATION_BYTES);
    assert_true(power_subject(&w.s, world_group(&w), EAST, &subject));
    assert_true(incarnation_equal(&subject, &(struct incarnation[]){life(EAST, 1)}[0]));
    off(EAST, 1);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(w.actions.held_count, 0);
}

/* I11: a fence that nobody could end is not begun; a fencer that answers can end it, one
 * that does not is no way out, and `why` says so. */
static void a_fencer_that_answers_is_a_way_to_a_proof(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_AGENT, false, 0},
                                              {FENCE_POWER, false, 0}};
    static struct explanation why;
    const struct condition *c = NULL;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    with_levels(2, turns);
    world_pass_ms(&w, 3000);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_decide(&w), "");
    observe_fencer(&w.o, &w.s, "ipmi-east", "no answer from 10.0.0.9");
    assert_string_equal(world_decide(&w), "");
    explain(&w.s, &w.o, 0, w.now, &why);
    for (unsigned i = 0; i < why.count; i++)
        if (strcmp(why.list[i].name, "fencer-pg-east") == 0)
            c = &why.list[i];
    assert_true(c != NULL && !c->holds && c->remedy[0] != '\0' &&
                strstr(c->value, "no answer from 10.0.0.9") != NULL);
    observe_fencer(&w.o, &w.s, "ipmi-east", NULL);
    assert_string_equal(world_step(&w), "silent-holder");
}

/* The host was started anew, and an expiry proves nothing in this group: what its former
 * life holds ends with its power alone. Without a fencer no fence is begun that nobody
 * could end (I11); with one the fence is, and its own host is switched off for itself. */
static void a_former_life_is_ended_by_its_hosts_power(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_AGENT, false, 500},
                                              {FENCE_POWER, false, 0}};
    uint8_t instance = NO_INSTANCE;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    with_levels(2, turns);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    world_pass_ms(&w, 3000);
    world_report(&w, EAST, SERVER_DOWN);
    assert_string_not_equal(world_decide(&w), "silent-holder");
    observe_fencer(&w.o, &w.s, "ipmi-east", NULL);
    assert_string_equal(world_step(&w), "silent-holder");
    world_pass_ms(&w, 500);
    world_report(&w, EAST, SERVER_DOWN);
    assert_int_equal(orders_of_power(&instance), 1);
    assert_int_equal(instance, EAST);
    off(EAST, 1);
    assert_string_equal(world_step(&w), "proof-by-power");
}

/* Another fencer was declared since: the word of the one before is not its own. */
static void a_fencers_word_is_its_own(void **state)
{
    static const struct fence_turn turns[] = {{FENCE_POWER, false, 0}};

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    with_levels(1, turns);
    observe_fencer(&w.o, &w.s, "ipmi-east", NULL);
    world_pass_ms(&w, 3000);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_decide(&w), "silent-holder");
    snprintf(world_group(&w)->instances[EAST].power, NAME_SIZE, "ilo-east");
    assert_string_equal(world_decide(&w), "");
}

/* A declaration that could never be carried out is refused, in words. */
static void a_declaration_names_levels_and_fencers_together(void **state)
{
    static const struct {
        const char *name;
        uint8_t fence, turns[2];
        bool fencer;
        enum refusal expected;
    } table[] =
        {
            {"both", FENCE_AGENT | FENCE_POWER, {FENCE_AGENT, FENCE_POWER}, true, ACCEPTED},
            {"no fencer",
             FENCE_AGENT | FENCE_POWER,
             {FENCE_AGENT, FENCE_POWER},
             false,
             REFUSE_INVALID},
            {"no level", FENCE_AGENT, {FENCE_AGENT, 0}, true, REFUSE_INVALID},
            {"one level twice",
             FENCE_AGENT | FENCE_POWER,
             {FENCE_POWER, FENCE_POWER},
             true,
             REFUSE_INVALID},
            {"an order without one of them",
             FENCE_AGENT | FENCE_POWER,
             {FENCE_POWER, 0},
             true,
             REFUSE_INVALID},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry e = entry_of(ENTRY_DECLARE);
        struct policy *p = &e.declare.spec.policy;
        enum refusal got;

        world_steady(&w, SYNC_REQUIRED);
        e.declare.spec = *world_group(&w);
        p->fence = row->fence;
        p->fence_turn_count = row->turns[1] != 0 ? 2 : 1;
        p->fence_turns[0] = (struct fence_turn){.level = row->turns[0]};
        p->fence_turns[1] = (struct fence_turn){.level = row->turns[1]};
        if (row->fencer)
            snprintf(e.declare.spec.instances[EAST].power, NAME_SIZE, "ipmi-east");
        got = world_apply(&w, &e);
        if (got != row->expected)
            fail_msg("%s: %s (%s)", row->name, refusal_name(got), w.result.text);
        if (got == ACCEPTED)
            assert_string_equal(world_group(&w)->instances[EAST].power, "ipmi-east");
        else
            assert_true(w.result.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_have_their_turn),
        cmocka_unit_test(power_is_cut_in_turn_and_once),
        cmocka_unit_test(no_host_is_switched_off_for_nobody),
        cmocka_unit_test(a_power_proof_is_of_holder_component_and_fence),
        cmocka_unit_test(a_holder_that_was_off_stays_proven_when_it_returns),
        cmocka_unit_test(a_life_without_a_lease_proves_nothing_of_the_next_one),
        cmocka_unit_test(an_order_of_before_is_not_offered),
        cmocka_unit_test(a_fencer_that_answers_is_a_way_to_a_proof),
        cmocka_unit_test(a_former_life_is_ended_by_its_hosts_power),
        cmocka_unit_test(a_fencers_word_is_its_own),
        cmocka_unit_test(a_declaration_names_levels_and_fencers_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
