/* The agent's files: killed at every step, damaged in every byte, on a full disk, opened
 * twice or by somebody else. */
#include "tests/unit/agent/cmocka_env.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fencing/agent/agent_state.h"
#include "fencing/agent/helper.h"
#include "fencing/agent/steps_state.h"

static char dir[64];

static const struct agent_contents self = {.cluster = "demo", .agent = "pg-east"};

static int new_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/rf-agent-state-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"agent.state", "agent.state.new", "steps.state",
                                        "lock"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];

        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static struct agent_contents contents(uint64_t epoch)
{
    struct agent_contents c = self;

    memset(c.incarnation.bytes, 0xab, sizeof c.incarnation.bytes);
    c.epochs.count = 2;
    c.epochs.of[0] = (struct epoch_record){"orders", epoch, epoch - 1, 5432, {0}, true};
    c.epochs.of[1] = (struct epoch_record){"users", 9, 0, 0, {0}, false};
    return c;
}

static void open_ok(struct agent_state *s, struct agent_contents *c)
{
    struct err err = {0};

    if (agent_state_open(s, dir, c, &self, &err) != 0)
        fail_msg("%s", err.text);
}

static void assert_contents(const struct agent_contents *c, uint64_t epoch)
{
    struct agent_contents want = contents(epoch);

    assert_true(incarnation_equal(&c->incarnation, &want.incarnation));
    assert_int_equal(c->epochs.count, 2);
    assert_string_equal(c->epochs.of[0].group, "orders");
    assert_int_equal(c->epochs.of[0].highest, epoch);
    assert_int_equal(c->epochs.of[0].fenced, epoch - 1);
    assert_int_equal(c->epochs.of[0].port, 5432);
    assert_true(c->epochs.of[0].tried);
    assert_false(c->epochs.of[1].tried);
}

static void what_was_written_is_found_again(void **state)
{
    struct agent_contents c = contents(4);
    struct agent_state s;

    (void)state;
    open_ok(&s, &c);
    assert_int_equal(c.epochs.count, 0);
    assert_false(incarnation_is_set(&c.incarnation));
    c = contents(4);
    assert_int_equal(agent_state_write(&s, &c, NULL), 0);
    agent_state_close(&s);
    open_ok(&s, &c);
    assert_contents(&c, 4);
    agent_state_close(&s);
}

/* Ports beside a server's own are kept; without any, an earlier version can read it. */
static void ports_beside_are_kept(void **state)
{
    struct agent_contents c = contents(4);
    char path[128], text[4096];
    struct agent_state s;
    ssize_t n;
    int fd;

    (void)state;
    for (unsigned with = 0; with < 2; with++) {
        open_ok(&s, &c);
        c = contents(4);
        if (with == 1)
            c.epochs.of[0].also = (struct also_ports){2, {6432, 6543}};
        assert_int_equal(agent_state_write(&s, &c, NULL), 0);
        agent_state_close(&s);
        snprintf(path, sizeof path, "%s/agent.state", dir);
        fd = open(path, O_RDONLY);
        n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        close(fd);
        assert_true(
            strncmp(text,
                    with == 1 ? "ringfence-agent-state 2\n" : "ringfence-agent-state 1\n",
                    24) == 0);
        open_ok(&s, &c);
        assert_contents(&c, 4);
        assert_int_equal(c.epochs.of[0].also.count, with == 1 ? 2 : 0);
        assert_int_equal(c.epochs.of[1].also.count, 0);
        agent_state_close(&s);
    }
    assert_int_equal(c.epochs.of[0].also.of[0], 6432);
    assert_int_equal(c.epochs.of[0].also.of[1], 6543);
}

static int die_at;

static void die(int step)
{
    if (step == die_at)
        _exit(7);
}

