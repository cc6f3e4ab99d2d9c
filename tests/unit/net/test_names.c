/* Names: what is known is used at once, whatever the resolver does. The resolver is the
 * test's (resolver.h), and so is the pace of the clock. */
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/net/names_bench.h"

/* ---- the first time ------------------------------------------------------------------ */

/* The first answer comes from the loop, with the port; the next is at hand. */
static void is_looked_up_once(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    resolver_says("10.0.0.1");
    assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
    until_told(&w, &a, 1);
    assert_int_equal(a.got.count, 1);
    assert_int_equal(v4(&a.got, 0), 0x0a000001);
    a.got.count = 0;
    assert_int_equal(ask(&w, &a, "east.test", &err), 0);
    assert_int_equal(v4(&a.got, 0), 0x0a000001);
    assert_int_equal(resolver_asked(), 1);
    end(&w);
}

/* Whoever waits for one name waits for one lookup. */
static void waiters_share_a_lookup(void **state)
{
    struct world w;
    struct asker a[3] = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    resolver_hangs();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ask(&w, &a[i], "east.test", &err), ERR_BUSY);
    resolver_until_asked(1);
    resolver_goes_on();
    for (unsigned i = 0; i < 3; i++)
        until_told(&w, &a[i], 1);
    assert_int_equal(resolver_asked(), 1);
    end(&w);
}

static void on_work(uv_work_t *req) { (void)req; }

static void after_work(uv_work_t *req, int status)
{
    struct asker *a = req->data;

    assert_int_equal(status, 0);
    a->told++;
}

/* With every name held up, libuv's pool is free, and one name more is refused. */
static void many_names_hang_side_by_side(void **state)
{
    struct world w;
    struct asker a[NAMES_MAX] = {0}, more = {0}, pool = {0};
    uv_work_t work = {.data = &pool};
    struct err err;
    char host[32];

    (void)state;
    begin(&w, false);
    resolver_hangs();
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        snprintf(host, sizeof host, "host-%u.test", i);
        assert_int_equal(ask(&w, &a[i], host, &err), ERR_BUSY);
    }
    resolver_until_asked(NAMES_MAX);
    assert_int_equal(resolver_waiting(), NAMES_MAX);
    assert_int_equal(uv_queue_work(&w.loop, &work, on_work, after_work), 0);
    until_told(&w, &pool, 1);
    assert_int_equal(ask(&w, &more, "one-more.test", &err), ERR_FULL);
    resolver_goes_on();
    for (unsigned i = 0; i < NAMES_MAX; i++)
        until_told(&w, &a[i], 1);
    assert_int_equal(ask(&w, &more, "one-more.test", &err), ERR_BUSY); /* there is room */
    until_told(&w, &more, 1);
    assert_int_equal(ask(&w, &a[1], "host-1.test", &err), 0);
    assert_int_equal(ask(&w, &a[0], "host-0.test", &err), ERR_BUSY); /* it was the oldest */
    until_told(&w, &a[0], 2);
    end(&w);
}

/* Who has no earlier answer waits for so long, and not again for the same lookup. */
static void the_first_wait_is_bounded(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    resolver_hangs();
    assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
    until_told(&w, &a, 1); /* by the clock: NAMES_OVERDUE_MS */
    assert_int_equal(a.why.code, ERR_TIMEOUT);
    assert_non_null(strstr(a.why.text, "look up east.test: no answer of the resolver for"));
    assert_non_null(strstr(a.why.text, "/etc/hosts"));
    assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
    until_told(&w, &a, 2);
    assert_int_equal(a.why.code, ERR_TIMEOUT);
    assert_int_equal(resolver_asked(), 1);
    assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
    resolver_says("10.0.0.1");
    resolver_goes_on();
    until_told(&w, &a, 3); /* too late once more, or just in time */
    while (ask(&w, &a, "east.test", &err) != 0)
        until_told(&w, &a, a.told + 1);
    assert_int_equal(v4(&a.got, 0), 0x0a000001);
    end(&w);
}

