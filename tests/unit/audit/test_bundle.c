/* A bundle is intact, or the check says which line is wrong, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/audit/made.h"

enum { ROWS = 12, ROW = 6 /* line of entry 6, counted from 0 */ };

static bool was_found(const struct made_verdict *v, unsigned line, const char *text)
{
    for (unsigned i = 0; i < v->n; i++)
        if (v->list[i].bad && strstr(v->list[i].text, text) != NULL &&
            (line == 0 || v->list[i].line == line))
            return true;
    return false;
}

static void show(const char *name, const struct made_verdict *v)
{
    print_message("%s:\n", name);
    for (unsigned i = 0; i < v->n; i++)
        print_message("  line %u%s: %s\n", v->list[i].line, v->list[i].bad ? "" : " (note)",
                      v->list[i].text);
}

/* ---- what can be done to it -----------------------------------------------------------
 */

static void change_text(struct made *m)
{
    made_replace(m, ROW, "\"text_base64\":\"", "\"text_base64\":\"A");
}
static void change_group(struct made *m) { made_replace(m, 3, "orders", "backup"); }
static void change_kind(struct made *m) { made_replace(m, 2, "\"pause\"", "\"resume\""); }
static void change_leader(struct made *m)
{
    made_replace(m, 2, "\"leader\":2", "\"leader\":3");
}
static void change_index(struct made *m)
{
    made_replace(m, 2, "\"index\":12", "\"index\":13");
}
static void change_hash(struct made *m)
{
    char *digit = strstr(m->lines[4], "\"hash\":\"") + 8;

    *digit = *digit == '0' ? '1' : '0';
}
static void change_time_for_people(struct made *m)
{
    made_replace(m, 2, "\"time\":\"2026", "\"time\":\"2025");
}
static void put_a_field_in(struct made *m)
{
    made_replace(m, 2, "{\"seq\"", "{\"approved_by\":\"boss\",\"seq\"");
}
static void put_a_space_in(struct made *m)
{
    made_replace(m, 2, "{\"seq\":", "{\"seq\": ");
}
static void tell_a_field_twice(struct made *m)
{
    made_replace(m, 2, "\"group\":\"orders\"", "\"group\":\"orders\",\"group\":\"orders\"");
}
static void omit(struct made *m) { made_remove(m, ROW); }
static void omit_three(struct made *m)
{
    made_remove(m, ROW);
    made_remove(m, ROW);
    made_remove(m, ROW);
}
static void omit_first(struct made *m) { made_remove(m, 1); }
static void omit_last(struct made *m) { made_remove(m, ROWS); }
static void swap(struct made *m) { made_swap(m, ROW, ROW + 1); }
static void twice(struct made *m) { made_insert(m, ROW, m->lines[ROW]); }

/* An entry of another trail, its hash right for what it says. */
static void foreign(struct made *m)
{
    struct bundle_line line = {.kind = BUNDLE_ROW};
    struct audit_row row = {.index = 99, .kind = "pause"};
    static const uint8_t prev[AUDIT_HASH_SIZE] = {7};
    char *text;

    audit_chain_row(&row, ROW - 1, prev, &line.row);
    text = bundle_text(&line);
    made_set(m, ROW, text);
    free(text);
}

static void cut_signature(struct made *m) { made_remove(m, m->count - 1); }
static void cut_half(struct made *m)
{
    while (m->count > 5)
        made_remove(m, m->count - 1);
}
static void cut_in_a_line(struct made *m)
{
    m->lines[m->count - 1][strlen(m->lines[m->count - 1]) - 9] = '\0';
    m->cut_end = true;
}
static void cut_the_last_break(struct made *m) { m->cut_end = true; }
static void go_on_behind(struct made *m) { made_insert(m, m->count, m->lines[1]); }
static void empty_line(struct made *m) { made_insert(m, 3, ""); }
static void garbage(struct made *m) { made_set(m, 0, "PK\003\004"); }
static void newer_form(struct made *m)
{
    made_replace(m, 0, "\"ringfence_audit_bundle\":1", "\"ringfence_audit_bundle\":2");
}

