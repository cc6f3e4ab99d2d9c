#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/provider/cluster.h"

static char template_dir[64];

int run(const char *fmt, ...)
{
    char command[1024];
    va_list args;
    int status;

    va_start(args, fmt);
    vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

bool path_exists(const char *fmt, ...)
{
    char path[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(path, sizeof path, fmt, args);
    va_end(args);
    return access(path, F_OK) == 0;
}

void append_line(const char *path, const char *line)
{
    FILE *f = fopen(path, "a");

    assert_non_null(f);
    fprintf(f, "%s\n", line);
    fclose(f);
}

uint64_t ms_since(struct mono then) { return mono_since_ms(then, mono_now()); }

void eventually(bool (*claim)(void *owner), void *owner, uint32_t ms)
{
    struct mono deadline = mono_plus_ms(mono_now(), ms);

    while (!claim(owner)) {
        assert_true(mono_since_ms(mono_now(), deadline) > 0);
        poll(NULL, 0, 2);
    }
}

static void find_bin(char bin[64])
{
    const char *named = getenv("RF_PG_BIN");

    snprintf(bin, 64, "%s", named != NULL ? named : "/usr/lib/postgresql/15/bin");
}

int world_group_setup(void **state)
{
    char bin[64], conf[96], hba[96];

    (void)state;
    if (geteuid() != 0) {
        fprintf(stderr, "this test needs root: it runs servers as the user postgres\n");
        return -1;
    }
    find_bin(bin);
    snprintf(template_dir, sizeof template_dir, "/tmp/rf-prov-XXXXXX");
    if (mkdtemp(template_dir) == NULL)
        return -1;
    /* In memory: what is tested is what survives a process, not a power cut. */
    if (mount("rf-prov", template_dir, "tmpfs", 0, "size=1g,mode=0755") != 0)
        return -1;
    snprintf(conf, sizeof conf, "%s/data/postgresql.conf", template_dir);
    snprintf(hba, sizeof hba, "%s/data/pg_hba.conf", template_dir);
    if (run("install -d -o postgres -m 0700 %s/data && cd / && "
            "setpriv --reuid postgres --regid postgres --clear-groups %s/initdb -D %s/data "
            "-U postgres -N --wal-segsize=1 -A trust -E UTF8 --locale=C >/dev/null 2>&1",
            template_dir, bin, template_dir) != 0)
        return -1;
    append_line(conf, "wal_log_hints = on\nfsync = off\nshared_buffers = 8MB\n"
                      "max_connections = 12\nmax_wal_size = 16MB\nmin_wal_size = 2MB\n"
                      "wal_keep_size = 4MB\nautovacuum = off\njit = off\n"
                      "synchronous_commit = on\nmax_wal_senders = 5\n"
                      "wal_sender_timeout = 20s\nwal_receiver_timeout = 20s");
    return run("printf 'local all postgres peer\\nhost all all 127.0.0.0/8 trust\\n"
               "host replication all 127.0.0.0/8 trust\\n' > %s",
               hba) == 0
               ? 0
               : -1;
}

int world_group_teardown(void **state)
{
    (void)state;
    return run("umount %s && rmdir %s", template_dir, template_dir);
}

/* A port that the kernel had free a moment ago. */
static uint32_t free_port(const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, address, &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void node_open(struct node *n)
{
    struct err err;

    assert_int_equal(provider_postgres.open(&n->provider, &n->spec, &err), 0);
    assert_int_equal(provider_postgres.open(&n->observer, &n->spec, &err), 0);
}

static void node_make(struct world *w, struct node *n, const char *name,
                      const char *address)
{
    static char postgres[] = "postgres", db[] = "db", start[] = "pg_ctl";

    snprintf(n->name, sizeof n->name, "%s", name);
    snprintf(n->address, sizeof n->address, "%s", address);
    snprintf(n->data, sizeof n->data, "%s/%s/data", w->dir, name);
    snprintf(n->socket, sizeof n->socket, "%s/%s/run", w->dir, name);
    n->options[0] = '\0';
    assert_int_equal(run("mkdir -p %s/%s", w->dir, name), 0);
    rf__server_spec__init(&n->spec);
    n->spec.provider = n->spec.superuser = n->spec.replication_user = postgres;
    n->spec.group = w->group;
    n->spec.component = db;
    n->spec.instance = n->name;
    n->spec.port = free_port(address);
    n->spec.data = n->data;
    n->spec.start = start;
    n->spec.address = n->address;
    n->spec.bin_dir = w->bin;
    n->spec.socket_dir = n->socket;
    n->spec.passfile = w->passfile;
    n->spec.tail_dir = w->tail;
    n->spec.options = n->options;
    node_open(n);
}

int world_begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    find_bin(w->bin);
    snprintf(w->dir, sizeof w->dir, "%s/world-XXXXXX", template_dir);
    if (mkdtemp(w->dir) == NULL || chmod(w->dir, 0755) != 0)
        return -1;
    /* "world-XXXXXX": unique, so that what is left in cgroups can be found. */
    snprintf(w->group, sizeof w->group, "%.15s", strrchr(w->dir, '/') + 1);
    snprintf(w->tail, sizeof w->tail, "%s/tail", w->dir);
    snprintf(w->passfile, sizeof w->passfile, "%s/passfile", w->dir);
    node_make(w, &w->east, "east", "127.0.0.1");
    node_make(w, &w->west, "west", "127.0.0.2");
    *state = w;
    return run("cp -a %s/data %s/east/data && install -o postgres -m 0600 /dev/null %s",
               template_dir, w->dir, w->passfile);
}

/* Sends to each process of the instance; tells how many there were. */
static int signal_each(struct node *n, int sig)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int found = 0;

    assert_non_null(proc);
    while ((entry = readdir(proc)) != NULL) {
        char path[300], cwd[512];
        ssize_t len;

        snprintf(path, sizeof path, "/proc/%s/cwd", entry->d_name);
        len = atoi(entry->d_name) > 1 ? readlink(path, cwd, sizeof cwd - 1) : -1;
        if (len <= 0)
            continue;
        cwd[len] = '\0';
        if (strcmp(cwd, n->data) == 0 && kill(atoi(entry->d_name), sig) == 0)
            found++;
    }
    closedir(proc);
    return found;
}

static bool is_gone(void *owner) { return signal_each(owner, 0) == 0; }

void signal_all(struct node *n, int sig)
{
    signal_each(n, sig);
    if (sig == SIGKILL)
        eventually(is_gone, n, 5000);
}

static void node_end(struct node *n)
{
    signal_all(n, SIGKILL);
    provider_postgres.close(n->provider);
    provider_postgres.close(n->observer);
}

int world_end(void **state)
{
    struct world *w = *state;

    node_end(&w->east);
    node_end(&w->west);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    run("umount %s 2>/dev/null; rmdir /sys/fs/cgroup/unified/ringfence-%s-* 2>/dev/null",
        w->tail, w->group);
    if (getenv("RF_KEEP") == NULL)
        run("rm -rf %s", w->dir);
    free(w);
    return 0;
}

Rf__Observation *see(struct node *n, bool canary)
{
    Rf__ProviderRequest request = RF__PROVIDER_REQUEST__INIT;
    Rf__ProviderPeer *peers[] = {&n->peer};
    Rf__Observation *seen = malloc(sizeof *seen);

    request.canary = canary;
    request.peers = peers;
    request.n_peers = n->peer.standby_name != NULL;
    rf__observation__init(seen);
    provider_postgres.observe(n->observer, &request, seen);
    return seen;
}

void see_free(Rf__Observation **seen)
{
    if (*seen != NULL)
        rf__observation__free_unpacked(*seen, NULL);
    *seen = NULL;
}

struct step step_make(Rf__StepKind kind, uint32_t deadline_ms)
{
    static uint64_t step = 100;
    struct step s = {.request = RF__STEP_REQUEST__INIT, .upstream = RF__UPSTREAM__INIT};

    s.request.kind = kind;
    s.request.step = ++step;
    s.request.epoch = 2;
    s.request.generation = step + 1000000; /* an index as well, and another entry's */
    s.request.deadline_ms = deadline_ms;
    s.request.synchronous = true;
    return s;
}

static void name_of(struct node *n, char name[64])
{
    snprintf(name, 64, "rf-orders-%s", n->name);
}

void know(struct node *n, struct node *other, const char *address, bool member)
{
    rf__provider_peer__init(&n->peer);
    name_of(other, n->peer_name);
    n->peer.standby_name = n->peer_name;
    n->peer.address = (char *)(uintptr_t)address; /* only read */
    n->peer.member = member;
}

void step_add_member(struct step *s, struct node *n)
{
    static char names[2][64];
    char *name = names[strcmp(n->name, "west") == 0];

    name_of(n, name);
    if (s->request.kind == RF__STEP_KIND__STEP_JOIN)
        s->request.joining = name;
    else
        s->members[s->request.n_members++] = name;
}

void step_follow(struct step *s, struct node *self, struct node *upstream)
{
    s->upstream.instance = upstream->name;
    s->upstream.address = upstream->address;
    s->upstream.port = upstream->spec.port;
    name_of(self, s->standby);
    snprintf(s->blocking, sizeof s->blocking, "rf-blocked-%s", self->name);
}

Rf__StepResult *step_do(struct node *n, struct step *s)
{
    Rf__ProviderRequest request = RF__PROVIDER_REQUEST__INIT;
    Rf__ProviderPeer *peers[] = {&n->peer};
    Rf__StepResult *result = malloc(sizeof *result);

    if (s->upstream.port != 0)
        s->request.upstream = &s->upstream;
    s->request.members = s->members;
    s->request.standby_name = s->standby;
    s->request.blocking_name = s->blocking;
    rf__step_result__init(result);
    request.step = &s->request;
    request.peers = peers;
    request.n_peers = n->peer.standby_name != NULL;
    provider_postgres.step(n->provider, &request, result);
    assert_true(result->step == s->request.step);
    assert_non_null(result->seen);
    return result;
}

void result_free(Rf__StepResult **result)
{
    if (*result != NULL)
        rf__step_result__free_unpacked(*result, NULL);
    *result = NULL;
}

static void step_done(struct node *n, struct step *s)
{
    AUTO(result_free) Rf__StepResult *result = step_do(n, s);

    ASSERT_OK(result);
}

void lead(struct node *n)
{
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 10000);

    step_done(n, &s);
}

