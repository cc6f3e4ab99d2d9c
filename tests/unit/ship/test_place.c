/* Names of segments, how far they go, and a directory that gets them. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/ship/errand.h"

static struct ship_place place;

static int setup(void **state)
{
    char dir[] = "/tmp/rf-ship-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    place = (struct ship_place){
        .kind = SHIP_DIRECTORY, .cluster = "lab", .writer = "east", .timeout_ms = 5000};
    snprintf(place.directory, sizeof place.directory, "%s", dir);
    return 0;
}

static int teardown(void **state)
{
    char command[SHIP_PATH_SIZE + 16];

    (void)state;
    (void)umount2(place.directory, MNT_DETACH);
    snprintf(command, sizeof command, "rm -rf %s", place.directory);
    return system(command);
}

static int put(uint64_t from, uint64_t to, const char *text, struct err *err)
{
    return ship_put(&place, (struct ship_range){from, to}, (const uint8_t *)text,
                    strlen(text), NULL, err);
}

static void names_say_which(void **state)
{
    static const struct {
        const char *name;
        uint64_t from, to; /* 0: no segment */
    } rows[] = {
        {"lab-000000000001-000000001000.jsonl", 1, 1000},
        {"lab-000000000007-000000000007.jsonl", 7, 7},
        {"lab-000000000008-000000000007.jsonl", 0, 0},
        {"lab-000000000000-000000000007.jsonl", 0, 0},
        {"lab-1-7.jsonl", 0, 0},
        {"lab2-000000000001-000000001000.jsonl", 0, 0},
        {"lab-000000000001-000000001000.jsonl.part", 0, 0},
        {".lab-000000000001-000000001000.jsonl", 0, 0},
        {"", 0, 0},
    };
    struct ship_range r;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool good = ship_read_name("lab", rows[i].name, strlen(rows[i].name), &r);

        if (good != (rows[i].from != 0))
            fail_msg("%s", rows[i].name);
        if (good) {
            assert_int_equal(r.from, rows[i].from);
            assert_int_equal(r.to, rows[i].to);
        }
    }
}

