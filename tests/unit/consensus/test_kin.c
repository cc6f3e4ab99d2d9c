/* The table of the voters' stores: who may take part, and who is found out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/consensus/kin.h"

enum { NODES = 3 };

static const char *const names[NODES + 1] = {"", "east", "west", "witness"};

struct node {
    struct kin k;
    uint64_t mark;
};

static struct node nodes[NODES + 1];

static void make(unsigned id, uint64_t store)
{
    static const uint64_t ids[NODES] = {3, 1, 2};

    struct kin_self self = {id, store, 0xc1};

    kin_init(&nodes[id].k, &self, ids, NODES);
    nodes[id].mark = 1;
}

static enum kin_verdict say(unsigned from, unsigned to, struct err *err)
{
    struct kin_hello h;

    kin_say(&nodes[from].k, nodes[from].mark, &h);
    return kin_hear(&nodes[to].k, names[from], nodes[to].mark, &h, err);
}

/* Everybody to everybody of `who` until nothing changes; whoever objects ends it. */
static enum kin_verdict greet(unsigned who, unsigned *ret_from, unsigned *ret_to)
{
    struct err err;
    bool changed = true;

    while (changed) {
        changed = false;
        for (unsigned from = 1; from <= NODES; from++)
            for (unsigned to = 1; to <= NODES; to++) {
                enum kin_verdict v;

                if (from == to || (who & 1u << from) == 0 || (who & 1u << to) == 0)
                    continue;
                v = say(from, to, &err);
                changed = changed || v == KIN_CHANGED;
                if (v == KIN_FINE || v == KIN_CHANGED)
                    continue;
                *ret_from = from;
                *ret_to = to;
                return v;
            }
    }
    return KIN_FINE;
}

enum { EAST = 1 << 1, WEST = 1 << 2, WITNESS = 1 << 3, ALL = EAST | WEST | WITNESS };

static int setup(void **state)
{
    (void)state;
    make(1, 0x11);
    make(2, 0x22);
    make(3, 0x33);
    return 0;
}

static unsigned from, to;

static void assembled_when_all_have_met(void **state)
{
    (void)state;
    assert_int_equal(greet(EAST | WEST, &from, &to), KIN_FINE);
    assert_false(nodes[1].k.assembled);
    assert_false(nodes[2].k.assembled);
    assert_int_equal(greet(ALL, &from, &to), KIN_FINE);
    for (unsigned id = 1; id <= NODES; id++) {
        assert_true(nodes[id].k.assembled);
        assert_int_equal(kin_find(&nodes[id].k, 1)->store, 0x11);
        assert_int_equal(kin_find(&nodes[id].k, 2)->store, 0x22);
        assert_int_equal(kin_find(&nodes[id].k, 3)->store, 0x33);
    }
}

/* One that comes back empty is refused by each of the others, and stops itself. */
static void empty_successor_is_nobodys_voter(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(greet(ALL, &from, &to), KIN_FINE);
    make(1, 0x1111);
    assert_int_equal(say(1, 2, &err), KIN_REFUSE);
    assert_non_null(strstr(err.text, "east"));
    assert_non_null(strstr(err.text, "ringfence controller replace"));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(say(1, 3, &err), KIN_REFUSE);
    assert_int_equal(say(2, 1, &err), KIN_STOP);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_false(nodes[1].k.assembled);
}

/* The witness was away when all others met, so it knows nobody: it must not make a majority
 * with east's empty successor. Once west is back it hears the truth. */
static void who_knows_nobody_decides_nothing(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(greet(ALL, &from, &to), KIN_FINE);
    make(1, 0x1111);
    make(3, 0x33);
    assert_int_equal(greet(EAST | WITNESS, &from, &to), KIN_FINE);
    assert_false(nodes[1].k.assembled);
    assert_false(nodes[3].k.assembled);
    assert_int_equal(say(2, 3, &err), KIN_CHANGED);
    assert_true(nodes[3].k.assembled);
    assert_int_equal(kin_find(&nodes[3].k, 1)->store, 0x11);
    assert_int_equal(say(1, 3, &err), KIN_REFUSE);
}

