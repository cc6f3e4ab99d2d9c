#include "providers/postgres/observe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "controller/base/clock.h"
#include "providers/postgres/commit.h"
#include "providers/postgres/control.h"
#include "providers/postgres/files.h"
#include "providers/postgres/mark.h"
#include "providers/postgres/peers.h"
#include "providers/postgres/wal.h"
#include "providers/provider.h"

enum { RATE_WINDOW_MS = 10000, RATE_MIN_MS = 50, REPLICAS_MAX = 64 };

/* Everything about either role in one round trip. CASE keeps functions that refuse to run
 * in recovery, or outside it, from being called. */
static const char LOOK[] =
    "SELECT r, s.system_identifier, c.checkpoint_lsn,"
    " CASE WHEN r THEN NULL ELSE pg_walfile_name(pg_current_wal_insert_lsn()) END,"
    " greatest(c.timeline_id, w.received_tli, y.min_recovery_end_timeline),"
    " CASE WHEN r THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
    "  ELSE pg_current_wal_flush_lsn() END,"
    " CASE WHEN r THEN pg_last_wal_replay_lsn() END,"
    " coalesce(w.status = 'streaming', false), w.sender_host, w.sender_port,"
    " CASE WHEN NOT r OR pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() THEN 0"
    "  ELSE coalesce(extract(epoch FROM clock_timestamp()"
    "   - pg_last_xact_replay_timestamp()) * 1000, 0) END::bigint,"
    " (SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database),"
    " current_setting('synchronous_standby_names'),"
    " (SELECT count(*) FROM pg_prepared_xacts),"
    " current_setting('unix_socket_directories'), current_setting('primary_conninfo')"
    " FROM pg_is_in_recovery() r, pg_control_system() s, pg_control_checkpoint() c,"
    " pg_control_recovery() y LEFT JOIN pg_stat_wal_receiver w ON true";

enum look_column {
    LOOK_RECOVERY,
    LOOK_SYSTEM,
    LOOK_CHECKPOINT,
    LOOK_WALFILE,
    LOOK_TIMELINE,
    LOOK_FLUSH,
    LOOK_REPLAY,
    LOOK_STREAMING,
    LOOK_HOST,
    LOOK_PORT,
    LOOK_LAG,
    LOOK_CHECKSUMS,
    LOOK_NAMES,
    LOOK_PREPARED,
    LOOK_SOCKETS,
    LOOK_CONNINFO,
    LOOK_COLUMNS
};

static const char LOOK_REPLICAS[] =
    "SELECT application_name, state, sync_state, coalesce(flush_lsn, '0/0'),"
    " coalesce(host(client_addr), 'this host')"
    " FROM pg_stat_replication ORDER BY application_name, pid LIMIT 64";

static uint64_t number(const PGresult *r, int row, int column)
{
    return strtoull(PQgetvalue(r, row, column), NULL, 10);
}

static uint64_t lsn(const PGresult *r, int row, int column)
{
    uint64_t value = 0;

    return pg_lsn_parse(PQgetvalue(r, row, column), &value) ? value : 0;
}

static bool yes(const PGresult *r, int column)
{
    return PQgetvalue(r, 0, column)[0] == 't';
}

/* The only Unix socket directory is ours, 0700 of the server's user: nobody goes round
 * the gate through a pooler on this host (design section 4). */
static bool socket_is_private(const struct pg *pg, const char *dirs)
{
    struct stat st;

    return strcmp(dirs, pg->spec->socket_dir) == 0 && lstat(dirs, &st) == 0 &&
           S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700 && st.st_uid == pg->uid;
}

/* What primary_conninfo says, for a standby that does not stream at the moment. */
static void read_conninfo(const char *conninfo, Rf__Observation *out)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val == NULL)
            continue;
        if (strcmp(o->keyword, "application_name") == 0)
            provider_text(&out->application_name, "%.63s", o->val);
        else if (strcmp(o->keyword, "host") == 0 && out->upstream[0] == '\0')
            provider_text(&out->upstream, "%.255s", o->val);
        else if (strcmp(o->keyword, "port") == 0 && out->upstream_port == 0)
            out->upstream_port = (uint32_t)strtoul(o->val, NULL, 10);
    }
    PQconninfoFree(options);
}

