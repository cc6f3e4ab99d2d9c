/* Exports through the API on a real socket: what comes is what `audit verify` takes. */
#include "tests/unit/http/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/audit/made.h"

enum { ROWS = 40 };

static struct made made;

static int setup(void **state)
{
    made_open(&made, ROWS);
    if (served_setup(state) != 0)
        return -1;
    b.chain = made.rows;
    b.log_rows = ROWS;
    b.audit_key = made.keys[EAST];
    snprintf(made.known.list[0].cluster, AUDIT_NAME_SIZE, "lab");
    snprintf(made.known.list[1].cluster, AUDIT_NAME_SIZE, "lab");
    return 0;
}

static int teardown(void **state)
{
    int status = served_teardown(state);

    made_free(&made);
    return status;
}

/* The answer, taken apart into the lines of a bundle, is checked. */
static void verify_answer(struct made_verdict *ret)
{
    char *text = call.text, *end;

    call.text[call.len] = '\0';
    for (unsigned i = 0; i < made.count; i++)
        free(made.lines[i]);
    for (made.count = 0; (end = strchr(text, '\n')) != NULL; text = end + 1)
        made.lines[made.count++] = strndup(text, (size_t)(end - text));
    assert_int_equal(*text, '\0');
    made_verify(&made, ret);
    for (unsigned i = 0; i < ret->n; i++)
        if (ret->list[i].bad)
            print_message("line %u: %s\n", ret->list[i].line, ret->list[i].text);
}

