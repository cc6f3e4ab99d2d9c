/* tests/fuzz/rows.h -- a controller's raft.db with values of chance in its rows.
 *
 * The bytes say which columns of a small whole store are changed to what, and whether the
 * checksums are made to fit. Then it is identified, loaded and started as a controller
 * would: whatever is read, a node that cannot go on says a sentence.
 */
#ifndef RF_TEST_ROWS_H
#define RF_TEST_ROWS_H

#include <stddef.h>
#include <stdint.h>

void rows_try(const uint8_t *data, size_t size);

#endif