/* A forced switch of segments (a base backup makes one) pads the rest of a segment without
 * a byte of it being written: of a position just behind a boundary only that much counts.
 */
static uint64_t bytes_between(uint64_t older, uint64_t newer)
{
    enum { SEGMENT = 16 << 20, JUST_BEHIND = 1 << 20 };
    uint64_t into = newer % SEGMENT;

    if (newer / SEGMENT == older / SEGMENT + 1 && into < JUST_BEHIND)
        return into;
    return newer - older;
}

/* The highest rate between two neighbouring samples of the last ten seconds. Seen once, a
 * log may grow at any rate: that is not 0 (I9). */
static uint64_t note_rate(struct pg_rate *rate, uint64_t position)
{
    struct mono now = mono_now();
    unsigned have = rate->n < PG_RATE_SAMPLES ? rate->n : PG_RATE_SAMPLES;
    unsigned last = (rate->n - 1) % PG_RATE_SAMPLES;
    uint64_t highest = PG_RATE_UNKNOWN;

    if (have > 0 && position < rate->of[last].lsn)
        rate->n = have = 0; /* another server's log */
    if (have == 0 || mono_since_ms(rate->of[last].at, now) >= RATE_MIN_MS) {
        rate->of[rate->n % PG_RATE_SAMPLES].at = now;
        rate->of[rate->n % PG_RATE_SAMPLES].lsn = position;
        rate->n++;
        have = have < PG_RATE_SAMPLES ? have + 1 : have;
    }
    for (unsigned i = 1; i < have; i++) {
        unsigned newer = (rate->n - i) % PG_RATE_SAMPLES;
        unsigned older = (rate->n - i - 1) % PG_RATE_SAMPLES;
        uint64_t ms = mono_since_ms(rate->of[older].at, rate->of[newer].at);
        uint64_t bytes = bytes_between(rate->of[older].lsn, rate->of[newer].lsn);

        /* Over a longer time it would be a mean, in which a burst drowns. */
        if (mono_since_ms(rate->of[older].at, now) > RATE_WINDOW_MS || ms == 0)
            break;
        if (highest == PG_RATE_UNKNOWN || bytes * 1000 / ms > highest)
            highest = bytes * 1000 / ms;
    }
    return highest;
}

static void take_primary(struct pg *pg, const PGresult *r, Rf__Observation *out)
{
    char hex[9] = "";

    out->server = RF__SERVER_STATE__SERVER_PRIMARY;
    memcpy(hex, PQgetvalue(r, 0, LOOK_WALFILE),
           PQgetlength(r, 0, LOOK_WALFILE) >= 8 ? 8 : 0);
    /* Not the control file's: after a promotion that still shows the old timeline. */
    out->timeline = (uint32_t)strtoul(hex, NULL, 16);
    out->wal_bytes_per_s = note_rate(&pg->rate, out->flush_lsn);
}

static void take_standby(const PGresult *r, Rf__Observation *out)
{
    out->server = RF__SERVER_STATE__SERVER_STANDBY;
    out->timeline = (uint32_t)number(r, 0, LOOK_TIMELINE);
    out->replay_lsn = lsn(r, 0, LOOK_REPLAY);
    out->streaming = yes(r, LOOK_STREAMING);
    out->replay_lag_ms = number(r, 0, LOOK_LAG);
    provider_text(&out->upstream, "%.255s", PQgetvalue(r, 0, LOOK_HOST));
    out->upstream_port = (uint32_t)number(r, 0, LOOK_PORT);
    read_conninfo(PQgetvalue(r, 0, LOOK_CONNINFO), out);
}

