/* An operator's failover: taken up by decide(), so that one table decides; answered when
 * its fence has begun, or when it is known why not. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/http/api_private.h"
#include "controller/http/reader.h"

struct failover_wait {
    struct failover_wait *next;
    struct asker who;
    char group[NAME_SIZE];
    uint64_t run_before, epoch_before;
    struct mono since;
};

static void why_not(struct api *a, const struct api_facts *f, const struct group *g,
                    const struct asker *who)
{
    char text[ERR_TEXT_SIZE] = "";
    struct explanation e;
    size_t used = 0;

    explain(f->state, f->seen, (uint8_t)(g - f->state->groups), mono_now(), &e);
    for (unsigned i = 0; i < e.count && used < sizeof text; i++) {
        const struct condition *c = &e.list[i];

        /* A pause, a cooldown and the like hold only what nobody asked for. */
        if (c->holds || (strncmp(c->name, "candidate-", 10) != 0 &&
                         strcmp(c->name, "target-ready") != 0))
            continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s: %s",
                                 used > 0 ? "; " : "", c->name, c->value);
    }
    if (text[0] == '\0')
        text_set(text, sizeof text, "%s", e.verdict);
    request_note(a, who, &(struct noted){g->name, "not-possible-now", "failover", text});
    answer_error(who, 409, "not-possible-now",
                 "no failover of group %s: %s (`ringfence why %s` has the rest)", g->name,
                 text, g->name);
}

struct failover_ask {
    uint8_t target;
    bool even_if_healthy;
    struct wanted wanted; /* where it is proposed */
};

/* False: answered. */
static bool read_failover(const struct group *g, const struct api_request *raw,
                          struct failover_ask *ret, const struct asker *who)
{
    static const char *const keys[] = {"to", "reason", "even_if_healthy", "break_glass",
                                       NULL};
    json_t *body = request_read_body(raw, keys, who);
    struct err err = {0};
    bool good;

    if (body == NULL)
        return false;
    *ret = (struct failover_ask){.target = NO_INSTANCE};
    good = reader_bool(body, "", "even_if_healthy", &ret->even_if_healthy, &err) == 0 &&
           reader_bool(body, "", "break_glass", &ret->wanted.break_glass, &err) == 0 &&
           (json_string_length(json_object_get(body, "reason")) == 0 ||
            reader_text(json_object_get(body, "reason"), "reason", ret->wanted.reason,
                        sizeof ret->wanted.reason, &err) == 0);
    if (!good)
        answer_error(who, 400, "bad-request", "%s", err.text);
    else
        good = json_object_get(body, "to") == NULL ||
               json_is_null(json_object_get(body, "to")) ||
               request_read_region(g, body, "to", &ret->target, who);
    json_decref(body);
    return good;
}

/* Where it would lead if nobody says: the only other region, or none in particular. */
static const char *other_region(const struct group *g, uint8_t target)
{
    if (target != NO_INSTANCE)
        return group_region_name(g, target);
    return g->instance_count == 2 ? group_region_name(g, (uint8_t)(1 - g->active))
                                  : "REGION";
}

/* To where it would be moved in good order: not recommended where that would be refused. */
static void say_healthy(const struct api_facts *f, const struct group *g, uint8_t target,
                        char text[ERR_TEXT_SIZE])
{
    uint8_t to = target;
    char why[ERR_TEXT_SIZE];

    if (to == NO_INSTANCE && g->instance_count == 2)
        to = (uint8_t)(1 - g->active);
    if (to != NO_INSTANCE &&
        !switchover_may_begin(f->state, f->seen, (uint8_t)(g - f->state->groups), to,
                              mono_now(), why, sizeof why)) {
        text_set(text, ERR_TEXT_SIZE,
                 "nothing is wrong with %s, where group %s is active, and %s",
                 group_region_name(g, g->active), g->name, why);
        return;
    }
    text_set(
        text, ERR_TEXT_SIZE,
        "nothing is wrong with %s, where group %s is active: to move it in good order, "
        "`ringfence switchover %s --to %s`; to fence it all the same, which breaks its "
        "connections and cannot be taken back, `ringfence failover %s "
        "--even-if-healthy`",
        group_region_name(g, g->active), g->name, g->name, other_region(g, target),
        g->name);
}

/* A switchover that gets nowhere is waited for by nobody who knows how to end it. */
static void answer_phase(const struct group *g, const struct asker *who)
{
    if (g->phase == PHASE_SWITCHING)
        answer_error(who, 409, refusal_name(REFUSE_PHASE),
                     "group %s is switching, and a failover begins from steady: `ringfence "
                     "abort %" PRIu64 "` takes the switchover back, then ask again",
                     g->name, g->run.id);
    else
        answer_error(who, 409, refusal_name(REFUSE_PHASE),
                     "group %s is %s: a failover begins from steady", g->name,
                     phase_name(g->phase));
}

