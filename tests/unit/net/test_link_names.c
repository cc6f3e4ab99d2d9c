/* Links to a name, with a resolver that does what the test says (resolver.h). */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/net/bench.h"
#include "tests/unit/net/resolver.h"

struct watch {
    struct bench b;
    struct link *link;
    unsigned ups, downs;
};

static void on_up(void *owner)
{
    struct watch *w = owner;

    w->ups++;
}

static void on_down(void *owner, const struct err *why)
{
    struct watch *w = owner;

    (void)why;
    w->downs++;
}

static const struct link_events events = {on_up, on_down, NULL};

/* The link's first try comes with the loop's first turn. */
static void begin(struct watch *w, uint32_t backoff_ms)
{
    struct identity id = bench_id(IDENTITY_CONTROLLER, "east");
    struct address at = {.host = "east.test"};
    struct link_spec spec = {.peer = &id,
                             .at = &at,
                             .events = &events,
                             .owner = w,
                             .backoff_min_ms = backoff_ms,
                             .backoff_max_ms = backoff_ms};
    struct err err = {0};

    *w = (struct watch){0};
    resolver_begin();
    bench_open(&w->b, NULL); /* at 127.0.0.1 */
    at.port = w->b.at.port;
    spec.names = w->b.names;
    if (link_open(&w->link, &w->b.loop, w->b.west, &spec, &err) != 0)
        fail_msg("%s", err.text);
}

static void end(struct watch *w)
{
    link_close(w->link);
    bench_close(&w->b);
    resolver_end();
}

static void hang_up(struct watch *w)
{
    unsigned n = w->b.n_accepted;

    side_free(&w->b.accepted[n - 1]);
    bench_until(&w->b, &w->downs, n);
}

/* A link that was up comes back while the resolver hangs: this is what a disaster is like.
 */
static void comes_back_without_a_resolver(void **state)
{
    struct watch w;

    (void)state;
    begin(&w, 20);
    bench_until(&w.b, &w.ups, 1);
    bench_until(&w.b, &w.b.n_accepted, 1);
    resolver_hangs();
    resolver_skip_ms(NAMES_REFRESH_MS);
    hang_up(&w);
    bench_until(&w.b, &w.ups, 2);
    bench_until(&w.b, &w.b.n_accepted, 2);
    resolver_until_asked(2); /* it was, and hangs */
    assert_int_equal(resolver_waiting(), 1);
    hang_up(&w);
    bench_until(&w.b, &w.ups, 3);
    bench_until(&w.b, &w.b.n_accepted, 3);
    assert_int_equal(resolver_asked(), 2);
    end(&w);
}

/* The second address is dialled when the first fails, not after the backoff. */
static void dials_every_address(void **state)
{
    struct watch w;

    (void)state;
    begin(&w, 10 * BENCH_WAIT_MS);
    resolver_says("127.0.0.2 127.0.0.3 127.0.0.1"); /* nobody listens at the first two */
    bench_until(&w.b, &w.ups, 1);
    end(&w);
}

/* What worked last is dialled first, wherever the resolver puts it. */
static void prefers_what_worked(void **state)
{
    struct sockaddr_in other = {.sin_family = AF_INET};
    struct watch w;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    (void)state;
    begin(&w, 20);
    resolver_says("127.0.0.2 127.0.0.1");
    bench_until(&w.b, &w.ups, 1);
    bench_until(&w.b, &w.b.n_accepted, 1);
    other.sin_port = htons(w.b.at.port);
    assert_int_equal(inet_pton(AF_INET, "127.0.0.2", &other.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&other, sizeof other), 0);
    assert_int_equal(listen(fd, 1), 0);
    hang_up(&w);
    bench_until(&w.b, &w.ups, 2);
    assert_int_equal(accept(fd, NULL, NULL), -1); /* nobody came */
    close(fd);
    end(&w);
}

/* When all have failed it waits, and begins again with a fresh answer. */
static void waits_when_all_have_failed(void **state)
{
    struct watch w;

    (void)state;
    begin(&w, 20);
    resolver_says("127.0.0.2 127.0.0.3");
    while (link_last_error(w.link)->code != ERR_IO ||
           strstr(link_last_error(w.link)->text, "127.0.0.3") == NULL)
        uv_run(&w.b.loop, UV_RUN_ONCE);
    resolver_says("127.0.0.2 127.0.0.1");
    resolver_skip_ms(NAMES_REFRESH_MS);
    bench_until(&w.b, &w.ups, 1);
    end(&w);
}

/* An unknown name is retried until there is an answer. */
static void goes_on_asking(void **state)
{
    struct watch w;

    (void)state;
    begin(&w, 20);
    resolver_fails(EAI_AGAIN);
    while (link_last_error(w.link)->code == 0)
        uv_run(&w.b.loop, UV_RUN_ONCE);
    assert_non_null(strstr(link_last_error(w.link)->text, "look up east.test"));
    resolver_says("127.0.0.1");
    bench_until(&w.b, &w.ups, 1);
    end(&w);
}

/* Closing while one waits for the resolver leaves nothing behind. */
static void closes_while_it_waits(void **state)
{
    struct watch w;

    (void)state;
    begin(&w, 20);
    resolver_hangs();
    while (resolver_waiting() == 0)
        bench_turn(&w.b);
    end(&w);
    assert_int_equal(w.ups + w.downs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_without_a_resolver),
        cmocka_unit_test(dials_every_address),
        cmocka_unit_test(prefers_what_worked),
        cmocka_unit_test(waits_when_all_have_failed),
        cmocka_unit_test(goes_on_asking),
        cmocka_unit_test(closes_while_it_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
