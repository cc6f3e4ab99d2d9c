/* The one table of commands: parsing, --help and --man come from it. */
#include "controller/cli/cli.h"
#include "controller/cli/commands_audit.h"
#include "controller/cli/commands_completion.h"
#include "controller/cli/commands_people.h"
#include "controller/cli/commands_user.h"

#define NO_OPTIONS                                                                         \
    {                                                                                      \
        0                                                                                  \
    }

static const struct help_option global_options[] = {
    {"socket", 0, "PATH",
     "Unix socket of the controller (default " CLI_CONTROLLER_SOCKET
     "); of the agent for `doctor` on a data host"},
    {"url", 0, "URL",
     "ask this controller over the network: https://HOST:PORT, as `api` of its "
     "ringfenced.yaml has it; several times: "
     "the next one where one cannot be reached"},
    {"ca", 0, "FILE", "with --url: the CA of the cluster's certificates, in PEM"},
    {"cert", 0, "FILE", "with --url: who we are, as `ringfence pki issue user` makes it"},
    {"key", 0, "FILE", "with --url: its key, which nobody else may read"},
    {"profile", 0, "NAME", "the --url, --ca, --cert and --key that `login` has kept"},
    {"timeout", 0, "TIME",
     "how long to wait for an answer, such as 500ms or 15s "
     "(default 15s)"},
    {"token-file", 0, "FILE",
     "show the user's token that is in FILE, which nobody else may read, instead of a "
     "certificate"},
    {"totp", 0, NULL,
     "ask for the code of the second factor, or a recovery code: on the terminal, or read "
     "it as the first line of standard input"},
    {"help", 'h', NULL, "print this help"},
    {"version", 0, NULL, "as the command `version`"},
    {"man", 0, NULL, "print this help as a short manual page, for `man -l -`"},
    NO_OPTIONS};

static const struct help_option json_option[] = {
    {"json", 0, NULL, "print the answer as JSON, one document per line"}, NO_OPTIONS};

static const struct help_option no_options[] = {NO_OPTIONS};

static const struct help_option status_options[] = {
    {"watch", 'w', NULL, "go on printing at each change, and at least each second"},
    {"json", 0, NULL, "print the document as JSON, one per line"},
    NO_OPTIONS};

