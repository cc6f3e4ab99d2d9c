/* controller/http/warnings.h -- what this controller's own host is to be looked at for:
 * findings of the doctor, and, where not all is well, of the status and whoever follows it.
 *
 * Pure:   yes.
 */
#ifndef RF_HTTP_WARNINGS_H
#define RF_HTTP_WARNINGS_H

#include "controller/http/api.h"

enum { WARNINGS_MAX = 4 };

struct warning {
    const char *check;
    const char *level; /* "ok", "warn", "fail" */
    char text[API_ERROR_SIZE];
};

/* How many there are. */
unsigned warnings_list(const struct api_facts *f, struct warning ret[WARNINGS_MAX]);

#endif
