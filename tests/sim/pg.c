#include "tests/sim/pg.h"

#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/mutant.h"
#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/net.h"

struct pair_of_servers pgs[WORLD_GROUPS_MAX];

struct server *pg_server(uint8_t host, uint8_t group) { return &pgs[group].of[host]; }

/* ---- life ------------------------------------------------------------------------------
 */

void pg_begin(void)
{
    memset(pgs, 0, sizeof pgs);
    for (uint8_t g = 0; g < sim.groups; g++) {
        uint8_t pairs = (uint8_t)(sim.hosts / 2);

        pgs[g].hosts[0] = (uint8_t)(g % pairs * 2);
        pgs[g].hosts[1] = (uint8_t)(pgs[g].hosts[0] + 1);
        for (uint8_t h = 0; h < HOSTS_MAX; h++) {
            struct server *s = pg_server(h, g);

            s->state = h == pgs[g].hosts[0] ? SERVER_DOWN : SERVER_ABSENT;
            s->timeline = 1;
            s->upstream = NOBODY;
            s->blocked = s->clean = true;
        }
    }
}

void pg_end(void)
{
    for (uint8_t g = 0; g < sim.groups; g++) {
        for (uint8_t h = 0; h < HOSTS_MAX; h++)
            free(pgs[g].of[h].wal);
        free(pgs[g].writes);
        history_free(&pgs[g].history);
    }
}

static bool runs(const struct server *s) { return s->pid != 0; }

void pg_drop_clients(uint8_t host, uint8_t group)
{
    pg_server(host, group)->waiting_count = 0;
}

void pg_release_clients(uint8_t host, uint8_t group)
{
    struct server *s = pg_server(host, group);

    for (unsigned i = 0; i < s->waiting_count; i++)
        s->waiting[i].epoch = 0;
}

void pg_stop(uint8_t host, uint8_t group, bool clean)
{
    struct server *s = pg_server(host, group);
    int fd = FAKE_FD + s->pid;

    if (!runs(s))
        return;
    s->state = SERVER_DOWN;
    s->pid = 0;
    s->clean = clean;
    s->hung = s->streaming = false;
    pg_drop_clients(host, group);
    uv_fd_ready(&sim.procs[CTLS + host], fd);
    judge_group(group);
}

void pg_crash(uint8_t host, uint8_t group)
{
    /* Recovery drops the statistics, not the damage: the log has it by then, or nobody. */
    pg_server(host, group)->checksum_failures = 0;
    if (!runs(pg_server(host, group)))
        return;
    sim_note("%s: the server of group %u is gone", node_name((uint8_t)(CTLS + host)),
             group);
    pg_stop(host, group, false);
}

static enum disk_state disk_of(uint8_t host) { return machines[CTLS + host].servers_disk; }

/* A sync of the WAL that fails is a PANIC; where there is no room, transactions fail, and
 * a PANIC comes when no segment can be made either. True: nothing is written. */
static bool disk_refuses(uint8_t host, uint8_t group)
{
    enum disk_state d = disk_of(host);

    if (d != DISK_FAILING && d != DISK_FULL)
        return false;
    if (d == DISK_FAILING || sim_chance(100))
        pg_crash(host, group);
    return true;
}

/* Whoever started it may be gone by then. Recovery ends with a checkpoint. */
static void on_started(void *arg, uint64_t number)
{
    uint8_t host = (uint8_t)(number & 255), group = (uint8_t)(number >> 8 & 255);
    struct server *s = pg_server(host, group);

    (void)arg;
    if (s->state != SERVER_STARTING || s->pid != (int32_t)(number >> 16))
        return;
    if (disk_of(host) == DISK_FAILING || (disk_of(host) == DISK_FULL && sim_chance(700))) {
        pg_crash(host, group);
        return;
    }
    s->state = s->standby_dir ? SERVER_STANDBY : SERVER_PRIMARY;
    judge_group(group);
}

