/* chaos/operate.c */
#include "chaos/operate.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

enum {
    PATIENCE_MS = 20000,
    LOOK_MS = 5,
    TTLS = 3, /* so long that what is not to happen would have happened */
};

static bool ringfence(struct play *p, const char *verb)
{
    AUTO(auto_free) char *output = NULL;

    if (cluster_cli(p->cluster, (const char *[]){verb, GROUP_NAME, NULL}, &output) == 0)
        return true;
    result_blame(&p->result, "ringfence %s: %s", verb, output);
    return false;
}

/* `said`: part of what it is to say; NULL: anything. */
static bool apply_saying(struct play *p, const char *said)
{
    AUTO(auto_free) char *output = NULL;
    bool done = cluster_apply(p->cluster, &output) == 0;

    if (done && (said == NULL || strstr(output, said) != NULL))
        return true;
    result_blame(&p->result, "ringfence apply: %s%s%s", output, done ? ", and not: " : "",
                 done ? said : "");
    return false;
}

static bool apply(struct play *p) { return apply_saying(p, NULL); }

static bool must_come(struct play *p, bool (*holds)(struct play *p), const char *what)
{
    unsigned within = PATIENCE_MS + TTLS * p->cluster->profile.ttl;

    if (play_wait(p, within, holds))
        return true;
    result_blame(&p->result, "%s did not come within %u ms", what, within);
    return false;
}

struct pids operate_pids(const struct play *p)
{
    return (struct pids){
        {cluster_postmaster(p->cluster, EAST), cluster_postmaster(p->cluster, WEST)}};
}

void operate_check_pids(struct play *p, struct pids before)
{
    struct pids now = operate_pids(p);

    for (enum site s = EAST; s <= WEST; s++)
        if (now.of[s] != before.of[s])
            result_blame(&p->result, "the postmaster of %s was %d and is %d: restarted",
                         site_name(s), (int)before.of[s], (int)now.of[s]);
}

static char *address_of(enum site s)
{
    return text_new("host=%s port=5432 dbname=postgres user=writer connect_timeout=2 "
                    "sslmode=disable gssencmode=disable",
                    site_address(s));
}

/* ---- a session that lives through it --------------------------------------------------
 */

enum { BYSTANDER = 99 }; /* a host that no probe has */

struct bystander {
    struct process session;
    char *log;
    int64_t word; /* the row that it waits for */
};

static bool has_said(const struct bystander *b, const char *text)
{
    AUTO(auto_free) char *said = file_read(b->log);

    return said != NULL && strstr(said, text) != NULL;
}

static void bystander_wait(struct bystander *b, const char *text)
{
    int64_t until = now_ns() + (int64_t)PATIENCE_MS * NS_PER_MS;

    while (!has_said(b, text) && process_running(&b->session) && now_ns() < until)
        wait_ms(LOOK_MS);
}

/* One statement, on one connection, that ends when it is told to. */
static void bystander_begin(struct bystander *b, const struct play *p)
{
    AUTO(auto_free) char *to = address_of(EAST);
    AUTO(auto_free) char *sql = NULL;

    *b = (struct bystander){.log = text_new("%s/log/bystander-%s.log",
                                            p->cluster->ground.dir, p->scenario->name),
                            .word = now_ns()};
    sql = text_new("DO $$ BEGIN RAISE NOTICE 'has begun'; WHILE NOT EXISTS (SELECT FROM "
                   "probed WHERE host = %d AND n "
                   "= %jd) LOOP PERFORM pg_sleep(0.02); END LOOP; "
                   "RAISE NOTICE 'still connected'; END $$",
                   BYSTANDER, (intmax_t)b->word);
    process_start(&b->session, &p->cluster->ground,
                  &(struct program){.site = CLIENT,
                                    .log = b->log,
                                    .argv = (const char *[]){"/usr/bin/psql", "-X", "-q",
                                                             "-d", to, "-c", sql, NULL}});
    bystander_wait(b, "has begun");
}

static void bystander_end(struct bystander *b, struct play *p)
{
    AUTO(auto_free) char *to = address_of(EAST);
    AUTO(auto_free)
    char *sql = text_new("INSERT INTO probed (host, n) VALUES (%d, %jd)", BYSTANDER,
                         (intmax_t)b->word);
    AUTO(auto_free) char *output = NULL;
    AUTO(auto_free) char *said = NULL;

    if (run_at(&p->cluster->ground, CLIENT, false,
               (const char *[]){"/usr/bin/psql", "-X", "-q", "-d", to, "-c", sql, NULL},
               &output) != 0)
        result_blame(&p->result, "a row for the bystander: %s", output);
    bystander_wait(b, "still connected");
    process_signal(&b->session, SIGKILL);
    said = file_read(b->log);
    if (!has_said(b, "still connected"))
        result_blame(&p->result, "a session did not live through it: %s",
                     said != NULL ? said : "");
    free(b->log);
}

