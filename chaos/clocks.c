/* chaos/clocks.c */
#include "chaos/clocks.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "chaos/base.h"

/* Debian's. Not its twin for threads (libfaketimeMT): that one asks for the time under a
 * lock, for which a thread of real-time priority then waits as long as one without it waits
 * for a core: seconds, on a busy machine. What the lock is for is the reading of the
 * setting, which is read once (rates) or may be read wrong once (jumps). */
static bool find_library(char *path, size_t size)
{
    glob_t found;
    bool any = glob("/usr/lib/*/faketime/libfaketime.so.1", 0, NULL, &found) == 0;

    if (any && path != NULL)
        snprintf(path, size, "%s", found.gl_pathv[0]);
    if (any)
        globfree(&found);
    return any;
}

const char *clocks_missing(void)
{
    return find_library(NULL, 0) ? NULL
                                 : "clocks cannot be wrong here: libfaketime is not "
                                   "installed (deploy/install-deps does)";
}

static char *setting_path(const struct ground *g, enum site s)
{
    return text_new("%s/%s/clock", g->dir, site_name(s));
}

/* By another name first: it is read at each look at the clock. */
static void set(const struct ground *g, enum site s, const char *setting)
{
    AUTO(auto_free) char *path = setting_path(g, s);
    AUTO(auto_free) char *fresh = text_new("%s.new", path);

    file_write(fresh, 0644, setting);
    if (rename(fresh, path) != 0)
        die("%s: %s", path, strerror(errno));
}

void clocks_begin(const struct ground *g, enum site s) { set(g, s, "+0\n"); }

void clocks_step(const struct ground *g, enum site s, int seconds)
{
    AUTO(auto_free) char *setting = text_new("%+d\n", seconds);

    set(g, s, setting);
}

void clocks_rate(const struct ground *g, enum site s, unsigned percent)
{
    enum { HUNDRED = 100 };
    AUTO(auto_free)
    char *setting = text_new("+0 x%u.%02u\n", percent / HUNDRED, percent % HUNDRED);

    set(g, s, setting);
}

void clocks_env(struct clock_env *ret, const struct ground *g, enum clocks kind,
                enum site s)
{
    char library[sizeof ret->text[0] - sizeof "LD_PRELOAD="];
    AUTO(auto_free) char *setting = setting_path(g, s);
    size_t n = 0;

    *ret = (struct clock_env){0};
    if (kind == CLOCKS_RIGHT || !find_library(library, sizeof library))
        return;
    snprintf(ret->text[n++], sizeof ret->text[0], "LD_PRELOAD=%s", library);
    snprintf(ret->text[n++], sizeof ret->text[0], "FAKETIME_TIMESTAMP_FILE=%s", setting);
    snprintf(ret->text[n++], sizeof ret->text[0], "NO_FAKE_STAT=1");
    if (kind == CLOCKS_RATES)
        snprintf(ret->text[n++], sizeof ret->text[0], "FAKETIME_CACHE_DURATION=86400");
    if (kind == CLOCKS_STEPS) {
        snprintf(ret->text[n++], sizeof ret->text[0], "FAKETIME_NO_CACHE=1");
        snprintf(ret->text[n++], sizeof ret->text[0], "FAKETIME_DONT_FAKE_MONOTONIC=1");
        /* Its work-around for another glibc makes each timed wait for a condition end at
         * once, and threads spin. */
        snprintf(ret->text[n++], sizeof ret->text[0], "FAKETIME_FORCE_MONOTONIC_FIX=0");
    }
    for (size_t i = 0; i < n; i++)
        ret->list[i] = ret->text[i];
}
