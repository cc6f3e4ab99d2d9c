/* The provider's parsers, and the frames between an agent and its workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "providers/postgres/names.h"
#include "providers/postgres/peers.h"
#include "providers/postgres/text.h"
#include "providers/postgres/wal.h"
#include "providers/provider.h"
#include "providers/worker.h"

#define EACH(row, table)                                                                   \
    for ((row) = (table); (row) < (table) + sizeof(table) / sizeof *(table); (row)++)

/* A position is two hexadecimal halves and nothing else; what is not leaves no trace. */
static void reads_positions(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t lsn;
    } table[] =
        {
            {"0/0", true, 0},
            {"16/B374D848", true, 0x16B374D848},
            {"FFFFFFFF/FFFFFFFF", true, UINT64_MAX},
            {"0/3000060", true, 0x3000060},
            {"", false, 0},
            {"0", false, 0},
            {"/1", false, 0},
            {"0/", false, 0},
            {"0/123456789", false, 0},
            {"0/12 ", false, 0},
            {"-1/0", false, 0},
            {"0/xyz", false, 0},
        },
      *row;

    (void)state;
    EACH (row, table) {
        uint64_t lsn = 42;

        assert_int_equal(pg_lsn_parse(row->text, &lsn), row->good);
        assert_true(lsn == (row->good ? row->lsn : 42));
    }
}

/* What is written is read back as the same. */
static void writes_positions(void **state)
{
    static const uint64_t table[] = {0,         1, 0xFFFFFFFF, 0x100000000, 0x16B374D848,
                                     UINT64_MAX};
    const uint64_t *row;
    char text[PG_LSN_TEXT];
    uint64_t back;

    (void)state;
    EACH (row, table) {
        pg_lsn_format(*row, text);
        assert_true(pg_lsn_parse(text, &back));
        assert_true(back == *row);
    }
}

#define CONTROL(STATE)                                                                     \
    "pg_control version number:            1300\n"                                         \
    "Database system identifier:           7574823649817364512\n"                          \
    "Database cluster state:               " STATE "\n"                                    \
    "Latest checkpoint location:           0/3000098\n"                                    \
    "Latest checkpoint's REDO location:    0/3000060\n"                                    \
    "Latest checkpoint's TimeLineID:       4\n"                                            \
    "Latest checkpoint's PrevTimeLineID:   3\n"                                            \
    "Minimum recovery ending location:     0/30000D0\n"                                    \
    "Min recovery ending loc's timeline:   5\n"                                            \
    "wal_log_hints setting:                on\n"                                           \
    "Bytes per WAL segment:                16777216\n"                                     \
    "Data page checksum version:           0\n"

/* Clean and standby are told from the state, and from nothing else. */
static void reads_control_data(void **state)
{
    static const struct {
        const char *text;
        bool clean, standby;
    } table[] =
        {
            {CONTROL("shut down"), true, false},
            {CONTROL("shut down in recovery"), true, true},
            {CONTROL("shutting down"), false, false},
            {CONTROL("in archive recovery"), false, true},
            {CONTROL("in crash recovery"), false, false},
            {CONTROL("in production"), false, false},
        },
      *row;
    struct pg_control c;
    struct err err;

    (void)state;
    EACH (row, table) {
        assert_int_equal(pg_control_parse(row->text, &c, &err), 0);
        assert_int_equal(pg_control_clean(&c), row->clean);
        assert_int_equal(pg_control_standby(&c), row->standby);
    }
    assert_true(c.system_id == 7574823649817364512u);
    assert_true(c.checkpoint == 0x3000098 && c.redo == 0x3000060);
    assert_true(c.min_recovery == 0x30000D0 && c.min_recovery_timeline == 5);
    assert_int_equal(c.timeline, 4);
    assert_int_equal(c.segment_bytes, 16777216);
    assert_true(c.wal_log_hints && !c.checksums);
}

