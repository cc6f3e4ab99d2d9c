/* controller/base/histogram.h -- how often something took how long. Pure.
 *
 * Units:   microseconds.
 * Threads: one at a time; a plain copy is a snapshot.
 */
#ifndef RF_BASE_HISTOGRAM_H
#define RF_BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BOUNDS_MAX = 12 };

/* counts[i]: up to and with bounds_us[i], above the bound before; counts[bound_count]:
 * above them all. The bounds ascend and outlive the histogram. */
struct histogram {
    const uint64_t *bounds_us;
    unsigned bound_count;
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1], sum_us;
};

struct histogram histogram_make(const uint64_t *bounds_us, unsigned bound_count);
void histogram_count(struct histogram *h, uint64_t us);

#endif
