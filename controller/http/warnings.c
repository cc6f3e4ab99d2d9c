#include "controller/http/warnings.h"

#include <inttypes.h>
#include <stdio.h>

#include "controller/base/text.h"
#include "controller/base/units.h"

enum { KIB = 1024 };

/* Whole KiB, so that a person can read it. */
static const char *size_text(uint64_t bytes, char text[UNITS_TEXT_SIZE])
{
    static const uint64_t mib = (uint64_t)KIB * KIB;

    units_format_size(bytes >= 10 * mib ? bytes - bytes % mib : bytes - bytes % KIB, text);
    return text;
}

static void disk_reserve(const struct api_facts *f, struct warning *w)
{
    const struct store_stats *s = &f->store;
    char size[UNITS_TEXT_SIZE], left[UNITS_TEXT_SIZE], wants[UNITS_TEXT_SIZE];

    size_text(s->reserve_bytes, size);
    size_text(s->disk_free, left);
    size_text(s->reserve_wants, wants);
    *w = (struct warning){.check = "disk-reserve", .level = "ok"};
    if (!s->reserve_used) {
        text_set(w->text, sizeof w->text,
                 "%s: %s are kept for when the disk is full, %s more are free", f->data_dir,
                 size, left);
        return;
    }
    w->level = "fail";
    text_set(w->text, sizeof w->text,
             "%s: the disk is full, or too small: %s are free, and the reserve of %s is in "
             "use or was never there; leases and decisions go on until it is used up, then "
             "this controller stops; refused requests are left out of the audit trail "
             "meanwhile: make room until %s are free there, and it is made anew by itself",
             f->data_dir, left, size, wants);
}

/* Longer than any answer of a bucket takes that comes at all. */
enum { HANGS_MS = 90000 };

static void not_shipped(const struct api_ship *s, const char *why, struct warning *w)
{
    char age[UNITS_TEXT_SIZE], again[UNITS_TEXT_SIZE], waits[128] = "";

    units_format_duration(s->age_ms - s->age_ms % 1000, age);
    units_format_duration(s->again_ms, again);
    if (s->known)
        (void)snprintf(waits, sizeof waits,
                       " (%" PRIu64 " entries wait, the oldest for %s)", s->rows, age);
    w->level = "fail";
    text_set(w->text, sizeof w->text,
             "the audit trail is not shipped to %s%s: %s; it is tried again each %s",
             s->target, waits, why, again);
}

static void shipping(const struct api_facts *f, struct warning *w)
{
    const struct api_ship *s = &f->ship;

    *w = (struct warning){.check = "audit-ship", .level = "ok"};
    if (!s->leads)
        text_set(w->text, sizeof w->text,
                 "the leader ships the audit trail to %s, as far as it reaches it: ask it",
                 s->target);
    else if (s->hangs_ms > HANGS_MS)
        not_shipped(
            s, "it does not answer: look at what is mounted there, and at its server", w);
    else if (s->problem[0] != '\0')
        not_shipped(s, s->problem, w);
    else
        text_set(w->text, sizeof w->text,
                 "the audit trail is shipped to %s, up to entry %" PRIu64 "; %" PRIu64
                 " wait",
                 s->target, s->upto, s->rows);
}

unsigned warnings_list(const struct api_facts *f, struct warning ret[WARNINGS_MAX])
{
    unsigned n = 0;

    if (f->store.reserve_bytes != 0)
        disk_reserve(f, &ret[n++]);
    if (f->ship.target != NULL)
        shipping(f, &ret[n++]);
    return n;
}
