/* controller/http/metrics.h -- Prometheus text. Pure. */
#ifndef RF_HTTP_METRICS_H
#define RF_HTTP_METRICS_H

#include "controller/base/buf.h"
#include "controller/http/api.h"

MUST_USE int metrics_text(const struct api_facts *f, struct mono now, struct buf *out,
                          struct err *err);

#endif
