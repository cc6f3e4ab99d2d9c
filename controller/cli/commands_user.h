/* controller/cli/commands_user.h -- commands about users, for the table in commands.c. */
#ifndef RF_CLI_COMMANDS_USER_H
#define RF_CLI_COMMANDS_USER_H

#include "controller/cli/cli.h"

extern const struct cli_command user_add_command, user_list_command, user_remove_command,
    user_token_command, user_totp_command, user_unlock_command, whoami_command;

#endif
