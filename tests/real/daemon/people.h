/* tests/real/daemon/people.h -- real curl, openssl and ringfence against the API over the
 * network of three controllers, while two fake agents renew their leases.
 *
 * Owner: people_setup() to people_teardown(), as cmocka calls them; *state is the stage.
 */
#ifndef RF_TEST_DAEMON_PEOPLE_H
#define RF_TEST_DAEMON_PEOPLE_H

#include "tests/real/daemon/stage.h"

/* Certificates in the stage's `pki`: user-alice, user-bob (revoked), and what no `ringfence
 * pki` makes: other-cluster, expired, operator, nameless; `pki2` is another CA of the same
 * cluster with its user-alice. */
int people_setup(void **state);
int people_teardown(void **state);
/* Of a stage that is whole already. */
void people_issue(struct stage *s);

/* One command of the shell, in the cluster's directory, while the loop turns: what it says
 * on both outputs. */
enum { PEOPLE_TEXT = 20000 };
int people_run(struct stage *s, char text[PEOPLE_TEXT], const char *format, ...)
    PRINTF_LIKE(3, 4);
/* It must say so. */
void people_says(const char *text, const char *part);

/* No lease was missed, nothing fenced, and each controller answers on its socket. */
void people_harm_nobody(struct stage *s);

#endif
