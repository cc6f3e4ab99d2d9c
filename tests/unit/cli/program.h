/* tests/unit/cli/program.h -- the program `ringfence`, run within the test against a fake,
 * of which there is one.
 *
 * Owner:   outcome_free() what came out.
 */
#ifndef RF_TESTS_UNIT_CLI_PROGRAM_H
#define RF_TESTS_UNIT_CLI_PROGRAM_H

#include "controller/cli/cli.h"
#include "tests/unit/cli/fake.h"

enum { WORDS_MAX = 12 };

struct outcome {
    enum cli_exit exit;
    char *out, *errors;
};

void outcome_free(struct outcome *o); /* for AUTO */

extern struct fake server;

/* The fake's life, as cmocka calls them around all tests of a program. */
int server_start(void **unused);
int server_stop(void **unused);

/* `words` without the program and --socket; NULL ends them. */
struct outcome run(const char *const *words);

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
