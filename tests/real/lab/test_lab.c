/* tests/real/lab/test_lab.c -- the instruments that judge everything else: network, faults,
 * writer and packet capture, against a PostgreSQL that was started by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <pwd.h>
#include <signal.h>

#include "chaos/base.h"
#include "chaos/capture.h"
#include "chaos/cgroup.h"
#include "chaos/client.h"
#include "chaos/linear.h"
#include "chaos/process.h"
#include "chaos/stale.h"
#include "chaos/workload.h"

static const char initdb[] = "/usr/lib/postgresql/15/bin/initdb";
static const char pg_ctl[] = "/usr/lib/postgresql/15/bin/pg_ctl";

static struct ground ground;
static char id[16];
static int lock = -1;
static atomic_uint_fast64_t numbers = 1;

static void start_server(void)
{
    AUTO(auto_free) char *data = text_new("%s/data", ground.dir);
    AUTO(auto_free) char *log = text_new("%s/postgres.log", ground.dir);
    AUTO(auto_free)
    char *options =
        text_new("-c listen_addresses=%s -k %s -c dynamic_shared_memory_type=sysv",
                 site_address(EAST), ground.dir);

    free(must_run_at(&ground, EAST, true,
                     (const char *[]){pg_ctl, "start", "-w", "-s", "-D", data, "-l", log,
                                      "-o", options, NULL}));
}

static void run_sql(const char *sql)
{
    free(must_run_at(&ground, EAST, true,
                     (const char *[]){"/usr/bin/psql", "-X", "-q", "-h", ground.dir, "-d",
                                      "postgres", "-c", sql, NULL}));
}

static int set_up(void **state)
{
    const struct passwd *postgres = getpwnam("postgres");
    AUTO(auto_free) char *data = NULL;
    AUTO(auto_free) char *hba = NULL;

    (void)state;
    assert_non_null(postgres);
    assert_null(ground_missing());
    snprintf(id, sizeof id, "%d", (int)getpid());
    ground_sweep();
    lock = ground_lock(id);
    ground_make(&ground, id, 4711);
    make_dir(ground.dir, 0755, postgres->pw_uid, postgres->pw_gid);
    data = text_new("%s/data", ground.dir);
    hba = text_new("%s/pg_hba.conf", data);
    free(must_run_at(
        &ground, EAST, true,
        (const char *[]){initdb, "-D", data, "-U", "postgres", "--no-sync", NULL}));
    file_write(hba, 0600, "local all all trust\nhost all writer 10.77.0.0/16 trust\n");
    start_server();
    run_sql(client_schema);
    run_sql(workload_schema);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ground_remove(id);
    close(lock);
    return 0;
}

/* Polls: there is no event for "the writer was acknowledged". */
static bool acked_within(struct client *c, uint64_t more, unsigned ms)
{
    uint64_t goal = atomic_load(&c->acked) + more;
    int64_t until = now_ns() + (int64_t)ms * NS_PER_MS;

    while (atomic_load(&c->acked) < goal && now_ns() < until)
        wait_ms(1);
    return atomic_load(&c->acked) >= goal;
}

static pid_t read_pid(const char *path)
{
    AUTO(auto_free) char *text = file_read(path);

    assert_non_null(text);
    return (pid_t)strtol(text, NULL, 10);
}

static struct client_plan writer_plan(void)
{
    return (struct client_plan){
        .client = CLIENT_WRITER, .hosts = 1U << EAST | 1U << WEST, .numbers = &numbers};
}

/* Each acknowledged row is in the table, and the packet that acknowledged the last one was
 * seen no later than the client saw it. */
static void acknowledgements_are_rows_and_packets(void **state)
{
    static struct client writer;
    struct capture capture;
    struct history *h = &writer.history;
    uint64_t first = atomic_load(&numbers), acked, lost;
    int64_t packet;

    (void)state;
    capture_start(&capture, &ground);
    client_start(&writer, &ground, writer_plan());
    assert_true(acked_within(&writer, 200, 10000));
    client_stop(&writer);
    capture_stop(&capture);
    assert_true(client_read_rows(&ground, EAST, first, h));
    history_count(h, &acked, &lost);
    assert_int_equal(acked, atomic_load(&writer.acked));
    assert_int_equal(lost, 0);
    assert_int_equal(capture.dropped, 0);
    assert_true(capture.count >= acked);
    packet = capture_last_ack_ns(&capture, EAST, INT64_MAX);
    assert_in_range(atomic_load(&writer.last_ack_ns) - packet, 0, 50 * NS_PER_MS);
    assert_int_equal(capture_last_ack_ns(&capture, WEST, INT64_MAX), 0);
    capture_free(&capture);
    history_free(h);
}

