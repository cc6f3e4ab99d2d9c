#include "controller/base/exposition.h"

#include <stdarg.h>
#include <stdio.h>

void exposition_line(struct exposition *e, const char *fmt, ...)
{
    char text[EXPOSITION_LINE_MAX + 1];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (e->status == 0 && len > 0)
        e->status =
            buf_append(e->out, text,
                       (size_t)len < sizeof text ? (size_t)len : sizeof text - 1, e->err);
}

void exposition_head(struct exposition *e, const char *name, const char *type,
                     const char *help)
{
    exposition_line(e, "# HELP %s%s %s\n# TYPE %s%s %s\n", e->prefix, name, help, e->prefix,
                    name, type);
}

void exposition_one(struct exposition *e, const char *name, const char *type,
                    const char *help, double value)
{
    exposition_head(e, name, type, help);
    exposition_line(e, "%s%s %.17g\n", e->prefix, name, value);
}
