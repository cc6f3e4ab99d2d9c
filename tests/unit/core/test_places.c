/* I1: no server in two groups, however the second one turns up. What would break it is held
 * or refused, with words and an exit; it never reaches a state that stops a controller. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

enum { CLONED = 77, FOREIGN = 5, BILL_EAST = 0, BILL_WEST = 1 };

static const char *const bill_agents[] = {"bill-east", "bill-west"};

static enum refusal enrol_at(unsigned agent, uint8_t number, const char *address)
{
    struct entry e = entry_of(ENTRY_ENROL);
    struct agent *a = &e.enrol.agent;

    e.group[0] = '\0';
    snprintf(a->name, sizeof a->name, "%s", bill_agents[agent]);
    snprintf(a->region, sizeof a->region, "%s", agent == BILL_EAST ? "east" : "west");
    snprintf(a->address, sizeof a->address, "%s", address);
    a->format_min = a->format_max = 1;
    a->incarnation = life((uint8_t)(10 + agent), number);
    if (state_agent(&w.s, a->name) != NULL)
        a->former = state_agent(&w.s, a->name)->incarnation;
    return world_apply(&w, &e);
}

/* The group `bill` on two more hosts, with the data directory that `orders` has on its own:
 * servers that were cloned from one image. */
static void declare_bill(void)
{
    struct entry e = entry_of(ENTRY_DECLARE);

    assert_int_equal(enrol_at(BILL_EAST, 1, "10.0.3.2"), ACCEPTED);
    assert_int_equal(enrol_at(BILL_WEST, 1, "10.0.4.2"), ACCEPTED);
    e.declare.spec = *world_group(&w);
    snprintf(e.group, sizeof e.group, "bill");
    snprintf(e.declare.spec.name, NAME_SIZE, "bill");
    for (unsigned i = 0; i < 2; i++) {
        snprintf(e.declare.spec.instances[i].agent, NAME_SIZE, "%s", bill_agents[i]);
        e.declare.spec.instances[i].system_id = 0;
    }
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

static struct group *bill(void) { return state_group(&w.s, "bill"); }

static struct entry of_bill(enum entry_kind kind)
{
    struct entry e = entry_of(kind);

    snprintf(e.group, sizeof e.group, "bill");
    return e;
}

static void prove_bill_west(void)
{
    struct entry e = of_bill(ENTRY_PROOF);

    e.proof = (struct entry_proof){.instance = BILL_WEST,
                                   .kind = PROOF_INSTALLED,
                                   .epoch = bill()->epoch,
                                   .fence_index = bill()->index,
                                   .prover = life(10 + BILL_WEST, 1)};
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

/* Activated and leased; its LEAD is under way. */
static void lead_bill(void)
{
    struct entry activate = of_bill(ENTRY_ACTIVATE), renew = of_bill(ENTRY_RENEW);
    struct entry lead = of_bill(ENTRY_STEP_START);
    struct renew_item *item = &renew.renew.items[0];

    activate.activate.epoch = 1;
    assert_int_equal(world_apply(&w, &activate), ACCEPTED);
    renew.renew.count = 1;
    snprintf(item->group, NAME_SIZE, "bill");
    item->kind = LEASE_WRITE;
    item->epoch = 1;
    item->incarnation = life(10 + BILL_EAST, 1);
    assert_int_equal(world_apply(&w, &renew), ACCEPTED);
    assert_int_equal(w.result.verdicts[0], ACCEPTED);
    lead.step_start =
        (struct entry_step_start){.kind = STEP_LEAD, .epoch = 1, .subject = NO_INSTANCE};
    assert_int_equal(world_apply(&w, &lead), ACCEPTED);
}

static enum refusal end_lead(uint64_t system_id)
{
    struct entry end = of_bill(ENTRY_STEP_END);

    end.step_end.step = bill()->instances[BILL_EAST].step.id;
    end.step_end.done = true;
    end.step_end.system_id = system_id;
    return world_apply(&w, &end);
}

static void see_bill(uint8_t instance, enum server_state server, uint64_t system_id)
{
    struct seen_instance seen = {.at = w.now,
                                 .said = w.now,
                                 .taken = w.now,
                                 .latest = w.now,
                                 .epoch = bill()->epoch,
                                 .server = server,
                                 .private_socket = true,
                                 .system_id = system_id};

    observe_report(&w.o, &w.s, (uint8_t)(bill() - w.s.groups), instance, &seen);
}

static const char *rule_for_bill(void)
{
    decide(&w.s, &w.o, w.now, &w.actions);
    for (unsigned i = 0; i < w.actions.count; i++)
        if (w.actions.list[i].kind == ACT_PROPOSE &&
            w.actions.list[i].group == bill() - w.s.groups)
            return w.actions.list[i].rule;
    return "";
}

static const struct condition *why_bill(const char *name, struct explanation *why)
{
    explain(&w.s, &w.o, (uint8_t)(bill() - w.s.groups), w.now, why);
    for (unsigned i = 0; i < why->count; i++)
        if (strcmp(why->list[i].name, name) == 0)
            return &why->list[i];
    return NULL;
}

/* Seen before it is led: the group forms on, says why, and can be let go. */
static void a_cloned_server_is_not_activated(void **state)
{
    static struct explanation why;
    struct entry detach = of_bill(ENTRY_DETACH), remove = of_bill(ENTRY_REMOVE);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    declare_bill();
    prove_bill_west();
    see_bill(BILL_WEST, SERVER_ABSENT, 0);
    see_bill(BILL_EAST, SERVER_DOWN, CLONED);
    assert_string_equal(rule_for_bill(), "");
    assert_true(why_bill("one-group", &why)->blocks);
    assert_non_null(strstr(why_bill("one-group", &why)->value, "orders"));
    assert_non_null(strstr(why.verdict, "one-group"));
    see_bill(BILL_EAST, SERVER_DOWN, CLONED + 1);
    assert_string_equal(rule_for_bill(), "activate-declared");
    assert_false(why_bill("one-group", &why)->blocks);
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_apply(&w, &remove), ACCEPTED);
}

/* Learnt only by the step itself: recorded, as a failure that says why; nothing is opened
 * and no invariant breaks (world_apply() asserts them). Once the other group is gone, the
 * next try succeeds; a group whose first promotion cannot succeed can be let go as well. */
static void a_clone_found_by_a_step_fails_the_step(void **state)
{
    struct entry detach = entry_of(ENTRY_DETACH), remove = entry_of(ENTRY_REMOVE);
    struct entry opened, again, leave;
    const struct step *step;

    (void)state;
    for (int other_goes = 0; other_goes < 2; other_goes++) {
        world_steady(&w, SYNC_REQUIRED);
        declare_bill();
        prove_bill_west();
        lead_bill();
        assert_int_equal(end_lead(CLONED), ACCEPTED);
        step = &bill()->instances[BILL_EAST].step;
        assert_int_equal(step->state, STEP_FAILED);
        assert_int_equal(step->failures, 1);
        assert_non_null(strstr(step->text, "orders"));
        assert_int_equal(bill()->instances[BILL_EAST].system_id, 0);
        opened = of_bill(ENTRY_OPENED);
        opened.opened.epoch = 1;
        opened.opened.system_id = CLONED;
        assert_int_not_equal(world_apply(&w, &opened), ACCEPTED);
        if (!other_goes) {
            leave = of_bill(ENTRY_DETACH);
            assert_int_equal(world_apply(&w, &leave), ACCEPTED);
            continue;
        }
        assert_int_equal(world_apply(&w, &detach), ACCEPTED);
        assert_int_equal(world_apply(&w, &remove), ACCEPTED);
        again = of_bill(ENTRY_STEP_START);
        again.step_start = (struct entry_step_start){
            .kind = STEP_LEAD, .epoch = 1, .subject = NO_INSTANCE};
        assert_int_equal(world_apply(&w, &again), ACCEPTED);
        assert_int_equal(end_lead(CLONED), ACCEPTED);
        assert_int_equal(world_apply(&w, &opened), ACCEPTED);
    }
}

/* An agent that comes back, in either life, at the address of another group's host. */
static void an_address_of_another_groups_host_is_refused(void **state)
{
    struct entry other_port = of_bill(ENTRY_DECLARE);
    struct instance *instance;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    declare_bill();
    for (uint8_t number = 1; number <= 2; number++) {
        assert_int_equal(enrol_at(BILL_EAST, number, "10.0.1.2"), REFUSE_OTHER_GROUP);
        assert_non_null(strstr(w.result.text, "pg-east"));
        assert_non_null(strstr(w.result.text, "agent.yaml"));
        assert_string_equal(state_agent(&w.s, "bill-east")->address, "10.0.3.2");
    }
    assert_int_equal(enrol_at(BILL_EAST, 1, "10.0.9.2"), ACCEPTED);
    /* One host may serve two groups: another port and another directory. */
    other_port.declare.spec = *bill();
    other_port.declare.spec.instances[BILL_EAST].port = 5433;
    snprintf(other_port.declare.spec.instances[BILL_EAST].data, PATH_SIZE, "/srv/bill");
    memcpy(other_port.group, "bill2", 6);
    memcpy(other_port.declare.spec.name, "bill2", 6);
    w.s.group_count--;
    assert_int_equal(world_apply(&w, &other_port), ACCEPTED);
    /* I1: nor may it gate a port that is the other group's. */
    instance = &state_group(&w.s, "bill2")->instances[BILL_EAST];
    instance->also_count = 1;
    instance->also[0].port = world_group(&w)->instances[EAST].port;
    assert_int_equal(enrol_at(BILL_EAST, 1, "10.0.1.2"), REFUSE_OTHER_GROUP);
    instance->also_count = 0;
    assert_int_equal(enrol_at(BILL_EAST, 1, "10.0.1.2"), ACCEPTED);
}

static void see_adoptable(bool private_socket)
{
    world_report(&w, EAST, SERVER_PRIMARY);
    world_seen(&w)->instances[EAST].seen.private_socket = private_socket;
}

/* Design section 4: whoever can connect by a public socket passes by the gate, so a running
 * primary that has one is not taken over, until it has its own or the group accepts it. */
static void a_primary_with_a_public_socket_is_not_adopted(void **state)
{
    static struct explanation why;

    (void)state;
    for (int accepted = 0; accepted < 2; accepted++) {
        world_init(&w);
        world_declare(&w, SYNC_REQUIRED);
        world_group(&w)->adopt = true;
        assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
        world_report(&w, WEST, SERVER_ABSENT);
        see_adoptable(false);
        assert_string_equal(world_decide(&w), "");
        explain(&w.s, &w.o, 0, w.now, &why);
        assert_non_null(strstr(why.verdict, "private-socket"));
        world_group(&w)->policy.ungated_local = accepted;
        see_adoptable(!accepted);
        assert_string_equal(world_decide(&w), "activate-declared");
        explain(&w.s, &w.o, 0, w.now, &why);
        assert_null(strstr(why.verdict, "private-socket"));
    }
    /* A server that is down is started by its agent, with the agent's directory. */
    world_group(&w)->policy.ungated_local = false;
    world_report(&w, EAST, SERVER_DOWN);
    world_seen(&w)->instances[EAST].seen.private_socket = false;
    assert_string_equal(world_decide(&w), "activate-declared");
}

/* What no handler thought of is stopped at its proposer. */
static void a_dry_run_looks_at_the_invariants(void **state)
{
    static struct state scratch;
    struct apply_result r;
    struct entry e = entry_of(ENTRY_PAUSE);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    apply_dry(&w.s, &e, &scratch, &r);
    assert_int_equal(r.refusal, ACCEPTED);
    world_group(&w)->sync_set = 1u << WEST;
    apply_dry(&w.s, &e, &scratch, &r);
    assert_int_equal(r.refusal, REFUSE_INVALID);
    assert_non_null(strstr(r.text, "I8"));
}

/* East leads; west's directory held another cluster when it was first looked at. */
static struct instance *with_foreign_west(void)
{
    struct instance *west;

    world_steady(&w, SYNC_REQUIRED);
    west = &world_group(&w)->instances[WEST];
    west->system_id = 0;
    world_group(&w)->sync_set = 1u << EAST;
    world_report(&w, WEST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "follow-active");
    world_outcome(&w, WEST, false);
    world_seen(&w)->instances[WEST].outcome.system_id = FOREIGN;
    assert_string_equal(world_step(&w), "record-outcome");
    assert_true(west->system_id == FOREIGN);
    world_pass_ms(&w, 60000);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_ABSENT);
    assert_string_equal(world_step(&w), "follow-active");
    return west;
}

