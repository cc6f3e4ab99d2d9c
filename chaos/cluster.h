/* chaos/cluster.h -- three regions of Ringfence and a PostgreSQL pair, set up as a user
 * would.
 *
 * Certificates by `ringfence pki`, configuration files, initdb in east, `ringfence apply`;
 * west has no data at all: its agent clones it.
 *
 * Owner:   the main thread.
 * Errors:  what cannot be set up is die(), with the words of the program that failed.
 */
#ifndef RF_CHAOS_CLUSTER_H
#define RF_CHAOS_CLUSTER_H

#include <stdbool.h>

#include "chaos/clocks.h"
#include "chaos/ground.h"
#include "chaos/process.h"

enum driver { DRIVER_AUTO, DRIVER_NFT };

enum sync_mode { SYNC_OFF, SYNC_PREFERRED, SYNC_REQUIRED, SYNC_STRICT };

/* Times of one profile, in milliseconds. */
struct profile {
    unsigned ttl, renew, election, heartbeat;
};

/* fastest, fast, default and far at 500, 1000, 3000 and 6000; another TTL scales the next
 * lower one, or the fastest. */
struct profile profile_for(unsigned ttl_ms);

struct cluster {
    struct ground ground;
    struct profile profile;
    enum sync_mode sync;
    /* Of the group, at the next cluster_apply(): */
    bool adopt, standby_reads;
    bool power; /* hosts have BMCs, and `fence` is [agent, power]: an expiry proves nothing
                 */
    bool severed;            /* `fence` is [agent, sync_severed, lease_expiry] */
    enum driver driver;      /* of the gates */
    enum clocks clocks;      /* of controllers */
    bool disks;              /* that can fail */
    bool names;              /* files say controllers' hosts by name (names.h) */
    struct process resolver; /* with `names` */
    struct process bmcs[2];  /* EAST, WEST; with `power` */
    bool pooler;             /* a pgbouncer on each database host, its port gated, too */
    struct process poolers[2];
    bool ungated;            /* clients on the server's host are let in at any time */
    const char *fence;       /* of the group: levels, and lines below; NULL: by the above */
    enum site declared;      /* the active region; EAST unless said */
    char bin[256];           /* directory of ringfenced, ringfence-agent and ringfence */
    bool born[SITE_REGIONS]; /* its controller has begun its log */
    struct process controllers[SITE_REGIONS],
        agents[SITE_REGIONS]; /* agents: data regions */
};

#define GROUP_NAME "orders"

const char *sync_name(enum sync_mode m);
/* Nothing acknowledged may be lost: required, strict. */
bool sync_is_binding(enum sync_mode m);
bool sync_parse(const char *text, enum sync_mode *ret_mode);

/* After which a standby without a flush leaves the sync set. */
unsigned cluster_shrink_after_ms(const struct cluster *c);
/* After which a primary that takes no canary is hung. */
unsigned cluster_hung_after_ms(const struct cluster *c);

/* Everything up to `ringfence apply`; ground, profile, sync and bin are set. */
void cluster_make(struct cluster *c);

/* The programs of a region, or one of them; nothing to do for what runs. */
void cluster_start_region(struct cluster *c, enum site s);
void cluster_start_controller(struct cluster *c, enum site s);
void cluster_start_agent(struct cluster *c, enum site s);
/* The region is lost at one instant: controller, agent, PostgreSQL. */
void cluster_kill_region(struct cluster *c, enum site s);

/* The agent's name, its site, its API socket and the controller's; malloc'ed paths. */
const char *cluster_agent_name(enum site s);
enum site cluster_site_of_agent(const char *agent); /* SITE_COUNT: nobody's */
char *cluster_socket(const struct cluster *c, enum site s);
char *cluster_data_dir(const struct cluster *c, enum site s);
pid_t cluster_postmaster(const struct cluster *c, enum site s); /* 0: none */
pid_t cluster_guard(const struct cluster *c, enum site s);      /* 0: none */

bool cluster_server_runs(const struct cluster *c, enum site s); /* alive, not a zombie */

/* SQL for a server, by the superuser on its host; see cluster_cli(). Columns are apart by
 * '|', rows by line ends. */
int cluster_sql(const struct cluster *c, enum site s, const char *sql, char **ret_output);

/* `ringfence apply` of the group as it is declared now; see cluster_cli(). */
int cluster_apply(struct cluster *c, char **ret_output);

/* `ringfence --socket ... ARGS` against the first controller among witness, west, east that
 * runs; exit status, and the output malloc'ed. */
int cluster_cli(struct cluster *c, const char *const *args, char **ret_output);
/* The same, of the site's agent. */
int cluster_agent_cli(const struct cluster *c, enum site s, const char *const *args,
                      char **ret_output);

#endif
