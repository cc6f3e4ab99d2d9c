#include "providers/postgres/checks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "providers/postgres/commit.h"
#include "providers/postgres/child.h"
#include "providers/postgres/control.h"
#include "providers/postgres/files.h"
#include "providers/provider.h"

enum {
    CHECK_MS = 3000,
    START_MS = 1000, /* looks at the server wait for it */
    SYNC_TRIES = 10,
    SYNC_SLOW_US = 20000,
    ROOM_WANTED_MIB = 1024,
    FINDINGS_MAX = 64,
};

void pg_find(Rf__ProviderReply *reply, const char *check, const char *level,
             const char *fmt, ...)
{
    Rf__Finding **list = reply->findings;
    Rf__Finding *finding = malloc(sizeof *finding);
    char text[900];
    va_list args;

    if (reply->n_findings == 0)
        list = calloc(FINDINGS_MAX, sizeof(Rf__Finding *));
    if (finding == NULL || list == NULL || reply->n_findings == FINDINGS_MAX) {
        free(finding);
        if (reply->n_findings == 0)
            free(list);
        return;
    }
    text[0] = '\0';
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    rf__finding__init(finding);
    provider_text(&finding->check, "%s", check);
    provider_text(&finding->level, "%s", level);
    provider_text(&finding->text, "%s", text);
    reply->findings = list;
    reply->findings[reply->n_findings++] = finding;
}

/* --- settings: each row asks the server one question -----------------------------------
 */

struct setting_check {
    const char *check;
    const char *level; /* when it is not as wanted */
    const char *sql;   /* one row: as wanted?, what is */
    const char *wanted;
};

static const struct setting_check setting_checks[] = {
    {"wal_log_hints", "fail",
     "SELECT current_setting('data_checksums') = 'on' OR current_setting('wal_log_hints')"
     " = 'on', 'data_checksums ' || current_setting('data_checksums') || ', wal_log_hints '"
     " || current_setting('wal_log_hints')",
     "one of them on, or pg_rewind cannot bring an old primary back: set wal_log_hints = "
     "on"},
    {"restart_after_crash", "fail",
     "SELECT current_setting('restart_after_crash') = 'off',"
     " current_setting('restart_after_crash')",
     "off: only the agent starts PostgreSQL"},
    {"wal_level", "fail",
     "SELECT current_setting('wal_level') <> 'minimal', current_setting('wal_level')",
     "replica or logical"},
    {"max_wal_senders", "fail",
     "SELECT current_setting('max_wal_senders')::int >= 4,"
     " current_setting('max_wal_senders')",
     "at least 4: the standby, a base backup (2) and the agent's questions"},
    {"hot_standby", "fail",
     "SELECT current_setting('hot_standby') = 'on', current_setting('hot_standby')",
     "on: else a standby cannot be observed"},
    {"durability", "fail",
     "SELECT current_setting('fsync') = 'on' AND current_setting('full_page_writes') = "
     "'on',"
     " 'fsync ' || current_setting('fsync') || ', full_page_writes '"
     " || current_setting('full_page_writes')",
     "both on: a lease does not bring back what a disk never had"},
    {"synchronous_commit_overrides", "fail",
     "SELECT count(*) = 0, coalesce(string_agg(coalesce(r.rolname, 'every role') || ' in '"
     " || coalesce(d.datname, 'every database') || ': ' || c, '; '), "
     "'none')" PG_COMMIT_LOWERED,
     "none: such sessions are acknowledged without the standby's flush, so none joins the "
     "sync set: ALTER ROLE or DATABASE ... RESET synchronous_commit"},
    {"wal_keep_size", "warn",
     "SELECT current_setting('wal_keep_size') <> '0' OR current_setting('archive_mode')"
     " <> 'off', current_setting('wal_keep_size')",
     "some hundred MB, or an archive: else a standby that was away needs a new copy"},
    {"archive", "warn",
     "SELECT current_setting('archive_mode') = 'off' OR (current_setting('archive_mode')"
     " = 'on' AND (current_setting('archive_command') NOT IN ('', '(disabled)')"
     " OR current_setting('archive_library') <> '')), 'archive_mode '"
     " || current_setting('archive_mode')",
     "on with a command, or off: `always` writes the same files from both sides, and with "
     "no command WAL piles up"},
    {"superuser_reserved_connections", "warn",
     "SELECT current_setting('superuser_reserved_connections')::int >= 3,"
     " current_setting('superuser_reserved_connections')",
     "at least 3: the agent keeps sessions of its own"},
};

