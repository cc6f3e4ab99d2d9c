#include "controller/cli/show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "controller/base/units.h"
#include "controller/cli/group_units.h"
#include "controller/cli/table.h"
#include "controller/cli/wrap.h"

const char *show_value(const json_t *value, char room[SHOW_TEXT_SIZE])
{
    size_t used = 0;

    if (value == NULL || json_is_null(value))
        return "-";
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    if (json_is_integer(value))
        snprintf(room, SHOW_TEXT_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(room, SHOW_TEXT_SIZE, "%.2f", json_real_value(value));
    else if (!json_is_array(value))
        return "?";
    if (!json_is_array(value))
        return room;
    room[0] = '\0';
    for (size_t i = 0; i < json_array_size(value) && used < SHOW_TEXT_SIZE; i++) {
        char inner[SHOW_TEXT_SIZE];
        int n = snprintf(room + used, SHOW_TEXT_SIZE - used, "%s%s", i > 0 ? "," : "",
                         show_value(json_array_get(value, i), inner));

        used += n > 0 ? (size_t)n : 0;
    }
    return room;
}

const char *show_member(const json_t *object, const char *name, char room[SHOW_TEXT_SIZE])
{
    return show_value(json_object_get(object, name), room);
}

static void format_ms(uint64_t ms, char *room, size_t size)
{
    if (ms < 10000)
        snprintf(room, size, "%" PRIu64 "ms", ms);
    else if (ms < 600000)
        snprintf(room, size, "%" PRIu64 "s", ms / 1000);
    else if (ms < 36000000)
        snprintf(room, size, "%" PRIu64 "min", ms / 60000);
    else
        snprintf(room, size, "%" PRIu64 "h", ms / 3600000);
}

const char *show_duration(const json_t *ms, char room[SHOW_TEXT_SIZE])
{
    char text[40];
    json_int_t value;

    if (!json_is_integer(ms))
        return "-";
    value = json_integer_value(ms);
    format_ms(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, text, sizeof text);
    snprintf(room, SHOW_TEXT_SIZE, value < 0 ? "expired %s ago" : "%s", text);
    return room;
}

const char *show_exact_duration(const json_t *ms, char room[SHOW_TEXT_SIZE])
{
    if (!json_is_integer(ms) || json_integer_value(ms) < 0)
        return "-";
    units_format_duration((uint64_t)json_integer_value(ms), room);
    return room;
}

const char *show_bytes(const json_t *bytes, char room[SHOW_TEXT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value;
    unsigned u = 0;

    if (!json_is_integer(bytes))
        return "-";
    value = (double)json_integer_value(bytes);
    if (value == 0)
        return "0";
    for (; value >= 1024 && u + 1 < sizeof units / sizeof *units; u++)
        value /= 1024;
    snprintf(room, SHOW_TEXT_SIZE, u == 0 ? "%.0f%s" : "%.1f%s", value, units[u]);
    return room;
}

/* What the condition does as it is now, in one word. */
static const char *state_of(const json_t *condition)
{
    static const struct {
        const char *role, *holds, *fails;
    } words[] = {
        {"cause", "CAUSE", "no cause"},
        {"candidate", "ready", "NOT READY"},
        {"proof", "proven", "not asked"},
    };
    bool holds = json_is_true(json_object_get(condition, "holds"));
    char room[SHOW_TEXT_SIZE];
    const char *role = show_member(condition, "role", room);

    if (json_is_true(json_object_get(condition, "blocks")))
        return "BLOCKS";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(role, words[i].role) == 0)
            return holds ? words[i].holds : words[i].fails;
    return holds ? "permits" : "not asked";
}

void show_why(const json_t *why, FILE *out)
{
    static const char *const titles[] = {"STATE", "CONDITION", "VALUE", "LIMIT", NULL};
    AUTO(table_free) struct table *t = table_new(titles);
    const json_t *conditions = json_object_get(why, "conditions"), *c;
    char room[SHOW_TEXT_SIZE], other[SHOW_TEXT_SIZE], first[2 * SHOW_TEXT_SIZE];
    size_t i;

    if (json_is_true(json_object_get(why, "stale")))
        fprintf(out,
                "!! STALE: what the controller that was asked knows by itself (entry %s, "
                "%s ago)\n",
                show_member(why, "applied", room),
                show_duration(json_object_get(why, "age_ms"), other));
    snprintf(first, sizeof first, "group %s: ", show_member(why, "group", room));
    wrap_print(out, first, 2, show_member(why, "verdict", room));
    json_array_foreach(conditions, i, c)
    {
        const char *cells[] = {state_of(c), json_string_value(json_object_get(c, "name")),
                               show_member(c, "value", room),
                               show_member(c, "limit", other)};

        if (t != NULL)
            table_add(t, cells);
    }
    if (t != NULL)
        table_print(t, "  ", out);
    fputs("permits: a failover needs it, and has it; BLOCKS: keeps one from beginning;\n"
          "no cause: no reason for one; CAUSE: a reason; not asked: does not count now\n",
          out);
}

/* In the words of the file: "3s". */
static const char *diff_value(const json_t *value, const struct group_unit_row *unit,
                              char room[SHOW_TEXT_SIZE])
{
    if (unit == NULL || !json_is_integer(value) || json_integer_value(value) < 0)
        return json_is_boolean(value) ? (json_is_true(value) ? "true" : "false")
                                      : show_value(value, room);
    group_unit_format(unit->unit, (uint64_t)json_integer_value(value), room);
    return room;
}

static void show_difference(const json_t *one, FILE *out)
{
    char from[SHOW_TEXT_SIZE], to[SHOW_TEXT_SIZE], room[SHOW_TEXT_SIZE];
    const json_t *before = json_object_get(one, "from");
    const json_t *after = json_object_get(one, "to");
    const char *path = show_member(one, "path", room);
    const struct group_unit_row *unit = group_unit_of(path);
    bool is_new = before == NULL || json_is_null(before);
    bool is_gone = after == NULL || json_is_null(after);

    fprintf(out, "%s %s: ",
            is_new    ? "+"
            : is_gone ? "-"
                      : "~",
            unit != NULL ? unit->key : path);
    if (!is_new)
        fprintf(out, "%s%s", diff_value(before, unit, from), is_gone ? "" : " -> ");
    fprintf(out, "%s\n", is_gone ? "" : diff_value(after, unit, to));
}

void show_diff(const json_t *diff, FILE *out)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(diff, "diff"), i, one) show_difference(one, out);
}

