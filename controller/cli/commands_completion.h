/* controller/cli/commands_completion.h -- the command `completion`; its function is beside
 * it. */
#ifndef RF_CLI_COMMANDS_COMPLETION_H
#define RF_CLI_COMMANDS_COMPLETION_H

#include "controller/cli/cli.h"

extern const struct cli_command completion_command;

#endif
