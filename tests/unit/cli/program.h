/* tests/unit/cli/program.h -- the program `ringfence`, run within the test against a fake.
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

/* `words` without the program and --socket; NULL ends them. */
struct outcome program_run(const struct fake *server, const char *const *words);

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