/* A commit that fails after CommandComplete (in the extended protocol it is sent before the
 * commit; a session that is ended between the two looks the same) acknowledges nothing. */
static void a_failed_commit_is_no_acknowledgement(void **state)
{
    static struct client writer;
    struct history *h = &writer.history;
    uint64_t first = atomic_load(&numbers), acked, lost;

    (void)state;
    run_sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION ''refused at commit''; END';"
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON written "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();");
    client_start(&writer, &ground, writer_plan());
    for (int64_t until = now_ns() + 10000LL * NS_PER_MS;
         atomic_load(&numbers) < first + 5;) {
        assert_true(now_ns() < until);
        wait_ms(1);
    }
    client_stop(&writer);
    run_sql("DROP TRIGGER refuse ON written; DROP FUNCTION refuse();");
    assert_true(client_read_rows(&ground, EAST, first, h));
    history_count(h, &acked, &lost);
    assert_int_equal(acked, 0);
    assert_int_equal(lost, 0);
    history_free(h);
}

/* A cut stops the acknowledgements, healing brings them back, and what was in flight is
 * unknown rather than acknowledged. */
static void a_cut_is_felt_and_heals(void **state)
{
    static struct client writer;
    struct history *h = &writer.history;
    int64_t cut, healed;

    (void)state;
    client_start(&writer, &ground, writer_plan());
    assert_true(acked_within(&writer, 20, 10000));
    cut = now_ns();
    ground_cut(&ground, EAST, CLIENT);
    assert_true(acked_within(&writer, 0, 0));
    wait_ms(20); /* what was on its way has arrived */
    assert_false(acked_within(&writer, 1, 600));
    healed = now_ns();
    ground_heal(&ground);
    assert_true(acked_within(&writer, 20, 10000));
    client_stop(&writer);
    assert_true(history_outage_ns(h, CLIENT_WRITER, cut, now_ns()) >=
                healed - cut - 30LL * NS_PER_MS);
    history_free(h);
}

static void start_workload(struct workload *w, uint32_t first_key)
{
    workload_start(w, &ground,
                   (struct workload_plan){.writers = 4,
                                          .hosts = 1U << EAST | 1U << WEST,
                                          .pause_ms = 2,
                                          .registers = 2,
                                          .lists = 2,
                                          .first_key = first_key,
                                          .seed = 1});
}

static bool answered_within(struct workload *w, uint64_t more, unsigned ms)
{
    uint64_t goal = atomic_load(&w->answered) + more;
    int64_t until = now_ns() + (int64_t)ms * NS_PER_MS;

    while (atomic_load(&w->answered) < goal && now_ns() < until)
        wait_ms(1);
    return atomic_load(&w->answered) >= goal;
}

static void expect_ordered(const struct workload *w)
{
    const struct stale_policy nothing = {0};
    struct stale_report age;
    struct linear_report order;

    linear_check(&w->operations, linear_limits_default, &order);
    if (order.answer != LINEAR_OK)
        fail_msg("%s: %s", linear_answer_text(order.answer), order.reason);
    stale_check(&w->operations, &nothing, &age);
    if (!age.ok)
        fail_msg("%s", age.reason);
}

/* One honest server: every kind of operation was answered, and one order explains all. */
static void the_operations_of_a_workload_have_an_order(void **state)
{
    static struct workload w;
    unsigned of_kind[OPERATION_KINDS] = {0};

    (void)state;
    start_workload(&w, 1000);
    assert_true(answered_within(&w, 1000, 20000));
    workload_stop(&w);
    assert_true(workload_read_all(&w, EAST));
    assert_int_equal(w.misread, 0);
    for (size_t i = 0; i < w.operations.count; i++)
        of_kind[w.operations.of[i].kind] += w.operations.of[i].outcome == OPERATION_OK;
    for (unsigned k = 0; k < OPERATION_KINDS; k++)
        assert_in_range(of_kind[k], 20, 1000);
    expect_ordered(&w);
    operations_free(&w.operations);
}

