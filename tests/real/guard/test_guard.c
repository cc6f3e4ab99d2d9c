/* The guard as it is shipped: what it stops, what it leaves alone, and how it ends. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/real/guard/rig.h"

enum { SOON_MS = 500, NS_PER_MS = 1000000 };

#define ON_RIG(test) cmocka_unit_test_setup_teardown(test, rig_begin, rig_end)

/* No gate is named on the page: at the deadline the postmaster is gone, and each backend
 * with it, the one that is stopped too. By the deadline, not after it. */
static void without_a_gate_the_server_is_gone_by_the_deadline(void **state)
{
    struct rig_server *s = rig_server(RIG_BACKENDS, true);
    struct guard_order o;

    (void)state;
    rig_guard();
    o = rig_order(s, SOON_MS);
    rig_put(0, &o);
    rig_until(rig_is_gone, s, "the server's end");
    assert_true(rig_now_ns() <= o.open_until_ns);
    rig_until(rig_is_gone, s, "nothing comes back");
}

static bool has_stopped(const void *slot)
{
    return __atomic_load_n(&rig_result(*(const unsigned *)slot)->state, __ATOMIC_ACQUIRE) ==
           GUARD_STOPPED;
}

/* It says what it did: when it began, when nothing was left, how many there were. */
static void it_records_what_it_did(void **state)
{
    const unsigned slot = 7;
    struct rig_server *s = rig_server(RIG_BACKENDS, false);
    struct guard_order o;

    (void)state;
    rig_guard();
    o = rig_order(s, 0);
    rig_put(slot, &o);
    rig_until(has_stopped, &slot, "the record");
    assert_int_equal(rig_result(slot)->stops, 1);
    assert_true(rig_result(slot)->gone_ns >= rig_result(slot)->acted_ns);
    assert_int_equal(rig_count(s), 0);
}

/* Renewed in time it lives, over many times its first deadline. */
static void renewals_keep_it_alive(void **state)
{
    struct rig_server *s = rig_server(RIG_BACKENDS, false);
    struct guard_order o;

    (void)state;
    rig_guard();
    for (int n = 0; n < 30; n++) {
        o = rig_order(s, SOON_MS);
        rig_put(0, &o);
        rig_while(rig_is_whole, s, SOON_MS / 10);
    }
    assert_int_equal(rig_result(0)->stops, 0);
    rig_until(rig_is_gone, s, "its end once nobody renews");
}

/* The agent died in the middle of writing a later deadline: the earlier one stands. */
static void a_half_written_renewal_is_none(void **state)
{
    struct rig_server *s = rig_server(RIG_BACKENDS, false);
    struct guard_order o = rig_order(s, SOON_MS);

    (void)state;
    rig_put(0, &o);
    rig_guard();
    rig.page->slots[0].order_seq |= 1;
    rig.page->slots[0].order.open_until_ns += (uint64_t)60000 * NS_PER_MS;
    rig_until(rig_is_gone, s, "its end at the deadline that was told whole");
    assert_true(rig_now_ns() <= o.open_until_ns);
}

/* A process in the same directory that runs another program, and one that runs the same
 * program elsewhere, are not the server's. */
static void others_are_left_alone(void **state)
{
    struct rig_server *s = rig_server(RIG_BACKENDS, false);
    struct rig_server *other = rig_server(RIG_BACKENDS, false);
    struct guard_order o;
    pid_t shell = fork();

    (void)state;
    assert_true(shell >= 0);
    if (shell == 0) {
        if (chdir(s->dir) == 0)
            execl("/usr/bin/tail", "tail", "-f", "/dev/null", (char *)NULL);
        _exit(127);
    }
    rig_guard();
    o = rig_order(s, 0);
    rig_put(0, &o);
    rig_until(rig_is_gone, s, "the server's end");
    assert_true(rig_is_whole(other));
    assert_true(rig_lives(shell));
    (void)kill(shell, SIGKILL);
    (void)waitpid(shell, NULL, 0);
}

/* A pid that was given to another process is nobody's business. */
static void a_reused_pid_is_not_killed(void **state)
{
    struct rig_server *s = rig_server(RIG_BACKENDS, false);
    const unsigned slot = 0;
    struct guard_order o;

    (void)state;
    rig_guard();
    o = rig_order(s, 0);
    o.process.postmaster.start_ms++;
    o.process.dir_ino++; /* and it works somewhere else */
    rig_put(slot, &o);
    rig_until(has_stopped, &slot, "the look that finds nothing of it");
    assert_true(rig_is_whole(s));
}

