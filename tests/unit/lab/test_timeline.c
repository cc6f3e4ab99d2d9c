/* The timeline keeps what it is told, within bounds, and a page lets no text become markup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/html.h"
#include "chaos/timeline.h"

/* A state lasts until another one is said, however often it is said. */
static void a_state_is_one_span(void **state)
{
    struct timeline t;

    (void)state;
    timeline_open(&t);
    timeline_state(&t, LANE_GATE, 10, "%s", "open");
    timeline_state(&t, LANE_GATE, 20, "%s", "open");
    timeline_state(&t, LANE_GATE_WEST, 25, "%s", "closed");
    timeline_state(&t, LANE_GATE, 30, "%s", "closed");
    timeline_state(&t, LANE_GATE, 40, "%s", "");
    timeline_state(&t, LANE_GATE, 50, "%s", "");
    assert_int_equal(t.count, 3);
    assert_int_equal(t.marks[0].from_ns, 10);
    assert_int_equal(t.marks[0].to_ns, 30);
    assert_int_equal(t.marks[2].to_ns, 40);
    assert_int_equal(t.marks[1].to_ns, INT64_MAX);
    timeline_end_all(&t, 60);
    assert_int_equal(t.marks[1].to_ns, 60);
    assert_int_equal(t.marks[2].to_ns, 40);
    timeline_close(&t);
}

/* Faults overlap: each has its own end, and none is mistaken for an instant. */
static void spans_may_overlap(void **state)
{
    struct timeline t;
    size_t first, second;

    (void)state;
    timeline_open(&t);
    first = timeline_begin(&t, LANE_FAULT, 10, "a cut");
    second = timeline_begin(&t, LANE_FAULT, 20, "a kill");
    timeline_end(&t, first, 30);
    timeline_end(&t, second, 20);
    assert_int_equal(t.marks[0].to_ns, 30);
    assert_int_equal(t.marks[1].to_ns, 21);
    timeline_close(&t);
}

/* What has no room is counted, and its span, which there is none of, can be ended. */
static void is_bounded(void **state)
{
    struct timeline t;
    char large[2 * TIMELINE_TEXT];

    (void)state;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    timeline_open(&t);
    for (int i = 0; i < TIMELINE_MARKS_MAX; i++)
        timeline_note(&t, LANE_LOG, i, "%s", large);
    assert_int_equal(t.dropped, 0);
    assert_int_equal(strlen(t.marks[0].text), TIMELINE_TEXT - 1);
    timeline_note(&t, LANE_LOG, 1, "one too many");
    timeline_state(&t, LANE_GATE, 1, "another");
    timeline_state(&t, LANE_GATE, 2, "%s", "");
    timeline_end(&t, timeline_begin(&t, LANE_FAULT, 1, "and one"), 2);
    timeline_end_all(&t, 3);
    assert_int_equal(t.count, TIMELINE_MARKS_MAX);
    assert_int_equal(t.dropped, 3);
    timeline_close(&t);
}

/* Where there is no timeline nothing is kept. */
static void none_takes_everything(void **state)
{
    (void)state;
    timeline_note(NULL, LANE_LOG, 1, "x");
    timeline_state(NULL, LANE_GATE, 1, "x");
    timeline_end(NULL, timeline_begin(NULL, LANE_FAULT, 1, "x"), 2);
}

/* Whatever it was, it is text afterwards, and characters that HTML has. */
static void text_stays_text(void **state)
{
    static const struct {
        const char *text, *html;
    } table[] = {
        {"</title><script>alert('1')</script>",
         "&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"},
        {"\" onload=\"x", "&quot; onload=&quot;x"},
        {"a & b &amp;", "a &amp; b &amp;amp;"},
        {"caf\xc3\xa9 \xf0\x9f\x94\xa5", "caf\xc3\xa9 \xf0\x9f\x94\xa5"},
        {"cut \xf0\x9f\x94", "cut \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"long <: \xc0\xbc", "long &lt;: \xef\xbf\xbd\xef\xbf\xbd"},
        {"\x01 \x1b[31m \x7f", "\xef\xbf\xbd \xef\xbf\xbd[31m \xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xef\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe0\x80\xbc", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc2\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char *html = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&html, &size);

        assert_non_null(out);
        html_text(out, table[i].text);
        fclose(out);
        assert_string_equal(html, table[i].html);
        free(html);
    }
}

/* A cut is between characters, and is told. */
static void cuts_between_characters(void **state)
{
    char html[64] = "";
    FILE *out = fmemopen(html, sizeof html, "w");

    (void)state;
    assert_non_null(out);
    html_text_cut(out, "\xc3\xa9<\xc3\xa9", 2);
    html_text_cut(out, "ab", 2);
    fclose(out);
    assert_string_equal(html, "\xc3\xa9&lt;\xe2\x80\xa6"
                              "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_one_span), cmocka_unit_test(spans_may_overlap),
        cmocka_unit_test(is_bounded),          cmocka_unit_test(none_takes_everything),
        cmocka_unit_test(text_stays_text),     cmocka_unit_test(cuts_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