static void take_look(struct pg *pg, const PGresult *r, Rf__Observation *out)
{
    out->system_id = number(r, 0, LOOK_SYSTEM);
    out->checkpoint_lsn = lsn(r, 0, LOOK_CHECKPOINT);
    out->flush_lsn = lsn(r, 0, LOOK_FLUSH);
    out->checksum_failures = number(r, 0, LOOK_CHECKSUMS);
    out->prepared_transactions = number(r, 0, LOOK_PREPARED);
    out->private_socket = socket_is_private(pg, PQgetvalue(r, 0, LOOK_SOCKETS));
    provider_text(&out->sync_names, "%s", PQgetvalue(r, 0, LOOK_NAMES));
    if (yes(r, LOOK_RECOVERY))
        take_standby(r, out);
    else
        take_primary(pg, r, out);
}

/* I8: commits may be acknowledged by somebody who calls himself what a member is called (a
 * clone of its host, a receiver with its settings); what he has flushed says nothing of the
 * member. The names are as they should be, and setting them again ends nothing. */
static void say_impostor(const Rf__ProviderPeer *peer, const char *address,
                         Rf__Observation *out)
{
    provider_text(&out->error,
                  "%s calls itself %s, which is the name of the standby at %s: end it, or "
                  "take the name from its primary_conninfo",
                  address, peer->standby_name, peer->address);
    if (peer->member)
        provider_text(&out->weak_commit, "%s", out->error);
}

/* Of those who are who they say they are. */
static void take_replicas(const struct pg *pg, const PGresult *r, Rf__Observation *out)
{
    int n = PQntuples(r) < REPLICAS_MAX ? PQntuples(r) : REPLICAS_MAX;

    if (n == 0)
        return;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
    out->replicas = calloc((size_t)n, sizeof *out->replicas);
    for (int i = 0; out->replicas != NULL && i < n; i++) {
        const Rf__ProviderPeer *peer = pg_peer_named(pg, PQgetvalue(r, i, 0));
        const char *address = PQgetvalue(r, i, 4);
        Rf__ReplicaSeen *seen;

        if (peer != NULL && !pg_peer_is_at(peer, address)) {
            say_impostor(peer, address, out);
            continue;
        }
        seen = malloc(sizeof *seen);
        if (seen == NULL)
            return;
        rf__replica_seen__init(seen);
        provider_text(&seen->application_name, "%.63s", PQgetvalue(r, i, 0));
        provider_text(&seen->state, "%.31s", PQgetvalue(r, i, 1));
        provider_text(&seen->sync_state, "%.31s", PQgetvalue(r, i, 2));
        seen->flush_lsn = lsn(r, i, 3);
        out->replicas[out->n_replicas++] = seen;
    }
    if (out->n_replicas == 0) { /* an empty list has no array, or nobody frees it */
        free(out->replicas);
        out->replicas = NULL;
    }
}

/* I8, I9: where commits are acknowledged without the members' flush, the names that stand
 * promise nothing, and what a member holds is not all that was acknowledged. So the look
 * says so (its agent asks to let the members go), and knows of no generation in force (the
 * leader has the names set again, which raises the setting). Who has no member and no names
 * has promised nothing: the group may be in `off`, and a join looks for itself. */
static int look_commits(struct pg *pg, struct mono deadline, Rf__Observation *out,
                        struct err *err)
{
    char text[PG_COMMIT_TEXT];

    pg_peers_passed_by(pg, out->sync_names, text);
    if (text[0] == '\0' && out->sync_names[0] == '\0')
        return 0;
    if (text[0] == '\0' && pg_commit_look(pg, deadline, text, err) != 0)
        return err->code;
    if (text[0] == '\0')
        return 0;
    provider_text(&out->weak_commit, "%s", text);
    provider_text(&out->error, "%s", text);
    out->sync_generation = 0;
    return 0;
}

