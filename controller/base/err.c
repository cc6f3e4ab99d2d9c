#include "controller/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/text.h"

void auto_free(void *pointer_to_pointer)
{
    void *p;

    memcpy(&p, pointer_to_pointer, sizeof p);
    free(p);
}

void auto_close(int *fd) /* NOLINT(readability-non-const-parameter): AUTO() gives int * */
{
    if (*fd >= 0)
        close(*fd);
}

static int set_text(struct err *err, int code, const char *fmt, va_list args)
{
    char text[ERR_TEXT_SIZE];

    if (err == NULL)
        return code;
    /* An argument may be err->text itself: who changes the code of an error repeats it. */
    if (vsnprintf(text, sizeof text, fmt, args) >= (int)sizeof text)
        text_mark_cut(text, sizeof text);
    err->code = code;
    memcpy(err->text, text, sizeof text);
    return code;
}

/* Put `suffix` behind what the caller already wrote; cut, never overrun. */
static void append(struct err *err, const char *suffix)
{
    size_t used, room;

    if (err == NULL)
        return;
    used = strlen(err->text);
    room = sizeof err->text - used;
    if (snprintf(err->text + used, room, "%s%s", used > 0 ? ": " : "", suffix) >= (int)room)
        text_mark_cut(err->text, sizeof err->text);
}

/* Who found no memory says for what: that it was memory is said here, once. */
int err_set(struct err *err, int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set_text(err, code, fmt, args);
    va_end(args);
    if (code == ERR_NOMEM && err != NULL && strstr(err->text, "memory") == NULL)
        append(err, err_text(code));
    return code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    struct err inner;
    va_list args;

    if (err == NULL)
        return ERR_INVAL;
    inner = *err;
    va_start(args, fmt);
    set_text(err, inner.code, fmt, args);
    va_end(args);
    append(err, inner.text);
    return err->code;
}

static int code_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOMEM:
        return ERR_NOMEM;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ENOENT:
        return ERR_NOTFOUND;
    case EBUSY:
        return ERR_BUSY;
    case EACCES:
    case EPERM:
        return ERR_REFUSED;
    case EOPNOTSUPP:
        return ERR_UNSUPPORTED;
    default:
        return ERR_IO;
    }
}

int err_errno(struct err *err, int errno_value, const char *fmt, ...)
{
    int code = code_of_errno(errno_value);
    char reason[128];
    va_list args;

    va_start(args, fmt);
    set_text(err, code, fmt, args);
    va_end(args);
    append(err, strerror_r(errno_value, reason, sizeof reason));
    return code;
}

int err_uv(struct err *err, int status, const char *fmt, ...)
{
    int code = code_of_errno(-status);
    va_list args;

    va_start(args, fmt);
    set_text(err, code, fmt, args);
    va_end(args);
    append(err, uv_strerror(status));
    return code;
}

const char *err_name(int code)
{
#define X(name, number, text)                                                              \
    if (code == (number))                                                                  \
        return #name;
    ERR_MAP(X)
#undef X
    return "ERR_?";
}

const char *err_text(int code)
{
#define X(name, number, text)                                                              \
    if (code == (number))                                                                  \
        return text;
    ERR_MAP(X)
#undef X
    return "unknown error";
}
