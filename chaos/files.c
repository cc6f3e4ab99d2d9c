/* chaos/files.c */
#include "chaos/files.h"

#include "chaos/base.h"
#include "chaos/bmc.h"
#include "chaos/names.h"

const char file_hba[] = "local all postgres peer\n"
                        "host replication ringfence 10.77.0.0/16 scram-sha-256\n"
                        "host all ringfence 10.77.0.0/16 scram-sha-256\n"
                        "host all writer 10.77.0.0/16 trust\n";

const char file_settings[] = "wal_log_hints = on\n"
                             "fsync = on\n"
                             "shared_buffers = 32MB\n"
                             "max_connections = 50\n"
                             "max_wal_senders = 8\n"
                             "wal_keep_size = 64MB\n"
                             "min_wal_size = 32MB\n"
                             "recovery_init_sync_method = syncfs\n"
                             "dynamic_shared_memory_type = sysv\n"
                             "log_min_messages = info\n"
                             "log_line_prefix = '%m [%p] %q%a '\n";

/* As an owner may have it: that commits wait is for the agent to see to, or each scenario
 * in which a region is lost counts lost rows (I8, I9). */
const char file_commits_alone[] = "synchronous_commit = off\n";

const char file_passfile[] = "*:*:*:ringfence:laboratory\n";

const char file_grants[] =
    "CREATE ROLE ringfence LOGIN REPLICATION PASSWORD 'laboratory';"
    "GRANT pg_monitor, pg_checkpoint TO ringfence;"
    "GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO ringfence;"
    "GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO ringfence;"
    "GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO ringfence;"
    "GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean)"
    " TO ringfence;";

char *file_controller(const struct cluster *c, enum site s)
{
    const char *dir = c->ground.dir, *me = site_name(s);
    AUTO(auto_free) char *fencers = c->power ? bmc_fencers(&c->ground) : text_new("%s", "");

    return text_new("cluster: laboratory\n"
                    "name: %s\n"
                    "data_dir: %s/%s/controller\n"
                    "listen: %s:7400\n"
                    "socket: %s/%s/ringfenced.sock\n"
                    "secrets_key: %s/pki/secrets.key\n"
                    "metrics: %s:7402\n"
                    "tls:\n"
                    "  ca: %s/pki/ca.crt\n"
                    "  cert: %s/pki/controller-%s.crt\n"
                    "  key: %s/pki/controller-%s.key\n"
                    "  crl: %s/pki/crl.pem\n"
                    "raft: {election: %ums, heartbeat: %ums}\n"
                    "controllers:\n"
                    "  - {id: 1, name: east, region: east, address: \"%s:7400\"}\n"
                    "  - {id: 2, name: west, region: west, address: \"%s:7400\"}\n"
                    "  - {id: 3, name: witness, region: witness, address: \"%s:7400\"}\n"
                    "%s",
                    me, dir, me, site_address(s), dir, me, dir, site_address(s), dir, dir,
                    me, dir, me, dir, c->profile.election, c->profile.heartbeat,
                    names_host(EAST, c->names), names_host(WEST, c->names),
                    names_host(WITNESS, c->names), fencers);
}

char *file_agent(const struct cluster *c, enum site s)
{
    const char *dir = c->ground.dir, *me = site_name(s), *name = cluster_agent_name(s);
    AUTO(auto_free)
    char *head = text_new("cluster: laboratory\n"
                          "name: %s\n"
                          "region: %s\n"
                          "address: %s\n"
                          "state_dir: %s/%s/agent\n"
                          "socket: %s/%s/ringfence-agent.sock\n"
                          "http: %s:7403\n"
                          "tls:\n"
                          "  ca: %s/pki/ca.crt\n"
                          "  cert: %s/pki/agent-%s.crt\n"
                          "  key: %s/pki/agent-%s.key\n"
                          "  crl: %s/pki/crl.pem\n",
                          name, me, site_address(s), dir, me, dir, me, site_address(s), dir,
                          dir, name, dir, name, dir);

    return text_new("%scontrollers:\n"
                    "  - {name: east, address: \"%s:7400\"}\n"
                    "  - {name: west, address: \"%s:7400\"}\n"
                    "  - {name: witness, address: \"%s:7400\"}\n"
                    /* Locks of the laboratory's own, which go with it: the host's last for
                     * as long as the host, and each laboratory has cgroups of its own. */
                    "gate: {cgroup: %s/%s, driver: %s, run_dir: %s/run}\n"
                    "postgres:\n"
                    "  bin_dir: /usr/lib/postgresql/15/bin\n"
                    "  socket_dir: %s/%s/pg\n"
                    "  superuser: postgres\n"
                    "  replication_user: ringfence\n"
                    "  passfile: %s/%s/pgpass\n"
                    "  tail_dir: %s/%s/tails\n",
                    head, names_host(EAST, c->names), names_host(WEST, c->names),
                    names_host(WITNESS, c->names), c->ground.cgroup, me,
                    c->driver == DRIVER_NFT ? "nftables" : "auto", dir, dir, me, dir, me,
                    dir, me);
}

static const char *fence_of(const struct cluster *c)
{
    if (c->fence != NULL)
        return c->fence;
    if (c->power)
        return "[agent, power]\nfence_deadline: {agent: 500ms}";
    return c->severed ? "[agent, sync_severed, lease_expiry]\nno_async_writers: true"
                      : "[agent, lease_expiry]";
}

char *file_group(const struct cluster *c)
{
    const char *dir = c->ground.dir, *also = c->pooler ? ", also_ports: [6432]" : "";
    AUTO(auto_free)
    char *head = text_new("group: %s\n"
                          "regions: {east: %s, west: %s}\n"
                          "lease: {ttl: %ums, renew: %ums}\n"
                          "sync: %s\n"
                          "fence: %s\n"
                          "adopt: %s\n"
                          "decide: {automatic: true, local_restarts: 0, cooldown: 0s, "
                          "hung_after: %ums, shrink_after: %ums%s}\n",
                          GROUP_NAME, c->declared == EAST ? "active" : "standby",
                          c->declared == WEST ? "active" : "standby", c->profile.ttl,
                          c->profile.renew, sync_name(c->sync), fence_of(c),
                          c->adopt ? "true" : "false", cluster_hung_after_ms(c),
                          cluster_shrink_after_ms(c), c->severed ? ", probe: 100ms" : "");

    return text_new("%scomponents:\n"
                    "  - name: db\n"
                    "    provider: postgres\n"
                    "    standby_reads: %s\n"
                    "    ungated_local: %s\n"
                    "    instances:\n"
                    "      - {agent: pg-east, region: east, port: 5432,"
                    " data: \"%s/east/data\", start: pg_ctl%s%s}\n"
                    "      - {agent: pg-west, region: west, port: 5432,"
                    " data: \"%s/west/data\", start: pg_ctl%s%s}\n",
                    head, c->standby_reads ? "true" : "false",
                    c->ungated ? "true" : "false", dir, c->power ? ", power: bmc-east" : "",
                    also, dir, c->power ? ", power: bmc-west" : "", also);
}
