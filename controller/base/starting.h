/* controller/base/starting.h -- a start that hangs says on what, and can be ended.
 *
 * A disk that never answers blocks whoever opens, reads or syncs a file on it, for ever and
 * without an error, and until the loop runs nobody takes a signal. So while a program
 * starts, a thread of its own says after STARTING_FIRST_MS, and then now and again, in the
 * log and to systemd (STATUS=), what is waited for and for how long; and SIGTERM and SIGINT
 * end the process at once, exit status 0. Nothing was promised to anybody yet: such an end
 * is a crash, which a start must survive anyway.
 *
 * One per process. Without starting_begin() the other two do nothing.
 *
 * Threads: starting_begin() and starting_end() the main one, which has SIGTERM and SIGINT
 *          blocked in between (threads that are made meanwhile keep it so); starting_at()
 *          any.
 * Errors:  none: without its thread a start is as silent as it would be, and is ended by
 *          the signals as they were.
 */
#ifndef RF_BASE_STARTING_H
#define RF_BASE_STARTING_H

#include "controller/base/auto.h"

enum { STARTING_FIRST_MS = 3000, STARTING_AGAIN_MS = 30000 };

void starting_begin(void);
/* What comes next, with its file: "open /x/raft.db". Cut to some 700 bytes. */
void starting_at(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* It runs, or has failed with a text of its own. */
void starting_end(void);

#endif
