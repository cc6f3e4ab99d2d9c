/* chaos/page.h -- the page that a run ends with: one HTML file that needs nothing else.
 *
 * Verdict and figures, a picture of the time around the outage and one of the whole run
 * (picture.h), and the same as a table of events in words. It can be read without colours,
 * without a script, on paper and by a screen reader.
 *
 * Pure:    writes to the stream it is given.
 * Units:   instants are those of base.h; the page tells seconds since the fault.
 * Owner:   the caller; everything is only read.
 */
#ifndef RF_CHAOS_PAGE_H
#define RF_CHAOS_PAGE_H

#include <stdint.h>
#include <stdio.h>

#include "chaos/history.h"
#include "chaos/result.h"
#include "chaos/timeline.h"

enum { PAGE_SIDES = 2 };

struct page {
    const struct result *result;
    const struct timeline *timeline;            /* every span has its end */
    const struct history *history;              /* sorted */
    const struct lease_log *leases[PAGE_SIDES]; /* of east and west */
    const char *story, *holds, *repeat; /* holds: what must; repeat: the command line */
    const char *log;                    /* what was judged of the controllers' log */
    unsigned seed;
    int64_t start_ns, end_ns;       /* what the page is about */
    int64_t origin_ns, origin_wall; /* 0 s: the fault, or the start where none came */
    struct outage outage, pause;    /* pause: of a planned move back */
};

void page_write(const struct page *p, FILE *out);

#endif
