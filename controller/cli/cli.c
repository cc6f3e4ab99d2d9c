#include "controller/cli/cli.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controller/base/clock.h"
#include "controller/base/units.h"
#include "controller/cli/answer.h"
#include "controller/cli/group_file.h"
#include "controller/cli/secret.h"

enum { PATIENCE_MS = 3000, AGAIN_MS = 100 };

const char *cli_operand(const struct cli *cli, unsigned i)
{
    return i < cli->args.operand_count ? cli->args.operands[i] : NULL;
}

const char *cli_value(const struct cli *cli, const char *option)
{
    return help_value(&cli->args, option);
}

enum cli_exit cli_usage(const struct cli *cli, const char *fmt, ...)
{
    va_list args;

    fputs("ringfence: ", cli->errors);
    va_start(args, fmt);
    vfprintf(cli->errors, fmt, args);
    va_end(args);
    fputs("\n", cli->errors);
    return CLI_USAGE;
}

enum cli_exit cli_fail(const struct cli *cli, const struct err *err)
{
    fprintf(cli->errors, "ringfence: %s\n", err->text);
    if (err->code == ERR_UNKNOWN)
        return CLI_UNKNOWN;
    if (err->code == ERR_PEER)
        return CLI_NO;
    return err->code == ERR_INVAL ? CLI_USAGE : CLI_UNREACHABLE;
}

bool cli_name_ok(const struct cli *cli, const char *what, const char *name)
{
    size_t len = strlen(name);

    if (len > 0 && len < 64 && name[0] != '-' &&
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len)
        return true;
    cli_usage(cli, "'%s' is no name of a %s: expected [a-z0-9][a-z0-9-]*", name, what);
    return false;
}