static void a_range_is_signed(void **state)
{
    static const struct {
        const char *path;
        unsigned from, to;
    } table[] = {
        {"/api/v1/audit/export", 1, ROWS},
        {"/api/v1/audit/export?from_index=10", 1, ROWS},
        {"/api/v1/audit/export?from_index=11", 2, ROWS},
        {"/api/v1/audit/export?to_index=13", 1, 2},
        {"/api/v1/audit/export?from_index=14&to_index=14", 3, 3},
        {"/api/v1/audit/export?from_ms=1795000001000&to_ms=1795000002999", 2, 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct made_verdict v;

        assert_int_equal(ask("GET", table[i].path, NULL), 200);
        verify_answer(&v);
        assert_int_equal(v.result.bad, 0);
        assert_int_equal(v.result.header.from_seq, table[i].from);
        assert_int_equal(v.result.header.to_seq, table[i].to);
        assert_int_equal(v.result.entries, table[i].to - table[i].from + 1);
        assert_int_equal(v.result.signed_heads, 1);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *path, *says;
        long status;
        bool with_key;
    } table[] = {
        {"/api/v1/audit/export?from_index=9999", "no entry of the audit trail", 404, true},
        {"/api/v1/audit/export?to_index=9", "no entry of the audit trail", 404, true},
        {"/api/v1/audit/export?from_index=20&to_index=15", "no entry", 404, true},
        {"/api/v1/audit/export?from_index=-1", "are numbers", 400, true},
        {"/api/v1/audit/export?to_ms=9999999999999999999999", "are numbers", 400, true},
        {"/api/v1/audit/export", "no-audit-key", 409, false},
        {"/api/v1/audit/points/7", "no audit key", 409, false},
        {"/api/v1/audit/points/0", "has a number", 400, true},
        {"/api/v1/audit/points/x", "has a number", 400, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        b.audit_key = table[i].with_key ? made.keys[EAST] : NULL;
        assert_int_equal(ask("GET", table[i].path, NULL), table[i].status);
        assert_true(says(table[i].says));
    }
    assert_int_equal(ask("POST", "/api/v1/audit/export", "{}"), 405);
}

/* A head of west, signed by `with`. */
static char *head_of_west(const char *name, unsigned seq, unsigned with)
{
    struct bundle_line line = {.kind = BUNDLE_HEAD};
    struct err err;

    snprintf(line.head.cluster, AUDIT_NAME_SIZE, "lab");
    snprintf(line.head.controller, AUDIT_NAME_SIZE, "%s", name);
    line.head.newest = (struct bundle_point){.seq = seq, .index = made.rows[seq - 1].index};
    memcpy(line.head.newest.hash, made.rows[seq - 1].hash, AUDIT_HASH_SIZE);
    line.head.at = line.head.newest;
    assert_int_equal(bundle_head_sign(&line.head, made.keys[with], &err), 0);
    return bundle_text(&line);
}

/* What another controller answers is in the bundle only if it is a head of its own. */
static void others_sign_for_themselves(void **state)
{
    char *good = head_of_west("west", ROWS, WEST), *behind = head_of_west("west", 7, WEST),
         *alien = head_of_west("witness", ROWS, WEST), *broken = strdup(good);
    const struct {
        unsigned status;
        const char *says, *note;
        unsigned heads;
    } table[] = {
        {200, good, NULL, 2},
        {200, behind, "controller west signed an older head, of entry 7", 1},
        {200, alien, "is no chain head of its own", 1},
        {200, broken, "is no chain head of its own", 1},
        {200, "{}", "is no chain head of its own", 1},
        {503, "{}", "did not answer in time", 1},
        {404, "{\"detail\":\"there is no such path\"}", "status 404: there is no such path",
         1},
        {0, NULL, "cannot be reached", 1},
    };

    (void)state;
    *(strstr(broken, "\"signature\":\"") + 20) ^= 1;
    b.has_west = true;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct made_verdict v;

        b.west_status = table[i].status;
        b.west_says = table[i].says;
        assert_int_equal(ask("GET", "/api/v1/audit/export", NULL), 200);
        assert_string_equal(b.forwarded, "/api/v1/audit/points/40");
        verify_answer(&v);
        assert_int_equal(v.result.bad, 0);
        assert_int_equal(v.result.signed_heads, table[i].heads);
        if (table[i].note != NULL)
            assert_non_null(strstr(v.list[0].text, table[i].note));
    }
    free(good);
    free(behind);
    free(alien);
    free(broken);
}

/* A head of another history is no network's fault: it is in the bundle, and found. */
static void a_fork_is_told(void **state)
{
    struct made_verdict v;
    char *other;

    (void)state;
    made.rows[6].hash[0] ^= 1;
    other = head_of_west("west", 7, WEST);
    made.rows[6].hash[0] ^= 1;
    b.has_west = true;
    b.west_status = 200;
    b.west_says = other;
    assert_int_equal(ask("GET", "/api/v1/audit/export", NULL), 200);
    verify_answer(&v);
    assert_int_equal(v.result.bad, 1);
    assert_non_null(strstr(v.list[0].text, "signed another hash of entry 7"));
    free(other);
}

static void keys_are_those_they_sign_with(void **state)
{
    char *good = head_of_west("west", ROWS, WEST);

    (void)state;
    b.has_west = true;
    b.west_status = 200;
    b.west_says = good;
    assert_int_equal(ask("GET", "/api/v1/audit/keys", NULL), 200);
    assert_true(says("\"controller\":\"east\""));
    assert_true(says("\"controller\":\"west\""));
    b.west_says = NULL;
    assert_int_equal(ask("GET", "/api/v1/audit/keys", NULL), 200);
    assert_true(
        says("\"absent\":[{\"controller\":\"west\",\"why\":\"controller west cannot"));
    free(good);
}

static void a_point_is_the_last_of_what_there_is(void **state)
{
    static const struct {
        const char *path;
        unsigned at;
    } table[] = {{"/api/v1/audit/points/7", 7},
                 {"/api/v1/audit/points/40", 40},
                 {"/api/v1/audit/points/41", 40}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bundle_line line;
        struct err err = {0};

        assert_int_equal(ask("GET", table[i].path, NULL), 200);
        assert_int_equal(bundle_read(&line, call.text, call.len, &err), 0);
        assert_int_equal(line.head.newest.seq, ROWS);
        assert_int_equal(line.head.at.seq, table[i].at);
        assert_true(bundle_head_holds(&line.head));
    }
}

/* A store that stops answering in the middle: the client sees that it is not the whole. */
static void half_a_bundle_does_not_look_whole(void **state)
{
    (void)state;
    b.log_status = ERR_CLOSED; /* behind the first page, of the second reading */
    (void)ask("GET", "/api/v1/audit/export?from_index=14", NULL);
    assert_false(call.whole);
}

#define AUDIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUDIT(a_range_is_signed),
        AUDIT(what_cannot_be_is_refused),
        AUDIT(others_sign_for_themselves),
        AUDIT(a_fork_is_told),
        AUDIT(keys_are_those_they_sign_with),
        AUDIT(a_point_is_the_last_of_what_there_is),
        AUDIT(half_a_bundle_does_not_look_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
