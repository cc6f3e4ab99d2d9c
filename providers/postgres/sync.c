#include "providers/postgres/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "providers/postgres/commit.h"
#include "providers/postgres/mark.h"
#include "providers/postgres/names.h"
#include "providers/postgres/observe.h"
#include "providers/postgres/peers.h"
#include "providers/provider.h"

enum { LOOK_AGAIN_US = 1000, RESTORE_MS = 1000 };

static const char FLUSHED[] = "SELECT pg_current_wal_flush_lsn()";
static const char NAMES_SHOWN[] = "SELECT current_setting('synchronous_standby_names')";

int pg_names_apply(struct pg *pg, const char *names, struct mono deadline, struct err *err)
{
    AUTO(auto_free) char *sql = NULL;
    char shown[2048];
    char *literal;
    int status;

    if (!pg->main.ready)
        return err_set(err, ERR_CLOSED, "no session");
    literal = PQescapeLiteral(pg->main.conn, names, strlen(names));
    if (literal == NULL ||
        asprintf(&sql, "ALTER SYSTEM SET synchronous_standby_names = %s", literal) < 0) {
        PQfreemem(literal);
        return err_set(err, ERR_NOMEM, "synchronous_standby_names");
    }
    PQfreemem(literal);
    status = pg_exec(&pg->main, sql, deadline, NULL, err);
    if (status == ERR_REFUSED)
        return status;
    if (status != 0 ||
        pg_exec(&pg->main, "SELECT pg_reload_conf()", deadline, NULL, err) != 0)
        return err_set(err, ERR_UNKNOWN,
                       "synchronous_standby_names may have changed to "
                       "'%s': no answer in time",
                       names);
    for (;;) {
        if (pg_ask(&pg->main, NAMES_SHOWN, deadline, shown, sizeof shown, err) != 0)
            return err->code == ERR_TIMEOUT || err->code == ERR_CLOSED
                       ? err_set(err, ERR_UNKNOWN, "names '%s': reload not seen", names)
                       : err->code;
        if (strcmp(shown, names) == 0)
            return 0;
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_UNKNOWN, "names '%s': reload not seen in time", names);
        pg_pause(LOOK_AGAIN_US);
    }
}

/* --- canaries that are meant to wait -------------------------------------------------- */

struct probe {
    struct pg *pg;
    struct pg_conn conn;
    pid_t pid;
};

/* Ends the backend too: while it waits for a standby it does not notice a closed socket.
 * Its commit is ours and means nothing. */
static void probe_end(struct probe *p)
{
    char sql[64];
    struct err err;

    if (p->pid != 0 && p->pg->main.ready) {
        snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", p->pid);
        /* Where this fails the server is in trouble that others will name. */
        if (pg_exec(&p->pg->main, sql, mono_plus_ms(mono_now(), RESTORE_MS), NULL, &err) !=
            0)
            pg_conn_close(&p->pg->main);
    }
    pg_conn_close(&p->conn);
}

/* Commits on the probe until one is seen waiting for a standby. */
static int probe_until_waiting(struct probe *p, struct mono deadline, struct err *err)
{
    if (pg_conn_open(p->pg, &p->conn, PG_CANARY_OPTIONS, deadline, err) != 0)
        return err->code;
    p->pid = PQbackendPID(p->conn.conn);
    for (;;) {
        bool waits = false;
        int status = ERR_TIMEOUT;

        if (pg_send(&p->conn, PG_CANARY_SQL, err) != 0)
            return err->code;
        while (status == ERR_TIMEOUT && !waits) {
            int looked = pg_waits_sync(p->pg, p->pid, deadline, &waits, err);

            if (looked != 0 && looked != ERR_TIMEOUT)
                return looked;
            if (looked != 0 || pg_left_ms(deadline) == 0)
                return err_set(err, ERR_TIMEOUT,
                               "no commit was seen waiting for a standby: "
                               "the checkpointer is slow");
            status = pg_answer(&p->conn, pg_within(deadline, 1), NULL, err);
        }
        if (status == ERR_TIMEOUT)
            return 0;
        if (status != 0)
            return status;
        /* Acknowledged alone: waiting is not in force yet. */
        pg_pause(LOOK_AGAIN_US);
    }
}

