/* Entries that came in a snapshot: their audit rows are the others', and no row is lost,
 * changed or in another order for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/unit/consensus/store_rig.h"

enum {
    ENTRIES = 20,
    HAVE = 5,
    OWN = 2 * HAVE - 1, /* our last row among theirs */
    SNAPSHOT = 12,
    ROWS = 2 * ENTRIES /* two an entry */,
    LOOK = 128
};

/* What another node has that has applied every entry. */
static struct audit_row theirs[ROWS];

static void write_theirs(void)
{
    static const uint8_t nothing[AUDIT_HASH_SIZE];

    for (unsigned i = 0; i < ROWS; i++) {
        uint64_t index = i / 2 + 1;
        struct audit_row from = {.index = index, .kind = "run", .group = "orders"};

        if (i % 2 != 0)
            from = (struct audit_row){.index = index, .kind = "lease"};
        snprintf(from.text, sizeof from.text, "entry %u", (unsigned)index);
        audit_chain_row(&from, i, i == 0 ? nothing : theirs[i - 1].hash, &theirs[i]);
    }
}

static int put(uint64_t index)
{
    struct audit_row rows[2] = {{.index = index, .kind = "run", .group = "orders"},
                                {.index = index, .kind = "lease"}};
    struct err err;

    for (unsigned i = 0; i < 2; i++)
        snprintf(rows[i].text, sizeof rows[i].text, "entry %u", (unsigned)index);
    return store_put_audit(rig.store, rows, 2, &err);
}

/* ---- asking ---------------------------------------------------------------------------
 */

static struct {
    struct audit_row rows[LOOK];
    size_t n;
    bool done, taken;
} got;

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    (void)owner;
    assert_int_equal(status, 0);
    assert_true(n <= LOOK);
    memcpy(got.rows, rows, n * sizeof *rows);
    got.n = n;
    got.done = true;
}

static void on_filled(void *owner, bool taken)
{
    (void)owner;
    got.taken = taken;
    got.done = true;
}

static void wait_done(void)
{
    struct mono begun = mono_now();

    while (!got.done && rig.fatal == 0) {
        assert_true(mono_since_ms(begun, mono_now()) < WAIT_MS);
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    }
    assert_true(got.done);
}

static void look(void)
{
    struct audit_query q = {.limit = LOOK};
    struct err err;

    got.done = false;
    assert_int_equal(store_query_audit(rig.store, &q, on_rows, NULL, &err), 0);
    wait_done();
}

static bool fill(unsigned first, unsigned n, bool is_all, bool nobody)
{
    struct store_fill f = {n != 0 ? &theirs[first] : NULL, n, is_all, nobody};
    struct err err;

    got.done = false;
    assert_int_equal(store_fill_audit(rig.store, &f, on_filled, NULL, &err), 0);
    wait_done();
    return got.taken;
}

static uint64_t gap(void)
{
    struct store_stats stats;

    store_stats(rig.store, &stats);
    return stats.audit_gap;
}

static bool is_open;

static void close_store(void)
{
    is_open = false;
    rig_close();
}

static int teardown(void **state)
{
    if (is_open)
        close_store();
    return rig_teardown(state);
}

static void open_store(bool first)
{
    struct store_config c = rig_config(first, NULL);
    struct driver_state s;
    struct err err = {0};

    if (rig_open(&c, &s, &err) != 0)
        fail_msg("%s", err.text);
    is_open = true;
    store_loaded_free(rig.store);
}

static void reopen(void)
{
    close_store();
    open_store(false);
}

/* Entries 1 to 5 were applied, 6 to 12 came in a snapshot, 13 to 16 were applied. */
static void make_gap(void)
{
    write_theirs();
    open_store(true);
    for (uint64_t i = 1; i <= HAVE; i++)
        assert_int_equal(put(i), 0);
    assert_int_equal(rig_snapshot(1, SNAPSHOT, true, SNAPSHOT + 1), 0);
    for (uint64_t i = SNAPSHOT + 1; i <= 16; i++)
        assert_int_equal(put(i), 0);
    look();
    assert_int_equal(got.n, 2 * HAVE);
    assert_int_equal(gap(), SNAPSHOT);
}

static void assert_same(unsigned rows)
{
    uint64_t n = 0;

    look();
    assert_int_equal(got.n, rows);
    for (unsigned i = 0; i < rows; i++)
        assert_memory_equal(&got.rows[i], &theirs[i], sizeof theirs[i]);
    close_store();
    assert_int_equal(store_verify_audit(rig_dir, &n, NULL), 0);
    assert_int_equal(n, rows);
    open_store(false);
}