static void check_setting(struct pg *pg, const struct setting_check *row,
                          struct mono deadline, Rf__ProviderReply *reply)
{
    AUTO(pg_clear) PGresult *r = NULL;
    struct err err;

    if (pg_exec(&pg->main, row->sql, deadline, &r, &err) != 0) {
        pg_find(reply, row->check, "fail", "could not be read: %s", err.text);
        return;
    }
    if (PQgetvalue(r, 0, 0)[0] == 't')
        pg_find(reply, row->check, "ok", "%s", PQgetvalue(r, 0, 1));
    else
        pg_find(reply, row->check, row->level, "is: %s; wanted: %s", PQgetvalue(r, 0, 1),
                row->wanted);
}

/* With names in force a weaker value breaks what their mode promises (I8). Without, it is
 * the owner's business in `off`, and in the other modes the agent raises it when a standby
 * joins. */
static void check_commit(struct pg *pg, struct mono deadline, Rf__ProviderReply *reply)
{
    static const char check[] = "synchronous_commit";
    AUTO(pg_clear) PGresult *r = NULL;
    char value[32];
    struct err err;

    if (pg_ask(&pg->main, pg_commit_effective, deadline, value, sizeof value, &err) != 0 ||
        pg_exec(&pg->main, "SELECT current_setting('synchronous_standby_names') <> ''",
                deadline, &r, &err) != 0) {
        pg_find(reply, check, "fail", "could not be read: %s", err.text);
        return;
    }
    if (pg_commit_waits(value))
        pg_find(reply, check, "ok", "%s", value);
    else
        pg_find(
            reply, check, PQgetvalue(r, 0, 0)[0] == 't' ? "fail" : "warn",
            "is: %s; wanted: on or remote_apply, unless the group's sync is off: "
            "remote_write does not wait for the standby's flush, off and local for nothing "
            "of it (the agent sets on when a standby joins)",
            value);
}

static void check_listen(struct pg *pg, struct mono deadline, Rf__ProviderReply *reply)
{
    char listen[512], port[16];
    struct err err;

    if (pg_ask(&pg->main, "SELECT current_setting('listen_addresses')", deadline, listen,
               sizeof listen, &err) != 0 ||
        pg_ask(&pg->main, "SELECT current_setting('port')", deadline, port, sizeof port,
               &err) != 0) {
        pg_find(reply, "listen_addresses", "fail", "could not be read: %s", err.text);
        return;
    }
    if ((strcmp(listen, "*") == 0 || strstr(listen, pg->spec->address) != NULL) &&
        strtoul(port, NULL, 10) == pg->spec->port)
        pg_find(reply, "listen_addresses", "ok", "%s port %s", listen, port);
    else
        pg_find(reply, "listen_addresses", "fail",
                "is: %s port %s; the group names %s port %" PRIu32, listen, port,
                pg->spec->address, pg->spec->port);
}

static void check_settings(struct pg *pg, struct mono deadline, Rf__ProviderReply *reply)
{
    struct err err;

    if (pg_data_absent(pg)) {
        pg_find(
            reply, "data", "warn",
            "%s is not there, or empty: right on a standby, whose agent makes the copy; "
            "a primary's would be expected there",
            pg->spec->data);
        return;
    }
    if (pg_main(pg, deadline, &err) != 0) {
        pg_find(reply, "session", "fail", "PostgreSQL on %s gives no session: %s",
                pg->spec->data, err.text);
        return;
    }
    pg_find(reply, "session", "ok", "over %s", pg->spec->socket_dir);
    for (size_t i = 0; i < ARRAY_LEN(setting_checks); i++)
        check_setting(pg, &setting_checks[i], deadline, reply);
    check_commit(pg, deadline, reply);
    check_listen(pg, deadline, reply);
    pg_check_role(pg, deadline, reply);
}

/* --- disk ------------------------------------------------------------------------------
 */

static void check_room(Rf__ProviderReply *reply, const char *check, const char *path)
{
    uint64_t room;
    struct err err;

    if (pg_free_bytes(path, &room, &err) != 0) {
        pg_find(reply, check, "fail", "%s", err.text);
        return;
    }
    room >>= 20;
    pg_find(reply, check, room >= ROOM_WANTED_MIB ? "ok" : "warn",
            "%" PRIu64 " MiB free on %s; wanted: %d or more", room, path, ROOM_WANTED_MIB);
}

