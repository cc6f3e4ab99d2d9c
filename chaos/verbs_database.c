/* chaos/verbs_database.c -- what happens to a PostgreSQL beside its agent: other standbys,
 * a cloned host, sessions that take its places, backends that stand still.
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/verbs.h"

#define PG_BIN "/usr/lib/postgresql/15/bin"
#define AS_POSTGRES "setpriv --reuid postgres --regid postgres --clear-groups "

/* ---- backends that stand still --------------------------------------------------------
 */

static void stop_listed(struct play *p, const char *list)
{
    size_t n = 0;

    while (n < STOPPED_MAX && p->stopped[n] != 0)
        n++;
    for (const char *at = list; n < STOPPED_MAX; n++) {
        char *end;
        pid_t pid = (pid_t)strtol(at, &end, 10);

        if (end == at || pid <= 0)
            return;
        kill(pid, SIGSTOP);
        p->stopped[n] = pid;
        at = end;
    }
}

void verb_stop_backends(struct play *p, const struct step *s)
{
    enum site at = verbs_data_site(p, &s->arg[0]);
    AUTO(auto_free) char *sql = NULL;
    AUTO(auto_free) char *list = NULL;

    if (at == SITE_COUNT)
        return;
    sql = text_new("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND %s",
                   s->arg[1].text);
    if (cluster_sql(p->cluster, at, sql, &list) != 0 || list[0] == 0)
        result_blame(&p->result, "`%s`: %s", s->line,
                     list[0] != 0 ? list : "there is none");
    else
        stop_listed(p, list);
}

/* Who ended meanwhile has given its number to others. */
void verb_wake_backends(struct play *p, const struct step *s)
{
    (void)s;
    for (size_t i = 0; i < STOPPED_MAX && p->stopped[i] != 0; i++) {
        AUTO(auto_free) char *path = text_new("/proc/%d/comm", (int)p->stopped[i]);
        AUTO(auto_free) char *name = file_read(path);

        if (name != NULL && strcmp(name, "postgres\n") == 0)
            kill(p->stopped[i], SIGCONT);
        p->stopped[i] = 0;
    }
}

/* ---- guests ---------------------------------------------------------------------------
 */

/* `script` ends by exec, so that the process is the guest. */
static void start_guest(struct play *p, enum site at, const char *script)
{
    AUTO(auto_free)
    char *log = text_new("%s/log/guests.log", p->cluster->ground.dir);
    struct process *free_one = p->guests;

    while (free_one < p->guests + GUESTS_MAX && process_running(free_one))
        free_one++;
    if (free_one == p->guests + GUESTS_MAX) {
        result_blame(&p->result, "more than %d guests", GUESTS_MAX);
        return;
    }
    process_start(free_one, &p->cluster->ground,
                  &(struct program){
                      .site = at,
                      .log = log,
                      .argv = (const char *[]){"/bin/sh", "-ec", script, NULL},
                  });
}

/* How it calls itself to the active server; `member`: as the one that commits wait for, as
 * a clone of that host would. NULL: blamed. */
static char *name_of(struct play *p, const char *text, enum site active)
{
    char *name = NULL;

    if (strcmp(text, "member") != 0)
        return text_new("%s", text);
    if (cluster_sql(p->cluster, active,
                    "SELECT application_name FROM pg_stat_replication"
                    " WHERE sync_state = 'sync'",
                    &name) != 0 ||
        name[0] == 0) {
        result_blame(&p->result, "nobody is waited for: %s", name);
        free(name);
        return NULL;
    }
    name[strcspn(name, "\n")] = 0;
    return name;
}

static bool is_connected(struct play *p, enum site active, enum site from)
{
    AUTO(auto_free) char *output = NULL;
    AUTO(auto_free)
    char *sql = text_new("SELECT count(*) > 0 FROM pg_stat_replication"
                         " WHERE client_addr = '%s' AND state = 'streaming'",
                         site_address(from));

    return cluster_sql(p->cluster, active, sql, &output) == 0 && output[0] == 't';
}

/* `what` and the folder that it works in, for a shell, with the server to follow in
 * $CONNINFO. */
static void start_standby(struct play *p, const struct step *s, const char *what)
{
    enum { PATIENCE_MS = 20000, AGAIN_MS = 50 };
    enum site at = verbs_site(p, &s->arg[0]), active = view_get(p->view).active;
    int64_t until = now_ns() + (int64_t)PATIENCE_MS * NS_PER_MS;
    AUTO(auto_free) char *name = NULL;
    AUTO(auto_free) char *script = NULL;

    if (at == SITE_COUNT || active > WEST ||
        (name = name_of(p, s->arg[1].text, active)) == NULL)
        return;
    script = text_new("cd %s/%s; D=guest-%s; rm -rf $D; install -d -o postgres -m 0700 $D; "
                      "export PGPASSWORD=laboratory; "
                      "C='host=%s port=5432 user=ringfence application_name=%s'; %s",
                      p->cluster->ground.dir, site_name(at), s->arg[1].text,
                      site_address(active), name, what);
    start_guest(p, at, script);
    while (!is_connected(p, active, at)) {
        if (now_ns() > until) {
            result_blame(&p->result, "`%s`: it does not stream (guests.log)", s->line);
            return;
        }
        wait_ms(AGAIN_MS);
    }
}

