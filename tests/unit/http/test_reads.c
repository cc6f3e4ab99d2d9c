/* controller/http/reads.h: a read is answered when it is known that who answers leads. */
#include <stdio.h>
#include <string.h>

#include "controller/http/reads.h"
#include "controller/http/route.h"
#include "tests/unit/http/served.h"

/* Whatever the leader tells waits for its barrier; what is changed is committed anyway,
 * what only this controller knows is nobody else's, and a stale answer waits for nothing.
 */
static void what_the_leader_tells_is_confirmed(void **state)
{
    static const struct {
        const char *method, *path;
        unsigned confirms;
    } table[] = {
        {"GET", "/api/v1/status", 1},
        {"GET", "/api/v1/groups/orders", 1},
        {"GET", "/api/v1/groups/orders/why", 1},
        {"GET", "/api/v1/proposals", 1},
        {"GET", "/api/v1/users", 1},
        {"GET", "/api/v1/whoami", 1},
        {"GET", "/api/v1/version", 0},
        {"GET", "/api/v1/rules", 0},
        {"GET", "/api/v1/doctor", 0},
        {"GET", "/api/v1/audit/rows/1", 0},
        {"GET", "/api/v1/status?stale=ok", 0},
        {"GET", "/api/v1/groups/orders?stale=ok", 0},
        {"GET", "/api/v1/groups/orders/why?stale=ok", 0},
        {"POST", "/api/v1/groups/orders/pause", 0},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        b.confirms = 0;
        assert_int_equal(ask(table[i].method, table[i].path, NULL), 200);
        if (b.confirms != table[i].confirms)
            fail_msg("%s: %u barriers", table[i].path, b.confirms);
    }
    b.confirms = 0;
    (void)ask("POST", "/api/v1/groups?dry=1", "{\"group\":\"orders\"}");
    assert_int_equal(b.confirms, 1);
}

/* A leader that was deposed, or that nobody confirms, tells nothing that may be old; it
 * does so where it is asked for that, and says how old. */
static void who_does_not_lead_tells_nothing(void **state)
{
    (void)state;
    b.confirm_status = ERR_UNKNOWN;
    assert_int_equal(ask("GET", "/api/v1/status", NULL), 503);
    assert_true(says("\"code\":\"no-leader\""));
    b.confirm_code = ERR_NOTLEADER;
    assert_int_equal(ask("GET", "/api/v1/groups/orders", NULL), 503);
    assert_true(says("\"code\":\"no-leader\""));
    b.confirm_code = 0;
    b.confirm_never = true;
    assert_int_equal(ask("GET", "/api/v1/groups/orders/why", NULL), 503);
    assert_true(says("\"code\":\"not-confirmed\""));
    assert_true(says("?stale=ok"));
    b.age_ms = 1700;
    b.state.applied = 812;
    assert_int_equal(ask("GET", "/api/v1/status?stale=ok", NULL), 200);
    assert_true(says("\"stale\":true,\"age_ms\":1700"));
    assert_int_equal(ask("GET", "/api/v1/groups/orders/why?stale=ok", NULL), 200);
    assert_true(says("\"stale\":true,\"age_ms\":1700"));
}

/* Nobody who may not read puts an entry into the log. */
static void strangers_make_no_barrier(void **state)
{
    (void)state;
    served_headers[0] = "Authorization: Bearer rf_nobody_x";
    assert_int_equal(ask("GET", "/api/v1/status", NULL), 401);
    assert_int_equal(b.confirms, 0);
}

static void keep(void *owner, unsigned status, const void *body, size_t len)
{
    unsigned *answers = owner;

    (void)body;
    (void)len;
    assert_int_equal(status, 200);
    (*answers)++;
}

static void ask_within(unsigned *answers)
{
    static const struct caller root = {.kind = CALLER_SOCKET, .name = "root"};
    const struct api_request r = {
        .method = "GET", .path = "/api/v1/status", .caller = &root};

    api_serve(b.served, &r, keep, answers);
}

/* Many readers share one entry, and one that comes while it is under way, and cannot know
 * whether it was submitted before, waits for the next one. */
static void readers_share_a_barrier(void **state)
{
    enum { MANY = 100 };
    unsigned answers = 0, late = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        ask_within(&answers); /* the first makes one, the others come too late for it */
    assert_int_equal(b.confirms, 1);
    while (answers == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    assert_int_equal(answers, 1);
    assert_int_equal(b.confirms, 2); /* for all that had come by then */
    ask_within(&late);
    while (answers < MANY || late == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    assert_int_equal(b.confirms, 3);
}

/* Who asks all the time gets so many entries, and no more. */
static void a_polling_screen_does_not_fill_the_log(void **state)
{
    enum { MANY = 3 * READS_BURST };
    struct mono begun = mono_now();
    unsigned answers = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        ask_within(&answers);
        while (answers <= i)
            uv_run(&b.loop, UV_RUN_ONCE);
    }
    assert_int_equal(b.confirms, MANY);
    assert_true(mono_since_ms(begun, mono_now()) >=
                (MANY - READS_BURST - 1) * READS_EACH_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(what_the_leader_tells_is_confirmed),
        SERVED(who_does_not_lead_tells_nothing),
        SERVED(strangers_make_no_barrier),
        SERVED(readers_share_a_barrier),
        SERVED(a_polling_screen_does_not_fill_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