void pg_start(uint8_t host, uint8_t group)
{
    struct server *s = pg_server(host, group);
    struct moment *e =
        sim_at(sim.now + sim_between(15, 300) * NS_PER_MS, NULL, on_started, NULL);

    s->pid = ++machines[CTLS + host].next_pid;
    s->start_ms = sim.now / NS_PER_MS + 1;
    s->generation = 0;
    s->state = SERVER_STARTING;
    s->hung = s->streaming = s->cut = false;
    e->number = (uint64_t)s->pid << 16 | (uint64_t)group << 8 | host;
}

bool pg_pid_lives(uint8_t node, int pid)
{
    for (uint8_t g = 0; g < sim.groups; g++)
        if (pid != 0 && pg_server((uint8_t)(node - CTLS), g)->pid == pid)
            return true;
    return false;
}

void pg_set_names(struct server *s, char *const *names, size_t n, uint64_t generation)
{
    ASSERT(n <= MEMBERS_MAX);
    s->name_count = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(names[i]) + 1;

        ASSERT(size <= STANDBY_NAME);
        memcpy(s->names[i], names[i], size);
    }
    s->generation = generation;
    s->blocked = false;
    s->in_force_at = 0;
}

void pg_show_names(struct server *s, char *const *names, size_t n, uint64_t generation)
{
    memcpy(s->old_names, s->names, sizeof s->old_names);
    s->old_count = s->name_count;
    pg_set_names(s, names, n, generation);
    s->in_force_at = sim.now + sim_between(0, 60) * NS_PER_MS;
}

/* ---- WAL -------------------------------------------------------------------------------
 */

static void reserve(struct server *s, int n)
{
    if (n <= s->cap)
        return;
    s->cap = n + n / 2 + 256;
    s->wal = reallocarray(s->wal, (size_t)s->cap, sizeof *s->wal);
    ASSERT(s->wal != NULL);
}

int pg_append(uint8_t host, uint8_t group)
{
    struct server *s = pg_server(host, group);
    struct pair_of_servers *p = &pgs[group];

    if (p->write_count == p->write_cap) {
        p->write_cap = 2 * p->write_cap + 512;
        p->writes = reallocarray(p->writes, (size_t)p->write_cap, sizeof *p->writes);
        ASSERT(p->writes != NULL);
    }
    p->writes[p->write_count++] = (struct write){.at = sim.now};
    reserve(s, s->len + 1);
    s->wal[s->len++] = p->write_count;
    return p->write_count;
}

void pg_copy(struct server *to, const struct server *from)
{
    if (from->len > 0) {
        reserve(to, from->len);
        memcpy(to->wal, from->wal, (size_t)from->len * sizeof *from->wal);
    }
    to->len = from->len;
    to->timeline = from->timeline;
    to->checksum_failures = 0; /* other pages */
}

/* How long the two logs are the same. Ids only grow within a log, so two logs that agree
 * at n agree before it. */
int pg_common(const struct server *a, const struct server *b)
{
    int same = a->len < b->len ? a->len : b->len;

    while (same > 0 && a->wal[same - 1] != b->wal[same - 1])
        same--;
    return same;
}

/* Packets of replication pass between the two, and the server answers. */
bool pg_flows(uint8_t group, uint8_t up, uint8_t standby)
{
    uint8_t a = (uint8_t)(CTLS + up), b = (uint8_t)(CTLS + standby);
    const struct server *s = pg_server(up, group);

    return net_linked(a, b) && net_linked(b, a) && gate_lets_peers(up, group, standby) &&
           gate_lets_peers(standby, group, up) && s->state == SERVER_PRIMARY && !s->hung;
}

void pg_stream_once(uint8_t host, uint8_t group)
{
    struct server *s = pg_server(host, group);
    const struct server *up;

    s->streaming = false;
    if (s->state != SERVER_STANDBY || s->upstream == NOBODY || s->upstream == host ||
        s->cut || s->hung || !pg_flows(group, s->upstream, host))
        return;
    up = pg_server(s->upstream, group);
    if (pg_common(s, up) != s->len || (up->len > s->len && disk_refuses(host, group)))
        return;
    s->streaming = true;
    if (sim.noisy && sim_chance(100))
        return;
    reserve(s, up->len);
    if (up->len > s->len)
        memcpy(s->wal + s->len, up->wal + s->len,
               (size_t)(up->len - s->len) * sizeof *up->wal);
    s->len = up->len;
    s->timeline = up->timeline;
}

