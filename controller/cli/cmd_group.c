/* Commands that ask for a change: of one group, or of the controllers. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/cli/answer.h"
#include "controller/cli/cli.h"
#include "controller/cli/group_file.h"
#include "controller/cli/group_yaml.h"
#include "controller/cli/show.h"
#include "controller/config/config.h"

enum {
    PATH_MAX_BYTES = 200,
    FORMING_MS = 3000, /* an undisturbed group forms within a second or so */
    LOOK_AGAIN_MS = 100,
};

/* The answer as JSON, or what `say` makes of it: %s stands for one member. */
static void tell(const struct cli *cli, const json_t *answer, const char *before,
                 const char *member, const char *after)
{
    char room[SHOW_TEXT_SIZE];

    if (cli->json)
        cli_print_json(cli, answer);
    else
        fprintf(cli->out, "%s%s%s\n", before, show_member(answer, member, room), after);
}

static enum cli_exit load(struct cli *cli, json_t **ret_document)
{
    const char *file = cli_value(cli, "file");
    struct err err = {0};

    if (file == NULL)
        return cli_usage(cli, "expected -f FILE");
    if (group_file_load(file, ret_document, &cli->file, &err) == 0)
        return CLI_OK;
    fprintf(cli->errors, "ringfence: %s\n", err.text);
    return CLI_USAGE;
}

static void show_roles(const json_t *answer, FILE *out)
{
    char room[SHOW_TEXT_SIZE];

    if (json_is_true(json_object_get(answer, "roles_ignored")))
        fprintf(out, "--keep-active: the file's roles do not count, %s stays active\n",
                show_member(answer, "active_region", room));
}

/* What apply would be told. */
static void show_refused(const json_t *answer, FILE *out)
{
    const json_t *refused = json_object_get(answer, "refused");
    char code[SHOW_TEXT_SIZE], text[SHOW_TEXT_SIZE];

    if (json_is_object(refused))
        fprintf(out, "! apply would be refused: %s: %s\n",
                show_member(refused, "code", code), show_member(refused, "detail", text));
}

static enum cli_exit post_group(struct cli *cli, const char *query, json_t *document,
                                json_t **ret_answer)
{
    bool keep = cli_value(cli, "keep-active") != NULL;
    char path[PATH_MAX_BYTES];

    snprintf(path, sizeof path, "/api/v1/groups%s%s%s%s", query[0] != 0 || keep ? "?" : "",
             query, query[0] != 0 && keep ? "&" : "", keep ? "keep_active=1" : "");
    return cli_ask(cli, "POST", path, document, ret_answer);
}

/* I4: what was granted in this epoch stays granted for as long. */
static void show_declared(const json_t *answer, FILE *out)
{
    const json_t *ttl = json_object_get(answer, "ttl_ms");
    const json_t *now = json_object_get(answer, "lease_ttl_ms");
    char room[SHOW_TEXT_SIZE], other[SHOW_TEXT_SIZE];

    fprintf(out, "group %s: %s\n", show_member(answer, "group", room),
            json_is_true(json_object_get(answer, "changed")) ? "applied" : "unchanged");
    show_roles(answer, out);
    if (json_is_integer(ttl) && json_is_integer(now) && !json_equal(ttl, now))
        fprintf(out,
                "leases are granted for %s until the next epoch (a failover or "
                "switchover), then for %s\n",
                show_exact_duration(now, room), show_exact_duration(ttl, other));
}

/* The state of a condition in an answer of `why`; false: there is none of this name. */
static bool find_condition(const json_t *why, const char *name, bool *ret_blocks)
{
    const json_t *conditions = json_object_get(why, "conditions"), *c;
    size_t i;

    json_array_foreach(conditions, i, c)
    {
        const char *found = json_string_value(json_object_get(c, "name"));

        if (found == NULL || strcmp(found, name) != 0)
            continue;
        *ret_blocks = json_is_true(json_object_get(c, "blocks"));
        return true;
    }
    return false;
}

/* `*ret_why` (to be released) is what a leader says of the group. False: nobody could tell.
 */
