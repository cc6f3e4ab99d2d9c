/* chaos/cluster.c */
#include "chaos/cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "chaos/api.h"
#include "chaos/base.h"
#include "chaos/client.h"
#include "chaos/disks.h"
#include "chaos/workload.h"
#include "chaos/files.h"
#include "chaos/pooler.h"

static const char initdb[] = "/usr/lib/postgresql/15/bin/initdb";
static const char pg_ctl[] = "/usr/lib/postgresql/15/bin/pg_ctl";

static const char *const sync_names[] = {
    [SYNC_OFF] = "off",
    [SYNC_PREFERRED] = "preferred",
    [SYNC_REQUIRED] = "required",
    [SYNC_STRICT] = "strict",
};

const char *sync_name(enum sync_mode m) { return sync_names[m]; }

bool sync_is_binding(enum sync_mode m) { return m == SYNC_REQUIRED || m == SYNC_STRICT; }

bool sync_parse(const char *text, enum sync_mode *ret_mode)
{
    for (size_t i = 0; i < ARRAY_LEN(sync_names); i++) {
        if (strcmp(text, sync_names[i]) != 0)
            continue;
        *ret_mode = (enum sync_mode)i;
        return true;
    }
    return false;
}

struct profile profile_for(unsigned ttl_ms)
{
    static const struct profile known[] = {{500, 60, 150, 30},
                                           {1000, 150, 300, 50},
                                           {3000, 300, 900, 100},
                                           {6000, 600, 1500, 250}};
    struct profile p = known[0];

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].ttl <= ttl_ms)
            p = known[i];
    return (struct profile){.ttl = ttl_ms,
                            .renew = p.renew * ttl_ms / p.ttl,
                            .election = p.election * ttl_ms / p.ttl,
                            .heartbeat = p.heartbeat * ttl_ms / p.ttl};
}

unsigned cluster_shrink_after_ms(const struct cluster *c) { return 2 * c->profile.ttl; }

unsigned cluster_hung_after_ms(const struct cluster *c)
{
    enum { LEAST_MS = 2000 };

    return 2 * c->profile.ttl > LEAST_MS ? 2 * c->profile.ttl : LEAST_MS;
}

const char *cluster_agent_name(enum site s) { return s == EAST ? "pg-east" : "pg-west"; }

enum site cluster_site_of_agent(const char *agent)
{
    for (enum site s = EAST; s <= WEST; s++)
        if (strcmp(agent, cluster_agent_name(s)) == 0)
            return s;
    return SITE_COUNT;
}

static char *path_in(const struct cluster *c, enum site s, const char *file)
{
    return text_new("%s/%s/%s", c->ground.dir, site_name(s), file);
}

char *cluster_socket(const struct cluster *c, enum site s)
{
    return path_in(c, s, "ringfenced.sock");
}

char *cluster_data_dir(const struct cluster *c, enum site s)
{
    return path_in(c, s, "data");
}

static char *program_path(const struct cluster *c, const char *name)
{
    char *path = text_new("%s/%s", c->bin, name);

    if (access(path, X_OK) != 0)
        die("%s is not there: build it first (deploy/demo does)", path);
    return path;
}

/* `last`: one more argument, or NULL; `env`: program.env. */
static void start_program(struct cluster *c, enum site s, const char *name,
                          struct process *p, const char *last, const char *const *env)
{
    AUTO(auto_free) char *path = program_path(c, name);
    AUTO(auto_free)
    char *config = text_new("%s/%s/%s.yaml", c->ground.dir, site_name(s), name);
    AUTO(auto_free)
    char *log = text_new("%s/log/%s-%s.log", c->ground.dir, name, site_name(s));

    if (process_running(p))
        return;
    process_start(p, &c->ground,
                  &(struct program){
                      .site = s,
                      .log = log,
                      .argv = (const char *[]){path, "--config", config, last, NULL},
                      .env = env,
                  });
}

void cluster_start_controller(struct cluster *c, enum site s)
{
    struct clock_env env;

    clocks_env(&env, &c->ground, c->clocks, s);
    /* Once in its life, and never after it has lost its disk. */
    start_program(c, s, "ringfenced", &c->controllers[s], c->born[s] ? NULL : "--bootstrap",
                  env.list);
    c->born[s] = true;
}

void cluster_start_agent(struct cluster *c, enum site s)
{
    start_program(c, s, "ringfence-agent", &c->agents[s], NULL, NULL);
}

void cluster_start_region(struct cluster *c, enum site s)
{
    cluster_start_controller(c, s);
    if (s == WITNESS)
        return;
    cluster_start_agent(c, s);
    if (c->pooler)
        pooler_start(&c->ground, s, &c->poolers[s]);
}

void cluster_kill_region(struct cluster *c, enum site s)
{
    ground_kill_site(&c->ground, s);
    /* They are dead; this collects them. */
    process_signal(&c->controllers[s], SIGKILL);
    process_signal(&c->agents[s], SIGKILL);
    if (s != WITNESS)
        process_signal(&c->poolers[s], SIGKILL);
}

