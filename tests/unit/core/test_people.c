/* controller/core/people.h: what entries about users do, and each refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "controller/core/apply.h"
#include "controller/core/people.h"

static struct state s;
static uint64_t wall;

static enum refusal play(struct entry *e)
{
    static struct state scratch;
    struct apply_result r, dry;

    e->wall_ms = wall;
    apply_dry(&s, e, &scratch, &dry);
    apply(&s, s.applied + 1, e, &r);
    assert_int_equal(dry.refusal, r.refusal);
    assert_true((r.refusal == ACCEPTED) == (r.text[0] == '\0'));
    return r.refusal;
}

static enum refusal set(const char *name, uint8_t roles, const char *group)
{
    struct entry e = {.kind = ENTRY_USER_SET, .user_set = {.roles = roles}};

    snprintf(e.user_set.name, NAME_SIZE, "%s", name);
    if (group != NULL)
        snprintf(e.user_set.groups[e.user_set.group_count++], NAME_SIZE, "%s", group);
    return play(&e);
}

static enum refusal named(enum entry_kind kind, const char *name)
{
    struct entry e = {.kind = kind};

    snprintf(e.user.name, NAME_SIZE, "%s", name);
    return play(&e);
}

static enum refusal token(const char *name, uint8_t byte)
{
    struct entry e = {.kind = ENTRY_USER_TOKEN};

    snprintf(e.user_token.name, NAME_SIZE, "%s", name);
    memset(e.user_token.hash, byte, TOKEN_HASH_SIZE);
    return play(&e);
}

static enum refusal revoke(const char *name, uint64_t id)
{
    struct entry e = {.kind = ENTRY_USER_REVOKE, .user_revoke = {.token = id}};

    snprintf(e.user_revoke.name, NAME_SIZE, "%s", name);
    return play(&e);
}

static enum refusal enrol(const char *name)
{
    struct entry e = {.kind = ENTRY_USER_TOTP, .user_totp = {.recovery_count = 2}};

    snprintf(e.user_totp.name, NAME_SIZE, "%s", name);
    memset(e.user_totp.seed, 7, SEED_SEALED_SIZE);
    for (unsigned i = 0; i < 2; i++)
        memset(e.user_totp.recovery[i].hash, 1 + (int)i, TOKEN_HASH_SIZE);
    return play(&e);
}

static enum refusal use(enum actor_factor factor, uint64_t step, uint8_t code)
{
    struct entry e = {.kind = ENTRY_FACTOR_USED,
                      .factor_used = {"anna", factor, step, code}};

    return play(&e);
}

static int setup(void **state)
{
    (void)state;
    state_init(&s, "lab");
    wall = 1795000000000;
    return set("anna", ROLE_OPERATOR, NULL) == ACCEPTED ? 0 : 1;
}

static void nobody_is_unknown_user(void **state)
{
    (void)state;
    assert_int_equal(named(ENTRY_USER_REMOVE, "ben"), REFUSE_UNKNOWN_USER);
    assert_int_equal(named(ENTRY_USER_UNLOCK, "ben"), REFUSE_UNKNOWN_USER);
    assert_int_equal(named(ENTRY_FACTOR_FAILED, "ben"), REFUSE_UNKNOWN_USER);
    assert_int_equal(token("ben", 1), REFUSE_UNKNOWN_USER);
    assert_int_equal(revoke("ben", 0), REFUSE_UNKNOWN_USER);
    assert_int_equal(enrol("ben"), REFUSE_UNKNOWN_USER);
    assert_int_equal(named(ENTRY_USER_REMOVE, "anna"), ACCEPTED);
    assert_int_equal(named(ENTRY_USER_REMOVE, "anna"), REFUSE_UNKNOWN_USER);
    assert_int_equal(use(FACTOR_TOTP, 5, 0), REFUSE_UNKNOWN_USER);
    assert_int_equal(s.user_count, 0);
}

/* Other roles leave tokens and second factor alone; another user's are nobody's. */
static void who_is_there_is_changed(void **state)
{
    const struct user *u = state_user(&s, "anna");

    (void)state;
    assert_int_equal(token("anna", 9), ACCEPTED);
    assert_int_equal(enrol("anna"), ACCEPTED);
    assert_int_equal(set("ben", ROLE_VIEWER, NULL), ACCEPTED);
    assert_int_equal(set("anna", ROLE_APPROVER, "orders"), ACCEPTED);
    assert_int_equal(s.user_count, 2);
    assert_int_equal(u->roles, ROLE_APPROVER);
    assert_int_equal(u->token_count, 1);
    assert_true(user_has_factor(u));
    assert_false(user_has_factor(state_user(&s, "ben")));
    assert_int_equal(named(ENTRY_USER_REMOVE, "anna"), ACCEPTED);
    assert_string_equal(s.users[0].name, "ben");
    assert_int_equal(set("anna", ROLE_VIEWER, NULL), ACCEPTED);
    assert_int_equal(state_user(&s, "anna")->token_count, 0);
}

