/* Three real controllers, one of them on a disk that is full, fails, or has lost or changed
 * something. That one stops or does not start, and says which file it is and what to do;
 * the other two go on; and it comes back only with all that it ever acknowledged. */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/consensus/store.h"
#include "tests/real/daemon/load.h"

enum { EXIT_FAIL_STOP_ = 1, EX_CONFIG_ = 78, END_MS = 30000 };

static struct load load;
static struct cluster cluster;

static int setup(void **state)
{
    char control[CLUSTER_PATH + 16];

    cluster_open(&cluster);
    snprintf(control, sizeof control, "%s/fault", cluster.dir);
    setenv("RF_FAULTY", control, 1);
    *state = &cluster;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unsetenv("LD_PRELOAD");
    unsetenv("RF_FAULTY");
    load_drop(&load);
    cluster_close(&cluster);
    return 0;
}

/* ---- the disk is full ------------------------------------------------------------------
 */

/* Entries with audit rows, as fast as they are decided, until that node has ended. */
static void write_until_end(struct cluster *c, int node, unsigned calls_max)
{
    static const char *const verbs[] = {"pause", "resume"};
    unsigned calls = 0;
    int status = 0;

    while (waitpid(c->pids[node], &status, WNOHANG) == 0) {
        char path[64];
        long code;

        if (calls++ == calls_max)
            fail_msg("%s still runs after %u calls", node_names[node], calls_max);
        snprintf(path, sizeof path, "/api/v1/groups/orders/%s", verbs[calls % 2]);
        json_decref(cluster_call(c, node == EAST ? WEST : EAST, "POST", path, "{}", &code));
    }
    c->pids[node] = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_FAIL_STOP_);
}

static void a_full_disk_stops_one_and_loses_nothing(void **state)
{
    struct cluster *c = *state;
    char dir[CLUSTER_PATH + 16];

    snprintf(dir, sizeof dir, "%s/west", c->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mount("none", dir, "tmpfs", 0, "size=8m,mode=0700"), 0);
    load_begin(&load, c);
    cluster_until(c, load_all_up, &load, LOAD_BACK_MS, "all are there");
    cluster_shell(c,
                  "(dd if=/dev/zero of=west/ballast bs=4096 status=none; true) 2>dd.log");
    cluster_log_says(c, WEST, "runs"); /* it has room until its log is full */
    write_until_end(c, WEST, 20000);
    cluster_log_says(c, WEST, "disk full");
    cluster_log_says(c, WEST, "free space there and restart");
    load_two_go_on(&load, WEST);

    /* It does not stay before there is room. */
    load_start_anew(&load, WEST);
    write_until_end(c, WEST, 20000);
    cluster_log_says(c, WEST, "disk full");
    load_two_go_on(&load, WEST);

    cluster_shell(c, "rm west/ballast");
    load_comes_back(&load, WEST);
    load_end(&load);
    assert_int_equal(umount(dir), 0);
}

/* ---- the disk fails ---------------------------------------------------------------------
 */

static void set_fault(struct cluster *c, int node, const char *fault, const char *file)
{
    cluster_shell(c, "echo '%s %s/%s' > fault.new && mv fault.new fault", fault,
                  node_names[node], file);
}

static const struct {
    const char *fault, *file, *says, *cure;
    bool not_again; /* it does not start either, as long as that goes on */
} faults[] = {
    {"sync EIO", "raft.db-wal", "raft.db", "check the disk", true},
    {"write EIO", "raft.db-wal", "raft.db", "check the disk", true},
    {"write torn", "raft.db-wal", "raft.db", "check the disk", true},
    {"write ENOSPC", "raft.db-wal", "disk full", "free space", true},
    {"write EIO", "mark", "/mark", "check the disk", true},
    {"sync EIO", "mark", "/mark", "check the disk", true},
    {"sync hang", "raft.db-wal", "has not finished a write", "check the disk", false},
};

static void one_fault(struct cluster *c, size_t i)
{
    int leader = cluster_wait_leader(c),
        victim = i % 2 == 0 ? leader : (leader + 1) % NODES;

    cluster_shell(c, ": > %s.log", node_names[victim]);
    set_fault(c, victim, faults[i].fault, faults[i].file);
    assert_int_equal(cluster_wait_end(c, victim, END_MS, faults[i].fault), EXIT_FAIL_STOP_);
    cluster_log_says(c, victim, faults[i].says);
    cluster_log_says(c, victim, faults[i].cure);
    load_two_go_on(&load, victim);
    if (faults[i].not_again) {
        load_start_anew(&load, victim);
        assert_int_equal(cluster_wait_end(c, victim, END_MS, "no start on such a disk"),
                         EX_CONFIG_);
        cluster_log_says(c, victim, faults[i].cure);
    }
    cluster_shell(c, "rm fault");
    load_comes_back(&load, victim);
}