/* A disk exchanged before anything was decided is no loss: all agree on the new one. */
static void during_bootstrap_the_last_store_counts(void **state)
{
    (void)state;
    assert_int_equal(greet(EAST | WEST, &from, &to), KIN_FINE);
    make(1, 0x1111);
    assert_int_equal(greet(ALL, &from, &to), KIN_FINE);
    for (unsigned id = 1; id <= NODES; id++) {
        assert_true(nodes[id].k.assembled);
        assert_int_equal(kin_find(&nodes[id].k, 1)->store, 0x1111);
    }
}

/* Tables that were equal once and are no longer do not count. */
static void agreement_is_with_the_present_table(void **state)
{
    struct kin_hello old;
    struct err err;

    (void)state;
    assert_int_equal(greet(EAST | WEST, &from, &to), KIN_FINE);
    (void)say(3, 1, &err);
    (void)say(3, 2, &err);
    kin_say(&nodes[2].k, 1, &old); /* west knows all three */
    assert_int_equal(kin_hear(&nodes[1].k, "west", 1, &old, &err), KIN_FINE);
    make(3, 0x3333); /* the witness comes back with another disk */
    (void)say(1, 3, &err);
    (void)say(2, 3, &err);
    assert_int_equal(say(3, 1, &err), KIN_CHANGED);
    (void)say(3, 1, &err);
    assert_false(nodes[1].k.assembled);
    assert_int_equal(kin_hear(&nodes[1].k, "west", 1, &old, &err), KIN_FINE);
    assert_false(nodes[1].k.assembled);
}

/* An old copy of the directory has the same number, and fewer commits than were heard of.
 */
static void old_copy_is_found_out(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(greet(ALL, &from, &to), KIN_FINE);
    nodes[1].mark = 5000;
    assert_true(kin_note_mark(&nodes[2].k, 1, 5000));
    assert_false(kin_note_mark(&nodes[2].k, 1, 4000));
    assert_int_equal(say(1, 2, &err), KIN_FINE);
    nodes[1].mark = 4999;
    assert_int_equal(say(1, 2, &err), KIN_REFUSE);
    assert_non_null(strstr(err.text, "4999 commits, it had 5000"));
    assert_int_equal(say(2, 1, &err), KIN_STOP);
    assert_non_null(strstr(err.text, "an old copy was put back"));
    assert_int_equal(say(3, 1, &err), KIN_FINE); /* it does not remember */
}

/* ---- an old copy, and who starts when --------------------------------------------------
 */

enum { COPY_MARK = 40, KNOWN_MARK = 5000 };

/* All were stopped, and east's directory is one of long ago: as each finds it on its disk,
 * east the old copy with what it had heard by then. `remember`: who heard of more. */
static void all_stopped(unsigned remember)
{
    static const unsigned heard[] = {COPY_MARK - 1, KNOWN_MARK};
    struct buf b = {0};
    struct err err;

    (void)setup(NULL);
    assert_int_equal(greet(ALL, &from, &to), KIN_FINE);
    for (unsigned id = 1; id <= NODES; id++) {
        if (id != 1)
            (void)kin_note_mark(&nodes[id].k, 1, heard[(remember >> id) & 1]);
        assert_int_equal(kin_encode(&nodes[id].k, &b, &err), 0);
        assert_int_equal(kin_decode(b.data, b.len, &nodes[id].k, &err), 0);
        nodes[id].mark = id == 1 ? COPY_MARK : KNOWN_MARK;
        buf_free(&b);
    }
}

/* Both say hello, `first` first, as two streams do of which one was quicker. Whoever is
 * refused is not counted by the other; whoever hears that it must stop says no more. True:
 * each counts the other. */