/* The answer of a standby that was severed since is on its way, or has come. */
static bool was_told(const struct server *s, uint8_t by, const char *name, int pos)
{
    return sim.now < s->told_until && s->told == by && s->told_len >= pos &&
           strcmp(s->told_name, name) == 0;
}

void pg_sever(uint8_t host, uint8_t group)
{
    struct server *s = pg_server(host, group);

    if (s->streaming) {
        s->told = s->upstream;
        s->told_len = s->len;
        memcpy(s->told_name, s->follow_name, sizeof s->told_name);
        s->told_until = sim.now + sim_between(0, 400) * NS_PER_MS;
    }
    s->streaming = false;
    s->cut = true;
    s->upstream = MUTANT(severed_until_restart, NOBODY, s->upstream);
}

static bool has_flushed(uint8_t host, uint8_t group, const char *name, int pos)
{
    for (uint8_t h = 0; h < sim.hosts; h++) {
        const struct server *s = pg_server(h, group);

        if (h != host && s->streaming && s->upstream == host && s->len >= pos &&
            strcmp(s->follow_name, name) == 0)
            return true;
        if (h != host && was_told(s, host, name, pos))
            return true;
    }
    return false;
}

bool pg_all_flushed(uint8_t host, uint8_t group, int pos)
{
    const struct server *s = pg_server(host, group);

    bool old = sim.now < s->in_force_at;
    unsigned n = old ? s->old_count : s->name_count;

    if (s->blocked)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!has_flushed(host, group, old ? s->old_names[i] : s->names[i], pos))
            return false;
    return true;
}

/* ---- clients ---------------------------------------------------------------------------
 */

/* A waiting commit is acknowledged in the instant in which the packet can pass. */
static void acknowledge(uint8_t host, uint8_t group)
{
    struct server *s = pg_server(host, group);
    unsigned left = 0;

    if (s->waiting_count == 0 || s->state != SERVER_PRIMARY || s->hung ||
        !gate_is_open(host, group))
        return;
    for (unsigned i = 0; i < s->waiting_count; i++) {
        if (pg_all_flushed(host, group, s->waiting[i].pos))
            judge_ack(host, group, s->waiting[i].id, s->waiting[i].epoch);
        else
            s->waiting[left++] = s->waiting[i];
    }
    s->waiting_count = left;
}

static void write_something(uint8_t host, uint8_t group)
{
    struct server *s = pg_server(host, group);
    const struct cell *c = &gates[host].cells[group];
    int id;

    if (s->state != SERVER_PRIMARY || s->hung || !gate_is_open(host, group) ||
        s->waiting_count == CLIENTS_WAIT_MAX || sim.now < s->next_write)
        return;
    s->next_write = sim.now + (uint64_t)WRITE_EACH_MS * NS_PER_MS;
    if (disk_refuses(host, group))
        return;
    id = pg_append(host, group);
    s->waiting[s->waiting_count++] =
        (struct waiting){id, s->len, c->managed ? c->st.epoch : 0};
    judge_sent(host, group, id);
}

static uint64_t next_tick(void)
{
    return sim.now + sim_between(2, sim.groups > 1 ? 180 : 24) * NS_PER_MS;
}

static void on_tick(void *arg, uint64_t number)
{
    uint8_t group = (uint8_t)number;
    struct moment *e;

    (void)arg;
    for (unsigned i = 0; i < 2; i++) {
        write_something(pgs[group].hosts[i], group);
        pg_stream_once(pgs[group].hosts[i], group);
    }
    for (unsigned i = 0; i < 2; i++)
        acknowledge(pgs[group].hosts[i], group);
    e = sim_at(next_tick(), NULL, on_tick, NULL);
    e->number = number;
}

void pg_start_clients(void)
{
    for (uint8_t g = 0; g < sim.groups; g++) {
        struct moment *e = sim_at(next_tick(), NULL, on_tick, NULL);

        e->number = g;
    }
}
