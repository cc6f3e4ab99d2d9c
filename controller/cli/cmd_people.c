/* Commands about proposals: what people want, and whether others agree. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli.h"
#include "controller/cli/show.h"
#include "controller/cli/wrap.h"

enum { PATH_MAX_BYTES = 200, LINE_SIZE = 2400, HANG = 8 };

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

/* "no loss, about 1.0 s; fails now: cooldown-over" */
static void say_forecast(const json_t *f, char *out, size_t size)
{
    const json_t *bytes = json_object_get(f, "loss_bytes");
    char loss[SHOW_TEXT_SIZE], takes[SHOW_TEXT_SIZE];
    const char *fails = text_of(f, "fails");

    if (!json_is_true(json_object_get(f, "loss_known")))
        (void)snprintf(out, size, "how much is lost is not known");
    else if (json_integer_value(bytes) == 0)
        (void)snprintf(out, size, "nothing is lost");
    else
        (void)snprintf(out, size, "up to %s of log are lost", show_bytes(bytes, loss));
    (void)snprintf(out + strlen(out), size - strlen(out), "; takes about %s%s%s",
                   show_duration(json_object_get(f, "takes_ms"), takes),
                   fails[0] != '\0' ? "; does not hold now: " : "", fails);
}

static void say_names(const json_t *p, char *out, size_t size)
{
    const json_t *one;
    size_t i;

    out[0] = '\0';
    json_array_foreach(json_object_get(p, "approvals"), i, one)
    {
        (void)snprintf(out + strlen(out), size - strlen(out), "%s%s",
                       out[0] != '\0' ? ", " : "", text_of(one, "name"));
    }
}

/* What agrees to it as it is shown here. Once it was asked about anew that takes a word
 * more: who has read an older forecast, and types what was printed then, agrees to
 * nothing. */
static void say_command(const json_t *p, char *out, size_t size)
{
    int64_t id = (int64_t)json_integer_value(json_object_get(p, "id"));
    int64_t seen = (int64_t)json_integer_value(json_object_get(p, "seen"));

    if (seen == id)
        (void)snprintf(out, size, "ringfence approve %" PRId64, id);
    else
        (void)snprintf(out, size, "ringfence approve %" PRId64 " --seen %" PRId64, id,
                       seen);
}

static bool waits_for_people(const json_t *p)
{
    const char *state = text_of(p, "state");

    return strcmp(state, "open") == 0 || strcmp(state, "stale") == 0;
}

static void show_proposal(const json_t *p, FILE *out)
{
    char room[2][SHOW_TEXT_SIZE], names[SHOW_TEXT_SIZE], line[LINE_SIZE];
    const char *target = text_of(p, "target"), *region = text_of(p, "region");
    bool waits = json_array_size(json_object_get(p, "missing")) > 0;

    fprintf(out, "%s  %s  %s%s%s%s%s%s  %s\n", show_member(p, "id", room[0]),
            text_of(p, "group"), text_of(p, "kind"), target[0] != '\0' ? " " : "", target,
            region[0] != '\0' ? " (" : "", region, region[0] != '\0' ? ")" : "",
            text_of(p, "state"));
    if (json_is_true(json_object_get(p, "break_glass")))
        fprintf(out, "  !! BREAK GLASS: without the approvals that it takes\n");
    (void)snprintf(line, sizeof line, "%s, by %s", text_of(p, "reason"), text_of(p, "by"));
    wrap_print(out, "  why:       ", HANG, line);
    say_forecast(json_object_get(p, "forecast"), line, sizeof line);
    wrap_print(out, "  expected:  ", HANG, line);
    say_names(p, names, sizeof names);
    if (waits)
        (void)snprintf(line, sizeof line, "%s; missing: %s; until %s",
                       names[0] != '\0' ? names : "nobody yet",
                       show_member(p, "missing", room[1]), text_of(p, "expires"));
    else
        (void)snprintf(line, sizeof line, "%s", names);
    wrap_print(out, "  agreed:    ", HANG, line);
    if (text_of(p, "outcome")[0] != '\0')
        wrap_print(out, "  outcome:   ", HANG, text_of(p, "outcome"));
    if (!waits_for_people(p))
        return;
    say_command(p, line, sizeof line);
    wrap_print(out, "  to agree:  ", HANG, line);
}

bool cli_tell_proposal(struct cli *cli, const json_t *answer)
{
    const json_t *p = json_object_get(answer, "proposal");
    const char *state = text_of(p, "state");
    char command[SHOW_TEXT_SIZE];

    if (!json_is_object(p) || cli->json)
        return false;
    show_proposal(p, cli->out);
    if (waits_for_people(p)) {
        say_command(p, command, sizeof command);
        fprintf(cli->out, "proposed: another person runs `%s`\n", command);
    } else if (strcmp(state, "approved") == 0)
        fprintf(cli->out, "approved: follow it with `ringfence status --watch`\n");
    return true;
}

