/* The rows of the table in commands.c that are about proposals and approvals. */
#include "controller/cli/commands_people.h"

#define NO_OPTIONS                                                                         \
    {                                                                                      \
        0                                                                                  \
    }

static const struct help_option approve_options[] = {
    {"seen", 0, "NUMBER",
     "which forecast you have read, where the proposal was asked about anew: `ringfence "
     "proposals` shows it (default: the first one)"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option attest_options[] = {
    {"dead", 0, "INSTANCE", "it acknowledges nothing any more: somebody has looked"},
    {"loss", 0, "INSTANCE", "it is to lead, whatever it misses of what was acknowledged"},
    {"reason", 0, "TEXT",
     "what was looked at, for who confirms and the auditor (required)"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option proposals_options[] = {
    {"all", 0, NULL, "also what is over"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option reject_options[] = {
    {"reason", 0, "TEXT", "why, for who proposed it (required)"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

const struct cli_command attest_command = {
    {"attest", "GROUP", "state that an instance is dead, or take its loss upon yourself",
     "Where nothing else proves that an old primary is over, two people's word does: an "
     "operator states it, an approver or admin of another name confirms it by `approve`. "
     "It "
     "is the weakest proof, and it never shortens the wait for a lease that was granted. "
     "Look first: is the host off, the server stopped, its network cut? --loss: two people "
     "let an instance lead that is not in the sync set; what it misses is lost. Either is "
     "void as soon as the old primary is granted a lease again.",
     attest_options},
    1,
    1,
    cli_attest};

const struct cli_command proposals_command = {
    {"proposals", "", "list what people have proposed, and who still has to agree",
     "What it is, why, what is to be expected of it (loss, how long it takes, conditions "
     "of "
     "`why` that do not hold now), who has agreed, which roles are missing, until when.",
     proposals_options},
    0,
    0,
    cli_proposals};

const struct cli_command approve_command = {
    {"approve", "ID", "agree to a proposal",
     "It is begun when all have agreed that its group's file wants for this time of day, "
     "each person once. If it has become worse meanwhile (more would be lost, another "
     "region is active, its target is not ready), it is `stale` and waits to be agreed to "
     "anew. What is agreed to is the forecast that you have read: without --seen that "
     "which "
     "it was proposed with, and where there is another one by now nothing is agreed to, "
     "and "
     "it is shown.",
     approve_options},
    1,
    1,
    cli_approve};

const struct cli_command reject_command = {
    {"reject", "ID", "refuse a proposal", NULL, reject_options}, 1, 1, cli_reject};
