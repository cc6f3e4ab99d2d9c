/* controller/cli/audit_key.h -- a controller's audit key, made beside its certificate.
 *
 * In the CA's directory: controller-NAME.audit.key (0600, to that controller alone) and
 * audit-keys.pub, a line for every key that was ever made there (controller/audit/keys.h):
 * what an auditor gets. Bundles are checked years later, so nothing is taken out of it.
 *
 * Errors: ERR_CONFLICT (the controller has one: it is never overwritten), ERR_INVAL,
 *         ERR_NOMEM, ERR_IO.
 */
#ifndef RF_CLI_AUDIT_KEY_H
#define RF_CLI_AUDIT_KEY_H

#include <stddef.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

/* `dir` has the controller's certificate, which names the cluster. */
MUST_USE int audit_key_issue(const char *dir, const char *controller, struct err *err);

/* Where the public keys are. */
MUST_USE int audit_key_list(const char *dir, char *path, size_t size, struct err *err);

#endif