/* A line that is missing or translated is an error, not a zero. */
static void refuses_other_control_data(void **state)
{
    AUTO(auto_free) char *text = strdup(CONTROL("shut down"));
    struct pg_control c;
    struct err err;

    (void)state;
    for (size_t at = 0; text[at] != '\0'; at++) {
        if (at > 0 && text[at - 1] == '\n' && strncmp(text + at, "pg_control", 10) != 0 &&
            strncmp(text + at, "Latest checkpoint's Prev", 24) != 0) {
            char was = text[at];

            text[at] = '#';
            assert_int_equal(pg_control_parse(text, &c, &err), ERR_BADMSG);
            text[at] = was;
        }
    }
    assert_int_equal(pg_control_parse("", &c, &err), ERR_BADMSG);
}

static void reads_histories(void **state)
{
    struct pg_history h;
    struct err err;

    (void)state;
    assert_int_equal(pg_history_parse("", &h, &err), 0);
    assert_int_equal(h.n, 0);
    assert_int_equal(pg_history_parse("1\t0/3000158\tno recovery target specified\n\n"
                                      "# a comment\n"
                                      "2\t0/5000000\tbefore 2026-01-01\n",
                                      &h, &err),
                     0);
    assert_int_equal(h.n, 2);
    assert_true(h.of[1].timeline == 2 && h.of[1].end == 0x5000000);

    assert_int_equal(pg_history_parse("x\t0/1\n", &h, &err), ERR_BADMSG);
    assert_int_equal(pg_history_parse("1 nowhere\n", &h, &err), ERR_BADMSG);
    assert_int_equal(pg_history_parse("2\t0/1\n1\t0/2\n", &h, &err), ERR_BADMSG);
    assert_int_equal(pg_history_parse("0\t0/1\n", &h, &err), ERR_BADMSG);
}

/* Where two logs part, for every relation that two servers can have. */
static void finds_the_fork(void **state)
{
    static const struct {
        const char *name, *a, *b;
        uint32_t a_timeline, b_timeline;
        uint64_t lsn;
        uint32_t timeline;
    } table[] =
        {
            {"same, first", "", "", 1, 1, UINT64_MAX, 1},
            {"same, later", "1\t0/10\n", "1\t0/10\n", 2, 2, UINT64_MAX, 2},
            {"old primary", "", "1\t0/10\n", 1, 2, 0x10, 1},
            {"two switches ago", "", "1\t0/10\n2\t0/20\n", 1, 3, 0x10, 1},
            {"one switch ago", "1\t0/10\n", "1\t0/10\n2\t0/20\n", 2, 3, 0x20, 2},
            {"promoted by hand", "1\t0/30\n", "", 2, 1, 0x30, 1},
            {"same number, not the same", "1\t0/10\n", "1\t0/18\n", 2, 2, 0x10, 1},
            {"skipped a number", "1\t0/10\n", "1\t0/18\n", 2, 3, 0x10, 1},
        },
      *row;
    struct pg_history a, b;
    uint64_t lsn;
    uint32_t timeline;
    struct err err;

    (void)state;
    EACH (row, table) {
        assert_int_equal(pg_history_parse(row->a, &a, &err), 0);
        assert_int_equal(pg_history_parse(row->b, &b, &err), 0);
        assert_true(
            pg_fork_find(&a, row->a_timeline, &b, row->b_timeline, &lsn, &timeline));
        assert_true(lsn == row->lsn);
        assert_int_equal(timeline, row->timeline);
        /* It is the same from the other side. */
        assert_true(
            pg_fork_find(&b, row->b_timeline, &a, row->a_timeline, &lsn, &timeline));
        assert_true(lsn == row->lsn);
    }
    a = b = (struct pg_history){0};
    assert_false(pg_fork_find(&a, 1, &b, 2, &lsn, &timeline));
}

/* `*`, nothing, and what PostgreSQL would cut or not find again are refused. */
static void refuses_unsafe_names(void **state)
{
    static const struct {
        const char *name;
        bool good;
    } table[] =
        {
            {"west", true},
            {"rf-orders-west-7", true},
            {"with \"quotes\" and spaces", true},
            {"123456789012345678901234567890123456789012345678901234567890123", true},
            {"1234567890123456789012345678901234567890123456789012345678901234", false},
            {"*", false},
            {"", false},
            {"new\nline", false},
            {"\xc3\xa4", false},
        },
      *row;
    struct err err;

    (void)state;
    EACH (row, table)
        assert_int_equal(pg_name_check(row->name, &err) == 0, row->good);
}