void cli_print_json(const struct cli *cli, const json_t *document)
{
    json_dumpf(document, cli->out, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', cli->out);
    fflush(cli->out);
}

static enum cli_exit exit_of(long status, const char *code)
{
    if (status == 503)
        return strcmp(code, "outcome-unknown") == 0 || strcmp(code, "no-answer") == 0
                   ? CLI_UNKNOWN
                   : CLI_UNREACHABLE;
    if (status == 429) /* nothing was done */
        return CLI_UNREACHABLE;
    if (status == 400 || status == 405 || status == 413 || status == 431 ||
        strcmp(code, "wrong-socket") == 0)
        return CLI_USAGE;
    return status == 401 || status == 403 || status == 404 || status == 409 ? CLI_NO
                                                                            : CLI_UNKNOWN;
}

enum cli_exit cli_refused(const struct cli *cli, const struct http_answer *answer)
{
    json_t *document = answer_read(answer->body.data, answer->body.len, false);
    const char *code = json_string_value(json_object_get(document, "code"));
    const char *text = json_string_value(json_object_get(document, "detail"));
    enum cli_exit result = exit_of(answer->status, code != NULL ? code : "");
    struct err in_file = {0};

    if (text != NULL && cli->file != NULL && group_file_locate(cli->file, text, &in_file))
        fprintf(cli->errors, "ringfence: %s\n", in_file.text);
    else if (text != NULL)
        fprintf(cli->errors, "ringfence: %s%s%s\n", code != NULL ? code : "",
                code != NULL ? ": " : "", text);
    else
        fprintf(cli->errors, "ringfence: %s answered with status %ld\n", cli->http.socket,
                answer->status);
    json_decref(document);
    return result;
}

static void code_of(const struct http_answer *answer, char code[CLI_CODE_SIZE])
{
    json_t *document =
        json_loadb((const char *)answer->body.data, answer->body.len, 0, NULL);
    const char *text = json_string_value(json_object_get(document, "code"));

    (void)snprintf(code, CLI_CODE_SIZE, "%s", text != NULL ? text : "");
    json_decref(document);
}

/* ---- asking again ---------------------------------------------------------------------
 *
 * What was not done is asked for again for a while, since an election takes a second or
 * less. What may have been done is asked for again only under a key, which every change of
 * ours has, where the cluster remembers keys: then the first answer comes, or the request
 * is done now, and in no case twice (I5). */

enum again {
    AGAIN_NOT,
    AGAIN_SOON, /* nothing was done */
    AGAIN_KEYED /* it may have been */
};

static enum again is_worth_asking_again(const struct http_request *request, int status,
                                        const struct http_answer *answer)
{
    char code[CLI_CODE_SIZE];
    bool keyed = request->key != NULL;

    if (status == ERR_UNKNOWN)
        return keyed ? AGAIN_KEYED : AGAIN_NOT;
    if (status != 0 || (answer->status != 503 && answer->status != 409))
        return AGAIN_NOT;
    code_of(answer, code);
    if (answer->status == 503 && strcmp(code, "no-leader") == 0)
        return AGAIN_SOON;
    if (keyed && (strcmp(code, "outcome-unknown") == 0 || strcmp(code, "no-answer") == 0 ||
                  strcmp(code, "under-way") == 0))
        return AGAIN_KEYED;
    return AGAIN_NOT;
}

static int ask_patiently(const struct cli *cli, const struct http_request *request,
                         struct http_answer *ret_answer, struct err *err)
{
    struct mono begun = mono_now();
    uint32_t soon_ms =
        cli->http.timeout_ms < PATIENCE_MS ? cli->http.timeout_ms : PATIENCE_MS;

    for (;;) {
        int status = http_ask(&cli->http, request, ret_answer, err);
        enum again again = is_worth_asking_again(request, status, ret_answer);
        uint32_t patience_ms = again == AGAIN_KEYED ? cli->http.timeout_ms : soon_ms;

        if (again == AGAIN_NOT || mono_since_ms(begun, mono_now()) >= patience_ms)
            return status;
        http_answer_free(ret_answer);
        http_next(&cli->http); /* that one may be cut off */
        (void)poll(NULL, 0, AGAIN_MS);
    }
}

/* Asked before: a controller of an older version would take the request and leave out its
 * key, and nobody could tell afterwards. */
static bool keys_are_remembered(const struct cli *cli)
{
    AUTO(http_answer_free) struct http_answer answer = {0};
    struct http_request request = {.method = "GET", .path = "/api/v1/version"};
    struct http http = cli->http;
    json_t *document;
    bool result;

    if (http.timeout_ms > PATIENCE_MS)
        http.timeout_ms = PATIENCE_MS;
    if (http_ask(&http, &request, &answer, NULL) != 0 || answer.status != 200)
        return false;
    document = json_loadb((const char *)answer.body.data, answer.body.len, 0, NULL);
    result = json_is_true(json_object_get(document, "keys"));
    json_decref(document);
    return result;
}

enum { KEY_BYTES = 16, KEY_SIZE = 2 * KEY_BYTES + 1 };

/* Of this one call; NULL: it changes nothing, or is to be asked once. */
static const char *make_key(const struct cli *cli, const char *method, const char *path,
                            char key[KEY_SIZE])
{
    uint8_t bytes[KEY_BYTES];

    if (strcmp(method, "GET") == 0 || strstr(path, "dry=1") != NULL ||
        !keys_are_remembered(cli) || getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return NULL;
    for (unsigned i = 0; i < KEY_BYTES; i++)
        (void)snprintf(key + (size_t)2 * i, 3, "%02x", bytes[i]);
    return key;
}

enum cli_exit cli_ask(struct cli *cli, const char *method, const char *path, json_t *body,
                      json_t **ret)
{
    AUTO(http_answer_free) struct http_answer answer = {0};
    AUTO(auto_free) char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    char key[KEY_SIZE];
    struct http_request request = {.method = method,
                                   .path = path,
                                   .body = text,
                                   .key = make_key(cli, method, path, key)};
    struct err err = {0};

    if (body != NULL && text == NULL) {
        err_set(&err, ERR_NOMEM, "%s %s", method, path);
        return cli_fail(cli, &err);
    }
    if (ask_patiently(cli, &request, &answer, &err) != 0)
        return cli_fail(cli, &err);
    if (answer.status < 200 || answer.status > 299) {
        code_of(&answer, cli->code);
        return cli_refused(cli, &answer);
    }
    *ret = answer_read(answer.body.data, answer.body.len, cli->json);
    if (*ret != NULL)
        return CLI_OK;
    /* It was accepted, but what came of it cannot be read. */
    err_set(&err, strcmp(method, "GET") == 0 ? ERR_BADMSG : ERR_UNKNOWN,
            "%s: the answer is not JSON", cli->http.socket);
    return cli_fail(cli, &err);
}

/* ---- the command line -----------------------------------------------------------------
 */

/* "pki issue" is two words. */
static const struct cli_command *find_command(int argc, char **argv, int *ret_words)
{
    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const struct cli_command *c = cli_command_at(i);
        const char *space = strchr(c->help.name, ' ');
        size_t first =
            space != NULL ? (size_t)(space - c->help.name) : strlen(c->help.name);

        if (strlen(argv[0]) != first || memcmp(argv[0], c->help.name, first) != 0)
            continue;
        *ret_words = space != NULL ? 2 : 1;
        if (space == NULL || (argc > 1 && strcmp(argv[1], space + 1) == 0))
            return c;
    }
    return NULL;
}

/* What begins with this word; false where nothing does. */
static bool show_family(const char *word, FILE *out)
{
    size_t len = strlen(word);
    bool any = false;

    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const struct help_command *h = &cli_command_at(i)->help;

        if (strncmp(h->name, word, len) != 0 || h->name[len] != ' ')
            continue;
        fprintf(out, "%sringfence %s%s%s: %s\n", any ? "" : "usage:\n", h->name,
                h->operands[0] != '\0' ? " " : "", h->operands, h->summary);
        any = true;
    }
    if (any)
        fprintf(out, "`ringfence COMMAND --help` has the options of each.\n");
    return any;
}