pid_t cluster_postmaster(const struct cluster *c, enum site s)
{
    AUTO(auto_free) char *path = path_in(c, s, "data/postmaster.pid");
    AUTO(auto_free) char *text = file_read(path);

    return text != NULL ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* It moves into a cgroup of its own, below its agent's. */
pid_t cluster_guard(const struct cluster *c, enum site s)
{
    AUTO(auto_free)
    char *path = text_new("%s/%s/guard-%s/cgroup.procs", c->ground.cgroup, site_name(s),
                          cluster_agent_name(s));
    AUTO(auto_free) char *text = file_read(path);

    return text != NULL ? (pid_t)strtol(text, NULL, 10) : 0;
}

bool cluster_server_runs(const struct cluster *c, enum site s)
{
    pid_t pid = cluster_postmaster(c, s);
    AUTO(auto_free) char *path = text_new("/proc/%d/cmdline", (int)pid);
    AUTO(auto_free) char *command = pid > 0 ? file_read(path) : NULL;

    /* A zombie has no command line; another program that got its number has another one. */
    return command != NULL && strstr(command, "postgres") != NULL;
}

static int ask(const struct cluster *c, enum site at, const char *socket,
               const char *const *args, char **ret_output)
{
    enum { ARGS_MAX = 16 };
    AUTO(auto_free) char *path = program_path(c, "ringfence");
    const char *argv[ARGS_MAX] = {path, "--socket", socket};
    size_t n = 3;

    for (size_t i = 0; args[i] != NULL && n < ARGS_MAX - 1; i++)
        argv[n++] = args[i];
    return run_at(&c->ground, at, false, argv, ret_output);
}

int cluster_cli(struct cluster *c, const char *const *args, char **ret_output)
{
    static const enum site order[] = {WITNESS, WEST, EAST};
    AUTO(auto_free) char *socket = NULL;
    enum site at = order[0];

    for (size_t i = ARRAY_LEN(order); i > 0; i--)
        if (process_running(&c->controllers[order[i - 1]]))
            at = order[i - 1];
    socket = cluster_socket(c, at);
    return ask(c, at, socket, args, ret_output);
}

int cluster_agent_cli(const struct cluster *c, enum site s, const char *const *args,
                      char **ret_output)
{
    AUTO(auto_free) char *socket = path_in(c, s, "ringfence-agent.sock");

    return ask(c, s, socket, args, ret_output);
}

static void issue_certificates(struct cluster *c)
{
    static const char *const controllers[] = {"east", "west", "witness"};
    AUTO(auto_free) char *cli = program_path(c, "ringfence");
    AUTO(auto_free) char *dir = text_new("%s/pki", c->ground.dir);

    run_here((const char *[]){cli, "pki", "init", "--dir", dir, "--cluster", "laboratory",
                              NULL});
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
        run_here((const char *[]){cli, "pki", "issue", "--dir", dir, "controller",
                                  controllers[i], NULL});
    for (enum site s = EAST; s <= WEST; s++)
        run_here((const char *[]){cli, "pki", "issue", "--dir", dir, "agent",
                                  cluster_agent_name(s), NULL});
}

/* Under which the second factors of people are sealed: 32 bytes, the same everywhere. */
static void make_secrets_key(const struct cluster *c)
{
    AUTO(auto_free) char *path = text_new("%s/pki/secrets.key", c->ground.dir);
    uint64_t part[4];
    char digits[4 * 16 + 2];

    if (getrandom(part, sizeof part, 0) != (ssize_t)sizeof part)
        die("getrandom: %s", strerror(errno));
    snprintf(digits, sizeof digits,
             "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "\n", part[0], part[1],
             part[2], part[3]);
    file_write(path, 0600, digits);
}

static void write_in(const struct cluster *c, enum site s, const char *file, char *text)
{
    AUTO(auto_free) char *path = path_in(c, s, file);

    file_write(path, 0644, text);
    free(text);
}

/* A directory, and where the laboratory has them a disk in its place. */
static void make_place(const struct cluster *c, enum site s, enum disk d, mode_t mode,
                       uid_t owner, gid_t group)
{
    AUTO(auto_free) char *path = disk_path(&c->ground, s, d);

    make_dir(path, mode, owner, group);
    if (!c->disks)
        return;
    disk_make(&c->ground, s, d);
    make_dir(path, mode, owner, group);
}

static void write_region(const struct cluster *c, enum site s,
                         const struct passwd *postgres)
{
    AUTO(auto_free) char *sockets = path_in(c, s, "pg");
    AUTO(auto_free) char *passfile = path_in(c, s, "pgpass");

    /* The server's user makes its directory here, and cannot touch root's files beside it:
     * an agent refuses a configuration that others could replace. */
    make_place(c, s, DISK_SERVER, 01775, 0, postgres->pw_gid);
    make_place(c, s, DISK_CONTROLLER, 0700, 0, 0);
    clocks_begin(&c->ground, s);
    write_in(c, s, "ringfenced.yaml", file_controller(c, s));
    if (s == WITNESS)
        return;
    make_place(c, s, DISK_AGENT, 0700, 0, 0);
    make_dir(sockets, 0700, postgres->pw_uid, postgres->pw_gid);
    make_place(c, s, DISK_TAILS, 0700, postgres->pw_uid, postgres->pw_gid);
    file_write(passfile, 0600, file_passfile);
    if (chown(passfile, postgres->pw_uid, postgres->pw_gid) != 0)
        die("owner of %s", passfile);
    write_in(c, s, "ringfence-agent.yaml", file_agent(c, s));
}

int cluster_sql(const struct cluster *c, enum site s, const char *sql, char **ret_output)
{
    AUTO(auto_free) char *sockets = path_in(c, s, "pg");

    return run_at(&c->ground, s, true,
                  (const char *[]){"/usr/bin/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h",
                                   sockets, "-d", "postgres", "-c", sql, NULL},
                  ret_output);
}

static void psql(const struct cluster *c, const char *sql)
{
    AUTO(auto_free) char *output = NULL;

    if (cluster_sql(c, EAST, sql, &output) != 0)
        die("psql: %s", output);
}

/* The pair is born as one server with the tables in it; from then on only its agent starts
 * it (I9). */
static void make_database(const struct cluster *c)
{
    AUTO(auto_free) char *data = cluster_data_dir(c, EAST);
    AUTO(auto_free) char *conf = path_in(c, EAST, "data/postgresql.conf");
    AUTO(auto_free) char *hba = path_in(c, EAST, "data/pg_hba.conf");
    AUTO(auto_free) char *log = path_in(c, EAST, "birth.log");
    AUTO(auto_free)
    char *start = text_new("-c listen_addresses= -k %s/east/pg", c->ground.dir);
    AUTO(auto_free) char *old = NULL;
    AUTO(auto_free) char *settings = NULL;

    free(
        must_run_at(&c->ground, EAST, true,
                    (const char *[]){initdb, "-D", data, "-U", "postgres", "-A", "peer",
                                     "-E", "UTF8", "--locale=C", "-k", "--no-sync", NULL}));
    old = file_read(conf);
    settings = text_new("%s%s%s", old != NULL ? old : "", file_settings,
                        c->sync != SYNC_OFF ? file_commits_alone : "");
    file_write(conf, 0600, settings);
    file_write(hba, 0600, file_hba);
    free(must_run_at(&c->ground, EAST, true,
                     (const char *[]){pg_ctl, "start", "-w", "-s", "-D", data, "-l", log,
                                      "-o", start, NULL}));
    psql(c, file_grants);
    psql(c, client_schema);
    psql(c, workload_schema);
    free(must_run_at(
        &c->ground, EAST, true,
        (const char *[]){pg_ctl, "stop", "-w", "-s", "-m", "fast", "-D", data, NULL}));
}

int cluster_apply(struct cluster *c, char **ret_output)
{
    AUTO(auto_free) char *path = text_new("%s/group.yaml", c->ground.dir);
    AUTO(auto_free) char *text = file_group(c);

    file_write(path, 0644, text);
    return cluster_cli(c, (const char *[]){"apply", "-f", path, NULL}, ret_output);
}

static bool agents_are_known(struct cluster *c)
{
    AUTO(auto_free) char *socket = cluster_socket(c, WITNESS);
    json_t *status = api_get(socket, "/api/v1/status");
    const json_t *agents = json_object_get(status, "agents");
    bool known = true;

    for (enum site s = EAST; s <= WEST; s++)
        known = known && doc_find(agents, "name", cluster_agent_name(s)) != NULL;
    json_decref(status);
    return known;
}

/* The controllers elect and the agents enrol first; a group names agents that are known. */
static void apply_group(struct cluster *c)
{
    enum { PATIENCE_MS = 30000, AGAIN_MS = 50 };
    AUTO(auto_free) char *output = NULL;
    int64_t until = now_ns() + (int64_t)PATIENCE_MS * NS_PER_MS;

    while (!agents_are_known(c)) {
        if (now_ns() > until)
            die("the agents were not enrolled within %d s: see their logs (--logs)",
                PATIENCE_MS / 1000);
        wait_ms(AGAIN_MS);
    }
    if (cluster_apply(c, &output) != 0)
        die("ringfence apply: %s", output);
}

void cluster_make(struct cluster *c)
{
    const struct passwd *postgres = getpwnam("postgres");

    if (postgres == NULL)
        die("no user `postgres`: run deploy/install-deps");
    issue_certificates(c);
    make_secrets_key(c);
    for (enum site s = EAST; s < SITE_REGIONS; s++)
        write_region(c, s, postgres);
    make_database(c);
    for (enum site s = EAST; c->disks && s < SITE_REGIONS; s++)
        disk_settle(&c->ground, s);
    for (enum site s = EAST; s < SITE_REGIONS; s++)
        cluster_start_region(c, s);
    apply_group(c);
}