/* ---- claims ----------------------------------------------------------------------------
 */

static void the_trail_becomes_the_same(void **state)
{
    (void)state;
    make_gap();
    assert_true(fill(OWN, 7, false, false));
    assert_int_equal(gap(), SNAPSHOT);
    assert_int_equal(put(17), 0);
    assert_true(fill(OWN + 6, 9, true, false));
    assert_int_equal(gap(), 0);
    assert_same(2 * 17);
    assert_int_equal(put(18), 0);
    assert_same(2 * 18);
}

/* With a restart behind each step, after which entries are applied once more. */
static void a_restart_changes_nothing(void **state)
{
    (void)state;
    make_gap();
    reopen();
    assert_int_equal(gap(), SNAPSHOT);
    for (uint64_t i = SNAPSHOT + 1; i <= 17; i++)
        assert_int_equal(put(i), 0);
    assert_true(fill(OWN, 7, false, false));
    reopen();
    for (uint64_t i = SNAPSHOT + 1; i <= 17; i++)
        assert_int_equal(put(i), 0);
    assert_true(fill(OWN + 6, 9, true, false));
    reopen();
    for (uint64_t i = SNAPSHOT + 1; i <= 17; i++)
        assert_int_equal(put(i), 0);
    assert_same(2 * 17);
}

/* The other node tells more than what is missing: it closes the gap, and is not taken
 * twice. */
static void rows_behind_the_gap_confirm_it(void **state)
{
    (void)state;
    make_gap();
    assert_true(fill(OWN, 21, false, false));
    assert_int_equal(gap(), 0);
    assert_same(2 * 16);
}

static void what_does_not_continue_is_not_taken(void **state)
{
    struct audit_row kept[ROWS];

    (void)state;
    make_gap();
    memcpy(kept, theirs, sizeof kept);
    assert_false(fill(OWN + 2, 6, false, false)); /* one is missing */
    assert_false(fill(OWN - 1, 8, false, false)); /* it begins before what was asked for */
    assert_false(fill(OWN + 1, 14, true, false)); /* ours is not shown */
    theirs[2 * HAVE + 2].text[0] = 'E';
    assert_false(fill(OWN, 15, true, false)); /* changed */
    memcpy(theirs, kept, sizeof kept);
    /* The one behind the gap is of another trail: so may be what is within. */
    theirs[2 * SNAPSHOT].hash[0] ^= 1;
    assert_false(fill(OWN, 16, false, false));
    memcpy(theirs, kept, sizeof kept);
    look();
    assert_int_equal(got.n, 2 * HAVE);
    assert_true(fill(OWN, 15, true, false));
    assert_false(fill(OWN, 15, true, false)); /* it is filled */
    assert_same(2 * 16);
}

/* "I have applied all of it, and have no rows behind yours" is what a node of another chain
 * says as well: it closes nothing. What shows our own last row does, be it all there is. */
static void an_answer_has_to_meet_our_chain(void **state)
{
    static const uint8_t nothing[AUDIT_HASH_SIZE];
    struct audit_row kept[ROWS];

    (void)state;
    make_gap();
    memcpy(kept, theirs, sizeof kept);
    assert_false(fill(0, 0, true, false));
    assert_int_equal(gap(), SNAPSHOT);

    /* Of our number, and of another chain. */
    audit_chain_row(&kept[OWN], OWN, nothing, &theirs[OWN]);
    assert_false(fill(OWN, 1, true, false));
    /* It says that it has our hash, and shows another row. */
    theirs[OWN] = kept[OWN];
    strcpy(theirs[OWN].text, "another");
    assert_false(fill(OWN, 1, true, false));
    assert_int_equal(gap(), SNAPSHOT);

    memcpy(theirs, kept, sizeof kept);
    assert_true(fill(OWN, 1, true, false));
    assert_int_equal(gap(), 0);
    look();
    assert_int_equal(got.n, 2 * HAVE + 8);
    assert_memory_equal(got.rows[2 * HAVE].prev_hash, theirs[OWN].hash, AUDIT_HASH_SIZE);
}

/* Who has no rows at all is told nothing by one that has none either. */
static void an_empty_trail_is_not_closed_by_nothing(void **state)
{
    (void)state;
    write_theirs();
    open_store(true);
    assert_int_equal(rig_snapshot(1, SNAPSHOT, true, SNAPSHOT + 1), 0);
    look();
    assert_false(fill(0, 0, true, false));
    assert_int_equal(gap(), SNAPSHOT);
    assert_true(fill(0, 2 * SNAPSHOT, true, false));
    assert_int_equal(gap(), 0);
}