/* Median of some 4 KiB writes, each synced as a commit is. */
static void check_sync_latency(const struct pg *pg, Rf__ProviderReply *reply)
{
    AUTO(auto_free) char *path = pg_path(pg, "ringfence-sync-test");
    static const char page[4096];
    AUTO(auto_close) int fd = -1;
    uint64_t us[SYNC_TRIES];

    fd = path != NULL
             ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)
             : -1;
    if (fd < 0) {
        pg_find(reply, "sync_latency", "fail", "cannot write to %s: %s", pg->spec->data,
                strerror(errno));
        return;
    }
    (void)unlink(path);
    for (int i = 0; i < SYNC_TRIES; i++) {
        struct mono before = mono_now();
        int at = i;

        if (pwrite(fd, page, sizeof page, 0) != (ssize_t)sizeof page ||
            fdatasync(fd) != 0) {
            pg_find(reply, "sync_latency", "fail", "cannot sync on %s: %s", pg->spec->data,
                    strerror(errno));
            return;
        }
        us[i] = mono_since_ns(before, mono_now()) / 1000;
        for (; at > 0 && us[at] < us[at - 1]; at--) {
            uint64_t swap = us[at];

            us[at] = us[at - 1];
            us[at - 1] = swap;
        }
    }
    pg_find(reply, "sync_latency", us[SYNC_TRIES / 2] > SYNC_SLOW_US ? "warn" : "ok",
            "a 4 KiB write and fdatasync takes %" PRIu64
            " us (median of %d), at most %" PRIu64,
            us[SYNC_TRIES / 2], SYNC_TRIES, us[SYNC_TRIES - 1]);
}

/* What is there of a path: where it will be made. */
static char *nearest(const char *path)
{
    char *near = strdup(path), *slash;

    while (near != NULL && access(near, F_OK) != 0 && errno == ENOENT &&
           (slash = strrchr(near, '/')) != NULL)
        slash[slash == near ? 1 : 0] = '\0'; /* "/" is always there */
    return near;
}

static void check_version(struct pg *pg, struct mono deadline, Rf__ProviderReply *reply)
{
    struct err err;

    if (pg_data_absent(pg))
        return;
    if (pg_version_fits(pg, deadline, &err) != 0)
        pg_find(reply, "bin_dir", "fail", "%s", err.text);
    else
        pg_find(reply, "bin_dir", "ok", "%s is of PostgreSQL %u, as %s is",
                pg->spec->bin_dir, pg->bin_major, pg->spec->data);
}

static void check_disk(struct pg *pg, struct mono deadline, Rf__ProviderReply *reply)
{
    AUTO(auto_free) char *data = nearest(pg->spec->data);

    check_version(pg, deadline, reply);
    check_room(reply, "room_data", data != NULL ? data : "/");
    if (access(pg->spec->tail_dir, F_OK) == 0)
        check_room(reply, "room_tail", pg->spec->tail_dir);
    else
        pg_find(reply, "room_tail", "warn",
                "%s is not there yet: it is made when it is needed", pg->spec->tail_dir);
    if (!pg_data_absent(
            pg)) /* the copy may begin at any moment, in a directory of its own */
        check_sync_latency(pg, reply);
}

/* --- host ------------------------------------------------------------------------------
 */

static void check_passfile(const struct pg *pg, Rf__ProviderReply *reply)
{
    const char *path = pg->spec->passfile;
    struct stat st;

    if (path[0] == '\0')
        pg_find(reply, "passfile", "warn",
                "none is named: replication works without a password "
                "only");
    else if (stat(path, &st) != 0)
        pg_find(reply, "passfile", "fail", "%s: %s", path, strerror(errno));
    else if (st.st_uid != pg->uid || (st.st_mode & 077) != 0 || (st.st_mode & 0400) == 0)
        pg_find(reply, "passfile", "fail",
                "%s must belong to %s and have mode 0600: libpq ignores it else", path,
                pg->user);
    else
        pg_find(reply, "passfile", "ok", "%s", path);
}

static void check_socket(const struct pg *pg, Rf__ProviderReply *reply)
{
    struct stat st;

    if (lstat(pg->spec->socket_dir, &st) != 0)
        pg_find(reply, "socket_dir", "warn",
                "%s is not there yet: it is made at the next start", pg->spec->socket_dir);
    else if (!S_ISDIR(st.st_mode) || st.st_uid != pg->uid || (st.st_mode & 0777) != 0700)
        pg_find(
            reply, "socket_dir", "fail",
            "%s must be a directory of %s with mode 0700: a pooler could go round the gate",
            pg->spec->socket_dir, pg->user);
    else
        pg_find(reply, "socket_dir", "ok", "%s", pg->spec->socket_dir);
}

