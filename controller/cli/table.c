#include "controller/cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"

struct table {
    unsigned columns, rows, dropped;
    char cells[TABLE_ROWS][TABLE_COLUMNS][TABLE_CELL]; /* row 0: titles */
};

/* Columns on the screen: bytes that do not continue a UTF-8 sequence. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

struct table *table_new(const char *const *titles)
{
    struct table *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    while (titles[t->columns] != NULL)
        t->columns++;
    ASSERT(t->columns <= TABLE_COLUMNS);
    table_add(t, titles);
    return t;
}

void table_free(struct table **t) { free(*t); }

void table_add(struct table *t, const char *const *cells)
{
    if (t->rows == TABLE_ROWS) {
        t->dropped++;
        return;
    }
    for (unsigned c = 0; c < t->columns; c++) {
        const char *text = cells[c] != NULL && cells[c][0] != '\0' ? cells[c] : "-";

        snprintf(t->cells[t->rows][c], TABLE_CELL, "%s", text);
    }
    t->rows++;
}

void table_print(const struct table *t, const char *indent, FILE *out)
{
    size_t widths[TABLE_COLUMNS] = {0};

    if (t->rows < 2)
        return;
    for (unsigned r = 0; r < t->rows; r++)
        for (unsigned c = 0; c < t->columns; c++)
            if (width_of(t->cells[r][c]) > widths[c])
                widths[c] = width_of(t->cells[r][c]);
    for (unsigned r = 0; r < t->rows; r++) {
        fputs(indent, out);
        for (unsigned c = 0; c + 1 < t->columns; c++)
            fprintf(out, "%s%*s", t->cells[r][c],
                    (int)(widths[c] - width_of(t->cells[r][c]) + 2), "");
        fprintf(out, "%s\n", t->cells[r][t->columns - 1]);
    }
    if (t->dropped > 0)
        fprintf(out, "%s... and %u more\n", indent, t->dropped);
}
