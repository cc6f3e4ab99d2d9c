/* chaos/verbs_operate.c -- moments, what operators say, and what is done by hand on a host.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/api.h"
#include "chaos/base.h"
#include "chaos/verbs.h"

#define PG_CTL "/usr/lib/postgresql/15/bin/pg_ctl"

enum { PATIENCE_MS = 20000, TTLS = 10, WORDS_MAX = 12 };

static unsigned patience_ms(const struct play *p)
{
    return PATIENCE_MS + TTLS * p->cluster->profile.ttl;
}

/* ---- moments --------------------------------------------------------------------------
 */

static bool is_new_run(const struct play *p, const struct view_doc *d)
{
    return d->run.id != 0 && d->run.id != p->run_known;
}

static bool is_suspected(struct play *p) { return view_get(p->view).suspect; }

static bool is_fencing(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return is_new_run(p, &d) && d.run.fence_ms != 0;
}

static bool is_fenced(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return is_new_run(p, &d) && d.run.proof_ms != 0;
}

static bool is_opened(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return is_new_run(p, &d) && d.run.open_ms != 0;
}

static bool is_led(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return d.leader < SITE_REGIONS && d.controllers_up >= 2;
}

static bool is_led_outside(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return is_led(p) && d.leader != d.active;
}

static bool is_held(struct play *p) { return view_get(p->view).hold[0] != 0; }

static bool is_alone(struct play *p)
{
    struct view_doc d = view_get(p->view);

    return d.active <= WEST && !d.of[d.active == EAST ? WEST : EAST].member;
}

static bool is_written(struct play *p)
{
    enum { RECENT_MS = 20 };

    return ms_between(atomic_load(&p->writer.last_ack_ns), now_ns()) < RECENT_MS;
}

static bool is_silent(struct play *p)
{
    enum { SILENT_MS = 500 };

    return ms_between(atomic_load(&p->writer.last_ack_ns), now_ns()) > SILENT_MS;
}

static const struct moment moments[] = {
    {"steady", "nothing is going on, and both servers stand by each other", play_is_steady},
    {"suspected", "the active instance is suspected", is_suspected},
    {"fencing", "a new run has begun its fence", is_fencing},
    {"fenced", "its fence is proven", is_fenced},
    {"opened", "its new side is open", is_opened},
    {"led", "a leader is known, and two controllers are up", is_led},
    {"outside", "the same, and it is not in the active region", is_led_outside},
    {"held", "something is held", is_held},
    {"alone", "the standby is not in the sync set", is_alone},
    {"written", "a write was acknowledged in the last 20 ms", is_written},
    {"silent", "no write was acknowledged in the last 500 ms", is_silent},
};

const struct moment *moment_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(moments); i++)
        if (strcmp(moments[i].word, word) == 0)
            return &moments[i];
    return NULL;
}

void moments_print(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(moments); i++)
        fprintf(out, "  %-26s %s\n", moments[i].word, moments[i].is);
}

void verb_wait(struct play *p, const struct step *s) { wait_ms(verbs_ms(p, &s->arg[0])); }

/* A run that has come to its end is not waited for again. */
static void wait_for(struct play *p, const struct moment *m, unsigned within_ms)
{
    if (!play_wait(p, within_ms, m->holds))
        result_blame(&p->result, "`%s` did not come within %u ms", m->word, within_ms);
    else if (m->holds == play_is_steady)
        p->run_known = view_get(p->view).run.id;
}

void verb_until(struct play *p, const struct step *s)
{
    wait_for(p, s->arg[0].moment, patience_ms(p));
}

void verb_within(struct play *p, const struct step *s)
{
    wait_for(p, s->arg[1].moment, verbs_ms(p, &s->arg[0]));
}

void verb_never(struct play *p, const struct step *s)
{
    if (play_wait(p, verbs_ms(p, &s->arg[0]), s->arg[1].moment->holds))
        result_blame(&p->result, "`%s` came", s->arg[1].moment->word);
}

/* ---- rules ----------------------------------------------------------------------------
 */

/* As the product lists them (`ringfence rules`): a slip of the pen is not waited for. */
static bool is_rule(struct play *p, const char *name)
{
    bool known = false;

    for (enum site s = EAST; s < SITE_REGIONS && !known; s++) {
        AUTO(auto_free) char *socket = cluster_socket(p->cluster, s);
        json_t *doc = process_running(&p->cluster->controllers[s])
                          ? api_get(socket, "/api/v1/rules")
                          : NULL;

        known = doc_find(json_object_get(doc, "rules"), "rule", name) != NULL;
        json_decref(doc);
    }
    return known;
}

/* Each `when` goes on behind the last one. */
void verb_when(struct play *p, const struct step *s)
{
    const char *rule = s->arg[0].text;
    int64_t until = now_ns() + (int64_t)patience_ms(p) * NS_PER_MS, seq;

    while ((seq = log_watch_next(&p->recording.log, rule, p->log_known)) == 0) {
        if (now_ns() > until) {
            result_blame(&p->result, "`%s`: %s", s->line,
                         is_rule(p, rule) ? "it did not speak" : "there is no such rule");
            return;
        }
        wait_ms(1);
    }
    p->log_known = seq;
    view_tell(p->view, "  entry %jd; the log is known up to %jd", (intmax_t)seq,
              (intmax_t)log_watch_newest(&p->recording.log));
}

/* ---- the CLI --------------------------------------------------------------------------
 */

