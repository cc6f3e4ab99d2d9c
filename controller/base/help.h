/* controller/base/help.h -- one table per program: its options are parsed by it, and
 * --help and --man are printed from it, so that none of them can be behind. The pages in
 * docs/man, which are installed, are written by hand; `ctest -R tidy.man` compares them.
 *
 * Arrays end with an element whose first member is 0 or NULL.
 *
 * Pure:    no I/O but the printing functions, which write to the stream given.
 * Owner:   tables are constant; parsed values point into argv and the tables.
 * Threads: any.
 */
#ifndef RF_BASE_HELP_H
#define RF_BASE_HELP_H

#include <stdbool.h>
#include <stdio.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct help_option {
    const char *name;     /* without dashes: "socket" */
    char letter;          /* 0: none */
    const char *argument; /* "PATH"; NULL: a switch */
    const char *text;     /* a sentence without its full stop; may have several lines */
};

struct help_command {
    const char *name;     /* "pki issue": may be two words */
    const char *operands; /* "GROUP", "[GROUP]", "" */
    const char *summary;
    const char *text; /* further paragraphs; may be NULL */
    const struct help_option *options;
};

struct help_pair {
    const char *name; /* exit code, file, environment variable */
    const char *text;
};

struct help {
    const char *program, *section; /* "ringfenced", "8" */
    const char *summary;
    const char *operands; /* of the program; "COMMAND" where it has commands */
    const char *text;     /* paragraphs, an empty line between two */
    const struct help_option *options;
    const struct help_command *const *commands;               /* NULL, or ends with NULL */
    const struct help_pair *exit_codes, *environment, *files; /* each may be NULL */
    const char *see_also;                                     /* "ringfence(1)", or NULL */
};

/* What `--help` shows; of one command where `command` is not NULL. */
void help_print(const struct help *h, const struct help_command *command, FILE *out);

/* The same as a short manual page, in man(7) macros. */
void help_print_man(const struct help *h, FILE *out);

enum { HELP_VALUES_MAX = 32, HELP_OPERANDS_MAX = 8 };

struct help_parsed {
    struct {
        const struct help_option *option;
        const char *value; /* "" for a switch */
    } values[HELP_VALUES_MAX];
    unsigned value_count;
    const char *operands[HELP_OPERANDS_MAX];
    unsigned operand_count;
};

/* Sort `argv` (after the program's name) into options and operands; "--" ends options.
 * `options` and `more` (may be NULL) are the tables looked into. With `stop_at_operand`
 * parsing ends at the first operand, and *ret_used says how many words were read.
 *   ERR_INVAL  unknown option, argument missing or not allowed, too much of anything */
struct help_words {
    char *const *argv;
    int count;
    bool stop_at_operand;
};
MUST_USE int help_parse(const struct help_option *options, const struct help_option *more,
                        const struct help_words *words, struct help_parsed *ret_parsed,
                        int *ret_used, struct err *err);

/* The start of a program without commands: sorts main()'s words by h->options and answers
 * --help, --man, --version and mistakes by itself. -1: go on; else the exit status. */
enum { HELP_EXIT_USAGE = 2 };
MUST_USE int help_begin(const struct help *h, int argc, char *const *argv,
                        struct help_parsed *ret_parsed);

/* The last value given for an option; NULL if it was not given. */
const char *help_value(const struct help_parsed *p, const char *name);

#endif
