/* controller/cli/cli.h -- what the commands of `ringfence` share.
 *
 * Threads: one.
 */
#ifndef RF_CLI_CLI_H
#define RF_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "controller/base/err.h"
#include "controller/base/help.h"
#include "controller/cli/http.h"

/* Scripts depend on them; the table in commands.c says them to people. */
enum cli_exit {
    CLI_OK = 0,
    CLI_NO = 1,          /* refused, or a negative answer */
    CLI_USAGE = 2,       /* usage, or a file that is wrong */
    CLI_UNREACHABLE = 3, /* no controller, or no leader */
    CLI_UNKNOWN = 4,     /* it may have happened, or may yet */
    CLI_FAILURES = 5,    /* doctor found failures */
};

#define CLI_CONTROLLER_SOCKET "/run/ringfence/ringfenced.sock"
#define CLI_AGENT_SOCKET "/run/ringfence-agent/ringfence-agent.sock"

enum {
    CLI_TIMEOUT_MS = 15000,
    CLI_TOTP_SIZE = 32,
    CLI_TOKEN_SIZE = 4096,
    CLI_CODE_SIZE = 64
};

struct config;

struct cli {
    struct help_parsed args; /* of this command; global options too */
    struct http http;
    struct remote remote; /* http.remote, where it is not NULL */
    const char *profile;  /* --profile, or NULL */
    bool socket_given;
    bool json;
    struct config *file; /* what was asked is of this file: refusals are told with lines */
    char totp[CLI_TOTP_SIZE];   /* --totp; these two are wiped when the command has ended */
    char token[CLI_TOKEN_SIZE]; /* of the file of --token */
    char code[CLI_CODE_SIZE];   /* of the last refusal that cli_ask() has reported, "" */
    FILE *out, *errors;
};

struct cli_command {
    struct help_command help;
    unsigned operands_min, operands_max;
    enum cli_exit (*run)(struct cli *cli);
};

/* The whole program but for argv[0]'s process. */
enum cli_exit cli_main(int argc, char **argv, FILE *out, FILE *errors);
const struct help *cli_help(void);
/* The i-th command, NULL behind the last; ask no further than that. */
const struct cli_command *cli_command_at(unsigned i);

/* The operand, or NULL; the option's value, or NULL. */
const char *cli_operand(const struct cli *cli, unsigned i);
const char *cli_value(const struct cli *cli, const char *option);

/* Report on `errors` and give the exit status that belongs to it. */
enum cli_exit cli_fail(const struct cli *cli, const struct err *err);
enum cli_exit cli_usage(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A name may stand in a path of the API: [a-z0-9-]. False after having told. */
bool cli_name_ok(const struct cli *cli, const char *what, const char *name);

/* Ask, and ask again for some seconds while there is no leader; CLI_OK with the document in
 * *ret (json_decref() it), or what cli_fail() gives. A refusal by the server is reported as
 * it says it. `body` may be NULL; it is not taken. */
enum cli_exit cli_ask(struct cli *cli, const char *method, const char *path, json_t *body,
                      json_t **ret);
/* What an answer that is no 2xx means; tells its text. */
enum cli_exit cli_refused(const struct cli *cli, const struct http_answer *answer);

/* One line of JSON on `out`. */
void cli_print_json(const struct cli *cli, const json_t *document);

enum cli_exit cli_status(struct cli *cli);
enum cli_exit cli_apply(struct cli *cli);
enum cli_exit cli_diff(struct cli *cli);
enum cli_exit cli_export(struct cli *cli);
enum cli_exit cli_switchover(struct cli *cli);
enum cli_exit cli_failover(struct cli *cli);
enum cli_exit cli_abort(struct cli *cli);
enum cli_exit cli_proposals(struct cli *cli);
enum cli_exit cli_approve(struct cli *cli);
enum cli_exit cli_reject(struct cli *cli);
enum cli_exit cli_attest(struct cli *cli);
/* What an answer with a proposal in it says. False: there is none. */
bool cli_tell_proposal(struct cli *cli, const json_t *answer);
enum cli_exit cli_pause(struct cli *cli);
enum cli_exit cli_acknowledge(struct cli *cli);
enum cli_exit cli_resume(struct cli *cli);
enum cli_exit cli_retry(struct cli *cli);
enum cli_exit cli_detach(struct cli *cli);
enum cli_exit cli_attach(struct cli *cli);
enum cli_exit cli_remove(struct cli *cli);
enum cli_exit cli_log(struct cli *cli);
enum cli_exit cli_why(struct cli *cli);
enum cli_exit cli_controller_replace(struct cli *cli);
enum cli_exit cli_doctor(struct cli *cli);
enum cli_exit cli_rules(struct cli *cli);
enum cli_exit cli_version(struct cli *cli);
enum cli_exit cli_audit_export(struct cli *cli);
enum cli_exit cli_audit_verify(struct cli *cli);
enum cli_exit cli_audit_keys(struct cli *cli);
enum cli_exit cli_user_add(struct cli *cli);
enum cli_exit cli_user_list(struct cli *cli);
enum cli_exit cli_user_remove(struct cli *cli);
enum cli_exit cli_user_token(struct cli *cli);
enum cli_exit cli_user_totp(struct cli *cli);
enum cli_exit cli_user_unlock(struct cli *cli);
enum cli_exit cli_whoami(struct cli *cli);
enum cli_exit cli_login(struct cli *cli);
enum cli_exit cli_pki_init(struct cli *cli);
enum cli_exit cli_pki_issue(struct cli *cli);
enum cli_exit cli_pki_renew(struct cli *cli);
enum cli_exit cli_pki_revoke(struct cli *cli);
enum cli_exit cli_pki_show(struct cli *cli);

#endif
