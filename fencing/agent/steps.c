#include "fencing/agent/steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "fencing/agent/steps_private.h"

enum { LEAVE_EACH_MS = 1000 };

/* Each text once; a disk that is full stays full for hours. */
static void note_disk(struct steps *st, const struct err *why)
{
    char text[KEEPER_PROBLEM_SIZE] = "";

    st->disk_hangs = why != NULL && why->code == ERR_TIMEOUT;
    if (why != NULL)
        text_set(text, sizeof text, "state_dir not writable: %s", why->text);
    if (strcmp(text, st->disk_problem) == 0)
        return;
    if (why != NULL)
        log_error("%s", text);
    else
        log_info("state_dir can be written again");
    memcpy(st->disk_problem, text, sizeof text);
}

bool steps_save(struct steps *st)
{
    struct err err = {0};
    bool failed;

    /* Known to hang: not tried, or everything that is done here would hang with it. The
     * probe says when it answers again, and what has waited is written then. */
    if (st->disk_hangs) {
        st->save_failed = true;
        return false;
    }
    failed = steps_state_write(st->parts.dir, &st->records, &err) != 0;
    st->save_failed = failed;
    note_disk(st, failed ? &err : NULL);
    return !failed;
}

static void on_probed(void *owner, const struct err *why)
{
    struct steps *st = owner;
    char before[KEEPER_PROBLEM_SIZE];

    memcpy(before, st->disk_problem, sizeof before);
    st->disk_hangs = false;
    if (why == NULL && st->save_failed)
        (void)steps_save(st); /* what it could not take has waited */
    else
        note_disk(st, why);
    if (strcmp(before, st->disk_problem) == 0)
        return;
    for (unsigned s = 0; s < AGENT_GROUPS_MAX; s++)
        inst_consider(&st->insts[s]);
}

/* ---- assignments and orders -----------------------------------------------------------
 */

static void open_helpers(struct inst *i)
{
    struct err err = {0};
    uv_loop_t *loop = i->st->parts.loop;

    if (i->observer == NULL &&
        helper_open(&i->observer, loop, inst_on_observed, i, &err) != 0)
        log_error("%s: %s", i->group, err.text);
    if (i->worker == NULL && helper_open(&i->worker, loop, inst_on_step, i, &err) != 0)
        log_error("%s: %s", i->group, err.text);
}

/* A detached server is nobody's: what we knew of it is void when it comes back (I2). */
static void forget(struct inst *i)
{
    uint64_t last_step = i->rec->last_step;
    bool last_failed = i->rec->last_failed;
    char group[AGENT_NAME_SIZE];

    memcpy(group, i->rec->group, sizeof group);
    *i->rec = (struct step_record){.last_step = last_step, .last_failed = last_failed};
    memcpy(i->rec->group, group, sizeof group);
    i->alien = i->crashed = i->hung = false;
    (void)steps_save(i->st);
}

/* A group begins to form: while it was let go nobody looked, and the server may have become
 * anything. What was seen before is no look at what the keeper asks about now. */
static void look_anew(struct inst *i)
{
    i->state = KEEPER_SERVER_UNKNOWN;
    i->looked = 0;
    i->asked_at = (struct mono){0};
    if (i->seen != NULL)
        rf__observation__free_unpacked(i->seen, NULL);
    i->seen = NULL;
}

/* For `--check`, which knows no group but what is remembered of it. */
static void remember_start(struct inst *i)
{
    const char *start = i->a->server->start;

    if (i->rec == NULL || i->a->role == RF__ROLE__ROLE_DETACHED ||
        strcmp(i->rec->start, start) == 0 || strlen(start) >= sizeof i->rec->start ||
        strchr(start, '\n') != NULL)
        return;
    snprintf(i->rec->start, sizeof i->rec->start, "%s", start);
    (void)steps_save(i->st);
}

static bool take_assignment(struct inst *i)
{
    AUTO(buf_free) struct buf bytes = {0};
    Rf__Assignment *a;

    if (!board_take(i->st->parts.board, BOARD_ASSIGNMENT, i->slot, &bytes))
        return false;
    a = rf__assignment__unpack(NULL, bytes.len, bytes.data);
    if (a == NULL)
        return false; /* no memory: a newer one will come with the next change */
    if (a->role == RF__ROLE__ROLE_NONE &&
        (i->a == NULL || i->a->role != RF__ROLE__ROLE_NONE))
        look_anew(i);
    if (i->a == NULL || strcmp(i->a->server->start, a->server->start) != 0) {
        i->start_looked_at = (struct mono){0};
        i->cannot_start[0] = 0;
    }
    if (i->a != NULL) {
        if (i->a->epoch != a->epoch)
            i->crashed = false;
        rf__assignment__free_unpacked(i->a, NULL);
    }
    i->a = a;
    i->shrink_bits = 0; /* I8: places among the peers of before; the next look says anew */
    i->let_go = i->let_go && a->role == RF__ROLE__ROLE_DETACHED;
    if (!i->used) {
        i->used = true;
        snprintf(i->group, sizeof i->group, "%s", a->group);
        i->rec = steps_state_of(&i->st->records, i->group);
        if (i->rec == NULL)
            log_error("%s: steps.state has no room for another group", i->group);
    }
    if (a->role == RF__ROLE__ROLE_DETACHED && i->rec != NULL && i->rec->ever_known)
        forget(i);
    remember_start(i);
    open_helpers(i);
    i->fast_until = mono_plus_ms(mono_now(), FAST_FOR_MS);
    return true;
}

