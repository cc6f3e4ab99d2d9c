#include "fencing/agent/agent_check.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/net/host.h"
#include "fencing/agent/steps_state.h"
#include "fencing/gate/cgroup.h"
#include "providers/postgres/passfile.h"
#include "providers/provider.h"

/* The server listens on SOCKET_DIR/.s.PGSQL.PORT. */
enum { SOCKET_DIR_MAX = 90, GROUPS_MAX = 64 };

/* ---- the agent ------------------------------------------------------------------------
 */

static void check_cgroup(const struct agent_settings *s, struct findings *f)
{
    static const char own_key[] = "gate.cgroup ";
    struct cgroup found = {.fd = -1};
    struct err err = {0};
    const char *text = err.text;

    /* nftables rules a network namespace, and `auto` may fall back on it. */
    if (s->driver == GATE_NFTABLES ||
        (s->driver == GATE_AUTO && strcmp(s->cgroup, "auto") == 0))
        return;
    if (cgroup_find(&found, s->cgroup, &err) == 0) {
        cgroup_close(&found);
        return;
    }
    if (strncmp(text, own_key, strlen(own_key)) == 0)
        text += strlen(own_key);
    findings_error(f, "gate.cgroup",
                   "%s: name one, or `auto` for the root of all, or set gate.driver to "
                   "nftables",
                   text);
}

void agent_check_host(const struct agent_settings *s, bool starting, struct findings *f)
{
    const struct address own = {.port = 0};
    char held[AGENT_PATH_SIZE + 8];
    const struct host_check c = {.f = f, .held = held, .starting = starting};
    struct address here = own;
    struct host_holder nobody;
    struct err err = {0};

    (void)snprintf(held, sizeof held, "%s/lock", s->state_dir);
    (void)host_check_dir(&c, "state_dir", s->state_dir, true, false);
    host_check_socket(&c, "socket", s->socket, true);
    if (s->has_http)
        host_check_listen(&c, "http", &s->http);
    (void)snprintf(here.host, sizeof here.host, "%s", s->address);
    if (host_try_port(&here, &nobody, &err) == ERR_NOTFOUND)
        findings_warn(f, "address",
                      "%s: the server of this host listens on it: one of those that `ip "
                      "addr` shows is expected",
                      err.text);
    check_cgroup(s, f);
}

/* ---- the server's user ----------------------------------------------------------------
 */

/* `bits`: of rwx, as for others. */
static bool user_may(const struct passwd *pw, const struct stat *st, mode_t bits)
{
    gid_t groups[GROUPS_MAX];
    int n = GROUPS_MAX;

    if (pw->pw_uid == 0)
        return true;
    if (st->st_uid == pw->pw_uid)
        return (st->st_mode & bits << 6) == bits << 6;
    if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
        n = GROUPS_MAX;
    for (int i = 0; i < n; i++)
        if (groups[i] == st->st_gid)
            return (st->st_mode & bits << 3) == bits << 3;
    return (st->st_mode & bits) == bits;
}

/* Every directory above it that is there lets the server's user pass. */
static void check_way(const struct passwd *pw, const char *key, const char *path,
                      struct findings *f)
{
    char dir[AGENT_PATH_SIZE];