static void change_header(struct made *m)
{
    made_replace(m, 0, "\"exporter\":\"east\"", "\"exporter\":\"west\"");
}
static void narrow_header(struct made *m)
{
    made_replace(m, 0, "\"to_seq\":12", "\"to_seq\":11");
}
static void omit_a_controller(struct made *m)
{
    made_replace(m, 0, ",{\"id\":3,\"name\":\"witness\"}", "");
}
static void omit_a_head(struct made *m)
{
    made_remove(m, made_find(m, "\"controller\":\"west\""));
}
static void head_twice(struct made *m)
{
    unsigned at = made_find(m, "\"controller\":\"west\"");

    made_insert(m, at, m->lines[at]);
}
static void change_head(struct made *m)
{
    made_replace(m, made_find(m, "\"controller\":\"west\""), "\"seq\":12", "\"seq\":13");
}
static void change_head_signature(struct made *m)
{
    char *text = m->lines[made_find(m, "\"controller\":\"west\"")];
    char *at = strstr(text, "\"signature\":\"") + 14;

    *at = *at == 'A' ? 'B' : 'A';
}
static void change_signature(struct made *m)
{
    char *at = strstr(m->lines[m->count - 1], "\"ed25519\":\"") + 12;

    *at = *at == 'A' ? 'B' : 'A';
}
static void trailer_lies(struct made *m)
{
    made_replace(m, m->count - 2, "\"entries\":12", "\"entries\":11");
}

/* What an exporter could do that is hostile itself: its signature is good. */
static void rewrite_history(struct made *m)
{
    for (unsigned i = 0; i < m->count; i++)
        free(m->lines[i]);
    m->count = 0;
    strcpy(m->rows[4].text, "nobody asked for this");
    for (unsigned i = 0; i < MADE_CONTROLLERS; i++) {
        struct audit_row *last = &m->rows[ROWS - 1];
        struct bundle_head *h = &m->heads[i].head;
        struct err err;

        if (i == EAST)
            continue;
        m->heads[i].kind = BUNDLE_HEAD;
        snprintf(h->cluster, AUDIT_NAME_SIZE, "demo");
        snprintf(h->controller, AUDIT_NAME_SIZE, "%s", i == WEST ? "west" : "witness");
        h->newest.seq = last->seq;
        h->newest.index = last->index;
        memcpy(h->newest.hash, last->hash, AUDIT_HASH_SIZE);
        h->at = h->newest;
        assert_int_equal(bundle_head_sign(h, m->keys[i], &err), 0);
    }
    made_chain(m, 4);
    made_bundle(m);
}

/* The same with a head of the others that it made up, with a key of its own. */
static void forge_a_head(struct made *m)
{
    struct bundle_line line;
    unsigned at = made_find(m, "\"controller\":\"west\"");
    char *text;
    struct err err;

    assert_int_equal(bundle_read(&line, m->lines[at], strlen(m->lines[at]), &err), 0);
    assert_int_equal(bundle_head_sign(&line.head, m->keys[EAST], &err), 0);
    text = bundle_text(&line);
    made_set(m, at, text);
    free(text);
    made_sign(m);
}

static void sign_an_older_one(struct made *m)
{
    struct bundle_line line;
    unsigned at = made_find(m, "\"controller\":\"west\"");
    char *text;
    struct err err;

    assert_int_equal(bundle_read(&line, m->lines[at], strlen(m->lines[at]), &err), 0);
    line.head.at = (struct bundle_point){.seq = 3, .index = m->rows[2].index};
    memcpy(line.head.at.hash, m->rows[2].hash, AUDIT_HASH_SIZE);
    assert_int_equal(bundle_head_sign(&line.head, m->keys[WEST], &err), 0);
    text = bundle_text(&line);
    made_set(m, at, text);
    free(text);
    made_sign(m);
}

/* The exporter shows its own old head: its bundle ends later. */
static void exporter_is_behind_itself(struct made *m)
{
    struct bundle_line line;
    unsigned at = made_find(m, "\"head\":{\"cluster\":\"demo\",\"controller\":\"east\"");
    char *text;
    struct err err;

    assert_int_equal(bundle_read(&line, m->lines[at], strlen(m->lines[at]), &err), 0);
    line.head.at = (struct bundle_point){.seq = 3, .index = m->rows[2].index};
    memcpy(line.head.at.hash, m->rows[2].hash, AUDIT_HASH_SIZE);
    line.head.newest = line.head.at;
    assert_int_equal(bundle_head_sign(&line.head, m->keys[EAST], &err), 0);
    text = bundle_text(&line);
    made_set(m, at, text);
    free(text);
    made_sign(m);
}

static void unknown_key(struct made *m) { m->known.list[EAST].key[0] ^= 1; }
static void no_key_of_west(struct made *m)
{
    snprintf(m->known.list[WEST].controller, AUDIT_NAME_SIZE, "north");
}
static void other_cluster(struct made *m)
{
    for (unsigned i = 0; i < MADE_CONTROLLERS; i++)
        snprintf(m->known.list[i].cluster, AUDIT_NAME_SIZE, "prod");
}