static void names_survive_the_way_there_and_back(void **state)
{
    char a[] = "east", b[] = "we\"st", c[] = "a, b) (";
    char *names[] = {a, b, c};
    static const char *const wanted[] = {
        "",
        "FIRST 1 (\"east\")",
        "FIRST 2 (\"east\", \"we\"\"st\")",
        "FIRST 3 (\"east\", \"we\"\"st\", \"a, b) (\")",
    };

    (void)state;
    for (size_t n = 0; n <= 3; n++) {
        AUTO(auto_free) char *text = NULL;
        struct pg_names back;
        struct err err;

        assert_int_equal(pg_names_format(names, n, &text, &err), 0);
        assert_string_equal(text, wanted[n]);
        assert_true(pg_names_parse(text, &back));
        assert_int_equal(back.n, n);
        for (size_t i = 0; i < n; i++)
            assert_true(pg_names_have(&back, names[i]));
    }
}

/* Anything that we did not write tells nothing about who is waited for. */
static void other_peoples_names_are_not_understood(void **state)
{
    static const char *const table[] = {
        "*",
        "FIRST 1 (\"*\")",
        "FIRST  1 (\"a\")",
        "FIRST +1 (\"a\")",
        "FIRST 01 (\"a\")",
        "a, b",
        "ANY 1 (\"a\", \"b\")",
        "FIRST 1 (\"a\", \"b\")",
        "FIRST 1 (\"a\"",
        "FIRST 1 (a)",
        "FIRST 1 ()",
        "FIRST 1 (\"a\") ",
        "first 1 (\"a\")",
    };
    const char *const *row;
    struct pg_names names;

    (void)state;
    EACH (row, table)
        assert_false(pg_names_parse(*row, &names));
}

/* I8: whoever has the name and not the address is somebody else. */
static void a_peer_is_known_by_name_and_address(void **state)
{
    static const struct {
        const char *known, *from;
        bool is;
    } table[] =
        {
            {"10.0.0.2", "10.0.0.2", true},        {"10.0.0.2", "10.0.0.3", false},
            {"10.0.0.2", "this host", false},      {"10.0.0.2", "fd00::2", false},
            {"fd00:0:0::2", "fd00::2", true},      {"fd00::2", "fd00::3", false},
            {"db-west.example", "10.0.0.3", true}, /* nothing to compare */
        },
      *row;
    Rf__ProviderPeer peer = RF__PROVIDER_PEER__INIT;
    Rf__ProviderPeer *peers[] = {&peer};
    struct pg pg = {.peers = peers, .n_peers = 1};

    (void)state;
    peer.standby_name = (char *)"west";
    EACH (row, table) {
        peer.address = (char *)(uintptr_t)row->known;
        if (pg_peer_is_at(&peer, row->from) != row->is)
            fail_msg("%s from %s", row->known, row->from);
    }
    assert_ptr_equal(pg_peer_named(&pg, "west"), &peer);
    assert_null(pg_peer_named(&pg, "east"));
    assert_null(pg_peer_named(&pg, ""));
}

/* I8: only names that make every commit wait for each member do. */
static void names_that_pass_a_member_by_are_told(void **state)
{
    static const struct {
        const char *names;
        bool member, passed;
    } table[] =
        {
            {"FIRST 1 (\"west\")", true, false},
            {"FIRST 2 (\"west\", \"nobody\")", true, false}, /* in the middle of a step */
            {"FIRST 1 (\"west\", \"nobody\")", true, true},
            {"ANY 1 (\"west\")", true, true},
            {"*", true, true},
            {"", true, true},
            {"FIRST 1 (\"nobody\")", true, true},
            {"", false, false},
            {"*", false, false},
        },
      *row;
    Rf__ProviderPeer peer = RF__PROVIDER_PEER__INIT;
    Rf__ProviderPeer *peers[] = {&peer};
    struct pg pg = {.peers = peers, .n_peers = 1};
    char text[PG_COMMIT_TEXT];

    (void)state;
    peer.standby_name = (char *)"west";
    EACH (row, table) {
        peer.member = row->member;
        pg_peers_passed_by(&pg, row->names, text);
        if ((text[0] != '\0') != row->passed)
            fail_msg("'%s': %s", row->names, text);
    }
    pg.n_peers = 0;
    pg_peers_passed_by(&pg, "", text);
    assert_string_equal(text, "");
}

