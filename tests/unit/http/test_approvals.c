/* `approvals` of a document there and back; proposals at the API, against a pretended log.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "controller/core/actor.h"
#include "controller/http/document_private.h"
#include "tests/unit/http/served.h"

static int read_policy(const char *text, struct policy *p, struct err *err)
{
    json_t *list = json_loads(text, 0, NULL);
    int status;

    assert_non_null(list);
    memset(p, 0, sizeof *p);
    status = document_read_approvals(list, p, err);
    json_decref(list);
    return status;
}

/* What is written is what was read. */
static void they_are_read_and_written_back(void **state)
{
    static const char text[] =
        "[{\"days\": \"mon-fri\", \"hours\": \"09:00-18:00\", \"timezone\": \"+01:00\", "
        "\"need\": [\"operator\", \"approver\"], \"inform\": [\"admin\"], \"expires\": "
        "\"2h\"}, {\"days\": \"sat-mon\", \"hours\": \"22:00-06:00\", \"timezone\": "
        "\"-05:30\", \"need\": [\"admin\"], \"expires\": \"30min\"}, {\"need\": "
        "[\"operator\"], \"expires\": \"30min\"}]";
    struct policy p, again;
    struct err err = {0};
    json_t *out;
    char *dumped;

    (void)state;
    assert_int_equal(read_policy(text, &p, &err), 0);
    assert_int_equal(p.window_count, 3);
    assert_int_equal(p.windows[0].days, 0x1f);
    assert_int_equal(p.windows[0].from_min, 540);
    assert_int_equal(p.windows[0].to_min, 1080);
    assert_int_equal(p.windows[0].zone, ZONE_ZERO + 60);
    assert_int_equal(p.windows[0].need_count, 2);
    assert_int_equal(p.windows[0].need[1].role, ROLE_APPROVER);
    assert_int_equal(p.windows[0].inform, ROLE_ADMIN);
    assert_int_equal(p.windows[0].expires_ms, 7200000);
    assert_int_equal(p.windows[1].days, 0x61);
    assert_int_equal(p.windows[1].zone, ZONE_ZERO - 330);
    assert_int_equal(p.windows[2].days, 0);
    out = document_approvals(&p);
    dumped = json_dumps(out, 0);
    assert_int_equal(read_policy(dumped, &again, &err), 0);
    assert_memory_equal(&p, &again, sizeof p);
    free(dumped);
    json_decref(out);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *said;
    } table[] = {
        {"[{\"need\": [\"viewer\"]}]", "approvals: `need` takes operator"},
        {"[{\"need\": [\"boss\"]}]", "approvals[0].need[0]: \"boss\""},
        {"[{\"need\": []}]", "approvals[0].need: has 0"},
        {"[{}]", "approvals[0].need"},
        {"[{\"days\": \"mon-fri\", \"need\": [\"operator\"]}]", "the last one must have"},
        {"[{\"need\": [\"operator\"]}, {\"need\": [\"operator\"]}]",
         "only the last one may be without days"},
        {"[{\"days\": \"monday\", \"need\": [\"operator\"]}]", "approvals[0].days"},
        {"[{\"hours\": \"9-18\", \"need\": [\"operator\"]}]", "approvals[0].hours"},
        {"[{\"hours\": \"09:00-25:00\", \"need\": [\"operator\"]}]", "approvals[0].hours"},
        {"[{\"timezone\": \"cet\", \"need\": [\"operator\"]}]", "approvals[0].timezone"},
        {"[{\"expires\": \"30\", \"need\": [\"operator\"]}]", "approvals[0].expires"},
        {"[{\"expires\": \"10d\", \"need\": [\"operator\"]}]", "one second to seven days"},
        {"[{\"who\": 1, \"need\": [\"operator\"]}]", "who"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = {0};
        struct policy p;

        if (read_policy(table[i].text, &p, &err) == 0 ||
            strstr(err.text, table[i].said) == NULL)
            fail_msg("%s: '%s'", table[i].text, err.text);
    }
}

/* ---- the API ---------------------------------------------------------------------------
 */

static struct proposal *remember(uint64_t id, enum proposal_state in)
{
    struct proposal *p = &b.state.proposals[b.state.proposal_count++];

    *p = (struct proposal){
        .id = id, .asked = id, .kind = PROPOSAL_FAILOVER, .state = in, .need_count = 1};
    p->need[0].role = ROLE_APPROVER;
    snprintf(p->group, NAME_SIZE, "orders");
    snprintf(p->by, NAME_SIZE, "anna");
    snprintf(p->reason, TEXT_SIZE, "the region burns");
    return p;
}