/* Every walsender that counts for commits has told of a flush of `lsn`. */
static int wait_flushed_by_all(struct pg *pg, uint64_t lsn, struct mono deadline,
                               struct err *err)
{
    char sql[256], position[PG_LSN_TEXT], behind[128];

    pg_lsn_format(lsn, position);
    snprintf(sql, sizeof sql,
             "SELECT coalesce(string_agg(application_name, ', '), '') FROM"
             " pg_stat_replication WHERE sync_priority > 0 AND"
             " coalesce(flush_lsn, '0/0') < '%s'",
             position);
    for (;;) {
        if (pg_ask(&pg->main, sql, deadline, behind, sizeof behind, err) != 0)
            return err->code;
        if (behind[0] == '\0')
            return 0;
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT, "%s has not flushed %s", behind, position);
        pg_pause(LOOK_AGAIN_US);
    }
}

static int flush_beyond(struct pg *pg, struct probe *p, struct mono deadline,
                        struct err *err)
{
    uint64_t lsn;

    if (probe_until_waiting(p, deadline, err) != 0)
        return err->code;
    if (pg_ask_lsn(&pg->main, FLUSHED, deadline, &lsn, err) != 0)
        return err->code;
    return wait_flushed_by_all(pg, lsn, deadline, err);
}

/* Names with `nobody` in them stand: prove that no commit is acknowledged.
 *
 * That a commit is seen waiting proves it only when nobody can release it. A walsender
 * that still has the old names releases it when its standby's answer comes. So: wait until
 * every such standby has flushed the first probe's commit, then until each has flushed the
 * second one's too: an answer is handled completely before the next is read, so by then
 * each walsender has judged the first commit with the names it has. If that one still
 * waits, all of them know the new names. */
static int prove_blocking(struct pg *pg, struct mono deadline, struct err *err)
{
    for (;;) {
        AUTO(probe_end) struct probe first = {.pg = pg};
        AUTO(probe_end) struct probe second = {.pg = pg};
        bool waits;

        if (flush_beyond(pg, &first, deadline, err) != 0 ||
            flush_beyond(pg, &second, deadline, err) != 0 ||
            pg_waits_sync(pg, first.pid, deadline, &waits, err) != 0)
            return err->code;
        /* It may wait again, but only in a commit that probe_until_waiting() sent; it
         * sends none by itself. */
        if (waits)
            return 0;
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT, "a walsender still has older names");
    }
}

int pg_write_once(struct pg *pg, struct mono deadline, struct err *err)
{
    if (pg->canary_sent)
        pg_conn_close(&pg->canary);
    pg->canary_sent = false;
    if (pg_conn_open(pg, &pg->canary, PG_CANARY_OPTIONS, deadline, err) != 0 ||
        pg_exec(&pg->canary, PG_CANARY_SQL, deadline, NULL, err) != 0)
        return err_wrap(err, "verify a write");
    if (pg->canary.warned)
        return err_set(err, ERR_REFUSED, "verify a write: its wait was cancelled");
    pg->canary_ok = mono_now();
    return 0;
}

/* A name that nobody has: of this group, this generation, and a number nobody knows. */
static void make_nobody(const struct pg *pg, uint64_t generation,
                        char name[PG_NAME_MAX + 1])
{
    uint64_t nonce = mono_now().ns;

    snprintf(name, PG_NAME_MAX + 1, "rf-nobody-%.20s-%" PRIu64 "-%08" PRIx32,
             pg->spec->group, generation, (uint32_t)(nonce ^ nonce >> 32));
}

/* Names for `members` and one that nobody has; proven. */
static int block_commits(struct pg *pg, char *const *members, size_t n, uint64_t generation,
                         struct mono deadline, struct err *err)
{
    char nobody[PG_NAME_MAX + 1];
    char *all[PG_NAMES_MAX];
    AUTO(auto_free) char *names = NULL;