static void no_role_is_no_user(void **state)
{
    (void)state;
    assert_int_equal(set("ben", 0, NULL), REFUSE_INVALID);
    assert_int_equal(set("ben", 16, NULL), REFUSE_INVALID);
    assert_int_equal(s.user_count, 1);
}

static void tables_are_bounded(void **state)
{
    char name[NAME_SIZE];

    (void)state;
    for (unsigned i = 1; i < USER_MAX; i++) {
        snprintf(name, sizeof name, "u%u", i);
        assert_int_equal(set(name, ROLE_VIEWER, NULL), ACCEPTED);
    }
    assert_int_equal(set("late", ROLE_VIEWER, NULL), REFUSE_FULL);
    assert_int_equal(set("anna", ROLE_ADMIN, NULL), ACCEPTED);
    for (uint8_t i = 0; i < USER_TOKENS_MAX; i++)
        assert_int_equal(token("anna", (uint8_t)(i + 1)), ACCEPTED);
    assert_int_equal(token("anna", 9), REFUSE_FULL);
}

static void tokens_are_revoked_by_id(void **state)
{
    const struct user *u = state_user(&s, "anna");
    uint64_t first, third;

    (void)state;
    for (uint8_t i = 1; i <= 3; i++)
        assert_int_equal(token("anna", i), ACCEPTED);
    first = u->tokens[0].id;
    third = u->tokens[2].id;
    assert_int_equal(third, s.applied);
    assert_int_equal(revoke("anna", u->tokens[1].id), ACCEPTED);
    assert_int_equal(u->token_count, 2);
    assert_int_equal(u->tokens[0].id, first);
    assert_int_equal(u->tokens[1].hash[0], 3);
    assert_int_equal(u->tokens[2].id, 0);
    assert_int_equal(revoke("anna", third + 1000), REFUSE_UNKNOWN_TOKEN);
    assert_int_equal(revoke("anna", 0), ACCEPTED);
    assert_int_equal(u->token_count, 0);
}

/* The second one of a step, and each of an earlier step, are refused, whoever leads. */
static void a_code_counts_once(void **state)
{
    (void)state;
    assert_int_equal(use(FACTOR_TOTP, 50, 0), REFUSE_NO_FACTOR);
    assert_int_equal(enrol("anna"), ACCEPTED);
    assert_int_equal(use(FACTOR_NONE, 50, 0), REFUSE_INVALID);
    assert_int_equal(use(FACTOR_TOTP, 50, 0), ACCEPTED);
    assert_int_equal(use(FACTOR_TOTP, 50, 0), REFUSE_CODE_USED);
    assert_int_equal(use(FACTOR_TOTP, 49, 0), REFUSE_CODE_USED);
    assert_int_equal(use(FACTOR_TOTP, 51, 0), ACCEPTED);
    assert_int_equal(enrol("anna"), ACCEPTED);
    assert_int_equal(use(FACTOR_TOTP, 51, 0), REFUSE_CODE_USED);
}

static void a_recovery_code_counts_once(void **state)
{
    const struct user *u = state_user(&s, "anna");

    (void)state;
    assert_int_equal(enrol("anna"), ACCEPTED);
    assert_int_equal(user_codes_left(u), 2);
    assert_int_equal(use(FACTOR_RECOVERY, 0, 1), ACCEPTED);
    assert_int_equal(use(FACTOR_RECOVERY, 0, 1), REFUSE_CODE_USED);
    assert_int_equal(use(FACTOR_RECOVERY, 0, 2), REFUSE_CODE_USED);
    assert_int_equal(user_codes_left(u), 1);
    assert_int_equal(use(FACTOR_RECOVERY, 0, 0), ACCEPTED);
    assert_int_equal(user_codes_left(u), 0);
}

static void guess_wrong(unsigned times)
{
    while (times-- > 0)
        assert_int_equal(named(ENTRY_FACTOR_FAILED, "anna"), ACCEPTED);
}