/* Words apart by spaces, or in 'quotes'; in place. */
static void split(char *text, const char *words[WORDS_MAX + 1])
{
    size_t n = 0;

    while (n < WORDS_MAX) {
        char until = ' ';

        text += strspn(text, " ");
        if (*text == 0)
            break;
        if (*text == '\'')
            until = *text++;
        words[n++] = text;
        text += strcspn(text, until == ' ' ? " " : "'");
        if (*text == 0)
            break;
        *text++ = 0;
    }
    words[n] = NULL;
}

/* `agent`: whose agent is asked; SITE_COUNT: a controller is. */
static int cli(struct play *p, enum site agent, const char *line, char **ret_output)
{
    AUTO(auto_free) char *copy = text_new("%s", line);
    const char *words[WORDS_MAX + 1];

    split(copy, words);
    return agent == SITE_COUNT ? cluster_cli(p->cluster, words, ret_output)
                               : cluster_agent_cli(p->cluster, agent, words, ret_output);
}

static void must_end_with(struct play *p, const struct step *s, int status)
{
    AUTO(auto_free) char *output = NULL;
    int got = cli(p, SITE_COUNT, s->arg[0].text, &output);

    if (got != status)
        result_blame(&p->result, "`%s` ended with %d, not %d: %s", s->line, got, status,
                     output);
}

void verb_ringfence(struct play *p, const struct step *s) { must_end_with(p, s, 0); }

void verb_refused(struct play *p, const struct step *s) { must_end_with(p, s, 1); }

/* `COMMAND => WORDS` */
static bool is_said(struct play *p, enum site agent, const char *text)
{
    static const char arrow[] = " => ";
    const char *at = strstr(text, arrow);
    AUTO(auto_free) char *command = NULL;
    AUTO(auto_free) char *output = NULL;

    if (at == NULL) {
        result_blame(&p->result, "'%s': expected COMMAND => WORDS", text);
        return false;
    }
    command = text_new("%.*s", (int)(at - text), text);
    (void)cli(p, agent, command, &output);
    return output != NULL && strstr(output, at + strlen(arrow)) != NULL;
}

static void must_come_to(struct play *p, const struct step *s, enum site agent,
                         const char *text, bool said)
{
    enum { AGAIN_MS = 50 };
    int64_t until = now_ns() + (int64_t)patience_ms(p) * NS_PER_MS;

    while (is_said(p, agent, text) != said) {
        if (now_ns() > until) {
            result_blame(&p->result, "not so within %u ms: `%s`", patience_ms(p), s->line);
            return;
        }
        wait_ms(AGAIN_MS);
    }
}

void verb_says(struct play *p, const struct step *s)
{
    must_come_to(p, s, SITE_COUNT, s->arg[0].text, true);
}

void verb_unsaid(struct play *p, const struct step *s)
{
    must_come_to(p, s, SITE_COUNT, s->arg[0].text, false);
}

void verb_agent_says(struct play *p, const struct step *s)
{
    enum site at = verbs_data_site(p, &s->arg[0]);

    if (at != SITE_COUNT)
        must_come_to(p, s, at, s->arg[1].text, true);
}

void verb_proof(struct play *p, const struct step *s)
{
    struct view_doc d = view_get(p->view);

    if (strcmp(d.run.proof, s->arg[0].text) != 0)
        result_blame(&p->result, "the proof was by '%s', not by '%s'", d.run.proof,
                     s->arg[0].text);
}

void verb_switchover(struct play *p, const struct step *s)
{
    enum site to = verbs_data_site(p, &s->arg[0]);

    if (to != SITE_COUNT && !play_switchover(p, to))
        result_blame(&p->result, "the switchover did not come to its end");
}

/* ---- by hand, on a host ---------------------------------------------------------------
 */

static void must_do(struct play *p, const struct step *s, enum site at, bool as_postgres,
                    const char *const *argv)
{
    AUTO(auto_free) char *output = NULL;
    int status = run_at(&p->cluster->ground, at, as_postgres, argv, &output);

    if (status != 0)
        result_blame(&p->result, "`%s` ended with %d: %s", s->line, status, output);
}

void verb_shell(struct play *p, const struct step *s)
{
    enum site at = verbs_site(p, &s->arg[0]);
    AUTO(auto_free) char *line = NULL;

    if (at == SITE_COUNT)
        return;
    /* The region's own folder, and the programs, by name. */
    line = text_new("PATH=$PATH:%s; cd %s/%s && %s", p->cluster->bin,
                    p->cluster->ground.dir, site_name(at), s->arg[1].text);
    must_do(p, s, at, false, (const char *[]){"/bin/sh", "-c", line, NULL});
}

void verb_sql(struct play *p, const struct step *s)
{
    enum site at = verbs_data_site(p, &s->arg[0]);
    AUTO(auto_free) char *output = NULL;
    int status;

    if (at == SITE_COUNT)
        return;
    status = cluster_sql(p->cluster, at, s->arg[1].text, &output);
    if (status != 0)
        result_blame(&p->result, "`%s` ended with %d: %s", s->line, status, output);
}

/* --no-wait: whether it may happen at all is what we are here to see. */
void verb_promote(struct play *p, const struct step *s)
{
    enum site at = verbs_data_site(p, &s->arg[0]);
    AUTO(auto_free) char *data = NULL;

    if (at == SITE_COUNT)
        return;
    data = cluster_data_dir(p->cluster, at);
    must_do(p, s, at, true, (const char *[]){PG_CTL, "promote", "-W", "-D", data, NULL});
}
