#include "controller/cli/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/text.h"
#include "controller/cli/wrap.h"

enum { GAP = 2, TABLE_WIDE = 40, NARROWEST = 24 };

struct table {
    unsigned columns, rows, dropped;
    char cells[TABLE_ROWS][TABLE_COLUMNS][TABLE_CELL]; /* row 0: titles */
};

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

        text_set(t->cells[t->rows][c], TABLE_CELL, "%s", text);
    }
    t->rows++;
}

/* What each column takes, and how much of that it may have on this screen: only columns of
 * sentences are made narrower. */
static void fit(const struct table *t, size_t indent, size_t screen,
                size_t widths[TABLE_COLUMNS])
{
    size_t fixed = indent, wide = 0, share;

    for (unsigned r = 0; r < t->rows; r++)
        for (unsigned c = 0; c < t->columns; c++)
            if (wrap_width(t->cells[r][c]) > widths[c])
                widths[c] = wrap_width(t->cells[r][c]);
    if (screen == 0)
        return;
    for (unsigned c = 0; c < t->columns; c++) {
        bool is_wide = widths[c] > TABLE_WIDE;

        wide += is_wide;
        fixed += (is_wide ? 0 : widths[c]) + (c + 1 < t->columns ? GAP : 0);
    }
    share = wide > 0 && screen > fixed ? (screen - fixed) / wide : 0;
    if (share < NARROWEST)
        share = NARROWEST;
    for (unsigned c = 0; c < t->columns; c++)
        if (widths[c] > TABLE_WIDE && widths[c] > share)
            widths[c] = share;
}

/* One line of the row; false: there was nothing left of it. */
static bool print_line(const struct table *t, const char *at[TABLE_COLUMNS],
                       const size_t widths[TABLE_COLUMNS], const char *indent, FILE *out)
{
    unsigned last = t->columns;
    size_t pad = 0;

    while (last > 0 && at[last - 1][0] == '\0')
        last--;
    if (last == 0)
        return false;
    fputs(indent, out);
    for (unsigned c = 0; c < last; c++) {
        const char *next;
        size_t len = wrap_line(at[c], widths[c], &next), width = 0;

        for (size_t i = 0; i < len; i++)
            width += ((unsigned char)at[c][i] & 0xc0) != 0x80;
        fprintf(out, "%*s%.*s", (int)pad, "", (int)len, at[c]);
        pad = widths[c] - width + GAP;
        at[c] = next;
    }
    fputc('\n', out);
    return true;
}

void table_print(const struct table *t, const char *indent, FILE *out)
{
    size_t widths[TABLE_COLUMNS] = {0};

    if (t->rows < 2)
        return;
    fit(t, strlen(indent), wrap_columns(out), widths);
    for (unsigned r = 0; r < t->rows; r++) {
        const char *at[TABLE_COLUMNS]; /* unused ones are empty */

        for (unsigned c = 0; c < TABLE_COLUMNS; c++)
            at[c] = t->cells[r][c];
        while (print_line(t, at, widths, indent, out))
            ;
    }
    if (t->dropped > 0)
        fprintf(out, "%s... and %u more\n", indent, t->dropped);
}
