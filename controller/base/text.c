#include "controller/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"

void text_mark_cut(char *to, size_t size)
{
    static const char mark[] = " ...";
    size_t last, at;

    ASSERT(size >= 2 * (sizeof mark - 1));
    last = at = size - sizeof mark;
    while (at > 0 && to[at] != ' ')
        at--;
    if (at < last / 2) { /* one long word: a path, say; but no half of a character */
        at = last;
        while (at > 0 && ((unsigned char)to[at] & 0xc0) == 0x80)
            at--;
    }
    memcpy(to + at, mark, sizeof mark);
}

void text_set(char *to, size_t size, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(to, size, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n >= size)
        text_mark_cut(to, size);
}