static bool meet(unsigned first, unsigned second, unsigned *up)
{
    bool counted = true;
    unsigned pair[] = {first, second};
    struct err err;

    for (unsigned i = 0; i < 2; i++) {
        enum kin_verdict v = say(pair[i], pair[1 - i], &err);

        counted = counted && (v == KIN_FINE || v == KIN_CHANGED);
        if (v != KIN_STOP)
            continue;
        assert_int_equal(pair[1 - i], 1); /* nobody but the old copy */
        *up &= ~(unsigned)EAST;
        return false;
    }
    return counted;
}

/* One start after the other. True: east was found out. */
static bool start_in_order(const unsigned order[NODES], unsigned remember, bool old_first)
{
    unsigned up = 0;

    all_stopped(remember);
    for (unsigned n = 0; n < NODES; n++) {
        const unsigned one = order[n];

        up |= 1u << one;
        for (unsigned other = 1; other <= NODES && (up & 1u << one) != 0; other++) {
            bool counted;

            if (other == one || (up & 1u << other) == 0)
                continue;
            counted = meet(old_first ? other : one, old_first ? one : other, &up);
            if (one == 1 || other == 1)
                assert_int_equal(counted, (remember & 1u << (one ^ other ^ 1)) == 0);
            else
                assert_true(counted);
        }
        if ((up & remember) != 0) /* from the moment on that both have met */
            assert_int_equal(up & EAST, 0);
    }
    return (up & EAST) == 0;
}

/* Whoever starts first, the copy alone too: it is never counted by one who remembers more
 * of it nor counts that one, and stops when it hears it. Where nobody remembers more, or as
 * long as nobody who does is up, nobody can tell: that is what is not covered. */
static void an_old_copy_is_found_out_in_any_order_of_starts(void **state)
{
    static const unsigned orders[][NODES] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                             {3, 1, 2}, {2, 3, 1}, {3, 2, 1}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(orders); i++)
        for (unsigned remember = 0; remember <= ALL; remember += WEST)
            for (int old_first = 0; old_first <= 1; old_first++)
                assert_int_equal(start_in_order(orders[i], remember, old_first),
                                 remember != 0);
}

/* What is under way: a link that comes up, over which the speaker then says what it knows,
 * or a hello. */
struct under_way {
    bool link;
    unsigned from, to;
    struct kin_hello h;
};

static struct under_way queue[64];
static unsigned n_queue;
static bool link_is_up[NODES + 1][NODES + 1];

static void speak(unsigned speaker, unsigned listener)
{
    if (speaker == listener || !link_is_up[speaker][listener])
        return;
    assert_true(n_queue < ARRAY_LEN(queue));
    queue[n_queue] = (struct under_way){false, speaker, listener, {0}};
    kin_say(&nodes[speaker].k, 1, &queue[n_queue++].h);
}

static void happens(unsigned i)
{
    struct under_way w;
    struct err err;

    for (unsigned k = 0; k < i; k++) /* of one pair in order: they share a stream */
        if (queue[k].from == queue[i].from && queue[k].to == queue[i].to) {
            i = k;
            break;
        }
    w = queue[i];
    memmove(&queue[i], &queue[i + 1], (--n_queue - i) * sizeof queue[0]);
    if (w.link) {
        link_is_up[w.from][w.to] = true;
        speak(w.from, w.to);
    } else if (kin_hear(&nodes[w.to].k, names[w.from], 1, &w.h, &err) == KIN_CHANGED) {
        for (unsigned b = 1; b <= NODES; b++)
            speak(w.to, b);
    }
}

/* Everybody speaks when a link comes up and when its table has changed, and no more;
 * whatever comes first, all take part in the end. */
