/* The unit that is to start the server: what systemd says to it, before it is needed. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "providers/postgres/checks.h"
#include "providers/postgres/child.h"

static const char prefix[] = "systemd:";

const char *pg_unit_of(const char *start)
{
    return strncmp(start, prefix, strlen(prefix)) == 0 ? start + strlen(prefix) : NULL;
}

/* Debian's template is there for any name; what it needs is the cluster's configuration.
 * "postgresql@15-main": /etc/postgresql/15/main. */
static bool lacks_cluster(const char *unit, char *path, size_t size)
{
    static const char template[] = "postgresql@";
    size_t skip = strlen(template), version;

    if (strncmp(unit, template, skip) != 0)
        return false;
    version = strcspn(unit + skip, "-");
    if (unit[skip + version] == '\0')
        return false;
    (void)snprintf(path, size, "/etc/postgresql/%.*s/%.*s/postgresql.conf", (int)version,
                   unit + skip, (int)strcspn(unit + skip + version + 1, "."),
                   unit + skip + version + 1);
    return access(path, F_OK) != 0;
}

static enum pg_unit say_state(const char *unit, const char *output, struct err *err)
{
    static const char key[] = "LoadState=";
    const char *state = strstr(output, key);
    char path[256];

    if (state == NULL) {
        (void)err_set(err, ERR_IO, "`systemctl show %s` says no LoadState", unit);
        return PG_UNIT_UNKNOWN;
    }
    state += strlen(key);
    if (strncmp(state, "not-found", 9) == 0) {
        (void)err_set(err, ERR_NOTFOUND,
                      "start: systemd:%s: there is no such unit on this host: correct "
                      "`start` in the group's file and apply it, or install the unit",
                      unit);
        return PG_UNIT_BAD;
    }
    if (strncmp(state, "loaded", 6) != 0) {
        (void)err_set(err, ERR_REFUSED,
                      "start: systemd:%s: the unit cannot be started (LoadState=%.*s): "
                      "`systemctl status %s` says more",
                      unit, (int)strcspn(state, "\n"), state, unit);
        return PG_UNIT_BAD;
    }
    if (lacks_cluster(unit, path, sizeof path)) {
        (void)err_set(err, ERR_NOTFOUND,
                      "start: systemd:%s: there is no %s, so the unit starts no server: "
                      "correct `start` in the group's file and apply it, or make the "
                      "cluster known (pg_createcluster)",
                      unit, path);
        return PG_UNIT_BAD;
    }
    return PG_UNIT_GOOD;
}

enum pg_unit pg_unit_look(const struct pg *pg, struct mono deadline, struct err *err)
{
    const char *unit = pg_unit_of(pg->spec->start);
    struct pg_tool tool = {
        .program = "systemctl",
        .args = {"show", "--property=LoadState", unit},
        .as_root = true,
        .unmarked = true,
    };
    AUTO(auto_free) char *output = NULL;
    struct err why = {0};

    if (unit == NULL)
        return PG_UNIT_GOOD;
    switch (pg_run_ok(pg, &tool, deadline, &output, &why)) {
    case 0:
        return say_state(unit, output, err);
    case ERR_NOTFOUND:
        (void)err_set(err, ERR_NOTFOUND,
                      "start: systemd:%s: there is no systemctl on this host, so nothing "
                      "can start it: `start: pg_ctl` in the group's file does without",
                      unit);
        return PG_UNIT_BAD;
    case ERR_REFUSED:
        (void)err_set(err, ERR_REFUSED, "start: systemd:%s: %s", unit, why.text);
        return PG_UNIT_BAD;
    default:
        (void)err_set(err, why.code, "start: systemd:%s: %s", unit, why.text);
        return PG_UNIT_UNKNOWN;
    }
}