/* A newcomer has nothing at all. */
static void an_empty_trail_is_filled(void **state)
{
    (void)state;
    write_theirs();
    open_store(true);
    assert_int_equal(rig_snapshot(1, SNAPSHOT, true, SNAPSHOT + 1), 0);
    assert_int_equal(put(SNAPSHOT + 1), 0);
    assert_true(fill(0, 2 * SNAPSHOT, true, false));
    assert_same(2 * (SNAPSHOT + 1));
}

/* A second snapshot before the first gap is filled: what waited is fetched as well. */
static void a_second_snapshot_widens_it(void **state)
{
    (void)state;
    make_gap();
    assert_int_equal(rig_snapshot(2, 18, true, 19), 0);
    assert_int_equal(put(19), 0);
    look();
    assert_int_equal(gap(), 18);
    assert_true(fill(OWN, 2 * (18 - HAVE) + 1, true, false));
    assert_same(2 * 19);
}

/* One that replaces only what was recorded makes no gap. */
static void an_old_snapshot_makes_none(void **state)
{
    (void)state;
    write_theirs();
    open_store(true);
    for (uint64_t i = 1; i <= HAVE; i++)
        assert_int_equal(put(i), 0);
    assert_int_equal(rig_snapshot(1, HAVE, true, HAVE + 1), 0);
    look();
    assert_int_equal(gap(), 0);
}

/* I11: the exit, where the missing rows are nowhere. */
static void nobody_has_it(void **state)
{
    uint64_t n = 0;

    (void)state;
    make_gap();
    assert_true(fill(0, 0, false, true));
    assert_int_equal(gap(), 0);
    look();
    assert_int_equal(got.n, 2 * HAVE + 1 + 8);
    assert_string_equal(got.rows[2 * HAVE].kind, "gap");
    assert_int_equal(got.rows[2 * HAVE].index, SNAPSHOT);
    assert_non_null(strstr(got.rows[2 * HAVE].text, "what happened after entry 5"));
    assert_string_equal(got.rows[2 * HAVE + 1].text, "entry 13");
    close_store();
    assert_int_equal(store_verify_audit(rig_dir, &n, NULL), 0);
    open_store(false);
}

/* Rows that wait have no chain yet: damage to them is found by a checksum and their number.
 */
static void damage_to_what_waits_is_found(void **state)
{
    static const char twice[] = "INSERT INTO audit_pending SELECT 99, idx, term, wall_ms, "
                                "leader, kind, grp, rule, text, crc FROM audit_pending "
                                "WHERE id = 8";
    static const char *const table[] = {
        twice,
        "UPDATE audit_pending SET text = 'another' WHERE id = 2",
        "UPDATE audit_pending SET idx = 15 WHERE id = 2",
        "DELETE FROM audit_pending WHERE id = 8",
        "UPDATE meta SET value = zeroblob(31) WHERE key = 'audit_gap'",
        "UPDATE meta SET value = zeroblob(32) || x'' WHERE key = 'audit_gap'",
    };
    struct store_config c;
    struct driver_state s;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        make_gap();
        close_store();
        rig_change(table[i]);
        c = rig_config(false, NULL);
        if (rig_open(&c, &s, &err) != ERR_CORRUPT)
            fail_msg("%s: %s", table[i], err.text);
        rig_clean();
    }
}

/* ---- retention --------------------------------------------------------------------------
 */

static int put_dated(uint64_t index, uint64_t wall_ms)
{
    struct audit_row row = {.index = index, .wall_ms = wall_ms, .kind = "run"};
    struct err err;

    snprintf(row.group, sizeof row.group, "%s", index % 3 == 0 ? "orders" : "");
    return store_put_audit(rig.store, &row, 1, &err);
}

static void prune(uint64_t before_ms)
{
    struct err err;

    assert_int_equal(store_prune_audit(rig.store, before_ms, &err), 0);
    look(); /* behind it */
}

/* The oldest go, never one in the middle; the rest is checked as before, at a restart and
 * by the slow check; and the trail goes on. */
