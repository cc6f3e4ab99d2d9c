#include "controller/base/findings.h"

#include <stdarg.h>
#include <stdio.h>

#include "controller/base/text.h"

void findings_error(struct findings *f, const char *key, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(text, sizeof text, fmt, args) >= (int)sizeof text)
        text_mark_cut(text, sizeof text);
    va_end(args);
    f->errors++;
    f->say(f->owner, true, key, text);
}

void findings_warn(struct findings *f, const char *key, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(text, sizeof text, fmt, args) >= (int)sizeof text)
        text_mark_cut(text, sizeof text);
    va_end(args);
    f->warnings++;
    f->say(f->owner, false, key, text);
}