/* With an open session. */
static int look_inside(struct pg *pg, const struct pg_postmaster *pm, struct mono deadline,
                       Rf__Observation *out, struct err *err)
{
    AUTO(pg_clear) PGresult *r = NULL;
    AUTO(pg_clear) PGresult *replicas = NULL;

    if (pg_exec(&pg->main, LOOK, deadline, &r, err) != 0)
        return err->code;
    if (PQntuples(r) != 1 || PQnfields(r) != LOOK_COLUMNS)
        return err_set(err, ERR_BADMSG, "observation: %d rows of %d columns", PQntuples(r),
                       PQnfields(r));
    take_look(pg, r, out);
    if (pg->role_pid != pm->pid || pg->role_start_ms != pm->start_ms)
        pg->role_timeline = 0;
    /* A standby whose walreceiver has ended shows the control file's timeline, which may be
     * one that it has left behind; within one life it only goes up. */
    if (out->timeline < pg->role_timeline)
        out->timeline = pg->role_timeline;
    pg->role_timeline = out->timeline;
    pg->role = out->server;
    pg->role_pid = pm->pid;
    pg->role_start_ms = pm->start_ms;
    out->sync_generation = pg_sync_record_read(pg, pm, out->sync_names);
    if (out->server != RF__SERVER_STATE__SERVER_PRIMARY)
        return 0;
    if (pg_exec(&pg->main, LOOK_REPLICAS, deadline, &replicas, err) != 0)
        return err->code;
    take_replicas(pg, replicas, out);
    return look_commits(pg, deadline, out, err);
}

static int64_t control_changed_ns(const struct pg *pg)
{
    AUTO(auto_free) char *path = pg_path(pg, "global/pg_control");
    struct stat at;

    if (path == NULL || stat(path, &at) != 0)
        return 0;
    return (int64_t)at.st_mtim.tv_sec * 1000 * (int64_t)NS_PER_MS + at.st_mtim.tv_nsec;
}

void pg_down_keep(struct pg *pg, const struct pg_control *c, uint64_t end,
                  uint32_t timeline)
{
    pg->down = (struct pg_down){.control_ns = control_changed_ns(pg),
                                .timeline = timeline,
                                .end = end,
                                .control = *c};
}

static void take_control(const struct pg *pg, struct mono deadline, Rf__Observation *out,
                         struct pg_control *c)
{
    bool kept = pg->down.control.system_id != 0 && pg->down.control_ns != 0 &&
                pg->down.control_ns == control_changed_ns(pg);
    struct err err;

    *c = kept ? pg->down.control : (struct pg_control){0};
    if (!kept && pg_control_read(pg, deadline, c, &err) != 0) {
        if (out->error[0] == '\0')
            provider_text(&out->error, "%s", err.text);
        return;
    }
    out->system_id = c->system_id;
    out->timeline =
        c->timeline > c->min_recovery_timeline ? c->timeline : c->min_recovery_timeline;
    out->checkpoint_lsn = c->checkpoint;
    out->clean_shutdown = pg_control_clean(c);
}

/* Our own login is refused. That is ours to be mended, and says nothing of the server's
 * health: clients may be served well. */
static void say_denied(const struct pg *pg, enum pg_why why, const struct err *err,
                       Rf__Observation *out)
{
    const char *user = pg->spec->superuser[0] != '\0' ? pg->spec->superuser : pg->user;
    struct err own = {0};

    if (why == PG_WHY_PASSWORD) {
        provider_text(&out->denied,
                      "PostgreSQL needs a password for %s over %s: put \"local all %s "
                      "peer\" first into pg_hba.conf, or a line for it into the passfile "
                      "%s (%s)",
                      user, pg->spec->socket_dir, user, pg->spec->passfile, err->text);
        return;
    }
    /* Somebody may have given the directory away: the next look finds it taken back. */
    if (pg_make_dir(pg, pg->spec->socket_dir, &own) != 0)
        err = &own;
    provider_text(&out->denied,
                  "PostgreSQL runs, but the agent is not let in over %s (it must be %s's, "
                  "0700, in a directory that everybody may pass): %s",
                  pg->spec->socket_dir, pg->user, err->text);
}