/* Killed before any of its steps: the old contents or the new ones, never anything else. */
static void killed_anywhere_it_is_old_or_new(void **state)
{
    (void)state;
    for (die_at = 0; die_at < DURABLE_STEPS; die_at++) {
        struct agent_contents c = contents(4);
        struct agent_state s;
        int status;
        pid_t child;

        open_ok(&s, &c);
        c = contents(4);
        assert_int_equal(agent_state_write(&s, &c, NULL), 0);
        child = fork();
        if (child == 0) {
            durable_before_step = die;
            c = contents(5);
            _exit(agent_state_write(&s, &c, NULL) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 7);
        agent_state_close(&s);
        open_ok(&s, &c);
        assert_contents(&c, die_at < DURABLE_STEPS - 1 ? 4 : 5);
        agent_state_close(&s);
    }
}

/* A full disk (here: a limit on the size of files): a clear error, the old file stays. */
static void a_full_disk_loses_nothing(void **state)
{
    struct agent_contents c = contents(4);
    struct agent_state s;
    int status;
    pid_t child;

    (void)state;
    open_ok(&s, &c);
    c = contents(4);
    assert_int_equal(agent_state_write(&s, &c, NULL), 0);
    child = fork();
    if (child == 0) {
        struct rlimit limit = {100, 100};
        struct err err = {0};

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        c = contents(5);
        if (agent_state_write(&s, &c, &err) != ERR_FULL ||
            strstr(err.text, "no room on the disk") == NULL)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    agent_state_close(&s);
    open_ok(&s, &c);
    assert_contents(&c, 4);
    agent_state_close(&s);
}

/* Whatever byte is changed or cut off: damaged, never something else. */
static void damage_is_seen(void **state)
{
    struct agent_contents c = contents(4);
    char path[128], text[4096];
    struct agent_state s;
    ssize_t n;
    int fd;

    (void)state;
    open_ok(&s, &c);
    c = contents(4);
    assert_int_equal(agent_state_write(&s, &c, NULL), 0);
    agent_state_close(&s);
    snprintf(path, sizeof path, "%s/agent.state", dir);
    fd = open(path, O_RDWR);
    n = read(fd, text, sizeof text);
    for (ssize_t i = 0; i < n; i++) {
        char wrong = (char)(text[i] ^ 1);
        struct err err = {0};

        assert_int_equal(pwrite(fd, &wrong, 1, i), 1);
        assert_int_equal(agent_state_open(&s, dir, &c, &self, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.text, "agent.state"));
        assert_int_equal(pwrite(fd, &text[i], 1, i), 1);
    }
    for (ssize_t i = 0; i < n; i++) {
        assert_int_equal(ftruncate(fd, i), 0);
        assert_int_equal(agent_state_open(&s, dir, &c, &self, NULL), ERR_CORRUPT);
        assert_int_equal(pwrite(fd, text, (size_t)n, 0), n);
    }
    close(fd);
    open_ok(&s, &c);
    assert_contents(&c, 4);
    agent_state_close(&s);
}

/* A second agent, or somebody else's directory: a clear error, nothing touched. */
static void a_directory_serves_one_agent(void **state)
{
    struct agent_contents c = contents(4), other = self;
    struct agent_state s, second;
    struct err err = {0};

    (void)state;
    open_ok(&s, &c);
    assert_int_equal(agent_state_open(&second, dir, &c, &self, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "in use by another ringfence-agent"));
    c = contents(4);
    assert_int_equal(agent_state_write(&s, &c, NULL), 0);
    agent_state_close(&s);

    snprintf(other.agent, sizeof other.agent, "pg-west");
    assert_int_equal(agent_state_open(&s, dir, &c, &other, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "belongs to agent pg-east"));
    other = self;
    snprintf(other.cluster, sizeof other.cluster, "prod");
    assert_int_equal(agent_state_open(&s, dir, &c, &other, &err), ERR_CONFLICT);
}

/* I12: the same boot and the same adopted gate, or another incarnation with an untried gate
 * and the epochs of the first. */
static void the_incarnation_follows_boot_and_gate(void **state)
{
    static const struct {
        uint8_t boot, gate;
        bool adopted, kept;
    } table[] = {{1, 2, true, true},
                 {3, 2, true, false},
                 {1, 3, true, false},
                 {1, 2, false, false}},
      *row;

    (void)state;
    EACH (row, table) {
        struct agent_contents c = contents(4);
        struct incarnation first;
        uint8_t boot[16], gate[16];
        bool kept;

        memset(boot, 1, sizeof boot);
        memset(gate, 2, sizeof gate);
        memset(&c.incarnation, 0, sizeof c.incarnation);
        assert_int_equal(agent_state_begin(&c, boot, gate, true, &kept, NULL), 0);
        assert_false(kept); /* there was none */
        first = c.incarnation;
        c.epochs.of[0].tried = true;
        memset(boot, row->boot, sizeof boot);
        memset(gate, row->gate, sizeof gate);
        assert_int_equal(agent_state_begin(&c, boot, gate, row->adopted, &kept, NULL), 0);
        assert_int_equal(kept, row->kept);
        assert_int_equal(incarnation_equal(&first, &c.incarnation), row->kept);
        assert_int_equal(c.epochs.of[0].tried, row->kept);
        assert_int_equal(c.epochs.of[0].highest, 4);
        assert_int_equal(c.epochs.of[0].fenced, 3);
    }
}

static void steps_are_found_again(void **state)
{
    struct agent_contents c;
    struct step_records out, in = {0};
    struct step_record *r = steps_state_of(&in, "orders");
    struct agent_state s;

    (void)state;
    open_ok(&s, &c);
    assert_int_equal(steps_state_read(&s.dir, &out, NULL), 0);
    assert_int_equal(out.count, 0);
    *r = (struct step_record){.known = {100, 5},
                              .ever_known = true,
                              .led_epoch = 3,
                              .led_position = 1000,
                              .ready_epoch = 3,
                              .last_step = 77,
                              .last_failed = true,
                              .running_kind = 2,
                              .worker = {101, 6}};
    snprintf(r->group, sizeof r->group, "orders");
    snprintf(r->start, sizeof r->start, "systemd:with a blank@1");
    assert_int_equal(steps_state_write(&s.dir, &in, NULL), 0);
    assert_int_equal(steps_state_read(&s.dir, &out, NULL), 0);
    assert_string_equal(out.of[0].start, r->start);
    assert_int_equal(out.count, 1);
    assert_ptr_equal(steps_state_of(&out, "orders"), &out.of[0]);
    assert_memory_equal(&out.of[0].known, &r->known, sizeof r->known);
    assert_int_equal(out.of[0].led_position, 1000);
    assert_int_equal(out.of[0].ready_epoch, 3);
    assert_int_equal(out.of[0].last_step, 77);
    assert_true(out.of[0].last_failed);
    assert_int_equal(out.of[0].running_kind, 2);
    assert_int_equal(out.of[0].worker.pid, 101);
    agent_state_close(&s);
}

/* We write each line once, and none of them empty. */
static void what_is_said_twice_is_not_ours(void **state)
{
    static const char *const table[] = {"boot 0\n",
                                        "boot 0\nboot 0\n",
                                        "boot 0\nGstart g a\nstart g b\n",
                                        "boot 0\nGstart g \n",
                                        "boot 0\nGfailed g\nfailed g\n",
                                        "boot 0\nGG"};
    static const char group[] = "group g 12 34 1 2 1000 2 7 0 0 0\n";
    struct agent_contents c;
    struct step_records out;
    struct agent_state s;

    (void)state;
    open_ok(&s, &c);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        AUTO(buf_free) struct buf text = {.limit = DURABLE_MAX};

        assert_int_equal(durable_printf(&text, NULL, "ringfence-agent-steps 3\n"), 0);
        for (const char *at = table[i]; *at != '\0'; at++)
            assert_int_equal(*at == 'G' ? durable_printf(&text, NULL, "%s", group)
                                        : durable_printf(&text, NULL, "%c", *at),
                             0);
        assert_int_equal(durable_write(&s.dir, "steps.state", &text, NULL), 0);
        assert_int_equal(steps_state_read(&s.dir, &out, NULL), i == 0 ? 0 : ERR_CORRUPT);
    }
    agent_state_close(&s);
}

/* What a former life left running is ended before the next one begins. */
static void leftovers_are_ended(void **state)
{
    struct step_records in = {0};
    struct step_record *r = steps_state_of(&in, "orders");
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        (void)setsid();
        for (;;)
            pause();
    }
    /* pause() of the child, or not even there yet: both must end. */
    r->worker = (struct postmaster){child, process_start_ms(child)};
    assert_int_equal(steps_state_end_leftovers(&in, NULL), 0);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0); /* no step was running */
    r->running_kind = 2;
    r->worker.start_ms++;
    assert_int_equal(steps_state_end_leftovers(&in, NULL), 0);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0); /* another process by now */
    r->worker.start_ms--;
    assert_int_equal(steps_state_end_leftovers(&in, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, new_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(what_was_written_is_found_again),
        IN_DIR(ports_beside_are_kept),
        IN_DIR(killed_anywhere_it_is_old_or_new),
        IN_DIR(a_full_disk_loses_nothing),
        IN_DIR(damage_is_seen),
        IN_DIR(a_directory_serves_one_agent),
        IN_DIR(the_incarnation_follows_boot_and_gate),
        IN_DIR(steps_are_found_again),
        IN_DIR(what_is_said_twice_is_not_ours),
        IN_DIR(leftovers_are_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