/* It is told to end while a server is armed: it goes on, and does what it is there for. */
static void sigterm_waits_for_what_is_armed(void **state)
{
    struct rig_server *s = rig_server(RIG_BACKENDS, false);
    struct guard_order o;

    (void)state;
    rig_guard();
    o = rig_order(s, SOON_MS);
    rig_put(0, &o);
    rig_while(rig_is_whole, s, SOON_MS / 5);
    (void)kill(rig.guard, SIGTERM);
    rig_until(rig_is_gone, s, "the server's end");
    o.armed = 0;
    rig_put(0, &o);
    rig_while(rig_is_gone, s, 200);
    (void)kill(rig.guard, SIGTERM);
    assert_int_equal(rig_guard_ends(), 0);
}

/* The page is gone (an agent that was taken off the host) and nothing is armed. */
static void it_does_not_stay_for_nobody(void **state)
{
    (void)state;
    rig_guard();
    assert_int_equal(unlink(rig.path), 0);
    assert_int_equal(rig_guard_ends(), 0);
}

/* One page, one guard; and a page of another version is refused. */
static void one_guard_for_one_page(void **state)
{
    pid_t first;

    (void)state;
    rig_guard();
    first = rig.guard;
    rig.guard = fork();
    if (rig.guard == 0) {
        execl(GUARD_BINARY, "ringfence-guard", rig.path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(rig_guard_ends(), 3);
    rig.guard = first;
    (void)kill(first, SIGTERM);
    assert_int_equal(rig_guard_ends(), 0);
    rig.page->version++;
    rig.guard = fork();
    if (rig.guard == 0) {
        execl(GUARD_BINARY, "ringfence-guard", rig.path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(rig_guard_ends(), 4);
}

static bool file_has(const char *name, const char *text)
{
    char path[64], line[512];
    bool found = false;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", rig.guard, name);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        found = found || strstr(line, text) != NULL;
    (void)fclose(f);
    return found;
}

/* No library is mapped, its memory is locked, it has one thread and a real-time priority,
 * and it holds nothing open but the page and the standard streams. */
static void it_depends_on_nothing(void **state)
{
    char path[64];

    (void)state;
    rig_guard();
    assert_false(file_has("maps", ".so"));
    assert_false(file_has("status", "VmLck:	       0 kB"));
    assert_true(file_has("status", "Threads:	1\n"));
    assert_int_equal(file_has("oom_score_adj", "-1000"),
                     (rig.page->abilities & GUARD_CAN_OUTLIVE_OOM) != 0);
    assert_int_equal(rig.page->abilities & GUARD_CAN_LOCK, GUARD_CAN_LOCK);
    (void)snprintf(path, sizeof path, "/proc/%d/fd/4", rig.guard);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* The margin is enough for a busy server: two hundred processes, three others beside it,
 * all over at the same moment. */
static void the_margin_is_enough(void **state)
{
    struct rig_server *big = rig_server(RIG_BACKENDS_MAX, false);
    struct guard_order o;

    (void)state;
    for (int i = 0; i < 3; i++)
        (void)rig_server(RIG_BACKENDS, false);
    rig_guard();
    o = rig_order(big, SOON_MS);
    for (unsigned i = 0; i < rig.n; i++) {
        struct guard_order each = rig_order(&rig.servers[i], SOON_MS);

        each.open_until_ns = o.open_until_ns;
        rig_put(i, &each);
    }
    for (unsigned i = 0; i < rig.n; i++) {
        rig_until(has_stopped, &i, "each server's end");
        print_message("%s: %.1f ms from the timer to the last process gone, margin %d\n",
                      strrchr(rig.servers[i].dir, '/') + 1,
                      (double)(rig_result(i)->gone_ns - rig_result(i)->acted_ns) /
                          NS_PER_MS,
                      GUARD_MARGIN_MS);
        assert_true(rig_result(i)->gone_ns <= o.open_until_ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(without_a_gate_the_server_is_gone_by_the_deadline),
        ON_RIG(it_records_what_it_did),
        ON_RIG(renewals_keep_it_alive),
        ON_RIG(a_half_written_renewal_is_none),
        ON_RIG(others_are_left_alone),
        ON_RIG(a_reused_pid_is_not_killed),
        ON_RIG(sigterm_waits_for_what_is_armed),
        ON_RIG(it_does_not_stay_for_nobody),
        ON_RIG(one_guard_for_one_page),
        ON_RIG(it_depends_on_nothing),
        ON_RIG(the_margin_is_enough),
    };

    if (geteuid() != 0) {
        print_message("skipped: needs root\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
