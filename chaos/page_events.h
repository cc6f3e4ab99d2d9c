/* chaos/page_events.h -- the events of a page in words: a table, by time.
 *
 * Pure:    writes to the stream it is given.
 */
#ifndef RF_CHAOS_PAGE_EVENTS_H
#define RF_CHAOS_PAGE_EVENTS_H

#include <stdio.h>

#include "chaos/page.h"

/* The marks of the timeline, the leases, the outages, and the first and last acknowledged
 * write of each side. */
void page_events(const struct page *p, FILE *out);

#endif