/* It flushes and says so at once: to PostgreSQL it is as good as a standby. */
void verb_receive_wal(struct play *p, const struct step *s)
{
    start_standby(
        p, s, "exec " AS_POSTGRES PG_BIN "/pg_receivewal -D $D -d \"$C\" --synchronous");
}

void verb_copy_standby(struct play *p, const struct step *s)
{
    start_standby(p, s,
                  AS_POSTGRES PG_BIN
                  "/pg_basebackup -D $D -d \"$C\" -R -c fast; exec " AS_POSTGRES PG_BIN
                  "/postgres -D $D -c listen_addresses= -c port=5433 "
                  "-c unix_socket_directories=$PWD/$D");
}

/* Everything but its log of changes: no copy is ever started here, and that is large. */
static bool copy_host(struct play *p, const struct step *s, enum site from, enum site to)
{
    const struct ground *g = &p->cluster->ground;
    AUTO(auto_free) char *output = NULL;
    AUTO(auto_free)
    char *script = text_new(
        "cd %s; rm -rf %s/clone; mkdir %s/clone; "
        "tar -C %s --exclude='*.sock' --exclude='data/pg_wal/*' --ignore-failed-read "
        "-cf - . 2>/dev/null | tar -C %s/clone -xf -; "
        "sed -i -e 's/^address: .*/address: %s/' -e 's/^http: .*/http: %s:7403/' "
        "-e 's,%s/%s\\, driver,%s/%s\\, driver,' -e 's,%s/run},%s/%s/run},' "
        "%s/clone/ringfence-agent.yaml",
        g->dir, site_name(to), site_name(to), site_name(from), site_name(to),
        site_address(to), site_address(to), g->cgroup, site_name(from), g->cgroup,
        site_name(to), g->dir, g->dir, site_name(to), site_name(to));

    if (run_at(g, to, false, (const char *[]){"/bin/sh", "-ec", script, NULL}, &output) ==
        0)
        return true;
    result_blame(&p->result, "`%s`: %s", s->line, output);
    return false;
}

/* Two hosts of one image: same name, certificates, state and data, at another address. In
 * namespaces of its own, since the copy has the paths of the original, and does not see its
 * processes. */
void verb_clone_host(struct play *p, const struct step *s)
{
    enum site to = verbs_site(p, &s->arg[1]), from = verbs_data_site(p, &s->arg[0]);
    const char *dir = p->cluster->ground.dir;
    AUTO(auto_free) char *script = NULL;

    if (from == SITE_COUNT || to == SITE_COUNT || !copy_host(p, s, from, to))
        return;
    script = text_new("exec unshare -m -p --fork --kill-child --mount-proc /bin/sh -ec '"
                      "mount --bind %s/%s/clone %s/%s; exec %s/ringfence-agent --config "
                      "%s/%s/ringfence-agent.yaml'",
                      dir, site_name(to), dir, site_name(from), p->cluster->bin, dir,
                      site_name(from));
    start_guest(p, to, script);
}

void verb_end_guests(struct play *p, const struct step *s)
{
    (void)s;
    for (size_t i = 0; i < GUESTS_MAX; i++)
        process_signal(&p->guests[i], SIGKILL);
}

/* ---- sessions that take a server's places ---------------------------------------------
 */

struct occupation {
    struct play *play;
    enum site host;
    unsigned want, got;
};

static void *run_occupation(void *owner)
{
    struct occupation *o = owner;
    AUTO(auto_free)
    char *conninfo = text_new("host=%s %s", site_address(o->host), client_settings);

    ground_enter(&o->play->cluster->ground, CLIENT);
    for (; o->got < o->want && o->got < SESSIONS_MAX; o->got++) {
        PGconn *conn = PQconnectdb(conninfo);

        if (PQstatus(conn) != CONNECTION_OK) {
            PQfinish(conn);
            return NULL;
        }
        o->play->sessions[o->got] = conn;
    }
    return NULL;
}

void verb_occupy(struct play *p, const struct step *s)
{
    struct occupation o = {
        .play = p, .host = verbs_data_site(p, &s->arg[0]), .want = s->arg[1].number};
    pthread_t thread;

    if (o.host == SITE_COUNT)
        return;
    verb_vacate(p, s);
    if (pthread_create(&thread, NULL, run_occupation, &o) != 0)
        die("cannot start a thread");
    pthread_join(thread, NULL);
    view_tell(p->view, "  %u sessions were had", o.got);
}

void verb_vacate(struct play *p, const struct step *s)
{
    (void)s;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        PQfinish(p->sessions[i]); /* NULL is fine */
        p->sessions[i] = NULL;
    }
}