static bool west_can_lead(void)
{
    static struct explanation why;

    explain(&w.s, &w.o, 0, w.now, &why);
    for (unsigned i = 0; i < why.count; i++)
        if (strcmp(why.list[i].name, "candidate-pg-west") == 0)
            return why.list[i].holds;
    fail_msg("west is no candidate at all");
    return false;
}

/* Moved away, and the primary copied there instead: it is the primary's server now. Nothing
 * but a copy of the primary that was finished says so. */
static void a_finished_copy_has_the_primarys_identifier(void **state)
{
    static const struct {
        bool done;
        uint64_t seen, then;
    } table[] = {
        {true, CLONED, CLONED},
        {false, CLONED, FOREIGN},
        {true, FOREIGN + 1, FOREIGN},
        {true, 0, FOREIGN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct instance *west = with_foreign_west();

        world_outcome(&w, WEST, table[i].done);
        world_seen(&w)->instances[WEST].outcome.system_id = table[i].seen;
        assert_string_equal(world_step(&w), "record-outcome");
        assert_true(west->system_id == table[i].then);
        world_report(&w, WEST, SERVER_STANDBY);
        assert_false(west_can_lead()); /* no member yet */
        assert_string_equal(world_step(&w), "join-standby");
        world_outcome(&w, EAST, true);
        assert_string_equal(world_step(&w), "record-outcome");
        assert_true(west->system_id == table[i].then);
        assert_string_equal(world_step(&w), "join-flushed-member");
        assert_true(west->system_id == CLONED); /* it has flushed the primary's log */
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_STANDBY);
        assert_true(west_can_lead());
        /* And no word of an agent makes another server a candidate. */
        world_seen(&w)->instances[WEST].seen.system_id = FOREIGN;
        assert_false(west_can_lead());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_copy_has_the_primarys_identifier),
        cmocka_unit_test(a_cloned_server_is_not_activated),
        cmocka_unit_test(a_clone_found_by_a_step_fails_the_step),
        cmocka_unit_test(an_address_of_another_groups_host_is_refused),
        cmocka_unit_test(a_primary_with_a_public_socket_is_not_adopted),
        cmocka_unit_test(a_dry_run_looks_at_the_invariants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
