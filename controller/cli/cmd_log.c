/* `ringfence log`: what people ask it for, or every row. */
#include <stdlib.h>
#include <string.h>

#include "controller/cli/answer.h"
#include "controller/cli/cli.h"
#include "controller/cli/show.h"

enum { LINES_DEFAULT = 50, LINES_MAX = 1000 }; /* the server's longest page */

/* A short view keeps the last ones of a page that are told. */
struct log_view {
    struct cli *cli;
    bool all;      /* every row as it comes */
    bool one;      /* of one group: its name is not repeated */
    bool printing; /* what is told is printed at once, not kept */
    unsigned wanted, kept, rows;
    json_t *last[LINES_MAX]; /* `kept` of them, the oldest at `first` */
    unsigned first;
    struct show_log_memory memory;
    json_int_t seq; /* of the last row that came */
};

static void keep(struct log_view *v, json_t *line)
{
    unsigned at = (v->first + v->kept) % v->wanted;

    if (v->kept == v->wanted) {
        json_decref(v->last[at]);
        v->first = (v->first + 1) % v->wanted;
    } else {
        v->kept++;
    }
    v->last[at] = json_incref(line);
}

static void take(struct log_view *v, json_t *line)
{
    const struct cli *cli = v->cli;
    json_int_t seq = json_integer_value(json_object_get(line, "seq"));

    v->rows++;
    v->seq = seq > v->seq ? seq : v->seq;
    if (cli->json)
        cli_print_json(cli, line);
    else if (v->all)
        show_log_line(line, cli->out);
    else if (show_log_is_told(line) && v->printing)
        show_log_told(line, !v->one, &v->memory, cli->out);
    else if (show_log_is_told(line))
        keep(v, line);
}

static bool on_log_line(void *owner, const char *text, size_t len)
{
    struct log_view *v = owner;
    json_t *line;

    if (len == 0)
        return true;
    line = answer_read(text, len, v->cli->json);
    if (line == NULL)
        fprintf(v->cli->errors, "ringfence: a line of the log is not JSON\n");
    else
        take(v, line);
    json_decref(line);
    fflush(v->cli->out);
    return ferror(v->cli->out) == 0;
}

static bool parse_lines(const char *text, unsigned *ret_lines)
{
    char *end;
    unsigned long n;

    if (text == NULL)
        return true;
    n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n == 0 || n > LINES_MAX)
        return false;
    *ret_lines = (unsigned)n;
    return true;
}

static enum cli_exit ask(struct log_view *v, const char *path, bool endless)
{
    AUTO(http_answer_free) struct http_answer answer = {0};
    struct http_lines lines = {on_log_line, v, endless ? 0 : v->cli->http.timeout_ms};
    struct err err = {0};

    if (http_follow(&v->cli->http, path, &lines, &answer, &err) != 0)
        return cli_fail(v->cli, &err);
    return answer.status == 200 ? CLI_OK : cli_refused(v->cli, &answer);
}

/* What was kept, oldest first; and whether the page may have begun too late. */
static void print_kept(struct log_view *v)
{
    if (v->rows == LINES_MAX && v->kept < v->wanted)
        fprintf(v->cli->errors,
                "ringfence: of the last %d entries; the ones before are in the API "
                "(GET /api/v1/log?after=SEQ)\n",
                LINES_MAX);
    for (unsigned i = 0; i < v->kept; i++) {
        json_t *line = v->last[(v->first + i) % v->wanted];

        show_log_told(line, !v->one, &v->memory, v->cli->out);
        json_decref(line);
    }
    v->kept = 0;
    fflush(v->cli->out);
}

static enum cli_exit look(struct log_view *v, const char *group, bool follow)
{
    bool short_view = !v->all && !v->cli->json;
    enum cli_exit result;
    char path[160], of[80] = "";

    if (group != NULL)
        snprintf(of, sizeof of, "&group=%s", group);
    snprintf(path, sizeof path, "/api/v1/log?limit=%u%s%s",
             short_view ? (unsigned)LINES_MAX : v->wanted, of,
             follow && !short_view ? "&follow=1" : "");
    result = ask(v, path, follow && !short_view);
    print_kept(v);
    if (result != CLI_OK || !follow || !short_view)
        return result;
    v->printing = true;
    snprintf(path, sizeof path,
             "/api/v1/log?limit=%d%s&after=%" JSON_INTEGER_FORMAT "&follow=1", LINES_MAX,
             of, v->seq);
    return ask(v, path, true);
}

enum cli_exit cli_log(struct cli *cli)
{
    const char *group = cli_operand(cli, 0);
    bool follow = cli_value(cli, "follow") != NULL;
    unsigned n = LINES_DEFAULT;
    struct log_view *v;
    enum cli_exit result;

    if (group != NULL && !cli_name_ok(cli, "group", group))
        return CLI_USAGE;
    if (!parse_lines(cli_value(cli, "lines"), &n))
        return cli_usage(cli, "log: expected -n 1 to %d", LINES_MAX);
    v = calloc(1, sizeof *v);
    if (v == NULL)
        return cli_fail(cli, &(struct err){.code = ERR_NOMEM, .text = "out of memory"});
    v->cli = cli;
    v->all = cli_value(cli, "all") != NULL;
    v->one = group != NULL;
    v->wanted = n;
    result = look(v, group, follow);
    free(v);
    return result;
}
