/* controller/core/formats.h -- in which format an entry may be written (I10).
 *
 * While a cluster is upgraded one host at a time, some programs know formats that others do
 * not. A leader writes the newest one that all on record read; where there is none, nothing
 * is proposed until somebody is upgraded.
 *
 * Pure:    no I/O and no clock.
 * Errors:  listed below; on error ret_ arguments are untouched.
 */
#ifndef RF_CORE_FORMATS_H
#define RF_CORE_FORMATS_H

#include "controller/base/err.h"
#include "controller/core/entry.h"
#include "controller/core/state.h"

/* Formats of entries that a program reads; what it writes itself is one of them. */
struct format_range {
    uint32_t min, max;
};

/* Before that format there was no such entry, or no room in it for what it says. */
enum { FORMAT_FIRST = 1, FORMAT_PEOPLE = 2, FORMAT_KEYS = 3 };
uint32_t format_needed(const struct entry *e);

/* An entry may carry its request's key: all on record, agents too, know that format. What
 * is on record only gets newer, so what is so stays so. */
bool format_has_keys(const struct state *s);

/* The format of the entry: of those in `own`, the newest that every controller on record,
 * and every agent of the entry's group, reads. `all_on_record`: every voter has announced
 * itself. One that has not cannot have dropped the oldest one that we still read, so that
 * is what is written.
 *
 * What a controller says of itself (ENTRY_CONTROLLER) does not wait for one whose record
 * is in the way: it may be that record's successor. What only newer formats have room for
 * is proposed when all on record know one of those.
 *   ERR_UNSUPPORTED  there is none that the entry can be written in; the text says whom to
 *                    upgrade */
MUST_USE int format_choose(const struct state *s, const struct entry *e,
                           struct format_range own, bool all_on_record,
                           uint32_t *ret_format, struct err *err);

#endif
