#include "controller/http/warnings.h"

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

unsigned warnings_list(const struct api_facts *f, struct warning ret[WARNINGS_MAX])
{
    unsigned n = 0;

    if (f->store.reserve_bytes != 0)
        disk_reserve(f, &ret[n++]);
    return n;
}