static void a_mark_stops_at_a_hole(void **state)
{
    static const struct {
        uint64_t floor, ranges[4][2], upto, hole_end;
    } rows[] = {
        {0, {{0}}, 0, 0},
        {0, {{1, 10}}, 10, 0},
        {0, {{11, 20}, {1, 10}}, 20, 0},
        {0, {{1, 10}, {12, 20}}, 10, 12},
        {0, {{1, 10}, {5, 8}, {9, 30}}, 30, 0}, /* two leaders' */
        {0, {{5, 10}}, 0, 5},
        {4, {{5, 10}}, 10, 0}, /* what comes before is gone here */
        {11, {{1, 10}, {12, 20}}, 20, 0},
        {50, {{1, 10}, {12, 20}}, 50, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ship_ranges r = {0};
        struct ship_mark mark;
        struct err err;

        for (unsigned k = 0; k < 4 && rows[i].ranges[k][0] != 0; k++)
            assert_int_equal(ship_ranges_add(&r,
                                             (struct ship_range){rows[i].ranges[k][0],
                                                                 rows[i].ranges[k][1]},
                                             &err),
                             0);
        ship_ranges_mark(&r, rows[i].floor, &mark);
        if (mark.upto != rows[i].upto || mark.hole_end != rows[i].hole_end)
            fail_msg("row %zu: %lu, %lu", i, (unsigned long)mark.upto,
                     (unsigned long)mark.hole_end);
        free(r.list);
    }
}

static void a_name_is_written_once(void **state)
{
    struct ship_mark mark;
    struct err err = {0};
    char command[2 * SHIP_PATH_SIZE];

    (void)state;
    assert_int_equal(put(1, 10, "first", &err), 0);
    assert_int_equal(put(11, 20, "second", &err), 0);
    assert_int_equal(put(1, 10, "another", &err), ERR_CONFLICT);
    assert_int_equal(ship_find(&place, 0, NULL, &mark, &err), 0);
    assert_int_equal(mark.upto, 20);
    snprintf(command, sizeof command,
             "cd %s && test \"$(cat lab-000000000001-000000000010.jsonl)\" = first && test "
             "$(ls -A | wc -l) = 2",
             place.directory);
    assert_int_equal(system(command), 0);
}

/* I9: killed between the link and the end of its other name, a controller leaves a part
 * that is the segment itself. The next one writes beside it and not into it. */
static void a_part_that_was_left_is_a_segment(void **state)
{
    struct err err = {0};
    char command[4 * SHIP_PATH_SIZE];

    (void)state;
    assert_int_equal(put(1, 10, "first", &err), 0);
    snprintf(command, sizeof command,
             "cd %s && ln lab-000000000001-000000000010.jsonl .east.part", place.directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(put(11, 20, "second", &err), 0);
    snprintf(
        command, sizeof command,
        "cd %s && test \"$(cat lab-000000000001-000000000010.jsonl)\" = first && test "
        "\"$(cat lab-000000000011-000000000020.jsonl)\" = second && test ! -e .east.part",
        place.directory);
    assert_int_equal(system(command), 0);
}

/* Half a segment never has a name, and what was begun does not stay in the way. */
static void a_full_disk_leaves_nothing_behind(void **state)
{
    static char large[2 << 20];
    struct ship_mark mark;
    struct err err = {0};
    char command[2 * SHIP_PATH_SIZE];

    (void)state;
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(mount("none", place.directory, "tmpfs", 0, "size=1m"), 0);
    assert_int_equal(put(1, 10, "first", &err), 0);
    assert_int_equal(put(11, 20, large, &err), ERR_FULL);
    assert_non_null(strstr(err.text, "the disk is full: make room there"));
    assert_int_equal(ship_find(&place, 0, NULL, &mark, &err), 0);
    assert_int_equal(mark.upto, 10);
    snprintf(command, sizeof command, "test $(ls -A %s | wc -l) = 1", place.directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(put(11, 20, "second", &err), 0);
}

/* The reserve of the controller's own disk is not eaten by what is shipped. */
static void the_own_disk_is_spared(void **state)
{
    struct stat st;
    struct err err = {0};

    (void)state;
    assert_int_equal(stat(place.directory, &st), 0);
    place.spare = st.st_dev;
    assert_int_equal(put(1, 10, "first", &err), ERR_FULL);
    assert_non_null(strstr(err.text, "lies on the disk of data_dir"));
    place.spare = st.st_dev + 1;
    assert_int_equal(put(1, 10, "first", &err), 0);
}

static void what_is_wrong_is_said(void **state)
{
    struct ship_mark mark;
    struct err err = {0};

    (void)state;
    snprintf(place.directory + strlen(place.directory), 8, "/none");
    assert_int_equal(ship_find(&place, 0, NULL, &mark, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, place.directory));
    assert_int_equal(put(1, 10, "first", &err), ERR_NOTFOUND);
    *strrchr(place.directory, '/') = '\0';
}

/* Until the bell rings. */
static void wait_for(struct errands *s, struct errand *ret_done)
{
    struct pollfd bell = {.fd = errands_bell(s), .events = POLLIN};

    assert_int_equal(poll(&bell, 1, 10000), 1);
    assert_true(errands_end(s, ret_done));
}

/* On a thread of its own: one at a time, and nobody need wait for the last one. */
static void errands_are_run(void **state)
{
    struct errand e = {.kind = ERRAND_PUT, .place = place, .range = {1, 3}}, done;
    struct errands *s;
    struct err err;

    (void)state;
    assert_int_equal(errands_new(&s, &err), 0);
    e.data = (uint8_t *)strdup("abc");
    e.len = 3;
    assert_int_equal(errands_begin(s, &e, &err), 0);
    wait_for(s, &done);
    assert_int_equal(done.status, 0);
    e = (struct errand){.kind = ERRAND_FIND, .place = place};
    assert_int_equal(errands_begin(s, &e, &err), 0);
    wait_for(s, &done);
    assert_int_equal(done.mark.upto, 3);
    assert_int_equal(errands_begin(s, &e, &err), 0);
    errands_leave(s); /* it frees itself */
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(names_say_which),
        CLAIM(a_mark_stops_at_a_hole),
        CLAIM(a_name_is_written_once),
        CLAIM(a_part_that_was_left_is_a_segment),
        CLAIM(a_full_disk_leaves_nothing_behind),
        CLAIM(the_own_disk_is_spared),
        CLAIM(what_is_wrong_is_said),
        CLAIM(errands_are_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