void follow(struct node *n, struct node *upstream)
{
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 20000);

    step_follow(&s, n, upstream);
    step_done(n, &s);
}

void join(struct node *n, struct node *member)
{
    struct step s = step_make(RF__STEP_KIND__STEP_JOIN, 5000);

    step_add_member(&s, member);
    step_done(n, &s);
}

void stop(struct node *n)
{
    struct step s = step_make(RF__STEP_KIND__STEP_STOP, 5000);

    step_done(n, &s);
}

PGconn *client(struct node *n)
{
    char conninfo[256];
    PGconn *c;

    snprintf(conninfo, sizeof conninfo,
             "host=%s port=%u user=postgres dbname=postgres connect_timeout=2", n->address,
             n->spec.port);
    c = PQconnectdb(conninfo);
    if (PQstatus(c) == CONNECTION_OK)
        return c;
    PQfinish(c);
    return NULL;
}

void client_ask(PGconn *c, const char *sql, char value[256])
{
    PGresult *r = PQexec(c, sql);

    snprintf(value, 256, "%s",
             PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0 ? PQgetvalue(r, 0, 0)
                                                                      : "");
    PQclear(r);
}

bool client_run(PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);
    bool good =
        PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;

    if (!good)
        print_error("%s: %s", sql, PQerrorMessage(c));
    PQclear(r);
    return good;
}