/* A server that runs but gives no session: its role is what the control file says, so
 * that a hung primary is seen as one. */
static void look_from_outside(struct pg *pg, const struct pg_postmaster *pm,
                              struct mono deadline, Rf__Observation *out,
                              const struct err *why)
{
    struct pg_control c;
    bool answered = pg->main.why != PG_WHY_NO_ANSWER;

    provider_text(&out->error, "%s", why->text);
    take_control(pg, deadline, out, &c);
    out->clean_shutdown = false; /* it runs */
    if (strcmp(pm->file.status, "stopping") == 0) {
        out->server = RF__SERVER_STATE__SERVER_STOPPING;
        return;
    }
    if (pg->main.why == PG_WHY_NOT_NOW || strcmp(pm->file.status, "starting") == 0 ||
        pm->file.status[0] == '\0') {
        out->server = RF__SERVER_STATE__SERVER_STARTING;
        return;
    }
    if (pg_is_denied(pg->main.why)) {
        out->canary = RF__CANARY_STATE__CANARY_NO_CONNECTION;
        say_denied(pg, pg->main.why, why, out);
        provider_text(&out->error, "%s", out->denied);
        return;
    }
    if (c.system_id == 0 && pm->pid == pg->role_pid && pm->start_ms == pg->role_start_ms)
        out->server = pg->role; /* too busy a host even for the control file */
    else if (strcmp(c.state, "in production") == 0)
        out->server = RF__SERVER_STATE__SERVER_PRIMARY;
    else if (pg_control_standby(&c))
        out->server = RF__SERVER_STATE__SERVER_STANDBY;
    if (pg->main.why == PG_WHY_TOO_MANY)
        out->canary = RF__CANARY_STATE__CANARY_NO_CONNECTION;
    else if (!answered && out->server == RF__SERVER_STATE__SERVER_PRIMARY)
        out->canary = RF__CANARY_STATE__CANARY_HUNG;
}

static void look_canary(struct pg *pg, bool wanted, struct mono deadline,
                        Rf__Observation *out)
{
    struct err err = {0};

    if (out->server != RF__SERVER_STATE__SERVER_PRIMARY) {
        pg->canary_ok = (struct mono){0};
        return;
    }
    if (wanted)
        out->canary = pg_canary_look(pg, deadline, &err);
    if (out->canary == RF__CANARY_STATE__CANARY_HUNG && out->error[0] == '\0')
        provider_text(&out->error, "canary write: %s", err.text);
    if (out->canary == RF__CANARY_STATE__CANARY_NO_CONNECTION &&
        pg_is_denied(pg->canary.why))
        say_denied(pg, pg->canary.why, &err, out);
}

/* The line of postmaster.pid that is empty until the server has got that far. */
static const char *said_in_words(const char *status)
{
    if (strcmp(status, "stopping") == 0)
        return "is stopping";
    if (strcmp(status, "standby") == 0)
        return "is in recovery and lets nobody in yet";
    return "is starting";
}

/* False: its session has ended under the question, and nothing is said of that (`again`: it
 * is). As a rule somebody stops the server, and what is known of its process is over. */
static bool look_running(struct pg *pg, bool canary, const struct pg_postmaster *pm,
                         bool again, struct mono deadline, Rf__Observation *out)
{
    struct mono session = pg_within(deadline, (uint32_t)pg_left_ms(deadline) / 2);
    struct err err = {0};
    int status;

    out->postmaster_pid = pm->pid;
    out->postmaster_start_ms = pm->start_ms;
    /* One that starts or stops would refuse, and fill its log with that. */
    if (!pg->main.ready && strcmp(pm->file.status, "ready") != 0) {
        pg->main.why = PG_WHY_NOT_NOW;
        status =
            err_set(&err, ERR_REFUSED, "PostgreSQL %s", said_in_words(pm->file.status));
    } else {
        status = pg_main(pg, session, &err);
    }
    if (status == 0) {
        status = look_inside(pg, pm, session, out, &err);
        if (status == ERR_TIMEOUT)
            pg->main.why = PG_WHY_NO_ANSWER;
        if (status == ERR_CLOSED && !again)
            return false;
    }
    if (status != 0)
        look_from_outside(pg, pm, deadline, out, &err);
    else
        look_canary(pg, canary, deadline, out);
    if (mono_is_set(pg->canary_ok))
        out->canary_age_ms = mono_since_ms(pg->canary_ok, mono_now());
    return true;
}

