/* A second factor, at the leader: the code is compared, its use is committed, and only then
 * is done what was asked for. Whoever sees the code on its way, or hands it to another
 * controller, finds it used up (controller/core/people.h).
 *
 * One code of a user is looked at, at a time: wrong ones are counted by the log, and
 * between a guess and its entry there would be room for a thousand more. */
#include <stdlib.h>
#include <string.h>

#include "controller/http/api_private.h"
#include "controller/people/factor.h"

struct factor_gate {
    struct factor_gate *next;
    struct kept *kept; /* own; its actor has the factor when it counts */
    enum actor_factor factor;
};

static void gate_free(struct factor_gate *g)
{
    if (g == NULL)
        return;
    kept_free(g->kept);
    free(g);
}

static void drop_gate(struct factor_gate **g) { gate_free(*g); }

static void leave(struct factor_gate *g)
{
    struct factor_gate **at = &g->kept->a->gates;

    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
}

static struct factor_gate *gate_new(struct api *a, const struct route *r,
                                    const struct api_request *raw, const struct asker *who)
{
    AUTO(drop_gate) struct factor_gate *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    g->kept = kept_new(a, r, raw, who);
    return g->kept != NULL ? TAKE(g) : NULL;
}

/* ---- after the log ----------------------------------------------------------------------
 */

static void unknown(const struct asker *who)
{
    answer_error(who, 503, "outcome-unknown",
                 "leadership has changed while the code was looked at: nothing else was "
                 "done; ask again with the next code, or with the same Idempotency-Key");
}

static void refuse(struct factor_gate *g, const char *code, const char *text)
{
    request_note(
        g->kept->a, &g->kept->who,
        &(struct noted){g->kept->who.group, code, route_name(g->kept->route.kind), text});
    answer_error(&g->kept->who, 401, code, "%s", text);
}

static void on_used(void *owner, int status, uint64_t index, const struct apply_result *r)
{
    AUTO(drop_gate) struct factor_gate *g = owner;
    const struct kept *k = g->kept;

    (void)index;
    leave(g);
    if (status != 0) {
        unknown(&g->kept->who);
    } else if (r->refusal == REFUSE_ANSWERED &&
               key_answers(k->a, &k->route,
                           &(struct api_request){.body = k->body, .len = k->len},
                           &k->who)) {
        /* by another leader, meanwhile */
    } else if (r->refusal != ACCEPTED) {
        refuse(g, refusal_name(r->refusal), r->text);
    } else {
        g->kept->who.actor.factor = g->factor;
        kept_perform(g->kept);
    }
}

static void on_failed(void *owner, int status, uint64_t index, const struct apply_result *r)
{
    AUTO(drop_gate) struct factor_gate *g = owner;

    (void)index;
    leave(g);
    if (status != 0)
        unknown(&g->kept->who);
    else if (r->refusal != ACCEPTED)
        refuse(g, refusal_name(r->refusal), r->text);
    else
        answer_error(
            &g->kept->who, 401, "wrong-code",
            "that is not the code of %s now, nor a recovery code that is left: "
            "after %d wrong ones the second factor is locked (is the phone's clock "
            "right?)",
            g->kept->who.actor.name, FACTOR_FAILURES_MAX);
}

/* ---- before it --------------------------------------------------------------------------
 */

static bool is_busy(const struct api *a, const char *user)
{
    for (const struct factor_gate *g = a->gates; g != NULL; g = g->next)
        if (strcmp(g->kept->who.actor.name, user) == 0)
            return true;
    return false;
}

static void propose(struct factor_gate *g, const struct entry *e)
{
    api_proposed *done = e->kind == ENTRY_FACTOR_USED ? on_used : on_failed;
    struct apply_result refused = {0};
    struct api *a = g->kept->a;
    struct err err = {0};

    g->next = a->gates;
    a->gates = g;
    if (a->backend->propose(a->backend->owner, e, done, g, &refused, &err) == 0)
        return;
    leave(g);
    if (err.code == ERR_REFUSED)
        refuse(g, refusal_name(refused.refusal), refused.text);
    else
        answer_error(&g->kept->who, 503, "not-possible-now", "%s: nothing was done",
                     err.text);
    gate_free(g);
}

static void look(struct factor_gate *g, const struct user *u, const char *code)
{
    struct entry e = {.kind = ENTRY_FACTOR_USED, .rule = "operator"};
    enum factor_verdict verdict;
    struct err err = {0};
    struct api_facts f;

    api_facts(g->kept->a, &f);
    if (factor_check(f.key, u, code, wall_now_ms(), &verdict, &e.factor_used, &err) != 0) {
        answer_error(&g->kept->who, 503, "not-possible-now", "%s", err.text);
        gate_free(g);
        return;
    }
    if (verdict == CODE_USED) {
        refuse(g, refusal_name(REFUSE_CODE_USED),
               "that code was used already: wait for the next one, within half a minute");
        gate_free(g);
        return;
    }
    if (verdict == CODE_WRONG) {
        e = (struct entry){.kind = ENTRY_FACTOR_FAILED, .rule = "operator"};
        memcpy(e.user.name, u->name, sizeof e.user.name);
    }
    g->factor = e.factor_used.factor;
    e.actor = g->kept->who.actor;
    if (verdict != CODE_WRONG)
        e.key = g->kept->who.key;
    propose(g, &e);
}

void request_factor(struct api *a, const struct route *r, const struct api_request *raw,
                    const struct asker *who)
{
    struct factor_gate *g;
    const struct user *u;
    struct api_facts f;

    api_facts(a, &f);
    u = state_user(f.state, who->actor.name);
    if (is_busy(a, who->actor.name)) {
        answer_error(who, 429, "one-at-a-time",
                     "another code of %s is being looked at: ask again", who->actor.name);
        return;
    }
    g = u != NULL ? gate_new(a, r, raw, who) : NULL;
    if (g == NULL)
        answer_error(who, 503, "no-memory", "out of memory");
    else
        look(g, u, raw->caller->totp);
}