/* Five wrong ones lock for a quarter of an hour; the next five for half an hour. */
static void wrong_codes_lock(void **state)
{
    const struct user *u = state_user(&s, "anna");

    (void)state;
    assert_int_equal(enrol("anna"), ACCEPTED);
    guess_wrong(FACTOR_FAILURES_MAX - 1);
    assert_int_equal(use(FACTOR_TOTP, 50, 0), ACCEPTED); /* forgets the wrong ones */
    guess_wrong(FACTOR_FAILURES_MAX - 1);
    assert_false(user_is_locked(u, wall));
    guess_wrong(1);
    assert_int_equal(u->locked_until_ms, wall + FACTOR_LOCK_MS);
    assert_int_equal(use(FACTOR_TOTP, 51, 0), REFUSE_LOCKED);
    assert_int_equal(use(FACTOR_RECOVERY, 0, 0), REFUSE_LOCKED);
    assert_int_equal(named(ENTRY_FACTOR_FAILED, "anna"), REFUSE_LOCKED);
    wall += FACTOR_LOCK_MS;
    guess_wrong(FACTOR_FAILURES_MAX);
    assert_int_equal(u->locked_until_ms, wall + 2 * FACTOR_LOCK_MS);
    wall += 2 * FACTOR_LOCK_MS - 1;
    assert_int_equal(use(FACTOR_TOTP, 51, 0), REFUSE_LOCKED);
    wall++;
    assert_int_equal(use(FACTOR_TOTP, 51, 0), ACCEPTED);
    assert_int_equal(u->lockouts, 0);
}

/* However often: no shift beyond its width, and an end within a day (I11). */
static void locks_have_an_end_and_a_way_out(void **state)
{
    const struct user *u = state_user(&s, "anna");

    (void)state;
    assert_int_equal(enrol("anna"), ACCEPTED);
    for (unsigned i = 0; i < 50; i++) {
        guess_wrong(FACTOR_FAILURES_MAX);
        assert_true(u->locked_until_ms - wall <= 24ull * 3600 * 1000);
        wall = u->locked_until_ms;
    }
    guess_wrong(FACTOR_FAILURES_MAX);
    assert_int_equal(use(FACTOR_TOTP, 51, 0), REFUSE_LOCKED);
    assert_int_equal(named(ENTRY_USER_UNLOCK, "anna"), ACCEPTED);
    assert_int_equal(use(FACTOR_TOTP, 51, 0), ACCEPTED);
}

static void groups_limit_roles(void **state)
{
    const struct user *u = state_user(&s, "anna");

    (void)state;
    assert_int_equal(user_roles(u, "orders"), ROLE_OPERATOR);
    assert_int_equal(user_roles(u, ""), ROLE_OPERATOR);
    assert_int_equal(set("anna", ROLE_ADMIN, "orders"), ACCEPTED);
    assert_int_equal(user_roles(u, "orders"), ROLE_ADMIN);
    assert_int_equal(user_roles(u, "billing"), ROLE_VIEWER);
    assert_int_equal(user_roles(u, ""), ROLE_VIEWER);
}

static void roles_imply(void **state)
{
    (void)state;
    assert_true(role_allows(ROLE_ADMIN, ROLE_OPERATOR));
    assert_true(role_allows(ROLE_ADMIN, ROLE_APPROVER));
    assert_true(role_allows(ROLE_OPERATOR, ROLE_VIEWER));
    assert_true(role_allows(ROLE_APPROVER, ROLE_VIEWER));
    assert_false(role_allows(ROLE_OPERATOR, ROLE_APPROVER));
    assert_false(role_allows(ROLE_APPROVER, ROLE_OPERATOR));
    assert_false(role_allows(ROLE_VIEWER, ROLE_OPERATOR | ROLE_ADMIN));
    assert_false(role_allows(0, ROLE_VIEWER));
    assert_int_equal(role_of("operator"), ROLE_OPERATOR);
    assert_int_equal(role_of("root"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nobody_is_unknown_user, setup),
        cmocka_unit_test_setup(who_is_there_is_changed, setup),
        cmocka_unit_test_setup(no_role_is_no_user, setup),
        cmocka_unit_test_setup(tables_are_bounded, setup),
        cmocka_unit_test_setup(tokens_are_revoked_by_id, setup),
        cmocka_unit_test_setup(a_code_counts_once, setup),
        cmocka_unit_test_setup(a_recovery_code_counts_once, setup),
        cmocka_unit_test_setup(wrong_codes_lock, setup),
        cmocka_unit_test_setup(locks_have_an_end_and_a_way_out, setup),
        cmocka_unit_test_setup(groups_limit_roles, setup),
        cmocka_unit_test_setup(roles_imply, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