#define CHANGED "was changed: its hash is not that of what it says"
#define SPELT "is not spelt as an export spells it"
#define UNSIGNED "over the bundle does not hold"

static const struct {
    void (*tamper)(struct made *m);
    unsigned line; /* from 1 on; 0: any */
    const char *what;
} table[] = {
    {change_text, 7, "field is missing"}, /* base64 of another text */
    {change_group, 4, "entry 3 " CHANGED},
    {change_kind, 3, "entry 2 " CHANGED},
    {change_leader, 3, "entry 2 " CHANGED},
    {change_index, 3, "entry 2 " CHANGED},
    {change_hash, 5, "entry 4 " CHANGED},
    {change_hash, 6, "entry 5 does not continue entry 4"},
    {change_time_for_people, 3, SPELT},
    {put_a_field_in, 3, SPELT},
    {put_a_space_in, 3, SPELT},
    {tell_a_field_twice, 3, "is no JSON object"},
    {omit, 7, "entry 6 is missing"},
    {omit, 0, UNSIGNED},
    {omit_three, 7, "entries 6 to 8 are missing"},
    {omit_first, 2, "entry 1 is missing"},
    {omit_last, ROWS + 1, "the entries end at 11, and the header says 12"},
    {swap, 7, "entry 6 is missing"},
    {swap, 8, "entry 6 comes behind entry 7"},
    {twice, 8, "entry 6 comes behind entry 6: twice"},
    {foreign, 7, "entry 6 does not continue entry 5"},
    {foreign, 8, "entry 7 does not continue entry 6"},
    {cut_signature, 0, "cut off: the signature at its end is missing"},
    {cut_half, 5, "cut off: the signature at its end is missing"},
    {cut_in_a_line, 18, "is no JSON object"},
    {cut_the_last_break, 18, "the last line has no end"},
    {go_on_behind, 19, "where nothing is expected"},
    {empty_line, 4, "is no JSON object"},
    {garbage, 1, "is no JSON object"},
    {newer_form, 1, "use a newer `ringfence`"},
    {change_header, 18, "signed by east, and not by the exporter, west"},
    {narrow_header, 0, "the entries end at 12, and the header says 11"},
    {omit_a_controller, 16, "controller witness is none of those of the header"},
    {omit_a_head, 0, "nothing is said of controller west"},
    {head_twice, 16, "controller west comes twice"},
    {change_head, 15, "signature of controller west over its chain head does not hold"},
    {change_head_signature, 15, "does not hold"},
    {change_signature, 18, UNSIGNED},
    {trailer_lies, 17, "there are 12 entries, and the trailer says 11"},
    {rewrite_history, 15, "controller west signed another hash of entry 12"},
    {rewrite_history, 16, "controller witness signed another hash of entry 12"},
    {forge_a_head, 15, "signed with a key that is none of controller west's"},
    {sign_an_older_one, 15, "signed entry 3, and was to sign entry 12"},
    {exporter_is_behind_itself, 14,
     "the exporter, east, signed entry 3, and the bundle ends with entry 12"},
    {unknown_key, 18, "signed with a key that is none of controller east's"},
    {no_key_of_west, 15, "has none of controller west of cluster demo"},
    {other_cluster, 18, "has none of controller east of cluster demo"},
};

static void every_tampering_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct made m;
        struct made_verdict v;

        made_open(&m, ROWS);
        made_bundle(&m);
        table[i].tamper(&m);
        made_verify(&m, &v);
        if (v.result.bad == 0 || !was_found(&v, table[i].line, table[i].what)) {
            show(table[i].what, &v);
            fail_msg("row %zu: line %u, '%s' was not found", i, table[i].line,
                     table[i].what);
        }
        made_free(&m);
    }
}

static void an_honest_bundle_is_intact(void **state)
{
    (void)state;
    for (unsigned from = 0; from < ROWS; from++) {
        struct made m;
        struct made_verdict v;

        made_open(&m, ROWS);
        m.from = from;
        made_bundle(&m);
        made_verify(&m, &v);
        if (v.n != 0)
            show("honest", &v);
        assert_int_equal(v.n, 0);
        assert_int_equal(v.result.entries, ROWS - from);
        assert_int_equal(v.result.signed_heads, MADE_CONTROLLERS);
        made_free(&m);
    }
}

