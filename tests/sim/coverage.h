/* tests/sim/coverage.h -- which row of the table has fired under which kinds of fault. */
#ifndef RF_SIM_COVERAGE_H
#define RF_SIM_COVERAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "controller/core/entry.h"

void coverage_note(const struct entry *e, uint8_t group);
/* "ROW FAULT COUNT" a line, of all seeds so far; tests/sim/soak adds several of these. */
void coverage_write(FILE *out);

#endif
