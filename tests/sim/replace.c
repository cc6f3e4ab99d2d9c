#include "tests/sim/replace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/daemon/node.h"
#include "tests/sim/judge.h"
#include "tests/sim/process.h"
#include "tests/sim/store.h"

static struct {
    bool made[CTLS], lost[CTLS]; /* its directory has been; it is to be emptied */
    uint64_t id[CTLS], former, newest;
    bool goes_on, mistaken, told;
    uint8_t node;
} r;

void replace_start(void)
{
    memset(&r, 0, sizeof r);
    for (uint8_t n = 0; n < CTLS; n++)
        r.id[n] = ++r.newest;
}

bool replace_goes_on(void) { return r.goes_on; }

static bool is_mistaken(uint8_t node)
{
    return r.goes_on && r.node == node && r.mistaken && !r.told;
}

uint64_t replace_id(uint8_t node) { return is_mistaken(node) ? r.former : r.id[node]; }

bool replace_may_end(uint8_t node) { return r.goes_on && r.node == node && r.told; }

bool replace_condemned(uint8_t node)
{
    if (!r.goes_on || r.node != node || !r.mistaken)
        return false;
    sim_note("controller %s is told that it has lost its disk", node_name(node));
    r.told = r.lost[node] = true;
    return true;
}

/* Somebody must have decided something by now: before all have met once a lost disk is a
 * cluster that was never made. */
static bool has_begun(void)
{
    for (uint8_t n = 0; n < CTLS; n++) {
        struct daemon *d = ctl_daemon(n);

        if (d != NULL && d->node != NULL && node_leads(d->node) &&
            node_state(d->node)->controller_count == CTLS)
            return true;
    }
    return false;
}

bool replace_lose(uint8_t node, bool mistaken)
{
    if (r.goes_on || !has_begun())
        return false;
    r.goes_on = true;
    r.node = node;
    r.mistaken = mistaken;
    r.told = false;
    r.former = r.id[node];
    r.id[node] = ++r.newest;
    r.lost[node] = true;
    sim_note("controller %s loses its disk; id %" PRIu64 " takes its place",
             node_name(node), r.id[node]);
    proc_lose_power(node);
    return true;
}

enum start_mode replace_begin(uint8_t node)
{
    enum start_mode mode = r.made[node] ? START_PLAIN : START_BOOTSTRAP;

    if (r.lost[node]) {
        store_lose(node);
        mode = is_mistaken(node) ? START_BOOTSTRAP : START_JOIN;
    }
    r.lost[node] = false;
    r.made[node] = true;
    return mode;
}

static const struct controller *record_of(const struct daemon *d, uint8_t node)
{
    const struct state *s = node_state(d->node);

    for (unsigned i = 0; i < s->controller_count; i++)
        if (strcmp(s->controllers[i].name, node_name(node)) == 0)
            return &s->controllers[i];
    return NULL;
}

bool replace_wants(struct daemon *d, struct entry *ret)
{
    const struct controller *record = r.goes_on ? record_of(d, r.node) : NULL;
    const struct member *m;
    bool decided;

    if (record == NULL)
        return false;
    if (record->id != r.id[r.node]) {
        memset(ret, 0, sizeof *ret);
        ret->kind = ENTRY_CONTROLLER_REPLACE;
        snprintf(ret->rule, RULE_SIZE, "operator");
        ret->controller_replace.id = r.id[r.node];
        ret->controller_replace.former = record->id;
        snprintf(ret->controller_replace.name, NAME_SIZE, "%s", node_name(r.node));
        return true;
    }
    m = members_find(node_members(d->node, &decided), r.id[r.node]);
    if (m != NULL && m->votes && decided) {
        sim_note("controller %s votes under id %" PRIu64, node_name(r.node), m->id);
        r.goes_on = false;
    }
    return false;
}