static void quotes_what_needs_it(void **state)
{
    AUTO(auto_free) char *conninfo = pg_quote_conninfo("it's a\\b");
    AUTO(auto_free) char *conf = pg_quote_conf("it's a\\b");

    (void)state;
    assert_string_equal(conninfo, "'it\\'s a\\\\b'");
    assert_string_equal(conf, "'it''s a\\\\b'");
}

/* The postmaster writes its file line by line: what is not there is empty. */
static void reads_pid_files(void **state)
{
    struct pg_pidfile f;
    struct err err;

    (void)state;
    assert_int_equal(pg_pidfile_parse("4711\n/data\n1700000000\n5433\n/run/pg\n127.0.0.1\n"
                                      "  1234  5678\nready   \n",
                                      &f, &err),
                     0);
    assert_true(f.pid == 4711 && f.port == 5433);
    assert_string_equal(f.socket_dir, "/run/pg");
    assert_string_equal(f.status, "ready");
    assert_int_equal(pg_pidfile_parse("4711\n", &f, &err), 0);
    assert_string_equal(f.status, "");
    assert_int_equal(pg_pidfile_parse("-4711\n", &f, &err), ERR_BADMSG);
    assert_int_equal(pg_pidfile_parse("1\n", &f, &err), ERR_BADMSG);
    assert_int_equal(pg_pidfile_parse("", &f, &err), ERR_BADMSG);
}

static void finds_the_end_of_a_log(void **state)
{
    uint64_t end = 42;

    (void)state;
    assert_true(pg_waldump_end("pg_waldump: error: error in WAL record at 0/3000148: "
                               "invalid record length at 0/3000180: wanted 24, got 0",
                               &end));
    assert_true(end == 0x3000180);
    assert_false(pg_waldump_end("pg_waldump: error: no such file", &end));
}

static void names_segments(void **state)
{
    char name[PG_SEGMENT_NAME];
    uint32_t timeline;
    uint64_t lsn;

    (void)state;
    pg_segment_name(2, 0x1234567890, 16 << 20, name);
    assert_string_equal(name, "000000020000001200000034");
    assert_true(pg_segment_parse(name, 16 << 20, &timeline, &lsn));
    assert_true(timeline == 2 && lsn == 0x1234000000);
    assert_false(pg_segment_parse("00000002.history", 16 << 20, &timeline, &lsn));
    assert_false(pg_segment_parse("000000020000001200000100", 16 << 20, &timeline, &lsn));
    assert_false(
        pg_segment_parse("000000020000001200000034.partial", 16 << 20, &timeline, &lsn));
}

