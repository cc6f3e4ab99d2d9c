/* Golden disks: what an earlier version left in the directories of a controller and of an
 * agent, and beside a server's data, this one opens and understands. One version more than
 * ours in each is refused, with a sentence that names the file and what to install (but for
 * `names`, which is written anew).
 *
 *     test_golden_disk DIR            reads copies of what is in DIR
 *     test_golden_disk DIR --rewrite  writes DIR anew: a change of format (I10)
 */
#include "tests/unit/core/world.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/consensus/kin.h"
#include "controller/consensus/members.h"
#include "controller/net/names_text.h"
#include "fencing/agent/agent_state.h"
#include "fencing/agent/steps_state.h"
#include "providers/postgres/mark.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/golden/controller.h"

enum { BYTES_MAX = 1 << 20, AUDIT_ROWS = 17, BOOT_DIGITS = 32 };

static struct {
    const char *golden;
    bool rewrite;
    char dir[TREE_PATH]; /* a copy, or what is to become golden */
    struct durable_dir at;
} t;

static const struct agent_contents agent = {
    .cluster = "demo",
    .agent = "pg-east",
    .incarnation = {{0xab, 1, 2, 3, [INCARNATION_BYTES - 1] = 0xcd}},
    .epochs = {.count = 2,
               .of = {{"orders", 7, 6, 5432, {0}, true}, {"users", 9, 0, 0, {0}, false}}},
};

/* ---- files ----------------------------------------------------------------------------
 */

static const char *in(const char *dir, const char *name)
{
    static char path[4][512];
    static unsigned next;
    char *p = path[next++ % ARRAY_LEN(path)];

    assert_true(snprintf(p, sizeof path[0], "%s/%s", dir, name) < (int)sizeof path[0]);
    return p;
}

static void read_bytes(const char *dir, const char *name, struct buf *ret)
{
    FILE *f = fopen(in(dir, name), "r");
    struct err err = {0};

    if (f == NULL)
        fail_msg("%s/%s is missing", dir, name);
    assert_int_equal(buf_reserve(ret, BYTES_MAX, &err), 0);
    ret->len = fread(ret->data, 1, BYTES_MAX, f);
    assert_int_equal(fclose(f), 0);
}

