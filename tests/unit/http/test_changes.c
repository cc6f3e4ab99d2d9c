/* What those who follow the status are told of: changes, and each of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/http/status.h"
#include "tests/unit/http/shown.h"

static void followers_are_told_of_changes_only(void **state)
{
    uint64_t before = status_fingerprint(&f, now);

    (void)state;
    o.groups[0].instances[1].seen.flush_lsn++;
    o.groups[0].instances[1].seen.lease_margin_ms--;
    assert_true(status_fingerprint(&f, now) == before);
    s.groups[0].index++;
    assert_true(status_fingerprint(&f, now) != before);
    s.groups[0].index--;
    assert_true(status_fingerprint(&f, now) == before);
    o.agents[1].guard = SEEN_GUARD_DOWN;
    assert_true(status_fingerprint(&f, now) != before);
    o.agents[1].guard = SEEN_GUARD_UP;
    o.agents[0].connected = true;
    assert_true(status_fingerprint(&f, now) != before);
}

/* That severing would not work any more, or for another reason, is a change by itself. */
static void followers_are_told_of_severing(void **state)
{
    struct group *g = &s.groups[0];
    struct seen_instance *east = &o.groups[0].instances[0].seen;
    uint64_t before, other;

    (void)state;
    g->policy.sync = SYNC_REQUIRED;
    g->policy.no_async_writers = true;
    g->policy.fence = FENCE_AGENT | FENCE_SYNC_SEVERED | FENCE_LEASE_EXPIRY;
    g->sync_set = 3;
    o.agents[0].connected = true;
    east->at = east->said = ago_ms(20);
    before = status_fingerprint(&f, now);
    g->sync_set = 2;
    other = status_fingerprint(&f, now);
    assert_true(other != before);
    g->sync_set = 3;
    assert_true(status_fingerprint(&f, now) == before);
    east->said = ago_ms(9000);
    assert_true(status_fingerprint(&f, now) != before);
    assert_true(status_fingerprint(&f, now) != other);
}

static json_t *shown_guard(unsigned agent)
{
    json_t *document = status_document(&f, now, 1795000000123, false);
    json_t *agents = json_object_get(document, "agents"), *copy;

    copy = json_deep_copy(json_object_get(json_array_get(agents, agent), "guard"));
    json_decref(document);
    return copy;
}

/* What an agent said before it fell silent is what was. */
static void a_guard_is_shown_as_its_agent_says(void **state)
{
    static const struct {
        enum seen_guard guard;
        const char *name;
    } table[] = {{SEEN_GUARD_OFF, "off"}, {SEEN_GUARD_DOWN, "down"}, {SEEN_GUARD_UP, "up"}};
    json_t *shown;

    (void)state;
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        o.agents[1].guard = table[i].guard;
        shown = shown_guard(1);
        assert_string_equal(json_string_value(shown), table[i].name);
        json_decref(shown);
    }
    o.agents[1].connected = false;
    shown = shown_guard(1);
    assert_true(json_is_null(shown));
    json_decref(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(followers_are_told_of_changes_only, setup),
        cmocka_unit_test_setup(followers_are_told_of_severing, setup),
        cmocka_unit_test_setup(a_guard_is_shown_as_its_agent_says, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