static void any_order_of_hellos_assembles(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 2000; seed++) {
        unsigned dice = seed * 2654435761u;

        (void)setup(NULL);
        memset(link_is_up, 0, sizeof link_is_up);
        for (unsigned a = 1; a <= NODES; a++)
            for (unsigned b = 1; b <= NODES; b++)
                if (a != b)
                    queue[n_queue++] = (struct under_way){true, a, b, {0}};
        while (n_queue > 0) {
            dice = dice * 1664525u + 1013904223u;
            happens((dice >> 16) % n_queue);
        }
        for (unsigned id = 1; id <= NODES; id++)
            if (!nodes[id].k.assembled)
                fail_msg("seed %u: %s waits for ever", seed, names[id]);
    }
}

/* A newcomer waits until it is in the list of members of somebody who takes part. */
static void newcomer_waits_until_it_is_listed(void **state)
{
    struct kin_self self = {4, 0x44, 0};
    struct members m = {0};
    static const uint64_t own[] = {4};
    struct node late = {.mark = 1};
    struct kin_hello h;
    struct err err;

    (void)state;
    assert_int_equal(greet(ALL, &from, &to), KIN_FINE);
    kin_init(&late.k, &self, own, 1);
    kin_say(&nodes[2].k, 9, &h);
    assert_int_equal(kin_hear(&late.k, "west", 1, &h, &err), KIN_FINE);
    assert_false(late.k.assembled);

    for (unsigned id = 2; id <= 4; id++) {
        struct member one = {.id = id, .store = id == 4 ? 0x44 : 0, .votes = id != 4};

        snprintf(one.name, sizeof one.name, "c%u", id);
        assert_int_equal(members_add(&m, &one, &err), 0);
    }
    assert_true(kin_follow(&nodes[2].k, &m));
    assert_false(kin_follow(&nodes[2].k, &m));
    assert_null(kin_find(&nodes[2].k, 1));
    assert_int_equal(kin_find(&nodes[2].k, 3)->store, 0x33);
    kin_say(&nodes[2].k, 9, &h);
    assert_int_equal(kin_hear(&late.k, "west", 1, &h, &err), KIN_CHANGED);
    assert_true(late.k.assembled);
    assert_int_equal(late.k.digest, 0xc1);
    assert_int_equal(kin_find(&late.k, 3)->store, 0x33);

    /* And one that lost its disk meanwhile does not get in under that id. */
    self.store = 0x4444;
    kin_init(&late.k, &self, own, 1);
    assert_int_equal(kin_hear(&late.k, "west", 1, &h, &err), KIN_STOP);
}

static void survives_as_bytes(void **state)
{
    struct buf b = {0};
    struct kin k;
    struct err err;

    (void)state;
    assert_int_equal(greet(ALL, &from, &to), KIN_FINE);
    (void)kin_note_mark(&nodes[2].k, 3, 77);
    assert_int_equal(kin_encode(&nodes[2].k, &b, &err), 0);
    assert_int_equal(kin_decode(b.data, b.len, &k, &err), 0);
    assert_int_equal(k.self, 2);
    assert_true(k.assembled);
    assert_int_equal(k.n, NODES);
    assert_int_equal(kin_find(&k, 3)->mark, 77);
    assert_int_equal(kin_find(&k, 1)->store, 0x11);
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(kin_decode(b.data, len, &k, &err), ERR_CORRUPT);
    b.data[0] ^= 1;
    assert_int_equal(kin_decode(b.data, b.len, &k, &err), ERR_CORRUPT);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(assembled_when_all_have_met, setup),
        cmocka_unit_test_setup(empty_successor_is_nobodys_voter, setup),
        cmocka_unit_test_setup(who_knows_nobody_decides_nothing, setup),
        cmocka_unit_test_setup(during_bootstrap_the_last_store_counts, setup),
        cmocka_unit_test_setup(agreement_is_with_the_present_table, setup),
        cmocka_unit_test_setup(old_copy_is_found_out, setup),
        cmocka_unit_test(an_old_copy_is_found_out_in_any_order_of_starts),
        cmocka_unit_test_setup(newcomer_waits_until_it_is_listed, setup),
        cmocka_unit_test_setup(any_order_of_hellos_assembles, setup),
        cmocka_unit_test_setup(survives_as_bytes, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