    for (const char *slash = strchr(path + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        struct stat st;

        (void)snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
        if (stat(dir, &st) != 0 || user_may(pw, &st, 01))
            continue;
        findings_error(f, key,
                       "%s: user %s may not pass %s: `chmod o+x %s`, or configure another "
                       "path",
                       path, pw->pw_name, dir, dir);
        return;
    }
}

static const struct passwd *find_user(const struct agent_settings *s, struct findings *f)
{
    const char *name = s->postgres.superuser[0] != 0 ? s->postgres.superuser : "postgres";
    const struct passwd *pw;

    errno = 0;
    pw = getpwnam(name);
    if (pw == NULL)
        findings_error(f, "postgres.superuser",
                       "there is no user '%s' on this host: the server runs as the user of "
                       "this name, and the agent connects as it; correct the name, or "
                       "install PostgreSQL",
                       name);
    else if (pw->pw_uid == 0)
        findings_error(f, "postgres.superuser",
                       "'%s' is root, as whom PostgreSQL does not run: name its own user, "
                       "as a rule postgres",
                       name);
    return pw != NULL && pw->pw_uid != 0 ? pw : NULL;
}

/* Where the data hosts are the file does not say, but as a rule controllers run on them. */
static bool fits_a_controller(const struct agent_settings *s)
{
    for (unsigned i = 0; i < s->controller_count; i++) {
        const char *host = s->controllers[i].at.host;
        struct pg_passfile seen;

        if (strcmp(host, s->address) != 0 &&
            pg_passfile_look(&seen, s->postgres.passfile, host, 0,
                             s->postgres.replication_user, NULL) == 0 &&
            seen.fits)
            return true;
    }
    return false;
}

/* What libpq passes over it passes over in silence. */
static void check_passwords(const struct agent_settings *s, struct findings *f)
{
    static const char key[] = "postgres.passfile";
    const struct agent_postgres *p = &s->postgres;
    struct pg_passfile seen;
    struct err err = {0};

    if (pg_passfile_look(&seen, p->passfile, "*", 0, p->replication_user, &err) != 0)
        return; /* this process may not read it; the server's user may */
    if (seen.bad_line != 0)
        findings_error(f, key,
                       "%s: line %u is none of ADDRESS:PORT:DATABASE:USER:PASSWORD, and "
                       "libpq passes over it: correct it, or begin it with #",
                       p->passfile, seen.bad_line);
    else if (seen.of_user == 0)
        findings_error(
            f, key,
            "%s has no line for user %s: \"ADDRESS:PORT:*:%s:PASSWORD\" for each "
            "other host is expected in it (or no passfile, if none is asked "
            "for)",
            p->passfile, p->replication_user, p->replication_user);
    else if (!fits_a_controller(s))
        findings_warn(f, key,
                      "%s has a line of user %s for no other host of `controllers`: right "
                      "only if the other data hosts have other addresses than those",
                      p->passfile, p->replication_user);
}

/* libpq takes no password from a file that others may read, and says so nowhere. */
static void check_passfile(const struct agent_settings *s, const struct passwd *pw,
                           struct findings *f)
{
    static const char key[] = "postgres.passfile";
    const char *path = s->postgres.passfile;
    struct stat st;

