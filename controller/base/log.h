/* controller/base/log.h -- one line per event on standard error, for people and journald.
 *
 * A line is "<level> <wall time> <program> <message>" with systemd's <N> priority prefix
 * when the journal is listening (JOURNAL_STREAM is set). It never blocks for long and
 * never fails: a lost line is better than a lost lease.
 *
 * Threads: any; a line is one write(2).
 */
#ifndef RF_BASE_LOG_H
#define RF_BASE_LOG_H

#include "controller/base/auto.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines begin with "PROGRAM NAME" ("ringfenced east"); debug ones are written when
 * RINGFENCE_LOG is "debug". Call before threads start. */
void log_begin(const char *program, const char *name);

void log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
