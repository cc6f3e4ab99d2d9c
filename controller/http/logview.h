/* controller/http/logview.h -- a row of the audit trail as a line of JSON. Pure. */
#ifndef RF_HTTP_LOGVIEW_H
#define RF_HTTP_LOGVIEW_H

#include "controller/http/api.h"

/* Without line break; free() it. NULL: no memory. */
char *logview_line(const struct audit_row *row, const struct api_facts *f);

#endif
