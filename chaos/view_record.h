/* chaos/view_record.h -- what a status document is on the timeline: states of its lanes.
 *
 * Pure:    but for the timeline it writes to.
 */
#ifndef RF_CHAOS_VIEW_RECORD_H
#define RF_CHAOS_VIEW_RECORD_H

#include "chaos/timeline.h"
#include "chaos/view.h"

void view_note(struct timeline *t, const struct view_doc *d);

#endif