/* Where others have to agree it is proposed instead of begun; else all is as it was. */
static void a_move_is_proposed_where_others_have_to_agree(void **state)
{
    struct policy *p = &b.state.groups[0].policy;

    (void)state;
    p->window_count = 1;
    p->windows[0] = (struct approval_window){.zone = ZONE_ZERO, .need_count = 1};
    p->windows[0].need[0].role = ROLE_OPERATOR;
    assert_int_equal(
        ask("POST", "/api/v1/groups/orders/failover",
            "{\"to\":\"r1\",\"reason\":\"it burns\",\"even_if_healthy\":true}"),
        200);
    assert_int_equal(b.proposed.kind, ENTRY_PROPOSE);
    assert_int_equal(b.proposed.propose.kind, PROPOSAL_FAILOVER);
    assert_string_equal(b.proposed.propose.reason, "it burns");
    assert_int_equal(b.proposed.propose.epoch, 3);
    assert_int_equal(b.proposed.actor.kind, ACTOR_SOCKET);
    assert_false(b.failover_wanted);
    assert_int_equal(
        ask("POST", "/api/v1/groups/orders/failover", "{\"even_if_healthy\":true}"), 400);
    assert_true(says("reason: is missing"));
}

static void what_is_open_is_listed(void **state)
{
    (void)state;
    remember(41, PROPOSED_OPEN);
    remember(42, PROPOSED_DONE);
    assert_int_equal(ask("GET", "/api/v1/proposals", NULL), 200);
    assert_true(says("\"id\":42"));
    assert_true(says("\"missing\":[\"approver\"]"));
    assert_true(says("\"reason\":\"the region burns\""));
    assert_int_equal(ask("GET", "/api/v1/status", NULL), 200);
    assert_true(says("\"id\":41"));
    assert_false(says("\"id\":42"));
}

/* An approval names what its author has seen, or what is there now. */
static void who_approves_says_what_he_has_seen(void **state)
{
    (void)state;
    remember(41, PROPOSED_STALE)->asked = 60;
    assert_int_equal(ask("POST", "/api/v1/proposals/41/approve", "{}"), 200);
    assert_int_equal(b.proposed.kind, ENTRY_APPROVE);
    assert_int_equal(b.proposed.proposal.id, 41);
    assert_int_equal(b.proposed.proposal.seen, 60);
    assert_string_equal(b.proposed.group, "orders");
    assert_int_equal(ask("POST", "/api/v1/proposals/41/approve", "{\"seen\":41}"), 200);
    assert_int_equal(b.proposed.proposal.seen, 41);
    assert_int_equal(ask("POST", "/api/v1/proposals/9/approve", "{}"), 404);
    assert_int_equal(ask("POST", "/api/v1/proposals/x/approve", "{}"), 400);
    assert_int_equal(ask("POST", "/api/v1/proposals/41/reject", "{\"reason\":\"no\"}"),
                     200);
    assert_int_equal(b.proposed.kind, ENTRY_REJECT);
    assert_int_equal(ask("POST", "/api/v1/proposals/41/abort", "{}"), 200);
    assert_int_equal(b.proposed.kind, ENTRY_WITHDRAW);
    /* By the number that was printed, like a run. */
    assert_int_equal(ask("POST", "/api/v1/runs/41/abort", "{}"), 200);
    assert_int_equal(b.proposed.kind, ENTRY_WITHDRAW);
}

static void one_of_dead_and_loss_is_attested(void **state)
{
    const char *agent = b.state.groups[0].instances[0].agent;
    char body[200];

    (void)state;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/attest", "{\"reason\":\"x\"}"),
                     400);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/attest",
                         "{\"dead\":\"nobody\",\"reason\":\"x\"}"),
                     404);
    b.state.agent_count = 0; /* nobody answers there */
    snprintf(body, sizeof body, "{\"dead\":\"%s\",\"reason\":\"the host is off\"}", agent);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/attest", body), 200);
    assert_int_equal(b.proposed.propose.kind, PROPOSAL_ATTEST_DEAD);
    assert_string_equal(b.proposed.propose.target, agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_read_and_written_back),
        cmocka_unit_test(what_is_wrong_is_named),
        SERVED(a_move_is_proposed_where_others_have_to_agree),
        SERVED(what_is_open_is_listed),
        SERVED(who_approves_says_what_he_has_seen),
        SERVED(one_of_dead_and_loss_is_attested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
