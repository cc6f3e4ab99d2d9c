/* controller/base/wipe.h -- memory that a secret was in.
 *
 * Owner:   the block is gone, as by free().
 * Threads: any.
 */
#ifndef RF_BASE_WIPE_H
#define RF_BASE_WIPE_H

/* free(), with all of the block overwritten before; the compiler may not leave it out. NULL
 * is fine. Also as the allocator of a library whose values have secrets in them. */
void wipe_free(void *block);

#endif