bool client_write(PGconn **c, int row, int ms)
{
    struct mono deadline = mono_plus_ms(mono_now(), (uint64_t)ms);
    char sql[96];
    PGresult *r;
    bool good;

    snprintf(sql, sizeof sql, "INSERT INTO rows VALUES (%d)", row);
    assert_int_equal(PQsendQuery(*c, sql), 1);
    while (PQconsumeInput(*c) == 1 && PQisBusy(*c)) {
        struct pollfd p = {.fd = PQsocket(*c), .events = POLLIN};
        int left = (int)mono_since_ms(mono_now(), deadline);

        if (left <= 0 || poll(&p, 1, left) == 0) {
            PQfinish(*c);
            *c = NULL;
            return false;
        }
    }
    r = PQgetResult(*c);
    good = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    while ((r = PQgetResult(*c)) != NULL)
        PQclear(r);
    return good;
}

int count_rows(struct node *n)
{
    PGconn *c = client(n);
    char value[256];

    assert_non_null(c);
    client_ask(c, "SELECT count(*) FROM rows", value);
    PQfinish(c);
    return atoi(value);
}

pid_t backend_of_type(struct node *n, const char *type)
{
    PGconn *c = client(n);
    char sql[160], value[256];

    assert_non_null(c);
    snprintf(sql, sizeof sql,
             "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = '%s'", type);
    client_ask(c, sql, value);
    PQfinish(c);
    assert_true(atoi(value) > 1);
    return atoi(value);
}
