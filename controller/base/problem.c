#include "controller/base/problem.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/text.h"

static bool continues(const unsigned char *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if ((s[i] & 0xc0) != 0x80) /* an end of the text does not, either */
            return false;
    return true;
}

/* Bytes of the character that the text begins with; 0: it is none (RFC 3629). */
static size_t character(const unsigned char *s)
{
    size_t len = s[0] < 0x80                   ? 1
                 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                               : 0;

    if (len == 0 || !continues(s, 1, len))
        return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

/* As the inside of a JSON string; six bytes for one at most. */
static size_t escape(char *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t used = 0;

    while (*s != '\0') {
        size_t len = character(s);

        if (len == 0) {
            out[used++] = '?';
            s++;
            continue;
        }
        if (*s < 0x20 || *s == 0x7f) {
            used += (size_t)snprintf(out + used, 7, "\\u%04x", *s);
        } else {
            if (*s == '"' || *s == '\\')
                out[used++] = '\\';
            memcpy(out + used, s, len);
            used += len;
        }
        s += len;
    }
    out[used] = '\0';
    return used;
}

size_t problem_write(char out[PROBLEM_SIZE], unsigned status, const char *code,
                     const char *detail)
{
    char title[PROBLEM_CODE_SIZE], text[PROBLEM_DETAIL_SIZE];
    size_t used;

    (void)snprintf(title, sizeof title, "%s", code);
    title[0] = (char)toupper((unsigned char)title[0]);
    for (char *dash = title; (dash = strchr(dash, '-')) != NULL;)
        *dash = ' ';
    text_set(text, sizeof text, "%s", detail);
    used = (size_t)snprintf(out, PROBLEM_SIZE,
                            "{\"type\":\"" PROBLEM_URN
                            "%.63s\",\"title\":\"%s\",\"status\":%u,\"detail\":\"",
                            code, title, status);
    used += escape(out + used, text);
    used +=
        (size_t)snprintf(out + used, PROBLEM_SIZE - used, "\",\"code\":\"%.63s\"}", code);
    return used;
}