/* ---- what is waited for ---------------------------------------------------------------
 */

static bool reads_pass(struct play *p, enum site s)
{
    AUTO(auto_free) char *to = address_of(s);
    AUTO(auto_free) char *output = NULL;

    return run_at(&p->cluster->ground, CLIENT, false,
                  (const char *[]){"/usr/bin/psql", "-X", "-q", "-t", "-d", to, "-c",
                                   "SELECT max(n) FROM written", NULL},
                  &output) == 0;
}

static bool west_is_read(struct play *p) { return reads_pass(p, WEST); }

static bool west_is_not_read(struct play *p) { return !reads_pass(p, WEST); }

static bool is_detached(struct play *p)
{
    return strcmp(view_get(p->view).phase, "detached") == 0;
}

static bool is_gone(struct play *p) { return view_get(p->view).phase[0] == 0; }

static bool agents_are_back(struct play *p)
{
    return view_get(p->view).agents_connected == 2;
}

/* Both agents say so; before, `remove` is refused. */
static bool are_let_go(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return strcmp(d.of[EAST].gate, "unmanaged") == 0 &&
           strcmp(d.of[WEST].gate, "unmanaged") == 0;
}

/* That the gates are gone is seen by what passes as well: anybody reads from the standby.
 */
static bool detach(struct play *p)
{
    if (!ringfence(p, "detach") || !must_come(p, is_detached, "phase detached") ||
        !must_come(p, are_let_go, "the end of both gates") ||
        !must_come(p, west_is_read, "reading from west without a gate"))
        return false;
    view_tell(p->view, "detached: the gates are gone");
    return true;
}

void operate_adopt(struct play *p)
{
    struct pids before = operate_pids(p);
    struct bystander session;

    if (!detach(p) || !ringfence(p, "remove") || !must_come(p, is_gone, "the removal"))
        return;
    bystander_begin(&session, p);
    p->before.failovers = 0; /* the new group counts anew */
    p->cluster->adopt = true;
    if (apply(p) && must_come(p, play_is_steady, "the adoption"))
        view_tell(p->view, "adopted: everybody stands as before");
    p->cluster->adopt = false;
    bystander_end(&session, p);
    operate_check_pids(p, before);
}

#define OVERLOOKED "pg-east runs as a primary, but pg-west is declared active"

/* East's port is as it was, and who looks is told why. */
static bool is_held(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return strcmp(d.phase, "forming") == 0 && strstr(d.hold, OVERLOOKED) != NULL &&
           strcmp(d.of[EAST].gate, "unmanaged") == 0 &&
           strstr(d.of[EAST].problem, "runs as a primary") != NULL;
}

/* Nobody holds a lease, so nothing ends with the agent, and nobody may decide anything. */
static void lose_an_agent_unnoticed(struct play *p, const char *phase)
{
    process_signal(&p->cluster->agents[EAST], SIGKILL);
    wait_ms(TTLS * p->cluster->profile.ttl);
    if (strcmp(view_get(p->view).phase, phase) != 0)
        result_blame(&p->result, "%s, and then phase %s", phase, view_get(p->view).phase);
    cluster_start_agent(p->cluster, EAST);
    (void)must_come(p, agents_are_back, "east's agent");
}

void operate_detach_attach(struct play *p)
{
    struct pids before = operate_pids(p);
    struct bystander session;

    if (!detach(p))
        return;
    bystander_begin(&session, p);
    lose_an_agent_unnoticed(p, "detached");
    if (ringfence(p, "attach") && must_come(p, play_is_steady, "full service"))
        view_tell(p->view, "attached: everybody stands as before");
    bystander_end(&session, p);
    operate_check_pids(p, before);
}

static bool attach(struct play *p, enum site active)
{
    AUTO(auto_free) char *output = NULL;
    const char *args[] = {"attach", GROUP_NAME, "--active", site_name(active), NULL};
    bool done = cluster_cli(p->cluster, args, &output) == 0;

    if (done && (active == EAST || strstr(output, OVERLOOKED) != NULL))
        return true;
    result_blame(&p->result, "ringfence attach --active %s: %s", site_name(active), output);
    return false;
}

