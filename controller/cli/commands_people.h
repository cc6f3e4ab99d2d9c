/* controller/cli/commands_people.h -- commands about proposals, for the table in
 * commands.c.
 */
#ifndef RF_CLI_COMMANDS_PEOPLE_H
#define RF_CLI_COMMANDS_PEOPLE_H

#include "controller/cli/cli.h"

extern const struct cli_command attest_command, proposals_command, approve_command,
    reject_command;

#endif