static const char *either(const struct cli *cli, const struct help_parsed *before,
                          const char *option)
{
    const char *value = cli_value(cli, option);

    return value != NULL ? value : help_value(before, option);
}

/* All of --url before the command, then those behind it. */
static int add_urls(struct cli *cli, const struct help_parsed *p, struct err *err)
{
    for (unsigned i = 0; i < p->value_count; i++)
        if (strcmp(p->values[i].option->name, "url") == 0 &&
            remote_add_url(&cli->remote, p->values[i].value, err) != 0)
            return err->code;
    return 0;
}

static int add_path(char ret[PATH_MAX], const char *option, const char *value,
                    struct err *err)
{
    if (value == NULL)
        return 0;
    if (strlen(value) >= PATH_MAX)
        return err_set(err, ERR_INVAL, "%s: the path is too long", option);
    (void)snprintf(ret, PATH_MAX, "%s", value);
    return 0;
}

/* A profile alone is one that is kept; with --url it is one to be kept. */
static int set_up_remote(struct cli *cli, const struct help_parsed *before,
                         const struct cli_command *c, struct err *err)
{
    struct remote *r = &cli->remote;

    cli->profile = either(cli, before, "profile");
    if (add_urls(cli, before, err) != 0 || add_urls(cli, &cli->args, err) != 0 ||
        add_path(r->ca, "--ca", either(cli, before, "ca"), err) != 0 ||
        add_path(r->cert, "--cert", either(cli, before, "cert"), err) != 0 ||
        add_path(r->key, "--key", either(cli, before, "key"), err) != 0)
        return err->code;
    if (r->count == 0 && (r->ca[0] != '\0' || r->cert[0] != '\0' || r->key[0] != '\0'))
        return err_set(err, ERR_INVAL, "--ca, --cert and --key are of --url");
    if (r->count != 0 && cli->profile != NULL && c->run != cli_login)
        return err_set(err, ERR_INVAL, "either --profile or --url");
    if (r->count == 0 && (cli->profile == NULL || c->run == cli_login))
        return 0;
    if (either(cli, before, "socket") != NULL)
        return err_set(err, ERR_INVAL, "either --socket or --url and --profile");
    if (r->count == 0 && remote_load(r, cli->profile, err) != 0)
        return err->code;
    if (remote_check(r, err) != 0)
        return err->code;
    cli->http.remote = r;
    cli->http.socket = r->urls[0];
    cli->socket_given = true;
    return 0;
}

static int set_up_secrets(struct cli *cli, const struct help_parsed *before,
                          struct err *err)
{
    const char *file = either(cli, before, "token-file");

    if (file != NULL && secret_from_file(file, cli->token, sizeof cli->token, err) != 0)
        return err_wrap(err, "--token-file");
    if (either(cli, before, "totp") != NULL &&
        secret_ask("code: ", cli->totp, sizeof cli->totp, err) != 0)
        return err_wrap(err, "--totp");
    cli->http.totp = cli->totp;
    cli->http.token = cli->token;
    cli->remote.by_token = cli->token[0] != '\0';
    return 0;
}

