/* What three controllers tell of their log, and what a history may be told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/api.h"
#include "chaos/base.h"
#include "chaos/log_watch.h"

/* The controllers: each tells its lines once, from the one that is asked for on. */
static const char *const *told[SITE_REGIONS];

char *cluster_socket(const struct cluster *c, enum site s)
{
    (void)c;
    return text_new("%d", (int)s);
}

enum site cluster_site_of_agent(const char *agent)
{
    return strcmp(agent, "pg-east") == 0   ? EAST
           : strcmp(agent, "pg-west") == 0 ? WEST
                                           : SITE_COUNT;
}

void api_follow(const char *socket, const char *path, const atomic_bool *stop,
                api_line *on_line, void *owner)
{
    const char *const *lines = told[socket[0] - '0'];

    assert_non_null(strstr(path, "follow=1"));
    for (; *lines != NULL; lines++) {
        json_t *line = json_loads(*lines, 0, NULL);

        assert_non_null(line);
        on_line(owner, line);
        json_decref(line);
    }
    while (!atomic_load(stop))
        wait_ms(1);
}

#define LINE(seq, hash, kind, text, result)                                                \
    "{\"seq\": " seq ", \"index\": " seq "0, \"term\": 1, \"kind\": \"" kind               \
    "\", \"text\": \"" text "\", \"result\": \"" result "\", \"hash\": \"" hash "\"}"
#define ENROL LINE("1", "aa", "enrol", "agent pg-east in east", "accepted")
#define OPENED_1                                                                           \
    LINE("2", "bb", "opened", "pg-east opened for writes in epoch 1", "accepted")
#define FENCED_1                                                                           \
    LINE("3", "cc", "fence-begin",                                                         \
         "failover of epoch 1, last grant 17: of epoch 9 it is said", "accepted")
#define REFUSED_2                                                                          \
    LINE("4", "dd", "opened", "pg-east opened for writes in epoch 2", "stale-epoch")
#define OPENED_2                                                                           \
    LINE("5", "ee", "opened", "pg-west opened for writes in epoch 2", "accepted")

static const char *const whole[] = {ENROL, OPENED_1, FENCED_1, REFUSED_2, OPENED_2, NULL};
static const char *const short_one[] = {ENROL, OPENED_1, NULL};
static const char *const from_snapshot[] = {REFUSED_2, OPENED_2, NULL};
static const char *const other[] = {
    ENROL, LINE("2", "b1", "opened", "pg-west opened for writes in epoch 1", "accepted"),
    NULL};
static const char *const nothing[] = {NULL};

static void watch(struct log_watch *w, const char *const *a, const char *const *b,
                  const char *const *c)
{
    static const struct cluster none;

    told[EAST] = a;
    told[WEST] = b;
    told[WITNESS] = c;
    log_watch_start(w, &none);
    wait_ms(50); /* for those whose last epoch is not waited for */
    log_watch_stop(w, a == whole ? 2 : 1);
}

static char *told_to(const struct log_watch *w, int64_t epoch)
{
    struct history h = {0};
    char *said = text_new("%s", "");
    int64_t last = 0;

    log_watch_tell(w, epoch, &h);
    history_sort(&h);
    for (size_t i = 0; i < h.count; i++) {
        const struct event *e = &h.events[i];
        char *more = text_new("%s%s %d %d\n", said,
                              e->kind == EVENT_FENCED    ? "fenced"
                              : e->kind == EVENT_OPENING ? "opening"
                                                         : "opened",
                              e->host, (int)e->number);

        assert_true(e->at_ns >= w->start_ns && e->at_ns >= last);
        last = e->at_ns;
        auto_free(&said);
        said = more;
    }
    history_free(&h);
    return said;
}

/* Whoever tells an entry first, the history has them in the order of the log; what was
 * refused did not happen; and who is opened next may be open since the one before. */
static void tells_the_order_of_the_log(void **state)
{
    struct log_watch w;
    AUTO(auto_free) char *said = NULL;

    (void)state;
    watch(&w, whole, whole, short_one);
    assert_int_equal(w.count, 5);
    assert_int_equal(w.disputed, 0);
    said = told_to(&w, 2);
    assert_string_equal(said, "opened 0 1\nopening 1 2\nfenced 255 1\nopened 1 2\n");
    log_watch_free(&w);
}

/* Where the leader's epoch is not the last one opened here, or nobody knows it, somebody
 * may have been opened of whom nothing was heard. */
static void names_nobody_where_the_end_is_not_known(void **state)
{
    static const int64_t epochs[] = {-1, 1, 3};
    struct log_watch w;

    (void)state;
    watch(&w, whole, nothing, nothing);
    for (size_t i = 0; i < ARRAY_LEN(epochs); i++) {
        AUTO(auto_free) char *said = told_to(&w, epochs[i]);

        assert_string_equal(said,
                            "opened 255 1\nopening 255 2\nfenced 255 1\nopened 255 2\n");
    }
    log_watch_free(&w);
}

/* A log that begins in the middle is no log by which anybody is judged. */
static void judges_nothing_by_half_a_log(void **state)
{
    struct log_watch w;
    AUTO(auto_free) char *said = NULL;

    (void)state;
    watch(&w, short_one, from_snapshot, from_snapshot);
    assert_int_equal(w.count, 2);
    assert_true(w.dropped > 0);
    said = told_to(&w, 1);
    assert_string_equal(said, "opened 255 1\n");
    log_watch_free(&w);
}

/* The chain of hashes is the same everywhere, or there are two logs. */
static void finds_two_logs(void **state)
{
    struct log_watch w;
    AUTO(auto_free) char *said = NULL;

    (void)state;
    watch(&w, short_one, other, short_one);
    assert_int_equal(w.disputed, 2);
    said = log_watch_say(&w, 1);
    assert_non_null(strstr(said, "DIFFERENT"));
    log_watch_free(&w);
}

#define BY(seq, rule, kind, result)                                                        \
    "{\"seq\": " seq ", \"index\": " seq ", \"rule\": \"" rule "\", \"kind\": \"" kind     \
    "\", \"result\": \"" result "\", \"hash\": \"aa\"}"

/* What `when` waits for: the next one behind, of what was accepted; an operator's acts are
 * rules too. */
static void finds_the_next_entry_by_a_rule(void **state)
{
    static const char *const lines[] = {
        BY("1", "operator", "switchover", "not-ready"),
        BY("2", "operator", "switchover", "accepted"),
        BY("3", "switchover-fence", "fence-begin", "accepted"),
        BY("4", "operator", "run-abort", "accepted"),
        BY("5", "operator", "switchover", "accepted"),
        BY("6", "gate-installed", "proof", "stale"),
        NULL};
    static const struct {
        const char *rule;
        int64_t after, seq;
    } rows[] = {
        {"operator-switchover", 0, 2}, {"operator-switchover", 2, 5},
        {"operator-switchover", 5, 0}, {"switchover-fence", 0, 3},
        {"operator-abort", 0, 4},      {"gate-installed", 0, 0},
        {"switchover", 0, 0},          {"operator", 0, 2},
    };
    struct log_watch w;

    (void)state;
    watch(&w, lines, nothing, nothing);
    assert_int_equal(log_watch_newest(&w), 6);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(log_watch_next(&w, rows[i].rule, rows[i].after), rows[i].seq);
    log_watch_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_order_of_the_log),
        cmocka_unit_test(names_nobody_where_the_end_is_not_known),
        cmocka_unit_test(judges_nothing_by_half_a_log),
        cmocka_unit_test(finds_two_logs),
        cmocka_unit_test(finds_the_next_entry_by_a_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
