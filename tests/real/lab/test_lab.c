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
#include "chaos/process.h"

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
    ground_make(&ground, id);
    make_dir(ground.dir, 0755, postgres->pw_uid, postgres->pw_gid);
    data = text_new("%s/data", ground.dir);
    hba = text_new("%s/pg_hba.conf", data);
    free(must_run_at(
        &ground, EAST, true,
        (const char *[]){initdb, "-D", data, "-U", "postgres", "--no-sync", NULL}));
    file_write(hba, 0600, "local all all trust\nhost all writer 10.77.0.0/16 trust\n");
    start_server();
    run_sql(client_schema);
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
        cmocka_unit_test(a_killed_region_is_gone_and_comes_back),
        cmocka_unit_test(a_stopped_tree_stands_still),
        cmocka_unit_test(removing_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