    if (n >= PG_NAMES_MAX)
        return err_set(err, ERR_INVAL, "%zu members, limit %d", n, PG_NAMES_MAX - 1);
    make_nobody(pg, generation, nobody);
    for (size_t i = 0; i < n; i++) /* none: protobuf-c's array is NULL */
        all[i] = members[i];
    all[n] = nobody;
    if (pg_names_format(all, n + 1, &names, err) != 0 ||
        pg_names_apply(pg, names, deadline, err) != 0)
        return err->code;
    return prove_blocking(pg, deadline, err);
}

/* From names that are proven to be in force to a part of them: whoever is late with the
 * change waits for more, never for less. */
static bool only_shrinks(const struct pg *pg, const struct pg_postmaster *pm,
                         const char *shown, char *const *members, size_t n)
{
    struct pg_names old;

    if (n == 0)
        return true;
    if (pg_sync_record_read(pg, pm, shown) == 0 || !pg_names_parse(shown, &old))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!pg_names_have(&old, members[i]))
            return false;
    return true;
}

int pg_sync_apply(struct pg *pg, char *const *members, size_t n, uint64_t generation,
                  struct mono deadline, struct err *err)
{
    AUTO(auto_free) char *names = NULL;
    struct pg_postmaster pm;
    char shown[2048];
    bool raised = false;

    if (n > 0 && pg_commit_require(pg, deadline, &raised, err) != 0)
        return err->code;
    if (pg_names_format(members, n, &names, err) != 0 ||
        pg_ask(&pg->main, NAMES_SHOWN, deadline, shown, sizeof shown, err) != 0)
        return err->code;
    pg_postmaster_find(pg, &pm);
    /* What was proven while commits did not wait was proven of our own session only. */
    if (raised || strcmp(shown, names) != 0 || pg_sync_record_read(pg, &pm, names) == 0) {
        if ((raised || !only_shrinks(pg, &pm, shown, members, n)) &&
            block_commits(pg, members, n, generation, deadline, err) != 0)
            return err->code;
        if (pg_names_apply(pg, names, deadline, err) != 0)
            return err->code;
        /* With nobody to wait for, the proof is a commit that was not held up. */
        if (n == 0 && pg_write_once(pg, deadline, err) != 0)
            return err->code;
    }
    return pg_sync_record_write(pg, &pm, generation, names, err);
}

int pg_step_sync(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                 Rf__StepResult *out, struct err *err)
{
    (void)out;
    if (pg_main(pg, deadline, err) != 0 ||
        pg_sync_apply(pg, rq->members, rq->n_members, rq->generation, deadline, err) != 0)
        return err_wrap(err, "set the sync set");
    return 0;
}

/* What there is of the standby of this name, as one value: "" when the one and only streams
 * from where the log has it, and has flushed `lsn`. NULL: no memory. */
static char *ask_joined(struct pg *pg, const char *joining, uint64_t lsn)
{
    const Rf__ProviderPeer *peer = pg_peer_named(pg, joining);
    bool number = peer != NULL && pg_peer_has_number(peer);
    char *literal = PQescapeLiteral(pg->main.conn, joining, strlen(joining));
    char position[PG_LSN_TEXT], *sql;
    int n;

    pg_lsn_format(lsn, position);
    n = asprintf(&sql,
                 "SELECT CASE WHEN count(*) = 0 THEN 'is not connected'"
                 " WHEN count(*) > 1 THEN 'is the name of several standbys'"
                 " WHEN bool_or(client_addr IS DISTINCT FROM %s%s%s)"
                 " THEN 'is the name of another host''s standby'"
                 " WHEN NOT bool_and(state = 'streaming') THEN 'does not stream'"
                 " WHEN NOT bool_and(flush_lsn IS NOT NULL) THEN 'has told no position'"
                 " WHEN NOT bool_and(sync_priority > 0) THEN 'is not waited for'"
                 " WHEN bool_and(flush_lsn >= '%s') THEN '' ELSE 'is behind' END"
                 " FROM pg_stat_replication WHERE application_name = %s",
                 number ? "'" : "", number ? peer->address : "client_addr",
                 number ? "'" : "", position, literal != NULL ? literal : "''");
    PQfreemem(literal);
    return n < 0 ? NULL : sql;
}