static enum cli_exit tell(struct cli *cli, enum cli_exit result, json_t *answer)
{
    if (result == CLI_OK && !cli_tell_proposal(cli, answer))
        cli_print_json(cli, answer);
    json_decref(answer);
    return result;
}

enum cli_exit cli_proposals(struct cli *cli)
{
    bool all = cli_value(cli, "all") != NULL;
    json_t *answer = NULL, *p;
    enum cli_exit result = cli_ask(cli, "GET", "/api/v1/proposals", NULL, &answer);
    unsigned shown = 0;
    size_t i;

    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    json_array_foreach(json_object_get(answer, "proposals"), i, p)
    {
        const char *state = text_of(p, "state");
        bool over = strcmp(state, "open") != 0 && strcmp(state, "stale") != 0 &&
                    strcmp(state, "approved") != 0 && strcmp(state, "running") != 0;

        if (cli->json || (over && !all))
            continue;
        show_proposal(p, cli->out);
        shown++;
    }
    if (result == CLI_OK && !cli->json && shown == 0)
        fprintf(cli->out, "no proposal is open%s\n",
                all ? "" : "; `ringfence proposals --all` also lists what is over");
    json_decref(answer);
    return result;
}

/* As `ringfence proposals` shows it. */
static bool is_number(const char *text)
{
    return text[0] != '\0' && strlen(text) <= 18 &&
           strspn(text, "0123456789") == strlen(text);
}

/* POST /api/v1/proposals/ID/VERB; the body is taken. */
static enum cli_exit about(struct cli *cli, const char *verb, json_t *body)
{
    const char *id = cli_operand(cli, 0);
    json_t *answer = NULL;
    char path[PATH_MAX_BYTES];
    enum cli_exit result;

    if (!is_number(id)) {
        json_decref(body);
        return cli_usage(cli,
                         "%s: expected the number of a proposal, as `ringfence proposals` "
                         "shows it, found '%s'",
                         verb, id);
    }
    (void)snprintf(path, sizeof path, "/api/v1/proposals/%s/%s", id, verb);
    result = cli_ask(cli, "POST", path, body, &answer);
    json_decref(body);
    return tell(cli, result, answer);
}

/* It is another question by now: here it is. */
static void show_changed(struct cli *cli)
{
    json_int_t id = (json_int_t)strtoull(cli_operand(cli, 0), NULL, 10);
    json_t *answer = NULL, *p;
    size_t i;

    if (cli_ask(cli, "GET", "/api/v1/proposals", NULL, &answer) != CLI_OK)
        return;
    json_array_foreach(json_object_get(answer, "proposals"), i, p)
    {
        if (json_integer_value(json_object_get(p, "id")) == id)
            show_proposal(p, cli->out);
    }
    json_decref(answer);
}

/* What was read is what is agreed to: the number of a proposal is that of its first
 * forecast, too. */
enum cli_exit cli_approve(struct cli *cli)
{
    const char *seen = cli_value(cli, "seen");
    json_int_t number;
    enum cli_exit result;

    if (seen == NULL)
        seen = cli_operand(cli, 0);
    else if (!is_number(seen))
        return cli_usage(cli,
                         "--seen: expected a number, as `ringfence proposals` shows it, "
                         "found '%s'",
                         seen);
    number = (json_int_t)strtoull(seen, NULL, 10);
    result = about(cli, "approve", json_pack("{s:I}", "seen", number));
    if (result == CLI_NO && strcmp(cli->code, "changed-since") == 0 && !cli->json)
        show_changed(cli);
    return result;
}

enum cli_exit cli_reject(struct cli *cli)
{
    const char *reason = cli_value(cli, "reason");

    if (reason == NULL || reason[0] == '\0')
        return cli_usage(cli, "reject: expected --reason TEXT");
    return about(cli, "reject", json_pack("{s:s}", "reason", reason));
}

enum cli_exit cli_attest(struct cli *cli)
{
    const char *dead = cli_value(cli, "dead"), *loss = cli_value(cli, "loss");
    const char *reason = cli_value(cli, "reason"), *group = cli_operand(cli, 0);
    json_t *answer = NULL, *body;
    char path[PATH_MAX_BYTES];
    enum cli_exit result;

    if ((dead == NULL) == (loss == NULL))
        return cli_usage(cli, "attest: expected --dead INSTANCE or --loss INSTANCE");
    if (reason == NULL || reason[0] == '\0')
        return cli_usage(cli, "attest: expected --reason TEXT: what was looked at");
    if (!cli_name_ok(cli, "group", group) ||
        !cli_name_ok(cli, "instance", dead != NULL ? dead : loss))
        return CLI_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/groups/%s/attest", group);
    body = json_pack("{s:s, s:s}", dead != NULL ? "dead" : "loss",
                     dead != NULL ? dead : loss, "reason", reason);
    result = cli_ask(cli, "POST", path, body, &answer);
    json_decref(body);
    return tell(cli, result, answer);
}
