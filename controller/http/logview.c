#include "controller/http/logview.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/core/entry.h"

/* controller/daemon/audit.c writes "refused (NAME): what: why", of an entry that was
 * refused as well as of a request that did not become one. */
static const char *split(const struct audit_row *row, char *result, size_t size)
{
    static const char mark[] = "refused (";
    const char *text = row->text, *end = strstr(text, "): ");

    (void)snprintf(result, size, "%s",
                   strcmp(row->kind, entry_kind_name(ENTRY_REFUSED)) == 0 ? "refused"
                                                                          : "accepted");
    if (strncmp(text, mark, sizeof mark - 1) != 0 || end == NULL)
        return text;
    text += sizeof mark - 1;
    (void)snprintf(result, size, "%.*s", (int)(end - text), text);
    return end + 3;
}

/* Whose request it was, "" where nobody's: behind the mark, which `text` loses. */
static const char *split_actor(char *text)
{
    char *mark = strrchr(text, AUDIT_ACTOR_MARK);

    if (mark == NULL)
        return "";
    *mark = '\0';
    return mark + 1;
}

static const char *leader_name(const struct api_facts *f, uint64_t id)
{
    for (unsigned i = 0; i < f->controller_count; i++)
        if (f->controllers[i].id == id)
            return f->controllers[i].name;
    return "";
}

char *logview_line(const struct audit_row *row, const struct api_facts *f)
{
    char time[WALL_TEXT_SIZE], result[AUDIT_KIND_SIZE], hash[2 * CHAIN_SIZE + 1];
    const char *shown = split(row, result, sizeof result), *actor;
    char *line, text[AUDIT_TEXT_SIZE];
    json_t *v;

    wall_format(row->wall_ms, time);
    (void)snprintf(text, sizeof text, "%s", shown);
    actor = split_actor(text);
    for (size_t i = 0; i < CHAIN_SIZE; i++)
        (void)snprintf(hash + 2 * i, 3, "%02x", row->hash[i]);
    v = json_pack("{s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "seq",
                  (json_int_t)row->seq, "index", (json_int_t)row->index, "term",
                  (json_int_t)row->term, "time", time, "leader",
                  leader_name(f, row->leader_id), "kind", row->kind, "group", row->group,
                  "rule", row->rule, "text", text, "result", result, "actor", actor, "hash",
                  hash);
    line = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;
    json_decref(v);
    return line;
}
