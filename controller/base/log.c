#include "controller/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/clock.h"

static char program_name[96] = "ringfence";
static enum log_level max_level = LOG_LEVEL_INFO;
static int under_journal;

void log_begin(const char *program, const char *name)
{
    const char *level = getenv("RINGFENCE_LOG");

    (void)snprintf(program_name, sizeof program_name, "%s %s", program, name);
    if (level != NULL && strcmp(level, "debug") == 0)
        max_level = LOG_LEVEL_DEBUG;
    under_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
    char line[1024], when[WALL_TEXT_SIZE];
    va_list args;
    int used, more;

    if (level > max_level)
        return;
    wall_format(wall_now_ms(), when);
    used = snprintf(line, sizeof line,
                    "%s%s %-5s %s: ", under_journal ? priorities[level] : "", when,
                    words[level], program_name);
    va_start(args, fmt);
    more = vsnprintf(line + used, sizeof line - (size_t)used - 1, fmt, args);
    va_end(args);
    if (more < 0)
        return;
    used += more;
    if (used > (int)sizeof line - 2)
        used = (int)sizeof line - 2;
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)used) < 0) {
        /* Nobody reads us; there is nobody to tell. */
    }
}
