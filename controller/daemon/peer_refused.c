/* What a controller that does not lead has refused: it is told to the leader, who writes
 * the trail. */
#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers_private.h"
#include "proto/check.h"

static bool tell(struct peers *p, const struct actor *who, const char *group,
                 const char *text)
{
    struct peer *leader = peers_by_id(p, node_leader(p->d->node));
    Rf__Refused m = RF__REFUSED__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    if (leader == NULL || !peers_knows_refused(p, leader->position))
        return false;
    m.kind = (uint32_t)who->kind;
    m.name = (char *)who->name;
    m.from = (char *)who->from;
    m.factor = (uint32_t)who->factor;
    m.roles = who->roles;
    m.group = (char *)group;
    m.text = (char *)text;
    frame.body_case = RF__FRAME__BODY_REFUSED;
    frame.refused = &m;
    return peers_send(p, leader->position, &frame);
}

void peers_tell_refused(struct peers *p, const struct actor *who, const char *group,
                        const char *text)
{
    char name[ACTOR_TEXT_SIZE], line[TEXT_SIZE];

    if (!refused_take(&p->refused, who, mono_now())) {
        p->refused_untold++;
        return;
    }
    if (tell(p, who, group, text))
        return;
    p->refused_untold++;
    actor_text(who, name);
    text_set(line, sizeof line, "%s", text);
    check_text_clean((uint8_t *)line, strlen(line)); /* it has a path that somebody chose */
    log_warn("not in the audit trail, since no leader could be told: %s [%s]", line, name);
}

uint64_t peers_refused_untold(const struct peers *p) { return p->refused_untold; }

static bool fits(const char *text, size_t size) { return strlen(text) < size; }

/* Whoever leads no more drops it: told once more it would come by a second hop. */
void peer_refused_take(const struct peers *p, const Rf__Refused *r)
{
    struct actor who = {0};

    if (r->kind <= ACTOR_NONE || r->kind > ACTOR_ANONYMOUS || r->factor > FACTOR_RECOVERY ||
        r->roles > ROLES_ALL || !fits(r->name, sizeof who.name) ||
        !fits(r->from, sizeof who.from) || !fits(r->group, NAME_SIZE)) {
        log_warn("a controller tells of a refused request as none of ours would");
        return;
    }
    who.kind = (enum actor_kind)r->kind;
    who.factor = (enum actor_factor)r->factor;
    who.roles = (uint8_t)r->roles;
    (void)snprintf(who.name, sizeof who.name, "%s", r->name);
    (void)snprintf(who.from, sizeof who.from, "%s", r->from);
    node_note_refused(p->d->node, &who, r->group, r->text);
}
