#include "providers/postgres/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/assert.h"
#include "providers/postgres/child.h"
#include "providers/postgres/files.h"
#include "providers/postgres/process.h"
#include "providers/postgres/upstream.h"

/* The value of "config_file=" in the options, for servers whose configuration lies
 * elsewhere (Debian). NULL when there is none. */
static char *config_file(const struct pg *pg)
{
    const char *at = strstr(pg->spec->options, "config_file=");

    if (at == NULL)
        return NULL;
    at += strlen("config_file=");
    at += strspn(at, "'\"");
    return strndup(at, strcspn(at, "'\" \t"));
}

int pg_recover_alone(struct pg *pg, struct mono deadline, struct err *err)
{
    AUTO(auto_free) char *config = config_file(pg);
    AUTO(auto_free) char *config_option = NULL;
    AUTO(auto_free) char *signal_file = pg_path(pg, "standby.signal");
    struct pg_tool tool = {
        .program = "postgres",
        .args = {"--single", "-D", pg->spec->data, "-c", "wal_keep_size=1000000", "-c",
                 "archive_mode=off", "-c", "synchronous_standby_names=", "-c",
                 "shared_preload_libraries=", "template1"},
    };

    if (signal_file == NULL)
        return err_set(err, ERR_NOMEM, "path");
    if (config != NULL) {
        if (asprintf(&config_option, "config_file=%s", config) < 0)
            return err_set(err, ERR_NOMEM, "options");
        tool.args[11] = "-c";
        tool.args[12] = config_option;
        tool.args[13] = "template1";
    }
    /* A single-user server refuses standby mode. Whoever starts this directory next writes
     * the file again: the control file shows what it was. */
    if (pg_pidfile_clear(pg, err) != 0 || pg_file_remove(signal_file, err) != 0 ||
        pg_run_ok(pg, &tool, deadline, NULL, err) != 0)
        return err_wrap(err, "crash recovery before the rewind");
    return pg_file_write(pg, signal_file, "", err);
}

static int rewind_run(struct pg *pg, const Rf__Upstream *up, bool dry, struct mono deadline,
                      char **ret_output, int *ret_exit, struct err *err)
{
    AUTO(auto_free) char *config = config_file(pg);
    AUTO(auto_free) char *conninfo = NULL;
    struct pg_tool tool = {
        .program = "pg_rewind",
        .args = {"--target-pgdata", pg->spec->data, "--no-ensure-shutdown", "--progress"},
    };
    size_t n = 4;

    if (pg_upstream_conninfo(pg, up, "ringfence", "dbname=postgres", &conninfo, err) != 0)
        return err->code;
    tool.args[n++] = "--source-server";
    tool.args[n++] = conninfo;
    if (config != NULL) {
        tool.args[n++] = "--config-file";
        tool.args[n++] = config;
    }
    if (dry)
        tool.args[n++] = "--dry-run";
    return pg_run(pg, &tool, deadline, ret_output, ret_exit, err);
}

static bool is_network_failure(const char *output)
{
    return strstr(output, "connection to server") != NULL ||
           strstr(output, "could not connect") != NULL ||
           strstr(output, "could not send query") != NULL ||
           strstr(output, "no connection to the server") != NULL;
}

int pg_rewind_try(struct pg *pg, const Rf__Upstream *up, struct mono deadline,
                  struct err *err)
{
    AUTO(auto_free) char *output = NULL;
    char words[256];
    int exit_status = 0;

    if (rewind_run(pg, up, true, deadline, &output, &exit_status, err) != 0)
        return err->code;
    ASSERT(output != NULL);
    pg_last_words(output, words, sizeof words);
    if (exit_status != 0 && is_network_failure(output))
        return err_set(err, ERR_IO, "pg_rewind: %s", words);
    if (exit_status != 0)
        return err_set(err, ERR_CONFLICT, "pg_rewind: %s", words);
    /* It judges by the last checkpoint; we were called because the log goes further. */
    if (strstr(output, "no rewind required") != NULL)
        return err_set(err, ERR_CONFLICT, "pg_rewind does not see the divergence");
    return 0;
}

