#include "chaos/html.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char no_character[] = "\xef\xbf\xbd", ellipsis[] = "\xe2\x80\xa6";

/* How many bytes follow the first one of a character; -1: it begins none. */
static int followers(unsigned char first)
{
    return first < 0x80                     ? 0
           : first >= 0xc2 && first <= 0xdf ? 1
           : first >= 0xe0 && first <= 0xef ? 2
           : first >= 0xf0 && first <= 0xf4 ? 3
                                            : -1;
}

static bool is_character(uint32_t c)
{
    return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n' || (c >= 0xa0 && c < 0xd800) ||
           (c >= 0xe000 && c < 0xfdd0) ||
           (c > 0xfdef && c <= 0x10ffff && (c & 0xfffe) != 0xfffe);
}

/* The length of the character at `at`; 0: there is none. */
static size_t character(const char *at)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}; /* overlong ones are none */
    unsigned char first = (unsigned char)*at;
    int more = followers(first);
    uint32_t c = more > 0 ? first & (0x3fU >> more) : first;

    if (more < 0)
        return 0;
    for (int i = 1; i <= more; i++) {
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 0; /* the end of the text too */
        c = c << 6 | ((unsigned char)at[i] & 0x3f);
    }
    return c >= least[more] && is_character(c) ? (size_t)more + 1 : 0;
}

static const char *name_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_text_cut(FILE *out, const char *text, size_t most)
{
    for (size_t n = 0; *text != 0; n++) {
        size_t length = character(text);
        const char *name = name_of(*text);

        if (n == most) {
            fputs(ellipsis, out);
            return;
        }
        if (length == 0)
            fputs(no_character, out);
        else if (name != NULL)
            fputs(name, out);
        else
            fwrite(text, 1, length, out);
        text += length > 0 ? length : 1;
    }
}

void html_text(FILE *out, const char *text) { html_text_cut(out, text, SIZE_MAX); }

void html_say(FILE *out, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    html_text(out, text);
}
