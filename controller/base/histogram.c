#include "controller/base/histogram.h"

#include "controller/base/assert.h"

struct histogram histogram_make(const uint64_t *bounds_us, unsigned bound_count)
{
    ASSERT(bound_count <= HISTOGRAM_BOUNDS_MAX);
    return (struct histogram){.bounds_us = bounds_us, .bound_count = bound_count};
}

void histogram_count(struct histogram *h, uint64_t us)
{
    unsigned b = 0;

    while (b < h->bound_count && us > h->bounds_us[b])
        b++;
    h->counts[b]++;
    h->sum_us += us;
}
