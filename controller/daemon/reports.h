/* controller/daemon/reports.h -- an agent's words become observations.
 *
 * The caller has checked that the frame is of the incarnation on record (I12). What names a
 * group or an instance that is not there, or not the sender's own, is dropped: the group
 * may have been removed meanwhile.
 *
 * Frames are delayed, and agents freeze between a look and a word, so nothing here is dated
 * by its arrival: `said` is when the report was said, at the earliest, by our own clock
 * (relay.h), and an observation in it is older than that by its age. Freshness, positions
 * and "seen since the step" count from there; only how long something has lasted counts
 * from the arrival, since there the later beginning is the careful one.
 *
 * Pure:    but for the clock, which is read afresh for each report.
 */
#ifndef RF_DAEMON_REPORTS_H
#define RF_DAEMON_REPORTS_H

#include "controller/core/observe.h"
#include "proto/frame.h"

/* Errors: ERR_FULL or ERR_INVAL where it says more than can be enrolled; then `ret` has the
 * name, and the incarnation if there is one, and is not proposed (I10). */
MUST_USE int reports_read_hello(const Rf__AgentHello *h, struct entry_enrol *ret,
                                struct err *err);

/* True where it tells the first position of a primary in its epoch: others should know. */
bool reports_take(const struct state *s, struct observations *o, const char *agent,
                  const Rf__AgentReport *report, struct mono said);

/* False where it says nothing about a step that is in flight by the log: an outcome that
 * is unknown is no outcome (I5). */
bool reports_take_outcome(const struct state *s, struct observations *o, const char *agent,
                          const Rf__StepReport *report);

/* False where it answers nothing that was asked. apply() checks it again (I2). */
bool reports_take_proof(const struct state *s, struct observations *o, const char *agent,
                        const Rf__FenceProof *proof);

#endif
