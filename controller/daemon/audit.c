#include "controller/daemon/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/mutant.h"
#include "controller/base/text.h"

/* The entry has the number of the step only; what it was is on record. */
static void name_step(const struct group *g, const struct entry *e,
                      struct audit_before *ret)
{
    uint8_t i = e->step_end.instance;
    const struct step *step =
        g != NULL && i < g->instance_count ? &g->instances[i].step : NULL;
    size_t used = strlen(ret->instance);

    if (step != NULL && step->id == e->step_end.step)
        (void)snprintf(ret->instance + used, sizeof ret->instance - used, "%s: %s%s",
                       step->restart && e->step_end.done ? " runs again" : "",
                       step_kind_name(step->kind), step->restart ? " (restart)" : "");
    else
        (void)snprintf(ret->instance + used, sizeof ret->instance - used, ", step %" PRIu64,
                       e->step_end.step);
}

static void name_instance(const struct state *s, const struct entry *e,
                          struct audit_before *ret)
{
    const struct group *g = state_group_const(s, e->group);
    const char *named = entry_instance_name(e);
    uint8_t i = entry_instance(e);

    if (named[0] != '\0')
        (void)snprintf(ret->instance, sizeof ret->instance, "%s", named);
    else if (g != NULL && i < g->instance_count)
        (void)snprintf(ret->instance, sizeof ret->instance, "%s", g->instances[i].agent);
    else if (i != NO_INSTANCE)
        (void)snprintf(ret->instance, sizeof ret->instance, "instance %u", i);
    if (e->kind == ENTRY_STEP_END)
        name_step(g, e, ret);
}

static void note_changes(const struct group *before, const struct entry_declare *d,
                         struct audit_before *ret)
{
    struct group spec;

    declare_settle(before, d, &spec);
    declare_summary(before, &spec, ret->changes, sizeof ret->changes);
}

void audit_look(const struct state *s, const struct entry *e, struct audit_before *ret)
{
    *ret = (struct audit_before){0};
    name_instance(s, e, ret);
    if (e->kind == ENTRY_DECLARE)
        note_changes(state_group_const(s, e->group), &e->declare, ret);
    if (e->kind != ENTRY_RENEW)
        return;

    for (unsigned i = 0; i < e->renew.count; i++) {
        const struct renew_item *item = &e->renew.items[i];
        const struct group *g = state_group_const(s, item->group);

        if (g != NULL && item->instance < g->instance_count &&
            g->instances[item->instance].holder_epoch != item->epoch)
            ret->first_grant = true;
    }
}

static bool any_granted(const struct entry *e, const struct apply_result *r)
{
    for (unsigned i = 0; i < e->renew.count; i++)
        if (r->verdicts[i] == ACCEPTED)
            return true;
    return false;
}

/* At the end, behind a character that no text of people's can have (entry_codec.h): nobody
 * is another one by what they write as a reason. There is room: see SUMMARY_SIZE. */
static void name_actor(const struct actor *a, char text[AUDIT_TEXT_SIZE])
{
    char who[ACTOR_TEXT_SIZE];
    size_t used = strlen(text);

    actor_text(a, who);
    if (who[0] != '\0')
        (void)snprintf(text + used, AUDIT_TEXT_SIZE - used, "%c%s", AUDIT_ACTOR_MARK, who);
}

bool audit_make(const struct entry *e, const struct apply_result *r,
                const struct audit_before *before, struct audit_row *ret_row)
{
    enum {
        SUMMARY_SIZE = AUDIT_TEXT_SIZE - TEXT_SIZE - AUDIT_KIND_SIZE - ACTOR_TEXT_SIZE - 32
    };
    char summary[SUMMARY_SIZE];

    if (e->kind == ENTRY_RENEW && !(before->first_grant && any_granted(e, r)))
        return false;

    if (MUTANT(opened_unrecorded, false, e->kind == ENTRY_OPENED))
        return false;

    *ret_row = (struct audit_row){0};
    if (e->kind == ENTRY_DECLARE)
        (void)snprintf(summary, sizeof summary, "%s", before->changes);
    else
        entry_summary(e, before->instance, summary, sizeof summary);
    (void)snprintf(ret_row->kind, sizeof ret_row->kind, "%s", entry_kind_name(e->kind));
    (void)snprintf(ret_row->group, sizeof ret_row->group, "%s",
                   e->kind == ENTRY_RENEW ? e->renew.items[0].group : e->group);
    (void)snprintf(ret_row->rule, sizeof ret_row->rule, "%s", e->rule);
    /* controller/http/logview.c splits the result off again. */
    if (r->refusal == ACCEPTED)
        (void)snprintf(ret_row->text, sizeof ret_row->text, "%s", summary);
    else
        text_set(ret_row->text, sizeof ret_row->text, "refused (%s): %s: %s",
                 refusal_name(r->refusal), summary, r->text);
    name_actor(&e->actor, ret_row->text);
    return true;
}