static bool look_at_why(const struct cli *cli, const char *group, json_t **ret_why)
{
    AUTO(http_answer_free) struct http_answer answer = {0};
    char path[PATH_MAX_BYTES];
    struct http_request request = {.method = "GET", .path = path};

    snprintf(path, sizeof path, "/api/v1/groups/%s/why", group);
    if (http_ask(&cli->http, &request, &answer, NULL) != 0 || answer.status != 200)
        return false;
    *ret_why = answer_read(answer.body.data, answer.body.len, cli->json);
    return *ret_why != NULL;
}

/* A group that forms is looked after for a moment: agents look at servers only now, and
 * find a primary that the file has overlooked, say. Whoever typed the command is told why
 * it waits, at once if another one runs as the primary, else if it goes on waiting. The
 * file is applied: that nobody leads just now, or that who does so since has not read of
 * the group yet, is no error. */
static void show_forming(struct cli *cli, const json_t *answer, const char *group)
{
    const char *phase = json_string_value(json_object_get(answer, "phase"));
    struct mono begun = mono_now();
    char room[SHOW_TEXT_SIZE];
    bool forming = phase != NULL && strcmp(phase, "forming") == 0;

    fflush(cli->out);
    while (forming) {
        bool late = mono_since_ms(begun, mono_now()) >= FORMING_MS, blocks = false;
        json_t *why = NULL;

        if (look_at_why(cli, group, &why)) {
            /* Only a group that forms has this condition. */
            forming = find_condition(why, "only-primary", &blocks);
            if (forming && (blocks || late))
                fprintf(cli->out, "%s\n", show_member(why, "verdict", room));
            json_decref(why);
        }
        forming = forming && !blocks && !late;
        if (forming)
            (void)poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

static bool has_word(const json_t *list, const char *word)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), word) == 0)
            return true;
    }
    return false;
}

/* A lost region takes its agent with it: what that means is better known before. */
static void show_fence(const json_t *document, FILE *out)
{
    const json_t *fence = json_object_get(document, "fence");
    const json_t *component = json_array_get(json_object_get(document, "components"), 0);
    bool ungated = json_is_true(json_object_get(component, "ungated_local"));

    if (!ungated && (fence == NULL || has_word(fence, "lease_expiry")))
        return;
    fprintf(
        out,
        "note: with `%s` only the agent of the active side can prove that it is fenced: "
        "if that host is lost, nothing takes over until it is back\n",
        ungated ? "ungated_local: true" : "fence: [agent]");
}

enum cli_exit cli_apply(struct cli *cli)
{
    json_t *document = NULL, *answer = NULL;
    enum cli_exit result = load(cli, &document);

    if (result == CLI_OK)
        result = post_group(cli, "", document, &answer);
    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    else if (result == CLI_OK)
        show_declared(answer, cli->out);
    if (result == CLI_OK && !cli->json)
        show_fence(document, cli->out);
    if (result == CLI_OK && !cli->json)
        show_forming(cli, answer, json_string_value(json_object_get(document, "group")));
    json_decref(document);
    json_decref(answer);
    config_free(&cli->file);
    return result;
}

static void show_changes(const json_t *answer, FILE *out)
{
    show_diff(answer, out);
    show_roles(answer, out);
    show_refused(answer, out);
}

enum cli_exit cli_diff(struct cli *cli)
{
    json_t *document = NULL, *answer = NULL;
    enum cli_exit result = load(cli, &document);

    if (result == CLI_OK)
        result = post_group(cli, "dry=1", document, &answer);
    if (result == CLI_OK) {
        if (cli->json)
            cli_print_json(cli, answer);
        else
            show_changes(answer, cli->out);
        if (json_array_size(json_object_get(answer, "diff")) > 0)
            result = CLI_NO;
    }
    json_decref(document);
    json_decref(answer);
    config_free(&cli->file);
    return result;
}

enum cli_exit cli_export(struct cli *cli)
{
    const char *group = cli_operand(cli, 0);
    json_t *answer = NULL;
    char path[PATH_MAX_BYTES];
    enum cli_exit result;

    if (!cli_name_ok(cli, "group", group))
        return CLI_USAGE;
    snprintf(path, sizeof path, "/api/v1/groups/%s", group);
    result = cli_ask(cli, "GET", path, NULL, &answer);
    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    else if (result == CLI_OK)
        group_yaml_print(answer, cli->out);
    json_decref(answer);
    return result;
}

