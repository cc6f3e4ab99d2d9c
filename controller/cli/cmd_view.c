/* Commands that only look: status, why, rules, doctor, version; log is in cmd_log.c. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "controller/cli/answer.h"
#include "controller/cli/cli.h"
#include "controller/cli/show.h"

enum { WATCH_IDLE_MS = 5000, AGAIN_MS = 1000 };

/* ---- status ---------------------------------------------------------------------------
 */

static void print_status(const struct cli *cli, const json_t *document, bool redraw)
{
    if (cli->json) {
        cli_print_json(cli, document);
        return;
    }
    if (redraw && isatty(fileno(cli->out)))
        fputs("\033[H\033[2J", cli->out);
    show_status(document, cli->out);
    if (redraw)
        fputc('\n', cli->out);
    fflush(cli->out);
}

static bool on_status(void *owner, const char *line, size_t len)
{
    const struct cli *cli = owner;
    json_t *document = answer_read(line, len, cli->json);

    if (document != NULL)
        print_status(cli, document, true);
    json_decref(document);
    return ferror(cli->out) == 0;
}

/* It is looked at while things fail: a controller that goes away may come back. What ends
 * it is an answer that is no status, an output that nobody reads, or Ctrl-C. */
static enum cli_exit watch(struct cli *cli)
{
    for (;;) {
        AUTO(http_answer_free) struct http_answer answer = {0};
        struct http_lines lines = {on_status, cli, WATCH_IDLE_MS};
        struct err err = {0};
        int status =
            http_follow(&cli->http, "/api/v1/status?follow=1", &lines, &answer, &err);

        if (ferror(cli->out) != 0)
            return CLI_NO;
        if (status == 0 && answer.status != 200)
            return cli_refused(cli, &answer);
        if (status != 0)
            cli_fail(cli, &err);
        fprintf(cli->errors, "ringfence: the controller is gone; trying again\n");
        (void)poll(NULL, 0, AGAIN_MS);
    }
}

/* What the leader knows; without one, what the controller that is asked last knew: *ret
 * (json_decref() it) then says that it is stale. */
static enum cli_exit look(struct cli *cli, const char *path, json_t **ret)
{
    AUTO(http_answer_free) struct http_answer answer = {0};
    struct http_request request = {.method = "GET", .path = path};
    char stale_path[160];
    struct err err = {0};

    snprintf(stale_path, sizeof stale_path, "%s?stale=ok", path);
    if (http_ask(&cli->http, &request, &answer, &err) != 0)
        return cli_fail(cli, &err);
    if (answer.status == 503) {
        http_answer_free(&answer);
        request.path = stale_path;
        if (http_ask(&cli->http, &request, &answer, &err) != 0)
            return cli_fail(cli, &err);
    }
    if (answer.status != 200)
        return cli_refused(cli, &answer);
    *ret = answer_read(answer.body.data, answer.body.len, cli->json);
    if (*ret != NULL)
        return json_is_true(json_object_get(*ret, "stale")) ? CLI_UNREACHABLE : CLI_OK;
    err_set(&err, ERR_BADMSG, "%s: the answer is not JSON", cli->http.socket);
    return cli_fail(cli, &err);
}

enum cli_exit cli_status(struct cli *cli)
{
    json_t *document = NULL;
    enum cli_exit result;

    if (cli_value(cli, "watch") != NULL)
        return watch(cli);
    result = look(cli, "/api/v1/status", &document);
    if (document != NULL)
        print_status(cli, document, false);
    json_decref(document);
    return result;
}

/* ---- why ------------------------------------------------------------------------------
 */

enum cli_exit cli_why(struct cli *cli)
{
    const char *group = cli_operand(cli, 0);
    json_t *document = NULL;
    enum cli_exit result;
    char path[128];

    if (!cli_name_ok(cli, "group", group))
        return CLI_USAGE;
    snprintf(path, sizeof path, "/api/v1/groups/%s/why", group);
    result = look(cli, path, &document);
    if (document != NULL && cli->json)
        cli_print_json(cli, document);
    else if (document != NULL)
        show_why(document, cli->out);
    json_decref(document);
    return result;
}

/* ---- rules ----------------------------------------------------------------------------
 */

enum cli_exit cli_rules(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit result = cli_ask(cli, "GET", "/api/v1/rules", NULL, &answer);

    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    else if (result == CLI_OK)
        show_rules(answer, cli->out);
    json_decref(answer);
    return result;
}

/* ---- doctor ---------------------------------------------------------------------------
 */

/* One daemon's findings. */
static enum cli_exit examine(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit result = cli_ask(cli, "GET", "/api/v1/doctor", NULL, &answer);
    const json_t *finding;
    unsigned failures = 0;
    size_t i;

    if (result == CLI_OK && cli->json) {
        cli_print_json(cli, answer);
        json_array_foreach(json_object_get(answer, "findings"), i, finding)
        {
            const char *level = json_string_value(json_object_get(finding, "level"));

            failures += level != NULL && strcmp(level, "fail") == 0;
        }
    } else if (result == CLI_OK) {
        failures = show_doctor(answer, cli->out);
    }
    json_decref(answer);
    return result == CLI_OK && failures > 0 ? CLI_FAILURES : result;
}

enum cli_exit cli_doctor(struct cli *cli)
{
    static const char *const sockets[] = {CLI_CONTROLLER_SOCKET, CLI_AGENT_SOCKET};
    enum cli_exit worst = CLI_OK;
    unsigned asked = 0;

    if (cli->socket_given)
        return examine(cli);
    for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
        enum cli_exit one;

        if (access(sockets[i], F_OK) != 0)
            continue;
        asked++;
        cli->http.socket = sockets[i];
        one = examine(cli);
        if (one > worst)
            worst = one;
    }
    if (asked > 0)
        return worst;
    fprintf(cli->errors,
            "ringfence: neither %s nor %s is there: is a daemon running here? "
            "Name its socket with --socket\n",
            sockets[0], sockets[1]);
    return CLI_UNREACHABLE;
}

/* ---- version --------------------------------------------------------------------------
 */

enum cli_exit cli_version(struct cli *cli)
{
    AUTO(http_answer_free) struct http_answer answer = {0};
    struct http_request request = {.method = "GET", .path = "/api/v1/version"};
    char name[SHOW_TEXT_SIZE], version[SHOW_TEXT_SIZE], program[SHOW_TEXT_SIZE];
    json_t *there = NULL, *all;

    /* That nobody answers is no failure: the question was for our version. */
    if (http_ask(&cli->http, &request, &answer, NULL) == 0 && answer.status == 200)
        there = answer_read(answer.body.data, answer.body.len, cli->json);
    if (cli->json) {
        all = json_pack("{s:s, s:s, s:O?}", "program", "ringfence", "version", RF_VERSION,
                        "controller", there);
        cli_print_json(cli, all);
        json_decref(all);
    } else {
        fprintf(cli->out, "ringfence %s\n", RF_VERSION);
        if (there != NULL)
            fprintf(cli->out, "%s %s (%s)\n", show_member(there, "program", program),
                    show_member(there, "version", version),
                    show_member(there, "name", name));
    }
    json_decref(there);
    return CLI_OK;
}