static bool take_order(struct inst *i)
{
    AUTO(buf_free) struct buf bytes = {0};
    Rf__StepOrder *order;

    if (!board_take(i->st->parts.board, BOARD_ORDER, i->slot, &bytes))
        return false;
    order = rf__step_order__unpack(NULL, bytes.len, bytes.data);
    if (order == NULL)
        return false; /* it is repeated */
    if (i->order != NULL)
        rf__step_order__free_unpacked(i->order, NULL);
    i->order = order;
    return true;
}

/* What is news of one group is none of the others: with fifty of them each change would be
 * reported fifty times. */
static void on_bell(void *owner)
{
    struct steps *st = owner;

    for (unsigned s = 0; s < AGENT_GROUPS_MAX; s++) {
        struct inst *i = &st->insts[s];
        bool news = take_assignment(i);

        if (!i->used)
            continue;
        news = take_order(i) || news;
        news = board_view_is_news(st->parts.board, (uint8_t)s) || news;
        if (!news)
            continue;
        inst_observe(i);
        inst_consider(i);
    }
}

static bool hung_changes(const struct inst *i, struct mono now)
{
    return i->hung !=
           (i->alive && server_is_hung(i->a, i->canary_ok, i->canary_failed, now));
}

/* What was not answered while we were late is no silence of the server's. */
static uint64_t lateness_ns(struct steps *st, struct mono now)
{
    uint64_t since = mono_is_set(st->ticked) ? mono_since_ns(st->ticked, now) : 0;

    st->ticked = now;
    return since > (uint64_t)(STEPS_TICK_MS + LATE_MS) * NS_PER_MS ? since : 0;
}

/* A detached server goes on in the cgroup that was made for it, until it is stopped. */
static void leave_nothing(struct inst *i)
{
    Rf__ServerSpec server;

    if (i->let_go || i->run.busy)
        return;
    inst_fill_server(i, &server);
    i->let_go = helper_let_go(&server);
}

static void on_tick(uv_timer_t *tick)
{
    struct steps *st = tick->data;
    struct mono now = mono_now();
    uint64_t late_ns = lateness_ns(st, now);
    bool due = mono_since_ms(st->left_at, now) >= LEAVE_EACH_MS;

    if (due)
        st->left_at = now;
    for (unsigned s = 0; s < AGENT_GROUPS_MAX; s++) {
        struct inst *i = &st->insts[s];

        if (!i->used || i->a == NULL)
            continue;
        if (mono_is_set(i->canary_ok))
            i->canary_ok.ns += late_ns;
        inst_observe(i);
        if (hung_changes(i, now))
            inst_consider(i);
        if (i->alien)
            inst_stop_alien(i);
        if (i->a->role == RF__ROLE__ROLE_DETACHED && due)
            leave_nothing(i);
        inst_consider_order(i);
    }
}

/* ---- what went on while no agent was there ----------------------------------------------
 */

/* The very postmaster that the last life found ready goes on: it is watched again, and the
 * keeper hears of it before its first renewal, so that an upgrade within the TTL is not
 * noticed. */
static void resume(struct inst *i)
{
    struct step_record *r = i->rec;
    struct keeper_server s = {.state = KEEPER_SERVER_DOWN};

    if (r->known.pid != 0 && inst_watch(i, r->known)) {
        i->alive = true;
        i->state = r->ready_epoch != 0 ? KEEPER_SERVER_PRIMARY : KEEPER_SERVER_UNKNOWN;
        i->canary_ok = r->ready_epoch != 0 ? mono_now() : (struct mono){0};
        s.state = i->state;
        s.ready_epoch = r->ready_epoch;
        s.process = i->watch->process;
    } else if (r->known.pid != 0) {
        r->known = (struct postmaster){0};
        r->led_epoch = r->ready_epoch = r->led_position = 0;
        i->state = KEEPER_SERVER_DOWN;
        i->crashed = true; /* nobody told it to: the steps of a life end with it */
    } else {
        return; /* nothing known: the keeper waits for the first observation */
    }
    i->told = s;
    board_put_server(i->st->parts.board, i->slot, &s);
}