/* A failure is told with what it is, and the next who asks has it tried again. */
static void a_first_failure_is_told(void **state)
{
    static const struct {
        int eai, code;
        const char *words;
    } rows[] = {
        {EAI_AGAIN, ERR_IO, "look up east.test: Temporary failure in name resolution: "},
        {EAI_FAIL, ERR_IO, "look up east.test: Non-recoverable failure"},
        {EAI_NONAME, ERR_NOTFOUND, "look up east.test: Name or service not known: "},
        {EAI_MEMORY, ERR_NOMEM, "look up east.test: "},
    };
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        resolver_fails(rows[i].eai);
        assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
        until_told(&w, &a, i + 1);
        assert_int_equal(a.why.code, rows[i].code);
        assert_non_null(strstr(a.why.text, rows[i].words));
        assert_non_null(strstr(a.why.text, "/etc/resolv.conf"));
        assert_int_equal(resolver_asked(), i + 1);
    }
    assert_string_equal(logged, ""); /* who asked says it */
    end(&w);
}

/* All addresses are told in the resolver's order, of both families, up to a limit. */
static void has_all_addresses(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    know(&w, "east.test", "10.0.0.1 fd00::2 10.0.0.3");
    assert_int_equal(ask(&w, &a, "east.test", &err), 0);
    assert_int_equal(a.got.count, 3);
    assert_int_equal(v4(&a.got, 0), 0x0a000001);
    assert_int_equal(a.got.of[1].ss_family, AF_INET6);
    assert_int_equal(ntohs(((struct sockaddr_in6 *)&a.got.of[1])->sin6_port), 7400);
    assert_int_equal(v4(&a.got, 2), 0x0a000003);
    know(&w, "west.test",
         "10.0.1.1 10.0.1.2 10.0.1.3 10.0.1.4 10.0.1.5 10.0.1.6 10.0.1.7 "
         "10.0.1.8 10.0.1.9");
    assert_int_equal(ask(&w, &a, "west.test", &err), 0);
    assert_int_equal(a.got.count, NAMES_ADDRESSES_MAX);
    assert_int_equal(v4(&a.got, 7), 0x0a000108);
    end(&w);
}

/* ---- later --------------------------------------------------------------------------- */

/* What is known is used while it is looked up behind it, at most once in a while. */
static void a_change_is_found_behind_the_old_answer(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    know(&w, "east.test", "10.0.0.1");
    resolver_says("10.0.0.2");
    resolver_skip_ms(NAMES_REFRESH_MS - 1000);
    assert_int_equal(ask(&w, &a, "east.test", &err), 0);
    assert_int_equal(resolver_asked(), 1);
    resolver_skip_ms(1000);
    assert_int_equal(ask(&w, &a, "east.test", &err), 0);
    assert_int_equal(v4(&a.got, 0), 0x0a000001);
    until_logged(&w, "east.test has other addresses: 10.0.0.2, before 10.0.0.1", 1);
    assert_int_equal(ask(&w, &a, "east.test", &err), 0);
    assert_int_equal(v4(&a.got, 0), 0x0a000002);
    assert_int_equal(resolver_asked(), 2);
    end(&w);
}

