/* tests/sim/pg.h -- PostgreSQL as far as promises go: WAL as a list of writes, who streams
 * from whom, who acknowledges when; and the clients, who remember every acknowledgement.
 *
 * A position in the WAL is WAL_START plus the number of writes before it, so a write counts
 * one byte. provider.c lets provider processes act on these servers.
 */
#ifndef RF_SIM_PG_H
#define RF_SIM_PG_H

#include "controller/core/observe.h"
#include "tests/sim/world.h"

enum {
    WAL_START = 1 << 24,
    WRITE_EACH_MS = 20,
    WRITE_RATE = 1000 / WRITE_EACH_MS, /* bytes a second, at most */
    MEMBERS_MAX = 4,
    STANDBY_NAME = 64,
    CLIENTS_WAIT_MAX = 256,
    SYSTEM_ID = 7000, /* plus the group's number */
};

struct waiting {
    int id, pos;
    uint64_t epoch; /* under which it was sent; 0: under none */
};

struct server {
    enum server_state state;
    bool standby_dir; /* standby.signal, or the control file of a standby */
    int *wal;
    int len, cap;
    uint32_t timeline;
    int32_t pid;       /* 0: no postmaster */
    int32_t shown_pid; /* the last one whose recovered log clients could see */
    uint64_t start_ms;
    bool hung, streaming, blocked, clean;
    uint8_t upstream; /* host; NOBODY: none */
    bool cut;         /* it takes nothing of its upstream until it is started again */
    /* Severed: what its upstream has been told of by then, under which name, and until when
     * it may come to acknowledge by that. */
    uint8_t told;
    int told_len;
    char told_name[STANDBY_NAME];
    uint64_t told_until;
    char follow_name[STANDBY_NAME];
    char names[MEMBERS_MAX][STANDBY_NAME]; /* whom commits wait for */
    unsigned name_count;
    /* Until then some walsender still counts by the names before, whatever is shown. */
    uint64_t in_force_at;
    char old_names[MEMBERS_MAX][STANDBY_NAME];
    unsigned old_count;
    uint64_t generation;
    struct waiting waiting[CLIENTS_WAIT_MAX];
    unsigned waiting_count;
    uint64_t checksum_failures; /* counted by this life of it */
    uint64_t tail;       /* divergent WAL that was put aside, as the provider knows it */
    uint64_t next_write; /* clients wait a little between two */
};

struct write { /* by id - 1 */
    bool acked;
    uint64_t at;
};

struct pair_of_servers {
    struct server of[HOSTS_MAX];
    uint8_t hosts[2]; /* instances by position */
    struct write *writes;
    int write_count, write_cap;
    uint64_t acks, acks_healed;
    struct history history;
};

extern struct pair_of_servers pgs[WORLD_GROUPS_MAX];

void pg_begin(void);
void pg_end(void);
void pg_start_clients(void);

struct server *pg_server(uint8_t host, uint8_t group);
void pg_crash(uint8_t host, uint8_t group);
void pg_stop(uint8_t host, uint8_t group, bool clean);
void pg_start(uint8_t host, uint8_t group);
void pg_set_names(struct server *s, char *const *names, size_t n, uint64_t generation);
/* The same, shown at once and in force a little later, as by a reload. */
void pg_show_names(struct server *s, char *const *names, size_t n, uint64_t generation);
void pg_drop_clients(uint8_t host, uint8_t group);
/* No gate stands before them any more: they are no epoch's. */
void pg_release_clients(uint8_t host, uint8_t group);
int pg_append(uint8_t host, uint8_t group); /* the id of the new write */
void pg_stream_once(uint8_t host, uint8_t group);
/* It takes no more of its upstream's log, whoever starts it, until it follows anew. */
void pg_sever(uint8_t host, uint8_t group);
int pg_common(const struct server *a, const struct server *b);
bool pg_flows(uint8_t group, uint8_t upstream, uint8_t standby);
bool pg_all_flushed(uint8_t host, uint8_t group, int pos);
void pg_copy(struct server *to, const struct server *from);
bool pg_pid_lives(uint8_t node, int pid);

#endif