static int wait_joined(struct pg *pg, const char *joining, uint64_t lsn,
                       struct mono deadline, struct err *err)
{
    AUTO(auto_free) char *sql = ask_joined(pg, joining, lsn);
    char position[PG_LSN_TEXT], state[64];

    if (sql == NULL)
        return err_set(err, ERR_NOMEM, "join");
    pg_lsn_format(lsn, position);
    for (;;) {
        if (pg_ask(&pg->main, sql, deadline, state, sizeof state, err) != 0)
            return err->code;
        if (state[0] == '\0')
            return 0;
        if (pg_left_ms(deadline) == 0)
            return err_set(err, ERR_TIMEOUT, "%s %s at %s", joining, state, position);
        pg_pause(LOOK_AGAIN_US);
    }
}

/* PostgreSQL shows a standby as synchronous before its commits wait for it: the flag is the
 * checkpointer's, who may be slow. So: names that nobody has; a commit is seen waiting; the
 * real names, and a position flushed after that; the newcomer has flushed it. Only then
 * does the log take it into the sync set, which is the controller's to propose (I8). */
static int join(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                Rf__StepResult *out, struct err *err)
{
    AUTO(auto_free) char *names = NULL;
    struct pg_postmaster pm;
    char *all[PG_NAMES_MAX];
    uint64_t lsn;

    for (size_t i = 0; i < rq->n_members; i++) /* none: protobuf-c's array is NULL */
        all[i] = rq->members[i];
    all[rq->n_members] = rq->joining;
    if (pg_names_format(all, rq->n_members + 1, &names, err) != 0 ||
        block_commits(pg, rq->members, rq->n_members, rq->generation, deadline, err) != 0)
        return err->code;
    if (pg_names_apply(pg, names, deadline, err) != 0 ||
        pg_ask_lsn(&pg->main, FLUSHED, deadline, &lsn, err) != 0 ||
        wait_joined(pg, rq->joining, lsn, deadline, err) != 0)
        return err->code;
    pg_postmaster_find(pg, &pm);
    /* Proven to be in force, and no generation of the set: the log may take the newcomer
     * in, or go another way meanwhile. Then the leader sees that the names are not its
     * set's, and has them set; else commits would wait for ever for one who never became a
     * member, and whom nobody can let go (I11). A step's index is no set's generation. */
    if (pg_sync_record_write(pg, &pm, rq->step, names, err) != 0)
        return err->code;
    out->position = lsn;
    return 0;
}

int pg_step_join(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                 Rf__StepResult *out, struct err *err)
{
    AUTO(auto_free) char *before = NULL;
    struct mono restore;
    struct err second;
    bool raised;

    if (rq->n_members + 1 >= PG_NAMES_MAX)
        return err_set(err, ERR_INVAL, "join: %zu members, limit %d", rq->n_members,
                       PG_NAMES_MAX - 2);
    if (pg_name_check(rq->joining, err) != 0 ||
        pg_names_format(rq->members, rq->n_members, &before, err) != 0 ||
        pg_main(pg, deadline, err) != 0)
        return err_wrap(err, "join");
    /* Before any name changes: whoever is waited for in vain does not join (I8). */
    if (pg_commit_require(pg, deadline, &raised, err) != 0)
        return err_wrap(err, "join");
    if (join(pg, rq, deadline, out, err) == 0)
        return 0;

    /* Nobody joined: the names that the log knows stand again, or we do not know. */
    restore = mono_plus_ms(mono_now(), RESTORE_MS);
    if (pg_main(pg, restore, &second) != 0 ||
        pg_names_apply(pg, before, restore, &second) != 0)
        return err_set(err, ERR_UNKNOWN,
                       "join failed, and the names could not be put back "
                       "(%.150s): %.150s",
                       second.text, err->text);
    return err_set(err, ERR_TIMEOUT, "join: %.300s; commits wait for the members as before",
                   err->text);
}