enum { MATRIX_MAX = 5 };

static const json_t *link_between(const json_t *links, const char *from, const char *to)
{
    const json_t *l;
    char room[2][SHOW_TEXT_SIZE];
    size_t i;

    json_array_foreach(links, i, l)
    {
        if (strcmp(show_member(l, "from", room[0]), from) == 0 &&
            strcmp(show_member(l, "to", room[1]), to) == 0)
            return l;
    }
    return NULL;
}

static const char *link_text(const json_t *link, char room[SHOW_TEXT_SIZE])
{
    const char *state = show_member(link, "state", room);
    const json_t *rtt = json_object_get(link, "rtt_ms");

    if (strcmp(state, "down") == 0)
        return "DOWN";
    if (strcmp(state, "up") != 0)
        return link == NULL ? "-" : "?";
    if (!json_is_number(rtt))
        return "up";
    snprintf(room, SHOW_TEXT_SIZE, "up %.1fms", json_number_value(rtt));
    return room;
}

/* Who reaches whom, with the round trip as the row's controller has measured it. */
static void show_links(const json_t *links, FILE *out)
{
    const char *titles[MATRIX_MAX + 2] = {"FROM \\ TO"};
    char names[MATRIX_MAX][SHOW_TEXT_SIZE], room[MATRIX_MAX][SHOW_TEXT_SIZE];
    AUTO(table_free) struct table *t = NULL;
    const json_t *l;
    size_t i, n = 0;

    json_array_foreach(links, i, l)
    {
        const char *from = show_member(l, "from", room[0]);

        if ((n == 0 || strcmp(names[n - 1], from) != 0) && n < MATRIX_MAX)
            snprintf(names[n++], SHOW_TEXT_SIZE, "%s", from);
    }
    for (i = 0; i < n; i++)
        titles[i + 1] = names[i];
    t = n > 0 ? table_new(titles) : NULL;
    for (size_t from = 0; t != NULL && from < n; from++) {
        const char *cells[MATRIX_MAX + 1] = {names[from]};

        for (size_t to = 0; to < n; to++)
            cells[to + 1] =
                link_text(link_between(links, names[from], names[to]), room[to]);
        table_add(t, cells);
    }
    if (t != NULL) {
        fputc('\n', out);
        table_print(t, "  ", out);
    }
}

/* Whose doctor has looked: of a controller, of an agent; before 0.1.0 it said a host only.
 */
static void show_doctor_whose(const json_t *doctor, FILE *out)
{
    const char *program = json_string_value(json_object_get(doctor, "program"));
    char room[2][SHOW_TEXT_SIZE];

    if (program == NULL)
        fprintf(out, "host %s\n", show_member(doctor, "host", room[0]));
    else
        fprintf(out, "%s %s (host %s)\n",
                strcmp(program, "ringfenced") == 0 ? "controller" : "agent",
                show_member(doctor, "name", room[0]), show_member(doctor, "host", room[1]));
}

void show_rules(const json_t *rules, FILE *out)
{
    static const char *const titles[] = {"RULE", "PHASE", "GOES TO", "WHEN", NULL};
    AUTO(table_free) struct table *t = table_new(titles);
    const json_t *rule;
    char room[4][SHOW_TEXT_SIZE];
    size_t i;

    json_array_foreach(json_object_get(rules, "rules"), i, rule)
    {
        const char *from = show_member(rule, "from", room[1]),
                   *to = show_member(rule, "to", room[2]);
        const char *cells[] = {show_member(rule, "rule", room[0]), from,
                               strcmp(from, to) == 0 ? "stays" : to,
                               show_member(rule, "when", room[3])};

        if (t != NULL)
            table_add(t, cells);
    }
    if (t != NULL)
        table_print(t, "", out);
}

unsigned show_doctor(const json_t *doctor, FILE *out)
{
    static const char *const titles[] = {"LEVEL", "CHECK", "FINDING", NULL};
    AUTO(table_free) struct table *t = table_new(titles);
    const json_t *finding;
    char room[3][SHOW_TEXT_SIZE];
    unsigned failures = 0;
    size_t i;

    show_doctor_whose(doctor, out);
    json_array_foreach(json_object_get(doctor, "findings"), i, finding)
    {
        const char *level = show_member(finding, "level", room[0]);
        const char *cells[] = {strcmp(level, "fail") == 0   ? "FAIL"
                               : strcmp(level, "warn") == 0 ? "WARN"
                                                            : level,
                               show_member(finding, "check", room[1]),
                               show_member(finding, "text", room[2])};

        failures += strcmp(level, "fail") == 0;
        if (t != NULL)
            table_add(t, cells);
    }
    if (t != NULL)
        table_print(t, "  ", out);
    show_links(json_object_get(doctor, "links"), out);
    return failures;
}