/* What a cut has made unknown may have happened or not: no false alarm comes of it. */
static void what_a_cut_made_unknown_is_no_violation(void **state)
{
    static struct workload w;
    unsigned unknown = 0;

    (void)state;
    start_workload(&w, 2000);
    assert_true(answered_within(&w, 100, 10000));
    for (int i = 0; i < 3; i++) {
        ground_cut(&ground, EAST, CLIENT);
        wait_ms(50); /* what was asked meanwhile has no answer */
        run_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'writer'");
        ground_heal(&ground);
        assert_true(answered_within(&w, 100, 10000));
    }
    workload_stop(&w);
    assert_true(workload_read_all(&w, EAST));
    for (size_t i = 0; i < w.operations.count; i++)
        unknown += w.operations.of[i].outcome == OPERATION_UNKNOWN;
    assert_int_not_equal(unknown, 0);
    expect_ordered(&w);
    operations_free(&w.operations);
}

/* An acknowledged append that somebody takes away is missed, by the judge and by name. */
static void what_is_taken_away_is_missed(void **state)
{
    static struct workload w;
    struct linear_report r;

    (void)state;
    start_workload(&w, 3000);
    assert_true(answered_within(&w, 300, 10000));
    workload_stop(&w);
    run_sql("UPDATE lists SET vs = vs[1:2] || vs[4:] WHERE k = 3002");
    assert_true(workload_read_all(&w, EAST));
    linear_check(&w.operations, linear_limits_default, &r);
    assert_int_equal(r.answer, LINEAR_VIOLATION);
    assert_int_equal(r.key, 3002);
    assert_in_range(r.shown_of, 1, 4);
    operations_free(&w.operations);
}

/* A killed region is silent at once and leaves no process behind; started again, the
 * client finds it by itself. */
static void a_killed_region_is_gone_and_comes_back(void **state)
{
    static struct client writer;
    AUTO(auto_free) char *procs_path = text_new("%s/east/cgroup.procs", ground.cgroup);
    AUTO(auto_free) char *pid_path = text_new("%s/data/postmaster.pid", ground.dir);
    AUTO(auto_free) char *procs = NULL;
    uint64_t at_kill;
    pid_t postmaster;

    (void)state;
    client_start(&writer, &ground, writer_plan());
    assert_true(acked_within(&writer, 20, 10000));
    ground_kill_site(&ground, EAST);
    procs = file_read(procs_path);
    assert_string_equal(procs, "");
    wait_ms(20);
    at_kill = atomic_load(&writer.acked);
    assert_false(acked_within(&writer, 1, 200));
    assert_int_equal(atomic_load(&writer.acked), at_kill);
    postmaster = read_pid(pid_path);
    /* Dead, but init has yet to collect it: a server takes that for a running one. */
    for (int64_t until = now_ns() + 5000LL * NS_PER_MS; kill(postmaster, 0) == 0;) {
        assert_true(now_ns() < until);
        wait_ms(1);
    }
    start_server();
    assert_true(acked_within(&writer, 20, 10000));
    client_stop(&writer);
    history_free(&writer.history);
}

/* A tree of processes is stopped as one: none of the backends goes on. */
static void a_stopped_tree_stands_still(void **state)
{
    static struct client writer;
    AUTO(auto_free) char *pid_path = text_new("%s/data/postmaster.pid", ground.dir);
    pid_t postmaster = read_pid(pid_path);

    (void)state;
    client_start(&writer, &ground, writer_plan());
    assert_true(acked_within(&writer, 20, 10000));
    signal_tree(postmaster, SIGSTOP);
    wait_ms(20);
    assert_false(acked_within(&writer, 1, 300));
    signal_tree(postmaster, SIGCONT);
    assert_true(acked_within(&writer, 20, 10000));
    client_stop(&writer);
    history_free(&writer.history);
}

/* Removing by number alone leaves nothing: that is what sweeping a dead lab relies on. */
static void removing_leaves_nothing(void **state)
{
    AUTO(auto_free) char *netns = text_new("/run/netns/rf-%s-east", id);

    (void)state;
    assert_true(ground_exists(id));
    ground_remove(id);
    assert_false(ground_exists(id));
    assert_int_not_equal(access(ground.cgroup, F_OK), 0);
    assert_int_not_equal(access(ground.dir, F_OK), 0);
    assert_int_not_equal(access(netns, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledgements_are_rows_and_packets),
        cmocka_unit_test(a_failed_commit_is_no_acknowledgement),
        cmocka_unit_test(a_cut_is_felt_and_heals),
        cmocka_unit_test(the_operations_of_a_workload_have_an_order),
        cmocka_unit_test(what_a_cut_made_unknown_is_no_violation),
        cmocka_unit_test(what_is_taken_away_is_missed),
        cmocka_unit_test(a_killed_region_is_gone_and_comes_back),
        cmocka_unit_test(a_stopped_tree_stands_still),
        cmocka_unit_test(removing_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