static void the_oldest_rows_go(void **state)
{
    struct store_config c;
    struct driver_state s;
    struct err err = {0};
    uint64_t n = 0;

    (void)state;
    open_store(true);
    for (uint64_t i = 1; i <= 30; i++)
        assert_int_equal(put_dated(i, i == 5 ? 9999 : 1000 + i), 0);
    prune(1003);
    assert_int_equal(got.n, 28);
    assert_int_equal(got.rows[0].seq, 3);
    prune(1020);
    assert_int_equal(got.rows[0].seq, 5); /* dated later: it stays, and all behind it */
    prune(1020);
    assert_int_equal(got.n, 26);
    close_store();
    assert_int_equal(store_verify_audit(rig_dir, &n, NULL), 0);
    assert_int_equal(n, 30);
    open_store(false);
    assert_int_equal(put_dated(31, 1031), 0);
    look();
    assert_int_equal(got.n, 27);
    prune(UINT64_MAX);
    assert_int_equal(got.n, 1); /* the newest stays */
    assert_int_equal(got.rows[0].seq, 31);
    assert_int_equal(put_dated(32, 1032), 0);
    close_store();
    rig_change("DELETE FROM audit WHERE seq = 31");
    c = rig_config(false, NULL);
    assert_int_equal(rig_open(&c, &s, &err), ERR_CORRUPT);
}

static void a_damaged_beginning_is_found(void **state)
{
    static const char *const table[] = {
        "DELETE FROM meta WHERE key = 'audit_base'",
        "UPDATE meta SET value = zeroblob(48) WHERE key = 'audit_base'",
        "UPDATE meta SET value = x'00' WHERE key = 'audit_base'",
        "DELETE FROM audit WHERE seq = 3",
    };
    struct store_config c;
    struct driver_state s;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        open_store(true);
        for (uint64_t k = 1; k <= 6; k++)
            assert_int_equal(put_dated(k, 1000 + k), 0);
        prune(1003);
        close_store();
        rig_change(table[i]);
        c = rig_config(false, NULL);
        if (rig_open(&c, &s, &err) != ERR_CORRUPT)
            fail_msg("%s: %s", table[i], err.text);
        rig_clean();
    }
}

/* The slow check reads the trail from its new beginning, again and again. */
static void the_slow_check_agrees(void **state)
{
    struct store_config c = rig_config(true, NULL);
    struct driver_state s;
    struct err err = {0};
    struct mono begun = mono_now();
    struct store_stats stats = {0};
    uint64_t pass = 0;

    (void)state;
    c.scrub_ms = 1;
    if (rig_open(&c, &s, &err) != 0)
        fail_msg("%s", err.text);
    is_open = true;
    store_loaded_free(rig.store);
    for (uint64_t i = 1; i <= 100; i++)
        assert_int_equal(put_dated(i, 1000 + i), 0);
    for (uint64_t round = 1; round <= 3; round++) {
        prune(1000 + 20 * round);
        assert_int_equal(got.rows[0].seq, 20 * round);
        store_stats(rig.store, &stats);
        for (pass = stats.scrub_passes + 20; stats.scrub_passes < pass && rig.fatal == 0;) {
            assert_true(mono_since_ms(begun, mono_now()) < WAIT_MS);
            uv_run(&rig.loop, UV_RUN_NOWAIT);
            store_stats(rig.store, &stats);
        }
        if (rig.fatal != 0)
            fail_msg("%s", rig.text);
    }
}

/* Who has nothing takes the trail from where the others' begins by now. */
static void a_newcomer_begins_where_the_others_do(void **state)
{
    (void)state;
    write_theirs();
    open_store(true);
    assert_int_equal(rig_snapshot(1, SNAPSHOT, true, SNAPSHOT + 1), 0);
    assert_int_equal(put(SNAPSHOT + 1), 0);
    assert_true(fill(6, 2 * SNAPSHOT - 6, true, false));
    look();
    assert_int_equal(got.n, 2 * (SNAPSHOT + 1) - 6);
    assert_memory_equal(got.rows, &theirs[6], got.n * sizeof *theirs);
    reopen();
    look();
    assert_memory_equal(got.rows, &theirs[6], got.n * sizeof *theirs);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, rig_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(the_trail_becomes_the_same),
        CLAIM(a_restart_changes_nothing),
        CLAIM(rows_behind_the_gap_confirm_it),
        CLAIM(what_does_not_continue_is_not_taken),
        CLAIM(an_answer_has_to_meet_our_chain),
        CLAIM(an_empty_trail_is_not_closed_by_nothing),
        CLAIM(an_empty_trail_is_filled),
        CLAIM(a_second_snapshot_widens_it),
        CLAIM(an_old_snapshot_makes_none),
        CLAIM(nobody_has_it),
        CLAIM(damage_to_what_waits_is_found),
        CLAIM(the_oldest_rows_go),
        CLAIM(a_damaged_beginning_is_found),
        CLAIM(the_slow_check_agrees),
        CLAIM(a_newcomer_begins_where_the_others_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
