#include "tests/sim/coverage.h"

#include <inttypes.h>
#include <string.h>

#include "controller/core/decide.h"
#include "tests/sim/plan.h"

enum { ROWS_MAX = 64 };

static uint64_t counts[ROWS_MAX][FAULT_KINDS + 1]; /* the last: under no fault at all */

/* What operators' entries are called in the table. */
static const char *row_of(const struct entry *e)
{
    if (strcmp(e->rule, "operator") != 0)
        return e->rule;
    switch ((int)e->kind) {
    case ENTRY_SWITCHOVER:
        return "operator-switchover";
    case ENTRY_RUN_ABORT:
        return "operator-abort";
    case ENTRY_DETACH:
        return "operator-detach";
    case ENTRY_ATTACH:
        return "operator-attach";
    case ENTRY_DECLARE:
        return "operator-declare";
    case ENTRY_REMOVE:
        return "operator-remove";
    default:
        return e->rule;
    }
}

void coverage_note(const struct entry *e, uint8_t group)
{
    const struct rule_row *rows;
    unsigned n = rule_rows(&rows);
    uint64_t late = faults_of_late(group);

    for (unsigned i = 0; i < n; i++) {
        if (strcmp(rows[i].name, row_of(e)) != 0)
            continue;
        for (unsigned f = 0; f < FAULT_KINDS; f++)
            counts[i][f] += (late >> f & 1) != 0;
        counts[i][FAULT_KINDS] += late == 0;
        return;
    }
}

void coverage_write(FILE *out)
{
    const struct rule_row *rows;
    unsigned n = rule_rows(&rows);

    for (unsigned i = 0; i < n; i++) {
        if (i > 0 && strcmp(rows[i].name, rows[i - 1].name) == 0)
            continue; /* a row of several phases */
        for (unsigned f = 0; f <= FAULT_KINDS; f++)
            fprintf(out, "%s %s %" PRIu64 "\n", rows[i].name,
                    f < FAULT_KINDS ? fault_name((enum fault_kind)f) : "-", counts[i][f]);
    }
}
