/* controller/cli/commands_audit.h -- commands about the audit trail, for the table in
 * commands.c. */
#ifndef RF_CLI_COMMANDS_AUDIT_H
#define RF_CLI_COMMANDS_AUDIT_H

#include "controller/cli/cli.h"

extern const struct cli_command audit_export_command, audit_verify_command,
    audit_keys_command;

#endif