/* A resolver that fails takes nothing away, and is told of once; so is its return. */
static void a_failed_refresh_leaves_the_old_answer(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    know(&w, "east.test", "10.0.0.1 10.0.0.2");
    resolver_fails(EAI_AGAIN);
    for (unsigned i = 0; i < 3; i++) {
        resolver_skip_ms(NAMES_REFRESH_MS);
        while (resolver_asked() < 2 + i) { /* the last lookup may not be over yet */
            assert_int_equal(ask(&w, &a, "east.test", &err), 0);
            assert_int_equal(a.got.count, 2);
            uv_run(&w.loop, UV_RUN_NOWAIT);
        }
        until_logged(&w, "its last answer, 10.0.0.1, 10.0.0.2 of ", 1);
    }
    assert_int_equal(lines("its last answer"), 1);
    assert_int_equal(lines("/etc/hosts"), 1);
    resolver_says("10.0.0.2 10.0.0.1"); /* another order is no other answer */
    resolver_skip_ms(NAMES_REFRESH_MS);
    while (lines("east.test is looked up again, and is where it was") == 0) {
        assert_int_equal(ask(&w, &a, "east.test", &err), 0);
        uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(lines("other addresses"), 0);
    end(&w);
}

/* So does one that never answers; its lookup stays the only one. */
static void a_refresh_that_hangs_leaves_the_old_answer(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    know(&w, "east.test", "10.0.0.1");
    resolver_hangs();
    for (unsigned i = 0; i < 3; i++) {
        resolver_skip_ms(NAMES_REFRESH_MS);
        assert_int_equal(ask(&w, &a, "east.test", &err), 0);
        assert_int_equal(v4(&a.got, 0), 0x0a000001);
        uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    resolver_until_asked(2);
    until_logged(&w, "its last answer, 10.0.0.1 of ", 1);
    assert_int_equal(lines("look up east.test: no answer of the resolver for"), 1);
    assert_int_equal(resolver_asked(), 2);
    end(&w);
}

/* ---- who waits ----------------------------------------------------------------------- */

/* Who is told may end another's wait, and may ask again. */
static void who_is_told_may_forget_and_ask(void **state)
{
    struct world w;
    struct asker a = {0}, b = {0}, c = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    resolver_hangs();
    a.forgets = &b;
    b.forgets = &a;
    c.asks_again = true;
    assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
    assert_int_equal(ask(&w, &b, "east.test", &err), ERR_BUSY);
    assert_int_equal(ask(&w, &c, "east.test", &err), ERR_BUSY);
    resolver_fails(EAI_AGAIN);
    resolver_goes_on();
    until_told(&w, &c, 2); /* it is told again, of a lookup of its own */
    assert_int_equal(c.status, ERR_BUSY);
    assert_int_equal(a.told + b.told, 1);
    assert_int_equal(resolver_asked(), 2);
    end(&w);
}

/* Forgotten waits are never told; twice is once. */
static void a_forgotten_wait_is_not_told(void **state)
{
    struct world w;
    struct asker a = {0}, b = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    resolver_hangs();
    assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
    assert_int_equal(ask(&w, &b, "east.test", &err), ERR_BUSY);
    names_forget(&a.wait);
    names_forget(&a.wait);
    resolver_goes_on();
    until_told(&w, &b, 1);
    assert_int_equal(a.told, 0);
    end(&w);
}

/* The loop ends at once while the resolver hangs: SIGTERM does not wait for it. */
static void closing_waits_for_no_resolver(void **state)
{
    struct world w;
    struct asker a = {0};
    struct err err;

    (void)state;
    begin(&w, false);
    resolver_hangs();
    assert_int_equal(ask(&w, &a, "east.test", &err), ERR_BUSY);
    resolver_until_asked(1);
    names_forget(&a.wait);
    close_names(&w);
    assert_int_equal(resolver_waiting(), 1);
    open_names(&w, false);
    end(&w);
}

/* A loop of real-time priority and an ordinary thread on one processor: that the lookup has
 * ended is told without the loop's waiting for the thread. (With uv_async each took a
 * second: the loop spun until the kernel's throttle let the thread go on.) */
static void a_prompt_loop_is_not_held_up(void **state)
{
    enum { LOOKUPS = 5, LATE_MS = 900 };
    const struct sched_param prompt = {.sched_priority = 1}, ordinary = {0};
    cpu_set_t before, one;
    struct world w;
    uint64_t began, took = 0;
    char host[32];

    (void)state;
    if (sched_setscheduler(0, SCHED_RR, &prompt) != 0)
        skip(); /* it takes a right that not everybody has */
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    begin(&w, false);
    for (unsigned i = 0; i < LOOKUPS && took < LATE_MS; i++) {
        snprintf(host, sizeof host, "host-%u.test", i);
        began = uv_hrtime();
        know(&w, host, "10.0.0.1");
        took = (uv_hrtime() - began) / 1000000;
    }
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &ordinary), 0);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    end(&w);
    assert_in_range(took, 0, LATE_MS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_looked_up_once),
        cmocka_unit_test(waiters_share_a_lookup),
        cmocka_unit_test(many_names_hang_side_by_side),
        cmocka_unit_test(the_first_wait_is_bounded),
        cmocka_unit_test(a_first_failure_is_told),
        cmocka_unit_test(has_all_addresses),
        cmocka_unit_test(a_change_is_found_behind_the_old_answer),
        cmocka_unit_test(a_failed_refresh_leaves_the_old_answer),
        cmocka_unit_test(a_refresh_that_hangs_leaves_the_old_answer),
        cmocka_unit_test(who_is_told_may_forget_and_ask),
        cmocka_unit_test(a_forgotten_wait_is_not_told),
        cmocka_unit_test(a_prompt_loop_is_not_held_up),
        cmocka_unit_test(closing_waits_for_no_resolver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