static void a_failing_disk_stops_one_and_loses_nothing(void **state)
{
    struct cluster *c = *state;

    setenv("LD_PRELOAD", FAULTY_DISK, 1);
    load_begin(&load, c);
    cluster_until(c, load_all_up, &load, LOAD_BACK_MS, "all are there");
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        one_fault(c, i);
    load_end(&load);
}

/* ---- the disk hangs while it starts -----------------------------------------------------
 */

static const struct {
    const char *fault, *file, *says;
} hangs[] = {
    {"open hang", "raft.db", "waits for: open and read "},
    {"read hang", "raft.db-wal", "waits for: "},
    {"write hang", "raft.db-wal", "waits for: write and sync "},
    {"sync hang", "mark", "waits for: sync "},
};

struct said {
    struct cluster *c;
    int node;
    const char *words;
};

static bool is_said(void *owner)
{
    const struct said *s = owner;
    static char text[20000];

    cluster_log(s->c, s->node, text, sizeof text);
    return strstr(text, s->words) != NULL;
}

static bool log_has(struct cluster *c, int node, const char *words)
{
    struct said s = {c, node, words};

    return is_said(&s);
}

static void one_hang(struct cluster *c, size_t i)
{
    struct said not_started = {c, WEST, "not started yet"};

    set_fault(c, WEST, hangs[i].fault, hangs[i].file);
    load_start_anew(&load, WEST);
    cluster_until(c, is_said, &not_started, END_MS, hangs[i].fault);
    cluster_log_says(c, WEST, hangs[i].says);
    cluster_log_says(c, WEST, strcmp(hangs[i].file, "mark") == 0 ? "west/" : hangs[i].file);
    cluster_log_says(c, WEST, "look at dmesg");
    cluster_until(c, load_east_serves, &load, LOAD_BACK_MS, "east serves by the other two");
    assert_true(cluster_leader_seen_by(c, WITNESS) != WEST);
    assert_false(log_has(c, WEST, " runs, version")); /* nor READY=1, said just behind */
    assert_int_equal(cluster_stop(c, WEST), 0);
    cluster_log_says(c, WEST, "before it had started");
    cluster_shell(c, "rm fault");
}

/* It says what it waits for, is ended like any other, and is none the worse for it. */
static void a_start_that_hangs_says_on_what(void **state)
{
    struct cluster *c = *state;

    setenv("LD_PRELOAD", FAULTY_DISK, 1);
    load_begin(&load, c);
    cluster_until(c, load_all_up, &load, LOAD_BACK_MS, "all are there");
    for (size_t i = 0; i < ARRAY_LEN(hangs); i++) {
        cluster_kill(c, WEST); /* so that there is a write-ahead log to be read */
        one_hang(c, i);
        load_comes_back(&load, WEST);
    }
    load_end(&load);
}

/* ---- the directory is damaged -----------------------------------------------------------
 */

static const struct {
    const char *command, *says;
} damages[] = {
    {"rm raft.db", "witness/raft.db"},
    {"rm raft.db-wal", "witness/raft.db"},
    {"rm raft.db raft.db-wal", "witness/raft.db"},
    {": > raft.db", "witness/raft.db"},
    {": > raft.db-wal", "witness/raft.db"},
    {"truncate -s 12288 raft.db", "witness/raft.db"},
    {"truncate -s 20000 raft.db-wal", "witness/raft.db"},
    {"sqlite3 raft.db 'UPDATE entries SET term = term + 1 WHERE idx % 7 = 0'",
     "witness/raft.db"},
    {"sqlite3 raft.db 'DELETE FROM entries WHERE idx > 9'", "witness/raft.db"},
    {"sqlite3 raft.db 'UPDATE vote SET vote = 1 - vote'", "witness/raft.db"},
    {"sqlite3 raft.db 'UPDATE audit SET text = kind'", "witness/raft.db"},
    {"sqlite3 raft.db 'DELETE FROM audit WHERE seq > 2'", "witness/raft.db"},
    {"printf xx | dd of=raft.db-wal bs=1 seek=17 conv=notrunc status=none",
     "witness/raft.db"},
    {"printf xx | dd of=raft.db-wal bs=1 seek=5000 conv=notrunc status=none",
     "witness/raft.db"},
    {"rm mark", "witness/mark"},
    {": > mark", "witness/mark"},
    {"truncate -s 9 mark", "witness/mark"},
    {"dd if=/dev/zero of=mark bs=128 count=1 conv=notrunc status=none", "witness/mark"},
};