    if (path[0] == 0)
        return;
    if (stat(path, &st) != 0) {
        findings_error(f, key,
                       "%s: %s: a line \"ADDRESS:PORT:*:%s:PASSWORD\" for each other host "
                       "is expected in it (or no passfile, if none is asked for)",
                       path, strerror(errno), s->postgres.replication_user);
        return;
    }
    if (pw == NULL)
        return; /* said already, and nobody to ask for */
    if (!S_ISREG(st.st_mode))
        findings_error(f, key, "%s is not a file", path);
    else if (st.st_uid == 0 || (st.st_mode & 0400) == 0)
        findings_error(f, key, "%s cannot be read by user %s: `chown %s %s; chmod 0600 %s`",
                       path, pw->pw_name, pw->pw_name, path, path);
    else if ((st.st_mode & 077) != 0)
        findings_error(f, key,
                       "%s has mode %04o, and libpq ignores it where others than its owner "
                       "may do anything with it: `chmod 0600 %s`",
                       path, st.st_mode & 07777, path);
    else if (st.st_uid != pw->pw_uid)
        findings_warn(f, key,
                      "%s belongs to uid %u, not to %s: right only if the data directory "
                      "does, too",
                      path, st.st_uid, pw->pw_name);
    else
        check_way(pw, key, path, f);
    if (S_ISREG(st.st_mode) && (st.st_mode & 0477) == 0400)
        check_passwords(s, f);
}

/* ---- programs -------------------------------------------------------------------------
 */

static bool has_program(const char *dir, const char *name)
{
    char path[AGENT_PATH_SIZE + 32];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

static void check_programs(const char *dir, struct findings *f)
{
    static const char *const names[] = {"postgres", "pg_controldata", "pg_basebackup",
                                        "pg_rewind", "pg_waldump"};
    char missing[128] = "";
    struct stat st;

    if (dir[0] == 0 || stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        findings_error(f, "postgres.bin_dir",
                       "there is no directory '%s': that of `postgres` and its tools is "
                       "expected, like /usr/lib/postgresql/15/bin",
                       dir);
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (!has_program(dir, names[i]))
            (void)snprintf(missing + strlen(missing), sizeof missing - strlen(missing),
                           "%s%s", missing[0] != 0 ? ", " : "", names[i]);
    if (missing[0] != 0)
        findings_error(f, "postgres.bin_dir",
                       "%s has no %s: install them (Debian: postgresql-VERSION and "
                       "postgresql-client-VERSION), or name the directory that has",
                       dir, missing);
}

/* ---- places ---------------------------------------------------------------------------
 */

static bool lies_in(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    return n > 1 && strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* A service manager gives all of what a unit names to the unit's user, at each start. */
static bool check_place(const struct agent_settings *s, const char *key, const char *path,
                        struct findings *f)
{
    const char *const taken[] = {s->state_dir, s->run_dir, "/run/ringfence",
                                 "/run/ringfence-agent", "/var/lib/ringfence/controller"};

    for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
        if (!lies_in(path, taken[i]))
            continue;
        findings_error(
            f, key,
            "%s lies in %s, which is Ringfence's own and may be given to another "
            "user at any start: a place of its own is expected",
            path, taken[i]);
        return false;
    }
    return true;
}

/* The agent makes it private: gives it to the server's user, with mode 0700. Of one that
 * others use too that would be the end. */
static void check_shared(const char *path, const struct passwd *pw, struct findings *f)
{
    static const char key[] = "postgres.socket_dir";
    struct stat st;

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return;
    if ((st.st_mode & (S_IWGRP | S_IWOTH | S_ISVTX)) != 0)
        findings_error(f, key,
                       "%s has mode %04o, so others use it too: one that is %s's alone is "
                       "expected, as /run/ringfence-pg, which the agent makes",
                       path, st.st_mode & 07777, pw->pw_name);
    else if (st.st_uid == 0 && st.st_nlink > 2)
        findings_error(
            f, key,
            "%s belongs to root and has other directories in it: one that is "
            "%s's alone is expected, as /run/ringfence-pg, which the agent makes",
            path, pw->pw_name);
}

static void check_places(const struct agent_settings *s, const struct host_check *c,
                         const struct passwd *pw)
{
    const struct agent_postgres *p = &s->postgres;

    if (strlen(p->socket_dir) > SOCKET_DIR_MAX)
        findings_error(c->f, "postgres.socket_dir",
                       "%s is longer than the %d bytes that a Unix socket leaves",
                       p->socket_dir, SOCKET_DIR_MAX);
    if (lies_in(p->tail_dir, p->socket_dir) || lies_in(p->socket_dir, p->tail_dir))
        findings_error(c->f, "postgres.tail_dir",
                       "it and postgres.socket_dir lie in each other: tails are kept, and "
                       "the socket's directory is 0700 of the server's user: two places "
                       "are expected");
    if (check_place(s, "postgres.socket_dir", p->socket_dir, c->f) &&
        host_check_dir(c, "postgres.socket_dir", p->socket_dir, true, true) !=
            HOST_DIR_WRONG &&
        pw != NULL) {
        check_way(pw, "postgres.socket_dir", p->socket_dir, c->f);
        check_shared(p->socket_dir, pw, c->f);
    }
    if (check_place(s, "postgres.tail_dir", p->tail_dir, c->f))
        (void)host_check_dir(c, "postgres.tail_dir", p->tail_dir, true, true);
}

void agent_check_server(const struct agent_settings *s, bool starting, struct findings *f)
{
    const struct host_check c = {.f = f, .held = "", .starting = starting};
    const struct passwd *pw = find_user(s, f);

    check_programs(s->postgres.bin_dir, f);
    check_passfile(s, pw, f);
    check_places(s, &c, pw);
}

/* ---- start units ----------------------------------------------------------------------
 */

static void free_reply(Rf__ProviderReply **reply)
{
    if (*reply != NULL)
        rf__provider_reply__free_unpacked(*reply, NULL);
}

static void say_unit(const struct step_record *r, const Rf__ProviderReply *reply,
                     struct findings *f)
{
    for (size_t i = 0; i < reply->n_findings; i++) {
        const Rf__Finding *found = reply->findings[i];

        if (strcmp(found->level, "ok") == 0)
            continue;
        if (strcmp(found->level, "fail") == 0)
            findings_error(f, "postgres", "group %s: %s", r->group, found->text);
        else
            findings_warn(f, "postgres", "group %s: %s", r->group, found->text);
    }
}

/* The provider's own look, which needs no server. */
static void check_unit(const struct step_record *r, struct findings *f)
{
    AUTO(free_reply) Rf__ProviderReply *reply = malloc(sizeof *reply);
    Rf__ServerSpec spec = RF__SERVER_SPEC__INIT;
    char root[] = "/", check[] = "start", start[sizeof r->start], *checks[] = {check};
    struct provider *p = NULL;

    if (reply == NULL)
        return;
    rf__provider_reply__init(reply);
    memcpy(start, r->start, sizeof start);
    spec.data = spec.bin_dir = spec.socket_dir = root;
    spec.port = 1;
    spec.start = start;
    if (provider_postgres.open(&p, &spec, NULL) == 0 &&
        provider_postgres.checks(p, checks, ARRAY_LEN(checks), reply, NULL) == 0)
        say_unit(r, reply, f);
    provider_postgres.close(p);
}

void agent_check_units(const struct agent_settings *s, struct findings *f)
{
    static struct step_records records; /* large, and for one thread */
    AUTO(auto_close) int fd = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct durable_dir dir = {.fd = fd, .path = s->state_dir};

    /* No directory: no group yet. A damaged file is said by the start itself. */
    if (fd < 0 || steps_state_read(&dir, &records, NULL) != 0)
        return;
    for (uint8_t i = 0; i < records.count; i++)
        if (strncmp(records.of[i].start, "systemd:", 8) == 0)
            check_unit(&records.of[i], f);
}
