/* Commands about users. What is shown once goes to standard output and nowhere else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli.h"
#include "controller/cli/show.h"
#include "controller/cli/table.h"

enum { USER_PATH_SIZE = 120, LIST_MAX = 16 };

/* "a,b" as a list; an empty word is the server's to refuse. */
static json_t *words(const char *text)
{
    json_t *list = json_array();

    while (text != NULL) {
        size_t len = strcspn(text, ",");

        (void)json_array_append_new(list, json_stringn(text, len));
        text = text[len] == ',' ? text + len + 1 : NULL;
    }
    return list;
}

static enum cli_exit ask_user(struct cli *cli, const char *method, const char *what,
                              json_t *body, json_t **ret)
{
    const char *name = cli_operand(cli, 0);
    char path[USER_PATH_SIZE];
    enum cli_exit result = CLI_USAGE;

    if (cli_name_ok(cli, "user", name)) {
        (void)snprintf(path, sizeof path, "/api/v1/users/%s%s", name, what);
        result = cli_ask(cli, method, path, body, ret);
    }
    json_decref(body);
    return result;
}

static const char *member(const json_t *answer, const char *key)
{
    const char *text = json_string_value(json_object_get(answer, key));

    return text != NULL ? text : "-";
}

/* One sentence about a change, or the answer as JSON. */
static enum cli_exit told(struct cli *cli, enum cli_exit result, json_t *answer,
                          const char *what)
{
    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    else if (result == CLI_OK)
        fprintf(cli->out, "user %s: %s, entry %lld\n", cli_operand(cli, 0), what,
                (long long)json_integer_value(json_object_get(answer, "index")));
    json_decref(answer);
    return result;
}

static void show_token(struct cli *cli, const json_t *answer)
{
    fprintf(cli->out,
            "%s\n"
            "This is shown once: keep it where only %s can read it. It is number %lld.\n",
            member(answer, "token"), cli_operand(cli, 0),
            (long long)json_integer_value(json_object_get(answer, "index")));
}

static json_t *token_body(const struct cli *cli)
{
    const char *days = cli_value(cli, "days");

    return days != NULL ? json_pack("{s:I}", "days", (json_int_t)strtoll(days, NULL, 10))
                        : json_object();
}

static enum cli_exit new_token(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit result = ask_user(cli, "POST", "/token", token_body(cli), &answer);

    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    else if (result == CLI_OK)
        show_token(cli, answer);
    json_decref(answer);
    return result;
}

enum cli_exit cli_user_add(struct cli *cli)
{
    const char *name = cli_operand(cli, 0), *role = cli_value(cli, "role");
    json_t *answer = NULL, *body;
    enum cli_exit result;

    if (!cli_name_ok(cli, "user", name))
        return CLI_USAGE;
    if (role == NULL)
        return cli_usage(cli, "user add: expected --role viewer, operator, approver or "
                              "admin (or several: --role operator,approver)");
    body = json_pack("{s:s, s:o, s:o}", "name", name, "roles", words(role), "groups",
                     words(cli_value(cli, "group")));
    result = cli_ask(cli, "POST", "/api/v1/users", body, &answer);
    json_decref(body);
    if (result == CLI_OK && cli_value(cli, "token") != NULL) {
        json_decref(answer);
        return new_token(cli);
    }
    return told(cli, result, answer, "has the roles that were given");
}

enum cli_exit cli_user_remove(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit result = ask_user(cli, "DELETE", "", NULL, &answer);

    return told(cli, result, answer, "removed, with all tokens");
}

enum cli_exit cli_user_token(struct cli *cli)
{
    const char *revoke = cli_value(cli, "revoke");
    json_t *answer = NULL;
    char *end = NULL;
    long long id;

    if (revoke == NULL)
        return new_token(cli);
    id = strtoll(revoke, &end, 10);
    if (strcmp(revoke, "all") == 0)
        id = 0;
    else if (id <= 0 || *end != '\0')
        return cli_usage(cli, "user token: expected --revoke ID, as `ringfence user list` "
                              "shows it, or --revoke all");
    return told(
        cli,
        ask_user(cli, "POST", "/revoke", json_pack("{s:I}", "id", (json_int_t)id), &answer),
        answer, id == 0 ? "all tokens are revoked" : "that token is revoked");
}

static void show_factor(struct cli *cli, const json_t *answer)
{
    const json_t *code;
    size_t i;

    fprintf(cli->out, "%s\n\nrecovery codes, each good once:\n", member(answer, "uri"));
    json_array_foreach(json_object_get(answer, "recovery"), i, code)
        fprintf(cli->out, "  %s\n", json_string_value(code));
    fprintf(cli->out,
            "\nThis is shown once: bring the URI into %s's authenticator (as a QR code, "
            "say), and keep the codes elsewhere.\n",
            cli_operand(cli, 0));
}