static void resume_all(struct steps *st)
{
    for (uint8_t s = 0; s < st->parts.epochs->count; s++) {
        struct inst *i = &st->insts[s];

        snprintf(i->group, sizeof i->group, "%s", st->parts.epochs->of[s].group);
        i->used = true;
        i->rec = steps_state_of(&st->records, i->group);
        if (i->rec == NULL)
            continue;
        i->opening = i->rec->running_kind != 0;
        i->rec->running_kind = 0;
        inst_remember_failure(i);
        resume(i);
    }
}

/* ---- life -----------------------------------------------------------------------------
 */

int steps_open(struct steps **ret_steps, const struct steps_parts *parts, struct err *err)
{
    struct steps *st = calloc(1, sizeof *st);
    struct disk_probe_parts probe = {.loop = parts->loop,
                                     .dir = parts->dir,
                                     .deadline_ms = DISK_PROBE_DEADLINE_MS,
                                     .says = on_probed,
                                     .owner = st};
    int status;

    if (st == NULL)
        return err_set(err, ERR_NOMEM, "steps");
    st->parts = *parts;
    for (unsigned s = 0; s < AGENT_GROUPS_MAX; s++) {
        st->insts[s].st = st;
        st->insts[s].slot = (uint8_t)s;
    }
    status = steps_state_read(parts->dir, &st->records, err);
    if (status == 0)
        status = bell_open(&st->bell, parts->loop, on_bell, st, err);
    if (status == 0)
        status = steps_state_end_leftovers(&st->records, err);
    if (status == 0)
        status = disk_probe_open(&st->probe, &probe, err);
    if (status != 0) {
        bell_close(st->bell);
        free(st);
        return status;
    }
    status = uv_timer_init(parts->loop, &st->tick);
    ASSERT(status == 0);
    st->tick.data = st;
    resume_all(st);
    board_set_bell(parts->board, BOARD_STEPS, st->bell);
    (void)uv_timer_start(&st->tick, on_tick, STEPS_TICK_MS, STEPS_TICK_MS);
    *ret_steps = st;
    return 0;
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static void close_inst(struct inst *i)
{
    helper_close(i->observer);
    helper_close(i->worker);
    i->observer = i->worker = NULL;
    inst_unwatch(i);
    if (i->a != NULL)
        rf__assignment__free_unpacked(i->a, NULL);
    if (i->order != NULL)
        rf__step_order__free_unpacked(i->order, NULL);
    if (i->seen != NULL)
        rf__observation__free_unpacked(i->seen, NULL);
    buf_free(&i->result_packed);
    buf_free(&i->said);
}

void steps_close(struct steps *st)
{
    if (st == NULL)
        return;
    board_set_bell(st->parts.board, BOARD_STEPS, NULL);
    for (unsigned s = 0; s < AGENT_GROUPS_MAX; s++)
        close_inst(&st->insts[s]);
    bell_close(st->bell);
    disk_probe_close(st->probe);
    uv_close((uv_handle_t *)&st->tick, on_closed);
}

/* ---- for endpoints and doctor -----------------------------------------------------------
 */

bool steps_view(struct steps *st, uint8_t slot, struct steps_view *ret)
{
    const struct inst *i = &st->insts[slot];

    ASSERT(slot < AGENT_GROUPS_MAX);
    if (!i->used)
        return false;
    *ret = (struct steps_view){.assigned = i->a != NULL,
                               .role = i->a != NULL ? (uint32_t)i->a->role : 0,
                               .epoch = i->a != NULL ? i->a->epoch : 0,
                               .alive = i->alive,
                               .ready = i->told.ready_epoch != 0,
                               .crashed = i->crashed,
                               .hung = i->hung,
                               .step = i->run.own ? 0 : i->run.step,
                               .steps_done = i->done,
                               .steps_failed = i->failed,
                               .steps_unknown = i->unknown,
                               .observations = i->observations,
                               .observer_deaths = i->observer_deaths,
                               .seen = i->seen,
                               .seen_age_ms = mono_since_ms(i->seen_at, mono_now()),
                               .assignment = i->a};
    memcpy(ret->group, i->group, sizeof ret->group);
    snprintf(ret->problem, sizeof ret->problem, "%s",
             inst_alien_why(i)[0] != 0 ? inst_alien_why(i) : i->cannot_start);
    return true;
}

bool steps_ask_checks(struct steps *st, uint8_t slot, steps_checks *on_checks, void *owner)
{
    struct inst *i = &st->insts[slot];

    if (!i->used || i->a == NULL || i->observer == NULL || i->on_checks != NULL ||
        i->a->role == RF__ROLE__ROLE_DETACHED)
        return false;
    i->on_checks = on_checks;
    i->checks_owner = owner;
    i->checks_wanted = true;
    inst_observe(i);
    return true;
}

void steps_forget_checks(struct steps *st, const void *owner)
{
    for (unsigned s = 0; s < AGENT_GROUPS_MAX; s++) {
        struct inst *i = &st->insts[s];

        if (i->checks_owner != owner)
            continue;
        i->on_checks = NULL;
        i->checks_owner = NULL;
        i->checks_wanted = false;
    }
}
