#include "controller/daemon/fencers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "controller/base/text.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/daemon/runner.h"
#include "fencing/methods/power.h"

/* What a run is for: one instance behind one fence_begin, and whose life it ends. */
struct target {
    char group[NAME_SIZE], agent[NAME_SIZE];
    uint64_t fence_index;
    struct incarnation life;
};

struct fencer {
    struct fencers *all;
    const struct power_device *device;
    struct power_run *check, *off; /* under way; NULL: none */
    bool known, ready;
    char text[200]; /* why not */
    struct mono asked;
    /* Of `off`: all groups on that host that were being fenced when it was begun, so that
     * it is not switched off once for each of them. */
    unsigned target_count;
    struct target targets[GROUP_MAX];
    struct mono failed; /* the last run that failed ended */
    uint64_t runs, failures;
};

struct fencers {
    struct daemon *d;
    uv_timer_t check;
    unsigned count;
    struct fencer list[SETTINGS_FENCER_MAX];
};

/* ---- what they say ---------------------------------------------------------------------
 */

static void tell(const struct fencer *f)
{
    struct daemon *d = f->all->d;

    if (f->known)
        observe_fencer(node_seen(d->node), node_state(d->node), f->device->name,
                       f->ready ? NULL : f->text);
}

/* Logged when it changes: who reads the log of last night wants to know since when. */
static void note(struct fencer *f, bool ready, const char *text)
{
    bool news = !f->known || f->ready != ready || strcmp(f->text, text) != 0;

    f->known = true;
    f->ready = ready;
    text_set(f->text, sizeof f->text, "%s", text);
    if (news && !ready)
        log_error("fencer %s cannot be used: %s", f->device->name, f->text);
    else if (news)
        log_info("fencer %s answers", f->device->name);
    tell(f);
    runner_wake(f->all->d->runner);
}

static void on_checked(void *owner, enum power_state state, const struct err *why)
{
    struct fencer *f = owner;

    (void)state;
    f->check = NULL;
    note(f, why == NULL, why == NULL ? "" : why->text);
}

static void begin_check(struct fencer *f)
{
    struct err err = {0};

    if (f->check != NULL || f->off != NULL)
        return;
    f->asked = mono_now();
    if (power_status_start(&f->check, f->all->d->loop, f->device, on_checked, f, &err) != 0)
        note(f, false, err.text);
}

static void on_check(uv_timer_t *timer)
{
    struct fencers *all = timer->data;

    for (unsigned i = 0; i < all->count; i++) {
        struct fencer *f = &all->list[i];

        if (!f->known || !f->ready ||
            mono_since_ms(f->asked, mono_now()) >= FENCERS_CHECK_MS)
            begin_check(f);
    }
}

/* ---- switching off ---------------------------------------------------------------------
 */

/* Group and place of a target, if its fence is in force here, nothing else has proven it
 * meanwhile, and we lead. */
static bool still_wanted(const struct fencer *f, const struct target *t, uint8_t *ret_group,
                         uint8_t *ret_instance)
{
    const struct state *s = node_state(f->all->d->node);
    const struct group *g = state_group_const(s, t->group);
    uint8_t k = g != NULL ? group_instance(g, t->agent) : NO_INSTANCE;

    if (k == NO_INSTANCE || g->phase != PHASE_FENCING || g->fence_index != t->fence_index ||
        strcmp(g->instances[k].power, f->device->name) != 0 ||
        !node_seen(f->all->d->node)->leading ||
        !power_off_is_wanted(s, node_seen(f->all->d->node), (uint8_t)(g - s->groups), k,
                             mono_now()))
        return false;
    *ret_group = (uint8_t)(g - s->groups);
    *ret_instance = k;
    return true;
}

static bool any_wanted(const struct fencer *f)
{
    uint8_t group, instance;

    for (unsigned i = 0; i < f->target_count; i++)
        if (still_wanted(f, &f->targets[i], &group, &instance))
            return true;
    return false;
}

/* I2: each of their fence_begins was applied here before the run was begun, and the host is
 * seen to be off now. */
static void tell_off(const struct fencer *f)
{
    uint8_t group, instance;

    for (unsigned i = 0; i < f->target_count; i++)
        if (still_wanted(f, &f->targets[i], &group, &instance))
            observe_power_off(node_seen(f->all->d->node), group, instance,
                              f->targets[i].fence_index, &f->targets[i].life);
}

static void on_off(void *owner, enum power_state state, const struct err *why)
{
    struct fencer *f = owner;

    f->off = NULL;
    if (MUTANT(power_unseen, why != NULL || state != POWER_OFF, state == POWER_UNKNOWN)) {
        f->failures++;
        f->failed = mono_now();
        log_error("the host of %s is not off: %s", f->targets[0].agent,
                  why != NULL ? why->text : "its fencer does not say so");
        note(f, false, why != NULL ? why->text : "it does not say that its host is off");
        return;
    }
    log_info("fencer %s: the host of %s is off", f->device->name, f->targets[0].agent);
    note(f, true, "");
    tell_off(f);
}