enum cli_exit cli_user_totp(struct cli *cli)
{
    bool remove = cli_value(cli, "remove") != NULL;
    json_t *answer = NULL;
    enum cli_exit result =
        ask_user(cli, "POST", "/totp", json_pack("{s:b}", "remove", remove), &answer);

    if (remove || cli->json)
        return told(cli, result, answer, "has no second factor any more");
    if (result == CLI_OK)
        show_factor(cli, answer);
    json_decref(answer);
    return result;
}

enum cli_exit cli_user_unlock(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit result = ask_user(cli, "POST", "/unlock", NULL, &answer);

    return told(cli, result, answer, "unlocked");
}

/* ---- who there is -----------------------------------------------------------------------
 */

static const char *joined(const json_t *list, const char *none, char room[SHOW_TEXT_SIZE])
{
    const json_t *v;
    size_t i, used = 0;

    (void)snprintf(room, SHOW_TEXT_SIZE, "%s", none);
    json_array_foreach(list, i, v)
    {
        const char *text = json_string_value(v);

        if (text != NULL && used < SHOW_TEXT_SIZE)
            used += (size_t)snprintf(room + used, SHOW_TEXT_SIZE - used, "%s%s",
                                     i > 0 ? ", " : "", text);
    }
    return room;
}

static const char *tokens_of(const json_t *user, char room[SHOW_TEXT_SIZE])
{
    const json_t *v;
    size_t i, used = 0;

    (void)snprintf(room, SHOW_TEXT_SIZE, "none");
    json_array_foreach(json_object_get(user, "tokens"), i, v)
    {
        const char *expires = json_string_value(json_object_get(v, "expires"));

        if (used < SHOW_TEXT_SIZE)
            used += (size_t)snprintf(
                room + used, SHOW_TEXT_SIZE - used, "%s%lld%s%.10s", i > 0 ? ", " : "",
                (long long)json_integer_value(json_object_get(v, "id")),
                json_is_true(json_object_get(v, "expired")) ? " EXPIRED "
                : expires != NULL                           ? " until "
                                                            : "",
                expires != NULL ? expires : "");
    }
    return room;
}

static const char *factor_of(const json_t *user, char room[SHOW_TEXT_SIZE])
{
    const char *locked = json_string_value(json_object_get(user, "locked_until"));

    if (!json_is_true(json_object_get(user, "totp")))
        return "none";
    (void)snprintf(room, SHOW_TEXT_SIZE, "%s%s, %lld recovery codes",
                   locked != NULL ? "LOCKED until " : "totp", locked != NULL ? locked : "",
                   (long long)json_integer_value(json_object_get(user, "recovery_codes")));
    return room;
}

enum cli_exit cli_user_list(struct cli *cli)
{
    static const char *const titles[] = {"USER",   "ROLES",         "GROUPS",
                                         "TOKENS", "SECOND FACTOR", NULL};
    AUTO(table_free) struct table *t = table_new(titles);
    char room[4][SHOW_TEXT_SIZE];
    json_t *answer = NULL;
    enum cli_exit result = cli_ask(cli, "GET", "/api/v1/users", NULL, &answer);
    const json_t *u;
    size_t i;

    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    if (result != CLI_OK || cli->json || t == NULL) {
        json_decref(answer);
        return result;
    }
    json_array_foreach(json_object_get(answer, "users"), i, u)
        table_add(t, (const char *[]){member(u, "name"),
                                      joined(json_object_get(u, "roles"), "", room[0]),
                                      joined(json_object_get(u, "groups"), "all", room[1]),
                                      tokens_of(u, room[2]), factor_of(u, room[3])});
    if (i == 0)
        fprintf(cli->out, "no users: only who may use a controller's socket asks for "
                          "anything\n");
    table_print(t, "", cli->out);
    json_decref(answer);
    return result;
}

enum cli_exit cli_whoami(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit result = cli_ask(cli, "GET", "/api/v1/whoami", NULL, &answer);
    char room[SHOW_TEXT_SIZE];

    if (result == CLI_OK && cli->json)
        cli_print_json(cli, answer);
    else if (result == CLI_OK)
        fprintf(cli->out, "%s, by %s, from %s: %s\n", member(answer, "name"),
                member(answer, "means"), member(answer, "from"),
                joined(json_object_get(answer, "roles"), "no role", room));
    json_decref(answer);
    return result;
}
