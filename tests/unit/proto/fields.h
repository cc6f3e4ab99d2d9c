/* tests/unit/proto/fields.h -- see fields.c: the check is that it compiles. */
#ifndef RF_TESTS_UNIT_PROTO_FIELDS_H
#define RF_TESTS_UNIT_PROTO_FIELDS_H

#include <stddef.h>

/* Of all structs with a table. */
size_t fields_bytes(void);

#endif