/* A controller that is behind signs what it has, one that is down is named: both are worth
 * a word, and no evidence of anything. */
static void absence_is_a_note(void **state)
{
    struct made m;
    struct made_verdict v;
    struct bundle_head *h = &m.heads[WEST].head;
    struct err err;

    (void)state;
    made_open(&m, ROWS);
    m.from = 6;
    m.heads[WITNESS].kind = BUNDLE_ABSENT;
    snprintf(m.heads[WITNESS].absent.controller, AUDIT_NAME_SIZE, "witness");
    snprintf(m.heads[WITNESS].absent.why, BUNDLE_WHY_SIZE, "cannot be reached");
    m.heads[WEST].kind = BUNDLE_HEAD;
    snprintf(h->cluster, AUDIT_NAME_SIZE, "demo");
    snprintf(h->controller, AUDIT_NAME_SIZE, "west");
    h->newest = (struct bundle_point){.seq = 3, .index = m.rows[2].index};
    memcpy(h->newest.hash, m.rows[2].hash, AUDIT_HASH_SIZE);
    h->at = h->newest;
    assert_int_equal(bundle_head_sign(h, m.keys[WEST], &err), 0);
    made_bundle(&m);
    made_verify(&m, &v);
    if (v.result.bad != 0)
        show("absent", &v);
    assert_int_equal(v.result.bad, 0);
    assert_int_equal(v.n, 2);
    assert_int_equal(v.result.absent, 1);
    assert_int_equal(v.result.signed_heads, 1); /* east's alone is of the last entry */
    made_free(&m);
}

/* A head that is older than the bundle's end is none of it, however well signed: who signed
 * it and which entry is said, and what that does not cover. */
static void an_older_head_is_named(void **state)
{
    static const struct {
        unsigned from, head;
        const char *says;
    } heads[] = {
        {0, 3, "west signed an older head, of entry 3: it says nothing of entries 4 to 12"},
        {6, 8, "west signed an older head, of entry 8: it says nothing of entries 9 to 12"},
        {6, 6, "of entry 6: it says nothing of what is in the bundle"},
        {6, 3, "of entry 3: it says nothing of what is in the bundle"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct made m;
        struct made_verdict v;
        struct bundle_head *h = &m.heads[WEST].head;
        const struct audit_row *row = &m.rows[heads[i].head - 1];
        struct err err;

        made_open(&m, ROWS);
        m.from = heads[i].from;
        m.heads[WEST].kind = BUNDLE_HEAD;
        snprintf(h->cluster, AUDIT_NAME_SIZE, "demo");
        snprintf(h->controller, AUDIT_NAME_SIZE, "west");
        h->newest = (struct bundle_point){.seq = row->seq, .index = row->index};
        memcpy(h->newest.hash, row->hash, AUDIT_HASH_SIZE);
        h->at = h->newest;
        assert_int_equal(bundle_head_sign(h, m.keys[WEST], &err), 0);
        made_bundle(&m);
        made_verify(&m, &v);
        assert_int_equal(v.result.bad, 0);
        assert_int_equal(v.result.signed_heads, MADE_CONTROLLERS - 1);
        assert_int_equal(v.result.older_count, 1);
        assert_string_equal(v.result.older[0].controller, "west");
        assert_int_equal(v.result.older[0].seq, heads[i].head);
        if (v.n != 1 || strstr(v.list[0].text, heads[i].says) == NULL) {
            show(heads[i].says, &v);
            fail_msg("row %zu: '%s' was not said", i, heads[i].says);
        }
        made_free(&m);
    }
}

/* No byte of a bundle can be another one, or missing. */
static void no_byte_can_change(void **state)
{
    struct made m;
    struct made_verdict v;

    (void)state;
    made_open(&m, 3);
    made_bundle(&m);
    for (unsigned i = 0; i < m.count; i++)
        for (size_t at = 0; m.lines[i][at] != '\0'; at++) {
            char *c = &m.lines[i][at], was = *c;

            *c = was == '1' ? '2' : '1';
            made_verify(&m, &v);
            if (v.result.bad == 0)
                fail_msg("line %u, byte %zu: '%c' can become '%c'", i + 1, at, was, *c);
            *c = was;
        }
    made_verify(&m, &v);
    assert_int_equal(v.result.bad, 0);
    made_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_bundle_is_intact),
        cmocka_unit_test(every_tampering_is_found),
        cmocka_unit_test(absence_is_a_note),
        cmocka_unit_test(an_older_head_is_named),
        cmocka_unit_test(no_byte_can_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
