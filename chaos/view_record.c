#include "chaos/view_record.h"

#include <string.h>

static const char *name_of(enum site s) { return s < SITE_COUNT ? site_name(s) : ""; }

static const char *progress_of(const struct view_run *r)
{
    return r->open_ms != 0    ? "opened"
           : r->proof_ms != 0 ? "proven"
           : r->fence_ms != 0 ? "fencing"
                              : "preparing";
}

void view_note(struct timeline *t, const struct view_doc *d)
{
    bool goes_on = d->run.id != 0 && strcmp(d->run.result, "running") == 0;

    timeline_state(t, LANE_LEADER, d->at_ns, "%s", name_of(d->leader));
    timeline_state(t, LANE_EPOCH, d->at_ns, "%jd %s", (intmax_t)d->epoch,
                   name_of(d->active));
    timeline_state(t, LANE_PHASE, d->at_ns, "%s%s", d->phase,
                   d->suspect ? ", suspected" : "");
    if (goes_on)
        timeline_state(t, LANE_RUN, d->at_ns, "%s: %s", d->run.kind, progress_of(&d->run));
    else
        timeline_state(t, LANE_RUN, d->at_ns, "%s", "");
    timeline_state(t, LANE_ALARM, d->at_ns, "%s", d->alarm);
    for (enum site s = EAST; s <= WEST; s++)
        timeline_state(t, LANE_STEP + s, d->at_ns, "%s", d->of[s].step);
}