static void write_bytes(const char *dir, const char *name, const void *data, size_t len)
{
    FILE *f = fopen(in(dir, name), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void copy(const char *name, const char *from, const char *to)
{
    AUTO(buf_free) struct buf b = {0};

    read_bytes(from, name, &b);
    write_bytes(to, name, b.data, b.len);
}

/* Into golden, or out of it. */
static void carry(const char *name)
{
    copy(name, t.rewrite ? t.dir : t.golden, t.rewrite ? t.golden : t.dir);
}

static int begin(void **state)
{
    (void)state;
    tree_make(t.dir, "/tmp");
    assert_int_equal(mkdir(in(t.dir, "data"), 0700), 0);
    t.at = (struct durable_dir){.fd = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                .path = t.dir};
    return t.at.fd >= 0 ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    auto_close(&t.at.fd);
    return tree_remove(t.dir);
}

/* The same text under another version, with a checksum that fits. */
static void make_newer(const char *name, const char *old_head, const char *new_head)
{
    AUTO(buf_free) struct buf text = {0};
    AUTO(buf_free) struct buf newer = {0};
    struct err err = {0};

    assert_int_equal(durable_read(&t.at, name, &text, &err), 0);
    assert_int_equal(strncmp((char *)text.data, old_head, strlen(old_head)), 0);
    assert_int_equal(durable_printf(&newer, &err, "%s%s", new_head,
                                    (char *)text.data + strlen(old_head)),
                     0);
    assert_int_equal(durable_write(&t.at, name, &newer, &err), 0);
}

static void assert_says(const struct err *err, const char *file, const char *what)
{
    if (strstr(err->text, file) == NULL || strstr(err->text, what) == NULL)
        fail_msg("'%s' does not name %s and %s", err->text, file, what);
}

static void check_bytes(const char *name, const struct buf *now)
{
    AUTO(buf_free) struct buf then = {0};

    if (t.rewrite)
        write_bytes(t.golden, name, now->data, now->len);
    read_bytes(t.golden, name, &then);
    assert_int_equal(then.len, now->len);
    assert_memory_equal(then.data, now->data, then.len);
}

/* ---- an agent's directory -------------------------------------------------------------
 */

static void agent_state(void **state)
{
    AUTO(buf_free) struct buf then = {0};
    AUTO(buf_free) struct buf again = {0};
    struct agent_contents c;
    struct agent_state s;
    struct err err = {0};

    (void)state;
    if (!t.rewrite)
        carry("agent.state");
    assert_int_equal(agent_state_open(&s, t.dir, &c, &agent, &err), 0);
    if (!t.rewrite) {
        assert_true(incarnation_equal(&c.incarnation, &agent.incarnation));
        assert_int_equal(c.epochs.count, 2);
        assert_string_equal(c.epochs.of[0].group, "orders");
        assert_int_equal(c.epochs.of[0].highest, 7);
        assert_int_equal(c.epochs.of[0].fenced, 6);
        assert_int_equal(c.epochs.of[0].port, 5432);
        assert_true(c.epochs.of[0].tried);
        assert_int_equal(c.epochs.of[1].highest, 9);
        assert_false(c.epochs.of[1].tried);
    }
    assert_int_equal(agent_state_write(&s, &agent, &err), 0);
    agent_state_close(&s);
    if (t.rewrite)
        carry("agent.state");
    read_bytes(t.dir, "agent.state", &again); /* it would be written so today */
    read_bytes(t.golden, "agent.state", &then);
    assert_int_equal(then.len, again.len);
    assert_memory_equal(then.data, again.data, then.len);

    make_newer("agent.state", "ringfence-agent-state 1\n", "ringfence-agent-state 3\n");
    assert_int_equal(agent_state_open(&s, t.dir, &c, &agent, &err), ERR_UNSUPPORTED);
    assert_says(&err, in(t.dir, "agent.state"), "install the version that wrote it");
}

static void be_of_another_boot(void)
{
    AUTO(buf_free) struct buf text = {0};
    struct err err = {0};
    char *boot;

    assert_int_equal(durable_read(&t.at, "steps.state", &text, &err), 0);
    boot = strstr((char *)text.data, "boot ");
    assert_non_null(boot);
    memset(boot + strlen("boot "), '0', BOOT_DIGITS);
    assert_int_equal(durable_write(&t.at, "steps.state", &text, &err), 0);
}

/* Of another boot: what processes it knew is forgotten, the rest counts. */
static void steps_state(void **state)
{
    struct step_records r = {.count = 1};
    struct err err = {0};

    (void)state;
    r.of[0] = (struct step_record){.known = {4711, 12345},
                                   .ever_known = true,
                                   .led_epoch = 7,
                                   .led_position = 900,
                                   .ready_epoch = 7,
                                   .last_step = 41,
                                   .last_failed = true};
    snprintf(r.of[0].group, sizeof r.of[0].group, "orders");
    snprintf(r.of[0].start, sizeof r.of[0].start, "systemd:postgresql@15-main");
    if (t.rewrite) {
        assert_int_equal(steps_state_write(&t.at, &r, &err), 0);
        be_of_another_boot();
    }
    carry("steps.state");
    assert_int_equal(steps_state_read(&t.at, &r, &err), 0);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.of[0].group, "orders");
    assert_string_equal(r.of[0].start, "systemd:postgresql@15-main");
    assert_true(r.of[0].ever_known);
    assert_int_equal(r.of[0].last_step, 41);
    assert_true(r.of[0].last_failed);
    assert_int_equal(r.of[0].known.pid, 0);

    make_newer("steps.state", "ringfence-agent-steps 3\n", "ringfence-agent-steps 4\n");
    assert_int_equal(steps_state_read(&t.at, &r, &err), ERR_UNSUPPORTED);
    assert_says(&err, in(t.dir, "steps.state"), "install the version that wrote it");
    make_newer("steps.state", "ringfence-agent-steps 4\n", "ringfence-agent-steps 0\n");
    assert_int_equal(steps_state_read(&t.at, &r, &err), ERR_UNSUPPORTED);
}

/* Before `start` lines, and before `failed` ones. Never rewritten. */
static void older_steps_states(void **state)
{
    static const char *const names[] = {"steps.state.1", "steps.state.2"};
    struct step_records r;
    struct err err = {0};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        copy(names[i], t.golden, t.dir);
        assert_int_equal(rename(in(t.dir, names[i]), in(t.dir, "steps.state")), 0);
        if (steps_state_read(&t.at, &r, &err) != 0)
            fail_msg("%s: %s", names[i], err.text);
        assert_int_equal(r.count, 1);
        assert_int_equal(r.of[0].last_step, 41);
        assert_false(r.of[0].last_failed);
        assert_string_equal(r.of[0].start, i == 0 ? "" : "systemd:postgresql@15-main");
    }
}