static void frames_pass(void **state)
{
    Rf__ProviderRequest request = RF__PROVIDER_REQUEST__INIT, *back = NULL;
    Rf__ServerSpec spec = RF__SERVER_SPEC__INIT;
    AUTO(auto_free) uint8_t *data = NULL;
    struct err err;
    int fds[2];
    size_t len;

    (void)state;
    request.id = 77;
    request.canary = true;
    request.server = &spec;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(provider_frame_write(fds[0], &request.base, (struct mono){0}, &err),
                     0);
    assert_int_equal(provider_frame_read(fds[1], &data, &len, (struct mono){0}, &err), 0);
    if (provider_request_decode(data, len, &back, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(back->id == 77 && back->canary);
    rf__provider_request__free_unpacked(back, NULL);
    close(fds[0]);
    close(fds[1]);
}

/* Garbage is an error before anything is allocated for it; silence ends at the deadline. */
static void bad_frames_are_refused(void **state)
{
    static const uint8_t huge[] = {0x7f, 0xff, 0xff, 0xff}, none[] = {0, 0, 0, 0};
    static const uint8_t unknown_field[] = {0xf8, 0x06, 0x01};
    Rf__ProviderRequest *request = NULL;
    uint8_t *data = NULL;
    struct err err;
    size_t len;
    int fds[2];

    (void)state;
    assert_int_equal(provider_frame_length(huge, &len, &err), ERR_BADMSG);
    assert_int_equal(provider_frame_length(none, &len, &err), ERR_BADMSG);
    assert_int_equal(
        provider_request_decode(unknown_field, sizeof unknown_field, &request, &err),
        ERR_BADMSG);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(
        provider_frame_read(fds[1], &data, &len, mono_plus_ms(mono_now(), 20), &err),
        ERR_TIMEOUT);
    close(fds[0]);
    assert_int_equal(provider_frame_read(fds[1], &data, &len, (struct mono){0}, &err),
                     ERR_CLOSED);
    close(fds[1]);
}

/* A request for a provider that does not exist, or without a server, is answered. */
static void unservable_requests_are_answered(void **state)
{
    Rf__ProviderRequest request = RF__PROVIDER_REQUEST__INIT;
    Rf__ServerSpec spec = RF__SERVER_SPEC__INIT;
    Rf__StepRequest step = RF__STEP_REQUEST__INIT;
    Rf__ProviderReply *reply = NULL;
    struct provider_slot slot = {0};
    char oracle[] = "oracle";
    struct err err;

    (void)state;
    assert_int_equal(provider_serve(&slot, &request, &reply, &err), 0);
    assert_non_null(strstr(reply->seen->error, "without a server"));
    rf__provider_reply__free_unpacked(reply, NULL);

    spec.provider = oracle;
    step.step = 9;
    request.server = &spec;
    request.step = &step;
    assert_int_equal(provider_serve(&slot, &request, &reply, &err), 0);
    assert_int_equal(reply->result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_int_equal(reply->result->step, 9);
    assert_non_null(strstr(reply->result->text, "oracle"));
    rf__provider_reply__free_unpacked(reply, NULL);
    provider_slot_close(&slot);
}

/* Nobody is shown a statement: what it asks for is said in words. */
static void statements_are_told_in_words(void **state)
{
    static const struct {
        const char *sql, *words;
    } rows[] = {
        {"SELECT application_name, state, sync_state, coalesce(flush_lsn, '0/0')",
         "list the standbys"},
        {"SELECT r, s.system_identifier, c.checkpoint_lsn, current_setting('x')",
         "look at the server"},
        {"SELECT current_setting('port')", "read a setting"},
        {"SELECT current_setting('synchronous_standby_names')",
         "ask whom commits wait for"},
        {"ALTER SYSTEM SET synchronous_standby_names = ''", "set whom commits wait for"},
        {"SELECT pg_promote(false)", "promote the server"},
        {"SELECT what_nobody_has_thought_of()", "ask the server"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(pg_in_words(rows[i].sql), rows[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_positions),
        cmocka_unit_test(writes_positions),
        cmocka_unit_test(reads_control_data),
        cmocka_unit_test(refuses_other_control_data),
        cmocka_unit_test(reads_histories),
        cmocka_unit_test(finds_the_fork),
        cmocka_unit_test(refuses_unsafe_names),
        cmocka_unit_test(names_survive_the_way_there_and_back),
        cmocka_unit_test(other_peoples_names_are_not_understood),
        cmocka_unit_test(a_peer_is_known_by_name_and_address),
        cmocka_unit_test(names_that_pass_a_member_by_are_told),
        cmocka_unit_test(quotes_what_needs_it),
        cmocka_unit_test(reads_pid_files),
        cmocka_unit_test(finds_the_end_of_a_log),
        cmocka_unit_test(names_segments),
        cmocka_unit_test(frames_pass),
        cmocka_unit_test(bad_frames_are_refused),
        cmocka_unit_test(unservable_requests_are_answered),
        cmocka_unit_test(statements_are_told_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