/* The control file's positions are only lower bounds: what a crashed primary has written,
 * or a stopped standby received, is found by reading the log. It takes its time, so not in
 * the first look, which is in somebody's way who waits to hear of the crash. */
static void look_at_end(struct pg *pg, const struct pg_control *c, struct mono deadline,
                        Rf__Observation *out)
{
    int64_t changed = control_changed_ns(pg);
    struct pg_wal_end end;
    struct err err = {0};

    if (changed == 0)
        return;
    if (pg->down.control_ns != changed) {
        pg->down = (struct pg_down){.control_ns = changed};
        return;
    }
    /* The same change as one look ago: what writes the file now gives it another time. So
     * it is read once, and not by a program of its own at each look. */
    pg->down.control = *c;
    if (pg->down.end == 0) {
        if (pg_wal_end(pg, c, NULL, deadline, &end, &err) != 0) {
            provider_text(&out->error, "%s", err.text);
            return;
        }
        pg->down.end = end.lsn;
        pg->down.timeline = end.timeline;
    }
    out->flush_lsn = pg->down.end;
    out->timeline = pg->down.timeline;
}

void pg_observe(struct pg *pg, bool canary, uint32_t budget_ms, Rf__Observation *out)
{
    struct mono deadline = mono_plus_ms(mono_now(), budget_ms);
    struct pg_postmaster pm;
    struct pg_mark mark = {0};
    struct pg_control c;
    struct err err;

    out->looked_ns = mono_now().ns; /* before anything is read: never younger than it is */
    pg_reap(pg);
    if (pg_mark_read(pg, &mark, &err) != 0) {
        provider_text(&out->error, "%s", err.text);
        out->server = RF__SERVER_STATE__SERVER_REWINDING; /* the safe reading (I6) */
        return;
    }
    if (mark.present) {
        out->server = RF__SERVER_STATE__SERVER_REWINDING;
        out->system_id = mark.system_id;
        return;
    }
    if (pg_data_absent(pg)) {
        out->server = RF__SERVER_STATE__SERVER_ABSENT;
        return;
    }
    if (pg_find_user(pg, &err) != 0) {
        provider_text(&out->error, "%s", err.text);
        return;
    }
    pg_postmaster_find(pg, &pm);
    if (pm.pid != 0 && !look_running(pg, canary, &pm, false, deadline, out)) {
        pg_postmaster_find(pg, &pm);
        if (pm.pid != 0)
            (void)look_running(pg, canary, &pm, true, deadline, out);
    }
    if (pm.pid != 0) {
        pg_version_learn(pg, deadline);
        return;
    }
    pg_conn_close(&pg->main);
    pg_conn_close(&pg->canary);
    pg->canary_sent = false;
    pg->canary_ok = (struct mono){0};
    /* It could not be started, and what pg_controldata of another version makes of its
     * control file is anybody's guess: no candidate. */
    if (pg_version_fits(pg, deadline, &err) != 0) {
        provider_text(&out->error, "%s", err.text);
        return;
    }
    out->server = RF__SERVER_STATE__SERVER_DOWN;
    take_control(pg, deadline, out, &c);
    if (c.system_id == 0)
        out->server = RF__SERVER_STATE__SERVER_UNKNOWN;
    else
        look_at_end(pg, &c, deadline, out);
}