static void a_damaged_directory_is_not_started(void **state)
{
    struct cluster *c = *state;

    load_keep_whole(&load, c);
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        cluster_shell(c, "rm -rf witness && cp -a whole witness && cd witness && %s",
                      damages[i].command);
        load_start_anew(&load, WITNESS);
        if (cluster_wait_end(c, WITNESS, END_MS, damages[i].command) != EX_CONFIG_)
            fail_msg("started after %s", damages[i].command);
        cluster_log_says(c, WITNESS, damages[i].says);
        cluster_log_says(c, WITNESS, "ringfence controller replace");
        load_two_go_on(&load, WITNESS);
    }
    cluster_shell(c, "rm -rf witness && mv whole witness");
    load_comes_back(&load, WITNESS);
    load_end(&load);
}

/* What is not of the log: lost or damaged it keeps nobody from starting, and is made anew.
 * In `names` is what the resolver said (controller/net/names.h). */
static const struct {
    const char *command, *says;
} harmless[] = {
    {"rm lock", NULL},
    {"rm names", NULL},
    {": > names", "witness/names: not a file of names: nothing of it is used"},
    {"truncate -s 30 names", "witness/names: damaged: line 2: nothing of it is used"},
    {"sed -i '1s/1/2/' names", "witness/names: not a file of names: nothing of it is used"},
    {"head -c 3000 /dev/zero > names", "witness/names: not a file of names: nothing"},
    {"rm names lock", NULL},
    /* Nothing is read of it: without shared memory SQLite makes none. */
    {"head -c 32768 /dev/zero > raft.db-shm", NULL},
};

static bool is_made_anew(void *owner)
{
    struct cluster *c = owner;
    char path[2 * CLUSTER_PATH], line[24] = "";
    FILE *f;

    snprintf(path, sizeof path, "%s/witness/names", c->dir);
    f = fopen(path, "r");
    if (f == NULL || fgets(line, sizeof line, f) == NULL)
        line[0] = 0;
    if (f != NULL)
        fclose(f);
    snprintf(path, sizeof path, "%s/witness/lock", c->dir);
    return strcmp(line, "ringfence-names 1\n") == 0 && access(path, F_OK) == 0;
}

static void what_is_not_of_the_log_is_made_anew(void **state)
{
    struct cluster *c = *state;

    cluster_shell(c, "sed -i '/name: witness/!s/\"127.0.0.1:/\"localhost:/' witness.yaml");
    load_keep_whole(&load, c);
    /* These are all: each is in one of the two tables. */
    cluster_shell(c, "ls whole > all && printf 'lock\\nmark\\nnames\\nraft.db\\n"
                     "raft.db-wal\\n' | cmp - all");
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
        cluster_shell(c, "cd witness && %s", harmless[i].command);
        load_comes_back(&load, WITNESS);
        if (harmless[i].says != NULL)
            cluster_log_says(c, WITNESS, harmless[i].says);
        else
            assert_false(log_has(c, WITNESS, "witness/names"));
        cluster_until(c, is_made_anew, c, LOAD_BACK_MS, harmless[i].command);
        cluster_kill(c, WITNESS);
    }
    load_comes_back(&load, WITNESS);
    load_end(&load);
}

/* Under a running one: long before it is started again, or anybody asks for those rows. */
static void damage_stops_a_running_one(void **state)
{
    struct cluster *c = *state;

    load_keep_whole(&load, c);
    load_comes_back(&load, WITNESS);
    cluster_shell(c, "pages=$(($(stat -c %%s witness/raft.db) / 4096)) && "
                     "dd if=/dev/urandom of=witness/raft.db bs=4096 seek=1 "
                     "count=$((pages - 1)) conv=notrunc status=none");
    assert_int_equal(cluster_wait_end(c, WITNESS, END_MS, "damage is found"),
                     EXIT_FAIL_STOP_);
    cluster_log_says(c, WITNESS, "witness/raft.db");
    cluster_log_says(c, WITNESS, "ringfence controller replace");
    load_two_go_on(&load, WITNESS);
    load_start_anew(&load, WITNESS);
    assert_int_equal(cluster_wait_end(c, WITNESS, END_MS, "nor does it start"), EX_CONFIG_);
    cluster_log_says(c, WITNESS, "ringfence controller replace");
}

