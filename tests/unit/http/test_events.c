/* The audit trail as Server-Sent Events. */
#include "tests/unit/http/served.h"

#include <string.h>

/* Who comes back gets what he has not seen, and nothing twice; who comes for the first time
 * gets what comes from now on. */
static void events_are_resumed(void **state)
{
    (void)state;
    assert_int_equal(ask_with(NULL, "GET", "/api/v1/events", 400), 200);
    assert_string_equal(call.type, "text/event-stream");
    assert_true(says(": the audit trail\nretry: 1000\n\n"));
    assert_null(strstr(call.text, "data:"));
    assert_int_equal(ask_with("Last-Event-ID: 1", "GET", "/api/v1/events", 400), 200);
    assert_true(says("\n\nid: 2\ndata: {\"seq\":2,"));
    assert_true(says("}\n\n"));
    assert_null(strstr(call.text, "id: 1\n"));
    assert_int_equal(ask_with(NULL, "GET", "/api/v1/events?after=0", 400), 200);
    assert_true(says("id: 1\n"));
    assert_int_equal(ask_with("Last-Event-ID: x", "GET", "/api/v1/events", 400), 400);
    assert_true(says("Last-Event-ID: the id of an event"));
    assert_int_equal(ask_with(NULL, "GET", "/api/v1/events?group=nope", 400), 404);
    b.log_rows = 2500;
    assert_int_equal(ask_with("Last-Event-ID: 100", "GET", "/api/v1/events", 6000), 200);
    assert_true(says("id: 101\n"));
    assert_true(says("id: 2500\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {SERVED(events_are_resumed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