int pg_rewind_do(struct pg *pg, const Rf__Upstream *up, struct mono deadline,
                 bool *ret_dirty, struct err *err)
{
    AUTO(auto_free) char *output = NULL;
    char words[256];
    int exit_status = 0;

    *ret_dirty = true; /* killed at the deadline: it may have been anywhere */
    if (rewind_run(pg, up, false, deadline, &output, &exit_status, err) != 0)
        return err->code;
    if (exit_status == 0)
        return 0;
    /* It says so before it touches the first file. */
    *ret_dirty = strstr(output, "need to copy") != NULL;
    pg_last_words(output, words, sizeof words);
    return err_set(err, is_network_failure(output) ? ERR_IO : ERR_CONFLICT, "pg_rewind: %s",
                   words);
}

/* --- base backup ---------------------------------------------------------------------- */

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* Removes what is in the directory, not the directory, and follows no link. */
static int empty_dir(int at, const char *name, struct err *err)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    AUTO(close_dir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return errno == ENOENT ? 0 : err_errno(err, errno, "empty %s", name);
    }
    while ((entry = readdir(dir)) != NULL) {
        const char *child = entry->d_name;

        if (strcmp(child, ".") == 0 || strcmp(child, "..") == 0 ||
            strcmp(child, "lost+found") == 0)
            continue;
        if (unlinkat(fd, child, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return err_errno(err, errno, "remove %s/%s", name, child);
        if (empty_dir(fd, child, err) != 0)
            return err->code;
        if (unlinkat(fd, child, AT_REMOVEDIR) != 0)
            return err_errno(err, errno, "remove %s/%s", name, child);
    }
    return 0;
}

/* pg_wal and tablespaces may be links to other disks: what they point to is emptied as
 * well, else old segments would mix with the copy's. */
static int empty_linked(const char *link, char **ret_target, struct err *err)
{
    struct stat st;

    *ret_target = NULL;
    if (lstat(link, &st) != 0 || !S_ISLNK(st.st_mode))
        return 0;
    *ret_target = realpath(link, NULL);
    if (*ret_target == NULL)
        return errno == ENOENT ? 0 : err_errno(err, errno, "follow %s", link);
    return empty_dir(AT_FDCWD, *ret_target, err);
}

static int empty_tablespaces(const struct pg *pg, struct err *err)
{
    AUTO(auto_free) char *path = pg_path(pg, "pg_tblspc");
    AUTO(close_dir) DIR *dir = path != NULL ? opendir(path) : NULL;
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        AUTO(auto_free) char *link = NULL;
        AUTO(auto_free) char *target = NULL;

        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&link, "%s/%s", path, entry->d_name) < 0)
            return err_set(err, ERR_NOMEM, "path");
        if (empty_linked(link, &target, err) != 0)
            return err->code;
    }
    return 0;
}

int pg_clone_do(struct pg *pg, const Rf__Upstream *up, struct mono deadline,
                struct err *err)
{
    AUTO(auto_free) char *wal = pg_path(pg, "pg_wal");
    AUTO(auto_free) char *wal_target = NULL;
    AUTO(auto_free) char *conninfo = NULL;
    struct pg_tool tool = {
        .program = "pg_basebackup",
        .args = {"-D", pg->spec->data, "-X", "stream", "-c", "fast"},
    };
    size_t n = 6;

    if (wal == NULL)
        return err_set(err, ERR_NOMEM, "path");
    if (pg_upstream_conninfo(pg, up, "ringfence-clone", "", &conninfo, err) != 0 ||
        empty_tablespaces(pg, err) != 0 || empty_linked(wal, &wal_target, err) != 0 ||
        empty_dir(AT_FDCWD, pg->spec->data, err) != 0 ||
        pg_make_dir(pg, pg->spec->data, err) != 0)
        return err_wrap(err, "clone");
    tool.args[n++] = "-d";
    tool.args[n++] = conninfo;
    if (wal_target != NULL) {
        tool.args[n++] = "--waldir";
        tool.args[n++] = wal_target;
    }
    if (pg_run_ok(pg, &tool, deadline, NULL, err) != 0)
        return err_wrap(err, "clone from %s", up->instance);
    return 0;
}