/* The whole directory as it was some seconds ago, its mark too: only the others know. They
 * tell it, it writes that down, and never asks again. */
static void an_old_copy_is_not_let_in(void **state)
{
    struct cluster *c = *state;

    load_keep_whole(&load, c);
    load_comes_back(&load, WITNESS);
    cluster_turn_ms(c, 3000);
    cluster_kill(c, WITNESS);
    cluster_shell(c, "mv witness newest && mv whole witness");
    load_start_anew(&load, WITNESS);
    assert_int_equal(cluster_wait_end(c, WITNESS, END_MS, "the old copy"), EXIT_FAIL_STOP_);
    cluster_log_says(c, WITNESS, "an old copy was put back");
    cluster_log_says(c, WITNESS, "ringfence controller replace");
    load_two_go_on(&load, WITNESS);
    load_start_anew(&load, WITNESS);
    assert_int_equal(cluster_wait_end(c, WITNESS, END_MS, "the old copy again"),
                     EX_CONFIG_);
    cluster_log_says(c, WITNESS, "an old copy was put back");

    cluster_shell(c, "rm -rf witness && mv newest witness");
    load_comes_back(&load, WITNESS);
    load_end(&load);
}

/* All are down, and the old copy is the first to start: alone it decides nothing, and the
 * first of the others that comes back remembers more of it, from its own disk. */
static void an_old_copy_that_starts_first_is_found_out(void **state)
{
    struct cluster *c = *state;

    load_keep_whole(&load, c);
    load_comes_back(&load, WITNESS);
    cluster_turn_ms(c, 3000);
    for (int i = 0; i < NODES; i++)
        cluster_kill(c, i);
    cluster_shell(c, "mv witness newest && mv whole witness");
    load_start_anew(&load, WITNESS);
    cluster_turn_ms(c, 1500);
    assert_int_equal(cluster_leader_seen_by(c, WITNESS), -1);
    cluster_start(c, WEST, false);
    assert_int_equal(cluster_wait_end(c, WITNESS, END_MS, "the old copy"), EXIT_FAIL_STOP_);
    cluster_log_says(c, WITNESS, "controller west remembers");
    cluster_log_says(c, WITNESS, "an old copy was put back");
    assert_int_equal(cluster_leader_seen_by(c, WEST), -1);
    cluster_start(c, EAST, false);
    load_two_go_on(&load, WITNESS);

    cluster_shell(c, "rm -rf witness && mv newest witness");
    load_comes_back(&load, WITNESS);
    load_end(&load);
}

/* ---- damage at random -------------------------------------------------------------------
 */

static uint64_t dice;

static uint64_t throw(uint64_t sides)
{
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (dice >> 33) % sides;
}

static void never_fatal(void *owner, const struct err *err)
{
    (void)owner;
    (void)err;
}

static void never_done(void *owner, uint64_t seq)
{
    (void)owner;
    (void)seq;
}

struct opened {
    struct driver_state state;
    struct store *store;
    uv_loop_t loop;
};

static int open_copy(struct cluster *c, const char *name, struct opened *o, struct err *err)
{
    char dir[CLUSTER_PATH + 16];
    struct store_callbacks callbacks = {never_done, never_fatal, NULL};
    struct store_config config = {.dir = dir,
                                  .cluster = "lab",
                                  .node = "witness",
                                  .node_id = WITNESS + 1,
                                  .incarnation = 1};
    int status;

    snprintf(dir, sizeof dir, "%s/%s", c->dir, name);
    assert_int_equal(uv_loop_init(&o->loop), 0);
    status = store_open(&o->store, &o->loop, &config, callbacks, &o->state, err);
    if (status != 0)
        assert_int_equal(uv_loop_close(&o->loop), 0);
    return status;
}

static void close_copy(struct opened *o)
{
    store_loaded_free(o->store);
    store_close(o->store);
    uv_run(&o->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&o->loop), 0);
}

static bool same_state(const struct driver_state *a, const struct driver_state *b)
{
    bool same = a->term == b->term && a->vote == b->vote &&
                a->snapshot_index == b->snapshot_index &&
                a->snapshot_term == b->snapshot_term &&
                a->snapshot_len == b->snapshot_len && a->first_index == b->first_index &&
                a->n_entries == b->n_entries;

    if (same && a->snapshot_len != 0)
        same = memcmp(a->snapshot, b->snapshot, a->snapshot_len) == 0;
    for (size_t i = 0; same && i < a->n_entries; i++) {
        const struct consensus_entry *x = &a->entries[i], *y = &b->entries[i];

        same = x->term == y->term && x->kind == y->kind && x->len == y->len &&
               (x->len == 0 || memcmp(x->data, y->data, x->len) == 0);
    }
    return same;
}

