/* chaos/picture_acks.h -- the bars of acknowledged writes in a picture.
 *
 * Pure:    writes to the stream it is given.
 */
#ifndef RF_CHAOS_PICTURE_ACKS_H
#define RF_CHAOS_PICTURE_ACKS_H

#include <stdio.h>

#include "chaos/picture.h"

enum { PICTURE_LEFT = 104, PICTURE_PLOT = 1080, PICTURE_ACKS_HIGH = 52 };

/* Both sides, with `base` between them. */
void picture_acks(const struct page *p, const struct picture *pic, int base, FILE *out);

#endif
