/* The rows of the table in commands.c that are about the audit trail. */
#include "controller/cli/commands_audit.h"

#define NO_OPTIONS                                                                         \
    {                                                                                      \
        0                                                                                  \
    }

static const struct help_option audit_export_options[] = {
    {"from", 0, "WHEN", "the first entry: an index of the log, or a time (UTC)"},
    {"to", 0, "WHEN", "the last one"},
    NO_OPTIONS};

static const struct help_option audit_verify_options[] = {
    {"keys", 0, "FILE", "the controllers' public keys (required)"},
    {"json", 0, NULL, "print the findings as JSON"},
    NO_OPTIONS};

static const struct help_option audit_keys_options[] = {
    {"dir", 0, "DIR", "of the CA in DIR, every key that was ever made there"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

const struct cli_command audit_export_command = {
    {"audit export", "FILE", "write the audit trail as a signed bundle",
     "JSON Lines: an entry each, the chain heads of all controllers as each of them has "
     "signed its own, or why it could not be asked, and the signature of the controller "
     "that was asked over all of it. FILE - is standard output. A time is such as "
     "2026-11-21 "
     "or 2026-11-21T03:42:07Z; a day or a minute of --to counts to its end. docs/audit.md "
     "describes the form.",
     audit_export_options},
    1,
    1,
    cli_audit_export};

const struct cli_command audit_verify_command = {
    {"audit verify", "FILE|DIRECTORY",
     "check a bundle of `audit export`, or a directory of segments, without any controller",
     "Finds each entry that was changed, left out, moved, told twice or put in, a bundle "
     "that was cut, signatures that do not hold, and chain heads of other controllers that "
     "do not fit the entries; says on which line. Of a directory, such as "
     "`audit.ship.directory` of ringfenced.yaml or what was fetched from a bucket, each "
     "segment (*.jsonl) is checked so, and that none is missing between two, in the order "
     "of their names. Exit status 0: intact (a controller that "
     "could not be asked is a note); 1: not intact; 2: a file cannot be read, or is no "
     "file of keys.",
     audit_verify_options},
    1,
    1,
    cli_audit_verify};

const struct cli_command audit_keys_command = {
    {"audit keys", "", "print the public keys that `audit verify` needs",
     "Asks the controllers; with --dir, reads what `pki issue` has kept beside the CA. "
     "Bring them to the auditor on another way than the bundle. Exit status 1: a "
     "controller has none, or could not be asked.",
     audit_keys_options},
    0,
    0,
    cli_audit_keys};
