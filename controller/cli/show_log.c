/* Rows of the audit trail: all that they say, or what a person asks the log for. */
#include <stdbool.h>
#include <string.h>

#include "controller/cli/show.h"
#include "controller/cli/wrap.h"

static const char *or_dash(const char *text) { return text[0] != '\0' ? text : "-"; }

static const char *text_of(const json_t *line)
{
    const char *text = json_string_value(json_object_get(line, "text"));

    return text != NULL ? text : "-";
}

static bool was_accepted(const char *result)
{
    return strcmp(result, "accepted") == 0 || strcmp(result, "-") == 0;
}

/* A controller of before says nothing of it. */
static bool has_actor(const char *actor)
{
    return actor[0] != '\0' && strcmp(actor, "-") != 0;
}

void show_log_line(const json_t *line, FILE *out)
{
    char seq[SHOW_TEXT_SIZE], room[7][SHOW_TEXT_SIZE];
    const char *actor = show_member(line, "actor", room[6]);
    const char *result = show_member(line, "result", room[5]);
    bool accepted = was_accepted(result);

    fprintf(out, "%s  %5s  %-10s  %-10s  %-12s  %-22s  %s%s%s%s%s%s\n",
            show_member(line, "time", room[0]), show_member(line, "seq", seq),
            or_dash(show_member(line, "leader", room[1])),
            or_dash(show_member(line, "group", room[2])),
            or_dash(show_member(line, "kind", room[3])),
            or_dash(show_member(line, "rule", room[4])), text_of(line),
            accepted ? "" : "  [refused: ", accepted ? "" : result, accepted ? "" : "]",
            has_actor(actor) ? "  by " : "", has_actor(actor) ? actor : "");
}

static bool is_told_always(const json_t *line) { return line != NULL; }

static bool is_told_never(const json_t *line) { return line == NULL; }

/* A gate that was installed is no fence. */
static bool is_fence(const json_t *line)
{
    return strstr(text_of(line), "proven by gate-installed") == NULL;
}

static bool is_restart(const json_t *line)
{
    return strstr(text_of(line), "(restart)") != NULL;
}

/* Failed, or done with something to say: what was left behind, say; or a crash that is
 * over.
 */
static bool says_something(const json_t *line)
{
    const char *done = strstr(text_of(line), " done");

    return done == NULL || strstr(done, ": ") != NULL || is_restart(line);
}

/* Kinds of entries that this does not know are told: better too much than nothing. */
static const struct {
    const char *kind;
    bool (*is_told)(const json_t *line);
} kinds[] = {
    {"controller", is_told_never}, {"enrol", is_told_never},   {"renew", is_told_never},
    {"proof", is_fence},           {"step-start", is_restart}, {"step-end", says_something},
};

bool show_log_is_told(const json_t *line)
{
    bool (*is_told)(const json_t *) = is_told_always;
    char room[SHOW_TEXT_SIZE];
    const char *kind = show_member(line, "kind", room);

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            is_told = kinds[i].is_told;
    return is_told(line);
}

/* "11-21 03:42:07.123Z": the year is in --all. */
static const char *short_time(const char *time, char room[SHOW_TEXT_SIZE])
{
    if (strlen(time) != 24 || time[10] != 'T')
        return time;
    snprintf(room, SHOW_TEXT_SIZE, "%.5s %s", time + 5, time + 11);
    return room;
}

static bool is_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); }

/* But for numbers: process ids, positions and times are other ones at each try. */
static bool is_as_before(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0') {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            while (is_digit(*a))
                a++;
            while (is_digit(*b))
                b++;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return *a == *b;
}

/* A step that goes on failing says the same each time; who reads it needs it once. */
static void write_text(const json_t *line, struct show_log_memory *m, FILE *out)
{
    char group[SHOW_TEXT_SIZE];
    const char *text = text_of(line), *failed = strstr(text, " failed: ");
    int known = failed != NULL ? (int)(failed - text) : 0;

    if (failed == NULL) {
        fputs(text, out);
        return;
    }
    show_member(line, "group", group);
    if (is_as_before(m->failed, text) && strcmp(m->group, group) == 0)
        fprintf(out, "%.*s failed again, as before", known, text);
    else
        fputs(text, out);
    snprintf(m->failed, sizeof m->failed, "%s", text);
    snprintf(m->group, sizeof m->group, "%s", group);
}

void show_log_told(const json_t *line, bool with_group, struct show_log_memory *m,
                   FILE *out)
{
    char room[6][SHOW_TEXT_SIZE], time[SHOW_TEXT_SIZE], first[4 * SHOW_TEXT_SIZE];
    const char *result = show_member(line, "result", room[0]);
    const char *kind = or_dash(show_member(line, "kind", room[1]));
    const char *actor = show_member(line, "actor", room[5]);
    const char *rule =
        has_actor(actor) ? actor : or_dash(show_member(line, "rule", room[2]));
    const char *group = or_dash(show_member(line, "group", room[3]));
    bool accepted = was_accepted(result), held = strcmp(result, "held") == 0;
    char *text = NULL;
    size_t size;
    FILE *whole = open_memstream(&text, &size);

    if (whole == NULL)
        return;
    write_text(line, m, whole);
    fprintf(whole, "%s%s%s", strcmp(rule, "-") == 0 ? "" : " [",
            strcmp(rule, "-") == 0 ? "" : rule, strcmp(rule, "-") == 0 ? "" : "]");
    if (fclose(whole) == 0) {
        snprintf(first, sizeof first, "%s  %s%s%-11s  %s%s%s",
                 short_time(show_member(line, "time", room[4]), time),
                 with_group ? group : "", with_group ? "  " : "", held ? "held" : kind,
                 accepted || held ? "" : "REFUSED (", accepted || held ? "" : result,
                 accepted || held ? "" : "): ");
        wrap_print(out, first, 21, text);
    }
    free(text);
}