void operate_attach_wrong(struct play *p)
{
    struct pids before = operate_pids(p);
    struct bystander session;

    if (!detach(p))
        return;
    bystander_begin(&session, p);
    if (attach(p, WEST) && must_come(p, is_held, "the hold"))
        view_tell(p->view, "held: west is named, and east runs as the primary");
    if (detach(p) && attach(p, EAST) && must_come(p, play_is_steady, "full service"))
        view_tell(p->view, "attached as it should be: everybody stands as before");
    bystander_end(&session, p);
    operate_check_pids(p, before);
}

static void check_why(struct play *p, const char *cause, const char *remedy)
{
    AUTO(auto_free) char *output = NULL;
    const char *args[] = {"why", GROUP_NAME, NULL};

    if (cluster_cli(p->cluster, args, &output) != 0 || strstr(output, cause) == NULL ||
        strstr(output, remedy) == NULL)
        result_blame(&p->result, "ringfence why does not say '%s' and '%s': %s", cause,
                     remedy, output);
}

void operate_adopt_wrong(struct play *p)
{
    struct pids before = operate_pids(p);
    struct bystander session;

    if (!detach(p) || !ringfence(p, "remove") || !must_come(p, is_gone, "the removal"))
        return;
    bystander_begin(&session, p);
    p->before.failovers = 0; /* the new group counts anew */
    p->cluster->adopt = true;
    p->cluster->declared = WEST;
    if (apply_saying(p, OVERLOOKED) && must_come(p, is_held, "the hold")) {
        view_tell(p->view, "held: west is declared, and east runs as the primary");
        check_why(p, OVERLOOKED, "apply the file with east active");
        lose_an_agent_unnoticed(p, "forming");
        (void)must_come(p, is_held, "the hold, with a new agent");
    }
    p->cluster->declared = EAST;
    p->before.epoch++; /* a correction uses up one: what was decided before it is void */
    if (apply(p) && must_come(p, play_is_steady, "the adoption"))
        view_tell(p->view,
                  "the file is corrected, and adopted: everybody stands as before");
    p->cluster->adopt = false;
    bystander_end(&session, p);
    operate_check_pids(p, before);
}

/* `status` and the text that it must say. */
static void check_cli(struct play *p, const char *const *args, int status, const char *says)
{
    AUTO(auto_free) char *output = NULL;
    int got = cluster_cli(p->cluster, args, &output);

    if (got != status || strstr(output, says) == NULL)
        result_blame(&p->result, "after the failover, ringfence %s: status %d, not %d: %s",
                     args[0], got, status, output);
}

void operate_apply_after_failover(struct play *p)
{
    AUTO(auto_free) char *file = text_new("%s/group.yaml", p->cluster->ground.dir);
    AUTO(auto_free) char *now = text_new("%s/group-now.yaml", p->cluster->ground.dir);
    AUTO(auto_free) char *exported = NULL;

    check_cli(p, (const char *[]){"apply", "-f", file, NULL}, 1, "apply --keep-active");
    check_cli(p, (const char *[]){"apply", "--keep-active", "-f", file, NULL}, 0,
              "unchanged");
    if (cluster_cli(p->cluster, (const char *[]){"export", GROUP_NAME, NULL}, &exported) !=
        0)
        result_blame(&p->result, "ringfence export: %s", exported);
    file_write(now, 0644, exported);
    check_cli(p, (const char *[]){"diff", "-f", now, NULL}, 0, "");
    check_cli(p, (const char *[]){"apply", "-f", now, NULL}, 0, "unchanged");
}

static bool set_standby_reads(struct play *p, bool on)
{
    p->cluster->standby_reads = on;
    return apply(p);
}

/* West alone cannot renew what allows it to serve readers. */
static void cut_west_off(struct play *p)
{
    ground_cut(&p->cluster->ground, WEST, EAST);
    ground_cut(&p->cluster->ground, WEST, WITNESS);
    if (must_come(p, west_is_not_read, "the end of reading without a quorum"))
        view_tell(p->view, "west is cut off: it is not read from any more");
    ground_heal(&p->cluster->ground);
    if (must_come(p, play_is_steady, "full service") &&
        must_come(p, west_is_read, "reading from west again"))
        view_tell(p->view, "healed: west is read from again");
}

void operate_standby_reads(struct play *p)
{
    if (!set_standby_reads(p, false) ||
        !must_come(p, west_is_not_read, "the end of reading without standby_reads"))
        return;
    if (!set_standby_reads(p, true) || !must_come(p, west_is_read, "reading from west"))
        return;
    view_tell(p->view, "standby_reads: west is read from");
    cut_west_off(p);
}