/* ---- what both keep -------------------------------------------------------------------
 */

static void note_name(struct buf *b, const char *host, uint64_t wall_ms,
                      const char *const numbers[2])
{
    struct names_line line = {.wall_ms = wall_ms};
    struct err err = {0};

    snprintf(line.host, sizeof line.host, "%s", host);
    for (unsigned i = 0; i < 2 && numbers[i] != NULL; i++) {
        struct address a = {0};

        snprintf(a.host, sizeof a.host, "%s", numbers[i]);
        assert_int_equal(address_numeric(&line.answer.of[line.answer.count++], &a, &err),
                         0);
    }
    assert_int_equal(names_text_add(b, &line, &err), 0);
}

/* What the resolver said. One of another version is passed over, and nobody is kept from
 * starting by it: the resolver says it again. */
static void names(void **state)
{
    static const char *const east[2] = {"10.0.0.1", "fd00::1"}, *const west[2] = {
                                                                    "192.0.2.77"};
    static struct names_line lines[NAMES_MAX];
    AUTO(buf_free) struct buf b = {0};
    char said[NAMES_ADDRESSES_TEXT];
    unsigned count = 0;
    struct err err = {0};

    (void)state;
    assert_int_equal(names_text_begin(&b, &err), 0);
    note_name(&b, "east.example.org", 1764483331000, east);
    note_name(&b, "west.example.org", 1, west);
    check_bytes("names", &b);
    copy("names", t.golden, t.dir);
    assert_int_equal(names_text_read(in(t.dir, "names"), lines, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(lines[0].host, "east.example.org");
    assert_int_equal(lines[0].wall_ms, 1764483331000);
    names_text_say(&lines[0].answer, said);
    assert_string_equal(said, "10.0.0.1, fd00::1");
    names_text_say(&lines[1].answer, said);
    assert_string_equal(said, "192.0.2.77");

    assert_int_equal(b.data[strlen("ringfence-names ")], '1');
    b.data[strlen("ringfence-names ")] = '2';
    write_bytes(t.dir, "names", b.data, b.len);
    assert_int_equal(names_text_read(in(t.dir, "names"), lines, &count, &err), ERR_BADMSG);
    assert_says(&err, in(t.dir, "names"), "not a file of names");
    assert_int_equal(count, 2);
}

/* ---- beside a server's data -----------------------------------------------------------
 */

static void server_marks(void **state)
{
    char data[128];
    Rf__ServerSpec spec = RF__SERVER_SPEC__INIT;
    struct pg pg = {.spec = &spec, .uid = geteuid(), .gid = getegid()};
    const struct pg_mark rewinding = {.system_id = 77, .tail_bytes = 231, .tail = "/t/x y"};
    const struct pg_mark kept = {.cloning = true, .system_id = 78};
    struct pg_mark m;
    struct err err = {0};

    (void)state;
    snprintf(data, sizeof data, "%s/pg", t.dir);
    spec.data = data;
    if (t.rewrite) {
        assert_int_equal(pg_mark_write(&pg, &rewinding, &err), 0);
        assert_int_equal(pg_tail_note_write(&pg, &kept, &err), 0);
    }
    carry("pg.rewinding");
    carry("pg.tail-kept");
    if (pg_mark_read(&pg, &m, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(m.present && !m.cloning);
    assert_int_equal(m.system_id, 77);
    assert_int_equal(m.tail_bytes, 231);
    assert_string_equal(m.tail, "/t/x y");
    if (pg_tail_note_read(&pg, &m, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(m.present && m.cloning);
    assert_int_equal(m.system_id, 78);
    assert_string_equal(m.tail, "");

    /* They have no version: another first word is what a newer one would write. */
    write_bytes(t.dir, "pg.rewinding", "copy2 77 231 /t/x\n", 18);
    assert_int_equal(pg_mark_read(&pg, &m, &err), ERR_CORRUPT);
    assert_says(&err, in(t.dir, "pg.rewinding"),
                "if a newer version wrote it, install that");
    write_bytes(t.dir, "pg.tail-kept", "copy2 77 231 /t/x\n", 18);
    assert_int_equal(pg_tail_note_read(&pg, &m, &err), ERR_CORRUPT);
    assert_says(&err, in(t.dir, "pg.tail-kept"),
                "if a newer version wrote it, install that");
}

/* ---- a controller's directory ---------------------------------------------------------
 */

static void voters_stores(void **state)
{
    static const uint64_t ids[] = {1, 2, 3};
    const struct kin_self self = {2, 0x22, 0xd16e57};
    AUTO(buf_free) struct buf b = {0};
    struct kin k, back;
    struct err err = {0};

    (void)state;
    kin_init(&k, &self, ids, ARRAY_LEN(ids));
    assert_true(kin_note_mark(&k, 3, 77));
    assert_int_equal(kin_encode(&k, &b, &err), 0);
    check_bytes("kin", &b);
    assert_int_equal(kin_decode(b.data, b.len, &back, &err), 0);
    assert_int_equal(back.self, 2);
    assert_int_equal(kin_find(&back, 3)->mark, 77);
    b.data[0]++;
    assert_int_equal(kin_decode(b.data, b.len, &back, &err), ERR_UNSUPPORTED);
    assert_says(&err, "voters' stores", "install the version that wrote it");
}

static void list_of_members(void **state)
{
    static const struct member all[] = {
        {.id = 1, .name = "east", .votes = true},
        {.id = 2, .name = "west", .store = 0x22, .address = "10.0.0.2:7400", .votes = true},
        {.id = 7, .name = "witness", .store = 0x77, .address = "10.0.0.3:7400"},
    };
    AUTO(buf_free) struct buf b = {0};
    struct members m = {0}, back;
    struct err err = {0};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        assert_int_equal(members_add(&m, &all[i], &err), 0);
    assert_int_equal(members_encode(&m, &b, &err), 0);
    check_bytes("members", &b);
    assert_int_equal(members_decode(b.data, b.len, &back, &err), 0);
    assert_int_equal(back.n, 3);
    assert_string_equal(members_find(&back, 7)->address, "10.0.0.3:7400");
    b.data[0]++;
    assert_int_equal(members_decode(b.data, b.len, &back, &err), ERR_UNSUPPORTED);
    assert_says(&err, "list of members", "install the version that the others run");
}

static void change(const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(in(t.dir, "data/raft.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* The whole directory: log, snapshot, vote, identity, table of stores, audit trail, mark.
 */
static void a_controllers_directory(void **state)
{
    AUTO(buf_free) struct buf now = {0};
    unsigned rows = 0;

    (void)state;
    if (t.rewrite)
        controller_write(in(t.dir, "data"));
    if (t.rewrite)
        change("PRAGMA wal_checkpoint(TRUNCATE)");
    carry("data/raft.db");
    carry("data/mark");
    controller_read(in(t.dir, "data"), &now, &rows);
    check_bytes("state", &now);
    assert_int_equal(rows, AUDIT_ROWS);
}

static void a_newer_store(void **state)
{
    struct err err = {0};

    (void)state;
    copy("data/raft.db", t.golden, t.dir);
    copy("data/mark", t.golden, t.dir);
    change("UPDATE meta SET value = '2' WHERE key = 'format'");
    assert_int_equal(controller_try(in(t.dir, "data"), &err), ERR_UNSUPPORTED);
    assert_says(&err, in(t.dir, "data/raft.db"), "install the version that wrote it");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agent_state, begin, end),
        cmocka_unit_test_setup_teardown(steps_state, begin, end),
        cmocka_unit_test_setup_teardown(older_steps_states, begin, end),
        cmocka_unit_test_setup_teardown(names, begin, end),
        cmocka_unit_test_setup_teardown(server_marks, begin, end),
        cmocka_unit_test_setup_teardown(voters_stores, begin, end),
        cmocka_unit_test_setup_teardown(list_of_members, begin, end),
        cmocka_unit_test_setup_teardown(a_controllers_directory, begin, end),
        cmocka_unit_test_setup_teardown(a_newer_store, begin, end),
    };

    t.golden = argc > 1 ? argv[1] : ".";
    t.rewrite = argc > 2 && strcmp(argv[2], "--rewrite") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
