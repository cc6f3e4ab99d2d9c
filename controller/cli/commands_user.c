/* The rows of the table in commands.c that are about users. */
#include "controller/cli/commands_user.h"

#define NO_OPTIONS                                                                         \
    {                                                                                      \
        0                                                                                  \
    }

static const struct help_option json_option[] = {
    {"json", 0, NULL, "print the answer as JSON, one document per line"}, NO_OPTIONS};

static const struct help_option add_options[] = {
    {"role", 0, "ROLE",
     "viewer, operator, approver or admin; several with commas between (required)"},
    {"group", 0, "GROUP",
     "for this group only; several with commas between (default: all groups, and the "
     "cluster)"},
    {"token", 0, NULL, "make a token too, and show it"},
    {"days", 0, "N", "how long that token is good (default: until it is revoked)"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option token_options[] = {
    {"days", 0, "N", "how long it is good (default: until it is revoked)"},
    {"revoke", 0, "ID", "revoke the token of this number, or `all`, instead"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option totp_options[] = {
    {"remove", 0, NULL, "take the second factor away instead"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

const struct cli_command user_add_command = {
    {"user add", "NAME", "add a user, or give one that is there other roles",
     "Viewers look. Operators also move groups, pause and abort; approvers approve; admins "
     "do all of that, declare groups, and make users. Who is limited to groups looks at "
     "everything, and does nothing elsewhere. NAME is also that of the user's certificate. "
     "Tokens and second factor of a user that is there stay as they are.",
     add_options},
    1,
    1,
    cli_user_add};

const struct cli_command user_list_command = {
    {"user list", "", "list users, their roles, the numbers of their tokens", NULL,
     json_option},
    0,
    0,
    cli_user_list};

const struct cli_command user_remove_command = {
    {"user remove", "NAME", "remove a user, with all tokens and the second factor",
     "What the user did stays in the audit trail.", json_option},
    1,
    1,
    cli_user_remove};

const struct cli_command user_token_command = {
    {"user token", "NAME", "make a token for a user, or revoke one",
     "A token is shown once: the log has only its hash. `ringfence user list` shows the "
     "numbers of those that are good. A revoked one is refused as soon as this command "
     "has ended.",
     token_options},
    1,
    1,
    cli_user_token};

const struct cli_command user_totp_command = {
    {"user totp", "NAME", "make a second factor for a user, and recovery codes",
     "Prints an otpauth:// URI for an authenticator application, and ten recovery codes, "
     "once. A second factor that the user had before is no good any more. All controllers "
     "need the same `secrets_key` for it.",
     totp_options},
    1,
    1,
    cli_user_totp};

const struct cli_command user_unlock_command = {
    {"user unlock", "NAME", "end the lock after wrong codes",
     "After 5 wrong codes a second factor is locked for 15 minutes, then for twice as "
     "long each time.",
     json_option},
    1,
    1,
    cli_user_unlock};

const struct cli_command whoami_command = {
    {"whoami", "", "print who the controllers take you for, and with which roles", NULL,
     json_option},
    0,
    0,
    cli_whoami};