/* Options before the command count as well; those behind it win. */
static int set_up(struct cli *cli, const struct help_parsed *before,
                  const struct cli_command *c, struct err *err)
{
    const char *socket = either(cli, before, "socket");
    const char *timeout = either(cli, before, "timeout");

    if (socket == NULL)
        socket = getenv("RINGFENCE_SOCKET");
    cli->socket_given = socket != NULL;
    cli->http.socket = socket != NULL ? socket : CLI_CONTROLLER_SOCKET;
    cli->http.timeout_ms = CLI_TIMEOUT_MS;
    cli->json = cli_value(cli, "json") != NULL;
    if (timeout != NULL && units_parse_duration(timeout, &cli->http.timeout_ms, err) != 0)
        return err_wrap(err, "--timeout");
    if (cli->http.timeout_ms == 0) /* libcurl takes it for "for ever" */
        return err_set(err, ERR_INVAL, "--timeout: more than 0");
    return set_up_secrets(cli, before, err) != 0 ? err->code
                                                 : set_up_remote(cli, before, c, err);
}

static enum cli_exit run_command(struct cli *cli, const struct help_parsed *before,
                                 const struct cli_command *c,
                                 const struct help_words *words)
{
    enum cli_exit result;
    struct err err = {0};

    if (help_parse(c->help.options, cli_help()->options, words, &cli->args, NULL, &err) !=
        0)
        return cli_usage(cli, "%s: %s; see `ringfence %s --help`", c->help.name, err.text,
                         c->help.name);
    if (cli_value(cli, "help") != NULL) {
        help_print(cli_help(), &c->help, cli->out);
        return CLI_OK;
    }
    if (cli->args.operand_count < c->operands_min ||
        cli->args.operand_count > c->operands_max)
        return cli_usage(cli, "%s: expected `ringfence %s%s%s`", c->help.name, c->help.name,
                         c->help.operands[0] != '\0' ? " " : "", c->help.operands);
    if (set_up(cli, before, c, &err) != 0)
        return cli_usage(cli, "%s", err.text);
    result = c->run(cli);
    explicit_bzero(cli->totp, sizeof cli->totp);
    explicit_bzero(cli->token, sizeof cli->token);
    return result;
}

enum cli_exit cli_main(int argc, char **argv, FILE *out, FILE *errors)
{
    struct cli cli = {.out = out, .errors = errors};
    char *version[] = {"ringfence", "version", NULL}; /* what --version means */
    struct help_words words = {argv + 1, argc - 1, true};
    struct help_parsed before;
    const struct cli_command *c;
    struct err err = {0};
    int used = 0, name_words = 0;

    if (help_parse(cli_help()->options, NULL, &words, &before, &used, &err) != 0)
        return cli_usage(&cli, "%s; see `ringfence --help`", err.text);
    if (help_value(&before, "help") != NULL) {
        help_print(cli_help(), NULL, out);
        return CLI_OK;
    }
    if (help_value(&before, "man") != NULL) {
        help_print_man(cli_help(), out);
        return CLI_OK;
    }
    if (used == argc - 1 && help_value(&before, "version") != NULL) {
        argv = version;
        argc = 2;
        used = 0;
    }
    if (used == argc - 1)
        return cli_usage(&cli, "expected a command; see `ringfence --help`");
    c = find_command(argc - 1 - used, argv + 1 + used, &name_words);
    if (c == NULL && argc - used == 3 &&
        (strcmp(argv[2 + used], "--help") == 0 || strcmp(argv[2 + used], "-h") == 0) &&
        show_family(argv[1 + used], out))
        return CLI_OK;
    if (c == NULL)
        return cli_usage(&cli, "there is no command '%s'%s; see `ringfence %s%s--help`",
                         argv[1 + used], name_words == 2 ? " of this form" : "",
                         name_words == 2 ? argv[1 + used] : "", name_words == 2 ? " " : "");
    words.argv = argv + 1 + used + name_words;
    words.count = argc - 1 - used - name_words;
    words.stop_at_operand = false;
    return run_command(&cli, &before, c, &words);
}