/* POST /api/v1/groups/GROUP/VERB; the body is taken. */
static enum cli_exit act(struct cli *cli, const char *verb, json_t *body, json_t **ret)
{
    const char *group = cli_operand(cli, 0);
    char path[PATH_MAX_BYTES];
    enum cli_exit result = CLI_USAGE;

    if (cli_name_ok(cli, "group", group)) {
        snprintf(path, sizeof path, "/api/v1/groups/%s/%s", group, verb);
        result = cli_ask(cli, "POST", path, body, ret);
    }
    json_decref(body);
    return result;
}

enum cli_exit cli_switchover(struct cli *cli)
{
    const char *to = cli_value(cli, "to"), *reason = cli_value(cli, "reason");
    json_t *answer = NULL, *body;
    enum cli_exit result;

    if (to == NULL)
        return cli_usage(cli, "switchover: expected --to REGION");
    if (!cli_name_ok(cli, "region", to))
        return CLI_USAGE;
    body = json_pack("{s:s, s:s}", "to", to, "reason", reason != NULL ? reason : "");
    if (cli_value(cli, "break-glass") != NULL)
        (void)json_object_set_new(body, "break_glass", json_true());
    result = act(cli, "switchover", body, &answer);
    if (result == CLI_OK && !cli_tell_proposal(cli, answer))
        tell(cli, answer, "switchover begun, run ", "run",
             "; follow it with `ringfence status --watch`");
    json_decref(answer);
    return result;
}

enum cli_exit cli_failover(struct cli *cli)
{
    const char *to = cli_value(cli, "to"), *reason = cli_value(cli, "reason");
    json_t *answer = NULL, *body;
    enum cli_exit result;

    if (to != NULL && !cli_name_ok(cli, "region", to))
        return CLI_USAGE;
    body = json_pack("{s:s?, s:s?}", "to", to, "reason", reason);
    if (cli_value(cli, "break-glass") != NULL)
        (void)json_object_set_new(body, "break_glass", json_true());
    if (cli_value(cli, "even-if-healthy") != NULL)
        (void)json_object_set_new(body, "even_if_healthy", json_true());
    result = act(cli, "failover", body, &answer);
    if (result == CLI_OK && !cli_tell_proposal(cli, answer))
        tell(cli, answer, "failover begun, run ", "run",
             "; follow it with `ringfence status --watch`");
    json_decref(answer);
    return result;
}

enum cli_exit cli_abort(struct cli *cli)
{
    const char *run = cli_operand(cli, 0);
    json_t *answer = NULL;
    char path[PATH_MAX_BYTES];
    enum cli_exit result;

    if (run[0] == '\0' || strlen(run) > 19 || strspn(run, "0123456789") != strlen(run))
        return cli_usage(cli,
                         "abort: expected the number of a run, as `ringfence status` "
                         "shows it, or of a proposal, found '%s'",
                         run);
    snprintf(path, sizeof path, "/api/v1/runs/%s/abort", run);
    result = cli_ask(cli, "POST", path, NULL, &answer);
    if (result == CLI_OK)
        tell(cli, answer, "taken back, entry ", "index", "");
    json_decref(answer);
    return result;
}

static enum cli_exit simple(struct cli *cli, const char *verb, const char *said)
{
    json_t *answer = NULL;
    enum cli_exit result = act(cli, verb, NULL, &answer);

    if (result == CLI_OK)
        tell(cli, answer, said, "index", "");
    json_decref(answer);
    return result;
}

/* Asked again, nothing has changed: that is said, and is no failure. */
static enum cli_exit pause_or_resume(struct cli *cli, const char *verb, const char *done)
{
    json_t *answer = NULL;
    enum cli_exit result = act(cli, verb, NULL, &answer);

    if (result == CLI_OK && !cli->json && json_is_false(json_object_get(answer, "changed")))
        fprintf(cli->out, "automatic decisions of group %s are %s already: unchanged\n",
                cli_operand(cli, 0), done);
    else if (result == CLI_OK)
        tell(cli, answer,
             strcmp(verb, "pause") == 0 ? "automatic decisions paused, entry "
                                        : "automatic decisions resumed, entry ",
             "index", "");
    json_decref(answer);
    return result;
}

