/* chaos/picture.h -- a stretch of a run as SVG: lanes below each other, time to the right.
 *
 * Acknowledged writes are counted in bins of 20 ms, east upwards and west downwards. Where
 * a column of the picture has several bins, the fullest one is drawn pale and the emptiest
 * one over it: so a gap of one bin shows, however long the run is.
 *
 * Pure:    writes to the stream it is given.
 */
#ifndef RF_CHAOS_PICTURE_H
#define RF_CHAOS_PICTURE_H

#include <stdio.h>

#include "chaos/page.h"

struct picture {
    const char *id; /* of this picture in its page: letters */
    const char *title;
    int64_t from_ns, to_ns;
};

void picture_write(const struct page *p, const struct picture *pic, FILE *out);

#endif