/* What speaks against it before anything is begun. False: answered. */
static bool failover_may_begin(struct api *a, const struct group *g,
                               const struct failover_ask *ask, const struct asker *who)
{
    char text[ERR_TEXT_SIZE];
    struct api_facts f;

    api_facts(a, &f);
    if (failover_waits_for_word(f.state, f.seen, (uint8_t)(g - f.state->groups),
                                mono_now()))
        return true;
    if (g->phase != PHASE_STEADY) {
        answer_phase(g, who);
        return false;
    }
    if (ask->target == g->active) {
        answer_error(who, 409, refusal_name(REFUSE_ALREADY_ACTIVE),
                     "group %s is active in %s already", g->name,
                     group_region_name(g, g->active));
        return false;
    }
    if (ask->even_if_healthy ||
        !group_is_healthy(f.state, f.seen, (uint8_t)(g - f.state->groups), mono_now()))
        return true;
    say_healthy(&f, g, ask->target, text);
    request_note(a, who,
                 &(struct noted){g->name, refusal_name(REFUSE_HEALTHY), "failover", text});
    answer_error(who, 409, refusal_name(REFUSE_HEALTHY), "%s", text);
    return false;
}

void request_failover(struct api *a, const struct group *g, const struct api_request *raw,
                      const struct asker *who)
{
    struct failover_ask ask;
    struct failover_wait *w;
    struct api_facts f;

    if (!read_failover(g, raw, &ask, who) || !failover_may_begin(a, g, &ask, who))
        return;
    if (g->policy.window_count != 0 || ask.wanted.break_glass) {
        ask.wanted.kind = PROPOSAL_FAILOVER;
        ask.wanted.target = ask.target;
        request_proposal(a, g, &ask.wanted, who);
        return;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
        return;
    }
    api_facts(a, &f);
    w->who = *who;
    w->run_before = g->run.id;
    w->epoch_before = g->epoch;
    w->since = mono_now();
    (void)snprintf(w->group, sizeof w->group, "%s", g->name);
    w->next = a->waits;
    a->waits = w;
    api_need_tick(a);
    a->backend->want_failover(a->backend->owner, (uint8_t)(g - f.state->groups),
                              &(struct failover_wish){ask.target, who->actor, who->key});
}

/* I5: what is proposed cannot be called back. While the fate of an entry for the group is
 * not known (a slow link, a full disk), a fence_begin may still be committed: a "no" would
 * have somebody believe that nothing happens. */
static void give_up(struct api *a, const struct api_facts *f, const struct group *g,
                    const struct asker *who)
{
    uint8_t group = (uint8_t)(g - f->state->groups);

    if (f->seen->groups[group].busy)
        answer_error(
            who, 503, "outcome-unknown",
            "an entry for group %s is proposed and not decided yet: its failover "
            "may or may not begin; look at `ringfence status` before you repeat it",
            g->name);
    else
        why_not(a, f, g, who);
    a->backend->want_failover(a->backend->owner, group, NULL);
}

/* True: answered. */
static bool look_at(struct api *a, const struct failover_wait *w, struct mono now)
{
    const struct group *g;
    struct api_facts f;

    api_facts(a, &f);
    g = state_group_const(f.state, w->group);
    if (g == NULL) {
        answer_error(&w->who, 404, "unknown-group", "group %s has been removed", w->group);
    } else if (g->run.kind == RUN_FAILOVER &&
               (g->run.id != w->run_before || g->epoch != w->epoch_before)) {
        answer_json(&w->who, 200, json_pack("{s:I}", "run", (json_int_t)g->run.id));
    } else if (!f.leads) {
        answer_error(&w->who, 503, "outcome-unknown",
                     "leadership has changed: look at `ringfence status`");
    } else if (mono_since_ms(w->since, now) > API_FAILOVER_MS) {
        give_up(a, &f, g, &w->who);
    } else {
        return false;
    }
    return true;
}

void requests_look(struct api *a, struct mono now)
{
    struct failover_wait **at = &a->waits;

    while (*at != NULL) {
        struct failover_wait *w = *at;

        if (!look_at(a, w, now)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        free(w);
    }
}

void requests_close(struct api *a)
{
    while (a->waits != NULL) {
        struct failover_wait *w = a->waits;

        a->waits = w->next;
        answer_error(&w->who, 503, "outcome-unknown", "this controller is stopping");
        free(w);
    }
}