enum cli_exit cli_acknowledge(struct cli *cli)
{
    const char *reason = cli_value(cli, "reason");
    json_t *answer = NULL;
    enum cli_exit result;

    if (reason == NULL || reason[0] == '\0')
        return cli_usage(cli, "acknowledge: expected --reason TEXT: what was found");
    result = act(cli, "acknowledge", json_pack("{s:s}", "reason", reason), &answer);
    if (result == CLI_OK)
        tell(cli, answer, "acknowledged, entry ", "index", "");
    json_decref(answer);
    return result;
}

enum cli_exit cli_pause(struct cli *cli) { return pause_or_resume(cli, "pause", "paused"); }

enum cli_exit cli_resume(struct cli *cli) { return pause_or_resume(cli, "resume", "on"); }

enum cli_exit cli_retry(struct cli *cli)
{
    json_t *answer = NULL, *step;
    enum cli_exit result = act(cli, "retry", NULL, &answer);
    size_t i;

    if (result == CLI_OK && !cli->json) {
        json_array_foreach(json_object_get(answer, "steps"), i, step)
            fprintf(cli->out, "tried again now: %s\n", json_string_value(step));
        if (!json_is_true(json_object_get(answer, "changed")))
            fprintf(cli->out, "no step of group %s waits to be tried again: unchanged\n",
                    cli_operand(cli, 0));
    }
    json_decref(answer);
    return result;
}

enum cli_exit cli_detach(struct cli *cli)
{
    return simple(cli, "detach", "detached: nothing is fenced now, entry ");
}

enum cli_exit cli_attach(struct cli *cli)
{
    const char *active = cli_value(cli, "active");
    json_t *answer = NULL;
    enum cli_exit result;

    if (active != NULL && !cli_name_ok(cli, "region", active))
        return CLI_USAGE;
    result =
        act(cli, "attach",
            active != NULL ? json_pack("{s:s}", "active", active) : json_object(), &answer);
    if (result == CLI_OK)
        tell(cli, answer, "attached, entry ", "index", "");
    if (result == CLI_OK && !cli->json)
        show_forming(cli, answer, cli_operand(cli, 0));
    json_decref(answer);
    return result;
}

enum cli_exit cli_remove(struct cli *cli)
{
    const char *group = cli_operand(cli, 0);
    json_t *answer = NULL;
    char path[PATH_MAX_BYTES];
    enum cli_exit result;

    if (!cli_name_ok(cli, "group", group))
        return CLI_USAGE;
    snprintf(path, sizeof path, "/api/v1/groups/%s", group);
    result = cli_ask(cli, "DELETE", path, NULL, &answer);
    if (result == CLI_OK)
        tell(cli, answer, "removed, entry ", "index", "");
    json_decref(answer);
    return result;
}

enum cli_exit cli_controller_replace(struct cli *cli)
{
    const char *name = cli_operand(cli, 0), *id = cli_value(cli, "id");
    char path[PATH_MAX_BYTES], *end = NULL;
    unsigned long long number = id != NULL ? strtoull(id, &end, 10) : 0;
    json_t *answer = NULL, *body;
    enum cli_exit result;

    if (number == 0 || *end != '\0')
        return cli_usage(cli, "controller replace: expected --id N, a number above 0");
    if (!cli_name_ok(cli, "controller", name))
        return CLI_USAGE;
    snprintf(path, sizeof path, "/api/v1/controllers/%s/replace", name);
    body = json_pack("{s:I}", "id", (json_int_t)number);
    result = cli_ask(cli, "POST", path, body, &answer);
    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    else if (result == CLI_OK && json_is_false(json_object_get(answer, "changed")))
        fprintf(cli->out,
                "controller %s: id %llu has its place already: unchanged; `ringfence "
                "status` shows whether it is there\n",
                name, number);
    else if (result == CLI_OK)
        fprintf(cli->out,
                "controller %s: id %llu takes its place as soon as it is there "
                "(ringfenced --join); follow it with `ringfence status --watch`\n",
                name, number);
    json_decref(body);
    json_decref(answer);
    return result;
}