static long size_of(struct cluster *c, const char *file)
{
    char path[2 * CLUSTER_PATH];
    struct stat st;

    snprintf(path, sizeof path, "%s/trial/%s", c->dir, file);
    assert_int_equal(stat(path, &st), 0);
    return (long)st.st_size;
}

/* A bit, a sector, or all from some place on; where something lies: behind the end of the
 * write-ahead log are megabytes of room. */
static void damage_something(struct cluster *c, char *ret, size_t size)
{
    static const char *const files[] = {"raft.db", "raft.db-wal", "raft.db", "raft.db-wal",
                                        "mark"};
    const char *file = files[throw(ARRAY_LEN(files))];
    long length = size_of(c, file), used = length < 300000 ? length : 300000;
    uint64_t at = throw((uint64_t)used), kind = throw(8);
    char path[2 * CLUSTER_PATH];
    uint8_t sector[512] = {0};
    int fd;

    snprintf(path, sizeof path, "%s/trial/%s", c->dir, file);
    snprintf(ret, size, "%s of %s at %" PRIu64,
             kind == 0   ? "truncation"
             : kind == 1 ? "loss of a sector"
                         : "a changed bit",
             file, at);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (kind == 0) {
        assert_int_equal(ftruncate(fd, (off_t)at), 0);
    } else if (kind == 1) {
        at -= at % sizeof sector;
        assert_true(pwrite(fd, sector,
                           (size_t)length - at < sizeof sector ? (size_t)length - at
                                                               : sizeof sector,
                           (off_t)at) > 0);
    } else {
        assert_int_equal(pread(fd, sector, 1, (off_t)at), 1);
        sector[0] ^= (uint8_t)(1u << throw(8));
        assert_int_equal(pwrite(fd, sector, 1, (off_t)at), 1);
    }
    close(fd);
}

/* What a real controller wrote down, changed at random some hundred times: it is refused by
 * name, or all that it ever acknowledged is still there. */
static void no_damage_makes_it_forget(void **state)
{
    const char *more = getenv("RF_TRIALS"); /* for a long search */
    const unsigned trials = more != NULL ? (unsigned)strtoul(more, NULL, 10) : 250;
    struct cluster *c = *state;
    struct opened whole, trial;
    unsigned refused = 0;
    char what[100];
    struct err err;

    load_keep_whole(&load, c);
    cluster_shell(c, "cp -a whole baseline");
    if (open_copy(c, "baseline", &whole, &err) != 0)
        fail_msg("%s", err.text);
    dice = trials;
    for (unsigned i = 0; i < trials; i++) {
        cluster_shell(c, "rm -rf trial && cp -a whole trial");
        damage_something(c, what, sizeof what);
        if (open_copy(c, "trial", &trial, &err) == 0) {
            if (!same_state(&whole.state, &trial.state))
                fail_msg("%s: another state", what);
            close_copy(&trial);
            continue;
        }
        refused++;
        if (strstr(err.text, "/trial") == NULL ||
            strstr(err.text, "ringfence controller replace") == NULL)
            fail_msg("%s: %s", what, err.text);
    }
    print_message("%u of %u were refused, the others held all\n", refused, trials);
    assert_in_range(refused, trials / 6, trials);
    close_copy(&whole);
    load_comes_back(&load, WITNESS);
    load_end(&load);
}

#define EACH_ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(a_full_disk_stops_one_and_loses_nothing),
        EACH_ALONE(a_failing_disk_stops_one_and_loses_nothing),
        EACH_ALONE(a_start_that_hangs_says_on_what),
        EACH_ALONE(a_damaged_directory_is_not_started),
        EACH_ALONE(what_is_not_of_the_log_is_made_anew),
        EACH_ALONE(damage_stops_a_running_one),
        EACH_ALONE(an_old_copy_is_not_let_in),
        EACH_ALONE(an_old_copy_that_starts_first_is_found_out),
        EACH_ALONE(no_damage_makes_it_forget),
    };

    /* Mounts of ours are nobody else's, and go with us. */
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        fprintf(stderr, "test_disk: a mount namespace is needed: run it as root\n");
        return 2;
    }
    /* The daemon's runtime need not come before the shim. */
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