static void add_target(struct fencer *f, const struct state *s, const struct group *g,
                       uint8_t instance)
{
    struct target *t = &f->targets[f->target_count];

    if (f->target_count == GROUP_MAX || g->phase != PHASE_FENCING ||
        strcmp(g->instances[instance].power, f->device->name) != 0 ||
        !power_subject(s, g, instance, &t->life))
        return;
    (void)snprintf(t->group, sizeof t->group, "%s", g->name);
    (void)snprintf(t->agent, sizeof t->agent, "%s", g->instances[instance].agent);
    t->fence_index = g->fence_index;
    f->target_count++;
}

/* The one that was asked for is the first. */
static void find_targets(struct fencer *f, uint8_t group, uint8_t instance)
{
    const struct state *s = node_state(f->all->d->node);

    f->target_count = 0;
    add_target(f, s, &s->groups[group], instance);
    for (unsigned i = 0; i < s->group_count && f->target_count > 0; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count; k++)
            if (i != group || k != instance)
                add_target(f, s, &s->groups[i], k);
}

static struct fencer *find(struct fencers *all, const char *name)
{
    for (unsigned i = 0; i < all->count; i++)
        if (strcmp(all->list[i].device->name, name) == 0)
            return &all->list[i];
    return NULL;
}

static bool may_begin(const struct fencer *f)
{
    return f->off == NULL && (!mono_is_set(f->failed) ||
                              mono_since_ms(f->failed, mono_now()) >= FENCERS_RETRY_MS);
}

void fencers_power_off(struct fencers *all, uint8_t group, uint8_t instance)
{
    const struct group *g = &node_state(all->d->node)->groups[group];
    struct fencer *f = find(all, g->instances[instance].power);
    struct err err = {0};

    if (f == NULL || !may_begin(f))
        return; /* that there is none, fencers_look() has said */
    find_targets(f, group, instance);
    if (f->target_count == 0)
        return;
    f->runs++;
    /* A look at its status is not waited for: the device takes one caller at a time. */
    power_run_cancel(TAKE(f->check));
    log_info("fencer %s switches the host of %s off (group %s, fence at index %" PRIu64 ")",
             f->device->name, f->targets[0].agent, f->targets[0].group,
             f->targets[0].fence_index);
    if (power_off_start(&f->off, all->d->loop, f->device, on_off, f, &err) != 0)
        on_off(f, POWER_UNKNOWN, &err);
}

/* ---- each turn -------------------------------------------------------------------------
 */

static void tell_missing(struct fencers *all)
{
    const struct state *s = node_state(all->d->node);
    struct observations *o = node_seen(all->d->node);

    for (unsigned i = 0; i < s->group_count; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count; k++) {
            const char *name = s->groups[i].instances[k].power;
            struct fencer *f = name[0] != '\0' ? find(all, name) : NULL;

            if (f != NULL)
                tell(f);
            else if (name[0] != '\0')
                observe_fencer(o, s, name,
                               "this controller has no fencer of that name: add it to "
                               "`fencers` in its file, and start it again");
        }
}

void fencers_look(struct fencers *all)
{
    if (all == NULL)
        return;
    tell_missing(all);
    for (unsigned i = 0; i < all->count; i++) {
        struct fencer *f = &all->list[i];

        if (f->off == NULL || any_wanted(f))
            continue;
        log_info("fencer %s is called off: the fence at index %" PRIu64 " is over, or "
                 "another controller leads",
                 f->device->name, f->targets[0].fence_index);
        power_run_cancel(TAKE(f->off));
    }
}

bool fencers_at(const struct fencers *all, unsigned i, struct fencer_view *ret_view)
{
    const struct fencer *f = all != NULL && i < all->count ? &all->list[i] : NULL;

    if (f == NULL)
        return false;
    *ret_view = (struct fencer_view){.name = f->device->name,
                                     .text = f->text,
                                     .known = f->known,
                                     .ready = f->ready,
                                     .running = f->off != NULL,
                                     .runs = f->runs,
                                     .failures = f->failures};
    return true;
}

/* ---- life ------------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle) { free(handle->data); }

int fencers_open(struct fencers **ret_fencers, struct daemon *d, struct err *err)
{
    struct fencers *all = calloc(1, sizeof *all);

    if (all == NULL)
        return err_set(err, ERR_NOMEM, "fencers");
    all->d = d;
    all->count = d->settings.fencer_count;
    ASSERT(all->count <= SETTINGS_FENCER_MAX);
    for (unsigned i = 0; i < all->count; i++) {
        all->list[i].all = all;
        all->list[i].device = &d->settings.fencers[i];
    }
    (void)uv_timer_init(d->loop, &all->check); /* cannot fail */
    all->check.data = all;
    if (all->count > 0)
        (void)uv_timer_start(&all->check, on_check, 0, FENCERS_AGAIN_MS);
    *ret_fencers = all;
    return 0;
}

void fencers_close(struct fencers *all)
{
    if (all == NULL)
        return;
    for (unsigned i = 0; i < all->count; i++) {
        power_run_cancel(TAKE(all->list[i].check));
        power_run_cancel(TAKE(all->list[i].off));
    }
    uv_close((uv_handle_t *)&all->check, on_closed);
}