static const struct help_option file_options[] = {
    {"file", 'f', "FILE", "the group's YAML; - is standard input"},
    {"keep-active", 0, NULL,
     "of a group that is there, leave who is active as it is, whatever roles the file has"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

#define BREAK_GLASS                                                                        \
    "an admin, with a second factor, instead of all approvals; everybody is told"

static const struct help_option switchover_options[] = {
    {"to", 0, "REGION", "where to (required)"},
    {"reason", 0, "TEXT",
     "written to the log, for people; required where others have to agree"},
    {"break-glass", 0, NULL, BREAK_GLASS},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option failover_options[] = {
    {"to", 0, "REGION", "where to (default: the best candidate)"},
    {"even-if-healthy", 0, NULL,
     "also where nothing is wrong with the active region, where `switchover` would do"},
    {"reason", 0, "TEXT", "for who approves it; required where others have to agree"},
    {"break-glass", 0, NULL, BREAK_GLASS},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option attach_options[] = {
    {"active", 0, "REGION", "the region that is to be active (default: the one before)"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option log_options[] = {
    {"all", 'a', NULL, "every entry, with its number and leader"},
    {"follow", 0, NULL, "go on printing entries as they are committed"},
    {"lines", 'n', "N", "how many of the last ones (default 50, at most 1000)"},
    {"json", 0, NULL, "print every entry as JSON, one per line"},
    NO_OPTIONS};

static const struct help_option replace_options[] = {
    {"id", 0, "N", "id of the new controller: a number that none has had (required)"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct help_option pki_init_options[] = {
    {"dir", 0, "DIR", "where the CA and what it issues is kept (made, 0700; required)"},
    {"cluster", 0, "NAME", "the cluster's name, as in the configuration files (required)"},
    {"days", 0, "N", "how long the CA is valid (default 3650)"},
    NO_OPTIONS};

static const struct help_option pki_issue_options[] = {
    {"dir", 0, "DIR", "where `pki init` made the CA (required)"},
    {"days", 0, "N", "how long the certificate is valid (default 825; a user's 365)"},
    NO_OPTIONS};

static const struct help_option pki_renew_options[] = {
    {"dir", 0, "DIR", "where `pki init` made the CA"},
    {"days", 0, "N",
     "how long it is valid (default 825; of a user 365; of `ca` 3650; of `crl` 180, by "
     "when "
     "it is to be signed anew)"},
    {"keep-key", 0, NULL, "of a controller, an agent or a user: for the key that it has"},
    {"use", 0, NULL, "of `ca`, the second step: the new one signs from now on"},
    {"finish", 0, NULL, "of `ca`, the last step: the old one is forgotten"},
    NO_OPTIONS};

static const struct help_option pki_revoke_options[] = {
    {"dir", 0, "DIR", "where `pki init` made the CA"},
    {"superseded", 0, NULL, "of a name: all but the newest, after `pki renew`"},
    NO_OPTIONS};

static const struct help_option pki_show_options[] = {
    {"dir", 0, "DIR", "where `pki init` made the CA"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct cli_command status_command = {
    {"status", "",
     "show controllers, agents and groups: who is active, what is held, and why",
     "What is wrong begins with !!: a controller or an agent that is DOWN, what is held, a "
     "group that nobody could take over (with why, and what to do), a problem of an "
     "instance, a certificate that ends within 30 days or has ended. "
     "For each instance: its server, its gate (open, "
     "replication, closed), how long its lease still holds, whether it is in the sync set, "
     "how far it lags, and from where it answers probes.",
     status_options},
    0,
    0,
    cli_status};

static const struct cli_command why_command = {
    {"why", "GROUP",
     "list each condition that permits or blocks an automatic failover right now",
     "Each line says whether the condition blocks, its value, and the limit that it is "
     "measured against. The exit status is 0 whatever the verdict. Without a leader it is "
     "3, "
     "and the controller that was asked says what it last knew, and until when the lease "
     "lets the active region write.",
     json_option},
    1,
    1,
    cli_why};

static const struct cli_command log_command = {
    {"log", "[GROUP]",
     "show the audit trail: what was decided, by which rule, on what facts",
     "Oldest first: decisions with the rule that took them in brackets, fences with their "
     "proof, epochs, promotions, changes of the sync set, what was held or failed, and "
     "what "
     "operators did; what was refused says so. Steps that did what they should, enrolments "
     "and first renewals are left out, unless --all or --json ask for every entry.",
     log_options},
    0,
    1,
    cli_log};

static const struct cli_command apply_command = {
    {"apply", "-f FILE", "declare a group, or change its policy",
     "The file is a desired state: applying it again changes nothing. It cannot move the "
     "active region; that is what switchover and failover are for. After a failover, a "
     "file that names the former region active is refused: leave the roles of all regions "
     "out of it (regions: [east, west]; with tags, regions: {east: {tags: [eu]}, ...}), "
     "which "
     "will do for a group that is there, or use --keep-active. "
     "Only while the group forms may its file name another region: a running primary that "
     "it "
     "has overlooked keeps its clients, and the group is held until the file is corrected "
     "and "
     "applied again, that server is stopped, or the group is detached. If it does not form "
     "within some seconds, apply says why.",
     file_options},
    0,
    0,
    cli_apply};

static const struct cli_command diff_command = {
    {"diff", "-f FILE", "show what apply would change",
     "A line for each value that differs: + is new, - goes away, ~ changes; of a new group "
     "that is all of it, defaults too. A line that begins with ! says why apply would be "
     "refused. Exit status 0: nothing would change; 1: something "
     "would.",
     file_options},
    0,
    0,
    cli_diff};

static const struct cli_command export_command = {
    {"export", "GROUP", "print a group's file as it stands now, as YAML",
     "All that is declared, defaults too, and who is active now: `ringfence export orders "
     "| "
     "ringfence apply -f -` changes nothing. `adopt`, which only says how a group is "
     "formed, is left out. With --json: the document of the API.",
     json_option},
    1,
    1,
    cli_export};

static const struct cli_command switchover_command = {
    {"switchover", "GROUP", "move a group to another region in good order, losing nothing",
     "Refused where `why` calls its target NOT READY. Checkpoint, stop under the lease, "
     "wait "
     "until the target has everything, fence, "
     "promote. Before the fence it goes back by itself if something fails, or by `abort`.",
     switchover_options},
    1,
    1,
    cli_switchover};

static const struct cli_command failover_command = {
    {"failover", "GROUP", "fence the active region now and promote another one",
     "For a region that is lost or sick while the automatic decision is paused or held; of "
     "a healthy one it is refused, since `switchover` moves it in good order. No "
     "proof of a fence is skipped: it waits for the lease of a region that does not "
     "answer. "
     "It returns as soon as the fence has begun, which cannot be taken back. Status 4: it "
     "may or may not begin (its entry is under way); look at `ringfence status` first. It "
     "is also the way to, or from, an instance that had checksum failures, which no rule "
     "takes.",
     failover_options},
    1,
    1,
    cli_failover};

static const struct cli_command abort_command = {
    {"abort", "RUN|ID", "take a switchover back, before its fence has begun; or a proposal",
     "RUN is the number that switchover printed and status shows; ID a proposal's, which "
     "who made it withdraws, or an admin.",
     json_option},
    1,
    1,
    cli_abort};

static const struct help_option acknowledge_options[] = {
    {"reason", 0, "TEXT", "what was found and done, for the audit trail (required)"},
    {"json", 0, NULL, "print the answer as JSON"},
    NO_OPTIONS};

static const struct cli_command acknowledge_command = {
    {"acknowledge", "GROUP", "end the alarm of a proof that did not hold",
     "Who had been proven to serve nobody was seen to serve, or to be up where its fencer "
     "had "
     "said that it was off: both sides may have taken writes. `status`, `why` and the "
     "metrics "
     "show it until somebody has looked into it and says so here. It changes nothing else.",
     acknowledge_options},
    1,
    1,
    cli_acknowledge};

static const struct cli_command pause_command = {
    {"pause", "GROUP", "stop automatic decisions about a group",
     "Leases, gates and fences go on; an operator's commands work. Of a group that is "
     "paused already nothing changes, and the exit status is 0.",
     json_option},
    1,
    1,
    cli_pause};

static const struct cli_command resume_command = {
    {"resume", "GROUP", "let automatic decisions about a group go on",
     "Of a group that is not paused nothing changes, and the exit status is 0.",
     json_option},
    1,
    1,
    cli_resume};

static const struct cli_command retry_command = {
    {"retry", "GROUP", "try now what failed in a group and waits to be tried again",
     "A step that goes on failing is tried ever more seldom, in the end each 30 s where "
     "writes wait for it, else once a minute. Once its cause is mended, this does not wait "
     "for that. It begins nothing that would not be tried by itself; where nothing waits, "
     "nothing changes, and the exit status is 0.",
     json_option},
    1,
    1,
    cli_retry};

static const struct cli_command detach_command = {
    {"detach", "GROUP", "leave a group's servers alone: no lease, no gate, no failover",
     "Nothing prevents two writers in a detached group but you. PostgreSQL keeps its "
     "settings: commits go on waiting for the standby that they waited for.",
     json_option},
    1,
    1,
    cli_detach};

static const struct cli_command attach_command = {
    {"attach", "GROUP", "manage a detached group again",
     "All its instances count as unproven: gates are installed and tried first. A running "
     "primary in another region than the active one keeps its clients, and the group is "
     "held "
     "until that server is stopped, or the other region is named (detach and attach, or "
     "apply a file that says so). Checksum failures that were noted before are forgotten: "
     "attach what is sound. If the group does not form within some seconds, attach says "
     "why.",
     attach_options},
    1,
    1,
    cli_attach};

static const struct cli_command remove_command = {
    {"remove", "GROUP", "remove a detached group; its epochs are never used again", NULL,
     json_option},
    1,
    1,
    cli_remove};

static const struct cli_command controller_replace_command = {
    {"controller replace", "NAME",
     "replace a controller that has lost its disk by a new one with a new id",
     "On the new host (or the old one with an empty data_dir): the old configuration and "
     "certificate, in `controllers` the new id beside this name, and its address if it has "
     "another one; start it once with `ringfenced --join`. Then this command, on a host "
     "whose "
     "controller runs. The others learn id and address from the log, and their files may "
     "lag. "
     "The newcomer gets the log, and votes when it has all of it; `ringfence status` shows "
     "when. An id is never used again.",
     replace_options},
    1,
    1,
    cli_controller_replace};

static const struct cli_command doctor_command = {
    {"doctor", "", "check this host: gate, clocks, disk, server, reachability of the peers",
     "Asks the controller and the agent of this host, whichever run (or only the one of "
     "--socket). The controller also shows who of the controllers reaches whom, in both "
     "directions, as each of them says. Exit status 5 if something fails.",
     json_option},
    0,
    0,
    cli_doctor};

static const struct cli_command rules_command = {
    {"rules", "", "list the rules by which a group moves, as the log names them",
     "In the order in which they are tried: of the rules of a group's phase the first that "
     "holds speaks, and the log names it in brackets. What is as an operator's command "
     "says "
     "comes last. `why GROUP` says what of it holds at the moment.",
     json_option},
    0,
    0,
    cli_rules};

static const struct cli_command version_command = {
    {"version", "",
     "print the version of this program, and of the controller if one answers", NULL,
     json_option},
    0,
    0,
    cli_version};

static const struct cli_command login_command = {
    {"login", "", "keep --url, --ca, --cert and --key under a name, for --profile",
     "Asks one of the controllers first: what does not work is not kept. The file, "
     "NAME.json in $XDG_CONFIG_HOME/ringfence, has URLs and paths in it and no secret. "
     "`ringfence login --profile prod --url https://10.0.1.2:7404 --url "
     "https://10.0.2.2:7404 --ca ca.crt --cert user-alice.crt --key user-alice.key`",
     no_options},
    0,
    0,
    cli_login};

static const struct cli_command pki_init_command = {
    {"pki init", "", "make a small CA for one cluster",
     "For those who have none of their own; those who have one need no `pki` at all, only "
     "certificates with the URI that docs/certificates.md shows. Keep DIR off the nodes: "
     "ca.key signs every one. DIR is refused where another user could write it or read a "
     "CA's key. Every node gets ca.crt and crl.pem.",
     pki_init_options},
    0,
    0,
    cli_pki_init};

static const struct cli_command pki_issue_command = {
    {"pki issue", "controller|agent|user NAME",
     "make a key and a certificate for a node, or for a person",
     "Writes ROLE-NAME.crt and ROLE-NAME.key; never overwrites. A user's is for the API "
     "over the network (--url); it opens nothing that controllers and agents say to each "
     "other. A controller also gets controller-NAME.audit.key, for `audit.key` of "
     "ringfenced.yaml; its public part is added to audit-keys.pub, which is for auditors.",
     pki_issue_options},
    2,
    2,
    cli_pki_issue};

static const struct cli_command pki_renew_command = {
    {"pki renew", "controller|agent|user NAME, ca, or crl",
     "make a new certificate for a node, another CA, or the revocation list anew",
     "A node's: with a new key, unless --keep-key. Bring the files to the node, which "
     "takes "
     "them within a minute (or at SIGHUP), without a restart.\n\n"
     "The CA's, in three steps, each of which has to have reached every node before the "
     "next: `renew ca` puts a second CA into ca.crt; `renew ca --use` lets it sign, and "
     "every node is to be renewed; `renew ca --finish` takes the first one out of ca.crt.",
     pki_renew_options},
    1,
    2,
    cli_pki_renew};

static const struct cli_command pki_revoke_command = {
    {"pki revoke", "NAME|SERIAL",
     "put what was issued for a node, or one certificate, on the revocation list",
     "NAME is a node's or a user's, or controller/NAME, agent/NAME or user/NAME where it "
     "is "
     "of two; all that is "
     "valid of it is revoked. crl.pem is signed anew, with the next number: bring it to "
     "every node. Each takes it within a minute, refuses what is on it, and closes the "
     "connections that were made with it.",
     pki_revoke_options},
    1,
    1,
    cli_pki_revoke};

static const struct cli_command pki_show_command = {
    {"pki show", "[FILE]", "list what a CA has issued, or say what one file is",
     "Serial, validity, days that are left, and whether it is revoked or superseded. FILE "
     "is "
     "a certificate or a revocation list in PEM, of any CA.",
     pki_show_options},
    0,
    1,
    cli_pki_show};

static const struct cli_command *const commands[] = {
    &status_command,       &why_command,          &log_command,
    &apply_command,        &diff_command,         &export_command,
    &switchover_command,   &failover_command,     &attest_command,
    &proposals_command,    &approve_command,      &reject_command,
    &abort_command,        &acknowledge_command,  &pause_command,
    &resume_command,       &retry_command,        &detach_command,
    &attach_command,       &remove_command,       &rules_command,
    &doctor_command,       &version_command,      &login_command,
    &audit_export_command, &audit_verify_command, &audit_keys_command,
    &pki_init_command,     &pki_issue_command,    &pki_renew_command,
    &pki_revoke_command,   &pki_show_command,     &controller_replace_command,
    &user_add_command,     &user_list_command,    &user_remove_command,
    &user_token_command,   &user_totp_command,    &user_unlock_command,
    &whoami_command,       &completion_command,   NULL,
};

static const struct help_command *const helps[] = {
    &status_command.help,
    &why_command.help,
    &log_command.help,
    &apply_command.help,
    &diff_command.help,
    &export_command.help,
    &switchover_command.help,
    &failover_command.help,
    &attest_command.help,
    &proposals_command.help,
    &approve_command.help,
    &reject_command.help,
    &abort_command.help,
    &acknowledge_command.help,
    &pause_command.help,
    &resume_command.help,
    &retry_command.help,
    &detach_command.help,
    &attach_command.help,
    &remove_command.help,
    &rules_command.help,
    &doctor_command.help,
    &version_command.help,
    &login_command.help,
    &audit_export_command.help,
    &audit_verify_command.help,
    &audit_keys_command.help,
    &pki_init_command.help,
    &pki_issue_command.help,
    &pki_renew_command.help,
    &pki_revoke_command.help,
    &pki_show_command.help,
    &controller_replace_command.help,
    &user_add_command.help,
    &user_list_command.help,
    &user_remove_command.help,
    &user_token_command.help,
    &user_totp_command.help,
    &user_unlock_command.help,
    &whoami_command.help,
    &completion_command.help,
    NULL,
};

static const struct help_pair exit_codes[] = {
    {"0", "done, or the answer is yes"},
    {"1", "refused, or the answer is no (diff: something would change); our certificate is "
          "not accepted, or may not do this; who answers is no controller of ours"},
    {"2", "wrong usage, or a file that is wrong"},
    {"3", "no controller answers, or there is no leader: nothing has happened"},
    {"4", "the outcome is unknown: it may have happened; look at the status, then repeat"},
    {"5", "doctor found failures"},
    {NULL, NULL}};

static const struct help_pair environment[] = {
    {"RINGFENCE_SOCKET", "the socket, where --socket is not given"},
    {"XDG_CONFIG_HOME", "where profiles are, in ringfence/ (default ~/.config)"},
    {"COLUMNS",
     "where long sentences are broken, 0: nowhere (default: the terminal's width; a pipe "
     "gets whole lines)"},
    {NULL, NULL}};

static const struct help_pair files[] = {
    {CLI_CONTROLLER_SOCKET, "where ringfenced listens"},
    {CLI_AGENT_SOCKET, "where ringfence-agent listens, for doctor"},
    {"~/.config/ringfence/NAME.json", "a profile, 0600: URLs and paths, no secret"},
    {NULL, NULL}};

static const struct help program = {
    .program = "ringfence",
    .section = "1",
    .summary = "operate fenced, unattended failover between regions",
    .operands = "COMMAND",
    .text =
        "Ringfence moves a service from one region to another when its region dies, and "
        "never lets both accept writes. This program asks a controller (ringfenced) on "
        "its Unix socket, or over the network (--url, --profile); any controller will do, "
        "it "
        "passes requests on to the leader."
        "\n\n"
        "Start with `ringfence status`. `ringfence why GROUP` says why nothing happens.",
    .options = global_options,
    .commands = helps,
    .exit_codes = exit_codes,
    .environment = environment,
    .files = files,
    .see_also = "ringfence-group.yaml(5), ringfenced(8), ringfence-agent(8)",
};

const struct help *cli_help(void) { return &program; }

const struct cli_command *cli_command_at(unsigned i) { return commands[i]; }
