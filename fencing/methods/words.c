#include "fencing/methods/words.h"

#include <ctype.h>
#include <string.h>

#include "controller/base/text.h"

/* The last line that says anything; NULL: none. What is behind it is cut off. */
static char *last_line(char *text)
{
    for (;;) {
        char *newline = strrchr(text, '\n');
        char *line = newline != NULL ? newline + 1 : text;

        if (line[strspn(line, " \t\r")] != '\0')
            return line;
        if (newline == NULL)
            return NULL;
        *newline = '\0';
    }
}

static void clean(char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            *text = *text == '\t' ? ' ' : '?';
}

void words_last(char *text, char *ret, size_t size)
{
    char *last, *before = NULL;

    last = last_line(text);
    if (last != NULL && last > text) {
        last[-1] = '\0';
        before = last_line(text);
    }
    if (last == NULL)
        text_set(ret, size, "it said nothing");
    else if (before == NULL)
        text_set(ret, size, "%s", last);
    else
        text_set(ret, size, "%s / %s", before, last);
    clean(ret);
}
