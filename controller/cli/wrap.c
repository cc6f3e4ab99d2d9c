#include "controller/cli/wrap.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_MAX = 10000, LINE_MIN = 20 };

size_t wrap_columns(FILE *out)
{
    const char *said = getenv("COLUMNS");
    char *end = NULL;
    unsigned long n = said != NULL ? strtoul(said, &end, 10) : 0;
    struct winsize size;

    if (said != NULL && end != said && *end == '\0' && n <= COLUMNS_MAX)
        return n;
    if (fileno(out) < 0 || isatty(fileno(out)) == 0 ||
        ioctl(fileno(out), TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

static bool begins_character(char c) { return ((unsigned char)c & 0xc0) != 0x80; }

size_t wrap_width(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += begins_character(*text);
    return n;
}

size_t wrap_line(const char *text, size_t columns, const char **ret_next)
{
    size_t width = 0, at = 0, space = 0;

    for (; text[at] != '\0'; at++) {
        if (begins_character(text[at]) && ++width > columns && columns > 0)
            break;
        if (text[at] == ' ')
            space = at;
    }
    *ret_next = text + at;
    if (text[at] == '\0')
        return at;
    if (text[at] == ' ')
        space = at;
    if (space > 0) { /* else one long word, which is broken */
        at = space;
        *ret_next = text + space + strspn(text + space, " ");
    }
    return at;
}

void wrap_print(FILE *out, const char *first, size_t hang, const char *text)
{
    size_t columns = wrap_columns(out), used = wrap_width(first);
    const char *next;

    fputs(first, out);
    do {
        size_t room = columns > used + LINE_MIN ? columns - used : LINE_MIN;
        size_t len = wrap_line(text, columns > 0 ? room : 0, &next);

        fprintf(out, "%.*s\n", (int)len, text);
        text = next;
        used = hang;
        if (*text != '\0')
            fprintf(out, "%*s", (int)hang, "");
    } while (*text != '\0');
}