/* Debian's start.conf of .../VERSION/CLUSTER. */
static void check_start_conf(const struct pg *pg, Rf__ProviderReply *reply)
{
    AUTO(auto_free) char *path = NULL;
    AUTO(auto_free) char *text = NULL;
    const char *prefix = "/var/lib/postgresql/";

    if (strncmp(pg->spec->data, prefix, strlen(prefix)) != 0 ||
        asprintf(&path, "/etc/postgresql/%s/start.conf", pg->spec->data + strlen(prefix)) <
            0)
        return;
    if (pg_file_read(path, 1 << 16, &text, NULL) != 0)
        return;
    if (strstr(text, "\nauto") != NULL || strncmp(text, "auto", 4) == 0)
        pg_find(reply, "autostart", "fail",
                "%s says auto; wanted: manual. Only the agent starts "
                "PostgreSQL",
                path);
    else
        pg_find(reply, "autostart", "ok", "%s", path);
}

static void check_unit(const struct pg *pg, struct mono deadline, Rf__ProviderReply *reply)
{
    const char *unit = pg->spec->start + strlen("systemd:");
    struct pg_tool tool = {
        .program = "systemctl",
        .args = {"show", "--property=Restart,UnitFileState", unit},
        .as_root = true,
        .unmarked = true,
    };
    AUTO(auto_free) char *output = NULL;
    struct err err;

    if (pg_run_ok(pg, &tool, deadline, &output, &err) != 0) {
        pg_find(reply, "unit", "fail", "%s: %s", unit, err.text);
        return;
    }
    if (strstr(output, "Restart=no\n") == NULL)
        pg_find(reply, "unit_restart", "fail",
                "%s restarts PostgreSQL by itself; wanted: "
                "Restart=no",
                unit);
    else
        pg_find(reply, "unit_restart", "ok", "Restart=no");
    if (strstr(output, "UnitFileState=enabled\n") != NULL)
        pg_find(reply, "autostart", "fail", "%s starts at boot: systemctl disable %s", unit,
                unit);
    else
        pg_find(reply, "autostart", "ok", "%s is not enabled", unit);
}

static void check_start(const struct pg *pg, Rf__ProviderReply *reply)
{
    struct err err = {0};

    switch (pg_unit_look(pg, mono_plus_ms(mono_now(), START_MS), &err)) {
    case PG_UNIT_GOOD:
        pg_find(reply, "start", "ok", "%s", pg->spec->start);
        return;
    case PG_UNIT_BAD:
        pg_find(reply, "start", "fail", "%s", err.text);
        return;
    case PG_UNIT_UNKNOWN:
        pg_find(reply, "start", "warn", "%s", err.text);
    }
}

static void check_host(const struct pg *pg, struct mono deadline, Rf__ProviderReply *reply)
{
    check_passfile(pg, reply);
    check_socket(pg, reply);
    if (strncmp(pg->spec->start, "systemd:", 8) == 0)
        check_unit(pg, deadline, reply);
    else
        check_start_conf(pg, reply);
}

int pg_checks(struct pg *pg, char *const *checks, size_t n, Rf__ProviderReply *reply,
              struct err *err)
{
    struct mono deadline = mono_plus_ms(mono_now(), CHECK_MS);
    struct err why;

    /* Before there is a directory that would have an owner. */
    if (n == 1 && strcmp(checks[0], "start") == 0) {
        check_start(pg, reply);
        return 0;
    }
    if (pg_find_user(pg, &why) != 0) {
        pg_find(reply, "server_user", "fail", "%s", why.text);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(checks[i], "start") == 0)
            check_start(pg, reply);
        else if (strcmp(checks[i], "settings") == 0)
            check_settings(pg, deadline, reply);
        else if (strncmp(checks[i], PG_CHECK_HBA, strlen(PG_CHECK_HBA)) == 0)
            pg_check_hba(pg, checks[i] + strlen(PG_CHECK_HBA), deadline, reply);
        else if (strncmp(checks[i], PG_CHECK_PASS, strlen(PG_CHECK_PASS)) == 0)
            pg_check_pass(pg, checks[i] + strlen(PG_CHECK_PASS), reply);
        else if (strcmp(checks[i], "disk") == 0)
            check_disk(pg, deadline, reply);
        else if (strcmp(checks[i], "host") == 0)
            check_host(pg, deadline, reply);
        else
            return err_set(err, ERR_UNSUPPORTED, "no group of checks is called '%s'",
                           checks[i]);
    }
    return 0;
}
